"""Layout: where RAM lies in physical addresses, and where the kernel draws the borders of its zones.

Models: free_area_init(), find_zone_movable_pfns_for_nodes(), zone_spanned_pages_in_node() of mm/mm_init.c (Linux
6.18); the RAM maps of QEMU's boards "pc" and "virt". Leaves out: memory hotplug, mirrored memory, ``kernelcore=``,
firmware that punches further holes (give its map as ``memory_map``).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from mmkit.arch import GIB, MIB, Arch
from mmkit.record import Record
from mmkit.units import format_size, parse_size

Range = tuple[int, int]
"""A range [start, end) of bytes or of page frame numbers, as the name beside it says."""

ISA_HOLE = (0xA0000, 0x100000)
"""Video memory and firmware: never RAM on a PC."""
ACPI_PAGES = 38
"""What the PC board's firmware keeps for its tables at the end of low RAM."""


class NodeRam(Record):
    """RAM of one node: ``ranges`` of pfns, ascending and apart."""

    node: int
    ranges: tuple[Range, ...]

    @property
    def pages(self) -> int:
        """Pages of RAM in the node."""
        return sum(end - start for start, end in self.ranges)

    @property
    def span(self) -> Range:
        """First pfn, and first pfn above the last, holes included."""
        return self.ranges[0][0], self.ranges[-1][1]


class ZoneSpan(Record):
    """One zone of one node: from ``start_pfn`` over ``spanned`` pages, of which ``ranges`` are RAM."""

    node: int
    name: str
    start_pfn: int = 0
    spanned: int = 0
    ranges: tuple[Range, ...] = ()

    @property
    def present(self) -> int:
        """Pages of RAM in the zone."""
        return sum(end - start for start, end in self.ranges)

    @property
    def holes(self) -> tuple[Range, ...]:
        """Ranges of pfns within the zone that are no RAM."""
        return subtract([(self.start_pfn, self.start_pfn + self.spanned)], self.ranges)


class Layout(Record):
    """RAM and zones of a machine; empty zones are included, node by node in ascending order."""

    arch: Arch
    nodes: tuple[NodeRam, ...]
    zones: tuple[ZoneSpan, ...]
    out_of_reach_pages: int = 0
    """RAM above the highest physical address of the architecture: it is there, and unused."""

    @property
    def note(self) -> str:
        """What a reader should be told about RAM that is not used; empty when all is."""
        if not self.out_of_reach_pages:
            return ""
        size = format_size(self.out_of_reach_pages * self.arch.page_size)
        limit = format_size(1 << self.arch.phys_bits)
        return f"{size} of RAM lie above {limit}, out of reach of {self.arch.title}: unused"


def lay_out(
    arch: Arch,
    ram: int | str = "4GiB",
    nodes: int | Sequence[int | str] = 1,
    movable: int | str = 0,
    memory_map: Iterable[Sequence[int]] | None = None,
) -> Layout:
    """Return where RAM and zones lie on a machine with that much RAM.

    ``nodes`` is a number (RAM is split evenly) or the size of each node, ``movable`` the size that the kernel's
    ``movablecore=`` would be given. ``memory_map`` replaces ``ram``: (first byte, byte above the last) or (first byte,
    byte above the last, node) for each range of RAM.

    Raises ValueError or TypeError for sizes, node counts and maps that make no sense.
    """
    if memory_map is not None:
        installed = _checked_map(memory_map)
    else:
        ram_bytes = parse_size(ram, arch.page_size)
        if not ram_bytes:
            raise ValueError(f"a machine needs RAM, not {ram!r}")
        installed = _board_map(arch, ram_bytes)
    if memory_map is None or all(len(entry) == 2 for entry in installed):
        installed = _split(arch, [(start, end) for start, end, *_ in installed], nodes)
    limit = 1 << arch.phys_bits
    beyond = sum(max(0, end - max(start, limit)) for start, end, _ in installed) >> arch.page_shift
    node_ram = _node_ram(arch, [(start, min(end, limit), node) for start, end, node in installed], memory_map is None)
    return Layout(arch, node_ram, _zones(arch, node_ram, parse_size(movable, arch.page_size)), beyond)


def _board_map(arch: Arch, ram_bytes: int) -> list[tuple[int, ...]]:
    """Installed RAM by address: a PC with 3.5 GiB or more leaves 3 to 4 GiB to devices."""
    low = 3 * GIB if ram_bytes >= 3.5 * GIB else ram_bytes
    if arch.firmware != "pc" or low == ram_bytes:
        return [(arch.ram_base, arch.ram_base + ram_bytes)]
    return [(0, low), (4 * GIB, 4 * GIB + ram_bytes - low)]


