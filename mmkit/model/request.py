"""One request for pages: which zones it may be served from, how far down each, and why one does not serve it.

Models: prepare_alloc_pages(), alloc_flags_nofragment(), gfp_to_alloc_flags(), get_page_from_freelist() of
mm/page_alloc.c (Linux 6.18). Leaves out: cpusets, memory policies, and the flags that only matter while memory is
reclaimed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from mmkit.model.gfp import Gfp, gfp_migratetype
from mmkit.model.migratetype import MigrateType
from mmkit.model.snapshot import ZoneTry
from mmkit.model.watermark import may_ignore_watermarks, reserve_mark
from mmkit.model.zone import Zone


class Round(NamedTuple):
    """One round of the search through the zones."""

    mark_name: str
    """What must stay free: "low", "min" (as far as the request may dig), "none"."""
    nofragment: bool
    """Whether a zone is left out that would have to mix migrate types within a pageblock."""
    zones: tuple[Zone, ...]

    def mark(self, zone: Zone, gfp: Gfp) -> int:
        """Return how many pages must stay free in ``zone``, the reserve against higher requests not counted."""
        if self.mark_name == "low":
            return zone.watermarks.low
        return reserve_mark(zone.watermarks.min, gfp) if self.mark_name == "min" else 0


class Request(NamedTuple):
    """What a gfp mask means on one machine, seen from one node."""

    gfp: Gfp
    migratetype: MigrateType
    top_index: int
    """Index of the highest zone that may serve."""
    zones: tuple[Zone, ...]
    """Zones that may serve, in the order in which they are asked."""
    rounds: tuple[Round, ...]

    def tries(self, order: int, cpu: int) -> Iterator[ZoneTry]:
        """Look at zone after zone, round after round, as the search would, up to the one that serves."""
        for one in self.rounds:
            for zone in one.zones:
                found = self._try(zone, one, order, cpu)
                yield found
                if found.ok:
                    return

    def _try(self, zone: Zone, one: Round, order: int, cpu: int) -> ZoneTry:
        mark = one.mark(zone, self.gfp)
        reserve = 0 if one.mark_name == "none" else zone.lowmem_reserve[self.top_index]
        why_not = self._refusal(zone, one, mark + reserve, order, cpu)
        if why_not and zone.free_pages - (1 << order) + 1 <= mark + reserve:
            why_not += f" {mark:,} + {reserve:,}" if reserve else f" {mark:,}"
        why = why_not or zone.where_from(order, self.migratetype, cpu)
        return ZoneTry(zone.name, zone.node, zone.free_pages, mark, reserve, not why_not, why, one.mark_name)

    def _refusal(self, zone: Zone, one: Round, mark: int, order: int, cpu: int) -> str:
        free = f"free {zone.free_pages:,}"
        if one.mark_name != "none" and zone.free_pages - (1 << order) + 1 <= mark:
            return f"{free} less {(1 << order) - 1:,} is not above" if order else f"{free} is not above"
        if not zone.has_block(order) and not zone.can_take(order, self.migratetype, cpu, False):
            return f"{free}, but no block of order {order} or larger"
        if not zone.can_take(order, self.migratetype, cpu, one.nofragment):
            return f"{free}, but only by mixing migrate types in a pageblock"
        return ""


def make_request(gfp: Gfp, top_index: int, zones: Sequence[Zone], nr_nodes: int) -> Request:
    """Return the request for ``zones``, which are in fallback order: its rounds are the kernel's.

    First down to the low marks, then, with kswapd woken, to min; for reclaim itself, to nothing. If Normal comes first
    and there is a DMA32 below it, fragmentation is avoided at first, but not at the price of another node's memory.
    """
    zones = tuple(zones)
    rounds = [Round("low", False, zones), Round("min", False, zones)]
    if may_ignore_watermarks(gfp):
        rounds.append(Round("none", False, zones))
    local = tuple(zone for zone in zones if zone.node == zones[0].node)
    if zones and zones[0].name == "Normal" and any(zone.name == "DMA32" for zone in (local if nr_nodes > 1 else zones)):
        rounds.insert(0, Round("low", True, local))
    return Request(gfp, gfp_migratetype(gfp), top_index, zones, tuple(rounds))
