"""The buddy allocator, rule by rule: what it takes, splits, merges and gives, what it tells, what it refuses."""

from __future__ import annotations

import random

import numpy as np
import pytest

import mmkit
from mmkit.errors import BadFree, InvariantError, OutOfMemory
from mmkit.model.buddy import BuddyAllocator, MigrateType, frame_map
from mmkit.model.snapshot import FrameUse, Source
from mmkit.model.trace import Merge, MmPageAlloc, MmPageAllocExtfrag, MmPageFree, Put, Split, Take, Trace
from mmkit.record import replace

UNMOVABLE, MOVABLE, RECLAIMABLE, HIGHATOMIC, ISOLATE = MigrateType
KERNELS = pytest.mark.parametrize("kernel", ["6.1", "6.18"])


def lists(buddy, kind=MOVABLE):
    """The lists of one type that are not empty."""
    rows = {order: buddy.free_blocks(order, kind) for order in range(buddy.max_order + 1)}
    return {order: pfns for order, pfns in rows.items() if pfns}


def told(nr_pages=1024, **how):
    """An allocator that is listened to, and what it says."""
    trace = Trace()
    return BuddyAllocator(nr_pages, trace=trace, **how), trace


# -- the notes' example -----------------------------------------------------------------------------------------------


def test_256_pages_wanted_nothing_at_256_nothing_at_512_found_at_1024():
    buddy, trace = told()
    assert buddy.counts() == (0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1)
    assert buddy.alloc(8) == 0
    assert trace.events == [
        Take(0, 10, MOVABLE),
        Split(0, 10, 512, MOVABLE),
        Split(0, 9, 256, MOVABLE),
        MmPageAlloc(0, 8, 0, MOVABLE),
    ]
    assert lists(buddy) == {8: [256], 9: [512]}


def test_giving_it_back_merges_it_with_what_was_split_off():
    buddy, trace = told()
    buddy.free(buddy.alloc(8), 8)
    assert trace.events[4:] == [
        MmPageFree(0, 8),
        Merge(0, 8, 256),
        Merge(0, 9, 512),
        Put(0, 10, MOVABLE, False),
    ]
    assert lists(buddy) == {10: [0]}


def test_nothing_found_up_to_the_largest_order():
    buddy, trace = told()
    buddy.alloc(0)
    trace.clear()
    before = buddy.snapshot()
    with pytest.raises(OutOfMemory, match=r"no Movable memory for 1024 pages in one block \(order 10\).*1023 of 1024"):
        buddy.alloc(10)
    assert trace.events == [MmPageAlloc(None, 10, 0, MOVABLE)]
    assert buddy.snapshot() == before
    with pytest.raises(MemoryError):
        buddy.alloc(10)


# -- taking and giving ------------------------------------------------------------------------------------------------


def test_memory_is_free_at_boot_in_maximal_aligned_blocks_lowest_first():
    buddy = BuddyAllocator(4096 + 7, start_pfn=1)
    assert lists(buddy) == {
        0: [1], 1: [2], 2: [4], 3: [8, 4096], 4: [16], 5: [32], 6: [64], 7: [128], 8: [256], 9: [512],
        10: [1024, 2048, 3072],
    }  # fmt: skip
    assert buddy.free_pages == 4103
    buddy.check()


def test_the_head_of_the_list_is_taken():
    buddy = BuddyAllocator(4096)
    assert [buddy.alloc(10) for _ in range(4)] == [0, 1024, 2048, 3072]
    for pfn in (2048, 0):
        buddy.free(pfn, 10)
    assert buddy.free_blocks(10) == [0, 2048]
    assert buddy.alloc(10) == 0


def test_a_block_that_will_likely_merge_soon_goes_to_the_tail():
    buddy = BuddyAllocator(64, max_order=6)
    pages = [buddy.alloc(0) for _ in range(64)]
    assert pages == list(range(64))
    buddy.free(62, 0)
    buddy.free(20, 0)
    buddy.free(22, 0)  # its buddy 23 is in use, and so is 20-21 as a whole: head
    assert buddy.free_blocks(0) == [22, 20, 62]
    buddy.free(21, 0)  # merges with 20
    buddy.free(16, 0)
    buddy.free(18, 0)
    assert buddy.free_blocks(0) == [18, 16, 22, 62]
    buddy.free(25, 0)
    buddy.free(26, 0)
    buddy.free(27, 0)  # 26-27 is one block: the buddy of what 25 would merge to
    buddy.free(24, 0)
    buddy.free(30, 0)
    assert buddy.free_blocks(2) == [24]
    buddy.free(28, 0)
    buddy.free(29, 0)  # 28-29 is free as a whole, but 30 was given before that
    assert buddy.free_blocks(0) == [30, 18, 16, 22, 62]
    buddy.alloc(0)
    buddy.free(30, 0)  # now it would merge with 31 and then with 28-29
    assert buddy.free_blocks(0) == [18, 16, 22, 62, 30]


