"""Where a new mapping goes: at the hint if it is free, else at the top of the highest gap that is large enough.

Models: mm/mmap.c and mm/vma.c (Linux 6.18), __get_unmapped_area(), unmapped_area_topdown(), unmapped_area();
arch/x86/kernel/sys_x86_64.c; mm/huge_memory.c, thp_get_unmapped_area_vmflags(). Leaves out: MAP_32BIT, MAP_ABOVE4G,
addresses above 47 bits, the cache colouring of old AMD processors.
"""

from __future__ import annotations

from errno import EINVAL, ENOMEM, EPERM
from typing import TYPE_CHECKING

from mmkit.errors import MmError
from mmkit.model.vma.area import OpenFile, Vma
from mmkit.model.vmaflags import MAP_FIXED, MAP_SHARED, VM_GROWSDOWN
from mmkit.model.vmatrace import VmUnmappedArea

if TYPE_CHECKING:
    from mmkit.model.vma.mm import MmStruct

PMD_SIZE = 1 << 21
_MAX_ERRNO = 4095
"""Where an address or an error may come back, the last addresses of all stand for errors (IS_ERR_VALUE())."""


def start_gap(mm: MmStruct, vma: Vma) -> int:
    """Return where the room below an area ends: below a stack the guard gap is kept free (vm_start_gap())."""
    return max(vma.vm_start - mm.stack_guard_gap, 0) if vma.vm_flags & VM_GROWSDOWN else vma.vm_start


def get_unmapped_area(
    mm: MmStruct, addr: int, length: int, flags: int, file: OpenFile | None = None, offset: int = 0
) -> int:
    """Return the address for a mapping of ``length`` bytes, which is a multiple of the page size.

    Raises MmError ENOMEM (no room, or too high), EINVAL (not aligned), EPERM (below vm.mmap_min_addr).
    """
    if length > mm.task_size:
        raise MmError(ENOMEM, f"{length:#x} bytes are more than the {mm.task_size:#x} that a process has")
    if flags & MAP_FIXED:
        found = addr
        if addr > mm.word - _MAX_ERRNO:
            raise MmError(mm.word + 1 - addr, f"the kernel itself takes {addr:#x} for the number of an error")
    elif _wants_huge(mm, addr, length, flags, file):
        found = _aligned(mm, addr, length, offset if file else 0) or _plain(mm, addr, length)
    else:
        found = _plain(mm, addr, length)
    if found > mm.task_size - length:
        raise MmError(ENOMEM, f"[{found:#x}, {found + length:#x}) ends above {mm.task_size:#x}, the end of user space")
    if found & 0xFFF:
        raise MmError(EINVAL, f"{found:#x} is not the start of a page: a fixed address is a multiple of 4096")
    if found < mm.dac_mmap_min_addr and not mm.privileged:
        raise MmError(EPERM, f"{found:#x} is below {mm.dac_mmap_min_addr:#x} (vm.mmap_min_addr)")
    return found


def _wants_huge(mm: MmStruct, addr: int, length: int, flags: int, file: OpenFile | None) -> bool:
    if not mm.thp:
        return False
    if file is not None:
        return file.file.kind == "ext4"
    return not flags & MAP_SHARED and mm.rules.aligns_anonymous and not addr and not length % PMD_SIZE


def _aligned(mm: MmStruct, addr: int, length: int, offset: int) -> int | None:
    """Return an address that lets 2 MiB of the mapping be one huge page, or None."""
    first = -(-offset // PMD_SIZE) * PMD_SIZE
    if offset + length - first < PMD_SIZE:
        return None
    try:
        found = _plain(mm, addr, length + PMD_SIZE)
    except MmError:
        return None
    if found == addr:
        return addr
    short = (offset - found) % PMD_SIZE
    return found + (short or (PMD_SIZE if mm.rules.aligns_anonymous else 0))


def _plain(mm: MmStruct, addr: int, length: int) -> int:
    """Return the hint, if it is free, else the top of the highest gap, else the bottom of the lowest."""
    if length > mm.task_size:
        raise MmError(ENOMEM, f"{length:#x} bytes are more than the {mm.task_size:#x} that a process has")
    if addr and addr <= mm.task_size - length:
        above = mm.index.find(addr)
        if above is None or addr + length <= start_gap(mm, above):
            return addr
    found = _topdown(mm, length)
    if found is None:
        found = _bottomup(mm, length)
    if found is None:
        raise MmError(ENOMEM, f"no gap of {length:#x} bytes is left in the address space")
    mm.tell(VmUnmappedArea, found, length)
    return found


def _topdown(mm: MmStruct, length: int) -> int | None:
    low, high = max(4096, mm.mmap_min_addr), mm.mmap_base
    while gap := mm.index.highest_gap(length, low, high):
        above = mm.index.find(gap[1])
        if above is None or start_gap(mm, above) >= gap[1]:
            return gap[1] - length
        high = start_gap(mm, above)
    return None


def _bottomup(mm: MmStruct, length: int) -> int | None:
    low, high = mm.legacy_base, mm.task_size
    while gap := mm.index.lowest_gap(length, low, high):
        above = mm.index.find(gap[0])
        if above is None or start_gap(mm, above) >= gap[0] + length:
            return gap[0]
        low = above.vm_end
    return None
