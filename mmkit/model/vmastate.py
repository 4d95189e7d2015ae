"""Frozen states of address spaces: what the pictures of virtual memory areas are drawn from.

Models: struct vm_area_struct, struct mm_struct and struct task_struct as a reader sees them, include/linux/mm_types.h
and sched.h (Linux 6.18). Leaves out: locks, page tables, and what NUMA policies, userfaultfd and hugetlbfs add.
"""

from __future__ import annotations

from typing import Any

from mmkit.model.snapshot import MODEL, Source
from mmkit.model.vmaflags import VM_MAYSHARE, flag_letters, perms_of
from mmkit.record import Record, field


class VmaState(Record):
    """A virtual memory area: addresses [start, end), ``vm_flags``, and what is behind it."""

    start: int
    end: int
    flags: int
    """``vm_flags``, bits as in the kernel."""
    pgoff: int
    """``vm_pgoff``, in pages: of a file mapping the page of the file; of private anonymous memory address >> 12."""
    name: str
    """As in ``/proc/PID/maps``: a path, "[heap]", "[stack]", "[vdso]", or empty."""
    file: int | None
    """Number of the open file behind it: two openings of one file have two numbers. None: anonymous."""
    anon_vma: int | None
    """Number of its anon_vma; None before the first write fault. A kernel's own /proc does not show it: None there."""
    forked: bool
    """Whether the anon_vma was inherited over a fork."""
    anon_pages: int
    """Resident pages that are its own: anonymous memory written to, copies of file pages."""
    file_pages: int
    """Resident pages of a file or of shared memory."""
    zero_pages: int = 0
    """Pages that were only read so far, all of them the one zero page: they count as resident nowhere."""
    device: tuple[int, int] = (0, 0)
    inode: int = 0

    @property
    def pages(self) -> int:
        """Its size in pages of 4 KiB."""
        return (self.end - self.start) >> 12

    @property
    def rss(self) -> int:
        """Resident pages, of both kinds."""
        return self.anon_pages + self.file_pages

    @property
    def perms(self) -> str:
        """Permissions as in ``/proc/PID/maps``, such as "rw-p"."""
        return perms_of(self.flags)

    @property
    def letters(self) -> str:
        """Flags as on the VmFlags line of ``/proc/PID/smaps``."""
        return flag_letters(self.flags)

    @property
    def offset(self) -> int:
        """The offset that ``/proc/PID/maps`` shows, in bytes: 0 for anonymous memory that is private."""
        return self.pgoff << 12 if self.file is not None or self.flags & VM_MAYSHARE else 0

    def __contains__(self, addr: object) -> bool:
        return isinstance(addr, int) and self.start <= addr < self.end


class MmCounters(Record):
    """The counters of a ``mm_struct``, in pages, as ``/proc/PID/status`` and ``statm`` show them."""

    total_vm: int
    """All mapped pages (VmSize)."""
    locked_vm: int
    """Pages that may not be swapped out (VmLck)."""
    pinned_vm: int
    """Pages that may not move either (VmPin)."""
    data_vm: int
    """Private, writable, not stack (part of VmData)."""
    exec_vm: int
    """Executable, not writable (VmExe and VmLib)."""
    stack_vm: int
    """Areas that grow down (VmStk)."""
    map_count: int
    """Number of areas."""
    anon_rss: int
    """Resident pages that are the process's own (RssAnon)."""
    file_rss: int
    """Resident pages of files (RssFile)."""
    shmem_rss: int
    """Resident pages of shared memory (RssShmem)."""


class MmLayout(Record):
    """The addresses that a ``mm_struct`` remembers of where its program was laid out; 0 where there is none."""

    task_size: int
    mmap_base: int
    """Mappings go below it; a kernel does not show it."""
    start_code: int
    end_code: int
    start_data: int
    end_data: int
    start_brk: int
    brk: int
    start_stack: int
    arg_start: int
    arg_end: int
    env_start: int
    env_end: int


class MmBack(Record):
    """What a model needs to go on from a frozen state, and a picture does not."""

    arch: str
    kernel: str
    settings: tuple[Any, ...]
    anon_vmas: int
    files: tuple[Any, ...]
    """The open files, by number."""
    odd: tuple[frozenset[int], ...]
    """Of each the pages that differ from most others in being in the page cache or not."""
    pages: tuple[tuple[int, str], ...]
    """The resident pages and their kinds."""
    names: tuple[str, ...]
    """Names that areas have of themselves: the kernel's own."""


class MmState(Record):
    """An address space: its areas in order of address, its counters, and where its program lies."""

    name: str
    """The program's name."""
    vmas: tuple[VmaState, ...] = field(repr=False)
    counters: MmCounters
    layout: MmLayout = field(repr=False)
    mm_users: int
    """How many threads share it."""
    source: Source = MODEL
    back: MmBack | None = field(default=None, repr=False)
    """What a model needs to go on from here; None for a recording or a running process."""

    def find_vma(self, addr: int) -> VmaState | None:
        """Return the first area that ends above ``addr``, as the kernel's find_vma(): ``addr`` may lie before it."""
        return next((vma for vma in self.vmas if vma.end > addr), None)


class TaskState(Record):
    """A thread: its number, its process's number (tgid), its name, and which address space it uses."""

    pid: int
    tgid: int
    parent: int
    name: str
    mm: int
    """Index in ``TasksState.mms``."""


class TasksState(Record):
    """Threads and the address spaces they share."""

    tasks: tuple[TaskState, ...]
    mms: tuple[MmState, ...] = field(repr=False)
    source: Source = MODEL


class TreeNode(Record):
    """A node of a search structure: what it holds and which nodes (indices in ``TreeState.nodes``) are below it."""

    vmas: tuple[int, ...]
    """Indices of areas in ``MmState.vmas``: one in a list or red-black tree, up to 16 in a leaf of a maple tree."""
    children: tuple[int, ...]
    pivots: tuple[int, ...] = ()
    """Maple tree: the last address of each slot but the last."""
    red: bool = False
    """Red-black tree: its colour."""
    low: int = 0
    """First address that the node covers (maple tree)."""
    high: int = 0
    """Last address that the node covers (maple tree)."""
    slots: tuple[int | None, ...] = ()
    """Maple leaf: what each slot points to: an index in ``MmState.vmas``, or None for a gap."""


class Visit(Record):
    """One step of a search: at which node, what was compared, in words, and where it leads."""

    node: int
    compared: int
    """Comparisons of addresses made at this node."""
    words: str


class TreeState(Record):
    """A list, red-black tree or maple tree of areas, and a search in it."""

    kind: str
    """"list", "rbtree" or "maple"."""
    nodes: tuple[TreeNode, ...] = field(repr=False)
    """The root is the first."""
    mm: MmState = field(repr=False)
    addr: int | None = None
    """The address that is looked for."""
    visits: tuple[Visit, ...] = ()
    found: int | None = None
    """Index in ``mm.vmas`` of what find_vma() returns."""
    over: bool = True
    """Whether the search has come to its end; in the middle of it ``found`` is None."""

    @property
    def comparisons(self) -> int:
        """Comparisons of addresses in all visits."""
        return sum(visit.compared for visit in self.visits)
