"""Problems of chapter 01: addresses, halves and the three jobs."""

from __future__ import annotations

import random
from typing import NamedTuple

from mmkit.arch import PRESETS, X86, X86_64, X86_64_LA57, Arch
from mmkit.course.problem import Problem, read_choice, read_numbers
from mmkit.model.introduction import half_of, halves
from mmkit.units import format_address


class Place(NamedTuple):
    """An address on an architecture, by name (so that states compare)."""

    arch: str
    addr: int


def _written(place: Place) -> str:
    return format_address(place.addr, 32 if PRESETS[place.arch].virt_bits <= 32 else 64)


def _random_addr(rng: random.Random, arch: Arch) -> int:
    half = rng.choice(halves(arch))
    return rng.choice((half.start, half.end - 1, rng.randrange(half.start, half.end)))


class WhichHalf(Problem[Place]):
    """Whose address is it?"""

    title = "Which half?"
    form = "user, kernel or nobody"

    def pose(self, rng: random.Random) -> Place:
        """Pick an architecture and an address, often one at the very edge of a half."""
        arch = rng.choice((X86, X86_64, X86_64_LA57))
        return Place(arch.name, _random_addr(rng, arch))

    def ask(self, state: Place) -> str:
        """Name the address."""
        arch = PRESETS[state.arch]
        machine = f"{arch.title} ({arch.virt_bits}-bit addresses)" if arch.virt_bits > 32 else arch.title
        return f"{machine}: does `{_written(state)}` belong to the user, the kernel, or nobody?"

    def answer(self, state: Place) -> str:
        """The owner's name."""
        return half_of(PRESETS[state.arch], state.addr).owner

    def read(self, answer: object) -> str:
        """One of the three owners."""
        return read_choice(answer, {"user": "user", "kernel": "kernel", "nobody": "nobody"})

    def hints(self, state: Place) -> list[str]:
        """Where to look, then the limits."""
        parts = halves(PRESETS[state.arch])
        first = "On 32 bits one constant divides the halves." if len(parts) == 2 else "Look at the highest bits."
        return [first, f"The user half ends below `{hex(parts[0].end)}`."]

    def solve(self, state: Place) -> str:
        """Compare with every limit."""
        parts = halves(PRESETS[state.arch])
        lines = [f"- {half.owner}: `{hex(half.start)}` up to and including `{hex(half.end - 1)}`" for half in parts]
        return "\n".join(lines)


class PageAndOffset(Problem[Place]):
    """Take an address apart into the page and the place inside it."""

    title = "Which page, and where in it?"
    form = "two numbers, such as 0x12,0x345 (page number, offset)"

    def pose(self, rng: random.Random) -> Place:
        """Pick a user address of a 32-bit machine: short enough to do by eye."""
        return Place(X86.name, rng.randrange(1 << 16, X86.page_offset))

    def ask(self, state: Place) -> str:
        """Name the address."""
        return f"Pages are 4096 bytes. `{_written(state)}` is in the page of which number, and at which offset?"

    def answer(self, state: Place) -> tuple[int, int]:
        """(page number, offset)."""
        return divmod(state.addr, PRESETS[state.arch].page_size)

    def read(self, answer: object) -> tuple[int, int]:
        """A pair, or text with two numbers."""
        page, offset = read_numbers(answer)
        return page, offset

    def show(self, answer: tuple[int, int]) -> str:
        """In hexadecimal, where the two parts can be seen in the address."""
        return f"{hex(answer[0])},{hex(answer[1])}"

    def explain(self, state: Place, given: tuple[int, int]) -> str:
        """Put the parts together again."""
        whole = given[0] * PRESETS[state.arch].page_size + given[1]
        if given[1] >= PRESETS[state.arch].page_size:
            return f"An offset is below 4096; {given[1]} is not."
        return f"Page {hex(given[0])} and offset {hex(given[1])} make {hex(whole)}."

    def hints(self, state: Place) -> list[str]:
        """4096 in hexadecimal."""
        return ["4096 is 0x1000: what does a division by 0x1000 do to hexadecimal digits?", "Cut off three digits."]

    def solve(self, state: Place) -> str:
        """Divide."""
        return f"The last three hexadecimal digits of `{_written(state)}` are the offset, those before it the page."


class Deed(NamedTuple):
    """Something that the kernel does, and which of the three jobs it is."""

    what: str
    job: str


_JOBS = {"a": "virtual memory", "b": "physical memory", "c": "the translation between them"}
_DEEDS = (
    Deed("A program asks for 1 GiB of addresses (`mmap`); the kernel notes the range and hands out no memory.", "a"),
    Deed("A program gives a range of addresses back (`munmap`); another mapping may be put there.", "a"),
    Deed("The heap of a program is extended by 64 KiB of addresses.", "a"),
    Deed("The kernel picks a free page frame below 16 MiB for a device.", "b"),
    Deed("A page frame that nobody uses any more goes back to the free ones.", "b"),
    Deed("Two free frames side by side are put together into a block of two.", "b"),
    Deed("An entry is written that says: this page is in that frame.", "c"),
    Deed("The same frame is entered for two programs, so that they share it.", "c"),
    Deed("A frame is made read-only for one program without touching its content.", "c"),
)


class WhichJob(Problem[Deed]):
    """Sort what the kernel does into its three jobs."""

    title = "Which of the three jobs?"
    form = "a, b or c"

    def pose(self, rng: random.Random) -> Deed:
        """Pick a deed."""
        return rng.choice(_DEEDS)

    def ask(self, state: Deed) -> str:
        """The deed and the three jobs."""
        return f"{state.what}\n\n" + "\n".join(f"- **{letter}** {job}" for letter, job in _JOBS.items())

    def answer(self, state: Deed) -> str:
        """The job's letter."""
        return state.job

    def read(self, answer: object) -> str:
        """A letter or the job's name."""
        return read_choice(answer, _JOBS)

    def hints(self, state: Deed) -> list[str]:
        """What changes?"""
        return ["What changes: the list of address ranges, the stock of frames, or which frame a page is in?"]

    def solve(self, state: Deed) -> str:
        """Name what changes."""
        changed = {"a": "the list of address ranges", "b": "the stock of frames", "c": "which frame a page is in"}
        return f"{state.what} What changes is {changed[state.job]}."


class CountPages(Problem[tuple[int, int]]):
    """How many pages does a range of bytes touch? More than its length suggests."""

    title = "How many pages?"

    def pose(self, rng: random.Random) -> tuple[int, int]:
        """A start and a length in bytes, usually not aligned."""
        return rng.randrange(0x8000_0000), rng.randrange(1, 40_000)

    def ask(self, state: tuple[int, int]) -> str:
        """Start and length."""
        return (
            f"A program reads {state[1]} bytes from `{hex(state[0])}` on. How many pages of 4096 bytes does it touch?"
        )

    def answer(self, state: tuple[int, int]) -> int:
        """Last page minus first page, plus one."""
        start, length = state
        return (start + length - 1) // 4096 - start // 4096 + 1

    def hints(self, state: tuple[int, int]) -> list[str]:
        """First and last byte."""
        return ["Which page holds the first byte, and which the last?", f"The last byte is `{hex(sum(state) - 1)}`."]

    def solve(self, state: tuple[int, int]) -> str:
        """Subtract page numbers."""
        first, last = state[0] // 4096, (sum(state) - 1) // 4096
        return f"First page `{hex(first)}`, last page `{hex(last)}`: their difference is {last - first}, plus one."
