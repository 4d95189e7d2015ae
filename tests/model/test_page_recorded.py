"""Pages of a real kernel, byte for byte, read by the model's rules and compared with what the kernel says of them."""

from collections import Counter

import pytest

from mmkit import X86, X86_64, MemMap, PageFlags
from mmkit.data import recording
from mmkit.model.pagebytes import page_from_bytes
from mmkit.model.pageflags import MappingKind, PageType
from mmkit.proc import structpage
from mmkit.proc.kpageflags import Kpf

HOST = recording("host-6.18")
FRAMES = structpage.parse(HOST.text("struct_pages.tsv"), HOST.source).frames

# Bits that /proc/kpageflags copies from the flags word as they are.
COPIED = {
    Kpf.LOCKED: PageFlags.locked, Kpf.REFERENCED: PageFlags.referenced, Kpf.UPTODATE: PageFlags.uptodate,
    Kpf.DIRTY: PageFlags.dirty, Kpf.LRU: PageFlags.lru, Kpf.ACTIVE: PageFlags.active,
    Kpf.WRITEBACK: PageFlags.writeback, Kpf.SWAPBACKED: PageFlags.swapbacked,
    Kpf.UNEVICTABLE: PageFlags.unevictable, Kpf.RESERVED: PageFlags.reserved, Kpf.MLOCKED: PageFlags.mlocked,
    Kpf.OWNER_2: PageFlags.owner_2, Kpf.PRIVATE: PageFlags.private, Kpf.PRIVATE_2: PageFlags.private_2,
    Kpf.OWNER_PRIVATE: PageFlags.owner_priv_1,
}  # fmt: skip


def has(frame, bit):
    return bool(frame.kpageflags >> bit & 1)


@pytest.mark.parametrize(("bit", "flag"), COPIED.items(), ids=lambda item: item.name)
def test_flag_bits_are_those_that_kpageflags_tells(bit, flag):
    for frame in FRAMES:
        assert (flag in frame.page.flags) == has(frame, bit), hex(frame.pfn)


def test_the_zone_in_flags_is_the_zone_of_the_pfn():
    memory = HOST.zoneinfo
    for frame in FRAMES:
        zone = next(zone for zone in memory.zones if zone.start_pfn <= frame.pfn < zone.end_pfn)
        assert (frame.page.zone, frame.page.node) == (zone.name, zone.node)
    assert {frame.page.zone for frame in FRAMES} == {"DMA", "DMA32", "Normal"}


def test_the_low_bit_of_mapping_tells_anonymous_from_file():
    kinds = Counter()
    for frame in FRAMES:
        page = frame.page
        if page.mapping:
            assert (page.kind is not MappingKind.FILE) == has(frame, Kpf.ANON), hex(frame.pfn)
            kinds[page.kind] += 1
    assert kinds[MappingKind.ANON] > 10
    assert kinds[MappingKind.FILE] > 10


def test_page_types_are_those_that_kpageflags_tells():
    told = {PageType.slab: Kpf.SLAB, PageType.table: Kpf.PGTABLE}
    for frame in FRAMES:
        for page_type, bit in told.items():
            assert (frame.page.page_type is page_type) == has(frame, bit), hex(frame.pfn)
        # Of a free block only the first page has the type; kpageflags tells all of them.
        assert frame.page.page_type is not PageType.buddy or has(frame, Kpf.BUDDY)


def test_mapcount_tells_whether_the_page_is_mapped():
    for frame in FRAMES:
        assert (frame.page.mapcount >= 0) == has(frame, Kpf.MMAP), hex(frame.pfn)


def test_a_slab_page_has_no_reference_and_a_page_table_one():
    counts = {kind: {f.page.refcount for f in FRAMES if f.page.page_type is kind} for kind in PageType}
    assert counts[PageType.slab] == {0}
    assert counts[PageType.buddy] == {0}
    assert counts[PageType.table] == {1}


def test_private_of_a_free_block_is_its_order():
    heads = [frame.page for frame in FRAMES if frame.page.page_type is PageType.buddy]
    assert len(heads) > 5
    assert all(0 <= page.private <= X86_64.max_order and page.pfn % (1 << page.private) == 0 for page in heads)


def test_recorded_pages_keep_the_model_s_rules():
    """Put into a memory map one by one, the real pages pass its check."""
    tried = 0
    for frame in FRAMES:
        page = frame.page
        if page.mapping is None:
            continue  # slabs and page tables use those words for something else
        mem_map = MemMap(1, page.pfn)
        mem_map.restore(page)
        assert mem_map[page.pfn].flags == page.flags
        mem_map.columns["flags"][0] &= 0xFFFFFFFF ^ int(PageFlags.lru)
        mem_map._lru.clear()  # its neighbours are not there
        mem_map.check()
        tried += 1
    assert tried > 200


def test_lru_neighbours_are_pages():
    on_list = [f.page for f in FRAMES if PageFlags.lru in f.page.flags and PageFlags.unevictable not in f.page.flags]
    assert sum(page.lru is not None for page in on_list) > len(on_list) * 0.9
    known = {frame.pfn: frame.page for frame in FRAMES}
    pairs = [(page, known[page.lru[1]]) for page in on_list if page.lru and page.lru[1] in known]
    assert all(behind.lru[0] == page.pfn for page, behind in pairs if behind.lru)


def test_virtual_is_the_direct_map():
    page = FRAMES[0].page
    assert page.virtual == 0xFFFF_8880_0000_0000 + page.pfn * 4096


@pytest.mark.parametrize(("raw", "arch"), [(bytes(63), X86_64), (bytes(32), X86), (b"", X86_64)])
def test_bytes_that_are_no_struct_page_are_refused(raw, arch):
    with pytest.raises(ValueError, match=f"{len(raw)} bytes are no struct page"):
        page_from_bytes(0, raw, HOST.source, arch)
