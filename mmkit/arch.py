"""What a machine is: page size, page-table levels, and where its memory zones end.

Models: the constants that Linux 6.18 fixes when it is built for an architecture. Leaves out: everything that is not
memory. The presets are frozen; ``TOY`` is no real machine, only small enough to draw whole.
"""

from __future__ import annotations

from mmkit.record import Record

MIB = 1 << 20
GIB = 1 << 30


class Level(Record):
    """One level of a page table: the kernel's name for it and the address bits that index it."""

    name: str
    shift: int
    bits: int


class ZoneLimit(Record):
    """A zone that the kernel is built with, and the physical address it ends below (None: no limit)."""

    name: str
    end_addr: int | None


class Arch(Record):
    """An architecture: what the kernel knows about a machine before it has looked at its memory.

    ``levels`` go from the root (``pgd``) to the leaf (``pte``). ``zones`` are in ascending order, as in
    ``/proc/zoneinfo``, the zones that are never filled from an address limit (Movable, Device) last.
    ``page_offset`` is the constant that turns a physical address of low memory into the kernel's virtual one.
    ``ram_base`` is the lowest physical address of RAM; ``firmware`` names the memory map that goes with it: "pc" has
    holes below 1 MiB and below 4 GiB, "virt" and "flat" have none.
    """

    name: str
    title: str
    virt_bits: int
    phys_bits: int
    levels: tuple[Level, ...]
    entry_bytes: int
    zones: tuple[ZoneLimit, ...]
    page_offset: int
    firmware: str
    ram_base: int = 0
    page_shift: int = 12
    max_order: int = 10
    pageblock_order: int = 9
    struct_page_bytes: int = 64

    @property
    def page_size(self) -> int:
        """Bytes in a page."""
        return 1 << self.page_shift

    @property
    def word_bytes(self) -> int:
        """Bytes of a pointer."""
        return 8 if self.virt_bits > 32 else 4

    @property
    def pointer_bits(self) -> int:
        """Bits that an address may have: 64, or as many as are translated where those are no more than 32."""
        return 64 if self.virt_bits > 32 else self.virt_bits

    @property
    def zone_names(self) -> tuple[str, ...]:
        """Names of the zones this kernel is built with, in ascending order."""
        return tuple(zone.name for zone in self.zones)


def _levels(names: str, bits: int, top_bits: int, page_shift: int = 12) -> tuple[Level, ...]:
    found, shift = [], page_shift
    for depth, name in enumerate(reversed(names.split())):
        width = top_bits if depth == len(names.split()) - 1 else bits
        found.append(Level(name, shift, width))
        shift += width
    return tuple(reversed(found))


def _zones(**ends: int | None) -> tuple[ZoneLimit, ...]:
    return tuple(ZoneLimit(name, end) for name, end in ends.items())


# The notes' 896 MiB is 1 GiB of kernel addresses less 128 MiB for vmalloc; a real kernel also takes fixmap,
# cpu_entry_area and pkmap off (rule Z2): the pfn is what Debian's 6.1 kernels report.
LOWMEM_TEXTBOOK = 896 * MIB
_PC64 = _zones(DMA=16 * MIB, DMA32=4 * GIB, Normal=None, Movable=None, Device=None)

X86 = Arch(
    "X86", "32-bit x86, two levels", 32, 32, _levels("pgd pte", 10, 10), 4,
    _zones(DMA=16 * MIB, Normal=0x36BFE << 12, HighMem=None, Movable=None),
    0xC000_0000, "pc", pageblock_order=10, struct_page_bytes=32,
)  # fmt: skip
X86_PAE = Arch(
    "X86_PAE", "32-bit x86 with PAE, three levels", 32, 36, _levels("pgd pmd pte", 9, 2), 8,
    _zones(DMA=16 * MIB, Normal=0x36FFE << 12, HighMem=None, Movable=None),
    0xC000_0000, "pc", struct_page_bytes=32,
)  # fmt: skip
X86_64 = Arch(
    "X86_64", "64-bit x86, four levels", 48, 46, _levels("pgd pud pmd pte", 9, 9), 8,
    _PC64, 0xFFFF_8880_0000_0000, "pc",
)  # fmt: skip
X86_64_LA57 = Arch(
    "X86_64_LA57", "64-bit x86, five levels", 57, 52, _levels("pgd p4d pud pmd pte", 9, 9), 8,
    _PC64, 0xFF11_0000_0000_0000, "pc",
)  # fmt: skip
# arm64 names its first 4 GiB DMA when no device needs less (the "virt" board), which leaves DMA32 empty (rule Z1).
ARM64 = Arch(
    "ARM64", "64-bit Arm, 4 KiB granule, four levels", 48, 48, _levels("pgd pud pmd pte", 9, 9), 8,
    _zones(DMA=4 * GIB, DMA32=4 * GIB, Normal=None, Movable=None),
    0xFFFF_0000_0000_0000 - GIB, "virt", ram_base=GIB,
)  # fmt: skip
SV39 = Arch(
    "SV39", "64-bit RISC-V, three levels", 39, 56, _levels("pgd pmd pte", 9, 9), 8,
    _zones(DMA32=4 * GIB, Normal=None, Movable=None), 0xFFFF_FFD6_0000_0000, "virt", ram_base=2 * GIB,
)  # fmt: skip
SV48 = Arch(
    "SV48", "64-bit RISC-V, four levels", 48, 56, _levels("pgd pud pmd pte", 9, 9), 8,
    _zones(DMA32=4 * GIB, Normal=None, Movable=None), 0xFFFF_AF80_0000_0000, "virt", ram_base=2 * GIB,
)  # fmt: skip
TOY = Arch(
    "TOY", "a toy: not a real machine, small enough to draw whole", 16, 20, _levels("pgd pte", 2, 2), 2,
    _zones(DMA=16 << 12, Normal=None, Movable=None),
    0x8000, "flat", max_order=4, pageblock_order=3,
)  # fmt: skip

PRESETS: dict[str, Arch] = {arch.name: arch for arch in (X86, X86_PAE, X86_64, X86_64_LA57, ARM64, SV39, SV48, TOY)}


def get_arch(arch: Arch | str) -> Arch:
    """Return the preset of that name (or ``arch`` itself). Raises ValueError for a name that is none of them."""
    if isinstance(arch, Arch):
        return arch
    try:
        return PRESETS[arch]
    except (KeyError, TypeError):
        raise ValueError(f"unknown architecture {arch!r}: choose one of {', '.join(PRESETS)}") from None
