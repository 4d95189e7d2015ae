"""munmap(): a range of addresses is nothing any more.

Models: mm/vma.c (Linux 6.18), do_vmi_munmap(), vms_gather_munmap_vmas(), vms_complete_munmap_vmas(). Leaves out: mseal.
"""

from __future__ import annotations

from errno import EINVAL, ENOMEM
from typing import TYPE_CHECKING

from mmkit.errors import MmError
from mmkit.model.vma.merge import remove, split
from mmkit.model.vmaflags import VM_LOCKED
from mmkit.model.vmatrace import Zap

if TYPE_CHECKING:
    from mmkit.model.vma.mm import MmStruct


def do_munmap(mm: MmStruct, addr: int, length: int) -> None:
    """Unmap [addr, addr + length); holes are no error. Raises MmError EINVAL, or ENOMEM for one area too many."""
    if addr & 0xFFF:
        raise MmError(EINVAL, f"{addr:#x} is not the start of a page: a multiple of 4096 would be")
    if addr > mm.task_size or length > mm.task_size - addr:
        raise MmError(EINVAL, f"{length:#x} bytes from {addr:#x} on end above {mm.task_size:#x}, the end of user space")
    end = addr + mm.round_up(length)
    if end == addr:
        raise MmError(EINVAL, "0 bytes cannot be unmapped: say at least 1")
    unmap_range(mm, addr, end)


def unmap_range(mm: MmStruct, start: int, end: int) -> None:
    """Unmap the pages of [start, end), splitting the areas that reach over its ends. Raises MmError ENOMEM."""
    areas = mm.index.overlapping(start, end)
    if not areas:
        return
    first = areas[0]
    if first.vm_start < start:
        if end < first.vm_end and mm.map_count >= mm.max_map_count:
            raise MmError(ENOMEM, f"a hole would make one area more than {mm.max_map_count} (vm.max_map_count)")
        areas[0] = split(mm, first, start, limited=False)[1]
    last = areas[-1]
    if last.vm_end > end:
        areas[-1] = split(mm, last, end, limited=False)[0]
    for vma in areas:
        mm.account(vma.vm_flags, -vma.pages)
        if vma.vm_flags & VM_LOCKED:
            mm.locked_vm -= vma.pages
        remove(mm, vma)
    # Nobody finds the areas any more: now their pages can go, then the tables.
    zap(mm, start, end)
    mm.free_tables(start, end)


def zap(mm: MmStruct, start: int, end: int) -> int:
    """Drop the resident pages of [start, end); returns how many there were."""
    pages = mm.resident.zap(start, end)
    if pages:
        mm.tell(Zap, start, end, pages)
    return pages
