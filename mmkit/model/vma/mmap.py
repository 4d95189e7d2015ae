"""mmap(): a new area.

Models: mm/mmap.c, do_mmap(), and mm/vma.c, mmap_region() (Linux 6.18). Leaves out: MAP_HUGETLB, MAP_SYNC,
MAP_DROPPABLE, devices, mseal, memory that is too much for the machine (overcommit).
"""

from __future__ import annotations

from errno import EACCES, EBADF, EEXIST, EINVAL, ENOMEM, EOPNOTSUPP, EOVERFLOW
from typing import TYPE_CHECKING

from mmkit.errors import MmError
from mmkit.model import vmaflags as f
from mmkit.model.vma.area import File, OpenFile, Vma
from mmkit.model.vma.merge import Piece, insert, merge_new
from mmkit.model.vma.munmap import unmap_range
from mmkit.model.vma.placement import get_unmapped_area

if TYPE_CHECKING:
    from mmkit.model.vma.mm import MmStruct

_MAP_TYPE = 0xF
_LARGEST_FILE = (1 << 63) - 1
"""MAX_LFS_FILESIZE, in bytes."""
_LEGACY = (
    f.MAP_SHARED | f.MAP_PRIVATE | f.MAP_FIXED | f.MAP_ANONYMOUS | f.MAP_DENYWRITE | f.MAP_EXECUTABLE | 0x7C00_0000
    | f.MAP_GROWSDOWN | f.MAP_LOCKED | f.MAP_NORESERVE | f.MAP_POPULATE | f.MAP_NONBLOCK | f.MAP_STACK
    | f.MAP_HUGETLB | 0x40 | 0x80
)  # fmt: skip
"""Flags that every mapping of a file knows (0x40, 0x80, 0x7C000000: MAP_32BIT, _ABOVE4G, sizes of huge pages)."""


def do_mmap(
    mm: MmStruct, addr: int, length: int, prot: int, flags: int, file: OpenFile | None, offset: int
) -> tuple[int, int]:
    """Make the mapping; returns its address and how many bytes are to be populated. Raises MmError as mmap(2)."""
    if offset & 0xFFF:
        raise MmError(EINVAL, f"offset {offset:#x} is not a multiple of the page size, 4096")
    if flags & f.MAP_ANONYMOUS:
        file = None
    elif file is None:
        raise MmError(EBADF, "a mapping that is not anonymous needs an open file")
    if not length:
        raise MmError(EINVAL, "a mapping of 0 bytes is none: ask for at least 1")
    if flags & f.MAP_FIXED_NOREPLACE:
        flags |= f.MAP_FIXED
    if not flags & f.MAP_FIXED:
        addr = mm.hint(addr)
    length = mm.round_up(length)
    if not length:
        raise MmError(ENOMEM, "the length, rounded up to pages, is more than there are addresses")
    if (offset >> 12) + (length >> 12) > mm.word:
        raise MmError(EOVERFLOW, f"offset {offset:#x} plus length {length:#x} is beyond the largest file")
    if mm.map_count > mm.max_map_count:
        raise MmError(ENOMEM, f"{mm.map_count} areas are more than the process may have (vm.max_map_count)")
    vm_flags = _flags_of(mm, prot, flags)
    addr = get_unmapped_area(mm, addr, length, flags, file, offset)
    if flags & f.MAP_FIXED_NOREPLACE and mm.index.overlapping(addr, addr + length):
        raise MmError(EEXIST, f"something is mapped in [{addr:#x}, {addr + length:#x}) already")
    mm.limit_locked(vm_flags, length)
    pgoff = offset >> 12
    if file is not None:
        vm_flags = _check_file(file, prot, flags, vm_flags, offset, length)
    else:
        vm_flags, pgoff = _check_anonymous(flags, vm_flags, addr)
    if flags & f.MAP_NORESERVE:
        vm_flags |= f.VM_NORESERVE
    map_region(mm, addr, length, vm_flags, pgoff, file)
    populate = bool(vm_flags & f.VM_LOCKED) or flags & (f.MAP_POPULATE | f.MAP_NONBLOCK) == f.MAP_POPULATE
    return addr, length if populate else 0


