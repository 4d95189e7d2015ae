"""``/proc/zoneinfo``: bounds, sizes, watermarks, protections, counters and per-CPU lists of every zone.

Models: mm/vmstat.c (Linux 6.18), zoneinfo_show_print(). Leaves out: nothing. Lines that not every kernel writes are
None in the snapshot where they are missing: cma (since 5.12), boost (5.16), promo (6.12), high_min and high_max
(6.14), reserved_highatomic and free_highatomic (after 6.18).
"""

from __future__ import annotations

from collections.abc import Iterator

from mmkit.model.snapshot import MemorySnapshot, PcpSnapshot, Source, ZoneSnapshot
from mmkit.proc.text import RECORDING, Lines, line
from mmkit.proc.zoneinfo_layout import as_written_by

_HEAD = line(r"Node #, zone (\S+)")
_NODE_STATS = line(" per-node stats")
_STAT = line(r" ([a-z][a-z0-9_]*) #")
_PROTECTION = line(r" protection: \(([0-9]{1,20}(?:, [0-9]{1,20})*)\)")
_PAGESETS = line(" pagesets")
_CPU = line(" cpu: #")
_THRESHOLD = line(" vm stats threshold: #")

# What stands before each number, and the field that takes it. True: every kernel writes it.
_SIZES = (
    ("pages free", "free", True),
    ("boost", "boost", False),
    ("min", "min", True),
    ("low", "low", True),
    ("high", "high", True),
    ("promo", "promo", False),
    ("spanned", "spanned", True),
    ("present", "present", True),
    ("managed", "managed", True),
    ("cma", "cma", False),
)
_PCP = (
    ("count:", "count", True),
    ("high:", "high", True),
    ("batch:", "batch", True),
    ("high_min:", "high_min", False),
    ("high_max:", "high_max", False),
)
_END = (
    ("node_unreclaimable:", "node_unreclaimable", True),
    ("start_pfn:", "start_pfn", True),
    ("reserved_highatomic:", "reserved_highatomic", False),
    ("free_highatomic:", "free_highatomic", False),
)
_LABELS = {label: line(f" {label} #") for label, _, _ in _SIZES + _PCP + _END}


def parse(text: str, source: Source = RECORDING) -> MemorySnapshot:
    """Return what ``text`` says; sizes are in pages.

    Raises FormatError, with the line, if the text is damaged or ends before its node does.
    """
    lines = Lines("zoneinfo", text)
    zones = _parse_node(lines)
    while not lines.at_end:
        zones += _parse_node(lines)
    memory = MemorySnapshot(source, tuple(zones))
    lines.prove(_write(memory))
    return memory


def _parse_node(lines: Lines) -> list[ZoneSnapshot]:
    """A node has as many zones as each of them has protections."""
    zones = [_parse_zone(lines, None)]
    zones += [_parse_zone(lines, zones[0].node) for _ in zones[0].protection[1:]]
    return zones


def _parse_zone(lines: Lines, node: int | None) -> ZoneSnapshot:
    expected = f"'Node {'N' if node is None else node}, zone NAME'"
    head = lines.take(_HEAD, expected)
    if node not in (None, int(head[1])):
        raise lines.error(expected, taken=True)
    node_stats = _parse_stats(lines) if lines.take_if(_NODE_STATS) else ()
    sizes = _parse_fields(lines, _SIZES)
    protection = lines.take(_PROTECTION, "'protection: (N, ...)'")[1]
    # Only a populated zone has more to say.
    stats, pcp, thresholds, end = _parse_populated(lines) if sizes["present"] else ((), (), (), {"start_pfn": 0})
    return ZoneSnapshot(
        node=int(head[1]),
        name=head[2],
        **sizes,  # type: ignore[arg-type]
        **end,
        protection=tuple(map(int, protection.split(", "))),
        pcp=pcp,
        stats=stats,
        node_stats=node_stats,
        vm_stats_thresholds=thresholds,
    )


_Stats = tuple[tuple[str, int], ...]
_Fields = dict[str, int | None]


