"""Boot: from a layout and settings to zones with their free lists filled.

Models: free_area_init(), memblock_free_all(), init_per_zone_wmark_min(), setup_zone_pageset() of mm/ (Linux 6.18).
Leaves out: what a real kernel keeps for its own image, hash tables and drivers, since that depends on its build.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from mmkit.arch import Arch
from mmkit.model.buddy import BuddyAllocator
from mmkit.model.layout import Layout, Range, ZoneSpan, boot_reserved, joined, subtract
from mmkit.model.pcp import PerCpuLists, make_tuning
from mmkit.model.snapshot import MemorySettings
from mmkit.model.trace import Trace
from mmkit.model.watermark import (
    LOWMEM_RESERVE_RATIO,
    WATERMARK_SCALE_FACTOR,
    ZoneSize,
    default_min_free_kbytes,
    protections,
    watermarks,
)  # fmt: skip
from mmkit.model.zone import Zone
from mmkit.model.zonelist import check_distances

KERNELS = ("6.18", "6.1")


def check_kernel(kernel: str) -> str:
    """Return ``kernel`` if its rules are known. Raises ValueError otherwise."""
    if kernel not in KERNELS:
        raise ValueError(f"rules of Linux {' and '.join(KERNELS)} are known, not of {kernel!r}")
    return kernel


def check_reserved(layout: Layout, reserved: Iterable[Range] | None) -> tuple[Range, ...]:
    """Return the pfns that boot keeps back: what ``reserved`` says or, with None, the least that a kernel keeps.

    Raises ValueError for ranges that are none.
    """
    if reserved is None:
        return boot_reserved(layout)
    ranges = [tuple(entry) for entry in reserved]
    for entry in ranges:
        if len(entry) != 2 or not 0 <= entry[0] < entry[1]:
            raise ValueError(f"reserved pfns are ranges (start, end) with start below end, not {entry!r}")
    return joined((start, end) for start, end in ranges)


def check_ratios(arch: Arch, ratios: Mapping[str, int] | Sequence[int] | None) -> tuple[int, ...]:
    """Return ``vm.lowmem_reserve_ratio`` by zone index, from a mapping by zone name or a sequence by index.

    Raises ValueError for zones that are none and ratios below 0.
    """
    if ratios is None or isinstance(ratios, Mapping):
        named = {**LOWMEM_RESERVE_RATIO, **(ratios or {})}
        unknown = set(ratios or ()) - set(arch.zone_names)
        if unknown:
            raise ValueError(f"{arch.name} has no zone {', '.join(sorted(unknown))}, only {', '.join(arch.zone_names)}")
        ratios = [named.get(name, 0) for name in arch.zone_names]
    whole = all(isinstance(ratio, int) and not isinstance(ratio, bool) and ratio >= 0 for ratio in ratios)
    if len(ratios) != len(arch.zones) or not whole:
        raise ValueError(f"lowmem_reserve_ratio is {len(arch.zones)} numbers from 0 up, one a zone, not {ratios!r}")
    return tuple(ratios)


def check_settings(
    layout: Layout,
    reserved: tuple[Range, ...],
    kernel: str,
    *,
    pcp: bool = True,
    nr_cpus: int = 1,
    thp: bool = True,
    watermark_scale_factor: int = WATERMARK_SCALE_FACTOR,
    lowmem_reserve_ratio: Mapping[str, int] | Sequence[int] | None = None,
    min_free_kbytes: int | None = None,
    percpu_pagelist_high_fraction: int = 0,
    distances: Sequence[Sequence[int]] | None = None,
) -> MemorySettings:
    """Return the settings, with those left open as the kernel chooses them.

    Raises ValueError or TypeError, with the value, for what the kernel would not take.
    """
    _check_int("nr_cpus", nr_cpus, 1, 8192)
    _check_int("watermark_scale_factor", watermark_scale_factor, 1, 3000)
    _check_int("percpu_pagelist_high_fraction", percpu_pagelist_high_fraction, 0, 1 << 31)
    if min_free_kbytes is None:
        arch, sizes = layout.arch, zone_sizes(layout, reserved)
        min_free_kbytes = default_min_free_kbytes(sizes, thp, arch.pageblock_order, kernel, arch.page_size)
    _check_int("min_free_kbytes", min_free_kbytes, 0, 1 << 40)
    return MemorySettings(
        nr_cpus, bool(pcp), bool(thp), min_free_kbytes, watermark_scale_factor,
        check_ratios(layout.arch, lowmem_reserve_ratio), percpu_pagelist_high_fraction,
        check_distances(distances, len(layout.nodes)),
    )  # fmt: skip


def _check_int(name: str, value: int, lowest: int, highest: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name} is a whole number, not {value!r}")
    if not lowest <= value <= highest:
        raise ValueError(f"{name} is {lowest} to {highest}, not {value}")


def zone_sizes(layout: Layout, reserved: tuple[Range, ...]) -> list[ZoneSize]:
    """Return name and managed pages of every zone."""
    return [
        ZoneSize(span.node, span.name, sum(end - start for start, end in subtract(span.ranges, reserved)))
        for span in layout.zones
    ]


def node_of_cpu(cpu: int, nr_cpus: int, nr_nodes: int) -> int:
    """Return which node, counted from 0, a CPU is near to: the CPUs are dealt out evenly, in order."""
    return cpu * nr_nodes // nr_cpus


def make_zones(
    layout: Layout, reserved: tuple[Range, ...], kernel: str, settings: MemorySettings, trace: Trace | None
) -> list[Zone]:
    """Return all zones, node by node in ascending order, with all their memory free."""
    sizes = zone_sizes(layout, reserved)
    marks = watermarks(sizes, settings.min_free_kbytes, settings.watermark_scale_factor, kernel, layout.arch.page_size)
    rows: list[tuple[int, ...]] = []
    for ram in layout.nodes:
        managed = [size.managed for size in sizes if size.node == ram.node]
        rows += protections(managed, settings.lowmem_reserve_ratio)
    per_node = len(layout.arch.zones)
    zones = []
    for number, (span, size) in enumerate(zip(layout.zones, sizes, strict=True)):
        kept = subtract(span.ranges, subtract(span.ranges, reserved))
        buddy = _make_buddy(layout.arch, span, kept, kernel, trace) if size.managed else None
        cpus = _cpus_near(layout, span.node, settings.nr_cpus)
        pcp = _make_pcp(layout.arch, settings, kernel, size.managed, marks[number].low, cpus) if buddy else []
        zones.append(Zone(span, number % per_node, marks[number], rows[number], kept, buddy, pcp, kernel, trace))
    return zones


def _cpus_near(layout: Layout, node: int, nr_cpus: int) -> int:
    """Return how many CPUs share the zone's pages: those of its node or, if it has none, all."""
    nodes = [ram.node for ram in layout.nodes]
    near = sum(nodes[node_of_cpu(cpu, nr_cpus, len(nodes))] == node for cpu in range(nr_cpus))
    return near or nr_cpus


def _make_buddy(
    arch: Arch, span: ZoneSpan, kept: tuple[Range, ...], kernel: str, trace: Trace | None
) -> BuddyAllocator:
    return BuddyAllocator(
        span.spanned, span.start_pfn, arch.max_order, trace, pageblock_order=arch.pageblock_order,
        holes=joined(span.holes + kept), zone=span.name, node=span.node, kernel=kernel, announce=False,
    )  # fmt: skip


def _make_pcp(
    arch: Arch, settings: MemorySettings, kernel: str, managed: int, low: int, cpus_near: int
) -> list[PerCpuLists]:
    if not settings.pcp:
        return []
    fraction, huge_order = settings.percpu_pagelist_high_fraction, arch.pageblock_order if settings.thp else None
    return [
        PerCpuLists(cpu, make_tuning(kernel, managed, low, cpus_near, fraction, arch.page_size), huge_order)
        for cpu in range(settings.nr_cpus)
    ]
