"""What page tables cost in memory: counted from addresses alone, without making them.

Models: a table exists if an address below it is mapped (mm/memory.c, Linux 6.18, __pte_alloc() and its like).
Leaves out: large pages, tables that stay although they have become empty.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mmkit.arch import Arch, get_arch
from mmkit.model.addressarray import address_array
from mmkit.model.pgstate import CostCurve, TableCost


def tables_needed(arch: Arch | str, virt_addrs: ArrayLike) -> tuple[int, ...]:
    """Return how many tables of each level, the root's first, it takes to map pages of 4 KiB at these addresses.

    >>> tables_needed("X86_64", [0x400000, 0x401000, 0x7ffffffff000])
    (1, 2, 2, 2)
    """
    known, addresses = get_arch(arch), address_array(virt_addrs)
    above = [known.virt_bits, *(level.shift for level in known.levels[:-1])]
    mask = np.uint64((1 << known.virt_bits) - 1)
    return (1, *(len(np.unique((addresses & mask) >> np.uint64(shift))) for shift in above[1:]))


def flat_bytes(arch: Arch | str) -> int:
    """Return the size of a table with an entry for each page of all addresses.

    >>> flat_bytes("X86"), flat_bytes("X86_64") >> 30
    (4194304, 512)
    """
    known = get_arch(arch)
    return (1 << known.virt_bits - known.page_shift) * known.entry_bytes


def table_cost(arch: Arch | str, counts: Sequence[int]) -> TableCost:
    """Return what it costs to map so many pages: all in a row, and as far from each other as a process can.

    Where an address says by its highest bit whose it is, a process has the lower half.
    """
    known = get_arch(arch)
    dense = [(count, np.arange(count, dtype=np.uint64) << np.uint64(known.page_shift)) for count in counts]
    far = [(count, _apart(known, count)) for count in counts]
    curves = (_curve(known, "all in a row", dense), _curve(known, "as far apart as can be", far))
    return TableCost(known.name, known.title, flat_bytes(known), curves)


def _apart(arch: Arch, count: int) -> NDArray[np.uint64]:
    halves = arch.word_bytes == 8 and not arch.name.startswith("ARM")
    step = (1 << arch.virt_bits - halves - arch.page_shift) // count
    return np.arange(count, dtype=np.uint64) * np.uint64(step) << np.uint64(arch.page_shift)


def _curve(arch: Arch, label: str, mapped: Sequence[tuple[int, NDArray[np.uint64]]]) -> CostCurve:
    points = [(count, sum(tables_needed(arch, pages)) << arch.page_shift) for count, pages in mapped]
    return CostCurve(label, tuple(points))
