"""What page tables cost in memory, for pages in a row and for pages far apart, beside one flat table."""

from __future__ import annotations

from math import log2

from mmkit.model.pgstate import CostCurve, TableCost
from mmkit.units import format_size
from mmkit.view import ink
from mmkit.view.chart import Chart
from mmkit.view.parts import plural
from mmkit.view.picture import MARGIN, Picture, fit
from mmkit.view.reach import COLOURS, STYLES

_RIGHT = 640


def alt_cost(cost: TableCost) -> str:
    """Say what a flat table takes, and what the trees take for some numbers of pages."""
    told = []
    for curve in cost.curves:
        some = curve.points[:: max(1, len(curve.points) // 4)]
        sizes = [f"{format_size(size)} for {plural(pages, 'page')}" for pages, size in some]
        told.append(f"{curve.label}: {', '.join(sizes)}")
    flat = format_size(cost.flat_bytes)
    return f"Memory for page tables on {cost.title}. One flat table: {flat}. {'; '.join(told)}. ({cost.source})"


class TableCostPicture(Picture):
    """Bytes of tables over pages mapped, both in powers of two; a line across is the flat table."""

    def __init__(self, cost: TableCost) -> None:
        super().__init__(340)
        self.alt = alt_cost(cost)
        self.text(MARGIN, 24, fit(f"What page tables cost: {cost.title}", 640, 14, bold=True), 14, bold=True)
        self.badge(cost.source)
        pages = [log2(count) for curve in cost.curves for count, _ in curve.points]
        sizes = [log2(size) for curve in cost.curves for _, size in curve.points] + [log2(cost.flat_bytes)]
        low, high = int(min(sizes)), int(max(sizes)) + 1
        self.chart = Chart(self, (84, 66, _RIGHT - 20, 282), (min(pages), max(pages)), (low, high))
        step = -(-int(max(pages) - min(pages)) // 8) or 1
        ticks = range(int(min(pages)), int(max(pages)) + 1, step)
        self.chart.x_axis(ticks, lambda tick: f"{1 << int(tick):,}", "pages of 4 KiB that are mapped")
        levels = range(low, high + 1, -(-(high - low) // 6) or 1)
        self.chart.y_axis(levels, lambda tick: format_size(1 << int(tick)), "memory for tables")
        for number, curve in enumerate(cost.curves):
            self._draw(number, curve)
        self._draw_flat(cost, max(pages))

    def _draw(self, number: int, curve: CostCurve) -> None:
        points = [(log2(count), log2(size)) for count, size in curve.points]
        self.chart.curve(points, COLOURS[number], 2, live=False, style=STYLES[number])  # type: ignore[arg-type]
        self._key(number + 1, COLOURS[number], STYLES[number], curve.label)
        count, size = curve.points[-1]
        self.note(_RIGHT + 42, 78 + 40 * (number + 1) + 16, f"{format_size(size)} for {count:,}", va="center")

    def _draw_flat(self, cost: TableCost, right: float) -> None:
        y = log2(cost.flat_bytes)
        self.chart.curve([(self.chart.xs[0], y), (right, y)], ink.TEXT, 2, live=False, style=":")
        self._key(0, ink.TEXT, ":", "one flat table")
        self.note(_RIGHT + 42, 78 + 16, format_size(cost.flat_bytes), va="center")

    def _key(self, row: int, colour: str, style: object, name: str) -> None:
        y = 78 + 40 * row
        self.line([_RIGHT, _RIGHT + 34], [y, y], colour, 2, linestyle=style)
        self.text(_RIGHT + 42, y, name, 11.5, va="center", bold=True)
