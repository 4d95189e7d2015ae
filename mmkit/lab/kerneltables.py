"""What a real kernel says about page tables: the one that the notebook runs on, else a recorded one."""

from __future__ import annotations

from collections.abc import Sequence

from mmkit.data import recording
from mmkit.errors import LiveError
from mmkit.model.memory import PhysicalMemory
from mmkit.model.pgtable import PageTable
from mmkit.proc import livetables, pagemap

RECORDED = "host-6.18"
PAIRS = 4
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
    """Return (address, frame) of four pages that a process has mapped twice: first all of one mapping, then the other.

    It is this process if the kernel shows frames to it, else a recorded one.
    """
    try:
        return livetables.shared_frames(PAIRS)
    except LiveError:
        pages = pagemap.parse_listing(recording("amd64-4g").text("vmas.pagemap.txt.gz"))
        starts = (0x7FFF_F7F9_7000, 0x7FFF_F7FA_F000)  # of a file's ninth page, in two areas
        found = (start + number * 4096 for start in starts for number in range(PAIRS))
        return tuple((addr, pages[addr].pfn or 0) for addr in found)
