"""Compaction of an allocator's blocks and of a machine's pages: what moves, what does not and why, when it is over."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmkit import BuddyAllocator, MemMap, MigrateType, PageFlags, PhysicalMemory, Trace
from mmkit.errors import BadFree, InvariantError
from mmkit.model.compaction import Compaction
from mmkit.model.compacttrace import (
    Migrate,
    MigrateFailed,
    MmCompactionBegin,
    MmCompactionEnd,
    MmCompactionIsolateFreepages,
    MmCompactionIsolateMigratepages,
    MmCompactionMigratepages,
)
from mmkit.model.pageflags import PageType
from mmkit.model.watermark import Watermarks
from tests.model.naive_compaction import NaiveCompaction

U, M, R = MigrateType.UNMOVABLE, MigrateType.MOVABLE, MigrateType.RECLAIMABLE


def every_other(nr_pages=64, pageblock_order=3, max_order=4, **arguments):
    """All memory in single movable pages, those at even places free."""
    buddy = BuddyAllocator(nr_pages, max_order=max_order, pageblock_order=pageblock_order, **arguments)
    for pfn in [buddy.alloc(0) for _ in range(nr_pages)][::2]:
        buddy.free(pfn, 0)
    return buddy


# -- an allocator's blocks --------------------------------------------------------------------------------------------


@given(
    seed=st.integers(0, 10**6),
    kernel=st.sampled_from(["6.18", "6.1"]),
    pageblock_order=st.integers(2, 6),
    start=st.integers(0, 100),
    freed=st.sampled_from([0.3, 0.6, 0.8]),
)
def test_every_move_is_foretold(seed, kernel, pageblock_order, start, freed):
    """Against the naive twin, on scattered memory: the same blocks to the same places in the same order."""
    rng = random.Random(seed)
    buddy = BuddyAllocator(700, start, 6, pageblock_order=pageblock_order, kernel=kernel)
    while buddy.free_pages:
        order = rng.choice([0, 0, 0, 0, 1, 2, 3]) if buddy.free_pages > 100 else 0
        kind = rng.choice([M] * 9 + [U])
        if buddy.has_block(order):
            buddy.alloc(order, kind)
    for pfn in buddy.allocated_blocks():
        if rng.random() < freed:
            buddy.free(pfn, buddy.allocated_order(pfn))
    before, foretold = buddy.snapshot(), NaiveCompaction(buddy.snapshot()).foretell()
    run = Compaction(buddy)
    assert run.run() == sum(1 << order for _, _, order in foretold)
    assert run.moved == foretold
    run.check()
    assert buddy.free_pages == before.free_pages
    moved = {old: new for old, new, _ in run.moved}
    expected = sorted((moved.get(pfn, pfn), order, kind) for pfn, order, kind in before.allocated_blocks)
    assert list(buddy.snapshot().allocated_blocks) == expected


def test_step_by_step():
    """The scanners, the batches, the events; the free scanner's stride doubles where it finds nothing."""
    buddy = every_other()
    trace = Trace()
    run = Compaction(buddy, trace=trace)
    steps = []
    while run.step():
        run.check()
        steps.append(len(trace))
    assert steps[:9] == [1, 2, 3, 4, 5, 6, 8, 9, 10]  # the last move of a batch and its sum are one step
    assert trace.events[:9] == [
        MmCompactionBegin(0, 0, 56, 64, True),
        MmCompactionIsolateMigratepages(0, 8, 8, 4),
        MmCompactionIsolateFreepages(56, 63, 7, 4),
        Migrate(7, 56, 0),
        Migrate(5, 58, 0),
        Migrate(3, 60, 0),
        Migrate(1, 62, 0),
        MmCompactionMigratepages(4, 0),
        MmCompactionIsolateMigratepages(8, 16, 8, 4),
    ]
    assert trace.events[9:11] == [
        MmCompactionIsolateFreepages(63, 64, 1, 0),
        MmCompactionIsolateFreepages(48, 55, 4, 4),
    ]
    assert trace.events[-3:] == [
        MigrateFailed(25, 0, "no room left above"),
        MmCompactionMigratepages(0, 4),
        MmCompactionEnd(0, 32, 32, 64, True, "complete"),
    ]
    assert (run.status, run.done, run.step()) == ("complete", True, False)
    assert repr(run) == "<Compaction: complete, scanners at 32 and 32, 12 moved>"


