"""Vma, File and OpenFile: a virtual memory area, and what may be behind it.

Models: struct vm_area_struct (include/linux/mm_types.h), struct file and struct inode (include/linux/fs.h), Linux 6.18,
as far as they decide where an area begins and ends. Leaves out: locks, policies, vm_ops other than those of files.
"""

from __future__ import annotations

from mmkit.model.vmaflags import perms_of
from mmkit.units import parse_size

MODES = ("r", "w", "rw")
KINDS = ("ext4", "tmpfs", "ramfs")


class File:
    """A file (its inode): what several openings have in common.

    ``kind`` is the file system: "ext4" aligns large mappings to 2 MiB, and all its pages are taken to be in the page
    cache; "tmpfs" (shared memory) and "ramfs" have pages only where somebody touched them. ``nlink`` is how many names
    lead to it: without any it goes with its last mapping.
    """

    __slots__ = ("device", "inode", "kind", "name", "nlink", "odd", "size_bytes")

    def __init__(
        self, name: str, size_bytes: int | str, kind: str = "ext4", device: tuple[int, int] = (8, 1), inode: int = 1,
        nlink: int = 1,
    ) -> None:  # fmt: skip
        if kind not in KINDS:
            raise ValueError(f"a file is on {', '.join(KINDS)}, not on {kind!r}")
        self.name, self.size_bytes, self.kind = name, parse_size(size_bytes), kind
        self.device, self.inode, self.nlink = device, inode, nlink
        self.odd: set[int] = set()
        """Pages that are not as most are: of a file on ext4 those not in the page cache, else those in it."""

    @property
    def pages(self) -> int:
        """How many pages it has, the last one perhaps in part."""
        return -(-self.size_bytes // 4096)

    def has(self, page: int) -> bool:
        """Say whether a page is in the page cache."""
        return page < self.pages and (page in self.odd) != (self.kind == "ext4")

    def fill(self, page: int) -> None:
        """Bring a page into the page cache."""
        self.odd.discard(page) if self.kind == "ext4" else self.odd.add(page)

    def punch(self, first: int, last: int) -> None:
        """Take the pages [first, last) out of the file."""
        gone = set(range(first, min(last, self.pages)))
        self.odd = self.odd | gone if self.kind == "ext4" else self.odd - gone

    def open(self, mode: str = "r") -> OpenFile:
        """Return a new opening of it; ``mode`` is "r", "w" or "rw". Raises ValueError for another."""
        return OpenFile(self, mode)

    def __repr__(self) -> str:
        return f"File({self.name!r}, {self.size_bytes})"


class OpenFile:
    """A file object: one opening of a file. Two of one file never merge."""

    __slots__ = ("file", "mode")

    def __init__(self, file: File, mode: str) -> None:
        if mode not in MODES:
            raise ValueError(f"a file is opened as {', '.join(map(repr, MODES))}, not as {mode!r}")
        self.file, self.mode = file, mode

    @property
    def readable(self) -> bool:
        """Whether it may be read."""
        return "r" in self.mode

    @property
    def writable(self) -> bool:
        """Whether it may be written."""
        return "w" in self.mode

    def __repr__(self) -> str:
        return f"OpenFile({self.file.name!r}, {self.mode!r})"


class Vma:
    """A virtual memory area: addresses [vm_start, vm_end) with one set of flags, and what is behind them."""

    __slots__ = ("anon_vma", "forked", "name", "vm_end", "vm_file", "vm_flags", "vm_pgoff", "vm_start")

    def __init__(
        self, vm_start: int, vm_end: int, vm_flags: int, vm_pgoff: int, vm_file: OpenFile | None = None, name: str = ""
    ) -> None:
        self.vm_start, self.vm_end = vm_start, vm_end
        self.vm_flags, self.vm_pgoff, self.vm_file = vm_flags, vm_pgoff, vm_file
        self.name = name
        """Of what the kernel maps itself: "[vdso]"; else empty."""
        self.anon_vma: int | None = None
        """Number of its anon_vma, from the first write fault on."""
        self.forked = False
        """Whether its anon_vma came over a fork (its chain has more than one link)."""

    @property
    def pages(self) -> int:
        """Its size in pages."""
        return (self.vm_end - self.vm_start) >> 12

    @property
    def perms(self) -> str:
        """Permissions as in ``/proc/PID/maps``: "rw-p"."""
        return perms_of(self.vm_flags)

    @property
    def is_anonymous(self) -> bool:
        """Whether it is private memory of nothing (vma_is_anonymous()): no file, and not the kernel's own."""
        return self.vm_file is None and not self.name

    def pgoff_at(self, addr: int) -> int:
        """Return the page offset that belongs to ``addr``."""
        return self.vm_pgoff + ((addr - self.vm_start) >> 12)

    def copy(self) -> Vma:
        """Return a twin (vm_area_dup())."""
        twin = Vma(self.vm_start, self.vm_end, self.vm_flags, self.vm_pgoff, self.vm_file, self.name)
        twin.anon_vma, twin.forked = self.anon_vma, self.forked
        return twin

    def __repr__(self) -> str:
        return f"Vma({self.vm_start:#x}, {self.vm_end:#x}, {self.perms!r})"