def _checked_map(memory_map: Iterable[Sequence[int]]) -> list[tuple[int, ...]]:
    entries = sorted(tuple(entry) for entry in memory_map)
    if not entries or len({len(entry) for entry in entries}) > 1 or len(entries[0]) not in (2, 3):
        raise ValueError(f"a memory map is a list of (start, end) or of (start, end, node) in bytes, not {entries!r}")
    above = 0
    for entry in entries:
        if any(isinstance(number, bool) or not isinstance(number, int) for number in entry):
            raise TypeError(f"addresses and nodes in a memory map are whole numbers, not {entry!r}")
        if not above <= entry[0] < entry[1] or min(entry) < 0:
            raise ValueError(f"memory map entry {entry!r}: ranges must not be empty, negative or overlap")
        above = entry[1]
    return entries


def _split(arch: Arch, ranges: list[Range], nodes: int | Sequence[int | str]) -> list[tuple[int, ...]]:
    """Give each node its share of ``ranges`` in ascending order of address, as firmware does."""
    total = sum(end - start for start, end in ranges)
    found: list[tuple[int, ...]] = []
    rest = list(reversed(ranges))
    for node, size in enumerate(_node_sizes(arch, total, nodes)):
        while size:
            start, end = rest.pop()
            taken = min(size, end - start)
            found.append((start, start + taken, node))
            if start + taken < end:
                rest.append((start + taken, end))
            size -= taken
    return found


def _node_sizes(arch: Arch, total: int, nodes: int | Sequence[int | str]) -> list[int]:
    if isinstance(nodes, bool) or not isinstance(nodes, (int, list, tuple)):
        raise TypeError(f"nodes is a number or a list of sizes such as ['2GiB', '2GiB'], not {nodes!r}")
    if isinstance(nodes, int):
        if not 1 <= nodes <= 1024:
            raise ValueError(f"a machine has 1 to 1024 nodes, not {nodes}")
        share = total // nodes // arch.page_size * arch.page_size
        sizes = [share] * (nodes - 1) + [total - share * (nodes - 1)]
    else:
        sizes = [parse_size(size, arch.page_size) for size in nodes]
    if not sizes or min(sizes) < arch.page_size:
        raise ValueError(f"every node needs RAM: {nodes!r} does not give each of them a page of {format_size(total)}")
    if sum(sizes) != total:
        raise ValueError(f"nodes {nodes!r} add up to {format_size(sum(sizes))}, but RAM is {format_size(total)}")
    return sizes