def test_tail_and_head_are_taken_in_list_order():
    """Blocks put at head and tail in turn come out as a list would give them."""
    buddy = BuddyAllocator(256, max_order=3)
    for pfn in [buddy.alloc(0) for _ in range(256)]:
        if pfn % 8 in (2, 3):
            buddy.free(pfn, 0)
    for pfn in (0, 9, 17, 24):
        buddy.free(pfn, 0)  # each buddy's pair is in use, the pair beside it free: all to the tail
    buddy.free(6, 0)
    buddy.free(12, 0)
    assert buddy.free_blocks(0) == [12, 6, 0, 9, 17, 24]
    assert [buddy.alloc(0) for _ in range(6)] == [12, 6, 0, 9, 17, 24]


def test_merging_stops_at_the_ends_of_the_zone_and_at_holes():
    buddy = BuddyAllocator(21, start_pfn=3, max_order=4, holes=[(12, 14)])
    assert lists(buddy) == {0: [3], 1: [14], 2: [4, 8], 3: [16]}
    held = [(buddy.alloc(0), 0) for _ in range(buddy.free_pages)]
    assert sorted(pfn for pfn, _ in held) == [*range(3, 12), *range(14, 24)]
    random.Random(0).shuffle(held)
    for pfn, order in held:
        buddy.free(pfn, order)
        buddy.check()
    assert {order: sorted(pfns) for order, pfns in lists(buddy).items()} == {0: [3], 1: [14], 2: [4, 8], 3: [16]}


@pytest.mark.parametrize("max_order", [0, 1, 4, 11, 14])
def test_any_largest_order(max_order):
    buddy = BuddyAllocator(3 << max_order, max_order=max_order)
    assert buddy.counts()[-1] == 3
    pfn = buddy.alloc(max_order)
    buddy.free(pfn, max_order)
    assert buddy.counts()[-1] == 3
    buddy.check()
    with pytest.raises(ValueError, match=rf"order is {max_order + 1}, must be one of 0 to {max_order}"):
        buddy.alloc(max_order + 1)


def test_a_zone_that_starts_high_needs_memory_for_its_own_pages_only():
    buddy = BuddyAllocator(1 << 16, start_pfn=1 << 24)
    assert buddy.alloc(0) == 1 << 24
    buddy.free(1 << 24, 0)
    assert buddy.free_blocks(10)[:2] == [1 << 24, (1 << 24) + 1024]
    buddy.check()
    assert len(buddy.snapshot().allocated) == 1 << 16


def test_an_unknown_block_may_be_freed_whole():
    """Pages in use since before the model looked are freed in any size, if all of them are in use."""
    start = BuddyAllocator(32, max_order=5, pageblock_order=4).snapshot()
    emptied = tuple(tuple(() for _ in MigrateType) for _ in range(6))
    buddy = BuddyAllocator.from_snapshot(replace(start, allocated=b"\xff" * 32, free_lists=emptied))
    buddy.free(8, 2)
    assert lists(buddy) == {2: [8]}
    before = buddy.snapshot()
    for pfn, order in ((8, 3), (0, 4), (8, 2), (9, 0)):
        with pytest.raises(BadFree):
            buddy.free(pfn, order)
    assert buddy.snapshot() == before
    buddy.free(16, 4)
    buddy.free(12, 2)
    buddy.free(0, 3)
    assert lists(buddy) == {5: [0]}
    buddy.check()


def test_6_18_frees_a_block_larger_than_a_pageblock_piece_by_piece():
    """split_large_buddy(): each pageblock is given to its own type's list, and then they merge."""
    for kernel, steps in (
        ("6.1", [MmPageFree(0, 4), Put(0, 4, MOVABLE, False)]),
        ("6.18", [MmPageFree(0, 4), Put(0, 3, MOVABLE, False), Merge(8, 3, 0), Put(0, 4, MOVABLE, False)]),
    ):
        buddy, trace = told(16, max_order=4, pageblock_order=3, kernel=kernel)
        buddy.alloc(4)
        trace.clear()
        buddy.free(0, 4)
        assert trace.events == steps


