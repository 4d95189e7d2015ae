"""Panels of the pictures of a page: the bits of ``flags``, the bits of ``mapping``, the bytes of ``struct page``."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mmkit.model.pageflags import PageFlags
from mmkit.model.snapshot import PageSnapshot
from mmkit.model.structpage import Member, struct_page_now, struct_page_then
from mmkit.record import replace
from mmkit.view import ink
from mmkit.view.artist import Box, Boxes, Label, text_width
from mmkit.view.cells import Cells, Letters
from mmkit.view.pagewords import (
    HERE,
    field_value,
    field_words,
    flags_lines,
    mapping_lines,
    pointer_words,
    virtual_line,
    word,
)  # fmt: skip
from mmkit.view.parts import outline_of, segments, write_lines
from mmkit.view.picture import MARGIN, Picture

LEFT, ROW_WIDTH = MARGIN, 864
_CLEAR_FIELD = replace(ink.FIELD, letter="0", hatch="", text=ink.TEXT)
_SET_FIELD = replace(ink.FIELD, letter="1", face=ink.KEPT.edge, mark=ink.KEPT.edge, hatch="", text=ink.PAPER)
_UNKNOWN = replace(ink.CLEAR_BIT, letter="?")
_BITS = {0: ink.CLEAR_BIT, 1: ink.SET_BIT, 2: _CLEAR_FIELD, 3: _SET_FIELD, 4: _UNKNOWN}


class _Outlines:
    """A heavy line around whatever changed: one artist, however many there are."""

    def __init__(self, picture: Picture) -> None:
        self._line = picture.line([], [], ink.TEXT, 2.4, live=True, zorder=6)
        self.boxes: list[Box] = []

    def put(self, boxes: Sequence[Box]) -> None:
        self.boxes = list(boxes)
        self._line.set_data(*segments([list(zip(*outline_of(box), strict=True)) for box in boxes]))


class BitRow:
    """All bits of a word in one row, the highest first; bits of numbers look different from single flags."""

    def __init__(self, picture: Picture, y: float, bits: int, height: float = 22) -> None:
        self.bits, self.y, self.height = bits, y, height
        self.cell = ROW_WIDTH / bits
        self.cells = picture.live(Cells(_BITS))
        self.outlines = _Outlines(picture)

    def left(self, bit: int) -> float:
        """Left edge of a bit."""
        return LEFT + (self.bits - 1 - bit) * self.cell

    def box(self, low: int, width: int = 1) -> Box:
        """Rectangle of ``width`` bits from ``low`` up."""
        return Box(self.left(low + width - 1), self.y, self.left(low) + self.cell, self.y + self.height)

    def put(self, value: int | None, numbers: int, changed: int) -> None:
        """Show a word (None: unknown); ``numbers`` are bits that are part of numbers, ``changed`` those to outline."""
        bits = reversed(range(self.bits))
        values = [4 if value is None else (value >> bit & 1) + 2 * (numbers >> bit & 1) for bit in bits]
        self.cells.put(np.array([values], np.uint8), (LEFT, self.y, LEFT + ROW_WIDTH, self.y + self.height))
        self.outlines.put([self.box(low, width) for low, width in _runs(changed)])


def _runs(bits: int) -> list[tuple[int, int]]:
    """Neighbouring set bits together: (lowest, how many)."""
    runs, low = [], 0
    while bits >> low:
        low += (bits >> low & -(bits >> low)).bit_length() - 1
        width = (~(bits >> low) & (bits >> low) + 1).bit_length() - 1
        runs.append((low, width))
        low += width
    return runs


def _bracket(picture: Picture, box: Box, y: float) -> None:
    left, right = box.left + 1.5, box.right - 2.5
    picture.line([left, left, right, right], [y + 5, y, y, y + 5], ink.MUTED)


class FlagsPanel:
    """The flags word: all of its bits with what is above the flags bracketed, and each flag by name."""

    HEIGHT = 252
    COLUMNS, CELL = 12, (72, 34)

    def __init__(self, picture: Picture, top: float, snapshot: PageSnapshot) -> None:
        self.layout, self._top = snapshot.layout, top
        self._title = picture.text(LEFT, top + 14, "", 13, live=True, bold=True)
        self.row = BitRow(picture, top + 46, self.layout.word_bits)
        self._labels = [picture.text(0, top + 36, "", 11, live=True) for _ in range(len(self.layout.fields) + 1)]
        self._draw_fixed(picture)
        low = top + 110
        self.boxes = picture.live(Boxes((LEFT, low, LEFT + ROW_WIDTH, low + 2 * 50)))
        self.digits = picture.live(Letters(12))
        middles = {
            flag: (self.cell(flag.bit).left + self.CELL[0] / 2 - 1, self.cell(flag.bit).top) for flag in PageFlags
        }
        self.names = {f: picture.text(x, y + 29, "", live=True, ha="center") for f, (x, y) in middles.items()}
        self.outlines = _Outlines(picture)
        self._lines = [picture.text(LEFT, top + 223 + 17 * i, "", 12, live=True) for i in range(2)]

    def _draw_fixed(self, picture: Picture) -> None:
        sections = [(field.shift, field.width) for field in self.layout.fields] + [(0, len(PageFlags))]
        for low, width in sections:
            box = self.row.box(low, width)
            _bracket(picture, box, self.row.y - 7)
            numbers = f"{low + width - 1}-{low}"
            picture.text((box.left + box.right) / 2, box.bottom + 12, numbers, 9.5, ha="center", colour=ink.MUTED)
        flags = self.row.box(0, len(PageFlags))
        middle = (flags.left + flags.right) / 2
        picture.text(middle, self.row.y - 10, "flags, one bit each", 11, ha="center", colour=ink.MUTED)
        y = self.row.y + self.row.height
        for xs in ((flags.left, LEFT), (flags.right, LEFT + ROW_WIDTH)):
            picture.line(xs, (y + 16, y + 30), ink.LINE)
        for flag in PageFlags:
            box = self.cell(flag.bit)
            picture.text(box.left + 2, box.top - 3, str(flag.bit), 9, colour=ink.MUTED)

    def cell(self, bit: int) -> Box:
        """Rectangle of a flag in the two rows below the word."""
        line, column = divmod(len(PageFlags) - 1 - bit, self.COLUMNS)
        wide, high = self.CELL
        left, top = LEFT + column * wide, self._top + 114 + line * (high + 15)
        return Box(left, top, left + wide - 2, top + high)

    def put(self, snapshot: PageSnapshot, before: PageSnapshot) -> None:
        """Show the flags of a page and what has changed since ``before``."""
        value = snapshot.flags_word
        changed = value ^ before.flags_word
        self._title.set(f"flags = {word(value, self.layout.word_bits)}")
        numbers = sum(field.max << field.shift for field in self.layout.fields)
        self.row.put(value, numbers, changed)
        self._put_labels(snapshot)
        self._put_flags(snapshot)
        self.outlines.put([self.cell(flag.bit) for flag in PageFlags if flag.value & changed])
        write_lines(self._lines, flags_lines(snapshot, before, ROW_WIDTH))

    def _put_labels(self, snapshot: PageSnapshot) -> None:
        """Write what the numbers are over their bits, moved to the right where they would run into each other."""
        fields = self.layout.fields
        places = [(field_words(snapshot, field), self.row.box(field.shift, field.width)) for field in fields]
        lowest = min(field.shift for field in fields)
        places.append(("not used", self.row.box(len(PageFlags), lowest - len(PageFlags))))
        right = 0.0
        for label, (text, box) in zip(self._labels, places, strict=True):
            wide = text_width(text, 11)
            x = max(right, LEFT, (box.left + box.right - wide) / 2)
            label.set(text, x=x, colour=ink.MUTED if text == "not used" else ink.TEXT)
            right = x + wide + 9

    def _put_flags(self, snapshot: PageSnapshot) -> None:
        flags = snapshot.flags
        here = HERE.get(snapshot.kind, {})
        cells = [(self.cell(flag.bit), flag, flag in flags) for flag in PageFlags]
        inks = [ink.SET_BIT if is_set else ink.CLEAR_BIT for _, _, is_set in cells]
        self.boxes.put([box for box, _, _ in cells], inks, [ink.LINE] * len(cells))
        colour = {True: ink.PAPER, False: ink.TEXT}
        middles = [((box.left + box.right) / 2, box.top, flag, is_set) for box, flag, is_set in cells]
        self.digits.put([(x, y + 11, str(int(is_set)), colour[is_set]) for x, y, _, is_set in middles])
        for _, flag, is_set in cells:
            name = here.get(flag, str(flag.name))
            size = 10.5 if text_width(name, 10.5) < self.CELL[0] - 5 else 9
            self.names[flag].set(name, size=size, colour=colour[is_set])


class MappingPanel:
    """The pointer in ``mapping``, with the low bits that tell what it points to set apart."""

    HEIGHT = 140

    def __init__(self, picture: Picture, top: float, snapshot: PageSnapshot) -> None:
        bits = snapshot.layout.word_bits
        self._title = picture.text(LEFT, top + 14, "", 13, live=True, bold=True)
        self.row = BitRow(picture, top + 46, bits)
        for low, width in ((2, bits - 2), (0, 2)):
            _bracket(picture, self.row.box(low, width), self.row.y - 7)
        self._pointer = picture.text(LEFT + 340, top + 36, "", 11, live=True, ha="center")
        self._kind = picture.text(LEFT + ROW_WIDTH, top + 36, "", 11, live=True, ha="right", bold=True)
        nibbles = [self.row.box(low, 4) for low in range(0, bits, 4)]
        self.hex = [picture.text((b.left + b.right) / 2, b.bottom + 14, "", live=True, ha="center") for b in nibbles]
        self._lines = [picture.text(LEFT, top + 107 + 17 * i, "", 12, live=True) for i in range(2)]

    def put(self, snapshot: PageSnapshot, before: PageSnapshot) -> None:
        """Show the mapping of a page and what has changed since ``before``."""
        value, bits = snapshot.mapping, self.row.bits
        self._title.set(f"mapping = {field_value(snapshot, 'mapping')}")
        self.row.put(value, (1 << bits) - 4, (value or 0) ^ (before.mapping or 0))
        pointer, kind = pointer_words(snapshot)
        self._pointer.set(pointer)
        self._kind.set(kind)
        for number, label in enumerate(self.hex):
            label.set("" if value is None else f"{value >> 4 * number & 15:x}")
        write_lines(self._lines, mapping_lines(snapshot))


class StructPanel:
    """``struct page`` as it lies in memory, now and then, a word a row, with its values."""

    COLUMN, ROW = 424, 24

    def __init__(self, picture: Picture, top: float, snapshot: PageSnapshot) -> None:
        word_bytes = snapshot.layout.word_bits // 8
        self.now, self.then = struct_page_now(word_bytes), struct_page_then(word_bytes)
        self._bytes, self._top = word_bytes, top
        self.height = 38 + self.ROW * -(-max(m.offset + m.size for m in (*self.now, *self.then)) // word_bytes)
        boxes = picture.fixed(Boxes((LEFT, top, LEFT + ROW_WIDTH, top + self.height)))
        self.outlines = _Outlines(picture)
        self.values: dict[tuple[int, str], Label] = {}
        for column, members, title in ((0, self.now, "now: Linux 6.18"), (1, self.then, "then: the textbook's")):
            self._draw_column(picture, column, members, title)
        cells = [self.cell(column, m) for column, ms in enumerate((self.now, self.then)) for m in ms]
        boxes.put(cells, [ink.GHOST] * len(cells), [ink.LINE] * len(cells))
        self._note = picture.text(LEFT + 30, top + self.height + 16, "", 12, live=True)

    def _draw_column(self, picture: Picture, column: int, members: Sequence[Member], title: str) -> None:
        size = members[-1].offset + members[-1].size
        left = LEFT + column * (self.COLUMN + 16)
        picture.text(left + 30, self._top + 14, f"{title}, {size} bytes", 12, bold=True)
        picture.note(left + 24, self._top + 30, "byte", ha="right")
        for member in members:
            box = self.cell(column, member)
            if member.offset % self._bytes == 0:
                picture.text(left + 24, box.top + 12, str(member.offset), 10, ha="right", va="center", colour=ink.MUTED)
            picture.text(box.left + 6, box.top + 12, member.name, 11, va="center", bold=True)
            for row, name in enumerate(_LINES.get(member.name, (member.name,))):
                y = box.top + 12 + row * self.ROW
                self.values[column, name] = picture.text(
                    box.right - 6, y, "", 11, live=True, ha="right", va="center", mono=True
                )

    def cell(self, column: int, member: Member) -> Box:
        """Rectangle of a field."""
        row, into = divmod(member.offset, self._bytes)
        left, wide = LEFT + column * (self.COLUMN + 16) + 30, self.COLUMN - 30
        top = self._top + 36 + row * self.ROW
        rows = max(1, member.size // self._bytes)
        x = left + wide * into / self._bytes
        return Box(x, top, x + wide * min(member.size, self._bytes) / self._bytes, top + rows * self.ROW)

    def put(self, snapshot: PageSnapshot, before: PageSnapshot) -> None:
        """Show the fields of a page and what has changed since ``before``."""
        for (column, name), label in self.values.items():
            text = field_value(snapshot, name, then=column == 1)
            label.set(text, size=11 if len(text) < 18 or name != "_mapcount" else 10)
        both = [(column, member) for column, members in enumerate((self.now, self.then)) for member in members]
        self.outlines.put([self.cell(*one) for one in both if _value(snapshot, *one) != _value(before, *one)])
        self._note.set(virtual_line(snapshot))


# Fields that are two words.
_LINES = {"lru": ("lru.next", "lru.prev")}


def _value(snapshot: PageSnapshot, column: int, member: Member) -> list[str]:
    return [field_value(snapshot, name, then=column == 1) for name in _LINES.get(member.name, (member.name,))]
