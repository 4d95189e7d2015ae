"""Slab caches driven at random beside a dict of addresses."""

from __future__ import annotations

import itertools
import random

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from mmkit.errors import BadFree, OutOfMemory
from mmkit.model.kmalloc import SlabAllocator
from mmkit.model.memory import PhysicalMemory
from mmkit.model.slab import KmemCache
from mmkit.model.slabstate import SlabFlags

DEBUG = SlabFlags.CONSISTENCY_CHECKS | SlabFlags.RED_ZONE | SlabFlags.POISON | SlabFlags.STORE_USER


def total_free(memory):
    return sum(zone.free_pages + zone.pcp_pages for zone in memory.zones)


class CacheMachine(RuleBasedStateMachine):
    """A cache of any geometry, and what is known of it without one: which addresses are in use."""

    @initialize(
        object_size=st.integers(1, 5000),
        align=st.sampled_from([0, 8, 64, 256]),
        flags=st.sampled_from([0, SlabFlags.HWCACHE_ALIGN, SlabFlags.RECLAIM_ACCOUNT, DEBUG, SlabFlags.RED_ZONE]),
        nr_cpus=st.integers(1, 3),
        seed=st.sampled_from([None, 7]),
        kernel=st.sampled_from(["6.18", "6.1"]),
    )
    def begin(self, object_size, align, flags, nr_cpus, seed, kernel):
        self.memory = PhysicalMemory("X86_64", "32MiB")
        self.free_at_first = total_free(self.memory)
        self.cache = KmemCache(
            "any", object_size, memory=self.memory, align=align, flags=flags, nr_cpus=nr_cpus, seed=seed, kernel=kernel
        )
        self.live = {}
        self.freed = []

    @rule(cpu=st.integers(0, 2), count=st.integers(1, 40))
    def alloc(self, cpu, count):
        for _ in range(count):
            address = self.cache.alloc(cpu % self.cache.nr_cpus)
            assert address not in self.live
            assert address % self.cache.geometry.align == 0
            self.live[address] = self.cache.object_size

    @precondition(lambda self: self.live)
    @rule(cpu=st.integers(0, 2), data=st.data())
    def free(self, cpu, data):
        address = data.draw(st.sampled_from(sorted(self.live)))
        self.cache.free(address, cpu % self.cache.nr_cpus)
        del self.live[address]
        self.freed.append(address)

    @precondition(lambda self: self.live)
    @rule(cpu=st.integers(0, 2), share=st.floats(0, 1))
    def free_many(self, cpu, share):
        for address in sorted(self.live)[: int(share * len(self.live))]:
            self.cache.free(address, cpu % self.cache.nr_cpus)
            del self.live[address]
            self.freed.append(address)

    @rule(data=st.data())
    def free_wrongly(self, data):
        wrong = [
            0,
            8,
            0xFFFF_8880_0000_0000,
            *[a + 1 for a in list(self.live)[:3]],
            *set(self.freed[-3:]) - set(self.live),
        ]
        before = self.cache.snapshot()
        address = data.draw(st.sampled_from(wrong))
        if self.cache.flags & SlabFlags.CONSISTENCY_CHECKS:
            self.cache.free(address)
            assert self.cache.reports
            assert self.cache.snapshot().slabs == before.slabs
        else:
            with pytest.raises(BadFree, match=f"{address:#x}"):
                self.cache.free(address)
            assert self.cache.snapshot() == before

    @rule()
    def shrink(self):
        self.cache.shrink()
        assert all(slab.inuse for slab in self.cache.snapshot().slabs)

    @rule(cpu=st.integers(0, 2))
    def flush(self, cpu):
        self.cache.flush(cpu % self.cache.nr_cpus)

    @invariant()
    def same_objects(self):
        self.cache.check()
        assert set(self.cache.live) == set(self.live)
        ends = sorted(self.live)
        assert all(b - a >= self.cache.object_size for a, b in itertools.pairwise(ends))
        snapshot = self.cache.snapshot()
        assert snapshot.active_objs == len(self.live)
        used = sum(1 << slab.order for slab in self.cache.slabs.values())
        assert total_free(self.memory) == self.free_at_first - used

    def teardown(self):
        if hasattr(self, "cache"):
            for address in list(self.live):
                self.cache.free(address)
            self.cache.shrink()
            self.memory.drain_pages()
            self.memory.check()
            assert total_free(self.memory) == self.free_at_first


