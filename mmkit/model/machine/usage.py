"""What the areas of a process use of a machine's memory, as smaps counts it.

Models: fs/proc/task_mmu.c (Linux 6.18), smaps_account(), smaps_page_accumulate(). Leaves out: huge pages, KSM.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from mmkit.model.machinestate import AreaUsage
from mmkit.model.pageflags import PageFlags
from mmkit.model.vma.area import Vma
from mmkit.model.vma.resident import ANON, ZERO

if TYPE_CHECKING:
    from mmkit.model.machine.space import MachineMm

_PSS_SHIFT = 12


def usage_of(space: MachineMm, vma: Vma) -> AreaUsage:
    """Return what an area uses."""
    counts: Counter[str] = Counter()
    fmt, last, pss, pss_dirty = space.table.format, space.pages.last, 0, 0
    for page, kind in space.pages.within(vma.vm_start, vma.vm_end):
        if kind == ZERO:
            continue
        raw, struct = space.pages.raw(page), space.pages.struct_page(page)
        dirty = fmt.dirty(raw, last) or struct.flags & PageFlags.dirty
        counts["rss"] += 1
        counts[("shared_" if struct.mappings > 1 else "private_") + ("dirty" if dirty else "clean")] += 1
        counts["referenced"] += bool(fmt.accessed(raw, last) or struct.flags & PageFlags.referenced)
        counts["anonymous"] += kind == ANON
        counts["lazy_free"] += bool(kind == ANON and not struct.flags & PageFlags.swapbacked and not dirty)
        part = (4096 << _PSS_SHIFT) // struct.mappings
        pss, pss_dirty = pss + part, pss_dirty + part * bool(dirty)
    slots = [slot for _, slot in space.pages.in_swap(vma.vm_start, vma.vm_end)]
    swap_pss = sum((4096 << _PSS_SHIFT) // space.machine.swap.users(slot) for slot in slots)
    return AreaUsage(
        vma.vm_start, vma.vm_end, counts["rss"], pss >> _PSS_SHIFT, pss_dirty >> _PSS_SHIFT,
        counts["shared_clean"], counts["shared_dirty"], counts["private_clean"], counts["private_dirty"],
        counts["referenced"], counts["anonymous"], counts["lazy_free"], len(slots), swap_pss >> _PSS_SHIFT,
    )  # fmt: skip
