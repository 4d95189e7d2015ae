"""Bins: the chunks that a C library keeps for later, by size, and how they grow together.

Models: glibc 2.36, malloc/malloc.c, fastbins, the unsorted list, small and large bins, malloc_consolidate(),
unlink_chunk(). Leaves out: the pointers themselves, which stand in the chunks: who keeps a chunk writes there.
"""

from __future__ import annotations

from collections.abc import Iterator

FAST_MOST, SMALL_MOST = 0x80, 0x3F0
"""Bytes of the largest chunk that is not joined with others at once (DEFAULT_MXFAST), and that has a bin of its own."""
_LARGE = ((6, 48, 48), (9, 20, 91), (12, 10, 110), (15, 4, 119), (18, 2, 124))


def large_bin(size: int) -> int:
    """Return the number of the bin for chunks of about that size (largebin_index_64)."""
    return next((first + (size >> shift) for shift, most, first in _LARGE if size >> shift <= most), 126)


class Bins:
    """Free chunks by where they begin; ``size`` has their sizes in bytes."""

    def __init__(self) -> None:
        self.size: dict[int, int] = {}
        self.unsorted: list[int] = []
        """Those that came back since the last search, the newest first."""
        self.last_remainder = 0
        self._ends: dict[int, int] = {}
        self._sorted: dict[int, list[int]] = {}
        self._fast: dict[int, list[int]] = {}

    # -- small ones that are left as they are -------------------------------------------------------------------------

    def put_fast(self, addr: int, size: int) -> None:
        """Keep a small chunk, which counts as in use."""
        self._fast.setdefault(size, []).append(addr)

    def take_fast(self, size: int) -> int | None:
        """Return the last small chunk of that size that was kept."""
        return self._fast[size].pop() if self._fast.get(size) else None

    def empty_fast(self) -> Iterator[tuple[int, int]]:
        """Yield all small chunks, the smallest first, and keep them no more."""
        for size in sorted(self._fast):
            while self._fast[size]:
                yield self._fast[size].pop(), size

    @property
    def has_fast(self) -> bool:
        """Whether small chunks are kept."""
        return any(self._fast.values())

    # -- all others ---------------------------------------------------------------------------------------------------

    def put(self, addr: int, size: int) -> None:
        """Keep a chunk, unsorted for now."""
        self.size[addr] = size
        self._ends[addr + size] = addr
        self.unsorted.insert(0, addr)

    def before(self, addr: int) -> int | None:
        """Return the free chunk that ends where another begins."""
        return self._ends.get(addr)

    def take(self, addr: int) -> int:
        """Keep a chunk no more; returns its size (unlink_chunk())."""
        size = self.size.pop(addr)
        del self._ends[addr + size]
        if addr in self.unsorted:
            self.unsorted.remove(addr)
        else:
            self._sorted[size].remove(addr)
            if not self._sorted[size]:
                del self._sorted[size]
        return size

    def sort(self, addr: int) -> None:
        """Let an unsorted chunk go to those of its size: a small one first, a large one second."""
        self.unsorted.remove(addr)
        size = self.size[addr]
        same = self._sorted.setdefault(size, [])
        same.insert(0 if size <= SMALL_MOST else 1, addr)

    def exact(self, size: int) -> int | None:
        """Return the small chunk of exactly that size that waits longest."""
        return self._sorted[size][-1] if self._sorted.get(size) else None

    def best(self, size: int) -> int | None:
        """Return the smallest chunk that is large enough; of several, glibc's choice."""
        enough = min((each for each in self._sorted if each >= size), default=None)
        if enough is None:
            return None
        same = self._sorted[enough]
        own_bin = size > SMALL_MOST and large_bin(size) == large_bin(enough)
        return same[min(1, len(same) - 1)] if own_bin else same[-1]
