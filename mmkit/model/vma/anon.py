"""The anon_vma of an area: what its own pages are found by, and which neighbours may share one.

Models: mm/rmap.c, __anon_vma_prepare(), and mm/vma.c, find_mergeable_anon_vma(), reusable_anon_vma() (Linux 6.18).
Leaves out: the tree of all areas of an anon_vma; only its number is kept.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mmkit.model import vmaflags as f
from mmkit.model.vma.area import Vma

if TYPE_CHECKING:
    from mmkit.model.vma.mm import MmStruct


def prepare_anon_vma(mm: MmStruct, vma: Vma) -> int | None:
    """Give the area an anon_vma, a neighbour's if it may share it; returns its number if it had none before."""
    if vma.anon_vma is not None:
        return None
    below, above = mm.index.prev(vma), mm.index.next(vma)
    if above is not None and _may_share(vma, above, above):
        vma.anon_vma = above.anon_vma
    elif below is not None and _may_share(below, vma, below):
        vma.anon_vma = below.anon_vma
    else:
        vma.anon_vma = mm.ids.new_anon_vma()
    vma.forked = False
    return vma.anon_vma


def _may_share(low: Vma, high: Vma, owner: Vma) -> bool:
    return (
        owner.anon_vma is not None
        and not owner.forked
        and low.vm_end == high.vm_start
        and low.vm_file is high.vm_file
        and not (low.vm_flags ^ high.vm_flags) & ~(f.VM_ACCESS_FLAGS | f.VM_SOFTDIRTY)
        and high.vm_pgoff == low.vm_pgoff + low.pages
    )
