"""Zones: pages of a kind, their free lists, and who may have how many of them.

Models: struct zone; zone_watermark_fast(), rmqueue(), free_unref_page(), drain_pages_zone() of mm/page_alloc.c (Linux
6.18). Leaves out: locks, pages set aside for high-order atomic requests, reclaim and compaction.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from mmkit.errors import InvariantError, OutOfMemory
from mmkit.model.buddy import BuddyAllocator
from mmkit.model.layout import Range, ZoneSpan, subtract
from mmkit.model.migratetype import FALLBACKS, MigrateType
from mmkit.model.pageblock import UNKNOWN
from mmkit.model.pcp import PCP_TYPES, PerCpuLists, list_index
from mmkit.model.snapshot import MODEL, PcpSnapshot, Source, ZoneSnapshot
from mmkit.model.trace import MmPageAllocExtfrag, MmPageAllocZoneLocked, MmPagePcpuDrain, Trace
from mmkit.model.watermark import Watermarks
from mmkit.record import replace


class Zone:
    """One zone of one node; sizes are in pages.

    ``index`` is its place among the zones of the architecture, ``reserved`` are the pfns in it that boot kept back.
    An empty zone has no ``buddy`` and no ``pcp`` lists (one set for each CPU, none if they are switched off).
    """

    def __init__(
        self,
        span: ZoneSpan,
        index: int,
        watermarks: Watermarks,
        lowmem_reserve: tuple[int, ...],
        reserved: tuple[Range, ...] = (),
        buddy: BuddyAllocator | None = None,
        pcp: Sequence[PerCpuLists] = (),
        kernel: str = "6.18",
        trace: Trace | None = None,
    ) -> None:
        self.span = span
        self.name = span.name
        self.node = span.node
        self.index = index
        self.start_pfn = span.start_pfn
        self.end_pfn = span.start_pfn + span.spanned
        self.spanned_pages = span.spanned
        self.present_pages = span.present
        self.managed_pages = span.present - sum(end - start for start, end in reserved)
        self.watermarks = watermarks
        self.lowmem_reserve = lowmem_reserve
        """Pages kept back here from requests that could have used a higher zone, by that zone's index."""
        self.reserved = reserved
        self.buddy = buddy
        self.free_pages = buddy.free_pages if buddy else 0
        """Pages on the buddy lists; those on per-CPU lists are not among them, as in the kernel."""
        self.pcp = tuple(pcp)
        self.reclaim_active = False
        """kswapd is at work: per-CPU lists are kept shorter still."""
        self.below_high = False
        """Since 6.18's watermark check found less than ``high`` free: per-CPU lists are kept short."""
        self._kernel = kernel
        self._trace = trace

    def __repr__(self) -> str:
        return f"<Zone {self.name} of node {self.node}: {self.free_pages} of {self.managed_pages} pages free>"

    @property
    def pcp_pages(self) -> int:
        """Free pages on the per-CPU lists."""
        return sum(lists.count for lists in self.pcp)

    # -- may a request be served from here? ---------------------------------------------------------------------------

    def watermark_ok(self, order: int, mark: int, top_index: int) -> bool:
        """Whether enough would stay free after a block of ``order`` is taken, and there is such a block.

        ``top_index`` is the index of the highest zone that the request could use: the reserve against it is added.
        """
        if self.buddy is None or self.free_pages - (1 << order) + 1 <= mark + self.lowmem_reserve[top_index]:
            return False
        return order == 0 or self.has_block(order)

    def has_block(self, order: int) -> bool:
        """Whether a free block of at least ``order`` is on a list that ordinary requests may use."""
        return self.buddy is not None and self.buddy.has_block(order)

    def can_take(self, order: int, migratetype: MigrateType, cpu: int, nofragment: bool) -> bool:
        """Whether ``take`` would find a block."""
        if self.pcp and self.pcp[cpu].covers(order) and self.pcp[cpu].has(order, migratetype):
            return True
        assert self.buddy
        length, sizes = self.buddy.lists.length, range(self.buddy.max_order, order - 1, -1)
        if any(length(migratetype, size) for size in sizes):
            return True
        lowest = self.buddy.pageblock_order if nofragment else 0
        return any(length(kind, size) for size in sizes if size >= lowest for kind in FALLBACKS[migratetype])

    def passes(self, order: int, mark: int, top_index: int) -> bool:
        """As ``watermark_ok``, and remember, as 6.18 does, whether the zone has fallen below its high mark."""
        if self._kernel != "6.1" and not self.below_high and self.buddy:
            if self.watermark_ok(order, self.watermarks.high, top_index):
                return True
            self.below_high = True
        return self.watermark_ok(order, mark, top_index)

    def where_from(self, order: int, migratetype: MigrateType, cpu: int) -> str:
        """Return in a few words where the next such block comes from."""
        if not self.pcp or not self.pcp[cpu].covers(order):
            return "from the buddy lists"
        if self.pcp[cpu].has(order, migratetype):
            return "from a per-CPU list"
        return "from a per-CPU list, refilled first"

    # -- taking and giving --------------------------------------------------------------------------------------------

    def take(self, order: int, migratetype: MigrateType, cpu: int = 0, nofragment: bool = False) -> int | None:
        """Take a block, from the CPU's list if it has one for that order; None, and nothing changed, if there is none.

        ``nofragment`` forbids to mix migrate types within a pageblock.
        """
        if not self.can_take(order, migratetype, cpu, nofragment):
            return None
        if not self.pcp or not self.pcp[cpu].covers(order):
            return self._take(order, migratetype, nofragment, None)
        lists = self.pcp[cpu]
        lists.tuning.note_alloc()
        if not lists.has(order, migratetype):
            self._refill(lists, order, migratetype, nofragment)
        return lists.take(order, migratetype)

    def _refill(self, lists: PerCpuLists, order: int, migratetype: MigrateType, nofragment: bool) -> None:
        for _ in range(lists.tuning.refill(order, lists.count, self.below_high)):
            try:
                self._take(order, migratetype, nofragment, lists)
            except OutOfMemory:
                return

    def _take(self, order: int, migratetype: MigrateType, nofragment: bool, refilled: PerCpuLists | None) -> int:
        assert self.buddy
        pfn = self.buddy.alloc(order, migratetype, nofragment)
        self.free_pages -= 1 << order
        if refilled is not None:
            refilled.append(pfn, order, migratetype)
        if self._trace is not None and not self._told_by_fallback(self._trace):
            through_lists = bool(self.pcp) and self.pcp[0].covers(order) and migratetype < PCP_TYPES
            self._trace.emit(MmPageAllocZoneLocked(pfn, order, migratetype, through_lists))
        return pfn

    def _told_by_fallback(self, trace: Trace) -> bool:
        """Since 6.12 a fallback that takes its page itself says so in one event, not in two."""
        last = trace.events[-1] if trace.events else None
        if self._kernel == "6.1" or not isinstance(last, MmPageAllocExtfrag):
            return False
        assert self.buddy
        return not last.change_ownership or last.fallback_order >= self.buddy.pageblock_order

    def give(self, pfn: int, order: int, cpu: int = 0) -> None:
        """Give a block back, to the CPU's list if it has one for that order."""
        assert self.buddy
        migratetype = self.buddy.pageblock_type(pfn)
        if not self.pcp or not self.pcp[cpu].covers(order) or migratetype == MigrateType.ISOLATE:
            self.buddy.free(pfn, order)
            self.free_pages += 1 << order
            return
        lists = self.pcp[cpu]
        lists.give(pfn, order, migratetype)
        surplus = lists.tuning.surplus(order, lists.count, self.below_high, self.reclaim_active)
        if surplus:
            self._drain(lists, surplus, list_index(order, migratetype))
            if self.below_high and self.watermark_ok(0, self.watermarks.high, -1):
                self.below_high = False

    def drain(self, cpu: int) -> None:
        """Give everything on a CPU's lists back to the buddy lists."""
        if self.pcp:
            self._drain(self.pcp[cpu], self.pcp[cpu].count, 0)

    def _drain(self, lists: PerCpuLists, pages: int, first_index: int) -> None:
        assert self.buddy
        for pfn, order, index in lists.drain(pages, first_index):
            # A page on a list of 6.1 remembers the type it was put there with; later kernels look it up again.
            kept = lists.type_of(index) if self._kernel == "6.1" else None
            migratetype = self.buddy.pageblock_type(pfn) if kept is None else kept
            self.buddy.free(pfn, order, migratetype)
            self.free_pages += 1 << order
            if self._trace is not None:
                self._trace.emit(MmPagePcpuDrain(pfn, order, migratetype))

    # -- snapshot and check -------------------------------------------------------------------------------------------

    def snapshot(self, source: Source = MODEL, frames: bool = True) -> ZoneSnapshot:
        """Return the zone's state; without ``frames`` it lacks ``buddy``, and is small however large the zone is."""
        tuned = self._kernel != "6.1"
        buddy, pcp = self.buddy, tuple(lists.snapshot() for lists in self.pcp)
        counts = buddy.counts() if buddy else ()  # in the middle of a step free_pages is not up to date
        return ZoneSnapshot(
            node=self.node,
            name=self.name,
            start_pfn=self.start_pfn,
            spanned=self.spanned_pages,
            present=self.present_pages,
            managed=self.managed_pages,
            free=sum(count << order for order, count in enumerate(counts)),
            min=self.watermarks.min,
            low=self.watermarks.low,
            high=self.watermarks.high,
            promo=self.watermarks.promo if tuned else None,
            protection=self.lowmem_reserve,
            pcp=pcp if frames else tuple(map(_without_lists, pcp)),
            counts=counts if buddy else None,
            buddy=buddy.snapshot() if buddy and frames else None,
            reserved=self.reserved,
            below_high=self.below_high,
        )

    @classmethod
    def from_snapshot(
        cls,
        snapshot: ZoneSnapshot,
        index: int,
        huge_order: int | None,
        kernel: str = "6.18",
        trace: Trace | None = None,
    ) -> Zone:
        """Return a zone that goes on exactly as the one the snapshot was taken of.

        Raises ValueError for a snapshot that lacks the free lists of a populated zone.
        """
        if snapshot.managed and snapshot.buddy is None:
            raise ValueError(f"the snapshot of zone {snapshot.name} has no free lists: take one with frames=True")
        ranges = snapshot.reserved
        if snapshot.buddy:
            holes = subtract(snapshot.buddy.holes, snapshot.reserved)
            ranges = subtract([(snapshot.start_pfn, snapshot.end_pfn)], holes)
        span = ZoneSpan(snapshot.node, snapshot.name, snapshot.start_pfn, snapshot.spanned, ranges)
        zone = cls(
            span, index, Watermarks(snapshot.min, snapshot.low, snapshot.high), snapshot.protection, snapshot.reserved,
            BuddyAllocator.from_snapshot(snapshot.buddy, trace, announce=False) if snapshot.buddy else None,
            [PerCpuLists.from_snapshot(pcp, huge_order) for pcp in snapshot.pcp], kernel, trace,
        )  # fmt: skip
        zone.below_high = snapshot.below_high
        return zone

    def check(self) -> None:
        """Raise InvariantError unless lists, counts and marks agree with each other."""
        if self.buddy is None:
            return
        self.buddy.check()
        for lists in self.pcp:
            lists.check()
        seen: set[int] = set()
        for pfn, order in self.pcp_blocks():
            if self.buddy.state[pfn] & 0x8F != 0x80 | order:
                raise InvariantError(f"{self!r}: block {pfn} on a per-CPU list was not taken with order {order}")
            if pfn in seen:
                raise InvariantError(f"{self!r}: block {pfn} is on two per-CPU lists")
            seen.add(pfn)
        if self.free_pages != self.buddy.free_pages:
            raise InvariantError(f"{self!r}: the buddy lists hold {self.buddy.free_pages} pages")
        if not self.free_pages + self.pcp_pages <= self.managed_pages <= self.present_pages <= self.spanned_pages:
            raise InvariantError(f"{self!r}: free, managed, present and spanned pages must ascend")

    def allocated_blocks(self) -> list[int]:
        """First pages of all blocks that the buddy lists have given away, those on per-CPU lists included."""
        if self.buddy is None:
            return []
        states = np.frombuffer(self.buddy.state, np.uint8)[self.start_pfn : self.end_pfn]
        return [int(i) + self.start_pfn for i in np.flatnonzero((states & 0x80 != 0) & (states != UNKNOWN))]

    def pcp_blocks(self) -> Iterator[tuple[int, int]]:
        """Yield (pfn, order) of every free block on the per-CPU lists."""
        for lists in self.pcp:
            for index, blocks in enumerate(lists.lists):
                yield from ((pfn, lists.order_of(index)) for pfn in blocks)


def _without_lists(pcp: PcpSnapshot) -> PcpSnapshot:
    return replace(pcp, lists=())
