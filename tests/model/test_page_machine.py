"""Random operations on a memory map beside a naive twin: plain objects that keep who holds each page."""

from dataclasses import dataclass, field

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from mmkit import MemMap, PageFlags
from mmkit.model.pageflags import PageType

NR_PAGES, START_PFN = 4, 20  # few, so that operations meet on one page
PFNS = st.integers(START_PFN, START_PFN + NR_PAGES - 1)
FLAGS = st.sets(st.sampled_from(list(PageFlags)), min_size=1, max_size=3)
ADDRESSES = st.sampled_from([0x1000, 0x2004, 0xFFFF_8881_0000_0008])
TYPES = st.sampled_from([kind for kind in PageType if kind is not PageType.buddy])
STOP_A_FREE = {
    PageFlags.locked, PageFlags.private, PageFlags.private_2, PageFlags.writeback, PageFlags.reserved,
}  # fmt: skip


@dataclass
class Twin:
    """A page, by who holds it: references nobody answers for, page table entries, the page cache."""

    loose: int = 0
    entries: int = 0
    owner: tuple[str, int] | None = None
    index: int = 0
    private: int = 0
    flags: set[PageFlags] = field(default_factory=set)
    type: PageType | None = None

    @property
    def refcount(self):
        return self.loose + self.entries + (self.owner is not None and self.owner[0] == "file")

    def may_be_freed(self):
        return self.type is None and not self.flags & STOP_A_FREE


