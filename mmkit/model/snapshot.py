"""Snapshots: frozen states, the only thing that pictures are drawn from.

Models make them, ``mmkit.proc`` fills the same classes from the running kernel and from recordings, so that one view
draws the toy, the recording and the reader's own machine.
"""

from __future__ import annotations

import re
from enum import IntEnum
from typing import Literal

from mmkit.model.pageflags import FlagsLayout, MappingKind, PageFlags, PageType, mapping_kind, page_type_of
from mmkit.record import Record, field


class Source(Record):
    """Where a snapshot comes from; every picture says it."""

    kind: Literal["model", "recording", "live"] = "model"
    kernel: str | None = None
    """Release of the kernel that wrote it ("6.1.0-50-amd64"); None for a model."""
    note: str = ""
    """What else a reader should know, in a few words ("snapshot 0", "half the memory used")."""

    def __str__(self) -> str:
        where = f" (kernel {self.kernel})" if self.kernel else ""
        return self.kind + where + (f", {self.note}" if self.note else "")


MODEL = Source()


class FrameUse(IntEnum):
    """What a page frame is used for, as far as its snapshot can tell."""

    HOLE = 0
    """No memory at this frame number."""
    FREE = 1
    """On the buddy lists."""
    PER_CPU = 2
    """Free, on a per-CPU list."""
    UNMOVABLE = 3
    MOVABLE = 4
    RECLAIMABLE = 5
    ANON = 6
    """Anonymous memory of a process."""
    FILE = 7
    """Page cache."""
    SLAB = 8
    PAGE_TABLE = 9
    RESERVED = 10
    """Never handed out: firmware, kernel image, struct page."""
    OTHER = 11
    """In use; the snapshot does not say for what."""
    IN_HAND = 12
    """Taken off a list in the middle of an operation: neither free nor allocated yet."""


class PageSnapshot(Record):
    """One ``struct page``. Fields that the source does not tell are None."""

    source: Source
    arch: str
    pfn: int
    layout: FlagsLayout = field(repr=False)
    """Where in the flags word what is."""
    flags_word: int
    """The whole word: flag bits, and node, zone and last CPU above them."""
    refcount: int | None
    """``_refcount``: users of the page; 0 when it is free."""
    type_word: int | None
    """The 32 bits of ``_mapcount``, which hold the page type when no process maps the page."""
    mapping: int | None
    """Pointer to an ``address_space`` or, with its low bit set, to an ``anon_vma``; 0: neither."""
    index: int | None
    """Offset in pages inside the file or, for anonymous memory, of its virtual address."""
    private: int | None
    """What the owner of the page keeps here: the order of a free block, say."""
    lru: tuple[int, int] | None
    """Pfns of the neighbours (before, after) on its list; None: on no list."""
    virtual: int | None
    """Address at which the kernel sees the page; None for high memory."""
    zone: str
    """Name of its zone."""

    @property
    def flags(self) -> PageFlags:
        """The flag bits alone."""
        return PageFlags(self.flags_word & (1 << len(PageFlags)) - 1)

    @property
    def node(self) -> int:
        """Number of its node, from the flags word."""
        return self.layout.node.get(self.flags_word)

    @property
    def page_type(self) -> PageType | None:
        """What the page is used for if no process can map it."""
        return None if self.type_word is None else page_type_of(self.type_word)

    @property
    def mapcount(self) -> int | None:
        """``_mapcount``: page table entries that map the page, less one."""
        if self.type_word is None or self.page_type is not None:
            return None if self.type_word is None else -1
        return (self.type_word + 1 & 0xFFFF_FFFF) - 1

    @property
    def count_then(self) -> int | None:
        """``_count`` of the oldest kernels and textbooks: one less than the number of users, -1 when free."""
        return None if self.refcount is None else self.refcount - 1

    @property
    def kind(self) -> MappingKind:
        """What ``mapping`` leads to."""
        return mapping_kind(self.mapping or 0)


class FrameMap(Record):
    """The use of every frame of a range: ``uses[i]`` is the FrameUse of pfn ``start_pfn + i``."""

    source: Source
    start_pfn: int
    uses: bytes = field(repr=False)


