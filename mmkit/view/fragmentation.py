"""How fragmented zones are: free pages by order, and the kernel's two indices."""

from __future__ import annotations

from collections.abc import Sequence

from mmkit.model.fragstate import Fragmentation
from mmkit.view import ink
from mmkit.view.artist import Box, Boxes, Label
from mmkit.view.ink import Ink
from mmkit.view.parts import Entry, legend_row, pages_size, plural
from mmkit.view.picture import MARGIN, Picture, fit

MOST = 12
"""Zones shown; of more, the picture says how many it leaves out."""
_TOLD = 3
"""Zones of which the alt text says everything; of more it says how much is free."""
THRESHOLD = 0.5
"""``vm.extfrag_threshold``: above it the kernel takes fragmentation for the cause."""
_ROW, _TOP, _HEAD, _GAP = 15, 40, 40, 12
_ORDER, _SIZE, _FREE, _UNUSABLE, _WHY = 34, 90, 98, 436, 640
_FREE_WIDE, _UNUSABLE_WIDE, _WHY_WIDE = 236, 130, 130


def alt_fragmentation(measures: Sequence[Fragmentation]) -> str:
    """Say of each zone how many pages are free in which blocks, and what the indices are."""
    told = [_in_words(measure) for measure in measures[:_TOLD]] + [_in_short(each) for each in measures[_TOLD:MOST]]
    more = f" And {plural(len(measures) - MOST, 'more zone')}." if len(measures) > MOST else ""
    return f"{' '.join(told)}{more} ({source_of(measures)})"


def _in_words(measure: Fragmentation) -> str:
    if measure.largest_order is None:
        return f"{_name(measure)}: nothing is free."
    blocks = ", ".join(f"{count:,}" for count in measure.counts)
    unusable = ", ".join(f"{share:g}" for share in measure.unusable)
    return (
        f"{_name(measure)}: {plural(measure.free_pages, 'page')} free, in blocks of order 0 to "
        f"{len(measure.counts) - 1}: {blocks}; share of no use to a request of that order: {unusable}; "
        f"{_failing(measure)}."
    )


def _in_short(measure: Fragmentation) -> str:
    largest = "nothing" if measure.largest_order is None else f"largest block of order {measure.largest_order}"
    return f"{_name(measure)}: {plural(measure.free_pages, 'page')} free, {largest}."


def _failing(measure: Fragmentation) -> str:
    fails = [order for order, index in enumerate(measure.extfrag) if index != -1]
    if not fails:
        return "no request would fail"
    first, last = fails[0], fails[-1]
    if first == last:
        return f"a request of order {first} would fail, fragmentation index {measure.extfrag[first]:g}"
    indices = f"{measure.extfrag[first]:g} to {measure.extfrag[last]:g}"
    return f"requests of order {first} to {last} would fail, fragmentation index {indices}"


def _name(measure: Fragmentation) -> str:
    if measure.zone:
        return f"Zone {measure.zone}" + (f" of node {measure.node}" if measure.node else "")
    return measure.source.note[:1].upper() + measure.source.note[1:] or "Free memory"


def source_of(measures: Sequence[Fragmentation]) -> str:
    """Return the source that all share, or of which kind they are."""
    sources = list(dict.fromkeys(str(measure.source) for measure in measures))
    return sources[0] if len(sources) == 1 else ", ".join(dict.fromkeys(measure.source.kind for measure in measures))


