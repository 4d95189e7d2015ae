"""The unusable free space index over time, order by order, as a map of shades."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mmkit.model.fragstate import History, Moment
from mmkit.record import replace
from mmkit.view import ink
from mmkit.view.cells import Cells
from mmkit.view.ink import Ink
from mmkit.view.parts import Entry, legend_row, plural
from mmkit.view.picture import MARGIN, Picture

MOST = 2
STEPS = (0.05, 0.25, 0.5, 0.9)
"""Where one shade ends and the next begins."""
INKS = {
    0: Ink("below 0.05", "", "#f4f4f4", "#f4f4f4", edge=ink.LINE),
    1: Ink("to 0.25", "", "#b9dcf2", "#b9dcf2", edge="#0072b2"),
    2: Ink("to 0.5", "", "#f0e442", "#b9ad10", ".", edge="#8f8600"),
    3: Ink("to 0.9", "", "#e69f00", "#b57d00", "\\", edge="#b57d00"),
    4: Ink("above: useless to it", "", "#8a2f64", "#5f1c43", "x", ink.PAPER, edge="#5f1c43"),
}
_LEFT, _TOP, _WIDE, _ROW, _GAP = 62, 88, 700, 13, 50


def unusable_shares(moment: Moment) -> list[float]:
    """Return for every order the share of the free pages that is in smaller blocks; 1 for all if nothing is free."""
    pages = np.array([count << order for order, count in enumerate(moment.counts)])
    free = int(pages.sum())
    return [1.0 if not free else float(pages[:order].sum() / free) for order in range(len(pages))]


def alt_index_history(histories: Sequence[History]) -> str:
    """Say of each history from which order on half of the free memory was useless, in the middle and at the end."""
    told = []
    for history in histories:
        middle, last = history.moments[len(history.moments) // 2], history.moments[-1]
        told.append(f"{history.label}: in the middle {_half(middle)}, at the end {_half(last)}")
    return (
        f"Unusable free space index of every order over {plural(len(histories[0].moments), 'moment')}. "
        f"{'; '.join(told)}. ({replace(histories[0].source, note='')})"
    )


def _half(moment: Moment) -> str:
    order = next((order for order, share in enumerate(unusable_shares(moment)) if share >= 0.5), None)
    if order is None:
        return "less than half of the free memory is useless to any order"
    return f"half of the free memory or more is useless from order {order} on"


class IndexHistory(Picture):
    """One or two histories: a column for every moment, a row for every order, the largest on top."""

    def __init__(self, histories: Sequence[History]) -> None:
        if not 1 <= len(histories) <= MOST:
            raise ValueError(f"one or two histories are shown together, not {len(histories)}")
        self._orders = len(histories[0].moments[0].counts)
        self._high = self._orders * _ROW
        super().__init__(height=_TOP + len(histories) * (self._high + _GAP))
        self._badge = self.badge(histories[0].source)
        self.text(MARGIN, 24, "How much of the free memory is useless, order by order", 14, bold=True)
        legend_row(self, 48, [("unusable free space index:", [Entry(one, one.name) for one in INKS.values()])])
        tops = [_TOP + panel * (self._high + _GAP) for panel in range(len(histories))]
        self.cells = [self.live(Cells(INKS)) for _ in histories]
        self._titles = [self.text(_LEFT, top - 8, "", 12, live=True, bold=True) for top in tops]
        self._ends = [self.note(_LEFT + _WIDE, top + self._high + 16, live=True, ha="right") for top in tops]
        for top in tops:
            self._draw_axes(top)
        self.update(histories)

    def _draw_axes(self, top: float) -> None:
        for order in range(0, self._orders, 2):
            self.note(_LEFT - 8, top + self._high - (order + 0.5) * _ROW, str(order), ha="right", va="center")
        self.note(_LEFT - 24, top + self._high / 2, "order", ha="right", va="center")
        self.note(_LEFT, top + self._high + 16, "requests, one after the other")

    def update(self, histories: Sequence[History]) -> None:
        """Show other histories, as many as before."""
        self.alt = alt_index_history(histories)
        self._badge.set(str(replace(histories[0].source, note="")))
        for panel, history in enumerate(histories):
            values = shades_of(history)
            top = _TOP + panel * (self._high + _GAP)
            wide = max(1, int(2 * _WIDE // values.shape[1])) / 2
            self.cells[panel].put(values, (_LEFT, top, _LEFT + wide * values.shape[1], top + self._high))
            self._titles[panel].set(history.label)
            self._ends[panel].set(f"{history.moments[-1].step:,}", x=_LEFT + wide * values.shape[1])
        self.touch()


def shades_of(history: History) -> NDArray[np.uint8]:
    """Return the shade of every order (rows, the largest on top) at every moment (columns)."""
    shares = np.array([unusable_shares(moment) for moment in history.moments])
    return np.searchsorted(STEPS, shares, side="right").astype(np.uint8).T[::-1]
