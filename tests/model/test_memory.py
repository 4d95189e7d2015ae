"""PhysicalMemory: which zone serves, how far down, what is said on the way, and what is refused."""

import random

import pytest

from mmkit.arch import GIB, MIB, TOY, X86_64
from mmkit.errors import BadFree, InvariantError, OutOfMemory
from mmkit.model.gfp import Gfp
from mmkit.model.memory import PhysicalMemory
from mmkit.model.migratetype import MigrateType
from mmkit.model.pageflags import PageFlags, PageType
from mmkit.model.trace import (
    MmPageAlloc,
    MmPageAllocZoneLocked,
    MmPageFree,
    MmPagePcpuDrain,
    MmVmscanWakeupKswapd,
    Trace,
)
from tests.model.zonefiles import SETTINGS, arch_of, firmware_map, kernel_of, qemu_machine, read_sysctl, read_zones


def toy(**settings):
    return PhysicalMemory(TOY, "64 pages", **{"pcp": False, "min_free_kbytes": 32, **settings})


def use_up(memory, gfp, order=0):
    """Allocate until there is nothing left; return the pages."""
    pages = []
    while True:
        try:
            pages.append(memory.alloc_pages(gfp, order))
        except OutOfMemory:
            return pages


def names(zones):
    return [f"{zone.name}{zone.node}" for zone in zones]


# -- whole machines against recordings ------------------------------------------------------------------------------


def kept_as_recorded(name, zones):
    """The ends of zones, as many pages as the recorded kernel did not hand to its allocator."""
    layout = PhysicalMemory(arch_of(name), **machine_of(name), reserved=[]).zones
    for zone, recorded in zip(layout, zones, strict=True):
        missing = recorded["present"] - recorded["managed"]
        for start, end in reversed(zone.span.ranges):
            if missing:
                yield max(start, end - missing), end
                missing -= min(missing, end - start)


def machine_of(name):
    machine = qemu_machine(name) or {}
    return {"memory_map": firmware_map(name), "movable": machine["movable"]} if firmware_map(name) else machine


@pytest.mark.parametrize("path", SETTINGS, ids=lambda path: f"{path.parent.parent.name}-{path.stem}")
def test_a_machine_set_up_like_a_recorded_one_has_its_zones_marks_and_lists(path):
    name, zones = path.parent.parent.name, read_zones(path.read_text())
    sysctl = read_sysctl(path.with_suffix(".sysctl").read_text())
    ratios = sysctl["lowmem_reserve_ratio"]
    per_node = len(zones) // len({zone["node"] for zone in zones})
    memory = PhysicalMemory(
        arch_of(name),
        **machine_of(name),
        reserved=kept_as_recorded(name, zones),
        kernel=kernel_of(name),
        nr_cpus=max(len(zone["pcp"]) for zone in zones),
        lowmem_reserve_ratio=[*ratios, 0][:per_node],
        **{key: sysctl[key][0] for key in sysctl if key != "lowmem_reserve_ratio"},
    )
    for zone, recorded in zip(memory.snapshot(frames=False).zones, zones, strict=True):
        for field in ("node", "name", "start_pfn", "spanned", "present", "managed", "min", "low", "high", "protection"):
            assert getattr(zone, field) == recorded[field], field
        assert [(p.cpu, p.high, p.batch) for p in zone.pcp] == [
            (p["cpu"], p["high"], p["batch"]) for p in recorded["pcp"]
        ]


# -- zonelists --------------------------------------------------------------------------------------------------------


def test_highest_zone_first():
    memory = PhysicalMemory("X86_64", "8GiB", movable="1GiB")
    assert names(memory.zonelist("GFP_HIGHUSER_MOVABLE")) == ["Movable0", "Normal0", "DMA320", "DMA0"]
    assert names(memory.zonelist(Gfp.GFP_KERNEL)) == ["Normal0", "DMA320", "DMA0"]
    assert names(memory.zonelist(Gfp.GFP_DMA32)) == ["DMA320", "DMA0"]
    assert names(memory.zonelist(Gfp.GFP_DMA)) == ["DMA0"]


