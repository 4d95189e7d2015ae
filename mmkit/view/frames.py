"""The map of page frames: physical memory, each frame marked by its use, from 64 frames to millions."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mmkit.model.snapshot import FrameMap, FrameUse, ZoneSnapshot
from mmkit.record import Record
from mmkit.view import ink
from mmkit.view.artist import Box
from mmkit.view.cells import NOTHING, Cells
from mmkit.view.parts import Entry, Legend, exact_size, listed, outline_of, pages_size, spread
from mmkit.view.picture import MARGIN, Picture, fit

_LEFT, _TOP, _WIDTH, _HIGH, _LOW = 132, 62, 640, 264, 96
_LARGEST_CELL, _MOST_ZONES = 64, 16
_USES = tuple(FrameUse)


def count_uses(uses: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Return how many frames have each FrameUse."""
    return np.array([np.count_nonzero(uses == np.uint8(use)) for use in _USES], dtype=np.int64)


def alt_frame_map(frame_map: FrameMap, highlight: tuple[int, int] | None = None, page_size: int = 4096) -> str:
    """Say how many frames are used for what."""
    counts = count_uses(np.frombuffer(frame_map.uses, dtype=np.uint8))
    return _alt(frame_map, counts, highlight, page_size)


def _alt(frame_map: FrameMap, counts: NDArray[np.int64], highlight: tuple[int, int] | None, page_size: int) -> str:
    start, size = frame_map.start_pfn, len(frame_map.uses)
    uses = [f"{count:,} {ink.USE_INKS[use].name}" for use, count in zip(_USES, counts, strict=True) if count]
    marked = f" Marked: pfn 0x{highlight[0]:x} to 0x{highlight[1] - 1:x}." if highlight else ""
    return (
        f"Map of {size:,} page frames ({pages_size(size, page_size)}), pfn 0x{start:x} to 0x{start + size - 1:x}: "
        f"{listed(uses)}.{marked} ({frame_map.source})"
    )


class Grid(Record):
    """How frames are laid out: ``per_cell`` frames a cell, cells of ``wide`` by ``high`` device pixels."""

    first_pfn: int
    per_cell: int
    columns: int
    rows: int
    wide: int
    high: int

    @property
    def per_row(self) -> int:
        """Frames in a row."""
        return self.per_cell * self.columns


