"""Workloads: what becomes of free memory when many ask for it, with pages grouped by mobility and without.

Models: what mm/page_alloc.c (Linux 6.18) groups pages by mobility for, and ``page_group_by_mobility_disabled``, with
which all requests and all pageblocks are of one type, Unmovable. Leaves out: what memory is really used for, reclaim
(memory is freed when its time has come), watermarks, per-CPU lists.

A workload is a stream of requests that knows nothing of the allocator: the same one runs with grouping and without, and
a request that is refused is gone. Tasks start, ask for memory in one go, and end. What is short-lived goes with its
task, what is long-lived by itself, much later. Whenever more memory would be in use than ``occupancy`` allows, what
would go next goes now; in the end all tasks end, and what is long-lived stays. Sizes come in bytes: a request gets the
smallest block that holds them.
"""

from __future__ import annotations

from collections.abc import Sequence
from heapq import heappop, heappush
from math import log
from random import Random
from typing import NamedTuple

import numpy as np

from mmkit.errors import InvariantError, OutOfMemory
from mmkit.model.buddy import BuddyAllocator
from mmkit.model.compaction import Compaction
from mmkit.model.fragstate import History, Moment, Occupancy, SuccessRate
from mmkit.model.migratetype import MigrateType
from mmkit.model.pageblock import UNKNOWN
from mmkit.model.snapshot import Source

ORDERS = (0.8, 0.08, 0.06, 0.04, 0.02)
"""Shares of requests of order 0, 1, 2, ...: nearly all memory is asked for page by page."""
TASK_REQUESTS = 150
"""Requests of a task, on average."""
LIFETIME, LONG_LIFETIME = 10, 150
"""How long tasks and long-lived blocks live on average, in starts of tasks."""
PAGE_SIZE = 4096


class Request(NamedTuple):
    """Memory that somebody asks for."""

    order: int
    nbytes: int
    """Bytes asked for: more than half of the block or, of a single page, any number."""
    long_lived: bool
    mobility: float
    """Between 0 and 1, lowest for what is unmovable: a workload's shares say where the types begin."""


