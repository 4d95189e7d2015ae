"""The bench of the VMA lab: processes and threads, the files that they map, and what was done with them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from mmkit.errors import FatalSignal, MmError
from mmkit.lab.vmamenus import ADVICE, ANONYMOUS, EXTRAS, PAGE, PLACES, PROTS, REMAPS, SHARING, Request, choice
from mmkit.lab.vmaprograms import loader, python
from mmkit.lab.vmastage import FILES, MODES, STAGES, BenchState, Looked, anew, open_name
from mmkit.model import vmaflags as f
from mmkit.model.trace import Event, Trace
from mmkit.model.vma import File, MmStruct
from mmkit.model.vma.area import OpenFile
from mmkit.model.vma.lookup import lookup
from mmkit.model.vma.resident import ANON
from mmkit.model.vma.task import Task, Tasks
from mmkit.model.vmastate import MmState, TreeState
from mmkit.model.vmatrace import VmaFault
from mmkit.record import replace
from mmkit.units import format_size
from mmkit.view.parts import plural

MOST_TASKS = 12
STEPS, FAULTS = 40, 8
"""So many steps of a call are told one by one, and so many page faults among them."""
MOST_POPULATED = 4096
"""Pages that a call may make resident at once."""


class Teller(Trace):
    """Passes on what the address spaces tell, but of one call no more than a reader would follow."""

    def __init__(self) -> None:
        super().__init__()
        self.to: Trace | None = None
        self.begin()

    def begin(self) -> None:
        """A call begins."""
        self.steps = self.faults = 0

    @contextmanager
    def silence(self) -> Iterator[None]:
        """Pass nothing on for a while."""
        to, self.to = self.to, None
        yield
        self.to = to

    def emit(self, event: Event) -> None:
        """Pass it on, if it is one of the first."""
        self.steps += 1
        self.faults += isinstance(event, VmaFault)
        if self.to is not None and self.steps <= STEPS and self.faults <= FAULTS:
            self.to.emit(event)


class VmaBench:
    """Tasks, of which one makes calls; with a state, goes on from there. Raises ValueError for an unknown stage.

    Every method returns what came of it, in words. Calls raise what the model raises, MmError and FatalSignal, if that
    has changed nothing; if it has (an mprotect that reached a hole, say), the words tell it.
    """

    def __init__(
        self, stage: str = "python, just loaded", state: BenchState | None = None, trace: Trace | None = None
    ) -> None:
        self.teller = Teller()
        self._begin(state.stage if state else stage)
        for name, arguments in state.done if state else ():
            getattr(self, name)(*arguments)
        self.trace = trace

    @property
    def trace(self) -> Trace | None:
        """Who is told."""
        return self.teller.to

    @trace.setter
    def trace(self, trace: Trace | None) -> None:
        self.teller.to = trace

    def _begin(self, stage: str) -> None:
        choice(STAGES, stage, "stage")
        self.stage, self.tasks = stage, Tasks()
        self.task = self.tasks.start(STAGES[stage](MmStruct()))
        self.task.mm.trace = self.teller
        self.forked: dict[MmStruct, set[int]] = {self.task.mm: set()}
        self.files = {key: File(*row) for key, row in FILES.items()}
        self.opened: list[OpenFile] = []
        self.stretch: tuple[int, int] | None = None
        self.search: tuple[str, int, int] | None = None
        self.done: list[tuple[str, tuple[Any, ...]]] = []

    @property
    def mm(self) -> MmStruct:
        """The address space of the task whose calls are made."""
        return self.task.mm

    def begin(self, stage: str) -> str:
        """Begin anew. Raises ValueError for an unknown stage."""
        self._begin(stage)
        return f"{stage}: {self.summary}"

    @property
    def summary(self) -> str:
        """How many areas there are, and how large they are."""
        return f"{plural(self.mm.map_count, 'area')}, {format_size(self.mm.total_vm * PAGE)}"

    # -- calls --------------------------------------------------------------------------------------------------------

    def _call(self, name: str, arguments: tuple[Any, ...], do: Callable[[], str], stretch: tuple[int, int]) -> str:
        """Let ``do`` happen; what fails without a trace of it is raised, what leaves some is told."""
        before = self.mm.snapshot()
        self.teller.begin()
        try:
            words = do()
        except (MmError, FatalSignal) as error:
            if self.mm.snapshot() == before:
                raise
            words = f"{error}. What was done before it failed stays"
        self._still_forked()
        self.search = None
        self.stretch = stretch_of(*stretch)
        self.done.append((name, arguments))
        return words

    def _still_forked(self, written: tuple[int, int] = (0, 0), moved: int = 0) -> None:
        """Keep only pages that are there, none of those that were ``written`` (first, length), or those moved."""
        mm, first, last = self.mm, written[0] // PAGE, (sum(written) + PAGE - 1) // PAGE
        inside = {page for page in self.forked.get(mm, ()) if first <= page < last}
        pages = self.forked.get(mm, set()) - inside
        pages |= {page + moved // PAGE for page in inside} if moved else set()
        self.forked[mm] = {page for page in pages if mm.resident.kind(page) == ANON}

    def mmap(self, request: Request) -> str:
        """Map what is asked for. Raises ValueError for what no menu offers, or for too many pages to populate."""
        choice(PROTS, request.prot, "protection")
        choice(SHARING, request.sharing, "kind of mapping")
        choice(PLACES, request.place, "place")
        choice(EXTRAS, request.extra, "flag")
        if EXTRAS[request.extra] & (f.MAP_POPULATE | f.MAP_LOCKED):
            _few(request.length)
        file = self._open(request.memory)
        addr = 0 if PLACES[request.place] is None else request.addr
        found = addr

        def do() -> str:
            nonlocal found
            found = self.mm.mmap(addr, request.length, PROTS[request.prot], request.flags, file, request.offset)
            self._still_forked((found, request.length))
            elsewhere = PLACES[request.place] == 0 and found != addr & -PAGE
            return f"mmap returns {found:#x}{', since the hint was not free' * elsewhere}: {self.summary}"

        words = self._call("mmap", (request,), do, (addr, request.length))
        self.stretch = stretch_of(found, request.length)
        if file is not None and file not in self.opened:
            self.opened.append(file)
        return words

    def _open(self, memory: str) -> OpenFile | None:
        openings = {anew(key, mode): (self.files[key], mode) for key in FILES for mode in MODES}
        opened = {open_name(number): file for number, file in enumerate(self.opened, 1)}
        choice({ANONYMOUS: None, **openings, **opened}, memory, "memory")
        if memory in openings:
            file, mode = openings[memory]
            return file.open(mode)
        return opened.get(memory)

    def munmap(self, addr: int, length: int) -> str:
        """Unmap."""

        def do() -> str:
            self.mm.munmap(addr, length)
            return f"munmap returns 0: {self.summary}"

        return self._call("munmap", (addr, length), do, (addr, length))

    def mprotect(self, addr: int, length: int, prot: str) -> str:
        """Change rights. Raises ValueError for rights that the menu has not."""
        choice(PROTS, prot, "protection")

        def do() -> str:
            self.mm.mprotect(addr, length, PROTS[prot])
            return f"mprotect returns 0: {plural(self.mm.map_count, 'area')}"

        return self._call("mprotect", (addr, length, prot), do, (addr, length))

    def madvise(self, addr: int, length: int, advice: str) -> str:
        """Give advice. Raises ValueError for advice that the menu has not."""
        choice(ADVICE, advice, "advice")
        if ADVICE[advice] in (f.MADV_POPULATE_READ, f.MADV_POPULATE_WRITE):
            _few(self.mm.mapped(addr, addr + length))

        def do() -> str:
            self.mm.madvise(addr, length, ADVICE[advice])
            if ADVICE[advice] == f.MADV_POPULATE_WRITE:
                self._still_forked((addr, length))
            return f"madvise returns 0: {plural(self.mm.map_count, 'area')}, {self._resident()}"

        return self._call("madvise", (addr, length, advice), do, (addr, length))

    def _resident(self) -> str:
        mm = self.mm
        return f"{plural(mm.anon_rss + mm.file_rss + mm.shmem_rss, 'page')} resident"

    def mlock(self, addr: int, length: int) -> str:
        """Lock pages into memory. Raises ValueError if there are more than the lab populates."""
        _few(self.mm.mapped(addr, addr + length))

        def do() -> str:
            self.mm.mlock(addr, length)
            self._still_forked((addr, length))
            return f"mlock returns 0: {plural(self.mm.locked_vm, 'page')} locked"

        return self._call("mlock", (addr, length), do, (addr, length))

    def munlock(self, addr: int, length: int) -> str:
        """Let pages go."""

        def do() -> str:
            self.mm.munlock(addr, length)
            return f"munlock returns 0: {plural(self.mm.locked_vm, 'page')} locked"

        return self._call("munlock", (addr, length), do, (addr, length))

    def mremap(self, addr: int, length: int, new_length: int, how: str, new_addr: int = 0) -> str:
        """Resize or move. Raises ValueError for a way that the menu has not."""
        choice(REMAPS, how, "way to remap")
        if self.mm.locked_vm:
            _few(new_length)
        fixed = bool(REMAPS[how] & f.MREMAP_FIXED)
        found = addr

        def do() -> str:
            nonlocal found
            found = self.mm.mremap(addr, length, new_length, REMAPS[how], new_addr if fixed else 0)
            moved = "moved" if found != addr else "where it was"
            if found != addr:
                self._still_forked((addr, length), found - addr)
            return f"mremap returns {found:#x}, {moved}: {self.summary}"

        words = self._call("mremap", (addr, length, new_length, how, new_addr), do, (addr, max(length, new_length)))
        if found != addr:
            self.stretch = stretch_of(found, new_length)
        return words

    def brk(self, change: int) -> str:
        """Move the end of the heap by so many bytes, upwards or (negative) downwards.

        Raises ValueError if the kernel leaves it where it is.
        """
        old = self.mm.end_brk
        if not self.mm.start_brk:
            raise ValueError("no program was loaded here, so there is no heap: begin with python")

        def do() -> str:
            new = self.mm.brk(old + change)
            if new != old + change:
                raise ValueError(
                    f"brk returns {new:#x}: the heap ends where it did, it cannot end at {old + change:#x}"
                )
            return f"brk returns {new:#x}: the heap has {format_size(new - self.mm.start_brk)}"

        return self._call("brk", (change,), do, (min(old, old + change), abs(change)))

    def touch(self, addr: int, write: bool) -> str:
        """Read or write one byte."""

        def do() -> str:
            new = self.mm.touch(addr, write)
            what = "a page fault" if new else "the page was there, no fault"
            if write:
                if not new and addr // PAGE in self.forked.get(self.mm, ()):
                    what = "a page fault, though the page was there: since a fork it may not be written without one"
                self._still_forked((addr, 1))
            return f"{'written' if write else 'read'} at {addr:#x}: {what}, {self._resident()}"

        return self._call("touch", (addr, write), do, (addr, 1))

    # -- tasks --------------------------------------------------------------------------------------------------------

    def _find(self, pid: int) -> Task:
        for task in self.tasks:
            if task.pid == pid:
                return task
        raise ValueError(f"there is no task {pid!r}: there are {', '.join(str(task.pid) for task in self.tasks)}")

    def _did(self, name: str, *arguments: Any) -> None:
        self.search = self.stretch = None
        self.done.append((name, arguments))

    def _room(self) -> None:
        if len(self.tasks) >= MOST_TASKS:
            raise ValueError(f"{MOST_TASKS} tasks are enough: let one exit first")

    def fork(self) -> str:
        """Start a child process; the calls go on in the parent."""
        self._room()
        child = self.task.fork()
        self.forked[child.mm] = {page for page, kind in child.mm.resident.items() if kind == ANON}
        self.forked[self.mm] = self.forked.get(self.mm, set()) | self.forked[child.mm]
        self._did("fork")
        return f"fork returns {child.pid}, a process with {plural(child.mm.map_count, 'area')} of its own"

    def thread(self) -> str:
        """Start a thread of the same process."""
        self._room()
        thread = self.task.clone_thread()
        self._did("thread")
        return f"clone returns {thread.pid}, a thread: {thread.mm.mm_users} share this address space now (mm_users)"

    def switch(self, pid: int) -> str:
        """Let another task make the calls. Raises ValueError if there is none of that number."""
        self.task = self._find(pid)
        self._did("switch", pid)
        return f"task {pid} makes the calls now: {self.summary}"

    def execute(self) -> str:
        """Let this process run python: other threads end, the address space is a new one."""
        self.task.execute(python(), loader(), argv=("python3",), env=("HOME=/home/you",))
        self._did("execute")
        return f"execve returns no more: python is laid out in a new address space, {self.summary}"

    def exit(self) -> str:
        """End this task; another one makes the calls then. Raises ValueError for the last one."""
        if len(self.tasks) == 1:
            raise ValueError("this is the last task; somebody has to stay: fork first")
        ending, mm = self.task, self.mm
        self.task = next(task for task in self.tasks if task is not ending)
        with self.teller.silence():  # Area after area goes with the last user; nobody is there to see it.
            ending.exit()
        self._did("exit")
        left = f"{mm.mm_users} still use its address space" if mm.mm_users else "its address space is gone with it"
        if ending.pid == ending.tgid and any(task.tgid == ending.tgid for task in self.tasks):
            left += ". That was the system call exit; a return from main makes exit_group, which ends all threads"
        return f"task {ending.pid} has ended; {left}. Task {self.task.pid} makes the calls now"

    # -- search -------------------------------------------------------------------------------------------------------

    def find(self, addr: int, kind: str) -> str:
        """Search for an address in a "list", "rbtree" or "maple". Raises ValueError for another kind."""
        tree = lookup(self.mm.snapshot(), kind, addr)
        self._did("find", addr, kind)
        self.teller.begin()
        self.stretch = stretch_of(addr, 1)
        start = 0 if len(tree.visits) <= STEPS else len(tree.visits) - 1
        for seen, visit in enumerate(tree.visits[start:], start + 1):
            self.search = kind, addr, seen
            self.teller.emit(Looked(f"{seen}. {visit.words}"))
        self.search = kind, addr, len(tree.visits)
        effort = f"{plural(len(tree.visits), 'node')}, {plural(tree.comparisons, 'comparison')}"
        return f"find_vma({addr:#x}) returns {_found(tree, addr)}; {effort}"

    def snapshot(self) -> BenchState:
        """Return the state; open files, which are what they are only here, are left out: they are opened again."""
        tasks = self.tasks.snapshot()
        tasks = replace(tasks, mms=tuple(map(_without_files, tasks.mms)))
        opened = tuple(f"{file.file.name} ({file.mode})" for file in self.opened)
        return BenchState(self.stage, tasks, self.task.pid, opened, self.stretch, self.search, tuple(self.done))


def stretch_of(start: int, length: int) -> tuple[int, int]:
    """Return whole pages, one at least."""
    first = start & -PAGE
    return first, max(first + PAGE, (start + length + PAGE - 1) & -PAGE)


def _few(length: int) -> None:
    if length > MOST_POPULATED * PAGE:
        most = format_size(MOST_POPULATED * PAGE)
        raise ValueError(f"the lab makes at most {most} resident in one call, not {format_size(length)}")


def _without_files(mm: MmState) -> MmState:
    return replace(mm, back=replace(mm.back, files=(), odd=())) if mm.back else mm


def _found(tree: TreeState, addr: int) -> str:
    if tree.found is None:
        return "NULL: no area ends above it"
    vma = tree.mm.vmas[tree.found]
    where = "which holds it" if addr in vma else "which begins above it: the address is in a gap"
    return f"the area at {vma.start:#x}, {where}"
