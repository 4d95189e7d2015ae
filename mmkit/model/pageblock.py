"""Pageblocks: stretches of pages, as large as a huge page, that are kept for one migrate type if possible.

Models: get_pageblock_migratetype(), change_pageblock_range(), prep_move_freepages_block(), move_freepages() of
mm/page_alloc.c (Linux 6.18). Leaves out: the skip bits of compaction.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from mmkit.model.freelist import FreeLists, Row
from mmkit.model.migratetype import MigrateType

INSIDE, HOLE, UNKNOWN = 0x7F, 0x7E, 0xFF
"""States of a page: not the first of a block; no memory, or outside the zone; in use since before the model looked.
Any other below 0x80 is the order of a free block that starts here, from 0x80 an allocated one's (with its type)."""


class Survey(NamedTuple):
    """How many pages of a stretch are free, allocated as Movable, in use for an unknown purpose; the rest is other."""

    free: int
    movable: int
    unknown: int


class Pageblocks:
    """The migrate types of a zone's pageblocks, of ``1 << order`` pages each, and what lies in them."""

    def __init__(self, end_pfn: int, order: int, migratetype: int, state: bytearray, lists: FreeLists) -> None:
        self.order = order
        self.rows: list[Row] = [lists.rows[migratetype]] * ((end_pfn >> order) + 1)
        """By pfn >> order, the lists for blocks that are given back there, and with them the pageblock's type."""
        self._state = state
        self._lists = lists

    def bounds(self, pfn: int) -> tuple[int, int]:
        """Return [start, end) of the pageblock that a page lies in; at a zone's end it may reach beyond."""
        start = pfn >> self.order << self.order
        return start, start + (1 << self.order)

    def type_of(self, pfn: int) -> MigrateType:
        """Return the type of the pageblock that a page lies in."""
        return self.rows[pfn >> self.order][2]

    def change(self, pfn: int, order: int, migratetype: int) -> None:
        """Change the type of every pageblock that a block touches."""
        first, last = pfn >> self.order, pfn + (1 << order) - 1 >> self.order
        self.rows[first : last + 1] = [self._lists.rows[migratetype]] * (last + 1 - first)

    def blocks(self, start: int, end: int) -> Iterator[tuple[int, int, int]]:
        """Yield (pfn, order, state) of all blocks that start in [start, end), and of single pages that are in none."""
        while start < end:
            code = self._state[start]
            order = 0 if code in (INSIDE, HOLE, UNKNOWN) else code & 0x0F
            yield start, order, code
            start += 1 << order

    def survey(self, start: int, end: int) -> Survey:
        """Count the pages of [start, end), in which no block may reach over an end."""
        free = movable = unknown = 0
        for _, order, code in self.blocks(start, end):
            if code < HOLE:
                free += 1 << order
            elif code == UNKNOWN:
                unknown += 1
            elif code >> 4 == 8 + MigrateType.MOVABLE:
                movable += 1 << order
        return Survey(free, movable, unknown)

    def move_free(self, start: int, end: int, migratetype: int) -> None:
        """Move all free blocks that start in [start, end) to the tails of another type's lists, the lowest first."""
        for pfn, order, code in self.blocks(start, end):
            if code < HOLE:
                self._lists.move_to_tail(pfn, order, migratetype)