def _node_ram(arch: Arch, installed: list[tuple[int, int, int]], own_board: bool) -> tuple[NodeRam, ...]:
    """Cut off what firmware and the kernel never hand out as RAM, and round inwards to whole pages."""
    cut: list[Range] = []
    if arch.firmware == "pc":
        # The kernel reserves page 0 (trim_bios_range); the firmware's data area follows at 0x9fc00.
        cut = [(0, arch.page_size), (0x9FC00, ISA_HOLE[1])]
        if own_board:
            low_end = max(end for start, end, _ in installed if start < 3 * GIB)
            cut.append((low_end - ACPI_PAGES * arch.page_size, low_end))
    by_node: dict[int, list[Range]] = {}
    for start, end, node in installed:
        for first, above in subtract([(start, end)], cut):
            pfns = (-(-first // arch.page_size), above // arch.page_size)
            if pfns[0] < pfns[1]:
                by_node.setdefault(node, []).append(pfns)
    if not by_node:
        raise ValueError("too little RAM: firmware and reserved addresses leave no page of it")
    return tuple(NodeRam(node, joined(by_node[node])) for node in sorted(by_node))


def _zones(arch: Arch, nodes: tuple[NodeRam, ...], movable_bytes: int) -> tuple[ZoneSpan, ...]:
    limits = zone_limits(arch, nodes)
    starts = movable_starts(arch, nodes, limits, -(-movable_bytes // arch.page_size))
    top_name = max((name for name in limits if limits[name][0] < limits[name][1]), key=lambda name: limits[name][0])
    zones = []
    for ram in nodes:
        for name in arch.zone_names:
            low, high = limits.get(name, (0, 0))
            movable_pfn = starts.get(ram.node)
            if movable_pfn is not None:
                if name == "Movable":
                    low, high = movable_pfn, limits[top_name][1]
                elif name != "Device":
                    low, high = min(low, movable_pfn), min(high, movable_pfn)
            zones.append(_span(ram, name, low, high))
    return tuple(zones)


def _span(ram: NodeRam, name: str, low: int, high: int) -> ZoneSpan:
    start, end = max(low, ram.span[0]), min(high, ram.span[1])
    ranges = tuple((max(a, start), min(b, end)) for a, b in ram.ranges if a < end and b > start)
    if start >= end or not ranges:
        return ZoneSpan(ram.node, name)
    return ZoneSpan(ram.node, name, start, end - start, ranges)


def zone_limits(arch: Arch, nodes: Sequence[NodeRam]) -> dict[str, Range]:
    """Return the pfns [start, end) that each zone may cover on this machine; Movable and Device are not among them."""
    start, max_pfn = min(ram.span[0] for ram in nodes), max(ram.span[1] for ram in nodes)
    limits = {}
    for zone in arch.zones:
        if zone.name not in ("Movable", "Device"):
            end = max_pfn if zone.end_addr is None else min(zone.end_addr >> arch.page_shift, max_pfn)
            limits[zone.name] = (start, max(start, end))
            start = max(start, end)
    return limits


def movable_starts(arch: Arch, nodes: Sequence[NodeRam], limits: dict[str, Range], movable: int) -> dict[int, int]:
    """Return the pfn at which the Movable zone starts on each node that has one, for ``movable`` pages asked for.

    The rest, "kernelcore", is spread evenly over the nodes; on each, Movable gets the end of the highest zone,
    from a multiple of the largest block on.
    """
    total, block = sum(ram.pages for ram in nodes), 1 << arch.max_order
    core = total - min(total, -(-movable // block) * block)
    if not movable or not 0 < core < total:
        return {}
    usable = max(low for low, high in limits.values() if low < high)
    starts = {ram.node: 0 for ram in nodes}
    for sharers in range(len(nodes), 0, -1):
        share = core // sharers
        for ram in nodes:
            share = core // sharers if core < share else share
            core -= min(core, _take_core(ram, share, usable, starts))
        if core <= sharers - 1:
            break
    rounded = {node: -(-pfn // block) * block for node, pfn in starts.items()}
    return {ram.node: rounded[ram.node] for ram in nodes if 0 < rounded[ram.node] < ram.span[1]}


def _take_core(ram: NodeRam, share: int, usable: int, starts: dict[int, int]) -> int:
    """Move the node's Movable start up over ``share`` pages of RAM; return how many became kernelcore."""
    taken, remaining = 0, share
    for start, end in ram.ranges:
        start = max(start, starts[ram.node])
        if start >= end:
            continue
        if start < usable:  # only kernelcore can be here, however much of it is wanted
            below = min(end, usable) - start
            taken, remaining = taken + below, max(0, remaining - below)
            starts[ram.node] = end
            if end <= usable:
                continue
            start = usable
        size = min(end - start, remaining)
        starts[ram.node] = start + size
        taken, remaining = taken + size, remaining - size
        if not remaining:
            break
    return taken


def boot_reserved(layout: Layout) -> tuple[Range, ...]:
    """Return the pfns that boot keeps back: the first MiB of a PC, and the struct page array of every node.

    The array is taken from the top of the node's highest RAM that has room for it, below high memory. A real kernel
    keeps more (its own image, hash tables); that depends on its build and is left out.
    Raises ValueError if a machine is too small for it.
    """
    arch = layout.arch
    kept: list[Range] = [(0, MIB >> arch.page_shift)] if arch.firmware == "pc" else []
    lowmem = [span for span in layout.zones if span.name != "HighMem" and not _is_high(layout, span)]
    for ram in layout.nodes:
        size = -(-ram.pages * arch.struct_page_bytes // arch.page_size)
        own = [span for span in lowmem if span.node == ram.node] or lowmem
        room = subtract(sorted(pfns for span in own for pfns in span.ranges), kept)
        fits = [(start, end) for start, end in joined(room) if end - start > size]
        if not fits:
            raise ValueError(
                f"too little RAM: node {ram.node} has no room for the {size} pages of its struct page array"
            )
        kept.append((fits[-1][1] - size, fits[-1][1]))
    return joined(kept)


def _is_high(layout: Layout, span: ZoneSpan) -> bool:
    limit = next((zone.end_addr for zone in layout.arch.zones if zone.name == "Normal"), None)
    return limit is not None and span.start_pfn >= limit >> layout.arch.page_shift


def subtract(ranges: Iterable[Range], cut: Iterable[Range]) -> tuple[Range, ...]:
    """Return ``ranges`` without what ``cut`` covers.

    >>> subtract([(0, 10)], [(2, 4), (8, 20)])
    ((0, 2), (4, 8))
    """
    left = list(ranges)
    for low, high in cut:
        pieces = [((a, min(b, low)), (max(a, high), b)) for a, b in left]
        left = [(a, b) for pair in pieces for a, b in pair if a < b]
    return tuple(left)


def joined(ranges: Iterable[Range]) -> tuple[Range, ...]:
    """Return ``ranges`` in ascending order, with those that touch made one."""
    found: list[Range] = []
    for start, end in sorted(ranges):
        if found and start <= found[-1][1]:
            found[-1] = (found[-1][0], max(found[-1][1], end))
        else:
            found.append((start, end))
    return tuple(found)
