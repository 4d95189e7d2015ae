"""TableWords: the pages that hold page tables, as the words that stand in them.

Models: nothing but memory. Leaves out: pages that hold anything else; they are not there.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


class TableWords:
    """Pages of 16-, 32- or 64-bit words by frame number; a page is zeros when it is added.

    ``version`` changes with every word that does, whoever writes it through this object.
    """

    def __init__(self, entry_bytes: int, page_shift: int = 12) -> None:
        self.entry_bytes, self.page_shift = entry_bytes, page_shift
        self.dtype = np.dtype({2: "<u2", 4: "<u4", 8: "<u8"}[entry_bytes])
        self.version = 0
        self._pages: dict[int, NDArray[np.unsignedinteger]] = {}
        self._views: dict[int, memoryview] = {}
        self._shift = entry_bytes.bit_length() - 1
        self._mask = (1 << page_shift) - 1

    def add(self, pfn: int) -> None:
        """Let there be a page of zeros."""
        self._pages[pfn] = np.zeros((1 << self.page_shift) // self.entry_bytes, self.dtype)
        self._views[pfn] = memoryview(self._pages[pfn])
        self.version += 1

    def drop(self, pfn: int) -> None:
        """Let a page be gone."""
        del self._pages[pfn], self._views[pfn]
        self.version += 1

    def __contains__(self, pfn: object) -> bool:
        return pfn in self._pages

    def __len__(self) -> int:
        return len(self._pages)

    def words(self, pfn: int) -> NDArray[np.unsignedinteger] | None:
        """Return the words of a page, to read; None if there is no such page."""
        return self._pages.get(pfn)

    def read(self, addr: int) -> int | None:
        """Return the word at a physical address; None if there is no page."""
        view = self._views.get(addr >> self.page_shift)
        return None if view is None else view[(addr & self._mask) >> self._shift]

    def write(self, addr: int, value: int) -> None:
        """Set the word at a physical address. Raises KeyError if there is no page, ValueError for a value too wide."""
        self._views[addr >> self.page_shift][(addr & self._mask) >> self._shift] = value
        self.version += 1