def test_32_bit_user_memory_comes_from_high_memory():
    memory = PhysicalMemory("X86_PAE", "2GiB")
    assert names(memory.zonelist(Gfp.GFP_HIGHUSER)) == ["HighMem0", "Normal0", "DMA0"]
    assert names(memory.zonelist(Gfp.GFP_KERNEL | Gfp.DMA32)) == ["Normal0", "DMA0"]
    assert memory.alloc_pages(Gfp.GFP_HIGHUSER).virtual is None


def test_all_zones_of_a_node_before_those_of_the_next():
    memory = PhysicalMemory("X86_64", "8GiB", nodes=2, nr_cpus=2)
    assert names(memory.zonelist(Gfp.GFP_KERNEL)) == ["Normal0", "DMA320", "DMA0", "Normal1"]
    assert names(memory.zonelist(Gfp.GFP_KERNEL, node=1)) == ["Normal1", "Normal0", "DMA320", "DMA0"]
    assert names(memory.zonelist(Gfp.GFP_KERNEL | Gfp.THISNODE, node=1)) == ["Normal1"]
    assert memory.alloc_pages(Gfp.GFP_KERNEL, cpu=1).node == 1
    assert memory.alloc_pages(Gfp.GFP_KERNEL, cpu=1, node=0).node == 0


def test_nearer_nodes_first():
    memory = PhysicalMemory(TOY, "256 pages", nodes=3, distances=[[10, 30, 20], [30, 10, 20], [20, 20, 10]])
    assert [zone.node for zone in memory.zonelist(Gfp.GFP_KERNEL) if zone.name == "Normal"] == [0, 2, 1]


def test_ram_out_of_reach_is_noted():
    memory = PhysicalMemory("X86", "6GiB")
    assert "3 GiB of RAM lie above 4 GiB" in memory.note
    assert memory.snapshot(frames=False).note == memory.note


# -- how far down -----------------------------------------------------------------------------------------------------


def test_each_kind_of_request_stops_at_its_own_mark():
    memory = toy()
    normal, dma = memory.zone("Normal"), memory.zone("DMA")
    assert (normal.watermarks, dma.watermarks) == ((5, 6, 7), (2, 2, 2))
    use_up(memory, Gfp.GFP_KERNEL)
    assert (normal.free_pages, dma.free_pages) == (5, 2)
    use_up(memory, Gfp.GFP_ATOMIC)
    assert (normal.free_pages, dma.free_pages) == (3, 1)
    use_up(memory, Gfp.GFP_KERNEL)
    use_up(memory, Gfp.GFP_KERNEL | Gfp.MEMALLOC | Gfp.NOMEMALLOC)
    assert (normal.free_pages, dma.free_pages) == (3, 1)
    use_up(memory, Gfp.GFP_KERNEL | Gfp.MEMALLOC)
    assert (normal.free_pages, dma.free_pages) == (0, 0)


def test_the_low_mark_sends_to_the_next_zone_before_min_is_touched():
    memory = toy()
    zones = [memory.alloc_pages(Gfp.GFP_KERNEL).zone for _ in range(47 - 6 + 16 - 2)]
    assert zones == ["Normal"] * 41 + ["DMA"] * 14
    assert memory.alloc_pages(Gfp.GFP_KERNEL).zone == "Normal"  # all are at low: now down to min


def test_a_lower_zone_is_protected_from_requests_that_have_a_higher_one():
    memory = toy(lowmem_reserve_ratio={"DMA": 5})
    assert memory.zone("DMA").lowmem_reserve == (0, 9, 9)
    use_up(memory, Gfp.GFP_KERNEL)
    assert memory.zone("DMA").free_pages == 2 + 9
    use_up(memory, Gfp.GFP_DMA)
    assert memory.zone("DMA").free_pages == 2


