"""``/proc/buddyinfo``: how many free blocks of each order every zone has.

Models: mm/vmstat.c (Linux 6.18), frag_show_print(). Leaves out: nothing; the format has not changed since 2.6.
"""

from __future__ import annotations

from mmkit.model.snapshot import BuddyInfo, BuddyInfoZone, BuddySnapshot, MemorySnapshot, Source
from mmkit.proc.text import RECORDING, Lines, line, numbers
from mmkit.record import replace

_ROW = line(r"Node #, zone (\S+)((?: [0-9]{1,20})+) ")


def parse(text: str, source: Source = RECORDING) -> BuddyInfo:
    """Return what ``text`` says.

    Raises FormatError, with the line, if the text is damaged.

    >>> info = parse("Node 0, zone      DMA      0      1      3 \\n")
    >>> info.zones[0].counts, info.zones[0].free_pages
    ((0, 1, 3), 14)
    """
    lines = Lines("buddyinfo", text)
    zones = [_parse_row(lines)]
    while not lines.at_end:
        zones.append(_parse_row(lines, len(zones[0].counts)))
    info = BuddyInfo(source, tuple(zones))
    lines.prove(format(info))
    return info


def _parse_row(lines: Lines, nr_orders: int | None = None) -> BuddyInfoZone:
    expected = f"'Node N, zone NAME' and {nr_orders or 'the'} counts"
    row = lines.take(_ROW, expected)
    counts = numbers(row[3])
    if nr_orders not in (None, len(counts)):
        raise lines.error(expected, taken=True)
    return BuddyInfoZone(int(row[1]), row[2], counts)


def format(info: BuddyInfo | MemorySnapshot | BuddySnapshot) -> str:
    """Return the text of ``info``, byte for byte as the kernel writes it; a model's snapshot writes itself too."""
    if not isinstance(info, BuddyInfo):
        info = from_model(info)
    return "".join(_format_row(zone) for zone in info.zones)


def _format_row(zone: BuddyInfoZone) -> str:
    counts = "".join(f"{count:6d} " for count in zone.counts)
    return f"Node {zone.node}, zone {zone.zone:>8} {counts}\n"


def from_model(snapshot: MemorySnapshot | BuddySnapshot) -> BuddyInfo:
    """Return what the kernel would say of a model's memory, or of one zone of it.

    Raises ValueError where free blocks are not known.
    """
    if isinstance(snapshot, BuddySnapshot):
        if not snapshot.zone:
            raise ValueError("buddyinfo names the zone of each line: make the allocator with zone='Normal', say")
        return BuddyInfo(snapshot.source, (BuddyInfoZone(snapshot.node, snapshot.zone, snapshot.counts),))
    rows = []
    for zone in snapshot.zones:
        if zone.present:
            counts = zone.buddy.counts if zone.buddy else zone.counts
            if counts is None:
                raise ValueError(f"the free blocks of zone {zone.name} are not known")
            rows.append(BuddyInfoZone(zone.node, zone.name, counts))
    return BuddyInfo(snapshot.source, tuple(rows))


def with_counts(memory: MemorySnapshot, info: BuddyInfo) -> MemorySnapshot:
    """Return ``memory`` (from zoneinfo) with the free blocks that ``info`` has for its zones."""
    found = {(row.node, row.zone): row.counts for row in info.zones}
    zones = (replace(zone, counts=found.get((zone.node, zone.name), zone.counts)) for zone in memory.zones)
    return replace(memory, zones=tuple(zones))
