"""One object of a cache that is debugged, byte by byte: what is whose, and what somebody has damaged."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from mmkit.model.slabstate import (
    POISON_END,
    POISON_FREE,
    POISON_INUSE,
    RED_ACTIVE,
    RED_INACTIVE,
    ObjectSnapshot,
    ObjectState,
    SlabFlags,
    track_bytes,
)  # fmt: skip
from mmkit.record import Record
from mmkit.view import ink
from mmkit.view.artist import Box, Boxes, text_width
from mmkit.view.ink import Ink
from mmkit.view.parts import Entry, legend_row, listed, plural, segments, spread
from mmkit.view.picture import MARGIN, Picture

PER_ROW, MOST_ROWS, MOST_PARTS = 16, 18, 10
_LEFT, _TOP, _CELL, _ROW, _LABEL_GAP = 158, 74, 23, 21, 18
_BRACKET, _NAMES = _LEFT + PER_ROW * _CELL + 8, _LEFT + PER_ROW * _CELL + 34
_BAD = ink.OBJECT_INKS[ObjectState.DAMAGED]


class Part(Record):
    """A stretch of an object's bytes: [start, end) in its content."""

    name: str
    start: int
    end: int
    look: Ink
    must: int | None = None
    """The byte that it must be full of; None for what anything may stand in."""
    note: str = ""

    @property
    def size(self) -> int:
        """Bytes."""
        return self.end - self.start


def parts_of(state: ObjectSnapshot) -> list[Part]:
    """Return what the bytes of an object are for, from its left red zone to the end of its padding."""
    geometry, flags = state.geometry, state.geometry.flags
    start, word = geometry.red_left_pad, 8 if state.address >> 32 else 4
    end, metadata = start + geometry.object_size, start + geometry.inuse
    must = (RED_ACTIVE if state.active else RED_INACTIVE) if flags & SlabFlags.RED_ZONE else None
    padding = POISON_INUSE if flags & SlabFlags.POISON else None
    name, look = ("right red zone", ink.RED_ZONE) if must is not None else ("padding", ink.PADDING)
    parts = [
        Part("left red zone", 0, start, ink.RED_ZONE, must), *_object(state, start, end, word),
        Part(name, end, metadata, look, padding if must is None else must),
    ]  # fmt: skip
    behind = _behind(state, metadata, word)
    last = behind[-1].end if behind else metadata
    parts += [*behind, Part("padding", last, geometry.size, ink.PADDING, padding)]
    return [part for part in parts if part.size > 0]


def _object(state: ObjectSnapshot, start: int, end: int, word: int) -> list[Part]:
    """The object itself: its user's, or poisoned, or with the free pointer in it."""
    geometry = state.geometry
    unpoisoned = geometry.has_ctor or geometry.flags & SlabFlags.TYPESAFE_BY_RCU
    if state.active:
        return [Part("object", start, end, ink.USERS, note="its user's")]
    if geometry.flags & SlabFlags.POISON and not unpoisoned:
        poison = f"0x{POISON_FREE:02x}, last 0x{POISON_END:02x}: free"
        return [Part("object", start, end, ink.USERS, POISON_FREE, poison)]
    if geometry.offset >= geometry.inuse:
        return [Part("object", start, end, ink.USERS, note="free")]
    pointer = start + geometry.offset
    return [
        Part("object", start, pointer, ink.USERS, note="free"),
        Part("free pointer", pointer, pointer + word, ink.NOTES, note="the next free object"),
        Part("object", pointer + word, end, ink.USERS, note="free"),
    ]


def _behind(state: ObjectSnapshot, at: int, word: int) -> list[Part]:
    """What debugging keeps behind an object."""
    geometry = state.geometry
    kept = []
    if geometry.offset >= geometry.inuse:
        kept += [("free pointer", word, "the next free object")]
    if geometry.flags & SlabFlags.STORE_USER:
        each = track_bytes(word)
        kept += [("taken last", each, "code, stack, CPU, pid, when"), ("given back last", each, "the same")]
        if "kmalloc-" in geometry.name:
            kept += [("size", word, "asked for")]
    parts = []
    for name, size, note in kept:
        parts.append(Part(name, at, at + size, ink.NOTES, note=note))
        at += size
    return parts


def wanted_byte(part: Part, at: int) -> int | None:
    """Return the byte that must stand at ``at``."""
    return POISON_END if part.must == POISON_FREE and at == part.end - 1 else part.must


