"""``/proc/pagetypeinfo``: free blocks by order and migrate type, and what every pageblock is meant for.

Models: mm/vmstat.c (Linux 6.18), pagetypeinfo_show(). Leaves out: nothing; kernels before 5.4 never write ">100000".
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby

from mmkit.arch import get_arch
from mmkit.model.migratetype import MigrateType
from mmkit.model.snapshot import BuddySnapshot, MemorySnapshot, PageTypeInfo, PageTypeZone, Source, ZoneSnapshot
from mmkit.proc.text import RECORDING, Lines, line, numbers

COUNT_LIMIT = 100_000
"""The kernel counts a list no further than this, since it holds the zone's lock meanwhile: ">100000"."""

SECTION_PAGES = 1 << 15
"""Pages of one SPARSEMEM section (128 MiB) of 64-bit kernels, which have struct pages for a section or for none of it.

32-bit x86 kernels have them from the first frame to the last, holes included (FLATMEM).
"""

_ORDER = line("Page block order: #")
_PAGES = line("Pages per block: #")
_EMPTY = line("")
_FREE_HEAD = line("Free pages count per migrate type at order((?: [0-9]{1,2})+) ")
_FREE = line(r"Node #, zone (\S+), type (\S+)((?: >?[0-9]{1,20})+) ")
_BLOCKS_HEAD = line(r"Number of blocks type((?: \S+)+) ")
_MIXED_HEAD = line(r"Number of mixed blocks((?: \S+)+) ")
_BLOCKS = line(r"Node #, zone (\S+)((?: [0-9]{1,20})+) ")
_BLOCKS_TITLE, _MIXED_TITLE = "Number of blocks type ", "Number of mixed blocks "

Ranges = tuple[tuple[int, int], ...]
_Rows = dict[str, list[tuple[str, tuple[int, ...]]]]


def parse(text: str, source: Source = RECORDING) -> PageTypeInfo:
    """Return what ``text`` says; a count of 100,000 means that many or more.

    Raises FormatError, with the line, if the text is damaged.
    """
    lines = Lines("pagetypeinfo", text)
    block_order, types, zones = _parse_node(lines)
    while not lines.at_end:
        zones += _parse_node(lines)[2]
    info = PageTypeInfo(source, block_order, types, tuple(zones))
    lines.prove(format(info))
    return info


def _parse_node(lines: Lines) -> tuple[int, tuple[str, ...], list[PageTypeZone]]:
    block_order = int(lines.take(_ORDER, "'Page block order: N'")[1])
    lines.take(_PAGES, "'Pages per block: N'")
    lines.take(_EMPTY, "an empty line")
    nr_orders = len(lines.take(_FREE_HEAD, "'Free pages count per migrate type at order 0 1 2 ...'")[1].split())
    node, free = _parse_free(lines, nr_orders)
    lines.take(_EMPTY, "an empty line, or another 'Node N, zone NAME, type TYPE'")
    types = tuple(lines.take(_BLOCKS_HEAD, "'Number of blocks type' and the types")[1].split())
    blocks = _parse_blocks(lines, node, list(free), len(types))
    mixed = None
    if lines.take_if(_EMPTY):
        lines.take(_MIXED_HEAD, "'Number of mixed blocks' and the types")
        mixed = _parse_blocks(lines, node, list(free), len(types))
    return block_order, types, [
        PageTypeZone(node, zone, tuple(counts for _, counts in rows), blocks[zone], mixed[zone] if mixed else None)
        for zone, rows in free.items()
    ]  # fmt: skip


def _parse_free(lines: Lines, nr_orders: int) -> tuple[int, _Rows]:
    """Return the node's number, and by zone the type and counts of every row."""
    expected = f"'Node N, zone NAME, type TYPE' and {nr_orders} counts"
    rows: _Rows = {}
    nodes = set()
    while row := lines.take_if(_FREE) if rows else lines.take(_FREE, expected):
        counts = numbers(row[4].replace(">", ""))
        nodes.add(int(row[1]))
        if len(counts) != nr_orders or len(nodes) > 1:
            raise lines.error(expected, taken=True)
        rows.setdefault(row[2], []).append((row[3], counts))
    return nodes.pop(), rows


