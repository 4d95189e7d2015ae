"""A TLB set by set and way by way, with what the last access did, and the accesses before it."""

from __future__ import annotations

import numpy as np

from mmkit.model.tlbstate import LRU, TlbEntry, TlbRun, TlbSetState
from mmkit.units import format_size
from mmkit.view import ink
from mmkit.view.artist import Box, Boxes
from mmkit.view.cells import NOTHING, Cells
from mmkit.view.parts import Entry as LegendEntry
from mmkit.view.parts import legend_row, outline_of, plural, segments
from mmkit.view.picture import MARGIN, Picture, fit

EMPTY, KEPT, OTHER, FOUND, FILLED = ink.TLB_INKS.values()
_LEFT, _TOP, _WIDE = 70, 92, 818
_MOST_SETS, _MOST_WAYS, _ROW = 16, 8, 24
_STRIP = 48
_VALUES = {0: EMPTY, 1: KEPT, 2: OTHER, 3: FOUND, 4: FILLED}


def is_detailed(run: TlbRun) -> bool:
    """Say whether every entry is written out; else each is a small cell."""
    return run.tlb.geometry.sets <= _MOST_SETS and run.tlb.geometry.ways <= _MOST_WAYS


def accesses(count: int) -> str:
    """Return "1 access", "2,048 accesses"."""
    return f"{count:,} access{'' if count == 1 else 'es'}"


def geometry_words(run: TlbRun) -> str:
    """Say how large the TLB is and what it reaches."""
    g = run.tlb.geometry
    how = f"{plural(g.sets, 'set')} of {plural(g.ways, 'way')}" if g.sets > 1 else "any page in any of them"
    page = format_size(1 << g.shifts[0])
    return f"{g.entries:,} entries, {how}, pages of {page}: reach {format_size(g.reach_bytes)}, {g.policy.upper()}"


def progress_words(run: TlbRun) -> str:
    """Say how many accesses hit so far."""
    share = f" ({run.hits / run.done:.1%} hits)" if run.done else ""
    return f"{run.done:,} of {accesses(run.total)}: {plural(run.hits, 'hit')}, {run.done - run.hits:,} misses{share}"


def alt_tlb(run: TlbRun) -> str:
    """Say what the TLB holds, set by set if it is small, and how the accesses went."""
    head = f"TLB of {geometry_words(run)}. {run.title}: {progress_words(run)}."
    if run.recent:
        addr, _, hit = run.recent[-1]
        gone = f", driving out page 0x{_page(run.evicted):x}" if run.evicted else ""
        head += f" Last access: 0x{addr:x}, {'a hit' if hit else 'a miss'}{gone}."
    if is_detailed(run):
        sets = [f"set {number}: {_alt_set(one)}" for number, one in enumerate(run.tlb.sets)]
        told = f" {'; '.join(sets)}."
        if len(head) + len(told) < 1000:
            return f"{head}{told} ({run.tlb.source})"
    return f"{head} {run.tlb.used:,} of {run.tlb.geometry.entries:,} entries in use. ({run.tlb.source})"


def _alt_set(one: TlbSetState) -> str:
    held = [f"0x{_page(entry):x}" for entry in one.ways if entry is not None]
    return ", ".join(held) or "empty"


def _page(entry: TlbEntry) -> int:
    return entry.virt_addr >> entry.shift


def _where(run: TlbRun) -> tuple[int, int, bool] | None:
    """Set and way of the last access, and whether it hit."""
    if not run.recent:
        return None
    addr, asid, hit = run.recent[-1]
    for number, one in enumerate(run.tlb.sets):
        for way, entry in enumerate(one.ways):
            if entry is not None and entry.covers(addr) and (entry.glob or entry.asid == asid):
                return number, way, hit
    return None


