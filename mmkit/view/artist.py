"""Artists that are cheap to draw again: text kept as sprites, and cells and boxes painted as one image.

Positions are CSS pixels from the top left corner of the picture, y downwards; sizes of text are CSS pixels too.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache, lru_cache
from typing import Any, NamedTuple

import numpy as np
from matplotlib.artist import Artist
from matplotlib.font_manager import FontProperties, findfont
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from mmkit.view import ink
from mmkit.view.ink import Ink
from mmkit.view.png import rgb

DPI = 100
"""CSS pixels in an inch of a figure: a figure's dpi divided by this is its device pixels per CSS pixel."""


class Box(NamedTuple):
    """A rectangle in CSS pixels: left, top, right, bottom."""

    left: float
    top: float
    right: float
    bottom: float


class Sprite(NamedTuple):
    """A string drawn once: RGBA, bottom row first, and where it lies from the start of its baseline (device pixels)."""

    rgba: NDArray[np.uint8]
    left: int
    top: int
    bottom: int
    advance: float


@cache
def _font(pixels: float, bold: bool, mono: bool) -> ImageFont.FreeTypeFont:
    family = "DejaVu Sans Mono" if mono else "DejaVu Sans"
    path = findfont(FontProperties(family=family, weight="bold" if bold else "normal"))
    return ImageFont.truetype(path, pixels, layout_engine=ImageFont.Layout.BASIC)


@lru_cache(maxsize=4096)
def sprite(text: str, pixels: float, colour: str = ink.TEXT, bold: bool = False, mono: bool = False) -> Sprite:
    """Return ``text`` as a picture, ``pixels`` high in device pixels."""
    font = _font(pixels, bold, mono)
    left, top, right, bottom = (round(edge) for edge in font.getbbox(text, anchor="ls"))
    size = max(1, right - left), max(1, bottom - top)
    mask = Image.new("L", size)
    ImageDraw.Draw(mask).text((-left, -top), text, fill=255, font=font, anchor="ls")
    rgba = np.empty((size[1], size[0], 4), dtype=np.uint8)
    rgba[..., :3] = rgb(colour)
    rgba[..., 3] = np.asarray(mask)[::-1]
    return Sprite(rgba, left, top, bottom, font.getlength(text))


@lru_cache(maxsize=4096)
def text_width(text: str, size: float = 12, bold: bool = False, mono: bool = False) -> float:
    """Return the width of ``text`` in CSS pixels."""
    return _font(size * 2, bold, mono).getlength(text) / 2


class Label(Artist):
    """A line of text at (x, y): drawing it again costs a copy of its sprite, not a layout.

    ``ha`` is "left", "center" or "right"; ``va`` is "baseline", "center" (of the capitals) or "top".
    """

    def __init__(
        self, x: float, y: float, text: str = "", size: float = 12, *, colour: str = ink.TEXT, ha: str = "left",
        va: str = "baseline", bold: bool = False, mono: bool = False,
    ) -> None:  # fmt: skip
        super().__init__()
        self.x, self.y, self.text, self.size, self.colour = x, y, text, size, colour
        self.ha, self.va, self.bold, self.mono = ha, va, bold, mono
        self.set_zorder(5)

    def set(self, text: str | None = None, x: float | None = None, y: float | None = None, **look: Any) -> None:  # type: ignore[override]
        """Change the text, the place or the look (``colour``, ``bold``, ...)."""
        self.text = self.text if text is None else text
        self.x, self.y = (self.x if x is None else x), (self.y if y is None else y)
        for name, value in look.items():
            setattr(self, name, value)

    def _placed(self, scale: float) -> tuple[Sprite, float, float]:
        found = sprite(self.text, self.size * scale, self.colour, self.bold, self.mono)
        x = self.x * scale - {"left": 0.0, "center": 0.5, "right": 1.0}[self.ha] * found.advance
        drop = {"baseline": 0.0, "center": 0.365, "top": 0.76}[self.va] * self.size * scale
        return found, round(x), round(self.y * scale + drop)

    def draw(self, renderer: Any) -> None:
        """Copy the sprite into the picture."""
        if not self.get_visible() or not self.text:
            return
        found, x, baseline = self._placed(renderer.dpi / DPI)
        gc = renderer.new_gc()
        renderer.draw_image(gc, x + found.left, renderer.height - baseline - found.bottom, found.rgba)
        gc.restore()

    @property
    def texts(self) -> list[tuple[str, Box]]:
        """The text and the rectangle that its ink fills, if it shows."""
        return [(self.text, self.box)] if self.text and self.get_visible() else []

    @property
    def box(self) -> Box:
        """The rectangle that the ink of the text fills, in CSS pixels."""
        found, x, baseline = self._placed(2)
        right = x + found.left + found.rgba.shape[1]
        return Box((x + found.left) / 2, (baseline + found.top) / 2, right / 2, (baseline + found.bottom) / 2)


