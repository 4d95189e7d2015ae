"""What the bits of an entry mean, for each architecture.

Models: Intel SDM volume 3A, 4.3 to 4.5 (32-bit, PAE, 4- and 5-level paging), Arm DDI 0487 D8.3 (VMSAv8-64, 4 KiB
granule, stage 1), RISC-V privileged architecture 4.3 to 4.5 (Sv39, Sv48); the toy's are ours. Leaves out: memory
types, protection keys,
shadow stacks, Arm's hierarchical permissions but UXNTable, contiguous and NAPOT pages.

Predicates use plain operators, so that numbers and numpy arrays of numbers go through alike.
"""

from __future__ import annotations

from typing import Any, ClassVar

from mmkit.arch import Arch
from mmkit.model.pgstate import PteFlags

X86_BITS = {
    0: "present", 1: "writable", 2: "user", 3: "write-through", 4: "cache-disable", 5: "accessed", 6: "dirty",
    7: "large", 8: "global",
}  # fmt: skip
_P, _RW, _US, _A, _D, _PS, _G, _NX = 1, 2, 4, 0x20, 0x40, 0x80, 0x100, 1 << 63


class EntryFormat:
    """Base: what a walk asks of an entry; ``depth`` 0 is the root's level."""

    dirty_bit = 0
    names: ClassVar[dict[int, str]] = {}

    plan: tuple[tuple[int, int, int], ...] = ()
    """For each level its shift, the mask of its index, and the bits that an entry of an ordinary walk has not set.

    Empty where ordinary walks cannot be told so simply.
    """

    def __init__(self, arch: Arch) -> None:
        self.arch = arch
        self.last = len(arch.levels) - 1
        self.shifts = tuple(level.shift for level in arch.levels)
        self.large_depths: frozenset[int] = frozenset()

    def accessed_bit(self, depth: int) -> int:
        """Return what an access sets in an entry."""
        return 0

    def bit_names(self, raw: int, depth: int) -> tuple[str, ...]:
        """Return the names of the bits that are set."""
        return tuple(name for bit, name in self.names.items() if raw >> bit & 1)