def test_32_pages_at_first_then_the_rest_of_the_pageblock():
    buddy = every_other(1 << 12, 9, 10)
    trace = Trace()
    Compaction(buddy, trace=trace).run()
    taken = [(e.start_pfn, e.end_pfn, e.nr_taken) for e in trace.select("mm_compaction_isolate_migratepages")]
    assert taken[:4] == [(0, 64, 32), (64, 512, 224), (512, 576, 32), (576, 1024, 224)]


def test_compact_returns_the_pages_moved_and_makes_a_large_block():
    buddy = every_other(1 << 12, 9, 10)
    assert buddy.counts()[1:] == (0,) * 10
    assert buddy.compact() == 800  # of pageblock 3 all but 32 find no room: the free scanner is next to it
    assert buddy.counts()[9:] == (1, 1)
    assert buddy.alloc(9) % 512 == 0


def test_it_ends_when_the_wanted_block_is_free():
    buddy = every_other(1 << 12, 9, 10)
    run = Compaction(buddy, order=9)
    assert run.run() == 256
    assert (run.status, run.migrate_pfn) == ("success", 512)
    assert buddy.counts()[9] == 1
    again = Compaction(buddy, order=9, trace=Trace())
    assert (again.run(), again.status, again.trace.events) == (0, "success", [])


def test_a_pageblock_is_cleared_to_its_end():
    """The first 32 pages that move leave 64 free in a row, but the scanner stops at the end of the pageblock only."""
    buddy = every_other(1 << 12, 9, 10)
    run = run_of(buddy, order=3)
    assert (run.status, run.migrate_pfn, run.nr_moved) == ("success", 512, 256)


def test_whose_block_it_is_that_ends_it():
    """Unmovable may claim a Movable pageblock for a small block of it; Movable claims others for large blocks only."""
    assert run_of(every_other(1 << 12, 9, 10), order=3, migratetype=U).migrate_pfn == 512
    assert run_of(every_other(1 << 12, 9, 10), order=3, migratetype=R).migrate_pfn == 512
    for kind, status in ((M, "success"), (R, "complete")):
        buddy = every_other(1 << 9, 6, 7)  # of pageblocks of order 6, blocks from order 3 on are large
        for pfn in range(0, 256, 64):
            buddy.set_pageblock_type(pfn, kind)
        for pfn in range(7, 256, 8):
            buddy.set_allocated_type(pfn, U)  # so that nothing larger than order 2 gets free
        assert run_of(buddy, order=2).status == status
        assert buddy.free_blocks(2)


def test_the_dma_zone_of_a_running_6_18():
    """What ``echo 1 > compact_memory`` told of a zone whose first 256 pages were in use and all others free."""
    trace = Trace()
    buddy = BuddyAllocator(0xFFF, 1, holes=[(1, 0x100)])
    assert buddy.counts() == (0,) * 8 + (1, 1, 3)
    Compaction(buddy, trace=trace).run()
    assert trace.events == [
        MmCompactionBegin(0x1, 0x1, 0xE00, 0x1000, True),
        MmCompactionIsolateMigratepages(0x1, 0x200, 511, 0),
        MmCompactionIsolateMigratepages(0x200, 0x400, 512, 0),
        MmCompactionIsolateMigratepages(0x400, 0x600, 1024, 0),
        MmCompactionIsolateMigratepages(0x600, 0x800, 512, 0),
        MmCompactionIsolateMigratepages(0x800, 0xA00, 1024, 0),
        MmCompactionIsolateMigratepages(0xA00, 0xC00, 512, 0),
        MmCompactionIsolateMigratepages(0xC00, 0xE00, 1024, 0),
        MmCompactionEnd(0x1, 0xE00, 0xE00, 0x1000, True, "complete"),
    ]