class Pages(RuleBasedStateMachine):
    """Every operation, allowed or not: what the twin forbids must raise and change nothing."""

    @initialize(in_use=st.sets(PFNS))
    def begin(self, in_use):
        self.mem_map = MemMap(NR_PAGES, START_PFN)
        self.twins = {pfn: Twin() for pfn in range(START_PFN, START_PFN + NR_PAGES)}
        self.rings = []
        for pfn in sorted(in_use):
            self.mem_map[pfn].set_refcounted()
            self.twins[pfn].loose = 1

    def shots(self):
        return [self.mem_map.snapshot(pfn) for pfn in self.twins]

    def attempt(self, allowed, operation):
        """Do it if allowed, else see that it is refused; return whether it was done."""
        if allowed:
            return operation(), True
        before = self.shots()
        with pytest.raises(ValueError, match=r"page|block|structure|index|mapping"):
            operation()
        assert self.shots() == before
        return None, False

    def pick(self, data, likely):
        """A pfn: one of ``likely`` two times out of three, so that what is rarely possible happens often enough."""
        return data.draw(st.sampled_from(likely) | st.sampled_from(likely) | PFNS if likely else PFNS)

    def freed(self, pfn):
        old = self.twins[pfn]
        self.twins[pfn] = Twin(index=old.index)
        self.unring(pfn)

    def unring(self, pfn):
        self.rings = [kept for ring in self.rings if (kept := [one for one in ring if one != pfn])]

    def on_rings(self):
        return [pfn for ring in self.rings for pfn in ring]

    def ring_of(self, pfn):
        return next((ring for ring in self.rings if pfn in ring), None)

    @rule(pfn=PFNS)
    def hand_out(self, pfn):
        twin = self.twins[pfn]
        allowed = twin.refcount == 0 and twin.type is not PageType.buddy
        if self.attempt(allowed, self.mem_map[pfn].set_refcounted)[1]:
            twin.loose = 1

    @rule(pfn=PFNS)
    def get(self, pfn):
        if self.attempt(self.twins[pfn].refcount > 0, self.mem_map[pfn].get)[1]:
            self.twins[pfn].loose += 1

    @rule(pfn=PFNS)
    def put(self, pfn):
        twin = self.twins[pfn]
        last = twin.refcount == 1
        answer, done = self.attempt(twin.loose and (twin.may_be_freed() or not last), self.mem_map[pfn].put)
        if done:
            assert answer is last
            twin.loose -= 1
            if last:
                self.freed(pfn)

    @rule(pfn=PFNS)
    def map(self, pfn):
        twin = self.twins[pfn]
        if self.attempt(twin.loose > 0 and twin.type is None, self.mem_map[pfn].map)[1]:
            twin.loose, twin.entries = twin.loose - 1, twin.entries + 1

    @rule(data=st.data())
    def unmap(self, data):
        pfn = self.pick(data, [pfn for pfn, twin in self.twins.items() if twin.entries])
        twin = self.twins[pfn]
        if self.attempt(twin.entries, self.mem_map[pfn].unmap)[1]:
            twin.loose, twin.entries = twin.loose + 1, twin.entries - 1

    @rule(pfn=PFNS, kind=st.sampled_from(["anon", "file"]), address=ADDRESSES, index=st.integers(0, 1 << 52))
    def give_owner(self, pfn, kind, address, index):
        twin, page = self.twins[pfn], self.mem_map[pfn]
        free_to_own = twin.refcount > 0 and twin.owner is None and twin.type is None
        method = page.set_anon if kind == "anon" else page.set_file
        if self.attempt(free_to_own, lambda: method(address, index))[1]:
            twin.owner, twin.index = (kind, address), index
            if kind == "anon":
                twin.flags |= {PageFlags.swapbacked, PageFlags.anon_exclusive}

    @rule(pfn=PFNS, bad=st.sampled_from([(0, 0), (0x1001, 0), (0x1002, 0), (-4, 0), (0x1000, -1)]))
    def give_what_is_no_owner(self, pfn, bad):
        self.attempt(False, lambda: self.mem_map[pfn].set_anon(*bad))

    @rule(data=st.data())
    def leave_the_cache(self, data):
        pfn = self.pick(data, [pfn for pfn, twin in self.twins.items() if twin.owner and twin.owner[0] == "file"])
        twin = self.twins[pfn]
        in_cache = twin.owner is not None and twin.owner[0] == "file"
        last = twin.refcount == 1
        allowed = in_cache and not twin.entries and (twin.may_be_freed() or not last)
        answer, done = self.attempt(allowed, self.mem_map[pfn].clear_file)
        if done:
            assert answer is last
            twin.owner = None
            if last:
                self.freed(pfn)

    @rule(pfn=PFNS, flags=FLAGS)
    def set_flags(self, pfn, flags):
        flags -= {PageFlags.lru}
        bits = PageFlags(sum(flags))
        if self.attempt(self.twins[pfn].refcount > 0, lambda: self.mem_map[pfn].set_flags(bits))[1]:
            self.twins[pfn].flags |= flags

    @rule(pfn=PFNS, flags=FLAGS)
    def clear_flags(self, pfn, flags):
        flags -= {PageFlags.lru}
        self.mem_map[pfn].clear_flags(PageFlags(sum(flags)))
        self.twins[pfn].flags -= flags

    @rule(pfn=PFNS, page_type=TYPES)
    def set_type(self, pfn, page_type):
        twin = self.twins[pfn]
        allowed = twin.type is None and twin.owner is None and not twin.entries
        if self.attempt(allowed, lambda: self.mem_map[pfn].set_type(page_type))[1]:
            twin.type = page_type

    @rule(pfn=PFNS)
    def clear_type(self, pfn):
        twin = self.twins[pfn]
        if self.attempt(twin.type is not None, self.mem_map[pfn].clear_type)[1]:
            twin.type, twin.private = None, 0

    @rule(pfn=PFNS, order=st.integers(-1, 4))
    def set_buddy(self, pfn, order):
        twin = self.twins[pfn]
        allowed = twin.refcount == 0 and twin.type is None and order >= 0 and pfn % 2**order == 0
        if self.attempt(allowed, lambda: self.mem_map[pfn].set_buddy(order))[1]:
            twin.type, twin.private = PageType.buddy, order

    @rule(pfn=PFNS, value=st.integers(0, 9))
    def set_private(self, pfn, value):
        if self.attempt(self.twins[pfn].refcount > 0, lambda: self.mem_map[pfn].set_private(value))[1]:
            self.twins[pfn].private = value

    @rule(data=st.data(), alone=st.sampled_from([False, False, True]))
    def onto_a_ring(self, data, alone):
        pfn = self.pick(data, [pfn for pfn, twin in self.twins.items() if twin.refcount and not self.ring_of(pfn)])
        after = None if alone else self.pick(data, self.on_rings())
        page = self.mem_map[pfn]
        ring = None if after is None else self.ring_of(after)
        allowed = self.twins[pfn].refcount > 0 and self.ring_of(pfn) is None and (after is None or ring is not None)
        if not self.attempt(allowed, lambda: page.lru_add(None if after is None else self.mem_map[after]))[1]:
            return
        self.twins[pfn].flags.add(PageFlags.lru)
        if ring is None:
            self.rings.append([pfn])
        else:
            ring.insert(ring.index(after) + 1, pfn)

    @rule(data=st.data())
    def off_the_ring(self, data):
        pfn = self.pick(data, self.on_rings())
        if self.attempt(self.ring_of(pfn) is not None, self.mem_map[pfn].lru_del)[1]:
            self.unring(pfn)
            self.twins[pfn].flags.remove(PageFlags.lru)

    @rule()
    def into_another_map(self):
        """All snapshots, restored into a new map, make it go on as the old one."""
        shots = self.shots()
        self.mem_map = MemMap(NR_PAGES, START_PFN)
        for shot in shots:
            self.mem_map.restore(shot)
        assert self.shots() == shots

    @precondition(lambda self: hasattr(self, "twins"))
    @invariant()
    def the_same_in_every_field(self):
        self.mem_map.check()
        for pfn, twin in self.twins.items():
            page = self.mem_map[pfn]
            assert page.refcount == twin.refcount
            assert page.count_then == twin.refcount - 1
            assert page.mapcount == twin.entries - 1
            assert page.page_type is twin.type
            assert set(page.flags) == twin.flags
            assert (page.index, page.private) == (twin.index, twin.private)
            kind, address = twin.owner or ("file", 0)
            assert page.mapping == address + (kind == "anon")
            assert page.is_anon == (kind == "anon")
            ring = self.ring_of(pfn)
            at = ring.index(pfn) if ring else 0
            assert page.lru == ((ring[at - 1], ring[(at + 1) % len(ring)]) if ring else None)


TestPages = Pages.TestCase
TestPages.settings = settings(stateful_step_count=60, max_examples=2 * settings().max_examples)
