"""Events of page tables, walks and TLBs in words."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mmkit.model import pgtrace, tlbtrace
from mmkit.model.trace import Event
from mmkit.view.parts import plural

_ENDS = {
    "table": "it leads to the next table",
    "page": "it leads to the page",
    "absent": "it is not present",
    "reserved": "a bit is set that must be clear",
    "outside": "no memory is there",
    "unrecorded": "it is not in the recording",
}


def error_code_words(error_code: int) -> str:
    """Return in words what the bits of x86's page-fault error code say.

    >>> error_code_words(0x7)
    'a page was there (P), it was a write (W), by user code (U)'
    """
    said = ["a page was there (P)" if error_code & 1 else "nothing was there"]
    said.append("it was an instruction fetch (I)" if error_code & 16 else "it was a write (W)" if error_code & 2 else
                "it was a read")  # fmt: skip
    said.append("by user code (U)" if error_code & 4 else "by the kernel")
    return ", ".join([*said, *(["a reserved bit was set (RSVD)"] if error_code & 8 else [])])


def _new(event: pgtrace.PtTableNew) -> str:
    return f"A page of memory becomes a {event.level} table: 0x{event.addr:x}, all zeros."


def _free(event: pgtrace.PtTableFree) -> str:
    return f"The {event.level} table at 0x{event.addr:x} is empty: its page is given back."


def _set(event: pgtrace.PtEntrySet) -> str:
    return f"Entry {event.index} of the {event.level}, at 0x{event.addr:x}: 0x{event.old:x} becomes 0x{event.new:x}."


def _read(event: pgtrace.WalkRead) -> str:
    return f"Read entry {event.index} of the {event.level}, at 0x{event.addr:x}: 0x{event.raw:x}; {_ENDS[event.kind]}."


def _load(event: pgtrace.Cr3Load) -> str:
    return f"CR3 becomes 0x{event.new:x}: other tables, another address space."


def _fault(event: pgtrace.PageFaultUser | pgtrace.PageFaultKernel) -> str:
    code = error_code_words(event.error_code)
    return f"Page fault at 0x{event.address:x}, error code 0x{event.error_code:x}: {code}."


def _hit(event: tlbtrace.TlbHit) -> str:
    return f"0x{event.virt_addr:x}: found in set {event.set}, way {event.way} of {event.tlb}."


def _miss(event: tlbtrace.TlbMiss) -> str:
    return f"0x{event.virt_addr:x}: not in set {event.set} of {event.tlb}, so the tables are walked."


def _fill(event: tlbtrace.TlbFill) -> str:
    gone = f", where 0x{event.evicted.virt_addr:x} has to go" if event.evicted else ", which was empty"
    return f"Its page, 0x{event.entry.virt_addr:x}, is kept in set {event.set}, way {event.way}{gone}."


def _flush(event: tlbtrace.TlbFlush) -> str:
    return f"{event.tlb} throws {plural(event.pages, 'translation')} away ({event.reason})."


_WORDS: dict[type[Event], Callable[[Any], str]] = {
    pgtrace.PtTableNew: _new, pgtrace.PtTableFree: _free, pgtrace.PtEntrySet: _set, pgtrace.WalkRead: _read,
    pgtrace.Cr3Load: _load, pgtrace.PageFaultUser: _fault, pgtrace.PageFaultKernel: _fault,
    tlbtrace.TlbHit: _hit, tlbtrace.TlbMiss: _miss, tlbtrace.TlbFill: _fill, tlbtrace.TlbFlush: _flush,
}  # fmt: skip


def pg_in_words(event: Event) -> str:
    """Return one sentence that says what an event of page tables or TLBs does; nothing for one of another topic."""
    words = _WORDS.get(type(event))
    return words(event) if words else ""
