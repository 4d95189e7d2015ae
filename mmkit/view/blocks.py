"""Blocks of a buddy snapshot as runs on lanes: the free ones by order, the allocated ones, and what is no memory."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mmkit.model.migratetype import MigrateType
from mmkit.model.snapshot import BuddySnapshot, FrameUse
from mmkit.view import ink
from mmkit.view.cells import Lanes, Run
from mmkit.view.ink import Ink
from mmkit.view.parts import Entry

Letter = tuple[float, float, str, str]
USED_INKS = {
    MigrateType.UNMOVABLE: ink.USE_INKS[FrameUse.UNMOVABLE], MigrateType.MOVABLE: ink.USE_INKS[FrameUse.MOVABLE],
    MigrateType.RECLAIMABLE: ink.USE_INKS[FrameUse.RECLAIMABLE],
    MigrateType.HIGHATOMIC: ink.USE_INKS[FrameUse.UNMOVABLE], MigrateType.ISOLATE: ink.USE_INKS[FrameUse.OTHER],
}  # fmt: skip
"""Allocated blocks by the type they were allocated with."""
_UNKNOWN = 0xFF
_USE_OF_INK = {one: use for use, one in ink.USE_INKS.items()}
FREE_LEGEND = [Entry(one, one.name.lower()) for one in list(ink.FREE_INKS.values())[:3]]
USED_LEGEND = [
    Entry(ink.USE_INKS[FrameUse.UNMOVABLE], "unmovable"), Entry(ink.USE_INKS[FrameUse.MOVABLE], "movable"),
    Entry(ink.USE_INKS[FrameUse.RECLAIMABLE], "reclaimable"), Entry(ink.USE_INKS[FrameUse.OTHER], "not told"),
    Entry(ink.USE_INKS[FrameUse.HOLE], "hole"),
]  # fmt: skip
LETTER_ROOM, PFN_ROOM = 13, 64


def span_of(snapshot: BuddySnapshot) -> tuple[int, int]:
    """Return the pfns [start, end) of the zone."""
    return snapshot.start_pfn, snapshot.start_pfn + snapshot.nr_pages


def free_run(snapshot: BuddySnapshot, order: int, kind: int) -> Run:
    """Return the free blocks of one list."""
    start = np.array(snapshot.free_lists[order][kind], dtype=np.int64)
    return Run(start, start + (1 << order), ink.FREE_INKS[MigrateType(kind)])


def free_runs(snapshot: BuddySnapshot, order: int) -> list[Run]:
    """Return the free blocks of one order, type by type."""
    return [free_run(snapshot, order, kind) for kind, pfns in enumerate(snapshot.free_lists[order]) if pfns]


def _range_run(ranges: Sequence[tuple[int, int]], one: Ink) -> Run:
    bounds = np.array(ranges, dtype=np.int64).reshape(-1, 2)
    return Run(bounds[:, 0], bounds[:, 1], one)


def used_runs(snapshot: BuddySnapshot) -> list[Run]:
    """Return what the pages of a zone are used for: free below all, then holes, allocated blocks, unknown, in hand."""
    codes = np.frombuffer(snapshot.allocated, dtype=np.uint8)
    runs = [_range_run([span_of(snapshot)], ink.USE_INKS[FrameUse.FREE])]
    runs.append(_range_run(snapshot.holes, ink.USE_INKS[FrameUse.HOLE]))
    heads = np.flatnonzero((codes & 0x80 > 0) & (codes != _UNKNOWN))
    kinds, orders = codes[heads] >> 4 & 7, (codes[heads] & 15).astype(np.int64)
    for kind in np.unique(kinds):
        start = heads[kinds == kind] + snapshot.start_pfn
        runs.append(Run(start, start + (1 << orders[kinds == kind]), USED_INKS[MigrateType(int(kind))]))
    edges = np.flatnonzero(np.diff((codes == _UNKNOWN).astype(np.int8), prepend=0, append=0)) + snapshot.start_pfn
    runs.append(Run(edges[::2], edges[1::2], ink.USE_INKS[FrameUse.OTHER]))
    if snapshot.in_hand:
        pfn, order = snapshot.in_hand
        runs.append(_range_run([(pfn, pfn + (1 << order))], ink.IN_HAND))
    return [run for run in runs if len(run.start)]


def pages_in(start: NDArray[np.int64], end: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return all pages of the ranges [start, end), range by range.

    >>> pages_in(np.array([4, 9]), np.array([6, 12])).tolist()
    [4, 5, 9, 10, 11]
    """
    wide = end - start
    return np.repeat(start - np.cumsum(wide) + wide, wide) + np.arange(wide.sum())


def uses_of(snapshot: BuddySnapshot) -> NDArray[np.uint8]:
    """Return the FrameUse of every page of a zone."""
    uses = np.zeros(snapshot.nr_pages, dtype=np.uint8)
    for run in used_runs(snapshot):
        uses[pages_in(run.start, run.end) - snapshot.start_pfn] = _USE_OF_INK[run.ink]
    return uses


def letters_on(lanes: Lanes, runs: Sequence[Run], y: float, pfns: bool = True) -> list[Letter]:
    """Return letters for the boxes that have room for one, with the pfn where that fits too."""
    return [letter for run in runs for letter in _letters_of(lanes, run, y, pfns)]


def _letters_of(lanes: Lanes, run: Run, y: float, pfns: bool) -> list[Letter]:
    if not run.ink.letter:
        return []
    start, end = lanes.span
    scale = (lanes.box.right - lanes.box.left) / (end - start)
    inside: NDArray[np.bool_] = (run.end > start) & (run.start < end) & ((run.end - run.start) * scale >= LETTER_ROOM)
    made = []
    for left, right in zip(run.start[inside].tolist(), run.end[inside].tolist(), strict=True):
        x0, x1 = lanes.x(max(left, start)), lanes.x(min(right, end))
        text = f"{run.ink.letter} 0x{left:x}" if pfns and x1 - x0 >= PFN_ROOM else run.ink.letter
        if x1 - x0 >= LETTER_ROOM - 1:
            made.append(((x0 + x1) / 2, y, text, run.ink.text))
    return made
