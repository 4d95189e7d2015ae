"""Per-CPU lists: most allocations and frees never reach the buddy lists.

Models: mm/page_alloc.c of Linux 6.1 and 6.18, order_to_pindex(), zone_batchsize(), zone_highsize(), nr_pcp_alloc(),
nr_pcp_high(), nr_pcp_free(), free_pcppages_bulk(). Leaves out: interrupts that find a list locked and free behind it;
bulk allocation; 6.18's decay of ``high`` with time, and its regard for the size of the CPU's cache.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from mmkit.arch import MIB
from mmkit.errors import InvariantError
from mmkit.model.migratetype import MigrateType
from mmkit.model.snapshot import PcpSnapshot

COSTLY_ORDER = 3
"""Blocks up to this order go through the lists, and those of a huge page."""
PCP_TYPES = 3
"""Unmovable, Movable and Reclaimable have lists of their own; all else uses Movable's."""
NR_LOW_LISTS = PCP_TYPES * (COSTLY_ORDER + 1)
NR_LISTS = NR_LOW_LISTS + 2
"""Three lists for each order 0 to 3; for huge pages one of movable ones and one of others."""
BATCH_SCALE_MAX = 5
"""6.18: a refill or drain is at most so many doublings of ``batch`` (CONFIG_PCP_BATCH_SCALE_MAX)."""
MIN_HIGH_FRACTION = 8
"""6.18: a zone's CPUs together never keep more than this fraction of it."""


