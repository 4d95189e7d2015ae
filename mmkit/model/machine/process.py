"""Process: a task on a machine, which reads and writes its memory through TLB, walk and page fault.

Models: struct task_struct as far as memory is concerned; kernel/fork.c, copy_process(); kernel/exit.c, do_exit()
(Linux 6.18). Leaves out: everything else that a process is.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from mmkit.errors import FatalSignal
from mmkit.model import vmaflags as f
from mmkit.model.machinetrace import AreaFound, SchedProcessExit, SchedProcessFork
from mmkit.model.mmu import GeneralProtection, PageFault
from mmkit.model.vma.area import OpenFile
from mmkit.model.vma.fault import area_for

if TYPE_CHECKING:
    from mmkit.model.machine.machine import Cpu, Machine
    from mmkit.model.machine.space import MachineMm

PAGE = 4096
RW = f.PROT_READ | f.PROT_WRITE
_TRIES = 3
"""An access faults once, or twice if a page is first shown, then copied."""
ANONYMOUS = f.MAP_PRIVATE | f.MAP_ANONYMOUS


class Process:
    """A task; threads of one process share ``mm``. System calls are methods of ``mm``, some with a short form here."""

    def __init__(
        self, machine: Machine, pid: int, tgid: int, parent: int, name: str, mm: MachineMm, address: int
    ) -> None:  # fmt: skip
        self.machine, self.pid, self.tgid, self.parent, self.name, self.mm = machine, pid, tgid, parent, name, mm
        self.address = address
        """Where its task_struct is."""
        self.killed: FatalSignal | None = None
        self.oom_score_adj = 0
        """Points that are added when a process has to die, from -1000 (never) to 1000 (first)."""

    def __repr__(self) -> str:
        return f"<Process {self.pid} {self.name}>"

    @property
    def alive(self) -> bool:
        """Whether it has not ended."""
        return self.machine.processes.get(self.pid) is self

    # -- memory -------------------------------------------------------------------------------------------------------

    def mmap(self, length: int, prot: int = RW, flags: int = ANONYMOUS, file: OpenFile | None = None, offset: int = 0,
             addr: int = 0) -> int:  # fmt: skip
        """Map memory, private and anonymous if nothing else is said; returns the address. Raises MmError."""
        self._must_live()
        return self.mm.mmap(addr, length, prot, flags, file, offset)

    def read(self, addr: int, count: int = 1, cpu: int = 0) -> bytes:
        """Return ``count`` bytes from ``addr`` on. Raises FatalSignal, and the process is dead then."""
        frames = self.machine.frames
        return b"".join(frames.read(phys, part) for phys, part in self._pieces(addr, count, "r", cpu))

    def write(self, addr: int, data: bytes, cpu: int = 0) -> None:
        """Write bytes from ``addr`` on. Raises FatalSignal, and the process is dead then; pages before are written."""
        done = 0
        for phys, part in self._pieces(addr, len(data), "w", cpu):
            self.machine.frames.write(phys, data[done : done + part])
            done += part

    def exec(self, addr: int, cpu: int = 0) -> int:
        """Fetch one byte as an instruction and return it. Raises FatalSignal, and the process is dead then."""
        ((phys, part),) = self._pieces(addr, 1, "x", cpu)
        return self.machine.frames.read(phys, part)[0]

    def _pieces(self, addr: int, count: int, access: str, cpu: int) -> Iterator[tuple[int, int]]:
        """Yield the physical addresses of a stretch, page by page, with how many bytes are in each.

        Each is to be used at once: the fault for the next page may take its frame away.
        """
        self._must_live()
        processor, end = self.machine.cpus[cpu], addr + count
        processor.load(self.mm)
        while addr < end:
            part = min(end - addr, PAGE - addr % PAGE)
            yield self._translate(processor, addr, access), part
            addr += part

    def _translate(self, cpu: Cpu, addr: int, access: str) -> int:
        """Let the MMU translate; serve the faults that it raises, and let it try again."""
        for _ in range(_TRIES):
            try:
                return cpu.mmu.translate(addr, access, user=True)
            except (PageFault, GeneralProtection):
                self.page_fault(addr, access)
        raise AssertionError(f"the fault at {addr:#x} was served, and comes again")

    def touch(self, addr: int, write: bool = False, cpu: int = 0) -> None:
        """Read or write one byte, which stays as it is. Raises FatalSignal; the process lives on, as after EFAULT."""
        self._must_live()
        processor = self.machine.cpus[cpu]
        processor.load(self.mm)
        for _ in range(_TRIES):
            try:
                processor.mmu.translate(addr, "w" if write else "r", user=True)
            except (PageFault, GeneralProtection):
                self._serve(addr, "w" if write else "r")
            else:
                return

    def page_fault(self, addr: int, access: str) -> None:
        """Serve a fault. Raises FatalSignal if that cannot be: the process is killed by it."""
        try:
            self._serve(addr, access)
        except FatalSignal as signal:
            if self.alive:
                self.killed = signal
                self.exit()
            raise

    def _serve(self, addr: int, access: str) -> None:
        vma = area_for(self.mm, addr, access)
        self.mm.tell(AreaFound, addr, vma.vm_start, vma.perms, access == "w")
        self.mm.with_memory(lambda: self.mm.fault_in(vma, addr, access == "w"))

    # -- life ---------------------------------------------------------------------------------------------------------

    def fork(self) -> Process:
        """Start a child with a copy of the address space, in which pages are shared until one writes."""
        self._must_live()

        def once() -> Process:
            space = self.mm.twin_with_pages()
            self.machine.spaces.append(space)
            return self.machine.add(space, self.name, self.tgid)

        child = self.mm.with_memory(once)
        child.oom_score_adj = self.oom_score_adj
        self.mm.tell(SchedProcessFork, self.pid, child.pid)
        return child

    def clone_thread(self) -> Process:
        """Start another thread, which uses the same address space."""
        self._must_live()
        self.mm.get()
        return self.machine.add(self.mm, self.name, self.parent, self.tgid)

    def exit(self) -> None:
        """End this task; with the last one that uses it the address space goes, and all its memory."""
        self._must_live()
        self.mm.tell(SchedProcessExit, self.pid)
        del self.machine.processes[self.pid]
        self.machine.objects.free("task_struct", self.address)
        self.mm.put()

    def _must_live(self) -> None:
        if not self.alive:
            raise ValueError(f"process {self.pid} has ended")
