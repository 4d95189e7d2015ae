"""The bench of the page fault lab: a machine with a process of eight pages, its children, and a file."""

from __future__ import annotations

from typing import Any

from mmkit.errors import FatalSignal
from mmkit.model import vmaflags as f
from mmkit.model.machine import Machine, Process
from mmkit.model.machine.window import window_state
from mmkit.model.machinestate import FaultState
from mmkit.model.trace import Trace
from mmkit.record import Record, field

BASE, PAGE, PAGES, MOST = 0x1000_0000, 4096, 8, 4
CONTENT = b"".join(bytes([letter]) * PAGE for letter in b"PQRS")
FIXED = f.MAP_FIXED
"""Pages 0 to 3 are anonymous, 4 and 5 show a file privately, 6 and 7 share its first two pages."""


class FaultBenchState(Record):
    """What the timeline keeps."""

    faults: FaultState
    pid: int
    """Of the process that acts."""
    done: tuple[tuple[str, tuple[Any, ...]], ...] = field(repr=False)


class FaultBench:
    """Processes that touch eight pages; each method returns what came of it, in words."""

    def __init__(self, state: FaultBenchState | None = None, trace: Trace | None = None) -> None:
        self.machine = Machine("X86_64", "64MiB")
        self.file = self.machine.create_file("/data", CONTENT)
        self.pid, self.told = self._start().pid, ""
        self.touched: tuple[int, int] | None = None
        self.letters = 0
        self.done: list[tuple[str, tuple[Any, ...]]] = []
        for name, arguments in state.done if state else ():
            getattr(self, name)(*arguments)
        self.listen(trace)

    def _start(self) -> Process:
        """Start a process that has the eight pages mapped."""
        first, rw = self.machine.spawn("parent"), f.PROT_READ | f.PROT_WRITE
        first.mm.mmap(BASE, 4 * PAGE, rw, f.MAP_PRIVATE | f.MAP_ANONYMOUS | FIXED)
        for page, share in ((4, f.MAP_PRIVATE), (6, f.MAP_SHARED)):
            first.mm.mmap(BASE + page * PAGE, 2 * PAGE, rw, share | FIXED, self.file.open("rw"))
        return first

    def listen(self, trace: Trace | None) -> None:
        """Tell this trace what happens from now on."""
        self.machine.trace = trace
        for space in self.machine.spaces:
            space.trace = trace
        for cpu in self.machine.cpus:
            cpu.mmu.trace = trace

    @property
    def process(self) -> Process:
        """The process that acts."""
        return self.machine.processes[self.pid]

    def snapshot(self) -> FaultBenchState:
        """Return the frozen state."""
        state = window_state(self.machine, BASE, PAGES, self.touched, self.told)
        return FaultBenchState(state, self.pid, tuple(self.done))

    def _did(self, name: str, arguments: tuple[Any, ...], told: str, touched: tuple[int, int] | None = None) -> str:
        self.done.append((name, arguments))
        self.told, self.touched = told, touched
        return told

    def touch(self, page: int, write: bool) -> str:
        """Read or write the first byte of a page; a write leaves a letter there, the next one each time."""
        process, addr = self.process, BASE + page * PAGE
        before = process.mm.min_flt + process.mm.maj_flt
        letter = chr(ord("A") + self.letters % 26)
        try:
            if write:
                process.write(addr, letter.encode())
                self.letters += 1
                what = f"{letter} is written"
            else:
                byte = process.read(addr, 1)
                what = f"{chr(byte[0])!r} is read" if byte[0] else "a zero is read"
        except FatalSignal as signal:
            last = len(self.machine.processes) == 0
            self._let_go(process.pid)
            more = " It was the last one; another begins." if last else ""
            return self._did("touch", (page, write), f"Process {process.pid} is killed: {signal}.{more}")
        faults = process.mm.min_flt + process.mm.maj_flt - before
        cost = "one page fault" if faults == 1 else f"{faults} page faults" if faults else "no fault"
        return self._did("touch", (page, write), f"Page {page}: {what}, {cost}.", (process.pid, page))

    def _let_go(self, pid: int) -> None:
        """A process is gone: another one acts, a new one if there is none."""
        if not self.machine.processes:
            self.pid = self._start().pid
        elif pid == self.pid:
            self.pid = min(self.machine.processes)

    def fork(self) -> str:
        """Start a child. Raises ValueError if there are as many as can be drawn."""
        if len(self.machine.processes) >= MOST:
            raise ValueError(f"{MOST} processes are as many as can be drawn: let one end first")
        child = self.process.fork()
        child.name = "child"
        shared = "what was written, if anything, is shared and write-protected"
        told = f"Process {child.pid} is a child of {self.pid}: {shared}."
        return self._did("fork", (), told)

    def exit(self) -> str:
        """End the process that acts. Raises ValueError for the last one."""
        if len(self.machine.processes) == 1:
            raise ValueError("this is the last process: it stays")
        pid = self.pid
        self.process.exit()
        self._let_go(pid)
        return self._did("exit", (), f"Process {pid} has ended; its pages have one user less.")

    def switch(self, pid: int) -> str:
        """Let another process act."""
        if type(pid) is not int or pid not in self.machine.processes:
            known = ", ".join(map(str, self.machine.processes))
            raise ValueError(f"there is no process {pid!r}: choose one of {known}")
        self.pid = pid
        return self._did("switch", (pid,), f"Process {pid} acts now.")

    def drop(self, page: int) -> str:
        """Throw a page away (MADV_DONTNEED)."""
        self.process.mm.madvise(BASE + page * PAGE, PAGE, f.MADV_DONTNEED)
        return self._did("drop", (page,), f"Page {page} is thrown away (MADV_DONTNEED): nothing stands behind it.")

    def protect(self, page: int, write: bool) -> str:
        """Take the right to write a page away, or give it back."""
        prot = f.PROT_READ | (f.PROT_WRITE if write else 0)
        self.process.mm.mprotect(BASE + page * PAGE, PAGE, prot)
        return self._did("protect", (page, write), f"Page {page} may {'' if write else 'not '}be written.")
