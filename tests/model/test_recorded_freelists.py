"""In which order the objects of a new slab are handed out: a traced 6.1 goes round one sequence, entered anywhere.

Free objects of a slab are a stack: what was given back lies on top of what was never used. So the order in which the
objects of a new slab are handed out *for the first time* is the order in which the slab was linked when it was made.
"""

from __future__ import annotations

from collections import defaultdict
from itertools import pairwise

import pytest

from mmkit.data.events import KmallocAlloc, Marker, ObjectAlloc, PageFree, read_events
from mmkit.data.slabs import DIRECT_MAP, read_slabs
from mmkit.model.memory import PhysicalMemory
from mmkit.model.slab import KmemCache

RECORDING = "trace-slab-6.1"


class NewSlabs:
    """Follows the trace; ``orders`` has, by cache, the first uses of the objects of each slab made in it."""

    def __init__(self):
        caches = read_slabs(RECORDING, 0)
        self.geometry = {name: cache.geometry for name, cache in caches.items()}
        self.known = {slab.pfn for cache in caches.values() for slab in cache.slabs}
        self.made = {}
        self.orders = defaultdict(list)
        begun = False
        for event in read_events(RECORDING):
            begun = begun or event == Marker(*event[:4], "SYNC-DONE 0")
            if begun and isinstance(event, PageFree):
                self.known.discard(event.pfn)
                self.made.pop(event.pfn, None)
            elif begun and isinstance(event, (ObjectAlloc, KmallocAlloc)) and event.cache in self.geometry:
                self.see(event.ptr, event.cache)

    def see(self, ptr, cache):
        geometry = self.geometry[cache]
        pfn = (ptr - DIRECT_MAP >> 12) >> geometry.order << geometry.order
        if pfn not in self.known:
            self.known.add(pfn)
            self.made[pfn] = []
            self.orders[cache].append(self.made[pfn])
        index = (ptr - DIRECT_MAP - (pfn << 12)) // geometry.size
        if pfn in self.made and index not in self.made[pfn]:
            self.made[pfn].append(index)


@pytest.fixture(scope="module")
def new_slabs():
    return NewSlabs()


def cycle_of(orders):
    """Which object follows which; fails if two slabs disagree."""
    after = {}
    for order in orders:
        for one, following in pairwise(order):
            assert after.setdefault(one, following) == following
    return after


def test_all_new_slabs_of_a_cache_go_round_one_sequence(new_slabs):
    assert sum(map(len, new_slabs.orders.values())) == 75
    for name, orders in new_slabs.orders.items():
        after = cycle_of(orders)
        assert len(set(after.values())) == len(after), name


def test_each_slab_enters_it_anywhere(new_slabs):
    starts = [len({order[0] for order in orders}) for orders in new_slabs.orders.values() if len(orders) > 4]
    assert len(starts) == 6
    assert all(number > 1 for number in starts)


def test_caches_have_sequences_of_their_own(new_slabs):
    """Two caches with equally many objects in a slab, and none of them in ascending order."""
    cycles = [cycle_of(new_slabs.orders[name]) for name in ("dentry", "kmalloc-cg-192")]
    assert len(cycles[0]) == len(cycles[1]) == new_slabs.geometry["dentry"].objs_per_slab == 21
    ascending = {index: (index + 1) % 21 for index in range(21)}
    assert cycles[0] != cycles[1]
    assert ascending not in cycles


def test_so_does_the_model(new_slabs):
    """The recorded sequence in the model: every recorded slab is one that the model could have made."""
    recorded = [order for order in new_slabs.orders["dentry"] if len(order) == 21]
    after = cycle_of(recorded)
    cache = KmemCache("dentry", 192, memory=PhysicalMemory("X86_64", "64MiB"), seed=1)
    cache.sequence = [0]
    while len(cache.sequence) < 21:
        cache.sequence.append(after[cache.sequence[-1]])
    made = set()
    for _ in range(400):
        addresses = [cache.alloc() for _ in range(21)]
        made.add(tuple((address & 4095) // 192 for address in addresses))
    assert {tuple(order) for order in recorded} <= made
    assert len(made) == 21


def test_without_a_seed_objects_are_handed_out_in_ascending_order():
    cache = KmemCache("dentry", 192, memory=PhysicalMemory("X86_64", "64MiB"))
    addresses = [cache.alloc() for _ in range(42)]
    assert addresses[:21] == sorted(addresses[:21])
    assert addresses[21:] == sorted(addresses[21:])
