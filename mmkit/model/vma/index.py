"""VmaIndex: areas in order of address, found by address, in two-level sorted lists.

Models: the maple tree of a ``mm_struct`` (lib/maple_tree.c, Linux 6.18) in what it answers, not in its shape: maple.py
draws that. Leaves out: locks, RCU, and everything that is no area.

Areas are filed under their END, so that the kernel's find_vma() is one bisection; a chunk holds some five hundred.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator

from mmkit.errors import InvariantError
from mmkit.model.vma.area import Vma

CHUNK = 512


class VmaIndex:
    """Areas that do not overlap, in order; those of one chunk stand side by side in two plain lists."""

    def __init__(self) -> None:
        self._ends: list[list[int]] = []
        self._vmas: list[list[Vma]] = []
        self._last_ends: list[int] = []
        self._gaps: list[int] = []
        """Largest gap inside each chunk, the one before its first area not counted; -1: not known."""
        self._count = 0
        self._single: tuple[list[int], list[Vma]] | None = None
        """The lists of the chunk while there is only one."""
        self._cached: Vma | None = None

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Vma]:
        for chunk in self._vmas:
            yield from chunk

    def find(self, addr: int) -> Vma | None:
        """Return the first area that ends above ``addr``, or None."""
        # While there is one chunk, looking at the last answer first costs as much as the bisection that it may spare.
        if self._single:
            ends, vmas = self._single
            at = bisect_right(ends, addr)
            return vmas[at] if at < len(ends) else None
        cached = self._cached
        if cached is not None and cached.vm_start <= addr < cached.vm_end:
            return cached
        number = bisect_right(self._last_ends, addr)
        if number == len(self._last_ends):
            return None
        found = self._cached = self._vmas[number][bisect_right(self._ends[number], addr)]
        return found

    def _place(self, vma: Vma) -> tuple[int, int]:
        number = bisect_right(self._last_ends, vma.vm_start)
        return number, bisect_right(self._ends[number], vma.vm_start)

    def insert(self, vma: Vma) -> None:
        """File a new area."""
        self._count += 1
        if not self._vmas:
            self._ends.append([vma.vm_end])
            self._vmas.append([vma])
            self._last_ends.append(vma.vm_end)
            self._gaps.append(0)
            self._single = self._ends[0], self._vmas[0]
            return
        number = min(bisect_right(self._last_ends, vma.vm_start), len(self._last_ends) - 1)
        ends, vmas = self._ends[number], self._vmas[number]
        at = bisect_right(ends, vma.vm_start)
        ends.insert(at, vma.vm_end)
        vmas.insert(at, vma)
        self._last_ends[number] = ends[-1]
        self._gaps[number] = -1
        if len(ends) > 2 * CHUNK:
            self._halve(number)

    def _halve(self, number: int) -> None:
        ends, vmas = self._ends[number], self._vmas[number]
        self._ends[number : number + 1] = [ends[:CHUNK], ends[CHUNK:]]
        self._vmas[number : number + 1] = [vmas[:CHUNK], vmas[CHUNK:]]
        self._last_ends[number : number + 1] = [ends[CHUNK - 1], ends[-1]]
        self._gaps[number : number + 1] = [-1, -1]
        self._single = None

    def remove(self, vma: Vma) -> None:
        """Take an area out."""
        number, at = self._place(vma)
        ends, vmas = self._ends[number], self._vmas[number]
        del ends[at], vmas[at]
        self._count -= 1
        if self._cached is vma:
            self._cached = None
        if ends:
            self._last_ends[number] = ends[-1]
            self._gaps[number] = -1
        else:
            del self._ends[number], self._vmas[number], self._last_ends[number], self._gaps[number]
            self._single = (self._ends[0], self._vmas[0]) if len(self._ends) == 1 else None

    def set_range(self, vma: Vma, start: int, end: int) -> None:
        """Move the bounds of an area; it stays between its neighbours."""
        number, at = self._place(vma)
        self._ends[number][at] = end
        if at == len(self._ends[number]) - 1:
            self._last_ends[number] = end
        self._gaps[number] = -1
        vma.vm_start, vma.vm_end = start, end

    def next(self, vma: Vma) -> Vma | None:
        """Return the area above ``vma``."""
        number, at = self._place(vma)
        if at + 1 < len(self._vmas[number]):
            return self._vmas[number][at + 1]
        return self._vmas[number + 1][0] if number + 1 < len(self._vmas) else None

    def prev(self, vma: Vma) -> Vma | None:
        """Return the area below ``vma``."""
        number, at = self._place(vma)
        if at:
            return self._vmas[number][at - 1]
        return self._vmas[number - 1][-1] if number else None

    def before(self, addr: int) -> Vma | None:
        """Return the last area that ends at or below ``addr``."""
        number = bisect_right(self._last_ends, addr)
        at = bisect_right(self._ends[number], addr) if number < len(self._ends) else 0
        if at:
            return self._vmas[number][at - 1]
        return self._vmas[number - 1][-1] if number else None

    def overlapping(self, start: int, end: int) -> list[Vma]:
        """Return the areas that have an address in [start, end), in order."""
        found: list[Vma] = []
        number = bisect_right(self._last_ends, start)
        while number < len(self._vmas):
            vmas, at = self._vmas[number], bisect_right(self._ends[number], start)
            while at < len(vmas):
                if vmas[at].vm_start >= end:
                    return found
                found.append(vmas[at])
                at += 1
            number += 1
        return found

    def _largest_inside(self, number: int) -> int:
        if self._gaps[number] < 0:
            ends, vmas = self._ends[number], self._vmas[number]
            self._gaps[number] = max((vma.vm_start - end for vma, end in zip(vmas[1:], ends, strict=False)), default=0)
        return self._gaps[number]

    def highest_gap(self, length: int, low: int, high: int) -> tuple[int, int] | None:
        """Return the highest free range of at least ``length`` bytes inside [low, high), cut to it; None if none.

        Nothing but the areas themselves is kept clear of: guard gaps are the caller's.
        """
        top = high
        for number in range(min(bisect_right(self._last_ends, high), len(self._vmas) - 1), -1, -1):
            ends, vmas = self._ends[number], self._vmas[number]
            if vmas[0].vm_start >= high:
                continue
            if ends[-1] <= top < ends[-1] + length and self._largest_inside(number) < length:
                top = vmas[0].vm_start
                continue
            for vma in reversed(vmas):
                if vma.vm_start >= high:
                    continue
                bottom = max(vma.vm_end, low)
                if top - bottom >= length:
                    return bottom, top
                top = min(top, vma.vm_start)
            if top - low < length:
                return None
        return (low, top) if top - low >= length else None

    def lowest_gap(self, length: int, low: int, high: int) -> tuple[int, int] | None:
        """Return the lowest free range of at least ``length`` bytes inside [low, high), cut to it; None if none."""
        bottom = low
        for number in range(bisect_right(self._last_ends, low), len(self._vmas)):
            ends, vmas = self._ends[number], self._vmas[number]
            if vmas[0].vm_start < bottom + length and self._largest_inside(number) < length:
                bottom = max(bottom, ends[-1])
                continue
            for vma in vmas:
                if min(vma.vm_start, high) - bottom >= length:
                    return bottom, min(vma.vm_start, high)
                bottom = max(bottom, vma.vm_end)
        return (bottom, high) if high - bottom >= length else None

    def check(self) -> None:
        """Raise InvariantError if the chunks do not agree with each other or with their areas."""
        flat = [vma for chunk in self._vmas for vma in chunk]
        if len(flat) != self._count:
            raise InvariantError(f"index: {len(flat)} areas are filed, {self._count} counted")
        if [vma.vm_end for vma in flat] != [end for chunk in self._ends for end in chunk]:
            raise InvariantError("index: an area is not filed under its end")
        if self._last_ends != [chunk[-1] for chunk in self._ends]:
            raise InvariantError("index: the last end of a chunk is not known rightly")
