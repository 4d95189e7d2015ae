"""Trees of page tables: the root on the outside, a level a column, and the frames of memory that they lead to.

Of two processes with two levels both trees are drawn, the frames between them; of longer ones the running process's.
What is empty, or too much, is folded away and counted.
"""

from __future__ import annotations

from typing import NamedTuple

from mmkit.model.pgstate import PageTableState, SpacesState, SpaceState, TableState
from mmkit.units import format_size
from mmkit.view import ink
from mmkit.view.artist import Box, Boxes, text_width
from mmkit.view.parts import Pen, listed, outline_of, plural, segments
from mmkit.view.picture import MARGIN, Picture, fit

_TOP, _HEAD, _ROW, _GAP, _ROOM = 96, 17, 15.5, 12, 34
_MOST_ROWS, _MOST_TABLES, _MOST_TEXTS = 5, 4, 170
_LETTERS = (
    "Beside a page's entry: W writable, X executable, U user code may use it, A accessed, D dirty. Yellow: read by "
    "the last access. Outlined: changed by the last step."
)


class Row(NamedTuple):
    """One line of a table: an entry, or entries that are folded away (``at`` -1)."""

    at: int
    raw: int
    text: str


class Shown(NamedTuple):
    """A table as it is drawn: its number in the state, and its lines."""

    number: int
    rows: tuple[Row, ...]


def path_of(state: SpacesState, space: SpaceState) -> frozenset[tuple[int, int]]:
    """Return (table address, index) of each entry that the last access read, if it was made with these tables."""
    walk = state.access
    if walk is None or walk.steps[0].table_addr != space.tables.root_addr:
        return frozenset()
    return frozenset((step.table_addr, step.index) for step in walk.steps)


def changed_of(tables: PageTableState, before: PageTableState | None) -> frozenset[tuple[int, int]]:
    """Return (table address, index) of each entry that is not what it was."""
    if before is None or before.root_addr != tables.root_addr:
        return frozenset()
    old = {(table.addr, index): raw for table in before.tables for index, raw in table.entries}
    new = {(table.addr, index): raw for table in tables.tables for index, raw in table.entries}
    return frozenset(key for key in old.keys() | new.keys() if old.get(key) != new.get(key))


def alt_trees(state: SpacesState) -> str:
    """Say of each process where its root is, how many tables there are, and what its first pages are."""
    told = [_alt_space(space, number == state.loaded) for number, space in enumerate(state.spaces)]
    outcome = f" Last access: {state.outcome}" if state.outcome else ""
    return f"{' '.join(told)}{outcome} ({state.spaces[0].tables.source})"


def _alt_space(space: SpaceState, loaded: bool) -> str:
    tables = space.tables
    pages = sorted(
        (table.virt_addr | index << _shift(tables, table), addr, letters)
        for table in tables.tables for index, addr, letters in table.pages
    )  # fmt: skip
    running = "running" if loaded else "not running"
    head = f"{space.name}, {running}, its root table at 0x{tables.root_addr:x}: {plural(len(tables.tables), 'table')}"
    if not pages:
        return f"{head}, no page mapped."
    listed_pages = [f"0x{virt:x} to 0x{addr:x} {letters}" for virt, addr, letters in pages[:6]]
    more = [f"{plural(len(pages) - 6, 'more page')}"] if len(pages) > 6 else []
    return f"{head}, {plural(len(pages), 'page')}: {listed([*listed_pages, *more])}."


def _shift(tables: PageTableState, table: TableState) -> int:
    return SHIFTS[tables.arch][table.depth]


SHIFTS = {
    "TOY": (14, 12), "X86": (22, 12), "X86_PAE": (30, 21, 12), "SV39": (30, 21, 12), "X86_64": (39, 30, 21, 12),
    "ARM64": (39, 30, 21, 12), "SV48": (39, 30, 21, 12), "X86_64_LA57": (48, 39, 30, 21, 12),
}  # fmt: skip
"""By architecture, how far each level's index is shifted."""
NAMES = {2: ("pgd", "pte"), 3: ("pgd", "pmd", "pte"), 4: ("pgd", "pud", "pmd", "pte"),
         5: ("pgd", "p4d", "pud", "pmd", "pte")}  # fmt: skip


