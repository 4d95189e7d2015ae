"""Picture: a figure with its alt text, which shows itself in a notebook, saves itself and is updated in place.

One persistent matplotlib figure on the Agg canvas, never pyplot. What stays is drawn once and kept as background;
what moves is drawn over it; the PNG is encoded strip by strip, so an update costs milliseconds.
"""

from __future__ import annotations

import base64
import html
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from matplotlib.artist import Artist
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from mmkit.model.snapshot import Source
from mmkit.view import ink
from mmkit.view.artist import DPI, Box, Label, text_width
from mmkit.view.cells import Letters
from mmkit.view.png import PngWriter

WIDTH = 900
MARGIN = 12
AnyArtist = TypeVar("AnyArtist", bound=Artist)


class Picture:
    """A drawing of a snapshot, ``width`` by ``height`` CSS pixels with (0, 0) at the top left.

    A subclass adds artists with :meth:`fixed` (drawn once) or :meth:`live` (drawn at every update), sets ``alt``, and
    has an ``update(snapshot, ...)`` that changes live artists and ends with :meth:`touch`.
    """

    def __init__(self, height: float, width: float = WIDTH, *, ratio: float = 2.0) -> None:
        self.width, self.height, self.ratio = width, height, ratio
        self.figure = Figure(figsize=(width / DPI, height / DPI), dpi=DPI * ratio, facecolor=ink.PAPER)
        self.canvas = FigureCanvasAgg(self.figure)
        self.axes = self.figure.add_axes((0, 0, 1, 1))
        self.axes.set_axis_off()
        self.axes.set(xlim=(0, width), ylim=(height, 0))
        self.alt = ""
        self._live: list[Artist] = []
        self._background: Any = None
        self._writer = PngWriter()
        self._png: bytes | None = None

    def fixed(self, artist: AnyArtist) -> AnyArtist:
        """Add an artist that stays as it is."""
        self.axes.add_artist(artist)
        self._background = self._png = None
        return artist

    def live(self, artist: AnyArtist) -> AnyArtist:
        """Add an artist that is drawn anew at every update."""
        artist.set_animated(True)
        self.axes.add_artist(artist)
        self._live.append(artist)
        self._live.sort(key=lambda one: one.get_zorder())
        self.touch()
        return artist

    def line(
        self, xs: Any, ys: Any, colour: str = ink.LINE, width: float = 1, live: bool = False, **look: Any
    ) -> Line2D:
        """Add a line through points in CSS pixels, ``width`` CSS pixels thick."""
        made = Line2D(xs, ys, color=colour, linewidth=width * 72 / DPI, **look)
        return self.live(made) if live else self.fixed(made)

    def text(self, x: float, y: float, text: str = "", size: float = 12, *, live: bool = False, **look: Any) -> Label:
        """Add a Label."""
        made = Label(x, y, text, size, **look)
        return self.live(made) if live else self.fixed(made)

    def note(
        self, x: float, y: float, text: str = "", *, live: bool = False, ha: str = "left", va: str = "baseline"
    ) -> Label:
        """Add a small grey Label: axes, units, sizes."""
        return self.text(x, y, text, 10.5, live=live, ha=ha, va=va, colour=ink.MUTED)

    def badge(self, source: Source) -> Label:
        """Say at the top right where the picture's state comes from."""
        return self.text(self.width - MARGIN, MARGIN + 10, str(source), 11, live=True, ha="right", colour=ink.MUTED)

    def heading_fit(self, text: str, source: Source) -> str:
        """Return a title cut so that it leaves the badge its room."""
        return fit(text, self.width - 2 * MARGIN - text_width(str(source), 11) - 20, 14, bold=True)

    def resize(self, height: float) -> None:
        """Give the picture another height; what is drawn stays where it is."""
        if height != self.height:
            self.height = height
            self.figure.set_size_inches(self.width / DPI, height / DPI)
            self.axes.set_ylim(height, 0)
            self.redraw()

    def touch(self) -> None:
        """Live artists changed: draw and encode again when next asked for."""
        self._png = None

    def redraw(self) -> None:
        """Fixed artists changed: draw the background again too (slow; for a new layout, not for an update)."""
        self._background = self._png = None

    @property
    def labels(self) -> list[Label]:
        """All lines of text that show."""
        return [one for one in self.axes.get_children() if isinstance(one, Label) and one.texts]

    @property
    def texts(self) -> list[tuple[str, Box]]:
        """All texts that show, each with the rectangle that its ink fills."""
        artists = self.axes.get_children()
        return [found for one in artists if isinstance(one, (Label, Letters)) for found in one.texts]

    def pixels(self) -> NDArray[np.uint8]:
        """Draw, and return the picture, uint8 of shape (rows, columns, 4)."""
        if self._background is None:
            self.canvas.draw()
            self._background = self.canvas.copy_from_bbox(self.figure.bbox)
        else:
            self.canvas.restore_region(self._background)
        renderer = self.canvas.get_renderer()
        for artist in self._live:
            # A line without points costs matplotlib as much as one that shows.
            if not isinstance(artist, Line2D) or np.size(artist.get_xdata()):
                artist.draw(renderer)
        return np.asarray(self.canvas.buffer_rgba())

    def png(self) -> bytes:
        """Return the picture as a PNG file: equal states give equal bytes."""
        if self._png is None:
            self._png = self._writer.encode(self.pixels())
        return self._png

    def html(self) -> str:
        """Return the picture as an ``<img>`` with its alt text, for a notebook or an ``HTML`` widget."""
        data = base64.b64encode(self.png()).decode("ascii")
        alt = html.escape(self.alt, quote=True)
        # Its height is known before it is decoded, and it is decoded before it is painted: nothing jumps or blinks.
        look = f'width="{self.width:g}" height="{self.height:g}" decoding="sync" style="max-width:100%;height:auto"'
        return f'<img alt="{alt}" {look} src="data:image/png;base64,{data}">'

    def save(self, path: str | Path) -> Path:
        """Write a PNG file. Raises ValueError if ``path`` does not end in ".png"."""
        path = Path(path)
        if path.suffix.lower() != ".png":
            raise ValueError(f"pictures are saved as PNG files: name one that ends in '.png', not {str(path)!r}")
        path.write_bytes(self.png())
        return path

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        return {"text/plain": repr(self), "text/html": self.html()}

    def __repr__(self) -> str:
        return f"{type(self).__name__}: {self.alt}"


def fit(text: str, width: float, size: float = 12, bold: bool = False) -> str:
    """Return ``text``, cut with an ellipsis so that it is at most ``width`` CSS pixels wide."""
    if text_width(text, size, bold) <= width:
        return text
    while text and text_width(text + "…", size, bold) > width:
        text = text[:-1]
    return text.rstrip() + "…"
