"""Many small things in one image: cells of a grid, and boxes on lanes along an address axis."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from matplotlib.artist import Artist
from numpy.typing import NDArray

from mmkit.view.artist import DPI, Box, Painted, sheet, sprite, word
from mmkit.view.ink import Ink

_THINNEST, _HAS_FACE = 2, 4
"""Least width of a box in device pixels, and from which width on it is more than its edge."""
_FEW = 32
NOTHING = 255
"""Value of a cell that is not drawn."""


@lru_cache(maxsize=16)
def _tiles(inks: tuple[tuple[int, Ink], ...], rows: int, columns: int, scale: float) -> NDArray[np.uint32]:
    """One picture for each value of a cell, (256, rows, columns) RGBA words."""
    tiles = np.zeros((256, rows, columns), dtype=np.uint32)
    gap = 0 if min(rows, columns) < 6 else 1 if min(rows, columns) < 24 else 2
    for value, one in inks:
        face = sheet(one, rows - gap, columns - gap, scale if min(rows, columns) >= 12 * scale else scale / 2)
        if min(rows, columns) < 5 * scale:
            face = np.full_like(face, word(one.face))
        tiles[value, : rows - gap, : columns - gap] = face
        if one.letter and min(rows, columns * 1.2) >= 11 * scale:
            _stamp(tiles[value], one, min(rows * 0.62, columns * 0.75, 15 * scale))
    return tiles


def _stamp(tile: NDArray[np.uint32], one: Ink, pixels: float) -> None:
    """Blend the ink's letter over the middle of its tile."""
    letter = sprite(one.letter, round(pixels), one.text).rgba[::-1]
    rows, columns = letter.shape[:2]
    y, x = (tile.shape[0] - rows) // 2, (tile.shape[1] - columns) // 2
    view = tile.view(np.uint8).reshape(*tile.shape, 4)[y : y + rows, x : x + columns, :3]
    alpha = letter[..., 3:].astype(np.uint16)
    view[...] = (view * (255 - alpha) + letter[..., :3] * alpha) // 255


class Cells(Painted):
    """A grid of equal cells, each drawn by its value: one take from a table of tiles, however many there are."""

    def __init__(self, inks: Mapping[Any, Ink]) -> None:
        super().__init__((0, 0, 1, 1))
        self.values = np.zeros((1, 1), dtype=np.uint8)
        self._inks = tuple((int(value), one) for value, one in inks.items())
        self._words: NDArray[np.uint32] | None = None
        self._pending: tuple[int, int] | None = None
        self._solid = False

    def put(self, values: NDArray[np.uint8], box: Sequence[float], dirty: tuple[int, int] | None = None) -> None:
        """Show ``values``, (rows, columns); ``dirty`` are the first and last row that changed, if that is known."""
        if dirty is None or Box(*box) != self.box or values.shape != self.values.shape:
            self._words = None
        elif self._pending:
            dirty = min(dirty[0], self._pending[0]), max(dirty[1], self._pending[1])
        self.values, self.box, self._pending = values, Box(*box), dirty

    def paint(self, pixels: NDArray[np.uint32], scale: float) -> None:
        """Set the pixels of the cells; these are whole device pixels, so the box should be a multiple of the grid."""
        high, wide = pixels.shape[0] // len(self.values), pixels.shape[1] // self.values.shape[1]
        if self._words is None or self._words.shape != pixels.shape:
            self._words = np.zeros(pixels.shape, dtype=np.uint32)
            self._pending = 0, len(self.values) - 1
        if self._pending is not None:
            self._render_rows(self._words, self._pending, _tiles(self._inks, high, wide, scale))
            self._pending = None
            self._solid = bool(self._words.all())
        np.copyto(pixels, self._words, where=True if self._solid else self._words != 0)

    def _render_rows(self, words: NDArray[np.uint32], dirty: tuple[int, int], tiles: NDArray[np.uint32]) -> None:
        part = self.values[dirty[0] : dirty[1] + 1]
        high, wide = tiles.shape[1:]
        image = tiles[:, 0, 0].take(part) if high == wide == 1 else tiles.take(part, axis=0).swapaxes(1, 2)
        words[dirty[0] * high : (dirty[1] + 1) * high, : part.shape[1] * wide] = image.reshape(len(part) * high, -1)


class Run(NamedTuple):
    """Boxes of one kind on one lane: pfns where they start and end, and their ink."""

    start: NDArray[np.int64]
    end: NDArray[np.int64]
    ink: Ink


