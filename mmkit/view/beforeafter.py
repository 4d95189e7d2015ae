"""The same memory twice, before and after: two maps of page frames side by side."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mmkit.model.snapshot import BuddySnapshot, FrameMap, FrameUse, Source
from mmkit.record import Record
from mmkit.view import ink
from mmkit.view.blocks import uses_of
from mmkit.view.cells import NOTHING, Cells
from mmkit.view.frames import choose_grid, count_uses, fold
from mmkit.view.parts import Entry, Legend, listed, outline_of, pages_size, plural
from mmkit.view.picture import MARGIN, Picture, fit

Memory = BuddySnapshot | FrameMap
LARGE = 2
"""Value of a cell in a large free block; uses from PER_CPU up are one higher than their FrameUse."""
INKS = {use + (use >= LARGE): one for use, one in ink.USE_INKS.items()} | {LARGE: ink.LARGE_FREE}
_TOP, _WIDE, _HIGH, _LARGEST, _GAP = 104, 420, 264, 40, 36
_COLUMNS = 3


class Side(Record):
    """One of the two states, as it is drawn and told."""

    source: Source
    start_pfn: int
    values: bytes
    """A value of INKS for every page."""
    counts: tuple[int, ...]
    """Pages of each FrameUse."""
    pieces: str
    """How large the largest free piece is, in words."""

    @property
    def free(self) -> int:
        """Free pages."""
        return self.counts[FrameUse.FREE]

    @property
    def large(self) -> int:
        """Pages in large free blocks."""
        return self.values.count(LARGE)


def side_of(memory: Memory, order: int | None = None) -> Side:
    """Return what there is to draw; free blocks of ``order`` and above, by default a pageblock's, are large."""
    if isinstance(memory, FrameMap):
        uses = np.frombuffer(memory.uses, dtype=np.uint8)
        pieces = f"the longest run of free frames has {longest_run(uses == FrameUse.FREE):,}"
        return Side(memory.source, memory.start_pfn, _values(uses).tobytes(), _counts(uses), pieces)
    uses = uses_of(memory)
    values, order = _values(uses), memory.pageblock_order if order is None else order
    for size in range(order, memory.max_order + 1):
        for pfn in (pfn for pfns in memory.free_lists[size] for pfn in pfns):
            values[pfn - memory.start_pfn : pfn - memory.start_pfn + (1 << size)] = LARGE
    largest = max((size for size, count in enumerate(memory.counts) if count), default=None)
    pieces = "nothing to be had" if largest is None else f"the largest block is of order {largest}"
    pieces += f", {pages_size(1 << largest)}" if largest is not None else ""
    return Side(memory.source, memory.start_pfn, values.tobytes(), _counts(uses), pieces)


