"""Compaction as a map: two scanners, the pages that are taken off, the room for them, what has moved and what stays."""

from __future__ import annotations

import numpy as np
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from mmkit.model import compacttrace
from mmkit.model.fragstate import CompactionSnapshot
from mmkit.model.migratetype import MigrateType
from mmkit.model.trace import Event
from mmkit.view import ink
from mmkit.view.artist import Box
from mmkit.view.blocks import USED_INKS
from mmkit.view.cells import NOTHING, Cells
from mmkit.view.compactwords import compaction_in_words
from mmkit.view.ink import Ink
from mmkit.view.parts import Entry, legend_row, outline_of, plural, wrapped, write_lines
from mmkit.view.picture import MARGIN, Picture

FREE, UNTOLD, ROOM, ISOLATED = 0, 1, 2, 9
"""Values of cells, from 3 up migrate types; where several pages share a cell the highest shows."""
_KINDS = (MigrateType.MOVABLE, MigrateType.RECLAIMABLE, MigrateType.UNMOVABLE)
_FREE = Ink("free", "", "#f4f4f4", "#f4f4f4", edge=ink.LINE)
_UNTOLD = Ink("in use", "o", "#a9a9a9", "#8b8b8b", "-", edge="#7d7d7d")
_ROOM = Ink("room, taken by the free scanner", "r", "#f0e442", "#b9ad10", ".", edge="#8f8600")
_ISOLATED = Ink("taken off, to be moved", "m", "#000000", "#000000", "", ink.PAPER)
_VALUES = {kind: 3 + number for number, kind in enumerate(_KINDS)}
INKS = {FREE: _FREE, UNTOLD: _UNTOLD, ROOM: _ROOM, ISOLATED: _ISOLATED} | {
    _VALUES[kind]: USED_INKS[kind] for kind in _KINDS
}
_LEFT, _TOP, _WIDE, _HIGH, _LARGEST = 40, 104, 560, 300, 64
_TEXT = 640


def cells_of(snapshot: CompactionSnapshot) -> NDArray[np.uint8]:
    """Return what every page of the zone is."""
    buddy = snapshot.buddy
    values = np.full(buddy.nr_pages, UNTOLD, np.uint8)
    start = buddy.start_pfn
    for order, lists in enumerate(buddy.free_lists):
        for pfn in (pfn for pfns in lists for pfn in pfns):
            values[pfn - start : pfn - start + (1 << order)] = FREE
    for pfn, order, kind in buddy.allocated_blocks:
        values[pfn - start : pfn - start + (1 << order)] = _VALUES.get(MigrateType(kind), UNTOLD)
    for blocks, value in ((snapshot.targets, ROOM), (snapshot.isolated, ISOLATED)):
        for pfn, order in blocks:
            values[pfn - start : pfn - start + (1 << order)] = value
    return values


def alt_compaction(snapshot: CompactionSnapshot, event: Event | None = None) -> str:
    """Say what has just happened, where the scanners are, and what has moved so far."""
    words = compaction_in_words(event) if event is not None else ""
    pages = sum(1 << order for _, _, order in snapshot.moved)
    counts = ", ".join(f"{count:,}" for count in snapshot.buddy.counts)
    return (
        f"{words} Compaction of {plural(snapshot.buddy.nr_pages, 'page')}: migrate scanner at page "
        f"0x{snapshot.migrate_pfn:x}, free scanner at 0x{snapshot.free_pfn:x}; {plural(pages, 'page')} moved, "
        f"{plural(len(snapshot.isolated), 'block')} taken off, {len(snapshot.failed):,} could not be moved; "
        f"{_state(snapshot)}. {plural(snapshot.buddy.free_pages, 'page')} free, blocks of order 0 to "
        f"{snapshot.buddy.max_order}: {counts}. ({snapshot.source})"
    ).strip()


def _state(snapshot: CompactionSnapshot) -> str:
    return f"over ({snapshot.status})" if snapshot.done else "going on"


