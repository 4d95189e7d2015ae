"""madvise(): flags that split areas, and advice that drops pages.

Models: mm/madvise.c (Linux 6.18), madvise_walk_vmas(), madvise_vma_behavior(). Leaves out: guard pages, KSM beyond its
flag, MADV_COLLAPSE, MADV_HWPOISON, and that swap would do something; after MADV_REMOVE, readahead.
"""

from __future__ import annotations

from errno import EACCES, EFAULT, EINVAL, ENOMEM
from typing import TYPE_CHECKING

from mmkit.errors import FatalSignal, MmError
from mmkit.model import vmaflags as f
from mmkit.model.vma.area import Vma
from mmkit.model.vma.merge import modify
from mmkit.model.vma.munmap import zap
from mmkit.model.vmatrace import VmaFlags

if TYPE_CHECKING:
    from mmkit.model.vma.mm import MmStruct

_SET_CLEAR = {
    f.MADV_NORMAL: (0, f.VM_RAND_READ | f.VM_SEQ_READ),
    f.MADV_RANDOM: (f.VM_RAND_READ, f.VM_SEQ_READ),
    f.MADV_SEQUENTIAL: (f.VM_SEQ_READ, f.VM_RAND_READ),
    f.MADV_DONTFORK: (f.VM_DONTCOPY, 0),
    f.MADV_DOFORK: (0, f.VM_DONTCOPY),
    f.MADV_DONTDUMP: (f.VM_DONTDUMP, 0),
    f.MADV_DODUMP: (0, f.VM_DONTDUMP),
    f.MADV_WIPEONFORK: (f.VM_WIPEONFORK, 0),
    f.MADV_KEEPONFORK: (0, f.VM_WIPEONFORK),
    f.MADV_HUGEPAGE: (f.VM_HUGEPAGE, f.VM_NOHUGEPAGE),
    f.MADV_NOHUGEPAGE: (f.VM_NOHUGEPAGE, f.VM_HUGEPAGE),
}
_OTHER = {
    f.MADV_WILLNEED, f.MADV_DONTNEED, f.MADV_FREE, f.MADV_REMOVE, f.MADV_COLD, f.MADV_PAGEOUT,
    f.MADV_POPULATE_READ, f.MADV_POPULATE_WRITE, f.MADV_DONTNEED_LOCKED,
}  # fmt: skip


def do_madvise(mm: MmStruct, addr: int, length: int, advice: int) -> None:
    """Apply ``advice`` to [addr, addr + length), leaving out holes. Raises MmError; what came before stays done."""
    if advice not in _SET_CLEAR and advice not in _OTHER:
        raise MmError(EINVAL, f"advice {advice} is none that is known here")
    if addr & 0xFFF:
        raise MmError(EINVAL, f"{addr:#x} is not the start of a page: a multiple of 4096 would be")
    size = mm.round_up(length)
    end = addr + size
    if (length and not size) or end > mm.word:
        raise MmError(EINVAL, f"{length:#x} bytes from {addr:#x} on wrap around the end of all addresses")
    if addr == end:
        return
    if advice in (f.MADV_POPULATE_READ, f.MADV_POPULATE_WRITE):
        _populate(mm, addr, end, advice == f.MADV_POPULATE_WRITE)
    else:
        _walk(mm, addr, end, advice)


def _walk(mm: MmStruct, start: int, end: int, advice: int) -> None:
    hole = None
    while start < end:
        vma = mm.index.find(start)
        if vma is None or vma.vm_start > start:
            hole = start if hole is None else hole
            if vma is None:
                break
            start = vma.vm_start
            continue
        stop = min(vma.vm_end, end)
        _advise(mm, vma, start, stop, advice)
        start = stop
    if hole is not None:
        raise MmError(ENOMEM, f"nothing is mapped at {hole:#x}; the advice was given to the rest")


