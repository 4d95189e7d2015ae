"""One page: its fields, and the rules that the kernel holds its users to."""

import numpy as np
import pytest

from mmkit import ARM64, TOY, X86, X86_64, X86_PAE, MemMap, PageFlags, Trace
from mmkit.errors import BadFree
from mmkit.model.pageflags import MappingKind, PageType
from mmkit.model.snapshot import Source

ANON_VMA, ADDRESS_SPACE = 0xFFFF_8881_0478_7C98, 0xFFFF_8881_3D27_3BD0


@pytest.fixture
def mem_map():
    return MemMap(64, start_pfn=0x100)


@pytest.fixture
def page(mem_map):
    """A page just handed out."""
    page = mem_map[0x108]
    page.set_refcounted()
    return page


def refused(page, error, operation, says):
    """The operation raises ``error`` whose message says ``says``, and no page of the map has changed."""
    mem_map = page._map
    before = [mem_map.snapshot(pfn) for pfn in range(mem_map.start_pfn, mem_map.end_pfn)]
    with pytest.raises(error, match=says):
        operation()
    assert [mem_map.snapshot(pfn) for pfn in range(mem_map.start_pfn, mem_map.end_pfn)] == before
    mem_map.check()


# -- a new map --------------------------------------------------------------------------------------------------------


def test_a_new_page_is_free_by_both_counts_and_unmapped(mem_map):
    page = mem_map[0x100]
    assert (page.refcount, page.count_then, page.mapcount, page.mappings) == (0, -1, -1, 0)
    assert (page.flags, page.mapping, page.index, page.private, page.lru) == (PageFlags(0), 0, 0, 0, None)
    assert page.type_word == 0xFFFF_FFFF
    assert not page.is_anon
    assert page.mapping_kind is MappingKind.NONE
    mem_map.check()


def test_16_mi_pages_take_at_most_32_bytes_each():
    mem_map = MemMap(1 << 24)
    assert mem_map.nr_bytes <= 32 << 24
    assert mem_map[(1 << 24) - 1].mapcount == -1


def test_the_map_is_a_sequence_of_pages(mem_map):
    assert len(mem_map) == 64
    assert [page.pfn for page in mem_map] == list(range(0x100, 0x140))
    assert mem_map[0x101] == mem_map[0x101]
    assert mem_map[0x101] != mem_map[0x102]
    assert mem_map[0x101] != MemMap(64, 0x100)[0x101]
    assert len({mem_map[0x101], mem_map[0x101]}) == 1
    assert mem_map[np.int64(0x101)] == mem_map[0x101]


@pytest.mark.parametrize("pfn", [0xFF, 0x140, -1, 1 << 70])
def test_a_pfn_outside_the_map_is_refused(mem_map, pfn):
    with pytest.raises(ValueError, match=f"pfn {pfn} is outside the memory map: it goes from 256 to 319"):
        mem_map[pfn]


@pytest.mark.parametrize("pfn", ["256", 256.0, None, slice(1, 2)])
def test_a_pfn_that_is_no_number_is_refused(mem_map, pfn):
    with pytest.raises(TypeError):
        mem_map[pfn]


@pytest.mark.parametrize(("nr_pages", "start_pfn"), [(0, 0), (-1, 0), (1, -1)])
def test_a_map_of_nothing_is_refused(nr_pages, start_pfn):
    with pytest.raises(ValueError, match=f"a memory map of {nr_pages} pages from pfn {start_pfn}"):
        MemMap(nr_pages, start_pfn)


def test_two_pages_share_no_state(mem_map):
    for page in mem_map:
        page.set_refcounted()
        page.set_file(ADDRESS_SPACE, page.pfn)
    mem_map[0x105].set_flags(PageFlags.dirty)
    assert [page.pfn for page in mem_map if page.flags] == [0x105]
    assert [page.index for page in mem_map] == list(range(0x100, 0x140))


# -- zone, node, virtual ----------------------------------------------------------------------------------------------


