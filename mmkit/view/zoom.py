"""Where to look: the pages that all steps of one request are about."""

from __future__ import annotations

from collections.abc import Sequence

from mmkit.model import trace
from mmkit.model.snapshot import BuddySnapshot
from mmkit.view.blocks import span_of

_LEAST = 64


def span_of_request(snapshot: BuddySnapshot, events: Sequence[trace.Event | None]) -> tuple[int, int]:
    """Return the pages [start, end) to zoom to: an aligned range of four times the largest block, or the whole zone."""
    blocks = [block for event in events for block in _blocks(event)]
    start, end = span_of(snapshot)
    if not blocks:
        return start, end
    first, last = min(pfn for pfn, _ in blocks), max(pfn + (1 << order) for pfn, order in blocks)
    wide = max(_LEAST, 4 << max(order for _, order in blocks))
    while first // wide != (last - 1) // wide:
        wide *= 2
    first = first // wide * wide
    return max(start, first), min(end, first + wide)


def _blocks(event: trace.Event | None) -> list[tuple[int, int]]:
    match event:
        case trace.Merge(pfn, order, buddy_pfn):
            return [(pfn, order), (buddy_pfn, order)]
        case trace.MmPageAllocExtfrag(pfn, _, order):
            return [(pfn, order)]
        case trace.Take(pfn, order) | trace.Split(pfn, order) | trace.Put(pfn, order) | trace.MmPageFree(pfn, order):
            return [(pfn, order)]
        case trace.MmPageAlloc(int(pfn), order):
            return [(pfn, order)]
    return []
