"""Fragmentation over time: how much memory is in use, and in how large pieces the rest lies."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from mmkit.model.fragstate import History, Moment
from mmkit.model.snapshot import Source
from mmkit.record import replace
from mmkit.view import ink
from mmkit.view.artist import Box, Boxes, Painted, sheet, word
from mmkit.view.ink import Ink
from mmkit.view.parts import Entry, Legend, plural
from mmkit.view.picture import MARGIN, Picture

MOST = 2
GROUPS = ((0, 2), (3, 5), (6, 8), (9, 63))
"""Orders that share a colour: from ... to."""
NAMES = ("order 0 to 2", "order 3 to 5", "order 6 to 8", "order 9 and above")
INKS = (ink.USED, *ink.PIECES)
"""Of the layers, from below."""
_LEFT, _RIGHT, _TOP, _HIGH, _LANE, _PANEL, _TEXT = 66, 660, 64, 130, 22, 226, 678


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
        groups = ", ".join(f"{share:.0%} free in {name}" for share, name in zip(free, NAMES, strict=True))
        told.append(
            f"{history.label}, after {last.step:,} steps: {used:.0%} in use, {groups}; "
            f"{plural(sum(last.failures), 'request')} refused, {plural(last.mixed_blocks, 'pageblock')} of mixed types"
        )
    first = histories[0]
    over = f"Memory of {plural(first.nr_pages, 'page')} over {plural(len(first.moments), 'moment')}."
    return f"{over} {'. '.join(told)}. ({source_of(histories)})"


def source_of(histories: Sequence[History]) -> Source:
    """Return where histories come from, without the policy: each has that as its label."""
    source = histories[0].source
    return replace(source, note=source.note.split(",")[0])


class Stack(Painted):
    """Layers on top of each other, column by column; a hatch runs on from one column to the next."""

    def __init__(self, box: Sequence[float], inks: Sequence[Ink]) -> None:
        super().__init__(box)
        self.inks = tuple(inks)
        self.ends: NDArray[np.float64] = np.zeros(0)
        """Where columns end, in CSS pixels from the left edge; each begins where the one before ends."""
        self.levels: NDArray[np.float64] = np.zeros((0, len(inks)))
        """By column and layer, how high the layer's top is: 0 the bottom of the box, 1 its top."""

    def put(self, ends: Sequence[float], shares: Sequence[Sequence[float]]) -> None:
        """Show columns; ``shares`` are the heights of their layers from below, 1 for the whole box."""
        self.ends, self.levels = np.array(ends), np.cumsum(np.array(shares).reshape(len(ends), -1), axis=1)

    def paint(self, pixels: NDArray[np.uint32], scale: float) -> None:
        """Set the pixels of all layers, each with a line on its top."""
        high, wide = pixels.shape
        sheets = [(sheet(one, high, wide, scale), word(one.edge)) for one in self.inks]
        rights = np.rint(self.ends * scale).astype(int).tolist()
        tops = np.rint(high * (1 - self.levels)).astype(int).tolist()
        # Copies of slices: a mask for each layer would take several times as long.
        for left, right, levels in zip((0, *rights), rights, tops, strict=False):
            bottom = high
            for top, (face, edge) in zip(levels, sheets, strict=True):
                if top < bottom:
                    pixels[top:bottom, left:right] = face[top:bottom, left:right]
                    pixels[top, left:right] = edge
                    bottom = top