def test_split_page_makes_blocks_that_are_freed_one_by_one():
    buddy = BuddyAllocator(64, max_order=6)
    buddy.alloc(4)
    buddy.split_page(0, 4, 2)
    buddy.split_page(4, 2)
    assert [buddy.allocated_order(pfn) for pfn in (0, 4, 5, 6, 7, 8, 9)] == [2, 0, 0, 0, 0, 2, None]
    assert buddy.allocated_blocks() == [0, 4, 5, 6, 7, 8, 12]
    before = buddy.snapshot()
    for pfn, order, new_order in ((0, 2, 2), (0, 2, -1), (0, 3, 0), (9, 0, 0), (20, 0, 0)):
        with pytest.raises(ValueError, match=r"new_order|order 2|inside|misaligned|free"):
            buddy.split_page(pfn, order, new_order)
    assert buddy.snapshot() == before
    for pfn, order in ((4, 0), (0, 2), (8, 2), (12, 2), (7, 0), (6, 0), (5, 0)):
        buddy.free(pfn, order)
    assert lists(buddy) == {6: [0]}


# -- migrate types ----------------------------------------------------------------------------------------------------


def fragmented(kernel, free, kind=RECLAIMABLE, of=MOVABLE):
    """32 pages in pageblocks of 8: all allocated as ``of``, then those in ``free`` given back; all of type ``kind``."""
    buddy, trace = told(32, max_order=4, pageblock_order=3, migratetype=kind, kernel=kernel)
    for _ in range(32):
        buddy.alloc(0, of)
    for first in range(0, 32, 8):
        buddy.set_pageblock_type(first, kind)
    for pfn in free:
        buddy.free(pfn, 0)
    trace.clear()
    return buddy, trace


@KERNELS
def test_a_whole_pageblock_changes_type_when_its_block_is_claimed(kernel):
    buddy, trace = told(32, max_order=4, pageblock_order=3, kernel=kernel)
    assert buddy.alloc(1, UNMOVABLE) == 0
    assert [buddy.pageblock_type(pfn) for pfn in (0, 8, 16)] == [UNMOVABLE, UNMOVABLE, MOVABLE]
    assert lists(buddy, UNMOVABLE) == {1: [2], 2: [4], 3: [8]}
    assert MmPageAllocExtfrag(0, 1, 4, UNMOVABLE, MOVABLE, True) in trace.events
    # 6.1 moves the block first and then takes as always; 6.18 tells it when it has the page.
    names = [event.name for event in trace.events]
    extfrag, take = names.index("mm_page_alloc_extfrag"), names.index("take")
    assert (extfrag < take) == (kernel == "6.1")
    assert trace.events[-1] == MmPageAlloc(0, 1, 0, UNMOVABLE)


@KERNELS
@pytest.mark.parametrize(("free", "changes"), [((0, 1, 2, 3), True), ((0, 1, 2), False)])
def test_a_pageblock_changes_type_if_half_of_it_is_free(kernel, free, changes):
    """Nothing in use there is alike: Unmovable wants a Reclaimable pageblock."""
    buddy, trace = fragmented(kernel, free)
    pfn = buddy.alloc(0, UNMOVABLE)
    assert pfn in free
    assert buddy.pageblock_type(0) == (UNMOVABLE if changes else RECLAIMABLE)
    assert trace.select("mm_page_alloc_extfrag")[0].change_ownership == changes
    left = len(free) - 1
    own = sum(len(pfns) << order for order, pfns in lists(buddy, UNMOVABLE).items())
    # Free pages move to the list of the wanting type in 6.1 at any rate, in 6.18 only if the pageblock does.
    assert own == (left if changes or kernel == "6.1" else 0)
    buddy.check()


@KERNELS
def test_pages_that_are_alike_count_for_the_half(kernel):
    """Movable pages in a Reclaimable pageblock, for Movable; what is not movable in a Movable one, for others."""
    pfns = (0, 1, 2, 3)
    buddy, _ = fragmented(kernel, (4,), kind=RECLAIMABLE, of=MOVABLE)
    assert buddy.alloc(0, MOVABLE) == 4
    assert buddy.pageblock_type(0) == RECLAIMABLE  # a single page is too little to claim for Movable
    buddy, _ = fragmented(kernel, pfns[:2], kind=RECLAIMABLE, of=MOVABLE)
    assert buddy.alloc(0, MOVABLE) == 0
    assert buddy.pageblock_type(0) == MOVABLE
    for wanted, other in ((UNMOVABLE, RECLAIMABLE), (RECLAIMABLE, UNMOVABLE)):
        for of, changes in ((other, True), (wanted, True), (MOVABLE, False)):
            buddy, _ = fragmented(kernel, (0,), kind=MOVABLE, of=of)
            assert buddy.alloc(0, wanted) == 0
            assert (buddy.pageblock_type(0) == wanted) == changes


