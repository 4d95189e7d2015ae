"""Calls that change an address space, as the problems of chapter 07 tell them and the model carries them out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from mmkit.model import vmaflags as f
from mmkit.model.vma import File, MmStruct

PAGE = 4096
WINDOW = 0x1000_0000
"""Where page 0 of the problems lies: they count pages from here."""
NONE, READ, RW, EXEC, ALL = 0, f.PROT_READ, f.PROT_READ | f.PROT_WRITE, f.PROT_READ | f.PROT_EXEC, 7
RIGHTS = {
    NONE: "no access", READ: "read only", RW: "read and write", EXEC: "read and execute",
    ALL: "read, write and execute",
}  # fmt: skip
PRIVATE = "private, anonymous"
SHARED = "shared, anonymous"
FILE = "private, a file"
REOPENED = "private, the same file, opened again"


class Step(NamedTuple):
    """One call: which, on which pages of the window, with what."""

    call: str
    """"mmap", "munmap", "mprotect", "mlock", "dontfork", "write" or "read"."""
    first: int
    length: int = 1
    """In pages."""
    prot: int = RW
    memory: str = PRIVATE
    offset: int = 0
    """Page of the file that the first page shows."""

    def __str__(self) -> str:
        return _WORDS[self.call](self)


def pages(first: int, count: int) -> str:
    """Return "page 4" or "pages 4 to 7"."""
    return f"page {first}" if count == 1 else f"pages {first} to {first + count - 1}"


def _mmap_words(step: Step) -> str:
    file_pages = f", from its page {step.offset} on" if step.memory in (FILE, REOPENED) else ""
    return f"`mmap` {pages(step.first, step.length)}: {RIGHTS[step.prot]}; {step.memory}{file_pages}"


_WORDS: dict[str, Callable[[Step], str]] = {
    "mmap": _mmap_words,
    "munmap": lambda step: f"`munmap` {pages(step.first, step.length)}",
    "mprotect": lambda step: f"`mprotect` {pages(step.first, step.length)}: {RIGHTS[step.prot]}",
    "mlock": lambda step: f"`mlock` {pages(step.first, step.length)}",
    "dontfork": lambda step: f"`madvise(MADV_DONTFORK)` {pages(step.first, step.length)}",
    "write": lambda step: f"write to {pages(step.first, step.length)}",
    "read": lambda step: f"read {pages(step.first, step.length)}",
}


def numbered(steps: Sequence[object]) -> str:
    """Return the steps as a numbered list in Markdown."""
    return "\n".join(f"{number}. {step}" for number, step in enumerate(steps, 1))


class Player:
    """Carries out steps on an empty address space; ``opened`` are the openings of the one file that there is."""

    def __init__(self) -> None:
        self.mm = MmStruct()
        file = File("/data", 1 << 20)
        self.opened = {FILE: file.open("rw"), REOPENED: file.open("rw")}

    def play(self, steps: Sequence[Step]) -> MmStruct:
        """Carry out the steps, and return the address space."""
        for step in steps:
            self._do(step)
        return self.mm

    def _do(self, step: Step) -> None:
        mm, start, length = self.mm, WINDOW + step.first * PAGE, step.length * PAGE
        match step.call:
            case "mmap":
                file = self.opened.get(step.memory)
                kind = f.MAP_SHARED if step.memory == SHARED else f.MAP_PRIVATE
                flags = kind | f.MAP_FIXED | (0 if file else f.MAP_ANONYMOUS)
                mm.mmap(start, length, step.prot, flags, file, step.offset * PAGE)
            case "munmap":
                mm.munmap(start, length)
            case "mprotect":
                mm.mprotect(start, length, step.prot)
            case "mlock":
                mm.mlock(start, length)
            case "dontfork":
                mm.madvise(start, length, f.MADV_DONTFORK)
            case _:
                for address in range(start, start + length, PAGE):
                    mm.touch(address, write=step.call == "write")


def play(steps: Sequence[Step]) -> MmStruct:
    """Return the address space that the steps make of an empty one."""
    return Player().play(steps)


def listed(mm: MmStruct) -> str:
    """Return the areas in the window as a Markdown list, in pages."""
    lines = []
    for vma in mm.snapshot().vmas:
        lines.append(f"- {pages((vma.start - WINDOW) // PAGE, vma.pages)}: `{vma.perms}`")
    return "\n".join(lines)
