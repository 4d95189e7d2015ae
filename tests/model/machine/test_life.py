"""Life: every step's state is what the machine has at that moment, and the way is the kernel's."""

from __future__ import annotations

from collections import Counter

import pytest

from mmkit.data import recording
from mmkit.model import malloctrace, pgtrace, tlbtrace
from mmkit.model import trace as kmem
from mmkit.model.machine.life import HEAP, PAGE, Life
from mmkit.model.machinetrace import ClearPage, FaultDone


@pytest.fixture
def life() -> Life:
    return Life()


def listen(life):
    told = []
    life.told = lambda event: told.append((event, life.snapshot()))
    return told


def names(told):
    return [type(event).__name__ for event, _ in told]


def test_the_way_of_a_first_malloc(life):
    """Library, brk, area, header, TLB, walk, fault, table, buddy, list, zeroing, entry, retry: in this order."""
    told = listen(life)
    block = life.malloc(100_000)
    found = names(told)
    order = ["LibraryCall", "SystemCall", "KmemCacheAlloc", "VmaInsert", "ChunkHeader", "TlbMiss", "WalkRead",
             "PageFaultUser", "AreaFound", "PtTableNew", "PtEntrySet", "AnonVmaNew", "Take", "Split",
             "MmPageAllocZoneLocked", "MmPageAlloc", "ClearPage", "FaultDone", "TlbFill", "LibraryReturn"]  # fmt: skip
    places = [found.index(name) for name in order]
    assert places == sorted(places)
    entries = [event.level for event, _ in told if isinstance(event, pgtrace.PtEntrySet)]
    assert entries == ["pmd", "pte", "pte"]
    assert Counter(found)["PageFaultUser"] == 2
    assert block == HEAP + 0x2A0
    assert isinstance(told[-1][0], malloctrace.LibraryReturn)


def test_states_are_the_machines(life):
    """Each snapshot beside what /proc of the same machine says at that moment."""
    life.told = lambda event: compare(life)
    for size in (100_000, 200_000):
        block = life.malloc(size)
        life.write(block, b"A")
        life.write(block + 5 * PAGE, b"A")
        life.free(block)
        compare(life)
        life.machine.check()


def compare(life):
    state, mm = life.snapshot(), life.process.mm
    maps = life.machine.proc.read(f"{life.process.pid}/maps").splitlines()
    spans = [f"{area.start:08x}-{area.end:08x} {area.perms}" for area in state.areas]
    assert [" ".join(line.split()[:2]) for line in maps] == spans
    assert state.rss == sum(kind != "z" for _, kind in mm.pages.items())
    inside = sum(area.pages.count("a") + area.pages.count("f") for area in state.areas)
    # The area is out of the tree before its pages go.
    assert inside == state.rss or (inside < state.rss and state.running[-1].startswith("munmap"))
    assert state.tables == mm.table.nr_tables
    if state.addr is not None:
        assert state.walk == mm.table.walk(state.addr)
    zone = life.zone
    assert state.free_pages == zone.buddy.free_pages + zone.pcp_pages
    if state.frame and state.frame.where == "mapped":
        page = life.machine.frames.page(state.frame.pfn)
        assert (state.frame.refcount, state.frame.mappings) == (page.refcount, page.mappings)


def test_faults_are_those_that_were_measured(life):
    """The first byte takes none: malloc has been on its page (mmkit/data/host-6.18/malloc)."""
    lines = [line.split("\t") for line in recording("host-6.18").text("malloc").splitlines()]
    rows = {int(row[0]): row for row in lines}
    for size in (100_000, 200_000):
        life = Life()
        told = listen(life)
        block = life.malloc(size)
        assert sum(isinstance(event, FaultDone) for event, _ in told) == int(rows[size][3])
        told.clear()
        life.write(block, b"A")
        assert sum(isinstance(event, FaultDone) for event, _ in told) == int(rows[size][4]) == 0
        assert [type(event) for event, _ in told] == [tlbtrace.TlbHit]


def test_a_refill_is_told_by_its_first_page(life):
    told = listen(life)
    life.malloc(100_000)
    locked = [state for event, state in told if isinstance(event, kmem.MmPageAllocZoneLocked)]
    assert len(locked) == 1
    taken = next(state for event, state in told if isinstance(event, kmem.MmPageAlloc))
    assert len(taken.pcp) > 10
    assert taken.frame.where == "in hand"
    cleared = next(state for event, state in told if isinstance(event, ClearPage))
    assert cleared.frame.content == ""
    assert taken.free_pages == life.snapshot().free_pages + 1, "the table is there, a second page still to come"


def test_what_comes_back(life):
    """Of the heap nothing; of pages of its own all: frame, table, area."""
    before = life.snapshot()
    block = life.malloc(100_000)
    held = life.snapshot()
    life.free(block)
    assert life.snapshot().rss == held.rss
    assert life.snapshot().free_pages == held.free_pages < before.free_pages
    kept = life.snapshot()
    block = life.malloc(200_000)
    life.write(block + 100_000, b"A")
    told = listen(life)
    life.free(block)
    after = life.snapshot()
    assert (after.rss, after.tables, after.free_pages) == (kept.rss, kept.tables, kept.free_pages)
    assert after.areas == kept.areas
    for event, state in told:
        if isinstance(event, kmem.MmPageFree):
            assert event.pfn in state.pcp or state.frame.where != "mapped", "a page that was given back is on a list"
    order = ["VmaRemove", "PtEntrySet", "TlbFlush", "MmPageFree", "Zap", "PtTableFree", "KmemCacheFree"]
    places = [names(told).index(name) for name in order]
    assert places == sorted(places), "out of the tree, out of the tables, out of the TLB, free; the object last"
    freed = [event for event, _ in told if isinstance(event, kmem.MmPageFree)]
    assert len(freed) == 3, "two pages and a table"
    assert any(isinstance(event, pgtrace.PtTableFree) for event, _ in told)


def test_what_is_refused_leaves_it_as_it_was(life):
    life.malloc(1000)
    before = life.snapshot()
    with pytest.raises(ValueError, match="invalid pointer"):
        life.free(5)
    with pytest.raises(ValueError, match="malloc takes"):
        life.malloc(-5)
    assert life.snapshot() == before
