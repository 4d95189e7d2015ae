"""Frozen states of fragmentation and compaction: what their pictures are drawn from.

Models: what ``/sys/kernel/debug/extfrag`` tells of a zone, mm/vmstat.c, and struct compact_control of mm/internal.h
(Linux 6.18). Leaves out: what compaction remembers between runs (cached scanner positions, deferral), several nodes.
"""

from __future__ import annotations

from mmkit.model.snapshot import BuddySnapshot, Source
from mmkit.record import Record, field


class Fragmentation(Record):
    """How fragmented the free memory of one zone is; tuples are by order, from 0."""

    source: Source
    zone: str
    counts: tuple[int, ...]
    """Free blocks."""
    unusable: tuple[float, ...]
    """Share of the free pages that a request of that order cannot use: 0 none, 1 all."""
    extfrag: tuple[float, ...]
    """Why a request of that order fails: towards 0 too little memory, towards 1 fragmentation; -1: it does not."""
    node: int = 0

    @property
    def free_pages(self) -> int:
        """Free pages in all blocks."""
        return sum(count << order for order, count in enumerate(self.counts))

    @property
    def largest_order(self) -> int | None:
        """Order of the largest block that can be had; None if nothing is free."""
        return max((order for order, count in enumerate(self.counts) if count), default=None)


class IndexZone(Record):
    """One line of ``extfrag_index`` or ``unusable_index``: a populated zone and its index, by order."""

    node: int
    zone: str
    index: tuple[float, ...]
    """In three decimals, as the kernel computes them."""


class FragmentationIndex(Record):
    """A file of ``/sys/kernel/debug/extfrag``: the populated zones, node by node, in ascending order."""

    source: Source
    name: str
    """"extfrag_index" or "unusable_index"."""
    zones: tuple[IndexZone, ...]


class Occupancy(Record):
    """Memory in blocks, and what was really asked for in each: internal and external fragmentation on one map."""

    source: Source
    buddy: BuddySnapshot
    requested: tuple[tuple[int, int], ...] = field(repr=False)
    """(first pfn, bytes asked for) of every allocated block, ascending."""
    page_size: int = 4096

    @property
    def requested_bytes(self) -> int:
        """Bytes asked for in all blocks."""
        return sum(size for _, size in self.requested)

    @property
    def allocated_bytes(self) -> int:
        """Bytes of the blocks that serve them."""
        orders = {pfn: order for pfn, order, _ in self.buddy.allocated_blocks}
        return sum(self.page_size << orders[pfn] for pfn, _ in self.requested)


class Moment(Record):
    """One point of a history."""

    step: int
    counts: tuple[int, ...]
    """Free blocks by order."""
    failures: tuple[int, ...]
    """Requests refused so far, by order."""
    used_pages: int
    mixed_blocks: int = 0
    """Pageblocks that hold both movable and other pages."""


class History(Record):
    """A workload's way through time, told now and then; ``label`` says which ("grouped by mobility")."""

    source: Source
    label: str
    nr_pages: int
    moments: tuple[Moment, ...] = field(repr=False)


class SuccessRate(Record):
    """How often a block of ``order`` could be had at the end of a workload, against the share of unmovable requests."""

    source: Source
    label: str
    order: int
    shares: tuple[float, ...]
    """Shares of unmovable requests, from 0 to 1."""
    rates: tuple[tuple[float, ...], ...]
    """For every share, one success rate (0 to 1) for each seed."""


class CompactionSnapshot(Record):
    """A zone in the middle of compaction."""

    source: Source
    buddy: BuddySnapshot
    migrate_pfn: int
    """Where the migrate scanner is: it comes from below and looks for pages to move."""
    free_pfn: int
    """Where the free scanner is: it comes from above and looks for room."""
    isolated: tuple[tuple[int, int], ...] = ()
    """(pfn, order) of blocks taken off to be moved."""
    targets: tuple[tuple[int, int], ...] = ()
    """(pfn, order) of free blocks taken as room for them."""
    moved: tuple[tuple[int, int, int], ...] = field(default=(), repr=False)
    """(from pfn, to pfn, order) of all moves so far."""
    failed: tuple[tuple[int, str], ...] = ()
    """(pfn, why) of blocks that could not be moved."""
    done: bool = False
    order: int = -1
    """Compaction ends when a block of this order is free; -1: only when the scanners meet."""
    migratetype: int = 1
    """Who wants that block."""
    status: str = "continue"
    """How it stands, or ended, in the kernel's words: "continue", "success", "complete", "contended", "skipped",
    "not_suitable_zone"."""
    progress: tuple[int, ...] = field(default=(), repr=False)
    """Of a model: what else it needs to go on from here."""