def test_a_large_block_needs_to_be_there_as_one():
    memory = toy(min_free_kbytes=0)
    pages = use_up(memory, Gfp.GFP_KERNEL)
    for page in pages[::2]:
        memory.free_pages(page)
    assert memory.zone("Normal").free_pages > 20
    with pytest.raises(OutOfMemory, match="no block of order 1 or larger"):
        memory.alloc_pages(Gfp.GFP_KERNEL, 1)


def test_running_out_is_explained_zone_by_zone():
    memory = toy(lowmem_reserve_ratio={"DMA": 5})
    use_up(memory, Gfp.GFP_KERNEL)
    before = memory.snapshot()
    with pytest.raises(OutOfMemory) as error:
        memory.alloc_pages(Gfp.GFP_KERNEL, 3)
    assert str(error.value) == (
        "no block of order 3 (32 KiB) for GFP_KERNEL: Normal of node 0: free 5 less 7 is not above 5; "
        "DMA of node 0: free 11 less 7 is not above 2 + 9"
    )
    assert memory.snapshot() == before


def test_running_out_tells_of_pages_on_lists():
    memory = toy(pcp=True, min_free_kbytes=0)
    memory.free_pages(memory.alloc_pages(Gfp.GFP_DMA, 2), 2)
    for page in use_up(memory, Gfp.GFP_DMA)[:3]:
        memory.free_pages(page)
    with pytest.raises(OutOfMemory, match=r"\(3 free pages are on per-CPU lists; drain_pages\(\) returns them\)"):
        memory.alloc_pages(Gfp.GFP_DMA, 4)


def test_a_walk_tells_what_an_allocation_would_do():
    memory = toy()
    walk = memory.walk("GFP_KERNEL", 2)
    assert [(t.zone, t.free, t.mark, t.mark_name, t.ok, t.why) for t in walk.tries] == [
        ("Normal", 47, 6, "low", True, "from the buddy lists")
    ]
    assert walk.pfn is None
    done = memory.alloc_walk("GFP_KERNEL", 2)
    assert (done.tries, done.gfp, done.pfn) == (walk.tries, "GFP_KERNEL", 16)
    use_up(memory, Gfp.GFP_KERNEL)
    failed = memory.alloc_walk("GFP_KERNEL")
    assert failed.pfn is None
    assert [(t.zone, t.mark_name, t.ok) for t in failed.tries] == [
        ("Normal", "low", False), ("DMA", "low", False), ("Normal", "min", False), ("DMA", "min", False),
    ]  # fmt: skip
    assert failed.tries[0].why == "free 5 is not above 6"


def test_walks_know_the_per_cpu_lists():
    memory = toy(pcp=True, nr_cpus=2)
    assert memory.walk("GFP_KERNEL").tries[-1].why == "from a per-CPU list, refilled first"
    memory.free_pages(memory.alloc_pages("GFP_KERNEL"), cpu=1)
    assert memory.walk("GFP_KERNEL", cpu=1).tries[-1].why == "from a per-CPU list"
    assert memory.walk("GFP_KERNEL", cpu=0).tries[-1].why == "from a per-CPU list, refilled first"
    assert memory.walk("GFP_HIGHUSER_MOVABLE", cpu=1).tries[-1].why == "from a per-CPU list, refilled first"
    assert memory.walk("GFP_KERNEL", 4, cpu=1).tries[-1].why == "from the buddy lists"


