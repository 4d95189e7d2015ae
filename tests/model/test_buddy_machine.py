"""The buddy allocator against its naive twin: same pages, same lists in the same order, after every step."""

from __future__ import annotations

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from mmkit.errors import BadFree, OutOfMemory
from mmkit.model.buddy import BuddyAllocator, MigrateType
from mmkit.model.trace import MmPageAlloc, MmPageFree, Trace
from tests.model.naive_buddy import NaiveBuddy

ORDERS = st.sampled_from([0, 0, 0, 1, 1, 2, 3, 4, 5])
KINDS = st.sampled_from([MigrateType.UNMOVABLE, MigrateType.MOVABLE, MigrateType.RECLAIMABLE])


@st.composite
def zones(draw):
    """Odd ends, holes anywhere, small pageblocks: what real zones have, on few pages."""
    start, nr_pages = draw(st.integers(0, 37)), draw(st.integers(1, 120))
    edges = draw(st.lists(st.integers(start, start + nr_pages), max_size=4, unique=True).map(sorted))
    holes = list(zip(edges[::2], edges[1::2], strict=False))
    max_order = draw(st.sampled_from([5, 4, 3, 2, 1, 0]))
    return {
        "nr_pages": nr_pages,
        "start_pfn": start,
        "max_order": max_order,
        "pageblock_order": draw(st.integers(max(0, max_order - 3), max_order)),
        "holes": holes,
        "kernel": draw(st.sampled_from(["6.18", "6.1"])),
        "migratetype": draw(KINDS),
    }


class Machine(RuleBasedStateMachine):
    @initialize(zone=zones())
    def boot(self, zone):
        self.max_order = zone["max_order"]
        self.trace = Trace()
        self.twin = NaiveBuddy(**zone)
        self.quick, self.told = BuddyAllocator(**zone), BuddyAllocator(**zone, trace=self.trace)
        self.trace.listen(lambda event: self.told.check())
        self.trace.listen(self.each_page_is_one_thing)
        self.held = []

    def each_page_is_one_thing(self, event):
        """The snapshot of any moment accounts for every page, once."""
        seen = self.told.snapshot()
        blocks = [(pfn, order) for order, lists in enumerate(seen.free_lists) for pfns in lists for pfn in pfns]
        blocks += [(seen.start_pfn + i, code & 15) for i, code in enumerate(seen.allocated) if code]
        blocks += [seen.in_hand] if seen.in_hand else []
        pages = [page for pfn, order in blocks for page in range(pfn, pfn + (1 << order))]
        assert sorted(pages) == sorted(self.twin.memory)

    @rule(requests=st.lists(st.tuples(ORDERS, KINDS), min_size=1, max_size=8))
    def alloc(self, requests):
        for order, kind in requests:
            self.alloc_one(min(order, self.max_order), kind)

    def alloc_one(self, order, kind):
        expected = self.twin.alloc(order, kind)
        self.trace.clear()
        if expected is None:
            before = self.quick.snapshot()
            for buddy in (self.quick, self.told):
                with pytest.raises(OutOfMemory):
                    buddy.alloc(order, kind)
            assert self.quick.snapshot() == before
        else:
            assert self.quick.alloc(order, kind) == expected
            assert self.told.alloc(order, kind) == expected
            self.held.append((expected, order))
        assert self.trace.events[-1] == MmPageAlloc(expected, order, 0, kind)

    @precondition(lambda self: self.held)
    @rule(picks=st.lists(st.integers(0, 1000), min_size=1, max_size=8))
    def free(self, picks):
        for pick in picks[: len(self.held)]:
            self.free_one(*self.held.pop(pick % len(self.held)))

    def free_one(self, pfn, order):
        self.twin.free(pfn, order)
        self.quick.free(pfn, order)
        self.trace.clear()
        self.told.free(pfn, order)
        assert [event for event in self.trace if isinstance(event, MmPageFree)] == [MmPageFree(pfn, order)]

    @rule(pfn=st.integers(-10, 200), order=st.integers(-2, 7))
    def free_what_is_not_allocated(self, pfn, order):
        if (pfn, order) not in self.held:
            before = self.quick.snapshot()
            with pytest.raises(BadFree if 0 <= order <= self.max_order else ValueError):
                self.quick.free(pfn, order)
            assert self.quick.snapshot() == before

    @rule(data=st.data(), kind=KINDS)
    def set_pageblock_type(self, data, kind):
        pfn = data.draw(st.integers(self.twin.start, self.twin.end - 1))
        over = [(first, order) for first, order in self.twin.free_blocks() if first <= pfn < first + (1 << order)]
        (first, order) = over[0] if over and over[0][1] >= self.twin.pageblock_order else (pfn, 0)
        pages = range(first, first + (1 << order)) if order else self.twin.pageblock(pfn)
        self.twin.move_all(pages, kind)
        self.twin.set_types(first, order, kind)
        for buddy in (self.quick, self.told):
            buddy.set_pageblock_type(pfn, kind)

    @precondition(lambda self: self.held)
    @rule(data=st.data())
    def split_page(self, data):
        pfn, order = self.held.pop(data.draw(st.integers(0, len(self.held) - 1)))
        new_order = data.draw(st.integers(0, order - 1)) if order else 0
        if order:
            for buddy in (self.quick, self.told):
                buddy.split_page(pfn, order, new_order)
        pieces = range(pfn, pfn + (1 << order), 1 << new_order)
        _, kind = self.twin.allocated.pop(pfn)
        self.twin.allocated |= dict.fromkeys(pieces, (new_order, kind))
        self.held += [(piece, new_order) for piece in pieces]

    @rule()
    def go_on_from_a_snapshot(self):
        self.quick = BuddyAllocator.from_snapshot(self.quick.snapshot())

    @invariant()
    def all_is_equal(self):
        if not hasattr(self, "twin"):
            return
        seen = self.quick.snapshot()
        assert seen == self.told.snapshot()
        assert {(o, k): list(p) for o, row in enumerate(seen.free_lists) for k, p in enumerate(row)} == self.twin.lists
        assert list(seen.pageblocks) == list(self.twin.types.values())
        allocated = {seen.start_pfn + i: (c & 15, c >> 4 & 7) for i, c in enumerate(seen.allocated) if c}
        assert allocated == self.twin.allocated
        assert self.quick.free_pages == seen.free_pages == len(self.twin.free_pages())

    @invariant()
    def what_is_free_is_merged(self):
        if hasattr(self, "twin"):
            assert self.twin.free_blocks() == self.twin.maximal_blocks(self.twin.free_pages())
            self.quick.check()


TestMachine = Machine.TestCase
