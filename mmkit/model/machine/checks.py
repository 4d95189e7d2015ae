"""check() of a whole machine: every frame has exactly the owners that page tables, caches and free lists say.

Models: nothing; these are the rules that the kernel's reference counts rest on. Leaves out: what single models check
themselves; they are asked to.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from mmkit.errors import InvariantError
from mmkit.model.machine.lru import UNEVICTABLE
from mmkit.model.machine.swap import slot_of
from mmkit.model.vma.resident import ANON, ZERO
from mmkit.model.vmaflags import VM_LOCKED

if TYPE_CHECKING:
    from mmkit.model.machine.machine import Machine
    from mmkit.model.machine.space import MachineMm


def check_machine(machine: Machine) -> None:
    """Raise InvariantError, with the name of the rule, for the first one that does not hold."""
    machine.memory.check()
    for space in machine.spaces:
        space.check()
        space.table.check()
        _check_entries(machine, space)
        _check_tables(space)
    _check_counts(machine)
    _check_reclaim(machine)
    _check_objects(machine)
    _check_tlbs(machine)


def _broken(rule: str, what: str) -> InvariantError:
    return InvariantError(f"{rule}: {what}")


def _check_entries(machine: Machine, space: MachineMm) -> None:
    state = space.table.snapshot()
    if state.pages != len(space.pages):
        raise _broken("one entry a page", f"{state.pages} pages are entered, {len(space.pages)} are known")
    zero = machine.frames.zero.pfn
    for page, kind in space.pages.items():
        struct = space.pages.struct_page(page)
        if (kind == ZERO) != (struct.pfn == zero):
            raise _broken("kinds are true", f"page {page << 12:#x} is {kind!r}, its frame {struct.pfn:#x}")
        if kind == ANON and not struct.is_anon:
            raise _broken("own pages are anonymous", f"page {page << 12:#x} leads to frame {struct.pfn:#x}")
        if space.pages.writable(page) and kind in (ZERO,):
            raise _broken("the zero page is nobody's to write", f"page {page << 12:#x} may be written")


def _check_tables(space: MachineMm) -> None:
    """Tables may be empty, but each is for addresses of which an area has some."""
    for depth, base, addr, _ in space.table.tables(0, 1 << space.arch.virt_bits):
        if not space.index.overlapping(base, base + space.table.span(depth)):
            raise _broken("tables are areas'", f"the one at {addr:#x} is for {base:#x}, where nothing is mapped")


def _check_counts(machine: Machine) -> None:
    mapped: Counter[int] = Counter()
    for space in machine.spaces:
        for page, kind in space.pages.items():
            if kind != ZERO:
                mapped[space.pages.pfn(page)] += 1
    cached = {page.pfn for _, _, page in machine.page_cache.items()}
    cached |= {page.pfn for page in machine.swap.cache.values()}
    for pfn in set(mapped) | cached:
        struct = machine.frames.page(pfn)
        if struct.mappings != mapped[pfn]:
            raise _broken("mapcount", f"frame {pfn:#x} is mapped {mapped[pfn]} times, {struct.mappings} are counted")
        wanted = mapped[pfn] + (pfn in cached)
        if struct.refcount != wanted:
            raise _broken("refcount", f"frame {pfn:#x} has {wanted} owners, {struct.refcount} references")
    _check_account(machine, len(set(mapped) | cached))
    strangers = machine.frames.written - set(mapped) - cached
    if strangers:
        raise _broken("bytes are somebody's", f"frame {min(strangers):#x} holds bytes, and nobody has it")


def _check_account(machine: Machine, user_pages: int) -> None:
    """All memory is free, a process's or a file's, a table, a slab, or the zero page; as ``meminfo`` adds it up."""
    zones = machine.memory.zones
    used = sum(zone.managed_pages - zone.free_pages - zone.pcp_pages for zone in zones)
    slabs = sum(len(cache.snapshot().slabs) << cache.order for cache in machine.objects.caches.values())
    tables = sum(space.table.nr_tables for space in machine.spaces)
    if used != user_pages + slabs + tables + 1:
        parts = f"{user_pages} of processes and files, {slabs} of slabs, {tables} of tables, and the zero page"
        raise _broken("every page is accounted for", f"{used} are in use: {parts}")


def _check_reclaim(machine: Machine) -> None:
    """Each page that may be reclaimed is on a list, each slot has the entries that it counts, each frame its rmap."""
    machine.lru.check()
    found: Counter[tuple[int, int, int]] = Counter()
    slots: Counter[int] = Counter()
    for space in machine.spaces:
        for page, slot in space.pages.swapped.items():
            slots[slot] += 1
            if space.pages.kind(page) or slot_of(space.table.entry(page << 12)) != slot:
                raise _broken("swap entries", f"page {page << 12:#x} is in slot {slot}, its entry says otherwise")
        for page, kind in space.pages.items():
            if kind != ZERO:
                found[space.pages.pfn(page), id(space), page] += 1
                if machine.lru.where(space.pages.pfn(page)) is None:
                    raise _broken("lru", f"frame {space.pages.pfn(page):#x} is mapped, and on no list")
    _check_locks(machine)
    machine.swap.check(dict(slots))
    known = Counter((pfn, id(space), page) for pfn, users in machine.rmap.items() for space, page in users)
    if known != found:
        raise _broken("rmap", f"{len(found)} entries lead to frames, {len(known)} are known")


def _check_locks(machine: Machine) -> None:
    locked = {
        space.pages.pfn(page)
        for space in machine.spaces
        for vma in space.index
        if vma.vm_flags & VM_LOCKED
        for page, kind in space.pages.within(vma.vm_start, vma.vm_end)
        if kind != ZERO
    }
    if (found := {page.pfn for page in machine.lru.pages(UNEVICTABLE)}) != locked:
        raise _broken("locked pages", f"{len(locked)} frames are in locked areas, {len(found)} unevictable")


def _check_objects(machine: Machine) -> None:
    counted = {
        "vm_area_struct": sum(space.map_count for space in machine.spaces),
        "mm_struct": len(machine.spaces),
        "task_struct": len(machine.processes),
    }
    for name, count in counted.items():
        if len(machine.objects.in_use[name]) != count:
            there = len(machine.objects.in_use[name])
            raise _broken("objects", f"{count} of {name} are needed, {there} are in use")


def _check_tlbs(machine: Machine) -> None:
    """No TLB knows a translation that the tables do not have, or with a right that they do not give."""
    spaces = {space.asid: space for space in machine.spaces}
    for cpu in machine.cpus:
        cpu.tlb.check()
        for each in cpu.tlb.snapshot().sets:
            for entry in each.ways:
                if entry is None:
                    continue
                space = spaces.get(entry.asid) if cpu.mmu.pcid else cpu.space
                found = space.table.walk(entry.virt_addr) if space else None
                if found is None or found.phys_addr != entry.phys_addr:
                    raise _broken("no stale translation", f"cpu {cpu.number} keeps {entry.virt_addr:#x}")
