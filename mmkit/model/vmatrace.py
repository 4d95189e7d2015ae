"""Events of address spaces: what happens to the list of virtual memory areas, one change at a time.

Models: mm/vma.c (Linux 6.18), whose steps are silent: the names are ours, but for ``vm_unmapped_area``, which is
a tracepoint of the kernel (include/trace/events/mmap.h). Leaves out: locks.
"""

from __future__ import annotations

from typing import ClassVar

from mmkit.model.trace import Event


class VmUnmappedArea(Event):
    """A gap of ``length`` bytes was looked for, and found at ``addr``."""

    name: ClassVar[str] = "vm_unmapped_area"
    addr: int
    length: int


class VmaInsert(Event):
    """A new area [start, end)."""

    name: ClassVar[str] = "vma_insert"
    start: int
    end: int
    perms: str


class VmaRemove(Event):
    """An area is gone, its pages too."""

    name: ClassVar[str] = "vma_remove"
    start: int
    end: int
    perms: str


class VmaSplit(Event):
    """The area [start, end) becomes two, at ``addr``."""

    name: ClassVar[str] = "vma_split"
    start: int
    addr: int
    end: int


class VmaMerge(Event):
    """Neighbours, or a neighbour and new memory, become the one area [start, end); ``swallowed`` areas are gone."""

    name: ClassVar[str] = "vma_merge"
    start: int
    end: int
    swallowed: int


class VmaResize(Event):
    """An area that was [old_start, old_end) is [start, end) now."""

    name: ClassVar[str] = "vma_resize"
    old_start: int
    old_end: int
    start: int
    end: int


class VmaFlags(Event):
    """The flags of [start, end) change from ``old`` to ``new``."""

    name: ClassVar[str] = "vma_flags"
    start: int
    end: int
    old: int
    new: int


class VmaFault(Event):
    """A page of the process is touched for the first time; ``anon_vma`` is the number attached just then, else None."""

    name: ClassVar[str] = "vma_fault"
    addr: int
    write: bool
    anon_vma: int | None


class Zap(Event):
    """The resident pages of [start, end) are dropped."""

    name: ClassVar[str] = "zap"
    start: int
    end: int
    pages: int
