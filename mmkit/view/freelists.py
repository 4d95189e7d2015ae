"""Free blocks by order, as bars: how many blocks, how many pages, of which migrate type."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import log10
from typing import Literal, TypeVar

from mmkit.model.migratetype import MigrateType
from mmkit.model.snapshot import BuddyInfo, BuddySnapshot, MemorySnapshot, PageTypeInfo, Source
from mmkit.record import Record
from mmkit.view import ink
from mmkit.view.artist import Box, Boxes, text_width
from mmkit.view.cells import Letters
from mmkit.view.ink import Ink
from mmkit.view.parts import listed, pages_size, plural
from mmkit.view.picture import MARGIN, Picture, fit

Snapshot = BuddySnapshot | BuddyInfo | PageTypeInfo | MemorySnapshot
Scale = Literal["log", "linear"]
Value = TypeVar("Value")
CAP = 100_000
_TOP, _ROW = 64, 25
_BLOCKS, _BLOCKS_WIDE = 112, 170
_PAGES, _PAGES_WIDE = 520, 220


class FreeCounts(Record):
    """Free blocks of one zone: ``blocks[order]`` has a number for each of ``inks``."""

    source: Source
    place: str
    inks: tuple[Ink, ...]
    blocks: tuple[tuple[int, ...], ...]
    capped: bool = False
    """Some are 100,000, at which ``/proc/pagetypeinfo`` stops counting."""

    @property
    def totals(self) -> tuple[int, ...]:
        """Blocks of each order."""
        return tuple(map(sum, self.blocks))

    @property
    def pages(self) -> int:
        """Free pages."""
        return sum(total << order for order, total in enumerate(self.totals))


def free_counts(snapshot: Snapshot, zone: str | None = None, node: int = 0) -> FreeCounts:
    """Return the free blocks of one zone, by order and, where the snapshot tells, by type; default: its first zone.

    Raises ValueError for a zone that the snapshot does not hold.
    """
    if isinstance(snapshot, BuddySnapshot):
        inks = tuple(ink.FREE_INKS[kind] for kind in MigrateType)[: len(snapshot.free_lists[0])]
        blocks = tuple(tuple(map(len, lists)) for lists in snapshot.free_lists)
        return FreeCounts(snapshot.source, _place(snapshot.node, snapshot.zone), inks, blocks)
    if isinstance(snapshot, PageTypeInfo):
        types = _pick({(one.node, one.zone): one for one in snapshot.zones}, zone, node)
        blocks = tuple(zip(*types.free, strict=True))
        capped = any(count >= CAP for counts in blocks for count in counts)
        return FreeCounts(snapshot.source, _place(types.node, types.zone), _inks(snapshot.migratetypes), blocks, capped)
    known: dict[tuple[int, str], tuple[int, ...]] = {}
    if isinstance(snapshot, BuddyInfo):
        known = {(one.node, one.zone): one.counts for one in snapshot.zones}
    else:
        known = {(one.node, one.name): one.counts for one in snapshot.zones if one.counts is not None}
    counts = _pick(known, zone, node)
    where = next(key for key, value in known.items() if value is counts)
    return FreeCounts(snapshot.source, _place(*where), (ink.UNTOLD,), tuple((count,) for count in counts))


def _inks(titles: Sequence[str]) -> tuple[Ink, ...]:
    return tuple(map(ink.ink_of_title, titles))


def _place(node: int, zone: str) -> str:
    return f"node {node}, zone {zone}" if zone else "one zone"


def _pick(known: Mapping[tuple[int, str], Value], zone: str | None, node: int) -> Value:
    if zone is None and known:
        return next(iter(known.values()))
    if (node, zone) not in known:
        names = ", ".join(f"{name} of node {number}" for number, name in known)
        raise ValueError(f"no free blocks are known of zone {zone!r} of node {node}: choose one of {names}")
    return known[node, str(zone)]


def alt_free_lists(counts: FreeCounts) -> str:
    """Say how many blocks of which order are free."""
    orders = ", ".join(f"{total:,}" for total in counts.totals)
    types = [sum(kinds[k] << order for order, kinds in enumerate(counts.blocks)) for k in range(len(counts.inks))]
    by_type = [f"{pages:,} {one.name}" for one, pages in zip(counts.inks, types, strict=True) if pages]
    of_them = f", of them {listed(by_type)}" if len(counts.inks) > 1 and by_type else ""
    return (
        f"Free blocks of {counts.place}, order 0 to {len(counts.totals) - 1}: {orders}; "
        f"{plural(counts.pages, 'free page')} ({pages_size(counts.pages)}){of_them}. ({counts.source})"
    )


class FreeLists(Picture):
    """A bar of blocks and a bar of pages for each order, the largest at the top, cut by migrate type.

    ``scale`` is that of the bars of blocks: "log", "linear", or None for log where the counts differ widely. The bars
    of pages are always linear, to one scale.
    """

    def __init__(
        self, snapshot: Snapshot, zone: str | None = None, node: int = 0, *, scale: Scale | None = None
    ) -> None:
        self.counts = free_counts(snapshot, zone, node)
        orders = len(self.counts.totals)
        super().__init__(height=_TOP + _ROW * orders + 34)
        self._scale_wanted, self._place = scale, (zone, node)
        self._badge = self.badge(self.counts.source)
        self._heading = self.text(MARGIN, 22, "", 14, live=True, bold=True)
        self._draw_fixed(orders)
        self._blocks_title = self.text(_BLOCKS, 54, "", 11.5, live=True, colour=ink.MUTED)
        self._pages_title = self.text(_PAGES, 54, "", 11.5, live=True, colour=ink.MUTED)
        self.bars = self.live(Boxes((_BLOCKS, _TOP, _PAGES + _PAGES_WIDE + 2, self.height - 30)))
        self.letters = self.live(Letters(10))
        ys = [self._y(order) for order in range(orders)]
        self._block_texts = [self.text(0, y, "", 11, live=True, va="center") for y in ys]
        self._page_texts = [self.text(0, y, "", 11, live=True, va="center") for y in ys]
        self._names = [self.text(0, self.height - 14, "", 11, live=True, va="center") for _ in range(7)]
        self.swatches = self.live(Boxes((MARGIN, self.height - 24, self.width - MARGIN, self.height - 4)))
        self.update(snapshot, zone, node)

    def _draw_fixed(self, orders: int) -> None:
        for x in (_BLOCKS, _PAGES):
            self.line([x, x], [_TOP, _TOP + _ROW * orders], ink.LINE)
        self.text(MARGIN, 54, "order", 11.5, colour=ink.MUTED)
        for order in range(orders):
            y = self._y(order)
            self.text(MARGIN + 22, y, str(order), 12, ha="right", va="center", bold=True)
            self.text(_BLOCKS - 10, y, pages_size(1 << order), 10.5, ha="right", va="center", colour=ink.MUTED)

    def _y(self, order: int) -> float:
        return _TOP + _ROW * (len(self.counts.totals) - order - 0.5)

    def update(self, snapshot: Snapshot, zone: str | None = None, node: int | None = None) -> None:
        """Show another state, of the same zone if none is named."""
        self._place = (zone or self._place[0], self._place[1] if node is None else node)
        self.counts = counts = free_counts(snapshot, *self._place)
        self.alt = alt_free_lists(counts)
        self._badge.set(str(counts.source))
        self._heading.set(self.heading_fit(f"Free blocks by order: {counts.place}", counts.source))
        total = f"{counts.pages:,} = {pages_size(counts.pages)} in all" if counts.pages else "none"
        self._pages_title.set(f"free pages, linear: {total}")
        self.scale = self._scale_wanted or choose_scale(counts.totals)
        parts = "; parts show the shares of the types" if len(counts.inks) > 1 and self.scale == "log" else ""
        self._blocks_title.set(f"free blocks, {_SCALE_WORDS[self.scale]}{parts}")
        self._draw_bars()
        self._write_names()
        self.touch()

    def _draw_bars(self) -> None:
        self._parts: list[tuple[Box, Ink]] = []
        most_pages = max(1, *(total << order for order, total in enumerate(self.counts.totals)))
        for order, (total, kinds) in enumerate(zip(self.counts.totals, self.counts.blocks, strict=True)):
            blocks = _BLOCKS_WIDE * bar_length(total, max(self.counts.totals), self.scale)
            pages = _PAGES_WIDE * (total << order) / most_pages
            self._bar(_BLOCKS, order, blocks, kinds)
            self._bar(_PAGES, order, pages, kinds)
            self._write_row(order, total, kinds, _BLOCKS + blocks + 6, _PAGES + pages + 6)
        boxes, inks = [box for box, _ in self._parts], [one for _, one in self._parts]
        self.bars.put(boxes, inks, [ink.MUTED] * len(boxes))
        wide = [(box, one) for box, one in self._parts if box.right - box.left >= 13]
        self.letters.put([((b.left + b.right) / 2, (b.top + b.bottom) / 2, one.letter, one.text) for b, one in wide])

    def _bar(self, x: float, order: int, length: float, kinds: Sequence[int]) -> None:
        """Add a bar, cut by type; a type that is there at all is at least a pixel wide."""
        y = self._y(order)
        for one, count in zip(self.counts.inks, kinds, strict=True):
            if count:
                right = x + max(0.5, length * count / sum(kinds))
                self._parts.append((Box(x, y - 8, right, y + 8), one))
                x = right

    def _write_row(self, order: int, total: int, kinds: Sequence[int], blocks_x: float, pages_x: float) -> None:
        text, some = f"{total:,}", [(one.letter, n) for one, n in zip(self.counts.inks, kinds, strict=True) if n]
        if total and len(self.counts.inks) > 1:
            text += "   " + "  ".join(f"{letter} {count:,}" for letter, count in some)
        text += " or more" if self.counts.capped and any(count >= CAP for count in kinds) else ""
        self._block_texts[order].set(fit(text, _PAGES - 12 - blocks_x, 11), x=blocks_x)
        pages = total << order
        self._page_texts[order].set(f"{pages:,} = {pages_size(pages)}" if pages else "", x=pages_x)

    def _write_names(self) -> None:
        x, boxes, inks = float(MARGIN), [], []
        for number, label in enumerate(self._names):
            one = self.counts.inks[number] if number < len(self.counts.inks) else None
            label.set("")
            if one and any(kinds[number] for kinds in self.counts.blocks):
                name = f"{one.letter}  {one.name}" if one.letter else "type not told"
                label.set(name, x=x + 26)
                boxes.append(Box(x, label.y - 7, x + 20, label.y + 7))
                inks.append(one)
                x += 26 + text_width(name, 11) + 22
        self.swatches.put(boxes, inks, [ink.MUTED] * len(boxes))


_SCALE_WORDS = {"log": "log scale", "linear": "linear"}


def choose_scale(totals: Sequence[int]) -> Scale:
    """Return "log" if the largest count would leave others too short to see."""
    some = [total for total in totals if total]
    return "log" if some and max(some) > 40 * min(some) else "linear"


def bar_length(count: int, most: int, scale: Scale) -> float:
    """Return the length of a bar as a share of the longest; on the log scale a count of 1 has a tenth of a decade."""
    if not count:
        return 0.0
    if scale == "linear":
        return count / most
    return (log10(count) + 0.1) / (log10(most) + 0.1)
