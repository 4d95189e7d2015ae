"""Areas found, put in and taken out, mapped and unmapped, when there are few and when there are 65,530.

python benchmarks/vma.py

What is compared with: ``bisect`` on one plain list of end addresses, which is what anyone would write first, in a
function that looks up the area too. Addresses are drawn in two ways: *scattered*, each anywhere, half of them in a gap;
and *local*, as those of a program: four of five lie in the area of the one before, the fifth lies anywhere.
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


def below_a_stack(count: int) -> MmStruct:
    """The same below a stack, with a wide gap between, and with one hole in the middle."""
    mm = MmStruct(max_map_count=2 * MOST)
    mm.mmap(mm.task_size - 64 * PAGE, 64 * PAGE, PROT_READ | PROT_WRITE, ANON | MAP_FIXED)
    for number in range(count):
        mm.mmap(0, PAGE, PROT_READ | PROT_WRITE * (number % 2), ANON)
    mm.munmap(mm.mmap_base - count // 4 * 2 * PAGE, PAGE)
    return mm


def addresses(kind: str, count: int, rng: random.Random) -> list[int]:
    """Addresses to look for, among areas that are spread out."""
    drawn = [BASE + rng.randrange(2 * count) * PAGE for _ in range(SEARCHES)]
    if kind == "local":
        for number in range(1, SEARCHES):
            if rng.random() < 0.8:
                drawn[number] = drawn[number - 1] & ~(2 * PAGE - 1) | rng.randrange(PAGE)
    return drawn


def finding(kind: str, count: int) -> dict[str, Callable[[], object]]:
    """A bare bisect and find_vma(), each for the same addresses, and the bisect without a function around it."""
    mm = spread_out(count)
    ends, vmas = [vma.vm_end for vma in mm.vmas], list(mm.vmas)
    wanted = addresses(kind, count, random.Random(1))

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

    def in_line() -> None:
        for addr in wanted:
            at = bisect_right(ends, addr)
            _ = vmas[at] if at < len(vmas) else None

    return {"bare": all_bare, "ours": ours, "in line": in_line}


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
        for kind in ("scattered", "local"):
            timing = compare(finding(kind, count), rounds=11)
            claim = f"find_vma among {count:,} areas, {kind} / a bare bisect"
            holds.append(report(claim, timing.ratio("ours", "bare"), 1.4))
            print(f"     / one that is not even in a function: {timing.ratio('ours', 'in line'):.2f}")
    plain, ours = changing()
    timing = compare({"plain": plain, "ours": ours}, rounds=7)
    claim = f"insert and remove among {MOST:,}: a plain sorted list / the index"
    holds.append(report(claim, timing.ratio("plain", "ours"), 5, at_most=False))
    layouts = {
        "gaps everywhere": spread_out, "no gap below the base but the last": side_by_side,
        "one hole in the middle, a stack above": below_a_stack,
    }  # fmt: skip
    for name, make in layouts.items():
        timing = compare({"few": mapping(make(100)), "many": mapping(make(MOST))}, rounds=7)
        claim = f"mmap and munmap among {MOST:,} / among 100 areas, {name}"
        holds.append(report(claim, timing.ratio("many", "few"), 5))
    return all(holds)


if __name__ == "__main__":
    raise SystemExit(not main())
