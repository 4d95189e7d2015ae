"""Fallback: what happens when a migrate type's own lists have no block that is large enough.

Models: mm/page_alloc.c of Linux 6.18, __rmqueue_claim(), try_to_claim_block(), __rmqueue_steal(); and of Linux 6.1,
__rmqueue_fallback(), steal_suitable_fallback(). Leaves out: boosting of watermarks, grouping by mobility switched off,
and that 6.18 remembers, within one refill of a per-CPU list, how far it had to go last time.

Both kernels first try to *claim* a pageblock of another type, the one with the largest free block, so that later
requests of this type find room in it too and types stay apart. They differ in what they do when that is not
worth it: 6.1 moves the block to the wanting type's list, 6.18 takes what it needs and leaves the rest where it was.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from mmkit.model.migratetype import FALLBACKS, MigrateType
from mmkit.model.pageblock import Survey

if TYPE_CHECKING:
    from mmkit.model.buddy import BuddyAllocator


class Fallback(NamedTuple):
    """The block that a fallback found, on ``migratetype``'s list, and the list type that the request goes on with."""

    pfn: int
    order: int
    migratetype: int
    listed: int


def fall_back_6_18(area: BuddyAllocator, order: int, wanted: int, nofragment: bool) -> Fallback | None:
    """Claim the pageblock with the largest block of another type, else steal from the smallest that suffices."""
    lowest = max(order, area.pageblock_order) if nofragment else order
    for size in range(area.max_order, lowest - 1, -1):
        if not _may_claim(area, size, wanted):
            break
        kind = _fallback_type(area, size, wanted)
        if kind is not None:
            pfn = area.lists.first(kind, size)
            if _claim_6_18(area, pfn, size, kind, wanted):
                return Fallback(pfn, size, kind, wanted)
    return None if nofragment else _smallest(area, order, wanted)


def fall_back_6_1(area: BuddyAllocator, order: int, wanted: int, nofragment: bool) -> Fallback | None:
    """Move the largest block of another type, with all that is free around it if allowed, to ``wanted``'s lists."""
    lowest = max(order, area.pageblock_order) if nofragment else order
    for size in range(area.max_order, lowest - 1, -1):
        kind = _fallback_type(area, size, wanted)
        if kind is not None:
            break
    else:
        return None
    found: Fallback | None = Fallback(area.lists.first(kind, size), size, kind, wanted)
    if not _may_claim(area, size, wanted):
        found = _smallest(area, order, wanted)
    assert found
    _steal_6_1(area, found.pfn, found.order, wanted)
    return found._replace(listed=wanted)


def has_claimable_block(area: BuddyAllocator, order: int, wanted: int) -> bool:
    """Say whether another type has a block of exactly ``order`` whose pageblock ``wanted`` may claim."""
    return _may_claim(area, order, wanted) and _fallback_type(area, order, wanted) is not None


def _may_claim(area: BuddyAllocator, order: int, wanted: int) -> bool:
    # Movable pages can be moved out of the way later, so only others claim whatever the size of the block.
    return order >= area.pageblock_order // 2 or wanted != MigrateType.MOVABLE


def _fallback_type(area: BuddyAllocator, order: int, wanted: int) -> int | None:
    return next((kind for kind in FALLBACKS[wanted] if area.lists.length(kind, order)), None)


def _smallest(area: BuddyAllocator, order: int, wanted: int) -> Fallback | None:
    for size in range(order, area.max_order + 1):
        kind = _fallback_type(area, size, wanted)
        if kind is not None:
            return Fallback(area.lists.first(kind, size), size, kind, kind)
    return None


def _alike_pages(area: BuddyAllocator, pages: Survey, block_type: int, wanted: int) -> int:
    """Count the pages in use that suit the wanting type; of movable pages that is known, of others it is the rest."""
    if wanted == MigrateType.MOVABLE:
        return pages.movable
    if block_type == MigrateType.MOVABLE:
        return (1 << area.pageblock_order) - sum(pages)
    return 0


def _claim_6_18(area: BuddyAllocator, pfn: int, order: int, listed: int, wanted: int) -> bool:
    """try_to_claim_block(): on success a block that suffices is at the head of a list of ``wanted``."""
    blocks = area.blocks
    if order >= area.pageblock_order:
        area.lists.remove(pfn, order)
        blocks.change(pfn, order, wanted)
        area.lists.push(pfn, wanted, order)
        return True
    start, end = blocks.bounds(pfn)
    if start < area.start_pfn or end > area.end_pfn:
        return False
    pages = blocks.survey(start, end)
    if not area.claims_pageblock(pfn, wanted, pages.free, _alike_pages(area, pages, listed, wanted)):
        return False
    blocks.move_free(start, end, wanted)
    blocks.change(pfn, order, wanted)
    return True


def _steal_6_1(area: BuddyAllocator, pfn: int, order: int, wanted: int) -> None:
    """steal_suitable_fallback(): the block, or all that is free in its pageblock, moves to the tails of ``wanted``."""
    block_type = area.blocks.type_of(pfn)
    if block_type != MigrateType.HIGHATOMIC:
        if order >= area.pageblock_order:
            area.blocks.change(pfn, order, wanted)
        elif _may_claim(area, order, wanted) and _move_pageblock_6_1(area, pfn, block_type, wanted):
            return
    area.lists.move_to_tail(pfn, order, wanted)


def _move_pageblock_6_1(area: BuddyAllocator, pfn: int, block_type: int, wanted: int) -> bool:
    """move_freepages_block(), which steps over the zone's start but not over its end; then maybe a change of type."""
    start, end = area.blocks.bounds(pfn)
    if end > area.end_pfn:
        return False
    start = start if start >= area.start_pfn else pfn
    pages = area.blocks.survey(start, end)
    area.blocks.move_free(start, end, wanted)
    if area.claims_pageblock(pfn, wanted, pages.free, _alike_pages(area, pages, block_type, wanted)):
        area.blocks.change(pfn, 0, wanted)
    return True