def test_who_knows_better_decides_about_claims():
    """A replay has the answer from the recording."""

    class Asked(BuddyAllocator):
        def claims_pageblock(self, pfn, migratetype, free_pages, alike_pages):
            asked.append((pfn, migratetype, free_pages, alike_pages))
            return False

    # 6.18 asks again for the largest block of each smaller order; 6.1 has moved what was free after the first answer.
    for kernel, blocks in (("6.1", [0]), ("6.18", [0, 4])):
        asked = []
        buddy, _ = fragmented(kernel, range(6))
        buddy = Asked.from_snapshot(buddy.snapshot())
        buddy.alloc(0, UNMOVABLE)
        assert asked == [(pfn, UNMOVABLE, 6, 0) for pfn in blocks]
        assert buddy.pageblock_type(0) == RECLAIMABLE


@KERNELS
def test_movable_takes_the_smallest_block_of_another_type_if_it_may_not_claim(kernel):
    buddy, _ = told(128, max_order=6, pageblock_order=6, migratetype=UNMOVABLE, kernel=kernel)
    for _ in range(128):
        buddy.alloc(0, UNMOVABLE)
    for pfn in (8, 9, 10, 11, 20):
        buddy.free(pfn, 0)
    assert lists(buddy, UNMOVABLE) == {0: [20], 2: [8]}
    assert buddy.alloc(0, MOVABLE) == 20
    assert buddy.alloc(1, MOVABLE) == 8
    rest = UNMOVABLE if kernel == "6.18" else MOVABLE
    assert lists(buddy, rest) == {1: [10]}
    buddy.check()


@KERNELS
def test_fallback_goes_to_the_best_type_first(kernel):
    for wanted, best, other in (
        (UNMOVABLE, RECLAIMABLE, MOVABLE),
        (MOVABLE, RECLAIMABLE, UNMOVABLE),
        (RECLAIMABLE, UNMOVABLE, MOVABLE),
    ):
        buddy, trace = told(32, max_order=3, pageblock_order=3, migratetype=other, kernel=kernel)
        buddy.set_pageblock_type(16, best)
        assert buddy.alloc(3, wanted) == 16
        buddy.set_pageblock_type(24, HIGHATOMIC)
        assert buddy.alloc(3, wanted) == 0
        assert [event.fallback_migratetype for event in trace.select("mm_page_alloc_extfrag")] == [best, other]


@KERNELS
def test_without_fragmenting_only_whole_pageblocks_are_claimed(kernel):
    buddy, _ = told(16, max_order=4, pageblock_order=3, kernel=kernel)
    page = buddy.alloc(0, MOVABLE)
    assert buddy.alloc(0, UNMOVABLE, nofragment=True) == 8
    for _ in range(7):
        buddy.alloc(0, UNMOVABLE, nofragment=True)
    before = buddy.snapshot()
    with pytest.raises(OutOfMemory):
        buddy.alloc(0, UNMOVABLE, nofragment=True)
    assert buddy.snapshot() == before
    assert page == 0
    assert buddy.alloc(0, UNMOVABLE) in range(1, 8)


@KERNELS
def test_a_pageblock_that_the_zone_cuts_off_is_never_claimed_whole(kernel):
    """6.18: if it reaches over either end; 6.1: over the end only."""
    for nr_pages, start, claimed in ((7, 1, kernel == "6.1"), (7, 0, False)):
        buddy = BuddyAllocator(nr_pages, start, 4, pageblock_order=3, kernel=kernel)
        pfn = buddy.alloc(0, UNMOVABLE)
        assert (buddy.pageblock_type(pfn) == UNMOVABLE) == claimed
        buddy.check()


def test_6_1_steps_over_the_start_of_the_zone():
    """Of the pageblock that the zone's start cuts off, what lies before the block found stays where it is."""
    buddy = BuddyAllocator(15, 1, 3, pageblock_order=3, kernel="6.1")
    buddy.alloc(3)
    assert lists(buddy) == {0: [1], 1: [2], 2: [4]}
    assert buddy.alloc(0, UNMOVABLE) == 4
    assert lists(buddy) == {0: [1], 1: [2]}
    assert lists(buddy, UNMOVABLE) == {0: [5], 1: [6]}
    assert buddy.pageblock_type(1) == UNMOVABLE


