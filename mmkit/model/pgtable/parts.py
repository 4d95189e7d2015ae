"""An address taken apart, and a walk with the raw memory around each entry: what their pictures are drawn from.

Models: nothing but arithmetic. Leaves out: whatever is not an address.
"""

from __future__ import annotations

from mmkit.arch import Arch, get_arch
from mmkit.model.pgstate import AddressParts, Walk, WalkState
from mmkit.model.pgtable.formats import format_of
from mmkit.model.pgtable.table import is_canonical
from mmkit.model.pgtable.walk import Format, address_fields, walk
from mmkit.model.pgtable.words import TableWords
from mmkit.model.snapshot import MODEL, Source

AROUND = 2
"""Entries that are shown on each side of one that is read."""


def address_parts(arch: Arch | str, virt_addr: int, page_shift: int = 12) -> AddressParts:
    """Return the parts of a virtual address; ``page_shift`` is that of the page it lies in, if it is a larger one.

    Raises ValueError for a number that has more bits than a pointer.

    >>> [(field.name, field.value) for field in address_parts("X86", 0xC0123ABC).fields]
    [('pgd', 768), ('pte', 291), ('offset', 2748)]
    """
    known = get_arch(arch)
    word_bits = known.pointer_bits
    if not 0 <= virt_addr < 1 << word_bits:
        raise ValueError(f"{virt_addr:#x} is no virtual address of {known.name}: a pointer has {word_bits} bits")
    fields = address_fields(format_of(known), virt_addr, page_shift)
    return AddressParts(
        known.name, known.title, word_bits, known.virt_bits, known.entry_bytes, virt_addr, fields,
        is_canonical(known, virt_addr),
    )  # fmt: skip


def walk_state(
    words: TableWords, root_addr: int, fmt: Format, virt_addr: int, shown: int | None = None, source: Source = MODEL
) -> WalkState:
    """Return a walk of which ``shown`` steps have been taken (None: all), with the words around each entry."""
    found = walk(words, root_addr, fmt, virt_addr)
    taken = len(found.steps) + 1 if shown is None else max(0, min(shown, len(found.steps) + 1))
    parts = address_parts(fmt.arch, virt_addr, found.page_shift or 12)
    return WalkState(parts, root_addr, found, _rows(words, fmt, found), taken, source)


def _rows(words: TableWords, fmt: Format, found: Walk) -> tuple[tuple[tuple[int, int], ...], ...]:
    rows = []
    for step in found.steps:
        size = 1 << fmt.arch.levels[step.depth].bits
        first = max(0, min(step.index - AROUND, size - 2 * AROUND - 1))
        indexes = range(first, min(size, first + 2 * AROUND + 1))
        read = [(index, words.read(step.table_addr + index * fmt.arch.entry_bytes)) for index in indexes]
        rows.append(tuple((index, raw) for index, raw in read if raw is not None))
    return tuple(rows)
