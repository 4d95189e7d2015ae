"""A model of memory writes itself as the kernel would: same lines, same names, same order."""

from __future__ import annotations

import random
import re

import pytest
from formats import DATA, FORMATS

from mmkit.data import recording, recordings
from mmkit.errors import OutOfMemory
from mmkit.model.memory import PhysicalMemory
from mmkit.model.snapshot import MemorySnapshot
from mmkit.proc import buddyinfo, pagetypeinfo, zoneinfo
from mmkit.record import replace

ARCHES = {
    "X86": "2GiB",
    "X86_PAE": "6GiB",
    "X86_64": "4GiB",
    "X86_64_LA57": "1GiB",
    "ARM64": "4GiB",
    "TOY": "256 pages",
}


def used(arch: str, ram: str, seed: int = 1, **settings: object) -> PhysicalMemory:
    """A memory in the middle of its life."""
    rng = random.Random(seed)
    memory = PhysicalMemory(arch, ram, **settings)
    held = []
    for _ in range(300):
        try:
            order = rng.choice([0, 0, 0, 1, 2, 3])
            held.append(
                (memory.alloc_pages(rng.choice(["GFP_KERNEL", "GFP_HIGHUSER_MOVABLE", "GFP_DMA"]), order), order)
            )
        except OutOfMemory:
            break
    for page, order in rng.sample(held, len(held) // 2):
        memory.free_pages(page, order)
    return memory


@pytest.mark.parametrize("kernel", ["6.1", "6.18"])
@pytest.mark.parametrize("arch", ARCHES)
def test_what_a_model_writes_can_be_read(arch, kernel):
    memory = used(arch, ARCHES[arch], kernel=kernel).snapshot()
    assert memory.kernel == kernel
    for module in FORMATS.values():
        text = module.format(memory)
        assert module.format(module.parse(text)) == text
    check_same(zoneinfo.parse(zoneinfo.format(memory)), memory)
    counts = {(zone.node, zone.name): zone.buddy.counts for zone in memory.zones if zone.buddy}
    rows = buddyinfo.parse(buddyinfo.format(memory)).zones
    assert {(row.node, row.zone): row.counts for row in rows} == counts
    types = pagetypeinfo.parse(pagetypeinfo.format(memory))
    assert [tuple(map(sum, zip(*zone.free, strict=True))) for zone in types.zones] == [*counts.values()]


def check_same(parsed: MemorySnapshot, memory: MemorySnapshot) -> None:
    """All that the text holds is what the model knows."""
    for found, zone in zip(parsed.zones, memory.zones, strict=True):
        for name in ("node", "name", "spanned", "present", "managed", "free", "min", "low", "high", "protection"):
            assert getattr(found, name) == getattr(zone, name)
        if zone.present:
            assert found.start_pfn == zone.start_pfn
            assert [(pcp.cpu, pcp.count, pcp.high, pcp.batch) for pcp in found.pcp] == [
                (pcp.cpu, pcp.count, pcp.high, pcp.batch) for pcp in zone.pcp
            ]


def layout(text: str) -> list[str]:
    """``text`` without its numbers and the CPUs after the first: names, order and columns."""
    text = re.sub(
        r"    cpu: [1-9](\n +(count|high|batch|high_min|high_max): +\d+)+\n  vm stats threshold: \d+\n", "", text
    )
    return [re.sub(r"\d+$|\([\d, ]+\)$", "", row) for row in text.splitlines()]


@pytest.mark.parametrize(
    ("name", "arch", "kernel"),
    [
        ("host-6.18", "X86_64", "6.18"),
        ("amd64-4g", "X86_64", "6.1"),
        ("arm64-4g", "ARM64", "6.1"),
        ("i386-686-2g", "X86", "6.1"),
        ("i386-pae-6g", "X86_PAE", "6.1"),
    ],
)
def test_lines_names_and_order_are_the_kernels(name, arch, kernel):
    ram = "24GiB" if name == "host-6.18" else ARCHES[arch]
    model = layout(zoneinfo.format(used(arch, ram, kernel=kernel).snapshot()))
    assert model == layout((DATA / name / "zoneinfo").read_text())


def test_free_blocks_and_their_types_are_written_as_the_kernel_does():
    memory = used("X86_64", "24GiB").snapshot()
    for module in (buddyinfo, pagetypeinfo):
        kind = module.__name__.rsplit(".")[-1]
        model = [re.sub(r" +\d+(?= )", " N", row) for row in module.format(memory).splitlines()]
        assert model == [re.sub(r" +\d+(?= )", " N", row) for row in recording("host-6.18").text(kind).splitlines()]


def test_counters_that_follow_from_others_are_right():
    for zone in zoneinfo.parse(zoneinfo.format(used("X86_64", "4GiB").snapshot())).zones:
        if zone.present:
            assert dict(zone.stats)["nr_free_pages"] == zone.free
            assert 0 < dict(zone.stats)["nr_free_pages_blocks"] <= zone.free


def machine_of(name: str) -> PhysicalMemory:
    """The recorded machine, from its map of physical memory."""
    prefixes = {"amd64": "X86_64", "host": "X86_64", "arm64": "ARM64", "i386-686": "X86", "i386-pae": "X86_PAE"}
    arch = next(arch for prefix, arch in prefixes.items() if name.startswith(prefix))
    ranges: list[tuple[int, ...]] = [*recording(name).ram]
    nodes = 2 if "numa2" in name else 1
    if nodes == 2:
        border = 2 << 30
        ranges = [(start, min(end, border), 0) for start, end in ranges if start < border] + [
            (max(start, border), end, 1) for start, end in ranges if end > border
        ]
    movable = "512MiB" if "movablecore" in name else 0
    return PhysicalMemory(arch, sum(each[1] - each[0] for each in ranges), nodes, movable, memory_map=ranges)


# host-6.18 sets up its struct pages when they are first needed, so it counts the blocks of those alone.
MAPPED = [name for name in recordings() if "iomem" in recording(name).files and not name.startswith("host")]


@pytest.mark.parametrize("name", MAPPED)
def test_as_many_pageblocks_as_the_recorded_kernel_counts(name):
    model = pagetypeinfo.from_model(machine_of(name).snapshot())
    kernel = recording(name).pagetypeinfo
    assert model.pageblock_order == kernel.pageblock_order
    assert [(zone.node, zone.zone, sum(zone.blocks)) for zone in model.zones] == [
        (zone.node, zone.zone, sum(zone.blocks)) for zone in kernel.zones
    ]


def test_without_per_cpu_lists():
    memory = PhysicalMemory("X86_64", "1GiB", pcp=False).snapshot()
    text = zoneinfo.format(memory)
    assert "cpu:" not in text
    assert zoneinfo.format(zoneinfo.parse(text)) == text


def test_what_a_model_says_of_its_counters_is_kept():
    memory = PhysicalMemory("X86_64", "1GiB").snapshot()
    zones = [replace(zone, stats=(("nr_mlock", 7),), node_stats=(("nr_mapped", 9),)) for zone in memory.zones]
    text = zoneinfo.format(replace(memory, zones=tuple(zones)))
    assert text.count("      nr_mlock     7\n") == 2
    assert text.count("      nr_mapped    9\n") == 1