def test_6_1_leaves_a_pageblock_in_reserve_alone():
    """A block may be on Movable's list while its pageblock is kept for high-order atomic requests."""
    buddy = BuddyAllocator(8, max_order=3, pageblock_order=3, kernel="6.1")
    for _ in range(8):
        buddy.alloc(0)
    buddy.set_pageblock_type(0, HIGHATOMIC)
    for pfn in range(8):
        buddy.free(pfn, 0, MOVABLE)
    assert lists(buddy) == {3: [0]}
    assert buddy.alloc(0, UNMOVABLE) == 0
    assert buddy.pageblock_type(0) == HIGHATOMIC
    assert lists(buddy, UNMOVABLE) == {0: [1], 1: [2], 2: [4]}


@KERNELS
@pytest.mark.parametrize(("unknown", "changes"), [((), True), ((1, 2, 3, 4), True), ((1, 2, 3, 4, 5), False)])
def test_pages_of_unknown_use_are_not_alike(kernel, unknown, changes):
    snapshot = fragmented(kernel, (0,), kind=MOVABLE, of=UNMOVABLE)[0].snapshot()
    allocated = bytes(0xFF if pfn in unknown else code for pfn, code in enumerate(snapshot.allocated))
    buddy = BuddyAllocator.from_snapshot(replace(snapshot, allocated=allocated))
    assert buddy.alloc(0, RECLAIMABLE) == 0
    assert (buddy.pageblock_type(0) == RECLAIMABLE) == changes


def test_types_kept_apart_are_never_a_fallback_and_never_merge():
    for kernel in ("6.1", "6.18"):
        buddy = BuddyAllocator(32, max_order=4, pageblock_order=3, kernel=kernel)
        buddy.set_pageblock_type(8, HIGHATOMIC)
        buddy.set_pageblock_type(16, ISOLATE)
        assert lists(buddy) == {3: [0, 24]} or lists(buddy) == {3: [24, 0]}
        assert lists(buddy, HIGHATOMIC) == {3: [8]}
        assert lists(buddy, ISOLATE) == {3: [16]}
        buddy.check()
        assert {buddy.alloc(3, UNMOVABLE), buddy.alloc(3, MOVABLE)} == {0, 24}
        with pytest.raises(OutOfMemory):
            buddy.alloc(0)
        assert buddy.alloc(2, HIGHATOMIC) == 8
        buddy.free(8, 2)
        buddy.free(0, 3)
        buddy.check()
        buddy.set_pageblock_type(8, buddy.pageblock_type(0))
        assert buddy.free_blocks(4, buddy.pageblock_type(0)) == [0]
        buddy.check()


def test_pageblocks_of_two_types_that_merge_become_one_type():
    """6.18 keeps lists and pageblocks in step; 6.1 does not."""
    for kernel in ("6.1", "6.18"):
        buddy = BuddyAllocator(16, max_order=4, pageblock_order=3, kernel=kernel)
        buddy.alloc(3)
        buddy.set_pageblock_type(8, UNMOVABLE)
        buddy.free(0, 3)
        assert lists(buddy) == {4: [0]}
        assert buddy.pageblock_type(8) == (MOVABLE if kernel == "6.18" else UNMOVABLE)
        buddy.check()


def test_6_1_gives_a_block_to_the_list_that_its_caller_remembers():
    buddy = BuddyAllocator(16, max_order=4, pageblock_order=3, kernel="6.1")
    pages = [buddy.alloc(0) for _ in range(16)]
    buddy.free(pages[3], 0, UNMOVABLE)
    assert lists(buddy, UNMOVABLE) == {0: [3]}
    buddy.free(pages[2], 0)  # finds its buddy on the other type's list
    assert lists(buddy, UNMOVABLE) == {}
    assert lists(buddy) == {1: [2]}
    with pytest.raises(ValueError, match="migratetype is 5, must be one of 0 to 4"):
        buddy.free(pages[5], 0, 5)
    newer = BuddyAllocator(16, max_order=4, pageblock_order=3)
    newer.free(newer.alloc(0), 0, UNMOVABLE)  # which looks at the pageblock itself
    assert lists(newer) == {4: [0]}


# -- bad input --------------------------------------------------------------------------------------------------------