class X86Format(EntryFormat):
    """Entries of 4 or 8 bytes of x86; ``nxe``, ``pse`` and ``phys_bits`` are what the processor is set to and has."""

    dirty_bit = _D
    names: ClassVar[dict[int, str]] = X86_BITS | {63: "no-execute"}

    def __init__(self, arch: Arch, nxe: bool = True, pse: bool = True, phys_bits: int | None = None) -> None:
        super().__init__(arch)
        self.wide = arch.entry_bytes == 8
        self.pae = self.wide and arch.virt_bits == 32
        self.nxe, self.pse = nxe and self.wide, pse or self.wide
        self.phys_bits = phys_bits or arch.phys_bits
        large = {21, 30} if self.wide else {22}
        depths = [d for d, shift in enumerate(self.shifts) if shift in large and d < self.last]
        self.large_depths = frozenset(d for d in depths if not (self.pae and d == 0)) if self.pse else frozenset()
        self._frame = ((1 << min(self.phys_bits, 52)) - 1) & ~0xFFF if self.wide else 0xFFFF_F000
        self.frame_mask = self._frame
        if self.wide and not self.pae:
            strange = ((1 << 52) - 1) & ~((1 << self.phys_bits) - 1) | (0 if self.nxe else _NX)
            self.plan = tuple(
                (level.shift, (1 << level.bits) - 1, strange | _PS * (depth < self.last))
                for depth, level in enumerate(arch.levels)
            )

    def accessed_bit(self, depth: int) -> int:
        """Return the accessed bit; PDPTEs of PAE have none."""
        return 0 if self.pae and depth == 0 else _A

    def present(self, raw: Any, depth: int) -> Any:
        """Say whether there is anything."""
        return raw & _P != 0

    def leaf(self, raw: Any, depth: int) -> Any:
        """Say whether it is a page."""
        if depth == self.last:
            return raw == raw
        return raw & _PS != 0 if depth in self.large_depths else raw != raw

    def reserved(self, raw: Any, depth: int) -> Any:
        """Say whether a bit is set that must not be."""
        if not self.wide:
            return (raw & _PS != 0) & (raw & 1 << 21 != 0) if depth in self.large_depths else raw != raw
        always = ((1 << 52) - 1) & ~((1 << self.phys_bits) - 1)
        if self.pae and depth == 0:
            return raw & (always | ~((1 << 52) - 1) & (1 << 64) - 1) != 0
        if not self.nxe:
            always |= _NX
        if self.pae:
            always |= 0x7FF << 52
        if depth < self.last and depth not in self.large_depths:
            always |= _PS
        if depth not in self.large_depths:
            return raw & always != 0
        low = ((1 << self.shifts[depth]) - 1) & ~0x1FFF
        return (raw & always != 0) | (raw & _PS != 0) & (raw & low != 0)

    def address(self, raw: Any, depth: int) -> Any:
        """Return the physical address of the next table, or of the page."""
        if depth not in self.large_depths:
            return raw & self._frame
        if self.wide:
            return raw & self._frame & ~((raw >> 7 & 1) * ((1 << self.shifts[depth]) - 1))
        # PSE-36: bits 13 to 20 of a 4 MiB page are bits 32 to 39 of its address.
        large = raw & 0xFFC0_0000 | (raw >> 13 & 0xFF) << 32
        return large * (raw & _PS != 0) | (raw & self._frame) * (raw & _PS == 0)

    def writable(self, raw: Any, depth: int) -> Any:
        """Say whether it lets write."""
        return raw == raw if self.pae and depth == 0 else raw & _RW != 0

    def user(self, raw: Any, depth: int) -> Any:
        """Say whether it lets user code in."""
        return raw == raw if self.pae and depth == 0 else raw & _US != 0

    def executable(self, raw: Any, depth: int) -> Any:
        """Say whether it lets fetch."""
        return raw & _NX == 0 if self.nxe and not (self.pae and depth == 0) else raw == raw

    def accessed(self, raw: Any, depth: int) -> Any:
        """Say whether its accessed bit is set, or it has none."""
        bit = self.accessed_bit(depth)
        return raw & bit != 0 if bit else raw == raw

    def dirty(self, raw: Any, depth: int) -> Any:
        """Say whether its dirty bit is set."""
        return raw & _D != 0

    def is_global(self, raw: Any, depth: int) -> Any:
        """Say whether the page is global."""
        return raw & _G != 0

    def table(self, addr: int, depth: int) -> int:
        """Return an entry that leads to a table, with all rights: the page below decides (as _PAGE_TABLE)."""
        return addr | _P if self.pae and depth == 0 else addr | _P | _RW | _US | _A | _D

    def page(self, addr: int, flags: PteFlags, depth: int) -> int:
        """Return an entry that leads to a page."""
        raw = addr | _P
        if not self.wide and depth != self.last:
            raw = addr & 0xFFC0_0000 | (addr >> 32 & 0xFF) << 13 | _P
        raw |= (
            _RW * bool(flags & PteFlags.WRITE) | _US * bool(flags & PteFlags.USER) | _G * bool(flags & PteFlags.GLOBAL)
        )
        raw |= _NX if self.nxe and not flags & PteFlags.EXEC else 0
        return raw | (_PS if depth != self.last else 0)


