"""Zone bounds of every recorded machine, from its firmware's memory map and from its amount of RAM alone."""

import pytest

from mmkit.model.layout import boot_reserved, lay_out, subtract
from tests.model.zonefiles import DATA, NAMES, arch_of, firmware_map, qemu_machine, read_zones


def recorded_bounds(name):
    zones = read_zones((DATA / name / "zoneinfo").read_text())
    return [(z["node"], z["name"], z["start_pfn"], z["spanned"], z["present"]) for z in zones]


def model_bounds(layout):
    return [(z.node, z.name, z.start_pfn, z.spanned, z.present) for z in layout.zones]


def test_all_recordings_are_here():
    state = {"amd64-4g", "amd64-movablecore", "amd64-numa2", "amd64-slubdebug", "arm64-4g", "host-6.18"}
    assert state | {"i386-686-2g", "i386-pae-6g", "trace-buddy-6.1", "trace-fallback-6.1"} <= set(NAMES)


@pytest.mark.parametrize("name", [name for name in NAMES if firmware_map(name)])
def test_bounds_follow_from_the_firmwares_memory_map(name):
    movable = (qemu_machine(name) or {"movable": 0})["movable"]
    layout = lay_out(arch_of(name), movable=movable, memory_map=firmware_map(name))
    assert model_bounds(layout) == recorded_bounds(name)


@pytest.mark.parametrize("name", [name for name in NAMES if qemu_machine(name)])
def test_bounds_follow_from_the_amount_of_ram(name):
    layout = lay_out(arch_of(name), **qemu_machine(name))
    assert model_bounds(layout) == recorded_bounds(name)


@pytest.mark.parametrize("name", NAMES)
def test_a_real_kernel_keeps_at_least_what_the_model_keeps(name):
    machine = {"memory_map": firmware_map(name)} if firmware_map(name) else qemu_machine(name)
    layout = lay_out(arch_of(name), **machine)
    kept = boot_reserved(layout)
    for zone, recorded in zip(layout.zones, read_zones((DATA / name / "zoneinfo").read_text()), strict=True):
        managed = sum(end - start for start, end in subtract(zone.ranges, kept))
        assert recorded["managed"] <= managed <= zone.present or "movablecore" in name
        if zone.name == "DMA" and arch_of(name).firmware == "pc":
            assert recorded["managed"] == managed


def test_the_struct_page_array_comes_out_of_the_movable_zone_when_that_is_on_top():
    zones = {z["name"]: z for z in read_zones((DATA / "amd64-movablecore" / "zoneinfo").read_text())}
    layout = lay_out(arch_of("amd64-movablecore"), **qemu_machine("amd64-movablecore"))
    start, end = boot_reserved(layout)[-1]
    assert end == zones["Movable"]["start_pfn"] + zones["Movable"]["spanned"]
    assert zones["Normal"]["managed"] == zones["Normal"]["present"]
    assert 0 < end - start <= zones["Movable"]["present"] - zones["Movable"]["managed"]