class BuddySnapshot(Record):
    """The whole state of one zone's buddy allocator."""

    source: Source
    node: int
    zone: str
    start_pfn: int
    nr_pages: int
    max_order: int
    pageblock_order: int
    free_lists: tuple[tuple[tuple[int, ...], ...], ...] = field(repr=False)
    """``free_lists[order][migratetype]``: first pfn of every free block, head of the list first."""
    pageblocks: bytes = field(repr=False)
    """Migrate type of each pageblock, from the one that holds ``start_pfn`` (aligned down)."""
    allocated: bytes = field(repr=False)
    """One byte a page: 0 unless an allocated block starts here, then 0x80 | migratetype << 4 | order;
    0xff: in use since before the model looked, block unknown."""
    holes: tuple[tuple[int, int], ...] = ()
    """Ranges [start, end) of pfns inside the zone that are no memory."""
    in_hand: tuple[int, int] | None = None
    """(pfn, order) of a block in the middle of an operation, in traced steps only."""
    kernel: str = "6.18"
    """Whose rules the allocator follows, "6.18" or "6.1"."""

    @property
    def counts(self) -> tuple[int, ...]:
        """Free blocks of each order, all migrate types together: a line of ``/proc/buddyinfo``."""
        return tuple(sum(map(len, lists)) for lists in self.free_lists)

    @property
    def free_pages(self) -> int:
        """Free pages in all lists."""
        return sum(count << order for order, count in enumerate(self.counts))

    @property
    def allocated_blocks(self) -> tuple[tuple[int, int, int], ...]:
        """(first pfn, order, migrate type) of every allocated block that is known as one, in ascending order."""
        found = ((each.start(), each.group()[0]) for each in _FIRST_OF_BLOCK.finditer(self.allocated))
        return tuple((self.start_pfn + place, code & 0x0F, code >> 4 & 0x07) for place, code in found)


_FIRST_OF_BLOCK = re.compile(rb"[\x80-\xfe]")


class PcpSnapshot(Record):
    """One CPU's lists of free pages in one zone (``pagesets`` in ``/proc/zoneinfo``)."""

    cpu: int
    count: int
    high: int
    batch: int
    high_min: int | None = None
    """Bounds between which kernels since 6.7 tune ``high``; None for older ones."""
    high_max: int | None = None
    free_factor: int = 0
    lists: tuple[tuple[int, ...], ...] = field(default=(), repr=False)
    """First pfns, head first, by list index; empty where only the text file is known."""
    alloc_factor: int = 0
    """How often refills have been doubled (models of 6.18, like the two below)."""
    free_count: int = 0
    prev_free_high_order: bool = False


class ZoneSnapshot(Record):
    """One zone of one node, all sizes in pages."""

    node: int
    name: str
    start_pfn: int
    spanned: int
    present: int
    managed: int
    free: int
    min: int
    low: int
    high: int
    boost: int | None = 0
    """Raise of the watermarks after a fallback; None where ``/proc/zoneinfo`` has no such line (before 5.16)."""
    promo: int | None = None
    cma: int | None = None
    protection: tuple[int, ...] = ()
    """Pages kept back from requests that could have used a higher zone, by zone index."""
    pcp: tuple[PcpSnapshot, ...] = ()
    counts: tuple[int, ...] | None = None
    """Free blocks of each order, where known."""
    stats: tuple[tuple[str, int], ...] = field(default=(), repr=False)
    """``nr_...`` and ``numa_...`` counters, as named and ordered in ``/proc/zoneinfo``."""
    node_stats: tuple[tuple[str, int], ...] = field(default=(), repr=False)
    """The node's counters, on the first populated zone of a node only."""
    vm_stats_thresholds: tuple[int, ...] = field(default=(), repr=False)
    node_unreclaimable: int = 0
    reserved_highatomic: int | None = None
    """Pages set aside for high-order atomic requests, and those of them that are free; kernels newer than 6.18."""
    free_highatomic: int | None = None
    buddy: BuddySnapshot | None = field(default=None, repr=False)
    reserved: tuple[tuple[int, int], ...] = ()
    """Of a model: ranges [start, end) of pfns that boot kept back; in ``buddy`` they are among the holes."""
    below_high: bool = False
    """Of a model of 6.18: a request has found less than ``high`` free, so per-CPU lists are kept short."""

    @property
    def end_pfn(self) -> int:
        """First pfn above the zone."""
        return self.start_pfn + self.spanned