def _parse_populated(lines: Lines) -> tuple[_Stats, tuple[PcpSnapshot, ...], tuple[int, ...], _Fields]:
    stats = _parse_stats(lines)
    lines.take(_PAGESETS, "a counter or 'pagesets'")
    pcp, thresholds = [], []
    while cpu := lines.take_if(_CPU):
        pcp.append(PcpSnapshot(int(cpu[1]), **_parse_fields(lines, _PCP)))  # type: ignore[arg-type]
        if threshold := lines.take_if(_THRESHOLD):
            thresholds.append(int(threshold[1]))
    return stats, tuple(pcp), tuple(thresholds), _parse_fields(lines, _END)


def _parse_stats(lines: Lines) -> _Stats:
    stats = [lines.take(_STAT, "a counter")]
    while match := lines.take_if(_STAT):
        stats.append(match)
    return tuple((stat[1], int(stat[2])) for stat in stats)


def _parse_fields(lines: Lines, fields: tuple[tuple[str, str, bool], ...]) -> _Fields:
    found: _Fields = {}
    for label, name, always in fields:
        match = lines.take(_LABELS[label], f"'{label} N'") if always else lines.take_if(_LABELS[label])
        found[name] = int(match[1]) if match else None
    return found


def find_zone(memory: MemorySnapshot, name: str, node: int = 0) -> ZoneSnapshot:
    """Return a populated zone. Raises ValueError, with those that there are, if it is none of them."""
    populated = [zone for zone in memory.zones if zone.present]
    for zone in populated:
        if (zone.name, zone.node) == (name, node):
            return zone
    names = ", ".join(f"{zone.name} of node {zone.node}" for zone in populated)
    raise ValueError(f"no populated zone {name!r} of node {node!r}: choose one of {names}")


def format(memory: MemorySnapshot, kernel: str | None = None) -> str:
    """Return the text of ``memory``, byte for byte as the kernel writes it.

    What was read is written as it was. A model writes itself as the kernel does that it models, counters that the model
    does not keep as 0. ``kernel`` ("6.1", "6.12", "6.18", ...) asks for the layout of that release instead.

    Raises ValueError if ``kernel`` is no release.
    """
    if kernel is None and memory.source.kind == "model":
        kernel = memory.kernel
    return _write(memory if kernel is None else as_written_by(memory, kernel))


def _write(memory: MemorySnapshot) -> str:
    return "".join(row + "\n" for zone in memory.zones for row in _format_zone(zone))


def _format_zone(zone: ZoneSnapshot) -> Iterator[str]:
    yield f"Node {zone.node}, zone {zone.name:>8}"
    if zone.node_stats:
        yield "  per-node stats"
        yield from _format_stats(zone.node_stats)
    for row in _format_fields(zone, _SIZES, width=8):
        yield "  " + row if row.startswith("pages free") else "        " + row
    yield f"        protection: ({', '.join(map(str, zone.protection))})"
    if zone.present:
        yield from _format_stats(zone.stats)
        yield "  pagesets"
        yield from _format_pagesets(zone)
        for row in _format_fields(zone, _END, width=20):
            yield "  " + row


def _format_pagesets(zone: ZoneSnapshot) -> Iterator[str]:
    for index, pcp in enumerate(zone.pcp):
        yield f"    cpu: {pcp.cpu}"
        for row in _format_fields(pcp, _PCP, width=6 if pcp.high_min is None else 9):
            yield "              " + row
        if index < len(zone.vm_stats_thresholds):
            yield f"  vm stats threshold: {zone.vm_stats_thresholds[index]}"


def _format_stats(stats: _Stats) -> Iterator[str]:
    for name, value in stats:
        yield f"      {name:<12} {value}"


def _format_fields(holder: object, fields: tuple[tuple[str, str, bool], ...], width: int) -> Iterator[str]:
    for label, name, _ in fields:
        value = getattr(holder, name)
        if value is not None:
            yield f"{label:<{14 if label == 'pages free' else width}} {value}"
