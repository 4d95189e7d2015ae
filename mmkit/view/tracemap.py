"""When a program used which page: a heat map of an address trace, with what misses in a TLB."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mmkit.model.tlbstate import TraceMap
from mmkit.units import format_size
from mmkit.view import ink
from mmkit.view.cells import NOTHING, Cells
from mmkit.view.parts import Entry, legend_row, plural
from mmkit.view.picture import MARGIN, Picture, fit
from mmkit.view.tlb import accesses

_LEFT, _TOP, _WIDE, _LEAST = 104, 66, 784, 40
_CELLS = dict(enumerate((*ink.HEAT["hits"], *ink.HEAT["misses"])))
_STEPS = (0.05, 0.35)
"""From which share of the most that a cell has it is "more", and "many"."""


def alt_trace(state: TraceMap, done: int | None = None) -> str:
    """Say how many accesses there are, to how many pages, and how many of them hit."""
    if not state.accesses:
        return f"{state.title}: no access. ({state.source})"
    share = state.hits / state.accesses
    size = format_size(1 << state.shift)
    span = f"0x{state.rows[0][0]:x} to 0x{state.rows[-1][1]:x}"
    position = f" {done:,} of them have been made." if done is not None else ""
    return (
        f"{state.title}: {accesses(state.accesses)} to "
        f"{plural(state.pages, 'page')} of {size}, {span}, from left to right in time; "
        f"{state.hits:,} hit, {state.accesses - state.hits:,} miss ({share:.1%} hits).{position} ({state.source})"
    )


class TracePicture(Picture):
    """Pages from bottom to top, time from left to right; the darker, the more accesses, orange where some miss."""

    def __init__(self, state: TraceMap, done: int | None = None) -> None:
        self._shape = _shape(state)
        rows, columns = max(self._shape[0], 1), max(self._shape[1], 1)
        self._cell = max(1.0, min(16.0, int(_WIDE * 2 / columns) / 2)), max(2.0, min(16.0, int(320 / rows) / 2))
        self._high = rows * self._cell[1]
        self._right = _LEFT + columns * self._cell[0]
        super().__init__(_TOP + max(self._high, _LEAST) + 74)
        self._title = self.text(MARGIN, 24, "", 14, live=True, bold=True)
        self._badge = self.badge(state.source)
        self._told = self.text(MARGIN, 45, "", 12, live=True)
        self.cells = self.live(Cells(_CELLS))
        self.cursor = self.line([], [], ink.TEXT, 1.6, live=True, zorder=6)
        self._high_page = self.note(_LEFT - 8, _TOP + 8, live=True, ha="right", va="center")
        self._low_page = self.note(_LEFT - 8, _TOP + self._high - 7, live=True, ha="right", va="center")
        self._first = self.note(_LEFT, _TOP + self._high + 16, "first access")
        self._end = self.note(self._right, _TOP + self._high + 16, live=True, ha="right")
        names = [("accesses, all hits:", ink.HEAT["hits"]), ("accesses, some of them misses:", ink.HEAT["misses"])]
        legend_row(self, self.height - 20, [(title, [Entry(one, one.name) for one in ramp]) for title, ramp in names])
        self.update(state, done)

    def update(self, state: TraceMap, done: int | None = None) -> None:
        """Show another trace of the same size; ``done`` draws a line behind so many accesses."""
        if _shape(state) != self._shape:
            raise ValueError("this picture is of a trace of another size: make a new one")
        self.alt = alt_trace(state, done)
        self._badge.set(str(state.source))
        share = state.hits / state.accesses if state.accesses else 0
        self._title.set(fit(f"{state.title}: {share:.1%} hits", self.width - 300, 14, bold=True))
        size = format_size(1 << state.shift)
        what = f"{accesses(state.accesses)} to {plural(state.pages, 'page')} of {size}"
        self._told.set(f"{what}; only pages that are used have a row")
        if state.rows:
            self._high_page.set(f"page 0x{state.rows[-1][1]:x}")
            self._low_page.set(f"page 0x{state.rows[0][0]:x}" if len(state.rows) * self._cell[1] > 26 else "")
        self._end.set(f"access {state.accesses:,}" if self._right - _LEFT > 180 else "")
        values = _values(state)
        self.cells.put(values[::-1], (_LEFT, _TOP, self._right, _TOP + self._high))
        self._put_cursor(state, done)
        self.touch()

    def _put_cursor(self, state: TraceMap, done: int | None) -> None:
        if done is None or not state.accesses:
            self.cursor.set_data([], [])
            return
        x = _LEFT + (self._right - _LEFT) * done / state.accesses
        self.cursor.set_data([x, x], [_TOP - 4, _TOP + self._high + 4])


def _shape(state: TraceMap) -> tuple[int, int]:
    return len(state.counts), len(state.counts[0]) if state.counts else 0


def _values(state: TraceMap) -> NDArray[np.uint8]:
    counts, misses = np.array(state.counts), np.array(state.misses)
    if not counts.size:
        return np.full((1, 1), NOTHING, np.uint8)
    share = counts / counts.max()
    level = np.searchsorted(_STEPS, share, side="right")
    values: NDArray[np.uint8] = (level + 3 * (misses > 0)).astype(np.uint8)
    values[counts == 0] = NOTHING
    return values