def test_pageblocks_without_memory_are_passed_over():
    buddy = BuddyAllocator(80, max_order=4, pageblock_order=3, holes=[(16, 32), (56, 72)])
    for pfn in [buddy.alloc(0) for _ in range(48)][::2]:
        buddy.free(pfn, 0)
    trace = Trace()
    Compaction(buddy, trace=trace).run()
    kinds = "mm_compaction_isolate_migratepages", "mm_compaction_isolate_freepages"
    looked_at = {event.start_pfn & ~7 for event in trace.select(*kinds)}
    assert looked_at == {0, 8, 32, 48, 72}  # where they met they need not look


def test_when_it_is_not_worth_it():
    little = BuddyAllocator(64, max_order=4, pageblock_order=4)
    pfns = [little.alloc(0) for _ in range(64)]
    for pfn in pfns[::8]:
        little.free(pfn, 0)
    run = Compaction(little, order=2)  # 8 pages are free, and twice the block must be, and more
    assert (run.suitable(), run.run(), run.status) == ("skipped", 0, "skipped")
    large = BuddyAllocator(1 << 12)
    for pfn in [large.alloc(8) for _ in range(16)][::2]:
        large.free(pfn, 8)
    assert large.fragmentation_index(9) == 0.375
    assert Compaction(large, order=9).suitable() == "not_suitable_zone"


def test_only_pageblocks_of_movable_pages_give_room():
    for kind, moved in ((M, 12), (U, 0), (R, 0)):
        buddy = every_other()
        for pfn in range(8, 64, 8):
            buddy.set_pageblock_type(pfn, kind)
        assert Compaction(buddy).run() == moved
    buddy = every_other()
    for pfn in range(0, 64, 8):
        buddy.set_pageblock_type(pfn, U)
    assert Compaction(buddy).run() == 0
    assert Compaction(buddy, any_pageblock=True).run() == 12


def test_free_pageblocks_give_no_room_and_large_blocks_stay():
    buddy = BuddyAllocator(64, max_order=5, pageblock_order=3)
    pfns = [buddy.alloc(0) for _ in range(8)] + [buddy.alloc(3), buddy.alloc(4)]
    for pfn in pfns[1:8]:
        buddy.free(pfn, 0)
    run = Compaction(buddy, trace=(trace := Trace()))
    assert run.run() == 0
    # All room lies in wholly free pageblocks. The rest of the free block of order 5, which starts at page 32, does not
    # look like one: the scanner goes through it for nothing, and through the allocated block of order 4.
    assert [e.start_pfn for e in trace.select("mm_compaction_isolate_freepages")] == [56, 48, 40, 24, 16]
    assert (0, "no room left above") in run.failed
    buddy.free(pfns[0], 0)
    buddy.free(buddy.alloc(5), 5)
    for pfn in [buddy.alloc(0) for _ in range(40)][::2]:
        buddy.free(pfn, 0)
    run = Compaction(buddy, trace=(trace := Trace()))
    run.run()
    filled = {pfn: why for pfn, why in run.failed if "fills" in why}
    assert filled == {
        8: "a block of order 3, which fills its pageblock",
        16: "a block of order 4, which fills its pageblock",
    }
    # No event for such pageblocks: they are passed over.
    assert 8 not in [e.start_pfn for e in trace.select("mm_compaction_isolate_migratepages")]


def test_what_cannot_move_says_why():
    buddy = BuddyAllocator(64, max_order=4, pageblock_order=4)
    kinds = [M, U, R, M, M, MigrateType.HIGHATOMIC]
    pfns = [buddy.alloc(0, M) for _ in range(64)]
    for pfn, kind in zip(pfns, kinds, strict=False):
        buddy.set_allocated_type(pfn, kind)
    for pfn in pfns[6:16] + pfns[40:]:
        buddy.free(pfn, 0)
    run = Compaction(buddy)
    run.step(), run.step()
    assert run.failed == [
        (1, "allocated as Unmovable"),
        (2, "allocated as Reclaimable"),
        (5, "allocated as HighAtomic"),
    ]
    assert run.isolated == [(0, 0), (3, 0), (4, 0)]
    old = every_other(kernel="6.1")
    old.free(1, 0)
    assert old.alloc(1) == 0
    assert (0, "a block of order 1, and Linux 6.1 moves single pages only") in [*run_of(old).failed]
    wanted = BuddyAllocator(64, max_order=4, pageblock_order=4)
    blocks = [wanted.alloc(1) for _ in range(32)]
    for pfn in blocks[::2]:
        wanted.free(pfn, 1)
    assert wanted.compact(1) == 0
    wanted.alloc(1)
    for pfn in [wanted.alloc(0) for _ in range(wanted.free_pages)][::2]:
        wanted.free(pfn, 0)
    assert any(why == "a block of order 1, as large as the wanted one" for _, why in run_of(wanted, order=1).failed)


