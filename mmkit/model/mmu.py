"""The MMU: virtual to physical addresses, rights, accessed and dirty bits, page faults with the processor's error code.

Models: Intel SDM volume 3A, 4.5 to 4.8 and 4.10 (paging, access rights, page-fault exceptions, TLBs). Leaves out:
protection keys, shadow stacks, memory types; what Arm and RISC-V report of a fault: the bits are x86's there too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

from mmkit.arch import Arch, get_arch
from mmkit.errors import MmkitError
from mmkit.model.pgstate import PteFlags, Walk
from mmkit.model.pgtable.formats import format_of
from mmkit.model.pgtable.table import is_canonical
from mmkit.model.pgtable.walk import walk
from mmkit.model.pgtrace import Cr3Load, PageFaultKernel, PageFaultUser, PtEntrySet, WalkRead
from mmkit.model.tlbstate import TlbEntry
from mmkit.model.trace import Trace

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from mmkit.model.pgtable.words import TableWords
    from mmkit.model.translate import Translator

PRESENT, WRITE, USER, RESERVED, FETCH = 1, 2, 4, 8, 16
ERROR_BITS = {PRESENT: "P", WRITE: "W", USER: "U", RESERVED: "RSVD", FETCH: "I"}
ACCESSES = ("r", "w", "x")
_PCID = 0xFFF
_NO_FLUSH = 1 << 63


class PageFault(MmkitError):
    """What the processor raises when an access cannot be: ``error_code`` as it pushes it, ``addr`` as in CR2."""

    def __init__(self, addr: int, error_code: int, why: str) -> None:
        self.addr, self.error_code = addr, error_code
        super().__init__(f"page fault at {addr:#x}, error code {error_code:#x} ({error_names(error_code)}): {why}")


class GeneralProtection(MmkitError):
    """What the processor raises for an address that is not canonical: no table is read."""

    def __init__(self, addr: int, virt_bits: int) -> None:
        self.addr = addr
        super().__init__(
            f"general protection: {addr:#x} is not canonical, bits {virt_bits} to 63 are not like {virt_bits - 1}"
        )


def error_names(error_code: int) -> str:
    """Return the names of the bits of an error code: "P W U"; "not present" if the lowest is clear."""
    names = [name for bit, name in ERROR_BITS.items() if error_code & bit]
    return " ".join(names if error_code & PRESENT else ["not present", *names])


class Mmu:
    """One processor's MMU. ``words`` is the memory that its tables are in; ``cr3`` says where the root is.

    ``wp``, ``smep``, ``smap`` are bits of CR0 and CR4, ``ac`` the flag that lifts SMAP, ``nxe`` EFER's, ``pcid``
    CR4.PCIDE: with it the low twelve bits of ``cr3`` number the address space.
    """

    def __init__(
        self, arch: Arch | str, words: TableWords, *, wp: bool = True, nxe: bool = True, pse: bool = True,
        smep: bool = False, smap: bool = False, pcid: bool = False, phys_bits: int | None = None, tlb: Any = None,
        trace: Trace | None = None,
    ) -> None:  # fmt: skip
        self.arch, self.words, self.tlb, self.trace = get_arch(arch), words, tlb, trace
        self.format = format_of(self.arch, nxe=nxe, pse=pse, phys_bits=phys_bits)
        self.wp, self.smep, self.smap, self.pcid, self.ac = wp, smep, smap, pcid, False
        self.nxe = nxe and self.arch.entry_bytes == 8
        self._frame_mask = getattr(self.format, "frame_mask", 0)
        self._known: dict[tuple[str, bool, bool, bool, bool, bool], tuple[bool, ...]] = {}
        # What the bits from the highest translated one up are in an ordinary walk's address.
        high = (1 << 8 * self.arch.word_bytes - self.arch.virt_bits + 1) - 1
        self._halves = (0, high) if self.format.plan else ()
        self._cr3 = 0
        self._translator: Translator | None = None

    @property
    def cr3(self) -> int:
        """Where the root table is, and, with PCIDs, the number of the address space."""
        return self._cr3

    @cr3.setter
    def cr3(self, value: int) -> None:
        old, self._cr3 = self._cr3, value & ~_NO_FLUSH if self.pcid else value
        if self.trace is not None:
            self.trace.emit(Cr3Load(old, self._cr3))
        if self.tlb is not None:
            if not self.pcid:
                self.tlb.flush(keep_global=True)
            elif not value & _NO_FLUSH:
                self.tlb.flush_asid(self.asid)

    @property
    def asid(self) -> int:
        """The number of the address space: the PCID, 0 without them."""
        return self._cr3 & _PCID if self.pcid else 0

    @property
    def root_addr(self) -> int:
        """Physical address of the root table; PAE's is aligned to 32 bytes."""
        pae = self.arch.entry_bytes == 8 and self.arch.virt_bits == 32
        return self._cr3 & ~(0x1F if pae else 0xFFF)

    def invlpg(self, virt_addr: int) -> None:
        """Forget what the TLB knows of one page."""
        if self.tlb is not None:
            self.tlb.invlpg(virt_addr, self.asid)

    def walk(self, virt_addr: int) -> Walk:
        """Follow the tables without judging or marking anything."""
        return walk(self.words, self.root_addr, self.format, virt_addr)

    def translate(self, virt_addr: int, access: str = "r", user: bool = True) -> int:
        """Return the physical address; sets accessed and dirty bits.

        Raises PageFault or GeneralProtection as the processor does, ValueError for an address that is none.
        """
        if access not in ACCESSES:
            raise ValueError(f"an access is 'r', 'w' or 'x', not {access!r}")
        if self.tlb is not None and (entry := self.tlb.lookup(virt_addr, self.asid, access)) is not None:
            rights = entry.writable | entry.user << 1 | entry.executable << 2
            if self._may(access, user)[rights] and (access != "w" or entry.dirty):
                return int(entry.phys_addr | virt_addr & (1 << entry.shift) - 1)
        if self.trace is not None:
            self._tell(virt_addr)
        elif self.tlb is None and (ordinary := self._ordinary(virt_addr, access, user)) is not None:
            return ordinary
        found = self._quick(virt_addr, access, user)
        return found if found is not None else self._explain(virt_addr, access, user)

    def _ordinary(self, virt_addr: int, access: str, user: bool) -> int | None:
        """Walk to a page of 4 KiB where nothing is to be marked; None if anything else is the case.

        Most walks are of this kind, so no format is asked here, entry by entry.
        """
        if virt_addr >> self.arch.virt_bits - 1 not in self._halves:
            return None
        read, table, all_of, any_of, raw = self.words.read, self._cr3 & ~0xFFF, -1, 0, 0
        for shift, mask, strange in self.format.plan:
            word = read(table + (virt_addr >> shift & mask) * 8)
            if word is None or word & strange:
                return None
            all_of &= word
            any_of |= word
            raw, table = word, word & self._frame_mask
        if all_of & 0x21 != 0x21 or (access == "w" and not raw & 0x40):
            return None
        rights = all_of >> 1 & 3 | 4 * (not any_of >> 63)
        return table | virt_addr & 0xFFF if self._may(access, user)[rights] else None

    def _may(self, access: str, user: bool) -> tuple[bool, ...]:
        """As :meth:`allows`, worked out once for each setting of the processor."""
        key = (access, user, self.wp, self.smep, self.smap, self.ac)
        found = self._known.get(key)
        if found is None:
            found = self._known[key] = self.allows(access, user)
        return found

    def _tell(self, virt_addr: int) -> None:
        """Say which entries a walk reads."""
        if self.trace is not None and 0 <= virt_addr < 1 << self.arch.pointer_bits:
            for step in self.walk(virt_addr).steps if is_canonical(self.arch, virt_addr) else ():
                told = WalkRead(virt_addr, step.level, step.index, step.entry_addr, step.raw, step.kind)
                self.trace.emit(told)

    def translate_many(self, virt_addrs: Any, access: str = "r", user: bool = True) -> NDArray[np.uint64]:
        """Return the physical addresses for an array of virtual ones, uint64 of the same shape.

        As many calls of :meth:`translate` would, accessed and dirty bits and the first exception included.
        """
        if access not in ACCESSES:
            raise ValueError(f"an access is 'r', 'w' or 'x', not {access!r}")
        if self._translator is None:
            from mmkit.model.translate import Translator

            self._translator = Translator(self.words, self.format)
        return self._translator.translate(
            self.root_addr, virt_addrs, lambda addr: self.translate(addr, access, user),
            allowed=self.allows(access, user), write=access == "w",
        )  # fmt: skip

    def _quick(self, virt_addr: int, access: str, user: bool) -> int | None:
        """Walk, judge and mark with as few steps as it takes; None if something is not as it should be."""
        fmt, read, table = self.format, self.words.read, self.root_addr
        rights, used = 7, []
        if not is_canonical(self.arch, virt_addr) or virt_addr >> 8 * self.arch.word_bytes:
            return None
        for depth, level in enumerate(self.arch.levels):
            addr = table + (virt_addr >> level.shift & (1 << level.bits) - 1) * self.arch.entry_bytes
            raw = read(addr)
            if raw is None or not fmt.present(raw, depth) or fmt.reserved(raw, depth):
                return None
            rights &= fmt.writable(raw, depth) | fmt.user(raw, depth) << 1 | fmt.executable(raw, depth) << 2
            used.append((addr, raw, depth))
            table = fmt.address(raw, depth)
            if fmt.leaf(raw, depth):
                break
        if not self._allowed(PteFlags(rights), access, user):
            return None
        self._mark(used, access)
        if self.tlb is not None:
            self._fill(virt_addr, int(table), used, PteFlags(rights), access)
        return int(table) | virt_addr & (1 << self.arch.levels[used[-1][2]].shift) - 1

    def _mark(self, used: list[tuple[int, int, int]], access: str) -> None:
        for addr, raw, depth in used:
            marked = raw | self.format.accessed_bit(depth) * (not self.format.accessed(raw, depth))
            if access == "w" and depth == used[-1][2]:
                marked |= self.format.dirty_bit
            if marked != raw:
                self.words.write(addr, marked)
                if self.trace is not None:
                    level = self.arch.levels[depth]
                    index = (addr & self.arch.page_size - 1) // self.arch.entry_bytes & (1 << level.bits) - 1
                    self.trace.emit(PtEntrySet(addr, level.name, index, raw, marked))

    def _fill(self, virt_addr: int, page: int, used: list[tuple[int, int, int]], rights: PteFlags, access: str) -> None:
        _, raw, depth = used[-1]
        shift = self.arch.levels[depth].shift
        self.tlb.walked(virt_addr, self.asid, shift, [addr & ~(self.arch.page_size - 1) for addr, _, _ in used])
        entry = TlbEntry(
            virt_addr >> shift << shift, page, shift, self.asid, bool(self.format.is_global(raw, depth)),
            bool(rights & PteFlags.WRITE), bool(rights & PteFlags.USER), bool(rights & PteFlags.EXEC),
            access == "w" or bool(self.format.dirty(raw, depth)),
        )  # fmt: skip
        self.tlb.insert(entry, access, virt_addr)

    def _allowed(self, rights: PteFlags, access: str, user: bool) -> bool:
        if user:
            needed = {"r": PteFlags(0), "w": PteFlags.WRITE, "x": PteFlags.EXEC}[access] | PteFlags.USER
            return rights & needed == needed
        is_user = bool(rights & PteFlags.USER)
        if access == "x":
            return bool(rights & PteFlags.EXEC) and not (self.smep and is_user)
        if self.smap and is_user and not self.ac:
            return False
        return access == "r" or bool(rights & PteFlags.WRITE) or not self.wp

    def allows(self, access: str, user: bool) -> tuple[bool, ...]:
        """Say which rights let an access through: by writable | user << 1 | executable << 2."""
        return tuple(self._allowed(PteFlags(rights), access, user) for rights in range(8))

    def _explain(self, virt_addr: int, access: str, user: bool) -> NoReturn:
        """Raise what the processor raises, and say why in words."""
        if not 0 <= virt_addr < 1 << self.arch.pointer_bits:
            raise ValueError(f"{virt_addr:#x} is no address of {self.arch.pointer_bits} bits")
        if not is_canonical(self.arch, virt_addr):
            raise GeneralProtection(virt_addr, self.arch.virt_bits)
        code = WRITE * (access == "w") | USER * user | FETCH * (access == "x" and (self.nxe or self.smep))
        found = self.walk(virt_addr)
        last = found.steps[-1]
        if found.end == "absent":
            self._fault(virt_addr, code, user, f"the {last.level} entry, number {last.index}, is not present")
        if found.end == "outside":
            self._fault(
                virt_addr, code, user, f"the {last.level} entry would be at {last.entry_addr:#x}: no memory is there"
            )
        if found.end == "reserved":
            why = f"the {last.level} entry, {last.raw:#x}, has a bit set that must be clear"
            self._fault(virt_addr, code | PRESENT | RESERVED, user, why)
        what = {"r": "read", "w": "written", "x": "executed"}[access]
        who = "user code" if user else "the kernel"
        self._fault(virt_addr, code | PRESENT, user, f"the page may not be {what} by {who}")

    def _fault(self, virt_addr: int, code: int, user: bool, why: str) -> NoReturn:
        if self.trace is not None:
            self.trace.emit((PageFaultUser if user else PageFaultKernel)(virt_addr, code))
        raise PageFault(virt_addr, code, why)
