"""Problems of chapter 07: what the kernel refuses, what the counters say, what a child has, how far a stack grows."""

from __future__ import annotations

import errno
import random
from collections.abc import Callable
from typing import NamedTuple

from mmkit.course.problem import Problem, read_choice
from mmkit.course.vmascript import (
    EXEC,
    FILE,
    PAGE,
    PRIVATE,
    READ,
    RW,
    SHARED,
    WINDOW,
    Step,
    numbered,
    pages,
    play,
)  # fmt: skip
from mmkit.errors import MmError
from mmkit.model.vma import File, MmStruct
from mmkit.model.vmaflags import (
    MADV_DONTNEED,
    MAP_ANONYMOUS,
    MAP_FIXED,
    MAP_FIXED_NOREPLACE,
    MAP_PRIVATE,
    MAP_SHARED,
)  # fmt: skip

_ANON = MAP_PRIVATE | MAP_ANONYMOUS


class Attempt(NamedTuple):
    """A call, as text and as it is made on the address space, and why it ends as it does."""

    text: str
    call: Callable[[MmStruct], object]
    why: str


def _at(page: int) -> int:
    return WINDOW + page * PAGE


def _locked(mm: MmStruct) -> None:
    mm.madvise(_at(12), PAGE, MADV_DONTNEED)


def _shared(prot: int) -> Callable[[MmStruct], object]:
    return lambda mm: mm.mmap(0, PAGE, prot, MAP_SHARED, File("/etc/hosts", 200).open("r"))


def _private(mm: MmStruct) -> object:
    return mm.mmap(0, PAGE, RW, MAP_PRIVATE, File("/etc/hosts", 200).open("r"))


ATTEMPTS = (
    Attempt("mmap, 0 bytes", lambda mm: mm.mmap(0, 0, RW, _ANON), "A mapping of no bytes is no mapping."),
    Attempt(
        "mmap, one page, anonymous, neither MAP_PRIVATE nor MAP_SHARED",
        lambda mm: mm.mmap(0, PAGE, RW, MAP_ANONYMOUS), "Exactly one of the two has to be given.",
    ),
    Attempt(
        "mmap, one page, MAP_FIXED, at page 4 and 100 bytes",
        lambda mm: mm.mmap(_at(4) + 100, PAGE, RW, _ANON | MAP_FIXED),
        "A fixed address has to be that of a page.",
    ),
    Attempt(
        "mmap, one page, no MAP_FIXED, at page 20 and 100 bytes",
        lambda mm: mm.mmap(_at(20) + 100, PAGE, RW, _ANON),
        "Without MAP_FIXED an address is a hint: it is rounded down, and used if it is free.",
    ),
    Attempt(
        "mmap, 4 pages, MAP_FIXED_NOREPLACE, from page 6 on",
        lambda mm: mm.mmap(_at(6), 4 * PAGE, RW, _ANON | MAP_FIXED_NOREPLACE),
        "Pages 6 and 7 are mapped already, and NOREPLACE says that nothing may be replaced.",
    ),
    Attempt(
        "mmap, 4 pages, MAP_FIXED, from page 6 on", lambda mm: mm.mmap(_at(6), 4 * PAGE, RW, _ANON | MAP_FIXED),
        "MAP_FIXED replaces what is there, without a word.",
    ),
    Attempt(
        "mmap, one page, MAP_SHARED, read and write, of a file that was opened for reading", _shared(RW),
        "Who writes to a shared mapping writes to the file, and the file was not opened for that.",
    ),
    Attempt(
        "mmap, one page, MAP_PRIVATE, read and write, of a file that was opened for reading", _private,
        "What is written to a private mapping never reaches the file: to read it is enough.",
    ),
    Attempt("munmap, pages 40 to 43", lambda mm: mm.munmap(_at(40), 4 * PAGE), "To unmap nothing is no mistake."),
    Attempt(
        "munmap, page 4, 0 bytes", lambda mm: mm.munmap(_at(4), 0), "munmap of no bytes is refused (mprotect's is not)."
    ),
    Attempt(
        "mprotect, pages 6 to 12, read only", lambda mm: mm.mprotect(_at(6), 7 * PAGE, READ),
        "There is a hole at pages 8 to 11. (Pages 6 and 7 are read-only now all the same.)",
    ),
    Attempt(
        "mprotect, page 4 and 100 bytes, one page", lambda mm: mm.mprotect(_at(4) + 100, PAGE, READ),
        "mprotect takes no address but a page's.",
    ),
    Attempt(
        "mlock, page 4 and 100 bytes, one page", lambda mm: mm.mlock(_at(4) + 100, PAGE),
        "mlock rounds: it locks every page that the range touches.",
    ),
    Attempt(
        "mremap, pages 4 to 7, to 6 pages, no MREMAP_MAYMOVE", lambda mm: mm.mremap(_at(4), 4 * PAGE, 6 * PAGE),
        "Pages 8 and 9 are free, and the area ends where the range does: it grows in place.",
    ),
    Attempt(
        "mremap, pages 4 to 7, to 12 pages, no MREMAP_MAYMOVE", lambda mm: mm.mremap(_at(4), 4 * PAGE, 12 * PAGE),
        "Page 12 is in the way, and the area may not move.",
    ),
    Attempt(
        "mremap, pages 40 to 43, to 6 pages", lambda mm: mm.mremap(_at(40), 4 * PAGE, 6 * PAGE),
        "There is nothing at the old address.",
    ),
    Attempt("madvise(MADV_DONTNEED), page 12", _locked, "Locked pages may not be dropped."),
)  # fmt: skip
_NAMES = {name: name for name in ("ok", "EINVAL", "ENOMEM", "EEXIST", "EACCES", "EFAULT")}


