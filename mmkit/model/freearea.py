"""The free memory of one zone: a map of its pages, the lists of its free blocks, the types of its pageblocks.

Models: struct zone as the page allocator sees it, include/linux/mmzone.h (Linux 6.18); memblock_free_pages() at boot,
mm/mm_init.c. Leaves out: memory that is added or initialised after boot.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Self

import numpy as np

from mmkit.errors import InvariantError
from mmkit.model import fragmentation
from mmkit.model.buddycheck import check_area
from mmkit.model.freelist import FreeLists
from mmkit.model.migratetype import NR_MIGRATETYPES, MigrateType
from mmkit.model.pageblock import HOLE, INSIDE, UNKNOWN, Pageblocks
from mmkit.model.snapshot import MODEL, BuddySnapshot, Source
from mmkit.model.trace import Trace
from mmkit.record import replace

KERNELS = ("6.18", "6.1")
MAX_MAX_ORDER = 14
MAX_PFN = 1 << 32  # 16 TiB

# A snapshot keeps the first bytes of allocated blocks and the pages of unknown use; back in an area, the rest is
# inside of something until the free lists say otherwise.
_KEPT = bytes(code if code & 0x80 else 0 for code in range(256))
_LOADED = bytes(code if code & 0x80 else INSIDE for code in range(256))


class FreeArea:
    """The state that :class:`mmkit.model.buddy.BuddyAllocator` works on; see there for the arguments."""

    def __init__(
        self,
        nr_pages: int,
        start_pfn: int = 0,
        max_order: int = 10,
        trace: Trace | None = None,
        *,
        pageblock_order: int = 9,
        holes: Iterable[tuple[int, int]] = (),
        zone: str = "",
        node: int = 0,
        kernel: str = "6.18",
        migratetype: int = MigrateType.MOVABLE,
        source: Source = MODEL,
        announce: bool = True,
    ) -> None:
        sizes = {
            "nr_pages": nr_pages,
            "start_pfn": start_pfn,
            "max_order": max_order,
            "pageblock_order": pageblock_order,
        }
        _check_sizes(sizes)
        _check_choices(kernel, migratetype)
        self.start_pfn, self.nr_pages, self.end_pfn = start_pfn, nr_pages, start_pfn + nr_pages
        self.max_order, self.pageblock_order = max_order, min(pageblock_order, max_order)
        self.zone, self.node, self.kernel, self.source = zone, node, kernel, source
        self.trace, self.announce = trace, announce
        self.holes = tuple(sorted((start, end) for start, end in holes))
        self._check_holes()
        self._in_hand: tuple[int, int] | None = None
        self._origin: BuddySnapshot | None = None
        self._free_pages: int | None = None  # not counted since the last change
        self._lay_out(migratetype)
        for start, end in self.memory():
            self._free_at_boot(start, end)

    def _check_holes(self) -> None:
        last = self.start_pfn
        for start, end in self.holes:
            if not last <= start < end <= self.end_pfn:
                raise ValueError(f"hole [{start}, {end}) is empty, overlaps another or leaves the zone")
            last = end

    def _lay_out(self, migratetype: int) -> None:
        chunk = 1 << self.max_order
        first, last = self.start_pfn // chunk * chunk, -(-self.end_pfn // chunk) * chunk
        # One byte a page from pfn 0 to the last one that may be a buddy: no pfn needs translating. Below the zone's
        # first chunk the bytes are never touched, so the system provides no memory for them.
        self.state = bytearray(last)
        """State of each page by pfn, as :mod:`mmkit.model.pageblock` says."""
        self.state[first:] = bytes([HOLE]) * (last - first)
        for start, end in self.memory():
            self.state[start:end] = bytes([INSIDE]) * (end - start)
        self.lists = FreeLists(self.max_order)
        self.blocks = Pageblocks(last, self.pageblock_order, migratetype, self.state, self.lists)

    def _pageblocks(self) -> range:
        """Return the first pages of the pageblocks that touch the zone."""
        size = 1 << self.pageblock_order
        return range(self.start_pfn // size * size, self.end_pfn, size)

    def memory(self) -> list[tuple[int, int]]:
        """Return the ranges [start, end) of the zone that are no holes."""
        edges = [self.start_pfn, *(edge for hole in self.holes for edge in hole), self.end_pfn]
        return [(start, end) for start, end in zip(edges[::2], edges[1::2], strict=True) if start < end]

    def _free_at_boot(self, start: int, end: int) -> None:
        """Put [start, end) on the lists in maximal aligned blocks, ascending, each at the tail (FPI_TO_TAIL)."""
        while start < end:
            fits = (end - start).bit_length() - 1
            aligned = (start & -start).bit_length() - 1 if start else fits
            order = min(self.max_order, fits, aligned)
            self.state[start] = order
            self.lists.append(start, self.blocks.type_of(start), order)
            start += 1 << order

    def __repr__(self) -> str:
        name = f"zone {self.zone}" if self.zone else "memory"
        return f"<{type(self).__name__}: {self.free_pages} of {self.nr_pages} pages of {name} free>"

    # -- questions ----------------------------------------------------------------------------------------------------

    def free_blocks(self, order: int, migratetype: int | None = None) -> list[int]:
        """Return the first pfns of the free blocks of ``order`` in list order; without a type, type by type.

        Raises ValueError for an order or a type that there is not.
        """
        if order not in range(self.max_order + 1):
            raise ValueError(f"order is {order!r}, must be one of 0 to {self.max_order}")
        if migratetype is None:
            return [pfn for kind in MigrateType for pfn in self.lists.pfns(kind, order)]
        if migratetype not in range(NR_MIGRATETYPES):
            raise ValueError(f"migratetype is {migratetype!r}, must be one of 0 to {NR_MIGRATETYPES - 1}")
        return self.lists.pfns(migratetype, order)

    def counts(self) -> tuple[int, ...]:
        """Return the number of free blocks of each order: this zone's line of ``/proc/buddyinfo``."""
        return self.lists.counts()

    @property
    def free_pages(self) -> int:
        """Pages in all free blocks; counted anew after a change only."""
        if self._free_pages is None or self.trace is not None:  # a listener may ask in the middle of a change
            self._free_pages = sum(count << order for order, count in enumerate(self.lists.counts()))
        return self._free_pages

    def has_block(self, order: int) -> bool:
        """Say whether an ordinary request finds a block of at least ``order``, whatever its type."""
        kinds = (MigrateType.UNMOVABLE, MigrateType.MOVABLE, MigrateType.RECLAIMABLE)
        return any(self.lists.length(kind, size) for size in range(order, self.max_order + 1) for kind in kinds)

    def unusable_index(self, order: int) -> float:
        """Return the share of the free pages that a request of ``order`` cannot use, in the kernel's three decimals.

        Raises ValueError for an order that there is not.
        """
        return fragmentation.unusable_free_index(order, fragmentation.contig_page_info(self.counts(), order)) / 1000

    def fragmentation_index(self, order: int) -> float:
        """Return why a request of ``order`` fails: towards 0 too little memory, towards 1 fragmentation; -1 if not.

        Raises ValueError for an order that there is not.
        """
        return fragmentation.fragmentation_index(order, fragmentation.contig_page_info(self.counts(), order)) / 1000

    def allocated_order(self, pfn: int) -> int | None:
        """Return the order of the allocated block that starts at ``pfn``; None if none does or its order is unknown."""
        code = self.state[pfn] if self.start_pfn <= pfn < self.end_pfn else HOLE
        return code & 0x0F if 0x80 <= code < UNKNOWN else None

    def allocated_blocks(self) -> list[int]:
        """Return the first pfns of all allocated blocks, ascending."""
        states = np.frombuffer(bytes(memoryview(self.state)[self.start_pfn : self.end_pfn]), np.uint8)
        found: list[int] = (np.flatnonzero((states >= 0x80) & (states != UNKNOWN)) + self.start_pfn).tolist()
        return found

    def pageblock_type(self, pfn: int) -> MigrateType:
        """Return the migrate type of the pageblock that a page lies in. Raises ValueError outside the zone."""
        self.check_inside(pfn)
        return self.blocks.type_of(pfn)

    @property
    def in_hand(self) -> tuple[int, int] | None:
        """(pfn, order) of the block being worked on, in the middle of a traced step only."""
        return self._in_hand

    def take_free_block(self, pfn: int) -> int:
        """Take a certain free block off its list, as compaction does, and return its order; it is Movable then.

        Raises ValueError if no free block starts there.
        """
        order = self.state[pfn] if self.start_pfn <= pfn < self.end_pfn else HOLE
        if order > self.max_order:
            raise ValueError(f"no free block starts at page {pfn!r}")
        heads, tails, _ = self.blocks.rows[pfn >> self.pageblock_order]
        if pfn in heads[order]:
            del heads[order][pfn]
        elif pfn in tails[order]:
            del tails[order][pfn]
        else:  # 6.1 keeps blocks on lists of other types than their pageblock's
            self.lists.remove(pfn, order)
        self.state[pfn] = 0x80 | MigrateType.MOVABLE << 4 | order
        self._free_pages = None
        return order

    def check_inside(self, pfn: int) -> None:
        """Raise ValueError for a page outside the zone."""
        if not self.start_pfn <= pfn < self.end_pfn:
            raise ValueError(f"page {pfn} is outside the zone, which has pages {self.start_pfn} to {self.end_pfn - 1}")

    def check(self) -> None:
        """Raise InvariantError, naming the rule, unless lists and map of pages agree and nothing is left unmerged."""
        check_area(self)

    # -- snapshots ----------------------------------------------------------------------------------------------------

    def snapshot(self) -> BuddySnapshot:
        """Return the whole state; during a traced step, ``in_hand`` is the block being worked on.

        What started from a recording is a model from the first change on, and its source says so.
        """
        taken = BuddySnapshot(
            source=self.source,
            node=self.node,
            zone=self.zone,
            start_pfn=self.start_pfn,
            nr_pages=self.nr_pages,
            max_order=self.max_order,
            pageblock_order=self.pageblock_order,
            free_lists=self.lists.all_pfns(),
            pageblocks=bytes(map(self.blocks.type_of, self._pageblocks())),
            allocated=bytes(memoryview(self.state)[self.start_pfn : self.end_pfn]).translate(_KEPT),
            holes=self.holes,
            in_hand=self._in_hand,
            kernel=self.kernel,
        )
        if self._origin is None or taken == self._origin:
            return taken
        return replace(taken, source=Source("model", note=f"started from {self._origin.source}"))

    @classmethod
    def from_snapshot(cls, snapshot: BuddySnapshot, trace: Trace | None = None, announce: bool = True) -> Self:
        """Return an allocator that goes on exactly as the one would that ``snapshot`` was taken of.

        Raises ValueError for one taken in the middle of a step, InvariantError for one that contradicts itself.
        """
        if snapshot.in_hand is not None:
            raise ValueError(f"the snapshot was taken in the middle of a step, with block {snapshot.in_hand} in hand")
        area = cls(
            snapshot.nr_pages,
            snapshot.start_pfn,
            snapshot.max_order,
            trace,
            pageblock_order=snapshot.pageblock_order,
            holes=snapshot.holes,
            zone=snapshot.zone,
            node=snapshot.node,
            kernel=snapshot.kernel,
            source=snapshot.source,
            announce=announce,
        )
        area._load(snapshot)
        area.check()
        area._origin = snapshot if snapshot.source.kind != "model" else None
        return area

    def _load(self, snapshot: BuddySnapshot) -> None:
        pageblocks = self._pageblocks()
        if len(snapshot.pageblocks) != len(pageblocks) or len(snapshot.allocated) != self.nr_pages:
            raise InvariantError("a snapshot has a type for every pageblock and a byte for every page")
        if max(snapshot.pageblocks) >= NR_MIGRATETYPES:
            raise InvariantError(f"every pageblock has a migrate type, but one has {max(snapshot.pageblocks)}")
        for pfn, migratetype in zip(pageblocks, snapshot.pageblocks, strict=True):
            self.blocks.change(pfn, 0, migratetype)
        self.state[self.start_pfn : self.end_pfn] = snapshot.allocated.translate(_LOADED)
        for start, end in self.holes:
            if snapshot.allocated.count(0, start - self.start_pfn, end - self.start_pfn) < end - start:
                raise InvariantError(f"nothing is allocated in a hole, but something is in [{start}, {end})")
            self.state[start:end] = bytes([HOLE]) * (end - start)
        shape = [len(lists) for lists in snapshot.free_lists]
        if shape != [NR_MIGRATETYPES] * (self.max_order + 1):
            raise InvariantError("a snapshot has a list for every order and type")
        self.lists.load(snapshot.free_lists)
        for order, lists in enumerate(snapshot.free_lists):
            for pfn in (pfn for pfns in lists for pfn in pfns):
                if not self.start_pfn <= pfn < self.end_pfn or self.state[pfn] != INSIDE:
                    raise InvariantError(f"free blocks lie in memory that is not in use, but not that of page {pfn}")
                self.state[pfn] = order


def _check_sizes(sizes: dict[str, int]) -> None:
    for name, size in sizes.items():
        least = 1 if name == "nr_pages" else 0
        if not isinstance(size, int):
            raise TypeError(f"{name} is a whole number, not {size!r}")
        if size < least:
            raise ValueError(f"{name} is {size}, must be at least {least}")
    if sizes["start_pfn"] + sizes["nr_pages"] > MAX_PFN:
        raise ValueError(f"page frame numbers end at {MAX_PFN}, not at {sizes['start_pfn'] + sizes['nr_pages']}")
    if sizes["max_order"] > MAX_MAX_ORDER:
        raise ValueError(f"max_order is {sizes['max_order']}, must be at most {MAX_MAX_ORDER}")


def _check_choices(kernel: str, migratetype: int) -> None:
    if kernel not in KERNELS:
        raise ValueError(f"no rules for kernel {kernel!r}: choose one of {', '.join(KERNELS)}")
    if migratetype not in range(NR_MIGRATETYPES):
        raise ValueError(f"migratetype is {migratetype!r}, must be one of 0 to {NR_MIGRATETYPES - 1}")
