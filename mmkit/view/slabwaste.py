"""The sawtooth: how much of a slab is in no object, for every size of object."""

from __future__ import annotations

from collections.abc import Sequence

from mmkit.model.slabstate import SlabGeometry
from mmkit.model.snapshot import MODEL, FrameUse, Source
from mmkit.view import ink
from mmkit.view.chart import Chart
from mmkit.view.parts import listed
from mmkit.view.picture import MARGIN, Picture

KMALLOC_SIZES = (8, 16, 32, 64, 96, 128, 192, 256, 512, 1024, 2048, 4096, 8192)
_LEFT, _RIGHT = 70, 880
_TOP, _BOTTOM = 62, 268
_BAND_TOP, _BAND_BOTTOM = 330, 356


def waste_share(geometry: SlabGeometry) -> float:
    """Return the share of a slab's bytes that lie behind its last object."""
    return geometry.tail_bytes / geometry.slab_bytes


def alt_slab_waste(geometries: Sequence[SlabGeometry], source: Source = MODEL) -> str:
    """Say how far the sizes go, where most is wasted, and from which size on each order is taken."""
    worst = max(geometries, key=waste_share)
    mean = sum(map(waste_share, geometries)) / len(geometries)
    firsts = _first_of_each_order(geometries)
    orders = listed([f"order {order} from {size:,} bytes on" for order, size in firsts.items()])
    return (
        f"Waste at the end of a slab for objects of {geometries[0].size:,} to {geometries[-1].size:,} bytes, a saw: "
        f"{mean:.1%} on average, at most {waste_share(worst):.1%} (at {worst.size:,} bytes); {orders}. The sizes of "
        f"kmalloc that are powers of two waste nothing. ({source})"
    )


def _first_of_each_order(geometries: Sequence[SlabGeometry]) -> dict[int, int]:
    firsts: dict[int, int] = {}
    for geometry in geometries:
        firsts.setdefault(geometry.order, geometry.size)
    return firsts


class SlabWaste(Picture):
    """Waste behind the last object against the size of objects, with the order that SLUB takes, and kmalloc's sizes.

    ``geometries`` are those of objects of ascending size, all of one machine. Raises ValueError if there are fewer than
    two, or if they do not ascend.
    """

    def __init__(self, geometries: Sequence[SlabGeometry], source: Source = MODEL) -> None:
        sizes = [geometry.size for geometry in geometries]
        if len(sizes) < 2 or sizes != sorted(set(sizes)):
            raise ValueError(f"the sizes of objects must ascend, at least two of them: not {sizes[:5]}")
        super().__init__(height=374)
        self.geometries = tuple(geometries)
        self.alt = alt_slab_waste(geometries, source)
        self.text(MARGIN, 24, "Waste at the end of a slab, by the size of its objects", 14, bold=True)
        self.badge(source).set(str(source))
        top = max(0.02, max(map(waste_share, geometries)) * 1.1)
        self.chart = Chart(self, (_LEFT, _TOP, _RIGHT, _BOTTOM), (0, sizes[-1]), (0, top))
        self._draw_axes(top, sizes[-1])
        self.chart.curve(self._steps(), ink.USE_INKS[FrameUse.SLAB].face, 1.4, live=False)
        self._draw_kmalloc(sizes[-1])
        self._draw_orders()

    def _draw_axes(self, top: float, largest: int) -> None:
        step = next(step for step in (0.01, 0.02, 0.05, 0.1, 0.2) if top / step <= 6)
        self.chart.y_axis(
            [i * step for i in range(int(top / step) + 1)], lambda share: f"{share:.0%}", "of the slab wasted"
        )
        ticks = next(step for step in (64, 128, 256, 512, 1024, 2048) if largest / step <= 9)
        self.chart.x_axis(range(0, largest + 1, ticks), lambda size: f"{size:,}", "bytes of an object")

    def _steps(self) -> list[tuple[float, float]]:
        """A step for every size: up to it, objects are rounded up to that size."""
        points: list[tuple[float, float]] = []
        before = 0
        for geometry in self.geometries:
            points += [(before, waste_share(geometry)), (geometry.size, waste_share(geometry))]
            before = geometry.size
        return points

    def _draw_kmalloc(self, largest: int) -> None:
        shown = [size for size in KMALLOC_SIZES if size <= largest]
        bottom = self.chart.box.bottom
        for size in shown:
            x = self.chart.x(size)
            self.line([x], [bottom], ink.TEXT, marker="^", markersize=7, zorder=6)
        self.note(_RIGHT, _TOP - 8, "▲ a size of kmalloc", ha="right")

    def _draw_orders(self) -> None:
        """A band below: which order SLUB takes for which sizes."""
        self.note(_LEFT - 6, (_BAND_TOP + _BAND_BOTTOM) / 2, "order", ha="right", va="center")
        runs: list[list[int]] = []
        before = 0
        for geometry in self.geometries:
            if runs and runs[-1][2] == geometry.order:
                runs[-1][1] = geometry.size
            else:
                runs.append([before, geometry.size, geometry.order])
            before = geometry.size
        for start, end, order in runs:
            self._draw_run(start, end, order)

    def _draw_run(self, start: int, end: int, order: int) -> None:
        left, right = self.chart.x(start), self.chart.x(end)
        height = (_BAND_BOTTOM - _BAND_TOP) * (order + 1) / 4
        self.line([left, right, right, left, left], [_BAND_BOTTOM, _BAND_BOTTOM, _BAND_BOTTOM - height,
                  _BAND_BOTTOM - height, _BAND_BOTTOM], ink.MUTED)  # fmt: skip
        if right - left > 14:
            self.text((left + right) / 2, _BAND_BOTTOM - height - 4, str(order), 11, ha="center", bold=True)