class WhatIsRefused(Problem[Attempt]):
    """Does the call succeed, and if not, with which error?"""

    title = "Which error?"
    form = f"one of {', '.join(_NAMES)}"

    def pose(self, rng: random.Random) -> Attempt:
        """One of seventeen calls."""
        return rng.choice(ATTEMPTS)

    def ask(self, state: Attempt) -> str:
        """What is mapped, and the call."""
        names = ", ".join(_NAMES)
        return (
            "Mapped are pages 4 to 7 and 12 to 15, both private anonymous memory that can be written, 12 to 15 locked "
            f"(`mlock`). Nothing else. What does this call return: {names}?\n\n    {state.text}"
        )

    def answer(self, state: Attempt) -> str:
        """Make the call."""
        mm = play((Step("mmap", 4, 4), Step("mmap", 12, 4), Step("mlock", 12, 4)))
        try:
            state.call(mm)
        except MmError as error:
            return errno.errorcode[error.errno or 0]
        return "ok"

    def read(self, answer: object) -> str:
        """A name."""
        return read_choice(answer, _NAMES)

    def hints(self, state: Attempt) -> list[str]:
        """What the names say."""
        return [
            "EINVAL: the arguments make no sense. ENOMEM: no room, or (mprotect, mlock, madvise) nothing mapped there. "
            "EEXIST: something is there. EACCES: the file does not allow it. EFAULT: a bad address.",
            "Does what the call wants make sense, given what is mapped?",
        ]

    def solve(self, state: Attempt) -> str:
        """Why."""
        return state.why


class Counted(NamedTuple):
    """Some calls, and the counter that is asked for."""

    steps: tuple[Step, ...]
    counter: str


_COUNTERS = {
    "VmSize": ("total_vm", "all pages that are mapped"),
    "VmData": ("data_vm", "pages that are private and can be written"),
    "VmLck": ("locked_vm", "pages that are locked"),
    "VmRSS": ("", "pages that are resident"),
}


