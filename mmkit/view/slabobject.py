"""One object of a cache that is debugged, byte by byte: what is whose, and what somebody has damaged."""

from __future__ import annotations

from typing import NamedTuple

from mmkit.model.slabstate import ObjectSnapshot, ObjectState, SlabFlags
from mmkit.view import ink
from mmkit.view.artist import Boxes
from mmkit.view.ink import Ink
from mmkit.view.parts import Entry, legend_row, listed, plural
from mmkit.view.picture import MARGIN, Picture

PER_ROW, MOST_ROWS = 32, 12
_LEFT, _TOP, _CELL, _ROW = 150, 64, 22.5, 27
_RED = Ink("red zone", "", "#f3d6a2", "#c99634", "/", edge="#8a6414")
_DATA = Ink("the object", "", "#cbe6c4", "#cbe6c4", "", edge="#3f7d34")
_META = Ink("free pointer and notes", "", "#d8cbee", "#8f7fd0", "|", edge="#6a5fc0")
_PAD = Ink("padding", "", "#f4f4f4", "#c9c9c9", "\\", edge=ink.LINE)
_BAD = ink.OBJECT_INKS[ObjectState.DAMAGED]


class Part(NamedTuple):
    """A stretch of an object's bytes: [start, end) in its content."""

    name: str
    start: int
    end: int
    look: Ink


def parts_of(state: ObjectSnapshot) -> list[Part]:
    """Return what the bytes of an object are for, from its left red zone to the end of its padding."""
    geometry = state.geometry
    start = geometry.red_left_pad
    end, inuse = start + geometry.object_size, start + geometry.inuse
    red = geometry.flags & SlabFlags.RED_ZONE
    metadata = inuse
    if geometry.offset >= geometry.inuse:
        metadata += 8
    if geometry.flags & SlabFlags.STORE_USER:
        metadata += 64
    parts = [
        Part("red zone on the left", 0, start, _RED),
        Part("the object", start, end, _DATA),
        Part("red zone on the right" if red else "padding", end, inuse, _RED if red else _PAD),
        Part("free pointer, last users", inuse, min(metadata, geometry.size), _META),
        Part("padding", min(metadata, geometry.size), geometry.size, _PAD),
    ]
    return [part for part in parts if part.end > part.start]


def alt_object(state: ObjectSnapshot) -> str:
    """Say what the object is, which parts it has, and which bytes are damaged."""
    parts = listed([f"{part.name} ({plural(part.end - part.start, 'byte')})" for part in parts_of(state)])
    damage = "No byte is damaged."
    if state.damaged:
        where = {part.name for part in parts_of(state) for at in state.damaged if part.start <= at < part.end}
        found = state.content[state.damaged[0]]
        damage = (
            f"{plural(len(state.damaged), 'byte')} damaged, in {listed(sorted(where))}; the first is 0x{found:02x}."
        )
    use = "in use" if state.active else "free"
    return (
        f"Object {state.index} of a slab of cache {state.geometry.name}, at 0x{state.address:x}, {use}: {parts}. "
        f"{damage} ({state.source})"
    )


class ObjectBytes(Picture):
    """The bytes of one object in hexadecimal, 32 a row, coloured by what they are for; damaged ones are black.

    Of an object of more than 384 bytes the first rows are shown and, if there is damage, those with the damage.
    """

    def __init__(self, state: ObjectSnapshot) -> None:
        super().__init__(height=_TOP + MOST_ROWS * _ROW + 44)
        self._badge = self.badge(state.source)
        self._heading = self.text(MARGIN, 24, "", 14, live=True, bold=True)
        self._note = self.note(MARGIN, 46, live=True)
        bottom = _TOP + MOST_ROWS * _ROW
        self.boxes = self.live(Boxes((_LEFT, _TOP, _LEFT + PER_ROW * _CELL, bottom)))
        ys = [_TOP + (row + 0.5) * _ROW for row in range(MOST_ROWS)]
        self._addresses = [self.text(_LEFT - 8, y, "", 10, live=True, ha="right", va="center", mono=True) for y in ys]
        self._bytes = [
            [
                self.text(_LEFT + (at + 0.5) * _CELL, y, "", 10, live=True, ha="center", va="center", mono=True)
                for at in range(PER_ROW)
            ]
            for y in ys
        ]
        entries = [Entry(one, one.name) for one in (_RED, _DATA, _META, _PAD, _BAD)]
        legend_row(self, self.height - 14, [("", entries)])
        self.update(state)

    def update(self, state: ObjectSnapshot) -> None:
        """Show another object, or another state of it."""
        self.alt = alt_object(state)
        self._badge.set(str(state.source))
        use = "in use" if state.active else "free"
        text = f"Object {state.index} of cache {state.geometry.name}, {use}, byte by byte"
        self._heading.set(self.heading_fit(text, state.source))
        rows = self._rows(state)
        whole = -(-len(state.content) // PER_ROW)
        shown = f"; {len(rows)} of {whole} rows are shown" if len(rows) < whole else ""
        self._note.set(f"at 0x{state.address:x}; {plural(state.geometry.size, 'byte')} from one to the next{shown}")
        self._draw(state, rows)
        self.touch()

    @staticmethod
    def _rows(state: ObjectSnapshot) -> list[int]:
        whole = range(-(-len(state.content) // PER_ROW))
        if len(whole) <= MOST_ROWS:
            return list(whole)
        bad = {at // PER_ROW for at in state.damaged}
        borders = {part.start // PER_ROW for part in parts_of(state)}
        wanted = sorted(bad)[: MOST_ROWS - 2] + sorted(borders - bad) + sorted(set(whole) - bad - borders)
        return sorted(dict.fromkeys(wanted[:MOST_ROWS]))

    def _draw(self, state: ObjectSnapshot, rows: list[int]) -> None:
        looks = [part.look for part in parts_of(state) for _ in range(part.end - part.start)]
        for at in state.damaged:
            looks[at] = _BAD
        boxes, inks = [], []
        first = state.address - state.geometry.red_left_pad
        for number in range(MOST_ROWS):
            row = rows[number] if number < len(rows) else None
            self._addresses[number].set("" if row is None else f"…{first + row * PER_ROW & 0xFFFFFFF:07x}")
            for column in range(PER_ROW):
                at = len(looks) if row is None else row * PER_ROW + column
                label = self._bytes[number][column]
                if at >= len(looks):
                    label.set("")
                    continue
                left, top = _LEFT + column * _CELL, _TOP + number * _ROW
                boxes.append((left, top + 1, left + _CELL, top + _ROW - 1))
                inks.append(looks[at])
                label.set(f"{state.content[at]:02x}", colour=looks[at].text)
        self.boxes.put(boxes, inks)
