"""Stack growth: an access below an area that grows down makes it larger.

Models: mm/vma.c (Linux 6.18), expand_downwards(), acct_stack_growth(). Leaves out: areas that grow up.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mmkit.errors import FatalSignal
from mmkit.model import vmaflags as f
from mmkit.model.vma.anon import prepare_anon_vma
from mmkit.model.vma.area import Vma
from mmkit.model.vmatrace import VmaResize

if TYPE_CHECKING:
    from mmkit.model.vma.mm import MmStruct


def expand_stack(mm: MmStruct, vma: Vma, addr: int) -> None:
    """Let the area above ``addr`` grow down to it. Raises FatalSignal SIGSEGV if it may not."""
    wanted, addr = addr, addr & ~0xFFF
    refused = _refusal(mm, vma, addr)
    if not refused:
        prepare_anon_vma(mm, vma)
        refused = _over_limit(mm, vma, addr)
    if refused:
        raise FatalSignal("SIGSEGV", "SEGV_MAPERR", wanted, refused)
    grow, start = (vma.vm_start - addr) >> 12, vma.vm_start
    mm.account(vma.vm_flags, grow)
    if vma.vm_flags & f.VM_LOCKED:
        mm.locked_vm += grow
    vma.vm_pgoff -= grow
    mm.index.set_range(vma, addr, vma.vm_end)
    mm.tell(VmaResize, start, vma.vm_end, addr, vma.vm_end)


def _refusal(mm: MmStruct, vma: Vma, addr: int) -> str:
    if not vma.vm_flags & f.VM_GROWSDOWN:
        return "nothing is mapped there, and the area above does not grow down"
    if addr < mm.mmap_min_addr:
        return f"below {mm.mmap_min_addr:#x} (vm.mmap_min_addr) nothing grows"
    below = mm.index.prev(vma)
    if below is None or below.vm_flags & f.VM_GROWSDOWN or not below.vm_flags & f.VM_ACCESS_FLAGS:
        return ""
    if addr - below.vm_end < mm.stack_guard_gap:
        return f"the stack would come closer than {mm.stack_guard_gap >> 12} pages to the area below it"
    return ""


def _over_limit(mm: MmStruct, vma: Vma, addr: int) -> str:
    size = vma.vm_end - addr
    if (vma.vm_start - addr) >> 12 > vma.vm_pgoff:
        return "the area cannot grow below page 0 of what it was made of"
    if size > mm.stack_limit:
        return f"a stack of {size:#x} bytes is over its limit, {mm.stack_limit:#x} (RLIMIT_STACK)"
    return ""
