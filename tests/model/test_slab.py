"""KmemCache and SlabAllocator: what they say, what they refuse, and what pages see of them."""

from __future__ import annotations

from random import Random

import pytest

from mmkit import KmemCache, PhysicalMemory, SlabAllocator
from mmkit.errors import BadFree, OutOfMemory
from mmkit.model.gfp import Gfp
from mmkit.model.pageflags import PageFlags, PageType
from mmkit.model.slabstate import Place, SlabFlags
from mmkit.model.trace import Trace


@pytest.fixture
def memory():
    return PhysicalMemory("X86_64", "64MiB", nr_cpus=2)


def free_pages(memory):
    return sum(zone.free_pages + zone.pcp_pages for zone in memory.zones)


def take_all(take):
    """Take until there is no more."""
    taken = []
    try:
        while True:
            taken.append(take())
    except OutOfMemory:
        return taken


# -- slabs are pages --------------------------------------------------------------------------------------------------


def test_the_first_object_takes_a_slab_of_pages(memory):
    cache = KmemCache("task", 8448, memory=memory)
    before = free_pages(memory)
    address = cache.alloc()
    assert free_pages(memory) == before - (1 << cache.order) == before - 8
    (slab,) = cache.slabs.values()
    page = memory.mem_map[slab.pfn]
    assert (page.page_type, page.refcount, page.is_slab) == (PageType.slab, 1, True)
    assert page.flags & PageFlags.head
    assert slab.address == page.virtual <= address
    cache.free(address)
    assert cache.shrink() == 1
    assert memory.mem_map[slab.pfn].page_type is not PageType.slab
    assert free_pages(memory) == before


@pytest.mark.parametrize(
    ("object_size", "flags", "gfp", "asked", "migratetype"),
    [  # as traced on 6.18: dentry, inode cache, buffer_head under GFP_NOFS; and what is not passed on
        (192, SlabFlags.RECLAIM_ACCOUNT, "GFP_KERNEL",
         "GFP_KERNEL|__GFP_RECLAIMABLE|__GFP_NOWARN|__GFP_NORETRY|__GFP_COMP", 2),
        (1000, 0, "GFP_KERNEL_ACCOUNT", "__GFP_IO|__GFP_FS|__GFP_NOWARN|__GFP_NORETRY|__GFP_COMP|__GFP_NOMEMALLOC", 0),
        (104, 0, "GFP_NOFS", "GFP_NOFS|__GFP_NOWARN|__GFP_NORETRY|__GFP_COMP", 0),
        (104, 0, "GFP_HIGHUSER_MOVABLE|__GFP_ZERO", "GFP_USER|__GFP_NOWARN|__GFP_NORETRY|__GFP_COMP", 0),
        (104, SlabFlags.CACHE_DMA, "GFP_KERNEL", "GFP_KERNEL|GFP_DMA|__GFP_NOWARN|__GFP_NORETRY|__GFP_COMP", 0),
        (104, 0, "GFP_ATOMIC", "GFP_ATOMIC|__GFP_NOWARN|__GFP_NORETRY|__GFP_COMP", 0),
    ],
)  # fmt: skip
def test_what_a_new_slab_asks_for(object_size, flags, gfp, asked, migratetype):
    trace = Trace()
    memory = PhysicalMemory("X86_64", "64MiB", trace=trace)
    cache = KmemCache("any", object_size, memory=memory, flags=flags, nr_cpus=2)
    cache.alloc(gfp=gfp)
    (event,) = trace.select("mm_page_alloc")
    assert Gfp(event.gfp_flags) == Gfp.parse(asked)
    assert event.migratetype == migratetype


def test_short_memory_means_smaller_slabs_and_then_none(memory):
    cache = KmemCache("inode", 1000, memory=memory, nr_cpus=2)
    assert cache.order == 2
    for page in take_all(lambda: memory.alloc_pages("GFP_KERNEL", 1)):
        if page.pfn % 4 == 0:
            memory.free_pages(page, 1)
    live = take_all(cache.alloc)
    cache.check()
    memory.check()
    sizes = [(slab.order, slab.objects) for slab in cache.slabs.values()]
    assert set(sizes) <= {(2, 16), (0, 4)}
    assert sizes.count((0, 4)) > 50
    assert sizes == sorted(sizes, reverse=True)  # large ones as long as there are any
    cache.free(live[0], cpu=1)
    assert cache.alloc(cpu=1) == live[0]


