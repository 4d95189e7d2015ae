"""The picture of 1,000 areas, updated in place, against the same picture drawn anew.

python benchmarks/vmapicture.py
"""

from __future__ import annotations

from itertools import cycle

from ratio import compare, report

from mmkit.model.vma import MmStruct
from mmkit.model.vmaflags import MAP_ANONYMOUS, MAP_FIXED, MAP_PRIVATE
from mmkit.model.vmastate import MmState
from mmkit.view.vma import AddressSpacePicture

AREAS, PAGE, BASE = 1_000, 4096, 0x1000_0000


def states() -> list[MmState]:
    """1,000 areas of changing rights; and the same with one more, in two steps."""
    mm = MmStruct(name="crowd")
    for number in range(AREAS):
        flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED
        mm.mmap(BASE + 3 * number * PAGE, 2 * PAGE, 1 + 2 * (number % 2), flags)
    found = [mm.snapshot()]
    for page in (500 * 3, 700 * 3):
        mm.mprotect(BASE + page * PAGE, PAGE, 5)
        found.append(mm.snapshot())
    return found


def main() -> bool:
    """Print what holds."""
    known = states()
    turns, picture = cycle(known), AddressSpacePicture(known[0])

    def update() -> bytes:
        picture.update(next(turns))
        return picture.png()

    def anew() -> bytes:
        return AddressSpacePicture(next(turns)).png()

    for _ in known:
        update()
        anew()
    timing = compare({"in place": update, "anew": anew}, rounds=15)
    picture.update(known[0])
    assert picture.png() == AddressSpacePicture(known[0]).png()
    holds = report(
        f"picture of {AREAS:,} areas: drawn anew / updated in place", timing.ratio("anew", "in place"), 5, at_most=False
    )
    print(f"     in this run, CPU ms: {', '.join(f'{n} {timing.median(n) * 1e3:.1f}' for n in ('in place', 'anew'))}")
    return holds


if __name__ == "__main__":
    raise SystemExit(not main())
