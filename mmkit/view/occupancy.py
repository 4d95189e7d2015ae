"""Both kinds of fragmentation on one map: what is wasted inside blocks, and what is free between them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mmkit.model.fragstate import Occupancy
from mmkit.model.migratetype import MigrateType
from mmkit.model.snapshot import BuddySnapshot
from mmkit.units import format_size
from mmkit.view import ink
from mmkit.view.artist import Box, Boxes, Painted, sheet, text_width, word
from mmkit.view.blocks import USED_INKS
from mmkit.view.cells import NOTHING, Letters
from mmkit.view.ink import Ink
from mmkit.view.parts import Entry, Legend, plural
from mmkit.view.picture import MARGIN, Picture

FREE, LARGEST, WASTED, UNTOLD = 0, 1, 2, 3
"""What there is in a page or, WASTED, in a part of it; from 4 up a migrate type."""
_KINDS = (MigrateType.UNMOVABLE, MigrateType.MOVABLE, MigrateType.RECLAIMABLE)
INKS: dict[int, Ink] = {
    FREE: ink.VACANT, LARGEST: ink.PIECES[2], WASTED: ink.WASTED, UNTOLD: ink.USED,
    **{4 + kind: USED_INKS[kind] for kind in _KINDS},
}  # fmt: skip
NAMES = {
    FREE: "free, smaller blocks",
    LARGEST: "free, largest blocks",
    WASTED: "given, not asked for",
    UNTOLD: "not told",
}
_LEFT, _TOP, _WIDE, _HIGH, _LARGEST = 12, 128, 876, 256, 54
_BAR = (76, 94)
_UNKNOWN = 0xFF


class Pages(NamedTuple):
    """What every page of a zone is, in arrays by page."""

    kinds: NDArray[np.uint8]
    """FREE, LARGEST, UNTOLD or 4 + a migrate type."""
    asked: NDArray[np.float64]
    """Share of a page in use that was asked for."""
    last: NDArray[np.bool_]
    """Whether it is the last one of its block."""


def pages_of(occupancy: Occupancy) -> Pages:
    """Return what every page is, and how much of it was asked for."""
    buddy = occupancy.buddy
    kinds = np.full(buddy.nr_pages, UNTOLD, np.uint8)
    asked, last = np.ones(buddy.nr_pages), np.zeros(buddy.nr_pages, dtype=bool)
    largest = max((order for order, count in enumerate(buddy.counts) if count), default=0)
    for order, lists in enumerate(buddy.free_lists):
        for pfn in (pfn for pfns in lists for pfn in pfns):
            start, end = pfn - buddy.start_pfn, pfn - buddy.start_pfn + (1 << order)
            kinds[start:end] = LARGEST if order == largest else FREE
            last[end - 1] = True
    heads, sizes, types = _blocks(buddy)
    wanted = sizes.astype(np.float64)
    pfns, nbytes = np.array(occupancy.requested, dtype=np.int64).reshape(-1, 2).T
    wanted[np.searchsorted(heads, pfns - buddy.start_pfn)] = nbytes / occupancy.page_size
    within = np.arange(sizes.sum()) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    covered = np.repeat(heads, sizes) + within
    kinds[covered] = np.repeat(np.where(np.isin(types, _KINDS), 4 + types, UNTOLD), sizes)
    asked[covered] = (np.repeat(wanted, sizes) - within).clip(0, 1)
    last[heads + sizes - 1] = True
    return Pages(kinds, asked, last)


def _blocks(buddy: BuddySnapshot) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Return where allocated blocks begin, how many pages they have, and their types."""
    codes = np.frombuffer(buddy.allocated, dtype=np.uint8)
    heads = np.flatnonzero((codes & 0x80 > 0) & (codes != _UNKNOWN))
    found = codes[heads].astype(np.int64)
    return heads.astype(np.int64), np.left_shift(1, found & 15), found >> 4 & 7


def bytes_of(occupancy: Occupancy, pages: Pages | None = None) -> dict[int, int]:
    """Return how many bytes there are of each kind: asked for by type, wasted, free."""
    pages = pages or pages_of(occupancy)
    used = pages.kinds >= UNTOLD
    found = {
        kind: round(float(pages.asked[pages.kinds == kind].sum()) * occupancy.page_size)
        for kind in INKS if kind not in (FREE, LARGEST, WASTED)
    }  # fmt: skip
    found[WASTED] = round(float((1 - pages.asked[used]).sum()) * occupancy.page_size)
    return found | {kind: int((pages.kinds == kind).sum()) * occupancy.page_size for kind in (FREE, LARGEST)}


def largest_hole(occupancy: Occupancy) -> int:
    """Pages of the largest free block."""
    return max((1 << order for order, count in enumerate(occupancy.buddy.counts) if count), default=0)


