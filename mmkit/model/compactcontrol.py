"""The two scanners of compaction, and what they hold in their hands: pages to move, and room for them.

Models: struct compact_control of mm/internal.h; isolate_migratepages(), isolate_migratepages_block(),
isolate_freepages(), isolate_freepages_block(), suitable_migration_target(), compaction_alloc() of mm/compaction.c
(Linux 6.18), and with ``kernel="6.1"`` what differs there. Leaves out: as :mod:`mmkit.model.compaction`.
"""

from __future__ import annotations

import re
from collections import deque
from typing import TYPE_CHECKING

from mmkit.model.compacttrace import MmCompactionIsolateFreepages, MmCompactionIsolateMigratepages
from mmkit.model.migratetype import MigrateType
from mmkit.model.movable import Movables
from mmkit.model.pageblock import HOLE, UNKNOWN

if TYPE_CHECKING:
    from mmkit.model.trace import Trace

CLUSTER = 32
"""COMPACT_CLUSTER_MAX: pages that are moved at a time, and the longest stride of the free scanner."""

IDLE, SEARCHING, SEARCHED = 0, 1, 2
"""How far the search for room is, for the block that is to be moved next."""

_ALLOCATED = re.compile(rb"[\x80-\xfe]")
_FREE = re.compile(rb"[\x00-\x0e]")