def alt_object(state: ObjectSnapshot) -> str:
    """Say what the object is, which parts it has, and which bytes are damaged."""
    found = parts_of(state)
    parts = listed([f"{part.name} ({plural(part.size, 'byte')})" for part in found])
    damage = "No byte is damaged."
    if state.damaged:
        names = [part.name for part in found if any(part.start <= at < part.end for at in state.damaged)]
        first = state.damaged[0]
        must = next((wanted_byte(part, first) for part in found if part.start <= first < part.end), None)
        instead = f" instead of 0x{must:02x}" if must is not None else ""
        address = state.address - state.geometry.red_left_pad + first
        damage = (
            f"{plural(len(state.damaged), 'byte')} damaged, in {listed(list(dict.fromkeys(names)))}: the first, at "
            f"0x{address:x}, is 0x{state.content[first]:02x}{instead}."
        )
    use = "in use" if state.active else "free"
    return (
        f"Object {state.index} of a slab of cache {state.geometry.name}, at 0x{state.address:x}, {use}: {parts}. "
        f"{damage} ({state.source})"
    )


def choose_lines(whole: int, borders: Iterable[int], bad: Iterable[int], most: int = MOST_ROWS) -> list[int | None]:
    """Return which rows of ``whole`` are shown, None for those left out between two: damaged ones and borders first."""
    keep: set[int] = set()
    for rows in (sorted(bad)[:1], sorted(borders), sorted(bad), range(whole)):
        for row in rows:
            if len(_lines({*keep, row}, whole)) > most:
                break
            keep.add(row)
    return _lines(keep, whole)


def _lines(keep: set[int], whole: int) -> list[int | None]:
    lines: list[int | None] = []
    before = -1
    for row in [*sorted(keep), whole]:
        if row - before == 2:
            lines.append(row - 1)  # as high as a line that says that it is left out
        elif row - before > 2:
            lines.append(None)
        lines.append(row)
        before = row
    return lines[:-1]