@pytest.fixture
def small():
    """Pages 100 to 159 less 120 to 127; blocks of 4 at 100, 8 at 104 and 1 at 112 are allocated."""
    buddy = BuddyAllocator(60, 100, 5, pageblock_order=4, holes=[(120, 128)], zone="Toy")
    assert [buddy.alloc(2), buddy.alloc(3), buddy.alloc(0)] == [100, 104, 112]
    return buddy


@pytest.mark.parametrize(
    ("pfn", "order", "why"),
    [
        (128, 5, "page 128 is already free: a free block of order 5 starts there"),
        (128, 2, "page 128 is already free: a free block of order 5 starts there"),
        (132, 2, "page 132 is inside the free block of order 5 that starts at page 128"),
        (106, 1, "page 106 is inside the allocated block of order 3 that starts at page 104"),
        (104, 2, "the block at page 104 was allocated with order 3, not 2"),
        (112, 4, "the block at page 112 was allocated with order 0, not 4"),
        (99, 0, "page 99 is outside the zone, which has pages 100 to 159"),
        (-1, 0, "page -1 is outside the zone"),
        (112 - 160, 0, "page -48 is outside the zone"),  # what Python finds there is page 112
        (0, 0, "page 0 is outside the zone"),
        (160, 0, "page 160 is outside the zone"),
        (1 << 40, 0, "is outside the zone"),
        (121, 0, "page 121 is in a hole"),
        (105, 1, "page 105 is misaligned: blocks of order 1 start at multiples of 2"),
    ],
)
def test_bad_frees_say_what_is_wrong(small, pfn, order, why):
    before = small.snapshot()
    with pytest.raises(BadFree, match=why):
        small.free(pfn, order)
    assert small.snapshot() == before
    small.check()


def test_a_block_that_reaches_over_the_end_of_the_zone_cannot_be_freed():
    buddy = BuddyAllocator(10, max_order=3)
    snapshot = replace(buddy.snapshot(), allocated=b"\xff" * 10, free_lists=(((),) * 5,) * 4)
    buddy = BuddyAllocator.from_snapshot(snapshot)
    with pytest.raises(BadFree, match="a block of order 2 at page 8 reaches outside the zone, whose last page is 9"):
        buddy.free(8, 2)
    assert buddy.snapshot() == snapshot


@pytest.mark.parametrize(
    ("call", "arguments", "error", "why"),
    [
        ("alloc", (-1,), ValueError, "order is -1, must be one of 0 to 5"),
        ("alloc", (6,), ValueError, "order is 6, must be one of 0 to 5"),
        ("alloc", ("2",), TypeError, "'2'"),
        ("alloc", (None,), TypeError, "None"),
        ("alloc", (0.5,), TypeError, "0.5"),
        ("alloc", ([],), TypeError, r"\[\]"),
        ("alloc", (0, 9), ValueError, "migratetype is 9, must be one of 0 to 3"),
        ("alloc", (0, -4), ValueError, "migratetype is -4, must be one of 0 to 3"),
        ("alloc", (0, ISOLATE), ValueError, "Isolate"),
        ("alloc", (0, "Movable"), TypeError, "'Movable'"),
        ("free", (104, -1), ValueError, "order is -1, must be one of 0 to 5"),
        ("free", (104, 6), ValueError, "order is 6, must be one of 0 to 5"),
        ("free", ("104", 3), TypeError, "'104'"),
        ("free", (104, "3"), TypeError, "'3'"),
        ("free", (104, None), TypeError, "None"),
        ("free", (104.0, 3), TypeError, "104.0"),
        ("free", (104, 3, 7), ValueError, "migratetype is 7, must be one of 0 to 4"),
        ("free_blocks", (6,), ValueError, "order is 6, must be one of 0 to 5"),
        ("free_blocks", (-1,), ValueError, "order is -1"),
        ("free_blocks", (0, 5), ValueError, "migratetype is 5, must be one of 0 to 4"),
        ("pageblock_type", (99,), ValueError, "page 99 is outside the zone"),
        ("set_pageblock_type", (160, 0), ValueError, "page 160 is outside the zone"),
        ("set_pageblock_type", (100, 5), ValueError, "migratetype is 5"),
    ],
)
def test_bad_arguments_are_named_and_change_nothing(small, call, arguments, error, why):
    before = small.snapshot()
    with pytest.raises(error, match=why) as caught:
        getattr(small, call)(*arguments)
    assert caught.value.__suppress_context__ or caught.value.__context__ is None
    assert small.snapshot() == before
    small.check()


