"""The zone lab, operated without a browser."""

from __future__ import annotations

import pytest

from mmkit.arch import PRESETS
from mmkit.lab.bench import Bench, Plan
from mmkit.lab.zone import ZoneLab
from mmkit.model.gfp import Gfp
from mmkit.model.memory import PhysicalMemory


@pytest.fixture
def lab() -> ZoneLab:
    return ZoneLab(ram="1GiB")


def state(lab):
    return lab.timeline.current.snapshot


def free(lab):
    return {zone.name: zone.free for zone in state(lab).memory.zones if zone.managed}


def test_it_starts(lab, checks):
    checks.consistent(lab)
    checks.named(lab)
    assert "1 GiB of RAM" in lab.message
    assert state(lab).memory == PhysicalMemory("X86_64", "1GiB").snapshot(frames=False)


def test_any_machine(lab, checks):
    for name in PRESETS:
        lab.arch_menu.value = name
        if name == "TOY":
            assert lab.order_number.box.max == 4
        assert state(lab).memory.arch == name
        checks.consistent(lab)


def test_every_way_to_say_how_much_ram(lab, checks):
    lab.ram_slider.value = "2 GiB"
    assert lab.ram_box.value == "2 GiB"
    assert sum(zone.present for zone in state(lab).memory.zones) > 500_000
    lab.ram_box.value = "3G"
    assert (lab.ram_box.value, lab.ram_slider.value) == ("3 GiB", "2 GiB")
    lab.build(ram="700 MiB", arch="X86")
    assert (lab.ram_box.value, lab.ram_slider.value, lab.arch_menu.value) == ("700 MiB", "512 MiB", "X86")
    checks.consistent(lab)


def test_nodes_and_movable(lab, checks):
    lab.nodes_box.value = 2
    assert {zone.node for zone in state(lab).memory.zones} == {0, 1}
    lab.movable_box.value = "256M"
    assert any(zone.name == "Movable" and zone.managed for zone in state(lab).memory.zones)
    assert "2 nodes, 256M of it movable" in lab.message
    checks.consistent(lab)


def test_machines_tried_in_a_row_are_one_operation(lab):
    for size in ("2 GiB", "4 GiB", "8 GiB"):
        lab.ram_slider.value = size
    assert len(lab.timeline) == 2
    assert "replaces" not in lab.message
    lab.undo()
    assert lab.ram_box.value == "1 GiB"
    lab.redo()
    lab.alloc()
    lab.ram_slider.value = "4 GiB"
    assert len(lab.timeline) == 4
    lab.undo()
    assert lab.ram_box.value == "8 GiB"


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("ram", "4 GiBB", "'4 GiBB'"),
        ("ram", "0", "0"),
        ("ram", "", "''"),
        ("movable", "lots", "'lots'"),
        ("arch", "PDP11", "'PDP11'"),
        ("nodes", 0, "0"),
    ],
)
def test_machines_that_cannot_be(lab, checks, name, value, words):
    lab.alloc()
    checks.refuses(lab, words, do=lambda: lab.build(**{name: value}))
    assert (lab.ram_box.value, lab.movable_box.value, lab.arch_menu.value) == ("1 GiB", "0", "X86_64")


def test_what_is_typed_wrong_is_refused(lab, checks):
    def type_it():
        lab.ram_box.value = "4 GiBB"

    checks.refuses(lab, "'4 GiBB'", do=type_it)
    assert lab.ram_box.value == "1 GiB"


def test_a_request_takes_the_way_that_the_model_says(lab, checks):
    lab.gfp_menu.value = "GFP_HIGHUSER_MOVABLE"
    lab.order_number.slider.value = 3
    twin = PhysicalMemory("X86_64", "1GiB")
    walk = twin.alloc_walk(Gfp.GFP_HIGHUSER_MOVABLE, 3)
    lab.alloc_button.click()
    assert state(lab).walk == walk
    assert state(lab).held == ((walk.pfn, 3),)
    assert f"served by {walk.tries[-1].zone} at {walk.pfn:#x}" in lab.message
    checks.consistent(lab)


def test_flags_add_to_the_mask(lab, checks):
    lab.flag_toggles["DMA"].value = True
    assert lab.gfp == Gfp.GFP_KERNEL | Gfp.DMA
    lab.look_button.click()
    assert "served by DMA" in lab.message
    assert not state(lab).held
    lab.flag_toggles["HIGHMEM"].value = True
    checks.refuses(lab, "contradicts itself", do=lab.alloc_button.click)
    checks.refuses(lab, "contradicts itself", do=lab.until_button.click)
    checks.refuses(lab, "contradicts itself", do=lab.look_button.click)


def test_until_the_watermarks_bite_and_back(lab, checks):
    start = free(lab)
    lab.order_number.box.value = 9
    lab.until_button.click()
    assert "served by DMA " in lab.message
    assert "low mark" in lab.message
    while state(lab).walk.pfn is not None:
        lab.until_button.click()
    assert "refused by every zone" in lab.message
    kept = {zone.name: zone.min for zone in state(lab).memory.zones if zone.managed}
    assert all(0 < kept[name] < free(lab)[name] < start[name] for name in kept)
    checks.consistent(lab)
    lab.model.memory.check()
    lab.free_all_button.click()
    lab.model.memory.drain_pages()
    assert {z.name: z.free_pages for z in lab.model.memory.zones if z.managed_pages} == start
    checks.consistent(lab)


