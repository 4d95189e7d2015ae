"""fork(): the child's address space.

Models: kernel/fork.c and mm/mmap.c (Linux 6.18), dup_mmap(); mm/rmap.c, anon_vma_fork(); mm/memory.c,
vma_needs_copy(). Leaves out: an anon_vma whose areas are all gone and that a grandchild may use again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mmkit.model import vmaflags as f
from mmkit.model.vma.area import Vma

if TYPE_CHECKING:
    from mmkit.model.vma.mm import MmStruct


def copy_areas(parent: MmStruct, child: MmStruct) -> None:
    """Give the child its areas and, of those that have an anon_vma, the pages too."""
    for vma in parent.index:
        if vma.vm_flags & f.VM_DONTCOPY:
            continue
        twin = _copy(child, vma)
        child.index.insert(twin)
        child.account(twin.vm_flags, twin.pages)
        if vma.anon_vma is not None and not vma.vm_flags & f.VM_WIPEONFORK:
            parent.copy_pages(child, vma)


def _copy(child: MmStruct, vma: Vma) -> Vma:
    twin = vma.copy()
    twin.vm_flags &= ~(f.VM_LOCKED | f.VM_LOCKONFAULT)
    if vma.vm_flags & f.VM_WIPEONFORK or vma.anon_vma is None:
        twin.anon_vma, twin.forked = None, False
    else:
        twin.anon_vma, twin.forked = child.ids.new_anon_vma(), True
    return twin
