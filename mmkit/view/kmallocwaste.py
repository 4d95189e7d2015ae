"""What ``kmalloc`` gives beyond what is asked for: the share of an object that its user did not want."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmkit.model.slabstate import ObjectState
from mmkit.model.snapshot import MODEL, Source
from mmkit.record import Record
from mmkit.units import format_size
from mmkit.view import ink
from mmkit.view.artist import Boxes, Painted, sheet, text_width
from mmkit.view.ink import Ink
from mmkit.view.parts import Entry, legend_row, listed, plural, segments
from mmkit.view.picture import MARGIN, Picture

_LEFT, _RIGHT, _TOP, _BOTTOM = 84, 884, 92, 244
_BARS_TOP, _BARS_BOTTOM, _ALONE, _COUNTED = 312, 376, 290, 440
_CHANCE = "by chance: what would be wasted if all sizes that get the same were asked for equally often"
_WASTED_WORDS = "share of the object that was not asked for"
_RULE = "A byte more than one size gets the next size whole, and the rest of it is wasted."
_GAP, _MOST_STEPS = 3, 32
_WASTED, _ASKED = ink.WASTED, ink.OBJECT_INKS[ObjectState.ALLOCATED]


def given_bytes(asked: int, classes: Sequence[int]) -> int:
    """Return how many bytes kmalloc gives who asks for ``asked``: a class or, above the classes, a power of two.

    >>> [given_bytes(n, (64, 96, 128)) for n in (65, 96, 97, 129)]
    [96, 96, 128, 256]
    """
    at = bisect_left(classes, asked)
    return classes[at] if at < len(classes) else 1 << (asked - 1).bit_length()


class Tooth(Record):
    """The requests that get the same number of bytes: those for more than ``above`` and up to ``size``."""

    above: int
    size: int
    requests: tuple[tuple[int, int], ...] = ()
    """(bytes asked for, how often)."""

    @property
    def count(self) -> int:
        """Requests."""
        return sum(often for _, often in self.requests)

    @property
    def asked(self) -> int:
        """Bytes that they asked for."""
        return sum(asked * often for asked, often in self.requests)

    @property
    def by_chance(self) -> float:
        """Share of an object that would be wasted on average if each size were asked for as often as any other."""
        return (self.size - self.above - 1) / 2 / self.size


def teeth_of(requests: Mapping[int, int], classes: Sequence[int]) -> list[Tooth]:
    """Return the classes, and two sizes of page blocks above them, with the ``{bytes: how often}`` of each."""
    sizes = [*classes, 2 * classes[-1], 4 * classes[-1]]
    inside: dict[int, list[tuple[int, int]]] = {}
    for asked, often in sorted(requests.items()):
        inside.setdefault(given_bytes(asked, classes), []).append((asked, often))
    return [
        Tooth(above, size, tuple(inside.get(size, ()))) for above, size in zip([0, *sizes], sizes, strict=False)
    ]  # fmt: skip


def edge_of(one: Tooth) -> list[tuple[float, float]]:
    """Return the corners of a tooth: how far through its sizes, and which share is wasted; steps where they show."""
    wide = one.size - one.above
    if wide > _MOST_STEPS:
        return [(0, 0), (0, 1 - (one.above + 1) / one.size), (1, 0)]
    stairs = [
        (place / wide, 1 - asked / one.size)
        for asked in range(one.above + 1, one.size + 1)
        for place in (asked - 1 - one.above, asked - one.above)
    ]
    return [(0, 0), *stairs]


def alt_kmalloc_waste(classes: Sequence[int], requests: Sequence[int] = (), source: Source = MODEL) -> str:
    """Say how much rounding up wastes at most, what was asked for and given, and which classes served most."""
    counts = Counter(each for each in requests if each)
    teeth = teeth_of(counts, classes)
    worst = [f"{1 - (one.above + 1) / one.size:.0%} from {one.above:,} to {one.size:,}" for one in teeth[1:]]
    told = (
        f"Share of an object that kmalloc gives and nobody asked for, a saw: nothing for the {len(teeth)} sizes that "
        f"there are up to {format_size(teeth[-1].size)}, most for a byte more than the size before: {', '.join(worst)}."
    )
    served = sorted((one for one in teeth if one.count), key=lambda one: -one.count)[:3]
    most = listed(
        [f"{format_size(one.size)} ({one.count:,}, {share_of(one.requests, classes)} not asked for)" for one in served]
    )
    if counts:
        told += f" {_total(counts, classes)}"
    return f"{told}{f' Most got {most}.' if most else ''} ({source})"


def _total(counts: Mapping[int, int], classes: Sequence[int]) -> str:
    asked = sum(each * often for each, often in counts.items())
    given = sum(given_bytes(each, classes) * often for each, often in counts.items())
    return (
        f"{plural(sum(counts.values()), 'request')} for {format_size(asked)} got {format_size(given)}: "
        f"{1 - asked / given:.1%} was not asked for."
    )


def _name(size: int) -> str:
    return f"{size >> 10}K" if size >= 1024 else str(size)


class Area(Painted):
    """The area under a line, hatched: ``heights`` are shares of the box, evenly spaced from its left to its right."""

    def __init__(self, box: Sequence[float], one: Ink, heights: NDArray[np.float64]) -> None:
        super().__init__(box)
        self.ink, self.heights = one, heights

    def paint(self, pixels: NDArray[np.uint32], scale: float) -> None:
        """Set the pixels under the line."""
        rows, columns = pixels.shape
        heights = self.heights[np.arange(columns) * len(self.heights) // columns]
        under = np.arange(rows)[:, None] >= np.round(rows * (1 - heights))[None, :]
        np.copyto(pixels, sheet(self.ink, rows, columns, scale), where=under)


class KmallocWaste(Picture):
    """A tooth for each size that kmalloc gives: how much of it is wasted, from the smallest request to the largest.

    ``classes`` are the sizes of its caches; above them it gives whole pages. ``requests`` are bytes that were asked
    for, one number for each request: dots on the teeth, and below them it is counted how many there were and what they
    wasted, beside what they would if sizes came by chance.

    Raises ValueError for classes that do not ascend, and for a request of less than 0 bytes.
    """

    def __init__(self, classes: Sequence[int], requests: Sequence[int] = (), source: Source = MODEL) -> None:
        if not classes or list(classes) != sorted(set(classes)):
            raise ValueError(f"the sizes of kmalloc's classes must ascend, one or more: not {list(classes)[:5]}")
        super().__init__(height=_ALONE)
        self.classes, self.source = tuple(classes), source
        self._badge = self.badge(source)
        self.text(MARGIN, 24, "kmalloc: given, but not asked for", 14, bold=True)
        self._caption = self.text(MARGIN, 48, "", 12.5, live=True)
        teeth = teeth_of({}, self.classes)
        self._wide = (_RIGHT - _LEFT) / (len(teeth) + 1)
        self._draw_axes()
        self._draw_teeth(teeth)
        self.dots = self.line([], [], ink.TEXT, 0, live=True, marker="o", markersize=3.6, zorder=6)
        self.bars = self.live(Boxes((_LEFT, _BARS_TOP, _RIGHT, _BARS_BOTTOM)))
        self._dot = self.text(
            MARGIN + text_width(_WASTED_WORDS, 10.5) + 54, _TOP - 20, "", 10.5, live=True, va="center"
        )
        self._chance = self.note(_LEFT, 430, live=True)
        self._rows = [self.note(_LEFT - 8, y, live=True, ha="right", va="center") for y in (_BARS_BOTTOM - 8, 392, 410)]
        middles = [self._x(column + 0.5) for column in range(len(teeth) + 1)]
        look: dict[str, Any] = {"live": True, "ha": "center", "va": "center"}
        self.counts = [self.text(x, 0, "", 10.5, **look) for x in middles]
        self.wasted = [self.text(x, 392, "", 10.5, bold=True, **look) for x in middles]
        self.by_chance = [self.note(x, 410, **look) for x in middles]
        self.update(requests, source)

    def _x(self, column: float) -> float:
        return _LEFT + column * self._wide

    def _within(self, column: int, part: float) -> float:
        """Where a part of a tooth lies: there is a gap between one and the next."""
        return self._x(column) + _GAP + part * (self._wide - 2 * _GAP)

    @staticmethod
    def _y(share: float) -> float:
        return _BOTTOM - share * (_BOTTOM - _TOP)

    def _draw_axes(self) -> None:
        for share in (0.0, 0.25, 0.5, 0.75):
            self.line([_LEFT, _RIGHT], [self._y(share)] * 2, ink.MUTED if not share else ink.FAINT)
            self.note(_LEFT - 8, self._y(share), f"{share:.0%}", ha="right", va="center")
        entries = [Entry(_WASTED, _WASTED_WORDS)]
        legend_row(self, _TOP - 20, [("", entries)])
        self.note(_LEFT - 8, _BOTTOM + 16, "bytes given", ha="right")

    def _draw_teeth(self, teeth: Sequence[Tooth]) -> None:
        """Draw the saw in one image with one line along its edge, and below each tooth the bytes that it stands for."""
        corners = [
            [(self._within(column, part), self._y(share)) for part, share in edge_of(one)]
            for column, one in enumerate(teeth)
        ]
        right = self._x(len(teeth))
        at = _LEFT + (np.arange(round(2 * (right - _LEFT))) + 0.5) / 2
        xs, ys = zip(*[corner for each in corners for corner in each], strict=True)
        self.fixed(Area((_LEFT, _TOP, right, _BOTTOM), _WASTED, (_BOTTOM - np.interp(at, xs, ys)) / (_BOTTOM - _TOP)))
        self.line(*segments(corners), _WASTED.edge, 1.2, zorder=4)
        for column, one in enumerate(teeth):
            self.text(self._x(column + 0.5), _BOTTOM + 16, _name(one.size), 11, ha="center", bold=True)
        self.text(self._x(len(teeth) + 0.5), _BOTTOM + 16, "larger", 11, ha="center")
        self._bracket(0, len(self.classes), "objects of slab caches")
        self._bracket(len(self.classes), len(teeth) + 1, "whole pages")

    def _bracket(self, first: int, end: int, text: str) -> None:
        left, right, y = self._x(first) + _GAP, self._x(end) - _GAP, _BOTTOM + 24
        self.line([left, left, right, right], [y - 4, y, y, y - 4], ink.MUTED)
        self.note((left + right) / 2, y + 14, text, ha="center")

    def update(self, requests: Sequence[int], source: Source | None = None) -> None:
        """Show other requests."""
        if requests and min(requests) < 0:
            raise ValueError(f"nobody can ask kmalloc for {min(requests)} bytes: give numbers from 0 up")
        self.source = source or self.source
        self.alt = alt_kmalloc_waste(self.classes, requests, self.source)
        self._badge.set(str(self.source))
        counts = Counter(each for each in requests if each)
        self._caption.set(_total(counts, self.classes) if counts else _RULE)
        teeth = teeth_of(counts, self.classes)
        self._draw_dots(teeth)
        self._write_rows(teeth, counts)
        self.resize(_COUNTED if counts else _ALONE)
        self.touch()

    def _draw_dots(self, teeth: Sequence[Tooth]) -> None:
        """A dot for each size that was asked for, on the tooth where it lies."""
        xs, ys = [], []
        for column, one in enumerate(teeth):
            for asked, _ in one.requests:
                xs.append(self._within(column, (asked - one.above - 0.5) / (one.size - one.above)))
                ys.append(self._y(1 - asked / one.size))
        self.dots.set_data(xs, ys)

    def _write_rows(self, teeth: Sequence[Tooth], counts: Mapping[int, int]) -> None:
        """Count below each tooth: a bar of its requests, and the share that they and requests by chance waste."""
        larger = Tooth(teeth[-1].size, 0, tuple(one for one in counts.items() if one[0] > teeth[-1].size))
        most = max([one.count for one in (*teeth, larger)]) or 1
        boxes = []
        for column, one in enumerate((*teeth, larger)):
            top = _BARS_BOTTOM - (_BARS_BOTTOM - _BARS_TOP) * one.count / most
            if one.count:
                boxes.append((self._x(column) + 6, min(top, _BARS_BOTTOM - 2), self._x(column + 1) - 6, _BARS_BOTTOM))
            self.counts[column].set(short(one.count) if counts else "", y=top - 9)
            self.wasted[column].set(share_of(one.requests, self.classes))
            self.by_chance[column].set(f"{one.by_chance:.0%}" if counts and one.size else "")
        self.bars.put(boxes, [_ASKED] * len(boxes))
        self._dot.set("●  a size that was asked for" if counts else "")
        self._chance.set(_CHANCE if counts else "")
        for label, text in zip(self._rows, ("requests", "wasted", "by chance"), strict=True):
            label.set(text if counts else "")


def share_of(requests: Sequence[tuple[int, int]], classes: Sequence[int]) -> str:
    """Return the share of the bytes given that nobody asked for, "" for no request."""
    asked = sum(each * often for each, often in requests)
    given = sum(given_bytes(each, classes) * often for each, often in requests)
    return f"{1 - asked / given:.0%}" if given else ""


def short(count: int) -> str:
    """Return a count in at most five characters.

    >>> short(0), short(999), short(12_345), short(2_000_000)
    ('0', '999', '12k', '2M')
    """
    for unit, size in (("M", 1_000_000), ("k", 10_000)):
        if count >= size:
            return f"{count // (size if unit == 'M' else 1000)}{unit}"
    return f"{count:,}"
