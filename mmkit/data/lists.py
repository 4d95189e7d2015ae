"""Free lists of a real kernel, in list order: ``stateK.lists.txt.gz`` of a recording, as snapshots.

The texts were made from a memory image of the guest at snapshot K of a trace, on x86-64 with one CPU and one node.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from mmkit.data.lines import read_lines, release_of, source_of
from mmkit.errors import FormatError
from mmkit.model.migratetype import NR_MIGRATETYPES
from mmkit.model.snapshot import BuddySnapshot, PcpSnapshot

MAX_ORDER = 10
PAGEBLOCK_ORDER = 9
UNKNOWN = 0xFF
"""Byte of a page that is in use, by what is not known."""


@dataclass
class _Zone:
    """What the text says of one zone."""

    start_pfn: int
    spanned: int
    free: dict[tuple[int, int], tuple[int, ...]] = field(default_factory=dict)
    pcp: dict[int, tuple[int, ...]] = field(default_factory=dict)
    pcp_numbers: dict[str, int] = field(default_factory=dict)


@dataclass
class _State:
    """The whole text: the zones, and the migrate type of every pageblock from pfn 0."""

    zones: dict[str, _Zone] = field(default_factory=dict)
    pageblocks: bytes = b""


def read_lists(recording: str | Path, k: int) -> dict[str, BuddySnapshot]:
    """Return the buddy allocator of every zone at snapshot ``k``, with all lists in the kernel's order.

    ``recording`` is the name of a recording ("trace-buddy-6.1") or a folder like one. All that is not free counts as
    in use (0xff): the text says nothing about it, nor where the zone has holes.

    Raises ValueError for an unknown recording, FileNotFoundError for a ``k`` that was not recorded, FormatError for a
    damaged text.

    >>> read_lists("trace-buddy-6.1", 0)["DMA"].counts
    (0, 0, 0, 0, 0, 1, 1, 1, 0, 1, 3)
    """
    state = _parse(recording, k)
    source = source_of(recording, f"snapshot {k}")
    release = release_of(recording)
    kernel = "6.1" if tuple(map(int, release.split(".")[:2])) < (6, 12) else "6.18"
    return {
        name: BuddySnapshot(
            source=source,
            node=0,
            zone=name,
            start_pfn=zone.start_pfn,
            nr_pages=zone.spanned,
            max_order=MAX_ORDER,
            pageblock_order=PAGEBLOCK_ORDER,
            free_lists=_free_lists(zone),
            pageblocks=state.pageblocks[_first_block(zone) : _end_block(zone)],
            allocated=_allocated(zone),
            kernel=kernel,
        )
        for name, zone in state.zones.items()
    }


def read_pcp_lists(recording: str | Path, k: int) -> dict[str, PcpSnapshot]:
    """Return the per-CPU lists of CPU 0 in every zone at snapshot ``k``, in the kernel's order.

    Lists 0 to 11 are orders 0 to 3 times Unmovable, Movable, Reclaimable; 12 and 13 hold huge pages. Arguments and
    errors as of :func:`read_lists`.
    """
    return {
        name: PcpSnapshot(
            cpu=0,
            count=zone.pcp_numbers["count"],
            high=zone.pcp_numbers["high"],
            batch=zone.pcp_numbers["batch"],
            high_min=zone.pcp_numbers.get("high_min"),
            high_max=zone.pcp_numbers.get("high_max"),
            free_factor=zone.pcp_numbers.get("free_factor", 0),
            lists=tuple(zone.pcp.get(index, ()) for index in range(zone.pcp_numbers["lists"])),
            alloc_factor=zone.pcp_numbers.get("alloc_factor", 0),
            free_count=zone.pcp_numbers.get("free_count", 0),
        )
        for name, zone in _parse(recording, k).zones.items()
    }


def _first_block(zone: _Zone) -> int:
    return zone.start_pfn >> PAGEBLOCK_ORDER


def _end_block(zone: _Zone) -> int:
    return -(-(zone.start_pfn + zone.spanned) >> PAGEBLOCK_ORDER)


def _free_lists(zone: _Zone) -> tuple[tuple[tuple[int, ...], ...], ...]:
    return tuple(
        tuple(zone.free.get((order, kind), ()) for kind in range(NR_MIGRATETYPES)) for order in range(MAX_ORDER + 1)
    )


def _allocated(zone: _Zone) -> bytes:
    pages = bytearray([UNKNOWN]) * zone.spanned
    for (order, _), pfns in zone.free.items():
        for pfn in pfns:
            first = pfn - zone.start_pfn
            pages[first : first + (1 << order)] = bytes(1 << order)
    return bytes(pages)


def _parse(recording: str | Path, k: int) -> _State:
    name = f"state{k}.lists.txt.gz"
    state, line_no, done = _State(), 0, False
    for line_no, line in read_lines(recording, name):
        kind, *words = line.split() or [""]
        try:
            if done:
                raise ValueError("nothing after PB")
            _LINES[kind](state, words)
            done = kind == "PB"
        except (KeyError, ValueError, IndexError) as error:
            raise FormatError(name, line_no, line, _expected(kind, error)) from error
    if not done:
        raise FormatError(name, line_no + 1, "", "PB and a digit for every pageblock")
    return state


def _expected(kind: str, error: Exception) -> str:
    if isinstance(error, KeyError):
        return f"one of {', '.join(_LINES)} for a zone named before"
    return f"{_SHAPES[kind]} ({error})"


def _pfns(zone: _Zone, words: list[str], order: int = 0) -> tuple[int, ...]:
    pfns = tuple(int(word, 16) for word in words)
    for pfn in pfns:
        if pfn % (1 << order) or not zone.start_pfn <= pfn <= zone.start_pfn + zone.spanned - (1 << order):
            raise ValueError(f"no block of order {order} of this zone starts at {pfn:x}")
    return pfns


def _zone_line(state: _State, words: list[str]) -> None:
    name, _, start, _, spanned, *_ = words
    state.zones[name] = _Zone(int(start), int(spanned))


def _free_line(state: _State, words: list[str]) -> None:
    zone, order, kind = state.zones[words[0]], int(words[1]), int(words[2])
    if not (0 <= order <= MAX_ORDER and 0 <= kind < NR_MIGRATETYPES):
        raise ValueError(f"order 0 to {MAX_ORDER}, migratetype 0 to {NR_MIGRATETYPES - 1}")
    zone.free[order, kind] = _pfns(zone, words[3:], order)


def _pcpinfo_line(state: _State, words: list[str]) -> None:
    zone = state.zones[words[0]]
    zone.pcp_numbers = {name: int(number) for name, number in (word.split("=") for word in words[1:])}
    if not {"count", "high", "batch", "lists"} <= zone.pcp_numbers.keys():
        raise ValueError("a number is missing")


def _pcp_line(state: _State, words: list[str]) -> None:
    zone, index = state.zones[words[0]], int(words[1])
    if not 0 <= index < zone.pcp_numbers.get("lists", 0):
        raise ValueError("a list that PCPINFO has counted")
    zone.pcp[index] = _pfns(zone, words[2:])


def _pageblock_line(state: _State, words: list[str]) -> None:
    (digits,) = words
    state.pageblocks = bytes(map(int, digits))
    for name, zone in state.zones.items():
        if len(digits) < _end_block(zone):
            raise ValueError(f"zone {name} has {_end_block(zone)} pageblocks, found {len(digits)}")
        if not zone.pcp_numbers:
            raise ValueError(f"no PCPINFO for zone {name}")


_LINES: dict[str, Callable[[_State, list[str]], None]] = {
    "ZONE": _zone_line,
    "FREE": _free_line,
    "PCPINFO": _pcpinfo_line,
    "PCP": _pcp_line,
    "PB": _pageblock_line,
}
_SHAPES = {
    "ZONE": "ZONE name start_pfn N spanned N ...",
    "FREE": "FREE zone order migratetype pfn...",
    "PCPINFO": "PCPINFO zone count=N high=N batch=N lists=N ...",
    "PCP": "PCP zone list_index pfn...",
    "PB": "PB and a digit for every pageblock, at the end",
}
