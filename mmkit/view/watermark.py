"""The watermarks of zones as tanks: how full each is, and how low a request may draw it."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence

from matplotlib.lines import Line2D

from mmkit.model.snapshot import MemorySnapshot, ZoneSnapshot
from mmkit.view import ink
from mmkit.view.artist import Box, Boxes
from mmkit.view.parts import segments, spread
from mmkit.view.picture import MARGIN, Picture, fit

_TOP, _HIGH, _BLOCK, _MOST = 84, 222, 276, 5


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


class Tank:
    """The texts of one zone's tank, and where it stands."""

    def __init__(self, picture: Picture) -> None:
        self.name = picture.text(0, 0, "", 13, live=True, bold=True)
        self.verdict = picture.text(0, 0, "", 11, live=True)
        self.levels = [picture.text(0, 0, "", 10.5, live=True, va="center") for _ in range(6)]

    def clear(self) -> None:
        """Show nothing."""
        for label in (self.name, self.verdict, *self.levels):
            label.set("")

    def place(self, number: int, count: int, width: float) -> None:
        """Take the place of tank ``number`` of ``count``: rows of at most five."""
        row, column = divmod(number, _MOST)
        self.room = min(290.0, (width - 2 * MARGIN) / min(max(count, 1), _MOST))
        self.wide = min(72.0, self.room * 0.24)
        self.left, self.top = MARGIN + 14 + self.room * column, _TOP + _BLOCK * row
        self.right, self.bottom = self.left + self.wide, self.top + _HIGH


class WatermarksPicture(Picture):
    """A tank for each zone: filled as far as it is free, with its min, low and high marks.

    ``top`` is the highest zone that a request may use: lower zones keep pages back from it (hatched), so what must
    stay free there is low plus that. A tank far larger than its marks is folded; the zigzag says so.
    """

    def __init__(self, snapshot: MemorySnapshot, top: str | None = None) -> None:
        super().__init__(height=_height(len(usable(snapshot, top))))
        self._badge = self.badge(snapshot.source)
        self._heading = self.text(MARGIN, 22, "", 14, live=True, bold=True)
        self._subtitle = self.text(MARGIN, 44, "", 11.5, live=True, colour=ink.MUTED)
        self.boxes = self.live(Boxes((0, 0, self.width, 4000)))
        self.marks = self.line([], [], ink.TEXT, 1.3, live=True, zorder=4)
        self.threads = self.line([], [], ink.LINE, 1, live=True, zorder=3)
        self.folds = self.line([], [], ink.PAPER, 4, live=True, zorder=4)
        self.tanks: list[Tank] = []
        self._legend = [self.text(x, 0, text, 10.5, live=True, va="center") for x, text in _LEGEND.items()]
        self.update(snapshot, top)

    def update(self, snapshot: MemorySnapshot, top: str | None = None) -> None:
        """Show another state, another request, or another machine."""
        zones = usable(snapshot, top)
        self.snapshot, self.top, self.alt = snapshot, top, alt_watermarks(snapshot, top)
        self.resize(_height(len(zones)))
        self._badge.set(str(snapshot.source))
        self._heading.set(self.heading_fit("How low may the zones be drawn?", snapshot.source))
        may = f"zones up to {top}" if top else "this zone and none above it"
        stay = "free pages must stay above low, plus what is kept back from it. In pages."
        self._subtitle.set(f"A request that may use {may}: {stay}")
        self._drawn: list[tuple[Box, ink.Ink]] = []
        self._lines: dict[Line2D, list[list[tuple[float, float]]]] = {self.marks: [], self.threads: [], self.folds: []}
        self.tanks += [Tank(self) for _ in range(len(zones) - len(self.tanks))]
        for number, tank in enumerate(self.tanks):
            tank.clear()
            if number < len(zones):
                tank.place(number, len(zones), self.width)
                self._draw_zone(tank, *zones[number])
        self._draw_legend()
        self.boxes.put([box for box, _ in self._drawn], [one for _, one in self._drawn])
        for line, parts in self._lines.items():
            line.set_data(*segments(parts))
        self.touch()

    def _draw_legend(self) -> None:
        y = self.height - 13
        for label, look in zip(self._legend, (ink.WATER, ink.KEPT), strict=True):
            label.set(y=y)
            self._drawn.append((Box(label.x - 22, y - 7, label.x - 5, y + 7), look))

    def _draw_zone(self, tank: Tank, zone: ZoneSnapshot, reserve: int) -> None:
        several = len({one.node for one in self.snapshot.zones}) > 1
        title = f"{zone.name}, node {zone.node}" if several else zone.name
        tank.name.set(fit(title, tank.room - 8, 13, True), x=tank.left - 10, y=tank.top - 14)
        if self.top:
            ok, why = _verdict(zone, reserve, self.top, _names(self.snapshot))
            text = fit(f"{'✓' if ok else '✗'} {why}", tank.room - 12, 11)
            tank.verdict.set(text, x=tank.left - 10, y=tank.bottom + 17, colour=ink.TEXT if ok else ink.ALERT)
        self._draw_tank(tank, zone, reserve)

    def _draw_tank(self, tank: Tank, zone: ZoneSnapshot, reserve: int) -> None:
        need = zone.low + reserve
        scale = Scale(round(max(zone.high, need) * 1.25), zone.managed, tank.bottom, tank.top)
        self._drawn.append((Box(tank.left, tank.top, tank.right, tank.bottom), ink.CLEAR_BIT))
        if zone.free:
            self._drawn.append((Box(tank.left, scale(zone.free), tank.right, tank.bottom), ink.WATER))
        if reserve:
            self._drawn.append((Box(tank.left - 11, scale(need), tank.left - 2, scale(zone.low)), ink.KEPT))
        if scale.folded:
            y, step = scale.knots[1][1] - 12, (tank.wide + 6) / 8
            self._lines[self.folds].append([(tank.left - 3 + step * k, y + (4 if k % 2 else -4)) for k in range(9)])
        marks = [("min", zone.min), ("low", zone.low), ("high", zone.high)]
        marks += [("low + kept", need)] if reserve else []
        self._lines[self.marks] += [[(tank.left, scale(pages)), (tank.right, scale(pages))] for _, pages in marks]
        self._write(tank, [*marks, ("free", zone.free), ("managed", zone.managed)], scale)

    def _write(self, tank: Tank, told: Sequence[tuple[str, int]], scale: Scale) -> None:
        """Name the levels at the right of a tank, kept apart, each with a thread to its level."""
        told = sorted(told, key=lambda one: one[1])
        levels = [scale(pages) for _, pages in told]
        places = spread([level - 0.001 * rank for rank, level in enumerate(levels)], 15, tank.top + 4, tank.bottom - 4)
        for label, (name, pages), level, place in zip(tank.levels, told, levels, places, strict=False):
            label.set(f"{name} {pages:,}", x=tank.right + 15, y=place, bold=name == "free")
            self._lines[self.threads].append([(tank.right, level), (tank.right + 12, place)])


_LEGEND = {MARGIN + 22.0: "free pages", MARGIN + 112.0: "kept back from this request, on top of low"}


def _height(count: int) -> float:
    return _TOP + _BLOCK * max(1, -(-count // _MOST)) + 8
