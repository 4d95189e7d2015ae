"""Compaction beside its naive twin: nothing gets lost, nothing unmovable moves, every block goes where it must."""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from mmkit.errors import OutOfMemory
from mmkit.model.buddy import BuddyAllocator, MigrateType
from mmkit.model.compaction import Compaction
from mmkit.model.trace import Trace
from tests.model.naive_compaction import NaiveCompaction
from tests.model.test_buddy_machine import KINDS, ORDERS

MOSTLY_MOVABLE = st.sampled_from([MigrateType.MOVABLE] * 4 + [MigrateType.UNMOVABLE, MigrateType.RECLAIMABLE])

REQUESTS = st.lists(st.tuples(ORDERS, MOSTLY_MOVABLE), min_size=1, max_size=8)


@st.composite
def zones(draw):
    """Odd ends, a hole perhaps, pageblocks enough for scanners to walk over."""
    start, nr_pages = draw(st.integers(0, 37)), draw(st.integers(60, 250))
    hole = draw(st.lists(st.integers(start, start + nr_pages), min_size=2, max_size=2, unique=True).map(sorted))
    max_order = draw(st.integers(3, 5))
    return {
        "nr_pages": nr_pages,
        "start_pfn": start,
        "max_order": max_order,
        "pageblock_order": draw(st.integers(2, max_order)),
        "holes": [hole] if draw(st.booleans()) and hole[1] - hole[0] < nr_pages // 2 else [],
        "kernel": draw(st.sampled_from(["6.18", "6.18", "6.1"])),
    }


class Machine(RuleBasedStateMachine):
    """``contents`` says what is in every page in use: a token that must go wherever its block goes."""

    @initialize(zone=zones(), told=st.booleans(), request=REQUESTS, random=st.randoms(use_true_random=False))
    def boot(self, zone, told, request, random):
        self.buddy = BuddyAllocator(**zone, trace=Trace() if told else None)
        self.contents, self.blocks, self.tokens = {}, {}, 0
        self.run, self.foretold, self.foreseen = None, [], True
        self.fill_and_thin_out(request, random)

    @rule(requests=st.lists(st.tuples(ORDERS, MOSTLY_MOVABLE), min_size=1, max_size=30))
    def alloc(self, requests):
        for order, kind in requests:
            self.alloc_one(min(order, self.buddy.max_order), kind)

    def alloc_one(self, order, kind):
        try:
            pfn = self.buddy.alloc(order, kind)
        except OutOfMemory:
            return False
        self.foreseen = False
        self.blocks[pfn] = order, kind
        for page in range(pfn, pfn + (1 << order)):
            assert page not in self.contents
            self.tokens += 1
            self.contents[page] = self.tokens, kind
        return True

    @rule(request=REQUESTS, random=st.randoms(use_true_random=False))
    def fill_and_thin_out(self, request, random):
        """Take all memory, and give most of it back: what is left is scattered."""
        for order, kind in request:
            order = min(order, self.buddy.max_order)
            for _ in range(self.buddy.free_pages // len(request) >> order):
                self.alloc_one(order, kind)
        while self.alloc_one(0, MigrateType.MOVABLE):
            pass
        for pfn in sorted(self.blocks):
            if random.random() < 0.6:
                self.free_one(pfn)

    @precondition(lambda self: self.blocks)
    @rule(picks=st.lists(st.integers(0, 10_000), min_size=1, max_size=25))
    def free(self, picks):
        for pick in picks[: len(self.blocks)]:
            self.free_one(sorted(self.blocks)[pick % len(self.blocks)])

    def free_one(self, pfn):
        self.foreseen = False
        order, _ = self.blocks.pop(pfn)
        self.buddy.free(pfn, order)
        for page in range(pfn, pfn + (1 << order)):
            del self.contents[page]

    @precondition(lambda self: self.run is None)
    @rule(order=st.sampled_from([-1, -1, -1, 1, 2, 3, 5]), kind=KINDS)
    def begin(self, order, kind):
        order = min(order, self.buddy.max_order)
        self.foretold = NaiveCompaction(self.buddy.snapshot()).foretell() if order < 0 else []
        self.run = Compaction(self.buddy, order=order, migratetype=kind, on_move=self.moved)
        self.foreseen = order < 0

    def moved(self, old_pfn, new_pfn, order):
        """The holder of a block is told."""
        assert self.blocks[old_pfn] == (order, MigrateType.MOVABLE)
        self.blocks[new_pfn] = self.blocks.pop(old_pfn)
        for i in range(1 << order):
            assert new_pfn + i not in self.contents
            self.contents[new_pfn + i] = self.contents.pop(old_pfn + i)

    @precondition(lambda self: self.run is not None)
    @rule(steps=st.integers(1, 12))
    def step(self, steps):
        for _ in range(steps):
            self.run.step()
            self.everything_is_in_its_place()
        self.end()

    @precondition(lambda self: self.run is not None)
    @rule()
    def finish(self):
        self.run.run()
        self.end()

    def end(self):
        if not self.run.done:
            return
        if self.foreseen:
            assert self.run.moved == self.foretold
        assert self.run.order >= 0 or self.run.status in ("complete", "contended")
        assert self.run.status != "success" or self.buddy.has_block(self.run.order)
        assert not any(self.run.targets)
        self.run = None

    @precondition(lambda self: self.run is not None)
    @rule()
    def start_over_from_a_snapshot(self):
        """As a lab does that goes back: the same run, on the same memory, from what the snapshot holds."""
        frozen = self.run.snapshot()
        self.buddy = BuddyAllocator.from_snapshot(frozen.buddy, self.buddy.trace)
        self.run = Compaction.from_snapshot(frozen, self.buddy, on_move=self.moved)
        assert self.run.snapshot() == frozen

    @invariant()
    def everything_is_in_its_place(self):
        room = {}
        if self.run is not None:
            self.run.check()
            room = {pfn: order for order, pfns in enumerate(self.run.targets) for pfn in pfns}
        else:
            self.buddy.check()
        found = {pfn: (order, kind) for pfn, order, kind in self.buddy.snapshot().allocated_blocks}
        assert found == self.blocks | {pfn: (order, MigrateType.MOVABLE) for pfn, order in room.items()}
        pages = {page for pfn, (order, _) in self.blocks.items() for page in range(pfn, pfn + (1 << order))}
        assert pages == set(self.contents)
        memory = sum(end - start for start, end in self.buddy.memory())
        assert self.buddy.free_pages + len(pages) + sum(1 << order for order in room.values()) == memory
        for page, (_, kind) in self.contents.items():
            assert kind == self.blocks[self.first(page)][1]

    def first(self, page):
        return next(page >> order << order for order in range(6) if self.holds(page >> order << order, order))

    def holds(self, pfn, order):
        return pfn in self.blocks and self.blocks[pfn][0] == order


TestCompaction = Machine.TestCase