def choose_grid(start_pfn: int, frames: int, width: int, height: int, largest: int) -> Grid:
    """Return the grid that shows most detail in ``width`` by ``height`` device pixels; rows start at round pfns."""
    best: tuple[tuple[float, ...], Grid] | None = None
    for columns in (1 << k for k in range(width.bit_length())):
        per_cell = 1
        while (rows := _rows(start_pfn, frames, per_cell * columns)) > height:
            per_cell *= 2
        wide, high = min(width // columns, largest), min(height // rows, largest)
        wide, high = min(wide, 2 * high), min(high, 2 * wide)
        first = start_pfn // (per_cell * columns) * per_cell * columns
        score = (-per_cell, min(wide, high), wide * high, columns)
        if best is None or score > best[0]:
            best = score, Grid(first, per_cell, columns, rows, wide, high)
    assert best is not None
    return best[1]


def _rows(start_pfn: int, frames: int, per_row: int) -> int:
    return -(-(start_pfn + frames) // per_row) - start_pfn // per_row


def fold(uses: NDArray[np.uint8], per_cell: int) -> NDArray[np.uint8]:
    """Return the highest value of every ``per_cell`` (a power of two) neighbours; length a multiple of it."""
    while per_cell > 1:
        uses = np.maximum(uses[0::2], uses[1::2])
        per_cell //= 2
    return uses


class FrameMapPicture(Picture):
    """Physical memory as cells in rows, each frame (or group of neighbours) marked by its use.

    A cell that stands for several frames shows the use that comes last in the legend, so it is pale only if none of
    them is in use. ``zones`` are marked at the side; ``highlight`` is a range [start, end) of pfns.
    """

    def __init__(
        self, frame_map: FrameMap, zones: Sequence[ZoneSnapshot] = (), *, highlight: tuple[int, int] | None = None,
        title: str = "Physical memory, frame by frame", page_size: int = 4096,
    ) -> None:  # fmt: skip
        super().__init__(height=_TOP + _HIGH + 74)
        self.page_size, self._title = page_size, title
        self.frame_map: FrameMap | None = None
        self.cells = self.live(Cells(ink.USE_INKS))
        self.counts = np.zeros(len(_USES), dtype=np.int64)
        self._badge = self.badge(frame_map.source)
        self._heading = self.text(MARGIN, 22, title, 14, live=True, bold=True)
        self._scale = self.text(MARGIN, 44, "", 11.5, live=True, colour=ink.MUTED)
        rows = _HIGH // 18 + 1
        self._pfns = [
            self.text(_LEFT - 8, 0, "", 10.5, live=True, ha="right", va="center", mono=True) for _ in range(rows)
        ]
        self._addrs = [self.text(MARGIN, 0, "", 10, live=True, va="center", colour=ink.MUTED) for _ in range(rows)]
        self.legend = Legend(self, (MARGIN, _TOP + _HIGH + 12, self.width + 4, self.height), len(_USES), columns=5)
        self._zone_lines = [self.line([], [], ink.MUTED, 1.5, live=True) for _ in range(_MOST_ZONES)]
        self._zone_names = [self.text(0, 0, "", 11, live=True, va="center") for _ in range(_MOST_ZONES)]
        self._frame = self.line([], [], ink.LINE, 1, live=True)
        casing = ((ink.PAPER, 4.5), (ink.TEXT, 2))
        self.outline = [self.line([], [], colour, wide, live=True, zorder=6) for colour, wide in casing]
        self.update(frame_map, zones, highlight=highlight)

    def update(
        self,
        frame_map: FrameMap,
        zones: Sequence[ZoneSnapshot] | None = None,
        *,
        highlight: tuple[int, int] | None = None,
    ) -> None:
        """Show another state; what changed since the last one is found, and only that is drawn anew."""
        uses, old = np.frombuffer(frame_map.uses, dtype=np.uint8), self.frame_map
        same_frames = old and (old.start_pfn, len(old.uses)) == (frame_map.start_pfn, len(frame_map.uses))
        self.frame_map = frame_map
        if old and same_frames:
            self._draw_changes(np.frombuffer(old.uses, dtype=np.uint8), uses)
        else:
            self._lay_out(frame_map)
            self._draw_all(uses)
        if zones is not None or not same_frames:
            self._mark_zones(zones or ())
        self._badge.set(str(frame_map.source))
        self._heading.set(self.heading_fit(self._title, frame_map.source))
        self._mark(highlight)
        self._write_legend()
        self.alt = _alt(frame_map, self.counts, highlight, self.page_size)
        self.touch()

    def _lay_out(self, frame_map: FrameMap) -> None:
        room = int(_HIGH * self.ratio)
        size = len(frame_map.uses)
        width, largest = int(_WIDTH * self.ratio), int(_LARGEST_CELL * self.ratio)
        self.grid = choose_grid(frame_map.start_pfn, size, width, room, largest)
        grid = self.grid
        wide, high = grid.columns * grid.wide / self.ratio, grid.rows * grid.high / self.ratio
        self.map_box = (_LEFT, _TOP, _LEFT + wide, _TOP + high)
        self._bottom = _TOP + max(high, _LOW)
        self.resize(self._bottom + 74)
        self.legend.move(self._bottom + 12)
        each = "one cell = one frame"
        if grid.per_cell > 1:
            each = f"one dot = {grid.per_cell:,} frames, pale only if none is in use"
        # Holes are as white as paper where cells are too small for a hatch: a frame says where the map ends.
        self._frame.set_data(*(outline_of(Box(*self.map_box)) if grid.per_cell > 1 else ([], [])))
        total = f"{size:,} frames of {pages_size(1, self.page_size)} = {pages_size(size, self.page_size)}"
        self._scale.set(f"{total}; {each}; a row = {grid.per_row:,} frames")
        self._write_rows()

    def _write_rows(self) -> None:
        grid, high = self.grid, self.grid.high / self.ratio
        step = 1
        while step * high < 18:
            step *= 2
        for number, (pfn, addr) in enumerate(zip(self._pfns, self._addrs, strict=True)):
            row = number * step
            shown, first = row < grid.rows, grid.first_pfn + row * grid.per_row
            y = _TOP + row * high + (high / 2 if step == 1 else 5)
            pfn.set(hex(first) if shown else "", y=y)
            addr.set(exact_size(first * self.page_size) if shown else "", y=y)

    def _draw_all(self, uses: NDArray[np.uint8]) -> None:
        self.counts = count_uses(uses)
        self.values = np.full((self.grid.rows, self.grid.columns), NOTHING, dtype=np.uint8)
        self._fold_rows(uses, 0, self.grid.rows - 1)
        self.cells.put(self.values, self.map_box)

    def _draw_changes(self, old: NDArray[np.uint8], new: NDArray[np.uint8]) -> None:
        span = changed_span(old, new)
        if span is None:
            return
        self.counts = self.counts - count_uses(old[slice(*span)]) + count_uses(new[slice(*span)])
        offset = self._start - self.grid.first_pfn
        rows = (span[0] + offset) // self.grid.per_row, (span[1] - 1 + offset) // self.grid.per_row
        self._fold_rows(new, *rows)
        self.cells.put(self.values, self.map_box, dirty=rows)

    @property
    def _start(self) -> int:
        assert self.frame_map is not None
        return self.frame_map.start_pfn

    def _fold_rows(self, uses: NDArray[np.uint8], first: int, last: int) -> None:
        """Fill rows of cells; cells that reach beyond the frames show the frames they have."""
        grid, offset = self.grid, self._start - self.grid.first_pfn
        begin, end = first * grid.per_row - offset, (last + 1) * grid.per_row - offset
        part = uses[max(begin, 0) : end]
        if len(part) < end - begin:
            whole = np.zeros(end - begin, dtype=np.uint8)
            whole[max(-begin, 0) : max(-begin, 0) + len(part)] = part
            part = whole
        self.values[first : last + 1] = fold(part, grid.per_cell).reshape(last + 1 - first, grid.columns)
        flat, per_cell = self.values.reshape(-1), grid.per_cell
        flat[: offset // per_cell] = NOTHING
        flat[-(-(offset + len(uses)) // per_cell) :] = NOTHING

    def _write_legend(self) -> None:
        shown = [(use, count) for use, count in zip(_USES, self.counts, strict=True) if count]
        self.legend.set([Entry(ink.USE_INKS[use], ink.USE_INKS[use].name, f"{count:,}") for use, count in shown])

    def _y(self, pfn: int) -> float:
        """Top edge of the row that holds ``pfn``, to a fraction of a row."""
        return _TOP + (pfn - self.grid.first_pfn) / self.grid.per_row * self.grid.high / self.ratio

    def _mark_zones(self, zones: Sequence[ZoneSnapshot]) -> None:
        end = self._start + len(self.frame_map.uses if self.frame_map else b"")
        shown = [z for z in zones if z.spanned and z.start_pfn < end and z.end_pfn > self._start][:_MOST_ZONES]
        tops = [self._y(max(z.start_pfn, self._start)) for z in shown]
        ends = [max(top + 2, self._y(min(z.end_pfn, end))) for top, z in zip(tops, shown, strict=True)]
        middles = [(top + below) / 2 for top, below in zip(tops, ends, strict=True)]
        places = spread(middles, 15, _TOP + 6, max(self._bottom - 4, _TOP + 15 * len(shown)))
        for number, (line, name) in enumerate(zip(self._zone_lines, self._zone_names, strict=True)):
            if number >= len(shown):
                line.set_data([], [])
                name.set("")
                continue
            top, below, x = tops[number] + 0.5, ends[number] - 0.5, self.map_box[2] + 5
            line.set_data(
                [x, x + 4, x + 4, x + 8, x + 4, x + 4, x],
                [top, top, middles[number], places[number], middles[number], below, below],
            )
            many = len({z.node for z in shown}) > 1
            node = f" {shown[number].node}" if many else ""
            text = f"{shown[number].name}{node}: {exact_size(shown[number].spanned * self.page_size)}"
            name.set(fit(text, self.width - MARGIN - x, 11), x=x + 12, y=places[number])

    def _mark(self, highlight: tuple[int, int] | None) -> None:
        xs, ys = self._outline_of(*highlight) if highlight else ([], [])
        for line in self.outline:
            line.set_data(xs, ys)

    def _outline_of(self, start: int, end: int) -> tuple[list[float], list[float]]:
        """Outline a range of frames as text is selected: part of a row, whole rows, part of a row."""
        grid, ratio = self.grid, self.ratio
        first, last = (start - grid.first_pfn) // grid.per_cell, -(-(end - grid.first_pfn) // grid.per_cell)
        row0, col0 = divmod(first, grid.columns)
        row1, col1 = divmod(last - 1, grid.columns)
        cells = [(col0, row0), (grid.columns, row0), (grid.columns, row1), (col1 + 1, row1), (col1 + 1, row1 + 1),
                 (0, row1 + 1), (0, row0 + 1), (col0, row0 + 1), (col0, row0)]  # fmt: skip
        if row0 == row1:
            cells = [(col0, row0), (col1 + 1, row0), (col1 + 1, row0 + 1), (col0, row0 + 1), (col0, row0)]
        return [_LEFT + x * grid.wide / ratio for x, _ in cells], [_TOP + y * grid.high / ratio for _, y in cells]


def changed_span(old: NDArray[np.uint8], new: NDArray[np.uint8]) -> tuple[int, int] | None:
    """Return the first and the end index of what differs, to a multiple of eight; None if nothing does."""
    whole = len(new) // 8 * 8
    differ = np.flatnonzero(old[:whole].view(np.uint64) != new[:whole].view(np.uint64)) * 8
    tail = bool((old[whole:] != new[whole:]).any())
    if not len(differ) and not tail:
        return None
    first = int(differ[0]) if len(differ) else whole
    return first, len(new) if tail else int(differ[-1]) + 8