def _advise(mm: MmStruct, vma: Vma, start: int, end: int, advice: int) -> None:
    if advice in _SET_CLEAR:
        _change_flags(mm, vma, start, end, advice)
    elif advice in (f.MADV_DONTNEED, f.MADV_DONTNEED_LOCKED, f.MADV_FREE):
        _drop(mm, vma, start, end, advice)
    elif advice in (f.MADV_COLD, f.MADV_PAGEOUT):
        if vma.vm_flags & (f.VM_LOCKED | f.VM_PFNMAP | f.VM_HUGETLB):
            raise MmError(EINVAL, f"the area at {vma.vm_start:#x} is locked: its pages stay")
    elif advice == f.MADV_REMOVE:
        _remove(mm, vma, start, end)


def _change_flags(mm: MmStruct, vma: Vma, start: int, end: int, advice: int) -> None:
    old = vma.vm_flags
    if advice == f.MADV_DOFORK and old & f.VM_IO:
        raise MmError(EINVAL, f"the area at {vma.vm_start:#x} is a device's: it is never copied")
    if advice == f.MADV_WIPEONFORK and (vma.vm_file is not None or old & f.VM_SHARED):
        raise MmError(EINVAL, "MADV_WIPEONFORK is for private anonymous memory only")
    if advice == f.MADV_DODUMP and old & f.VM_SPECIAL:
        raise MmError(EINVAL, f"the area at {vma.vm_start:#x} is special: it is never dumped")
    to_set, to_clear = _SET_CLEAR[advice]
    new = old & ~to_clear | to_set
    if new != old:
        modify(mm, vma, start, end, new).vm_flags = new
        mm.tell(VmaFlags, start, end, old, new)


def _drop(mm: MmStruct, vma: Vma, start: int, end: int, advice: int) -> None:
    forbidden = f.VM_PFNMAP | (f.VM_LOCKED if advice != f.MADV_DONTNEED_LOCKED else 0)
    if vma.vm_flags & forbidden:
        raise MmError(EINVAL, f"the area at {vma.vm_start:#x} is locked: its pages stay")
    if advice == f.MADV_FREE:
        if not vma.is_anonymous:
            raise MmError(EINVAL, "MADV_FREE is for private anonymous memory only")
        mm.lazy_free(start, end)
        return
    zap(mm, start, end)
    mm.free_empty_tables(start, end)


def _remove(mm: MmStruct, vma: Vma, start: int, end: int) -> None:
    if vma.vm_flags & f.VM_LOCKED:
        raise MmError(EINVAL, f"the area at {vma.vm_start:#x} is locked: its pages stay")
    if vma.vm_file is None:
        raise MmError(EINVAL, "MADV_REMOVE is for shared memory and files only")
    if vma.vm_flags & (f.VM_SHARED | f.VM_MAYWRITE) != f.VM_SHARED | f.VM_MAYWRITE:
        raise MmError(EACCES, "MADV_REMOVE needs a shared mapping that may be written")
    mm.punch(vma.vm_file, vma.pgoff_at(start), vma.pgoff_at(end))


def _populate(mm: MmStruct, start: int, end: int, write: bool) -> None:
    while start < end:
        vma = mm.index.find(start)
        if vma is None or vma.vm_start > start:
            raise MmError(ENOMEM, f"nothing is mapped at {start:#x}")
        wanted = f.VM_WRITE if write else f.VM_READ
        if vma.vm_flags & (f.VM_PFNMAP | f.VM_IO) or not vma.vm_flags & wanted:
            raise MmError(EINVAL, f"the area at {vma.vm_start:#x} cannot be populated so: {f.perms_of(vma.vm_flags)}")
        try:
            for addr in range(start, min(end, vma.vm_end), 4096):
                mm.populate_page(vma, addr, write)
        except FatalSignal as signal:
            if signal.signal == "SIGKILL":
                raise
            raise MmError(EFAULT, str(signal)) from None
        except MemoryError as error:
            raise MmError(ENOMEM, str(error)) from None
        start = vma.vm_end
