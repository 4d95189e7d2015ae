"""Address spaces to draw, made by the model or read from recordings, and every picture of several of them."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

from mmkit.data import recording
from mmkit.model import vmaflags as f
from mmkit.model.vma import File, MmStruct
from mmkit.model.vma.lookup import KINDS, lookup
from mmkit.model.vma.task import Tasks
from mmkit.model.vmastate import MmState, TasksState
from mmkit.view.picture import Picture
from mmkit.view.vma import AddressSpacePicture
from mmkit.view.vmachange import VmaChangePicture
from mmkit.view.vmatasks import TasksPicture
from mmkit.view.vmatree import LookupPicture

PAGE, BASE = 4096, 0x1000_0000
FIXED = f.MAP_PRIVATE | f.MAP_ANONYMOUS | f.MAP_FIXED


def window() -> MmStruct:
    """A few areas of every sort, some pages touched."""
    mm = MmStruct(name="toy")
    mm.mmap(BASE, 8 * PAGE, 3, FIXED)
    mm.mmap(BASE + 8 * PAGE, 4 * PAGE, 1, FIXED)
    poem = File("/data/poem.txt", 20 * PAGE).open("rw")
    mm.mmap(BASE + 14 * PAGE, 6 * PAGE, 3, f.MAP_PRIVATE | f.MAP_FIXED, poem, 4 * PAGE)
    mm.mmap(BASE + 22 * PAGE, 3 * PAGE, 3, f.MAP_SHARED | f.MAP_ANONYMOUS | f.MAP_FIXED)
    for page, write in ((0, True), (1, False), (5, True), (15, False), (16, True), (23, True)):
        mm.touch(BASE + page * PAGE, write)
    return mm


@cache
def history() -> tuple[MmState, ...]:
    """The window, and the window after each of three calls."""
    mm = window()
    states = [mm.snapshot()]
    mm.mprotect(BASE + 2 * PAGE, 3 * PAGE, 1)
    states.append(mm.snapshot())
    mm.munmap(BASE + 4 * PAGE, 12 * PAGE)
    states.append(mm.snapshot())
    states.append(mm.fork().snapshot())
    return tuple(states)


@cache
def crowd(count: int = 1000) -> MmState:
    """Many areas of two pages, every second one read-only."""
    mm = MmStruct(name="crowd")
    for number in range(count):
        mm.mmap(BASE + number * 3 * PAGE, 2 * PAGE, 1 + 2 * (number % 2), FIXED)
    return mm.snapshot()


def process(folder: str = "host-6.18", name: str = "python") -> MmState:
    """A recorded process."""
    return recording(folder).process(name)


@cache
def tasks(processes: int = 2, threads: int = 2) -> TasksState:
    """Processes with threads."""
    known = Tasks()
    first = known.start(window(), "server")
    parents = [first] + [first.fork() for _ in range(processes - 1)]
    for parent in parents:
        for _ in range(threads):
            parent.clone_thread()
    return known.snapshot()


def trees(mm: MmState, addr: int | None, kinds: tuple[str, ...] = KINDS) -> LookupPicture:
    """The search for an address."""
    return LookupPicture([lookup(mm, kind, addr) for kind in kinds])


def empty() -> MmState:
    """No area at all."""
    return MmStruct(name="empty").snapshot()


VMA_PICTURES: dict[str, Callable[[], Picture]] = {
    "layout empty": lambda: AddressSpacePicture(empty()),
    "layout toy": lambda: AddressSpacePicture(history()[0], addr=BASE),
    "layout toy changed": lambda: AddressSpacePicture(history()[1], history()[0]),
    "layout python": lambda: AddressSpacePicture(process()),
    "layout static": lambda: AddressSpacePicture(process("amd64-4g", "init"), addr=0x41_0000),
    "layout every kind": lambda: AddressSpacePicture(process("amd64-4g", "vmas")),
    "layout 32 bits": lambda: AddressSpacePicture(process("i386-686-2g", "vmas")),
    "layout arm": lambda: AddressSpacePicture(process("arm64-4g", "init")),
    "layout 1,000": lambda: AddressSpacePicture(crowd()),
    "change none": lambda: VmaChangePicture(history()[0]),
    "change split": lambda: VmaChangePicture(history()[1], history()[0], (BASE, BASE + 32 * PAGE)),
    "change hole": lambda: VmaChangePicture(history()[2], history()[1]),
    "change fork": lambda: VmaChangePicture(history()[3], history()[2], (BASE, BASE + 26 * PAGE)),
    "change empty": lambda: VmaChangePicture(empty()),
    "change crowd": lambda: VmaChangePicture(crowd(), empty(), (BASE, BASE + 96 * PAGE)),
    "lookup toy": lambda: trees(history()[1], BASE + 3 * PAGE),
    "lookup gap": lambda: trees(process("amd64-4g", "vmas"), 0x5000_0000),
    "lookup nothing above": lambda: trees(history()[1], 1 << 46),
    "lookup python": lambda: trees(process(), process().vmas[78].start),
    "lookup 1,000": lambda: trees(crowd(), crowd().vmas[777].start),
    "lookup none": lambda: trees(history()[0], None),
    "lookup empty": lambda: trees(empty(), 0),
    "lookup one tree": lambda: trees(process("amd64-4g", "init"), 0x1A75_D000, ("rbtree",)),
    "tasks one": lambda: TasksPicture(tasks(1, 0)),
    "tasks two": lambda: TasksPicture(tasks()),
    "tasks many": lambda: TasksPicture(tasks(8, 3)),
    "tasks none": lambda: TasksPicture(Tasks().snapshot()),
}
