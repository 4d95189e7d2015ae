"""The strip of free blocks: a skyline along the addresses, each block as wide as it is big and as high as its order."""

from __future__ import annotations

from mmkit.model.snapshot import BuddySnapshot
from mmkit.view import ink
from mmkit.view.blocks import FREE_LEGEND, USED_LEGEND, free_runs, letters_on, span_of, used_runs
from mmkit.view.cells import Lanes, Letters
from mmkit.view.parts import Ruler, legend_row, plural
from mmkit.view.picture import MARGIN, Picture

_LEFT, _TOP, _HIGH = 64, 48, 110


def free_in_span(snapshot: BuddySnapshot, span: tuple[int, int]) -> list[int]:
    """Return how many free blocks of each order lie, at least in part, in the pages [start, end)."""
    return [
        sum(pfn < span[1] and pfn + (1 << order) > span[0] for pfns in lists for pfn in pfns)
        for order, lists in enumerate(snapshot.free_lists)
    ]


def alt_free_strip(snapshot: BuddySnapshot, span: tuple[int, int] | None = None) -> str:
    """Say which free blocks lie in a range, and the largest of them."""
    start, end = span or span_of(snapshot)
    counts = free_in_span(snapshot, (start, end))
    where = f"From pfn 0x{start:x} to 0x{end - 1:x}"
    if not any(counts):
        return f"{where}: no free block. ({snapshot.source})"
    top = max(order for order, count in enumerate(counts) if count)
    at = sorted(pfn for pfns in snapshot.free_lists[top] for pfn in pfns if pfn < end and pfn + (1 << top) > start)
    return (
        f"{where}: {plural(sum(counts), 'free block')}; of order 0 to {snapshot.max_order}: "
        f"{', '.join(f'{count:,}' for count in counts)}. The largest is of order {top} at 0x{at[0]:x}"
        f"{f', and {len(at) - 1:,} more' if len(at) > 1 else ''}. ({snapshot.source})"
    )


class FreeStrip(Picture):
    """Where the free blocks of a zone lie: width is size, height is order, colour and letter are the migrate type.

    ``span`` are the pages [start, end) to show; the whole zone if None.
    """

    def __init__(self, snapshot: BuddySnapshot, span: tuple[int, int] | None = None) -> None:
        super().__init__(height=_TOP + _HIGH + 84)
        bottom, right = _TOP + _HIGH, self.width - MARGIN - 14
        self._badge = self.badge(snapshot.source)
        self._heading = self.text(MARGIN, 22, "", 14, live=True, bold=True)
        self.lanes = self.live(Lanes((_LEFT, _TOP, right, bottom)))
        self.strip = self.live(Lanes((_LEFT, bottom + 3, right, bottom + 15)))
        self.letters = self.live(Letters(10.5))
        self.ruler = Ruler(self, _LEFT, right, bottom + 17)
        self.snapshot, self.span = snapshot, span or span_of(snapshot)
        for order in range(0, snapshot.max_order + 1, 2 if snapshot.max_order > 6 else 1):
            y = self._lane(order)[0]
            self.line([_LEFT, right], [y, y], ink.FAINT)
            self.note(
                _LEFT - 8,
                y,
                f"order {order}" if order in (0, snapshot.max_order) else str(order),
                ha="right",
                va="center",
            )
        legend_row(self, self.height - 13, [("free:", FREE_LEGEND), ("in use (thin strip):", USED_LEGEND)])
        self.update(snapshot, span)

    def _lane(self, order: int) -> tuple[float, float]:
        bottom = _TOP + _HIGH
        return bottom - _HIGH * (order + 1) / (self.snapshot.max_order + 1), bottom

    def update(self, snapshot: BuddySnapshot, span: tuple[int, int] | None = None) -> None:
        """Show another state, and another range if one is given."""
        if span is None and span_of(snapshot) == span_of(self.snapshot):
            span = self.span
        self.snapshot, self.span = snapshot, span or span_of(snapshot)
        # Small blocks are painted last: they would vanish under the neighbours that are drawn wider than they are.
        orders = range(snapshot.max_order, -1, -1)
        runs = [free_runs(snapshot, order) for order in orders]
        self.lanes.put([self._lane(order) for order in orders], runs, self.span)
        self.strip.put([(self.strip.box.top, self.strip.box.bottom)], [used_runs(snapshot)], self.span)
        self.letters.put([
            letter
            for order, run in zip(orders, runs, strict=True)
            for letter in letters_on(self.lanes, run, max(sum(self._lane(order)) / 2, _TOP + 8))
        ])  # fmt: skip
        self.ruler.set(*self.span)
        self._badge.set(str(snapshot.source))
        zone = f": zone {snapshot.zone}" if snapshot.zone else ""
        self._heading.set(self.heading_fit(f"Free blocks by address{zone}", snapshot.source))
        self.alt = alt_free_strip(snapshot, self.span)
        self.touch()
