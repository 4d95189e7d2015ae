"""Whether an address space is as it has to be: each rule by its name.

Models: mm/debug.c and mm/vma.c (Linux 6.18), validate_mm(), and what every caller relies on. Leaves out: what a lock
would have to guard.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mmkit.errors import InvariantError
from mmkit.model import vmaflags as f
from mmkit.model.vma.resident import ANON, FILE, SHMEM, ZERO

if TYPE_CHECKING:
    from mmkit.model.vma.mm import MmStruct


def _broken(rule: str, what: str) -> InvariantError:
    return InvariantError(f"{rule}: {what}")


def check(mm: MmStruct) -> None:
    """Raise InvariantError, with the name of the rule, for the first one that does not hold."""
    mm.index.check()
    _check_ranges(mm)
    _check_anon_vmas(mm)
    _check_counters(mm)
    _check_resident(mm)


def _check_ranges(mm: MmStruct) -> None:
    below = 0
    for vma in mm.index:
        if (vma.vm_start | vma.vm_end) & 0xFFF:
            raise _broken("aligned", f"{vma} does not consist of whole pages")
        if vma.vm_start >= vma.vm_end:
            raise _broken("not empty", f"{vma} ends where it starts, or before")
        if vma.vm_start < below:
            raise _broken("in order, no overlap", f"{vma} starts below {below:#x}, where the one before it ends")
        if vma.vm_end > mm.task_size:
            raise _broken("in user space", f"{vma} ends above {mm.task_size:#x}")
        below = vma.vm_end
    if mm.map_count > mm.max_map_count + 1:
        raise _broken("map_count", f"{mm.map_count} areas are more than vm.max_map_count allows, {mm.max_map_count}")


def _check_anon_vmas(mm: MmStruct) -> None:
    for vma in mm.index:
        if vma.vm_flags & f.VM_SHARED and vma.anon_vma is not None:
            raise _broken("shared, no anon_vma", f"{vma} is shared and has anon_vma {vma.anon_vma}")
        if vma.forked and vma.anon_vma is None:
            raise _broken("forked, anon_vma", f"{vma} inherited an anon_vma and has none")
        if vma.anon_vma is not None and not 0 < vma.anon_vma <= mm.ids.anon_vmas:
            raise _broken("anon_vma exists", f"{vma} has anon_vma {vma.anon_vma} of {mm.ids.anon_vmas}")


def _check_counters(mm: MmStruct) -> None:
    counted = {"total_vm": 0, "exec_vm": 0, "stack_vm": 0, "data_vm": 0, "locked_vm": 0}
    for vma in mm.index:
        counted["total_vm"] += vma.pages
        if kind := mm.counter_of(vma.vm_flags):
            counted[kind] += vma.pages
        if vma.vm_flags & f.VM_LOCKED:
            counted["locked_vm"] += vma.pages
    counted["locked_vm"] += mm.locked_left
    for name, pages in counted.items():
        if getattr(mm, name) != pages:
            raise _broken(name, f"the areas have {pages} such pages, the counter says {getattr(mm, name)}")


def _check_resident(mm: MmStruct) -> None:
    pages = mm.resident.items()
    for kind in (ZERO, FILE, SHMEM, ANON):
        there = sum(each == kind for _, each in pages)
        if mm.resident.count(kind) != there:
            raise _broken("resident pages are counted", f"{there} of kind {kind}, {mm.resident.count(kind)} counted")
    for page, kind in pages:
        vma = mm.index.find(page << 12)
        if vma is None or vma.vm_start > page << 12:
            raise _broken("resident pages are mapped", f"page {page << 12:#x} is resident, and in no area")
        if kind == ANON and vma.anon_vma is None and not vma.name:
            raise _broken("own pages have an anon_vma", f"page {page << 12:#x} is the process's own; {vma} has none")
