"""A window of pages of several processes, and the frames behind them, as one frozen state.

Models: what ``/proc/PID/pagemap`` and ``/proc/kpagecount`` tell together. Leaves out: everything outside the window.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mmkit.model.machine.usage import usage_of
from mmkit.model.machinestate import FaultState, FrameState, MemberState, PageState
from mmkit.model.vma.resident import ZERO

if TYPE_CHECKING:
    from mmkit.model.machine.machine import Machine
    from mmkit.model.machine.process import Process


def window_state(
    machine: Machine, base: int, pages: int, touched: tuple[int, int] | None = None, told: str = ""
) -> FaultState:
    """Return the pages from ``base`` on of all processes, threads once."""
    members = [process for process in machine if process.pid == process.tgid]
    states = tuple(_member(process, base, pages) for process in members)
    kinds = {page.pfn: page.kind for state in states for page in state.pages if page.pfn is not None}
    frames = tuple(_frame(machine, pfn, kinds[pfn]) for pfn in sorted(kinds))
    return FaultState(base, states, frames, touched, told)


def _member(process: Process, base: int, pages: int) -> MemberState:
    mm = process.mm
    uses = [usage_of(mm, vma) for vma in mm.vmas]
    return MemberState(
        process.pid, process.name, tuple(_page(process, (base >> 12) + page) for page in range(pages)), mm.min_flt,
        mm.maj_flt, mm.rss, sum(use.pss_bytes for use in uses),
    )  # fmt: skip


def _page(process: Process, page: int) -> PageState:
    mm = process.mm
    vma, kind = mm.index.find(page << 12), mm.pages.kind(page)
    inside = vma is not None and vma.vm_start <= page << 12
    area = ""
    if inside and vma is not None:
        area = f"{vma.perms} {vma.vm_file.file.name if vma.vm_file else 'anonymous'}"
    if not kind:
        return PageState("", None, False, False, False, area)
    raw, fmt, last = mm.pages.raw(page), mm.table.format, mm.pages.last
    return PageState(
        kind, mm.pages.pfn(page), mm.pages.writable(page), bool(fmt.dirty(raw, last)), bool(fmt.accessed(raw, last)),
        area,
    )  # fmt: skip


def _frame(machine: Machine, pfn: int, kind: str) -> FrameState:
    struct = machine.frames.page(pfn)
    first = machine.frames.read(pfn << 12, 1)[0]
    content = chr(first) if 32 < first < 127 else "0" if not first else f"{first:02x}"
    file_page = struct.index if kind in ("f", "s") else None
    mapped = 0 if kind == ZERO else struct.mappings
    return FrameState(pfn, kind, struct.refcount, mapped, content, file_page)