class HistoryPicture(Picture):
    """One or two histories below each other on one scale: memory in use at the bottom, free memory by order above.

    Below each, on one scale too: where requests were refused, and how many pageblocks mix types.
    """

    def __init__(self, histories: Sequence[History]) -> None:
        if not 1 <= len(histories) <= MOST:
            raise ValueError(f"one or two histories are shown together, not {len(histories)}")
        self._tops = [_TOP + panel * _PANEL for panel in range(len(histories))]
        super().__init__(height=_TOP + len(histories) * _PANEL - 22)
        self._badge = self.badge(histories[0].source)
        self.text(MARGIN, 24, "What becomes of free memory", 14, bold=True)
        self.stacks = [self.live(Stack((_LEFT, top, _RIGHT, top + _HIGH), INKS)) for top in self._tops]
        self.marks = [self.live(Boxes((_LEFT, top + _HIGH, _RIGHT + 2, top + _PANEL))) for top in self._tops]
        self._titles = [self.text(_LEFT, top - 8, "", 12, live=True, bold=True) for top in self._tops]
        self._ends = [self.note(_RIGHT, self._lane(top, 1) + 17, live=True, ha="right") for top in self._tops]
        self.legends = [
            Legend(self, (_TEXT, top + 6, self.width, top + _HIGH), len(INKS), line=23) for top in self._tops
        ]
        self.told = [
            [self.text(_TEXT, self._lane(top, lane) - 8, "", 11, live=True, va="center") for lane in range(2)]
            for top in self._tops
        ]
        for top in self._tops:
            self._draw_axes(top)
        self.update(histories)

    @staticmethod
    def _lane(top: float, lane: int) -> float:
        """Bottom of a lane: 0 for refused requests, 1 for mixed pageblocks."""
        return top + _HIGH + 4 + (lane + 1) * _LANE

    def _draw_axes(self, top: float) -> None:
        for share in (0, 0.5, 1):
            y = top + _HIGH * (1 - share)
            self.note(_LEFT - 6, y, f"{share:.0%}", ha="right", va="center")
            self.line([_LEFT, _RIGHT], [y, y], ink.FAINT)
        for lane, name in enumerate(("refused", "mixed")):
            y = self._lane(top, lane)
            self.note(_LEFT - 6, y - 8, name, ha="right", va="center")
            self.line([_LEFT, _RIGHT], [y, y], ink.LINE)
        self.note(_LEFT, self._lane(top, 1) + 17, "requests, one after the other")

    def update(self, histories: Sequence[History]) -> None:
        """Show other histories, as many as before."""
        if len(histories) != len(self._tops):
            raise ValueError(f"this picture shows {len(self._tops)}, not {len(histories)} histories: make a new one")
        self.alt = alt_history(histories)
        self._badge.set(str(source_of(histories)))
        scale = (_RIGHT - _LEFT) / (max(history.moments[-1].step for history in histories) or 1)
        most_refused = max(max(refused_of(history), default=0) for history in histories)
        most_mixed = max(moment.mixed_blocks for history in histories for moment in history.moments)
        for panel, history in enumerate(histories):
            self._titles[panel].set(history.label)
            self._ends[panel].set(f"{history.moments[-1].step:,}")
            self._tell(panel, history)
            ends = [max(moment.step * scale, 2.0) for moment in history.moments]
            self.stacks[panel].put(ends, [shares_of(moment, history.nr_pages) for moment in history.moments])
            self._mark(panel, history, ends, most_refused, most_mixed)
        self.touch()

    def _tell(self, panel: int, history: History) -> None:
        last = history.moments[-1]
        shares = shares_of(last, history.nr_pages)
        names = ("in use", *(f"free, {name}" for name in NAMES))
        told = [Entry(one, name, f"{share:.0%}") for one, name, share in zip(INKS, names, shares, strict=True)]
        self.legends[panel].set(told[::-1])
        refused, mixed = self.told[panel]
        refused.set(f"{plural(sum(last.failures), 'request')} refused so far")
        mixed.set(f"{plural(last.mixed_blocks, 'pageblock')} of mixed types")

    def _mark(
        self, panel: int, history: History, ends: Sequence[float], most_refused: int, most_mixed: int
    ) -> None:  # fmt: skip
        """Draw the two lanes below: a bar for each moment, as high as its share of the most there is."""
        boxes, inks = [], []
        values = (refused_of(history), [moment.mixed_blocks for moment in history.moments[1:]])
        for lane, (counts, most, one) in enumerate(
            zip(values, (most_refused, most_mixed), (ink.REFUSED, ink.MIXED), strict=True)
        ):
            bottom = self._lane(self._tops[panel], lane)
            for (left, right), count in zip(pairwise(ends), counts, strict=True):
                if count:
                    high = max(2.0, (_LANE - 5) * count / most)
                    boxes.append(Box(_LEFT + left, bottom - high, _LEFT + max(right, left + 1), bottom))
                    inks.append(one)
        self.marks[panel].put(boxes, inks, [""] * len(boxes))


def refused_of(history: History) -> list[int]:
    """Return how many requests were refused from each moment to the next."""
    totals = [sum(moment.failures) for moment in history.moments]
    return [after - before for before, after in pairwise(totals)]
