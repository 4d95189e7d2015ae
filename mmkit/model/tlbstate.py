"""Frozen states of translation lookaside buffers: what their pictures are drawn from.

Models: what a TLB and a paging-structure cache hold (Intel SDM volume 3A, 4.10 "Caching Translation Information"; AMD
APM volume 2, 5.5). Leaves out: memory types, protection keys, global bits of large pages that are cut up.
"""

from __future__ import annotations

from mmkit.model.snapshot import MODEL, Source
from mmkit.record import Record, field, replace

LRU, PLRU = "lru", "plru"
"""Replacement: of the entry that was used longest ago, or of one that a tree of bits points at, which is nearly so."""


class TlbGeometry(Record):
    """How large a TLB is and what it may hold."""

    entries: int
    ways: int
    """Entries of a set; as many as ``entries`` where any entry may hold any page (fully associative)."""
    shifts: tuple[int, ...] = (12,)
    """Page sizes that it holds, each as the power of two: 12 is 4 KiB, 21 is 2 MiB, 30 is 1 GiB."""
    policy: str = LRU
    """``LRU`` or ``PLRU``."""
    level: int = 1
    serves: str = "id"
    """"i": instruction fetches, "d": data, "id": both."""
    name: str = "TLB"

    @property
    def sets(self) -> int:
        """Sets: the low bits of the page number choose one of them."""
        return self.entries // self.ways

    @property
    def reach_bytes(self) -> int:
        """Bytes of memory that the TLB covers when it is full, of its smallest pages."""
        return self.entries << self.shifts[0]

    def reach(self, shift: int) -> int:
        """Return the bytes that it covers when it is full of pages of 2**shift bytes; 0 if it holds none of them."""
        return self.entries << shift if shift in self.shifts else 0

    def set_of(self, virt_addr: int, shift: int | None = None) -> int:
        """Return the set that a page's translation is kept in; pages of 2**shift bytes, else of the smallest."""
        return (virt_addr >> (self.shifts[0] if shift is None else shift)) % self.sets


class TlbEntry(Record):
    """One translation, with the rights that the walk found: the AND over all levels."""

    virt_addr: int
    """Of the page's first byte."""
    phys_addr: int
    """Of the frame's first byte."""
    shift: int = 12
    """The page is 2**shift bytes."""
    asid: int = 0
    """Whose address space it is: x86's PCID, Arm's and RISC-V's ASID."""
    glob: bool = False
    """Valid in every address space (the kernel's own pages)."""
    writable: bool = True
    user: bool = True
    executable: bool = True
    dirty: bool = True
    """Whether the page table entry's dirty bit is known to be set: a first write has to walk again if not."""
    page_shift: int = 0
    """If this is but a piece of a larger page, of 2**page_shift bytes; else 0."""

    def piece(self, virt_addr: int, shift: int) -> TlbEntry:
        """Return what translates the 2**shift bytes around an address of this page."""
        start = virt_addr >> shift << shift
        return replace(
            self,
            virt_addr=start,
            phys_addr=self.translate(start),
            shift=shift,
            page_shift=self.page_shift or self.shift,
        )

    def is_of(self, virt_addr: int) -> bool:
        """Say whether the address lies in the page that this is all or a piece of."""
        shift = self.page_shift or self.shift
        return self.virt_addr >> shift == virt_addr >> shift

    def covers(self, virt_addr: int) -> bool:
        """Say whether the address lies in the page."""
        return self.virt_addr >> self.shift == virt_addr >> self.shift

    def translate(self, virt_addr: int) -> int:
        """Return the physical address of a virtual one in the page."""
        return self.phys_addr | (virt_addr & ((1 << self.shift) - 1))


class TlbSetState(Record):
    """One set: what its ways hold, and who goes next."""

    ways: tuple[TlbEntry | None, ...]
    ages: tuple[int | None, ...]
    """For each way how many others of its set were used since (0: the most recent); None if empty or not LRU."""
    bits: int | None
    """The tree of a pseudo-LRU set, node by node from the root (bit 0); None for LRU."""
    victim: int
    """The way that the next new translation goes to."""


class TlbState(Record):
    """A TLB at one moment."""

    geometry: TlbGeometry
    sets: tuple[TlbSetState, ...] = field(repr=False)
    hits: int = 0
    misses: int = 0
    source: Source = MODEL

    @property
    def used(self) -> int:
        """Entries in use."""
        return sum(entry is not None for each in self.sets for entry in each.ways)

    @property
    def covered_bytes(self) -> int:
        """Bytes of memory that the entries in use translate: large pages count for what they are."""
        return sum(1 << entry.shift for each in self.sets for entry in each.ways if entry is not None)


class WalkEntry(Record):
    """An upper entry of the page tables, kept so that a walk can start below it."""

    virt_addr: int
    """The first address below the entry."""
    shift: int
    """The entry stands for 2**shift bytes of addresses."""
    table_addr: int
    """Physical address of the table that it points to."""
    asid: int = 0
    writable: bool = True
    user: bool = True
    executable: bool = True


