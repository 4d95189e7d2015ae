"""The page fault: what the kernel does when the processor finds no translation, or one that forbids the access.

Models: arch/x86/mm/fault.c, do_user_addr_fault(); mm/memory.c (Linux 6.18), handle_pte_fault(), do_anonymous_page(),
do_fault(), do_fault_around(), do_cow_fault(), do_wp_page(), wp_can_reuse_anon_folio(), do_swap_page(). Leaves out:
huge pages, races between threads, userfaultfd; a page that was read from the disk is there at once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mmkit.errors import FatalSignal
from mmkit.model import vmaflags as f
from mmkit.model.machine.swap import is_exclusive
from mmkit.model.machine.workingset import SLOT, Key
from mmkit.model.machinetrace import AnonVmaNew, ClearPage, FaultDone
from mmkit.model.page import Page
from mmkit.model.pageflags import PageFlags
from mmkit.model.reclaimtrace import SwapIn
from mmkit.model.vma.anon import prepare_anon_vma
from mmkit.model.vma.area import Vma
from mmkit.model.vma.fault import FAULT_AROUND
from mmkit.model.vma.resident import ANON, FILE, SHMEM, ZERO

if TYPE_CHECKING:
    from mmkit.model.machine.space import MachineMm


def fault_in(space: MachineMm, vma: Vma, addr: int, write: bool) -> bool:
    """Make an access possible that the area allows; returns whether that took a fault.

    Raises FatalSignal SIGBUS for a page that the file does not have, OutOfMemory.
    """
    page = addr >> 12
    kind = space.pages.kind(page)
    if kind and (not write or space.pages.writable(page)):
        return False
    if page in space.pages.swapped:
        what, major = _from_swap(space, vma, page, write)
    elif kind:
        what, major = _write_protected(space, vma, page, kind), False
    else:
        what, major = _missing(space, vma, addr, write)
    space.count_fault(major)
    space.tell(FaultDone, page << 12, write, major, what)
    return True


def _missing(space: MachineMm, vma: Vma, addr: int, write: bool) -> tuple[str, bool]:
    """Nothing is behind the page yet; tables come before pages, so that is what is lacking first if memory is."""
    page = addr >> 12
    space.table.make(addr, space.pages.last - (0 if vma.is_anonymous else 1))
    if vma.is_anonymous:
        return _anonymous(space, vma, page, write), False
    if vma.vm_file is None:
        space.pages.map(page, ZERO, space.pages.make(vma, space.machine.frames.zero.pfn, False), None)
        return "a page of the kernel's own", False
    return _of_file(space, vma, addr, write)


def _from_swap(space: MachineMm, vma: Vma, page: int, write: bool) -> tuple[str, bool]:
    slot = space.pages.swapped[page]
    major = _swap_in(space, vma, page, write)
    what = f"the page from slot {slot}" if major else f"the page from slot {slot}, which was in memory again"
    if write and not space.pages.writable(page):
        return _write_protected(space, vma, page, ANON), major
    return what, major


def _swap_in(space: MachineMm, vma: Vma, page: int, write: bool) -> bool:
    """Bring a page back from swap; returns whether it had to be read (do_swap_page())."""
    machine, swap, slot = space.machine, space.machine.swap, space.pages.swapped[page]
    exclusive, struct = is_exclusive(space.table.entry(page << 12)), swap.cache.get(slot)
    major = struct is None
    if struct is None:
        struct = machine.frames.new()
        machine.frames.fill(struct.pfn, swap.read(slot))
        _make_anon(space, vma, page, struct, (SLOT, slot))
        struct.clear_flags(PageFlags.anon_exclusive)
        swap.cache_page(slot, struct)
    else:
        struct.get()
    del space.pages.swapped[page]
    swap.put(slot)
    locked = vma.vm_flags & f.VM_LOCKED or struct.flags & PageFlags.mlocked
    # The slot may keep what it has, unless slots are short, or the page is about to differ from it.
    if swap.full or locked or (write and struct.refcount == 2):
        machine.free_swap(struct)
    if exclusive or struct.refcount == 1:
        struct.set_flags(PageFlags.anon_exclusive)
    may_write = bool(struct.flags & PageFlags.anon_exclusive and vma.vm_flags & f.VM_WRITE)
    raw = space.pages.make(vma, struct.pfn, may_write, dirty=may_write and write)
    _map(space, vma, page, ANON, raw, struct)
    space.tell(SwapIn, page << 12, slot, struct.pfn)
    return major


def _anonymous(space: MachineMm, vma: Vma, page: int, write: bool) -> str:
    if not write:
        space.pages.map(page, ZERO, space.pages.make(vma, space.machine.frames.zero.pfn, False), None)
        return "the zero page"
    _prepare_anon(space, vma)
    struct = space.machine.frames.new()
    space.tell(ClearPage, struct.pfn)
    _own(space, vma, page, struct)
    return "a new page of zeros"


def _own(space: MachineMm, vma: Vma, page: int, struct: Page) -> None:
    """Map a new page that is the process's own."""
    _make_anon(space, vma, page, struct)
    may_write = bool(vma.vm_flags & f.VM_WRITE)
    _map(space, vma, page, ANON, space.pages.make(vma, struct.pfn, may_write, dirty=may_write), struct)


