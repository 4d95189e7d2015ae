"""One moment of an allocation: every structure that takes part in it, frozen.

Models: what ``/proc/PID/maps``, ``pagemap``, ``slabinfo``, ``buddyinfo`` and ``zoneinfo`` tell of a Linux 6.18 at one
moment, for one address. Leaves out: everything that this allocation does not touch.
"""

from __future__ import annotations

from mmkit.model.pgstate import Walk
from mmkit.model.snapshot import MODEL, Source
from mmkit.record import Record


class AreaLine(Record):
    """An area of the process; ``pages`` has a letter for each page: "." nothing there, "a" own, "f" a file's, "z"."""

    start: int
    end: int
    perms: str
    name: str
    pages: str


class BlockState(Record):
    """What malloc gave: address and size in bytes."""

    addr: int
    size: int


class FrameLine(Record):
    """The page frame that all is about, as its ``struct page`` has it."""

    pfn: int
    refcount: int
    mappings: int
    mapping: int
    index: int
    flags: tuple[str, ...]
    content: str
    """The first bytes that are no zeros, as hexadecimal digits; "" for a page of zeros."""
    where: str
    """"in hand", "mapped", "the zero page", "on a per-CPU list" or "free"."""


class LifeState(Record):
    """Everything at one moment; pages and frames as numbers, addresses in bytes."""

    running: tuple[str, ...]
    """What runs, from the program inwards: ("malloc(100000)", "page fault")."""
    focus: str
    """Which part the last step was about: "program", "area", "tlb", "slab", "buddy", "pcp", "frame" or a level."""
    areas: tuple[AreaLine, ...]
    heap_top: int
    """Where the C library cuts the next block from; 0 if there is no heap."""
    brk: int
    blocks: tuple[BlockState, ...]
    addr: int | None
    """The address that was last used."""
    walk: Walk | None
    tlb_frame: int | None
    """The frame that the TLB knows for it."""
    vmas_in_use: int
    vmas_there: int
    """Objects of the cache vm_area_struct: in use, and in all of its slabs."""
    pcp: tuple[int, ...]
    """Movable pages on the processor's list, the next one first."""
    orders: tuple[int, ...]
    """Free movable blocks of each order in the zone."""
    in_hand: tuple[int, int] | None
    """A block that the buddy allocator is splitting: pfn and order."""
    free_pages: int
    frame: FrameLine | None
    rss: int
    tables: int
    """Resident pages of the process, and pages that its tables take."""
    faults: int
    source: Source = MODEL