class WhatTheCountersSay(Problem[Counted]):
    """How many kB does /proc/PID/status show?"""

    title = "What do the counters say?"
    form = "a number of kB"

    def pose(self, rng: random.Random) -> Counted:
        """Areas side by side, with gaps; some are touched, locked, cut."""
        steps, first = [], 0
        for _ in range(3):
            count = rng.randrange(3, 9)
            prot, memory = rng.choice(((RW, PRIVATE), (RW, PRIVATE), (READ, PRIVATE), (RW, SHARED), (EXEC, FILE)))
            steps.append(Step("mmap", first, count, prot, memory))
            if prot == RW:
                steps.append(Step(rng.choice(("write", "mlock")), first, rng.randrange(1, count + 1)))
            first += count + 2
        steps.append(Step("munmap", 0, rng.randrange(1, 3)))
        return Counted(tuple(steps), rng.choice(tuple(_COUNTERS)))

    def ask(self, state: Counted) -> str:
        """The calls and the counter."""
        return (
            f"An address space is empty. Then:\n\n{numbered(state.steps)}\n\nWhat does `/proc/PID/status` show as "
            f"`{state.counter}` ({_COUNTERS[state.counter][1]}), in kB? A page is 4 kB."
        )

    def answer(self, state: Counted) -> int:
        """Ask the model."""
        return 4 * self._pages(play(state.steps), state.counter)

    @staticmethod
    def _pages(mm: MmStruct, counter: str) -> int:
        if counter == "VmRSS":
            return mm.anon_rss + mm.file_rss + mm.shmem_rss
        return int(getattr(mm, _COUNTERS[counter][0]))

    def hints(self, state: Counted) -> list[str]:
        """What counts."""
        return [
            f"{state.counter}: {_COUNTERS[state.counter][1]}. What is unmapped counts no more.",
            "A page is resident once it was touched; locking touches all pages of the range.",
        ]

    def solve(self, state: Counted) -> str:
        """Area by area."""
        mm = play(state.steps)
        lines = [
            f"- {pages((vma.start - WINDOW) // PAGE, vma.pages)}: `{vma.perms}`"
            f"{', locked' if 'lo' in vma.letters.split() else ''}, {vma.rss} resident"
            for vma in mm.snapshot().vmas
        ]
        return "In the end:\n\n" + "\n".join(lines) + f"\n\n{self._pages(mm, state.counter)} pages of 4 kB count."


class Family(NamedTuple):
    """Calls, and what is asked of the child that is forked then."""

    steps: tuple[Step, ...]
    asked: str


_ASKED = {
    "map_count": "How many areas has the child",
    "locked_vm": "How many locked pages (VmLck) has the child",
    "rss": "How many resident pages (VmRSS) has the child",
}


class WhatTheChildHas(Problem[Family]):
    """What does fork copy?"""

    title = "What does the child have?"
    form = "a number of areas or pages"

    def pose(self, rng: random.Random) -> Family:
        """Four areas, of which some are written, locked, or not to be forked."""
        steps: list[Step] = []
        first = 0
        for memory, deed in (
            (PRIVATE, "write"), (PRIVATE, "mlock"), (SHARED, "write"), (PRIVATE, "dontfork"), (FILE, "read"),
        ):  # fmt: skip
            if rng.random() < 0.75 or not steps:
                count = rng.randrange(2, 7)
                steps.append(Step("mmap", first, count, READ if memory == FILE else RW, memory))
                steps.append(Step(deed, first, count if deed == "dontfork" else rng.randrange(1, count + 1)))
                first += count + 2
        return Family(tuple(steps), rng.choice(("map_count", "rss", "map_count", "rss", "locked_vm")))

    def ask(self, state: Family) -> str:
        """What the parent did, and the question."""
        return (
            f"A process with an empty address space does this:\n\n{numbered(state.steps)}\n\nThen it forks. "
            f"{_ASKED[state.asked]}, before it touches anything?"
        )

    def answer(self, state: Family) -> int:
        """Fork, and look."""
        child = play(state.steps).fork()
        if state.asked == "rss":
            return child.anon_rss + child.file_rss + child.shmem_rss
        return int(getattr(child, state.asked))

    def hints(self, state: Family) -> list[str]:
        """What is not copied."""
        return [
            "Areas with MADV_DONTFORK are missing in the child, and nothing is locked there.",
            "Page table entries are copied only for areas that have an anon_vma: those with private memory that was "
            "written to. Other pages can be found again when they are touched.",
        ]

    def solve(self, state: Family) -> str:
        """What the child has."""
        child = play(state.steps).fork()
        lines = [
            f"- {pages((vma.start - WINDOW) // PAGE, vma.pages)}: `{vma.perms}`, {vma.rss} resident"
            for vma in child.snapshot().vmas
        ]
        return "The child:\n\n" + "\n".join(lines)
