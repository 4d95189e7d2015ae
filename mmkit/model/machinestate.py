"""Frozen states of a machine: what memory each area of a process uses, and who has it with it.

Models: the fields of ``/proc/PID/smaps`` (fs/proc/task_mmu.c, Linux 6.18, struct mem_size_stats). Leaves out: huge
pages.
"""

from __future__ import annotations

from mmkit.model.snapshot import MODEL, Source
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
    swap: int = 0
    """Pages that are in swap, in no frame."""
    swap_pss_bytes: int = 0
    """Each of them divided by how many entries lead to its slot."""


class PageState(Record):
    """One page of a process, and what stands behind it."""

    kind: str
    """"" (not there), "z" the zero page, "a" its own, "f" a file's, "s" shared memory's."""
    pfn: int | None
    writable: bool
    """Whether its entry lets write."""
    dirty: bool
    young: bool
    area: str
    """What the area is, in a few words; empty if none holds the page."""


class MemberState(Record):
    """A process as far as its window of pages tells."""

    pid: int
    name: str
    pages: tuple[PageState, ...]
    min_flt: int
    maj_flt: int
    rss: int
    """Resident pages, of the whole process."""
    pss_bytes: int


class FrameState(Record):
    """A page frame that some process of the window uses."""

    pfn: int
    kind: str
    refcount: int
    mappings: int
    content: str
    """The first byte as a letter, if it is one; "0" for a page of zeros."""
    file_page: int | None
    """Which page of a file it is; None for anonymous memory."""


class FaultState(Record):
    """Some processes that share frames, and what happened last."""

    base: int
    """Address of the first page of the window."""
    members: tuple[MemberState, ...]
    frames: tuple[FrameState, ...]
    """By frame number."""
    touched: tuple[int, int] | None
    """Process and page of the last access."""
    told: str
    """What came of it."""
    source: Source = MODEL
