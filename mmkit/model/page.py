"""``struct page``: what the kernel knows about a page frame, and the map that has one for every frame.

Models: include/linux/mm_types.h struct page; mm/mm_init.c __init_single_page() (Linux 6.18). The fields of one page are
in ``pagerow``, what can be done to it in ``pageops``, the rules of the whole map in ``pagecheck``.
Leaves out: large folios (compound_head), memcg_data, the other uses of the union's words; the reference that every page
has at boot, until it is handed to the allocator.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from operator import index as whole
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from mmkit.arch import X86_64, Arch
from mmkit.model import pagecheck
from mmkit.model.pageflags import NO_TYPE, flags_layout
from mmkit.model.pageops import Page, keep
from mmkit.model.snapshot import MODEL, PageSnapshot, Source
from mmkit.model.trace import Trace

__all__ = ["MemMap", "Page"]

_COLUMNS = {"flags": "u4", "links": "u2", "refcount": "i4", "type_word": "u4", "mapping": "u8", "index": "u8"}


class MemMap:
    """A ``struct page`` for each of ``nr_pages`` frames from ``start_pfn`` on, kept as numpy columns: 30 bytes a page.

    All pages start free (refcount 0), unmapped (mapcount -1), in node 0 and the first zone. ``mem_map[pfn]`` is a view
    on one page; making it costs little, keeping it costs nothing. ``private`` and ``lru`` are kept only for the pages
    that use them.

    >>> page = MemMap(16)[3]
    >>> page.refcount, page.count_then, page.mapcount
    (0, -1, -1)
    >>> page.set_refcounted(); page.get()
    >>> page.put(), page.put()
    (False, True)
    """

    def __init__(
        self,
        nr_pages: int,
        start_pfn: int = 0,
        *,
        arch: Arch = X86_64,
        trace: Trace | None = None,
        source: Source = MODEL,
    ) -> None:
        if whole(nr_pages) < 1 or whole(start_pfn) < 0:
            raise ValueError(
                f"a memory map of {nr_pages} pages from pfn {start_pfn}: needs a page, and a pfn from 0 up"
            )
        self.nr_pages, self.start_pfn, self.end_pfn = nr_pages, start_pfn, start_pfn + nr_pages
        self.arch, self.trace, self.source = arch, trace, source
        self.layout = flags_layout(arch)
        # Zeros cost nothing until written: so mapcount is stored plus one, in 32 bits, and -1 is a zero.
        arrays: dict[str, NDArray[np.generic]] = {name: np.zeros(nr_pages, kind) for name, kind in _COLUMNS.items()}
        self.columns: Mapping[str, NDArray[np.generic]] = MappingProxyType(arrays)
        """The fields of all pages; links is zone and node, type_word (or mapcount) is stored plus one."""
        # One item of a memoryview is read in half the time of one of an array.
        views: list[memoryview[int]] = [memoryview(array) for array in arrays.values()]
        self._flags, self._links, self._refcount, self._type, self._mapping, self._index = views
        self._private: dict[int, int] = {}
        self._lru: dict[int, tuple[int, int]] = {}
        self._lowmem_end_pfn = _lowmem_end_pfn(arch)

    def __len__(self) -> int:
        return self.nr_pages

    def __getitem__(self, pfn: int) -> Page:
        i = whole(pfn) - self.start_pfn
        if not 0 <= i < self.nr_pages:
            raise ValueError(
                f"pfn {pfn} is outside the memory map: it goes from {self.start_pfn} to {self.end_pfn - 1}"
            )
        return Page(self, pfn, i)

    def __iter__(self) -> Iterator[Page]:
        return (Page(self, self.start_pfn + i, i) for i in range(self.nr_pages))

    def __repr__(self) -> str:
        return f"MemMap({self.nr_pages}, start_pfn={self.start_pfn}, arch={self.arch.name})"

    @property
    def nr_bytes(self) -> int:
        """Bytes in the columns."""
        return sum(column.nbytes for column in self.columns.values())

    def set_zone(self, zone: str, start_pfn: int, end_pfn: int, node: int = 0) -> None:
        """Write zone and node into the flags of pages [start_pfn, end_pfn), as the kernel does at boot.

        Raises ValueError for a zone that the architecture has not, a node that does not fit, pfns outside the map.
        """
        if zone not in self.arch.zone_names:
            raise ValueError(f"{self.arch.name} has no zone {zone!r}: its zones are {', '.join(self.arch.zone_names)}")
        if not self.start_pfn <= start_pfn <= end_pfn <= self.end_pfn:
            raise ValueError(
                f"pfns [{start_pfn}, {end_pfn}) are not in the memory map [{self.start_pfn}, {self.end_pfn})"
            )
        zone_index = self.arch.zone_names.index(zone)
        self.layout.pack(0, zone_index, node)  # refuses what does not fit
        self.columns["links"][start_pfn - self.start_pfn : end_pfn - self.start_pfn] = node << 3 | zone_index

    def snapshot(self, pfn: int) -> PageSnapshot:
        """Return the frozen state of one page."""
        page = self[pfn]
        return PageSnapshot(
            self.source, self.arch.name, pfn, self.layout, page.flags_word, page.refcount, page.type_word, page.mapping,
            page.index, page.private, page.lru, page.virtual, page.zone,
        )  # fmt: skip

    def restore(self, snapshot: PageSnapshot) -> None:
        """Put one page back into the state of ``snapshot``; its neighbours in ``lru`` stay as they are.

        Raises ValueError if the snapshot is of another architecture, of a pfn outside the map, or not complete.
        """
        page = self[snapshot.pfn]
        pagecheck.check_restorable(snapshot, self.arch)
        i, word = page._i, snapshot.flags_word
        self._flags[i] = int(snapshot.flags)
        self._links[i] = self.layout.node.get(word) << 3 | self.layout.zone.get(word)
        self._refcount[i], self._mapping[i] = snapshot.refcount or 0, snapshot.mapping or 0
        self._index[i] = snapshot.index or 0
        self._type[i] = (snapshot.type_word or 0) + 1 & NO_TYPE
        keep(self._private, page.pfn, snapshot.private or 0)
        keep(self._lru, page.pfn, snapshot.lru)

    @classmethod
    def from_snapshot(cls, snapshot: PageSnapshot, arch: Arch = X86_64, trace: Trace | None = None) -> MemMap:
        """Return a map of the one page of ``snapshot``, which goes on as the original would."""
        mem_map = cls(1, snapshot.pfn, arch=arch, trace=trace, source=snapshot.source)
        mem_map.restore(snapshot)
        return mem_map

    def move(self, old_pfn: int, new_pfn: int) -> None:
        """Move what a page is to another, free one: counts, mapping, flags, place on its list; the old is free then.

        Zone and node stay with the place. ``index`` of the old one keeps what it was, as in the kernel, which however
        puts the new page at the head of an LRU list; rings have no head. Raises ValueError if the new page is in use.
        """
        old, new = self[old_pfn], self[new_pfn]
        if new.refcount or new.page_type is not None:
            raise ValueError(f"page {new_pfn} is in use ({new.state}): nothing can move there")
        for column in (self._flags, self._refcount, self._type, self._mapping):
            column[new._i], column[old._i] = column[old._i], 0
        self._index[new._i] = self._index[old._i]
        keep(self._private, new_pfn, self._private.pop(old_pfn, 0))
        if old.lru is not None:
            before_pfn, next_pfn = self._lru.pop(old_pfn)
            alone = before_pfn == old_pfn
            self._lru[new_pfn] = (new_pfn, new_pfn) if alone else (before_pfn, next_pfn)
            if not alone:
                self._lru[before_pfn] = (self._lru[before_pfn][0], new_pfn)
                self._lru[next_pfn] = (new_pfn, self._lru[next_pfn][1])

    def check(self) -> None:
        """Raise InvariantError, naming the rule and the first page that breaks it, unless every page is in order."""
        pagecheck.check_mem_map(self.columns, self.start_pfn, len(self.arch.zones), self._private, self._lru)


def _lowmem_end_pfn(arch: Arch) -> int | None:
    """First pfn of high memory; None on machines that have none."""
    if "HighMem" not in arch.zone_names:
        return None
    below = arch.zones[arch.zone_names.index("HighMem") - 1].end_addr
    return None if below is None else below >> arch.page_shift
