"""mprotect(): other rights for a range, area by area.

Models: mm/mprotect.c (Linux 6.18), do_mprotect_pkey(), mprotect_fixup(). Leaves out: protection keys, PROT_GROWSUP
(x86 has no area that grows up), security modules.
"""

from __future__ import annotations

from errno import EACCES, EINVAL, ENOMEM
from typing import TYPE_CHECKING

from mmkit.errors import MmError
from mmkit.model import vmaflags as f
from mmkit.model.vma.area import Vma
from mmkit.model.vma.fault import populate_area
from mmkit.model.vma.merge import modify
from mmkit.model.vmatrace import VmaFlags

if TYPE_CHECKING:
    from mmkit.model.vma.mm import MmStruct

_GROWS = f.PROT_GROWSDOWN | f.PROT_GROWSUP
_KNOWN = f.PROT_READ | f.PROT_WRITE | f.PROT_EXEC | f.PROT_SEM


def do_mprotect(mm: MmStruct, addr: int, length: int, prot: int) -> None:
    """Change the rights of [addr, addr + length). Raises MmError; areas before the one that failed stay changed."""
    grows, prot = prot & _GROWS, prot & ~_GROWS
    if grows == _GROWS:
        raise MmError(EINVAL, "PROT_GROWSDOWN and PROT_GROWSUP exclude each other")
    if addr & 0xFFF:
        raise MmError(EINVAL, f"{addr:#x} is not the start of a page: a multiple of 4096 would be")
    if not length:
        return
    end = addr + mm.round_up(length)
    if not addr < end <= mm.word:
        raise MmError(ENOMEM, f"{length:#x} bytes from {addr:#x} on wrap around the end of all addresses")
    if prot & ~_KNOWN:
        raise MmError(EINVAL, f"rights {prot:#x} are not known: PROT_READ 1, PROT_WRITE 2, PROT_EXEC 4")
    _each(mm, _first_address(mm, addr, end, grows), end, prot)


def _first_address(mm: MmStruct, addr: int, end: int, grows: int) -> int:
    vma = mm.index.find(addr)
    if vma is None or vma.vm_start >= end:
        raise MmError(ENOMEM, f"nothing is mapped at {addr:#x}")
    if grows & f.PROT_GROWSDOWN:
        if not vma.vm_flags & f.VM_GROWSDOWN:
            raise MmError(EINVAL, f"PROT_GROWSDOWN: the area at {vma.vm_start:#x} does not grow down")
        return vma.vm_start
    if vma.vm_start > addr:
        raise MmError(ENOMEM, f"nothing is mapped at {addr:#x}")
    if grows & f.PROT_GROWSUP:
        raise MmError(EINVAL, "PROT_GROWSUP: no area grows up on this architecture")
    return addr


def _each(mm: MmStruct, start: int, end: int, prot: int) -> None:
    while start < end:
        vma = mm.index.find(start)
        if vma is None or vma.vm_start > start:
            raise MmError(ENOMEM, f"nothing is mapped at {start:#x}; what lies below it has changed")
        flags = vma.vm_flags & ~f.VM_ACCESS_FLAGS | prot & f.VM_ACCESS_FLAGS
        if flags & ~(flags >> 4) & f.VM_ACCESS_FLAGS:
            raise MmError(EACCES, f"what is mapped at {start:#x} may not be {f.perms_of(flags)[:3]}")
        stop = min(vma.vm_end, end)
        start = max(_fixup(mm, vma, start, stop, flags).vm_end, stop) if flags != vma.vm_flags else stop


def _fixup(mm: MmStruct, vma: Vma, start: int, end: int, flags: int) -> Vma:
    old = vma.vm_flags
    if flags & f.VM_WRITE:
        mm.limit_space(flags, end - start, instead_of=old)
        if not old & (f.VM_ACCOUNT | f.VM_WRITE | f.VM_SHARED | f.VM_NORESERVE):
            flags |= f.VM_ACCOUNT
    elif old & f.VM_ACCOUNT and vma.is_anonymous and vma.anon_vma is None and mm.rules.unaccounts_unfaulted:
        flags &= ~f.VM_ACCOUNT
    vma = modify(mm, vma, start, end, flags)
    vma.vm_flags = flags
    mm.change_protection(vma, start, end)
    mm.tell(VmaFlags, start, end, old, flags)
    mm.account(old, -((end - start) >> 12))
    mm.account(flags, (end - start) >> 12)
    if old & (f.VM_WRITE | f.VM_SHARED | f.VM_LOCKED) == f.VM_LOCKED and flags & f.VM_WRITE:
        populate_area(mm, vma, start, end)
    return vma