class ArmFormat(EntryFormat):
    """Descriptors of arm64 with pages of 4 KiB; dirty is what DBM hardware would make writable."""

    names: ClassVar[dict[int, str]] = {
        0: "valid", 1: "table or page", 6: "user", 7: "read-only", 10: "accessed", 11: "not global",
        51: "dirty bit modifier", 53: "no-execute (kernel)", 54: "no-execute (user)",
        59: "no-execute below (kernel)", 60: "no-execute below (user)",
    }  # fmt: skip
    _AF, _TABLE_NX = 1 << 10, 1 << 60

    def __init__(self, arch: Arch) -> None:
        super().__init__(arch)
        self.large_depths = frozenset(d for d, shift in enumerate(self.shifts) if shift in (21, 30) and d < self.last)
        self._frame = ((1 << 48) - 1) & ~0xFFF

    def accessed_bit(self, depth: int) -> int:
        """Return the access flag; only pages have one."""
        return self._AF

    def present(self, raw: Any, depth: int) -> Any:
        """Say whether there is anything: at the last level, only what says that it is a page."""
        return raw & 3 == 3 if depth == self.last else raw & 1 != 0

    def leaf(self, raw: Any, depth: int) -> Any:
        """Say whether it is a page or a block."""
        return raw == raw if depth == self.last else raw & 2 == 0

    def reserved(self, raw: Any, depth: int) -> Any:
        """Say whether it is a block where there can be none."""
        return raw & 2 == 0 if depth < self.last and depth not in self.large_depths else raw != raw

    def address(self, raw: Any, depth: int) -> Any:
        """Return the physical address of the next table, or of the page."""
        if depth not in self.large_depths:
            return raw & self._frame
        is_block = raw >> 1 & 1 ^ 1
        return raw & self._frame & ~(is_block * ((1 << self.shifts[depth]) - 1))

    def _is_page(self, raw: Any, depth: int) -> Any:
        return raw == raw if depth == self.last else raw & 2 == 0

    def writable(self, raw: Any, depth: int) -> Any:
        """Say whether it lets write."""
        return (raw & 1 << 7 == 0) | (1 - self._is_page(raw, depth) != 0)

    def user(self, raw: Any, depth: int) -> Any:
        """Say whether it lets user code in."""
        return (raw & 1 << 6 != 0) | (1 - self._is_page(raw, depth) != 0)

    def executable(self, raw: Any, depth: int) -> Any:
        """Say whether it lets user code fetch."""
        page = self._is_page(raw, depth)
        return (raw & 1 << 54 == 0) & (page != 0) | (raw & self._TABLE_NX == 0) & (1 - page != 0)

    def accessed(self, raw: Any, depth: int) -> Any:
        """Say whether its access flag is set."""
        return (raw & self._AF != 0) | (1 - self._is_page(raw, depth) != 0)

    def dirty(self, raw: Any, depth: int) -> Any:
        """Say whether it needs no marking: without hardware management there is nothing to mark."""
        return raw == raw

    def is_global(self, raw: Any, depth: int) -> Any:
        """Say whether the page is global."""
        return raw & 1 << 11 == 0

    def table(self, addr: int, depth: int) -> int:
        """Return a descriptor that leads to a table."""
        return addr | 3

    def page(self, addr: int, flags: PteFlags, depth: int) -> int:
        """Return a descriptor of a page or a block: inner shareable, attributes 0, accessed."""
        raw = addr | 1 | 2 * (depth == self.last) | 3 << 8 | self._AF | 1 << 53
        raw |= (1 << 6) * bool(flags & PteFlags.USER) | (1 << 7) * (not flags & PteFlags.WRITE)
        return raw | (1 << 11) * (not flags & PteFlags.GLOBAL) | (1 << 54) * (not flags & PteFlags.EXEC)


