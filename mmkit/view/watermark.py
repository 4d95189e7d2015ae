"""The watermarks of zones as tanks: how full each is, and how low a request may draw it."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence

from matplotlib.lines import Line2D

from mmkit.model.snapshot import MemorySnapshot, ZoneSnapshot
from mmkit.view import ink
from mmkit.view.artist import Box, Boxes, Label
from mmkit.view.parts import Entry, legend_row, segments, spread
from mmkit.view.picture import MARGIN, Picture, fit

_TOP, _BOTTOM, _MOST = 84, 306, 7


def _names(snapshot: MemorySnapshot) -> list[str]:
    return list(dict.fromkeys(zone.name for zone in snapshot.zones))


def usable(snapshot: MemorySnapshot, top: str | None) -> list[tuple[ZoneSnapshot, int]]:
    """Return the zones that have pages, each with what it keeps back from a request that may use up to zone ``top``.

    Raises ValueError if no zone is called so. Without ``top`` nothing is kept back.
    """
    names = _names(snapshot)
    if top is not None and top not in names:
        raise ValueError(f"no zone is called {top!r}: choose one of {', '.join(names)}")
    index = names.index(top) if top is not None else 0
    return [
        (zone, zone.protection[index] if top is not None and index < len(zone.protection) else 0)
        for zone in snapshot.zones
        if zone.managed
    ]


def _verdict(zone: ZoneSnapshot, reserve: int, top: str | None, names: Sequence[str]) -> tuple[bool, str]:
    """Whether a request may take a page here with the low mark in force, and why not."""
    if top is not None and names.index(zone.name) > names.index(top):
        return False, "above what it may use"
    if zone.free > zone.low + reserve:
        return True, "may take here"
    return False, "too little free"


def alt_watermarks(snapshot: MemorySnapshot, top: str | None = None) -> str:
    """Say for each zone what is free, its watermarks, and whether the request may take from it."""
    names = _names(snapshot)
    several, told = len({zone.node for zone in snapshot.zones}) > 1, []
    for zone, reserve in usable(snapshot, top):
        node = f" of node {zone.node}" if several else ""
        kept = f" plus {reserve:,} kept back" if reserve else ""
        ok, why = _verdict(zone, reserve, top, names)
        verdict = f": {'' if ok else 'refused, '}{why}" if top else ""
        marks = f"min {zone.min:,}, low {zone.low:,}{kept}, high {zone.high:,}"
        told.append(f"{zone.name}{node}: {zone.free:,} of {zone.managed:,} free, {marks}{verdict}")
    request = f" for a request that may use zones up to {top}" if top else ""
    return f"Watermarks{request}, in pages. {'; '.join(told)}. ({snapshot.source})"


class Scale:
    """Pages to height in a tank: linear, or folded so that watermarks far below the top stay legible."""

    def __init__(self, need: int, top: int, bottom_y: float, top_y: float) -> None:
        self.folded = need * 2.5 < top
        fold_y = bottom_y + (top_y - bottom_y) * 0.66
        self.knots = [(0.0, bottom_y), (float(max(top, need, 1)), top_y)]
        if self.folded:
            self.knots.insert(1, (float(max(need, 1)), fold_y))

    def __call__(self, pages: float) -> float:
        """Return the height of so many pages, in CSS pixels from the top."""
        at = min(max(bisect_right([value for value, _ in self.knots], pages) - 1, 0), len(self.knots) - 2)
        (value0, y0), (value1, y1) = self.knots[at : at + 2]
        return y0 + (y1 - y0) * min(1.0, (pages - value0) / (value1 - value0))


class WatermarksPicture(Picture):
    """A tank for each zone: filled as far as it is free, with its min, low and high marks.

    ``top`` is the highest zone that a request may use: lower zones keep pages back from it (hatched), so what must
    stay free there is low plus that. A tank far larger than its marks is folded; the zigzag says so.
    """

    def __init__(self, snapshot: MemorySnapshot, top: str | None = None) -> None:
        super().__init__(height=_BOTTOM + 62)
        self._badge = self.badge(snapshot.source)
        self._heading = self.text(MARGIN, 22, "", 14, live=True, bold=True)
        self._subtitle = self.text(MARGIN, 44, "", 11.5, live=True, colour=ink.MUTED)
        self.tanks = self.live(Boxes((0, _TOP - 2, self.width, _BOTTOM + 2)))
        self.marks = self.line([], [], ink.TEXT, 1.3, live=True, zorder=4)
        self.threads = self.line([], [], ink.LINE, 1, live=True, zorder=3)
        self.folds = self.line([], [], ink.PAPER, 4, live=True, zorder=4)
        self._names = [self.text(0, _TOP - 14, "", 13, live=True, bold=True) for _ in range(_MOST)]
        self._verdicts = [self.text(0, _BOTTOM + 20, "", 11, live=True) for _ in range(_MOST)]
        self._labels = [[self.text(0, 0, "", 10.5, live=True, va="center") for _ in range(6)] for _ in range(_MOST)]
        entries = [Entry(ink.WATER, "free pages"), Entry(ink.KEPT, "kept back from this request, on top of low")]
        legend_row(self, self.height - 13, [("", entries)])
        self.update(snapshot, top)

    def update(self, snapshot: MemorySnapshot, top: str | None = None) -> None:
        """Show another state, or another request."""
        self.snapshot, self.top, self.alt = snapshot, top, alt_watermarks(snapshot, top)
        self._badge.set(str(snapshot.source))
        self._heading.set(self.heading_fit("How low may the zones be drawn?", snapshot.source))
        may = f"zones up to {top}" if top else "this zone and none above it"
        self._subtitle.set(
            f"A request that may use {may}: free pages must stay above low, plus what is kept back from it. In pages."
        )
        zones = usable(snapshot, top)[:_MOST]
        self._wide = min(290.0, (self.width - 2 * MARGIN) / max(len(zones), 1))
        self._tank = min(72.0, self._wide * 0.3)
        self._boxes: list[tuple[Box, ink.Ink]] = []
        self._lines: dict[Line2D, list[list[tuple[float, float]]]] = {self.marks: [], self.threads: [], self.folds: []}
        for number in range(_MOST):
            for label in (self._names[number], self._verdicts[number], *self._labels[number]):
                label.set("")
            if number < len(zones):
                self._draw_zone(number, *zones[number])
        self.tanks.put([box for box, _ in self._boxes], [one for _, one in self._boxes])
        for line, parts in self._lines.items():
            line.set_data(*segments(parts))
        self.touch()

    def _draw_zone(self, number: int, zone: ZoneSnapshot, reserve: int) -> None:
        x, names = MARGIN + 14 + self._wide * number, _names(self.snapshot)
        several = len({zone.node for zone in self.snapshot.zones}) > 1
        title = f"{zone.name}, node {zone.node}" if several else zone.name
        self._names[number].set(fit(title, self._wide - 22, 13, True), x=x - 10)
        if self.top:
            ok, why = _verdict(zone, reserve, self.top, names)
            text = fit(f"{'✓' if ok else '✗'} {why}", self._wide - 12, 11)
            self._verdicts[number].set(text, x=x - 10, colour=ink.TEXT if ok else ink.ALERT)
        self._draw_tank(number, zone, reserve, x)

    def _draw_tank(self, number: int, zone: ZoneSnapshot, reserve: int, x: float) -> None:
        need = zone.low + reserve
        scale = Scale(round(max(zone.high, need) * 1.25), zone.managed, _BOTTOM, _TOP)
        self._boxes.append((Box(x, _TOP, x + self._tank, _BOTTOM), ink.CLEAR_BIT))
        if zone.free:
            self._boxes.append((Box(x, scale(zone.free), x + self._tank, _BOTTOM), ink.WATER))
        if reserve:
            self._boxes.append((Box(x - 11, scale(need), x - 2, scale(zone.low)), ink.KEPT))
        if scale.folded:
            y = scale.knots[1][1] - 12
            step = (self._tank + 6) / 8
            self._lines[self.folds].append([(x - 3 + step * k, y + (4 if k % 2 else -4)) for k in range(9)])
        marks = [("min", zone.min), ("low", zone.low), ("high", zone.high)]
        marks += [("low + kept", need)] if reserve else []
        self._lines[self.marks] += [[(x, scale(pages)), (x + self._tank, scale(pages))] for _, pages in marks]
        told = [*marks, ("free", zone.free), ("managed", zone.managed)]
        self._write(self._labels[number], told, scale, x + self._tank)

    def _write(self, labels: Sequence[Label], told: Sequence[tuple[str, int]], scale: Scale, x: float) -> None:
        """Name the levels at the right of a tank, kept apart, each with a thread to its level."""
        room = self._wide - self._tank - 30
        told = sorted(told, key=lambda one: one[1])
        levels = [scale(pages) for _, pages in told]
        places = spread([level - 0.001 * rank for rank, level in enumerate(levels)], 15, _TOP + 4, _BOTTOM - 4)
        for label, (name, pages), level, place in zip(labels, told, levels, places, strict=False):
            label.set(fit(f"{name} {pages:,}", room, 10.5), x=x + 15, y=place, bold=name == "free")
            self._lines[self.threads].append([(x, level), (x + 12, place)])
