"""VmaIndex: areas in order of address, found by address, in two-level sorted lists.

Models: the maple tree of a ``mm_struct`` (lib/maple_tree.c, Linux 6.18) in what it answers, not in its shape: maple.py
draws that. Leaves out: locks, RCU, and everything that is no area.

Areas are filed under their END, so that the kernel's find_vma() is a bisection; a chunk holds some five hundred. As
the tree knows the largest gap below each of its slots, so each chunk knows a bound for the gaps below its areas.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from itertools import chain, islice

from mmkit.errors import InvariantError
from mmkit.model.vma.area import Vma

CHUNK = 512
"""A chunk is halved when it has twice as many areas, and put to its neighbour when it has a quarter of them."""
Gap = tuple[int, int]


class VmaIndex:
    """Areas that do not overlap, in order; those of one chunk stand side by side in two plain lists."""

    __slots__ = ("_cached", "_count", "_ends", "_only_ends", "_only_vmas", "_pivots", "_vmas", "_widest")

    def __init__(self) -> None:
        self._ends: list[list[int]] = [[]]
        self._vmas: list[list[Vma]] = [[None]]  # type: ignore[list-item]
        """The last list ends with None: what a search above all areas finds."""
        self._pivots: list[int] = []
        """The last end of each chunk but the last one."""
        self._widest: list[int] = [0]
        """No gap below an area of the chunk is wider. That below the lowest area of all does not count."""
        self._count = 0
        self._cached: Vma | None = None
        self._only_ends, self._only_vmas = self._ends[0], self._vmas[0]
        """The lists of the chunk while there is only one, else empty."""

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Vma]:
        return islice(chain.from_iterable(self._vmas), self._count)

    def find(self, addr: int) -> Vma | None:
        """Return the first area that ends above ``addr``, or None."""
        # While there is one chunk, looking at the last answer first costs as much as the bisection that it may spare.
        if self._only_vmas:
            return self._only_vmas[bisect_right(self._only_ends, addr)]
        cached = self._cached
        if cached is not None and cached.vm_start <= addr < cached.vm_end:
            return cached
        number = bisect_right(self._pivots, addr)
        found = self._cached = self._vmas[number][bisect_right(self._ends[number], addr)]
        return found

    def _place(self, addr: int) -> tuple[int, int]:
        """Return the chunk, and the place in it, of the first area that ends above ``addr``."""
        number = bisect_right(self._pivots, addr)
        return number, bisect_right(self._ends[number], addr)

    def insert(self, vma: Vma) -> None:
        """File a new area."""
        number = bisect_right(self._pivots, vma.vm_start)
        ends = self._ends[number]
        at = bisect_right(ends, vma.vm_start)
        ends.insert(at, vma.vm_end)
        self._vmas[number].insert(at, vma)
        self._count += 1
        # Between two areas one gap became two smaller ones; only at either end of all there are new ones.
        if at == len(ends) - 1:
            self._widen(number, at)
        if not at and not number:
            self._widen(0, 1)
        if len(ends) > 2 * CHUNK:
            self._cut(number, CHUNK)

    def split(self, vma: Vma, upper: Vma) -> None:
        """Let ``vma`` end where ``upper`` starts, which is new and ends where ``vma`` did."""
        # In this order no gap comes up between them for a moment, which would raise the bound for good.
        number, at = self._place(vma.vm_start)
        self._ends[number].insert(at, upper.vm_start)
        self._vmas[number].insert(at + 1, upper)
        vma.vm_end = upper.vm_start
        self._count += 1
        if len(self._ends[number]) > 2 * CHUNK:
            self._cut(number, CHUNK)

    def remove(self, vma: Vma, filled: bool = False) -> None:
        """Take an area out; with ``filled``, others will grow into all of its room at once."""
        number, at = self._place(vma.vm_start)
        ends = self._ends[number]
        del ends[at], self._vmas[number][at]
        self._count -= 1
        if self._cached is vma:
            self._cached = None
        if at == len(ends) and ends and number < len(self._pivots):
            self._pivots[number] = ends[-1]
        if len(ends) < CHUNK // 4 and self._pivots:
            self._join(max(number - 1, 0))
            number, at = self._place(vma.vm_start)
        if not filled:
            self._widen(number, at)

    def set_range(self, vma: Vma, start: int, end: int, filled: bool = False) -> None:
        """Move the bounds of an area; it stays between its neighbours. With ``filled``, they take what it gives up."""
        number, at = self._place(vma.vm_start)
        ends = self._ends[number]
        ends[at] = end
        if at == len(ends) - 1 and number < len(self._pivots):
            self._pivots[number] = end
        vma.vm_start, vma.vm_end = start, end
        if not filled:
            self._widen(number, at)
            self._widen(number, at + 1)

    def _widen(self, number: int, at: int) -> None:
        """The gap below an area may have become wider: that at ``at``, or the first of the next chunk."""
        if at == len(self._ends[number]):
            number, at = number + 1, 0
            if number == len(self._ends):
                return
        vma = self._vmas[number][at]
        if at or number:
            width = vma.vm_start - (self._ends[number][at - 1] if at else self._pivots[number - 1])
            if width > self._widest[number]:
                self._widest[number] = width

    def _cut(self, number: int, at: int) -> None:
        """Make two chunks of one."""
        ends, vmas = self._ends[number], self._vmas[number]
        self._ends.insert(number + 1, ends[at:])
        self._vmas.insert(number + 1, vmas[at:])
        del ends[at:], vmas[at:]
        self._pivots.insert(number, ends[-1])
        self._widest[number : number + 1] = self._width(number), self._width(number + 1)
        self._only_ends, self._only_vmas = [], []

    def _join(self, number: int) -> None:
        """Put a chunk and the next one together if that makes no large one, or if one of them is empty."""
        ends, more = self._ends[number], self._ends[number + 1]
        if ends and more and len(ends) + len(more) > CHUNK:
            return
        ends += self._ends.pop(number + 1)
        self._vmas[number] += self._vmas.pop(number + 1)
        self._widest[number] = max(self._widest[number], self._widest.pop(number + 1))
        del self._pivots[number]
        if number < len(self._pivots):
            self._pivots[number] = ends[-1]
        if not self._pivots:
            self._only_ends, self._only_vmas = ends, self._vmas[number]

    def next(self, vma: Vma) -> Vma | None:
        """Return the area above ``vma``."""
        number, at = self._place(vma.vm_start)
        vmas = self._vmas[number]
        return vmas[at + 1] if at + 1 < len(vmas) else self._vmas[number + 1][0]

    def prev(self, vma: Vma) -> Vma | None:
        """Return the area below ``vma``."""
        return self._below(*self._place(vma.vm_start))

    def before(self, addr: int) -> Vma | None:
        """Return the last area that ends at or below ``addr``."""
        return self._below(*self._place(addr))

    def _below(self, number: int, at: int) -> Vma | None:
        if at:
            return self._vmas[number][at - 1]
        return self._vmas[number - 1][-1] if number else None

    def overlapping(self, start: int, end: int) -> list[Vma]:
        """Return the areas that have an address in [start, end), in order."""
        found: list[Vma] = []
        number, at = self._place(start)
        while number < len(self._vmas):
            for vma in islice(self._vmas[number], at, None):
                if vma is None or vma.vm_start >= end:
                    return found
                found.append(vma)
            number, at = number + 1, 0
        return found

    def highest_gap(self, length: int, low: int, high: int) -> Gap | None:
        """Return the highest free range of at least ``length`` bytes inside [low, high), cut to it; None if none.

        Nothing but the areas themselves is kept clear of: guard gaps are the caller's.
        """
        number, at = self._place(high)
        above, below = self._vmas[number][at], self._below(number, at)
        bottom, top = below.vm_end if below else 0, min(high, above.vm_start) if above else high
        if below and top - max(bottom, low) < length:
            bottom, top = self._highest_below(number, at, length) or (0, self._vmas[0][0].vm_start)
        bottom = max(bottom, low)
        return (bottom, top) if top - bottom >= length else None

    def _highest_below(self, number: int, at: int, length: int) -> Gap | None:
        """Return the highest wide gap below an area before the one at ``at``; the lowest area of all does not count."""
        while True:
            if self._widest[number] >= length and (gap := self._highest_in(number, at, length)):
                return gap
            if not number:
                return None
            number -= 1
            at = len(self._ends[number])

    def _highest_in(self, number: int, at: int, length: int) -> Gap | None:
        ends, vmas = self._ends[number], self._vmas[number]
        for place in range(at - 1, 0, -1):
            if vmas[place].vm_start - ends[place - 1] >= length:
                return ends[place - 1], vmas[place].vm_start
        if at and number and vmas[0].vm_start - self._pivots[number - 1] >= length:
            return self._pivots[number - 1], vmas[0].vm_start
        # In vain. Once more would be too: the bound was too high, or the wide gap is above where the search began.
        if at == len(ends):
            self._widest[number] = self._width(number)
        elif at > CHUNK // 4:
            self._cut(number, at)
        return None

    def lowest_gap(self, length: int, low: int, high: int) -> Gap | None:
        """Return the lowest free range of at least ``length`` bytes inside [low, high), cut to it; None if none."""
        number, at = self._place(low)
        above = self._vmas[number][at]
        bottom, top = low, above.vm_start if above else high
        if above and min(top, high) - low < length:
            bottom, top = self._lowest_above(number, at + 1, length) or (self._ends[-1][-1], high)
        top = min(top, high)
        return (bottom, top) if top - bottom >= length else None

    def _lowest_above(self, number: int, at: int, length: int) -> Gap | None:
        """Return the lowest wide gap below an area from that at ``at`` on."""
        while number < len(self._widest):
            if self._widest[number] >= length and (gap := self._lowest_in(number, at, length)):
                return gap
            number, at = number + 1, 0
        return None

    def _lowest_in(self, number: int, at: int, length: int) -> Gap | None:
        ends, vmas = self._ends[number], self._vmas[number]
        bottom = ends[at - 1] if at else self._pivots[number - 1]
        for place in range(at, len(ends)):
            if vmas[place].vm_start - bottom >= length:
                return bottom, vmas[place].vm_start
            bottom = ends[place]
        if at <= (not number):
            self._widest[number] = self._width(number)
        elif at < len(ends) - CHUNK // 4:
            self._cut(number, at)
        return None

    def _width(self, number: int) -> int:
        """Return how wide the widest gap below an area of the chunk is."""
        ends, vmas = self._ends[number], self._vmas[number]
        bottoms = chain(self._pivots[number - 1 : number], ends) if number else ends
        areas = islice(vmas, not number, len(ends))
        return max((vma.vm_start - bottom for vma, bottom in zip(areas, bottoms, strict=False)), default=0)

    def check(self) -> None:
        """Raise InvariantError, with the name of the rule, if the chunks do not agree with each other or the areas."""
        for rule, holds in self._rules():
            if not holds:
                raise InvariantError(f"index: {rule}")

    def _rules(self) -> Iterator[tuple[str, bool]]:
        sizes, last = [len(ends) for ends in self._ends], len(self._ends) - 1
        held = [len(vmas) for vmas in self._vmas]
        yield "the last area has None above it", held[last] == sizes[last] + 1 and self._vmas[last][-1] is None
        yield "as many ends as areas", held[:last] == sizes[:last]
        yield "as many areas as are counted", sum(sizes) == self._count
        yield "each area is filed under its end", [vma.vm_end for vma in self] == list(chain(*self._ends))
        yield "no chunk is empty but the only one", all(sizes) or not last
        yield "no chunk is too large", max(sizes) <= 2 * CHUNK
        yield "the last end of each chunk is known", self._pivots == [ends[-1] for ends in self._ends[:-1]]
        yield "a bound for the gaps of each chunk", len(self._widest) == len(sizes)
        widths = [self._width(number) for number in range(len(sizes))]
        yield "no gap is wider than its bound", all(map(int.__le__, widths, self._widest))
        yield "the area found last is still there", self._cached is None or self._cached in list(self)
        only = ([], []) if last else (self._ends[0], self._vmas[0])
        yield "the only chunk is known as such", only == (self._only_ends, self._only_vmas)
