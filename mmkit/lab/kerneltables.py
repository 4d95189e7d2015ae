"""What a real kernel says about page tables: the one that the notebook runs on, else a recorded one."""

from __future__ import annotations

from collections.abc import Sequence

from mmkit.data import recording
from mmkit.errors import LiveError
from mmkit.model.memory import PhysicalMemory
from mmkit.model.pgtable import PageTable
from mmkit.proc import livetables, pagemap

RECORDED = "host-6.18"
TOUCHES = tuple(recording(RECORDED).table_growth)
"""Addresses that were touched when that was recorded."""


def kernels_growth(addresses: Sequence[int] = TOUCHES) -> tuple[int, ...]:
    """Return by how many page tables a process grows with each first touch: here and now, else as recorded.

    Raises ValueError if it can be seen neither here nor in the recording.
    """
    try:
        return livetables.table_growth(addresses)
    except LiveError as error:
        known = recording(RECORDED).table_growth
        if tuple(addresses) != TOUCHES:
            raise ValueError(f"{error}; recorded are {', '.join(map(hex, known))}") from None
        return tuple(known.values())


def models_growth(addresses: Sequence[int] = TOUCHES) -> tuple[int, ...]:
    """Return by how many tables the model's grow."""
    table, grown = PageTable("X86_64", PhysicalMemory("X86_64", "64MiB")), []
    for pfn, addr in enumerate(addresses, 0x100):
        before = table.nr_tables
        table.map(addr, pfn)
        grown.append(table.nr_tables - before)
    return tuple(grown)


def kernels_frames() -> tuple[tuple[int, int], ...]:
    """Return (address, frame) of pages: of this process if the kernel shows them, else of a recorded one."""
    try:
        return livetables.shared_frames()
    except LiveError:
        pages = pagemap.parse_listing(recording("amd64-4g").text("vmas.pagemap.txt.gz"))
        return tuple((addr, page.pfn) for addr, page in pages.items() if page.pfn)[:16]
