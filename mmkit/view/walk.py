"""The walk from CR3 to a page: a table a column, with raw memory around the entry that is read."""

from __future__ import annotations

from mmkit.model.pgstate import WalkState, WalkStep
from mmkit.units import format_address, format_size
from mmkit.view import ink
from mmkit.view.artist import Box, Boxes
from mmkit.view.parts import segments, wrapped, write_lines, write_to_fit
from mmkit.view.picture import MARGIN, Picture

HEIGHT = 288
_CR3, _LEFT, _GAP, _MOST = 84, 106, 16, 190
_HEAD, _TOP, _ROW, _NR = 74, 100, 18, 5
_BELOW = _TOP + _NR * _ROW + 18
_WHY = {
    "absent": "the entry is not present",
    "reserved": "a bit is set that must be clear",
    "outside": "no memory is there",
    "unrecorded": "the entry is not in the recording",
}
_NOTHING_READ = ("outside", "unrecorded")


def root_name(arch: str) -> str:
    """Return what the register is called that holds the root table's address."""
    return "TTBR0" if arch.startswith("ARM") else "satp" if arch.startswith("SV") else "CR3"


def step_words(state: WalkState) -> str:
    """Say in a sentence what the last step that was taken does."""
    walk, taken = state.walk, state.shown
    if not state.parts.canonical:
        raised = "a page fault" if state.parts.arch.startswith("SV") else "general protection"
        return f"The address is not canonical: the processor looks at no table and raises {raised}."
    if taken == 0:
        root = root_name(state.parts.arch)
        return f"{root} holds the physical address of the {walk.steps[0].level}: 0x{state.root_addr:x}."
    if not state.at_end:
        return _one_step(walk.steps[taken - 1], state.parts.entry_bytes)
    if walk.end == "unrecorded":
        return "The recording ends here: this entry is the kernel's, and only the process's half was recorded."
    if walk.phys_addr is None:
        return f"The walk ends here: {_WHY[walk.end]}. The processor raises a page fault."
    offset = walk.virt_addr & (1 << walk.page_shift) - 1
    return (
        f"The offset, 0x{offset:x}, is put behind the page's address: the byte is at physical address "
        f"0x{walk.phys_addr:x}."
    )


def _one_step(step: WalkStep, entry_bytes: int) -> str:
    where = f"0x{step.table_addr:x} + {step.index} × {entry_bytes} = 0x{step.entry_addr:x}"
    if step.kind in _NOTHING_READ:
        is_ = "would be" if step.kind == "outside" else "is"
        return f"The {step.level} entry {is_} at {where}: {_WHY[step.kind]}."
    head = f"The {step.level} entry, number {step.index}, at {where} is 0x{step.raw:x}:"
    if step.target_addr is None:
        return f"{head} {_WHY[step.kind]}."
    what = "the next table" if step.kind == "table" else "the page"
    return f"{head} {what} is at 0x{step.target_addr:x}."


def alt_walk(state: WalkState) -> str:
    """Say what has been read on the way so far, and where it has led."""
    parts, walk = state.parts, state.walk
    taken = min(state.shown, len(walk.steps))
    head = (
        f"Walk for {format_address(walk.virt_addr, parts.word_bits)} on {parts.title}, from 0x{state.root_addr:x} in "
        f"{root_name(parts.arch)}, {taken} of {len(walk.steps)} entries read"
    )
    if not parts.canonical:
        return f"{head}: the address is not canonical. ({state.source})"
    told = [_alt_step(step) for step in walk.steps[:taken]]
    if state.at_end:
        size = f"a page of {format_size(1 << walk.page_shift)}" if walk.phys_addr is not None else ""
        if walk.end != "unrecorded":
            told.append(f"physical address 0x{walk.phys_addr:x} in {size}" if size else f"no page: {_WHY[walk.end]}")
    return f"{head}: {'; '.join(told)}. ({state.source})" if told else f"{head}. ({state.source})"


def _alt_step(step: WalkStep) -> str:
    if step.kind in _NOTHING_READ:
        return f"{step.level} entry {step.index} at 0x{step.entry_addr:x}: {_WHY[step.kind]}"
    to = f" to 0x{step.target_addr:x}" if step.target_addr is not None else f", {step.kind}"
    bits = f" ({', '.join(step.bits)})" if step.bits else ""
    return f"{step.level} entry {step.index} at 0x{step.entry_addr:x} is 0x{step.raw:x}{bits}{to}"


