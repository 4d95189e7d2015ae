"""The way of one request through the zonelist: which zones were looked at, and why each served it or not."""

from __future__ import annotations

from mmkit.model.snapshot import ZoneTry, ZoneWalk
from mmkit.view import ink
from mmkit.view.artist import Box, Boxes
from mmkit.view.cells import Letters
from mmkit.view.parts import Entry, legend_row, listed, plural, segments
from mmkit.view.picture import MARGIN, Picture, fit

_TOP, _HIGH, _MOST = 74, 250, 16
_SIGN, _NAME, _BAR, _LINE, _BAR_END, _WHY = 58, 76, 196, 366, 476, 492
_MARK_NAMES = {"low": "low", "min": "min", "none": "none"}


def _place(one: ZoneTry, walk: ZoneWalk) -> str:
    return f"{one.zone}, node {one.node}" if len({t.node for t in walk.tries}) > 1 else one.zone


def _title(walk: ZoneWalk) -> str:
    request = f"{walk.gfp}, order {walk.order} ({plural(1 << walk.order, 'page')})"
    if walk.tries and walk.tries[-1].ok:
        at = f" at 0x{walk.pfn:x}" if walk.pfn is not None else ""
        return f"{request}: served by {_place(walk.tries[-1], walk)}{at}"
    return f"{request}: refused by every zone"


def why(one: ZoneTry, order: int) -> str:
    """Say in one line what the look at a zone found."""
    if not one.ok:
        return one.why
    need = f"{one.mark:,} + {one.reserve:,}" if one.reserve else f"{one.mark:,}"
    less = f" less {(1 << order) - 1:,}" if order else ""
    return f"free {one.free:,}{less} is above {need}: {one.why or 'served'}"


def alt_zonelist(walk: ZoneWalk) -> str:
    """Tell the way of the request: the last round zone by zone, the rounds before it in short."""
    if not walk.tries:
        return f"{_title(walk)}: there is none to look at. ({walk.source})"
    rounds = list(dict.fromkeys(one.mark_name for one in walk.tries))
    told = [f"{_place(one, walk)}: {why(one, walk.order)}" for one in walk.tries if one.mark_name == rounds[-1]]
    before = f"With the {listed(rounds[:-1])} mark no zone served it. " if rounds[:-1] else ""
    return f"{_title(walk)}. {before}With the {rounds[-1]} mark: {'; '.join(told)}. ({walk.source})"


