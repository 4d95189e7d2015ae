"""Migrate types: what the kernel expects to be able to do with a page later.

Models: enum migratetype of include/linux/mmzone.h (Linux 6.18, built without CONFIG_CMA); fallbacks[] of
mm/page_alloc.c. Leaves out: the CMA type, which sits before Isolate where it is built in.
"""

from __future__ import annotations

from enum import IntEnum


class MigrateType(IntEnum):
    """Which free list a block is on, with the kernel's numbers."""

    UNMOVABLE = 0
    MOVABLE = 1
    RECLAIMABLE = 2
    HIGHATOMIC = 3
    ISOLATE = 4

    @property
    def title(self) -> str:
        """The name as ``/proc/pagetypeinfo`` writes it."""
        return _TITLES[self]

    @property
    def letter(self) -> str:
        """One letter, for pictures that must not rely on colour alone."""
        return "UMRHI"[self]


_TITLES = {
    MigrateType.UNMOVABLE: "Unmovable",
    MigrateType.MOVABLE: "Movable",
    MigrateType.RECLAIMABLE: "Reclaimable",
    MigrateType.HIGHATOMIC: "HighAtomic",
    MigrateType.ISOLATE: "Isolate",
}

NR_MIGRATETYPES = len(MigrateType)

# Where to look when a type's own lists are empty, best first.
FALLBACKS: tuple[tuple[int, ...], ...] = ((2, 1), (2, 0), (0, 1), (), ())