@pytest.mark.parametrize(
    ("how", "error", "why"),
    [
        ({"nr_pages": 0}, ValueError, "nr_pages is 0, must be at least 1"),
        ({"nr_pages": 2.5}, TypeError, "nr_pages is a whole number, not 2.5"),
        ({"nr_pages": 8, "start_pfn": -1}, ValueError, "start_pfn is -1, must be at least 0"),
        ({"nr_pages": 8, "max_order": 15}, ValueError, "max_order is 15, must be at most 14"),
        ({"nr_pages": 8, "max_order": -1}, ValueError, "max_order is -1, must be at least 0"),
        ({"nr_pages": 8, "pageblock_order": -1}, ValueError, "pageblock_order is -1"),
        ({"nr_pages": 8, "kernel": "2.6"}, ValueError, "no rules for kernel '2.6': choose one of 6.18, 6.1"),
        ({"nr_pages": 8, "migratetype": 5}, ValueError, "migratetype is 5, must be one of 0 to 4"),
        ({"nr_pages": 8, "holes": [(4, 4)]}, ValueError, r"hole \[4, 4\) is empty"),
        ({"nr_pages": 8, "holes": [(4, 9)]}, ValueError, r"hole \[4, 9\) .* leaves the zone"),
        ({"nr_pages": 8, "holes": [(1, 4), (3, 5)]}, ValueError, r"hole \[3, 5\) .* overlaps another"),
        ({"nr_pages": 1 << 40, "start_pfn": 1 << 40}, ValueError, "page frame numbers"),
    ],
)
def test_zones_that_cannot_be(how, error, why):
    with pytest.raises(error, match=why):
        BuddyAllocator(**how)


# -- snapshots --------------------------------------------------------------------------------------------------------


def busy(seed=1, **how):
    """An allocator in the middle of its life."""
    rng = random.Random(seed)
    buddy = BuddyAllocator(700, 5, 6, pageblock_order=4, holes=[(300, 333)], **how)
    held = []
    for _ in range(600):
        if held and rng.random() < 0.45:
            buddy.free(*held.pop(rng.randrange(len(held))))
        else:
            order = min(rng.randrange(5), rng.randrange(5))
            try:
                held.append((buddy.alloc(order, rng.choice([0, 1, 1, 2])), order))
            except OutOfMemory:
                continue
    return buddy, held


@KERNELS
def test_an_allocator_made_of_a_snapshot_goes_on_as_the_original_would(kernel):
    buddy, held = busy(kernel=kernel)
    again = BuddyAllocator.from_snapshot(buddy.snapshot())
    assert again.snapshot() == buddy.snapshot()
    rng = random.Random(2)
    for _ in range(300):
        if rng.random() < 0.5 and held:
            block = held.pop(rng.randrange(len(held)))
            buddy.free(*block)
            again.free(*block)
        elif buddy.counts()[0]:
            kind = rng.choice([0, 1, 2])
            held.append((buddy.alloc(0, kind), 0))
            assert again.alloc(0, kind) == held[-1][0]
        assert again.snapshot() == buddy.snapshot()


def test_what_started_from_a_recording_is_a_model_once_it_is_touched():
    source = Source("recording", "6.1.0", "somewhere")
    recorded = replace(busy()[0].snapshot(), source=source)
    buddy = BuddyAllocator.from_snapshot(recorded)
    assert buddy.snapshot() == recorded
    pfn = buddy.alloc(0)
    assert str(buddy.snapshot().source) == "model, started from recording (kernel 6.1.0), somewhere"
    buddy.free(pfn, 0)
    assert buddy.snapshot().free_pages == recorded.free_pages


def test_a_snapshot_from_the_middle_of_a_step_shows_what_is_in_hand():
    buddy, trace = told(16, max_order=4)
    seen = []
    trace.listen(lambda event: seen.append((event.name, buddy.snapshot())))
    buddy.alloc(2)
    buddy.free(0, 2)
    assert [(name, snapshot.in_hand) for name, snapshot in seen] == [
        ("take", (0, 4)), ("split", (0, 3)), ("split", (0, 2)), ("mm_page_alloc", None),
        ("mm_page_free", (0, 2)), ("merge", (0, 3)), ("merge", (0, 4)), ("put", None),
    ]  # fmt: skip
    assert [snapshot.free_pages for _, snapshot in seen] == [0, 8, 12, 12, 12, 8, 0, 16]
    assert frame_map(seen[1][1]).uses == bytes([FrameUse.IN_HAND] * 8 + [FrameUse.FREE] * 8)
    with pytest.raises(ValueError, match=r"in the middle of a step, with block \(0, 3\) in hand"):
        BuddyAllocator.from_snapshot(seen[1][1])


