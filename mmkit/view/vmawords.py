"""Events of address spaces in words."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mmkit.model import vmatrace
from mmkit.model.trace import Event
from mmkit.model.vmaflags import flag_letters
from mmkit.view.parts import plural


def _pages(start: int, end: int) -> str:
    return plural((end - start) >> 12, "page")


def _unmapped(event: vmatrace.VmUnmappedArea) -> str:
    return f"The highest gap with room for {_pages(0, event.length)}: its top end, 0x{event.addr:x}."


def _insert(event: vmatrace.VmaInsert) -> str:
    return f"A new area, {event.perms}: {_pages(event.start, event.end)} at 0x{event.start:x}."


def _remove(event: vmatrace.VmaRemove) -> str:
    return f"The area at 0x{event.start:x} is gone: {_pages(event.start, event.end)}, {event.perms}."


def _split(event: vmatrace.VmaSplit) -> str:
    low, high = _pages(event.start, event.addr), _pages(event.addr, event.end)
    return f"The area at 0x{event.start:x} is cut in two at 0x{event.addr:x}: {low} and {high}."


def _merge(event: vmatrace.VmaMerge) -> str:
    gone = plural(event.swallowed, "area")
    return f"Merged: one area at 0x{event.start:x}, {_pages(event.start, event.end)}; {gone} less."


def _resize(event: vmatrace.VmaResize) -> str:
    old, new = _pages(event.old_start, event.old_end), _pages(event.start, event.end)
    return f"The area at 0x{event.old_start:x} had {old}; now it has {new}, from 0x{event.start:x} on."


def _flags(event: vmatrace.VmaFlags) -> str:
    gained, lost = flag_letters(event.new & ~event.old), flag_letters(event.old & ~event.new)
    told = [f"gained {gained}"] * bool(gained) + [f"lost {lost}"] * bool(lost)
    return f"Flags of {_pages(event.start, event.end)} at 0x{event.start:x}: {', '.join(told) or 'as they were'}."


def _fault(event: vmatrace.VmaFault) -> str:
    what = "written" if event.write else "read"
    anon = f" The area gets anon_vma {event.anon_vma}." if event.anon_vma is not None else ""
    return f"The page at 0x{event.addr:x} is {what} for the first time: a page fault.{anon}"


def _zap(event: vmatrace.Zap) -> str:
    return f"{plural(event.pages, 'resident page')} of [0x{event.start:x}, 0x{event.end:x}) dropped."


_WORDS: dict[type[Any], Callable[[Any], str]] = {
    vmatrace.VmUnmappedArea: _unmapped, vmatrace.VmaInsert: _insert, vmatrace.VmaRemove: _remove,
    vmatrace.VmaSplit: _split, vmatrace.VmaMerge: _merge, vmatrace.VmaResize: _resize, vmatrace.VmaFlags: _flags,
    vmatrace.VmaFault: _fault, vmatrace.Zap: _zap,
}  # fmt: skip


def vma_in_words(event: Event) -> str:
    """Return one sentence that says what an event of an address space does; nothing for one of another topic.

    >>> vma_in_words(vmatrace.VmaSplit(start=0x1000, addr=0x3000, end=0x4000))
    'The area at 0x1000 is cut in two at 0x3000: 2 pages and 1 page.'
    """
    words = _WORDS.get(type(event))
    return words(event) if words else ""
