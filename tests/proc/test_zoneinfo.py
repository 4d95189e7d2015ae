"""What the parsed zoneinfo holds, and the layouts of the releases."""

from __future__ import annotations

import random

import pytest
from formats import DATA, kernel_of, recorded

from mmkit.model.snapshot import MODEL, MemorySnapshot, PcpSnapshot, ZoneSnapshot
from mmkit.proc import buddyinfo, zoneinfo
from mmkit.proc.zoneinfo_layout import as_written_by, counters, release
from mmkit.record import replace


def read(name: str) -> MemorySnapshot:
    return zoneinfo.parse((DATA / name / "zoneinfo").read_text())


def test_values():
    dma, dma32, normal, movable, device = read("host-6.18").zones
    assert (dma.node, dma.name, dma.start_pfn, dma.spanned, dma.present, dma.managed) == (0, "DMA", 1, 4095, 3998, 3840)
    assert (normal.min, normal.low, normal.high, normal.promo, normal.boost) == (13831, 17337, 20843, 24349, 0)
    assert normal.free == 1171682
    assert dma.protection == (0, 3019, 16715, 16715, 16715)
    assert normal.pcp[1] == PcpSnapshot(1, 12731, 41467, 63, 8668, 219136)
    assert normal.vm_stats_thresholds == (32, 32)
    assert dict(dma.node_stats)["nr_anon_pages"] == 621204
    assert not dma32.node_stats
    assert dict(dma32.stats)["numa_hit"] == 13
    assert (movable.min, movable.present, movable.pcp, movable.stats) == (32, 0, (), ())
    assert (device.name, device.start_pfn, device.end_pfn) == ("Device", 0, 0)


def test_lines_that_a_kernel_does_not_write_are_none():
    old, new = read("amd64-4g").zones[1], read("trace-frag-6.12").zones[1]
    assert (old.boost, old.cma, old.promo, old.pcp[0].high_min, old.reserved_highatomic) == (0, 0, None, None, None)
    assert (new.boost, new.cma, new.promo, new.pcp[0].high_min, new.reserved_highatomic) == (0, 0, 759, None, None)


def test_every_combination_of_optional_lines_comes_back():
    memory = read("host-6.18")
    rng = random.Random(1)
    for _ in range(40):
        changed = [replace(zone, **some_lines(rng, zone)) for zone in memory.zones]
        text = zoneinfo.format(replace(memory, zones=tuple(changed)))
        assert zoneinfo.parse(text).zones == tuple(changed)


def some_lines(rng: random.Random, zone: ZoneSnapshot) -> dict[str, object]:
    values = {name: rng.choice([None, rng.randrange(100)]) for name in ("boost", "promo", "cma")}
    if zone.present:
        values |= {name: rng.choice([None, 7]) for name in ("reserved_highatomic", "free_highatomic")}
        values["vm_stats_thresholds"] = rng.choice([(), zone.vm_stats_thresholds])
        if rng.random() < 0.5:
            values["pcp"] = tuple(replace(pcp, high_min=None, high_max=None) for pcp in zone.pcp)
    return values


def arch_of(path) -> str:
    return "X86" if "i386" in str(path) else "X86_64"


def test_the_tables_of_a_release_say_what_its_recordings_hold():
    for path in recorded("zoneinfo"):
        memory = replace(zoneinfo.parse(path.read_text()), arch=arch_of(path))
        assert zoneinfo.format(memory, kernel=kernel_of(path)) == path.read_text(), path


def test_values_that_a_model_leaves_out_follow_from_the_others():
    # What stands in a recording, stripped to what a model knows, comes back in full where it is determined.
    for path in recorded("zoneinfo"):
        memory = replace(zoneinfo.parse(path.read_text()), arch=arch_of(path))
        bare = [replace(zone, stats=(), node_stats=(), vm_stats_thresholds=(), promo=None) for zone in memory.zones]
        filled = as_written_by(replace(memory, zones=tuple(bare)), kernel_of(path))
        for zone, original in zip(filled.zones, memory.zones, strict=True):
            assert zone.vm_stats_thresholds == original.vm_stats_thresholds
            assert zone.promo == original.promo
            assert [name for name, _ in zone.node_stats] == [name for name, _ in original.node_stats]
            assert [name for name, _ in zone.stats] == [name for name, _ in original.stats]
            assert dict(zone.stats).get("nr_free_pages") == dict(original.stats).get("nr_free_pages")


def layout(text: str) -> list[str]:
    """``text`` without its numbers: names, order and columns."""
    return ["".join("N" if char.isdigit() else char for char in row).rstrip("N") for row in text.splitlines()]


def model(kernel: str = "6.18") -> MemorySnapshot:
    memory = read("host-6.18")
    zones = (replace(zone, stats=(), node_stats=(), vm_stats_thresholds=(), promo=None) for zone in memory.zones)
    return MemorySnapshot(MODEL, tuple(zones), arch="X86_64", kernel=kernel)


def test_a_model_writes_itself_as_its_kernel_does():
    assert layout(zoneinfo.format(model())) == layout((DATA / "host-6.18/zoneinfo").read_text())
    old = zoneinfo.format(model(kernel="6.1"))
    assert [row for row in ("promo ", "high_min:", "nr_iommu_pages", "nr_free_pages_blocks") if f" {row}" in old] == []
    assert "\n              high:  46242\n" in old
    assert zoneinfo.format(zoneinfo.parse(old)) == old
    assert zoneinfo.format(model(), kernel="6.1.0-50-amd64") == old


def test_32_bit_kernels_count_no_numa_events():
    text = zoneinfo.format(replace(model(), arch="X86_PAE"))
    assert "numa_" not in text
    assert "pgpromote_" not in text
    assert "nr_hugetlb" in text


def test_layouts_of_releases_between_and_after_the_recorded_ones():
    assert " cma " not in zoneinfo.format(model(), kernel="5.10")
    assert " boost " not in zoneinfo.format(model(), kernel="5.15")
    assert " promo " not in zoneinfo.format(model(), kernel="6.11")
    assert "high_min" not in zoneinfo.format(model(), kernel="6.13")
    assert "high_min: 9\n" in zoneinfo.format(model(), kernel="6.14")
    assert "  reserved_highatomic: 0\n  free_highatomic:     0\n" in zoneinfo.format(model(), kernel="7.0")
    assert counters("6.1")[0][-1] == "pgpromote_candidate"


@pytest.mark.parametrize("kernel", ["6", "six", "", 6.18, None, "6.1234"])
def test_a_kernel_that_is_no_release(kernel):
    with pytest.raises(ValueError, match="is not a kernel release: write it as '6"):
        release(kernel)


def test_free_blocks_of_whole_pageblocks():
    # nr_free_pages_blocks of 6.18 is what the largest orders of buddyinfo hold.
    joined = buddyinfo.with_counts(read("host-6.18"), buddyinfo.parse((DATA / "host-6.18/buddyinfo").read_text()))
    for zone in joined.zones[:2]:
        assert dict(zone.stats)["nr_free_pages_blocks"] == sum(zone.counts[order] << order for order in (9, 10))
