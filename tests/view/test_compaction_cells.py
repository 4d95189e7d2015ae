"""The map of compaction, found by arrays, is what going through block after block finds."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmkit.model.buddy import BuddyAllocator
from mmkit.model.compaction import Compaction
from mmkit.model.fragstate import CompactionSnapshot
from mmkit.model.migratetype import MigrateType
from mmkit.record import replace
from mmkit.view import compaction as view
from mmkit.view.blocks import pages_in

VALUES = {MigrateType.MOVABLE: 3, MigrateType.RECLAIMABLE: 4, MigrateType.UNMOVABLE: 5}


def block_by_block(snapshot: CompactionSnapshot) -> list[int]:
    """The value of every page, slowly."""
    buddy = snapshot.buddy
    pages = [view.UNTOLD] * buddy.nr_pages

    def fill(pfn: int, order: int, value: int) -> None:
        for page in range(pfn, pfn + (1 << order)):
            pages[page - buddy.start_pfn] = value

    for order, lists in enumerate(buddy.free_lists):
        for pfn in (pfn for pfns in lists for pfn in pfns):
            fill(pfn, order, view.FREE)
    blocks = {pfn: (order, kind) for pfn, order, kind in buddy.allocated_blocks}
    for pfn, (order, kind) in blocks.items():
        fill(pfn, order, VALUES[MigrateType(kind)])
    for _, pfn, order in snapshot.moved:
        if blocks.get(pfn, (-1,))[0] == order:
            fill(pfn, order, view.MOVED)
    for pfn, _ in snapshot.failed:
        if pfn in blocks and pages[pfn - buddy.start_pfn] == VALUES[MigrateType.MOVABLE]:
            fill(pfn, blocks[pfn][0], view.STUCK)
    for found, value in ((snapshot.targets, view.ROOM), (snapshot.isolated, view.ISOLATED)):
        for pfn, order in found:
            fill(pfn, order, value)
    return pages


@given(st.randoms(use_true_random=False), st.sampled_from([(64, 0), (200, 0x91)]), st.booleans())
def test_every_page_at_every_step(random, size, any_pageblock):  # type: ignore[no-untyped-def]
    buddy = BuddyAllocator(*size, max_order=4, pageblock_order=3)
    taken = []
    while buddy.free_pages:
        order = min(random.choice([0, 0, 0, 1, 2, 3]), max(k for k, count in enumerate(buddy.counts()) if count))
        taken.append((buddy.alloc(order), order))
    for pfn, order in taken:
        if random.random() < 0.5:
            buddy.free(pfn, order)
        elif random.random() < 0.2:
            buddy.set_allocated_type(pfn, random.choice([MigrateType.UNMOVABLE, MigrateType.RECLAIMABLE]))
    run = Compaction(buddy, any_pageblock=any_pageblock)
    while True:
        snapshot = run.snapshot()
        assert view.cells_of(snapshot).tolist() == block_by_block(snapshot)
        if not run.step():
            break
        here = [(pfn, order) for _, pfn, order in run.moved if buddy.allocated_order(pfn) == order]
        if here and random.random() < 0.1:  # the allocator may be used meanwhile
            buddy.free(*random.choice(here))


def test_pages_in_use_by_what_is_not_told_are_shown_as_such():
    buddy = BuddyAllocator(64, max_order=4, pageblock_order=3)
    snapshot = Compaction(buddy).snapshot()
    unknown = replace(buddy.snapshot(), free_lists=(((),) * 5,) * 5, allocated=b"\xff" * 64)
    assert set(view.cells_of(replace(snapshot, buddy=unknown)).tolist()) == {view.UNTOLD}


@pytest.mark.parametrize(("start", "end"), [([], []), ([3], [3]), ([5, 0, 9], [7, 3, 10])])
def test_pages_in(start, end):
    expected = [page for a, b in zip(start, end, strict=True) for page in range(a, b)]
    assert pages_in(np.array(start, dtype=np.int64), np.array(end, dtype=np.int64)).tolist() == expected
