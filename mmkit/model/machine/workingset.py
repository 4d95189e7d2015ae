"""Workingset: what comes back soon after it was reclaimed was wanted, and becomes active at once.

Models: mm/workingset.c (Linux 6.18), workingset_eviction(), workingset_refault(), workingset_test_recent(). Leaves out:
buckets of ages on large machines, cgroups, and that shadows take memory themselves.
"""

from __future__ import annotations

from mmkit.model.machine.lru import ACTIVE_ANON, ACTIVE_FILE, INACTIVE_ANON, INACTIVE_FILE, Lru
from mmkit.model.machine.swap import Swap
from mmkit.model.page import Page
from mmkit.model.pageflags import PageFlags
from mmkit.model.reclaimtrace import WorkingsetRefault
from mmkit.model.trace import Trace

Key = tuple[int, int]
"""A page that is not there: its file's number and its own, or -1 and its slot."""
SLOT = -1


class Workingset:
    """The shadows of evicted pages: at what age of the lists each went, and whether it had been active."""

    def __init__(self, lru: Lru, swap: Swap, trace: Trace | None) -> None:
        self.lru, self.swap, self.trace = lru, swap, trace
        self.shadows: dict[Key, tuple[int, bool]] = {}
        self.refaults = {"anon": 0, "file": 0}
        self.activated = {"anon": 0, "file": 0}
        """How many came back, and how many of those became active at once, as ``/proc/vmstat`` counts them."""

    def evicted(self, key: Key, page: Page) -> None:
        """Remember when a page went (workingset_eviction())."""
        self.shadows[key] = self.lru.nonresident_age, bool(page.flags & PageFlags.workingset)
        self.lru.nonresident_age += 1

    def forget(self, key: Key) -> None:
        """A page does not exist any more."""
        self.shadows.pop(key, None)

    def add(self, key: Key, page: Page) -> None:
        """Put a page that has just come on a list: on the active one if it went so lately that it would still be there.

        (workingset_refault(), folio_add_lru())
        """
        shadow = self.shadows.pop(key, None)
        if shadow is None:
            self.lru.add(page)
            return
        went, was_active = shadow
        kind = "anon" if page.flags & PageFlags.swapbacked else "file"
        distance, room = self.lru.nonresident_age - went, self._room(kind)
        soon = distance <= room
        self.refaults[kind] += 1
        self.lru.add(page, (ACTIVE_ANON if kind == "anon" else ACTIVE_FILE) if soon else None)
        if self.trace is not None:
            self.trace.emit(WorkingsetRefault(page.pfn, distance, room, soon))
        if soon:
            self.activated[kind] += 1
            self.lru.nonresident_age += 1
            if was_active:
                page.set_flags(PageFlags.workingset)
                self.lru.note_cost(kind == "file", 1, 0)

    def _room(self, kind: str) -> int:
        """Return how many pages the lists hold that would have had to go in its place."""
        size = self.lru.size
        room = size(ACTIVE_FILE) + (size(INACTIVE_FILE) if kind == "anon" else 0)
        if self.swap.free:
            room += size(ACTIVE_ANON) + (size(INACTIVE_ANON) if kind == "file" else 0)
        return room
