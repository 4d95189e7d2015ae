"""The pictures of the buddy system: its lists and its memory side by side, step by step."""

from __future__ import annotations

from matplotlib.lines import Line2D

from mmkit.model import trace
from mmkit.model.migratetype import MigrateType
from mmkit.model.snapshot import BuddySnapshot
from mmkit.view import ink
from mmkit.view.artist import Box, Boxes, text_width
from mmkit.view.blocks import FREE_LEGEND, USED_LEGEND, free_runs, letters_on, span_of, used_runs
from mmkit.view.cells import Lanes, Letters
from mmkit.view.freelists import FreeLists, alt_free_lists
from mmkit.view.parts import Entry, Ruler, legend_row, listed, outline_of, pages_size, plural, wrapped, write_lines
from mmkit.view.picture import MARGIN, Picture, fit
from mmkit.view.splitmerge import SplitMerge, alt_split_merge
from mmkit.view.strip import FreeStrip, alt_free_strip
from mmkit.view.words import in_words

__all__ = [
    "BuddyPicture", "FreeLists", "FreeStrip", "SplitMerge", "alt_buddy", "alt_free_lists", "alt_free_strip",
    "alt_split_merge",
]  # fmt: skip

_LEFT, _RIGHT, _COUNT, _TYPES = 104, 700, 752, 762
_TOP, _LEVELS = 92, 270


def alt_buddy(snapshot: BuddySnapshot, event: trace.Event | None = None) -> str:
    """Say how many blocks are free, which block is in hand, and what has just happened."""
    start, end = span_of(snapshot)
    orders = ", ".join(f"{count:,}" for count in snapshot.counts)
    types = [sum(len(lists[kind]) << order for order, lists in enumerate(snapshot.free_lists)) for kind in range(5)]
    by_type = [f"{pages:,} {MigrateType(kind).title}" for kind, pages in enumerate(types) if pages]
    of_them = (
        f", of them {listed(by_type)}" if len(by_type) > 1 else f", all {by_type[0].split()[1]}" if by_type else ""
    )
    hand = ""
    if snapshot.in_hand:
        hand = f" In hand: order {snapshot.in_hand[1]} at 0x{snapshot.in_hand[0]:x}."
    zone = f"Zone {snapshot.zone}" if snapshot.zone else "Buddy allocator"
    return (
        f"{in_words(event)} {zone}, pfn 0x{start:x} to 0x{end - 1:x}: {snapshot.free_pages:,} of {end - start:,} pages "
        f"free{of_them}; free blocks of order 0 to {snapshot.max_order}: {orders}.{hand} ({snapshot.source})"
    ).strip()


