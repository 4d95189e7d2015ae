"""Physical memory: all zones of a machine, and ``alloc_pages`` as the door to them.

Models: mm/page_alloc.c (Linux 6.18), __alloc_pages(), get_page_from_freelist(), __alloc_pages_slowpath(),
__free_pages(). Leaves out: reclaim, the OOM killer, and compaction unless it is asked for, so that a request fails
which they would serve in the end; memory policies; tail pages of large blocks, which live and die with the first. A
request that fails changes nothing.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from mmkit.arch import Arch, get_arch
from mmkit.errors import BadFree, InvariantError, OutOfMemory
from mmkit.model.badfree import why_not_freed
from mmkit.model.boot import check_kernel, check_reserved, check_settings, make_zones, node_of_cpu
from mmkit.model.compaction import Compaction, OnMove
from mmkit.model.gfp import Gfp, check_gfp, gfp_zone
from mmkit.model.layout import Range, lay_out
from mmkit.model.movable import ZoneMovables
from mmkit.model.page import MemMap, Page
from mmkit.model.pagekeeper import PageKeeper
from mmkit.model.request import Request, make_request
from mmkit.model.snapshot import MODEL, MemorySettings, MemorySnapshot, Source, ZoneWalk
from mmkit.model.trace import MmPageAlloc, MmPageFree, MmVmscanWakeupKswapd, Trace
from mmkit.model.zone import Zone
from mmkit.model.zonelist import node_orders
from mmkit.record import replace
from mmkit.units import format_size


class PhysicalMemory:
    """The memory of one machine.

    ``ram`` is its size, ``nodes`` a number of nodes or the size of each, ``movable`` what ``movablecore=`` would be
    given. ``memory_map`` (ranges of bytes) replaces ``ram``, ``reserved`` (ranges of pfns) what boot keeps back.
    ``kernel`` is "6.18" or "6.1". Further settings, with the kernel's names and defaults: ``pcp`` (False: no per-CPU
    lists), ``nr_cpus``, ``thp``, ``watermark_scale_factor``, ``lowmem_reserve_ratio``, ``min_free_kbytes``,
    ``percpu_pagelist_high_fraction``, ``distances`` between nodes.

    >>> memory = PhysicalMemory("X86_64", "4GiB")
    >>> [zone.name for zone in memory.zonelist("GFP_KERNEL")]
    ['Normal', 'DMA32', 'DMA']
    >>> page = memory.alloc_pages("GFP_KERNEL", order=2)
    >>> page.zone, page.refcount
    ('Normal', 1)
    >>> memory.free_pages(page, order=2)

    Raises ValueError or TypeError, naming the value, for machines and settings that cannot be.
    """

    def __init__(
        self,
        arch: Arch | str,
        ram: int | str = "4GiB",
        nodes: int | Sequence[int | str] = 1,
        movable: int | str = 0,
        trace: Trace | None = None,
        *,
        memory_map: Iterable[Sequence[int]] | None = None,
        reserved: Iterable[Range] | None = None,
        kernel: str = "6.18",
        source: Source = MODEL,
        **settings: Any,
    ) -> None:
        layout = lay_out(get_arch(arch), ram, nodes, movable, memory_map)
        check_kernel(kernel)
        kept = check_reserved(layout, reserved)
        chosen = check_settings(layout, kept, kernel, **settings)
        zones = make_zones(layout, kept, kernel, chosen, trace)
        if not any(zone.managed_pages for zone in zones):
            raise ValueError("too little RAM: boot keeps all of it")
        self._set_up(layout.arch, zones, chosen, kernel, layout.note, source, trace)

    def _set_up(
        self, arch: Arch, zones: Sequence[Zone], settings: MemorySettings, kernel: str, note: str, source: Source,
        trace: Trace | None,
    ) -> None:  # fmt: skip
        self.arch = arch
        self.kernel = kernel
        self.settings = settings
        self.note = note
        """What is to be said about RAM that is not used; empty if all is."""
        self.source = source
        self.trace = trace
        self.zones = tuple(zones)
        """All zones, empty ones included, node by node in ascending order."""
        self.nodes = tuple(dict.fromkeys(zone.node for zone in zones))
        self._keeper = PageKeeper(arch, zones)
        self._requests: dict[tuple[type, int | str | None, int], Request] = {}
        ranges = sorted((start, end, zone) for zone in zones if zone.buddy for start, end in zone.span.ranges)
        self._range_starts = [start for start, _, _ in ranges]
        self._ranges = ranges
        cpu_nodes = {self.node_of_cpu(cpu) for cpu in range(settings.nr_cpus)}
        self._node_orders = node_orders(settings.distances, lambda i: self.nodes[i] in cpu_nodes)

    def __repr__(self) -> str:
        free, managed = sum(z.free_pages for z in self.zones), sum(z.managed_pages for z in self.zones)
        return f"<PhysicalMemory of {self.arch.name}: {free} of {managed} pages free>"

    # -- what there is ------------------------------------------------------------------------------------------------

    @property
    def mem_map(self) -> MemMap:
        """The ``struct page`` of every frame, free blocks marked as such at the time of asking."""
        self._keeper.mark_free_blocks()
        return self._keeper.mem_map

    def zone(self, name: str, node: int | None = None) -> Zone:
        """Return a zone by name, of the first node unless told otherwise. Raises ValueError if there is none."""
        node = self.nodes[0] if node is None else self._check_node(node)
        for zone in self.zones:
            if zone.name == name and zone.node == node:
                return zone
        raise ValueError(f"{self.arch.name} has no zone {name!r}: choose one of {', '.join(self.arch.zone_names)}")

    def zonelist(self, gfp: int | str, node: int | None = None) -> list[Zone]:
        """Return the zones that a request may be served from, in the order in which they are asked.

        ``node`` is the one that asks, by default the first. Raises ValueError for a mask that contradicts itself.
        """
        return list(self._request(gfp, self.nodes[0] if node is None else self._check_node(node)).zones)

    def node_of_cpu(self, cpu: int) -> int:
        """Return the node that a CPU is near to. Raises ValueError for a CPU that the machine does not have."""
        if isinstance(cpu, bool) or not isinstance(cpu, int) or not 0 <= cpu < self.settings.nr_cpus:
            raise ValueError(f"the machine has CPUs 0 to {self.settings.nr_cpus - 1}, not {cpu!r}")
        return self.nodes[node_of_cpu(cpu, self.settings.nr_cpus, len(self.nodes))]

    def zone_of(self, pfn: int) -> Zone | None:
        """Return the zone that a page frame lies in; None where there is no memory."""
        place = bisect_right(self._range_starts, pfn) - 1
        if place < 0 or pfn >= self._ranges[place][1]:
            return None
        return self._ranges[place][2]

    # -- taking pages -------------------------------------------------------------------------------------------------

    def alloc_pages(self, gfp: int | str, order: int = 0, cpu: int = 0, node: int | None = None) -> Page:
        """Return the first page of a block of 2**order pages.

        ``cpu`` is the one that asks; ``node`` the node it wants the pages from, by default its own.

        Raises OutOfMemory, saying why each zone of the zonelist did not serve; ValueError for an order out of range, a
        mask that contradicts itself, a CPU or node that there is not.
        """
        self._check_order(order)
        home = self.node_of_cpu(cpu)
        request = self._request(gfp, home if node is None else self._check_node(node))
        pfn = self._search(request, order, cpu)
        if self.trace is not None:
            self.trace.emit(MmPageAlloc(pfn, order, int(request.gfp), request.migratetype))
        if pfn is None:
            raise OutOfMemory(self._why(request, order, cpu))
        return self._keeper.hand_out(pfn, order, request.gfp)

    def walk(self, gfp: int | str, order: int = 0, cpu: int = 0, node: int | None = None) -> ZoneWalk:
        """Return the way that such a request would take through its zonelist now; nothing changes."""
        self._check_order(order)
        home = self.node_of_cpu(cpu)
        request = self._request(gfp, home if node is None else self._check_node(node))
        return ZoneWalk(self.source, str(request.gfp), order, tuple(request.tries(order, cpu)))

    def alloc_walk(self, gfp: int | str, order: int = 0, cpu: int = 0, node: int | None = None) -> ZoneWalk:
        """Allocate, and return the way that the request took; its ``pfn`` is None if it failed."""
        walk = self.walk(gfp, order, cpu, node)
        try:
            return replace(walk, pfn=self.alloc_pages(gfp, order, cpu, node).pfn)
        except OutOfMemory:
            return walk

    def _search(self, request: Request, order: int, cpu: int) -> int | None:
        before = [zone.below_high for zone in request.zones]
        woken = False
        for one in request.rounds:
            if one.mark_name != "low" and not woken:
                woken = self._wake_kswapd(request, order)
            for zone in one.zones:
                if one.mark_name == "none" or zone.passes(order, one.mark(zone, request.gfp), request.top_index):
                    pfn = zone.take(order, request.migratetype, cpu, one.nofragment)
                    if pfn is not None:
                        return pfn
        for zone, flag in zip(request.zones, before, strict=True):
            zone.below_high = flag
        return None

    def _wake_kswapd(self, request: Request, order: int) -> bool:
        if self.trace is not None and request.gfp & Gfp.KSWAPD_RECLAIM:
            for node in dict.fromkeys(zone.node for zone in request.zones):
                self.trace.emit(MmVmscanWakeupKswapd(node, request.top_index, order, int(request.gfp)))
        return True

    def _why(self, request: Request, order: int, cpu: int) -> str:
        tries = list(request.tries(order, cpu))[-len(request.zones) :]
        size = format_size(self.arch.page_size << order)
        reasons = "; ".join(f"{t.zone} of node {t.node}: {t.why}" for t in tries) or "no zone may serve it"
        held = sum(zone.pcp_pages for zone in request.zones)
        held_text = f" ({held:,} free pages are on per-CPU lists; drain_pages() returns them)" if held else ""
        return f"no block of order {order} ({size}) for {request.gfp}: {reasons}{held_text}"

    # -- giving pages back --------------------------------------------------------------------------------------------

    def free_pages(self, page: Page | int, order: int = 0, cpu: int = 0) -> None:
        """Drop a reference to a block and, if it was the last, free it.

        ``page`` is the block's first page (or its pfn). A page whose last reference went with ``page.put()`` is freed.

        Raises BadFree if no block of that order is allocated there, or its pages are still mapped or otherwise in use;
        ValueError for an order out of range or a CPU that there is not.
        """
        self._check_order(order)
        self.node_of_cpu(cpu)
        pfn = page.pfn if isinstance(page, Page) else page
        if isinstance(pfn, bool) or not isinstance(pfn, int):
            raise TypeError(f"a page or its pfn is freed, not {page!r}")
        zone = self._check_allocated(pfn, order)
        row = self._keeper.mem_map[pfn]
        if row.refcount and not row.put():
            return
        if self.trace is not None:
            self.trace.emit(MmPageFree(pfn, order))
        zone.give(pfn, order, cpu)

    def _check_allocated(self, pfn: int, order: int) -> Zone:
        zone = self.zone_of(pfn)
        if zone is None or zone.buddy is None:
            raise BadFree(f"page {pfn} is in no zone: there is no memory to free")
        if not self._keeper.mem_map[pfn].refcount and any(pfn == first for first, _ in zone.pcp_blocks()):
            raise BadFree(f"page {pfn} is already free: it is on a per-CPU list")
        if any(start <= pfn < end for start, end in zone.reserved):
            raise BadFree(f"page {pfn} was kept back at boot: it is never handed out")
        error = why_not_freed(zone.buddy, pfn, order)
        if error is not None:
            raise error
        return zone

    def drain_pages(self, cpu: int | None = None) -> None:
        """Give what is on the per-CPU lists of one CPU, or of all, back to the buddy lists."""
        cpus = range(self.settings.nr_cpus) if cpu is None else [cpu]
        for one in cpus:
            self.node_of_cpu(one)
            for zone in self.zones:
                zone.drain(one)

    # -- compaction ---------------------------------------------------------------------------------------------------

    def compaction(
        self,
        zone: str,
        node: int | None = None,
        order: int = -1,
        cpu: int = 0,
        on_move: OnMove | None = None,
        **choices: Any,
    ) -> Compaction:
        """Return a run of compaction over a zone, to be stepped through; ``order`` and ``choices`` as Compaction has.

        Pages of processes and files that nobody else holds can be moved. ``on_move`` is called with old pfn, new pfn
        and order of each block that has: page tables and all others that hold a pfn must learn the new one.

        Raises ValueError for a zone that there is not or that is empty, and as Compaction does.
        """
        found = self.zone(zone, node)
        if found.buddy is None:
            raise ValueError(f"zone {zone} of node {found.node} is empty: there is nothing to compact")
        self.node_of_cpu(cpu)
        pages = ZoneMovables(found, order, self._keeper, cpu)
        return Compaction(found.buddy, None, order, self.trace, on_move=on_move, movables=pages, **choices)

    def compact_zone(
        self, zone: str, node: int | None = None, order: int = -1, on_move: OnMove | None = None, **choices: Any
    ) -> int:
        """Compact a zone to the end and return how many pages have moved; arguments and errors as of ``compaction``."""
        return self.compaction(zone, node, order, on_move=on_move, **choices).run()

    # -- snapshot and check -------------------------------------------------------------------------------------------

    def snapshot(self, frames: bool = True) -> MemorySnapshot:
        """Return the state of everything.

        Without ``frames`` it says nothing of single page frames: quick and small on a machine of any size, enough for
        watermarks and counts, but not to go on from.
        """
        return MemorySnapshot(
            self.source,
            tuple(zone.snapshot(self.source, frames) for zone in self.zones),
            self.arch.name,
            self.arch.page_size,
            self.kernel,
            self.settings,
            self._keeper.touched(self._live()) if frames else (),
            self.note,
        )

    @classmethod
    def from_snapshot(cls, snapshot: MemorySnapshot, trace: Trace | None = None) -> PhysicalMemory:
        """Return a memory that goes on exactly as the one the snapshot was taken of.

        Raises ValueError for a snapshot that no model made, or that was taken without ``frames``.
        """
        if snapshot.settings is None or snapshot.arch is None:
            raise ValueError(f"a snapshot of a model is needed to go on from, not {snapshot.source}")
        arch = get_arch(snapshot.arch)
        huge_order = arch.pageblock_order if snapshot.settings.thp else None
        zones = [
            Zone.from_snapshot(zone, arch.zone_names.index(zone.name), huge_order, snapshot.kernel, trace)
            for zone in snapshot.zones
        ]
        memory = cls.__new__(cls)
        memory._set_up(arch, zones, snapshot.settings, snapshot.kernel, snapshot.note, snapshot.source, trace)
        memory._keeper.restore(memory._live(), snapshot.pages)
        return memory

    def _live(self) -> Iterator[int]:
        """First pages of all blocks that are handed out."""
        for zone in self.zones:
            free = {pfn for pfn, _ in zone.pcp_blocks()}
            yield from (pfn for pfn in zone.allocated_blocks() if pfn not in free)

    def check(self) -> None:
        """Raise InvariantError, naming the rule, unless zones, lists and pages agree with each other."""
        for zone in self.zones:
            zone.check()
            for pfn, _ in zone.pcp_blocks():
                if self._keeper.mem_map[pfn].refcount:
                    raise InvariantError(f"page {pfn} is on a per-CPU list, but somebody holds a reference")
        self.mem_map.check()

    # -- arguments ----------------------------------------------------------------------------------------------------

    def _check_order(self, order: int) -> None:
        if isinstance(order, bool) or not isinstance(order, int):
            raise TypeError(f"an order is a whole number, not {order!r}")
        if not 0 <= order <= self.arch.max_order:
            raise ValueError(f"orders go from 0 to {self.arch.max_order}, not {order}")

    def _check_node(self, node: int) -> int:
        if node not in self.nodes:
            raise ValueError(f"the machine has node {', '.join(map(str, self.nodes))}, not {node!r}")
        return node

    def _request(self, gfp: int | str, node: int) -> Request:
        key = (type(gfp), gfp if isinstance(gfp, (int, str)) else None, node)
        request = self._requests.get(key)
        if request is None:
            request = self._requests[key] = self._make_request(check_gfp(gfp), node)
        return request

    def _make_request(self, gfp: Gfp, node: int) -> Request:
        top = self.arch.zone_names.index(gfp_zone(gfp, self.arch))
        order = (node,) if gfp & Gfp.THISNODE else [self.nodes[i] for i in self._node_orders[self.nodes.index(node)]]
        usable = [zone for zone in reversed(self.zones) if zone.buddy and zone.index <= top]
        return make_request(gfp, top, [zone for one in order for zone in usable if zone.node == one], len(self.nodes))
