"""Frozen states of a machine: what memory each area of a process uses, and who has it with it.

Models: the fields of ``/proc/PID/smaps`` (fs/proc/task_mmu.c, Linux 6.18, struct mem_size_stats). Leaves out: huge
pages, swap.
"""

from __future__ import annotations

from mmkit.record import Record


class AreaUsage(Record):
    """What an area uses, in pages, but for ``pss_bytes``."""

    start: int
    end: int
    rss: int
    pss_bytes: int
    """Each page divided by how often it is mapped."""
    pss_dirty_bytes: int
    """Of those, what is dirty."""
    shared_clean: int
    shared_dirty: int
    private_clean: int
    private_dirty: int
    """Shared: mapped more than once, by whomever; dirty: written to since it was read, or never on a disk."""
    referenced: int
    anonymous: int
    lazy_free: int
    """Of the anonymous ones, those given up with MADV_FREE and not written since."""