def _map(space: MachineMm, vma: Vma, page: int, kind: str, raw: int, struct: Page) -> None:
    space.pages.map(page, kind, raw, struct)
    if vma.vm_flags & f.VM_LOCKED:
        space.machine.settle(struct)


def _prepare_anon(space: MachineMm, vma: Vma) -> None:
    """Let an area have an anon_vma, its own or a neighbour's (vmf_anon_prepare())."""
    number = prepare_anon_vma(space, vma)
    if number is not None:
        space.tell(AnonVmaNew, vma.vm_start, number)


def _make_anon(space: MachineMm, vma: Vma, page: int, struct: Page, key: Key | None = None) -> None:
    """Let a new frame be an anonymous page of an area, which may be reclaimed; ``key`` is what it was evicted as."""
    _prepare_anon(space, vma)
    struct.set_anon(space.machine.frames.anon_vma(vma.anon_vma or 0), vma.pgoff_at(page << 12))
    struct.set_flags(PageFlags.uptodate)
    if key is None:
        space.machine.lru.add(struct)
    else:
        space.machine.workingset.add(key, struct)


def _of_file(space: MachineMm, vma: Vma, addr: int, write: bool) -> tuple[str, bool]:
    assert vma.vm_file is not None
    file, index, page = vma.vm_file.file, vma.pgoff_at(addr), addr >> 12
    private = write and not vma.vm_flags & f.VM_SHARED
    if not write:
        _fault_around(space, vma, page)
    elif private:
        _prepare_anon(space, vma)  # Also if the file turns out to have no such page (do_cow_fault()).
    struct, major = _cached(space, vma, addr, index)
    if private:
        copy = space.machine.frames.copy(struct.pfn)
        _own(space, vma, page, copy)
        return f"a copy of page {index} of {file.name}", major
    _map_file(space, vma, page, struct, write)
    return f"page {index} of {file.name}", major


def _cached(space: MachineMm, vma: Vma, addr: int, index: int) -> tuple[Page, bool]:
    assert vma.vm_file is not None
    try:
        return space.machine.page_cache.get(vma.vm_file.file, index)
    except FatalSignal as signal:
        raise FatalSignal("SIGBUS", "BUS_ADRERR", addr, signal.why) from None


def _map_file(space: MachineMm, vma: Vma, page: int, struct: Page, write: bool) -> None:
    """Map a page of the page cache; only what was written through a shared mapping is dirty."""
    assert vma.vm_file is not None
    kind = SHMEM if vma.vm_file.file.kind == "tmpfs" else FILE
    shared = vma.vm_flags & (f.VM_SHARED | f.VM_WRITE) == f.VM_SHARED | f.VM_WRITE
    if write:
        struct.set_flags(PageFlags.dirty)
    struct.get()
    # Shared memory needs not be told of the first write; a file system does.
    may_write = shared and (write or kind == SHMEM)
    _map(space, vma, page, kind, space.pages.make(vma, struct.pfn, may_write, dirty=write), struct)


def _fault_around(space: MachineMm, vma: Vma, page: int) -> None:
    """Map the pages around that are in the page cache: a window of 16, cut to the area and to the page table."""
    assert vma.vm_file is not None
    file, cache = vma.vm_file.file, space.machine.page_cache
    first = max(page - page % FAULT_AROUND, vma.vm_start >> 12)
    last = min(first + FAULT_AROUND, vma.vm_end >> 12, (page | space.ptrs_per_pte - 1) + 1)
    for near in range(first, last):
        index = vma.pgoff_at(near << 12)
        if near != page and file.has(index) and _is_empty(space, near):
            _map_file(space, vma, near, cache.get(file, index)[0], write=False)


def _is_empty(space: MachineMm, page: int) -> bool:
    return space.pages.kind(page) is None and page not in space.pages.swapped


def _write_protected(space: MachineMm, vma: Vma, page: int, kind: str) -> str:
    """A write to a page that is there, but may not be written yet (do_wp_page())."""
    if kind in (FILE, SHMEM) and vma.vm_flags & f.VM_SHARED:
        struct = space.pages.struct_page(page)
        struct.set_flags(PageFlags.dirty)
        space.pages.set(page, space.pages.make(vma, struct.pfn, True, dirty=True))
        return "the file's page, which may be written from now on"
    if kind == ZERO:
        _own(space, vma, page, space.machine.frames.new())
        return "a new page of zeros in place of the zero page"
    struct = space.pages.struct_page(page)
    if kind == ANON and may_reuse(space, struct):
        struct.set_flags(PageFlags.anon_exclusive)
        space.pages.set(page, space.pages.make(vma, struct.pfn, True, dirty=True))
        return "the same page, which nobody shares any more"
    copy = space.machine.frames.copy(struct.pfn)
    _own(space, vma, page, copy)
    return "a copy of the page, since others have it too"


def may_reuse(space: MachineMm, struct: Page) -> bool:
    """Say whether a page is this process's alone, so that it need not be copied (wp_can_reuse_anon_folio())."""
    if struct.flags & PageFlags.anon_exclusive:
        return True
    if struct.refcount == 2 and space.machine.swap.slot_of(struct) is not None:
        space.machine.free_swap(struct)
    return bool(struct.refcount == 1)
