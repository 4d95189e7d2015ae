"""Problems of chapter 07: how many areas there are after some calls, and where a new one comes to lie."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import NamedTuple

from mmkit.course.problem import Problem
from mmkit.course.vmascript import (
    ALL,
    FILE,
    NONE,
    PAGE,
    READ,
    REOPENED,
    RW,
    SHARED,
    Step,
    listed,
    numbered,
    play,
)  # fmt: skip
from mmkit.model.vma import MmStruct
from mmkit.model.vmaflags import MAP_ANONYMOUS, MAP_FIXED, MAP_PRIVATE


class Story(NamedTuple):
    """Calls, and why they end as they do."""

    steps: tuple[Step, ...]
    why: str


def _alike(a: int, b: int) -> Story:
    return Story(
        (Step("mmap", 0, a), Step("mmap", a, b)),
        "All flags are equal, there is no file, and neither has been written to: nothing tells them apart.",
    )


def _one_written(a: int, b: int) -> Story:
    return Story(
        (Step("mmap", 0, a), Step("write", 0), Step("mmap", a, b)),
        "Only one of the two has an anon_vma: the merged area keeps it.",
    )


def _between(a: int, b: int) -> Story:
    return Story(
        (
            Step("mmap", 0, a), Step("mmap", a + 2, b), Step("write", 0), Step("write", a + 2), Step("mmap", a, 2),
        ),
        "The outer two were written to while apart: each has an anon_vma of its own. The new memory fits both, but "
        "the three cannot be one. It joins the lower one.",
    )  # fmt: skip


def _between_unwritten(a: int, b: int) -> Story:
    return Story(
        (Step("mmap", 0, a), Step("mmap", a + 2, b), Step("read", 0), Step("read", a + 2), Step("mmap", a, 2)),
        "Reading attaches no anon_vma: the new memory fits both neighbours, and all three become one.",
    )


def _made_alike(a: int, b: int) -> Story:
    return Story(
        (Step("mmap", 0, a), Step("mmap", a, b, READ), Step("write", 0), Step("mprotect", a, b, RW)),
        "After the change all flags are equal, and only one of them has an anon_vma.",
    )


def _written_side_by_side(a: int, b: int) -> Story:
    return Story(
        (
            Step("mmap", 0, a), Step("mmap", a, b, ALL), Step("write", 0), Step("write", a),
            Step("mprotect", a, b, RW),
        ),
        "Both were written to. But the second, when it was first written to, had a neighbour that differed in its "
        "permissions only: it took over the neighbour's anon_vma.",
    )  # fmt: skip


def _accounted(a: int, b: int) -> Story:
    return Story(
        (Step("mmap", 0, a), Step("write", 0), Step("mprotect", 0, a, READ), Step("mmap", a, b, READ)),
        "Both are read-only now. But memory that was written to stays accounted (VM_ACCOUNT), and memory that was "
        "read-only from the start never was: the flags differ.",
    )


def _not_accounted(a: int, b: int) -> Story:
    return Story(
        (Step("mmap", 0, a), Step("mprotect", 0, a, READ), Step("mmap", a, b, READ)),
        "The first was never written to: made read-only, it is no longer accounted, and the flags are equal.",
    )


def _shared(a: int, b: int) -> Story:
    return Story(
        (Step("mmap", 0, a, memory=SHARED), Step("mmap", a, b, memory=SHARED)),
        "Shared anonymous memory is a nameless file, and each call makes one of its own: two files never merge.",
    )


def _file(a: int, b: int) -> Story:
    return Story(
        (Step("mmap", 0, a, READ, FILE), Step("mmap", a, b, READ, FILE, a)),
        "The same open file, and the second goes on in it where the first ends.",
    )


def _file_gap(a: int, b: int) -> Story:
    return Story(
        (Step("mmap", 0, a, READ, FILE), Step("mmap", a, b, READ, FILE, a + 1)),
        "The addresses go on, but the offsets in the file do not: one page is left out.",
    )


def _file_reopened(a: int, b: int) -> Story:
    return Story(
        (Step("mmap", 0, a, READ, FILE), Step("mmap", a, b, READ, REOPENED, a)),
        "The file is the same, the open file is not: `vm_file` must be the very same object.",
    )


def _healed(a: int, b: int) -> Story:
    return Story(
        (
            Step("mmap", 0, a + b), Step("write", 0), Step("munmap", a, 1), Step("mmap", a, 1),
        ),
        "The two pieces come from one area that was written to, so they have the same anon_vma; the new page has none, "
        "and fits both.",
    )  # fmt: skip


def _no_fork(a: int, b: int) -> Story:
    return Story(
        (Step("mmap", 0, a), Step("dontfork", 0, a), Step("mmap", a, b)),
        "One has VM_DONTCOPY, the other has not: all flags have to be equal, not only the permissions.",
    )


STORIES: tuple[Callable[[int, int], Story], ...] = (
    _alike, _one_written, _between, _between_unwritten, _made_alike, _written_side_by_side, _accounted,
    _not_accounted, _shared, _file, _file_gap, _file_reopened, _healed, _no_fork,
)  # fmt: skip


class OneOrTwo(Problem[Story]):
    """Do the neighbours merge?"""

    title = "One area or two?"

    def pose(self, rng: random.Random) -> Story:
        """One of fourteen stories, with areas of any size."""
        return rng.choice(STORIES)(rng.randrange(2, 7), rng.randrange(2, 7))

    def ask(self, state: Story) -> str:
        """Tell what is done."""
        return (
            f"An address space is empty. Then, all at fixed addresses:\n\n{numbered(state.steps)}\n\n"
            "How many areas are there in the end?"
        )

    def answer(self, state: Story) -> int:
        """Let the model do it."""
        return len(play(state.steps).vmas)

    def hints(self, state: Story) -> list[str]:
        """The four conditions."""
        return [
            "Two neighbours merge if all flags are equal, the open file is the same, the offsets go on, and their "
            "anon_vmas are compatible.",
            "Compatible: the same one, or at most one of the two has any. A first write to private memory attaches "
            "one.",
        ]

    def solve(self, state: Story) -> str:
        """What there is, and why."""
        return f"In the end:\n\n{listed(play(state.steps))}\n\n{state.why}"


class Cuts(NamedTuple):
    """An area of 16 pages, and what is done to it."""

    steps: tuple[Step, ...]


class HowManyAreas(Problem[Cuts]):
    """Cut an area into pieces, and heal it."""

    title = "Into how many pieces?"

    def pose(self, rng: random.Random) -> Cuts:
        """Three to five calls on parts of it."""
        steps = [Step("mmap", 0, 16)]
        for _ in range(rng.randrange(3, 6)):
            first = rng.randrange(0, 14)
            count = rng.randrange(1, 17 - first)
            call = rng.choice(("munmap", "mmap", "protect", "protect", "back"))
            if call in ("protect", "back"):
                steps.append(self._protected(steps, first, count, READ if call == "protect" else RW))
            else:
                steps.append(Step(call, first, count))
        return Cuts(tuple(steps))

    @staticmethod
    def _protected(steps: list[Step], first: int, count: int, prot: int) -> Step:
        """An mprotect that succeeds: where there is a hole, fresh memory is mapped instead."""
        mapped = set(range(16))
        for step in steps:
            touched = set(range(step.first, step.first + step.length))
            mapped = mapped - touched if step.call == "munmap" else mapped | touched if step.call == "mmap" else mapped
        whole = mapped >= set(range(first, first + count))
        return Step("mprotect" if whole else "mmap", first, count, prot)

    def ask(self, state: Cuts) -> str:
        """Tell what is done."""
        return (
            "An address space is empty. Then, all at fixed addresses, and nothing is touched in between:\n\n"
            f"{numbered(state.steps)}\n\nHow many areas are there in the end?"
        )

    def answer(self, state: Cuts) -> int:
        """Let the model do it."""
        return len(play(state.steps).vmas)

    def hints(self, state: Cuts) -> list[str]:
        """Write the pages down."""
        return [
            "Write down 16 letters, one for each page: w can be written, r is read-only, . is not mapped.",
            "Nothing was written to: neighbours with equal letters are one area. Count the runs.",
        ]

    def solve(self, state: Cuts) -> str:
        """After each step, a row of letters."""
        rows = []
        for count in range(1, len(state.steps) + 1):
            row = ["."] * 16
            for vma in play(state.steps[:count]).snapshot().vmas:
                first = (vma.start >> 12) & 0xFF
                row[first : first + vma.pages] = ("w" if "w" in vma.perms else "r") * vma.pages
            rows.append(f"    {''.join(row)}")
        return "After each step (w can be written, r is read-only, . is not mapped):\n\n" + "\n".join(rows)


class Room(NamedTuple):
    """Areas as (first page, pages), and how many pages are wanted."""

    areas: tuple[tuple[int, int], ...]
    wanted: int


BASE = 0x200
"""The problems' mmap_base, in pages: small enough to reckon with."""