class MemorySettings(Record):
    """What a model of physical memory was built with, by the names of the kernel's own settings where there are."""

    nr_cpus: int = 1
    pcp: bool = True
    """Whether pages go through per-CPU lists."""
    thp: bool = True
    """Whether there are transparent huge pages."""
    min_free_kbytes: int = 0
    watermark_scale_factor: int = 10
    lowmem_reserve_ratio: tuple[int, ...] = ()
    """By zone index."""
    percpu_pagelist_high_fraction: int = 0
    distances: tuple[tuple[int, ...], ...] = ((10,),)
    """``distances[a][b]``: from the a-th to the b-th node."""


class MemorySnapshot(Record):
    """All zones of a machine, node by node, in ascending order; empty ones included."""

    source: Source
    zones: tuple[ZoneSnapshot, ...]
    arch: str | None = None
    page_size: int = 4096
    kernel: str = "6.18"
    """Of a model: the release whose rules it follows, in whose layout it writes itself."""
    settings: MemorySettings | None = None
    """Of a model: what it was built with."""
    pages: tuple[PageSnapshot, ...] = field(default=(), repr=False)
    """Of a model: pages in use whose ``struct page`` says more than that."""
    note: str = ""
    """What a reader should be told about RAM that is not used."""


class ZoneTry(Record):
    """One zone looked at on a request's way through the zonelist; sizes in pages."""

    zone: str
    node: int
    free: int
    """Free pages when it was looked at."""
    mark: int
    """The watermark that the free pages must stay above."""
    reserve: int
    """What this zone keeps back, on top, from a request that could have used a higher zone."""
    ok: bool
    """Served from here."""
    why: str
    """In a few words: why not, or from where ("free 3,000 is not above 651 + 2,938", "from a per-CPU list")."""
    mark_name: str = "low"
    """Which watermark ``mark`` is: "low" at first, "min" once kswapd has been woken, "none" when it is ignored."""


class ZoneWalk(Record):
    """A request's way through its zonelist, zone by zone, in the order they were looked at."""

    source: Source
    gfp: str
    """The mask by name: "GFP_KERNEL"."""
    order: int
    tries: tuple[ZoneTry, ...]
    pfn: int | None = None
    """First page handed out; None: no zone could serve it."""


class BuddyInfoZone(Record):
    """One line of ``/proc/buddyinfo``: a populated zone and its free blocks, by order."""

    node: int
    zone: str
    counts: tuple[int, ...]

    @property
    def free_pages(self) -> int:
        """Free pages in all orders together."""
        return sum(count << order for order, count in enumerate(self.counts))


class BuddyInfo(Record):
    """``/proc/buddyinfo``: the populated zones, node by node, in ascending order."""

    source: Source
    zones: tuple[BuddyInfoZone, ...]


class PageTypeZone(Record):
    """What ``/proc/pagetypeinfo`` says of one populated zone; types as in ``PageTypeInfo.migratetypes``."""

    node: int
    zone: str
    free: tuple[tuple[int, ...], ...]
    """``free[type][order]``: free blocks; the kernel stops counting at 100,000, which then means "or more"."""
    blocks: tuple[int, ...]
    """Pageblocks of each type."""
    mixed: tuple[int, ...] | None = None
    """Pageblocks of each type that hold pages of another, where the kernel tracks page owners."""


class PageTypeInfo(Record):
    """``/proc/pagetypeinfo``: free blocks and pageblocks by migrate type."""

    source: Source
    pageblock_order: int
    migratetypes: tuple[str, ...]
    """Titles in the kernel's order: "Unmovable", "Movable", ... ("CMA" before "Isolate" where it is built in)."""
    zones: tuple[PageTypeZone, ...]


class Journey(Record):
    """One virtual address on its way to physical memory; steps that led nowhere are None."""

    source: Source
    addr: int
    page_size: int
    mapping: tuple[int, int] | None
    """Virtual addresses [start, end) of the mapping that ``addr`` belongs to."""
    perms: str | None
    """Its permissions, as in ``/proc/PID/maps``: "rw-p"."""
    name: str | None
    """File or kind of memory: "/bin/busybox", "[heap]", "anonymous memory"."""
    pfn: int | None
    """Page frame number from the page table."""
    node: int | None
    zone: str | None
    memory: MemorySnapshot = field(repr=False)
    """The zones of the machine."""
    owner: str = "user"
    """Whose address it is: "user", "kernel" or "nobody"."""

    @property
    def offset(self) -> int:
        """Bytes from the start of the page, the same in virtual and in physical memory."""
        return self.addr % self.page_size

    @property
    def phys_addr(self) -> int | None:
        """Physical address: frame number times page size, plus the offset."""
        return None if self.pfn is None else self.pfn * self.page_size + self.offset
