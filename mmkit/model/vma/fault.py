"""What a touch does to an area: it attaches the anon_vma, and pages become resident.

Models: mm/memory.c (Linux 6.18), do_anonymous_page(), do_read_fault(), do_fault_around(), do_cow_fault(),
do_wp_page(); mm/gup.c, populate_vma_page_range().
Leaves out: frames and page tables, huge pages, swap, and that file pages may have to be read first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mmkit.errors import FatalSignal
from mmkit.model import vmaflags as f
from mmkit.model.vma.anon import prepare_anon_vma
from mmkit.model.vma.area import Vma
from mmkit.model.vma.resident import ANON, FILE, SHMEM, ZERO
from mmkit.model.vma.stack import expand_stack
from mmkit.model.vmatrace import VmaFault

if TYPE_CHECKING:
    from mmkit.model.vma.mm import MmStruct

_WANTED = {"r": f.VM_ACCESS_FLAGS, "w": f.VM_WRITE, "x": f.VM_EXEC}
FAULT_AROUND = 16
"""Pages that one read fault of a file maps at most (fault_around_bytes)."""


def touch(mm: MmStruct, addr: int, write: bool) -> bool:
    """Access one byte; returns whether that took a fault. Raises FatalSignal where a process would get one."""
    return mm.fault_in(area_for(mm, addr, "w" if write else "r"), addr, write)


def area_for(mm: MmStruct, addr: int, access: str) -> Vma:
    """Return the area that holds an address, and allows to read, write or execute ("r", "w", "x"); stacks grow for it.

    Raises FatalSignal SIGSEGV if there is none.
    """
    _check_canonical(mm, addr)
    vma = mm.index.find(addr)
    if vma is None:
        raise FatalSignal("SIGSEGV", "SEGV_MAPERR", addr, "nothing is mapped there, and no stack above could grow")
    if vma.vm_start > addr:
        expand_stack(mm, vma, addr)
    if not vma.vm_flags & _WANTED[access]:
        what = {"r": "read", "w": "written", "x": "executed"}[access]
        raise FatalSignal("SIGSEGV", "SEGV_ACCERR", addr, f"the area may not be {what}: {f.perms_of(vma.vm_flags)}")
    return vma


def _check_canonical(mm: MmStruct, addr: int) -> None:
    """On x86-64 nobody looks for a page at an address whose upper bits are not all alike; who asked is not told it."""
    bits, alike = mm.arch.virt_bits - 1, mm.arch.word_bytes == 8 and not mm.arch.name.startswith("ARM")
    if alike and addr >> bits not in (0, mm.word >> bits):
        raise FatalSignal("SIGSEGV", "SI_KERNEL", 0, f"{addr:#x} is not canonical: bits {bits} to 63 are not all alike")


def fault_in(mm: MmStruct, vma: Vma, addr: int, write: bool) -> bool:
    """Make the page at ``addr`` resident, for reading or (``write``) writing; returns whether it was not so already.

    Raises FatalSignal SIGBUS for a page that the file does not have.
    """
    page = addr >> 12
    kind = mm.resident.kind(page)
    shared = bool(vma.vm_flags & f.VM_SHARED)
    if kind == ANON or (kind and not write) or (kind and shared):
        return False
    if vma.name:
        return False
    new = None
    if write and not vma.vm_flags & (f.VM_SHARED | f.VM_MAYSHARE):
        new = prepare_anon_vma(mm, vma)
        _inside_file(vma, addr)
        if vma.vm_file is not None:
            vma.vm_file.file.fill(vma.pgoff_at(addr))
        mm.resident.put(page, ANON)
    elif vma.vm_file is None:
        mm.resident.put(page, ZERO)
    else:
        _read_file(mm, vma, addr, write)
    mm.tell(VmaFault, page << 12, write, new)
    return True


def _inside_file(vma: Vma, addr: int) -> None:
    if vma.vm_file is not None and vma.pgoff_at(addr) >= vma.vm_file.file.pages:
        raise FatalSignal("SIGBUS", "BUS_ADRERR", addr, f"the page lies beyond the end of {vma.vm_file.file.name}")


def _read_file(mm: MmStruct, vma: Vma, addr: int, write: bool) -> None:
    assert vma.vm_file is not None
    file = vma.vm_file.file
    kind = SHMEM if file.kind == "tmpfs" else FILE
    if not write:
        _fault_around(mm, vma, addr >> 12, kind)
    _inside_file(vma, addr)
    file.fill(vma.pgoff_at(addr))
    mm.resident.put(addr >> 12, kind)


def _fault_around(mm: MmStruct, vma: Vma, page: int, kind: str) -> None:
    """Map the pages around that are in the page cache: a window of 16, cut to the area and to the page table."""
    assert vma.vm_file is not None
    file = vma.vm_file.file
    first = max(page - page % FAULT_AROUND, vma.vm_start >> 12)
    last = min(first + FAULT_AROUND, vma.vm_end >> 12, (page | mm.ptrs_per_pte - 1) + 1)
    for near in range(first, last):
        if file.has(vma.pgoff_at(near << 12)) and mm.resident.kind(near) is None:
            mm.resident.put(near, kind)


def populate_area(mm: MmStruct, vma: Vma, start: int, end: int) -> bool:
    """Make [start, end) of one area resident; returns whether all of it could be (populate_vma_page_range()).

    Raises FatalSignal SIGKILL if the process had to die for want of memory.
    """
    if vma.vm_flags & f.VM_LOCKONFAULT:
        return True
    if not vma.vm_flags & f.VM_ACCESS_FLAGS:
        return start == end
    write = vma.vm_flags & (f.VM_WRITE | f.VM_SHARED) == f.VM_WRITE
    for addr in range(start, end, 4096):
        try:
            mm.populate_page(vma, addr, write)
        except FatalSignal as signal:
            if signal.signal == "SIGKILL":
                raise
            return False
        except MemoryError:
            return False
    return True


def populate(mm: MmStruct, start: int, end: int, ignore_errors: bool) -> bool:
    """Make [start, end) resident, area by area; returns whether that went well (__mm_populate())."""
    for vma in mm.index.overlapping(start, end):
        if vma.vm_flags & (f.VM_IO | f.VM_PFNMAP):
            continue
        done = populate_area(mm, vma, max(start, vma.vm_start), min(end, vma.vm_end))
        if not done and not ignore_errors:
            return False
    return True
