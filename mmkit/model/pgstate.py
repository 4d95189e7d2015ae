"""Frozen states of page tables: an address taken apart, a walk step by step, a tree of tables with what it costs.

Models: the tables that the architecture's manuals describe, with the kernel's names for their levels (pgd, p4d, pud,
pmd, pte; arch/x86/include/asm/pgtable_types.h, Linux 6.18). Leaves out: what software keeps in ignored bits.
"""

from __future__ import annotations

from enum import IntFlag

from mmkit.model.snapshot import MODEL, Source
from mmkit.record import Record, field


class PteFlags(IntFlag):
    """Rights and properties of a mapped page, whatever bits the architecture writes them with."""

    WRITE = 1
    USER = 2
    EXEC = 4
    GLOBAL = 8


class AddressField(Record):
    """Bits [low, high] of a virtual address, and what they are: the index at a level, or the offset in the page."""

    name: str
    high: int
    low: int
    value: int


class WalkStep(Record):
    """One entry that was read on a walk."""

    level: str
    """The kernel's name: "pgd" for the root, "pte" for the last."""
    depth: int
    table_addr: int
    """Physical address of the table."""
    index: int
    high: int
    low: int
    """The bits of the virtual address that are the index."""
    entry_addr: int
    """Physical address of the entry."""
    raw: int
    kind: str
    """"table", "page", "absent" (not present), "reserved" (a bit is set that must not be), "outside" (no memory); or
    "unrecorded": what the entry was, nobody wrote down."""
    target_addr: int | None
    """Physical address of the next table, or of the page; None if there is none."""
    bits: tuple[str, ...]
    """Names of the bits that are set."""


class Walk(Record):
    """The way from the root to a page, or to where it ends."""

    virt_addr: int
    steps: tuple[WalkStep, ...]
    phys_addr: int | None
    """Where the byte is; None if no page is there."""
    page_shift: int
    """Size of the page as a power of two: 12, 21, 22 or 30; 0 if there is none."""
    flags: PteFlags
    """Rights of all levels together."""

    @property
    def end(self) -> str:
        """How it ends: the kind of the last step."""
        return self.steps[-1].kind


class AddressParts(Record):
    """A virtual address taken apart as an architecture does it."""

    arch: str
    title: str
    word_bits: int
    """Bits of a pointer: 64, or 32."""
    virt_bits: int
    """Bits that are translated."""
    entry_bytes: int
    virt_addr: int
    fields: tuple[AddressField, ...]
    """From the highest: an index for each level, then the offset in the page; together they are all bits below
    ``virt_bits``."""
    canonical: bool
    """Whether the bits above are all like the highest of those below; there are none on 32-bit machines."""

    @property
    def above(self) -> int:
        """The bits above those that are translated."""
        return self.virt_addr >> self.virt_bits


class WalkState(Record):
    """A walk as far as it has come, with the raw words that stand around each entry that it reads."""

    parts: AddressParts
    root_addr: int
    """Physical address of the root table, as CR3 holds it."""
    walk: Walk
    rows: tuple[tuple[tuple[int, int], ...], ...]
    """For each step index and raw value of some entries of its table, ascending; empty if no memory is there."""
    shown: int
    """How many steps have been taken; one more than there are when the page has been reached, too."""
    source: Source = MODEL

    @property
    def at_end(self) -> bool:
        """Whether everything has been shown."""
        return self.shown > len(self.walk.steps)


class TableState(Record):
    """One table: where it is, which addresses it is for, and its entries that are not zero."""

    depth: int
    addr: int
    virt_addr: int
    """First virtual address that it is for."""
    entries: tuple[tuple[int, int], ...]
    """Index and raw value of each entry that is not zero."""
    children: tuple[tuple[int, int], ...]
    """Index in this table, and number in ``PageTableState.tables``, of each table below."""
    pages: tuple[tuple[int, int, str], ...] = ()
    """Index, physical address and rights of each page that is mapped here: letters of "RWXU", and of "AD" if the
    processor has marked it accessed, dirty."""


class PageTableState(Record):
    """A whole tree; the root is the first table."""

    arch: str
    root_addr: int
    tables: tuple[TableState, ...] = field(repr=False)
    mapped_bytes: int
    source: Source = MODEL

    @property
    def pages(self) -> int:
        """How many pages are mapped, of any size."""
        return sum(len(table.pages) for table in self.tables)

    def tables_at(self, depth: int) -> int:
        """Return how many tables there are at a level, 0 the root's."""
        return sum(table.depth == depth for table in self.tables)


class SpaceState(Record):
    """One process as far as the MMU knows it: its tables."""

    name: str
    tables: PageTableState


class SpacesState(Record):
    """Some processes, the one whose root CR3 holds, and what was accessed last."""

    arch: str
    spaces: tuple[SpaceState, ...]
    loaded: int
    """Which of them is running: CR3 is its root."""
    access: Walk | None = None
    """The walk of the last access."""
    outcome: str = ""
    """What came of it, in words."""

    @property
    def running(self) -> SpaceState:
        """The one that is running."""
        return self.spaces[self.loaded]


class CostCurve(Record):
    """What tables cost, by how many pages are mapped."""

    label: str
    points: tuple[tuple[int, int], ...]
    """Pages, and bytes of tables."""


class TableCost(Record):
    """Bytes of page tables for pages that lie in different ways, beside one flat table."""

    arch: str
    title: str
    flat_bytes: int
    """One entry for every page that an address can name."""
    curves: tuple[CostCurve, ...]
    source: Source = MODEL