def run_of(buddy, **arguments):
    run = Compaction(buddy, **arguments)
    run.run()
    return run


def test_large_blocks_move_whole_into_the_smallest_room():
    buddy = BuddyAllocator(48, max_order=4, pageblock_order=4)
    low = [buddy.alloc(2) for _ in range(2)] + [buddy.alloc(3)]
    high = [buddy.alloc(0) for _ in range(32)][16:]
    buddy.free(low[2], 3)
    for pfn in high[1:2] + high[4:14]:
        buddy.free(pfn, 0)
    assert (buddy.free_blocks(2), buddy.free_blocks(1), buddy.free_blocks(0)) == ([40, 36], [44], [33])
    run = run_of(buddy)
    # Room: page 33, 4 pages at 36, 4 at 40. The last block found goes first.
    assert run.moved[:2] == [(4, 36, 2), (0, 40, 2)]
    assert run.moved[2:] == [(31, 33, 0)]
    assert buddy.counts() == (1, 1, 0, 0, 1)


def test_blocks_freed_and_taken_between_steps():
    buddy = every_other()
    run = Compaction(buddy)
    run.step(), run.step()
    pfn, order = run.isolated[-1]
    buddy.free(pfn, order)
    taken = buddy.alloc(0)
    run.run()
    run.check()
    assert (pfn, "freed meanwhile") in run.failed or taken == pfn
    assert pfn not in {old for old, _, _ in run.moved} or taken == pfn


def test_listeners_hear_of_every_move():
    heard = []
    run = Compaction(every_other(), on_move=lambda *move: heard.append(move))
    run.run()
    assert heard == run.moved


def test_a_snapshot_is_frozen_and_can_be_gone_on_from():
    run = Compaction(every_other())
    for _ in range(7):
        run.step()
    frozen = run.snapshot()
    assert (frozen.migrate_pfn, frozen.free_pfn, frozen.status, frozen.done) == (8, 63, "continue", False)
    assert frozen.isolated == ()
    assert frozen.moved == ((7, 56, 0), (5, 58, 0), (3, 60, 0), (1, 62, 0))
    other = Compaction.from_snapshot(frozen)
    assert (other.run(), run.run()) == (12, 12)
    assert other.snapshot() == run.snapshot()
    assert frozen.moved == run.snapshot().moved[:4]


def test_arguments():
    buddy = BuddyAllocator(64, max_order=4, pageblock_order=3)
    for order in (-2, 5):
        with pytest.raises(ValueError, match=f"order is {order}, must be one of 0 to 4, or -1 for the whole zone"):
            buddy.compact(order)
    with pytest.raises(TypeError, match="order and migratetype are whole numbers, not '3'"):
        buddy.compact("3")
    with pytest.raises(ValueError, match="migratetype is 4, must be one of 0 to 2"):
        Compaction(buddy, order=2, migratetype=MigrateType.ISOLATE)
    for pfn in (-1, 1, 64, 10**9):
        with pytest.raises(ValueError, match=f"no free block starts at page {pfn}"):
            buddy.take_free_block(pfn)
    with pytest.raises(BadFree, match="no block is allocated at page 0"):
        buddy.set_allocated_type(0, M)
    pfn = buddy.alloc(0)
    with pytest.raises(ValueError, match="migratetype is 9, must be one of 0 to 3"):
        buddy.set_allocated_type(pfn, 9)


