"""How fragmented zones are: free pages by order, and the kernel's two indices."""

from __future__ import annotations

from collections.abc import Sequence

from mmkit.model.fragstate import Fragmentation
from mmkit.view import ink
from mmkit.view.artist import Boxes, Label
from mmkit.view.ink import Ink
from mmkit.view.parts import Entry, legend_row, listed, pages_size, plural
from mmkit.view.picture import MARGIN, Picture, fit

MOST = 4
_COLUMNS, _ROW, _TOP = 11, 15, 64
_ORDER, _FREE, _FREE_WIDE, _UNUSABLE, _INDEX_WIDE, _EXTFRAG = 34, 44, 330, 520, 150, 728
_HIGH = 18 + _COLUMNS * _ROW + 22
_LARGEST = Ink("largest", "", "#0072b2", "#004c78", "|", edge="#004c78")


def alt_fragmentation(measures: Sequence[Fragmentation]) -> str:
    """Say of each zone how much is free, how large the largest block is, and what the indices say where they rise."""
    told = [_in_words(measure) for measure in measures[:MOST]]
    more = f" And {plural(len(measures) - MOST, 'more zone')}." if len(measures) > MOST else ""
    return f"{' '.join(told)}{more} ({measures[0].source})"


def _in_words(measure: Fragmentation) -> str:
    name = _name(measure)
    if measure.largest_order is None:
        return f"{name}: nothing is free."
    half = next((order for order, share in enumerate(measure.unusable) if share >= 0.5), None)
    fails = [order for order, index in enumerate(measure.extfrag) if index != -1]
    unusable = f"half of it or more is of no use from order {half} on" if half is not None else "most is of use to any"
    failing = "no request of any order would fail" if not fails else _failing(measure, fails)
    blocks = ", ".join(f"{count:,}" for count in measure.counts)
    return (
        f"{name}: {plural(measure.free_pages, 'page')} free, in blocks of order 0 to {len(measure.counts) - 1}: "
        f"{blocks}; {unusable}; {failing}."
    )


def _failing(measure: Fragmentation, fails: Sequence[int]) -> str:
    first, last = fails[0], fails[-1]
    orders = f"order {first}" if first == last else f"orders {first} to {last}"
    indices = listed([f"{measure.extfrag[order]:.3f}" for order in dict.fromkeys((first, last))])
    return f"requests of {orders} would fail, with fragmentation index {indices}"


def _name(measure: Fragmentation) -> str:
    if measure.zone:
        return f"Zone {measure.zone}" + (f" of node {measure.node}" if measure.node else "")
    return measure.source.note or "Free memory"


class FragmentationPicture(Picture):
    """Up to four zones (or memories) below each other: a row for each order with free pages and both indices.

    Bars of free pages are to one scale within a zone; the largest block that can be had is marked.
    """

    def __init__(self, measures: Sequence[Fragmentation]) -> None:
        if not measures:
            raise ValueError("there is no zone to show")
        shown = min(len(measures), MOST)
        super().__init__(height=_TOP + shown * _HIGH + 30)
        self._shown = shown
        self._badge = self.badge(measures[0].source)
        self.text(MARGIN, 24, "How fragmented free memory is, order by order", 14, bold=True)
        self._more = self.note(MARGIN, 46, live=True)
        self.boxes = self.live(Boxes((0, _TOP, self.width, _TOP + shown * _HIGH)))
        self._titles = [
            self.text(MARGIN, _TOP + panel * _HIGH + 12, "", 12, live=True, bold=True) for panel in range(shown)
        ]
        self._rows = [[self._labels(panel, order) for order in range(_COLUMNS)] for panel in range(shown)]
        self._draw_fixed(shown)
        self.update(measures)

    def _y(self, panel: int, order: int) -> float:
        return _TOP + panel * _HIGH + 26 + (order + 0.5) * _ROW

    def _labels(self, panel: int, order: int) -> tuple[Label, ...]:
        y = self._y(panel, order)
        return (
            self.text(_ORDER, y, "", 10.5, live=True, ha="right", va="center", bold=True),
            self.note(0, y, live=True, va="center"),
            self.note(_UNUSABLE + _INDEX_WIDE + 8, y, live=True, va="center"),
            self.note(_EXTFRAG, y, live=True, va="center"),
        )

    def _draw_fixed(self, shown: int) -> None:
        for panel in range(shown):
            y = _TOP + panel * _HIGH + 12
            self.note(_UNUSABLE, y, "unusable free space index")
            self.note(_EXTFRAG, y, "fragmentation index")
            for x in (_UNUSABLE, _UNUSABLE + _INDEX_WIDE):
                self.line([x, x], [y + 8, y + 16 + _COLUMNS * _ROW], ink.FAINT)
        entries = [Entry(ink.WATER, "free pages"), Entry(ink.KEPT, "of no use to a request of that order")]
        legend_row(self, self.height - 14, [("", [*entries, Entry(_LARGEST, "largest block that can be had")])])

    def update(self, measures: Sequence[Fragmentation]) -> None:
        """Show other zones, as many as before."""
        self.alt = alt_fragmentation(measures)
        self._badge.set(str(measures[0].source) if len({str(m.source) for m in measures}) == 1 else "model")
        left = len(measures) - self._shown
        self._more.set(f"the first {self._shown} zones; {left} more are not shown" if left > 0 else "")
        boxes: list[tuple[float, float, float, float]] = []
        inks: list[Ink] = []
        for panel, measure in enumerate(measures[: self._shown]):
            largest = measure.largest_order
            size = f", the largest block {pages_size(1 << largest)} (order {largest})" if largest is not None else ""
            title = f"{_name(measure)}: {pages_size(measure.free_pages)} free{size}"
            self._titles[panel].set(fit(title, _UNUSABLE - MARGIN - 12, 12, bold=True))
            for order in range(_COLUMNS):
                self._draw_row(panel, order, measure, boxes, inks)
        self.boxes.put(boxes, inks)
        self.touch()

    def _draw_row(
        self, panel: int, order: int, measure: Fragmentation, boxes: list[tuple[float, float, float, float]],
        inks: list[Ink],
    ) -> None:  # fmt: skip
        labels = self._rows[panel][order]
        if order >= len(measure.counts):
            for label in labels:
                label.set("")
            return
        y, pages = self._y(panel, order), measure.counts[order] << order
        most = max((count << k for k, count in enumerate(measure.counts)), default=0) or 1
        right = _FREE + _FREE_WIDE * pages / most
        if pages:
            boxes.append((_FREE, y - 5.5, max(right, _FREE + 2), y + 5.5))
            inks.append(_LARGEST if order == measure.largest_order else ink.WATER)
        share, index = measure.unusable[order], measure.extfrag[order]
        if share:
            boxes.append((_UNUSABLE, y - 5.5, _UNUSABLE + max(2, _INDEX_WIDE * share), y + 5.5))
            inks.append(ink.KEPT)
        words = f"{measure.counts[order]:,} block{'s' * (measure.counts[order] != 1)}"
        found = "would not fail" if index == -1 else f"{index:.3f}: {_why(index)}"
        for label, text in zip(labels, (str(order), words, f"{share:.3f}", found), strict=True):
            label.set(text)
        labels[1].set(x=max(right, _FREE) + 6)


def _why(index: float) -> str:
    return "in pieces" if index >= 0.5 else "too little memory"
