"""The memory map of a 64 GiB machine: how long it takes to make, how much it takes, what reading one field costs.

python benchmarks/mem_map.py
"""

from __future__ import annotations

import numpy as np
from ratio import compare, report

from mmkit import MemMap, PageFlags
from mmkit.model.snapshot import PageSnapshot

NR_PAGES = 1 << 24
READS = 20_000


def zeros_once(nr_bytes: int) -> np.ndarray:
    """What every map of that size has to pay for at least: the zeros, written once."""
    zeros = np.zeros(nr_bytes, np.uint8)
    zeros.fill(1)
    return zeros


def make_map() -> MemMap:
    """A map as a machine has it at boot: the zone of every page written into its flags."""
    mem_map = MemMap(NR_PAGES)
    mem_map.set_zone("DMA", 0, 1 << 12)
    mem_map.set_zone("DMA32", 1 << 12, 1 << 20)
    mem_map.set_zone("Normal", 1 << 20, NR_PAGES)
    return mem_map


def make_and_use() -> MemMap:
    """The same, and every page handed out, mapped and locked, so that no column is left unwritten."""
    mem_map = make_map()
    for column in mem_map.columns.values():
        column.fill(1)
    return mem_map


def read_fields(mem_map: MemMap) -> int:
    """Read the reference count of pages all over the map, each through a Page of its own."""
    return sum(mem_map[pfn].refcount for pfn in range(0, NR_PAGES, NR_PAGES // READS))


def read_array(counts: np.ndarray) -> int:
    """The same reads from a bare numpy array."""
    return sum(int(counts[pfn]) for pfn in range(0, NR_PAGES, NR_PAGES // READS))


def check_answers() -> PageSnapshot:
    """The map that is timed works: the last page is what was made of it."""
    page = make_map()[NR_PAGES - 1]
    page.set_refcounted()
    page.set_flags(PageFlags.locked)
    shot: PageSnapshot = page._map.snapshot(page.pfn)
    assert (shot.refcount, shot.mapcount, shot.flags, shot.zone) == (1, -1, PageFlags.locked, "Normal")
    return shot


def main() -> bool:
    """Print the figures; returns whether all goals are met."""
    check_answers()
    nr_bytes = MemMap(NR_PAGES).nr_bytes
    holds = report("bytes a page, 16 Mi pages", nr_bytes / NR_PAGES, 32)
    timing = compare(
        {"zeros": lambda: zeros_once(nr_bytes), "map": make_map, "map, all written": make_and_use}, rounds=5
    )
    holds &= report("making the map / numpy.zeros of the same bytes written once", timing.ratio("map", "zeros"), 3)
    holds &= report("making it and writing all of it / the same", timing.ratio("map, all written", "zeros"), 3)
    mem_map = make_map()
    counts = np.asarray(mem_map.columns["refcount"])
    timing = compare({"page": lambda: read_fields(mem_map), "array": lambda: read_array(counts)}, rounds=7)
    holds &= report("reading mem_map[pfn].refcount / reading an item of an array", timing.ratio("page", "array"), 5)
    return holds


if __name__ == "__main__":
    raise SystemExit(not main())
