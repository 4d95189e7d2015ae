"""The walk: from the root table to the page, one entry at each level.

Models: what the MMU does in hardware, and mm/pagewalk.c (Linux 6.18) in software. Leaves out: judging rights; mmu.py
does that.
"""

from __future__ import annotations

from mmkit.model.pgstate import AddressField, PteFlags, Walk, WalkStep
from mmkit.model.pgtable.formats import ArmFormat, RiscvFormat, X86Format
from mmkit.model.pgtable.words import TableWords

Format = X86Format | ArmFormat | RiscvFormat


def address_fields(fmt: Format, virt_addr: int, page_shift: int = 12) -> tuple[AddressField, ...]:
    """Return the parts of a virtual address, from the highest: an index for each level, then the offset in the page."""
    fields = []
    for level in fmt.arch.levels:
        if level.shift >= page_shift:
            value = virt_addr >> level.shift & (1 << level.bits) - 1
            fields.append(AddressField(level.name, level.shift + level.bits - 1, level.shift, value))
    return (*fields, AddressField("offset", page_shift - 1, 0, virt_addr & (1 << page_shift) - 1))


def walk(words: TableWords, root_addr: int, fmt: Format, virt_addr: int) -> Walk:
    """Follow the entries for ``virt_addr``; the last step says how far that led."""
    table, steps, rights = root_addr, [], PteFlags.WRITE | PteFlags.USER | PteFlags.EXEC
    for depth, level in enumerate(fmt.arch.levels):
        step, raw = _step(words, fmt, table, depth, virt_addr)
        steps.append(step)
        if step.kind in ("absent", "reserved", "outside"):
            return Walk(virt_addr, tuple(steps), None, 0, rights)
        rights &= _rights(fmt, raw, depth)
        assert step.target_addr is not None
        table = step.target_addr
        if step.kind == "page":
            if fmt.is_global(raw, depth):
                rights |= PteFlags.GLOBAL
            phys_addr = table | virt_addr & (1 << level.shift) - 1
            return Walk(virt_addr, tuple(steps), phys_addr, level.shift, rights)
    raise AssertionError("the last level always leads to a page")


def _step(words: TableWords, fmt: Format, table: int, depth: int, virt_addr: int) -> tuple[WalkStep, int]:
    level = fmt.arch.levels[depth]
    index = virt_addr >> level.shift & (1 << level.bits) - 1
    addr = table + index * fmt.arch.entry_bytes
    raw = words.read(addr)
    place = level.name, depth, table, index, level.shift + level.bits - 1, level.shift, addr
    if raw is None:
        return WalkStep(*place, 0, "outside", None, ()), 0
    if not fmt.present(raw, depth):
        return WalkStep(*place, raw, "absent", None, fmt.bit_names(raw, depth) if raw else ()), raw
    kind = "reserved" if fmt.reserved(raw, depth) else "page" if fmt.leaf(raw, depth) else "table"
    target = None if kind == "reserved" else int(fmt.address(raw, depth))
    return WalkStep(*place, raw, kind, target, fmt.bit_names(raw, depth)), raw


def _rights(fmt: Format, raw: int, depth: int) -> PteFlags:
    rights = PteFlags.WRITE * bool(fmt.writable(raw, depth)) | PteFlags.USER * bool(fmt.user(raw, depth))
    return PteFlags(rights | PteFlags.EXEC * bool(fmt.executable(raw, depth)) | PteFlags.GLOBAL)
