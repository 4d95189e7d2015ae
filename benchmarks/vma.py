"""Areas found, put in and taken out, mapped and unmapped, when there are few and when there are 65,530.

python benchmarks/vma.py

What is compared with: ``bisect`` on one plain list of end addresses, which is what anyone would write first.
"""

from __future__ import annotations

import random
from bisect import bisect_right
from collections.abc import Callable

from ratio import compare, report

from mmkit.model.vma import MmStruct, Vma
from mmkit.model.vmaflags import MAP_ANONYMOUS, MAP_FIXED, MAP_PRIVATE, PROT_READ, PROT_WRITE

PAGE, BASE = 4096, 0x1000_0000
ANON = MAP_PRIVATE | MAP_ANONYMOUS
SEARCHES, CHANGES, PAIRS = 20_000, 2_000, 1_000
MOST = 65_530


def spread_out(count: int) -> MmStruct:
    """An address space with an area on every second page."""
    mm = MmStruct(max_map_count=2 * MOST)
    for number in range(count):
        mm.mmap(BASE + 2 * number * PAGE, PAGE, PROT_READ, ANON | MAP_FIXED)
    return mm


def side_by_side(count: int) -> MmStruct:
    """An address space without a gap between its areas, which differ in their rights."""
    mm = MmStruct(max_map_count=2 * MOST)
    for number in range(count):
        mm.mmap(0, PAGE, PROT_READ | PROT_WRITE * (number % 2), ANON)
    return mm


def finding(count: int) -> tuple[Callable[[], object], Callable[[], object]]:
    """A bare bisect and find_vma(), each for the same addresses, half of them in a gap."""
    mm, rng = spread_out(count), random.Random(1)
    ends, vmas = [vma.vm_end for vma in mm.vmas], list(mm.vmas)
    wanted = [BASE + rng.randrange(2 * count) * PAGE for _ in range(SEARCHES)]

    def bare(addr: int) -> Vma | None:
        at = bisect_right(ends, addr)
        return vmas[at] if at < len(vmas) else None

    assert [bare(addr) for addr in wanted] == [mm.find_vma(addr) for addr in wanted]

    def all_bare() -> None:
        for addr in wanted:
            bare(addr)

    def ours() -> None:
        for addr in wanted:
            mm.find_vma(addr)

    return all_bare, ours


def changing() -> tuple[Callable[[], object], Callable[[], object]]:
    """Areas put into gaps and taken out again, among 65,530: of plain sorted lists, and of the index."""
    index = spread_out(MOST).index
    ends, vmas = [vma.vm_end for vma in index], list(index)
    gaps = random.Random(2).sample(range(MOST - 1), CHANGES)
    new = [Vma(BASE + (2 * gap + 1) * PAGE, BASE + (2 * gap + 2) * PAGE, PROT_READ, 0) for gap in gaps]

    def plain() -> None:
        for vma in new:
            at = bisect_right(ends, vma.vm_end)
            ends.insert(at, vma.vm_end)
            vmas.insert(at, vma)
        for vma in new:
            at = bisect_right(ends, vma.vm_start)
            del ends[at], vmas[at]

    def ours() -> None:
        for vma in new:
            index.insert(vma)
        for vma in new:
            index.remove(vma)

    return plain, ours


def mapping(mm: MmStruct) -> Callable[[], object]:
    """A page mapped where there is room, and unmapped."""

    def pairs() -> None:
        for _ in range(PAIRS):
            mm.munmap(mm.mmap(0, PAGE, PROT_READ | PROT_WRITE, ANON), PAGE)

    return pairs


def main() -> bool:
    """Print what holds."""
    holds = []
    for count in (10, 1_000, MOST):
        bare, ours = finding(count)
        timing = compare({"bare": bare, "ours": ours}, rounds=9)
        holds.append(report(f"find_vma among {count:,} areas / a bare bisect", timing.ratio("ours", "bare"), 1.4))
    plain, ours = changing()
    timing = compare({"plain": plain, "ours": ours}, rounds=7)
    claim = f"insert and remove among {MOST:,}: a plain sorted list / the index"
    holds.append(report(claim, timing.ratio("plain", "ours"), 5, at_most=False))
    for name, make in (("gaps everywhere", spread_out), ("no gap below the base but the last", side_by_side)):
        timing = compare({"few": mapping(make(100)), "many": mapping(make(MOST))}, rounds=7)
        claim = f"mmap and munmap among {MOST:,} / among 100 areas, {name}"
        holds.append(report(claim, timing.ratio("many", "few"), 5))
    return all(holds)


if __name__ == "__main__":
    raise SystemExit(not main())
