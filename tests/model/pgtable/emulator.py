"""An independent processor: Unicorn (QEMU's CPU emulator), with page tables that it walks itself, in its own memory.

What Unicorn does not offer it is asked for indirectly: user mode is entered by an IRET, and the error code of a fault
is read out of a saved context, where it stands at a place that is found by trying faults whose codes are known.
"""

from __future__ import annotations

import ctypes
import struct
from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

from unicorn import UC_ARCH_X86, UC_HOOK_INTR, UC_MODE_32, UC_MODE_64, Uc, UcError
from unicorn import x86_const as reg

from mmkit.model.pgstate import PteFlags
from mmkit.model.pgtable import PageTable

PAGE = 4096
W, U, X = PteFlags.WRITE, PteFlags.USER, PteFlags.EXEC
READ, WRITE_, IRET = 0x00, 0x10, 0x20
"""Where the three instructions stand in a page of code."""
GDT = (0, 0x00AF9B000000FFFF, 0x00CF93000000FFFF, 0x00AFFB000000FFFF, 0x00CFF3000000FFFF)
GDT32 = (0, 0x00CF9B000000FFFF, 0x00CF93000000FFFF, 0x00CFFB000000FFFF, 0x00CFF3000000FFFF)
"""Descriptors of flat code and data for both modes, marked accessed: the processor need not write to them."""
KERNEL_CS, KERNEL_SS, USER_CS, USER_SS = 0x08, 0x10, 0x1B, 0x23
EFER, CR0, CR4_PSE, CR4_PAE, CR4_LA57, CR4_SMEP, CR4_SMAP = (
    0xC0000080,
    0x8001_0033,
    0x10,
    0x20,
    1 << 12,
    1 << 20,
    1 << 21,
)
CODE_IN_PAGE = 0xFF0
"""Where in every frame an instruction stands that loads the frame's own address."""


class Outcome(NamedTuple):
    """What came of an access: the physical address, or the error code and CR2."""

    phys_addr: int | None
    error_code: int | None
    cr2: int | None


_MADE: dict[str, tuple[Uc, Any]] = {}


def _processor(arch: str, nr_bytes: int) -> Uc:
    """Return a processor as it is when it is switched on; there is one for each mode, made once."""
    if arch not in _MADE:
        uc = Uc(UC_ARCH_X86, UC_MODE_64 if arch.startswith("X86_64") else UC_MODE_32)
        if arch.startswith("X86_64"):
            # A processor that has SMEP, SMAP and, if need be, five levels; Unicorn has none such for 32 bits.
            five = arch == "X86_64_LA57"
            uc.ctl_set_cpu_model(reg.UC_CPU_X86_ICELAKE_SERVER if five else reg.UC_CPU_X86_SKYLAKE_CLIENT)
        uc.mem_map(0, nr_bytes)
        uc.hook_add(UC_HOOK_INTR, lambda uc, number, data: uc.emu_stop())
        _MADE[arch] = uc, uc.context_save()
    uc, fresh = _MADE[arch]
    uc.context_restore(fresh)
    return uc