def batch_size(managed: int, page_size: int = 4096) -> int:
    """Return ``batch``, how many pages move at a time: 1/4096 of the zone, at most 256 KiB, made 2^n - 1.

    >>> batch_size(3840), batch_size(112_109), batch_size(754_599)
    (1, 31, 63)
    """
    batch = max(min(managed >> 10, MIB // page_size) // 4, 1)
    return max((1 << (batch + batch // 2).bit_length() - 1) - 1, 1)


def high_size(pages: int, nr_cpus: int, batch: int) -> int:
    """Return how many pages a CPU may keep if the zone's CPUs share ``pages``; never less than 4 batches."""
    return max(pages // max(nr_cpus, 1), 4 * batch)


def list_index(order: int, migratetype: int) -> int:
    """Return which of a CPU's lists holds blocks of this order and migrate type."""
    if order > COSTLY_ORDER:
        return NR_LOW_LISTS + (migratetype == MigrateType.MOVABLE)
    return PCP_TYPES * order + (migratetype if migratetype < PCP_TYPES else MigrateType.MOVABLE)


@dataclass(slots=True)
class Tuning(ABC):
    """How much is fetched and given back at a time; the part that differs between kernels."""

    batch: int
    high: int
    """Pages above which a free gives some back."""

    @abstractmethod
    def note_alloc(self) -> None:
        """A block is about to be handed out."""

    @abstractmethod
    def refill(self, order: int, count: int, below_high: bool) -> int:
        """Return how many blocks to fetch for an empty list while the CPU holds ``count`` pages."""

    @abstractmethod
    def surplus(self, order: int, count: int, below_high: bool, reclaiming: bool = False) -> int:
        """A block has been freed, ``count`` pages are held now: return how many of them to give back."""

    def _blocks(self, pages: int, order: int) -> int:
        return max(pages >> order, 2) if pages > 1 else pages


@dataclass(slots=True)
class Tuning61(Tuning):
    """Linux 6.1: fixed ``high``; what is given back doubles with each drain until something is allocated."""

    free_factor: int = 0

    def note_alloc(self) -> None:
        """Halve the effort of the next drain."""
        self.free_factor >>= 1

    def refill(self, order: int, count: int, below_high: bool) -> int:
        """One batch."""
        return self._blocks(self.batch, order)

    def surplus(self, order: int, count: int, below_high: bool, reclaiming: bool = False) -> int:
        """All, if blocks of order 1 to 3 keep coming while frees prevail; else batches, more with each drain."""
        if self.free_factor and 0 < order <= COSTLY_ORDER:
            return count
        high = min(4 * self.batch, self.high) if reclaiming else self.high
        if count < high:
            return 0
        if high < self.batch:
            return 1
        most = high - self.batch
        pages = self.batch << self.free_factor
        if pages < most:
            self.free_factor += 1
        return min(max(pages, self.batch), most)


@dataclass(slots=True)
class Tuning618(Tuning):
    """Linux 6.18: ``high`` moves between bounds, refills double while nothing is freed, drains follow the frees."""

    high_min: int = 0
    high_max: int = 0
    alloc_factor: int = 0
    free_count: int = 0
    """Pages freed lately: halved by every allocation."""
    prev_free_high_order: bool = False

    def _clamped(self) -> int:
        self.high = min(max(self.high, self.high_min), self.high_max)
        return self.high

    def note_alloc(self) -> None:
        """Remember fewer frees."""
        self.free_count >>= 1

    def refill(self, order: int, count: int, below_high: bool) -> int:
        """One batch; of single pages twice as much each time, as far as ``high`` has room for it."""
        high = self._clamped()
        if high < self.batch:
            return 1
        pages = self.batch if order else self.batch << self.alloc_factor
        if self.high_min != self.high_max and not below_high:
            high = self.high = min(high + pages, self.high_max)
        if not order:
            most = max(high - count - self.batch, self.batch)
            if pages <= most and self.alloc_factor < BATCH_SCALE_MAX:
                self.alloc_factor += 1
            pages = min(pages, most)
        return self._blocks(pages, order)

    def surplus(self, order: int, count: int, below_high: bool, reclaiming: bool = False) -> int:
        """As much as was freed lately, once ``high`` is reached; ``high`` itself grows or shrinks on the way."""
        self.alloc_factor >>= 1
        high_order = 0 < order <= COSTLY_ORDER
        in_bulk = high_order and self.prev_free_high_order and self.free_count >= self.batch + self.high_min // 2
        in_bulk = in_bulk and count >= self.batch
        self.prev_free_high_order = high_order
        if self.free_count < self.batch << BATCH_SCALE_MAX:
            self.free_count += 1 << order
        high = self._reached(count, in_bulk, below_high, reclaiming)
        if count < high:
            return 0
        if in_bulk:
            return min(count, self.batch << BATCH_SCALE_MAX)
        if high < self.batch:
            return 1
        return min(max(self.free_count, self.batch), high - self.batch)

    def _reached(self, count: int, in_bulk: bool, below_high: bool, reclaiming: bool) -> int:
        high = self._clamped()
        if in_bulk:
            self.high = max(high - (self.batch << BATCH_SCALE_MAX), self.high_min)
            return 0
        if reclaiming:
            self.high = max(high - max(self.free_count, self.batch), self.high_min)
            return min(4 * self.batch, self.high)
        if self.high_min == self.high_max:
            return high
        if below_high:
            self.high = max(high - max(self.free_count, self.batch), self.high_min)
            return max(count, self.high_min)
        if count >= high:
            self.high = min(max(high, self.free_count + self.batch), self.high_max)
        return high


class PerCpuLists:
    """One CPU's lists of free blocks in one zone: taken from and given to at the head, drained from the tail."""

    def __init__(self, cpu: int, tuning: Tuning, huge_order: int | None = 9) -> None:
        """``huge_order`` is the order of a huge page, whose blocks go through the lists too; None: no huge pages."""
        self.cpu = cpu
        self.tuning = tuning
        self.huge_order = huge_order
        self.count = 0
        self._lists: tuple[deque[int], ...] = tuple(deque() for _ in range(NR_LISTS))

    @property
    def lists(self) -> tuple[tuple[int, ...], ...]:
        """First pfns by list index, head first."""
        return tuple(map(tuple, self._lists))

    def covers(self, order: int) -> bool:
        """Whether blocks of this order go through the lists."""
        return order <= COSTLY_ORDER or order == self.huge_order

    def order_of(self, index: int) -> int:
        """Return the order of the blocks in list ``index``."""
        return index // PCP_TYPES if index < NR_LOW_LISTS else (self.huge_order or 0)

    def type_of(self, index: int) -> MigrateType | None:
        """Return the migrate type of list ``index``; None for the huge pages that are not movable."""
        if index == NR_LOW_LISTS:
            return None
        return MigrateType(index % PCP_TYPES) if index < NR_LOW_LISTS else MigrateType.MOVABLE

    def has(self, order: int, migratetype: int) -> bool:
        """Whether a block is at hand."""
        return bool(self._lists[list_index(order, migratetype)])

    def take(self, order: int, migratetype: int) -> int:
        """Take the block at the head of the list, which must not be empty."""
        self.count -= 1 << order
        return self._lists[list_index(order, migratetype)].popleft()

    def append(self, pfn: int, order: int, migratetype: int) -> None:
        """Put a block that comes from the buddy lists at the tail."""
        self._lists[list_index(order, migratetype)].append(pfn)
        self.count += 1 << order

    def give(self, pfn: int, order: int, migratetype: int) -> None:
        """Put a freed block at the head."""
        self._lists[list_index(order, migratetype)].appendleft(pfn)
        self.count += 1 << order

    def drain(self, pages: int, first_index: int = 0) -> Iterator[tuple[int, int, int]]:
        """Take ``pages`` pages off the tails, list after list from ``first_index`` on: (pfn, order, list index)."""
        pages, index = min(pages, self.count), first_index
        while pages > 0:
            blocks, order = self._lists[index], self.order_of(index)
            while pages > 0 and blocks:
                pages -= 1 << order
                self.count -= 1 << order
                yield blocks.pop(), order, index
            index = (index + 1) % NR_LISTS

    def snapshot(self) -> PcpSnapshot:
        """Return the lists' state."""
        tuning = self.tuning
        if isinstance(tuning, Tuning61):
            return PcpSnapshot(
                self.cpu, self.count, tuning.high, tuning.batch, free_factor=tuning.free_factor, lists=self.lists
            )
        assert isinstance(tuning, Tuning618)
        return PcpSnapshot(
            self.cpu, self.count, tuning.high, tuning.batch, tuning.high_min, tuning.high_max, lists=self.lists,
            alloc_factor=tuning.alloc_factor, free_count=tuning.free_count,
            prev_free_high_order=tuning.prev_free_high_order,
        )  # fmt: skip

    @classmethod
    def from_snapshot(cls, snapshot: PcpSnapshot, huge_order: int | None = 9) -> PerCpuLists:
        """Return lists that go on exactly as the ones the snapshot was taken of."""
        lists = cls(snapshot.cpu, tuning_from_snapshot(snapshot), huge_order)
        lists.load(snapshot.lists)
        return lists

    def load(self, blocks: Sequence[Sequence[int]]) -> None:
        """Replace all lists: first pfns by list index, head first."""
        if len(blocks) > NR_LISTS:
            raise ValueError(f"a CPU has {NR_LISTS} lists, not {len(blocks)}")
        for index, own in enumerate(self._lists):
            own.clear()
            own.extend(blocks[index] if index < len(blocks) else ())
        self.count = self._held()

    def _held(self) -> int:
        return sum(len(own) << self.order_of(index) for index, own in enumerate(self._lists))

    def check(self) -> None:
        """Raise InvariantError unless ``count`` is what the lists hold."""
        if self._held() != self.count:
            raise InvariantError(f"CPU {self.cpu} counts {self.count} pages, its lists hold {self._held()}")


def tuning_from_snapshot(snapshot: PcpSnapshot) -> Tuning:
    """Return the tuning of a snapshot: 6.18's if it has bounds for ``high``, else 6.1's."""
    if snapshot.high_min is None or snapshot.high_max is None:
        return Tuning61(snapshot.batch, snapshot.high, snapshot.free_factor)
    return Tuning618(
        snapshot.batch, snapshot.high, snapshot.high_min, snapshot.high_max,
        snapshot.alloc_factor, snapshot.free_count, snapshot.prev_free_high_order,
    )  # fmt: skip


def make_tuning(
    kernel: str, managed: int, low: int, nr_cpus: int, high_fraction: int = 0, page_size: int = 4096
) -> Tuning:
    """Return the tuning of a zone that ``nr_cpus`` CPUs are near to; ``low`` is its low watermark.

    ``high_fraction`` is ``vm.percpu_pagelist_high_fraction``; 0 lets the watermark decide.
    """
    batch = batch_size(managed, page_size)
    high = high_size(managed // high_fraction if high_fraction else low, nr_cpus, batch)
    if kernel == "6.1":
        return Tuning61(batch, high)
    top = high if high_fraction else high_size(managed // MIN_HIGH_FRACTION, nr_cpus, batch)
    return Tuning618(batch, 0, high_min=high, high_max=top)
