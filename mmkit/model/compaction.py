"""Compaction: two scanners walk towards each other, and what can be moved moves from below into the room above.

Models: mm/compaction.c (Linux 6.18), compact_zone(), __compact_finished(), compaction_suit_allocation_order(), and, in
:mod:`mmkit.model.compactcontrol`, the scanners, in the way that ``echo 1 > /proc/sys/vm/compact_memory`` runs them:
synchronously, over the whole zone, without skip hints; with ``kernel="6.1"`` what differs there. Leaves out: the
shortcuts of compaction for a request (fast_find_migrateblock(), fast_isolate_freepages(), pageblocks marked to be
skipped, positions kept from run to run, asynchronous mode, deferral, capture), and splitting a large folio for which
there is room only in pieces.

What is modelled is exact: told only what per-CPU lists gave back meanwhile, the 6.1 rules repeat two recorded runs of a
real kernel row for row, with all 10,864 pages that moved; those of 6.18 were compared with a running one.

The migrate scanner goes up from the zone's start, pageblock by pageblock, and takes off what can be moved; once it has
32 pages they are moved, and then the rest of that pageblock goes at once. Room is taken by the free scanner, which goes
down from the zone's end through pageblocks of movable pages. When the two meet, or when a block of the wanted order is
free, it is over.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Self

from mmkit.model.compactcontrol import IDLE, SEARCHING, CompactControl
from mmkit.model.compactioncheck import check_compaction
from mmkit.model.compacttrace import (
    Migrate,
    MigrateFailed,
    MmCompactionBegin,
    MmCompactionEnd,
    MmCompactionMigratepages,
)
from mmkit.model.fallback import has_claimable_block
from mmkit.model.fragmentation import contig_page_info, fragmentation_index
from mmkit.model.fragstate import CompactionSnapshot
from mmkit.model.migratetype import MigrateType
from mmkit.model.movable import COSTLY_ORDER, MovablePages, Movables
from mmkit.model.pageblock import UNKNOWN

if TYPE_CHECKING:
    from mmkit.model.buddy import BuddyAllocator
    from mmkit.model.page import MemMap
    from mmkit.model.trace import Trace

EXTFRAG_THRESHOLD = 500
"""``vm.extfrag_threshold``: up to this fragmentation index a request fails for lack of memory."""

OnMove = Callable[[int, int, int], object]
"""Called with old pfn, new pfn and order of a block that has moved."""


class Compaction(CompactControl):
    """One run of compaction over the zone of ``buddy``, step by step.

    Without a ``mem_map`` what can be moved are the blocks allocated as Movable; with one, the pages that are on an LRU
    list or belong to a mapping, if nobody else holds them: their rows of the map move along. ``order`` is that of the
    block that somebody wants, as one of ``migratetype``; with -1 compaction goes on until the scanners meet.
    ``any_pageblock`` looks for room in pageblocks of all types, as the kernel's last attempt for a request does.
    ``on_move`` is called with old pfn, new pfn and order of each block that has moved: whoever holds the old pfn must
    learn the new one. ``trace`` is told what happens, by default the allocator's.

    Between steps the allocator may be used; blocks that compaction has taken as room count as allocated.

    Raises ValueError or TypeError for an order or a type that there is not.

    >>> from mmkit.model.buddy import BuddyAllocator
    >>> buddy = BuddyAllocator(64, max_order=4, pageblock_order=3)
    >>> pfns = [buddy.alloc(0) for _ in range(64)]
    >>> for pfn in pfns[::2]: buddy.free(pfn, 0)
    >>> buddy.counts(), Compaction(buddy).run(), buddy.counts()
    ((32, 0, 0, 0, 0), 12, (8, 0, 0, 1, 1))
    """

    def __init__(
        self,
        buddy: BuddyAllocator,
        mem_map: MemMap | None = None,
        order: int = -1,
        trace: Trace | None = None,
        *,
        migratetype: int = MigrateType.MOVABLE,
        any_pageblock: bool = False,
        on_move: OnMove | None = None,
        movables: Movables | None = None,
    ) -> None:
        _check(buddy, order, migratetype)
        pages = Movables(buddy, order) if mem_map is None else MovablePages(buddy, order, mem_map)
        super().__init__(movables or pages, order, buddy.trace if trace is None else trace, any_pageblock)
        self.migratetype = migratetype
        self.on_move = on_move
        self.moved: list[tuple[int, int, int]] = []
        """(from pfn, to pfn, order) of all moves."""
        self.nr_moved = 0
        """Pages moved."""
        self.status = "continue"
        """"continue" or, when it is over, how it ended, in the kernel's words; "skipped" for want of free memory."""
        self._begun, self._last_migrated = False, -1
        self._taken = self._migrated = 0

    def __repr__(self) -> str:
        return f"<Compaction: {self.status}, scanners at {self.migrate_pfn} and {self.free_pfn}, {self.nr_moved} moved>"

    @property
    def done(self) -> bool:
        """Whether it is over; ``status`` says how it ended."""
        return self.status != "continue"

    # -- running ------------------------------------------------------------------------------------------------------

    def run(self) -> int:
        """Go on to the end, and return how many pages have moved."""
        while self.step():
            pass
        return self.nr_moved

    def step(self) -> bool:
        """Do one thing: scan a pageblock for pages to move, or for room, or move a block. False if all is done."""
        if self.done:
            return False
        if not self._begun:
            self._begin()
        elif self.isolated:
            self._go_on_moving()
        else:
            self._scan_next()
        return True

    def suitable(self) -> str:
        """Say whether it makes sense to begin: "continue", or why not ("success": there is such a block already)."""
        if self.order < 0:
            return "continue"
        if self._pages.would_succeed():
            return "success"
        if not self._pages.enough_free():
            return "skipped"
        why = fragmentation_index(self.order, contig_page_info(self.buddy.counts(), self.order))
        return "not_suitable_zone" if self.order > COSTLY_ORDER and 0 <= why <= EXTFRAG_THRESHOLD else "continue"

    def _begin(self) -> None:
        self._begun = True
        self.status = self.suitable()
        if not self.done and self.trace is not None:
            start, end = self.buddy.start_pfn, self.buddy.end_pfn
            self.trace.emit(MmCompactionBegin(start, self.migrate_pfn, self.free_pfn, end, True))

    def _scan_next(self) -> None:
        """Look through the next pageblock, or the rest of one, for pages to move; or find that all is done."""
        status = self._finished()
        if status != "continue":
            self._end(status)
            return
        # The kernel remembers 0 for "nowhere yet", and so takes all of the very first pageblock of memory at once.
        self._scan_migrate(whole=self._last_migrated == self._block_start(self.migrate_pfn))
        if self.isolated:
            self._last_migrated = self._block_start(self.migrate_pfn - 1)
            self._taken, self._migrated, self._search = self._wanted, 0, IDLE
        else:
            self._flush_behind()

    def _finished(self) -> str:
        """__compact_finished()."""
        if self.scanners_met:
            return "complete"
        # A pageblock is always cleared to its end, so that types mix less later.
        return "success" if self.order >= 0 and self.migrate_pfn % self._size == 0 and self._has_block() else "continue"

    def _has_block(self) -> bool:
        """Whether a request would find such a block of its own type, or one whose pageblock it may claim."""
        length, sizes = self.buddy.lists.length, range(self.order, self.buddy.max_order + 1)
        return any(
            length(self.migratetype, size) or has_claimable_block(self.buddy, size, self.migratetype) for size in sizes
        )

    def _flush_behind(self) -> None:
        """Once the scanner has left the block that is wanted, let what was freed there merge."""
        if self.order > 0 and 0 <= self._last_migrated < self.migrate_pfn >> self.order << self.order:
            self._pages.flush()
            self._last_migrated = -1

    def _end(self, status: str) -> None:
        self.release_room()
        self.status = status
        if self.trace is not None:
            start, end = self.buddy.start_pfn, self.buddy.end_pfn
            self.trace.emit(MmCompactionEnd(start, self.migrate_pfn, self.free_pfn, end, True, status))

    # -- moving -------------------------------------------------------------------------------------------------------

    def _go_on_moving(self) -> None:
        """Move one block or, if there is no room for it, look for room."""
        if self._search == SEARCHING:
            self._search_room()
            return
        pfn, order = self.isolated[-1]
        why = self._gone(pfn, order) or self._pages.why_stuck(pfn)
        if why:
            self._fail(pfn, order, why)
        elif (target := self._take_target(order)) is not None:
            self._move(pfn, target, order)
        elif self._search == IDLE:
            self._search_room()
            return
        else:
            no_memory = order == 0  # nothing else will find room either
            for each in reversed(self.isolated if no_memory else [(pfn, order)]):
                self._fail(*each, "no room left above")
            if no_memory:
                self._finish_moving(no_memory)
                return
        self.isolated.pop()
        self._search = IDLE
        if not self.isolated:
            self._finish_moving()

    def _gone(self, pfn: int, order: int) -> str:
        code = self.buddy.state[pfn]
        return "" if code != UNKNOWN and code & 0x8F == 0x80 | order else "freed meanwhile"

    def _move(self, pfn: int, new_pfn: int, order: int) -> None:
        self._pages.move(pfn, new_pfn, order)
        self.moved.append((pfn, new_pfn, order))
        self.nr_moved += 1 << order
        self._migrated += 1 << order
        if self.trace is not None:
            self.trace.emit(Migrate(pfn, new_pfn, order))
        if self.on_move is not None:
            self.on_move(pfn, new_pfn, order)

    def _fail(self, pfn: int, order: int, why: str) -> None:
        self.failed.append((pfn, why))
        if self.trace is not None:
            self.trace.emit(MigrateFailed(pfn, order, why))

    def _finish_moving(self, no_memory: bool = False) -> None:
        if self.trace is not None:
            self.trace.emit(MmCompactionMigratepages(self._migrated, self._taken - self._migrated))
        self.isolated.clear()
        self._wanted = 0
        if no_memory and not self.scanners_met:
            self._end("contended")
        else:
            self._flush_behind()

    # -- snapshots ----------------------------------------------------------------------------------------------------

    def snapshot(self) -> CompactionSnapshot:
        """Return the state between two steps."""
        buddy = self.buddy.snapshot()
        numbers = (self._begun, self._search, self._stride, self._last_migrated, self._wanted, self._taken)
        return CompactionSnapshot(
            source=buddy.source,
            buddy=buddy,
            migrate_pfn=self.migrate_pfn,
            free_pfn=self.free_pfn,
            isolated=tuple(self.isolated),
            targets=tuple((pfn, order) for order, pfns in enumerate(self.targets) for pfn in pfns),
            moved=tuple(self.moved),
            failed=tuple(self.failed),
            done=self.done,
            order=self.order,
            migratetype=self.migratetype,
            status=self.status,
            progress=(*map(int, numbers), self._migrated, int(self.any_pageblock)),
        )

    @classmethod
    def from_snapshot(
        cls,
        snapshot: CompactionSnapshot,
        buddy: BuddyAllocator | None = None,
        mem_map: MemMap | None = None,
        trace: Trace | None = None,
        **arguments: Movables | OnMove | None,
    ) -> Self:
        """Return a run that goes on exactly as the one would that ``snapshot`` was taken of.

        ``buddy``, by default made from the snapshot, and ``mem_map`` are in the state of that moment.
        """
        from mmkit.model.buddy import BuddyAllocator

        area = BuddyAllocator.from_snapshot(snapshot.buddy, trace) if buddy is None else buddy
        begun, search, stride, last, wanted, taken, migrated, anywhere = snapshot.progress
        run = cls(
            area, mem_map, snapshot.order, trace, migratetype=snapshot.migratetype, any_pageblock=bool(anywhere),
            **arguments,  # type: ignore[arg-type]
        )  # fmt: skip
        run.migrate_pfn, run.free_pfn, run.status = snapshot.migrate_pfn, snapshot.free_pfn, snapshot.status
        run.isolated, run.moved, run.failed = list(snapshot.isolated), list(snapshot.moved), list(snapshot.failed)
        run.nr_moved = sum(1 << order for _, _, order in run.moved)
        for pfn, order in snapshot.targets:
            run.targets[order].append(pfn)
            run._room += 1 << order
        run._begun, run._search, run._stride, run._last_migrated = bool(begun), search, stride, last
        run._wanted, run._taken, run._migrated = wanted, taken, migrated
        return run

    def check(self) -> None:
        """Raise InvariantError, naming the rule, unless the run, the allocator and the map agree with each other."""
        check_compaction(self)


def _check(buddy: BuddyAllocator, order: int, migratetype: int) -> None:
    if not isinstance(order, int) or not isinstance(migratetype, int):
        raise TypeError(f"order and migratetype are whole numbers, not {order!r} and {migratetype!r}")
    if not -1 <= order <= buddy.max_order:
        raise ValueError(f"order is {order}, must be one of 0 to {buddy.max_order}, or -1 for the whole zone")
    if migratetype not in (MigrateType.UNMOVABLE, MigrateType.MOVABLE, MigrateType.RECLAIMABLE):
        raise ValueError(f"migratetype is {migratetype}, must be one of 0 to 2")
