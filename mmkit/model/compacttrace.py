"""Events of compaction: the kernel's tracepoints, and the move of one block, for which it has none.

Models: include/trace/events/compaction.h (Linux 6.18), and mm_migrate_pages of migrate.h for what comes of it.
Leaves out: deferral, kcompactd's own events.
"""

from __future__ import annotations

from typing import ClassVar

from mmkit.model.trace import Event


class MmCompactionBegin(Event):
    """Compaction starts with the migrate scanner at ``migrate_pfn`` and the free scanner at ``free_pfn``."""

    name: ClassVar[str] = "mm_compaction_begin"
    zone_start: int
    migrate_pfn: int
    free_pfn: int
    zone_end: int
    sync: bool


class MmCompactionIsolateMigratepages(Event):
    """The migrate scanner has gone over [start_pfn, end_pfn) and taken ``nr_taken`` pages off to be moved."""

    name: ClassVar[str] = "mm_compaction_isolate_migratepages"
    start_pfn: int
    end_pfn: int
    nr_scanned: int
    nr_taken: int


class MmCompactionIsolateFreepages(Event):
    """The free scanner has gone over [start_pfn, end_pfn) and taken ``nr_taken`` free pages as room."""

    name: ClassVar[str] = "mm_compaction_isolate_freepages"
    start_pfn: int
    end_pfn: int
    nr_scanned: int
    nr_taken: int


class Migrate(Event):
    """The content of a block is copied to another, and everybody who knew the old place is told the new one."""

    name: ClassVar[str] = "migrate"
    pfn: int
    new_pfn: int
    order: int


class MigrateFailed(Event):
    """A block cannot be moved; ``why`` in a few words."""

    name: ClassVar[str] = "migrate_failed"
    pfn: int
    order: int
    why: str


class MmCompactionMigratepages(Event):
    """Of the pages taken off, ``nr_migrated`` were moved and ``nr_failed`` stay where they were."""

    name: ClassVar[str] = "mm_compaction_migratepages"
    nr_migrated: int
    nr_failed: int


class MmCompactionEnd(Event):
    """The scanners have met, or a large enough block is free."""

    name: ClassVar[str] = "mm_compaction_end"
    zone_start: int
    migrate_pfn: int
    free_pfn: int
    zone_end: int
    sync: bool
    status: str