class Workload:
    """A stream of requests for memory of ``nr_pages``: the same one every time for the same arguments.

    ``unmovable``, ``reclaimable`` and ``long_lived`` are shares of the requests, between 0 and 1; what is neither
    unmovable nor reclaimable is movable. ``occupancy`` is the share of memory in use at most, ``orders`` are the shares
    of the orders from 0 up, ``turnover`` says how often as much as all memory is asked for from beginning to end.

    Raises ValueError for numbers that make no sense.

    >>> workload = Workload(seed=1, unmovable=0.2)
    >>> [workload.run(grouping).history.moments[-1].mixed_blocks for grouping in (True, False)]
    [4, 16]
    """

    def __init__(
        self,
        seed: int = 0,
        nr_pages: int = 1 << 13,
        *,
        unmovable: float = 0.1,
        reclaimable: float = 0.05,
        long_lived: float = 0.1,
        occupancy: float = 0.95,
        orders: Sequence[float] = ORDERS,
        turnover: float = 3,
        max_order: int = 10,
        pageblock_order: int = 9,
    ) -> None:
        self.seed, self.nr_pages, self.occupancy, self.turnover = seed, nr_pages, occupancy, turnover
        self.unmovable, self.reclaimable, self.long_lived = unmovable, reclaimable, long_lived
        self.orders, self.max_order, self.pageblock_order = tuple(orders), max_order, pageblock_order
        self._check()
        self.requests: list[Request] = []
        self.steps: list[int] = []
        """What happens, in order: ``i`` asks for requests[i], ``~i`` (that is -1 - i) gives that memory back."""
        _Writer(self).write()

    def __repr__(self) -> str:
        shares = f"unmovable={self.unmovable}, reclaimable={self.reclaimable}, long_lived={self.long_lived}"
        return f"Workload(seed={self.seed}, nr_pages={self.nr_pages}, {shares}, occupancy={self.occupancy})"

    def _check(self) -> None:
        for name in ("unmovable", "reclaimable", "long_lived"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} is {getattr(self, name)!r}, must be a share, between 0 and 1")
        if self.unmovable + self.reclaimable > 1 + 1e-9:
            raise ValueError(f"unmovable and reclaimable are {self.unmovable} and {self.reclaimable}: together above 1")
        if not 0 < self.occupancy <= 1:
            raise ValueError(f"occupancy is {self.occupancy!r}, must be above 0 and at most 1")
        if not 0 < len(self.orders) <= self.max_order + 1 or min(self.orders) < 0 or not sum(self.orders):
            raise ValueError(f"orders are {self.orders}: shares of orders 0 to at most {self.max_order} are wanted")
        if self.nr_pages < 1 << len(self.orders) - 1 or not self.turnover > 0:
            raise ValueError(f"nr_pages is {self.nr_pages!r} and turnover {self.turnover!r}: nothing would fit")

    def with_shares(self, unmovable: float, reclaimable: float) -> Workload:
        """Return the same stream of requests with other shares of types. Raises ValueError for shares that are none."""
        other = object.__new__(Workload)
        other.__dict__ |= self.__dict__
        other.unmovable, other.reclaimable = unmovable, reclaimable
        other._check()
        return other

    def kind_of(self, request: Request) -> MigrateType:
        """Return the type of memory that a request asks for."""
        if request.mobility < self.unmovable:
            return MigrateType.UNMOVABLE
        reclaimable = request.mobility < self.unmovable + self.reclaimable
        return MigrateType.RECLAIMABLE if reclaimable else MigrateType.MOVABLE

    def run(self, grouping: bool = True, moments: int = 60) -> Run:
        """Return a run to the end, on an allocator of its own, with so many moments in its history (0: none)."""
        run = Run(self, grouping)
        for i in range(1, moments + 1):
            run.advance(len(self.steps) * i // moments - run.nr_done)
            run.note()
        run.advance(len(self.steps) - run.nr_done)
        return run


class Run:
    """A workload on its way: ``buddy`` is the allocator that it runs on, ``nr_done`` the number of steps done.

    ``grouping=False`` is the kernel without grouping by mobility: every block comes from the same lists. What a block
    is used for is noted in the allocator either way, so that pictures show it and compaction knows what can move.
    """

    def __init__(self, workload: Workload, grouping: bool = True) -> None:
        self.workload, self.grouping = workload, grouping
        self.buddy = BuddyAllocator(
            workload.nr_pages,
            max_order=workload.max_order,
            pageblock_order=workload.pageblock_order,
            migratetype=MigrateType.MOVABLE if grouping else MigrateType.UNMOVABLE,
            source=Source("model", note=f"workload {workload.seed}, {_label(grouping)}"),
        )
        self.nr_done = 0
        self.failures = [0] * (workload.max_order + 1)
        """Requests refused, by order."""
        self.pfns: list[int | None] = [None] * len(workload.requests)
        """By request, where its memory is now."""
        self._kinds = [workload.kind_of(request) for request in workload.requests]
        self._moments = [self.moment()]

    @property
    def done(self) -> bool:
        """Whether all requests have been made."""
        return self.nr_done == len(self.workload.steps)

    @property
    def history(self) -> History:
        """What has been noted so far; the first moment is the beginning."""
        return History(self.buddy.source, _label(self.grouping), self.workload.nr_pages, tuple(self._moments))

    def advance(self, steps: int) -> None:
        """Do so many more steps, or all that are left."""
        pfns, requests, kinds = self.pfns, self.workload.requests, self._kinds
        alloc, free = self.buddy.alloc, self.buddy.free
        end = min(self.nr_done + steps, len(self.workload.steps))
        for step in self.workload.steps[self.nr_done : end]:
            i = step if step >= 0 else ~step
            order = requests[i].order
            if step < 0:
                pfn, pfns[i] = pfns[i], None
                if pfn is not None:
                    free(pfn, order)
                continue
            try:
                pfn = alloc(order, kinds[i] if self.grouping else MigrateType.UNMOVABLE)
            except OutOfMemory:
                self.failures[order] += 1
                continue
            if not self.grouping:
                self.buddy.set_allocated_type(pfn, kinds[i])
            pfns[i] = pfn
        self.nr_done = end

    def note(self) -> None:
        """Add this moment to the history."""
        self._moments.append(self.moment())

    def moment(self) -> Moment:
        """Return how things stand."""
        used = self.workload.nr_pages - self.buddy.free_pages
        return Moment(self.nr_done, self.buddy.counts(), tuple(self.failures), used, self._mixed_blocks())

    def _mixed_blocks(self) -> int:
        """Pageblocks in which movable memory and other memory begins, or which a large block fills."""
        states = np.frombuffer(bytes(self.buddy.state), np.uint8)
        pfns = np.flatnonzero((states >= 0x80) & (states != UNKNOWN))
        movable = states[pfns] >> 4 == 8 + MigrateType.MOVABLE
        blocks = pfns >> self.buddy.pageblock_order
        return len(np.intersect1d(blocks[movable], blocks[~movable]))

    def occupancy(self) -> Occupancy:
        """Return memory as it is, and how many bytes were asked for in each block."""
        live = ((pfn, self.workload.requests[i].nbytes) for i, pfn in enumerate(self.pfns) if pfn is not None)
        buddy = self.buddy.snapshot()
        return Occupancy(buddy.source, buddy, tuple(sorted(live)), PAGE_SIZE)

    def compaction(self, order: int = -1) -> Compaction:
        """Return a compaction of this memory in which the workload learns where its blocks are.

        It looks for room in all pageblocks, as the kernel's last attempt does: without grouping there would be none.
        """
        owner = {pfn: i for i, pfn in enumerate(self.pfns) if pfn is not None}

        def moved(old_pfn: int, new_pfn: int, order: int) -> None:
            owner[new_pfn] = i = owner.pop(old_pfn)
            self.pfns[i] = new_pfn

        return Compaction(self.buddy, order=order, any_pageblock=True, on_move=moved)

    def obtainable(self, order: int) -> float:
        """Return the share of the free memory that can be had in blocks of ``order``, as it is now.

        Without enough free memory for one block it is 0.
        """
        wanted = self.buddy.free_pages >> order
        found = sum(count << size - order for size, count in enumerate(self.buddy.counts()) if size >= order)
        return found / wanted if wanted else 0.0

    def check(self) -> None:
        """Raise InvariantError unless the allocator is in order and holds exactly the workload's blocks."""
        self.buddy.check()
        live = {pfn: self.workload.requests[i].order for i, pfn in enumerate(self.pfns) if pfn is not None}
        found = {pfn: self.buddy.allocated_order(pfn) for pfn in self.buddy.allocated_blocks()}
        if live != found:
            raise InvariantError(f"{len(live)} blocks are in use, but {len(found)} are allocated, or not the same ones")


def success_rate(
    order: int,
    shares: Sequence[float],
    seeds: Sequence[int],
    grouping: bool = True,
    compact: bool = True,
    reclaimable: float = 0,
    **arguments: float,
) -> SuccessRate:
    """Return how much of the free memory could be had in blocks of ``order`` at the end of workloads.

    ``shares`` are those of unmovable requests, and ``reclaimable`` is another, as far as there is room for it: without
    either all can be moved. For each share there is a rate for every seed. ``compact``: whether memory is
    compacted first, twice. ``arguments`` are a workload's others. Raises ValueError as Workload does.
    """
    streams = [Workload(seed, unmovable=0, reclaimable=0, **arguments) for seed in seeds]  # type: ignore[arg-type]
    rates = []
    for share in shares:
        runs = [stream.with_shares(share, min(reclaimable, 1 - share)).run(grouping, 0) for stream in streams]
        for run in runs * (2 if compact else 0):  # the second time finds room that opened the first time
            run.compaction().run()
        rates.append(tuple(run.obtainable(order) for run in runs))
    source = Source("model", note=f"{len(seeds)} workloads")
    return SuccessRate(source, _label(grouping), order, tuple(shares), tuple(rates))


def _label(grouping: bool) -> str:
    return "grouped by mobility" if grouping else "not grouped"


class _Writer:
    """Writes the requests and steps of a workload.

    Only ``Random.random()`` is used: what it returns for a seed is the same in every Python.
    """

    def __init__(self, workload: Workload) -> None:
        self.workload = workload
        self.random = Random(workload.seed).random
        total = sum(workload.orders)
        self.bounds = [sum(workload.orders[: order + 1]) / total for order in range(len(workload.orders))]
        self.used = self.asked = self.nr_tasks = self.nr_groups = 0
        self.ends: list[tuple[float, int, list[int]]] = []
        """Heap of (when, number, requests) of what is in use."""
        self.starting: list[int] = []
        """Requests of the task that starts."""

    def write(self) -> None:
        """Start tasks until enough memory has been asked for; then all tasks end."""
        while self.asked < self.workload.turnover * self.workload.nr_pages:
            self.start_task()
        for _, _, group in sorted(self.ends):
            if any(not self.workload.requests[i].long_lived for i in group):
                self.let_go(group)

    def start_task(self) -> None:
        """Write a task's requests, and when its memory goes."""
        self.nr_tasks += 1
        group = self.starting = []
        for _ in range(1 + int(self.exponential(TASK_REQUESTS))):
            i, request = len(self.workload.requests), self.request()
            self.workload.requests.append(request)
            self.make_room(1 << request.order)
            self.workload.steps.append(i)
            self.used += 1 << request.order
            self.asked += 1 << request.order
            if request.long_lived:
                self.end_later([i], LONG_LIFETIME)
            else:
                group.append(i)
        self.end_later(group, LIFETIME)

    def request(self) -> Request:
        """Draw a request."""
        random = self.random
        drawn = random()
        order = next((order for order, bound in enumerate(self.bounds) if drawn < bound), len(self.bounds) - 1)
        most = PAGE_SIZE << order
        nbytes = most - int(random() * (most // 2 if order else most))
        return Request(order, nbytes, random() < self.workload.long_lived, random())

    def exponential(self, mean: float) -> float:
        """Draw from an exponential distribution."""
        return -log(1 - self.random()) * mean

    def end_later(self, group: list[int], mean: float) -> None:
        """Note that memory goes some time from now."""
        self.nr_groups += 1
        heappush(self.ends, (self.nr_tasks + self.exponential(mean), self.nr_groups, group))

    def make_room(self, pages: int) -> None:
        """Let go what would go next, until ``pages`` more may be in use."""
        limit = max(self.workload.occupancy * self.workload.nr_pages, pages)
        while self.used + pages > limit:
            self.let_go(heappop(self.ends)[2] if self.ends else self.starting)

    def let_go(self, group: list[int]) -> None:
        """Write that memory goes."""
        for i in group:
            self.workload.steps.append(~i)
            self.used -= 1 << self.workload.requests[i].order
        group.clear()