class ZonelistPicture(Picture):
    """A row for each zone that was looked at, in order: free pages against what must stay free, and the verdict.

    Every row is drawn to its own scale, such that what must stay free ends at the same vertical line: a zone may
    serve if what would be left of its free pages passes it, and if it has a block that is large enough.
    """

    def __init__(self, walk: ZoneWalk) -> None:
        super().__init__(height=_TOP + _HIGH + 40)
        self._badge = self.badge(walk.source)
        self._heading = self.text(MARGIN, 22, "", 14, live=True, bold=True)
        titles = {MARGIN: "mark", _NAME: "zone", _BAR: "free pages, and what must stay free", _WHY: "verdict"}
        for x, text in titles.items():
            self.note(x, _TOP - 10, text)
        self.need = self.line([], [], ink.TEXT, 1.6, live=True, zorder=6)
        self.letters = self.live(Letters(13))
        self.bars = self.live(Boxes((_BAR - 1, _TOP, _BAR_END + 1, _TOP + _HIGH)))
        self.rules = self.line([], [], ink.FAINT, 1, live=True)
        make = range(_MOST)
        self._marks = [self.text(MARGIN, 0, "", 11, live=True, va="center", colour=ink.MUTED) for _ in make]
        self._signs = [self.text(_SIGN, 0, "", 13, live=True, va="center", ha="center", bold=True) for _ in make]
        self._names = [self.text(_NAME, 0, "", 12, live=True, va="center") for _ in make]
        self._whys = [self.text(_WHY, 0, "", 11, live=True, va="center") for _ in make]
        self._more = self.note(MARGIN, _TOP + _HIGH + 12, "", live=True)
        kept = Entry(ink.KEPT, "watermark"), Entry(ink.FIELD, "kept back from this request")
        legend_row(
            self,
            self.height - 13,
            [("", [Entry(ink.WATER, "free"), Entry(ink.TAG, "free, but taken by the request"), *kept])],
        )
        self.update(walk)

    def update(self, walk: ZoneWalk) -> None:
        """Show another request."""
        self.alt = alt_zonelist(walk)
        self._badge.set(str(walk.source))
        self._heading.set(self.heading_fit(_title(walk), walk.source))
        shown = walk.tries if len(walk.tries) <= _MOST else (*walk.tries[: _MOST - 1], walk.tries[-1])
        left_out = len(walk.tries) - len(shown)
        self._more.set(f"{plural(left_out, 'more look')} in between, all refused" if left_out else "")
        row = min(46.0, _HIGH / max(len(shown), 1))
        boxes: list[tuple[Box, ink.Ink]] = []
        for number in range(_MOST):
            self._write(number, shown, walk, row)
            if number < len(shown):
                boxes += _bar(shown[number], walk.order, _TOP + row * (number + 0.5), min(row / 2 - 3, 11))
        self.bars.put([box for box, _ in boxes], [one for _, one in boxes])
        self.need.set_data([_LINE, _LINE], [_TOP - 4, _TOP + row * len(shown)])
        cut = [_TOP + row * (n + 0.5) for n, one in enumerate(shown) if _is_cut(one, walk.order)]
        self.letters.put([(_BAR_END - 8, y, "»", ink.TEXT) for y in cut])
        starts = [_TOP + row * n for n in range(1, len(shown)) if shown[n].mark_name != shown[n - 1].mark_name]
        self.rules.set_data(*segments([((MARGIN, y), (self.width - MARGIN, y)) for y in starts]))
        self.touch()

    def _write(self, number: int, shown: tuple[ZoneTry, ...], walk: ZoneWalk, row: float) -> None:
        labels = self._marks[number], self._signs[number], self._names[number], self._whys[number]
        if number >= len(shown):
            for label in labels:
                label.set("")
            return
        one, y = shown[number], _TOP + row * (number + 0.5)
        labels[0].set(_MARK_NAMES.get(one.mark_name, one.mark_name), y=y)
        labels[1].set("✓" if one.ok else "✗", y=y, colour=ink.TEXT if one.ok else ink.ALERT)
        labels[2].set(fit(_place(one, walk), _BAR - _NAME - 8, 12, one.ok), y=y, bold=one.ok)
        labels[3].set(fit(why(one, walk.order), self.width - 8 - _WHY, 11), y=y)


def left_after(one: ZoneTry, order: int) -> int:
    """Return the pages that count as free: all but one of those that the request would take are taken off."""
    return max(0, one.free - (1 << order) + 1)


def _is_cut(one: ZoneTry, order: int) -> bool:
    """Whether the free pages reach beyond the end of their bar."""
    return left_after(one, order) * (_LINE - _BAR) > (one.mark + one.reserve) * (_BAR_END - _BAR)


def _bar(one: ZoneTry, order: int, y: float, half: float) -> list[tuple[Box, ink.Ink]]:
    """Draw what must stay free up to the common line, and over it the free pages to the same scale."""
    need = one.mark + one.reserve
    scale = (_LINE - _BAR) / need if need else float("inf")
    boxes = []
    if need:
        split = _BAR + one.mark * scale
        boxes = [(Box(_BAR, y - half, split, y + half), ink.KEPT), (Box(split, y - half, _LINE, y + half), ink.FIELD)]
        boxes = [(box, look) for box, look in boxes if box.right > box.left]
    for pages, look in ((one.free, ink.TAG), (left_after(one, order), ink.WATER)):
        if pages:
            end = min(_BAR_END, _BAR + pages * scale)
            boxes.append((Box(_BAR, y - half / 2, max(end, _BAR + 1), y + half / 2), look))
    return boxes