class FragmentationPicture(Picture):
    """Zones (or memories) below each other: a row for each order with its free pages and both indices.

    Bars of free pages are to one scale within a zone; those of the largest blocks that can be had are marked.

    Raises ValueError if there is no zone.
    """

    def __init__(self, measures: Sequence[Fragmentation]) -> None:
        if not measures:
            raise ValueError("there is no zone to show: give at least one measure")
        self._shown, self._orders = min(len(measures), MOST), max(len(measure.counts) for measure in measures)
        self._panel = _HEAD + self._orders * _ROW + _GAP
        bottom = _TOP + self._shown * self._panel
        super().__init__(height=bottom + (44 if len(measures) > MOST else 26))
        self._badge = self.badge(measures[0].source)
        self.text(MARGIN, 24, "How fragmented free memory is, order by order", 14, bold=True)
        self._more = self.note(MARGIN, bottom + 10, live=True)
        self.bars = self.live(Boxes((0, _TOP, self.width, bottom)))
        panels = range(self._shown)
        self.titles = [self.text(MARGIN, self._top(k) + 14, "", 12, live=True, bold=True) for k in panels]
        self.rows = [[self._labels(self._y(k, order)) for order in range(self._orders)] for k in panels]
        self._draw_fixed()
        self.update(measures)

    def _top(self, panel: int) -> float:
        return _TOP + panel * self._panel

    def _y(self, panel: int, order: int) -> float:
        return self._top(panel) + _HEAD + (order + 0.5) * _ROW

    def _labels(self, y: float) -> tuple[Label, ...]:
        """Order, size of a block, number of blocks, and the two indices."""
        return (
            self.text(_ORDER, y, "", 10.5, live=True, ha="right", va="center", bold=True),
            self.note(_SIZE, y, live=True, ha="right", va="center"),
            self.note(_FREE, y, live=True, va="center"),
            self.note(_UNUSABLE + _UNUSABLE_WIDE + 8, y, live=True, va="center"),
            self.note(_WHY + _WHY_WIDE + 8, y, live=True, va="center"),
        )

    def _draw_fixed(self) -> None:
        heads = ((MARGIN, "order"), (_FREE, "free pages (bars) and blocks"),
                 (_UNUSABLE, "unusable free space index, 0 to 1"), (_WHY, "fragmentation index, 0 to 1"))  # fmt: skip
        for panel in range(self._shown):
            top, bottom = self._top(panel) + _HEAD, self._top(panel) + _HEAD + self._orders * _ROW
            for x, text in heads:
                self.note(x, top - 6, text)
            for x in (_FREE, _UNUSABLE, _UNUSABLE + _UNUSABLE_WIDE, _WHY, _WHY + _WHY_WIDE):
                self.line([x, x], [top, bottom], ink.LINE)
            self.line([_WHY + _WHY_WIDE * THRESHOLD] * 2, [top, bottom], ink.MUTED, zorder=3, linestyle=(0, (3, 2)))
        entries = [
            Entry(ink.WATER, "free pages"), Entry(ink.LARGEST, "of the largest blocks"),
            Entry(ink.KEPT, "of no use to a request of that order"),
            Entry(ink.WHY, "why it fails: too little memory or, above 0.5, in pieces"),
        ]  # fmt: skip
        legend_row(self, self.height - 16, [("", entries)])

    def update(self, measures: Sequence[Fragmentation]) -> None:
        """Show other zones, as many as before. Raises ValueError if they are more or fewer, or have more orders."""
        if min(len(measures), MOST) != self._shown or max(len(one.counts) for one in measures) > self._orders:
            raise ValueError(f"this picture is of {self._shown} zones with {self._orders} orders: make a new one")
        self.alt = alt_fragmentation(measures)
        self._badge.set(source_of(measures))
        left = len(measures) - self._shown
        self._more.set(f"{plural(left, 'more zone')}, not shown" if left else "")
        boxes: list[Box] = []
        inks: list[Ink] = []
        for panel, measure in enumerate(measures[: self._shown]):
            self._write(panel, measure)
            for order in range(len(measure.counts)):
                for box, one in self._bars(self._y(panel, order), measure, order):
                    boxes.append(box)
                    inks.append(one)
        self.bars.put(boxes, inks)
        self.touch()

    def _write(self, panel: int, measure: Fragmentation) -> None:
        largest = measure.largest_order
        size = f"; the largest block is of order {largest}, {pages_size(1 << largest)}" if largest is not None else ""
        title = f"{_name(measure)}: {pages_size(measure.free_pages) if measure.free_pages else 'nothing'} free{size}"
        self.titles[panel].set(fit(title, self.width - 2 * MARGIN, 12, bold=True))
        for order, labels in enumerate(self.rows[panel]):
            texts = _texts(measure, order) if order < len(measure.counts) else ("",) * len(labels)
            for label, text in zip(labels, texts, strict=True):
                label.set(text)
            labels[2].set(x=_FREE + 6 + _length(measure, order))

    def _bars(self, y: float, measure: Fragmentation, order: int) -> list[tuple[Box, Ink]]:
        look = ink.LARGEST if order == measure.largest_order else ink.WATER
        index = max(measure.extfrag[order], 0)
        lengths = (
            (_FREE, _length(measure, order), look), (_UNUSABLE, measure.unusable[order] * _UNUSABLE_WIDE, ink.KEPT),
            (_WHY, index * _WHY_WIDE, ink.WHY),
        )  # fmt: skip
        return [(Box(x, y - 5.5, x + max(2, long), y + 5.5), one) for x, long, one in lengths if long]


def _length(measure: Fragmentation, order: int) -> float:
    """CSS pixels of the bar of free pages: longest where most of them are."""
    pages = [count << size for size, count in enumerate(measure.counts)]
    return _FREE_WIDE * pages[order] / max(*pages, 1) if order < len(pages) else 0


def _texts(measure: Fragmentation, order: int) -> tuple[str, ...]:
    index = measure.extfrag[order]
    why = "in pieces" if index > THRESHOLD else "too little"
    return (
        str(order), pages_size(1 << order), plural(measure.counts[order], "block"), f"{measure.unusable[order]:.3f}",
        "would not fail" if index == -1 else f"{index:.3f}: {why}",
    )  # fmt: skip