class TlbPicture(Picture):
    """The entries of a TLB, and the last accesses in a strip below."""

    def __init__(self, run: TlbRun) -> None:
        self.detailed, self.geometry = is_detailed(run), run.tlb.geometry
        self._rows, self._columns = _grid(run)
        self._high = _ROW if self.detailed else max(4.0, min(16.0, 200 / self._rows))
        self._bottom = _TOP + self._rows * self._high
        super().__init__(self._bottom + 92)
        self._title = self.text(MARGIN, 24, "", 14, live=True, bold=True)
        self._badge = self.badge(run.tlb.source)
        self._told = self.text(MARGIN, 45, "", 12, live=True)
        self._last = self.text(MARGIN, 64, "", 12, live=True)
        self.boxes = self.live(Boxes((0, _TOP - 4, self.width, self._bottom + 4)))
        self.cells = self.live(Cells(_VALUES))
        self.outlines = self.line([], [], ink.TEXT, 2.4, live=True, zorder=6)
        self.strip = self.live(Cells({0: ink.HIT, 1: ink.MISS}))
        self._draw_fixed()
        self.update(run)

    def _draw_fixed(self) -> None:
        number = self._rows * self._columns if self.detailed else 0
        self.pages = [self.text(0, 0, "", 11, live=True, va="center", mono=True) for _ in range(number)]
        self.ages = [self.text(0, 0, "", 9.5, live=True, va="center", ha="right") for _ in range(number)]
        if self.detailed:
            for row in range(self._rows):
                self.note(_LEFT - 8, _TOP + (row + 0.5) * _ROW, f"set {row}", ha="right", va="center")
        else:
            ways = self.geometry.sets > 1
            text = "a column a set, a cell a way" if ways else "one set: any page in any cell"
            self.note(_LEFT, _TOP - 5, text)
        self.note(_LEFT - 8, self._bottom + 34, "accesses", ha="right", va="center")
        self.note(_LEFT, self._bottom + 18, "the last ones, the newest at the right", va="baseline")
        lru = self.detailed and self.geometry.policy == LRU and self.geometry.ways > 1
        entries = [LegendEntry(one, one.name) for one in (KEPT, OTHER, FOUND, FILLED, ink.HIT, ink.MISS)]
        more = "Numbers: how many of the set were used since." if lru else ""
        legend_row(self, self._bottom + 72, [("", entries)])
        if more:
            self.note(self.width - MARGIN, self._bottom + 72, more, ha="right", va="center")

    def update(self, run: TlbRun) -> None:
        """Show the same TLB at another moment."""
        if run.tlb.geometry != self.geometry:
            raise ValueError("this picture is of a TLB of another geometry: make a new one")
        self.alt = alt_tlb(run)
        self._badge.set(str(run.tlb.source))
        self._title.set(fit(f"{run.title}: {progress_words(run)}", self.width - 2 * MARGIN - 90, 14, bold=True))
        self._told.set(f"TLB of {geometry_words(run)}")
        self._last.set(_last_words(run))
        if self.detailed:
            self._put_entries(run)
        else:
            self._put_cells(run)
        self._put_strip(run)
        self.touch()

    def box(self, number: int, way: int) -> Box:
        """Rectangle of a way of a set."""
        wide = _WIDE / self._columns
        if not self.detailed:
            index = way if self.geometry.sets == 1 else way * self.geometry.sets + number
            number, way = divmod(index, self._columns)
            wide = self._cell
        left, top = _LEFT + way * wide, _TOP + number * self._high
        gap = 2 if self.detailed else 0
        return Box(left, top, left + wide - gap, top + self._high - gap)

    @property
    def _cell(self) -> float:
        return max(1.0, int(_WIDE * 2 / self._columns) / 2) if self._columns > 40 else min(
            16.0, _WIDE / self._columns
        )  # fmt: skip

    def _kind(self, entry: TlbEntry | None, asid: int, here: bool, hit: bool) -> int:
        if entry is None:
            return 0
        return (3 if hit else 4) if here else 1 if entry.glob or entry.asid == asid else 2

    def _put_entries(self, run: TlbRun) -> None:
        at, asid = _where(run), run.recent[-1][1] if run.recent else 0
        boxes, inks, outlined = [], [], []
        for number, one in enumerate(run.tlb.sets):
            for way, entry in enumerate(one.ways):
                here = at is not None and at[:2] == (number, way)
                box, kind = self.box(number, way), self._kind(entry, asid, here, bool(at and at[2]))
                boxes.append(box)
                inks.append(_VALUES[kind])
                outlined += [box] if here else []
                index, middle = number * self._columns + way, (box.top + box.bottom) / 2
                text = f"0x{_page(entry):x}" if entry else ""
                wide = box.right - box.left
                self.pages[index].set(fit(text, wide - 26, 11), x=box.left + 6, y=middle, colour=_VALUES[kind].text)
                age = one.ages[way]
                self.ages[index].set("" if age is None or self._columns < 2 else str(age), x=box.right - 5, y=middle,
                                     colour=_VALUES[kind].text)  # fmt: skip
        self.boxes.put(boxes, inks)
        self.outlines.set_data(*segments([list(zip(*outline_of(box), strict=True)) for box in outlined]))

    def _put_cells(self, run: TlbRun) -> None:
        at, asid = _where(run), run.recent[-1][1] if run.recent else 0
        values = np.full((self._rows, self._columns), NOTHING, np.uint8)
        for number, one in enumerate(run.tlb.sets):
            for way, entry in enumerate(one.ways):
                here = at is not None and at[:2] == (number, way)
                index = way if self.geometry.sets == 1 else way * self.geometry.sets + number
                values[divmod(index, self._columns)] = self._kind(entry, asid, here, bool(at and at[2]))
        right = _LEFT + self._columns * self._cell
        self.cells.put(values, (_LEFT, _TOP, right, self._bottom))
        box = self.box(*at[:2]) if at else None
        self.outlines.set_data(*segments([list(zip(*outline_of(box), strict=True))] if box else []))

    def _put_strip(self, run: TlbRun) -> None:
        shown = run.recent[-_STRIP:]
        values = [NOTHING] * (_STRIP - len(shown)) + [int(not hit) for *_, hit in shown]
        top = self._bottom + 26
        self.strip.put(np.array([values], np.uint8), (_LEFT, top, _LEFT + _STRIP * 17, top + 17))


def _last_words(run: TlbRun) -> str:
    if not run.recent:
        return "Nothing has been accessed yet."
    addr, asid, hit = run.recent[-1]
    shift = run.tlb.geometry.shifts[0]
    number = run.tlb.geometry.set_of(addr)
    whose = f" of process {asid}" if any(one[1] for one in run.recent) else ""
    what = "hit" if hit else "miss: the tables are walked, the translation is kept"
    gone = f", that of page 0x{_page(run.evicted):x} has to go" if run.evicted else ""
    in_set = f", set {number}" if run.tlb.geometry.sets > 1 else ""
    return f"0x{addr:x}{whose}, page 0x{addr >> shift:x}{in_set}: {what}{gone}."


def _grid(run: TlbRun) -> tuple[int, int]:
    geometry = run.tlb.geometry
    if is_detailed(run):
        return geometry.sets, geometry.ways
    if geometry.sets > 1:
        return geometry.ways, geometry.sets
    columns = min(geometry.ways, 48)
    return -(-geometry.ways // columns), columns