def test_another_zone_is_preferred_to_mixing_types_in_a_pageblock():
    # 4 MiB of Normal, all of it in use as Movable but for a page here and there; DMA32 has whole pageblocks free.
    memory = PhysicalMemory(
        X86_64, memory_map=[(MIB, 40 * MIB), (4 * GIB, 4 * GIB + 4 * MIB)], reserved=[], pcp=False, min_free_kbytes=0
    )
    pages = [memory.alloc_pages(Gfp.GFP_HIGHUSER_MOVABLE) for _ in range(1000)]
    assert {page.zone for page in pages} == {"Normal"}
    for page in pages[::2]:
        memory.free_pages(page)
    memory.alloc_pages(Gfp.GFP_HIGHUSER_MOVABLE, 4)
    assert memory.zone("Normal").free_pages > 500
    walk = memory.alloc_walk(Gfp.GFP_KERNEL)
    assert [(t.zone, t.ok) for t in walk.tries] == [("Normal", False), ("DMA32", True)]
    assert walk.tries[0].why.endswith("but only by mixing migrate types in a pageblock")
    assert memory.alloc_pages(Gfp.GFP_HIGHUSER_MOVABLE).zone == "Normal"
    use_up(memory, Gfp.GFP_DMA32)
    assert memory.alloc_pages(Gfp.GFP_KERNEL).zone == "Normal"


# -- per-CPU lists ----------------------------------------------------------------------------------------------------


def test_first_page_fills_a_list_and_a_freed_page_is_the_next_handed_out():
    memory = PhysicalMemory("X86_64", "1GiB", nr_cpus=2)
    dma32 = memory.zone("DMA32")
    free = dma32.free_pages
    page = memory.alloc_pages(Gfp.GFP_KERNEL, cpu=1)
    assert dma32.free_pages == free - 63
    assert [lists.count for lists in dma32.pcp] == [0, 62]
    other = memory.alloc_pages(Gfp.GFP_KERNEL, cpu=1)
    memory.free_pages(page, cpu=1)
    assert memory.alloc_pages(Gfp.GFP_HIGHUSER_MOVABLE, cpu=1) != page  # Movable's list is another
    assert memory.alloc_pages(Gfp.GFP_KERNEL, cpu=0) != page  # and so is the other CPU's
    assert memory.alloc_pages(Gfp.GFP_KERNEL, cpu=1) == page
    held = dma32.pcp[0].count
    memory.free_pages(other, cpu=0)
    assert dma32.pcp[0].count == held + 1
    memory.drain_pages()
    assert dma32.pcp_pages == 0
    memory.check()


def test_orders_between_lists_and_huge_pages_go_to_the_buddy_lists():
    memory = PhysicalMemory("X86_64", "1GiB")
    for order in (4, 8, 10):
        page = memory.alloc_pages(Gfp.GFP_KERNEL, order)
        assert memory.zone("DMA32").pcp_pages == 0
        memory.free_pages(page, order)
    huge = memory.alloc_pages(Gfp.GFP_TRANSHUGE, 9)
    assert memory.zone("DMA32").pcp_pages == 512
    memory.free_pages(huge, 9)
    assert memory.zone("DMA32").pcp_pages == 1024


def test_6_1_and_6_18_tune_their_lists_differently():
    old, new = (PhysicalMemory("X86_64", "1GiB", kernel=kernel) for kernel in ("6.1", "6.18"))
    for memory in (old, new):
        for _ in range(63 + 126):
            memory.alloc_pages(Gfp.GFP_KERNEL)
    assert old.zone("DMA32").pcp_pages == 0
    assert new.zone("DMA32").pcp_pages == 0
    old.alloc_pages(Gfp.GFP_KERNEL)
    new.alloc_pages(Gfp.GFP_KERNEL)
    assert (old.zone("DMA32").pcp_pages, new.zone("DMA32").pcp_pages) == (62, 251)


def test_lists_are_kept_short_once_a_zone_has_fallen_below_high():
    memory = PhysicalMemory("X86_64", "64MiB", min_free_kbytes=2048)
    dma32 = memory.zone("DMA32")
    pages = []
    while not dma32.below_high:
        pages.append(memory.alloc_pages(Gfp.GFP_KERNEL))
    assert dma32.free_pages <= dma32.watermarks.high + 63
    for page in pages:
        memory.free_pages(page)
    assert not dma32.below_high
    assert dma32.pcp_pages < dma32.free_pages


# -- struct page ------------------------------------------------------------------------------------------------------


