"""Pressure: a machine of 2 MiB whose processes want more than it has, watched page by page.

Models: Linux 6.18 with one zone, a swap device and a file; marks, lists and fates are the machine's own. Leaves out:
programs' code and stacks, so that every page that can be reclaimed is one that was asked for here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from string import ascii_uppercase

from mmkit.errors import FatalSignal
from mmkit.model import vmaflags as f
from mmkit.model.machine.machine import Machine
from mmkit.model.machine.oom import total_pages
from mmkit.model.machine.pages import mark_accessed
from mmkit.model.machine.pressurestate import Sight, Task
from mmkit.model.machine.pressuresteps import Steps
from mmkit.model.machine.process import ANONYMOUS, PAGE, RW
from mmkit.model.reclaimstate import ReclaimState
from mmkit.model.trace import Event, Trace
from mmkit.model.vma.area import OpenFile

RAM, SWAP = "2MiB", "192KiB"
FILE, FILE_PAGES, AREA_PAGES = "/data", 48, 400
NAMES = ("editor", "hog", "shell", "browser", "compiler")
FILE_USES = {"read": "calls read() for", "load": "reads through a mapping", "store": "writes through a mapping"}


class Pressure:
    """Two processes, a file on the disk and a swap device; ``told`` is called with every step, when its state is there.

    Each operation raises ValueError, and changes nothing, for a process that does not live or a page that there is
    not; OutOfMemory if memory is short and nobody may be killed.
    """

    def __init__(self, told: Callable[[Event], None] | None = None) -> None:
        self.relay = Trace()
        self.machine = Machine("X86_64", RAM, swap=SWAP, trace=self.relay)
        content = b"".join(bytes([number + 1]) * PAGE for number in range(FILE_PAGES))
        self.file = self.machine.create_file(FILE, content, cached=False)
        self.sight = Sight(self.machine, self.file)
        self.tasks = self.sight.tasks
        self.steps = Steps(self.sight)
        self.relay.listen(self.steps.hear)
        for name in NAMES[:2]:
            self.start(name)
        self.steps.told = told

    @property
    def told(self) -> Callable[[Event], None] | None:
        """Who is told of each step."""
        return self.steps.told

    @told.setter
    def told(self, told: Callable[[Event], None] | None) -> None:
        self.steps.told = told

    @property
    def total_pages(self) -> int:
        """Pages of memory and swap, against which points are measured."""
        return total_pages(self.machine)

    def snapshot(self) -> ReclaimState:
        """Return this moment, frozen."""
        return self.steps.snapshot()

    # -- what can be done ---------------------------------------------------------------------------------------------

    def start(self, name: str | None = None) -> int:
        """Start a process, with an area of its own and the file mapped; returns its pid."""
        name = NAMES[len(self.tasks) % len(NAMES)] if name is None else name
        with self._doing(f"{name} is started"):
            process = self.machine.spawn(name)
            own = process.mmap(AREA_PAGES * PAGE, RW, ANONYMOUS)
            mapping = process.mmap(FILE_PAGES * PAGE, RW, f.MAP_SHARED, OpenFile(self.file, "rw"))
            self.tasks[process.pid] = Task(process, self._called(name, process.pid), self._letter(name), own, mapping)
        return process.pid

    def _called(self, name: str, pid: int) -> str:
        return f"{name} {pid}" if any(task.process.name == name for task in self.tasks.values()) else name

    def _letter(self, name: str) -> str:
        """Return the first letter of the name, or of the alphabet, that no other process has."""
        taken = {task.letter for task in self.tasks.values()}
        return next((letter for letter in name.upper() + ascii_uppercase if letter not in taken), "?")

    def exit(self, pid: int) -> None:
        """End a process."""
        task = self.alive(pid)
        with self._doing(f"{task.called} ends"):
            task.process.exit()

    def write_new(self, pid: int, count: int) -> int:
        """Let a process write to pages that it has not had so far; returns how many it could before it was killed."""
        task = self.alive(pid)
        first = task.written
        if count < 1 or first + count > AREA_PAGES:
            raise ValueError(f"{task.called} has an area of {AREA_PAGES} pages, {first} of them written already")
        return self._use(task, "writes new", first, count)

    def use(self, pid: int, first: int, count: int, write: bool = False) -> int:
        """Let a process read or write pages that it has written before; returns how many it could."""
        task = self.alive(pid)
        self._must_have(task, first, count)
        return self._use(task, "writes" if write else "reads", first, count)

    def use_file(self, pid: int, first: int, count: int, how: str = "read") -> int:
        """Let a process use pages of the file: ``how`` is "read" for read(), "load" or "store" through its mapping."""
        task = self.alive(pid)
        if first < 0 or count < 1 or first + count > FILE_PAGES:
            raise ValueError(f"{FILE} has pages 0 to {FILE_PAGES - 1}; asked for {first} to {first + count - 1}")
        if how not in FILE_USES:
            raise ValueError(f"a file is used by one of {', '.join(FILE_USES)}, not {how!r}")
        return self._use(task, FILE_USES[how], first, count, FILE)

    def lock(self, pid: int, first: int, count: int) -> None:
        """Lock pages that a process has written into memory (mlock())."""
        task = self.alive(pid)
        self._must_have(task, first, count)
        with self._doing(f"{task.called} locks its pages"):
            task.process.mm.mlock(task.own + first * PAGE, count * PAGE)

    def set_oom_score_adj(self, pid: int, adj: int) -> None:
        """Write to ``/proc/PID/oom_score_adj``: from -1000 (never) to 1000 (first)."""
        task = self.alive(pid)
        if type(adj) is not int or not -1000 <= adj <= 1000:
            raise ValueError(f"oom_score_adj is a number from -1000 to 1000, not {adj!r}")
        task.process.oom_score_adj = adj

    def set_swappiness(self, value: int) -> None:
        """Write to ``/proc/sys/vm/swappiness``: from 0 (files' pages while there are some) to 200 (anonymous ones)."""
        if type(value) is not int or not 0 <= value <= 200:
            raise ValueError(f"swappiness is a number from 0 to 200, not {value!r}")
        self.machine.reclaim.swappiness = value

    def alive(self, pid: int) -> Task:
        """Return what there is of a process that lives."""
        task = self.tasks.get(pid) if type(pid) is int else None
        if task is None or task.end:
            raise ValueError(f"process {pid!r} does not live" + (f": it was {task.end}" if task else ""))
        return task

    @staticmethod
    def _must_have(task: Task, first: int, count: int) -> None:
        if first < 0 or count < 1 or first + count > task.written:
            have = f"its pages 0 to {task.written - 1}" if task.written else "none of its pages"
            raise ValueError(f"{task.called} has written {have} so far; asked for {first} to {first + count - 1}")

    # -- how it is done -----------------------------------------------------------------------------------------------

    @contextmanager
    def _doing(self, what: str) -> Iterator[None]:
        """Let something be done, by a process that may be killed over it."""
        self.steps.begin(what)
        try:
            yield
        except FatalSignal:
            pass
        finally:
            self.steps.end()
            self.relay.clear()

    def _use(self, task: Task, does: str, first: int, count: int, file: str = "") -> int:
        done = 0
        what = f"{does} {file}" if file else f"{does.removesuffix(' new')} its {'new ' * does.endswith('new')}pages"
        with self._doing(f"{task.called} {what}"):
            for number in range(first, first + count):
                self.steps.before(task, does, file, number)
                self._access(task, does, number, file)
                self.steps.after()
                done += 1
        return done

    def _access(self, task: Task, does: str, number: int, file: str) -> None:
        addr = (task.mapping if file else task.own) + number * PAGE
        if does == FILE_USES["read"]:
            cache, lru = self.machine.page_cache, self.machine.lru
            task.process.mm.with_memory(lambda: mark_accessed(cache.get(self.file, number)[0], lru))
        elif does.startswith("writes"):
            task.process.write(addr, bytes([number % 255 + 1]))
        else:
            task.process.read(addr)
