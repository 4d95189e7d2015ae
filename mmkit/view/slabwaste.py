"""The sawtooth: how much of a slab is in no object, for every size of object."""

from __future__ import annotations

from collections.abc import Sequence
from math import log2

from mmkit.model.slabstate import SlabGeometry
from mmkit.model.snapshot import MODEL, FrameUse, Source
from mmkit.view import ink
from mmkit.view.chart import Chart
from mmkit.view.parts import listed, plural
from mmkit.view.picture import MARGIN, Picture

KMALLOC_SIZES = (8, 16, 32, 64, 96, 128, 192, 256, 512, 1024, 2048, 4096, 8192)
_LEFT, _RIGHT = 70, 880
_TOP, _BOTTOM = 62, 268
_BAND_TOP, _BAND_BOTTOM = 330, 356


def waste_share(geometry: SlabGeometry) -> float:
    """Return the share of a slab's bytes that lie behind its last object."""
    return geometry.tail_bytes / geometry.slab_bytes


def alt_slab_waste(geometries: Sequence[SlabGeometry], source: Source = MODEL, nr_cpus: int | None = None) -> str:
    """Say how far the sizes go, where most is wasted, from which size on each order is taken, and what kmalloc does."""
    worst = max(geometries, key=waste_share)
    mean = sum(map(waste_share, geometries)) / len(geometries)
    return (
        f"Waste at the end of a slab for objects of {geometries[0].size:,} to {geometries[-1].size:,} bytes"
        f"{_on(nr_cpus)}, a saw: {mean:.1%} on average, at most {waste_share(worst):.1%} (at {worst.size:,} bytes); "
        f"{_orders_in_words(geometries)}. {_kmalloc_in_words(geometries)}({source})"
    )


def _on(nr_cpus: int | None) -> str:
    return f", on a machine of {plural(nr_cpus, 'CPU')}" if nr_cpus is not None else ""


def _kmalloc_in_words(geometries: Sequence[SlabGeometry]) -> str:
    classes = [geometry for geometry in geometries if geometry.size in KMALLOC_SIZES]
    wasteful = [f"{geometry.size} ({waste_share(geometry):.1%})" for geometry in classes if geometry.tail_bytes]
    if not classes:
        return ""
    if not wasteful:
        return "The sizes of kmalloc waste nothing. "
    return f"Of the sizes of kmalloc only {listed(wasteful)} waste any. "


def _orders_in_words(geometries: Sequence[SlabGeometry]) -> str:
    """Orders go back and forth: say how far the first one goes, and from where on the last one stays."""
    runs = order_runs(geometries)
    if len(runs) == 1:
        return f"always order {runs[0][2]}"
    between = sorted({order for _, _, order in runs[1:-1]})
    turns = f", then {'orders' if len(between) > 1 else 'order'} {listed(list(map(str, between)))}" if between else ""
    first, last = runs[0], runs[-1]
    return f"order {first[2]} up to {first[1]:,} bytes{turns}, and order {last[2]} from {last[0]:,} bytes on"


def order_runs(geometries: Sequence[SlabGeometry]) -> list[tuple[int, int, int]]:
    """Return (first size, last size, order) of every stretch of sizes whose slabs have the same order."""
    runs: list[tuple[int, int, int]] = []
    for geometry in geometries:
        if runs and runs[-1][2] == geometry.order:
            runs[-1] = runs[-1][0], geometry.size, geometry.order
        else:
            runs.append((geometry.size, geometry.size, geometry.order))
    return runs


