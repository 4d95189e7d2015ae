"""One row of the memory map, as it reads: every field of ``struct page``, and what can be told from it.

Models: include/linux/mm_types.h struct page; include/linux/mm.h page_to_nid(), page_zonenum(), page_address(),
page_mapcount(); include/linux/page-flags.h folio_test_anon() (Linux 6.18). Leaves out: as ``mmkit.model.page``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mmkit.model.pageflags import MAPPING_ANON, NO_TYPE, MappingKind, PageFlags, PageType, mapping_kind, page_type_of

if TYPE_CHECKING:
    from mmkit.model.page import MemMap

COUNT_MAX = (1 << 31) - 1
"""The largest reference count or map count."""


class PageRow:
    """One row of a memory map, seen as the kernel sees a ``struct page``."""

    __slots__ = ("_i", "_map", "pfn")

    def __init__(self, mem_map: MemMap, pfn: int, i: int) -> None:
        self._map: MemMap = mem_map
        self.pfn = pfn
        self._i = i

    def __repr__(self) -> str:
        return f"Page(pfn={self.pfn}, {self.state})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, PageRow) and self._map is other._map and self.pfn == other.pfn

    def __hash__(self) -> int:
        return hash((id(self._map), self.pfn))

    @property
    def flags(self) -> PageFlags:
        """The flag bits; ``flags_word`` has what is above them too."""
        return PageFlags(self._map._flags[self._i])

    @property
    def flags_word(self) -> int:
        """The whole word as it stands in memory: flag bits, and node, zone and last CPU above them."""
        links = self._map._links[self._i]
        return self._map.layout.pack(self._map._flags[self._i], links & 7, links >> 3)

    @property
    def zone(self) -> str:
        """Name of its zone, from the flags word."""
        return self._map.arch.zone_names[self._map._links[self._i] & 7]

    @property
    def node(self) -> int:
        """Number of its node, from the flags word."""
        return int(self._map._links[self._i] >> 3)

    @property
    def refcount(self) -> int:
        """``_refcount``, today's: users of the page; 0 when it is free."""
        return int(self._map._refcount[self._i])

    @property
    def count_then(self) -> int:
        """``_count`` as kernels before 2.6.16, and many textbooks, had it: one less, so that -1 is free."""
        return int(self._map._refcount[self._i]) - 1

    @property
    def type_word(self) -> int:
        """The 32 bits that hold ``_mapcount`` or, in a page that is never mapped, the page type."""
        return self._map._type[self._i] - 1 & NO_TYPE

    @property
    def page_type(self) -> PageType | None:
        """What the page is used for if no process can map it; None otherwise."""
        return page_type_of(self.type_word)

    @property
    def mapcount(self) -> int:
        """``_mapcount``: page table entries that map the page, less one; -1 when there is none."""
        stored = self._map._type[self._i]
        return -1 if stored > COUNT_MAX else stored - 1

    @property
    def mappings(self) -> int:
        """Page table entries that map the page: what ``page_mapcount()`` returns."""
        return self.mapcount + 1

    @property
    def mapping(self) -> int:
        """The pointer as stored; its low bits tell what it points to."""
        return int(self._map._mapping[self._i])

    @property
    def mapping_kind(self) -> MappingKind:
        """What ``mapping`` points to."""
        return mapping_kind(self.mapping)

    @property
    def is_anon(self) -> bool:
        """Whether the page is anonymous: the lowest bit of ``mapping``."""
        return bool(self._map._mapping[self._i] & MAPPING_ANON)

    @property
    def index(self) -> int:
        """Offset in the mapping, in pages: in the file or, for anonymous memory, of the virtual address."""
        return int(self._map._index[self._i])

    @property
    def private(self) -> int:
        """A word for the page's owner: the order of a free block, the buffers of a file page, the place in swap."""
        return self._map._private.get(self.pfn, 0)

    @property
    def lru(self) -> tuple[int, int] | None:
        """Pfns of the neighbours, before and after, on the ring of pages that reclaim scans; None: on none."""
        return self._map._lru.get(self.pfn)

    @property
    def virtual(self) -> int | None:
        """Address at which the kernel sees the page: a constant plus its physical address; None for high memory."""
        end_pfn = self._map._lowmem_end_pfn
        if end_pfn is not None and self.pfn >= end_pfn:
            return None
        return self._map.arch.page_offset + self.phys_addr

    @property
    def phys_addr(self) -> int:
        """Physical address of its first byte."""
        return self.pfn << self._map.arch.page_shift

    @property
    def is_buddy(self) -> bool:
        """Whether it is the first page of a block on the buddy lists."""
        return self.page_type is PageType.buddy

    @property
    def is_slab(self) -> bool:
        """Whether slabs are made of it."""
        return self.page_type is PageType.slab

    @property
    def state(self) -> str:
        """The page in a few words."""
        if self.page_type is not None:
            return f"{self.page_type.name}, refcount {self.refcount}"
        use = "free" if self.refcount == 0 else f"refcount {self.refcount}, mapcount {self.mapcount}"
        return ", ".join([use, *self.flags.names])

    @property
    def holders(self) -> int:
        """References that are spoken for: one for each page table entry, one for the page cache."""
        return self.mappings + (self.mapping != 0 and not self.is_anon)