def choose(tables: PageTableState, marked: frozenset[tuple[int, int]], slots: int) -> list[list[Shown]]:
    """Return for each level the tables that are drawn; ``slots`` is how many entries a table has if all are drawn."""
    levels, wanted = [], [0]
    for _ in SHIFTS[tables.arch]:
        shown = [Shown(number, _rows(tables.tables[number], marked, slots)) for number in wanted]
        levels.append(shown)
        below = []
        for one in shown:
            children = dict(tables.tables[one.number].children)
            below += [(one.number, row.at, children[row.at]) for row in one.rows if row.at in children]
        first = [each for each in below if (tables.tables[each[0]].addr, each[1]) in marked]
        rest = [each for each in below if each not in first]
        wanted = sorted(number for *_, number in [*first, *rest][:_MOST_TABLES])
    return levels


def _rows(table: TableState, marked: frozenset[tuple[int, int]], slots: int) -> tuple[Row, ...]:
    entries, pages = dict(table.entries), {index: (addr, letters) for index, addr, letters in table.pages}
    if slots:
        return tuple(Row(index, entries.get(index, 0), _text(index, pages)) for index in range(slots))
    here = {index for addr, index in marked if addr == table.addr}
    order = sorted(here) + [index for index in entries if index not in here]
    kept = sorted(order[:_MOST_ROWS])
    rows = [Row(index, entries.get(index, 0), _text(index, pages)) for index in kept]
    folded = len(entries) - len([index for index in kept if index in entries])
    return (*rows, Row(-1, 0, f"… {folded:,} more" if folded else "the rest is empty"))


def _text(index: int, pages: dict[int, tuple[int, str]]) -> str:
    return pages[index][1] if index in pages else ""


class _Panel:
    """One tree: where its columns are, and what is drawn of it."""

    def __init__(self, space: SpaceState, levels: list[list[Shown]], lefts: list[float], wide: float) -> None:
        self.space, self.levels, self.lefts, self.wide = space, levels, lefts, wide
        self.tops: dict[int, float] = {}
        for level in levels:
            y = float(_TOP)
            for one in level:
                self.tops[one.number] = y
                y += _HEAD + len(one.rows) * _ROW + _GAP

    @property
    def bottom(self) -> float:
        """Where the lowest table ends."""
        return max(self.tops[one.number] + _HEAD + len(one.rows) * _ROW for level in self.levels for one in level)

    def row(self, depth: int, one: Shown, position: int) -> Box:
        """Rectangle of a line of a table."""
        top = self.tops[one.number] + _HEAD + position * _ROW
        return Box(self.lefts[depth], top, self.lefts[depth] + self.wide, top + _ROW)