@cache
def _frames(nr_bytes: int) -> bytes:
    """Memory in which every word says where it is."""
    return b"".join(_frame(pfn) for pfn in range(nr_bytes // PAGE))


def _frame(pfn: int) -> bytes:
    words = struct.pack(f"<{PAGE // 4}I", *range(pfn << 12, pfn + 1 << 12, 4))
    # The jump to itself ends what the emulator translates at once.
    code = b"\xb8" + struct.pack("<I", pfn << 12) + b"\xeb\xfe" + b"\x90" * 9
    return words[:CODE_IN_PAGE] + code


class Emulator:
    """One processor, whose tables are those of ``table``; ``fixed`` is where its own code and stack are mapped."""

    def __init__(self, table: PageTable, nr_bytes: int, *, wp: bool, nxe: bool, smep: bool, smap: bool) -> None:
        self.table, self.nr_bytes = table, nr_bytes
        self.long = table.arch.virt_bits > 32
        self.uc = _processor(table.arch.name, nr_bytes)
        self.uc.mem_write(0, _frames(nr_bytes))
        # Under a root entry of their own, so that nothing that is done to the others' entries reaches them.
        self.fixed = 1 << table.arch.levels[0].shift if self.long else 0xF000_0000
        self._map_fixed()
        self.copied: dict[int, bytes] = {}
        self.copy_tables()
        self._switch_on(wp, nxe, smep, smap)
        self.kernel = self.uc.context_save()
        self.user = self._enter_user_mode()
        self.offset = self._find_error_code()

    def _map_fixed(self) -> None:
        """Kernel's code, user's code, descriptors, stack: frames 0x10 to 0x13."""
        for number, flags in enumerate((X, U | X, PteFlags(0), W)):
            self.table.map(self.fixed + number * PAGE, 0x10 + number, flags)
        code = bytes.fromhex("8b07").ljust(16, b"\x90") + bytes.fromhex("8907").ljust(16, b"\x90")
        code += (b"\x48\xcf" if self.long else b"\xcf").ljust(16, b"\x90")
        self.uc.mem_write(0x10 * PAGE, code)
        self.uc.mem_write(0x11 * PAGE, code)
        self.uc.mem_write(0x12 * PAGE, struct.pack("<5Q", *(GDT if self.long else GDT32)))

    def copy_tables(self) -> None:
        """Bring the tables that have changed into the processor's memory."""
        for pfn in self.table._pages:
            words = self.table.words.words(pfn)
            assert words is not None
            content = words.tobytes()
            if self.copied.get(pfn) != content:
                self.uc.mem_write(pfn * PAGE, content)
                self.copied[pfn] = content

    def entry(self, addr: int) -> int:
        """Return the entry at a physical address, as the processor has left it."""
        return int.from_bytes(self.uc.mem_read(addr, self.table.arch.entry_bytes), "little")

    def _switch_on(self, wp: bool, nxe: bool, smep: bool, smap: bool) -> None:
        uc, arch = self.uc, self.table.arch
        wide = arch.entry_bytes == 8
        uc.reg_write(reg.UC_X86_REG_MSR, (EFER, 0x500 * self.long | 0x800 * nxe | 1))
        cr4 = CR4_PSE | CR4_PAE * wide | CR4_LA57 * (arch.virt_bits == 57) | CR4_SMEP * smep | CR4_SMAP * smap
        uc.reg_write(reg.UC_X86_REG_CR4, cr4 | 0x200)
        uc.reg_write(reg.UC_X86_REG_CR3, self.table.cr3)
        uc.reg_write(reg.UC_X86_REG_CR0, CR0 & ~(0 if wp else 0x1_0000))
        uc.reg_write(reg.UC_X86_REG_GDTR, (0, self.fixed + 2 * PAGE, 39, 0))

    def _enter_user_mode(self) -> Any:
        width = 8 if self.long else 4
        stack = 3 * PAGE + 0x800
        frame = (self.fixed + PAGE, USER_CS, 2, self.fixed + stack, USER_SS)
        self.uc.mem_write(0x13 * PAGE + 0x800, b"".join(word.to_bytes(width, "little") for word in frame))
        if not self.long:
            for register, value in ((reg.UC_X86_REG_CS, KERNEL_CS), (reg.UC_X86_REG_SS, KERNEL_SS)):
                self.uc.reg_write(register, value)
            for register in (reg.UC_X86_REG_DS, reg.UC_X86_REG_ES):
                self.uc.reg_write(register, USER_SS)
            self.kernel = self.uc.context_save()
        self.uc.reg_write(reg.UC_X86_REG_RSP if self.long else reg.UC_X86_REG_ESP, self.fixed + stack)
        self.uc.emu_start(self.fixed + IRET, 0, count=1)
        if not self.long:
            for register in (reg.UC_X86_REG_DS, reg.UC_X86_REG_ES):
                self.uc.reg_write(register, USER_SS)
        assert self.uc.reg_read(reg.UC_X86_REG_CS) & 3 == 3
        return self.uc.context_save()

    def _context(self) -> bytes:
        saved = self.uc.context_save()
        return ctypes.string_at(saved._context if hasattr(saved, "_context") else saved.context, saved.size)

    def _find_error_code(self) -> int:
        """Return where in a saved context the error code stands."""
        nothing, read_only = self.fixed + 9 * PAGE, self.fixed
        known = []
        for user, access, addr, code in (
            (False, "r", nothing, 0), (False, "w", nothing, 2), (True, "r", nothing, 4), (True, "w", nothing, 6),
            (True, "r", read_only, 5), (True, "w", self.fixed + PAGE, 7),
        ):  # fmt: skip
            self._run(access, addr, user)
            known.append((code, self._context()))
        size = len(known[0][1])
        places = [at for at in range(0, size - 4, 4)
                  if all(struct.unpack_from("<I", context, at)[0] == code for code, context in known)]  # fmt: skip
        assert len(places) == 1, places
        return places[0]

    def _run(self, access: str, addr: int, user: bool) -> tuple[bool, int]:
        """Execute one instruction; returns whether it was completed, and EAX."""
        uc, base = self.uc, self.fixed + PAGE * user
        uc.context_restore(self.user if user else self.kernel)
        uc.reg_write(reg.UC_X86_REG_CR3, self.table.cr3)
        uc.reg_write(reg.UC_X86_REG_RDI if self.long else reg.UC_X86_REG_EDI, addr)
        uc.reg_write(reg.UC_X86_REG_EAX, 0x5EED_5EED)
        start = {"r": base + READ, "w": base + WRITE_, "x": addr}[access]
        try:
            uc.emu_start(start, 0, count=1)
        except UcError:
            return False, 0
        after = uc.reg_read(reg.UC_X86_REG_RIP if self.long else reg.UC_X86_REG_EIP)
        return after != start, uc.reg_read(reg.UC_X86_REG_EAX)

    def access(self, addr: int, access: str, user: bool, expected: Callable[[], int | None]) -> Outcome:
        """Make an access at a multiple of 4; ``expected`` says where a write should have landed: it is looked for."""
        self.copy_tables()
        done, eax = self._run(access, addr, user)
        if not done:
            code = struct.unpack_from("<I", self._context(), self.offset)[0]
            return Outcome(None, code, self.uc.reg_read(reg.UC_X86_REG_CR2))
        if access != "w":
            return Outcome(eax | (addr & 0xFFF if access == "x" else 0), None, None)
        place = expected()
        found = place is not None and self.uc.mem_read(place, 4) == struct.pack("<I", 0x5EED_5EED)
        if found and place is not None:
            self.uc.mem_write(place, struct.pack("<I", place))
        return Outcome(place if found else -1, None, None)
