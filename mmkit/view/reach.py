"""How the share of hits falls when memory outgrows a TLB's reach; and what that costs on a real CPU, measured."""

from __future__ import annotations

from collections.abc import Sequence
from math import log2

from mmkit.model.snapshot import MODEL
from mmkit.model.tlbstate import HitCurve, MatrixTiming, ReachTiming, TranslationTiming
from mmkit.units import format_size
from mmkit.view.chart import Chart
from mmkit.view.parts import listed, plural
from mmkit.view.picture import MARGIN, Picture, fit

COLOURS = ("#0072b2", "#a34700", "#00704f", "#8a2f64", "#4d4d4d")
STYLES = ("-", "--", "-.", ":", (0, (6, 1, 1, 1, 1, 1)))
MOST = len(COLOURS)
_TEXT = 640


def alt_curves(curves: Sequence[HitCurve]) -> str:
    """Say for each curve its reach, and the share of hits at some sizes."""
    told = []
    for curve in curves:
        some = curve.points[:: max(1, len(curve.points) // 4)]
        shares = [f"{share:.0%} at {format_size(size)}" for size, share in some]
        told.append(f"{curve.label}, reach {format_size(curve.reach_bytes)}: {', '.join(shares)}")
    return f"Share of hits by the memory that accesses are spread over. {'; '.join(told)}. ({MODEL})"


class ReachPicture(Picture):
    """Curves of the share of hits over the size of what is used, each with a mark where the TLB's reach ends."""

    def __init__(self, curves: Sequence[HitCurve], title: str = "Hits, by the memory that is used") -> None:
        if not 1 <= len(curves) <= MOST:
            raise ValueError(f"one to {MOST} curves are shown together, not {len(curves)}")
        super().__init__(320)
        self.curves = tuple(curves)
        self.alt = alt_curves(curves)
        self.text(MARGIN, 24, title, 14, bold=True)
        self.badge(MODEL)
        sizes = [size for curve in curves for size, _ in curve.points]
        low, high = int(log2(min(sizes))), int(log2(max(sizes)))
        self.chart = Chart(self, (60, 66, _TEXT - 30, 262), (low, high))
        step = -(-(high - low) // 8) or 1
        self.chart.x_axis(range(low, high + 1, step), lambda tick: format_size(1 << int(tick)), "memory that is used")
        self.chart.y_axis((0, 0.25, 0.5, 0.75, 1), lambda tick: f"{tick:.0%}", "accesses that hit")
        for number, curve in enumerate(curves):
            self._draw(number, curve, low, high)

    def _draw(self, number: int, curve: HitCurve, low: int, high: int) -> None:
        colour, chart = COLOURS[number], self.chart
        points = [(log2(size), share) for size, share in curve.points]
        chart.curve(points, colour, 2, live=False, style=STYLES[number])  # type: ignore[arg-type]
        reach = log2(curve.reach_bytes)
        if low <= reach <= high:
            x = chart.x(reach)
            self.line([x, x], [chart.box.top, chart.box.bottom], colour, 1, linestyle=":")
        y = 78 + 40 * number
        self.line([_TEXT, _TEXT + 34], [y, y], colour, 2, linestyle=STYLES[number])
        self.text(_TEXT + 42, y, fit(curve.label, self.width - _TEXT - 54, 11.5), 11.5, va="center", bold=True)
        self.note(_TEXT + 42, y + 16, f"reach {format_size(curve.reach_bytes)}", va="center")


def alt_timing(state: TranslationTiming) -> str:
    """Say how much longer columns take than rows, and how the time of a read grows with the pages."""
    matrices = [
        f"{one.size:,} numbers square {one.ratio:.1f} times ({one.padded_ns / one.row_ns:.1f} with longer rows)"
        for one in state.matrices
    ]
    reach = [f"{plural(one.pages, 'page')} {one.ratio:.1f} times" for one in state.reach]
    return (
        f"Measured on {state.cpu}: column by column a matrix of {listed(matrices)} as long as row by row; "
        f"a line in each of {listed(reach)} as long as as many lines together. ({state.source})"
    )


class TimingPicture(Picture):
    """Two charts of measured times: matrices by rows and columns, and by columns with each row 64 bytes longer; lines
    side by side, apart, and in large pages.
    """

    def __init__(self, state: TranslationTiming) -> None:
        super().__init__(352)
        self.alt = alt_timing(state)
        self.text(MARGIN, 24, fit(f"Measured: {state.cpu}", 560, 14, bold=True), 14, bold=True)
        self.badge(state.source)
        self._matrices(state.matrices)
        self._reach(state.reach)

    def _matrices(self, timings: Sequence[MatrixTiming]) -> None:
        most = max(max(one.row_ns, one.column_ns, one.padded_ns) for one in timings) * 1.1
        chart = Chart(self, (60, 86, 420, 272), (0, len(timings)), (0, most))
        chart.y_axis(_ticks(most), lambda tick: f"{tick:g}", "nanoseconds a number, matrices of 8-byte numbers")
        for number, one in enumerate(timings):
            for side, value in enumerate((one.row_ns, one.column_ns, one.padded_ns)):
                x = number + 0.08 + 0.29 * side
                self._bar(chart, x, value, side)
            self.note(chart.x(number + 0.5), chart.box.bottom + 16, f"{one.size:,} × {one.size:,}", ha="center")
        for x, side, name in ((60, 0, "row by row"), (172, 1, "column by column"), (322, 2, "…, rows 64 bytes longer")):
            self._key(x, 332, side, name)

    def _bar(self, chart: Chart, x: float, value: float, side: int) -> None:
        left, right, top = chart.x(x), chart.x(x + 0.25), chart.y(value)
        bottom = chart.box.bottom
        self.line([left, left, right, right, left], [bottom, top, top, bottom, bottom], COLOURS[side], 1.6)
        if side:
            for y in range(int(top) + 4, int(bottom), 5 * side):
                self.line([left, right], [y, y], COLOURS[side], 1)
        self.note((left + right) / 2, top - 5, f"{value:.1f}", ha="center")

    def _reach(self, timings: Sequence[ReachTiming]) -> None:
        lines: list[tuple[str, list[tuple[float, float]]]] = [
            ("together", [(log2(one.pages), one.together_ns) for one in timings]),
            ("a line a page", [(log2(one.pages), one.apart_ns) for one in timings]),
            ("in large pages", [(log2(one.pages), one.large_ns) for one in timings if one.large_ns is not None]),
        ]
        most = max(y for _, points in lines for _, y in points) * 1.1
        low, high = log2(timings[0].pages), log2(timings[-1].pages)
        chart = Chart(self, (510, 86, 866, 272), (low, high), (0, most))
        ticks = [log2(one.pages) for one in timings]
        chart.x_axis(ticks, lambda tick: f"{round(2**tick):,}", "cache lines that are read, in random order")
        chart.y_axis(_ticks(most), lambda tick: f"{tick:g}", "nanoseconds a read")
        for number, (name, points) in enumerate(lines):
            if points:
                chart.curve(points, COLOURS[number], 2, live=False, style=STYLES[number])  # type: ignore[arg-type]
                self._key(510 + 125 * number, 332, number, name)

    def _key(self, x: float, y: float, number: int, name: str) -> None:
        self.line([x, x + 26], [y, y], COLOURS[number], 2, linestyle=STYLES[number])
        self.text(x + 32, y, name, 11, va="center")


def _ticks(most: float) -> list[float]:
    step = next(one for one in (0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 1000) if most / one <= 6)
    return [step * number for number in range(int(most / step) + 1)]