def test_pages_carry_zone_node_and_reference():
    memory = PhysicalMemory("X86_64", "8GiB", nodes=2, nr_cpus=2)
    page = memory.alloc_pages(Gfp.GFP_KERNEL | Gfp.COMP, 3, cpu=1)
    assert (page.zone, page.node, page.refcount, page.flags) == ("Normal", 1, 1, PageFlags.head)
    assert memory.mem_map[300].zone == "DMA"
    assert memory.mem_map[9 * GIB // 4096 - 1].flags == PageFlags.reserved  # the array of struct page itself
    memory.free_pages(page, 3)
    assert (page.refcount, page.flags) == (0, PageFlags(0))


def test_first_pages_of_free_blocks_are_marked_when_somebody_looks():
    memory = toy()
    page = memory.alloc_pages(Gfp.GFP_KERNEL)
    marked = {row.pfn: row.private for row in memory.mem_map if row.page_type is PageType.buddy}
    assert marked == {0: 4, 17: 0, 18: 1, 20: 2, 24: 3, 32: 4, 48: 3, 56: 2, 60: 1, 62: 0}
    memory.free_pages(page)
    assert memory.mem_map[16].page_type is PageType.buddy
    assert memory.mem_map[16].private == 4
    assert memory.mem_map[18].page_type is None
    again = memory.alloc_pages(Gfp.GFP_KERNEL, 4)
    assert (again.pfn, again.page_type, again.private) == (16, None, 0)


def test_the_last_reference_frees():
    memory = toy()
    page = memory.alloc_pages(Gfp.GFP_KERNEL, 2)
    page.get()
    free = memory.zone("Normal").free_pages
    memory.free_pages(page, 2)
    assert (page.refcount, memory.zone("Normal").free_pages) == (1, free)
    assert page.put()
    memory.free_pages(page, 2)
    assert memory.zone("Normal").free_pages == free + 4


def test_a_mapped_page_is_not_freed():
    memory = toy()
    page = memory.alloc_pages(Gfp.GFP_HIGHUSER_MOVABLE)
    page.set_anon(0x1000, 5)
    page.map()
    before = memory.snapshot()
    with pytest.raises(BadFree, match="unmap"):
        memory.free_pages(page)
    assert memory.snapshot() == before


# -- what is said -----------------------------------------------------------------------------------------------------


def test_events_are_the_kernels_and_in_its_order():
    trace = Trace()
    memory = PhysicalMemory("X86_64", "64MiB", trace=trace, kernel="6.1")
    page = memory.alloc_pages(Gfp.GFP_HIGHUSER_MOVABLE)
    *taken, handed_out = [event for event in trace if isinstance(event, (MmPageAlloc, MmPageAllocZoneLocked))]
    assert len(taken) == memory.zone("DMA32").pcp[0].tuning.batch
    assert {(event.order, event.migratetype, event.percpu_refill) for event in taken} == {
        (0, MigrateType.MOVABLE, True)
    }
    assert handed_out == MmPageAlloc(page.pfn, 0, int(Gfp.GFP_HIGHUSER_MOVABLE), MigrateType.MOVABLE)
    assert taken[0].pfn == page.pfn
    trace.clear()
    memory.free_pages(page)
    assert trace.events == [MmPageFree(page.pfn, 0)]
    trace.clear()
    memory.drain_pages()
    drained = trace.select("mm_page_pcpu_drain")
    assert drained == [MmPagePcpuDrain(event.pfn, 0, MigrateType.MOVABLE) for event in reversed(taken)]


def test_blocks_past_the_lists_are_no_refill():
    trace = Trace()
    memory = PhysicalMemory("X86_64", "64MiB", trace=trace)
    page = memory.alloc_pages(Gfp.GFP_HIGHUSER_MOVABLE, 5)
    assert trace.select("mm_page_alloc_zone_locked") == [MmPageAllocZoneLocked(page.pfn, 5, MigrateType.MOVABLE, False)]


def test_kswapd_is_woken_when_all_zones_are_down_to_low():
    trace = Trace()
    memory = toy(trace=trace)
    while not trace.select("mm_vmscan_wakeup_kswapd"):
        memory.alloc_pages(Gfp.GFP_KERNEL)
    assert (memory.zone("Normal").free_pages, memory.zone("DMA").free_pages) == (5, 2)
    assert trace.select("mm_vmscan_wakeup_kswapd") == [MmVmscanWakeupKswapd(0, 1, 0, int(Gfp.GFP_KERNEL))]
    trace.clear()
    with pytest.raises(OutOfMemory):
        memory.alloc_pages(Gfp.DIRECT_RECLAIM)
    assert trace.events == [MmPageAlloc(None, 0, int(Gfp.DIRECT_RECLAIM), MigrateType.UNMOVABLE)]


def test_a_snapshot_can_be_taken_at_every_event():
    trace, seen = Trace(), []
    memory = PhysicalMemory(TOY, "64 pages", trace=trace, min_free_kbytes=16)

    def look(event):
        snapshot = memory.snapshot()
        for zone in snapshot.zones:
            in_hand = zone.buddy.in_hand if zone.buddy else None
            held = (1 << in_hand[1]) if in_hand else 0
            assert zone.free + held + sum(pcp.count for pcp in zone.pcp) <= zone.managed
            live = memory.zone(zone.name).buddy
            assert live is None or live.free_pages == zone.free
        seen.append(event.name)

    trace.listen(look)
    pages = [memory.alloc_pages(Gfp.GFP_KERNEL, order) for order in (0, 1, 2, 0, 3)]
    for page, order in zip(pages, (0, 1, 2, 0, 3), strict=True):
        memory.free_pages(page, order)
    memory.drain_pages()
    assert {"take", "split", "mm_page_alloc_zone_locked", "mm_page_alloc", "mm_page_free", "merge", "put"} <= set(seen)


# -- snapshots --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kernel", ["6.1", "6.18"])
def test_a_copy_goes_on_exactly_as_the_original(kernel):
    rng = random.Random(7)
    memory = PhysicalMemory("X86_64", "48MiB", nr_cpus=2, kernel=kernel)
    live = []

    def step(targets):
        order, cpu, gfp = rng.choice((0, 0, 0, 1, 2, 3, 5, 9)), rng.randrange(2), rng.choice(GFPS)
        if live and rng.random() < 0.5:
            pfn, order = live.pop(rng.randrange(len(live)))
            for target in targets:
                target.free_pages(pfn, order, cpu)
            return
        found = []
        for target in targets:
            try:
                found.append(target.alloc_pages(gfp, order, cpu).pfn)
            except OutOfMemory:
                found.append(None)
        assert len(set(found)) == 1
        if found[0] is not None:
            live.append((found[0], order))

    for _ in range(1500):
        step([memory])
    memory.mem_map[live[0][0]].get()
    copy = PhysicalMemory.from_snapshot(memory.snapshot())
    assert copy.snapshot() == memory.snapshot()
    for _ in range(1500):
        step([memory, copy])
    assert copy.snapshot() == memory.snapshot()
    memory.check()


GFPS = (Gfp.GFP_KERNEL, Gfp.GFP_HIGHUSER_MOVABLE, Gfp.GFP_KERNEL | Gfp.RECLAIMABLE, Gfp.GFP_ATOMIC)


def test_touched_pages_come_back_as_they_were():
    memory = toy()
    page, other = memory.alloc_pages(Gfp.GFP_HIGHUSER_MOVABLE), memory.alloc_pages(Gfp.GFP_KERNEL)
    page.set_anon(0x1000, 5)
    page.get()
    page.map()
    assert other.put()
    copy = PhysicalMemory.from_snapshot(memory.snapshot())
    back = copy.mem_map[page.pfn]
    assert (back.refcount, back.mapcount, back.is_anon, back.index) == (2, 0, True, 5)
    assert copy.mem_map[other.pfn].refcount == 0
    copy.free_pages(other.pfn)
    copy.check()


def test_a_small_snapshot_is_not_enough_to_go_on_from():
    memory = toy()
    small = memory.snapshot(frames=False)
    assert [zone.free for zone in small.zones] == [zone.free for zone in memory.snapshot().zones]
    with pytest.raises(ValueError, match="frames=True"):
        PhysicalMemory.from_snapshot(small)


def test_a_large_machine_has_a_small_small_snapshot():
    memory = PhysicalMemory("X86_64", "64GiB")
    assert sum(zone.managed_pages for zone in memory.zones) > 16_000_000
    assert all(zone.buddy is None for zone in memory.snapshot(frames=False).zones)
    assert memory.settings.min_free_kbytes == 3 * 22_528


# -- broken state -----------------------------------------------------------------------------------------------------


def test_check_finds_a_page_in_use_on_a_list():
    memory = toy(pcp=True)
    page = memory.alloc_pages(Gfp.GFP_KERNEL, 0)
    memory.free_pages(page)
    memory._keeper.mem_map[page.pfn].set_refcounted()
    with pytest.raises(InvariantError, match="holds a reference"):
        memory.check()


def test_check_finds_a_block_on_two_lists_and_a_wrong_count():
    memory = toy(pcp=True, nr_cpus=2)
    page = memory.alloc_pages(Gfp.GFP_KERNEL, 0)
    memory.free_pages(page)
    lists = memory.zone("Normal").pcp
    lists[1].give(page.pfn, 0, MigrateType.MOVABLE)
    with pytest.raises(InvariantError, match="two per-CPU lists"):
        memory.check()
    lists[1].take(0, MigrateType.MOVABLE)
    lists[0].count += 1
    with pytest.raises(InvariantError, match="counts"):
        memory.check()


def test_check_finds_a_wrong_free_count_and_a_list_of_blocks_not_taken():
    memory = toy(pcp=True)
    memory.zone("DMA").free_pages -= 1
    with pytest.raises(InvariantError, match="buddy lists hold 16"):
        memory.check()
    memory.zone("DMA").free_pages += 1
    memory.zone("DMA").pcp[0].give(3, 0, MigrateType.MOVABLE)
    with pytest.raises(InvariantError, match="was not taken"):
        memory.check()


# -- bad input --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        (("VAX",), ValueError, "unknown architecture 'VAX': choose one of X86"),
        (("X86_64", 0), ValueError, "needs RAM"),
        (("X86_64", "4 GiBB"), ValueError, "4 GiBB"),
        (("X86_64", "1 MiB"), ValueError, "too little RAM"),
        (("X86_64", "4GiB", 0), ValueError, "nodes"),
    ],
)
def test_machines_that_cannot_be(arguments, error, words):
    with pytest.raises(error, match=words):
        PhysicalMemory(*arguments)


