"""Memory pressure at one moment: free pages and marks, the lists page by page, swap, the file, and who would be killed.

Pages travel along a list from its head, top left, to its tail, which is looked at next; from the active list down into
the inactive one, and out of that to swap or, if the disk has them, to nowhere.
"""

from __future__ import annotations

from mmkit.model.reclaimstate import Look, LruPage, ProcessLine, ReclaimState
from mmkit.view import ink
from mmkit.view.artist import Box, Boxes, text_width
from mmkit.view.cells import Letters
from mmkit.view.ink import Ink
from mmkit.view.parts import Pen, outline_of, plural, segments, wrapped, write_to_fit
from mmkit.view.picture import MARGIN, Picture, fit
from mmkit.view.reclaimwords import alt_reclaim, letter_of, mark_words, page_name, running_words, said_of

HEIGHT = 622
COLUMNS, _PITCH, _LINE = 16, 26.0, 19.0
_LEFT, _RIGHT = float(MARGIN), 472.0
_GAUGE, _LISTS, _SWAP, _DISK, _ASIDE, _LEGEND, _TABLE = 66, 150, 420, 284, 366, 436, 516
_ASIDE_MOST = 2 * COLUMNS
_CHANGED = "#d55e00"
_TABLE_COLUMNS = (("resident", 232), ("in swap", 292), ("tables", 344), ("oom_score_adj", 438), ("points", 492))
_POINTS = Box(504, 0, 614, 0)
_EMPTY = {
    "active_anon": "empty: pages come here that were used again", "inactive_anon": "empty: new pages begin here",
    "active_file": "empty: pages come here that were used again", "inactive_file": "empty: what is read begins here",
}  # fmt: skip
_PER_CPU = ink.VACANT
_MARKS: tuple[tuple[str, dict[str, bool], str], ...] = (
    ("f7", {"young": True}, "used since the last look"), ("f7*", {}, "dirty: not on the disk"),
    ("f7", {"referenced": True}, "used before (PG_referenced)"), ("", {}, "head; tail, looked at next"),
)  # fmt: skip
Place = tuple[float, float]