class TreesPicture(Picture):
    """The page tables of one or two processes, and CR3, which points at the root of the one that is running."""

    def __init__(self, state: SpacesState, before: SpacesState | None = None) -> None:
        super().__init__(_TOP + 120)
        self._badge = self.badge(state.spaces[0].tables.source)
        self._title = self.text(MARGIN, 24, "", 14, live=True, bold=True)
        self._told = self.text(MARGIN, 44, "", 12, live=True)
        self.boxes = self.live(Boxes((0, 48, self.width, self.height)))
        self.arrows = self.line([], [], ink.MUTED, 1, live=True, zorder=1)
        self.path = self.line([], [], ink.TEXT, 2, live=True, zorder=1.5)
        self.outlines = self.line([], [], ink.TEXT, 2.4, live=True, zorder=6)
        self._legend = self.note(MARGIN, 0, _LETTERS, live=True)
        self._pen = Pen(self, _MOST_TEXTS, va="baseline")
        self._write = self._pen.write
        self.update(state, before)

    def update(self, state: SpacesState, before: SpacesState | None = None) -> None:
        """Show another state; entries that differ from ``before`` are outlined."""
        self._boxes, self._arrows, self._paths, self._changed = [], [], [], []  # type: ignore[var-annotated]
        self._pen.begin()
        self.alt = alt_trees(state)
        self._badge.set(str(state.spaces[0].tables.source))
        panels = self._panels(state, before)
        height = max(panel.bottom for panel in panels) + 34
        height = max(height, self._frames(state, panels) + 30)
        self.resize(height)
        self._legend.set(y=height - 10)
        self.boxes.box = Box(0, 48, self.width, height)
        self._write_title(state)
        for panel in panels:
            self._draw(state, panel, before)
        self._pen.end()
        self.boxes.put([box for box, _ in self._boxes], [one for _, one in self._boxes])
        self.arrows.set_data(*segments(self._arrows))
        self.path.set_data(*segments(self._paths))
        self.outlines.set_data(*segments([list(zip(*outline_of(box), strict=True)) for box in self._changed]))
        self.touch()

    def _write_title(self, state: SpacesState) -> None:
        running = state.running
        self._title.set(f"CR3 = 0x{running.tables.root_addr:x}: {running.name} is running")
        self._told.set(fit(state.outcome, self.width - 2 * MARGIN, 12))

    def _panels(self, state: SpacesState, before: SpacesState | None) -> list[_Panel]:
        nr_levels = len(SHIFTS[state.arch])
        both = nr_levels == 2 and len(state.spaces) == 2
        spaces = state.spaces if both else (state.running,)
        columns = nr_levels * len(spaces) + 1
        step = (self.width - 2 * MARGIN + _ROOM) / columns
        self._step, self._wide = step, step - _ROOM
        self._frames_left = MARGIN + step * nr_levels
        panels = []
        for number, space in enumerate(spaces):
            lefts = [MARGIN + step * depth for depth in range(nr_levels)]
            if number:
                lefts = [self.width - MARGIN - self._wide - step * depth for depth in range(nr_levels)]
            marked = path_of(state, space) | changed_of(space.tables, _before(space, before))
            slots = 4 if state.arch == "TOY" else 0
            panels.append(_Panel(space, choose(space.tables, marked, slots), lefts, self._wide))
        return panels

    def _frames(self, state: SpacesState, panels: list[_Panel]) -> float:
        """Place the frames that drawn entries lead to; returns where they end."""
        owners: dict[int, list[str]] = {}
        for panel in panels:
            for level in panel.levels:
                for one in level:
                    rows = {row.at for row in one.rows}
                    for index, addr, _ in panel.space.tables.tables[one.number].pages:
                        if index in rows and panel.space.name not in owners.setdefault(addr, []):
                            owners[addr].append(panel.space.name)
        self.frames = {}
        left, y = self._frames_left, float(_TOP + _HEAD)
        for addr in sorted(owners):
            self.frames[addr] = box = Box(left, y, left + self._wide, y + _ROW)
            self._boxes.append((box, ink.ON_PATH if self._is_hit(state, addr) else ink.VACANT))
            whose = f"  {' and '.join(_short(name) for name in owners[addr])}" if panels[1:] else ""
            text = f"0x{addr >> 12:x}{whose}"
            self._write(left + 5, y + _ROW / 2, text, 10, va="center", mono=True)
            y += _ROW + 4
        if owners:
            self._write(left, _TOP + 12, "page frames", 11, bold=True)
        return y

    @staticmethod
    def _is_hit(state: SpacesState, addr: int) -> bool:
        return bool(state.access and state.access.phys_addr is not None and state.access.steps[-1].target_addr == addr)

    def _draw(self, state: SpacesState, panel: _Panel, before: SpacesState | None) -> None:
        tables, mirrored = panel.space.tables, len(panel.lefts) > 1 and panel.lefts[0] > panel.lefts[1]
        path, changed = path_of(state, panel.space), changed_of(tables, _before(panel.space, before))
        self._caption(state, panel, mirrored)
        names = NAMES[len(panel.lefts)]
        for depth, level in enumerate(panel.levels):
            for one in level:
                table = tables.tables[one.number]
                self._write(panel.lefts[depth], panel.tops[one.number] + 13, names[depth], 11, bold=True,
                            colour=ink.LEVEL_INKS[names[depth]][0].edge)  # fmt: skip
                self._write(panel.lefts[depth] + panel.wide, panel.tops[one.number] + 13, f"0x{table.addr:x}", 10,
                            ha="right", mono=True)  # fmt: skip
                for position, row in enumerate(one.rows):
                    box = panel.row(depth, one, position)
                    self._draw_row(tables, box, row, (table.addr, row.at) in path)
                    if (table.addr, row.at) in changed:
                        self._changed.append(box)
                    self._connect(panel, depth, one, row, box, mirrored, (table.addr, row.at) in path)

    def _caption(self, state: SpacesState, panel: _Panel, mirrored: bool) -> None:
        tables = panel.space.tables
        left = panel.lefts[-1] if mirrored else panel.lefts[0]
        sign = "▶ " if panel.space is state.running else ""
        self._write(left, _TOP - 24, f"{sign}{panel.space.name}", 12, bold=True)
        size = format_size(len(tables.tables) << 12)
        told = f"{plural(len(tables.tables), 'table')} ({size}), {format_size(tables.mapped_bytes)} mapped"
        self._write(left, _TOP - 9, told, 10.5, colour=ink.MUTED)

    def _draw_row(self, tables: PageTableState, box: Box, row: Row, on_path: bool) -> None:
        middle = (box.top + box.bottom) / 2
        if row.at < 0:
            self._write(box.left + 8, middle, row.text, 9.5, va="center", colour=ink.MUTED)
            return
        self._boxes.append((box, ink.ON_PATH if on_path else ink.GHOST))
        digits = 2 * _BYTES[tables.arch]
        edge = box.left + (30 if tables.arch == "X86" else 24)
        self._write(edge, middle, str(row.at), 9.5, va="center", ha="right", colour=ink.MUTED)
        raw, told = f"{row.raw:0{digits}x}", text_width(row.text[1:], 9)
        room = (box.right - edge - 13 - told) / 0.61
        if room < 7.5 * digits:
            raw = shortened(row.raw)
        size = min(10, room / len(raw))
        if row.text:
            self._write(box.right - 4, middle, row.text[1:], 9, va="center", ha="right", colour=ink.TEXT)
        self._write(edge + 5, middle, raw, size, va="center", mono=True, colour=ink.TEXT if row.raw else ink.MUTED)

    def _connect(
        self, panel: _Panel, depth: int, one: Shown, row: Row, box: Box, mirrored: bool, on_path: bool
    ) -> None:
        table = panel.space.tables.tables[one.number]
        child = dict(table.children).get(row.at)
        page = next((addr for index, addr, _ in table.pages if index == row.at), None)
        start = box.left if mirrored else box.right
        if child in panel.tops and child is not None:
            edge = panel.lefts[depth + 1] + (panel.wide if mirrored else 0)
            end = (edge + (3 if mirrored else -3), panel.tops[child] + _HEAD - 7)
        elif page in self.frames and page is not None:
            frame = self.frames[page]
            end = (frame.right + 3 if mirrored else frame.left - 3, (frame.top + frame.bottom) / 2)
        else:
            return
        (self._paths if on_path else self._arrows).extend(_arrow(start, (box.top + box.bottom) / 2, *end))


_BYTES = {"TOY": 2, "X86": 4}
_BYTES |= {name: 8 for name in SHIFTS if name not in _BYTES}


def shortened(raw: int) -> str:
    """Return an entry without leading zeros, of a long one the first digit and the last seven.

    >>> shortened(0x1009067), shortened(0x8000000003ED4007)
    ('1009067', '8…3ed4007')
    """
    text = f"{raw:x}"
    return text if len(text) < 10 else f"{text[0]}…{text[-7:]}"


def _short(name: str) -> str:
    return name.split()[-1]


def _before(space: SpaceState, before: SpacesState | None) -> PageTableState | None:
    return next((one.tables for one in before.spaces if one.name == space.name), None) if before else None


def _arrow(x0: float, y0: float, x1: float, y1: float) -> list[list[tuple[float, float]]]:
    way = 1 if x1 > x0 else -1
    return [[(x0, y0), (x1 - 5 * way, y1), (x1, y1)], [(x1 - 4 * way, y1 - 3), (x1, y1), (x1 - 4 * way, y1 + 3)]]