def _parse_blocks(lines: Lines, node: int, zones: list[str], nr_types: int) -> dict[str, tuple[int, ...]]:
    found = {}
    for zone in zones:
        expected = f"'Node {node}, zone {zone}' and {nr_types} counts"
        row = lines.take(_BLOCKS, expected)
        found[zone] = numbers(row[3])
        if (int(row[1]), row[2], len(found[zone])) != (node, zone, nr_types):
            raise lines.error(expected, taken=True)
    return found


def format(info: PageTypeInfo | MemorySnapshot) -> str:
    """Return the text of ``info``, byte for byte as the kernel writes it; a model's snapshot writes itself too."""
    if isinstance(info, MemorySnapshot):
        info = from_model(info)
    return "".join(
        row + "\n" for _, zones in groupby(info.zones, lambda zone: zone.node) for row in _format_node(info, [*zones])
    )


def _format_node(info: PageTypeInfo, zones: list[PageTypeZone]) -> Iterator[str]:
    yield f"Page block order: {info.pageblock_order}"
    yield f"Pages per block:  {1 << info.pageblock_order}"
    yield ""
    orders = "".join(f"{order:6d} " for order in range(len(zones[0].free[0])))
    yield f"{'Free pages count per migrate type at order':<43} {orders}"
    for zone in zones:
        for title, counts in zip(info.migratetypes, zone.free, strict=False):
            row = "".join(_format_count(count) for count in counts)
            yield f"Node {zone.node:4d}, zone {zone.zone:>8}, type {title:>12} {row}"
    yield from _format_blocks(_BLOCKS_TITLE, info, [(zone, zone.blocks) for zone in zones])
    if any(zone.mixed is not None for zone in zones):
        yield from _format_blocks(_MIXED_TITLE, info, [(zone, zone.mixed or ()) for zone in zones])


def _format_count(count: int) -> str:
    return f">{COUNT_LIMIT:6d} " if count >= COUNT_LIMIT else f"{count:6d} "


def _format_blocks(title: str, info: PageTypeInfo, rows: list[tuple[PageTypeZone, tuple[int, ...]]]) -> Iterator[str]:
    yield ""
    yield f"{title:<23}" + "".join(f"{name:>12} " for name in info.migratetypes)
    for zone, counts in rows:
        yield f"Node {zone.node}, zone {zone.zone:>8} " + "".join(f"{count:12d} " for count in counts)


def from_model(snapshot: MemorySnapshot) -> PageTypeInfo:
    """Return what the kernel would say of a model's memory; ValueError where the free lists are not known."""
    rows = [(zone, _buddy_of(zone)) for zone in snapshot.zones if zone.present]
    if not rows:
        raise ValueError("a memory without a populated zone has no pagetypeinfo")
    sparse = snapshot.arch is None or get_arch(snapshot.arch).virt_bits > 32
    titles = tuple(MigrateType(number).title for number in range(len(rows[0][1].free_lists[0])))
    zones = (
        PageTypeZone(
            zone.node,
            zone.name,
            tuple(tuple(len(lists[number]) for lists in buddy.free_lists) for number in range(len(titles))),
            tuple(map(_block_types(buddy, zone.reserved, sparse).count, range(len(titles)))),
        )
        for zone, buddy in rows
    )
    return PageTypeInfo(snapshot.source, rows[0][1].pageblock_order, titles, tuple(zones))


def _buddy_of(zone: ZoneSnapshot) -> BuddySnapshot:
    if zone.buddy is None:
        raise ValueError(f"the free lists of zone {zone.name} are not known")
    return zone.buddy


def _block_types(buddy: BuddySnapshot, reserved: Ranges, sparse: bool) -> bytes:
    """Return the type of every pageblock that the kernel counts: those whose first frame has a ``struct page``."""
    end_pfn, step = buddy.start_pfn + buddy.nr_pages, 1 << buddy.pageblock_order
    first = buddy.start_pfn >> buddy.pageblock_order
    return bytes(
        buddy.pageblocks[(pfn >> buddy.pageblock_order) - first]
        for pfn in range(buddy.start_pfn, end_pfn, step)
        if not sparse or _overlap(buddy.holes, pfn) < SECTION_PAGES or _overlap(reserved, pfn)
    )


def _overlap(ranges: Ranges, pfn: int) -> int:
    """Return how many pages of the section that ``pfn`` is in are in ``ranges``."""
    start = pfn - pfn % SECTION_PAGES
    return sum(max(0, min(end, start + SECTION_PAGES) - max(low, start)) for low, end in ranges)
