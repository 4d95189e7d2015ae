"""Both kinds of fragmentation on one map: what is wasted inside blocks, and what is free between them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mmkit.model.fragstate import Occupancy
from mmkit.model.migratetype import MigrateType
from mmkit.units import format_size
from mmkit.view import ink
from mmkit.view.blocks import USED_INKS
from mmkit.view.cells import Cells
from mmkit.view.ink import Ink
from mmkit.view.parts import Entry, legend_row, plural
from mmkit.view.picture import MARGIN, Picture

FREE, WASTED, UNTOLD = 0, 1, 2
"""Values of cells; from 3 up a migrate type."""
_FREE = Ink("free", "", "#f4f4f4", "#f4f4f4", edge=ink.LINE)
_WASTED = Ink("given, not asked for", "w", "#ffe58a", "#b58900", "x", edge="#b58900")
_UNTOLD = Ink("in use", "o", "#a9a9a9", "#8b8b8b", "-", edge="#7d7d7d")
_KINDS = (MigrateType.UNMOVABLE, MigrateType.MOVABLE, MigrateType.RECLAIMABLE)
INKS = {FREE: _FREE, WASTED: _WASTED, UNTOLD: _UNTOLD} | {3 + kind: USED_INKS[kind] for kind in _KINDS}
_LEFT, _TOP, _WIDE, _HIGH = 12, 94, 876, 256
_LARGEST = 48


def cells_of(occupancy: Occupancy) -> NDArray[np.uint8]:
    """Return what every page is: free, in use by a type, or (all of it) not asked for."""
    buddy = occupancy.buddy
    values = np.full(buddy.nr_pages, UNTOLD, np.uint8)
    for order, lists in enumerate(buddy.free_lists):
        for pfn in (pfn for pfns in lists for pfn in pfns):
            values[pfn - buddy.start_pfn : pfn - buddy.start_pfn + (1 << order)] = FREE
    asked = dict(occupancy.requested)
    for pfn, order, kind in buddy.allocated_blocks:
        start = pfn - buddy.start_pfn
        values[start : start + (1 << order)] = 3 + kind if kind in _KINDS else UNTOLD
        needed = -(-asked.get(pfn, occupancy.page_size << order) // occupancy.page_size)
        values[start + needed : start + (1 << order)] = WASTED
    return values


def largest_hole(occupancy: Occupancy) -> int:
    """Pages of the largest free block."""
    return max((1 << order for order, count in enumerate(occupancy.buddy.counts) if count), default=0)


def alt_occupancy(occupancy: Occupancy) -> str:
    """Say what was asked for, what was given, what is free, and in how large pieces."""
    free = occupancy.buddy.free_pages
    return (
        f"Map of {plural(occupancy.buddy.nr_pages, 'page')}: {plural(len(occupancy.requested), 'block')} in use, "
        f"{format_size(occupancy.requested_bytes)} asked for, {format_size(occupancy.allocated_bytes)} given: "
        f"{_share(occupancy)} of it wasted inside blocks. {plural(free, 'page')} free, the largest free block has "
        f"{plural(largest_hole(occupancy), 'page')}. ({occupancy.source})"
    )


def _share(occupancy: Occupancy) -> str:
    given = occupancy.allocated_bytes
    return f"{1 - occupancy.requested_bytes / given:.0%}" if given else "nothing"


class OccupancyPicture(Picture):
    """Memory page by page, in rows of a power of two: in use by which type, given but not asked for, free.

    A page of which a part was asked for counts as asked for; the bytes are in the words above.
    """

    def __init__(self, occupancy: Occupancy) -> None:
        super().__init__(height=_TOP + _HIGH + 40)
        self._badge = self.badge(occupancy.source)
        self._heading = self.text(MARGIN, 24, "", 14, live=True, bold=True)
        self._inside = self.text(MARGIN, 48, "", 12, live=True)
        self._between = self.text(MARGIN, 66, "", 12, live=True)
        self._rows = self.note(MARGIN, 86, live=True)
        self.cells = self.live(Cells(INKS))
        entries = [Entry(one, one.name) for one in (*(USED_INKS[kind] for kind in _KINDS), _WASTED, _FREE)]
        legend_row(self, self.height - 14, [("a page:", entries)])
        self.update(occupancy)

    def update(self, occupancy: Occupancy) -> None:
        """Show another state."""
        buddy, free = occupancy.buddy, occupancy.buddy.free_pages
        self.alt = alt_occupancy(occupancy)
        self._badge.set(str(occupancy.source))
        text = f"{plural(buddy.nr_pages, 'page')}: {plural(len(occupancy.requested), 'block')} in use"
        self._heading.set(self.heading_fit(text, occupancy.source))
        self._inside.set(
            f"Inside blocks: {format_size(occupancy.requested_bytes)} asked for, "
            f"{format_size(occupancy.allocated_bytes)} given, {_share(occupancy)} wasted (internal)"
        )
        self._between.set(
            f"Between blocks: {plural(free, 'page')} free, the largest block has {largest_hole(occupancy):,} (external)"
        )
        self._draw(cells_of(occupancy))
        self.touch()

    def _draw(self, values: NDArray[np.uint8]) -> None:
        per_cell = 1
        while len(values) > 4 * _WIDE * _HIGH:  # more cells than device pixels: neighbours share one
            values, per_cell = np.maximum(values[0::2], values[1::2]), per_cell * 2
        columns = max((1 << k for k in range(4, 12)), key=lambda columns: (_cell(len(values), columns), columns))
        rows, cell = -(-len(values) // columns), _cell(len(values), columns)
        padded = np.full(rows * columns, 255, np.uint8)
        padded[: len(values)] = values
        self.cells.put(padded.reshape(rows, columns), (_LEFT, _TOP, _LEFT + columns * cell, _TOP + rows * cell))
        of = f", a cell is {per_cell} pages" if per_cell > 1 else ""
        self._rows.set(f"{columns * per_cell} pages a row{of}, page 0 at the top left")


def _cell(cells: int, columns: int) -> float:
    """CSS pixels of a cell, in whole device pixels, with so many of them a row."""
    rows = -(-cells // columns)
    return min(2 * _WIDE // columns, 2 * _HIGH // rows, _LARGEST) / 2
