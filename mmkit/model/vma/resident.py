"""ResidentPages: which pages of an address space are in memory, and whose they are.

Models: what the page table entries of a process say, as far as ``Rss`` and ``Anonymous`` in ``/proc/PID/smaps`` tell
it. Leaves out: frames, page tables, huge pages, swap.
"""

from __future__ import annotations

from collections.abc import Iterator

ZERO, FILE, SHMEM, ANON = "z", "f", "s", "a"
"""A page is the zero page (which counts nowhere), a file's, of shared memory, or the process's own."""


class ResidentPages:
    """The kind of each page that is mapped, by page number (address >> 12)."""

    def __init__(self, kinds: dict[int, str] | None = None) -> None:
        self._kinds = dict(kinds or {})
        self._counts = dict.fromkeys((ZERO, FILE, SHMEM, ANON), 0)
        for kind in self._kinds.values():
            self._counts[kind] += 1

    def __len__(self) -> int:
        return len(self._kinds)

    def count(self, kind: str) -> int:
        """Return how many pages are of that kind."""
        return self._counts[kind]

    def kind(self, page: int) -> str | None:
        """Return of what kind a page is, or None if it is not there."""
        return self._kinds.get(page)

    def put(self, page: int, kind: str) -> None:
        """Map a page; what was there before is replaced."""
        old = self._kinds.get(page)
        if old:
            self._counts[old] -= 1
        self._kinds[page] = kind
        self._counts[kind] += 1

    def forget(self, page: int) -> None:
        """A page is not there any more."""
        self._counts[self._kinds.pop(page)] -= 1

    def within(self, start: int, end: int) -> Iterator[tuple[int, str]]:
        """Yield the pages of the addresses [start, end) that are there, with their kinds; in no order."""
        first, last = start >> 12, end >> 12
        if last - first <= len(self._kinds):
            for page in range(first, last):
                if page in self._kinds:
                    yield page, self._kinds[page]
        else:
            yield from ((page, kind) for page, kind in self._kinds.items() if first <= page < last)

    def zap(self, start: int, end: int, own: bool = True) -> int:
        """Drop the pages of [start, end), the process's own too unless told not to; returns how many went."""
        if not self._kinds:
            return 0
        gone = [(page, kind) for page, kind in self.within(start, end) if own or kind != ANON]
        for page, kind in gone:
            del self._kinds[page]
            self._counts[kind] -= 1
        return len(gone)

    def move(self, old: int, new: int, length: int) -> None:
        """Move the pages of [old, old + length) to ``new``."""
        moved = list(self.within(old, old + length))
        for page, _ in moved:
            del self._kinds[page]
        for page, kind in moved:
            self._kinds[page + ((new - old) >> 12)] = kind

    def items(self) -> tuple[tuple[int, str], ...]:
        """Return all pages with their kinds, in order."""
        return tuple(sorted(self._kinds.items()))
