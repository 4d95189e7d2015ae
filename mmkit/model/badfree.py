"""Why a block cannot be freed: what is wrong with the page, in words that name what would be right.

Models: free_pages_prepare() and bad_page() of mm/page_alloc.c (Linux 6.18), which report the same mistakes with a dump
of struct page. Leaves out: what only struct page knows, such as a reference count that is not zero.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mmkit.errors import BadFree
from mmkit.model.pageblock import HOLE, INSIDE, UNKNOWN

if TYPE_CHECKING:
    from mmkit.model.freearea import FreeArea


def why_not_freed(area: FreeArea, pfn: int, order: int) -> Exception | None:
    """Return the error that a free of this block deserves, None if it is in use and may be freed."""
    if not hasattr(pfn, "__index__") or not hasattr(order, "__index__"):
        return TypeError(f"pfn and order are whole numbers, not {pfn!r} and {order!r}")
    if order not in range(area.max_order + 1):
        return ValueError(f"order is {order}, must be one of 0 to {area.max_order}")
    if not area.start_pfn <= pfn < area.end_pfn:
        return BadFree(f"page {pfn} is outside the zone, which has pages {area.start_pfn} to {area.end_pfn - 1}")
    why = _wrong_page(area, pfn, order) or _wrong_place(area, pfn, order) or _wrong_range(area, pfn, order)
    return BadFree(why) if why else None


def _wrong_page(area: FreeArea, pfn: int, order: int) -> str | None:
    """What the first page says."""
    code = area.state[pfn]
    if code == HOLE:
        return f"page {pfn} is in a hole: there is no memory to free"
    if code < HOLE:
        return f"page {pfn} is already free: a free block of order {code} starts there"
    if code not in (UNKNOWN, INSIDE) and code & 0x0F != order:
        return f"the block at page {pfn} was allocated with order {code & 0x0F}, not {order}: free it with that order"
    return None


def _wrong_place(area: FreeArea, pfn: int, order: int) -> str | None:
    """What the place says."""
    if pfn % (1 << order):
        return f"page {pfn} is misaligned: blocks of order {order} start at multiples of {1 << order}"
    if pfn + (1 << order) > area.end_pfn:
        return f"a block of order {order} at page {pfn} reaches outside the zone, whose last page is {area.end_pfn - 1}"
    return None


def _wrong_range(area: FreeArea, pfn: int, order: int) -> str | None:
    """What the block that the page is in says."""
    code = area.state[pfn]
    if code == INSIDE:
        first, found = enclosing_block(area, pfn)
        if first is None:
            return f"page {pfn} is being worked on: it is neither allocated nor free"
        kind = "allocated" if found & 0x80 else "free"
        return f"page {pfn} is inside the {kind} block of order {found & 0x0F} that starts at page {first}"
    if code == UNKNOWN and area.state.count(UNKNOWN, pfn, pfn + (1 << order)) < 1 << order:
        return f"of the {1 << order} pages from page {pfn} on, not all are in use"
    return None


def enclosing_block(area: FreeArea, pfn: int) -> tuple[int | None, int]:
    """Return the first page and the state of the block that a page is in; (None, INSIDE) if it is in none."""
    for order in range(area.max_order + 1):
        first = pfn >> order << order
        code = area.state[first]
        if code not in (INSIDE, HOLE, UNKNOWN) and code & 0x0F == order:
            return first, code
    return None, INSIDE