def test_what_waits_on_per_cpu_lists_is_told(lab, checks):
    start = free(lab)
    lab.alloc(order=0)
    assert f"{start['DMA32'] - free(lab)['DMA32'] - 1} pages wait on per-CPU lists (DMA32)." in lab.message
    lab.free_all()
    waiting = start["DMA32"] - free(lab)["DMA32"]
    assert waiting > 1
    assert lab.message == f"2. Free all: 1 block given back. {waiting} pages wait on per-CPU lists (DMA32)."
    checks.consistent(lab)
    lab.undo()
    assert f"{waiting - 1} pages wait" in lab.message
    lab.redo()
    lab.drain_button.click()
    assert lab.message == f"3. Drain the per-CPU lists: {waiting} pages given back to the zones."
    assert free(lab) == start
    checks.consistent(lab)
    checks.refuses(lab, "no page waits on a per-CPU list", do=lab.drain)


def test_what_waits_is_told_zone_by_zone():
    lab = ZoneLab(ram="8GiB")
    lab.alloc("GFP_KERNEL", order=0)
    lab.alloc("GFP_DMA32", order=0)
    assert lab.message.endswith("124 pages wait on per-CPU lists (62 of DMA32, 62 of Normal).")
    lab.build(nodes=2)
    assert "per-CPU" not in lab.message
    lab.alloc(order=0)
    assert lab.message.endswith("62 pages wait on per-CPU lists (Normal of node 0).")


def test_blocks_by_number(lab, checks):
    lab.count_box.value = 7
    lab.alloc_button.click()
    assert len(state(lab).held) == 7
    assert "7 of 7 blocks taken" in lab.message
    lab.count_box.value = 3
    held = state(lab).held
    lab.free_button.click()
    assert state(lab).held == held[:4]
    checks.refuses(lab, "4 blocks are taken", do=lambda: lab.free(5))
    lab.free_all()
    checks.refuses(lab, "nothing is taken", do=lab.free_all_button.click)
    checks.refuses(lab, "nothing is taken", do=lab.free_button.click)


@pytest.mark.parametrize(("order", "count"), [(11, 1), (-1, 1), (0, 0), (0, 20_001), ("x", 1), (0, "x"), (0, 2.5)])
def test_requests_that_cannot_be(lab, checks, order, count):
    checks.refuses(lab, do=lambda: lab.alloc(order=order, count=count))


@pytest.mark.parametrize("gfp", ["GFP_NONSENSE", 1 << 40, "DMA"])
def test_masks_that_cannot_be(lab, checks, gfp):
    checks.refuses(lab, do=lambda: lab.alloc(gfp))


def test_acting_in_the_past(lab, checks):
    lab.alloc(order=2, count=3), lab.alloc(order=5, count=2), lab.free(1)
    lab.undo(), lab.undo()
    lab.alloc(order=0)
    twin = PhysicalMemory("X86_64", "1GiB")
    for order in (2, 2, 2, 0):
        twin.alloc_pages(Gfp.GFP_KERNEL, order)
    assert state(lab).memory == twin.snapshot()
    assert "replaces 2 undone operations" in lab.message
    checks.consistent(lab)


def test_going_on_from_the_start_is_as_fresh(lab):
    lab.alloc(order=4)
    lab.first()
    lab.alloc(order=4)
    twin = PhysicalMemory("X86_64", "1GiB")
    twin.alloc_pages(Gfp.GFP_KERNEL, 4)
    assert state(lab).memory == twin.snapshot()


def test_a_bench_goes_on_where_it_was():
    """After everything was given back the lists are in another order than at boot."""
    bench = Bench(plan=Plan(ram="64 MiB"))
    for order in (0, 3, 0, 9):
        bench.alloc(Gfp.GFP_KERNEL, order)
    bench.free()
    again = Bench(bench.snapshot())
    for one in (bench, again):
        one.alloc(Gfp.GFP_KERNEL, 1, 5)
    assert bench.snapshot() == again.snapshot()


def test_every_picture(lab, checks):
    seen = set()
    lab.alloc(order=3)
    for picture in ("zones", "watermarks", "walk"):
        lab.picture_menu.value = picture
        checks.consistent(lab)
        seen.add(lab.picture.alt)
        before = lab.picture.alt
        lab.alloc(order=9, count=20)
        assert lab.picture.alt != before
    assert len(seen) == 3
    lab.first()
    checks.consistent(lab)
    assert "zones of X86_64" in lab.picture.alt
    assert "Watermarks" in ZoneLab(ram="64MiB", picture="watermarks").picture.alt


def test_a_machine_that_never_was_is_refused_at_once():
    with pytest.raises(ValueError, match="unknown architecture 'Z80'"):
        ZoneLab("Z80")
    with pytest.raises(ValueError, match="not a size"):
        ZoneLab(ram="much")
