"""Compaction as a map: two scanners, the pages that are taken off, the room for them, what has moved and what stays."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from mmkit.model import compacttrace
from mmkit.model.fragstate import CompactionSnapshot
from mmkit.model.migratetype import MigrateType
from mmkit.model.snapshot import FrameUse
from mmkit.model.trace import Event
from mmkit.view import ink
from mmkit.view.blocks import USED_INKS, pages_in, uses_of
from mmkit.view.cells import NOTHING, Cells
from mmkit.view.compactwords import compaction_in_words
from mmkit.view.parts import Entry, legend_row, listed, plural, segments, spread, write_lines
from mmkit.view.picture import MARGIN, Picture, fit

FREE, UNTOLD, MOVED, ROOM, STUCK, ISOLATED = 0, 1, 6, 7, 8, 9
"""Values of cells, from 3 to 5 migrate types; where several pages share a cell the highest shows."""
_KINDS = (MigrateType.MOVABLE, MigrateType.RECLAIMABLE, MigrateType.UNMOVABLE)
_VALUES = {kind: 3 + number for number, kind in enumerate(_KINDS)}
INKS = {_VALUES[kind]: USED_INKS[kind] for kind in _KINDS} | {
    FREE: ink.VACANT, UNTOLD: ink.USED, MOVED: ink.MOVED, ROOM: ink.ROOM, STUCK: ink.STUCK, ISOLATED: ink.TAKEN_OFF,
}  # fmt: skip
_USES = {FrameUse.UNMOVABLE: _VALUES[MigrateType.UNMOVABLE], FrameUse.MOVABLE: _VALUES[MigrateType.MOVABLE],
         FrameUse.RECLAIMABLE: _VALUES[MigrateType.RECLAIMABLE], FrameUse.FREE: FREE}  # fmt: skip
_VALUE_OF_USE = np.array([_USES.get(use, UNTOLD) for use in FrameUse], dtype=np.uint8)
_LEFT, _TOP, _WIDE, _HIGH, _LARGEST, _TEXT = 76, 108, 512, 288, 64, 694
_LINE, _LINES = 17, 15
_MOST_ARROWS = 64
Block = tuple[int, int]
Points = list[tuple[float, float]]


def cells_of(snapshot: CompactionSnapshot) -> NDArray[np.uint8]:
    """Return what every page of the zone is."""
    buddy = snapshot.buddy
    values = _VALUE_OF_USE[uses_of(buddy)]
    codes = np.frombuffer(buddy.allocated, dtype=np.uint8)

    def fill(blocks: NDArray[np.int64], value: int) -> None:
        pfn, order = blocks.T
        values[pages_in(pfn, pfn + (1 << order)) - buddy.start_pfn] = value

    moved = _table(snapshot.moved)[:, 1:]
    code = codes[moved[:, 0] - buddy.start_pfn]
    fill(moved[code & 0x8F == 0x80 | moved[:, 1]], MOVED)
    failed = np.array([pfn for pfn, _ in snapshot.failed], dtype=np.int64)
    code = codes[failed - buddy.start_pfn]
    stuck = (code >= 0x80) & (values[failed - buddy.start_pfn] == _VALUES[MigrateType.MOVABLE])
    fill(np.column_stack([failed, code & 0x0F])[stuck], STUCK)
    fill(_table(snapshot.targets, 2), ROOM)
    fill(_table(snapshot.isolated, 2), ISOLATED)
    return values


def _table(rows: Sequence[tuple[int, ...]], columns: int = 3) -> NDArray[np.int64]:
    return np.array(rows, dtype=np.int64).reshape(-1, columns)


def moves_of(snapshot: CompactionSnapshot, event: Event | None) -> tuple[tuple[int, int, int], ...]:
    """Return the moves, (from pfn, to pfn, order), that an event is about."""
    match event:
        case compacttrace.Migrate(pfn, new_pfn, order):
            return ((pfn, new_pfn, order),)
        case compacttrace.MmCompactionMigratepages(nr_migrated, _):
            first = len(snapshot.moved)
            while first and nr_migrated > 0:
                first -= 1
                nr_migrated -= 1 << snapshot.moved[first][2]
            return snapshot.moved[first:]
    return ()


def _ranges_of(snapshot: CompactionSnapshot, event: Event | None) -> tuple[list[Block], list[Block]]:
    """Return the pfns [start, end) that an event outlines: where it looked or took from, and where it put."""
    match event:
        case compacttrace.MmCompactionIsolateMigratepages(start, end) | compacttrace.MmCompactionIsolateFreepages(
            start, end
        ):
            return [(start, end)], []
        case compacttrace.MigrateFailed(pfn, order):
            return [(pfn, pfn + (1 << order))], []
    moves = moves_of(snapshot, event)
    return [(old, old + (1 << order)) for old, _, order in moves], [(new, new + (1 << k)) for _, new, k in moves]


def _merged(ranges: Iterable[Block]) -> list[Block]:
    """Return ranges in ascending order, those that touch as one; empty ones are dropped."""
    found: list[Block] = []
    for start, end in sorted(ranges):
        if found and start <= found[-1][1]:
            found[-1] = found[-1][0], max(end, found[-1][1])
        elif start < end:
            found.append((start, end))
    return found


def alt_compaction(snapshot: CompactionSnapshot, event: Event | None = None) -> str:
    """Say what has just happened, where the scanners are, what has moved so far, and what could not, and why."""
    words = compaction_in_words(event) if event is not None else ""
    pages = sum(1 << order for _, _, order in snapshot.moved)
    counts = ", ".join(f"{count:,}" for count in snapshot.buddy.counts)
    why = listed([f"{count:,} {reason}" for reason, count in reasons(snapshot)])
    return (
        f"{words} Compaction of {plural(snapshot.buddy.nr_pages, 'page')}: migrate scanner at page "
        f"0x{snapshot.migrate_pfn:x}, free scanner at 0x{snapshot.free_pfn:x}; {plural(pages, 'page')} moved, "
        f"{plural(len(snapshot.isolated), 'block')} taken off, {len(snapshot.failed):,} could not be moved"
        f"{f' ({why})' if why else ''}; {_state(snapshot)}. {plural(snapshot.buddy.free_pages, 'page')} free, "
        f"blocks of order 0 to {snapshot.buddy.max_order}: {counts}. ({snapshot.source})"
    ).strip()


def reasons(snapshot: CompactionSnapshot) -> list[tuple[str, int]]:
    """Return why blocks could not be moved, and how many each time, the most frequent reason first."""
    return Counter(why for _, why in snapshot.failed).most_common()


def _state(snapshot: CompactionSnapshot) -> str:
    return f"over ({snapshot.status})" if snapshot.done else "going on"


class CompactionPicture(Picture):
    """The zone page by page, its first page at the top left, with a line where each scanner is.

    ``event`` is the step that led to the snapshot: its words stand on top, what a scanner looked at is outlined, and
    of moves both places, with lines from one to the other.
    """

    def __init__(self, snapshot: CompactionSnapshot, event: Event | None = None) -> None:
        super().__init__(height=_TOP + _LINE * _LINES + 8)
        self._badge = self.badge(snapshot.source)
        self._heading = self.text(MARGIN, 24, "", 14, live=True, bold=True)
        self.caption = self.text(MARGIN, 46, "", 12.5, live=True)
        self._note = self.note(_LEFT, _TOP - 8, live=True)
        self.cells = self.live(Cells(INKS))
        styles = ("-", (0, (4, 1.5)))
        self.scanners = [self.line([], [], ink.TEXT, 2.2, live=True, zorder=5, linestyle=style) for style in styles]
        self.names = [self.text(0, 0, "", 11.5, live=True, va="center", bold=True) for _ in "▼▲"]
        self.outlines = [self.line([], [], ink.ALERT, 1.6, live=True, zorder=7, linestyle=style) for style in styles]
        self.arrows = self.line([], [], ink.ALERT, 0.8, live=True, zorder=6)
        self.heads = self.line([], [], ink.ALERT, 1, live=True, zorder=8, linestyle="", marker="o", markersize=3)
        self._pfns = [
            self.text(_LEFT - 8, 0, "", 10.5, live=True, ha="right", va="center", mono=True) for _ in range(20)
        ]
        self.told = [self.text(_TEXT, _TOP + 4 + _LINE * k, "", 11, live=True, va="center") for k in range(_LINES)]
        inks = (*(USED_INKS[kind] for kind in _KINDS), ink.TAKEN_OFF, ink.ROOM, ink.MOVED, ink.STUCK, ink.VACANT)
        legend_row(self, 70, [("", [*(Entry(one, one.name) for one in inks), Entry(ink.USED, "not told")])])
        self.update(snapshot, event)

    def update(self, snapshot: CompactionSnapshot, event: Event | None = None) -> None:
        """Show another state, and the step that led to it."""
        self.alt = alt_compaction(snapshot, event)
        self._start, self._pages = snapshot.buddy.start_pfn, snapshot.buddy.nr_pages
        self._badge.set(str(snapshot.source))
        pages = sum(1 << order for _, _, order in snapshot.moved)
        title = f"Compaction: {plural(pages, 'page')} moved, {_state(snapshot)}"
        self._heading.set(self.heading_fit(title, snapshot.source))
        words = compaction_in_words(event) if event is not None else ""
        self.caption.set(fit(words, self.width - 2 * MARGIN, 12.5))
        self._draw_map(cells_of(snapshot))
        self._draw_scanners(snapshot)
        self._draw_event(snapshot, event)
        write_lines(self.told, [fit(line, self.width - 8 - _TEXT, 11) for line in _told(snapshot)])
        self.touch()

    def _draw_map(self, values: NDArray[np.uint8]) -> None:
        self.per_cell = 1
        while len(values) > _WIDE * _HIGH:  # cells would be thinner than two device pixels: neighbours share one
            values = np.maximum.reduceat(values, np.arange(0, len(values), 2))
            self.per_cell *= 2
        self.columns, self.cell = _layout(len(values))
        rows = -(-len(values) // self.columns)
        self.high = min(2 * self.cell, 2 * _HIGH // rows / 2)
        padded = np.full(rows * self.columns, NOTHING, np.uint8)
        padded[: len(values)] = values
        self._right, self._bottom = _LEFT + self.columns * self.cell, _TOP + rows * self.high
        self.resize(max(self._bottom + 14, _TOP + _LINE * _LINES + 8))
        self.cells.put(padded.reshape(rows, self.columns), (_LEFT, _TOP, self._right, self._bottom))
        each = f", {self.per_cell} to a cell" if self.per_cell > 1 else ""
        self._note.set(f"{plural(self.columns * self.per_cell, 'page')} a row{each}, the first at the top left")
        self._write_pfns(rows)

    def _write_pfns(self, rows: int) -> None:
        step = 1
        while step * self.high < 16:
            step *= 2
        for number, label in enumerate(self._pfns):
            row = number * step
            pfn = self._start + row * self.columns * self.per_cell
            label.set(hex(pfn) if row < rows else "", y=_TOP + (row + 0.5) * self.high)

    def place(self, pfn: int) -> tuple[int, int]:
        """Return row and column of the cell of a page; the end of the zone is where its next page would be."""
        at = (min(max(pfn, self._start), self._start + self._pages) - self._start) // self.per_cell
        return divmod(at, self.columns)

    def _way(self, old: int, new: int) -> Points:
        """Return the line of a move, from edge to edge, so that letters stay free."""
        (row0, col0), (row1, col1) = self.place(old), self.place(new)
        return [(_LEFT + (col0 + 0.5) * self.cell, _TOP + (row0 + (row1 > row0)) * self.high),
                (_LEFT + (col1 + 0.5) * self.cell, _TOP + (row1 + (row1 < row0)) * self.high)]  # fmt: skip

    def _around(self, start: int, end: int) -> Points:
        """Outline pages [start, end) as text is selected: part of a row, whole rows, part of a row."""
        (row0, col0), (row1, col1) = self.place(start), self.place(end - 1)
        cells = [(col0, row0), (col1 + 1, row0), (col1 + 1, row0 + 1), (col0, row0 + 1), (col0, row0)]
        if row1 > row0:
            wide = self.columns
            cells = [(col0, row0), (wide, row0), (wide, row1), (col1 + 1, row1), (col1 + 1, row1 + 1), (0, row1 + 1),
                     (0, row0 + 1), (col0, row0 + 1), (col0, row0)]  # fmt: skip
        return [(_LEFT + x * self.cell, _TOP + y * self.high) for x, y in cells]

    def _draw_scanners(self, snapshot: CompactionSnapshot) -> None:
        """Draw a line between what a scanner has seen and what it has not, and its name beside it."""
        wanted = []
        for line, pfn in zip(self.scanners, (snapshot.migrate_pfn, snapshot.free_pfn), strict=True):
            row, column = self.place(pfn)
            x, y = _LEFT + column * self.cell, _TOP + row * self.high
            low = y + self.high if column else y
            line.set_data([_LEFT - 5, x, x, self._right + 5], [low, low, y, y])
            wanted.append(y)
        places = spread([wanted[0] - 0.1, wanted[1] + 0.1], 16, _TOP - 4, max(self._bottom, _TOP + 40))
        pfns = (snapshot.migrate_pfn, snapshot.free_pfn)
        for label, arrow, pfn, y in zip(self.names, "▼▲", pfns, places, strict=True):
            label.set(f"{arrow} 0x{pfn:x}", x=self._right + 9, y=y)

    def _draw_event(self, snapshot: CompactionSnapshot, event: Event | None) -> None:
        """Outline what the event is about."""
        for line, ranges in zip(self.outlines, _ranges_of(snapshot, event), strict=True):
            line.set_data(*segments([self._around(start, end) for start, end in _merged(ranges)]))
        moves = moves_of(snapshot, event)
        shown = moves if len(moves) <= _MOST_ARROWS else ()
        ways = [self._way(old, new) for old, new, _ in shown]
        self.arrows.set_data(*segments(ways))
        self.heads.set_data([end[0] for _, end in ways], [end[1] for _, end in ways])


def _told(snapshot: CompactionSnapshot) -> list[str]:
    """The lines beside the map."""
    taken, room = (sum(1 << order for _, order in blocks) for blocks in (snapshot.isolated, snapshot.targets))
    counts = snapshot.buddy.counts
    largest = max((order for order, count in enumerate(counts) if count), default=None)
    wanted = f"until a block of order {snapshot.order} is free" if snapshot.order >= 0 else "until the scanners meet"
    why = reasons(snapshot)
    more = [f"   and {plural(len(why) - 3, 'more reason')}"] if len(why) > 3 else []
    return [
        "▼ migrate scanner, from below", "▲ free scanner, from above", wanted, "",
        f"taken off now: {plural(taken, 'page')}", f"room taken: {plural(room, 'page')}",
        f"free: {plural(snapshot.buddy.free_pages, 'page')}",
        f"largest free block: order {largest}" if largest is not None else "nothing free", "",
        f"could not be moved: {plural(len(snapshot.failed), 'block')}",
        *(f"   {count:,} {reason}" for reason, count in why[:3]), *more,
    ]  # fmt: skip


def _layout(cells: int) -> tuple[int, float]:
    """Return how many cells are in a row, and CSS pixels of a cell in whole device pixels; wide rather than high."""
    sizes = {columns: _cell(cells, columns) for columns in (1 << k for k in range(3, 11))}
    best = max(sizes.values())
    columns = max(columns for columns, size in sizes.items() if size >= 0.8 * best)
    return columns, sizes[columns]


def _cell(cells: int, columns: int) -> float:
    rows = -(-cells // columns)
    return min(2 * _WIDE // columns, 2 * _HIGH // rows, _LARGEST) / 2
