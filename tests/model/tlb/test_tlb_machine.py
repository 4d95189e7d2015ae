"""A TLB driven at random beside lists searched from end to end: same hits, same sets and ways, same victims."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from naive_tlb import NaiveTlb

from mmkit.model.tlb import Tlb
from mmkit.model.tlbstate import TlbEntry
from mmkit.model.trace import Trace

PAGES = st.integers(0, 40)
ASIDS = st.integers(0, 2)
GEOMETRIES = [
    (1, 1, "lru"),
    (1, 4, "plru"),
    (2, 3, "lru"),
    (4, 2, "plru"),
    (1, 8, "lru"),
    (8, 1, "lru"),
    (2, 8, "plru"),
]


class TlbMachine(RuleBasedStateMachine):
    """Everything that can be done to a TLB."""

    @initialize(geometry=st.sampled_from(GEOMETRIES), shifts=st.sampled_from([(12,), (12, 14), (14,)]))
    def begin(self, geometry, shifts):
        sets, ways, policy = geometry
        self.trace = Trace()
        self.tlb = Tlb(sets * ways, ways, shifts=shifts, policy=policy, trace=self.trace)
        self.naive = NaiveTlb(sets, ways, shifts, policy)
        self.hits = self.misses = 0

    @rule(page=PAGES, offset=st.integers(0, 4095), asid=ASIDS)
    def lookup(self, page, offset, asid):
        entry = self.tlb.lookup((page << 12) + offset, asid)
        at = self.naive.lookup((page << 12) + offset, asid)
        assert (entry is None) == (at is None)
        event = self.trace.events[-1]
        assert event.name == ("tlb_miss" if at is None else "tlb_hit")
        self.hits, self.misses = self.hits + (at is not None), self.misses + (at is None)
        if entry is not None:
            assert (event.set, event.way) == at
            assert entry.translate((page << 12) + offset) - (1 << 30) == (page << 12) + offset

    @rule(page=PAGES, asid=ASIDS, large=st.booleans(), glob=st.booleans())
    def insert(self, page, asid, large, glob):
        shift = self.tlb.geometry.shifts[-1 if large else 0]
        addr = page << 12 >> shift << shift
        evicted = self.tlb.insert(TlbEntry(addr, addr + (1 << 30), shift, asid, glob))
        before = [slot.key for slots in self.naive.slots for slot in slots]
        at = self.naive.insert(addr, asid, shift, glob)
        event = self.trace.events[-1]
        assert (event.name, event.set, event.way, event.evicted) == ("tlb_fill", *at, evicted)
        old = before[at[0] * self.naive.ways + at[1]]
        key = (addr >> shift, shift, "all" if glob else asid)
        assert (evicted is not None) == (old is not None and old != key)

    @rule(keep_global=st.booleans())
    def flush(self, keep_global):
        assert self.tlb.flush(keep_global) == self.naive.drop(glob=not keep_global)

    @rule(asid=ASIDS)
    def flush_asid(self, asid):
        assert self.tlb.flush_asid(asid) == self.naive.drop(asid=asid, glob=False)

    @rule(page=PAGES, asid=ASIDS)
    def invlpg(self, page, asid):
        assert self.tlb.invlpg((page << 12) + 7, asid) == self.naive.drop((page << 12) + 7, asid)

    @invariant()
    def same(self):
        if not hasattr(self, "tlb"):
            return
        self.tlb.check()
        state = self.tlb.snapshot()
        assert (state.hits, state.misses) == (self.hits, self.misses)
        assert state.used == len(self.tlb) <= state.geometry.entries
        for each, slots in zip(state.sets, self.naive.slots, strict=True):
            keys = [
                None if e is None else (e.virt_addr >> e.shift, e.shift, "all" if e.glob else e.asid) for e in each.ways
            ]
            assert keys == [slot.key for slot in slots]
            if state.geometry.policy == "lru":
                held = [way for way, key in enumerate(keys) if key is not None]
                by_age = sorted(held, key=lambda way: each.ages[way])
                assert by_age == sorted(held, key=lambda way: -slots[way].used)


TlbMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=40)
TestTlb = TlbMachine.TestCase
