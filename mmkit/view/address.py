"""A virtual address bit by bit: which bits are the index at which level, in hexadecimal, binary and decimal."""

from __future__ import annotations

import numpy as np

from mmkit.model.pgstate import AddressField, AddressParts
from mmkit.model.snapshot import MODEL
from mmkit.units import format_address
from mmkit.view import ink
from mmkit.view.artist import Box
from mmkit.view.cells import Cells, Letters
from mmkit.view.parts import listed, outline_of, segments, write_to_fit
from mmkit.view.picture import MARGIN, Picture

HEIGHT = 232
_ORDER = ("pgd", "p4d", "pud", "pmd", "pte", "offset")
_CELLS = {2 * number + bit: ink.LEVEL_INKS[name][bit] for number, name in enumerate(_ORDER) for bit in (0, 1)}
_LEFT, _RIGHT, _ABOVE = 66, 888, 74
_DIGITS, _TOP, _HIGH, _NAMES = 66, 74, 26, 142
_ROWS = ("hex", "binary", "decimal", "in table at")


def _field_words(parts: AddressParts, field: AddressField) -> str:
    bits = f"bit {field.low}" if field.high == field.low else f"bits {field.high} to {field.low}"
    where = "the offset in the page" if field.name == "offset" else f"the {field.name} index"
    return f"{bits}, {where}, are 0x{field.value:x} ({field.value})"


def upper_words(parts: AddressParts) -> str:
    """Say what the bits above the translated ones are."""
    if parts.word_bits == parts.virt_bits:
        return ""
    bits = f"bits {parts.word_bits - 1} to {parts.virt_bits}"
    if parts.arch.startswith("ARM"):
        if not parts.canonical:
            return f"{bits} are neither all zeros (TTBR0) nor all ones (TTBR1): there is no root for this address"
        return f"{bits} are {'ones: TTBR1, the kernel' if parts.above else 'zeros: TTBR0, the process'}'s root"
    if parts.canonical:
        return f"{bits} are {'ones' if parts.above else 'zeros'}, copies of bit {parts.virt_bits - 1}"
    return f"{bits} are not copies of bit {parts.virt_bits - 1}: this address is not canonical, no table is looked at"


def alt_address(parts: AddressParts) -> str:
    """Say how the address is taken apart, field by field, with every value."""
    fields = [_field_words(parts, field) for field in parts.fields]
    upper = upper_words(parts)
    head = f"Virtual address {format_address(parts.virt_addr, parts.word_bits)} on {parts.title}"
    return f"{head}: {listed([*([upper] if upper else []), *fields])}. (model)"


class _Column:
    """What is written below one field of an address."""

    def __init__(self, picture: Picture, box: Box, bracket: bool = True) -> None:
        middle = (box.left + box.right) / 2
        left, right = box.left + 1.5, box.right - 2.5
        y = _TOP + _HIGH + 24
        if bracket:
            picture.line([left, left, right, right], [y - 5, y, y, y - 5], ink.MUTED)
        self.edges = [
            picture.text(x, y - 9, "", 9.5, live=True, ha=ha, colour=ink.MUTED)
            for x, ha in ((left + 2, "left"), (right - 2, "right"))
        ]
        self.name = picture.text(middle, _NAMES, "", 12, live=True, ha="center", bold=True)
        self.values = [
            picture.text(middle, _NAMES + 18 * (number + 1), "", 11.5, live=True, ha="center", mono=True)
            for number in range(4)
        ]

    def put(self, parts: AddressParts, field: AddressField) -> None:
        """Write the field's name and value in four ways."""
        width, is_offset = field.high - field.low + 1, field.name == "offset"
        self.edges[0].set(str(field.high))
        self.edges[1].set(str(field.low) if width > 1 else "")
        name = field.name if is_offset or width < 4 else f"{field.name} index"
        self.name.set(name, colour=ink.LEVEL_INKS[field.name][0].edge)
        texts = [f"0x{field.value:x}", f"{field.value:0{width}b}", f"{field.value}"]
        texts.append("the byte" if is_offset else f"+0x{field.value * parts.entry_bytes:x}")
        sizes = (11.5, 11.5 if width < 20 else 10, 11.5, 11)
        for label, text, size in zip(self.values, texts, sizes, strict=True):
            label.set(text, size=size)


