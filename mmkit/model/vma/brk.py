"""brk(): the end of the heap moves.

Models: mm/mmap.c (Linux 6.18), brk(), and mm/vma.c, do_brk_flags(). Leaves out: CONFIG_COMPAT_BRK.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mmkit.errors import MmError
from mmkit.model import vmaflags as f
from mmkit.model.vma.area import Vma
from mmkit.model.vma.merge import Piece, insert, merge_new
from mmkit.model.vma.munmap import unmap_range
from mmkit.model.vma.placement import start_gap

if TYPE_CHECKING:
    from mmkit.model.vma.mm import MmStruct

_FLAGS = f.VM_READ | f.VM_WRITE | f.VM_MAYREAD | f.VM_MAYWRITE | f.VM_MAYEXEC | f.VM_ACCOUNT


def do_brk(mm: MmStruct, addr: int) -> int:
    """Move the end of the heap to ``addr`` if that can be; returns where it is then, moved or not."""
    if addr < mm.start_brk or addr > mm.word or _over_limit(mm, addr):
        return mm.end_brk
    new, old = mm.round_up(addr), mm.round_up(mm.end_brk)
    if new == old or (_shrink(mm, new, old) if addr <= mm.end_brk else _grow(mm, old, new)):
        mm.end_brk = addr
    return mm.end_brk


def _over_limit(mm: MmStruct, addr: int) -> bool:
    limit = mm.data_limit
    return limit is not None and addr - mm.start_brk + mm.end_data - mm.start_data > limit


def _shrink(mm: MmStruct, new: int, old: int) -> bool:
    if not mm.index.overlapping(new, old):
        return False
    try:
        unmap_range(mm, new, old)
    except MmError:
        return False
    return True


def _grow(mm: MmStruct, old: int, new: int) -> bool:
    if new > mm.task_size or new < old or mm.map_count > mm.max_map_count:
        return False
    above = mm.index.find(old)
    if above is not None and new + 4096 > start_gap(mm, above):
        return False
    below = mm.index.before(old)
    if below is not None and below.vm_end <= mm.start_brk:
        below = None
    try:
        map_anonymous(mm, old, new, 0, below)
    except MmError:
        return False
    return True


def map_anonymous(mm: MmStruct, start: int, end: int, more_flags: int, below: Vma | None) -> None:
    """Map fresh memory that may be written, as a part of ``below`` if it fits (do_brk_flags()). Raises MmError."""
    flags = _FLAGS | more_flags | (f.VM_SOFTDIRTY if mm.soft_dirty else 0)
    mm.limit_space(flags, end - start)
    if merge_new(mm, Piece(start, end, flags, start >> 12), below, None, only_prev=True) is None:
        insert(mm, Vma(start, end, flags, start >> 12))
    mm.account(flags, (end - start) >> 12)
