"""Seeded random sequences of calls: many that split and merge, some that no program should make.

A call is a name and its arguments; "mmap" names its file by number (-1: none), "brk" counts from the first end of the
heap, "touch" has an address and whether it writes.
"""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import Any

from vmapeers import PAGE, WINDOW

from mmkit.model import vmaflags as f

Call = tuple[Any, ...]
USED_PAGES = 96
RIGHTS = (0, 1, 3, 3, 3, 5, 7, 1, 2)
LENGTHS = (1, 1, 2, 3, 4, 6, 8, 12, 20)
ODD_ADDRESSES = (0, -PAGE, 1 << 47, (1 << 47) - PAGE, 1 << 63, 0xFFFF_8000_0000_0000, (1 << 47) - 2 * PAGE)
ODD_LENGTHS = (0, 1, PAGE + 1, -1, -PAGE, 1 << 47, 1 << 63, -4095, PAGE - 1)
ADVICE = (0, 1, 2, 4, 4, 8, 10, 11, 14, 15, 16, 17, 18, 19, 24, 22, 23, 20, 99)
REMAPS = (0, 1, 1, 1, 3, 3, 3, 3, 5, 7, 2, 8)
ODD_PROTS = (f.PROT_GROWSDOWN, f.PROT_GROWSUP, f.PROT_GROWSDOWN | f.PROT_GROWSUP, 8, 16)
SOMETIMES = {
    f.MAP_GROWSDOWN: 0.06, f.MAP_NORESERVE: 0.06, f.MAP_POPULATE: 0.06, f.MAP_LOCKED: 0.04, f.MAP_STACK: 0.03,
    f.MAP_NONBLOCK: 0.02,
}  # fmt: skip


class Sequence:
    """Calls of one seed; ``elsewhere`` holds addresses outside the window where something was mapped."""

    def __init__(self, seed: int, nr_files: int) -> None:
        self.random, self.nr_files = Random(seed), nr_files
        self.elsewhere: list[int] = []

    def __iter__(self) -> Iterator[Call]:
        makers = {
            self._mmap: 34, self._munmap: 12, self._mprotect: 14, self._mremap: 10, self._madvise: 7, self._mlock: 4,
            self._munlock: 3, self._brk: 2, self._fork: 0.1, self._touch: 14,
        }  # fmt: skip
        while True:
            yield self.random.choices(list(makers), list(makers.values()))[0]()

    def _chance(self, of: float) -> bool:
        return self.random.random() < of

    def _address(self) -> int:
        if self._chance(0.01):
            return self.random.choice(ODD_ADDRESSES)
        addr = WINDOW + self.random.randrange(USED_PAGES) * PAGE
        return addr + self.random.choice((1, 2048, -1, 8)) if self._chance(0.02) else addr

    def _somewhere(self) -> int:
        return self.random.choice(self.elsewhere) if self.elsewhere and self._chance(0.5) else self._address()

    def _length(self) -> int:
        return self.random.choice(ODD_LENGTHS) if self._chance(0.02) else self.random.choice(LENGTHS) * PAGE

    def _mmap(self) -> Call:
        flags = self.random.choice((0, 3, 4, 7)) if self._chance(0.01) else self.random.choice((1, 2, 2, 2, 2, 2))
        prot = self.random.choice(RIGHTS) | (self.random.choice(ODD_PROTS) if self._chance(0.01) else 0)
        addr, place = self._address(), self.random.random()
        if place < 0.62:
            flags |= f.MAP_FIXED
        elif place < 0.75:
            flags |= f.MAP_FIXED_NOREPLACE
        elif place > 0.93:
            addr = 0
        for flag, often in SOMETIMES.items():
            flags |= flag if self._chance(often) else 0
        if not self._chance(0.35):
            return "mmap", addr, self._length(), prot, flags | f.MAP_ANONYMOUS, -1, 0
        offset = self.random.choice((0, 0, 1, 2, 5, 8, 20, 30)) * PAGE
        if self._chance(0.6) and addr >= WINDOW:
            offset = addr - WINDOW
        if self._chance(0.02):
            offset = self.random.choice((1, (1 << 63) - PAGE, (1 << 64) - PAGE))
        return "mmap", addr, self._length(), prot, flags, self.random.randrange(self.nr_files), offset

    def _munmap(self) -> Call:
        return "munmap", self._somewhere(), self._length()

    def _mprotect(self) -> Call:
        odd = self.random.choice(ODD_PROTS) if self._chance(0.05) else 0
        return "mprotect", self._somewhere(), self._length(), self.random.choice(RIGHTS) | odd

    def _mremap(self) -> Call:
        flags, old_len = self.random.choice(REMAPS), 0 if self._chance(0.05) else self._length()
        new_len = old_len if self._chance(0.5) else self._length()
        to = self._address() if flags & (f.MREMAP_FIXED | f.MREMAP_DONTUNMAP) else 0
        return "mremap", self._somewhere(), old_len, new_len, flags, to

    def _madvise(self) -> Call:
        return "madvise", self._somewhere(), self._length(), self.random.choice(ADVICE)

    def _mlock(self) -> Call:
        length = self.random.choice((1, 2, 3)) * PAGE
        if self._chance(0.25):
            return "mlock2", self._somewhere(), length, self.random.choice((0, 1, 1, 2))
        return "mlock", self._somewhere(), length

    def _munlock(self) -> Call:
        return "munlock", self._somewhere(), self._length()

    def _brk(self) -> Call:
        return "brk", int(self.random.choice((0, 1, 2, 3, -1, 5, 10, 0.5, 1.25)) * PAGE)

    def _fork(self) -> Call:
        return ("fork",)

    def _touch(self) -> Call:
        return "touch", self._somewhere() + self.random.choice((0, 0, 0, 1, 2, 3)) * PAGE, self._chance(0.65)
