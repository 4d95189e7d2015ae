"""Charts: a box in a picture with two axes, in which lines, bands and dots are drawn to scale."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from matplotlib.lines import Line2D

from mmkit.view import ink
from mmkit.view.artist import Box
from mmkit.view.picture import Picture

Points = Sequence[tuple[float, float]]


class Chart:
    """Axes in ``box`` (CSS pixels) for x within ``xs`` and y within ``ys``."""

    def __init__(
        self, picture: Picture, box: Sequence[float], xs: tuple[float, float], ys: tuple[float, float] = (0, 1)
    ) -> None:
        self.picture, self.box, self.xs, self.ys = picture, Box(*box), xs, ys

    def x(self, value: float) -> float:
        """Return where ``value`` lies, in CSS pixels from the left."""
        low, high = self.xs
        return self.box.left + (value - low) * (self.box.right - self.box.left) / (high - low)

    def y(self, value: float) -> float:
        """Return where ``value`` lies, in CSS pixels from the top."""
        low, high = self.ys
        return self.box.bottom - (value - low) * (self.box.bottom - self.box.top) / (high - low)

    def x_axis(self, ticks: Sequence[float], text: Callable[[float], str] = str, title: str = "") -> None:
        """Draw the axis below, its ticks and what it is about."""
        left, right, bottom = self.box.left, self.box.right, self.box.bottom
        self.picture.line([left, right], [bottom, bottom], ink.MUTED)
        for tick in ticks:
            self.picture.line([self.x(tick)] * 2, [bottom, bottom + 4], ink.MUTED)
            self.picture.note(self.x(tick), bottom + 16, text(tick), ha="center")
        self.picture.note((left + right) / 2, bottom + 33, title, ha="center")

    def y_axis(self, ticks: Sequence[float], text: Callable[[float], str] = str, title: str = "") -> None:
        """Draw lines across at the ticks, their texts at the left, and what they are about above them."""
        for tick in ticks:
            y = self.y(tick)
            self.picture.line([self.box.left, self.box.right], [y, y], ink.FAINT)
            self.picture.note(self.box.left - 6, y, text(tick), ha="right", va="center")
        self.picture.note(self.box.left, self.box.top - 8, title)

    def curve(self, points: Points, colour: str, width: float = 1.6, *, live: bool = True, style: str = "-") -> Line2D:
        """Draw a line through points."""
        xs, ys = self.places(points)
        return self.picture.line(xs, ys, colour, width, live, linestyle=style, zorder=4)

    def places(self, points: Points) -> tuple[list[float], list[float]]:
        """Return where points lie, in CSS pixels."""
        return [self.x(x) for x, _ in points], [self.y(y) for _, y in points]

    def bars(self, values: Sequence[tuple[float, float, float, float]]) -> list[Box]:
        """Return the boxes of bars given as (x from, x to, y from, y to)."""
        return [Box(self.x(a), self.y(d), self.x(b), self.y(c)) for a, b, c, d in values]