class KmallocMachine(RuleBasedStateMachine):
    """kmalloc of any size beside a dict of addresses and sizes."""

    def __init__(self):
        super().__init__()
        self.memory = PhysicalMemory("X86_64", "32MiB")
        self.free_at_first = total_free(self.memory)
        self.slabs = SlabAllocator(self.memory, nr_cpus=2, seed=3)
        self.live = {}

    @rule(nr_bytes=st.one_of(st.integers(0, 300), st.integers(0, 40_000)), gfp=st.sampled_from(
        ["GFP_KERNEL", "GFP_KERNEL_ACCOUNT", "GFP_KERNEL|__GFP_RECLAIMABLE", "GFP_DMA"]))  # fmt: skip
    def kmalloc(self, nr_bytes, gfp):
        try:
            address = self.slabs.kmalloc(nr_bytes, gfp)
        except OutOfMemory:
            return
        if nr_bytes == 0:
            assert address == 16
            return
        assert address not in self.live
        assert self.slabs.ksize(address) >= nr_bytes
        self.live[address] = nr_bytes

    @precondition(lambda self: self.live)
    @rule(data=st.data())
    def kfree(self, data):
        address = data.draw(st.sampled_from(sorted(self.live)))
        self.slabs.kfree(address, cpu=address // 64 % 2)
        del self.live[address]

    @rule(address=st.sampled_from([0, 16]))
    def kfree_of_nothing(self, address):
        self.slabs.kfree(address)

    @rule(address=st.sampled_from([1, 4096, -5, True, "x", 0xFFFF_8880_0000_0008]))
    def kfree_wrongly(self, address):
        with pytest.raises(BadFree):
            self.slabs.kfree(address)

    @invariant()
    def nothing_overlaps(self):
        self.slabs.check()
        ends = sorted(self.live)
        assert all(a + self.live[a] <= b for a, b in itertools.pairwise(ends))

    def teardown(self):
        for address in list(self.live):
            self.slabs.kfree(address)
        for cache in self.slabs.caches:
            cache.shrink()
        self.memory.drain_pages()
        self.memory.check()
        assert total_free(self.memory) == self.free_at_first


TestCacheMachine = CacheMachine.TestCase
TestKmallocMachine = KmallocMachine.TestCase
TestCacheMachine.settings = settings(max_examples=25, stateful_step_count=20, deadline=None)
TestKmallocMachine.settings = settings(max_examples=20, stateful_step_count=25, deadline=None)


@pytest.mark.parametrize("seed", [None, 11])
def test_a_hundred_thousand_unbalanced_operations(seed):
    """More is taken than given back, then the other way round, from three CPUs."""
    memory = PhysicalMemory("X86_64", "64MiB")
    before = total_free(memory)
    cache = KmemCache("many", 136, memory=memory, nr_cpus=3, seed=seed)
    rng, live = random.Random(5), []
    for step in range(100_000):
        share = 0.62 if step < 60_000 else 0.2
        if live and rng.random() > share:
            at = rng.randrange(len(live))
            live[at], live[-1] = live[-1], live[at]
            cache.free(live.pop(), rng.randrange(3))
        else:
            live.append(cache.alloc(rng.randrange(3)))
    cache.check()
    assert len(set(live)) == len(live) == cache.snapshot().active_objs
    for address in live:
        cache.free(address)
    cache.shrink()
    cache.check()
    memory.check()
    assert total_free(memory) == before