def test_out_of_memory_in_the_middle_of_kmalloc(memory):
    slabs = SlabAllocator(memory)
    taken = take_all(lambda: slabs.kmalloc(8192))
    slabs.check()
    memory.check()
    for address in taken:
        slabs.kfree(address)
    for cache in slabs.caches:
        cache.shrink()
    slabs.check()
    assert free_pages(memory) == free_pages(PhysicalMemory("X86_64", "64MiB", nr_cpus=2))


def test_pages_come_from_the_lists_of_the_cpu_that_asks():
    memory = PhysicalMemory("X86_64", "1GiB", nr_cpus=2)
    cache = KmemCache("any", 64, memory=memory, nr_cpus=4)

    def waiting():
        return [pcp.count for pcp in memory.zone("DMA32").snapshot(memory.source).pcp]

    assert waiting() == [0, 0]
    cache.alloc(cpu=1)
    assert (waiting()[0], waiting()[1] > 0) == (0, True)
    cache.alloc(cpu=3)  # a CPU that memory does not know
    assert waiting()[0] > 0


def test_a_constructor_sees_every_object_of_a_new_slab_once(memory):
    seen = []
    cache = KmemCache("constructed", 700, memory=memory, ctor=seen.append)
    address = cache.alloc()
    assert seen == [address + index * cache.size for index in range(cache.objs_per_slab)]
    cache.free(address)
    assert cache.alloc() == address
    assert len(seen) == cache.objs_per_slab


# -- lists ------------------------------------------------------------------------------------------------------------


def test_the_object_freed_last_is_handed_out_first(memory):
    cache = KmemCache("dentry", 192, memory=memory)
    first, second, third = (cache.alloc() for _ in range(3))
    cache.free(second)
    cache.free(first)
    assert [cache.alloc(), cache.alloc(), cache.alloc() - third] == [first, second, 192]


def test_a_slab_on_its_way(memory):
    """CPU 0 fills it, CPU 1 gives an object back, takes it again, and the node gets it when CPU 1 is flushed."""
    trace = Trace()
    cache = KmemCache("dentry", 192, memory=memory, nr_cpus=2, trace=trace)
    taken = [cache.alloc(cpu=0) for _ in range(22)]
    pfn = taken[0] - 0xFFFF_8880_0000_0000 >> 12
    cache.free(taken[0], cpu=1)
    assert cache.alloc(cpu=1) == taken[0]
    cache.free(taken[0], cpu=1)
    cache.flush(1)
    moves = [(event.old, event.new, event.cpu) for event in trace.select("slab_move") if event.pfn == pfn]
    assert moves == [
        (Place.CPU, Place.CPU, 0),
        (Place.CPU, Place.FULL, None),
        (Place.FULL, Place.CPU_PARTIAL, 1),
        (Place.CPU_PARTIAL, Place.CPU, 1),
        (Place.CPU, Place.NODE, None),
    ]


def test_events_of_objects(memory):
    trace = Trace()
    cache = KmemCache("dentry", 190, memory=memory, trace=trace)
    address = cache.alloc(gfp="GFP_NOFS")
    cache.free(address)
    (taken,), (given,) = trace.select("kmem_cache_alloc"), trace.select("kmem_cache_free")
    assert (taken.ptr, taken.cache, taken.bytes_req, taken.bytes_alloc) == (address, "dentry", 190, 192)
    assert taken.gfp_flags == Gfp.GFP_NOFS
    assert (given.ptr, given.cache) == (address, "dentry")


def test_objects_look_random_with_a_seed_and_the_same_seed_looks_the_same(memory):
    def offsets(seed):
        cache = KmemCache("dentry", 192, memory=PhysicalMemory("X86_64", "64MiB"), seed=seed)
        return [cache.alloc() & 4095 for _ in range(63)]

    assert offsets(3) == offsets(3) != offsets(4)
    assert offsets(None) == sorted(offsets(None)[:21]) * 3
    starts = {offsets(seed)[0] for seed in range(30)}
    assert len(starts) > 10
    assert len({tuple(offsets(3)[at : at + 21]) for at in (0, 21, 42)}) > 1


# -- what is refused --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("address", "words"),
    [
        (lambda a: a, "is free already"),
        (lambda a: a + 192 + 8, "it lies 8 bytes inside the one at"),
        (lambda a: a + 21 * 192 + 8, "it lies between two, or at the end of the slab"),
        (lambda a: a + 4096, "is in no slab of cache dentry"),
        (lambda a: 0, "0x0 is in no slab"),
        (lambda a: -8, "-0x8 is in no slab"),
        (lambda a: "x", "freed by its address, not by 'x'"),
        (lambda a: None, "not by None"),
        (lambda a: [], r"not by \[\]"),
        (lambda a: True, "not by True"),
        (lambda a: 1.5, "not by 1.5"),
    ],
)
def test_bad_frees_are_refused_in_words(memory, address, words):
    cache = KmemCache("dentry", 192, memory=memory)
    first = cache.alloc()
    cache.alloc()
    cache.free(first)
    before = cache.snapshot()
    with pytest.raises(BadFree, match=words):
        cache.free(address(first))
    assert cache.snapshot() == before