class WalkCacheState(Record):
    """Paging-structure caches at one moment: for each level from the root down its entries, most recent first."""

    names: tuple[str, ...]
    """The levels' kernel names: whose entries are kept (``pgd``, ``pud``, ``pmd``)."""
    sizes: tuple[int, ...]
    """How many entries each keeps."""
    levels: tuple[tuple[WalkEntry, ...], ...] = field(repr=False)


class CpuTlbs(Record):
    """What a real CPU has, and where that is written."""

    name: str
    title: str
    arrays: tuple[TlbGeometry, ...]
    """First level first."""
    walk_cache: tuple[int, ...]
    """Entries of the paging-structure caches, for the level above the last first; empty: none, or not published."""
    source: str
    """The document, or the instruction, that says so."""
    caveat: str = ""
    """Where the model has to differ."""


class AccessCost(Record):
    """What accesses cost, counted in accesses to memory: a model, in which each of them costs the same.

    Leaves out: data caches, which hold page tables as well, so that most reads of a walk are much cheaper than a miss
    to memory; walks that run side by side or ahead of need; the cycles that a second-level hit costs.
    """

    accesses: int
    """By the program: each is one access to memory, if translation costs nothing."""
    walks: int
    """For translations that no TLB had; or that one had, but not for a write, whose dirty bit has to be set."""
    walk_refs: int
    """Entries of page tables that the walks read."""

    @property
    def total(self) -> int:
        """All accesses to memory."""
        return self.accesses + self.walk_refs

    @property
    def per_access(self) -> float:
        """Accesses to memory for one of the program: 1.0 is free translation, 5.0 four levels and no TLB at all."""
        return self.total / self.accesses if self.accesses else 0.0


class HierarchyState(Record):
    """All TLBs of a CPU at one moment."""

    cpu: CpuTlbs
    arrays: tuple[TlbState, ...] = field(repr=False)
    walk_cache: WalkCacheState = field(repr=False)
    level_hits: tuple[int, int]
    """Accesses that found their translation in the first level, and in the second."""
    cost: AccessCost
    source: Source = MODEL


class TlbRun(Record):
    """A TLB in the middle of a sequence of accesses."""

    title: str
    """What the sequence is, in a few words."""
    tlb: TlbState
    done: int
    """Accesses made so far."""
    total: int
    recent: tuple[tuple[int, int, bool], ...]
    """The last accesses, oldest first: address, address space, whether it hit."""
    evicted: TlbEntry | None = None
    """What the last access drove out."""

    @property
    def hits(self) -> int:
        """Accesses that hit so far."""
        return self.tlb.hits


class TraceMap(Record):
    """When a program used which pages, and where the TLB missed: a grid of page rows by columns of time.

    Only pages that are used have rows, in the order of their addresses, several in one if there are many.
    """

    title: str
    accesses: int
    pages: int
    shift: int
    """A page is 2**shift bytes."""
    rows: tuple[tuple[int, int], ...]
    """First and last page number of each row, the lowest first."""
    counts: tuple[tuple[int, ...], ...] = field(repr=False)
    """Accesses, row by row and column by column."""
    misses: tuple[tuple[int, ...], ...] = field(repr=False)
    hits: int = 0
    """Accesses that hit; the rest missed."""
    source: Source = MODEL


class HitCurve(Record):
    """What share of accesses hits, by the bytes of memory that they are spread over."""

    label: str
    reach_bytes: int
    points: tuple[tuple[int, float], ...]
    """Bytes, and the share of hits."""


class MatrixTiming(Record):
    """How long a real CPU took to read a square matrix, row by row and column by column; nanoseconds a number."""

    size: int
    """Rows, and columns of 8 bytes."""
    row_ns: float
    column_ns: float
    padded_ns: float
    """By columns too, of a matrix whose rows begin 64 bytes further apart: its columns are spread over all cache sets.
    """

    @property
    def ratio(self) -> float:
        """How many times as long columns took."""
        return self.column_ns / self.row_ns


class ReachTiming(Record):
    """How long a real CPU took to read one cache line in each of so many pages, in random order; nanoseconds a read."""

    pages: int
    together_ns: float
    """As many lines side by side, in a 64th of the pages: the caches have as much to hold, the TLB much less."""
    apart_ns: float
    """A line a page."""
    large_ns: float | None
    """The same addresses, in memory for which large pages were asked; None where one cannot ask."""

    @property
    def ratio(self) -> float:
        """How many times as long it takes when the lines are apart: what only translation can be to blame for."""
        return self.apart_ns / self.together_ns


class TranslationTiming(Record):
    """What translation costs on a real CPU: matrices by rows and by columns, and lines in more and more pages."""

    cpu: str
    matrices: tuple[MatrixTiming, ...]
    reach: tuple[ReachTiming, ...]
    source: Source = MODEL