def _values(uses: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return uses + (uses >= LARGE)


def _counts(uses: NDArray[np.uint8]) -> tuple[int, ...]:
    return tuple(count_uses(uses).tolist())


def longest_run(marked: NDArray[np.bool_]) -> int:
    """Return the length of the longest run of True.

    >>> longest_run(np.array([True, False, True, True])), longest_run(np.zeros(3, dtype=bool))
    (2, 0)
    """
    edges = np.flatnonzero(np.diff(marked.astype(np.int8), prepend=0, append=0))
    return int((edges[1::2] - edges[::2]).max(initial=0))


def alt_before_after(before: Memory, after: Memory, order: int | None = None) -> str:
    """Say of both states how much is free, in how large pieces, and what the rest is used for."""
    return _alt(side_of(before, order), side_of(after, order), _order(before, order))


def _alt(before: Side, after: Side, order: int | None) -> str:
    told = " ".join(f"{name}: {_told(side, order)}." for name, side in (("Before", before), ("After", after)))
    size, start = len(before.values), before.start_pfn
    return (
        f"Two maps of the same {plural(size, 'page')}, 0x{start:x} to 0x{start + size - 1:x}. {told} "
        f"({_source(before, after)})"
    )


def _told(side: Side, order: int | None) -> str:
    used = [(count, ink.USE_INKS[use].name) for use, count in zip(FrameUse, side.counts, strict=True)]
    rest = [f"{count:,} {name}" for count, name in used if count and name != ink.USE_INKS[FrameUse.FREE].name]
    large = f", {side.large:,} of them in blocks of order {order} or more" if order is not None else ""
    return f"{plural(side.free, 'page')} free{large}; {side.pieces}{'; ' + listed(rest) if rest else ''}"


def _order(memory: Memory, order: int | None) -> int | None:
    """The smallest order that is large; None where no blocks are known."""
    if isinstance(memory, FrameMap):
        return None
    return memory.pageblock_order if order is None else order


def _source(before: Side, after: Side) -> Source:
    """The source of both; without their notes if those differ."""
    if before.source == after.source:
        return before.source
    return Source(after.source.kind, after.source.kernel)


class BeforeAfter(Picture):
    """Two maps of the same memory, in cells as on the map of page frames, with what has become of each use.

    Both are snapshots of a zone's buddy allocator, whose free blocks of ``order`` and above (by default a pageblock's)
    are marked, or both are maps of frames. ``titles`` stand above the maps.

    Raises ValueError if they are not of the same pages.
    """

    def __init__(
        self, before: Memory, after: Memory, *, order: int | None = None,
        titles: tuple[str, str] = ("before", "after"), title: str = "The same memory, before and after",
    ) -> None:  # fmt: skip
        super().__init__(height=_TOP + _HIGH + 60)
        self._title, self._given = title, order
        self._badge = self.badge(after.source)
        self._heading = self.text(MARGIN, 22, title, 14, live=True, bold=True)
        self._scale = self.text(MARGIN, 44, "", 11.5, live=True, colour=ink.MUTED)
        lefts = (MARGIN, MARGIN + _WIDE + _GAP)
        self.cells = [self.live(Cells(INKS)) for _ in lefts]
        self.frames = [self.line([], [], ink.LINE, 1, live=True) for _ in lefts]
        for left, name in zip(lefts, titles, strict=True):
            self.text(left, _TOP - 27, fit(name, _WIDE, 13, bold=True), 13, bold=True)
        self.pieces = [self.text(left, _TOP - 9, "", 11.5, live=True) for left in lefts]
        self.text(MARGIN + _WIDE + _GAP / 2, _TOP - 32, "→", 18, ha="center", va="center")
        self.legend = Legend(self, (MARGIN, 0, self.width, 19 * -(-len(INKS) // _COLUMNS)), len(INKS), _COLUMNS)
        self._lefts = lefts
        self.update(before, after)

    def update(self, before: Memory, after: Memory) -> None:
        """Show two other states. Raises ValueError if they are not of the same pages."""
        sides = side_of(before, self._given), side_of(after, self._given)
        (old, new) = ((side.start_pfn, len(side.values)) for side in sides)
        if old != new:
            raise ValueError(f"before are {old[1]:,} pages from 0x{old[0]:x}, after {new[1]:,} from 0x{new[0]:x}")
        self.sides, self.order = sides, _order(after, self._given)
        self.alt = _alt(*sides, self.order)
        source = _source(*sides)
        self._badge.set(str(source))
        zone = f": zone {after.zone}" if isinstance(after, BuddySnapshot) and after.zone else ""
        self._heading.set(self.heading_fit(f"{self._title}{zone}", source))
        entries = self._entries()
        self._lay_out(*old, -(-len(entries) // _COLUMNS))
        for number, side in enumerate(sides):
            self._draw(number, side)
        self.legend.set(entries)
        self.touch()

    def _lay_out(self, start: int, size: int, legend_rows: int) -> None:
        room = int(_WIDE * self.ratio), int(_HIGH * self.ratio)
        self.grid = choose_grid(start, size, *room, int(_LARGEST * self.ratio))
        each = "one cell = one page"
        if self.grid.per_cell > 1:
            each = f"one dot = {self.grid.per_cell:,} pages, free only if all of them are"
        bottom = _TOP + self.grid.rows * self.grid.high / self.ratio
        self.resize(bottom + 18 + legend_rows * self.legend.line)
        self.legend.move(bottom + 12)
        self._scale.set(
            f"{plural(size, 'page')} = {pages_size(size)} from 0x{start:x} on; {each}; "
            f"a row = {plural(self.grid.per_row, 'page')}"
        )

    def _draw(self, number: int, side: Side) -> None:
        grid, left = self.grid, self._lefts[number]
        offset = side.start_pfn - grid.first_pfn
        whole = np.zeros(grid.rows * grid.per_row, dtype=np.uint8)
        whole[offset : offset + len(side.values)] = np.frombuffer(side.values, dtype=np.uint8)
        values = fold(whole, grid.per_cell)
        values[: offset // grid.per_cell] = NOTHING
        values[-(-(offset + len(side.values)) // grid.per_cell) :] = NOTHING
        right, bottom = left + grid.columns * grid.wide / self.ratio, _TOP + grid.rows * grid.high / self.ratio
        self.cells[number].put(values.reshape(grid.rows, grid.columns), (left, _TOP, right, bottom))
        edge = outline_of(self.cells[number].box) if min(grid.wide, grid.high) < 6 else ([], [])
        self.frames[number].set_data(*edge)
        text = f"{plural(side.free, 'page')} free; {side.pieces}"
        self.pieces[number].set(fit(text, _WIDE, 11.5))

    def _entries(self) -> list[Entry]:
        """Every use that there is before or after, with its pages then and now."""
        before, after = self.sides
        entries = []
        for use in FrameUse:
            one, pair = ink.USE_INKS[use], (before.counts[use], after.counts[use])
            if use is FrameUse.FREE and self.order is not None:
                large = before.large, after.large
                entries.append(Entry(ink.LARGE_FREE, f"free, order {self.order} or more", _change(large)))
                entries.append(Entry(one, "free, smaller", _change((pair[0] - large[0], pair[1] - large[1]))))
            elif any(pair):
                entries.append(Entry(one, one.name, _change(pair)))
        return entries


def _change(pair: tuple[int, int]) -> str:
    return f"{pair[0]:,}" if pair[0] == pair[1] else f"{pair[0]:,} → {pair[1]:,}"