@pytest.mark.parametrize(
    ("settings", "error", "words"),
    [
        ({"kernel": "5.10"}, ValueError, "not of '5.10'"),
        ({"nr_cpus": 0}, ValueError, "nr_cpus is 1 to"),
        ({"nr_cpus": "2"}, TypeError, "nr_cpus is a whole number"),
        ({"min_free_kbytes": -1}, ValueError, "min_free_kbytes"),
        ({"watermark_scale_factor": 3001}, ValueError, "1 to 3000, not 3001"),
        ({"lowmem_reserve_ratio": {"Highmem": 1}}, ValueError, "no zone Highmem"),
        ({"lowmem_reserve_ratio": [1, 2]}, ValueError, "5 numbers"),
        ({"lowmem_reserve_ratio": [1, 2, 3, -1, 0]}, ValueError, "5 numbers"),
        ({"distances": [[10, 20]]}, ValueError, "1 rows of 1"),
        ({"reserved": [(5, 5)]}, ValueError, "start below end"),
        ({"reserved": [(0, 1 << 30)]}, ValueError, "boot keeps all of it"),
        ({"min_fre_kbytes": 5}, TypeError, "min_fre_kbytes"),
    ],
)
def test_settings_that_cannot_be(settings, error, words):
    with pytest.raises(error, match=words):
        PhysicalMemory("X86_64", "64MiB", **settings)


