"""What can be done to a page: references, page table entries, flags, type, mapping, list.

Models: include/linux/mm.h get_page(), put_page_testzero(); mm/rmap.c folio_add_new_anon_rmap(); mm/filemap.c
__filemap_add_folio(), __filemap_remove_folio(); mm/page_alloc.c free_pages_prepare() (Linux 6.18). Where the kernel
would report a bug and lose the page, a method raises an error and changes nothing.
Leaves out: the page lock around changes of ``mapping``; the head of an LRU list, which lives in struct lruvec, and the
batches in which pages reach it.
"""

from __future__ import annotations

from operator import index as whole
from typing import Any

from mmkit.errors import BadFree
from mmkit.model import pagecheck
from mmkit.model.pageflags import ALL_FLAGS, MAPPING_ANON, MappingKind, PageFlags, PageType
from mmkit.model.pagerow import COUNT_MAX, PageRow
from mmkit.model.trace import PageFlagsChange, PageMapcount, PageRefMod, PageRefModAndTest, PageRefSet


class Page(PageRow):
    """One page of a memory map, with what can be done to it; each method names the rule it holds the caller to."""

    __slots__ = ()

    def set_refcounted(self) -> None:
        """Give a free page its first reference, as the allocator does when it hands the page out.

        Raises ValueError if it has one already, or is still marked as a free block.
        """
        if self.refcount:
            raise ValueError(f"page {self.pfn} has refcount {self.refcount}: only a page with 0 can be handed out")
        if self.page_type is PageType.buddy:
            raise ValueError(f"page {self.pfn} is on the buddy lists: take it off (clear_type) before handing it out")
        self._map._refcount[self._i] = 1
        if self._map.trace is not None:
            self._map.trace.emit(PageRefSet(**self._ref_fields(), val=1))

    def get(self) -> None:
        """Take a reference. Raises ValueError if there is none yet: a free page belongs to the allocator."""
        count = self._map._refcount[self._i]
        if count <= 0:
            raise ValueError(
                f"get of page {self.pfn}, which is free (refcount {count}): only allocating it gives the first"
            )
        if count == COUNT_MAX:
            raise ValueError(f"page {self.pfn} has refcount {count}, the largest that 32 bits hold")
        self._map._refcount[self._i] = count + 1
        if self._map.trace is not None:
            self._map.trace.emit(PageRefMod(**self._ref_fields(), val=1))

    def put(self) -> bool:
        """Drop a reference; return True if it was the last: the page is then free and clean.

        Raises BadFree if there is none to drop, if the ones left belong to page table entries or the page cache, or if
        the page must not be freed in its state; nothing changes then.
        """
        count = self._map._refcount[self._i]
        if count <= self.holders:
            raise BadFree(pagecheck.why_not_put(self))
        last = count == 1
        if last:
            pagecheck.check_free(self)
        self._map._refcount[self._i] = count - 1
        if self._map.trace is not None:
            self._map.trace.emit(PageRefModAndTest(**self._ref_fields(), val=-1, ret=last))
        if last:
            self._clean()
        return last

    def _clean(self) -> None:
        """Leave a free page as the allocator wants it; ``index`` keeps what it was, as in the kernel."""
        if self.lru is not None:
            self._unlink()
        self._change_flags(0)
        self._map._mapping[self._i] = 0
        self._map._private.pop(self.pfn, None)

    # -- page table entries -------------------------------------------------------------------------------------------

    def map(self) -> None:
        """Count one more page table entry that maps the page; the reference it holds must have been taken before.

        Raises ValueError if the page is free, of a type that is never mapped, or all its references are spoken for.
        """
        self._must_be_used("mapped")
        if self.page_type is not None:
            raise ValueError(
                f"page {self.pfn} is of type {self.page_type.name}: such a page is never mapped by a process"
            )
        if self.holders >= self.refcount:
            raise ValueError(
                f"page {self.pfn} has refcount {self.refcount}, all spoken for ({pagecheck.holders_in_words(self)}): "
                "a page table entry holds a reference of its own, so get() one first"
            )
        self._set_mapcount(self.mapcount + 1, 1)

    def unmap(self) -> None:
        """Count one page table entry less; the reference it held is still there and is to be put.

        Raises ValueError if no page table entry maps the page.
        """
        if self.mapcount < 0:
            raise ValueError(f"unmap of page {self.pfn}, which no page table entry maps (mapcount -1)")
        self._set_mapcount(self.mapcount - 1, -1)

    def _set_mapcount(self, mapcount: int, val: int) -> None:
        self._map._type[self._i] = mapcount + 1
        if self._map.trace is not None:
            self._map.trace.emit(PageMapcount(self.pfn, mapcount, val))

    # -- flags and type -----------------------------------------------------------------------------------------------

    def set_flags(self, flags: PageFlags) -> None:
        """Set these flags. Raises ValueError for bits that are no flags, or if the page is free."""
        bits = _known(flags)
        if not self.refcount:  # Names take longer than all the rest.
            self._must_be_used(f"marked {', '.join(PageFlags(bits).names)}")
        self._change_flags(self._map._flags[self._i] | bits)

    def clear_flags(self, flags: PageFlags) -> None:
        """Clear these flags. Raises ValueError for bits that are no flags."""
        self._change_flags(self._map._flags[self._i] & ~_known(flags))

    def set_type(self, page_type: PageType) -> None:
        """Give the page a type, which stands where the map count was.

        Raises ValueError if it is mapped, belongs to a mapping or has a type; a free block is marked by ``set_buddy``.
        """
        if page_type == PageType.buddy:
            raise ValueError("a free block has an order as well: mark it with set_buddy(order)")
        self._set_type(PageType(page_type))

    def clear_type(self) -> None:
        """Take the type away again. Raises ValueError if the page has none."""
        if self.page_type is None:
            raise ValueError(f"page {self.pfn} has no type to clear")
        self._map._type[self._i] = 0
        self._map._private.pop(self.pfn, None)

    def set_buddy(self, order: int) -> None:
        """Mark a free page as the first of a free block of ``order``, which ``private`` then holds.

        Raises ValueError if it is in use, has a type, or cannot start a block of that order.
        """
        if self.refcount:
            raise ValueError(f"page {self.pfn} has refcount {self.refcount}: only a free page is on the buddy lists")
        if not 0 <= order <= self._map.arch.max_order or self.pfn & (1 << order) - 1:
            raise ValueError(
                f"no block of order {order} starts at page {self.pfn}: "
                f"orders go from 0 to {self._map.arch.max_order}, and the pfn is a multiple of 2 to the order"
            )
        self._set_type(PageType.buddy)
        keep(self._map._private, self.pfn, order)

    def _set_type(self, page_type: PageType) -> None:
        cannot = f"page {self.pfn} cannot become {page_type.name}"
        if self.page_type is not None:
            raise ValueError(f"{cannot}: it is of type {self.page_type.name}")
        if self.mapping or self.mappings:
            raise ValueError(f"{cannot}: it belongs to {self.mapping_kind.value}, {self.mappings} entries map it")
        self._map._type[self._i] = page_type.word + 1

    def _change_flags(self, new: int) -> None:
        old = self._map._flags[self._i]
        self._map._flags[self._i] = new
        if self._map.trace is not None and old != new:
            self._map.trace.emit(PageFlagsChange(self.pfn, old, new))

    # -- what the page belongs to -------------------------------------------------------------------------------------

    def set_anon(self, anon_vma_addr: int, index: int) -> None:
        """Make the page anonymous: ``mapping`` points to the ``anon_vma``, plus 1. It stays so until it is freed.

        Sets swapbacked and anon_exclusive too, as for the first page table entry of a new page.
        Raises ValueError if the page is free or belongs to something already, or for an address that is none.
        """
        pointer = self._check_owner(anon_vma_addr, index)
        self._map._mapping[self._i], self._map._index[self._i] = pointer + MAPPING_ANON, index
        self.set_flags(PageFlags.swapbacked | PageFlags.anon_exclusive)

    def set_file(self, address_space_addr: int, index: int) -> None:
        """Put the page into a file's page cache, which takes a reference: ``mapping`` points to its ``address_space``.

        Raises ValueError as ``set_anon`` does.
        """
        pointer = self._check_owner(address_space_addr, index)
        self.get()
        self._map._mapping[self._i], self._map._index[self._i] = pointer, index

    def clear_file(self) -> bool:
        """Take the page out of the page cache, which drops its reference; return True if it was the last.

        Raises ValueError if it is not there or still mapped, BadFree if it must not be freed in its state.
        """
        if self.mapping_kind is not MappingKind.FILE:
            raise ValueError(f"page {self.pfn} is in no page cache: its mapping leads to {self.mapping_kind.value}")
        if self.mappings:
            raise ValueError(
                f"page {self.pfn} is still mapped ({self.mappings} times): unmap it before it leaves the cache"
            )
        if self.refcount == 1:
            pagecheck.check_free(self)
        self._map._mapping[self._i] = 0
        return self.put()

    def set_private(self, value: int) -> None:
        """Keep a word in ``private``. Raises ValueError if it does not fit or the page is free."""
        self._must_be_used("given private data")
        keep(self._map._private, self.pfn, self._word("private", value))

    def _check_owner(self, address: int, index: int) -> int:
        self._must_be_used("given a mapping")
        if self.mapping:
            raise ValueError(f"page {self.pfn} belongs to {self.mapping_kind.value} {self.mapping & ~3:#x} already")
        if self.page_type is not None:
            raise ValueError(f"page {self.pfn} is of type {self.page_type.name}: it has no mapping")
        if self._word("mapping", address) == 0 or address & 3:
            raise ValueError(f"{address:#x} is no address of a structure: those are multiples of 4, above 0")
        self._word("index", index)
        return address

    def _word(self, name: str, value: int) -> int:
        bits = self._map.layout.word_bits
        if not 0 <= whole(value) < 1 << bits:
            raise ValueError(f"{name} {value} does not fit in {bits} bits, which count from 0 up")
        return whole(value)

    def _must_be_used(self, what: str) -> None:
        if self.refcount == 0:
            raise ValueError(f"page {self.pfn} is free (refcount 0): it cannot be {what}")

    # -- the LRU ring -------------------------------------------------------------------------------------------------

    def lru_add(self, after: Page | None = None) -> None:
        """Put the page on a ring of pages, behind ``after`` or, with None, on a new one; sets the lru flag.

        Raises ValueError if the page is free or on a ring already, or ``after`` is on none.
        """
        links = self._map._lru
        if self.lru is not None:
            raise ValueError(f"page {self.pfn} is on a list already, between {self.lru[0]} and {self.lru[1]}")
        if after is not None and after.lru is None:
            raise ValueError(f"page {after.pfn} is on no list: nothing can go behind it")
        self.set_flags(PageFlags.lru)
        if after is None:
            links[self.pfn] = (self.pfn, self.pfn)
            return
        before_pfn, next_pfn = after.pfn, links[after.pfn][1]
        links[self.pfn] = (before_pfn, next_pfn)
        links[before_pfn] = (links[before_pfn][0], self.pfn)
        links[next_pfn] = (self.pfn, links[next_pfn][1])

    def lru_del(self) -> None:
        """Take the page off its ring and clear the lru flag. Raises ValueError if it is on none."""
        if self.lru is None:
            raise ValueError(f"page {self.pfn} is on no list")
        self._unlink()
        self.clear_flags(PageFlags.lru)

    def _unlink(self) -> None:
        links = self._map._lru
        before_pfn, next_pfn = links.pop(self.pfn)
        if before_pfn != self.pfn:
            links[before_pfn] = (links[before_pfn][0], next_pfn)
            links[next_pfn] = (before_pfn, links[next_pfn][1])

    def _ref_fields(self) -> dict[str, int]:
        fields = {"flags": int(self.flags), "count": self.refcount, "mapcount": self.mapcount, "mapping": self.mapping}
        return {"pfn": self.pfn, **fields}


def _known(flags: int) -> int:
    if whole(flags) & ~ALL_FLAGS:
        raise ValueError(f"{whole(flags):#x} has bits that are no page flags: those are {ALL_FLAGS:#x}")
    return whole(flags)


def keep(values: dict[int, Any], pfn: int, value: Any) -> None:
    """Keep a value that most pages do not have."""
    if value:
        values[pfn] = value
    else:
        values.pop(pfn, None)
