"""mlock() and munlock(): pages that stay in memory.

Models: mm/mlock.c (Linux 6.18), do_mlock(), apply_vma_lock_flags(), mlock_fixup(). Leaves out: mlockall.
"""

from __future__ import annotations

from errno import EINVAL, ENOMEM
from typing import TYPE_CHECKING

from mmkit.errors import MmError
from mmkit.model import vmaflags as f
from mmkit.model.vma.area import Vma
from mmkit.model.vma.fault import populate
from mmkit.model.vma.merge import modify
from mmkit.model.vmatrace import VmaFlags

if TYPE_CHECKING:
    from mmkit.model.vma.mm import MmStruct

_MASK = f.VM_LOCKED | f.VM_LOCKONFAULT


def do_mlock(mm: MmStruct, addr: int, length: int, flags: int) -> None:
    """Lock the pages that [addr, addr + length) touches and make them resident. Raises MmError as mlock2(2)."""
    if flags & ~f.MLOCK_ONFAULT:
        raise MmError(EINVAL, f"flags {flags:#x} are not known: 0 or MLOCK_ONFAULT, 1")
    start, size = _pages(mm, addr, length)
    mm.limit_mlock(start, size)
    _apply(mm, start, size, f.VM_LOCKED | (f.VM_LOCKONFAULT if flags else 0))
    if not populate(mm, start, start + size, ignore_errors=False):
        raise MmError(ENOMEM, "not all of it could be made resident; it is locked all the same")


def do_munlock(mm: MmStruct, addr: int, length: int) -> None:
    """Unlock the pages that [addr, addr + length) touches. Raises MmError as munlock(2)."""
    _apply(mm, *_pages(mm, addr, length), 0)


def _pages(mm: MmStruct, addr: int, length: int) -> tuple[int, int]:
    return addr & ~0xFFF, mm.round_up(length + (addr & 0xFFF))


def _apply(mm: MmStruct, start: int, size: int, lock: int) -> None:
    end = start + size
    if end > mm.word:
        raise MmError(EINVAL, f"{size:#x} bytes from {start:#x} on wrap around the end of all addresses")
    while start < end:
        vma = mm.index.find(start)
        if vma is None or vma.vm_start > start:
            raise MmError(ENOMEM, f"nothing is mapped at {start:#x}; what lies below it is done")
        stop = min(vma.vm_end, end)
        _fixup(mm, vma, start, stop, vma.vm_flags & ~_MASK | lock)
        start = stop


def _fixup(mm: MmStruct, vma: Vma, start: int, end: int, new: int) -> None:
    old = vma.vm_flags
    if new == old or old & f.VM_SPECIAL:
        return
    vma = modify(mm, vma, start, end, new)
    mm.locked_vm += ((end - start) >> 12) * (bool(new & f.VM_LOCKED) - bool(old & f.VM_LOCKED))
    vma.vm_flags = new
    mm.change_lock(start, end)
    mm.tell(VmaFlags, start, end, old, new)
