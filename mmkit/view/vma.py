"""The layout of a process: its areas to scale in the whole user half, and beside it legibly, with the gaps folded."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

from mmkit.model.vmastate import MmState, VmaState
from mmkit.record import Record
from mmkit.view import ink
from mmkit.view.artist import Box, Boxes
from mmkit.view.ink import Ink
from mmkit.view.parts import Entry, Legend, exact_size, pages_size, plural, segments
from mmkit.view.picture import MARGIN, Picture, fit
from mmkit.view.vmakinds import Band, bands, kinds_of

MOST_BANDS = 26
_TOP, _BAND, _GAP = 78, 21, 17
_SCALE = Box(92, 0, 132, 0)
_COLUMN = Box(236, 0, 352, 0)
_NAME, _RIGHTS, _START, _SIZE, _RESIDENT = 380, 596, 644, 806, 888
_MOST_TICKS = 5
_LEGEND_LINE = 18
_FOOT = 2 * _LEGEND_LINE + 20
_BRACKET = 196
_LEAST = 100


class Row(Record):
    """One line of the folded layout: a band, or (None) the gap between two."""

    band: Band | None
    start: int
    end: int


def rows_of(mm: MmState, most: int = MOST_BANDS, kinds: Sequence[str] | None = None) -> list[Row]:
    """Return the lines from the highest address to the lowest."""
    rows: list[Row] = []
    at = 0
    for band in bands(mm, most, kinds):
        vmas = band.of(mm)
        if vmas[0].start > at:
            rows.append(Row(None, at, vmas[0].start))
        rows.append(Row(band, vmas[0].start, vmas[-1].end))
        at = vmas[-1].end
    if at < mm.layout.task_size:
        rows.append(Row(None, at, mm.layout.task_size))
    return rows[::-1]


def alt_layout(
    mm: MmState, before: MmState | None = None, addr: int | None = None, kinds: Sequence[str] | None = None
) -> str:
    """Say in words how the address space is laid out."""
    counters = mm.counters
    share = counters.total_vm * 4096 / mm.layout.task_size if mm.layout.task_size else 0
    told = [
        f"Address space of {mm.name or 'a process'}: {plural(len(mm.vmas), 'area')}, "
        f"{pages_size(counters.total_vm)} mapped, {share:.1g} of the user half"
    ]
    kinds = kinds_of(mm.vmas) if kinds is None else kinds
    high = [
        f"{kind} at 0x{vma.start:x}, {pages_size(vma.pages)}"
        for kind, vma in zip(reversed(kinds), reversed(mm.vmas), strict=True)
        if kind in ("stack", "heap", "code")
    ]
    if high:
        told.append(f"From the top: {'; '.join(high[:4])}{'; …' if len(high) > 4 else ''}")
    if before is not None:
        new = changed(mm, before)
        told.append(f"{plural(len(new), 'area')} {'is' if len(new) == 1 else 'are'} new or changed")
    if addr is not None:
        inside = next((vma for vma in mm.vmas if addr in vma), None)
        told.append(f"0x{addr:x} lies in {_whose(inside) if inside else 'a gap'}")
    return f"{'. '.join(told)}. ({mm.source})"


def _whose(vma: VmaState) -> str:
    return vma.name or f"the area at 0x{vma.start:x}"


def changed(mm: MmState, before: MmState) -> set[int]:
    """Return which areas are not as they were: other bounds, rights, flags or resident pages."""
    known = {_look(vma) for vma in before.vmas}
    return {number for number, vma in enumerate(mm.vmas) if _look(vma) not in known}


def _look(vma: VmaState) -> tuple[int, ...]:
    return vma.start, vma.end, vma.flags, vma.anon_pages, vma.file_pages, vma.zero_pages


class AddressSpacePicture(Picture):
    """The user half of an address space, the highest address at the top.

    ``before`` marks what has changed since, ``addr`` points at an address.
    """

    def __init__(self, mm: MmState, before: MmState | None = None, addr: int | None = None) -> None:
        super().__init__(height=self._height(rows_of(mm)))
        self._title = self.text(MARGIN, MARGIN + 12, "", 14, live=True, bold=True)
        self._badge = self.badge(mm.source)
        for x, title, ha in (
            (112, "to scale", "center"), (294, "gaps folded", "center"), (_NAME, "what it is", "left"),
            (_RIGHTS, "rights", "left"), (_START, "from", "left"), (_SIZE, "size", "right"),
            (_RESIDENT, "in memory", "right"),
        ):  # fmt: skip
            self.note(x, _TOP - 12, title, ha=ha)
        self._boxes = self.live(Boxes((0, _TOP - 4, self.width, self.height)))
        self._links = self.line([], [], live=True)
        self._marks = self.line([], [], ink.TEXT, 1.4, live=True)
        most = 2 * MOST_BANDS + 1
        self._letters = [self.text(0, 0, "", 10.5, live=True, ha="center", va="center") for _ in range(most)]
        self._names = [self.text(_NAME, 0, "", 11.5, live=True, va="center") for _ in range(most)]
        self._rights = [self.text(_RIGHTS, 0, "", 11, live=True, va="center", mono=True) for _ in range(most)]
        self._starts = [self.text(_START, 0, "", 11, live=True, va="center", mono=True) for _ in range(most)]
        self._sizes = [self.text(_SIZE, 0, "", 11, live=True, ha="right", va="center") for _ in range(most)]
        self._resident = [self.text(_RESIDENT, 0, "", 11, live=True, ha="right", va="center") for _ in range(most)]
        self._signs = [self.text(226, 0, "", 12, live=True, ha="right", va="center", bold=True) for _ in range(most)]
        self._ticks = [self.note(84, 0, "", live=True, ha="right", va="center") for _ in range(_MOST_TICKS)]
        self._lines = (self._names, self._rights, self._starts, self._sizes, self._resident, self._signs)
        self._legend = Legend(self, (_SCALE.right, 0, self.width - MARGIN, 2 * _LEGEND_LINE), 12, 6, _LEGEND_LINE)
        self.update(mm, before, addr)

    @staticmethod
    def _height(rows: Sequence[Row]) -> float:
        return _TOP + max(sum(_BAND if row.band else _GAP for row in rows), _LEAST) + _FOOT

    def update(self, mm: MmState, before: MmState | None = None, addr: int | None = None) -> None:
        """Show another state."""
        kinds = kinds_of(mm.vmas)
        rows = rows_of(mm, kinds=kinds)
        self.resize(self._height(rows))
        self._boxes.box = Box(0, _TOP - 4, self.width, self.height)
        self._badge.set(str(mm.source))
        title = (
            f"{mm.name or 'Address space'}: {plural(len(mm.vmas), 'area')}, {pages_size(mm.counters.total_vm)} mapped"
        )
        self._title.set(self.heading_fit(title, mm.source))
        self._put_rows(mm, rows, kinds, changed(mm, before) if before is not None else set(), addr)
        self.alt = alt_layout(mm, before, addr, kinds)
        self.touch()

    def _put_rows(
        self, mm: MmState, rows: Sequence[Row], kinds: Sequence[str], new: set[int], addr: int | None
    ) -> None:
        boxes: list[Box] = []
        inks: list[Ink] = []
        y = float(_TOP)
        links: list[list[tuple[float, float]]] = []
        bottom = self.height - _FOOT
        for number, row in enumerate(rows):
            height = _BAND if row.band else _GAP
            here = Box(_COLUMN.left, y, _COLUMN.right, y + height)
            if row.band:
                self._put_band(number, row, mm, kinds, here, boxes, inks, new)
            else:
                self._put_gap(number, row, mm, here)
            if addr is not None and row.start <= addr < row.end:
                both = f"{self._signs[number].text} ▶".strip()
                self._signs[number].set(both, y=y + height / 2, colour=ink.ALERT)
            y += height
        for spare in range(len(rows), len(self._names)):
            self._letters[spare].set("")
            for column in self._lines:
                column[spare].set("")
        self._put_scale(mm, kinds, bottom, boxes, inks)
        self._legend.move(bottom + 16)
        self._legend.set([Entry(one, one.name) for kind, one in ink.VMA_INKS.items() if kind in kinds])
        for top, below, low, high in _clusters(rows):
            at = _TOP + (bottom - _TOP) * (1 - (low + high) / 2 / mm.layout.task_size)
            links += [
                [(_SCALE.right + 2, at), (_BRACKET, (top + below) / 2)],
                [(_BRACKET + 5, top), (_BRACKET, top), (_BRACKET, below), (_BRACKET + 5, below)],
            ]
        self._links.set_data(*segments(links))
        self._boxes.put(boxes, inks, [one.edge for one in inks])

    def _put_band(
        self, number: int, row: Row, mm: MmState, kinds: Sequence[str], here: Box, boxes: list[Box], inks: list[Ink],
        new: set[int],
    ) -> None:  # fmt: skip
        assert row.band
        vmas, middle = row.band.of(mm), (here.top + here.bottom) / 2
        wide = (here.right - here.left) / len(vmas)
        for place, kind in enumerate(kinds[row.band.first : row.band.last + 1]):
            left = here.left + place * wide
            boxes.append(Box(left, here.top + 1, left + max(wide, 1.5), here.bottom - 1))
            inks.append(ink.VMA_INKS[kind])
        look = ink.VMA_INKS[row.band.kind]
        single = len(vmas) == 1
        self._letters[number].set(
            look.letter if single else "", x=(here.left + here.right) / 2, y=middle, colour=look.text
        )
        name = row.band.title or look.name
        kind = look.name.removesuffix(" data")
        what = f"{name} ({kind})" if single and row.band.title and kind not in name else name
        if row.band.kind in ("heap", "stack", "bss") and single:
            what = look.name + (" ↑" if row.band.kind == "heap" else " ↓" if row.band.kind == "stack" else "")
        resident = sum(vma.rss for vma in vmas)
        room = (_RIGHTS if single else _START) - _NAME - 10
        self._write(number, middle, (
            fit(what, room, 11.5), vmas[0].perms if single else "", f"0x{row.start:012x}",
            exact_size(row.end - row.start), pages_size(resident) if resident else "–",
            "●" if new & set(range(row.band.first, row.band.last + 1)) else "",
        ))  # fmt: skip

    def _put_gap(self, number: int, row: Row, mm: MmState, here: Box) -> None:
        middle = (here.top + here.bottom) / 2
        self._letters[number].set("⋮", x=(here.left + here.right) / 2, y=middle, colour=ink.MUTED)
        base = mm.layout.mmap_base
        note = f"   (mappings begin below 0x{base:x})" if row.start <= base < row.end and base else ""
        size = row.end - row.start
        self._write(number, middle, (f"nothing{note}", "", "", f"{_size(size)}", "", ""), ink.MUTED)

    def _write(self, number: int, y: float, texts: Sequence[str], colour: str = ink.TEXT) -> None:
        for column, text in zip(self._lines, texts, strict=True):
            column[number].set(text, y=y, colour=colour)

    def _put_scale(self, mm: MmState, kinds: Sequence[str], bottom: float, boxes: list[Box], inks: list[Ink]) -> None:
        size = mm.layout.task_size or 1
        tall = bottom - _TOP
        boxes.append(Box(_SCALE.left, _TOP, _SCALE.right, bottom))
        inks.append(ink.VACANT)
        seen = set()
        for kind, vma in zip(kinds, mm.vmas, strict=True):
            # Areas that fall on the same pixels are drawn once.
            low, high = round(2 * tall * vma.start / size) / 2, round(2 * tall * vma.end / size) / 2
            if (spot := (kind, low, high)) not in seen:
                seen.add(spot)
                boxes.append(Box(_SCALE.left + 1, bottom - max(high, low + 2), _SCALE.right - 1, bottom - low))
                inks.append(_solid(kind))
        for number, label in enumerate(self._ticks):
            at = size * number / (_MOST_TICKS - 1)
            label.set(_size(round(at)) if number else "0", y=bottom - tall * number / (_MOST_TICKS - 1))
        ys = [bottom - tall * number / (_MOST_TICKS - 1) for number in range(_MOST_TICKS)]
        self._marks.set_data(*segments([[(_SCALE.left - 5, y), (_SCALE.left, y)] for y in ys]))


@cache
def _solid(kind: str) -> Ink:
    edge = ink.VMA_INKS[kind].edge
    return Ink("", "", edge, edge, edge=edge)


def _size(size_bytes: int) -> str:
    for unit, power in (("TiB", 40), ("GiB", 30), ("MiB", 20)):
        if size_bytes >= 1 << power:
            return f"{size_bytes / (1 << power):,.1f}".removesuffix(".0") + f" {unit}"
    return exact_size(size_bytes)


def _clusters(rows: Sequence[Row]) -> list[tuple[float, float, int, int]]:
    """Return groups of bands without a gap of a thousandth between them: y of both ends, and where they lie."""
    found: list[list[float]] = []
    y = float(_TOP)
    huge = max((row.end for row in rows), default=0) >> 7
    open_ = False
    for row in rows:
        height = _BAND if row.band else _GAP
        if row.band is None:
            open_ &= row.end - row.start < huge
        elif open_:
            found[-1][1], found[-1][2] = y + height, row.start
        else:
            found.append([y, y + height, row.start, row.end])
            open_ = True
        y += height
    return [(top + 2, low - 2, int(start), int(end)) for top, low, start, end in found]
