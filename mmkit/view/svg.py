"""A picture as SVG: for labs in which text is most of it, and has to be on the screen at once, crisp at any zoom.

The same artists at the same places, in the reader's own fonts; a few kilobytes where a PNG has a hundred.
"""

from __future__ import annotations

import html
from collections.abc import Iterator
from functools import lru_cache

import numpy as np
from matplotlib.lines import Line2D

from mmkit.view.artist import DPI, Boxes, Label
from mmkit.view.cells import NOTHING, Cells, Letters
from mmkit.view.ink import Ink
from mmkit.view.picture import Picture

_SANS = "'DejaVu Sans',Verdana,sans-serif"
_MONO = "'DejaVu Sans Mono',Menlo,Consolas,monospace"
_DROP = {"baseline": 0.0, "center": 0.365, "top": 0.76}
_ANCHOR = {"left": "start", "center": "middle", "right": "end"}
_DASHES = {"--": "6 3", ":": "1.5 2.5", "-.": "7 3 1.5 3"}


def svg_of(picture: Picture) -> str:
    """Return the picture as an ``<svg>`` with its alt text, for an ``HTML`` widget."""
    artists = sorted(picture.axes.get_children(), key=lambda one: one.get_zorder())
    body = "".join(part for artist in artists for part in _parts(artist))
    size = f'width="{picture.width:g}" height="{picture.height:g}" viewBox="0 0 {picture.width:g} {picture.height:g}"'
    label = html.escape(picture.alt, quote=True)
    look = "max-width:100%;height:auto;display:block;background:#fff"
    return f'<svg role="img" aria-label="{label}" {size} style="{look}" font-family="{_SANS}">{body}</svg>'


def _parts(artist: object) -> Iterator[str]:
    if isinstance(artist, Label):
        yield from _label(artist)
    elif isinstance(artist, Letters):
        for x, y, text, colour in artist.letters:
            yield _text(x, y + 0.365 * artist.size, text, artist.size, colour, "middle")
    elif isinstance(artist, Boxes):
        for (left, top, right, bottom), one, edge in zip(artist.boxes, artist.inks, artist.edges, strict=True):
            yield _rect(left, top, right - left, bottom - top, one, edge)
    elif isinstance(artist, Cells):
        yield from _cells(artist)
    elif isinstance(artist, Line2D) and np.size(artist.get_xdata()):
        yield from _line(artist)


def _label(label: Label) -> Iterator[str]:
    if label.get_visible() and label.text:
        y = label.y + _DROP[label.va] * label.size
        yield _text(label.x, y, label.text, label.size, label.colour, _ANCHOR[label.ha], label.bold, label.mono)


def _text(
    x: float, y: float, text: str, size: float, colour: str, anchor: str, bold: bool = False, mono: bool = False
) -> str:  # fmt: skip
    look = (' font-weight="bold"' if bold else "") + (f' font-family="{_MONO}"' if mono else "")
    place = f'x="{x:.5g}" y="{y:.5g}" font-size="{size:g}" fill="{colour}" text-anchor="{anchor}"'
    return f'<text {place}{look} xml:space="preserve">{_escaped(text)}</text>'


@lru_cache(maxsize=4096)
def _escaped(text: str) -> str:
    return html.escape(text)


def _rect(left: float, top: float, wide: float, high: float, one: Ink, edge: str) -> str:
    stroke = f' stroke="{edge}" stroke-width="0.8"' if edge else ""
    place = f'x="{left:.5g}" y="{top:.5g}" width="{wide:.5g}" height="{high:.5g}"'
    return f'<rect {place} fill="{one.face}"{stroke}/>'


def _cells(cells: Cells) -> Iterator[str]:
    rows, columns = cells.values.shape
    box, inks = cells.box, dict(cells._inks)
    wide, high = (box.right - box.left) / columns, (box.bottom - box.top) / rows
    for row, column in np.argwhere(cells.values != NOTHING):
        one = inks[int(cells.values[row, column])]
        left, top = box.left + column * wide, box.top + row * high
        yield _rect(left, top, wide - 0.7, high - 0.7, one, "")
        if one.letter:
            size = min(high * 0.62, wide * 0.75, 13)
            yield _text(left + wide / 2, top + high / 2 + 0.365 * size, one.letter, size, one.text, "middle")


def _line(line: Line2D) -> Iterator[str]:
    xs, ys = np.asarray(line.get_xdata(), float), np.asarray(line.get_ydata(), float)
    path, move = [], True
    for x, y in zip(xs.tolist(), ys.tolist(), strict=True):
        if x != x:
            move = True
            continue
        path.append(f"{'M' if move else 'L'}{x:.5g} {y:.5g}")
        move = False
    dash = _DASHES.get(str(line.get_linestyle()), "")
    look = f' stroke-dasharray="{dash}"' if dash else ""
    width = line.get_linewidth() * DPI / 72
    yield f'<path d="{"".join(path)}" fill="none" stroke="{line.get_color()}" stroke-width="{width:.3g}"{look}/>'
