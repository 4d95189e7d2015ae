"""The words of ``struct page`` that are packed bit by bit: ``flags``, ``page_type`` and ``mapping``.

Models: include/linux/page-flags.h, page-flags-layout.h (Linux 6.18), enum pageflags, enum pagetype, folio_test_anon().
Bit numbers are those of a kernel without CONFIG_MEMORY_FAILURE; with it, hwpoison is bit 21 and what follows moves up.
Leaves out: flags with a meaning of their own in the pages of a large folio, and those of Xen guests.
"""

from __future__ import annotations

from enum import Enum, IntEnum, IntFlag

from mmkit.arch import Arch
from mmkit.record import Record


class PageFlags(IntFlag):
    """The flag bits of ``struct page``, by the names the kernel prints; ``PG_`` in front is the name in its source.

    >>> PageFlags.PG_dirty is PageFlags.dirty
    True
    >>> (PageFlags.locked | PageFlags.lru).names
    ('locked', 'lru')
    """

    locked = PG_locked = 1 << 0
    writeback = PG_writeback = 1 << 1
    referenced = PG_referenced = 1 << 2
    uptodate = PG_uptodate = 1 << 3
    dirty = PG_dirty = 1 << 4
    lru = PG_lru = 1 << 5
    head = PG_head = 1 << 6
    waiters = PG_waiters = 1 << 7
    active = PG_active = 1 << 8
    workingset = PG_workingset = 1 << 9
    owner_priv_1 = PG_owner_priv_1 = 1 << 10
    owner_2 = PG_owner_2 = 1 << 11
    arch_1 = PG_arch_1 = 1 << 12
    reserved = PG_reserved = 1 << 13
    private = PG_private = 1 << 14
    private_2 = PG_private_2 = 1 << 15
    reclaim = PG_reclaim = 1 << 16
    swapbacked = PG_swapbacked = 1 << 17
    unevictable = PG_unevictable = 1 << 18
    dropbehind = PG_dropbehind = 1 << 19
    mlocked = PG_mlocked = 1 << 20
    young = PG_young = 1 << 21
    idle = PG_idle = 1 << 22
    arch_2 = PG_arch_2 = 1 << 23

    # One bit, another meaning: which one holds depends on what the page is used for.
    readahead = PG_readahead = reclaim
    swapcache = PG_swapcache = owner_priv_1
    checked = PG_checked = owner_priv_1
    anon_exclusive = PG_anon_exclusive = owner_2
    mappedtodisk = PG_mappedtodisk = owner_2
    fscache = PG_fscache = private_2
    reported = PG_reported = uptodate

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the bits that are set, lowest first."""
        return tuple(str(flag.name) for flag in PageFlags if flag in self)

    @property
    def bit(self) -> int:
        """Number of the bit. Raises ValueError unless exactly one is set."""
        if self.value.bit_count() != 1:
            raise ValueError(f"{self!r} is not one flag")
        return self.value.bit_length() - 1

    @property
    def what(self) -> str:
        """What the flag, one alone, says about a page, in a few words."""
        return _WHAT[self.bit]


_WHAT = (
    "locked: one thread works on it, others wait",
    "its contents are being written to disk",
    "was used lately",
    "its contents are valid",
    "its contents differ from what is on disk",
    "on one of the lists that reclaim scans",
    "first page of a block that is handled as one",
    "a thread sleeps until it is unlocked",
    "on an active list: in use, not to be reclaimed yet",
    "was active, or came back soon after it was reclaimed",
    "its owner's own bit: in the swap cache, or checked by a file system",
    "its owner's second bit: anonymous and used by one process alone, or its place on disk is known",
    "the architecture's own bit",
    "never handed out: kernel image, firmware, no memory at all",
    "its private field is in use",
    "its file system's second bit",
    "to be reclaimed as soon as it is written, or: read further when it is used",
    "its disk space is swap, not a file",
    "never reclaimed: locked into memory, say",
    "dropped from the page cache once written",
    "locked into memory with mlock",
    "was used, says the idle-page tracker",
    "not used since it was marked idle",
    "the architecture's second bit",
)

ALL_FLAGS = int(~PageFlags(0))
"""Every bit that is a flag."""
CLEARED_WITH_LRU = PageFlags.lru | PageFlags.active | PageFlags.unevictable
"""Flags that the last put takes off together with the page's place on its list."""
BAD_AT_FREE = PageFlags.locked | PageFlags.private | PageFlags.private_2 | PageFlags.writeback | PageFlags.reserved
"""Flags that must be clear when a page is freed: PAGE_FLAGS_CHECK_AT_FREE, less those above."""