class _Table:
    """One column: the table's name and address, raw words, and the bits of the entry that was read."""

    def __init__(self, picture: Picture, left: float, wide: float, name: str, entry_bytes: int) -> None:
        self.left, self.wide, self.name, self.digits = left, wide, name, 2 * entry_bytes
        size = min(11.5, (wide - 36) / (0.61 * self.digits))
        colour = ink.LEVEL_INKS[name][0].edge
        self._name = picture.text(left, _HEAD, "", 13, live=True, bold=True, colour=colour)
        self._addr = picture.text(left, _HEAD + 18, "", 11, live=True, mono=True)
        rows = [_TOP + _ROW * (number + 0.5) for number in range(_NR)]
        self.indexes = [
            picture.text(left + 27, y, "", 9.5, live=True, ha="right", va="center", colour=ink.MUTED) for y in rows
        ]
        self.words = [
            picture.text(left + wide - 4, y, "", size, live=True, ha="right", va="center", mono=True) for y in rows
        ]
        self._lines = [picture.text(left, _BELOW + 15 * number, "", 10.5, live=True) for number in range(6)]

    def put(self, step: WalkStep | None, rows: tuple[tuple[int, int], ...], read: bool, found: bool) -> list[Box]:
        """Show the table if it is ``found``, the entry if it is ``read``; returns the boxes of its rows."""
        self._name.set(self.name, colour=ink.LEVEL_INKS[self.name][0].edge if found else ink.LINE)
        self._addr.set(f"at 0x{step.table_addr:x}" if step and found else "")
        shown = rows if found else ()
        for number in range(_NR):
            index, raw = shown[number] if number < len(shown) else (0, 0)
            is_read = read and step is not None and index == step.index
            self.indexes[number].set(f"{index}" if number < len(shown) else "")
            text = f"{raw:0{self.digits}x}" if number < len(shown) else ""
            self.words[number].set(text, bold=is_read, colour=ink.TEXT if is_read or raw else ink.MUTED)
        write_lines(self._lines, self._told(step) if step and read else [])
        return [self.row(number) for number in range(len(shown))]

    def _told(self, step: WalkStep) -> list[str]:
        if step.kind in _NOTHING_READ:
            return [*wrapped("✘ " + _WHY[step.kind], self.wide - 2, 10.5), f"at 0x{step.entry_addr:x}"]
        bits = ", ".join(step.bits) or "no bit set"
        sign = {"absent": ["✘ not present"], "reserved": ["✘ reserved bit"]}.get(step.kind, [])
        return [f"entry at 0x{step.entry_addr:x}", *sign, *wrapped(bits, self.wide - 2, 10.5)][:6]

    def row(self, number: int) -> Box:
        """Rectangle of a raw word."""
        return Box(self.left, _TOP + number * _ROW, self.left + self.wide, _TOP + (number + 1) * _ROW)


