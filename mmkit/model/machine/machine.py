"""Machine: physical memory, kernel objects, files, processors and processes, all in one.

Models: Linux 6.18 as far as the chapters before do. Leaves out: scheduling: a process runs where and when it is told
to.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from functools import partial
from importlib import import_module
from typing import Any

from mmkit.arch import Arch, get_arch
from mmkit.model.machine.checks import check_machine
from mmkit.model.machine.frames import Frames
from mmkit.model.machine.lru import UNEVICTABLE
from mmkit.model.machine.objects import KernelObjects
from mmkit.model.machine.pagecache import PageCache
from mmkit.model.machine.process import Process
from mmkit.model.machine.reclaim import Reclaim
from mmkit.model.machine.space import MachineMm
from mmkit.model.machine.swap import Swap
from mmkit.model.machine.workingset import SLOT, Workingset
from mmkit.model.memory import PhysicalMemory
from mmkit.model.mmu import Mmu
from mmkit.model.page import Page
from mmkit.model.pageflags import PageFlags
from mmkit.model.pgtable.words import TableWords
from mmkit.model.tlb import Tlb
from mmkit.model.trace import Trace
from mmkit.model.vma.area import File
from mmkit.model.vmaflags import VM_LOCKED
from mmkit.units import parse_size

_NO_FLUSH = 1 << 63


class Cpu:
    """A processor: its MMU with its TLB, and the address space that is loaded."""

    def __init__(self, machine: Machine, number: int) -> None:
        self.number, self.tlb = number, Tlb(64, 4, trace=machine.trace)
        self.mmu = Mmu(machine.arch, machine.words, pcid=machine.arch.word_bytes == 8, tlb=self.tlb,
                       trace=machine.trace)  # fmt: skip
        self.space: MachineMm | None = None

    def load(self, space: MachineMm) -> None:
        """Load an address space: CR3 becomes its root."""
        if self.space is not space:
            self.mmu.cr3 = space.pgd | (space.asid | _NO_FLUSH if self.mmu.pcid else 0)
            self.space = space


class Machine:
    """A machine with ``ram`` bytes of memory and ``swap`` bytes of a swap device, booted, without any process yet.

    When memory is short it reclaims pages and, as a last resort, kills; without ``reclaim`` it raises OutOfMemory.

    >>> machine = Machine("X86_64", "64MiB")
    >>> process = machine.spawn("hello")
    >>> addr = process.mmap(8192)
    >>> process.write(addr + 4090, b"across a page")
    >>> process.read(addr + 4097, 6), process.mm.min_flt, process.mm.anon_rss
    (b'a page', 2, 2)
    >>> process.exit()
    >>> machine.check()
    """

    def __init__(
        self, arch: Arch | str = "X86_64", ram: int | str = "256MiB", *, nr_cpus: int = 1, trace: Trace | None = None,
        swap: int | str = 0, reclaim: bool = True,
    ) -> None:  # fmt: skip
        self.arch, self.trace = get_arch(arch), trace
        if self.arch.name not in ("X86", "X86_PAE", "X86_64", "X86_64_LA57"):
            raise ValueError(f"a machine is an x86 one so far, not {self.arch.name}")
        self.memory = PhysicalMemory(self.arch, ram, nr_cpus=nr_cpus, trace=trace)
        self.words = TableWords(self.arch.entry_bytes, self.arch.page_shift)
        self.objects = KernelObjects(self.memory, nr_cpus)
        self.frames = Frames(self.memory)
        self.lru = self.frames.lru
        self.swap = Swap(parse_size(swap) // self.arch.page_size)
        self.workingset = Workingset(self.lru, self.swap, trace)
        self.reclaim = Reclaim(self, enabled=reclaim)
        self.rmap: defaultdict[int, list[tuple[MachineMm, int]]] = defaultdict(list)
        """Which entries lead to a frame: address spaces and page numbers, by pfn."""
        self.page_cache = PageCache(self.frames, self.workingset)
        self.spaces: list[MachineMm] = []
        self.processes: dict[int, Process] = {}
        self.min_flt = self.maj_flt = 0
        """Faults that were served, ever."""
        self._next_pid, self._next_asid = 100, 1
        self.cpus = tuple(Cpu(self, number) for number in range(nr_cpus))

    def __repr__(self) -> str:
        return f"<Machine {self.arch.name}: {len(self.processes)} processes>"

    def __iter__(self) -> Iterator[Process]:
        return iter(self.processes.values())

    def spawn(self, name: str = "a.out", **settings: Any) -> Process:
        """Return a new process with an empty address space; settings are those of MmStruct. Raises OutOfMemory."""

        def once() -> Process:
            space = MachineMm(self, name=name, **settings)
            self.spaces.append(space)
            return self.add(space, name, parent=1)

        return self.reclaim.with_memory(once)

    def add(self, space: MachineMm, name: str, parent: int, tgid: int | None = None) -> Process:
        """Return a new task that uses an address space. Raises OutOfMemory; that has one user less then."""
        try:
            address = self.objects.alloc("task_struct")
        except MemoryError:
            space.put()
            raise
        process = Process(self, self._next_pid, tgid or self._next_pid, parent, name, space, address)
        self._next_pid += 1
        self.processes[process.pid] = process
        return process

    def create_file(self, name: str, content: bytes | int = b"", kind: str = "ext4", cached: bool = True) -> File:
        """Return a new file; ``content`` is its bytes, or how many zeros. Unless ``cached`` it is on the disk only.

        Shared memory ("tmpfs") has no disk: its pages are in memory as soon as they are written.
        """
        data = content if isinstance(content, bytes) else bytes(content)
        file = File(name, len(data), kind=kind, inode=len(self.processes) + 2)
        self.page_cache.add_file(file, data)
        if kind == "ext4" and not cached:
            file.odd = set(range(file.pages))
        in_memory = cached if kind == "ext4" else isinstance(content, bytes)
        for index in range(file.pages if in_memory else 0):
            self.reclaim.with_memory(partial(self.page_cache.get, file, index))
        return file

    def new_asid(self) -> int:
        """Return a number for an address space."""
        self._next_asid = self._next_asid % 4094 + 1
        return self._next_asid

    def flush_page(self, space: MachineMm, addr: int) -> None:
        """Let no processor keep a translation of a page (flush_tlb_page())."""
        for cpu in self.cpus:
            cpu.tlb.invlpg(addr, space.asid if cpu.mmu.pcid else 0)

    def forget(self, space: MachineMm) -> None:
        """An address space is gone: no processor has it loaded, or knows its translations."""
        for cpu in self.cpus:
            cpu.tlb.flush_asid(space.asid if cpu.mmu.pcid else 0)
            if cpu.space is space:
                cpu.space = None
        self.spaces = [each for each in self.spaces if each is not space]

    # -- reclaim ------------------------------------------------------------------------------------------------------

    def rmap_of(self, page: Page) -> list[tuple[MachineMm, int]]:
        """Return the entries that lead to a frame (rmap_walk())."""
        return list(self.rmap.get(page.pfn, ()))

    def settle(self, page: Page) -> None:
        """Let a page be unevictable while a locked area maps it, and go back to the others when none does."""
        found = [(number << 12, space.index.find(number << 12)) for space, number in self.rmap_of(page)]
        locked = any(vma and vma.vm_start <= addr and vma.vm_flags & VM_LOCKED for addr, vma in found)
        if locked != bool(page.flags & PageFlags.unevictable):
            self.lru.add(page, UNEVICTABLE if locked else None)

    def pages_dirty(self, page: Page) -> bool:
        """Say whether a page, or an entry that leads to it, is dirty."""
        entries = [(space.pages.raw(number), space.pages.dirty) for space, number in self.rmap_of(page)]
        return bool(page.flags & PageFlags.dirty) or any(raw & dirty for raw, dirty in entries)

    def swap_out(self, page: Page, write: bool) -> None:
        """Let the entries of an anonymous page lead to a slot, and the page be free.

        ``write`` is False for a page that the swap cache has a slot for, which holds it still, unchanged.
        """
        slot = self.swap.slot_of(page)
        if slot is None:
            slot = self.swap.alloc()
            self.swap.cache_page(slot, page)
        if write:
            self.swap.write(slot, self.frames.read(page.pfn << 12, self.arch.page_size))
        self.workingset.evicted((SLOT, slot), page)
        for space, number in self.rmap_of(page):
            space.pages.to_swap(number, slot)
        self.swap.uncache(page)
        self.frames.put(page)

    def free_swap(self, page: Page) -> bool:
        """Give up the slot that has a page, unless an entry leads there; returns whether (folio_free_swap())."""
        slot = self.swap.slot_of(page)
        if slot is None or self.swap.users(slot):
            return False
        self.swap.uncache(page)
        # Nobody but memory has it now.
        page.set_flags(PageFlags.dirty)
        self.frames.put(page)
        return True

    def unmap_everywhere(self, page: Page) -> None:
        """Let no entry lead to a page; what they say of writes is kept. With the last owner it is free."""
        for space, number in self.rmap_of(page):
            if space.pages.raw(number) & space.pages.dirty and not page.is_anon:
                page.set_flags(PageFlags.dirty)
            space.pages.unmap_reclaimed(number)

    @property
    def proc(self) -> Any:
        """``/proc`` of this machine: ``machine.proc.read("meminfo")``; see mmkit.proc.procfs.ProcFs."""
        # By name: models do not depend on the kernel's text formats.
        return import_module("mmkit.proc.procfs").ProcFs(self)

    def check(self) -> None:
        """Raise InvariantError, with the name of the rule, if models contradict each other."""
        check_machine(self)
