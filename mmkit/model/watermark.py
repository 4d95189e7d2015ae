"""Watermarks: how much of a zone stays free, and for whom.

Models: mm/page_alloc.c (Linux 6.18, and 6.1 where it differs), calculate_min_free_kbytes(),
__setup_per_zone_wmarks(), setup_per_zone_lowmem_reserve(), __zone_watermark_ok(); mm/khugepaged.c,
set_recommended_min_free_kbytes(). Leaves out: the watermark boost after fragmenting fallbacks, pages set aside for
high-order atomic requests, tasks that are being killed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isqrt
from typing import NamedTuple

from mmkit.arch import MIB
from mmkit.model.gfp import Gfp
from mmkit.record import Record

LOWMEM_RESERVE_RATIO: Mapping[str, int] = {"DMA": 256, "DMA32": 256, "Normal": 32, "HighMem": 0, "Movable": 0}
"""``vm.lowmem_reserve_ratio``: one page in so many of the higher zones' pages is kept for the zone's own requests."""
WATERMARK_SCALE_FACTOR = 10
"""``vm.watermark_scale_factor``: distance between two marks, in 1/10,000 of the zone."""


class Watermarks(NamedTuple):
    """Free pages of a zone below which something happens."""

    min: int
    """Below: only requests with a right to reserves are served."""
    low: int
    """Below: kswapd is woken."""
    high: int
    """kswapd stops here."""

    @property
    def promo(self) -> int:
        """Pages are promoted from slower nodes only while more than this is free: one step above ``high``."""
        return 2 * self.high - self.low


class ZoneSize(Record):
    """What the formulas need to know of a zone."""

    node: int
    name: str
    managed: int
    """Pages that were handed to the page allocator."""


def _is_high(zone: ZoneSize, zones: Sequence[ZoneSize]) -> bool:
    """Whether the zone is high memory; on a 32-bit machine that has some, Movable is part of it."""
    if zone.name == "Movable":
        return any(other.name == "HighMem" and other.managed for other in zones)
    return zone.name == "HighMem"


def watermarks(
    zones: Sequence[ZoneSize],
    min_free_kbytes: int,
    scale_factor: int = WATERMARK_SCALE_FACTOR,
    kernel: str = "6.18",
    page_size: int = 4096,
) -> tuple[Watermarks, ...]:
    """Return the watermarks of all zones of a machine, in their order.

    ``min_free_kbytes`` is shared out by size among the zones that the kernel itself can use: not HighMem, and since
    6.12 not Movable either, which get a little of their own.
    """
    special = [_is_high(zone, zones) or (kernel != "6.1" and zone.name == "Movable") for zone in zones]
    lowmem = sum(zone.managed for zone, high in zip(zones, special, strict=True) if not high)
    pages_min = min_free_kbytes * 1024 // page_size
    found = []
    for zone, high in zip(zones, special, strict=True):
        share = pages_min * zone.managed // max(lowmem, 1)
        lowest = min(max(zone.managed // 1024, 32), 128) if high else share
        step = max(share // 4, zone.managed * scale_factor // 10_000)
        found.append(Watermarks(lowest, lowest + step, lowest + 2 * step))
    return tuple(found)


def protections(managed: Sequence[int], ratios: Sequence[int]) -> tuple[tuple[int, ...], ...]:
    """Return ``protection`` of each zone of one node against requests for each: ``[zone][highest usable zone]``.

    ``managed`` and ``ratios`` are by zone, ascending; a ratio of 0 protects nothing.

    >>> protections([3840, 754599, 242694], [256, 256, 32])
    ((0, 2947, 3895), (0, 0, 948), (0, 0, 0))
    """
    rows = []
    for own, ratio in enumerate(ratios):
        above = [sum(managed[own + 1 : top + 1]) for top in range(len(managed))]
        rows.append(tuple(pages // ratio if ratio and managed[own] else 0 for pages in above))
    return tuple(rows)


def default_min_free_kbytes(
    zones: Sequence[ZoneSize], thp: bool = True, pageblock_order: int = 9, kernel: str = "6.18", page_size: int = 4096
) -> int:
    """Return the ``vm.min_free_kbytes`` that the kernel chooses at boot.

    The root of the memory that it can use itself; with transparent huge pages (``thp``, which the kernel switches off
    below 512 MiB) eleven pageblocks for each zone, but no more than 5 % of that memory.
    """
    usable = [zone for zone in zones if zone.name not in ("HighMem", "Movable", "Device") and zone.managed]
    buffer_kbytes = sum(zone.managed for zone in usable) * page_size // 1024
    chosen = min(max(isqrt(buffer_kbytes * 16), 128), 262_144)
    if not thp or sum(zone.managed for zone in zones) * page_size < 512 * MIB:
        return chosen
    marks = watermarks(zones, chosen, kernel=kernel, page_size=page_size)
    high = {zone: mark.high for zone, mark in zip(zones, marks, strict=True)}
    buffer_pages = sum(max(0, zone.managed - high[zone]) for zone in usable)
    recommended = min(len(usable) * (2 + 3 * 3) << pageblock_order, buffer_pages // 20) * page_size // 1024
    return max(chosen, recommended)


def may_ignore_watermarks(gfp: Gfp) -> bool:
    """Whether a request takes the very last page: memory reclaim itself, which frees more than it takes."""
    return bool(gfp & Gfp.MEMALLOC) and not gfp & Gfp.NOMEMALLOC


def reserve_mark(lowest: int, gfp: Gfp) -> int:
    """Return how far down a request may take a zone whose ``min`` is ``lowest``.

    ``__GFP_HIGH`` halves it; a request that moreover cannot wait (``GFP_ATOMIC``) gets another quarter off.

    >>> [reserve_mark(1000, gfp) for gfp in (Gfp.GFP_KERNEL, Gfp.GFP_KERNEL | Gfp.HIGH, Gfp.GFP_ATOMIC)]
    [1000, 500, 375]
    """
    if not gfp & Gfp.HIGH:
        return lowest
    lowest -= lowest // 2
    waits = gfp & (Gfp.DIRECT_RECLAIM | Gfp.NOMEMALLOC)
    return lowest if waits else lowest - lowest // 4