def test_check_notices():
    def started(steps):
        run = Compaction(every_other())
        for _ in range(steps):
            run.step()
        run.check()
        return run

    run = started(3)
    run.buddy.free(run.targets[0][0], 0)
    with pytest.raises(InvariantError, match="room is off the free lists"):
        run.check()
    run = started(3)
    run.targets[0].append(run.targets[0][0])
    with pytest.raises(InvariantError, match="nr_freepages counts the pages of room"):
        run.check()
    run = started(3)
    run.targets[0][1] = run.targets[0][0]
    with pytest.raises(InvariantError, match="a block is in hand once"):
        run.check()
    run = started(2)
    run.isolated.append((9, 0))
    with pytest.raises(InvariantError, match="nr_migratepages counts the pages in hand"):
        run.check()
    run = started(3)
    run.migrate_pfn = 60
    with pytest.raises(InvariantError, match="room is above the migrate scanner"):
        run.check()
    run = started(2)
    run.migrate_pfn = -3
    with pytest.raises(InvariantError, match="the migrate scanner is in the zone"):
        run.check()
    run = started(2)
    run.buddy.state[0] = 3
    with pytest.raises(InvariantError):
        run.check()


# -- a machine's pages ------------------------------------------------------------------------------------------------


def machine(**arguments):
    """Pages of every kind, filling 24 MiB, and a good half of the movable ones freed again."""
    memory = PhysicalMemory("X86_64", "24MiB", pcp=arguments.pop("pcp", False), **arguments)
    rng, pages = random.Random(1), []
    while sum(zone.free_pages for zone in memory.zones) > 1200:
        pages.append(memory.alloc_pages("GFP_HIGHUSER_MOVABLE"))
        anon(pages[-1], len(pages), mappings=rng.choice([1, 1, 1, 2, 3]), ring=pages[-2:-1])
    kept = []
    for page in pages:
        if rng.random() < 0.6:
            release(memory, page)
        else:
            kept.append(page.pfn)
    return memory, kept


def anon(page, index, mappings=1, ring=()):
    page.set_anon(0x1000 + 16 * index, index)
    for i in range(mappings):
        if i:
            page.get()
        page.map()
    page.lru_add(*ring)


def release(memory, page):
    page.lru_del()
    while page.mappings > 1:
        page.unmap()
        page.put()
    page.unmap()
    memory.free_pages(page)


def states(memory, pfns):
    """All that a page says of itself, by its index in the mapping."""
    found, mem_map = {}, memory.mem_map
    for pfn in pfns:
        page = mem_map.snapshot(pfn)
        fields = (page.refcount, page.mapcount, page.mapping, page.private, page.flags, page.zone)
        found[page.index] = fields
    return found


def ring(memory, pfns):
    """Indexes of the pages on the ring, in order, from the lowest."""
    mem_map = memory.mem_map
    first = min(pfns, key=lambda pfn: mem_map[pfn].index)
    found, pfn = [mem_map[first].index], mem_map[first].lru[1]
    while pfn != first:
        found.append(mem_map[pfn].index)
        pfn = mem_map[pfn].lru[1]
    return found


def compact(memory, pfns, zones=("DMA", "DMA32"), **choices):
    """Compact, and return where the pages are then, and the runs."""
    origins, runs = {pfn: pfn for pfn in pfns}, []

    def moved(old, new, order):
        origins[new] = origins.pop(old)

    for name in zones:
        if memory.zone(name).buddy:
            runs.append(memory.compaction(name, on_move=moved, **choices))
            runs[-1].run()
            runs[-1].check()
    return {first: now for now, first in origins.items()}, runs


@pytest.mark.parametrize("pcp", [False, True])
def test_pages_move_with_all_that_they_are(pcp):
    memory, kept = machine(pcp=pcp)
    memory.mem_map[kept[0]].set_private(7)
    memory.mem_map[kept[1]].set_flags(PageFlags.dirty | PageFlags.active)
    before, order = states(memory, kept), ring(memory, kept)
    free = sum(zone.free_pages + zone.pcp_pages for zone in memory.zones)
    large = sum(zone.buddy.counts()[9] + 2 * zone.buddy.counts()[10] for zone in memory.zones if zone.buddy)
    where, runs = compact(memory, kept)
    assert sum(run.nr_moved for run in runs) > 400
    now = list(where.values())
    assert len(set(now)) == len(kept)
    assert states(memory, now) == before
    assert ring(memory, now) == order
    gone = set(kept) - set(now)
    mem_map = memory.mem_map
    assert all(mem_map[pfn].refcount == 0 and mem_map[pfn].lru is None for pfn in gone)
    memory.check()
    assert sum(zone.free_pages + zone.pcp_pages for zone in memory.zones) == free
    memory.drain_pages()
    memory.check()
    assert sum(zone.buddy.counts()[9] + 2 * zone.buddy.counts()[10] for zone in memory.zones if zone.buddy) > large
    for pfn in now:
        if not mem_map[pfn].private:
            release(memory, mem_map[pfn])
    memory.check()