def test_flags_hold_zone_and_node(mem_map):
    mem_map.set_zone("DMA32", 0x100, 0x120)
    mem_map.set_zone("Normal", 0x120, 0x140, node=3)
    low, high = mem_map[0x11F], mem_map[0x120]
    assert (low.zone, low.node, high.zone, high.node) == ("DMA32", 0, "Normal", 3)
    assert low.flags_word == 1 << 51 | 0xFFFF << 35
    assert high.flags_word == 3 << 54 | 2 << 51 | 0xFFFF << 35
    high.set_refcounted()
    high.set_flags(PageFlags.locked)
    assert (high.flags, high.flags_word & 1, high.zone, high.node) == (PageFlags.locked, 1, "Normal", 3)
    mem_map.check()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("HighMem", 0x100, 0x140), "X86_64 has no zone 'HighMem': its zones are DMA, DMA32, Normal"),
        (("Normal", 0xFF, 0x140), r"pfns \[255, 320\) are not in the memory map \[256, 320\)"),
        (("Normal", 0x100, 0x141), r"\[256, 321\)"),
        (("Normal", 0x120, 0x110), r"\[288, 272\)"),
        (("Normal", 0x100, 0x140, 1024), "node 1024 does not fit in 10 bits: at most 1023"),
        (("Normal", 0x100, 0x140, -1), "node -1"),
    ],
)
def test_a_zone_that_cannot_be_is_refused(mem_map, arguments, says):
    before = mem_map.columns["links"].copy()
    with pytest.raises(ValueError, match=says):
        mem_map.set_zone(*arguments)
    assert (mem_map.columns["links"] == before).all()


@pytest.mark.parametrize(
    ("arch", "pfn", "virtual"),
    [
        (X86_64, 0x100000, 0xFFFF_8881_0000_0000),
        (ARM64, 0x40000, 0xFFFF_0000_0000_0000),
        (X86, 0, 0xC000_0000),
        (X86, 0x36BFD, 0xF6BF_D000),
        (X86, 0x36BFE, None),
        (X86_PAE, 0x36FFE, None),
        (TOY, 3, 0x8000 + (3 << 12)),
    ],
)
def test_virtual_is_a_constant_away_in_low_memory_only(arch, pfn, virtual):
    page = MemMap(1, pfn, arch=arch)[pfn]
    assert page.virtual == virtual
    assert page.phys_addr == pfn << 12


# -- references -------------------------------------------------------------------------------------------------------


def test_get_and_put(page):
    assert (page.refcount, page.count_then) == (1, 0)
    page.get()
    assert (page.refcount, page.count_then) == (2, 1)
    assert page.put() is False
    assert page.put() is True
    assert (page.refcount, page.count_then) == (0, -1)


def test_a_free_page_cannot_be_got_or_put(mem_map):
    free = mem_map[0x110]
    refused(free, ValueError, free.get, "get of page 272, which is free")
    refused(free, BadFree, free.put, "put of page 272, which has no reference")


def test_a_page_is_handed_out_once(page):
    refused(page, ValueError, page.set_refcounted, "page 264 has refcount 1")


def test_a_free_block_is_taken_off_the_lists_first(mem_map):
    page = mem_map[0x108]
    page.set_buddy(3)
    refused(page, ValueError, page.set_refcounted, "page 264 is on the buddy lists")
    page.clear_type()
    page.set_refcounted()
    assert (page.refcount, page.private, page.page_type) == (1, 0, None)


def test_the_count_does_not_run_over(page):
    page._map.columns["refcount"][8] = (1 << 31) - 1
    refused(page, ValueError, page.get, "2147483647, the largest that 32 bits hold")


def test_the_last_put_leaves_the_page_clean_but_for_its_index(page):
    page.set_anon(ANON_VMA, 0x7F1234567)
    page.set_flags(PageFlags.uptodate | PageFlags.dirty | PageFlags.active | PageFlags.mlocked)
    page.lru_add()
    page.set_private(5)
    assert page.put() is True
    assert (page.flags, page.mapping, page.private, page.lru) == (PageFlags(0), 0, 0, None)
    assert page.index == 0x7F1234567  # as on the free pages of a real kernel
    page._map.check()


@pytest.mark.parametrize("flag", ["locked", "private", "private_2", "writeback", "reserved"])
def test_flags_that_must_be_clear_when_a_page_is_freed(page, flag):
    page.set_flags(PageFlags[flag])
    refused(page, BadFree, page.put, f"the last put of page 264 finds flags that must be clear then: {flag}$")
    page.get()
    assert page.put() is False
    page.clear_flags(PageFlags[flag])
    assert page.put() is True


def test_a_page_of_a_type_is_not_freed(page):
    page.set_type(PageType.table)
    refused(page, BadFree, page.put, "page 264 is still of type table")