class CompactionPicture(Picture):
    """The zone page by page, page 0 at the top left, with a line where each scanner is.

    ``event`` is the step that led to the snapshot: its words stand on top; of a move, both places are outlined.
    """

    def __init__(self, snapshot: CompactionSnapshot, event: Event | None = None) -> None:
        super().__init__(height=_TOP + _HIGH + 46)
        self._badge = self.badge(snapshot.source)
        self._heading = self.text(MARGIN, 24, "", 14, live=True, bold=True)
        self.caption = [self.text(MARGIN, 46 + 17 * line, "", 12.5, live=True) for line in range(2)]
        self._note = self.note(_LEFT, _TOP - 12, live=True)
        self.cells = self.live(Cells(INKS))
        self.scanners = [self.line([], [], ink.TEXT, 2, live=True, zorder=5) for _ in range(2)]
        # Beside each other, so that they can still be told apart when the scanners meet.
        sides = ((_LEFT - 24, "▼"), (_LEFT - 8, "▲"))
        self._arrows = [self.text(x, 0, arrow, 15, live=True, ha="right", va="center") for x, arrow in sides]
        self.outlines = [self.line([], [], ink.ALERT, 2, live=True, zorder=6) for _ in range(2)]
        self._lines = [self.text(_TEXT, _TOP + 12 + 19 * i, "", 11.5, live=True, bold=i in (0, 3)) for i in range(14)]
        entries = [Entry(USED_INKS[kind], USED_INKS[kind].name) for kind in _KINDS]
        legend_row(
            self, self.height - 14, [("", [*entries, *(Entry(one, one.name) for one in (_ISOLATED, _ROOM, _FREE))])]
        )
        self.update(snapshot, event)

    def update(self, snapshot: CompactionSnapshot, event: Event | None = None) -> None:
        """Show another state, and the step that led to it."""
        self.alt = alt_compaction(snapshot, event)
        self._badge.set(str(snapshot.source))
        pages = sum(1 << order for _, _, order in snapshot.moved)
        self._heading.set(
            self.heading_fit(f"Compaction: {plural(pages, 'page')} moved, {_state(snapshot)}", snapshot.source)
        )
        words = compaction_in_words(event) if event is not None else ""
        write_lines(self.caption, wrapped(words, self.width - 2 * MARGIN, 12.5))
        self._draw_map(cells_of(snapshot))
        self._draw_scanners(snapshot)
        self._draw_move(snapshot, event)
        write_lines(self._lines, self._told(snapshot))
        self.touch()

    def _draw_map(self, values: NDArray[np.uint8]) -> None:
        self.per_cell = 1
        while len(values) > 4 * _WIDE * _HIGH:  # more cells than device pixels: neighbours share one
            values, self.per_cell = np.maximum(values[0::2], values[1::2]), self.per_cell * 2
        self.columns = max((1 << k for k in range(3, 11)), key=lambda columns: (_cell(len(values), columns), columns))
        rows, self.cell = -(-len(values) // self.columns), _cell(len(values), self.columns)
        padded = np.full(rows * self.columns, NOTHING, np.uint8)
        padded[: len(values)] = values
        right, bottom = _LEFT + self.columns * self.cell, _TOP + rows * self.cell
        self.cells.put(padded.reshape(rows, self.columns), (_LEFT, _TOP, right, bottom))
        self._right = right
        self._note.set(f"{plural(self.columns * self.per_cell, 'page')} a row, page 0 at the top left")

    def _box(self, page: int, pages: int) -> Box:
        """Where ``pages`` pages from ``page`` on are, as far as they lie in one row."""
        at = page // self.per_cell
        row, column = divmod(at, self.columns)
        wide = min(self.columns - column, max(1, pages // self.per_cell)) * self.cell
        left, top = _LEFT + column * self.cell, _TOP + row * self.cell
        return Box(left, top, left + wide, top + self.cell)

    def _draw_scanners(self, snapshot: CompactionSnapshot) -> None:
        start, end = snapshot.buddy.start_pfn, snapshot.buddy.start_pfn + snapshot.buddy.nr_pages
        for line, arrow, pfn in zip(
            self.scanners, self._arrows, (snapshot.migrate_pfn, snapshot.free_pfn), strict=True
        ):
            at = (min(max(pfn, start), end) - start) // self.per_cell
            row, column = divmod(at, self.columns)
            y, x = _TOP + row * self.cell, _LEFT + column * self.cell
            line.set_data([_LEFT - 6, x, x, self._right + 6], [y + self.cell, y + self.cell, y, y])
            arrow.set(y=y + self.cell / 2)

    def _draw_move(self, snapshot: CompactionSnapshot, event: Event | None) -> None:
        blocks: list[tuple[int, int]] = []
        match event:
            case compacttrace.Migrate(pfn, new_pfn, order):
                blocks = [(pfn, order), (new_pfn, order)]
            case compacttrace.MigrateFailed(pfn, order, _):
                blocks = [(pfn, order)]
        for number, line in enumerate(self.outlines):
            self._outline(line, snapshot, blocks[number] if number < len(blocks) else None)

    def _outline(self, line: Line2D, snapshot: CompactionSnapshot, block: tuple[int, int] | None) -> None:
        if block is None:
            line.set_data([], [])
        else:
            line.set_data(*outline_of(self._box(block[0] - snapshot.buddy.start_pfn, 1 << block[1])))

    def _told(self, snapshot: CompactionSnapshot) -> list[str]:
        """The lines beside the map."""
        moves = [f"0x{old:x} to 0x{new:x}" for old, new, _ in snapshot.moved[-4:]]
        room = sum(1 << order for _, order in snapshot.targets)
        taken = sum(1 << order for _, order in snapshot.isolated)
        largest = max((order for order, count in enumerate(snapshot.buddy.counts) if count), default=None)
        return [
            "scanners", f"▼ migrate: page 0x{snapshot.migrate_pfn:x}", f"▲ free: page 0x{snapshot.free_pfn:x}",
            "pages", f"taken off: {taken:,}", f"room: {room:,}", f"could not be moved: {len(snapshot.failed):,}",
            f"free: {snapshot.buddy.free_pages:,}",
            f"largest free block: order {largest}" if largest is not None else "nothing free",
            "last moves:" if moves else "", *moves,
        ]  # fmt: skip


def _cell(cells: int, columns: int) -> float:
    """CSS pixels of a cell, in whole device pixels, with so many of them a row."""
    rows = -(-cells // columns)
    return min(2 * _WIDE // columns, 2 * _HIGH // rows, _LARGEST) / 2
