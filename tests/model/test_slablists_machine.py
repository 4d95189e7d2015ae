"""KmemCache against two twins: a plain dict of addresses, and mm/slub.c word for word with lists that are searched."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from mmkit.arch import TOY, X86, X86_64
from mmkit.errors import BadFree, OutOfMemory
from mmkit.model.memory import PhysicalMemory
from mmkit.model.pageflags import PageType
from mmkit.model.slab import KmemCache
from mmkit.model.slabstate import Place, SlabFlags
from mmkit.model.trace import Trace
from tests.model.naive_slub import NaiveSlub, Page

DEBUG = SlabFlags.CONSISTENCY_CHECKS | SlabFlags.RED_ZONE | SlabFlags.POISON | SlabFlags.STORE_USER
CACHES = {
    "small": (X86_64, 600, {"object_size": 600, "nr_cpus": 2}),
    "a slab for each object": (X86_64, 3000, {"object_size": 9000, "nr_cpus": 2}),
    "orders of three, in random order": (X86_64, 3000, {"object_size": 2300, "nr_cpus": 3, "seed": 5}),
    "many in a slab, one CPU": (TOY, 90, {"object_size": 20, "seed": 1}),
    "32 bits, aligned": (X86, 500, {"object_size": 700, "align": 128, "nr_cpus": 2}),
    "debugged": (X86_64, 600, {"object_size": 600, "nr_cpus": 2, "flags": DEBUG}),
    "only red zones": (TOY, 90, {"object_size": 50, "flags": SlabFlags.RED_ZONE, "seed": 2}),
    "reclaimable": (X86_64, 600, {"object_size": 1000, "nr_cpus": 2, "flags": SlabFlags.RECLAIM_ACCOUNT}),
}


class SlabMachine(RuleBasedStateMachine):
    name = "small"

    @initialize()
    def start(self):
        arch, self.spare, arguments = CACHES[self.name]
        self.memory = PhysicalMemory(arch, ram=16 << 20 if arch is not TOY else "90 pages", min_free_kbytes=40)
        self.trace = Trace()
        self.cache = KmemCache("thing", memory=self.memory, trace=self.trace, **arguments)
        geometry = self.cache.geometry
        debug = bool(geometry.flags & DEBUG)
        self.twin = NaiveSlub(self.cache.nr_cpus, geometry.min_partial, geometry.cpu_partial_slabs, debug)
        self.live = {}
        self.held = []
        self.sequences = set()
        self.pages_at_start = self.free_pages()

    def free_pages(self):
        return sum(zone.free_pages + zone.pcp_pages for zone in self.memory.zones)

    # -- what can happen ----------------------------------------------------------------------------------------------

    @rule(cpu=st.integers(0, 2), count=st.integers(1, 60))
    def alloc(self, cpu, count):
        for _ in range(count):
            if not self.alloc_one(cpu % self.cache.nr_cpus):
                return

    def alloc_one(self, cpu):
        needs_new = self.twin.needs_new_slab(cpu)
        try:
            address = self.cache.alloc(cpu)
        except OutOfMemory:
            assert needs_new
            with pytest.raises(OutOfMemory):
                self.twin.alloc(cpu, self.no_slab)
            return False
        assert self.twin.alloc(cpu, self.new_slab) == self.place_of(address)
        assert address not in self.live
        self.live[address] = cpu
        return True

    def no_slab(self):
        raise OutOfMemory

    def new_slab(self):
        (pfn,) = set(self.cache.slabs) - {page.pfn for page in self.twin.pages}
        (slab,) = [slab for slab in self.cache.snapshot().slabs if slab.pfn == pfn]
        first = slab.objects.index(2)  # the only one in use
        order = [first, *slab.freelist, *slab.cpu_freelist]
        self.see_order(order)
        return Page(pfn, order)

    def see_order(self, order):
        """All new slabs of a cache go round one sequence, which they enter at any place."""
        assert sorted(order) == list(range(len(order)))
        if CACHES[self.name][2].get("seed") is None:
            assert order == sorted(order)
        if len(order) == self.cache.objs_per_slab:
            at = order.index(0)
            self.sequences.add(tuple(order[at:] + order[:at]))
            assert len(self.sequences) == 1

    def place_of(self, address):
        """(first page, which object) by arithmetic alone."""
        page = (address - self.memory.arch.page_offset) >> self.memory.arch.page_shift
        pfn = max(first for first in self.cache.slabs if first <= page)
        start = self.memory.arch.page_offset + (pfn << self.memory.arch.page_shift) + self.cache.geometry.red_left_pad
        index, inside = divmod(address - start, self.cache.size)
        assert inside == 0
        return pfn, index

    @precondition(lambda self: self.live)
    @rule(
        data=st.data(),
        cpu=st.integers(0, 2),
        count=st.integers(1, 60),
        how=st.sampled_from(["oldest", "newest", "any"]),
    )
    def free(self, data, cpu, count, how):
        order = list(self.live)
        if how == "newest":
            order.reverse()
        elif how == "any":
            Random(data.draw(st.integers(0, 1 << 16))).shuffle(order)
        for address in order[:count]:
            self.free_one(address, cpu % self.cache.nr_cpus)

    def free_one(self, address, cpu):
        place = self.place_of(address)
        self.cache.free(address, cpu)
        self.twin.free(*place, cpu)
        del self.live[address]

    @precondition(lambda self: self.live)
    @rule(data=st.data(), shift=st.sampled_from([1, -1, 4, 8, 64]))
    def free_what_is_none(self, data, shift):
        address = data.draw(st.sampled_from(sorted(self.live))) + shift
        before, reports = self.cache.snapshot(), len(self.cache.reports)
        if address not in self.live:
            self.refuse(address)
            assert self.cache.snapshot().slabs == before.slabs
            assert len(self.cache.reports) == reports + self.reports_bad_frees

    @precondition(lambda self: self.twin.pages)
    @rule(data=st.data())
    def free_twice(self, data):
        free = [(page.pfn, index) for page in self.twin.pages for index in page.freelist]
        free += [(page.pfn, i) for page, own in zip(self.twin.slab, self.twin.freelist, strict=True) for i in own]
        if free:
            pfn, index = data.draw(st.sampled_from(free))
            self.refuse(self.cache.slabs[pfn].address + self.cache.geometry.start_of(index))

    @property
    def reports_bad_frees(self):
        return bool(self.cache.flags & SlabFlags.CONSISTENCY_CHECKS)

    def refuse(self, address):
        before = self.cache.snapshot().slabs
        if self.reports_bad_frees:
            self.cache.free(address)
        else:
            with pytest.raises(BadFree, match=f"{address:#x}"):
                self.cache.free(address)
        assert self.cache.snapshot().slabs == before

    @rule(cpu=st.integers(0, 2))
    def flush(self, cpu):
        self.cache.flush(cpu % self.cache.nr_cpus)
        self.twin.flush(cpu % self.cache.nr_cpus)

    @rule()
    def shrink(self):
        slabs = len(self.cache.slabs)
        assert self.cache.shrink() == slabs - len(self.cache.slabs)
        self.twin.shrink()

    @rule(order=st.integers(0, 3))
    def somebody_takes_the_rest_of_memory(self, order):
        """Blocks of that order or larger are gone: smaller slabs have to do, or none."""
        for wanted in range(self.memory.arch.max_order, order - 1, -1):
            try:
                while True:
                    self.held.append((self.memory.alloc_pages("GFP_KERNEL", wanted), wanted))
            except OutOfMemory:
                pass

    @rule()
    def and_gives_it_back(self):
        for page, order in self.held:
            self.memory.free_pages(page, order)
        self.held.clear()

    # -- what must hold -----------------------------------------------------------------------------------------------

    @invariant()
    def lists_are_those_of_the_twin(self):
        cache, base = self.cache, self.cache.geometry.red_left_pad
        own = {p: [(a - s.address - base) // cache.size for a in reversed(s.freelist)] for p, s in cache.slabs.items()}
        cpus = [cache.cpus[cpu] for cpu in range(cache.nr_cpus)]
        assert (
            [mine.slab and mine.slab.pfn for mine in cpus],
            [[self.place_of(address)[1] for address in reversed(mine.freelist)] for mine in cpus],
            [[slab.pfn for slab in mine.partial] for mine in cpus],
            [slab.pfn for slab in cache.partial],
            own,
        ) == self.twin.lists()
        assert [event.pfn for event in self.trace.select("slab_discard")] == self.twin.discarded

    @invariant()
    def no_two_objects_overlap_and_each_is_aligned(self):
        geometry = self.cache.geometry
        for low, high in zip(sorted(self.live), sorted(self.live)[1:], strict=False):
            assert low + geometry.object_size <= high - geometry.red_left_pad
        assert all(address % geometry.align == 0 for address in self.live)
        assert set(self.live) == set(self.cache.live)

    @invariant()
    def every_page_is_free_or_of_a_slab_or_held(self):
        held = sum(1 << order for _, order in self.held)
        in_slabs = sum(1 << slab.order for slab in self.cache.slabs.values())
        assert self.free_pages() + held + in_slabs == self.pages_at_start
        assert all(slab.page.page_type is PageType.slab for slab in self.cache.slabs.values())

    @invariant()
    def the_snapshot_counts_right(self):
        snapshot = self.cache.snapshot()
        assert snapshot.active_objs == len(self.live)
        full = [slab for slab in snapshot.slabs if slab.place is Place.FULL]
        assert all(slab.inuse == len(slab.objects) for slab in full)

    @invariant()
    def check(self):
        self.cache.check()

    def teardown(self):
        if not hasattr(self, "live"):
            return
        for address in list(self.live):
            self.free_one(address, 0)
        self.shrink()
        self.and_gives_it_back()
        assert self.free_pages() == self.pages_at_start
        assert not self.cache.slabs
        self.memory.check()


def machine_of(name):
    kind = type(f"Machine[{name}]", (SlabMachine,), {"name": name})
    case = kind.TestCase
    case.settings = settings(max_examples=30, stateful_step_count=30, deadline=None)
    return case


TestSmall = machine_of("small")
TestOneObject = machine_of("a slab for each object")
TestRandomOrder = machine_of("orders of three, in random order")
TestMany = machine_of("many in a slab, one CPU")
Test32Bits = machine_of("32 bits, aligned")
TestDebugged = machine_of("debugged")
TestRedZones = machine_of("only red zones")
TestReclaimable = machine_of("reclaimable")


@pytest.mark.parametrize("name", CACHES)
def test_twenty_thousand_operations_in_waves(name):
    """More is taken than given back, then the other way round: lists overflow, slabs empty, on several CPUs."""
    rng = Random(name)
    machine = type(f"Waves[{name}]", (SlabMachine,), {"name": name})()
    machine.start()
    for step in range(20_000):
        share = 0.55 if step // 1_500 % 2 == 0 else 0.45
        cpu = rng.randrange(machine.cache.nr_cpus)
        if rng.random() < share or not machine.live:
            machine.alloc_one(cpu)
        else:
            order = list(machine.live)
            machine.free_one(order[rng.randrange(len(order)) if rng.random() < 0.7 else -1], cpu)
        if step % 997 == 0:
            machine.lists_are_those_of_the_twin()
            machine.check()
        if step % 4_999 == 0:
            machine.flush(cpu)
    machine.shrink()
    machine.lists_are_those_of_the_twin()
    machine.teardown()
