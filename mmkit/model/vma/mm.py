"""MmStruct: the address space of a process, and the system calls that change it.

Models: struct mm_struct (include/linux/mm_types.h) and what mm/vma.c does with it (Linux 6.18). Leaves out: locks,
overcommit, NUMA policies, userfaultfd, page tables (a later chapter puts them under this).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from errno import EAGAIN, ENOMEM
from typing import TYPE_CHECKING, Any

from mmkit.arch import Arch, get_arch
from mmkit.errors import MmError
from mmkit.model import vmaflags as f
from mmkit.model.snapshot import MODEL, Source
from mmkit.model.vma.area import OpenFile, Vma
from mmkit.model.vma.brk import do_brk
from mmkit.model.vma.fault import fault_in, populate, touch
from mmkit.model.vma.fork import copy_areas
from mmkit.model.vma.index import VmaIndex
from mmkit.model.vma.madvise import do_madvise
from mmkit.model.vma.mlock import do_mlock, do_munlock
from mmkit.model.vma.mmap import do_mmap
from mmkit.model.vma.mprotect import do_mprotect
from mmkit.model.vma.mremap import do_mremap
from mmkit.model.vma.munmap import do_munmap
from mmkit.model.vma.resident import ANON, FILE, SHMEM, ZERO, ResidentPages
from mmkit.model.vma.rules import get_rules

if TYPE_CHECKING:
    from mmkit.model.trace import Event, Trace
    from mmkit.model.vmastate import MmState

_STATE = (
    "task_size", "mmap_base", "start_code", "end_code", "start_data", "end_data", "start_brk", "end_brk", "start_stack",
    "arg_start", "arg_end", "env_start", "env_end",
)  # fmt: skip
_COUNTERS = ("total_vm", "locked_vm", "pinned_vm", "data_vm", "exec_vm", "stack_vm")
_MIN_GAP = 128 << 20
"""At least so much is left for the stack above ``mmap_base``."""


class Ids:
    """What parents and children number together: anon_vmas, and open files in the order of their first use."""

    def __init__(self) -> None:
        self.anon_vmas = 0
        self.files: list[OpenFile] = []

    def new_anon_vma(self) -> int:
        """Return the number of a new anon_vma."""
        self.anon_vmas += 1
        return self.anon_vmas

    def number(self, file: OpenFile) -> int:
        """Return the number of an open file."""
        if file not in self.files:
            self.files.append(file)
        return self.files.index(file) + 1


class MmStruct:
    """An address space: its areas, its counters (in pages), and where its program lies.

    ``kernel`` chooses whose rules hold; ``stack_limit`` is RLIMIT_STACK in bytes; the other limits are None for
    unlimited. Addresses and lengths are bytes. A call that fails raises MmError with Linux's errno, and leaves what
    Linux leaves: nearly always nothing has changed.

    >>> mm = MmStruct()
    >>> hex(mm.mmap(0, 8192, f.PROT_READ, f.MAP_PRIVATE | f.MAP_ANONYMOUS))
    '0x7ffff7ffd000'
    >>> mm.maps()
    '7ffff7ffd000-7ffff7fff000 r--p 00000000 00:00 0 \\n'
    """

    def __init__(
        self, arch: Arch | str = "X86_64", *, name: str = "a.out", kernel: str = "6.18", stack_limit: int = 8 << 20,
        data_limit: int | None = None, as_limit: int | None = None, memlock_limit: int | None = None,
        max_map_count: int = 65530, thp: bool = True, soft_dirty: bool = False, privileged: bool = False,
        mmap_base: int | None = None, trace: Trace | None = None, ids: Ids | None = None,
    ) -> None:  # fmt: skip
        self.arch, self.name, self.rules, self.trace = get_arch(arch), name, get_rules(kernel), trace
        self.stack_limit, self.data_limit, self.as_limit = stack_limit, data_limit, as_limit
        self.memlock_limit, self.max_map_count = memlock_limit, max_map_count
        self.thp, self.soft_dirty, self.privileged = thp and self.arch.word_bytes == 8, soft_dirty, privileged
        self.stack_guard_gap, self.mmap_min_addr, self.dac_mmap_min_addr = 256 << 12, 0x10000, 0x10000
        # The latter is vm.mmap_min_addr, below which nobody may map; the former, at least as high, is what hints and
        # searches begin at.
        self.word = (1 << 8 * self.arch.word_bytes) - 1
        self.ptrs_per_pte = 1 << self.arch.levels[-1].bits
        self.ids = ids or Ids()
        for field in _STATE + _COUNTERS:
            setattr(self, field, 0)
        self.task_size = task_size_of(self.arch)
        self.mmap_base = mmap_base or self.base_below(stack_limit + self.stack_guard_gap)
        self.index, self.resident = VmaIndex(), ResidentPages()
        self.find_vma: Callable[[int], Vma | None] = self.index.find
        """Return the first area that ends above an address, or None; the address may lie before it."""
        self.mm_users = 1
        self.locked_left = 0
        """Pages that MREMAP_DONTUNMAP left counted in ``locked_vm`` although they are locked no more."""

    # Of the layout, in bytes; set by whoever loads a program.
    task_size: int
    mmap_base: int
    start_code: int
    end_code: int
    start_data: int
    end_data: int
    start_brk: int
    end_brk: int
    start_stack: int
    arg_start: int
    arg_end: int
    env_start: int
    env_end: int
    # Counters, in pages.
    total_vm: int
    locked_vm: int
    pinned_vm: int
    data_vm: int
    exec_vm: int
    stack_vm: int

    def base_below(self, room: int) -> int:
        """Return where mappings end if ``room`` bytes (128 MiB at least, 5/6 of all at most) are left for the stack."""
        return self.round_up(self.task_size - min(max(room, _MIN_GAP), self.task_size // 6 * 5))

    @property
    def legacy_base(self) -> int:
        """Where the search from below begins: a third of the address space (TASK_UNMAPPED_BASE)."""
        return self.round_up(self.task_size // 3)

    @property
    def map_count(self) -> int:
        """How many areas there are."""
        return len(self.index)

    @property
    def anon_rss(self) -> int:
        """Resident pages that are the process's own."""
        return self.resident.count(ANON)

    @property
    def file_rss(self) -> int:
        """Resident pages of files."""
        return self.resident.count(FILE)

    @property
    def shmem_rss(self) -> int:
        """Resident pages of shared memory."""
        return self.resident.count(SHMEM)

    @property
    def rss(self) -> int:
        """Resident pages of all kinds (get_mm_rss())."""
        return self.anon_rss + self.file_rss + self.shmem_rss

    def rss_of(self, vma: Vma) -> int:
        """Return how many pages of an area are resident; the zero page does not count."""
        return sum(kind != ZERO for _, kind in self.resident.within(vma.vm_start, vma.vm_end))

    @property
    def vmas(self) -> tuple[Vma, ...]:
        """The areas in order of address."""
        return tuple(self.index)

    def mmap(self, addr: int, length: int, prot: int, flags: int, file: OpenFile | None = None, offset: int = 0) -> int:
        """Map ``length`` bytes of ``file`` from ``offset`` on, or of nothing; returns the address. Raises MmError."""
        addr, length, prot, flags, offset = self._words(addr=addr, length=length, prot=prot, flags=flags, offset=offset)
        found, populated = do_mmap(self, addr, length, prot, flags, file, offset)
        if populated:
            populate(self, found, found + populated, ignore_errors=True)
        return found

    def munmap(self, addr: int, length: int) -> None:
        """Unmap [addr, addr + length). Raises MmError."""
        addr, length = self._words(addr=addr, length=length)
        do_munmap(self, addr, length)

    def mprotect(self, addr: int, length: int, prot: int) -> None:
        """Give [addr, addr + length) other rights. Raises MmError; areas below the one that failed have changed."""
        addr, length, prot = self._words(addr=addr, length=length, prot=prot)
        do_mprotect(self, addr, length, prot)

    def mremap(self, old_addr: int, old_len: int, new_len: int, flags: int = 0, new_addr: int = 0) -> int:
        """Resize or move what is mapped at ``old_addr``; returns where it is then. Raises MmError."""
        return do_mremap(
            self,
            *self._words(old_addr=old_addr, old_len=old_len, new_len=new_len, flags=flags, new_addr=new_addr),
        )

    def madvise(self, addr: int, length: int, advice: int) -> None:
        """Give advice (MADV_*) on [addr, addr + length). Raises MmError."""
        addr, length, advice = self._words(addr=addr, length=length, advice=advice)
        do_madvise(self, addr, length, advice)

    def mlock(self, addr: int, length: int) -> None:
        """Lock the pages of [addr, addr + length) into memory. Raises MmError."""
        self.mlock2(addr, length, 0)

    def mlock2(self, addr: int, length: int, flags: int) -> None:
        """Lock pages, with MLOCK_ONFAULT each one only when it is touched. Raises MmError."""
        addr, length, flags = self._words(addr=addr, length=length, flags=flags)
        do_mlock(self, addr, length, flags)

    def munlock(self, addr: int, length: int) -> None:
        """Let the pages of [addr, addr + length) be swapped out again. Raises MmError."""
        addr, length = self._words(addr=addr, length=length)
        do_munlock(self, addr, length)

    def brk(self, addr: int) -> int:
        """Move the end of the heap; returns where it is then: ``addr``, or where it was if it cannot be moved."""
        (addr,) = self._words(addr=addr)
        return do_brk(self, addr)

    def touch(self, addr: int, write: bool = False) -> bool:
        """Read or write one byte; returns whether that took a page fault. Raises FatalSignal."""
        (addr,) = self._words(addr=addr)
        return touch(self, addr, write)

    def fork(self) -> MmStruct:
        """Return the address space of a child."""
        child = self.twin(
            name=self.name, kernel=self.rules.kernel, stack_limit=self.stack_limit,
            data_limit=self.data_limit, as_limit=self.as_limit, memlock_limit=self.memlock_limit,
            max_map_count=self.max_map_count, soft_dirty=self.soft_dirty, privileged=self.privileged,
            trace=self.trace, ids=self.ids,
        )  # fmt: skip
        child.thp = self.thp
        for field in _STATE:
            setattr(child, field, getattr(self, field))
        copy_areas(self, child)
        return child

    # What page tables would follow with; a machine's address spaces have some.

    def twin(self, **settings: Any) -> MmStruct:
        """Return an empty address space of the same machine."""
        return MmStruct(self.arch, **settings)

    def fault_in(self, vma: Vma, addr: int, write: bool) -> bool:
        """Make the page at ``addr`` of an area resident; returns whether that took a fault. Raises FatalSignal."""
        return fault_in(self, vma, addr, write)

    def populate_page(self, vma: Vma, addr: int, write: bool) -> None:
        """Make a page resident as if it were touched. Raises FatalSignal."""
        self.fault_in(vma, addr, write)

    def change_lock(self, start: int, end: int) -> None:
        """The pages of [start, end) are locked from now on, or not any more."""

    def copy_pages(self, child: MmStruct, vma: Vma) -> None:
        """Give a child the resident pages of an area."""
        for page, kind in self.resident.within(vma.vm_start, vma.vm_end):
            child.resident.put(page, kind)

    def change_protection(self, vma: Vma, start: int, end: int) -> None:
        """The rights of [start, end), a part of an area, have changed."""

    def free_tables(self, start: int, end: int) -> None:
        """Nothing is mapped in [start, end) any more."""

    def free_empty_tables(self, start: int, end: int) -> None:
        """The pages of [start, end) were thrown away (MADV_DONTNEED)."""

    def lazy_free(self, start: int, end: int) -> None:
        """The own pages of [start, end) may be freed when memory is short (MADV_FREE)."""

    def get(self) -> MmStruct:
        """One more thread uses it."""
        self.mm_users += 1
        return self

    def put(self) -> None:
        """One thread less uses it; with the last one all areas go. Raises ValueError if nobody uses it."""
        if not self.mm_users:
            raise ValueError("nobody uses this address space any more")
        self.mm_users -= 1
        if not self.mm_users:
            do_munmap(self, 0, self.task_size)

    def hint(self, addr: int) -> int:
        """Return a hint as mmap() takes it: rounded down, and not below mmap_min_addr."""
        addr &= ~0xFFF
        return max(addr, self.mmap_min_addr) if addr else 0

    def round_up(self, length: int) -> int:
        """Return ``length`` rounded up to whole pages, in a machine word: too much wraps around to 0."""
        return (length + 0xFFF) & ~0xFFF & self.word

    def mapped(self, start: int, end: int) -> int:
        """Return how many bytes of [start, end) are mapped."""
        return sum(min(v.vm_end, end) - max(v.vm_start, start) for v in self.index.overlapping(start, end))

    def account(self, flags: int, pages: int) -> None:
        """Count ``pages`` more (vm_stat_account())."""
        self.total_vm += pages
        if counter := self.counter_of(flags):
            setattr(self, counter, getattr(self, counter) + pages)

    @staticmethod
    def counter_of(flags: int) -> str:
        """Return which counter pages with these flags are counted in, beside ``total_vm``; empty if in none."""
        if flags & (f.VM_EXEC | f.VM_WRITE | f.VM_GROWSDOWN) == f.VM_EXEC:
            return "exec_vm"
        if flags & f.VM_GROWSDOWN:
            return "stack_vm"
        return "data_vm" if flags & (f.VM_WRITE | f.VM_SHARED) == f.VM_WRITE else ""

    def limit_space(self, flags: int, length: int, replaced: int = 0, instead_of: int = 0) -> None:
        """Raise MmError ENOMEM if ``length`` bytes more are over RLIMIT_AS or RLIMIT_DATA (may_expand_vm())."""
        if self.as_limit is not None and (self.total_vm << 12) + length - replaced > self.as_limit and not instead_of:
            raise MmError(ENOMEM, f"{length:#x} bytes more are over RLIMIT_AS, {self.as_limit:#x}")
        is_data = flags & (f.VM_WRITE | f.VM_SHARED | f.VM_GROWSDOWN) == f.VM_WRITE
        was_data = instead_of & (f.VM_WRITE | f.VM_SHARED | f.VM_GROWSDOWN) == f.VM_WRITE
        if self.data_limit is not None and is_data and not was_data and (self.data_vm << 12) + length > self.data_limit:
            raise MmError(ENOMEM, f"{length:#x} bytes of data more are over RLIMIT_DATA, {self.data_limit:#x}")

    def limit_locked(self, flags: int, length: int) -> None:
        """Raise MmError EAGAIN if ``length`` bytes of locked memory more are over RLIMIT_MEMLOCK."""
        limit = self.memlock_limit
        if flags & f.VM_LOCKED and limit is not None and (self.locked_vm << 12) + length > limit:
            raise MmError(EAGAIN, f"{length:#x} locked bytes more are over RLIMIT_MEMLOCK, {limit:#x}")

    def limit_mlock(self, start: int, size: int) -> None:
        """Raise MmError ENOMEM if locking these bytes is over RLIMIT_MEMLOCK; what is locked already counts once."""
        if self.memlock_limit is None:
            return
        again = sum(
            min(vma.vm_end, start + size) - max(vma.vm_start, start)
            for vma in self.index.overlapping(start, start + size)
            if vma.vm_flags & f.VM_LOCKED
        )
        if (self.locked_vm << 12) + size - again > self.memlock_limit:
            raise MmError(ENOMEM, f"{size:#x} locked bytes more are over RLIMIT_MEMLOCK, {self.memlock_limit:#x}")

    def punch(self, file: OpenFile, first: int, last: int) -> None:
        """Take the pages [first, last) of a file away, wherever they are mapped; copies that were written to stay."""
        file.file.punch(first, last)
        for vma in self.index:
            if vma.vm_file is not None and vma.vm_file.file is file.file:
                low = vma.vm_start + (max(first - vma.vm_pgoff, 0) << 12)
                high = min(vma.vm_end, vma.vm_start + (max(last - vma.vm_pgoff, 0) << 12))
                if low < high:
                    self.resident.zap(low, high, own=False)

    def tell(self, event: type[Event], *fields: object) -> None:
        """Tell the trace, if there is one."""
        if self.trace is not None:
            self.trace.emit(event(*fields))

    def _words(self, **arguments: int) -> Iterator[int]:
        """Return what the kernel gets to see of the arguments of a call: unsigned words, a negative one wrapped around.

        Raises TypeError and ValueError.
        """
        for name, value in arguments.items():
            if value.__class__ is not int:
                raise TypeError(f"{name} is a whole number, not {value!r}")
            if not -self.word // 2 <= value <= self.word:
                raise ValueError(f"{name} {value:#x} does not fit into a word of {8 * self.arch.word_bytes} bits")
        return (value & self.word for value in arguments.values())

    def maps(self) -> str:
        """Return the text of ``/proc/PID/maps``."""
        from mmkit.model.vma.state import maps_text

        return maps_text(self)

    def snapshot(self, source: Source = MODEL) -> MmState:
        """Return the frozen state."""
        from mmkit.model.vma.state import snapshot

        return snapshot(self, source)

    @classmethod
    def from_snapshot(cls, state: MmState, trace: Trace | None = None) -> MmStruct:
        """Return an address space that goes on from ``state``. Raises ValueError if that is not a model's."""
        from mmkit.model.vma.state import from_snapshot

        return from_snapshot(state, trace)

    def check(self) -> None:
        """Raise InvariantError, with the name of the rule, if something is not as it has to be."""
        from mmkit.model.vma.check import check

        check(self)


def task_size_of(arch: Arch) -> int:
    """Return where user space ends: the lower half less a page on x86-64, the whole on arm64, 3 GiB on 32-bit x86."""
    if arch.word_bytes == 4:
        return arch.page_offset
    return (1 << arch.virt_bits) if arch.name.startswith("ARM") else (1 << 47) - 4096