class RiscvFormat(EntryFormat):
    """Entries of RISC-V's Sv39 and Sv48."""

    dirty_bit = 0x80
    names: ClassVar[dict[int, str]] = {
        0: "valid",
        1: "readable",
        2: "writable",
        3: "executable",
        4: "user",
        5: "global",
        6: "accessed",
        7: "dirty",
    }

    def __init__(self, arch: Arch) -> None:
        super().__init__(arch)
        self.large_depths = frozenset(range(self.last))

    def accessed_bit(self, depth: int) -> int:
        """Return the accessed bit; only pages have one."""
        return 0x40

    def present(self, raw: Any, depth: int) -> Any:
        """Say whether there is anything."""
        return raw & 1 != 0

    def leaf(self, raw: Any, depth: int) -> Any:
        """Say whether it is a page: it can be read, written or executed."""
        return raw & 0xE != 0

    def reserved(self, raw: Any, depth: int) -> Any:
        """Say whether it is what the manual keeps for later: written but not read, misaligned, a table at the end."""
        low = ((1 << self.shifts[depth] - 12) - 1) << 10
        bad = (raw & 6 == 4) | (raw & 0xE != 0) & (raw & low != 0) | (raw & 0x7FF << 53 != 0)
        return bad | (raw & 0xE == 0) if depth == self.last else bad

    def address(self, raw: Any, depth: int) -> Any:
        """Return the physical address of the next table, or of the page."""
        return (raw >> 10 & (1 << 44) - 1) << 12

    def _is_page(self, raw: Any) -> Any:
        return raw & 0xE != 0

    def writable(self, raw: Any, depth: int) -> Any:
        """Say whether it lets write."""
        return (raw & 4 != 0) | (raw & 0xE == 0)

    def user(self, raw: Any, depth: int) -> Any:
        """Say whether it lets user code in."""
        return (raw & 0x10 != 0) | (raw & 0xE == 0)

    def executable(self, raw: Any, depth: int) -> Any:
        """Say whether it lets fetch."""
        return (raw & 8 != 0) | (raw & 0xE == 0)

    def accessed(self, raw: Any, depth: int) -> Any:
        """Say whether its accessed bit is set."""
        return (raw & 0x40 != 0) | (raw & 0xE == 0)

    def dirty(self, raw: Any, depth: int) -> Any:
        """Say whether its dirty bit is set."""
        return raw & 0x80 != 0

    def is_global(self, raw: Any, depth: int) -> Any:
        """Say whether the page is global."""
        return raw & 0x20 != 0

    def table(self, addr: int, depth: int) -> int:
        """Return an entry that leads to a table."""
        return addr >> 2 | 1

    def page(self, addr: int, flags: PteFlags, depth: int) -> int:
        """Return an entry that leads to a page, which can always be read."""
        raw = addr >> 2 | 3 | 4 * bool(flags & PteFlags.WRITE) | 8 * bool(flags & PteFlags.EXEC)
        return raw | 0x10 * bool(flags & PteFlags.USER) | 0x20 * bool(flags & PteFlags.GLOBAL)


class ToyFormat(X86Format):
    """Entries of 2 bytes of the toy: bits 0 to 6 as x86's, bits 8 to 15 are the frame number."""

    names: ClassVar[dict[int, str]] = {bit: name for bit, name in X86_BITS.items() if bit < 7}

    def __init__(self, arch: Arch) -> None:
        super().__init__(arch, nxe=False, pse=False)

    def reserved(self, raw: Any, depth: int) -> Any:
        """Say whether bit 7 is set, which must not be."""
        return raw & _PS != 0

    def address(self, raw: Any, depth: int) -> Any:
        """Return the physical address of the next table, or of the page."""
        return (raw >> 8 & 0xFF) << 12

    def is_global(self, raw: Any, depth: int) -> Any:
        """Say that there are no global pages."""
        return raw != raw

    def table(self, addr: int, depth: int) -> int:
        """Return an entry that leads to a table."""
        return addr >> 4 | _P | _RW | _US

    def page(self, addr: int, flags: PteFlags, depth: int) -> int:
        """Return an entry that leads to a page."""
        return addr >> 4 | _P | _RW * bool(flags & PteFlags.WRITE) | _US * bool(flags & PteFlags.USER)


def format_of(arch: Arch, **settings: Any) -> X86Format | ArmFormat | RiscvFormat:
    """Return the format of an architecture's entries; ``settings`` are those of X86Format."""
    if arch.name.startswith("ARM"):
        return ArmFormat(arch)
    if arch.name.startswith("SV"):
        return RiscvFormat(arch)
    return ToyFormat(arch) if arch.name == "TOY" else X86Format(arch, **settings)
