"""Problems of chapter 08: an address taken apart, a walk by hand, tables counted."""

from __future__ import annotations

import random
from typing import NamedTuple

from mmkit.arch import PRESETS, get_arch
from mmkit.course.problem import Problem
from mmkit.model.memory import PhysicalMemory
from mmkit.model.pgstate import AddressField, Walk
from mmkit.model.pgtable import PageTable
from mmkit.model.pgtable.formats import format_of
from mmkit.model.pgtable.parts import address_parts
from mmkit.model.pgtable.walk import walk
from mmkit.model.pgtable.words import TableWords

_ARCHES = ("X86", "X86_PAE", "X86_64", "X86_64_LA57")


class Piece(NamedTuple):
    """An address, and which of its fields is asked for."""

    arch: str
    addr: int
    field: int


class TakeApart(Problem[Piece]):
    """Which index is it at one level?"""

    title = "Take the address apart"
    form = "the index, such as 291 or 0x123"

    def pose(self, rng: random.Random) -> Piece:
        """An address of a real machine, and one of its fields."""
        arch = get_arch(rng.choice(_ARCHES))
        addr = rng.randrange(1 << min(arch.virt_bits - (arch.word_bytes == 8), 47))
        return Piece(arch.name, addr, rng.randrange(len(arch.levels)))

    def _field(self, state: Piece) -> AddressField:
        return address_parts(state.arch, state.addr).fields[state.field]

    def ask(self, state: Piece) -> str:
        """Which index?"""
        field = self._field(state)
        return (
            f"A machine with {PRESETS[state.arch].title.partition(', ')[2]} ({state.arch}) accesses "
            f"`0x{state.addr:x}`. Which entry of the {field.name} table does it read?"
        )

    def answer(self, state: Piece) -> int:
        """Take it apart."""
        return self._field(state).value

    def hints(self, state: Piece) -> list[str]:
        """Which bits?"""
        field = self._field(state)
        return [
            "The lowest 12 bits are the offset in the page; the fields follow from right to left.",
            f"The index of the {field.name} is in bits {field.high} to {field.low}: shift by {field.low}, keep "
            f"{field.high - field.low + 1} bits.",
        ]

    def solve(self, state: Piece) -> str:
        """Shift and mask."""
        field = self._field(state)
        mask = (1 << field.high - field.low + 1) - 1
        return (
            f"Bits {field.high} to {field.low}: `0x{state.addr:x} >> {field.low}` is `0x{state.addr >> field.low:x}`, "
            f"and `& 0x{mask:x}` leaves `0x{field.value:x}`, that is {field.value}."
        )

    def explain(self, state: Piece, given: int) -> str:
        """Another field?"""
        for field in address_parts(state.arch, state.addr).fields:
            if field.value == given:
                return f"That is the {field.name}{'' if field.name == 'offset' else ' index'}."
        return f"{given} is not it; hint(1) helps."


class Memory(NamedTuple):
    """Words of memory by address, what CR3 holds, and the address that is looked up."""

    words: tuple[tuple[int, int], ...]
    cr3: int
    addr: int

    def walk(self) -> Walk:
        """Let the model walk."""
        table = TableWords(4)
        for addr, raw in self.words:
            if addr >> 12 not in table:
                table.add(addr >> 12)
            table.write(addr, raw)
        return walk(table, self.cr3, format_of(get_arch("X86")), self.addr)