@pytest.mark.parametrize("cpu", [2, -1, None, "0", 0.5, []])
def test_cpus_that_there_are_not(memory, cpu):
    cache = KmemCache("dentry", 192, memory=memory, nr_cpus=2)
    address = cache.alloc()
    for call in (lambda: cache.alloc(cpu), lambda: cache.free(address, cpu)):
        with pytest.raises(ValueError, match="cache dentry is used by CPUs 0 to 1, not "):
            call()
    if cpu is not None:
        with pytest.raises(ValueError, match="CPUs 0 to 1"):
            cache.flush(cpu)
    assert address in cache.live


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"object_size": 0}, ValueError),
        ({"object_size": -1}, ValueError),
        ({"object_size": (4 << 20) + 1}, ValueError),
        ({"object_size": "64"}, TypeError),
        ({"align": 3}, ValueError),
        ({"nr_cpus": 0}, ValueError),
        ({"kernel": "5.10"}, ValueError),
    ],
)
def test_caches_that_cannot_be(memory, arguments, error):
    with pytest.raises(error, match=str(next(iter(arguments.values())))):
        KmemCache("bad", **{"object_size": 64, "memory": memory, **arguments})


# -- kmalloc ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("nr_bytes", "given", "name"),
    [(1, 8, "kmalloc-8"), (8, 8, "kmalloc-8"), (9, 16, "kmalloc-16"), (65, 96, "kmalloc-96"), (97, 128, "kmalloc-128"),
     (129, 192, "kmalloc-192"), (193, 256, "kmalloc-256"), (8192, 8192, "kmalloc-8k"), (8193, 16384, ""),
     (20_000, 32_768, ""), (4 << 20, 4 << 20, "")],
)  # fmt: skip
def test_kmalloc_gives_the_smallest_class_that_fits(memory, nr_bytes, given, name):
    trace = Trace()
    slabs = SlabAllocator(memory, trace=trace)
    address = slabs.kmalloc(nr_bytes)
    assert slabs.ksize(address) == given
    (event,) = trace.select("kmalloc")
    assert (event.ptr, event.cache, event.bytes_req, event.bytes_alloc) == (address, name, nr_bytes, given)
    if not name:
        page = memory.mem_map[address - memory.arch.page_offset >> 12]
        assert page.page_type is PageType.large_kmalloc
    slabs.kfree(address)
    slabs.check()
    assert [event.ptr for event in trace.select("kfree")] == [address]


def test_kmalloc_of_nothing_and_of_too_much(memory):
    slabs = SlabAllocator(memory)
    before = free_pages(memory)
    assert slabs.kmalloc(0) == 16
    assert slabs.ksize(16) == 0
    slabs.kfree(16)
    slabs.kfree(0)
    with pytest.raises(OutOfMemory, match=r"kmalloc of 4,194,305 bytes: no block is larger than 4 MiB"):
        slabs.kmalloc((4 << 20) + 1)
    for wrong, error in ((-1, ValueError), (True, TypeError), ("8", TypeError), (8.0, TypeError)):
        with pytest.raises(error, match=str(wrong)):
            slabs.kmalloc(wrong)
    with pytest.raises(ValueError, match="contradicts itself"):
        slabs.kmalloc(8, "GFP_KERNEL|__GFP_DMA|__GFP_HIGHMEM")
    assert free_pages(memory) == before


@pytest.mark.parametrize(
    ("gfp", "name", "pageblock"),
    [("GFP_KERNEL_ACCOUNT", "kmalloc-cg-64", 0), ("GFP_KERNEL|__GFP_RECLAIMABLE", "kmalloc-rcl-64", 2),
     ("GFP_KERNEL|GFP_DMA", "dma-kmalloc-64", 0), (int(Gfp.GFP_KERNEL), "kmalloc-64", 0),
     ("GFP_ATOMIC", "kmalloc-64", 0)],
)  # fmt: skip
def test_kinds_of_kmalloc(gfp, name, pageblock):
    trace = Trace()
    memory = PhysicalMemory("X86_64", "64MiB", trace=trace)
    slabs = SlabAllocator(memory, trace=trace)
    address = slabs.kmalloc(60, gfp)
    assert slabs.cache_of(address).name == name
    assert trace.select("mm_page_alloc")[0].migratetype == pageblock
    assert (memory.zone_of(address - memory.arch.page_offset >> 12).name == "DMA") == name.startswith("dma")
    slabs.kfree(address)