# -- page table entries -----------------------------------------------------------------------------------------------


def test_a_page_table_entry_holds_a_reference(page):
    page.set_anon(ANON_VMA, 7)
    page.map()
    assert (page.refcount, page.mapcount, page.mappings, page.type_word) == (1, 0, 1, 0)
    refused(page, ValueError, page.map, r"refcount 1, all spoken for \(1 page table entry\).*get\(\) one first")
    page.get()
    page.map()
    assert (page.refcount, page.mapcount, page.mappings) == (2, 1, 2)
    refused(page, BadFree, page.put, "refcount 2, all held by 2 page table entries: unmap")
    page.unmap()
    assert page.put() is False
    page.unmap()
    assert page.mapcount == -1
    assert page.put() is True


def test_only_pages_in_use_are_mapped(page):
    free = page._map[0x110]
    refused(free, ValueError, free.map, r"page 272 is free \(refcount 0\): it cannot be mapped")
    refused(free, ValueError, free.unmap, "unmap of page 272, which no page table entry maps")
    refused(page, ValueError, page.unmap, "unmap of page 264")
    page.set_type(PageType.table)
    refused(page, ValueError, page.map, "page 264 is of type table: such a page is never mapped")


# -- the mapping ------------------------------------------------------------------------------------------------------


def test_the_low_bit_of_mapping_tells_an_anonymous_page(page):
    page.set_anon(ANON_VMA, 0x7F1234567)
    assert page.mapping == ANON_VMA + 1
    assert (page.is_anon, page.mapping_kind, page.index) == (True, MappingKind.ANON, 0x7F1234567)
    assert page.flags == PageFlags.swapbacked | PageFlags.anon_exclusive
    assert page.refcount == 1


def test_the_page_cache_holds_a_reference(page):
    page.set_file(ADDRESS_SPACE, 12)
    assert page.mapping == ADDRESS_SPACE
    assert (page.is_anon, page.mapping_kind, page.index, page.refcount) == (False, MappingKind.FILE, 12, 2)
    assert page.put() is False
    refused(page, BadFree, page.put, "refcount 1, all held by the page cache")
    refused(page, ValueError, page.map, "all spoken for .the page cache.")
    page.get()
    page.map()
    refused(page, ValueError, page.clear_file, r"page 264 is still mapped \(1 times\)")
    refused(page, BadFree, page.put, "1 page table entry and the page cache")
    page.unmap()
    page.put()
    assert page.clear_file() is True
    assert (page.refcount, page.mapping) == (0, 0)


def test_the_page_cache_may_drop_the_last_reference_of_a_clean_page_only(page):
    page.set_file(ADDRESS_SPACE, 12)
    page.put()
    page.set_flags(PageFlags.writeback)
    refused(page, BadFree, page.clear_file, "writeback")
    page.clear_flags(PageFlags.writeback)
    page.get()
    assert page.clear_file() is False
    assert (page.refcount, page.mapping, page.index) == (1, 0, 12)


def test_a_page_belongs_to_one_thing_only(page):
    free = page._map[0x110]
    refused(free, ValueError, lambda: free.set_anon(ANON_VMA, 0), "page 272 is free")
    refused(free, ValueError, lambda: free.set_file(ADDRESS_SPACE, 0), "page 272 is free")
    page.set_anon(ANON_VMA, 0)
    refused(page, ValueError, lambda: page.set_file(ADDRESS_SPACE, 0), "belongs to anon_vma 0xffff888104787c98 already")
    refused(page, ValueError, page.clear_file, "in no page cache: its mapping leads to anon_vma")
    refused(page, ValueError, lambda: page.set_type(PageType.slab), "cannot become slab: it belongs to anon_vma")


@pytest.mark.parametrize("name", ["set_anon", "set_file"])
@pytest.mark.parametrize(
    ("address", "index", "says"),
    [
        (0, 0, "0x0 is no address of a structure"),
        (ANON_VMA + 1, 0, "0xffff888104787c99 is no address of a structure: those are multiples of 4"),
        (ANON_VMA + 2, 0, "multiples of 4"),
        (-4, 0, "mapping -4 does not fit in 64 bits"),
        (1 << 64, 0, "does not fit in 64 bits"),
        (ANON_VMA, -1, "index -1 does not fit in 64 bits"),
        (ANON_VMA, 1 << 64, "index"),
    ],
)
def test_what_is_no_pointer_or_no_offset_is_refused(page, name, address, index, says):
    refused(page, ValueError, lambda: getattr(page, name)(address, index), says)