class WalkByHand(Problem[Memory]):
    """Two levels, ten bits each: where is the byte?"""

    title = "Walk by hand"
    form = "a physical address, such as 0x7f87babc"

    def pose(self, rng: random.Random) -> Memory:
        """A root table, two tables below it, and entries that are not on the way."""
        cr3, first, second, *frames = (frame << 12 for frame in rng.sample(range(0x1000, 0x8000), 6))
        addr = rng.randrange(0x0804_8000, 0xC000_0000)
        pgd, pte = addr >> 22, addr >> 12 & 0x3FF
        other = (pgd + rng.randrange(1, 9)) % 1024
        words = {
            cr3 + 4 * pgd: first | 0x67, cr3 + 4 * other: second | 0x67, first + 4 * pte: frames[0] | 0x67,
            first + 4 * ((pte + 1) % 1024): frames[1] | 0x25, second + 4 * pte: frames[2] | 0x67,
        }  # fmt: skip
        return Memory(tuple(sorted(words.items())), cr3, addr)

    def ask(self, state: Memory) -> str:
        """The words of memory, and the question."""
        rows = "\n".join(f"| `0x{addr:x}` | `0x{raw:08x}` |" for addr, raw in state.words)
        return (
            f"A two-level machine (10, 10 and 12 bits; entries of 4 bytes). CR3 holds `0x{state.cr3:x}`. In memory "
            f"stand, among zeros:\n\n| physical address | word |\n|---|---|\n{rows}\n\nThe program reads "
            f"`0x{state.addr:x}`. At which physical address is that byte?"
        )

    def answer(self, state: Memory) -> int:
        """Let the model walk."""
        return state.walk().phys_addr or 0

    def hints(self, state: Memory) -> list[str]:
        """Step by step."""
        first, second = state.walk().steps
        return [
            f"The upper ten bits are {first.index}, the middle ten {second.index}, the lower twelve "
            f"0x{state.addr & 0xFFF:x}.",
            f"The first entry is at 0x{state.cr3:x} + 4 × {first.index} = 0x{first.entry_addr:x}.",
            f"Its lowest twelve bits are flags; the next table is at 0x{first.target_addr:x}.",
        ]

    def solve(self, state: Memory) -> str:
        """Both entries."""
        found = state.walk()
        steps = "; ".join(
            f"the {step.level} entry {step.index} at `0x{step.entry_addr:x}` is `0x{step.raw:08x}`, which leads to "
            f"`0x{step.target_addr:x}`" for step in found.steps
        )  # fmt: skip
        offset = state.addr & 0xFFF
        return f"{steps[:1].upper()}{steps[1:]}. With the offset `0x{offset:x}` that is `0x{found.phys_addr:x}`."

    def show(self, answer: int) -> str:
        """In hexadecimal."""
        return f"0x{answer:x}"

    def explain(self, state: Memory, given: int) -> str:
        """Flags left in, or the wrong table?"""
        found = state.walk()
        if given == found.steps[-1].target_addr:
            return "That is where the page begins; the offset is missing."
        if given & 0xFFF != state.addr & 0xFFF:
            return "The lowest twelve bits are those of the virtual address: the page's flags are no part of it."
        return f"{self.show(given)} is not it; hint(1) helps."


class Mapped(NamedTuple):
    """The pages that a process has."""

    pages: tuple[int, ...]


class HowManyTables(Problem[Mapped]):
    """How many tables do some pages need?"""

    title = "How many tables?"
    form = "how many, the root included"

    def pose(self, rng: random.Random) -> Mapped:
        """Some pages in up to three places of a 64-bit process."""
        pages: list[int] = []
        for base in rng.sample((0x40_0000, 0x7F12_F7A0_0000, 0x5555_5555_4000, 0x10_0000_0000), rng.randrange(2, 4)):
            step = rng.choice((1 << 12, 1 << 21, 1 << 30))
            pages += [base + step * number for number in range(rng.randrange(1, 4))]
        return Mapped(tuple(sorted(pages)))

    @staticmethod
    def _tables(state: Mapped) -> PageTable:
        table = PageTable("X86_64", PhysicalMemory("X86_64", "64MiB"))
        for pfn, page in enumerate(state.pages, 0x100):
            table.map(page, pfn)
        return table

    def ask(self, state: Mapped) -> str:
        """The pages."""
        listed = ", ".join(f"`0x{page:x}`" for page in state.pages)
        return (
            f"A process on x86-64 with four levels has these pages of 4 KiB, and nothing else: {listed}. How many page "
            "tables does it need, the root included?"
        )

    def answer(self, state: Mapped) -> int:
        """Map them, and count."""
        return self._tables(state).nr_tables

    def _counts(self, state: Mapped) -> list[int]:
        found = self._tables(state).snapshot()
        return [found.tables_at(depth) for depth in range(4)]

    def hints(self, state: Mapped) -> list[str]:
        """What shares a table?"""
        return [
            "Two pages share their pte table if their addresses are equal from bit 21 up; a pmd from bit 30 up, a pud "
            "from bit 39 up.",
            f"There are {self._counts(state)[3]} different values of `address >> 21`.",
        ]

    def solve(self, state: Mapped) -> str:
        """Level by level."""
        counts = self._counts(state)
        told = [f"{count} of `address >> {shift}`" for count, shift in zip(counts[1:], (39, 30, 21), strict=True)]
        return f"Different values: {', '.join(told)}: so many pud, pmd and pte tables, and the pgd: 1 + " + " + ".join(
            map(str, counts[1:])
        )

    def explain(self, state: Mapped, given: int) -> str:
        """Forgot the root?"""
        if given == self.answer(state) - 1:
            return "Nearly: the root counts as well."
        return f"{given} is not it; hint(1) helps."
