"""Problems of chapter 10: how many faults, who shares what, and which signal."""

from __future__ import annotations

import random
from typing import NamedTuple

from mmkit.course.problem import Problem, read_choice
from mmkit.errors import FatalSignal
from mmkit.model import vmaflags as f
from mmkit.model.machine import Machine, Process

BASE, PAGE, PAGES = 0x1000_0000, 4096, 3
_NAMES = ("the parent", "the child")


class Story(NamedTuple):
    """What happens to three fresh anonymous pages: ("r" or "w" or "fork", who, page)."""

    steps: tuple[tuple[str, int, int], ...]

    @property
    def words(self) -> str:
        """It as a list."""
        told = []
        for number, (how, who, page) in enumerate(self.steps, 1):
            does = {"r": "reads page", "w": "writes page"}
            told.append(f"{number}. " + ("the parent forks" if how == "fork" else f"{_NAMES[who]} {does[how]} {page}"))
        return "\n".join(told)


def _play(story: Story) -> tuple[Machine, list[Process], list[int]]:
    """Return the machine, its processes, and how many faults each step took."""
    machine = Machine("X86_64", "64MiB")
    members, faults = [machine.spawn("parent")], []
    members[0].mm.mmap(BASE, PAGES * PAGE, 3, f.MAP_PRIVATE | f.MAP_ANONYMOUS | f.MAP_FIXED)
    for how, who, page in story.steps:
        before = members[who].mm.min_flt
        if how == "fork":
            members.append(members[0].fork())
        else:
            members[who].touch(BASE + page * PAGE, how == "w")
        faults.append(members[who].mm.min_flt - before)
    return machine, members, faults


def _story(rng: random.Random) -> Story:
    steps = [(rng.choice("rw"), 0, rng.randrange(PAGES)) for _ in range(rng.randrange(2, 5))]
    steps.append(("fork", 0, 0))
    steps += [(rng.choice("rww"), rng.randrange(2), rng.randrange(PAGES)) for _ in range(rng.randrange(3, 6))]
    return Story(tuple(steps))


class HowManyFaults(Problem[Story]):
    """How many of the steps take a page fault?"""

    title = "How many page faults?"
    form = "a number of page faults"

    def pose(self, rng: random.Random) -> Story:
        """Some touches, a fork, and some more."""
        return _story(rng)

    def ask(self, state: Story) -> str:
        """The story."""
        return (
            f"A process maps three pages of private anonymous memory.\n\n{state.words}\n\nHow many page faults is that "
            "in all, parent and child together?"
        )

    def answer(self, state: Story) -> int:
        """Play it."""
        return sum(_play(state)[2])

    def hints(self, state: Story) -> list[str]:
        """What faults?"""
        return [
            "A first read maps the zero page; a write to it faults once more. A first write faults once.",
            "fork() write-protects what was written, on both sides. Pages that were only read are the zero page in "
            "the child, too, if the area was written to anywhere; else the child has to fault them in again.",
        ]

    def solve(self, state: Story) -> str:
        """Step by step."""
        faults = _play(state)[2]
        told = [f"{number}: {'a fault' if count else 'none'}" for number, count in enumerate(faults, 1)]
        return f"{', '.join(told)}: {sum(faults)} in all."

    def explain(self, state: Story, given: int) -> str:
        """Too many, or too few?"""
        right = self.answer(state)
        return f"{given} is too {'many' if given > right else 'few'}; hint(1) helps."