def test_words_are_as_wide_as_the_machine_s():
    page = MemMap(1, arch=X86)[0]
    page.set_refcounted()
    refused(page, ValueError, lambda: page.set_anon(1 << 32, 0), "does not fit in 32 bits")
    page.set_anon(0xC123_4560, 5)
    assert page.mapping == 0xC123_4561


# -- flags, types, private --------------------------------------------------------------------------------------------


def test_flags_are_set_and_cleared(page):
    page.set_flags(PageFlags.locked | PageFlags.dirty)
    page.set_flags(PageFlags.locked)
    assert page.flags == PageFlags.locked | PageFlags.dirty
    page.clear_flags(PageFlags.locked)
    page.clear_flags(PageFlags.locked)
    assert page.flags == PageFlags.dirty


@pytest.mark.parametrize("flags", [1 << 24, 1 << 63, -1])
def test_bits_that_are_no_flags_are_refused(page, flags):
    refused(page, ValueError, lambda: page.set_flags(flags), "has bits that are no page flags: those are 0xffffff")
    refused(page, ValueError, lambda: page.clear_flags(flags), "no page flags")


def test_a_free_page_has_no_flags(mem_map):
    page = mem_map[0x110]
    refused(page, ValueError, lambda: page.set_flags(PageFlags.dirty), "page 272 is free .*cannot be marked dirty")
    refused(page, ValueError, lambda: page.set_private(1), "page 272 is free")


def test_slab_is_a_type_and_no_flag(mem_map):
    page = mem_map[0x110]
    page.set_type(PageType.slab)
    assert (page.is_slab, page.is_buddy, page.type_word, page.mapcount) == (True, False, 0xF500_0000, -1)
    assert page.flags == PageFlags(0)
    refused(page, ValueError, lambda: page.set_type(PageType.table), "cannot become table: it is of type slab")
    page.clear_type()
    refused(page, ValueError, page.clear_type, "page 272 has no type to clear")
    assert page.type_word == 0xFFFF_FFFF


def test_a_free_block_has_its_order_in_private(mem_map):
    page = mem_map[0x120]
    page.set_buddy(5)
    assert (page.is_buddy, page.private, page.type_word, page.refcount) == (True, 5, 0xF000_0000, 0)
    mem_map.check()


@pytest.mark.parametrize(("pfn", "order"), [(0x120, -1), (0x120, 11), (0x101, 1), (0x110, 5)])
def test_no_block_of_that_order_starts_there(mem_map, pfn, order):
    page = mem_map[pfn]
    refused(page, ValueError, lambda: page.set_buddy(order), f"no block of order {order} starts at page {pfn}")


def test_a_page_in_use_is_no_free_block(page):
    refused(page, ValueError, lambda: page.set_buddy(3), "page 264 has refcount 1")
    refused(page, ValueError, lambda: page.set_type(PageType.buddy), r"set_buddy\(order\)")
    page.map()
    refused(page, ValueError, lambda: page.set_type(PageType.table), "1 entries map it")


def test_a_type_that_is_none_is_refused(page):
    refused(page, ValueError, lambda: page.set_type(0x12), "18 is not a valid PageType")


@pytest.mark.parametrize("value", [-1, 1 << 64])
def test_private_is_a_word(page, value):
    refused(page, ValueError, lambda: page.set_private(value), f"private {value} does not fit in 64 bits")
    page.set_private(3)
    page.set_private(0)
    assert page.private == 0


# -- the LRU ring -----------------------------------------------------------------------------------------------------


def test_pages_on_a_ring(mem_map):
    first, second, third = pages = [mem_map[pfn] for pfn in (0x101, 0x105, 0x103)]
    for page in pages:
        page.set_refcounted()
    first.lru_add()
    second.lru_add(after=first)
    third.lru_add(after=first)
    assert [page.lru for page in pages] == [(0x105, 0x103), (0x103, 0x101), (0x101, 0x105)]
    assert all(PageFlags.lru in page.flags for page in pages)
    mem_map.check()
    third.lru_del()
    assert [page.lru for page in pages] == [(0x105, 0x105), (0x101, 0x101), None]
    assert third.flags == PageFlags(0)
    first.put()
    assert second.lru == (0x105, 0x105)
    second.lru_del()
    mem_map.check()


