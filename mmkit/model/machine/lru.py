"""Lru: which pages were used lately, as far as the kernel knows: two lists for anonymous pages, two for files.

Models: struct lruvec (include/linux/mmzone.h, Linux 6.18), mm/swap.c, folio_add_lru(); mm/vmscan.c, inactive_is_low().
Leaves out: the batches of each processor, memory cgroups, the multi-generational LRU.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from math import isqrt

from mmkit.errors import InvariantError
from mmkit.model.page import Page
from mmkit.model.pageflags import PageFlags

INACTIVE_ANON, ACTIVE_ANON, INACTIVE_FILE, ACTIVE_FILE, UNEVICTABLE = LISTS = (
    "inactive_anon", "active_anon", "inactive_file", "active_file", "unevictable",
)  # fmt: skip
"""Names as in ``/proc/vmstat``, without ``nr_``."""
CLUSTER = 32
"""So many pages are looked at, and wanted, at a time (SWAP_CLUSTER_MAX)."""


class Lru:
    """Pages by list, the one that came first at the tail, where pages are taken from."""

    def __init__(self) -> None:
        # In the order of insertion: the first key is the tail.
        self._lists: dict[str, OrderedDict[int, Page]] = {name: OrderedDict() for name in LISTS}
        self._home: dict[int, str] = {}
        self.nonresident_age = 0
        """A clock: one more for each page that is evicted or becomes active because it was used again."""
        self.anon_cost = self.file_cost = 0
        """What it has cost lately to look at pages of each kind."""

    def __len__(self) -> int:
        return len(self._home)

    def size(self, name: str) -> int:
        """Return how many pages a list has."""
        return len(self._lists[name])

    def pages(self, name: str) -> tuple[Page, ...]:
        """Return a list's pages, the next to be looked at first."""
        return tuple(self._lists[name].values())

    def where(self, pfn: int) -> str | None:
        """Return which list a page is on."""
        return self._home.get(pfn)

    def add(self, page: Page, name: str | None = None) -> None:
        """Put a page at the head of a list, by default the inactive one of its kind."""
        self.drop(page.pfn)
        name = name or (INACTIVE_ANON if page.flags & PageFlags.swapbacked else INACTIVE_FILE)
        self._lists[name][page.pfn] = page
        self._home[page.pfn] = name
        flags = page.flags
        for flag, wanted in ((PageFlags.active, name.startswith("active")), (PageFlags.lru, True),
                             (PageFlags.unevictable | PageFlags.mlocked, name == UNEVICTABLE)):  # fmt: skip
            if wanted and not flags & flag:
                page.set_flags(flag)
            elif not wanted and flags & flag:
                page.clear_flags(flag)

    def add_tail(self, page: Page, name: str) -> None:
        """Put a page at the tail of a list: it is the next to be looked at (folio_rotate_reclaimable())."""
        self.add(page, name)
        self._lists[name].move_to_end(page.pfn, last=False)

    def note_cost(self, file: bool, written: int, kept: int) -> None:
        """Remember what looking at a kind of pages has cost; what was long ago counts less (lru_note_cost())."""
        cost = written * CLUSTER + kept
        if file:
            self.file_cost += cost
        else:
            self.anon_cost += cost
        while self.anon_cost + self.file_cost > len(self) // 4:
            self.anon_cost, self.file_cost = self.anon_cost // 2, self.file_cost // 2

    def drop(self, pfn: int) -> None:
        """Take a page off, if it is on a list."""
        name = self._home.pop(pfn, None)
        if name is not None:
            page = self._lists[name].pop(pfn)
            page.clear_flags(PageFlags.lru | PageFlags.active | PageFlags.unevictable | PageFlags.mlocked)

    def tail(self, name: str, most: int) -> Iterator[Page]:
        """Yield up to ``most`` pages from the tail; each must be put somewhere, or it stays."""
        yield from list(self._lists[name].values())[:most]

    def inactive_is_low(self, kind: str) -> bool:
        """Say whether the active pages of a kind ("anon" or "file") have become too many."""
        inactive, active = self.size(f"inactive_{kind}"), self.size(f"active_{kind}")
        gigabytes = (inactive + active) >> 18
        ratio = isqrt(10 * gigabytes) if gigabytes else 1
        return inactive * ratio < active

    def check(self) -> None:
        """Raise InvariantError unless lists, flags and pages in use agree."""
        for name, pages in self._lists.items():
            for pfn, page in pages.items():
                flags = page.flags
                if self._home.get(pfn) != name or not page.refcount:
                    raise InvariantError(f"lru: frame {pfn:#x} is on {name}, and free or elsewhere as well")
                if not flags & PageFlags.lru or bool(flags & PageFlags.active) != name.startswith("active"):
                    raise InvariantError(f"lru: the flags of frame {pfn:#x} do not say {name}")
