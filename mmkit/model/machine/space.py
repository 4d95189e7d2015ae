"""MachineMm: an address space with page tables in a machine's memory.

Models: struct mm_struct (include/linux/mm_types.h, Linux 6.18) with its ``pgd``; mm/mmap.c, exit_mmap(). Leaves out:
locks; user page tables of page-table isolation.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING, Any, TypeVar

from mmkit.model.machine.faults import fault_in
from mmkit.model.machine.objects import CountedIndex
from mmkit.model.machine.pages import PtePages, mark_accessed
from mmkit.model.pageflags import PageFlags
from mmkit.model.pgtable import PageTable
from mmkit.model.vma.area import OpenFile, Vma
from mmkit.model.vma.mm import MmStruct
from mmkit.model.vma.resident import ZERO

if TYPE_CHECKING:
    from mmkit.model.machine.machine import Machine

T = TypeVar("T")
Call = TypeVar("Call", bound=Callable[..., Any])


def _with_memory(call: Call) -> Call:
    """Let a system call that found no memory be done again when some was reclaimed: it has changed nothing then."""

    @wraps(call)
    def again(self: MachineMm, *arguments: Any, **named: Any) -> Any:
        return self.with_memory(lambda: call(self, *arguments, **named))

    return again  # type: ignore[return-value]


class MachineMm(MmStruct):
    """An address space on ``machine``; settings are those of MmStruct. ``asid`` is its number in TLBs."""

    mmap, munmap, mremap = _with_memory(MmStruct.mmap), _with_memory(MmStruct.munmap), _with_memory(MmStruct.mremap)
    mprotect, madvise, brk = _with_memory(MmStruct.mprotect), _with_memory(MmStruct.madvise), _with_memory(MmStruct.brk)
    mlock2, munlock = _with_memory(MmStruct.mlock2), _with_memory(MmStruct.munlock)

    def __init__(self, machine: Machine, **settings: Any) -> None:
        super().__init__(machine.arch, **({"trace": machine.trace, "thp": False} | settings))
        self.machine, self.asid = machine, machine.new_asid()
        self.address = machine.objects.alloc("mm_struct")
        try:
            self.table = PageTable(machine.arch, machine.memory, words=machine.words, trace=machine.trace)
        except MemoryError:
            machine.objects.free("mm_struct", self.address)
            raise
        self.index: CountedIndex = CountedIndex(machine.objects, machine.page_cache)
        self.find_vma = self.index.find
        self.resident = self.pages = PtePages(self)
        self.min_flt = self.maj_flt = 0
        self._child: MachineMm | None = None

    @property
    def pgd(self) -> int:
        """Physical address of the root table."""
        return self.table.cr3

    @property
    def nr_pgtables(self) -> int:
        """Pages that its tables take, without the root (mm_pgtables_bytes())."""
        return self.table.nr_tables - 1

    def twin(self, **settings: Any) -> MachineMm:
        """Return an empty address space of the same machine."""
        self._child = MachineMm(self.machine, **settings)
        return self._child

    def twin_with_pages(self) -> MachineMm:
        """Return the address space of a child (fork()). Raises OutOfMemory; what there was of it is given back then."""
        self._child = None
        try:
            self.fork()
        except MemoryError:
            if self._child is not None:
                self._child.put()
            raise
        assert self._child is not None
        return self._child

    def count_fault(self, major: bool) -> None:
        """Count a fault that was served."""
        for counting in (self, self.machine):
            if major:
                counting.maj_flt += 1
            else:
                counting.min_flt += 1

    def with_memory(self, do: Callable[[], T]) -> T:
        """Do what needs memory; where there is none, let the machine reclaim some, or kill.

        Raises OutOfMemory if that does not help, FatalSignal SIGKILL if it was this process that had to die.
        """
        return self.machine.reclaim.with_memory(do, self)

    def fault_in(self, vma: Vma, addr: int, write: bool) -> bool:
        """Make the page at ``addr`` usable; returns whether that took a fault. Raises FatalSignal, OutOfMemory."""
        return fault_in(self, vma, addr, write)

    def populate_page(self, vma: Vma, addr: int, write: bool) -> None:
        """Make a page resident that nobody touches: it counts as used all the same (FOLL_TOUCH of mm/gup.c)."""
        self.with_memory(lambda: self.fault_in(vma, addr, write))
        page = addr >> 12
        if self.pages.kind(page) in (None, ZERO):
            return
        struct = self.pages.struct_page(page)
        if write and not self.table.format.dirty(self.pages.raw(page), self.pages.last):
            struct.set_flags(PageFlags.dirty)
        mark_accessed(struct, self.machine.lru)

    def change_lock(self, start: int, end: int) -> None:
        """The pages of [start, end) are locked from now on, or not any more (mlock_vma_pages_range())."""
        for page, kind in list(self.pages.within(start, end)):
            if kind != ZERO:
                self.machine.settle(self.pages.struct_page(page))

    def free_tables(self, start: int, end: int) -> None:
        """Free the tables of [start, end), where no area is any more, but not those of the areas next to it."""
        below, above = self.index.before(start), self.index.find(end)
        self.table.free_range(start, end, below.vm_end if below else 0, above.vm_start if above else 1 << 64)
        self.index.free_removed()

    def free_empty_tables(self, start: int, end: int) -> None:
        """Free tables of the last level for parts of [start, end) that are empty (try_to_free_pte())."""
        if self.rules.frees_empty_tables:
            self.table.free_empty(start, end)

    def copy_pages(self, child: MmStruct, vma: Vma) -> None:
        """Share the pages of an area with a child, write-protected."""
        assert isinstance(child, MachineMm)
        self.pages.copy_to(child, vma)

    def change_protection(self, vma: Vma, start: int, end: int) -> None:
        """Let the entries of [start, end) have the area's rights."""
        self.pages.change_protection(vma, start, end)

    def lazy_free(self, start: int, end: int) -> None:
        """Let own pages of [start, end) be free for the taking."""
        self.pages.lazy_free(start, end)

    def punch(self, file: OpenFile, first: int, last: int) -> None:
        """Take pages of a file away, wherever on the machine they are mapped."""
        for space in self.machine.spaces:
            MmStruct.punch(space, file, first, last)
        self.machine.page_cache.drop(file.file, first, last)

    def put(self) -> None:
        """One user less; with the last one everything is given back (exit_mmap())."""
        super().put()
        if not self.mm_users:
            self.table.free()
            self.machine.forget(self)
            self.machine.objects.free("mm_struct", self.address)