def test_the_ring_refuses_what_cannot_be(page):
    free = page._map[0x110]
    refused(free, ValueError, free.lru_add, "page 272 is free")
    refused(page, ValueError, page.lru_del, "page 264 is on no list")
    refused(page, ValueError, lambda: page.lru_add(after=free), "page 272 is on no list: nothing can go behind it")
    page.lru_add()
    refused(page, ValueError, page.lru_add, "page 264 is on a list already, between 264 and 264")


# -- snapshots and trace ----------------------------------------------------------------------------------------------


def test_a_snapshot_says_what_the_page_says(page):
    page._map.set_zone("Normal", 0x100, 0x140, node=1)
    page.set_anon(ANON_VMA, 7)
    page.map()
    page.lru_add()
    shot = page._map.snapshot(page.pfn)
    names = ("pfn flags flags_word refcount count_then mapcount type_word page_type mapping index private lru virtual "
             "zone node")  # fmt: skip
    for name in names.split():
        assert getattr(shot, name) == getattr(page, name), name
    assert (shot.kind, str(shot.source)) == (page.mapping_kind, "model")


def test_a_snapshot_is_restored_and_goes_on_as_the_original(page):
    mem_map = page._map
    page.set_file(ADDRESS_SPACE, 9)
    page.get()
    page.map()
    page.set_private(17)
    shot = mem_map.snapshot(page.pfn)
    page.unmap()
    page.put()
    page.set_flags(PageFlags.dirty)
    mem_map.restore(shot)
    assert mem_map.snapshot(page.pfn) == shot
    other = MemMap.from_snapshot(shot)
    assert other.snapshot(page.pfn) == shot
    for one in (page, other[page.pfn]):
        one.unmap()
        assert one.put() is False
        assert one.put() is False
        assert one.clear_file() is True
    assert other.snapshot(page.pfn) == mem_map.snapshot(page.pfn)


def test_a_snapshot_that_does_not_fit_is_refused(mem_map):
    shot = mem_map.snapshot(0x100)
    refused(mem_map[0x100], ValueError, lambda: MemMap(1, 0x100, arch=X86).restore(shot), "X86_64 does not fit .* X86")
    refused(mem_map[0x100], ValueError, lambda: MemMap(1, 0).restore(shot), "pfn 256 is outside")
    with pytest.raises(ValueError, match="does not tell its refcount, mapping"):
        mem_map.restore(type(shot)(**{**_fields(shot), "refcount": None, "mapping": None}))


def _fields(shot):
    return {name: getattr(shot, name) for name in type(shot).record_fields}


def test_the_source_of_a_map_is_that_of_its_snapshots():
    live = Source("live", "6.18")
    assert MemMap(1, source=live).snapshot(0).source is live


def test_the_trace_has_the_kernel_s_names_and_the_state_after():
    trace = Trace()
    page = MemMap(4, trace=trace)[2]
    page.set_refcounted()
    page.get()
    page.set_flags(PageFlags.dirty)
    page.set_flags(PageFlags.dirty)
    page.map()
    page.unmap()
    page.put()
    page.put()
    assert [event.name for event in trace] == [
        "page_ref_set", "page_ref_mod", "page_flags", "page_mapcount", "page_mapcount",
        "page_ref_mod_and_test", "page_ref_mod_and_test", "page_flags",
    ]  # fmt: skip
    dropped = trace.select("page_ref_mod_and_test")
    assert [(event.count, event.val, event.ret) for event in dropped] == [(1, -1, False), (0, -1, True)]
    assert dropped[-1].flags == PageFlags.dirty  # the allocator clears them after the last reference is gone
    assert [(event.mapcount, event.val) for event in trace.select("page_mapcount")] == [(0, 1), (-1, -1)]


def test_what_is_refused_is_not_traced():
    trace = Trace()
    page = MemMap(4, trace=trace)[2]
    for operation in (page.get, page.put, page.map, page.unmap):
        with pytest.raises(ValueError, match="page 2"):
            operation()
    assert len(trace) == 0


def test_a_page_in_words(page):
    page.set_flags(PageFlags.locked)
    assert repr(page) == "Page(pfn=264, refcount 1, mapcount -1, locked)"
    assert repr(page._map[0x110]) == "Page(pfn=272, free)"
    page._map[0x120].set_buddy(2)
    assert repr(page._map[0x120]) == "Page(pfn=288, buddy, refcount 0)"
