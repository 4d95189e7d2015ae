"""Slab caches against an empty method call and against the plain simulator that searches its slabs in line.

python benchmarks/slab.py

Streams of requests: *any* (objects live for any time: the one given back is drawn at random) and *young* (in bursts
that mostly die young). Both keep about as many objects in use as said. All of it runs through the public methods; the
loop that calls them is part of every figure.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from statistics import median
from typing import Protocol

from ratio import Timing, compare, report
from untraced import without_tracing

from mmkit.model import slab as model
from mmkit.model.kmalloc import SlabAllocator
from mmkit.model.memory import PhysicalMemory
from mmkit.model.slab import KmemCache

SIZE, OBJECTS = 192, 21
LIVE = (1, 200, 20_000, 200_000)
ROUNDS, OPS = 9, 10_000


class Allocator(Protocol):
    """What is compared."""

    def alloc(self) -> int:
        """Take an object."""

    def free(self, address: int) -> None:
        """Give one back."""


class Empty:
    """Methods that do nothing: what calling them costs."""

    def __init__(self) -> None:
        self.next = 0

    def alloc(self) -> int:
        """Take nothing."""
        return 0

    def free(self, address: int) -> None:
        """Give nothing."""


class PlainSlab:
    """One slab of the plain simulator."""

    def __init__(self, start: int) -> None:
        self.start, self.end = start, start + OBJECTS * SIZE
        self.free = [start + index * SIZE for index in reversed(range(OBJECTS))]
        self.used: set[int] = set()


class SearchedInLine:
    """The plain version: a list of slabs, searched for one with room, and for the one that an address lies in."""

    def __init__(self) -> None:
        self.slabs: list[PlainSlab] = []
        self.next = 0

    def alloc(self) -> int:
        """Take an object."""
        for slab in self.slabs:
            if slab.free:
                break
        else:
            slab = PlainSlab(self.next)
            self.next += 4096
            self.slabs.append(slab)
        address = slab.free.pop()
        slab.used.add(address)
        return address

    def free(self, address: int) -> None:
        """Give one back."""
        for slab in self.slabs:
            if slab.start <= address < slab.end:
                break
        else:
            raise ValueError(address)
        slab.used.remove(address)
        slab.free.append(address)
        if not slab.used:
            self.slabs.remove(slab)


class Kmalloc:
    """``kmalloc`` of the same size."""

    def __init__(self, slabs: SlabAllocator) -> None:
        self.slabs = slabs

    def alloc(self) -> int:
        """Take 192 bytes."""
        return self.slabs.kmalloc(SIZE)

    def free(self, address: int) -> None:
        """Give them back."""
        self.slabs.kfree(address)


def memory() -> PhysicalMemory:
    """Enough for every benchmark."""
    return PhysicalMemory("X86_64", "1GiB")


def cache(kind: Callable[..., KmemCache] = KmemCache) -> KmemCache:
    """A cache like that of directory entries."""
    return kind("dentry", SIZE, memory=memory())


def stream(kind: str, live: int, ops: int, rng: random.Random) -> list[int]:
    """Return slots to be filled if empty and emptied if not; each time as many, so that ``live`` of them stay full."""
    slots: list[int] = []
    while len(slots) < ops:
        if kind == "any":
            slots += [rng.randrange(2 * live)]
        else:
            burst = [rng.randrange(2 * live) for _ in range(rng.randrange(1, 60))]
            slots += burst + [slot for slot in reversed(burst) if rng.random() < 0.75]
    return slots[:ops]


def drive(allocator: Allocator, ops: list[int], held: list[int | None]) -> None:
    """Play requests."""
    alloc, free = allocator.alloc, allocator.free
    for slot in ops:
        address = held[slot]
        if address is None:
            held[slot] = alloc()
        else:
            free(address)
            held[slot] = None


def race(kind: str, live: int, kinds: dict[str, Callable[[], Allocator]], rounds: int = ROUNDS) -> Timing:
    """Fill every candidate, then time each on the same requests, piece by piece."""
    rng = random.Random(live)
    pieces = [
        stream(kind, live, OPS if live <= 20_000 or "plain" not in kinds else OPS // 10, rng) for _ in range(rounds)
    ]
    candidates = {}
    for name, make in kinds.items():
        allocator, held = make(), [None] * (2 * live)
        drive(allocator, list(range(0, 2 * live, 2)), held)
        todo = iter(pieces)
        candidates[name] = lambda allocator=allocator, held=held, todo=todo: drive(allocator, next(todo), held)
    return compare(candidates, rounds)


def check_answers() -> None:
    """What is timed works, and tracing cut out changes nothing."""
    for kind in ("any", "young"):
        ops = stream(kind, 500, 20_000, random.Random(1))
        ours, cut, slabs = cache(), cache(without_tracing(model, "KmemCache")), SlabAllocator(memory())
        held: list[list[int | None]] = [[None] * 1000 for _ in range(3)]
        for slots, allocator in zip(held, (ours, cut, Kmalloc(slabs)), strict=True):
            drive(allocator, ops, slots)
        assert held[0] == held[1]
        assert len(ours.live) == sum(address is not None for address in held[2])
        ours.check()
        slabs.check()


def main() -> bool:
    """Print the figures; returns whether all goals are met."""
    check_answers()
    cut = without_tracing(model, "KmemCache")
    ours: dict[str, Callable[[], Allocator]] = {
        "empty": Empty,
        "mmkit": cache,
        "no tracing": lambda: cache(cut),
        "kmalloc": lambda: Kmalloc(SlabAllocator(memory())),
    }
    holds, calls, kmalloc, tracing = True, {}, {}, []
    for kind in ("any", "young"):
        for live in LIVE:
            timing = race(kind, live, ours)
            calls[kind, live], kmalloc[kind, live] = timing.ratio("mmkit", "empty"), timing.ratio("kmalloc", "empty")
            tracing.append(timing.ratio("mmkit", "no tracing"))
            print(
                f"     {kind}, {live:,} objects: {calls[kind, live]:.2f} empty calls, kmalloc {kmalloc[kind, live]:.2f}"
            )
        sizes = [calls[kind, live] for live in LIVE]
        holds &= report(f"{kind}: alloc or free / an empty method call, worst number of objects", max(sizes), 8)
        holds &= report(f"{kind}: growth from 10 to 10^4 slabs, in empty calls", sizes[-1] / sizes[1], 2)
    holds &= report("kmalloc or kfree / an empty method call, worst number of objects", max(kmalloc.values()), 11)
    gains = {}
    for kind in ("any", "young"):
        for live in LIVE[:3]:
            timing = race(kind, live, {"plain": SearchedInLine, "mmkit": cache}, ROUNDS if live < 20_000 else 3)
            gains[kind, live] = timing.ratio("plain", "mmkit")
            print(f"     {kind}, {live:,} objects: slabs searched in line take {gains[kind, live]:.2f} times as long")
    worst = min(gains, key=lambda key: gains[key])
    holds &= report(f"slabs searched in line, where they are fastest {worst} / mmkit", gains[worst], 1, at_most=False)
    large = min(gains[kind, 20_000] for kind in ("any", "young"))
    holds &= report("slabs searched in line / mmkit, 20,000 objects in use", large, 15, at_most=False)
    holds &= report("tracing that nobody listens to / none, median of all", median(tracing), 1.1)
    return holds


if __name__ == "__main__":
    raise SystemExit(not main())
