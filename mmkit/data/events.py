"""What a real kernel's page allocator did: ``trace.tsv.gz`` of a recording, as typed rows.

Each row carries the line number, the time in microseconds, the context ("-" task, "s" softirq, "h" hardirq), the
process, and the fields of the kernel's tracepoint. pfns are frame numbers, orders powers of two.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from mmkit.data.lines import read_lines
from mmkit.errors import FormatError


class PageAlloc(NamedTuple):
    """A: ``mm_page_alloc``, a page is handed out; ``gfp`` by the names of that kernel."""

    line_no: int
    t_us: int
    context: str
    pid: int
    pfn: int
    order: int
    migratetype: int
    gfp: str


class PageFree(NamedTuple):
    """F: ``mm_page_free``; orders that have per-CPU lists go there."""

    line_no: int
    t_us: int
    context: str
    pid: int
    pfn: int
    order: int


class PageFreeBatched(NamedTuple):
    """B: ``mm_page_free_batched``, a page of a batch reaches the per-CPU list."""

    line_no: int
    t_us: int
    context: str
    pid: int
    pfn: int


class DirectFree(NamedTuple):
    """G: freed straight to the buddy lists; ``silent`` if worked out later, since the kernel only said ``F``."""

    line_no: int
    t_us: int
    context: str
    pid: int
    pfn: int
    order: int
    silent: bool


class ZoneTake(NamedTuple):
    """Z: ``mm_page_alloc_zone_locked``, a block is taken from the buddy lists; ``refill`` of a per-CPU list or not."""

    line_no: int
    t_us: int
    context: str
    pid: int
    pfn: int
    order: int
    migratetype: int
    refill: bool


class PcpDrain(NamedTuple):
    """D: ``mm_page_pcpu_drain``, a block returns from a per-CPU list to the buddy lists."""

    line_no: int
    t_us: int
    context: str
    pid: int
    pfn: int
    order: int
    migratetype: int


class Extfrag(NamedTuple):
    """X: ``mm_page_alloc_extfrag``, a request falls back to another migrate type's block."""

    line_no: int
    t_us: int
    context: str
    pid: int
    pfn: int
    order: int
    fallback_order: int
    migratetype: int
    fallback_migratetype: int
    change_ownership: bool


class Marker(NamedTuple):
    """M: a remark of the recorder, such as "SNAP-BEGIN 1" or "PHASE-END 1 status 0"."""

    line_no: int
    t_us: int
    context: str
    pid: int
    text: str


class IsolateFree(NamedTuple):
    """C: ``mm_compaction_isolate_freepages``, of [start_pfn, end_pfn) compaction took free pages as room."""

    line_no: int
    t_us: int
    context: str
    pid: int
    start_pfn: int
    end_pfn: int
    nr_scanned: int
    nr_taken: int


class IsolateMigrate(NamedTuple):
    """``mm_compaction_isolate_migratepages``, of [start_pfn, end_pfn) compaction took pages to move them."""

    line_no: int
    t_us: int
    context: str
    pid: int
    start_pfn: int
    end_pfn: int
    nr_scanned: int
    nr_taken: int


class MigratePages(NamedTuple):
    """``mm_compaction_migratepages``, so many of the pages taken were moved."""

    line_no: int
    t_us: int
    context: str
    pid: int
    nr_migrated: int
    nr_failed: int


class CompactionBegin(NamedTuple):
    """``mm_compaction_begin``, where the scanners start."""

    line_no: int
    t_us: int
    context: str
    pid: int
    zone_start: int
    migrate_pfn: int
    free_pfn: int
    zone_end: int
    sync: int


class CompactionEnd(NamedTuple):
    """``mm_compaction_end``, where the scanners are; ``status`` is a number of the kernel's (5: complete)."""

    line_no: int
    t_us: int
    context: str
    pid: int
    zone_start: int
    migrate_pfn: int
    free_pfn: int
    zone_end: int
    sync: int
    status: int


class ObjectAlloc(NamedTuple):
    """S: ``kmem_cache_alloc``, an object is handed out; ``site`` is who asked."""

    line_no: int
    t_us: int
    context: str
    pid: int
    ptr: int
    cache: str
    bytes_req: int
    bytes_alloc: int
    site: str
    gfp: str


