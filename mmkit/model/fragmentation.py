"""Fragmentation measured as the kernel measures it: from the number of free blocks of each order, in thousandths.

Models: mm/vmstat.c (Linux 6.18), fill_contig_page_info(), unusable_free_index(), __fragmentation_index(). Leaves out:
the score by which the kernel decides to compact before anybody asks (fragmentation_score_node()).

Two questions, two measures. *How much of what is free is useless to a request of this order?* is the unusable free
space index, which makes sense at any time. *Why does such a request fail?* is the fragmentation index, which makes
sense only if it does: towards 0 there is too little free memory, towards 1 there is enough, in too small pieces.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from mmkit.model.fragstate import Fragmentation
from mmkit.model.snapshot import (
    MODEL,
    BuddyInfo,
    BuddyInfoZone,
    BuddySnapshot,
    MemorySnapshot,
    PageTypeInfo,
    PageTypeZone,
    Source,
    ZoneSnapshot,
)

WILL_NOT_FAIL = -1000
"""The fragmentation index of an order for which there is a block."""

AnyZone = BuddySnapshot | BuddyInfoZone | PageTypeZone | ZoneSnapshot


class ContigPageInfo(NamedTuple):
    """The free memory of a zone as a request of one order sees it."""

    free_pages: int
    free_blocks_total: int
    """Free blocks of any order."""
    free_blocks_suitable: int
    """How many blocks of the order there are, or can be split off larger ones."""


def contig_page_info(counts: Sequence[int], order: int) -> ContigPageInfo:
    """Return what there is for requests of ``order``; ``counts`` are free blocks by order.

    Raises ValueError for an order that has no count.

    >>> contig_page_info((5, 1, 0, 1), 1)
    ContigPageInfo(free_pages=15, free_blocks_total=7, free_blocks_suitable=5)
    """
    if order not in range(len(counts)):
        raise ValueError(f"order is {order!r}, must be one of 0 to {len(counts) - 1}")
    pages = sum(count << size for size, count in enumerate(counts))
    suitable = sum(count << size - order for size, count in enumerate(counts) if size >= order)
    return ContigPageInfo(pages, sum(counts), suitable)


def unusable_free_index(order: int, info: ContigPageInfo) -> int:
    """Return the share of the free pages, in thousandths, that a request of ``order`` cannot use; 1000 if none is free.

    >>> unusable_free_index(1, contig_page_info((5, 1, 0, 1), 1))
    333
    """
    if not info.free_pages:
        return 1000
    return (info.free_pages - (info.free_blocks_suitable << order)) * 1000 // info.free_pages


def fragmentation_index(order: int, info: ContigPageInfo) -> int:
    """Return why a request of ``order`` fails, in thousandths: 0 for lack of memory, 1000 for fragmentation.

    -1000: it does not fail. 0 also where nothing is free at all. With very few free pages it falls below 0.

    >>> [fragmentation_index(3, contig_page_info(counts, 3)) for counts in ((1, 0, 0, 0), (40, 8, 0, 0), (0, 0, 0, 1))]
    [-125, 834, -1000]
    """
    if not info.free_blocks_total:
        return 0
    if info.free_blocks_suitable:
        return WILL_NOT_FAIL
    return 1000 - (1000 + info.free_pages * 1000 // (1 << order)) // info.free_blocks_total


def largest_block(counts: Sequence[int]) -> int | None:
    """Return the order of the largest block obtainable, None if nothing is free."""
    return max((order for order, count in enumerate(counts) if count), default=None)


def measure(
    zone: Sequence[int] | AnyZone, source: Source | None = None, name: str = "", node: int = 0
) -> Fragmentation:
    """Return how fragmented the free memory of one zone is.

    ``zone`` is a tuple of free blocks by order, or a snapshot of a zone from a model, a recording or a live machine.
    Where that knows them, ``source``, ``name`` and ``node`` need not be given. ``PageTypeZone`` counts stop at 100,000
    blocks of an order and type, so what is measured from larger ones is only nearly right.

    Raises ValueError for a zone whose free blocks are not known, or counts that are none.

    >>> found = measure((8, 4, 0, 1))
    >>> found.free_pages, found.largest_order, found.unusable, found.extfrag
    (24, 3, (0.0, 0.333, 0.666, 0.666), (-1.0, -1.0, -1.0, -1.0))
    """
    counts = counts_of(zone)
    if not counts or min(counts) < 0:
        raise ValueError(f"free blocks by order are wanted, none of them below 0, not {counts!r}")
    found = [contig_page_info(counts, order) for order in range(len(counts))]
    return Fragmentation(
        source=source or (zone.source if isinstance(zone, BuddySnapshot) else MODEL),
        zone=name or _name_of(zone),
        counts=counts,
        unusable=tuple(unusable_free_index(order, info) / 1000 for order, info in enumerate(found)),
        extfrag=tuple(fragmentation_index(order, info) / 1000 for order, info in enumerate(found)),
        node=node if isinstance(zone, Sequence) else zone.node,
    )


def measure_all(memory: BuddyInfo | PageTypeInfo | MemorySnapshot) -> tuple[Fragmentation, ...]:
    """Return how fragmented each populated zone is, in the order of the text or snapshot.

    Raises ValueError where the free blocks of a zone are not known.
    """
    zones: Sequence[AnyZone] = memory.zones
    known = [zone for zone in zones if not isinstance(zone, ZoneSnapshot) or zone.present]
    return tuple(measure(zone, memory.source) for zone in known)


def counts_of(zone: Sequence[int] | AnyZone) -> tuple[int, ...]:
    """Return the free blocks by order of a zone. Raises ValueError where they are not known."""
    if isinstance(zone, PageTypeZone):
        return tuple(map(sum, zip(*zone.free, strict=True)))
    if isinstance(zone, Sequence):
        return tuple(zone)
    counts = zone.buddy.counts if isinstance(zone, ZoneSnapshot) and zone.buddy else zone.counts
    if counts is None:
        raise ValueError(f"the free blocks of zone {_name_of(zone)} are not known")
    return counts


def _name_of(zone: Sequence[int] | AnyZone) -> str:
    if isinstance(zone, Sequence):
        return ""
    return zone.name if isinstance(zone, ZoneSnapshot) else zone.zone
