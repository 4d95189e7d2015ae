"""What the VMA lab begins with, what can be mapped there, and the state that its timeline keeps."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from mmkit.lab.vmamenus import ANONYMOUS, PAGE, PROTS
from mmkit.lab.vmaprograms import load, work
from mmkit.model import vmaflags as f
from mmkit.model.trace import Event
from mmkit.model.vma import MmStruct
from mmkit.model.vma.lookup import lookup
from mmkit.model.vmastate import MmState, TasksState, TaskState, TreeState
from mmkit.record import Record, field, replace

FILES = {
    "book": ("/home/you/book", 100_000, "ext4", (8, 1), 17),
    "board": ("/dev/shm/board", 32_768, "tmpfs", (0, 26), 5),
}
"""What can be mapped: path, bytes, file system, device, inode."""
MODES = ("r", "rw")


def _side_by_side(mm: MmStruct) -> MmStruct:
    """Three areas of four pages, the outer two written to, with gaps of four pages between them."""
    start, flags = 0x1000_0000, f.MAP_PRIVATE | f.MAP_ANONYMOUS | f.MAP_FIXED
    for page in (0, 8, 16):
        mm.mmap(start + page * PAGE, 4 * PAGE, PROTS["rw-"], flags)
    for page in (0, 16):
        mm.touch(start + page * PAGE, write=True)
    return mm


STAGES: dict[str, Callable[[MmStruct], MmStruct]] = {
    "python, just loaded": load,
    "python at work": lambda mm: work(load(mm)),
    "areas side by side": _side_by_side,
    "an empty address space": lambda mm: mm,
}
"""What the lab can begin with."""


class Looked(Event):
    """A search has looked at one more node; ``words`` say what it saw."""

    name: ClassVar[str] = "looked"
    words: str


class BenchState(Record):
    """All tasks and their memory, frozen, and from what it came."""

    stage: str
    tasks: TasksState
    pid: int
    """Of the task whose calls are made."""
    opened: tuple[str, ...]
    """The open files, by number from 1, in words."""
    stretch: tuple[int, int] | None
    """The addresses that the last call was about."""
    search: tuple[str, int, int] | None
    """What was searched in, which address, and at how many nodes the search has looked so far."""
    done: tuple[tuple[str, tuple[Any, ...]], ...] = field(repr=False)
    """What was done since the beginning, from which it can be done again."""

    @property
    def task(self) -> TaskState:
        """The task whose calls are made."""
        return next(task for task in self.tasks.tasks if task.pid == self.pid)

    @property
    def mm(self) -> MmState:
        """Its address space."""
        return self.tasks.mms[self.task.mm]

    def tree(self, kind: str) -> TreeState:
        """Return the areas as ``kind``, with the search as far as it has come, if it is one in that."""
        if self.search is None or self.search[0] != kind:
            return lookup(self.mm, kind)
        tree = lookup(self.mm, kind, self.search[1])
        seen = tree.visits[: self.search[2]]
        return tree if seen == tree.visits else replace(tree, visits=seen, found=None, over=False)


def open_name(number: int) -> str:
    """Return what the menu calls an open file."""
    return f"open file {number}"


def anew(key: str, mode: str) -> str:
    """Return what the menu calls a file that is to be opened."""
    return f"{key} ({mode})"


def memories(opened: tuple[str, ...]) -> dict[str, str]:
    """Return what the menu of memory offers, by its words: nothing, each file opened anew, each open file."""
    offered = {"nothing (anonymous)": ANONYMOUS}
    for key in FILES:
        for mode in MODES:
            offered[f"{FILES[key][0]}, opened anew ({mode})"] = anew(key, mode)
    return offered | {f"open file {number}: {words}": open_name(number) for number, words in enumerate(opened, 1)}
