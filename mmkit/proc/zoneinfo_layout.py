"""Which lines and counters each kernel release writes to ``/proc/zoneinfo``.

Models: enum node_stat_item, zone_stat_item, numa_stat_item of include/linux/mmzone.h and vmstat_text[] of mm/vmstat.c,
as the recorded kernels 6.1, 6.12 and 6.18 were built. Leaves out: what depends on other build options.
"""

from __future__ import annotations

import re

from mmkit.arch import get_arch
from mmkit.model.snapshot import MemorySnapshot, PcpSnapshot, ZoneSnapshot
from mmkit.record import replace

Release = tuple[int, int]

# "name>=6.12": since that release; "name<6.18": before it. Between recordings the release is the first recorded one.
_NODE = """
nr_inactive_anon nr_active_anon nr_inactive_file nr_active_file nr_unevictable nr_slab_reclaimable nr_slab_unreclaimable
nr_isolated_anon nr_isolated_file workingset_nodes workingset_refault_anon workingset_refault_file
workingset_activate_anon workingset_activate_file workingset_restore_anon workingset_restore_file
workingset_nodereclaim nr_anon_pages nr_mapped nr_file_pages nr_dirty nr_writeback nr_writeback_temp<6.18 nr_shmem
nr_shmem_hugepages nr_shmem_pmdmapped nr_file_hugepages nr_file_pmdmapped nr_anon_transparent_hugepages
nr_vmscan_write nr_vmscan_immediate_reclaim nr_dirtied nr_written nr_throttled_written nr_kernel_misc_reclaimable
nr_foll_pin_acquired nr_foll_pin_released nr_kernel_stack nr_page_table_pages nr_sec_page_table_pages
nr_iommu_pages>=6.12 nr_swapcached pgpromote_success pgpromote_candidate pgpromote_candidate_nrl>=6.18
pgdemote_kswapd>=6.12 pgdemote_direct>=6.12 pgdemote_khugepaged>=6.12 pgdemote_proactive>=6.18 nr_hugetlb>=6.18
nr_balloon_pages>=6.18 nr_kernel_file_pages>=6.18
"""
_ZONE = """
nr_free_pages nr_free_pages_blocks>=6.18 nr_zone_inactive_anon nr_zone_active_anon nr_zone_inactive_file
nr_zone_active_file nr_zone_unevictable nr_zone_write_pending nr_mlock nr_bounce<6.18 nr_zspages nr_free_cma
nr_unaccepted>=6.12<6.18 numa_hit numa_miss numa_foreign numa_interleave numa_local numa_other
"""
_NAME = re.compile(r"(?P<name>[a-z_]+)(?:>=(?P<since>[0-9.]+))?(?:<(?P<before>[0-9.]+))?")


def release(kernel: str) -> Release:
    """Return the release in ``kernel`` ("6.1.0-50-amd64" gives (6, 1)). Raises ValueError if there is none."""
    match = re.match(r"([0-9]{1,3})\.([0-9]{1,3})(?![0-9])", kernel) if isinstance(kernel, str) else None
    if not match:
        raise ValueError(f"{kernel!r} is not a kernel release: write it as '6.18'")
    return int(match[1]), int(match[2])


def rules(kernel: str) -> str:
    """Return which of the models' rules that kernel's page allocator comes closest to: "6.1" or "6.18"."""
    return "6.1" if release(kernel) < (6, 12) else "6.18"


def counters(kernel: str, numa: bool = True) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the names of the counters of a node and of a zone, in order; 32-bit x86 is built without ``numa``."""
    at = release(kernel)
    return _select(_NODE, at, numa), _select(_ZONE, at, numa)


def _select(table: str, at: Release, numa: bool) -> tuple[str, ...]:
    names = []
    for match in map(_NAME.fullmatch, table.split()):
        assert match, "every word of the tables is a name and its releases"
        there = release(match["since"] or "0.0") <= at < release(match["before"] or "999.0")
        if there and (numa or not match["name"].startswith(("numa_", "pgpromote_"))):
            names.append(match["name"])
    return tuple(names)


def as_written_by(memory: MemorySnapshot, kernel: str) -> MemorySnapshot:
    """Return ``memory`` with exactly the lines of that release: what it lacks filled in, what is too new left out.

    Counters that ``memory`` does not hold are 0, except those that follow from other lines.
    """
    at = release(kernel)
    numa = memory.arch is None or get_arch(memory.arch).virt_bits > 32
    node_names, zone_names = counters(kernel, numa)
    zones, seen = [], set()
    for zone in memory.zones:
        first = zone.present > 0 and zone.node not in seen
        if first:
            seen.add(zone.node)
        zone = replace(_with_lines(zone, at), node_stats=_fill(node_names, zone.node_stats) if first else ())
        zones.append(_with_counters(zone, zone_names) if zone.present else replace(zone, stats=(), pcp=()))
    return replace(memory, zones=tuple(zones))


def _with_counters(zone: ZoneSnapshot, names: tuple[str, ...]) -> ZoneSnapshot:
    return replace(
        zone,
        stats=_fill(names, (*_derived_stats(zone).items(), *zone.stats)),
        vm_stats_thresholds=zone.vm_stats_thresholds or _thresholds(zone),
    )


def _with_lines(zone: ZoneSnapshot, at: Release) -> ZoneSnapshot:
    def since(first: Release, value: int | None, default: int) -> int | None:
        return None if at < first else default if value is None else value

    return replace(
        zone,
        boost=since((5, 16), zone.boost, 0),
        # The distance between watermarks is the same all the way up (rule Z4).
        promo=since((6, 12), zone.promo, 2 * zone.high - zone.low),
        cma=since((5, 12), zone.cma, 0),
        pcp=tuple(_pcp_with_lines(pcp, at) for pcp in zone.pcp),
        reserved_highatomic=since((7, 0), zone.reserved_highatomic, 0),
        free_highatomic=since((7, 0), zone.free_highatomic, 0),
    )


def _pcp_with_lines(pcp: PcpSnapshot, at: Release) -> PcpSnapshot:
    if at < (6, 14):
        return replace(pcp, high_min=None, high_max=None)
    high_min, high_max = (pcp.high if bound is None else bound for bound in (pcp.high_min, pcp.high_max))
    return replace(pcp, high_min=high_min, high_max=high_max)


def _fill(names: tuple[str, ...], known: tuple[tuple[str, int], ...]) -> tuple[tuple[str, int], ...]:
    values = dict(known)
    return tuple((name, values.get(name, 0)) for name in names)


def _derived_stats(zone: ZoneSnapshot) -> dict[str, int]:
    """Counters that other lines of the zone determine."""
    derived = {"nr_free_pages": zone.free}
    if zone.buddy:
        blocks = range(zone.buddy.pageblock_order, zone.buddy.max_order + 1)
        derived["nr_free_pages_blocks"] = sum(zone.buddy.counts[order] << order for order in blocks)
    return derived


def _thresholds(zone: ZoneSnapshot) -> tuple[int, ...]:
    """Models calculate_normal_threshold(): how far a CPU's private counters may run ahead of the zone's."""
    sections = zone.managed >> 15
    threshold = min(2 * len(zone.pcp).bit_length() * (1 + sections.bit_length()), 125)
    return (threshold,) * len(zone.pcp)