def alt_occupancy(occupancy: Occupancy) -> str:
    """Say what was asked for, what was given, what is free, and in how large pieces."""
    return _alt(occupancy, occupancy.requested_bytes, occupancy.allocated_bytes)


def _alt(occupancy: Occupancy, asked: int, given: int) -> str:
    free = occupancy.buddy.free_pages
    return (
        f"Map of {plural(occupancy.buddy.nr_pages, 'page')}: {plural(len(occupancy.requested), 'block')} in use, "
        f"{format_size(asked)} asked for, {format_size(given)} given: {_share(asked, given)} of it wasted inside "
        f"blocks. {plural(free, 'page')} free, the largest free block has {plural(largest_hole(occupancy), 'page')}. "
        f"({occupancy.source})"
    )


def _share(asked: int, given: int) -> str:
    return f"{1 - asked / given:.0%}" if given else "nothing"


class Layout(NamedTuple):
    """How pages are laid out: so many in a row, each so many device pixels wide and high."""

    columns: int
    wide: int
    high: int

    def rows(self, pages: int) -> int:
        """Rows that so many pages take."""
        return -(-pages // self.columns)


def choose_layout(pages: int, width: int, height: int, largest: int) -> Layout | None:
    """Return the layout, with a power of two pages in a row, in which pages are largest; None if they have no room."""
    best: Layout | None = None
    for columns in (1 << k for k in range(width.bit_length())):
        wide, high = min(width // columns, largest), min(height // -(-pages // columns), largest)
        wide, high = min(wide, 3 * high), min(high, 2 * wide)
        if wide and high and (best is None or wide * high >= best.wide * best.high):
            best = Layout(columns, wide, high)
    return best


class ByteMap(Painted):
    """Memory in rows, each page as wide as all others and cut where its kind of use ends; blocks stand apart."""

    def __init__(self) -> None:
        super().__init__((0, 0, 1, 1))
        self.codes: NDArray[np.uint8] = np.zeros((1, 1), np.uint8)
        """By row of pages and device pixel across: a key of INKS, or NOTHING."""
        self.high = 1

    def put(self, pages: Pages, layout: Layout, box: Sequence[float]) -> None:
        """Show pages in ``box``, which is as large as the layout says."""
        self.box, self.high = Box(*box), layout.high
        across = (np.arange(layout.wide) + 0.5) / layout.wide
        codes = np.repeat(pages.kinds[:, None], layout.wide, axis=1)
        codes[across >= pages.asked[:, None]] = WASTED
        gap = 0 if layout.wide < 4 else 1 if layout.wide < 16 else 2
        if gap:
            codes[pages.last, -gap:] = NOTHING
        whole = np.full((layout.rows(len(codes)) * layout.columns, layout.wide), NOTHING, np.uint8)
        whole[: len(codes)] = codes
        self.codes = whole.reshape(-1, layout.columns * layout.wide)

    def paint(self, pixels: NDArray[np.uint32], scale: float) -> None:
        """Set the pixels of all pages, row by row of pages, with a gap below each."""
        gap = 0 if self.high < 4 else 1 if self.high < 16 else 2
        wide = min(self.codes.shape[1], pixels.shape[1])
        kept = np.repeat(self.codes[:, :wide], self.high, axis=0)[: len(pixels)]
        kept = np.where((np.arange(len(kept)) % self.high < self.high - gap)[:, None], kept, NOTHING)
        for kind, one in INKS.items():
            # On small cells a hatch is noise.
            face = sheet(one, len(kept), wide, scale) if self.high >= 5 * scale else word(one.face)
            np.copyto(pixels[: len(kept), :wide], face, where=kept == kind)


class OccupancyPicture(Picture):
    """Memory page by page: in use by which type, given but not asked for, free; blocks with gaps between them.

    Of a page of which a part was asked for, a part is shown as asked for. Above the map a bar adds it all up.
    """

    def __init__(self, occupancy: Occupancy) -> None:
        super().__init__(height=_TOP + _HIGH + 60)
        self._badge = self.badge(occupancy.source)
        self._heading = self.text(MARGIN, 24, "", 14, live=True, bold=True)
        self._inside = self.text(MARGIN, 46, "", 12, live=True)
        self._between = self.text(MARGIN, 64, "", 12, live=True)
        self._rows = self.note(MARGIN, _TOP - 10, live=True)
        self.bar = self.live(Boxes((_LEFT, _BAR[0], _LEFT + _WIDE, _BAR[1])))
        self.map = self.live(ByteMap())
        self.letters = self.live(Letters(10))
        self.legend = Legend(self, (MARGIN, 0, self.width + 4, 60), len(INKS), columns=4)
        self.update(occupancy)

    def update(self, occupancy: Occupancy) -> None:
        """Show another state."""
        buddy, free = occupancy.buddy, occupancy.buddy.free_pages
        asked, given = occupancy.requested_bytes, occupancy.allocated_bytes
        self.alt = _alt(occupancy, asked, given)
        self._badge.set(str(occupancy.source))
        text = f"{plural(buddy.nr_pages, 'page')}: {plural(len(occupancy.requested), 'block')} in use"
        self._heading.set(self.heading_fit(text, occupancy.source))
        self._inside.set(
            f"Inside blocks: {format_size(asked)} asked for, {format_size(given)} given, "
            f"{_share(asked, given)} wasted (internal fragmentation)"
        )
        self._between.set(
            f"Between blocks: {plural(free, 'page')} free, the largest block has {largest_hole(occupancy):,} "
            f"(external fragmentation)"
        )
        pages = pages_of(occupancy)
        self._draw_map(occupancy, pages)
        self._add_up(bytes_of(occupancy, pages))
        self.touch()

    def _draw_map(self, occupancy: Occupancy, pages: Pages) -> None:
        each = 1
        size = int(_WIDE * self.ratio), int(_HIGH * self.ratio), int(_LARGEST * self.ratio)
        while (layout := choose_layout(len(pages.kinds), *size)) is None:
            pages, each = _folded(pages), each * 2
        wide = layout.columns * layout.wide / self.ratio
        high = layout.rows(len(pages.kinds)) * layout.high / self.ratio
        self.resize(_TOP + high + 60)
        self.legend.move(_TOP + high + 10)
        self.layout = layout
        self.map.put(pages, layout, (_LEFT, _TOP, _LEFT + wide, _TOP + high))
        of = f", {each} to a dot" if each > 1 else ""
        self._rows.set(f"{plural(layout.columns * each, 'page')} a row{of}, the first at the top left")
        self._write_letters(occupancy if each == 1 else None)

    def _write_letters(self, occupancy: Occupancy | None) -> None:
        """Write the type, or the order if it is free, on blocks that have room for it in their first row."""
        layout, letters = self.layout, []
        wide, high = layout.wide / self.ratio, layout.high / self.ratio
        if occupancy is not None and high >= 13:
            for pfn, order, text, room in _texts(occupancy):
                row, column = divmod(pfn - occupancy.buddy.start_pfn, layout.columns)
                room = min(room, layout.columns - column) * wide - 4
                if text_width(text, 10) <= room:
                    x = _LEFT + column * wide + room / 2 + 1
                    look = INKS[FREE] if order is None else INKS[order]
                    letters.append((x, _TOP + (row + 0.5) * high - 0.5, text, look.text))
        self.letters.put(letters)

    def _add_up(self, found: dict[int, int]) -> None:
        order = [*(4 + kind for kind in _KINDS), UNTOLD, WASTED, FREE, LARGEST]
        whole, left, boxes, entries = sum(found.values()), float(_LEFT), [], []
        for kind in order:
            right = left + _WIDE * found[kind] / whole
            boxes.append(Box(left, _BAR[0], right, _BAR[1]))
            if found[kind] or kind != UNTOLD:
                entries.append(Entry(INKS[kind], NAMES.get(kind, INKS[kind].name), format_size(found[kind])))
            left = right
        shown = [(box, INKS[kind]) for box, kind in zip(boxes, order, strict=True) if found[kind]]
        self.bar.put([box for box, _ in shown], [one for _, one in shown])
        self.legend.set(entries)


def _texts(occupancy: Occupancy) -> list[tuple[int, int | None, str, float]]:
    """Return first pfn, key of its ink (None: free), text and pages that it may lie on, of every block."""
    wanted = dict(occupancy.requested)
    found: list[tuple[int, int | None, str, float]] = []
    for order, lists in enumerate(occupancy.buddy.free_lists):
        found += [(pfn, None, f"order {order}", float(1 << order)) for pfns in lists for pfn in pfns]
    for pfn, order, kind in occupancy.buddy.allocated_blocks:
        if kind in _KINDS:
            asked = wanted.get(pfn, occupancy.page_size << order) / occupancy.page_size
            found.append((pfn, 4 + kind, USED_INKS[MigrateType(kind)].letter, asked))
    return found


def _folded(pages: Pages) -> Pages:
    """Return half as many pages, of each pair the one in use."""
    every = np.arange(0, len(pages.kinds), 2)
    kinds, last = np.maximum.reduceat(pages.kinds, every), np.logical_or.reduceat(pages.last, every)
    asked = np.add.reduceat(pages.asked, every) / np.add.reduceat(np.ones_like(pages.asked), every)
    return Pages(kinds, asked, last)
