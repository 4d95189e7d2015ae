"""Fragmentation over time: how much memory is in use, and in how large pieces the rest lies."""

from __future__ import annotations

from collections.abc import Sequence

from mmkit.model.fragstate import History, Moment
from mmkit.record import replace
from mmkit.view.artist import Box, Boxes
from mmkit.view.ink import Ink
from mmkit.view.parts import Entry, legend_row, plural
from mmkit.view.picture import MARGIN, Picture

MOST = 2
GROUPS = ((0, 2), (3, 5), (6, 8), (9, 10))
"""Orders that share a colour: from ... to."""
_USED = Ink("in use", "", "#a9a9a9", "#8b8b8b", "-", edge="#a9a9a9")
_FREE = (
    Ink("order 0 to 2", "", "#fbd5b5", "#e08a4a", "/", edge="#fbd5b5"),
    Ink("order 3 to 5", "", "#f0e442", "#b9ad10", ".", edge="#f0e442"),
    Ink("order 6 to 8", "", "#b9dcf2", "#6fb2dd", "\\", edge="#b9dcf2"),
    Ink("order 9 and 10: huge pages", "", "#0072b2", "#0072b2", "", edge="#0072b2"),
)
_LEFT, _RIGHT, _TOP, _HIGH, _GAP = 66, 660, 84, 138, 62


def shares_of(moment: Moment, nr_pages: int) -> tuple[float, ...]:
    """Return the shares of memory that are in use, and free in each group of orders."""
    free = [sum(moment.counts[k] << k for k in range(low, min(high + 1, len(moment.counts)))) for low, high in GROUPS]
    return (moment.used_pages / nr_pages, *(pages / nr_pages for pages in free))


def alt_history(histories: Sequence[History]) -> str:
    """Say of each history how it ends: use, free pages by groups of orders, refusals, pageblocks that mix types."""
    told = []
    for history in histories:
        last = history.moments[-1]
        used, *free = shares_of(last, history.nr_pages)
        groups = ", ".join(f"{share:.0%} free in {one.name}" for share, one in zip(free, _FREE, strict=True))
        told.append(
            f"{history.label}, after {last.step:,} steps: {used:.0%} in use, {groups}; "
            f"{plural(sum(last.failures), 'request')} refused, {plural(last.mixed_blocks, 'pageblock')} of mixed types"
        )
    first = histories[0]
    return f"Memory of {plural(first.nr_pages, 'page')} over {plural(len(first.moments), 'moment')}. {'. '.join(told)}."


class HistoryPicture(Picture):
    """One or two histories below each other on one scale: memory in use at the bottom, free memory by order above."""

    def __init__(self, histories: Sequence[History]) -> None:
        if not 1 <= len(histories) <= MOST:
            raise ValueError(f"one or two histories are shown together, not {len(histories)}")
        self._panels = len(histories)
        bottom = _TOP + self._panels * (_HIGH + _GAP)
        super().__init__(height=bottom - 14)
        self._badge = self.badge(histories[0].source)
        self.text(MARGIN, 24, "What becomes of free memory", 14, bold=True)
        self.boxes = self.live(Boxes((_LEFT, _TOP, _RIGHT + 1, bottom)))
        tops = [_TOP + panel * (_HIGH + _GAP) for panel in range(self._panels)]
        self._titles = [self.text(_LEFT, top - 8, "", 12, live=True, bold=True) for top in tops]
        self._ends = [self.note(_RIGHT, top + _HIGH + 16, live=True, ha="right") for top in tops]
        self._told = [[self.text(_RIGHT + 18, top + 14 + 19 * i, "", 11, live=True) for i in range(7)] for top in tops]
        for top in tops:
            self._draw_axes(top)
        legend_row(self, 50, [("", [Entry(one, one.name) for one in (_USED, *_FREE)])])
        self.update(histories)

    def _draw_axes(self, top: float) -> None:
        for share in (0, 0.5, 1):
            y = top + _HIGH * (1 - share)
            self.note(_LEFT - 6, y, f"{share:.0%}", ha="right", va="center")
        self.note(_LEFT, top + _HIGH + 16, "requests, one after the other")

    def update(self, histories: Sequence[History]) -> None:
        """Show other histories, as many as before."""
        self.alt = alt_history(histories)
        source = histories[0].source
        self._badge.set(str(replace(source, note=source.note.split(",")[0])))
        last = max(history.moments[-1].step for history in histories) or 1
        boxes: list[Box] = []
        inks: list[Ink] = []
        for panel, history in enumerate(histories):
            self._titles[panel].set(history.label)
            self._ends[panel].set(f"{history.moments[-1].step:,}")
            self._tell(panel, history)
            self._draw(history, _TOP + panel * (_HIGH + _GAP), last, boxes, inks)
        self.boxes.put(boxes, inks)
        self.touch()

    def _tell(self, panel: int, history: History) -> None:
        last = history.moments[-1]
        used, *free = shares_of(last, history.nr_pages)
        lines = [
            f"in use {used:.0%}",
            *(f"free in order {low} to {high}: {share:.0%}" for share, (low, high) in zip(free, GROUPS, strict=True)),
            f"refused: {sum(last.failures):,}", f"pageblocks of mixed types: {last.mixed_blocks:,}",
        ]  # fmt: skip
        for label, line in zip(self._told[panel], lines, strict=True):
            label.set(line)

    def _draw(self, history: History, top: float, last: int, boxes: list[Box], inks: list[Ink]) -> None:
        """A column for every moment, from the one before to it, stacked from below."""
        wide = (_RIGHT - _LEFT) / last
        moments = history.moments
        for before, moment in zip((moments[0], *moments), moments, strict=False):
            left, right = _LEFT + wide * before.step, max(_LEFT + wide * before.step + 1, _LEFT + wide * moment.step)
            y = top + _HIGH
            for share, one in zip(shares_of(moment, history.nr_pages), (_USED, *_FREE), strict=True):
                if share > 0:
                    boxes.append(Box(left, y - _HIGH * share, right, y))
                    inks.append(one)
                    y -= _HIGH * share