class WhereDoesItGo(Problem[Room]):
    """Where does mmap put a new area?"""

    title = "Where does it go?"
    form = "a page number, such as 0x1f0"

    def pose(self, rng: random.Random) -> Room:
        """A few areas below the base, with gaps between them of which some are too small."""
        areas, top = [], BASE
        for _ in range(rng.randrange(3, 6)):
            top -= rng.choice((0, 2, 3, 5, 8, 12, 20))
            size = rng.randrange(2, 17)
            areas.append((top - size, size))
            top -= size
        return Room(tuple(reversed(areas)), rng.choice((1, 2, 4, 6, 9, 16)))

    def ask(self, state: Room) -> str:
        """List what is there."""
        lines = "\n".join(f"- pages {first:#x} to {first + count - 1:#x}" for first, count in state.areas)
        return (
            f"`mmap_base` is at page {BASE:#x}: the first page that is not to be used. Mapped so far (in areas that do "
            f"not merge with anything):\n\n{lines}\n\nA program asks for {state.wanted} "
            f"page{'s' * (state.wanted > 1)} of private anonymous memory, at no address in particular. "
            "At which page does the new area start?"
        )

    def answer(self, state: Room) -> int:
        """Let the model do it."""
        mm = MmStruct(mmap_base=BASE * PAGE)
        flags = MAP_PRIVATE | MAP_ANONYMOUS
        for first, count in state.areas:
            mm.mmap(first * PAGE, count * PAGE, NONE, flags | MAP_FIXED)
        return mm.mmap(0, state.wanted * PAGE, RW, flags) // PAGE

    def show(self, answer: int) -> str:
        """Hexadecimal."""
        return hex(answer)

    def _gaps(self, state: Room) -> list[tuple[int, int]]:
        ends = [first + count for first, count in state.areas]
        starts = [*(first for first, _ in state.areas[1:]), BASE]
        return [(end, start) for end, start in zip(ends, starts, strict=True) if end < start][::-1]

    def hints(self, state: Room) -> list[str]:
        """From the top."""
        return [
            "The search goes from mmap_base downwards, and takes the first gap that is large enough: the highest, not "
            "the best fitting.",
            "Within the gap the new area lies at the upper end.",
        ]

    def solve(self, state: Room) -> str:
        """Gap by gap."""
        lines = []
        for low, high in self._gaps(state):
            fits = high - low >= state.wanted
            lines.append(f"- gap of {high - low} below page {high:#x}: {'large enough' if fits else 'too small'}")
            if fits:
                break
        else:
            lines.append(f"- below page {state.areas[0][0]:#x}: all is free")
        return (
            "From the top:\n\n" + "\n".join(lines) + f"\n\nThe area ends at the top of that gap: its last page is "
            f"the one below, its first lies {state.wanted} below the top."
        )

    def explain(self, state: Room, given: int) -> str:
        """The lower end, or another gap?"""
        if any(given == low and high - low > state.wanted for low, high in self._gaps(state)):
            return "That is the lower end of a gap; new areas lie at the upper end."
        return f"{self.show(given)} is not it; hint(1) helps."
