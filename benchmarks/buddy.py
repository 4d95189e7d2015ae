"""The buddy allocator against an empty method call and against the plain versions that textbooks have.

python benchmarks/buddy.py

Streams of requests: *mixed* (small blocks often, large ones seldom, any block given back), *page* (96 of 100 requests
for a single page, in bursts that mostly die young) and *fragmented* (every other page free, so that giving one back
finds its buddy in the middle of a list as long as half the memory). All of them run through the public methods, the
loop that calls them is part of every figure.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from itertools import islice
from statistics import median
from typing import Protocol

from ratio import Timing, compare, report
from untraced import without_tracing

from mmkit.model import buddy as model
from mmkit.model.buddy import BuddyAllocator

MAX_ORDER = 10
BITS = (10, 12, 16, 20, 24)
ROUNDS, OPS = 9, 20_000
Op = tuple[int, int]
"""(slot, order): take a block of that order if the slot is empty, else give back the one that it holds."""


class Allocator(Protocol):
    """What is compared."""

    def alloc(self, order: int) -> int:
        """Take a block."""

    def free(self, pfn: int, order: int) -> None:
        """Give one back."""


class Empty:
    """Methods that do nothing: what calling them costs."""

    def __init__(self, nr_pages: int) -> None:
        pass

    def alloc(self, order: int) -> int:
        """Take nothing."""
        return 0

    def free(self, pfn: int, order: int) -> None:
        """Give nothing."""


class SetPerOrder:
    """The plain version with a set of free blocks for each order: no list order, no types; refuses bad frees."""

    container: type = set

    def __init__(self, nr_pages: int) -> None:
        self.max_order = MAX_ORDER
        self.free_blocks = [self.container() for _ in range(MAX_ORDER + 1)]
        self.free_blocks[MAX_ORDER] = self.container(range(0, nr_pages, 1 << MAX_ORDER))
        self.allocated: dict[int, int] = {}

    def alloc(self, order: int) -> int:
        """Take a block."""
        if not 0 <= order <= self.max_order:
            raise ValueError(order)
        found = order
        while found <= self.max_order and not self.free_blocks[found]:
            found += 1
        if found > self.max_order:
            raise MemoryError(order)
        pfn = self.free_blocks[found].pop()
        while found > order:
            found -= 1
            self.free_blocks[found].add(pfn + (1 << found))
        self.allocated[pfn] = order
        return pfn

    def free(self, pfn: int, order: int) -> None:
        """Give a block back."""
        if self.allocated.get(pfn) != order:
            raise ValueError(pfn)
        del self.allocated[pfn]
        while order < self.max_order:
            buddy = pfn ^ (1 << order)
            if buddy not in self.free_blocks[order]:
                break
            self.free_blocks[order].remove(buddy)
            pfn = min(pfn, buddy)
            order += 1
        self.free_blocks[order].add(pfn)


class ListPerOrder(SetPerOrder):
    """The same with a list for each order: the last block put is the first taken."""

    container = list

    def alloc(self, order: int) -> int:
        """Take a block."""
        if not 0 <= order <= self.max_order:
            raise ValueError(order)
        found = order
        while found <= self.max_order and not self.free_blocks[found]:
            found += 1
        if found > self.max_order:
            raise MemoryError(order)
        pfn = self.free_blocks[found].pop()
        while found > order:
            found -= 1
            self.free_blocks[found].append(pfn + (1 << found))
        self.allocated[pfn] = order
        return pfn

    def free(self, pfn: int, order: int) -> None:
        """Give a block back."""
        if self.allocated.get(pfn) != order:
            raise ValueError(pfn)
        del self.allocated[pfn]
        while order < self.max_order:
            buddy = pfn ^ (1 << order)
            if buddy not in self.free_blocks[order]:
                break
            self.free_blocks[order].remove(buddy)
            pfn = min(pfn, buddy)
            order += 1
        self.free_blocks[order].append(pfn)


class Requests:
    """An endless stream of requests that keeps just below half of the memory in use."""

    def __init__(self, kind: str, nr_pages: int) -> None:
        self.kind, self.rng = kind, random.Random(1)
        self.limit = nr_pages // 2
        self.top = min(MAX_ORDER, max(0, nr_pages.bit_length() - 6))
        self.live: list[Op] = []
        self.empty: list[int] = []
        self.slots = self.pages = 0

    def order(self) -> int:
        """Small orders often, large ones seldom; or nearly always a single page."""
        if self.kind == "page":
            return 0 if self.rng.random() < 0.96 else self.rng.choice((1, 1, 1, 2, 2, 3))
        order = 0
        while order < self.top and self.rng.random() < 0.5:
            order += 1
        return order

    def take(self) -> Op:
        """Ask for a block."""
        op = self.empty.pop() if self.empty else self.slots, self.order()
        self.slots = max(self.slots, op[0] + 1)
        self.live.append(op)
        self.pages += 1 << op[1]
        return op

    def give(self, index: int) -> Op:
        """Give back one of the live blocks."""
        self.live[index], self.live[-1] = self.live[-1], self.live[index]
        op = self.live.pop()
        self.empty.append(op[0])
        self.pages -= 1 << op[1]
        return op

    def fill(self) -> list[Op]:
        """Take blocks until memory is as full as it stays, or has as many as a large system."""
        ops = []
        while self.pages < self.limit * 0.9 and len(self.live) < 300_000:
            ops.append(self.take())
        return ops

    def __iter__(self) -> Iterator[Op]:
        while True:
            if self.kind == "page":
                yield from self.burst()
            elif self.live and (self.rng.random() < 0.5 or self.pages >= self.limit):
                yield self.give(self.rng.randrange(len(self.live)))
            else:
                yield self.take()

    def burst(self) -> Iterator[Op]:
        """Some pages are taken, three quarters of them given back soon, and as many old ones as are left."""
        size = self.rng.randrange(1, 60)
        for _ in range(size):
            if self.pages < self.limit:
                yield self.take()
        for _ in range(min(size, len(self.live))):
            young = self.rng.random() < 0.75
            reach = min(size, len(self.live)) if young else len(self.live)
            yield self.give(len(self.live) - 1 - self.rng.randrange(reach))


def drive(allocator: Allocator, ops: list[Op], slots: list[int | None]) -> None:
    """Play requests."""
    alloc, free = allocator.alloc, allocator.free
    for slot, order in ops:
        pfn = slots[slot]
        if pfn is None:
            slots[slot] = alloc(order)
        else:
            free(pfn, order)
            slots[slot] = None


def race(kind: str, nr_pages: int, kinds: dict[str, Callable[[int], Allocator]], ops: int = OPS) -> Timing:
    """Fill every candidate, then time each on the same requests, piece by piece."""
    requests = Requests(kind, nr_pages)
    fill, stream = requests.fill(), iter(requests)
    pieces = [list(islice(stream, ops)) for _ in range(ROUNDS)]
    candidates = {}
    for name, make in kinds.items():
        allocator, slots = make(nr_pages), [None] * requests.slots
        drive(allocator, fill, slots)
        todo = iter(pieces)
        candidates[name] = lambda allocator=allocator, slots=slots, todo=todo: drive(allocator, next(todo), slots)
    return compare(candidates, ROUNDS)


def race_fragmented(nr_pages: int, kinds: dict[str, Callable[[int], Allocator]], ops: int) -> Timing:
    """Every other page is free: give back one between two of them, take one, again and again."""
    pages = list(range(1, nr_pages, 2))
    random.Random(1).shuffle(pages)
    candidates = {}
    for name, make in kinds.items():
        allocator = make(nr_pages)
        if isinstance(allocator, SetPerOrder):  # a plain list would take hours to get there by itself
            allocator.free_blocks[MAX_ORDER] = allocator.container()
            allocator.free_blocks[0] = allocator.container(range(0, nr_pages, 2))
            allocator.allocated = dict.fromkeys(pages, 0)
        else:
            for pfn in [allocator.alloc(0) for _ in range(nr_pages)]:
                if pfn % 2 == 0:
                    allocator.free(pfn, 0)
        todo = iter(pages)

        def run(allocator: Allocator = allocator, todo: Iterator[int] = todo) -> None:
            for pfn in islice(todo, ops):
                allocator.free(pfn, 0)
                allocator.alloc(0)

        candidates[name] = run
    return compare(candidates, 3)


def check_answers() -> None:
    """What is timed works, and tracing cut out changes nothing."""
    cut = without_tracing(model, "BuddyAllocator")
    for kind in ("mixed", "page"):
        requests = Requests(kind, 1 << 12)
        ops = requests.fill() + list(islice(requests, OPS))
        ours, others = BuddyAllocator(1 << 12), cut(1 << 12)
        held: list[list[int | None]] = [[None] * requests.slots for _ in range(2)]
        for slots, allocator in zip(held, (ours, others), strict=True):
            drive(allocator, ops, slots)
        assert held[0] == held[1]
        assert ours.snapshot() == others.snapshot()
        ours.check()


def main() -> bool:
    """Print the figures; returns whether all goals are met."""
    check_answers()
    books = {"set": SetPerOrder, "list": ListPerOrder}
    ours = {"empty": Empty, "mmkit": BuddyAllocator, "no tracing": without_tracing(model, "BuddyAllocator")}
    holds, calls, gains, tracing = True, {}, {}, {}
    for kind in ("mixed", "page"):
        for bits in BITS:
            # Lists are quick while they are short.
            kinds = ours | {name: book for name, book in books.items() if name == "set" or bits <= 12}
            timing = race(kind, 1 << bits, kinds)
            calls[kind, bits] = timing.ratio("mmkit", "empty")
            tracing[kind, bits] = timing.ratio("mmkit", "no tracing")
            gains |= {(kind, bits, name): timing.ratio(name, "mmkit") for name in kinds if name in books}
            print(f"     {kind}, 2^{bits}: {calls[kind, bits]:.2f} empty calls; " + ", ".join(
                f"{name} {gain:.2f}" for (k, b, name), gain in gains.items() if (k, b) == (kind, bits)
            ) + " times as long")  # fmt: skip
        sizes = [calls[kind, bits] for bits in BITS]
        holds &= report(f"{kind}: alloc or free / an empty method call, worst size", max(sizes), 6)
        holds &= report(f"{kind}: growth from 2^10 to 2^24 pages, in empty calls", max(sizes) / sizes[0], 1.5)
    worst = min(gains, key=lambda key: gains[key])
    holds &= report(f"a plain textbook version where it is fastest {worst} / mmkit", gains[worst], 1.5, at_most=False)
    timing = race_fragmented(1 << 20, books | ours, 200)
    holds &= report("fragmented, 2^20: a list per order / mmkit", timing.ratio("list", "mmkit"), 1000, at_most=False)
    print(
        f"     fragmented, 2^20: {timing.ratio('mmkit', 'empty'):.2f} empty calls; "
        f"set {timing.ratio('set', 'mmkit'):.2f} times as long"
    )
    holds &= report("tracing that nobody listens to / none, median of all", median(tracing.values()), 1.1)
    return holds


if __name__ == "__main__":
    raise SystemExit(not main())