def test_what_a_compacted_machine_goes_on_as():
    memory, kept = machine()
    compact(memory, kept)
    other = PhysicalMemory.from_snapshot(memory.snapshot())
    other.check()
    assert other.snapshot() == memory.snapshot()
    for each in (memory, other):
        each.alloc_pages("GFP_KERNEL", 3)
    assert other.snapshot() == memory.snapshot()


def test_who_holds_a_page_decides_whether_it_moves():
    trace = Trace()
    memory = PhysicalMemory("X86_64", "8MiB", pcp=False, trace=trace)
    pages = low_pages(memory, 10)
    kernels, slab, pinned, file, file_pinned, locked, buffers, lonely, plain, twice = pages
    slab.set_type(PageType.slab)
    for i, page in enumerate((pinned, locked, plain, twice)):
        anon(page, i, mappings=1 + (page is twice))
    pinned.get()
    locked.set_flags(PageFlags.locked | PageFlags.writeback)
    for i, page in enumerate((file, file_pinned, buffers)):
        page.set_file(0x2000, 100 + i)
        page.put()
        page.lru_add()
    file_pinned.get()
    buffers.get()
    buffers.set_flags(PageFlags.private)
    lonely.lru_add()
    run = memory.compaction("DMA")
    run.run()
    run.check()
    assert {pfn: why for pfn, why in run.failed if pfn <= twice.pfn} == {
        kernels.pfn: "on no LRU list: the kernel's own",
        slab.pfn: "a page of type slab: the kernel knows its address",
        pinned.pfn: "pinned: refcount 2, of which 1 are of mappings and the page cache",
        lonely.pfn: "pinned: refcount 1, of which 0 are of mappings and the page cache",
        file_pinned.pfn: "pinned: refcount 2, of which 1 are of mappings and the page cache",
        locked.pfn: "busy: locked, writeback",
    }
    # What nobody could have told is found out when it is tried.
    assert {event.pfn for event in trace.select("migrate_failed")} == {file_pinned.pfn, locked.pfn}
    assert {old for old, _, _ in run.moved} == {file.pfn, buffers.pfn, plain.pfn, twice.pfn}
    sums = trace.select("mm_compaction_migratepages")
    assert sum(event.nr_failed for event in sums) == 2


def test_a_map_that_belongs_to_nobody():
    """An allocator and a map, without a machine around them."""
    buddy, mem_map = every_other(), MemMap(64)
    for pfn in buddy.allocated_blocks():
        mem_map[pfn].set_refcounted()
        anon(mem_map[pfn], pfn)
    for pfn in buddy.free_blocks(0):
        mem_map[pfn].set_buddy(0)
    run = Compaction(buddy, mem_map)
    assert run.run() == 12
    run.check()
    assert {mem_map[new].index: old for old, new, _ in run.moved} == {old: old for old, _, _ in run.moved}
    mem_map.check()


def test_a_page_that_reaches_its_lru_list_in_a_batch():
    memory = PhysicalMemory("X86_64", "8MiB", pcp=False)
    (page,) = low_pages(memory, 1)
    page.set_anon(0x1000, 1)
    page.map()
    moves = []
    assert memory.compact_zone("DMA", on_move=lambda *move: moves.append(move)) == 1
    assert moves[0][0] == page.pfn
    assert memory.mem_map[moves[0][1]].mapcount == 0


def low_pages(memory, nr_pages):
    """Use all memory, free every other page of its upper half as room, and return the lowest pages."""
    pages = [memory.alloc_pages("GFP_HIGHUSER_MOVABLE") for _ in range(memory.zone("DMA").free_pages - 200)]
    for page in pages:
        if page.pfn > 1024 and page.pfn % 2:
            memory.free_pages(page)
    return sorted(pages, key=lambda page: page.pfn)[:nr_pages]