class WalkPicture(Picture):
    """CR3, a column for each level of the architecture, and the page; ``update`` shows other walks there."""

    def __init__(self, state: WalkState) -> None:
        super().__init__(HEIGHT)
        self.names = _level_names(state)
        self.arch = state.parts.arch
        step = min((self.width - MARGIN - _LEFT) / (len(self.names) + 1), _MOST + _GAP)
        self._title = self.text(MARGIN, 24, "", 14, live=True, bold=True)
        self._badge = self.badge(state.source)
        self._told = self.text(MARGIN, 45, "", 12, live=True)
        self.boxes = self.live(Boxes((0, _TOP - 30, self.width, _BELOW)))
        self.arrows = self.line([], [], ink.TEXT, 1.6, live=True, zorder=4)
        self.tables = [
            _Table(self, _LEFT + step * number, step - _GAP, name, state.parts.entry_bytes)
            for number, name in enumerate(self.names)
        ]
        self._page_left, self._page_wide = _LEFT + step * len(self.names), step - _GAP
        self._draw_page_labels()
        self.update(state)

    def _draw_page_labels(self) -> None:
        left = self._page_left
        self.text(MARGIN, _HEAD, root_name(self.arch), 13, bold=True)
        self._cr3 = self.text(MARGIN + 4, _TOP + _ROW / 2, "", 10.5, live=True, va="center", mono=True)
        self._page = self.text(left, _HEAD, "", 13, live=True, bold=True)
        self._page_addr = self.text(left, _HEAD + 18, "", 11, live=True, mono=True)
        self._byte = self.text(left + 5, _TOP + _ROW * 2.5, "", 11, live=True, va="center", mono=True)
        self._lines = [self.text(left, _BELOW + 16 * number, "", 11, live=True) for number in range(4)]

    def update(self, state: WalkState) -> None:
        """Show another walk."""
        if (state.parts.arch, _level_names(state)) != (self.arch, self.names):
            raise ValueError(f"this picture is of {self.arch}, not of {state.parts.arch}: make a new one")
        self.alt = alt_walk(state)
        self._badge.set(str(state.source))
        self._title.set(f"The walk for {format_address(state.walk.virt_addr, state.parts.word_bits)}")
        write_to_fit(self._told, step_words(state), self.width - 2 * MARGIN)
        self._cr3.set(f"0x{state.root_addr:x}")
        boxes, inks = [Box(MARGIN, _TOP, _CR3 + MARGIN, _TOP + _ROW)], [ink.FIELD]
        lines = []
        canonical = state.parts.canonical
        for number, table in enumerate(self.tables):
            step = state.walk.steps[number] if number < len(state.walk.steps) else None
            found = step is not None and canonical and number <= state.shown
            read = step is not None and canonical and number < state.shown
            rows = state.rows[number] if step is not None else ()
            put = table.put(step, rows, read, found)
            boxes += put
            at = next((row for row, (index, _) in enumerate(rows) if step and read and index == step.index), -1)
            inks += [ink.ON_PATH if row == at else ink.GHOST for row in range(len(put))]
            if number == 0 and canonical:
                lines.append(_arrow(_CR3 + MARGIN, _TOP + _ROW / 2, table.left - 3, _TOP + _ROW / 2))
            if read and step and step.target_addr is not None and put:
                target = self._page_left if step.kind == "page" else self.tables[number + 1].left
                lines.append(_arrow(put[at].right, (put[at].top + put[at].bottom) / 2, target - 3, _HEAD + 14))
        page = self._put_page(state)
        self.boxes.put([*boxes, *(box for box, _ in page)], [*inks, *(one for _, one in page)])
        self.arrows.set_data(*segments([line for arrow in lines for line in arrow]))
        self.touch()

    def _put_page(self, state: WalkState) -> list[tuple[Box, ink.Ink]]:
        walk, last = state.walk, state.walk.steps[-1]
        reached = state.parts.canonical and walk.phys_addr is not None and state.shown >= len(walk.steps)
        left, right = self._page_left, self._page_left + self._page_wide
        self._page.set("page", colour=ink.TEXT if reached else ink.LINE)
        self._page_addr.set(f"at 0x{last.target_addr:x}" if reached else "")
        offset = walk.virt_addr & (1 << walk.page_shift) - 1
        self._byte.set(f"+ 0x{offset:x}" if reached and state.at_end else "")
        write_lines(self._lines, self._page_lines(state, reached))
        if not reached:
            return []
        whole = Box(left, _TOP, right, _TOP + _NR * _ROW)
        byte = Box(left, _TOP + 2 * _ROW, right, _TOP + 3 * _ROW)
        return [(whole, ink.VACANT), *([(byte, ink.ON_PATH)] if state.at_end else [])]

    def _page_lines(self, state: WalkState, reached: bool) -> list[str]:
        if not state.at_end or not state.parts.canonical:
            return []
        if not reached:
            if state.walk.end == "unrecorded":
                return ["not known"]
            return ["✘ no page:", *wrapped(_WHY[state.walk.end], self._page_wide, 11)]
        size = format_size(1 << state.walk.page_shift)
        return ["physical address", f"0x{state.walk.phys_addr:x}", f"in a page of {size}"]


def _arrow(x0: float, y0: float, x1: float, y1: float) -> list[list[tuple[float, float]]]:
    """Lines of an arrow that leaves to the right and arrives from the left."""
    turn = (x0 + x1) / 2
    return [[(x0, y0), (turn, y0), (turn, y1), (x1, y1)], [(x1 - 5, y1 - 3.5), (x1, y1), (x1 - 5, y1 + 3.5)]]


def _level_names(state: WalkState) -> tuple[str, ...]:
    return _NAMES[state.parts.arch]


_NAMES = {
    "X86": ("pgd", "pte"), "TOY": ("pgd", "pte"), "X86_PAE": ("pgd", "pmd", "pte"), "SV39": ("pgd", "pmd", "pte"),
    "X86_64": ("pgd", "pud", "pmd", "pte"), "ARM64": ("pgd", "pud", "pmd", "pte"),
    "SV48": ("pgd", "pud", "pmd", "pte"), "X86_64_LA57": ("pgd", "p4d", "pud", "pmd", "pte"),
}  # fmt: skip
