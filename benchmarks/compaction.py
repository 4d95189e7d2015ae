"""What compaction costs per page that it moves, from small memories to large ones, and beside the plain version.

python benchmarks/compaction.py

Memory is full of single pages, one in twenty of them unmovable; then two of three movable pages are freed at random.
Each figure is a whole run over such memory, to the point where the scanners meet, divided by the pages that it moved.
The plain version is the one that one would write down first: it looks at every page in turn and keeps the free blocks
and the blocks in use in dicts.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Callable
from pathlib import Path

from ratio import Timing, compare, report

from mmkit.model.buddy import BuddyAllocator, MigrateType
from mmkit.model.compaction import Compaction
from mmkit.model.memory import PhysicalMemory
from mmkit.model.snapshot import BuddySnapshot
from mmkit.model.trace import Trace

sys.path.insert(0, str(Path(__file__).parents[1]))
from tests.model.naive_compaction import NaiveCompaction

BITS = (14, 16, 18, 20)
ROUNDS = 5


def scattered(bits: int) -> BuddySnapshot:
    """Memory of 2^bits pages, full of holes."""
    rng, buddy = random.Random(bits), BuddyAllocator(1 << bits)
    for _ in range(1 << bits):
        buddy.alloc(0, MigrateType.UNMOVABLE if rng.random() < 0.05 else MigrateType.MOVABLE)
    for pfn, order, kind in buddy.snapshot().allocated_blocks:
        if kind == MigrateType.MOVABLE and rng.random() < 0.67:
            buddy.free(pfn, order)
    return buddy.snapshot()


def runs(snapshot: BuddySnapshot, trace: bool = False) -> Callable[[], int]:
    """Return what compacts the next of some allocators in that state."""
    made = [Compaction(BuddyAllocator.from_snapshot(snapshot), trace=Trace() if trace else None) for _ in range(ROUNDS)]
    todo = iter(made)
    return lambda: next(todo).run()


def runs_of_pages(nr_bytes: int) -> tuple[Callable[[], int], int]:
    """The same for the pages of a machine, of which a memory map tells what they are; and the pages that it moves."""
    made = []
    for _ in range(ROUNDS):
        memory, rng, ring = PhysicalMemory("X86_64", nr_bytes, pcp=False), random.Random(1), None
        pages = []
        for i in range(memory.zone("DMA32").free_pages - 2000):
            page = memory.alloc_pages("GFP_HIGHUSER_MOVABLE")
            page.set_anon(0x1000, i)
            page.map()
            page.lru_add(ring)
            ring = page
            pages.append(page)
        for page in pages:
            if rng.random() < 0.67:
                page.lru_del()
                page.unmap()
                memory.free_pages(page)
        made.append(memory)
    moved = PhysicalMemory.from_snapshot(made[0].snapshot()).compact_zone("DMA32")
    todo = iter(made)
    return lambda: next(todo).compact_zone("DMA32"), moved


def check_answers(snapshot: BuddySnapshot) -> int:
    """What is timed does the right thing; returns how many pages it moves."""
    buddy = BuddyAllocator.from_snapshot(snapshot)
    run = Compaction(buddy)
    run.run()
    run.check()
    assert run.status == "complete"
    assert buddy.free_pages == snapshot.free_pages
    assert run.moved == NaiveCompaction(snapshot).foretell()
    assert buddy.unusable_index(9) < 0.3 < 0.9 < BuddyAllocator.from_snapshot(snapshot).unusable_index(9)
    return run.nr_moved


def per_page(timing: Timing, moved: dict[str, int], name: str, to: str) -> float:
    """Return the cost of a page as a multiple of another's."""
    return timing.ratio(name, to) * moved[to] / moved[name]


def main() -> bool:
    """Print the figures; returns whether all goals are met."""
    snapshots = {bits: scattered(bits) for bits in BITS}
    moved = {f"2^{bits}": check_answers(snapshot) for bits, snapshot in snapshots.items()}
    timing = compare({f"2^{bits}": runs(snapshot) for bits, snapshot in snapshots.items()}, ROUNDS)
    growth = {bits: per_page(timing, moved, f"2^{bits}", "2^14") for bits in BITS}
    for bits, cost in growth.items():
        print(f"     2^{bits} pages: {moved[f'2^{bits}']:,} moved, {cost:.2f} times the cost of a page at 2^14")
    holds = report("cost of a page moved, growth from 2^14 to 2^20 pages", growth[20], 1.5)
    small = snapshots[16]
    compared = compare(
        {"mmkit": runs(small), "told": runs(small, True), "plain": lambda: NaiveCompaction(small).foretell()}, ROUNDS
    )
    holds &= report("the plain version / mmkit, 2^16 pages", compared.ratio("plain", "mmkit"), 1, at_most=False)
    print(f"     with every step told to a trace: {compared.ratio('told', 'mmkit'):.2f} times as long")
    sizes = {"64 MiB": runs_of_pages(80 << 20), "256 MiB": runs_of_pages(272 << 20)}
    pages = compare({name: run for name, (run, _) in sizes.items()}, ROUNDS)
    grown = per_page(pages, {name: count for name, (_, count) in sizes.items()}, "256 MiB", "64 MiB")
    return holds & report("the same for pages with their struct page, from 64 to 256 MiB", grown, 1.5)


if __name__ == "__main__":
    raise SystemExit(not main())