def test_kfree_and_kmem_cache_free_take_each_others_objects(memory):
    slabs = SlabAllocator(memory)
    dentry = slabs.create("dentry", 192, flags=SlabFlags.RECLAIM_ACCOUNT)
    slabs.kfree(dentry.alloc())
    address = slabs.kmalloc(64)
    slabs.cache("kmalloc-64").free(address)
    slabs.check()
    with pytest.raises(BadFree, match="is free already"):
        slabs.kfree(address)
    large = slabs.kmalloc(10_000)
    slabs.kfree(large)
    for wrong in (large, large + 4096, 8, -1, True, None, "x"):
        with pytest.raises(BadFree, match="is in no slab and in no block"):
            slabs.kfree(wrong)
    with pytest.raises(BadFree, match="is not an address that kmalloc returned"):
        slabs.ksize(address)


def test_caches_merge_into_aliases(memory):
    slabs = SlabAllocator(memory)
    first = slabs.create("first", 200)
    assert slabs.create("second", 196) is first
    assert first.aliases == ["first", "second"]
    assert first.snapshot().aliases == ("second",)
    assert slabs.cache("second") is first
    assert slabs.create("alone", 200, ctor=print) is not first
    assert slabs.create("reclaimable", 200, flags=SlabFlags.RECLAIM_ACCOUNT) is not first
    with pytest.raises(ValueError, match="there is a cache 'second' already"):
        slabs.create("second", 64)
    with pytest.raises(ValueError, match="there is no cache 'third'"):
        slabs.cache("third")


def test_slabinfo_counts_what_cpus_have_as_active(memory):
    slabs = SlabAllocator(memory)
    dentry = slabs.create("dentry", 192, flags=SlabFlags.RECLAIM_ACCOUNT)
    live = [dentry.alloc() for _ in range(50)]
    line = slabs.slabinfo().lines[0]
    assert (line.name, line.active_objs, line.num_objs, line.num_slabs, line.objsize) == ("dentry", 63, 63, 3, 192)
    dentry.free(live[0])
    dentry.flush()
    line = slabs.slabinfo().lines[0]
    assert (line.active_objs, line.num_objs) == (49, 63)


# -- going back -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("object_size", [24, 192, 1000, 9000])
def test_a_cache_goes_on_from_its_snapshot(memory, object_size):
    rng = Random(object_size)
    cache, live = KmemCache("any", object_size, memory=memory, nr_cpus=2), []
    for _ in range(600):
        step(cache, live, rng)
    again_memory = PhysicalMemory.from_snapshot(memory.snapshot())
    again, again_live = KmemCache.from_snapshot(cache.snapshot(), memory=again_memory), list(live)
    assert again.snapshot() == cache.snapshot()
    again.check()
    state = rng.getstate()
    for _ in range(600):
        step(cache, live, rng)
    rng.setstate(state)
    for _ in range(600):
        step(again, again_live, rng)
    assert (again_live, lists_of(again), again_memory.snapshot()) == (live, lists_of(cache), memory.snapshot())
    again.check()


def lists_of(cache):
    """The slabs on each list in its order, and the full ones, which are on none, by place."""
    slabs = cache.snapshot().slabs
    full = sorted((slab for slab in slabs if slab.place is Place.FULL), key=lambda slab: slab.pfn)
    return [slab for slab in slabs if slab.place is not Place.FULL] + full


def step(cache, live, rng):
    if live and rng.random() < 0.48:
        cache.free(live.pop(rng.randrange(len(live))), rng.randrange(2))
    else:
        live.append(cache.alloc(rng.randrange(2)))


def test_what_cannot_be_gone_on_from(memory):
    cache = KmemCache("any", 64, memory=memory)
    cache.alloc()
    with pytest.raises(ValueError, match=r"is no slab: take the snapshots of both at one moment"):
        KmemCache.from_snapshot(cache.snapshot(), memory=PhysicalMemory("X86_64", "64MiB"))
    debugged = KmemCache("watched", 64, memory=memory, flags=SlabFlags.RED_ZONE)
    with pytest.raises(ValueError, match="cache watched is debugged"):
        KmemCache.from_snapshot(debugged.snapshot(), memory=memory)
