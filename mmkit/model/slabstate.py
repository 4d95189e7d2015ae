"""Frozen states of slab caches: what the slab pictures are drawn from, and what ``/proc/slabinfo`` says.

Models: struct kmem_cache, struct slab, struct kmem_cache_cpu and kmem_cache_node as a reader sees them, mm/slub.c and
mm/slab.h (Linux 6.18). Leaves out: sheaves, which 6.18 puts before two of its caches; per-node lists of several nodes.
"""

from __future__ import annotations

from enum import IntEnum, IntFlag

from mmkit.model.snapshot import Source
from mmkit.record import Record, field


class SlabFlags(IntFlag):
    """What a cache is created with; names as in the kernel, less ``SLAB_``, and its bit values until 6.8."""

    CONSISTENCY_CHECKS = 0x100
    RED_ZONE = 0x400
    POISON = 0x800
    HWCACHE_ALIGN = 0x2000
    CACHE_DMA = 0x4000
    STORE_USER = 0x10000
    RECLAIM_ACCOUNT = 0x20000
    PANIC = 0x40000
    TYPESAFE_BY_RCU = 0x80000
    ACCOUNT = 0x400_0000
    NO_USER_FLAGS = 0x1000_0000
    NO_MERGE = 0x4000_0000


RED_INACTIVE, RED_ACTIVE = 0xBB, 0xCC
"""What red zones are full of while their object is free, and while it is in use (include/linux/poison.h)."""
POISON_INUSE, POISON_FREE, POISON_END = 0x5A, 0x6B, 0xA5
"""What padding is full of, what free objects are, and their last byte."""


def track_bytes(word: int = 8) -> int:
    """Return the bytes of a struct track, the note on who took or freed an object last: address, stack, CPU, pid, when.

    >>> track_bytes(), track_bytes(word=4)
    (32, 20)
    """
    return -(-(word + 12) // word) * word + word


class ObjectState(IntEnum):
    """What one object of a slab is, for maps that mark each by its state; higher wins where cells are folded."""

    FREE = 0
    """On the list of its slab."""
    CPU_FREE = 1
    """On the CPU's own list: the next to be handed out, without a lock."""
    ALLOCATED = 2
    DAMAGED = 3
    """Debugging found that somebody wrote where nobody may."""


class SlabGeometry(Record):
    """How the objects of a cache lie in its slabs; all sizes in bytes."""

    name: str
    object_size: int
    """What a user asked for and may use."""
    size: int
    """From one object to the next: the object, metadata and padding (``slab_size`` in ``/sys/kernel/slab``)."""
    align: int
    order: int
    """A slab is 2**order pages."""
    objs_per_slab: int
    offset: int
    """Where in a free object the pointer to the next free one lies, from the object's start."""
    inuse: int
    """From the object's start to its metadata."""
    red_left_pad: int = 0
    """Red zone before each object; the object starts behind it."""
    flags: SlabFlags = SlabFlags(0)
    cpu_partial: int = 0
    """Free objects that the slabs on a CPU's partial list should have together (``cpu_partial``)."""
    cpu_partial_slabs: int = 0
    """How many slabs that is at most, taken as half full."""
    min_partial: int = 5
    """Partial slabs that a node keeps even if they are empty."""
    page_size: int = 4096
    has_ctor: bool = False

    @property
    def slab_bytes(self) -> int:
        """Bytes of a slab."""
        return self.page_size << self.order

    @property
    def tail_bytes(self) -> int:
        """Bytes at a slab's end in which no object fits."""
        return self.slab_bytes - self.objs_per_slab * self.size

    @property
    def overhead_bytes(self) -> int:
        """Bytes of a full slab that its users cannot use: padding, metadata and the tail."""
        return self.slab_bytes - self.objs_per_slab * self.object_size

    def bytes_of(self, objects: int) -> int:
        """Return the bytes of a slab of so many objects: few fit into one that was made while memory was short."""
        if objects == self.objs_per_slab:
            return self.slab_bytes
        return self.page_size << (-(-self.size // self.page_size) - 1).bit_length()

    def start_of(self, index: int) -> int:
        """Return where object ``index`` starts, from the start of the slab."""
        return index * self.size + self.red_left_pad


class Place(IntEnum):
    """On which list a slab is."""

    CPU = 0
    """The slab that a CPU takes objects from just now."""
    CPU_PARTIAL = 1
    NODE = 2
    """The node's list of partial slabs; empty ones may be on it too."""
    FULL = 3
    """On no list: SLUB keeps none of full slabs, unless it debugs."""


class SlabSnapshot(Record):
    """One slab."""

    pfn: int
    """Its first page."""
    address: int
    """Virtual address of its first byte."""
    place: Place
    cpu: int | None
    """The CPU whose slab it is, or on whose partial list; None elsewhere."""
    objects: bytes = field(repr=False)
    """An ObjectState for each object."""
    freelist: tuple[int, ...] = ()
    """Indices of the free objects on the slab's own list, head first."""
    cpu_freelist: tuple[int, ...] = ()
    """Indices of those on the CPU's list, head first."""

    @property
    def inuse(self) -> int:
        """Objects that are on no list: allocated or, with debugging, given up."""
        return len(self.objects) - len(self.freelist) - len(self.cpu_freelist)


class CacheSnapshot(Record):
    """One cache with all its slabs: CPU slabs first, then CPU partial lists and the node's, head first, then full."""

    source: Source
    geometry: SlabGeometry
    slabs: tuple[SlabSnapshot, ...] = field(repr=False)
    nr_cpus: int = 1
    aliases: tuple[str, ...] = ()
    """Other names under which this cache is used, after merging."""
    report: str = ""
    """What debugging found last, in the kernel's layout; empty if nothing."""

    @property
    def active_objs(self) -> int:
        """Objects in use."""
        return sum(slab.inuse for slab in self.slabs)

    @property
    def num_objs(self) -> int:
        """Objects that the slabs have room for."""
        return len(self.slabs) * self.geometry.objs_per_slab


class ObjectSnapshot(Record):
    """One object of a cache that is debugged, byte by byte."""

    source: Source
    geometry: SlabGeometry
    address: int
    """Of the object: its left red zone lies before it."""
    index: int
    """Which object of its slab it is."""
    state: ObjectState
    active: bool
    """In use, so that its red zones are those of an object in use."""
    content: bytes = field(repr=False)
    """``size`` bytes, from the start of the left red zone on."""
    damaged: tuple[int, ...] = ()
    """Offsets in ``content`` of bytes that are not what they must be."""


class SlabInfoLine(Record):
    """One line of ``/proc/slabinfo``."""

    name: str
    active_objs: int
    num_objs: int
    objsize: int
    """Bytes from one object to the next: ``size``, not ``object_size``."""
    objperslab: int
    pagesperslab: int
    limit: int = 0
    batchcount: int = 0
    sharedfactor: int = 0
    active_slabs: int = 0
    num_slabs: int = 0
    sharedavail: int = 0

    @property
    def pages(self) -> int:
        """Pages of all slabs."""
        return self.num_slabs * self.pagesperslab


class SlabInfo(Record):
    """``/proc/slabinfo``: all caches in the kernel's order, the newest first."""

    source: Source
    lines: tuple[SlabInfoLine, ...] = field(repr=False)
    version: str = "2.1"