class PageType(IntEnum):
    """What a page that no process maps is used for: the top byte of the word that otherwise is ``_mapcount``.

    Until 6.9 slab was a flag, PG_slab; until 6.11 each type was a bit of that word, since 6.12 the byte is a number.
    """

    buddy = PGTY_buddy = 0xF0
    offline = PGTY_offline = 0xF1
    table = PGTY_table = 0xF2
    guard = PGTY_guard = 0xF3
    hugetlb = PGTY_hugetlb = 0xF4
    slab = PGTY_slab = 0xF5
    zsmalloc = PGTY_zsmalloc = 0xF6
    unaccepted = PGTY_unaccepted = 0xF7
    large_kmalloc = PGTY_large_kmalloc = 0xF8

    @property
    def word(self) -> int:
        """The whole 32-bit word when the page has this type."""
        return self.value << 24


NO_TYPE = 0xFFFF_FFFF
"""The word of a page that is neither mapped nor of any type: -1."""


def page_type_of(word: int) -> PageType | None:
    """Return the page type in the 32-bit word, None if it is a map count.

    >>> page_type_of(0xF500_0000)
    <PageType.slab: 245>
    """
    try:
        return PageType(word >> 24)
    except ValueError:
        return None


MAPPING_ANON = 1
"""Low bit of ``mapping``: the rest points to an ``anon_vma``, not to an ``address_space``."""
MAPPING_KSM = 3
"""Both low bits: an anonymous page that was merged with equal ones. (Bit 1 alone meant movable until 6.16.)"""


class MappingKind(Enum):
    """What the pointer in ``mapping`` leads to."""

    NONE = "nothing"
    FILE = "address_space"
    ANON = "anon_vma"
    KSM = "ksm_stable_node"


def mapping_kind(mapping: int) -> MappingKind:
    """Tell from its two low bits what ``mapping`` points to.

    Raises ValueError if only the second is set, which means nothing since Linux 6.17.
    """
    if mapping == 0:
        return MappingKind.NONE
    low = mapping & 3
    if low == 2:
        raise ValueError(f"mapping {mapping:#x} ends in binary 10: file pages end in 00, anonymous ones in 01 or 11")
    return {0: MappingKind.FILE, MAPPING_ANON: MappingKind.ANON, MAPPING_KSM: MappingKind.KSM}[low]


class BitField(Record):
    """A number inside a word: ``width`` bits from bit ``shift`` up."""

    name: str
    shift: int
    width: int

    @property
    def max(self) -> int:
        """The largest number that fits."""
        return (1 << self.width) - 1

    def get(self, word: int) -> int:
        """Read the number out of ``word``."""
        return word >> self.shift & self.max

    def put(self, number: int) -> int:
        """Return a word that holds ``number`` here and is 0 elsewhere. Raises ValueError if it does not fit."""
        if not 0 <= number <= self.max:
            raise ValueError(f"{self.name} {number} does not fit in {self.width} bits: at most {self.max}")
        return number << self.shift


class FlagsLayout(Record):
    """Where in the flags word what is: flag bits from 0 up, node, zone and last CPU from the top down.

    ``page_to_nid`` and ``page_zonenum`` shift a page's node and zone out of here: no other field tells them.
    """

    word_bits: int
    node: BitField
    zone: BitField
    last_cpupid: BitField
    """Who touched the page last, for NUMA balancing; all ones: nobody."""

    @property
    def fields(self) -> tuple[BitField, ...]:
        """The numbers that this layout has room for, from the top down."""
        return tuple(field for field in (self.node, self.zone, self.last_cpupid) if field.width)

    def pack(self, flags: int, zone: int, node: int) -> int:
        """Return the whole word of a page that no CPU has touched yet.

        >>> from mmkit import X86_64
        >>> hex(flags_layout(X86_64).pack(0, zone=2, node=0))
        '0x17fff800000000'
        """
        return flags | self.node.put(node) | self.zone.put(zone) | self.last_cpupid.put(self.last_cpupid.max)


def flags_layout(arch: Arch) -> FlagsLayout:
    """Return the layout for ``arch``: node and zone as wide as its kernel needs them, at the top of the word."""
    word_bits, node_bits, cpupid_bits = _WIDTHS.get(arch.name, (32, 2, 0))
    zone_bits = (len(arch.zones) - 1).bit_length()
    node = BitField("node", word_bits - node_bits, node_bits)
    zone = BitField("zone", node.shift - zone_bits, zone_bits)
    return FlagsLayout(word_bits, node, zone, BitField("last_cpupid", zone.shift - cpupid_bits, cpupid_bits))


# Bits of the word, of a node's number (CONFIG_NODES_SHIFT), of a CPU's number and 8 of a process's.
_WIDTHS = {
    "X86": (32, 0, 0),
    "X86_PAE": (32, 0, 0),
    "X86_64": (64, 10, 16),
    "X86_64_LA57": (64, 10, 16),
    "ARM64": (64, 4, 16),
}