class SlabWaste(Picture):
    """Waste behind the last object against the size of objects, with the order that SLUB takes, and kmalloc's sizes.

    ``geometries`` are those of objects of ascending size, all of one machine, that of ``nr_cpus``: the more CPUs, the
    more objects a slab is to have. Raises ValueError if there are fewer than two, or if they do not ascend.
    """

    def __init__(
        self, geometries: Sequence[SlabGeometry], source: Source = MODEL, *, nr_cpus: int | None = None
    ) -> None:
        sizes = [geometry.size for geometry in geometries]
        if len(sizes) < 2 or sizes != sorted(set(sizes)):
            raise ValueError(f"the sizes of objects must ascend, at least two of them: not {sizes[:5]}")
        super().__init__(height=376)
        self.geometries = tuple(geometries)
        self.alt = alt_slab_waste(geometries, source, nr_cpus)
        title = f"Waste at the end of a slab, by the size of its objects{_on(nr_cpus)}"
        self.text(MARGIN, 24, self.heading_fit(title, source), 14, bold=True)
        self.badge(source).set(str(source))
        top = max(0.02, max(map(waste_share, geometries)) * 1.1)
        self.chart = Chart(self, (_LEFT, _TOP, _RIGHT, _BOTTOM), (log2(sizes[0]), log2(sizes[-1])), (0, top))
        self._draw_axes(top)
        self.saw = self.chart.curve(self._steps(), ink.USE_INKS[FrameUse.SLAB].face, 1.4, live=False)
        self._draw_kmalloc()
        self._draw_orders()

    def _draw_axes(self, top: float) -> None:
        step = next(step for step in (0.01, 0.02, 0.05, 0.1, 0.2) if top / step <= 6)
        shares = [i * step for i in range(int(top / step) + 1)]
        self.chart.y_axis(shares, lambda share: f"{share:.0%}", "share of the slab that is in no object")
        sizes = [geometry.size for geometry in self.geometries]
        ticks = [size for size in KMALLOC_SIZES if sizes[0] <= size <= sizes[-1]]
        for size in (sizes[0], sizes[-1]):
            if all(abs(self._x(size) - self._x(tick)) > 40 for tick in ticks):
                ticks.append(size)
        title = "bytes of an object; it doubles over equal distances"
        self.chart.x_axis([log2(size) for size in ticks], lambda tick: f"{round(2**tick):,}", title)

    def _x(self, size: float) -> float:
        return self.chart.x(log2(size))

    def _steps(self) -> list[tuple[float, float]]:
        """A step for every size: from the size before on, objects are rounded up to it."""
        points: list[tuple[float, float]] = []
        before = self.geometries[0].size
        for geometry in self.geometries:
            points += [(log2(before), waste_share(geometry)), (log2(geometry.size), waste_share(geometry))]
            before = geometry.size
        return points

    def _draw_kmalloc(self) -> None:
        """Mark what slabs of kmalloc's own sizes waste."""
        shown = [geometry for geometry in self.geometries if geometry.size in KMALLOC_SIZES]
        xs = [self._x(geometry.size) for geometry in shown]
        ys = [self.chart.y(waste_share(geometry)) for geometry in shown]
        self.classes = self.line(xs, ys, ink.TEXT, marker="^", markersize=6, zorder=6, linestyle="")
        self.note(_RIGHT, _TOP - 8, "▲ a size of kmalloc", ha="right")

    def _draw_orders(self) -> None:
        """A band below: which order SLUB takes for which sizes."""
        self.note(_LEFT - 6, (_BAND_TOP + _BAND_BOTTOM) / 2, "order", ha="right", va="center")
        before = self.geometries[0].size
        for _, last, order in order_runs(self.geometries):
            self._draw_run(self._x(before), self._x(last), order)
            before = last

    def _draw_run(self, left: float, right: float, order: int) -> None:
        y = _BAND_BOTTOM - (_BAND_BOTTOM - _BAND_TOP) * (order + 1) / 4
        self.line([left, right, right, left, left], [_BAND_BOTTOM, _BAND_BOTTOM, y, y, _BAND_BOTTOM], ink.MUTED)
        if right - left > 14:
            self.text((left + right) / 2, y - 4, str(order), 11, ha="center", bold=True)