def _flags_of(mm: MmStruct, prot: int, flags: int) -> int:
    vm_flags = prot & f.VM_ACCESS_FLAGS | f.VM_MAYREAD | f.VM_MAYWRITE | f.VM_MAYEXEC
    if flags & f.MAP_GROWSDOWN:
        vm_flags |= f.VM_GROWSDOWN
    if flags & f.MAP_LOCKED:
        vm_flags |= f.VM_LOCKED
    if flags & f.MAP_STACK and mm.rules.stack_no_huge and mm.thp:
        vm_flags |= f.VM_NOHUGEPAGE
    return vm_flags


def _check_file(file: OpenFile, prot: int, flags: int, vm_flags: int, offset: int, length: int) -> int:
    kind = flags & _MAP_TYPE
    if offset >> 12 > (_LARGEST_FILE - length) >> 12:
        raise MmError(EOVERFLOW, f"offset {offset:#x} plus length {length:#x} is beyond the largest file")
    if kind not in (f.MAP_SHARED, f.MAP_PRIVATE, f.MAP_SHARED_VALIDATE):
        raise MmError(EINVAL, f"flags {flags:#x}: a mapping is MAP_SHARED or MAP_PRIVATE")
    if kind != f.MAP_PRIVATE:
        if kind == f.MAP_SHARED_VALIDATE and flags & ~_LEGACY:
            raise MmError(
                EOPNOTSUPP, f"flags {flags & ~_LEGACY:#x} are not known, and MAP_SHARED_VALIDATE asks for that"
            )
        if prot & f.PROT_WRITE and not file.writable:
            raise MmError(EACCES, f"{file.file.name} is not open for writing, which shared writable memory needs")
        vm_flags |= f.VM_SHARED | f.VM_MAYSHARE
        if not file.writable:
            vm_flags &= ~(f.VM_MAYWRITE | f.VM_SHARED)
    if not file.readable:
        raise MmError(EACCES, f"{file.file.name} is not open for reading, which every mapping needs")
    if vm_flags & f.VM_GROWSDOWN:
        raise MmError(EINVAL, "a mapping of a file cannot grow down")
    return vm_flags


def _check_anonymous(flags: int, vm_flags: int, addr: int) -> tuple[int, int]:
    kind = flags & _MAP_TYPE
    if kind == f.MAP_PRIVATE:
        return vm_flags, addr >> 12
    if kind != f.MAP_SHARED:
        raise MmError(EINVAL, f"flags {flags:#x}: anonymous memory is MAP_SHARED or MAP_PRIVATE")
    if vm_flags & f.VM_GROWSDOWN:
        raise MmError(EINVAL, "shared memory cannot grow down")
    return vm_flags | f.VM_SHARED | f.VM_MAYSHARE, 0


def map_region(mm: MmStruct, addr: int, length: int, vm_flags: int, pgoff: int, file: OpenFile | None) -> Vma:
    """Unmap what is in the way and put the new area there, as a part of its neighbours if it fits (mmap_region())."""
    end = addr + length
    if mm.soft_dirty:
        vm_flags |= f.VM_SOFTDIRTY
    mm.limit_space(vm_flags, length, replaced=mm.mapped(addr, end))
    unmap_range(mm, addr, end)
    if vm_flags & (f.VM_NORESERVE | f.VM_SHARED | f.VM_WRITE) == f.VM_WRITE:
        vm_flags |= f.VM_ACCOUNT
    if vm_flags & f.VM_SHARED and file is None:
        file = OpenFile(File("/dev/zero (deleted)", length, kind="tmpfs", device=(0, 1), nlink=0), "rw")
    prev, next_ = mm.index.before(addr), mm.index.find(addr)
    vma = merge_new(mm, Piece(addr, end, vm_flags, pgoff, file), prev, next_)
    if vma is None:
        vma = insert(mm, Vma(addr, end, vm_flags, pgoff, file))
    mm.account(vm_flags, length >> 12)
    if vm_flags & f.VM_LOCKED:
        mm.locked_vm += length >> 12
    return vma