def test_large_folios_move_as_one():
    memory, kept = machine()
    folio = memory.alloc_pages("GFP_HIGHUSER_MOVABLE|__GFP_COMP", 2)
    anon(folio, 50_000)
    where, _ = compact(memory, [*kept, folio.pfn])
    page = memory.mem_map[where[folio.pfn]]
    assert (page.index, page.refcount, page.mappings) == (50_000, 1, 1)
    assert PageFlags.head in page.flags
    memory.check()


def test_a_watermark_stops_the_search_for_room():
    memory, kept = machine()
    for zone in memory.zones:
        if zone.buddy:
            zone.watermarks = Watermarks(zone.free_pages, zone.free_pages, zone.free_pages)
    before = memory.snapshot()
    _, runs = compact(memory, kept)
    assert {run.status for run in runs} <= {"contended", "complete"}
    assert "contended" in {run.status for run in runs}
    assert sum(run.nr_moved for run in runs) == 0
    assert memory.snapshot() == before


def test_marks_that_a_run_must_keep_above():
    memory = PhysicalMemory("X86_64", "8MiB", pcp=False)
    zone = memory.zone("DMA")
    zone.watermarks = Watermarks(0, 0, 0)
    pages = [memory.alloc_pages("GFP_ATOMIC") for _ in range(zone.free_pages)]
    for page in pages:
        if page.pfn > 1024 and page.pfn % 2:
            memory.free_pages(page)
    free = zone.free_pages
    zone.watermarks = Watermarks(free - 100, free - 20, free)  # twice a block of order 4 is 32 pages
    suitable = {order: memory.compaction("DMA", order=order).suitable() for order in (1, 3, 4, 6)}
    assert suitable == {1: "continue", 3: "continue", 4: "skipped", 6: "skipped"}
    zone.watermarks = Watermarks(free - 100, free - 60, free)
    assert memory.compaction("DMA", order=4).suitable() == "continue"
    zone.watermarks = Watermarks(free - 16, free - 16, free)
    assert memory.compaction("DMA", order=3).suitable() == "skipped"
    assert memory.compaction("DMA", order=0).suitable() == "success"


def test_what_was_freed_merges_in_time():
    """Freed pages are on per-CPU lists first; looking for a block, compaction drains them as it leaves one behind."""
    memory, kept = machine(pcp=True, min_free_kbytes=128)
    name = "DMA32" if memory.zone("DMA32").buddy else "DMA"
    _, runs = compact(memory, kept, (name,), order=8)
    (run,) = runs
    assert run.status == "success"
    assert memory.zone(name).has_block(8)
    memory.check()


def test_zones_to_compact():
    memory = PhysicalMemory("X86_64", "8MiB")
    with pytest.raises(ValueError, match="zone DMA32 of node 0 is empty: there is nothing to compact"):
        memory.compact_zone("DMA32")
    with pytest.raises(ValueError, match="has no zone 'Nowhere'"):
        memory.compact_zone("Nowhere")
    with pytest.raises(ValueError, match="order is 11, must be one of 0 to 10"):
        memory.compact_zone("DMA", order=11)
    with pytest.raises(ValueError, match="the machine has CPUs 0 to"):
        memory.compaction("DMA", cpu=99)


def test_a_row_of_the_map_moves():
    mem_map = MemMap(16)
    pages = [mem_map[pfn] for pfn in (2, 3, 4)]
    for page in pages:
        page.set_refcounted()
        page.lru_add(pages[0] if page is not pages[0] else None)
    mem_map.move(2, 9)
    assert mem_map[9].lru == (3, 4)
    assert (mem_map[2].refcount, mem_map[2].lru, mem_map[2].flags) == (0, None, PageFlags(0))
    mem_map.move(3, 10)
    mem_map.check()
    for pfn in (9, 10):
        with pytest.raises(ValueError, match=f"page {pfn} is in use .*: nothing can move there"):
            mem_map.move(4, pfn)
    alone = mem_map[12]
    alone.set_refcounted()
    alone.lru_add()
    mem_map.move(12, 13)
    assert mem_map[13].lru == (13, 13)
    mem_map[14].set_buddy(1)
    with pytest.raises(ValueError, match=r"page 14 is in use .buddy"):
        mem_map.move(13, 14)
    mem_map.check()
