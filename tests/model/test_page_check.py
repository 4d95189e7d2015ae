"""check() finds every broken rule: one corrupted memory map for each."""

import numpy as np
import pytest

from mmkit import MemMap
from mmkit.errors import InvariantError
from mmkit.model.pageflags import PageFlags, PageType


@pytest.fixture
def mem_map():
    """Pages of every kind, all in order."""
    mem_map = MemMap(64, start_pfn=64)
    for pfn in range(64, 72):
        mem_map[pfn].set_refcounted()
    mem_map[64].set_anon(0x1000, 1)
    mem_map[64].map()
    mem_map[65].set_file(0x2000, 2)
    mem_map[65].lru_add()
    mem_map[64].lru_add(after=mem_map[65])
    mem_map[66].set_type(PageType.table)
    mem_map[72].set_type(PageType.slab)
    mem_map[80].set_buddy(4)
    mem_map.check()
    return mem_map


def poke(column, pfn, value):
    def corrupt(mem_map):
        mem_map.columns[column][pfn - mem_map.start_pfn] = np.int64(value).astype(mem_map.columns[column].dtype)

    return corrupt


def poke_dict(name, pfn, value):
    return lambda mem_map: getattr(mem_map, name).__setitem__(pfn, value)


CORRUPTIONS = {
    "refcount below 0": (poke("refcount", 70, -1), "page 70: refcount is never below 0"),
    "unknown flag bit": (poke("flags", 70, 1 << 24), "page 70: flags has no bits beyond"),
    "unknown type": (poke("type_word", 70, 0xF900_0001), "page 70: page_type is one of the known types"),
    "type with rubbish below it": (poke("type_word", 72, 0xF500_0002), "page 72: page_type is one of the known types"),
    "more entries than references": (poke("type_word", 64, 2), "page 64: every page table entry, and the page cache"),
    "cache without reference": (poke("mapping", 127, 0x2000), "page 127: every page table entry, and the page cache"),
    "mapping ending in 10": (poke("mapping", 65, 0x2002), "page 65: mapping ends in binary 00, 01 or 11"),
    "free page with a mapping": (poke("mapping", 127, 0x1001), "page 127: a free page belongs to no mapping"),
    "free page with a flag": (poke("flags", 127, PageFlags.dirty), "page 127: a free page has no flags"),
    "slab with a mapping": (poke("mapping", 72, 0x1001), "page 72: a page with a type belongs to no mapping"),
    "free block in use": (poke("refcount", 80, 1), "page 80: a page on the buddy lists has no reference"),
    "no such zone": (poke("links", 70, 5), "page 70: the zone in its flags is one of 5"),
    "misaligned block": (poke_dict("_private", 80, 5), "page 80: a free block starts at a multiple of its size"),
    "private of another map": (poke_dict("_private", 63, 1), "page 63: private and lru belong to pages of the map"),
    "lru of another map": (poke_dict("_lru", 128, (128, 128)), "page 128: private and lru belong to pages of the map"),
    "one-sided link": (poke_dict("_lru", 64, (65, 66)), "page 65: its neighbours in lru, 64 and 64, point back"),
    "on a list without the flag": (poke_dict("_lru", 70, (70, 70)), "page 70: a page on an LRU list has the lru flag"),
}


@pytest.mark.parametrize(("corrupt", "says"), CORRUPTIONS.values(), ids=CORRUPTIONS)
def test_a_corrupted_map_is_found_and_named(mem_map, corrupt, says):
    corrupt(mem_map)
    with pytest.raises(InvariantError, match=says):
        mem_map.check()