class ReclaimPicture(Picture):
    """Everything that takes part in reclaim; what differs from ``before`` is outlined, ``told`` says what it is."""

    def __init__(self, state: ReclaimState, before: ReclaimState | None = None, told: str = "") -> None:
        super().__init__(HEIGHT)
        self._badge = self.badge(state.source)
        self._title = self.text(MARGIN, 24, "", 14, live=True, bold=True)
        self._told = self.text(MARGIN, 46, "", 12, live=True)
        self.boxes = self.live(Boxes((0, 0, self.width, self.height)))
        self._letters = self.live(Letters(9))
        self.lines = self.line([], [], ink.MUTED, 1.2, live=True, zorder=3)
        self.marks = self.line([], [], ink.TEXT, 1.6, live=True, zorder=4)
        self.outlines = self.line([], [], _CHANGED, 2.4, live=True, zorder=6)
        self.way = self.line([], [], _CHANGED, 1.3, live=True, zorder=7)
        self._pen = Pen(self, 130)
        self._write = self._pen.write
        for y in (_LISTS - 22, _TABLE - 18):
            self.line([MARGIN, self.width - MARGIN], [y, y], ink.FAINT, 1)
        self.update(state, before, told)

    def update(self, state: ReclaimState, before: ReclaimState | None = None, told: str = "") -> None:
        """Show another moment."""
        self.alt = alt_reclaim(state, told)
        self._pen.begin()
        self._put: list[tuple[Box, Ink]] = []
        self._texts: list[tuple[float, float, str, str]] = []
        self._paths: list[list[Place]] = []
        self._strong: list[list[Place]] = []
        self._new: list[Box] = []
        self._places: dict[int, Box] = {}
        self._heads: dict[str, tuple[float, float, int]] = {}
        self._badge.set(str(state.source))
        self._title.set(self.heading_fit(running_words(state), state.source))
        self._tell(said_of(state, told))
        self._state, self._then = state, before or state
        self._draw_gauge(state)
        self._draw_lists(state)
        self._draw_slots(state)
        self._draw_file(state)
        self._draw_legend()
        self._draw_processes(state)
        self._draw_counters(state)
        self._pen.end()
        self.boxes.put([box for box, _ in self._put], [one for _, one in self._put])
        self._letters.put(self._texts)
        self.lines.set_data(*segments(self._paths))
        self.marks.set_data(*segments(self._strong))
        self.outlines.set_data(*segments([list(zip(*outline_of(box), strict=True)) for box in self._new]))
        self.way.set_data(*segments(self._way_of(state.look)))
        self.touch()

    def _tell(self, told: str) -> None:
        """Write what is told in one line, or in two."""
        width, size = self.width - 2 * MARGIN, 10.5
        if text_width(told, size) <= width:
            write_to_fit(self._told, told, width)
            return
        first, *rest = wrapped(told, width, size)
        self._told.set("", size=size)
        self._write(MARGIN, 39, first, size)
        self._write(MARGIN, 52, fit(" ".join(rest), width, size), size)

    # -- pens ---------------------------------------------------------------------------------------------------------

    def _box(self, box: Box, one: Ink, new: bool = False) -> Box:
        self._put.append((box, one))
        if new:
            self._new.append(box)
        return box

    def _cell(self, left: float, top: float, number: int, one: Ink, text: str, new: bool = False) -> Box:
        row, column = divmod(number, COLUMNS)
        x, y = left + column * _PITCH, top + row * _LINE
        self._texts.append((x + 12.5, y + 8.5, text, one.text))
        return self._box(Box(x, y, x + 25, y + 17), one, new)

    def _head(self, left: float, y: float, name: str, words: str, note: str = "") -> None:
        self._write(left, y, name, 10.5, bold=True)
        self._write(left + text_width(name, 10.5, bold=True) + 8, y, words, 10, colour=ink.MUTED)
        self._write(left + COLUMNS * _PITCH, y, note, 9.5, ha="right", colour=ink.MUTED)

    def _ink_of(self, pid: int) -> Ink:
        # Processes are numbered one after the other.
        return ink.OWNER_INKS[pid % len(ink.OWNER_INKS)] if pid else ink.OF_FILE

    # -- free memory --------------------------------------------------------------------------------------------------

    def _draw_gauge(self, state: ReclaimState) -> None:
        """Draw all pages as one bar: free ones first, so that their end moves along the marks."""
        top, low, left = _GAUGE, _GAUGE + 24, _LEFT
        scale = (self.width - 2 * MARGIN) / state.managed
        owned = [page.owner for _, pages in state.lists for page in pages]
        parts = [(state.free, ink.WATER, "free"), (state.pcp, _PER_CPU, "per-CPU list")]
        parts += [(owned.count(line.pid), self._ink_of(line.pid), line.name) for line in state.processes]
        parts += [(owned.count(0), ink.OF_FILE, state.file)]
        rest = state.managed - sum(count for count, _, _ in parts)
        for number, (count, one, name) in enumerate([*parts, (rest, ink.USED, "kernel")]):
            right = left + count * scale
            if count:
                self._box(Box(left, top, right, low), one, not number and state.free != self._then.free)
                self._write_in(left, right, (top + low) / 2, f"{name} {count}", f"{count}")
            left = right
        marks = (("min", state.min, "right", 4), ("low", state.low, "center", 0), ("high", state.high, "left", -4))
        for name, pages, ha, aside in marks:
            x = _LEFT + pages * scale
            self._strong.append([(x, top - 4), (x, low + 5)])
            self._write(x + aside, low + 13, f"{name} {pages}", 9.5, ha=ha, bold=True)
        self._write(_LEFT + state.high * scale + 66, low + 13, f"{state.free} free, {mark_words(state)}", 10.5)
        words = f"zone {state.zone}, {state.managed} pages; swappiness {state.swappiness}"
        self._write(self.width - MARGIN, low + 13, words, 10, ha="right", colour=ink.MUTED)

    def _write_in(self, left: float, right: float, y: float, *choices: str) -> None:
        """Write the first text that has room beside the marks."""
        scale = (self.width - 2 * MARGIN) / self._state.managed
        first, last = _LEFT + self._state.min * scale, _LEFT + self._state.high * scale
        if left < last < right and right - last > last - left:
            left = last
        elif left < last and right > first:
            right = min(right, first) if left < first else right
        for text in choices:
            if text_width(text, 10) < right - left - 6:
                self._write((left + right) / 2, y, text, 10, ha="center")
                return

    # -- the lists ----------------------------------------------------------------------------------------------------

    def _draw_lists(self, state: ReclaimState) -> None:
        self._were = {page.pfn: (name, page) for name, pages in self._then.lists for page in pages}
        pages = dict(state.lists)
        for left, kind, exit_to in ((_LEFT, "anon", "to swap"), (_RIGHT, "file", "dropped, or written back")):
            active, inactive = f"active_{kind}", f"inactive_{kind}"
            y = self._draw_list(left, _LISTS, active, pages[active], "at the tail they age: become inactive")
            self._draw_list(left, y, inactive, pages[inactive], f"at the tail they leave: {exit_to}")
        aside = pages["unevictable"]
        words = plural(len(aside), "page") if aside else "empty: locked pages come here (mlock)"
        self._head(_RIGHT, _ASIDE, "unevictable", words + (" (not all shown)" if len(aside) > _ASIDE_MOST else ""))
        for number, page in enumerate(aside[::-1][:_ASIDE_MOST]):
            self._draw_page(_RIGHT, _ASIDE + 9, number, "unevictable", page)

    def _draw_list(self, left: float, y: float, name: str, pages: tuple[LruPage, ...], note: str) -> float:
        """Draw a list from its head to its tail; returns where the next one begins."""
        self._head(left, y, name, plural(len(pages), "page") if pages else _EMPTY[name], note if pages else "")
        self._heads[name] = left, y + 9, len(pages)
        for number, page in enumerate(pages[::-1]):
            self._draw_page(left, y + 9, number, name, page)
        if not pages:
            return y + 20
        head, tail = self._places[pages[-1].pfn], self._places[pages[0].pfn]
        for tip, end, y in (
            (head.left - 3, head.left - 8, head.top + 8),
            (tail.right + 3, tail.right + 8, tail.top + 8),
        ):
            self._strong.append([(end, y - 4), (tip, y), (end, y + 4)])
        return tail.bottom + 16

    def _draw_page(self, left: float, top: float, number: int, name: str, page: LruPage) -> None:
        was, old = self._were.get(page.pfn, ("", page))
        changed = was != name or old != page
        dirty = "*" if page.dirty and not page.owner else ""
        box = self._cell(left, top, number, self._ink_of(page.owner), page_name(self._state, page) + dirty, changed)
        self._places[page.pfn] = box
        self._draw_marks(box, page.young, page.referenced)

    def _draw_marks(self, box: Box, young: bool = False, referenced: bool = False) -> None:
        if young:
            self._box(Box(box.left, box.top, box.right, box.top + 3), ink.RULE)
        if referenced:
            self._box(Box(box.left, box.bottom - 3, box.left + 12, box.bottom), ink.RULE)

    # -- where they go ------------------------------------------------------------------------------------------------

    def _draw_slots(self, state: ReclaimState) -> None:
        used = sum(slot.owner > 0 for slot in state.slots)
        note = "pale: in memory as well" if any(slot.cached for slot in state.slots) else ""
        self._head(_LEFT, _SWAP, "swap device", f"{used} of {plural(len(state.slots), 'slot')} used", note)
        old = {slot.number: slot for slot in self._then.slots}
        self._slot_places: dict[int, Box] = {}
        for number, slot in enumerate(state.slots):
            one = ink.VACANT if slot.cached or not slot.owner else self._ink_of(slot.owner)
            text = f"{letter_of(state, slot.owner)}{slot.index}" if slot.owner else ""
            new = old.get(slot.number, slot) != slot
            self._slot_places[slot.number] = self._cell(_LEFT, _SWAP + 9, number, one, text, new)

    def _draw_file(self, state: ReclaimState) -> None:
        there = len(state.file_pages) - state.file_pages.count(".") - state.file_pages.count("x")
        self._head(_RIGHT, _DISK, f"{state.file} on the disk", f"{there} of {len(state.file_pages)} pages in memory",
                   "x dropped" if "x" in state.file_pages else "")  # fmt: skip
        self._file_places: list[Box] = []
        for number, letter in enumerate(state.file_pages):
            one = {"m": ink.OF_FILE, "d": ink.OF_FILE}.get(letter, ink.VACANT)
            text = {"d": f"{number}*", "x": "x"}.get(letter, f"{number}")
            new = self._then.file_pages[number : number + 1] != letter
            self._file_places.append(self._cell(_RIGHT, _DISK + 9, number, one, text, new))

    def _way_of(self, look: Look | None) -> list[list[Place]]:
        """Return an arrow from where a page was looked at to where it is now."""
        if look is None:
            return []
        goal = self._places.get(look.page.pfn)
        start = self._slot_places.get(look.slot or 0) if look.source == "swap" else self._tail_of(look)
        if look.fate in ("swap out", "drop") and look.page.owner:
            goal = self._slot_places.get(look.slot or 0)
        elif look.fate == "drop":
            goal = self._file_places[look.page.index]
        return arrow(start, goal) if start and goal and start != goal else []

    def _tail_of(self, look: Look) -> Box | None:
        """Return the place in its list at which a page was looked at: the last one, or one behind if it has gone."""
        if look.source not in self._heads:
            return None
        left, top, count = self._heads[look.source]
        if look.fate == "rotate":
            count = 0  # It came to the head of the active list.
        stayed = any(page.pfn == look.page.pfn for page in dict(self._state.lists)[look.source])
        row, column = divmod(max(count - stayed, 0), COLUMNS)
        x, y = left + column * _PITCH, top + row * _LINE
        return Box(x, y, x + 25, y + 17)

    # -- who uses it --------------------------------------------------------------------------------------------------

    def _draw_processes(self, state: ReclaimState) -> None:
        self._write(_LEFT, _TABLE, "Processes", 11.5, bold=True, colour=ink.MUTED)
        for name, right in _TABLE_COLUMNS:
            self._write(right, _TABLE, name, 9.5, ha="right", colour=ink.MUTED)
        most = max([line.points or 0 for line in state.processes] + [1])
        old = {line.pid: line for line in self._then.processes}
        for number, line in enumerate(state.processes):
            self._draw_process(_TABLE + 19 + number * 18, line, old.get(line.pid, line), most)

    def _draw_process(self, y: float, line: ProcessLine, old: ProcessLine, most: int) -> None:
        self._box(Box(_LEFT, y - 7, _LEFT + 17, y + 7), self._ink_of(line.pid))
        self._write(_LEFT + 8.5, y, line.letter, 10, ha="center")
        self._write(_LEFT + 24, y, f"{line.pid} {line.name}", 10.5, bold=not line.end)
        victim = "out of memory" in self._state.running and line.points == most and not line.end
        if victim:
            self._new.append(Box(_LEFT - 3, y - 9, _POINTS.right + 4, y + 9))
        points = "never" if line.points is None else f"{line.points}"
        if line.end:
            self._strong.append([(_LEFT - 1, y - 7), (_LEFT + 18, y + 7)])
            self._strong.append([(_LEFT - 1, y + 7), (_LEFT + 18, y - 7)])
            points = f"{line.points}" if line.points else ""
            self._write(_TABLE_COLUMNS[1][1], y, line.end, 10.5, ha="right", bold=True, colour=_CHANGED)
        now = (line.rss, line.swap, line.tables, line.oom_score_adj)
        was = (old.rss, old.swap, old.tables, old.oom_score_adj)
        for (_, right), value, before in zip(_TABLE_COLUMNS, now if not line.end else (), was, strict=False):
            self._write(right, y, f"{value}", 10.5, ha="right", colour=_CHANGED if value != before else ink.TEXT)
        colour = _CHANGED if line.points != old.points else ink.TEXT
        self._write(_TABLE_COLUMNS[4][1], y, points, 10.5, ha="right", bold=True, colour=colour)
        if line.points and line.points > 0:
            wide = (_POINTS.right - _POINTS.left) * line.points / most
            self._box(Box(_POINTS.left, y - 6, _POINTS.left + max(wide, 1), y + 6), self._ink_of(line.pid))

    def _draw_counters(self, state: ReclaimState) -> None:
        left, old = 640.0, dict(self._then.counters)
        self._write(left, _TABLE, "/proc/vmstat", 11.5, bold=True, colour=ink.MUTED)
        for number, (name, value) in enumerate(state.counters):
            row, column = number % 5, number // 5
            y, x, right = _TABLE + 19 + row * 18, left + column * 102, (left + 88, self.width - MARGIN)[column]
            changed = value != old.get(name, value)
            self._write(x, y, name, 9.5)
            self._write(right, y, f"{value}", 10.5, bold=True, ha="right", colour=_CHANGED if changed else ink.TEXT)

    def _draw_legend(self) -> None:
        for number, (text, marks, words) in enumerate(_MARKS):
            row, column = divmod(number, 2)
            x, y = _RIGHT + column * 232, float(_LEGEND) + row * 22
            if text:
                self._draw_marks(self._box(Box(x, y - 8, x + 25, y + 9), ink.OF_FILE), **marks)
                self._texts.append((x + 12.5, y + 0.5, text, ink.TEXT))
            else:
                self._strong.append([(x + 3, y - 4), (x + 8, y), (x + 3, y + 4)])
                self._strong.append([(x + 22, y - 4), (x + 17, y), (x + 22, y + 4)])
            self._write(x + 32, y + 0.5, words, 10)


def arrow(start: Box, goal: Box) -> list[list[Place]]:
    """Return the lines of an arrow from the middle of one box to the edge of another."""
    x0, y0 = (start.left + start.right) / 2, (start.top + start.bottom) / 2
    x1, y1 = (goal.left + goal.right) / 2, (goal.top + goal.bottom) / 2
    length = max(((x1 - x0) ** 2 + (y1 - y0) ** 2) ** 0.5, 1)
    ux, uy = (x1 - x0) / length, (y1 - y0) / length
    x1, y1 = x1 - 11 * ux, y1 - 11 * uy
    barbs = [(x1 - 8 * ux + side * 5 * uy, y1 - 8 * uy - side * 5 * ux) for side in (-1, 1)]
    return [[(x0, y0), (x1, y1)], [barbs[0], (x1, y1), barbs[1]]]