@pytest.fixture(params=[True, False], ids=["pcp", "no-pcp"])
def busy(request):
    memory = PhysicalMemory("X86_64", "64MiB", pcp=request.param)
    page = memory.alloc_pages(Gfp.GFP_KERNEL, 2)
    gone = memory.alloc_pages(Gfp.GFP_HIGHUSER_MOVABLE)
    memory.free_pages(gone)
    return memory, page.pfn, gone.pfn


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda m, p, g: m.alloc_pages(Gfp.DMA | Gfp.HIGHMEM), ValueError, "__GFP_DMA with __GFP_HIGHMEM"),
        (lambda m, p, g: m.alloc_pages(Gfp.MOVABLE | Gfp.RECLAIMABLE), ValueError, "contradicts itself"),
        (lambda m, p, g: m.alloc_pages("GFP_KERNAL"), ValueError, "GFP_KERNAL"),
        (lambda m, p, g: m.alloc_pages(None), TypeError, "gfp flags"),
        (lambda m, p, g: m.alloc_pages([]), TypeError, "gfp flags"),
        (lambda m, p, g: m.alloc_pages(Gfp.GFP_KERNEL, -1), ValueError, "0 to 10, not -1"),
        (lambda m, p, g: m.alloc_pages(Gfp.GFP_KERNEL, 11), ValueError, "0 to 10, not 11"),
        (lambda m, p, g: m.alloc_pages(Gfp.GFP_KERNEL, 1.0), TypeError, "whole number"),
        (lambda m, p, g: m.alloc_pages(Gfp.GFP_KERNEL, 0, cpu=1), ValueError, "CPUs 0 to 0, not 1"),
        (lambda m, p, g: m.alloc_pages(Gfp.GFP_KERNEL, node=3), ValueError, "node 0, not 3"),
        (lambda m, p, g: m.walk("GFP_DMA|GFP_DMA32"), ValueError, "contradicts itself"),
        (lambda m, p, g: m.zonelist(1 << 30), ValueError, "does not know"),
        (lambda m, p, g: m.zone("HighMem"), ValueError, "no zone 'HighMem'"),
        (lambda m, p, g: m.zone("DMA", 7), ValueError, "not 7"),
        (lambda m, p, g: m.free_pages(p, 1), BadFree, "order 2, not 1"),
        (lambda m, p, g: m.free_pages(p, 3), BadFree, "order 2, not 3"),
        (lambda m, p, g: m.free_pages(p, 11), ValueError, "0 to 10, not 11"),
        (lambda m, p, g: m.free_pages(p + 1, 0), BadFree, "inside the allocated block of order 2"),
        (lambda m, p, g: m.free_pages(g), BadFree, "already free|inside the free block"),
        (lambda m, p, g: m.free_pages(m.mem_map[g]), BadFree, "already free|inside the free block"),
        (lambda m, p, g: m.free_pages(1 << 40), BadFree, "in no zone"),
        (lambda m, p, g: m.free_pages(-1), BadFree, "in no zone"),
        (lambda m, p, g: m.free_pages(0x9F), BadFree, "in no zone"),
        (lambda m, p, g: m.free_pages(0x50), BadFree, "kept back at boot"),
        (lambda m, p, g: m.free_pages("page"), TypeError, "'page'"),
        (lambda m, p, g: m.free_pages(p, 2, cpu=-1), ValueError, "CPUs 0 to 0"),
        (lambda m, p, g: m.drain_pages(5), ValueError, "CPUs 0 to 0, not 5"),
    ],
)
def test_a_bad_call_is_refused_in_words_and_changes_nothing(busy, call, error, words):
    memory, page, gone = busy
    before = memory.snapshot()
    with pytest.raises(error, match=words):
        call(memory, page, gone)
    assert memory.snapshot() == before
    memory.free_pages(page, 2)
    memory.check()