class BuddyPicture(Picture):
    """The whole allocator of a zone: a lane for each order with its free blocks where they lie, and the pages below.

    ``event`` is the step that led to the snapshot: its words stand on top, and what it touched is outlined.
    """

    def __init__(
        self, snapshot: BuddySnapshot, event: trace.Event | None = None, span: tuple[int, int] | None = None
    ) -> None:
        super().__init__(height=_TOP + _LEVELS + 104)
        self._row = _LEVELS / (snapshot.max_order + 1)
        self.span = span or span_of(snapshot)
        self.snapshot, self.event = snapshot, event
        self._badge = self.badge(snapshot.source)
        self._heading = self.text(MARGIN, 22, "", 14, live=True, bold=True)
        self.caption = [self.text(MARGIN, 44 + 17 * line, "", 12.5, live=True) for line in range(2)]
        self._draw_fixed(snapshot.max_order)
        bottom = _TOP + _LEVELS
        self.lanes = self.live(Lanes((_LEFT, _TOP, _RIGHT, bottom)))
        self.strip = self.live(Lanes((_LEFT, bottom + 8, _RIGHT, bottom + 34)))
        self.marks = self.live(Boxes((_LEFT - 2, _TOP, _RIGHT + 2, bottom)))
        self.marks.set_zorder(3)
        self.letters = self.live(Letters(10.5))
        self.ghosts = [self.line([], [], ink.TEXT, 1, live=True, linestyle=(0, (3, 2)), zorder=4) for _ in range(2)]
        self.outlines = [self.line([], [], ink.TEXT, 2.4, live=True, zorder=6) for _ in range(2)]
        self.ruler = Ruler(self, _LEFT, _RIGHT, bottom + 36)
        orders = range(snapshot.max_order + 1)
        self.counts = [
            self.text(_COUNT, self._y(o), "", 12, live=True, ha="right", va="center", bold=True) for o in orders
        ]
        self.types = [self.text(_TYPES, self._y(o), "", 10, live=True, va="center", colour=ink.MUTED) for o in orders]
        self.update(snapshot, event)

    def _y(self, order: int) -> float:
        """Middle of the lane of an order; the largest is at the top."""
        return _TOP + _LEVELS - (order + 0.5) * self._row

    def _lane(self, order: int) -> tuple[float, float]:
        half = min(self._row / 2 - 2, 15)
        return self._y(order) - half, self._y(order) + half

    def _draw_fixed(self, max_order: int) -> None:
        for x, text, ha in ((MARGIN, "order", "left"), (_LEFT, "free blocks, where they lie", "left"),
                            (_COUNT, "count", "right"), (_TYPES, "by type", "left")):  # fmt: skip
            self.note(x, _TOP - 8, text, ha=ha)
        for order in range(max_order + 1):
            y = self._y(order)
            self.text(MARGIN + 20, y, str(order), 12, ha="right", va="center", bold=True)
            self.note(_LEFT - 8, y, pages_size(1 << order), ha="right", va="center")
            self.line([_LEFT, _RIGHT], [y, y], ink.FAINT)
        self.note(_LEFT - 8, _TOP + _LEVELS + 21, "pages", ha="right", va="center")
        groups = [("free:", FREE_LEGEND), ("in use:", USED_LEGEND), ("", [Entry(ink.IN_HAND, "in hand")])]
        legend_row(self, self.height - 13, groups)

    def zoom(self, start_pfn: int, end_pfn: int) -> None:
        """Show only the pages [start_pfn, end_pfn) until told otherwise. Raises ValueError for an empty range."""
        if not 0 <= start_pfn < end_pfn:
            raise ValueError(f"cannot show the pages from {start_pfn} to {end_pfn}: give a start below the end")
        self.span = start_pfn, end_pfn
        self.update(self.snapshot, self.event)

    def update(self, snapshot: BuddySnapshot, event: trace.Event | None = None) -> None:
        """Show another state of the same allocator, and the step that led to it."""
        if span_of(snapshot) != span_of(self.snapshot):
            self.span = span_of(snapshot)
        self.snapshot, self.event = snapshot, event
        self.alt = alt_buddy(snapshot, event)
        self._badge.set(str(snapshot.source))
        self._write_heading()
        self._draw_lanes()
        self._draw_marks()
        self.ruler.set(*self.span)
        self.touch()

    def _write_heading(self) -> None:
        snapshot = self.snapshot
        zone = (
            f"Zone {snapshot.zone}{f' of node {snapshot.node}' * (snapshot.node > 0)}"
            if snapshot.zone
            else "Buddy allocator"
        )
        text = f"{zone}: {snapshot.free_pages:,} of {plural(snapshot.nr_pages, 'page')} free"
        self._heading.set(self.heading_fit(text, snapshot.source))
        write_lines(self.caption, wrapped(in_words(self.event), self.width - 2 * MARGIN, 12.5))

    def _draw_lanes(self) -> None:
        snapshot, letters = self.snapshot, []
        orders = range(snapshot.max_order + 1)
        runs = [free_runs(snapshot, order) for order in orders]
        self.lanes.put([self._lane(order) for order in orders], runs, self.span)
        used = used_runs(snapshot)
        self.strip.put([(self.strip.box.top, self.strip.box.bottom)], [used], self.span)
        for order in orders:
            letters += letters_on(self.lanes, runs[order], self._y(order))
            kinds = [(MigrateType(kind).letter, len(pfns)) for kind, pfns in enumerate(snapshot.free_lists[order])]
            self.counts[order].set(f"{snapshot.counts[order]:,}")
            by_type = "  ".join(f"{letter} {count:,}" for letter, count in kinds if count)
            self.types[order].set(fit(by_type, self.width - 8 - _TYPES, 10))
        letters += letters_on(self.strip, used, self.strip.box.top + 13)
        self.letters.put(letters)

    def _draw_marks(self) -> None:
        """Draw the block in hand, dashed what it was made of, and a heavy line around what went onto a list."""
        self.marks.put([], [])
        for line in (*self.ghosts, *self.outlines):
            line.set_data([], [])
        if self.snapshot.in_hand:
            self._mark_hand(*self.snapshot.in_hand)
        ghosts, put, page_block = _touched(self.event)
        for line, block in zip(self.ghosts, ghosts, strict=False):
            self._outline(line, self._block(*block), block)
        for line, lane_block in zip(self.outlines, put, strict=False):
            self._outline(line, self._block(*lane_block), lane_block)
        if page_block:
            box = self._block(*page_block)
            self._outline(
                self.outlines[1], Box(box.left, self.strip.box.top, box.right, self.strip.box.bottom), page_block
            )

    def _block(self, pfn: int, order: int) -> Box:
        left, right = self.lanes.x(pfn), self.lanes.x(pfn + (1 << order))
        top, bottom = self._lane(order)
        return Box(left, top, max(right, left + 2), bottom)

    def _mark_hand(self, pfn: int, order: int) -> None:
        """Draw the block in hand; where it has no room for its name, on a tag beside it."""
        box, text = self._block(pfn, order), f"{ink.IN_HAND.letter} 0x{pfn:x}"
        wide, y = text_width(text, 10.5), (box.top + box.bottom) / 2
        if box.right - box.left > wide + 6:
            self.marks.put([box], [ink.IN_HAND])
            self.letters.put([*self.letters.letters, ((box.left + box.right) / 2, y, text, ink.PAPER)])
            return
        x = box.left - wide - 14 if box.left - wide - 14 > _LEFT else box.right + 4
        tag = Box(x, y - 9, x + wide + 10, y + 9)
        self.marks.put([box, tag], [ink.IN_HAND, ink.TAG])
        clear = [
            one for one in self.letters.letters if abs(one[1] - y) > 10 or not tag.left - 30 < one[0] < tag.right + 30
        ]
        self.letters.put([*clear, ((tag.left + tag.right) / 2, y, text, ink.TEXT)])

    def _outline(self, line: Line2D, box: Box, block: tuple[int, int]) -> None:
        start, end = self.span
        if block[0] + (1 << block[1]) > start and block[0] < end:
            line.set_data(*outline_of(box._replace(left=max(box.left, _LEFT), right=min(box.right, _RIGHT))))


Block = tuple[int, int]


def _touched(event: trace.Event | None) -> tuple[list[Block], list[Block], Block | None]:
    """Return the blocks that an event consumed, those that it put onto lists, and the one whose pages it is about."""
    match event:
        case trace.Split(pfn, order, buddy_pfn, _):
            return [(pfn, order)], [(buddy_pfn, order - 1)], None
        case trace.Merge(pfn, order, buddy_pfn):
            return [(pfn, order), (buddy_pfn, order)], [], None
        case trace.Put(pfn, order, _, _):
            return [], [(pfn, order)], None
        case trace.MmPageAlloc(int(pfn), order) | trace.MmPageFree(pfn, order):
            return [], [], (pfn, order)
        case trace.MmPageAllocZoneLocked(pfn, order) | trace.MmPagePcpuDrain(pfn, order):
            return [], [], (pfn, order)
        case trace.MmPageAllocExtfrag(pfn, _, order):
            return [], [(pfn, order)], None
    return [], [], None