class ObjectBytes(Picture):
    """The bytes of one object in hexadecimal, 16 a row as in the kernel's log, beside what they are for.

    What must stand in a part is said beside it; damaged bytes are black. Of a large object rows between the borders of
    its parts are left out. The picture grows when it has to, and stays so.
    """

    def __init__(self, state: ObjectSnapshot) -> None:
        super().__init__(height=_TOP + 150)
        self._badge = self.badge(state.source)
        self._heading = self.text(MARGIN, 24, "", 14, live=True, bold=True)
        self._note = self.note(MARGIN, 44, live=True)
        bottom = _TOP + MOST_ROWS * _ROW
        self.boxes = self.live(Boxes((_LEFT, _TOP, _LEFT + PER_ROW * _CELL, bottom)))
        ys = [_TOP + (line + 0.5) * _ROW for line in range(MOST_ROWS)]
        self.addresses = [self.text(_LEFT - 8, y, "", 10, live=True, ha="right", va="center", mono=True) for y in ys]
        self.left_out = [self.note(_LEFT + 6, y, live=True, va="center") for y in ys]
        xs = [_LEFT + (at + 0.5) * _CELL for at in range(PER_ROW)]
        self.bytes = [[self.text(x, y, "", 10, live=True, ha="center", va="center", mono=True) for x in xs] for y in ys]
        self.brackets = self.line([], [], ink.TEXT, 1.2, live=True)
        self.names = [self.text(_NAMES, 0, "", 11, live=True, va="center", bold=True) for _ in range(MOST_PARTS)]
        self.notes = [self.text(_NAMES, 0, "", 10.5, live=True, va="center") for _ in range(MOST_PARTS)]
        entries = [Entry(one, one.name) for one in (ink.RED_ZONE, ink.USERS, ink.NOTES, ink.PADDING, _BAD)]
        legend_row(self, 60, [("", entries)])
        self.update(state)

    def update(self, state: ObjectSnapshot) -> None:
        """Show another object, or another state of it."""
        self.state, self.parts = state, parts_of(state)
        self.alt = alt_object(state)
        self._badge.set(str(state.source))
        use = "in use" if state.active else "free"
        text = f"Object {state.index} of cache {state.geometry.name}, {use}, byte by byte"
        self._heading.set(self.heading_fit(text, state.source))
        first = f"the object starts at 0x{state.address:x}" + " behind its left red zone" * bool(self.parts[0].must)
        self._note.set(f"{first}; {plural(state.geometry.size, 'byte')} from one object to the next")
        borders = {at // PER_ROW for part in self.parts for at in (part.start, part.end - 1)}
        whole = -(-len(state.content) // PER_ROW)
        self.lines = choose_lines(whole, borders, {at // PER_ROW for at in state.damaged})
        bottom = _TOP + max(len(self.lines) * _ROW, len(self.parts) * _LABEL_GAP)
        self.resize(max(self.height, bottom + 12))
        self._draw_bytes()
        self._draw_brackets(bottom)
        self.touch()

    def _draw_bytes(self) -> None:
        state, looks = self.state, [part.look for part in self.parts for _ in range(part.size)]
        for at in state.damaged:
            looks[at] = _BAD
        first, boxes, inks = state.address - state.geometry.red_left_pad, [], []
        for label in (*self.addresses, *self.left_out, *(one for row in self.bytes for one in row)):
            label.set("")
        for line, row in enumerate(self.lines):
            if row is None:
                self.left_out[line].set(self._left_out(line))
                continue
            self.addresses[line].set(f"{first + row * PER_ROW:016x}")
            for column, at in enumerate(range(row * PER_ROW, min((row + 1) * PER_ROW, len(looks)))):
                boxes.append(self._cell(line, column))
                inks.append(looks[at])
                self.bytes[line][column].set(f"{state.content[at]:02x}", colour=looks[at].text)
        self.boxes.put(boxes, inks)

    def _left_out(self, line: int) -> str:
        before = self.lines[line - 1] if line else -1
        after = self.lines[line + 1] if line + 1 < len(self.lines) else -(-len(self.state.content) // PER_ROW)
        assert before is not None
        assert after is not None
        content = self.state.content[(before + 1) * PER_ROW : after * PER_ROW]
        same = f", all 0x{content[0]:02x}" if len(set(content)) == 1 else ""
        return f"… {plural(after - before - 1, 'row')} more, {plural(len(content), 'byte')}{same}"

    @staticmethod
    def _cell(line: int, column: int) -> Box:
        left, top = _LEFT + column * _CELL, _TOP + line * _ROW
        return Box(left, top + 1, left + _CELL, top + _ROW - 1)

    def _y(self, at: float) -> float:
        """How far down a byte is, counting its place in the row as well: where brackets meet."""
        row = at // PER_ROW
        line = next((i for i, one in enumerate(self.lines) if one == row), None)
        if line is None:
            return self._gap_y(row)
        return _TOP + (line + at % PER_ROW / PER_ROW) * _ROW

    def _gap_y(self, row: float) -> float:
        after = next((i for i, one in enumerate(self.lines) if one is not None and one > row), len(self.lines))
        return _TOP + (after - 0.5) * _ROW

    def _draw_brackets(self, bottom: float) -> None:
        ends = [(self._y(part.start) + 1.5, self._y(part.end - 1 / 256) - 1.5) for part in self.parts]
        wanted = [(top + low) / 2 for top, low in ends]
        ys = spread(wanted, _LABEL_GAP, _TOP + 8, bottom - 8)
        lines: list[Sequence[tuple[float, float]]] = []
        x = float(_BRACKET)
        for (top, low), middle, y in zip(ends, wanted, ys, strict=True):
            lines += [[(x, top), (x + 5, top), (x + 5, low), (x, low)], [(x + 5, middle), (x + 20, y)]]
        self.brackets.set_data(*segments(lines))
        for label in (*self.names, *self.notes):
            label.set("")
        for part, y, name, note in zip(self.parts, ys, self.names, self.notes, strict=False):
            name.set(part.name, y=y)
            words, colour = self._words(part)
            note.set(words, x=_NAMES + text_width(part.name, 11, bold=True) + 8, y=y, colour=colour)

    def _words(self, part: Part) -> tuple[str, str]:
        bad = sum(part.start <= at < part.end for at in self.state.damaged)
        words = [plural(part.size, "byte")]
        if part.note:
            words.append(part.note)
        elif part.must is not None:
            state = (": in use" if self.state.active else ": free") if part.look is ink.RED_ZONE else ""
            words.append(f"0x{part.must:02x}{state}")
        if bad:
            words.append(f"{bad:,} damaged!")
        return ", ".join(words), ink.ALERT if bad else ink.MUTED