class Lanes(Painted):
    """Lanes one above the other along a common axis of page frame numbers; boxes on a lane do not overlap.

    A lane may hold hundreds of thousands of boxes; none is thinner than two device pixels. ``lanes`` are (top, bottom)
    in CSS pixels, ``runs`` the boxes of each.
    """

    def __init__(self, box: Sequence[float]) -> None:
        super().__init__(box)
        self.lanes: list[tuple[float, float]] = []
        self.runs: list[list[Run]] = []
        self.span = (0, 1)

    def put(self, lanes: Sequence[tuple[float, float]], runs: Sequence[Sequence[Run]], span: tuple[int, int]) -> None:
        """Show boxes between the pfns of ``span``."""
        self.lanes, self.runs, self.span = list(lanes), [list(run) for run in runs], span

    def x(self, pfn: float) -> float:
        """Return where a pfn is drawn, in CSS pixels."""
        start, end = self.span
        return self.box.left + (self.box.right - self.box.left) * (pfn - start) / (end - start)

    def paint(self, pixels: NDArray[np.uint32], scale: float) -> None:
        """Set the pixels of all boxes."""
        for (top, bottom), runs in zip(self.lanes, self.runs, strict=True):
            y0, y1 = round((top - self.box.top) * scale), round((bottom - self.box.top) * scale)
            for run in runs:
                self._paint_run(pixels[y0:y1], run, scale)

    def _paint_run(self, band: NDArray[np.uint32], run: Run, scale: float) -> None:
        rows, columns = band.shape
        start, end = self.span
        inside = (run.end > start) & (run.start < end)
        x0 = ((run.start[inside] - start) * columns // (end - start)).clip(0, columns - 1)
        x1 = np.maximum(x0 + _THINNEST, (run.end[inside] - start) * columns // (end - start)).clip(0, columns)
        wide = x1 - x0
        if len(wide) <= _FEW and wide.min(initial=_HAS_FACE) >= _HAS_FACE:
            _paint_boxes(band, zip(x0.tolist(), x1.tolist(), strict=True), run.ink, scale)
            return
        covered = np.repeat(x0 - np.cumsum(wide) + wide, wide) + np.arange(wide.sum())
        band[:, covered] = sheet(run.ink, rows, columns, scale)[:, covered]
        edge, thin = word(run.ink.edge), wide < _HAS_FACE
        band[:, covered[np.repeat(thin, wide)]] = edge
        band[:, x0] = band[:, x1 - 1] = edge
        band[0, covered] = band[-1, covered] = edge


def _paint_boxes(band: NDArray[np.uint32], boxes: Iterable[tuple[int, int]], one: Ink, scale: float) -> None:
    """Paint a few boxes one by one: copies of slices, faster than an index for each column."""
    rows, columns = band.shape
    face, edge = sheet(one, rows, columns, scale), word(one.edge)
    for left, right in boxes:
        area = band[:, left:right]
        area[...] = face[:, left:right]
        area[0] = area[-1] = area[:, 0] = area[:, -1] = edge


class Letters(Artist):
    """Many short texts, each centred at its place: sprites, copied one after the other."""

    def __init__(self, size: float = 11) -> None:
        super().__init__()
        self.size = size
        self.letters: list[tuple[float, float, str, str]] = []
        self.set_zorder(4)

    def put(self, letters: Sequence[tuple[float, float, str, str]]) -> None:
        """Show (x, y, text, colour) each, x and y in CSS pixels."""
        self.letters = list(letters)

    @property
    def texts(self) -> list[tuple[str, Box]]:
        """Each text, and the rectangle that its ink fills, in CSS pixels."""
        sizes = [sprite(text, self.size * 2, colour).rgba.shape for _, _, text, colour in self.letters]
        places = [(x, y, shape[1] / 4, shape[0] / 4) for (x, y, _, _), shape in zip(self.letters, sizes, strict=True)]
        boxes = [Box(x - wide, y - high, x + wide, y + high) for x, y, wide, high in places]
        return [(text, box) for (_, _, text, _), box in zip(self.letters, boxes, strict=True)]

    def draw(self, renderer: Any) -> None:
        """Copy the sprites into the picture."""
        scale = renderer.dpi / DPI
        gc = renderer.new_gc()
        for x, y, text, colour in self.letters:
            found = sprite(text, self.size * scale, colour)
            rows, columns = found.rgba.shape[:2]
            renderer.draw_image(
                gc, round(x * scale - columns / 2), renderer.height - round(y * scale + rows / 2), found.rgba
            )
        gc.restore()
