"""The allocator's side of ``struct page``: what it writes there when a block is handed out, freed or listed.

Models: mm/page_alloc.c (Linux 6.18), post_alloc_hook(), prep_compound_page() for the first page, set_buddy_order();
mm/mm_init.c, memmap_init(). Leaves out: tail pages, pages of holes.
The marks of free blocks (page type buddy, the order in ``private``) are brought up to date when somebody looks, not at
every split and merge.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from mmkit.arch import Arch
from mmkit.model.gfp import Gfp
from mmkit.model.layout import joined
from mmkit.model.page import MemMap, Page
from mmkit.model.pageflags import NO_TYPE, PageFlags, PageType
from mmkit.model.snapshot import PageSnapshot
from mmkit.model.zone import Zone
from mmkit.record import replace


class PageKeeper:
    """Holds the memory map of a machine and keeps it in step with the machine's zones."""

    def __init__(self, arch: Arch, zones: Sequence[Zone]) -> None:
        populated = [zone for zone in zones if zone.spanned_pages]
        block = 1 << arch.pageblock_order
        start = min(zone.start_pfn for zone in populated) // block * block
        self.mem_map = MemMap(max(zone.end_pfn for zone in populated) - start, start, arch=arch)
        self._zones = [zone for zone in populated if zone.buddy]
        self._marked: dict[int, int] = {}
        self._used_blocks: set[int] = set()
        self._block_order = arch.pageblock_order
        for zone in populated:
            self._write_zone(zone)

    def _write_zone(self, zone: Zone) -> None:
        for first, end in zone.span.ranges:
            self.mem_map.set_zone(zone.name, first, end, zone.node)
        start = self.mem_map.start_pfn
        for first, end in zone.reserved:
            self.mem_map.columns["flags"][first - start : end - start] = int(PageFlags.reserved)
            self.mem_map.columns["refcount"][first - start : end - start] = 1

    def hand_out(self, pfn: int, order: int, gfp: Gfp) -> Page:
        """Return the first page of a block that has just been taken, with its first reference."""
        self.use(pfn)
        page = self.mem_map[pfn]
        page.set_refcounted()
        if order and gfp & Gfp.COMP:
            page.set_flags(PageFlags.head)
        return page

    def use(self, pfn: int) -> None:
        """Make ready the first page of a block that is free no more."""
        if self._marked.pop(pfn, None) is not None:
            self.mem_map[pfn].clear_type()
        self._used_blocks.add(pfn >> self._block_order)

    def mark_free_blocks(self) -> None:
        """Give the first page of every free block its type and order, and take them from pages that are none now."""
        listed = {
            pfn: order
            for zone in self._zones
            if zone.buddy
            for order in range(zone.buddy.max_order + 1)
            for pfn in zone.buddy.free_blocks(order)
        }
        for pfn, order in self._marked.items():
            if listed.get(pfn) != order:
                self.mem_map[pfn].clear_type()
        for pfn, order in listed.items():
            if self._marked.get(pfn) != order:
                self.mem_map[pfn].set_buddy(order)
        self._marked = listed

    def touched(self, live: Iterable[int]) -> tuple[PageSnapshot, ...]:
        """Return the pages that say more than that they are free or, if first in a ``live`` block, used once."""
        expected = set(live)
        found = []
        for first, end in joined((b << self._block_order, (b + 1) << self._block_order) for b in self._used_blocks):
            found += [pfn for pfn in self._special(first, end) if not self._is_plain(pfn, pfn in expected)]
        unused = [pfn for pfn in expected if not self.mem_map[pfn].refcount]
        return tuple(map(self._unmarked, sorted({*found, *unused})))

    def _special(self, first: int, end: int) -> list[int]:
        start = self.mem_map.start_pfn
        part = slice(max(first, start) - start, end - start)
        columns = {name: column[part] for name, column in self.mem_map.columns.items() if name != "links"}
        any_set = np.zeros(len(columns["flags"]), bool)
        for column in columns.values():
            any_set |= column != 0
        return [int(i) + start + (part.start or 0) for i in np.flatnonzero(any_set)]

    def _is_plain(self, pfn: int, live: bool) -> bool:
        page = self.mem_map[pfn]
        untyped = page.type_word == NO_TYPE or pfn in self._marked
        plain = not page.flags and not page.mapping and not page.index and untyped
        return (plain and page.refcount == live) or page.flags == PageFlags.reserved

    def _unmarked(self, pfn: int) -> PageSnapshot:
        page = self.mem_map.snapshot(pfn)
        return replace(page, type_word=NO_TYPE, private=0) if page.page_type is PageType.buddy else page

    def restore(self, live: Iterable[int], pages: Iterable[PageSnapshot]) -> None:
        """Bring the map into the state of a snapshot: ``live`` blocks used once, but ``pages`` as they were."""
        for pfn in live:
            self._used_blocks.add(pfn >> self._block_order)
            self.mem_map[pfn].set_refcounted()
        for page in pages:
            self._used_blocks.add(page.pfn >> self._block_order)
            self.mem_map.restore(page)