def test_an_owner_may_say_itself_what_is_handed_out():
    buddy, trace = told(16, announce=False)
    buddy.free(buddy.alloc(4), 4)
    with pytest.raises(OutOfMemory):
        buddy.alloc(5)
    assert {event.name for event in trace} == {"take", "put"}


@pytest.mark.parametrize(
    ("damage", "rule"),
    [
        ({"pageblocks": b"\1"}, "a type for every pageblock and a byte for every page"),
        ({"allocated": b""}, "a type for every pageblock and a byte for every page"),
        ({"pageblocks": b"\1\7"}, "every pageblock has a migrate type, but one has 7"),
        ({"free_lists": (((0,),) * 5, *(((),) * 5,) * 4)}, "not that of page 0"),
        ({"free_lists": (((40,), (), (), (), ()), *(((),) * 5,) * 4)}, "not that of page 40"),
        ({"free_lists": ((), *(((),) * 5,) * 4)}, "a list for every order and type"),
        ({"allocated": b"\x90" + bytes(15)}, "not that of page 0"),
        ({"holes": ((0, 1),)}, "not that of page 0"),
        ({"holes": ((0, 1),), "allocated": b"\x90" + bytes(15)}, "nothing is allocated in a hole"),
        ({"free_lists": (((),) * 5,) * 5}, "no page is lost: page 0"),
    ],
)
def test_snapshots_that_contradict_themselves(damage, rule):
    snapshot = replace(BuddyAllocator(16, max_order=4, pageblock_order=3).snapshot(), **damage)
    with pytest.raises(InvariantError, match=rule):
        BuddyAllocator.from_snapshot(snapshot)


# -- frames -----------------------------------------------------------------------------------------------------------


def test_the_map_of_frames_says_what_each_page_is_used_for():
    uses = {0: FrameUse.UNMOVABLE, 1: FrameUse.MOVABLE, 2: FrameUse.RECLAIMABLE, 3: FrameUse.UNMOVABLE}
    buddy, _ = busy()
    snapshot = buddy.snapshot()
    unknown = bytearray(snapshot.allocated)
    spot = next(i for i, code in enumerate(unknown) if code & 0x8F == 0x80)
    unknown[spot] = 0xFF
    snapshot = replace(snapshot, allocated=bytes(unknown))
    expected = [FrameUse.FREE] * snapshot.nr_pages
    for i, code in enumerate(snapshot.allocated):
        if code:
            size = 1 if code == 0xFF else 1 << (code & 15)
            expected[i : i + size] = [FrameUse.OTHER if code == 0xFF else uses[code >> 4 & 7]] * size
    expected[295:328] = [FrameUse.HOLE] * 33
    frames = frame_map(snapshot)
    assert (frames.start_pfn, frames.source) == (5, snapshot.source)
    assert list(frames.uses) == expected
    assert set(frames.uses) >= {*uses.values(), FrameUse.HOLE, FrameUse.OTHER, FrameUse.FREE}


def test_the_map_of_frames_of_a_large_machine():
    """16 GiB: counts by use are those of the allocator."""
    buddy = BuddyAllocator(4 << 20)
    for order in range(11):
        buddy.alloc(order, MigrateType(order % 3))
    uses = np.frombuffer(frame_map(buddy.snapshot()).uses, np.uint8)
    assert np.count_nonzero(uses == FrameUse.FREE) == buddy.free_pages == (4 << 20) - 2047
    assert np.count_nonzero(uses == FrameUse.UNMOVABLE) == 1 + 8 + 64 + 512


def test_public_names_and_repr():
    assert mmkit.BuddyAllocator is BuddyAllocator
    assert mmkit.MigrateType is MigrateType
    assert repr(BuddyAllocator(16, zone="DMA")) == "<BuddyAllocator: 16 of 16 pages of zone DMA free>"
    assert repr(BuddyAllocator(16)) == "<BuddyAllocator: 16 of 16 pages of memory free>"


def test_has_block_looks_at_the_lists_of_ordinary_types():
    buddy = BuddyAllocator(16, max_order=4, pageblock_order=3)
    assert buddy.has_block(4)
    buddy.alloc(0)
    assert not buddy.has_block(4)
    assert buddy.has_block(3)
    buddy.set_pageblock_type(8, HIGHATOMIC)
    assert not buddy.has_block(3)
    assert [buddy.allocated_order(pfn) for pfn in (-1, 0, 1, 16)] == [None, 0, None, None]