class AddressPicture(Picture):
    """The bits of one address in a row, its hexadecimal digits above, below what each field is.

    Every address of the same architecture can be shown by ``update``; bits that differ from the address shown before
    are outlined.
    """

    def __init__(self, parts: AddressParts, before: AddressParts | None = None) -> None:
        super().__init__(HEIGHT)
        self.arch, self._layout = parts.arch, _layout(parts)
        above = _ABOVE if parts.word_bits > parts.virt_bits else 0
        self.cell = int((_RIGHT - _LEFT - above) * 2 / parts.virt_bits) / 2
        self._first = _RIGHT - parts.virt_bits * self.cell
        self._title = self.text(MARGIN, 24, "", 14, live=True, bold=True, mono=True)
        self.badge(MODEL)
        self._told = self.text(MARGIN, 45, "", 12, live=True)
        self.cells = self.live(Cells(_CELLS))
        self.digits = self.live(Letters(12))
        self.changed = self.line([], [], ink.TEXT, 2.4, live=True, zorder=6)
        self._upper = self.text(_LEFT + _ABOVE / 2 - 6, _TOP + _HIGH / 2, "", 11, live=True, ha="center", va="center",
                                mono=True)  # fmt: skip
        self._upper_name = self.note(_LEFT + _ABOVE / 2 - 6, _TOP + _HIGH + 16, live=True, ha="center")
        self._draw_fixed(parts)
        self.columns = [_Column(self, self.box(field.low, field.high)) for field in parts.fields]
        self.update(parts, before)

    def _draw_fixed(self, parts: AddressParts) -> None:
        self.note(_LEFT - 8, _DIGITS - 1, "hex digits", ha="right")
        self.note(_LEFT - 8, _TOP + _HIGH / 2, "bits", ha="right", va="center")
        for number, name in enumerate(_ROWS):
            self.note(_LEFT - 8, _NAMES + 18 * (number + 1), name, ha="right")
        if parts.word_bits > parts.virt_bits:
            box = Box(_LEFT, _TOP, self._first - 8, _TOP + _HIGH)
            self.line(*outline_of(box), ink.LINE)
        for low in range(4, parts.virt_bits, 4):
            x = self._first + (parts.virt_bits - low) * self.cell - 0.5
            self.line([x, x], [_DIGITS + 2, _TOP - 1], ink.LINE)

    def box(self, low: int, high: int) -> Box:
        """Rectangle of the bits from ``low`` to ``high``."""
        top = self._first + self.cell * (self._layout[0] - 1 - high)
        return Box(top, _TOP, top + self.cell * (high - low + 1), _TOP + _HIGH)

    def update(self, parts: AddressParts, before: AddressParts | None = None) -> None:
        """Show another address of the same architecture, in a page of the same size."""
        if _layout(parts) != self._layout:
            raise ValueError(f"this picture is of {self.arch}, not of {parts.arch} with these fields: make a new one")
        self.alt = alt_address(parts)
        self._title.set(format_address(parts.virt_addr, parts.word_bits))
        upper = upper_words(parts)
        told = f"{parts.title}; {parts.virt_addr:,} in decimal" + (f"; {upper}" if upper else "")
        write_to_fit(self._told, told, self.width - 2 * MARGIN)
        self._told.set(colour=ink.TEXT if parts.canonical else ink.ALERT)
        self._put_bits(parts)
        for column, field in zip(self.columns, parts.fields, strict=True):
            column.put(parts, field)
        different = (parts.virt_addr ^ before.virt_addr if before and before.arch == parts.arch else 0) & (
            (1 << parts.virt_bits) - 1
        )
        bits = [bit for bit in range(parts.virt_bits) if different >> bit & 1]
        self.changed.set_data(*segments([list(zip(*outline_of(self.box(bit, bit)), strict=True)) for bit in bits]))
        self.touch()

    def _put_bits(self, parts: AddressParts) -> None:
        values = [
            2 * _ORDER.index(field.name) + (field.value >> bit & 1)
            for field in parts.fields
            for bit in reversed(range(field.high - field.low + 1))
        ]
        self.cells.put(np.array([values], np.uint8), (self._first, _TOP, _RIGHT, _TOP + _HIGH))
        digits = []
        for low in range(0, parts.virt_bits, 4):
            box = self.box(low, min(low + 3, parts.virt_bits - 1))
            value = (parts.virt_addr & (1 << parts.virt_bits) - 1) >> low & 15
            digits.append(((box.left + box.right) / 2, _DIGITS - 4, f"{value:x}", ink.TEXT))
        self.digits.put(digits)
        width = parts.word_bits - parts.virt_bits
        if width:
            text = f"{parts.above:0{width}b}" if width < 9 else f"0x{parts.above:0{-(-width // 4)}x}"
            self._upper.set(text, colour=ink.TEXT if parts.canonical else ink.ALERT)
            self._upper_name.set(f"{parts.word_bits - 1} to {parts.virt_bits}")


def _layout(parts: AddressParts) -> tuple[int, int, tuple[tuple[str, int, int], ...]]:
    return (parts.virt_bits, parts.word_bits, tuple((field.name, field.high, field.low) for field in parts.fields))