class CompactControl:
    """Where the scanners of a zone are, and what they have found; see :class:`mmkit.model.compaction.Compaction`."""

    def __init__(self, pages: Movables, order: int, trace: Trace | None, any_pageblock: bool) -> None:
        buddy = pages.buddy
        self.buddy, self.order, self.trace, self.any_pageblock = buddy, order, trace, any_pageblock
        self._pages, self._old = pages, buddy.kernel == "6.1"
        self._size = 1 << buddy.pageblock_order
        self.migrate_pfn = buddy.start_pfn
        """Where the migrate scanner goes on."""
        self.free_pfn = self._block_start(buddy.end_pfn - 1)
        """Where the free scanner goes on, in its pageblock or, at its start, in all of it."""
        self.isolated: list[tuple[int, int]] = []
        """(pfn, order) of the blocks that are being moved; the last one goes first."""
        self.targets: tuple[deque[int], ...] = tuple(deque() for _ in range(buddy.max_order + 1))
        """First pages of the blocks taken as room, by order; the first one is used first."""
        self.failed: list[tuple[int, str]] = []
        """(pfn, why) of what cannot be moved, in the order in which it was found out."""
        self._stride, self._search = 1, IDLE
        self._wanted = self._room = 0  # nr_migratepages, nr_freepages

    @property
    def nr_migratepages(self) -> int:
        """Pages that room is looked for: those taken off to be moved (6.1: the moved ones of them included)."""
        return self._wanted

    @property
    def nr_freepages(self) -> int:
        """Pages of room that are left."""
        return self._room

    @property
    def scanners_met(self) -> bool:
        """Whether the free scanner has reached the pageblock of the migrate scanner."""
        return self.free_pfn >> self.buddy.pageblock_order <= self.migrate_pfn >> self.buddy.pageblock_order

    # -- the migrate scanner ------------------------------------------------------------------------------------------

    def _scan_migrate(self, whole: bool) -> None:
        """isolate_migratepages(): look through the next pageblock below the free scanner, or the rest of one."""
        while (end := self._block_start(self.migrate_pfn) + self._size) <= self.free_pfn:
            if not self._nothing_to_move(end - self._size):
                self._isolate_pages(end, whole)
                return
            self.migrate_pfn = end

    def _nothing_to_move(self, start: int) -> bool:
        """Whether a pageblock has no memory, or is filled by one block, which is never moved."""
        code = self.buddy.state[start]
        filled = 0x80 <= code < UNKNOWN and code & 0x0F >= self.buddy.pageblock_order
        if filled:
            self.failed.append((start, self._pages.reasons[code] or self._pages.why_not(start)))
        return filled or self._no_memory(start)

    def _isolate_pages(self, end: int, whole: bool) -> None:
        """isolate_migratepages_block(): take off what can be moved from here to ``end``, 32 pages unless ``whole``."""
        state, reasons, start, low = self.buddy.state, self._pages.reasons, self.migrate_pfn, end
        for found in _ALLOCATED.finditer(state, start, end):
            pfn = found.start()
            why = reasons[state[pfn]]
            if why is None:
                why = self._pages.why_not(pfn)
            if why:
                self.failed.append((pfn, why))
                continue
            order = state[pfn] & 0x0F
            self.isolated.append((pfn, order))
            self._wanted += 1 << order
            if self._wanted >= CLUSTER and not whole:
                low = pfn + (1 << order)
                break
        self.migrate_pfn = low
        if self.trace is not None:
            scanned = self._count_scanned(start, low)
            self.trace.emit(MmCompactionIsolateMigratepages(start, low, scanned, self._wanted))

    def _count_scanned(self, start: int, end: int) -> int:
        """Pages looked at: 6.18 counts all pages of a block, 6.1 only the first, where it can step over the rest."""
        blocks = self.buddy.blocks.blocks(start, end)
        if self._old:
            return sum(1 for _ in blocks)
        order = self.buddy.state[start]
        return max(end - start, 1 << order if order < HOLE else 0)

    # -- the free scanner ---------------------------------------------------------------------------------------------

    def _search_room(self) -> None:
        """isolate_freepages(), one pageblock at a time: the next one below that suits, until there is enough room."""
        self._search = SEARCHING
        lowest = self._block_start(self.migrate_pfn) + self._size
        while (start := self._block_start(self.free_pfn)) >= lowest:
            if not self._suits(start):
                self.free_pfn = start - self._size
                continue
            end = min(start + self._size, self.buddy.end_pfn)
            taken = self._isolate_room(end)
            if self._room >= self._wanted or self.free_pfn < end:
                self._stop_searching(start if self.free_pfn >= end else None)
            else:
                self.free_pfn = start - self._size
                self._stride = 1 if taken else min(CLUSTER, self._stride << 1)
            return
        self._stop_searching(None)

    def _stop_searching(self, passed: int | None) -> None:
        """``passed`` is the start of a pageblock that was scanned to its end."""
        if passed is not None:
            self.free_pfn = passed - self._size
        self._search, self._stride = SEARCHED, 1

    def _suits(self, start: int) -> bool:
        """suitable_migration_target(): not where all is free already, nor where pages are that cannot move."""
        if self._no_memory(start) or self.buddy.pageblock_order <= self.buddy.state[start] < HOLE:
            return False
        return self.any_pageblock or self.buddy.blocks.type_of(start) == MigrateType.MOVABLE

    def _isolate_room(self, end: int) -> int:
        """isolate_freepages_block(): take free blocks as room, from where the scanner is up, until it is enough."""
        state, start, pfn, scanned, taken = self.buddy.state, self.free_pfn, self.free_pfn, 0, 0
        while pfn < end:
            if self._stride == 1 and not self._old:  # go straight to the next free block
                found = _FREE.search(state, pfn, end)
                scanned += (found.start() if found else end) - pfn
                pfn = found.start() if found else end
                if not found:
                    break
            scanned += 1
            code = state[pfn]
            size = 1 << (code & 0x0F) if code < HOLE or 0x80 <= code < UNKNOWN else 1
            if code < HOLE:
                if not self._take_room(pfn):
                    break
                taken += size
                scanned += size - 1
                if self._wanted <= self._room:
                    pfn += size
                    break
            elif not self._old:
                scanned += size - 1
            pfn += size - 1 + self._stride
        self.free_pfn = min(pfn, end)
        if self.trace is not None:
            self.trace.emit(MmCompactionIsolateFreepages(start, self.free_pfn, scanned, taken))
        return taken

    def _take_room(self, pfn: int) -> bool:
        order = self._pages.take(pfn)
        if order is None:
            return False
        self._room += 1 << order
        if self._old and order:  # split_map_pages(): single pages, the last one found is the first one used
            self.buddy.split_page(pfn, order)
        pieces = 1 << order if self._old else 1
        if self._old:
            self.targets[0].extendleft(range(pfn, pfn + pieces))
        else:
            self.targets[order].append(pfn)
        return True

    # -- room ---------------------------------------------------------------------------------------------------------

    def _take_target(self, order: int) -> int | None:
        """compaction_alloc(): the smallest block of room that suffices, split down; its upper halves stay room."""
        size = order
        while size < len(self.targets) and not self.targets[size]:
            size += 1
        if size == len(self.targets):
            return None
        pfn, state = self.targets[size].popleft(), self.buddy.state
        while size > order:
            size -= 1
            half = pfn + (1 << size)
            self.targets[size].appendleft(half)
            state[half] = state[pfn] = 0x80 | MigrateType.MOVABLE << 4 | size
        self._room -= 1 << order
        if not self._old:
            self._wanted -= 1 << order
        return pfn

    def release_room(self) -> None:
        """release_free_list(): free what is left of the room."""
        for order, pfns in enumerate(self.targets):
            while pfns:
                self._pages.give(pfns.popleft(), order)
        self._room = 0

    # -- places -------------------------------------------------------------------------------------------------------

    def _block_start(self, pfn: int) -> int:
        return pfn & -self._size

    def _no_memory(self, start: int) -> bool:
        """Whether a pageblock is a hole as a whole; holes within one are scanned like pages in use."""
        return self.buddy.state[start] == HOLE and self.buddy.state.count(HOLE, start, start + self._size) == self._size