class HowManyFrames(Problem[Story]):
    """How many frames are there in the end?"""

    title = "How many frames?"
    form = "a number of frames"

    def pose(self, rng: random.Random) -> Story:
        """Some touches, a fork, and some more."""
        return _story(rng)

    def ask(self, state: Story) -> str:
        """The story."""
        return (
            f"A process maps three pages of private anonymous memory.\n\n{state.words}\n\nHow many frames stand behind "
            "the pages of the two now, the zero page not counted? (A frame that both use counts once.)"
        )

    def answer(self, state: Story) -> int:
        """Play it, and count."""
        machine, members, _ = _play(state)
        frames = {member.mm.pages.pfn(page) for member in members for page, _ in member.mm.pages.items()}
        return len(frames - {machine.frames.zero.pfn})

    def hints(self, state: Story) -> list[str]:
        """Who copies?"""
        return [
            "Count, page by page, whose copies there are: none, one for both, one of one of them, or two.",
            "After the fork, the first of the two that writes gets a copy; the other one keeps the page.",
        ]

    def solve(self, state: Story) -> str:
        """Page by page."""
        machine, members, _ = _play(state)
        told = []
        for page in range(PAGES):
            number = (BASE >> 12) + page
            pfns = {member.mm.pages.pfn(number) for member in members if member.mm.pages.kind(number)}
            told.append(f"page {page}: {len(pfns - {machine.frames.zero.pfn})}")
        return f"{', '.join(told)}: {self.answer(state)} in all."


class Access(NamedTuple):
    """An access that may end badly."""

    what: str
    prot: int
    file_pages: int
    page: int
    how: str


_SIGNALS = {
    "a": "nothing: the access succeeds",
    "b": "SIGSEGV, SEGV_MAPERR",
    "c": "SIGSEGV, SEGV_ACCERR",
    "d": "SIGBUS",
}


class WhichSignal(Problem[Access]):
    """What happens to the process?"""

    title = "Which signal?"
    form = "a letter, a to d"

    def pose(self, rng: random.Random) -> Access:
        """Two pages are mapped, of something, with some rights."""
        what = rng.choice(("anonymous", "private", "shared"))
        return Access(what, rng.choice((1, 3, 3)), rng.choice((1, 2)), rng.choice((0, 1, 1, 2)), rng.choice("rw"))

    def ask(self, state: Access) -> str:
        """What is mapped, and what is done."""
        file = f"a file of {state.file_pages} page{'s' * (state.file_pages > 1)}, {state.what},"
        of = "anonymous memory" if state.what == "anonymous" else file
        may = "read only" if state.prot == 1 else "read and written"
        does = "reads" if state.how == "r" else "writes"
        menu = "\n".join(f"- {letter}: {words}" for letter, words in _SIGNALS.items())
        return (
            f"A process maps two pages of {of} that may be {may}; above them nothing is mapped. It {does} page "
            f"{state.page} (from 0). What happens?\n\n{menu}"
        )

    def answer(self, state: Access) -> str:
        """Try it."""
        machine = Machine("X86_64", "64MiB")
        process, file = machine.spawn(), None
        flags = f.MAP_FIXED | (f.MAP_SHARED if state.what == "shared" else f.MAP_PRIVATE)
        if state.what == "anonymous":
            flags |= f.MAP_ANONYMOUS
        else:
            file = machine.create_file("/file", state.file_pages * PAGE).open("rw")
        process.mm.mmap(BASE, 2 * PAGE, state.prot, flags, file)
        try:
            process.touch(BASE + state.page * PAGE, state.how == "w")
        except FatalSignal as signal:
            return {"SEGV_MAPERR": "b", "SEGV_ACCERR": "c"}.get(signal.code, "d")
        return "a"

    def read(self, answer: object) -> str:
        """A letter."""
        return read_choice(answer, _SIGNALS)

    def hints(self, state: Access) -> list[str]:
        """In which order?"""
        return ["First the kernel looks for an area, then at its rights, and only then at what stands behind it."]

    def solve(self, state: Access) -> str:
        """Which check fails?"""
        return {
            "a": "There is an area, it allows the access, and there is something behind it.",
            "b": "No area holds the page.", "c": "The area does not allow to write.",
            "d": "The area allows it, but the file has no such page.",
        }[self.answer(state)]  # fmt: skip