@cache
def word(colour: str) -> np.uint32:
    """Return "#rrggbb" as one opaque pixel of Agg's buffer."""
    red, green, blue = rgb(colour)
    return np.uint32(0xFF000000 | blue << 16 | green << 8 | red)


def _tile(one: Ink, scale: float) -> NDArray[np.uint32]:
    """The smallest square that, repeated, makes the ink's hatch."""
    step, thick = max(3, round(7 * scale)), max(1, round(1.2 * scale))
    y, x = np.mgrid[:step, :step]
    marked = {
        "": x < 0, "-": y < thick, "|": x < thick, ".": (x < 2 * thick) & (y < 2 * thick),
        "/": (x + y) % step < thick, "\\": (x - y) % step < thick,
        "x": ((x + y) % step < thick) | ((x - y) % step < thick),
    }[one.hatch]  # fmt: skip
    return np.where(marked, word(one.mark), word(one.face))


@lru_cache(maxsize=128)
def _sheet(one: Ink, rows: int, columns: int, scale: float) -> NDArray[np.uint32]:
    tile = _tile(one, scale)
    return np.tile(tile, (-(-rows // len(tile)), -(-columns // len(tile))))


def sheet(one: Ink, rows: int, columns: int, scale: float) -> NDArray[np.uint32]:
    """Return an area of ``one``'s face with its hatch, as pixels; ``scale`` is device pixels per CSS pixel."""
    # Rounded up, so that boxes of many sizes share few sheets.
    return _sheet(one, -(-rows // 64) * 64, -(-columns // 256) * 256, scale)[:rows, :columns]


class Painted(Artist):
    """An artist that sets the device pixels within ``box`` itself: all opaque, so nothing needs to be blended."""

    def __init__(self, box: Sequence[float]) -> None:
        super().__init__()
        self.box = Box(*box)
        self.set_zorder(2)

    def paint(self, pixels: NDArray[np.uint32], scale: float) -> None:
        """Set the pixels of the box, (rows, columns) with the top row first, a view of the picture's."""
        raise NotImplementedError

    def draw(self, renderer: Any) -> None:
        """Paint straight into Agg's buffer."""
        if self.get_visible():
            scale = renderer.dpi / DPI
            left, top, right, bottom = (max(0, round(edge * scale)) for edge in self.box)
            canvas = np.asarray(renderer.buffer_rgba()).view("<u4")[..., 0]
            self.paint(canvas[top:bottom, left:right], scale)


class Boxes(Painted):
    """Any number of hatched rectangles, cut off at the edges of ``box``.

    ``boxes`` are rectangles in CSS pixels, ``inks`` one Ink each, ``edges`` one colour each (or "" for none).
    """

    def __init__(self, box: Sequence[float]) -> None:
        super().__init__(box)
        self.boxes: list[Box] = []
        self.inks: list[Ink] = []
        self.edges: list[str] = []

    def put(self, boxes: Sequence[Sequence[float]], inks: Sequence[Ink], edges: Sequence[str] | None = None) -> None:
        """Replace all rectangles."""
        self.boxes, self.inks = [Box(*one) for one in boxes], list(inks)
        self.edges = list(edges) if edges is not None else [one.edge for one in inks]

    def paint(self, pixels: NDArray[np.uint32], scale: float) -> None:
        """Set the pixels of the rectangles, later ones over earlier ones; none is thinner than a device pixel."""
        # Looked up by identity first: to compare whole inks for each of a thousand boxes would cost more than to paint.
        known: dict[tuple[int, int, int], NDArray[np.uint32]] = {}
        for (left, top, right, bottom), one, edge in zip(self.boxes, self.inks, self.edges, strict=True):
            x0, y0 = round((left - self.box.left) * scale), round((top - self.box.top) * scale)
            x1 = max(x0 + 1, round((right - self.box.left) * scale))
            y1 = max(y0 + 1, round((bottom - self.box.top) * scale))
            area = pixels[max(0, y0) : max(0, y1), max(0, x0) : max(0, x1)]
            size = id(one), area.shape[0], area.shape[1]
            if (face := known.get(size)) is None:
                face = known[size] = sheet(one, area.shape[0], area.shape[1], scale)
            area[...] = face
            if edge and x1 - x0 > 3 and y1 - y0 > 3 and area.size:
                area[:, [0, -1]] = area[[0, -1]] = word(edge)