class ObjectFree(NamedTuple):
    """s: ``kmem_cache_free``, an object is given back."""

    line_no: int
    t_us: int
    context: str
    pid: int
    ptr: int
    cache: str
    site: str


class KmallocAlloc(NamedTuple):
    """K: ``kmalloc``; which cache served it was worked out from the bytes given ("?": from none)."""

    line_no: int
    t_us: int
    context: str
    pid: int
    ptr: int
    bytes_req: int
    bytes_alloc: int
    site: str
    gfp: str
    cache: str


class KmallocFree(NamedTuple):
    """k: ``kfree``; ``ptr`` 0 is NULL."""

    line_no: int
    t_us: int
    context: str
    pid: int
    ptr: int
    site: str


OfObjects = ObjectAlloc | ObjectFree | KmallocAlloc | KmallocFree
Compacting = IsolateFree | IsolateMigrate | MigratePages | CompactionBegin | CompactionEnd
Row = (
    OfObjects
    | Compacting
    | PageAlloc
    | PageFree
    | PageFreeBatched
    | DirectFree
    | ZoneTake
    | PcpDrain
    | Extfrag
    | Marker
)


def _hex(word: str) -> int:
    return int(word, 16)


def _bit(word: str) -> bool:
    return {"0": False, "1": True}[word]


def _silent(word: str) -> bool:
    return {"-": False, "silent": True}[word]


# Per letter: the row's class, and what turns each argument into a field.
_KINDS: dict[str, tuple[Callable[..., Row], tuple[Callable[[str], Any], ...]]] = {
    "A": (PageAlloc, (_hex, int, int, str)),
    "F": (PageFree, (_hex, int)),
    "B": (PageFreeBatched, (_hex,)),
    "G": (DirectFree, (_hex, int, _silent)),
    "Z": (ZoneTake, (_hex, int, int, _bit)),
    "D": (PcpDrain, (_hex, int, int)),
    "X": (Extfrag, (_hex, int, int, int, int, _bit)),
    "C": (IsolateFree, (_hex, _hex, int, int)),
    "M": (Marker, (str,)),
    "S": (ObjectAlloc, (_hex, str, int, int, str, str)),
    "s": (ObjectFree, (_hex, str, str)),
    "K": (KmallocAlloc, (_hex, int, int, str, str, str)),
    "k": (KmallocFree, (_hex, str)),
}
# These come by their full name, with "name=value ..." as their only argument.
_NAMED: dict[str, type[IsolateMigrate | MigratePages | CompactionBegin | CompactionEnd]] = {
    "mm_compaction_isolate_migratepages": IsolateMigrate,
    "mm_compaction_migratepages": MigratePages,
    "mm_compaction_begin": CompactionBegin,
    "mm_compaction_end": CompactionEnd,
}


def _arguments(letter: str, words: list[str]) -> tuple[Callable[..., Row], list[Any]]:
    """Return the class of a row, and the values of its own fields."""
    if letter not in _NAMED:
        row, fields = _KINDS[letter]
        return row, [field(word) for field, word in zip(fields, words, strict=True)]
    named = _NAMED[letter]
    (text,) = words
    names, values = zip(*(word.split("=") for word in text.split()), strict=True)
    if names != named._fields[4:]:
        raise ValueError(names)
    return named, [int(value, 0) for value in values]


def read_events(recording: str | Path) -> Iterator[Row]:
    """Yield the rows of a recording's trace in order; ``recording`` is its name, or a folder like one.

    Raises ValueError for an unknown recording, FormatError at the first line that is damaged or of unknown shape.

    >>> next(read_events("trace-buddy-6.1"))
    Marker(line_no=2, t_us=0, context='-', pid=163, text='SNAP-BEGIN 0')
    """
    name = "trace.tsv.gz"
    for line_no, line in read_lines(recording, name):
        try:
            t_us, context, pid, letter, *words = line.split("\t")
            row, values = _arguments(letter, words)
            yield row(line_no, int(t_us), context, int(pid), *values)
        except (ValueError, KeyError) as error:
            expected = "time, context, pid, event letter and its arguments, separated by tabs"
            raise FormatError(name, line_no, line, expected) from error
