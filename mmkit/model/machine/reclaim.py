"""Reclaim: when memory runs short, pages that were not used lately are dropped or written to swap.

Models: mm/vmscan.c (Linux 6.18), balance_pgdat(), do_try_to_free_pages(), get_scan_count(), shrink_active_list(),
shrink_folio_list(), folio_check_references(); mm/page_alloc.c, __alloc_pages_slowpath(). Leaves out: the
multi-generational LRU, slab shrinkers, cgroups, time: kswapd runs when a fault has been served, and a write, also the
flusher's of a file's dirty page, is done at once; reclaim begins where an operation can be tried again, not within it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from mmkit.errors import FatalSignal, OutOfMemory
from mmkit.model import reclaimtrace as events
from mmkit.model import vmaflags as f
from mmkit.model.machine.lru import ACTIVE_ANON, ACTIVE_FILE, CLUSTER, INACTIVE_ANON, INACTIVE_FILE
from mmkit.model.machine.oom import badness, select_bad_process
from mmkit.model.page import Page
from mmkit.model.pageflags import PageFlags
from mmkit.model.trace import Event

if TYPE_CHECKING:
    from mmkit.model.machine.machine import Machine
    from mmkit.model.machine.space import MachineMm

DEF_PRIORITY, SWAPPINESS, MAX_SWAPPINESS, MAX_RETRIES = 12, 60, 200, 16
T = TypeVar("T")


class Reclaim:
    """The reclaim of a machine; ``swappiness`` from 0 to 200 says how much rather anonymous pages go than files'."""

    def __init__(self, machine: Machine, swappiness: int = SWAPPINESS, enabled: bool = True) -> None:
        self.machine, self.swappiness, self.enabled = machine, swappiness, enabled
        # A zone without pages, such as Movable, has marks all the same; they do not count.
        self._zones = [zone for zone in machine.memory.zones if zone.buddy]
        self._activated = {"anon": 0, "file": 0}
        """How many refaults had become active when reclaim ended last (snapshot_refaults())."""
        self.failures = 0
        """So often kswapd found nothing, one time after the other; after 16 it leaves it to who wants memory."""
        self.woken = self.direct_runs = self.swapped_out = self.dropped = self.kills = 0
        """How often it ran, and pages that went: what ``/proc/vmstat`` counts."""

    # -- when ---------------------------------------------------------------------------------------------------------

    def with_memory(self, do: Callable[[], T], mm: MachineMm | None = None) -> T:
        """Do what needs memory; where there is none, reclaim and do it again, or kill.

        Raises OutOfMemory if nobody can be killed, FatalSignal SIGKILL if it was who uses ``mm``.
        """
        for _ in range(MAX_RETRIES if self.enabled else 0):
            try:
                result = do()
            except OutOfMemory:
                if not self.direct() and not self.kill(mm):
                    raise
            else:
                self.balance()
                return result
        return do()

    def balance(self) -> None:
        """Let kswapd run if every zone has fallen below its low mark, until one is above its high mark."""
        if not self.enabled or self.failures >= MAX_RETRIES or self._above("low"):
            return
        self.woken += 1
        self._tell(events.KswapdWake(self._free(), self._high()))
        for zone in self._zones:
            zone.reclaim_active = True
        while self.failures < MAX_RETRIES and not self._above("high"):
            self.failures = 0 if self._balance_once(max(CLUSTER, self._high())) else self.failures + 1
        for zone in self._zones:
            zone.reclaim_active = False
        self._activated = dict(self.machine.workingset.activated)
        self._tell(events.KswapdSleep(self._free()))

    def _balance_once(self, wanted: int) -> int:
        """Look at more and more of the lists until a zone is above its high mark; returns how many pages went."""
        reclaimed, priority = 0, DEF_PRIORITY
        while priority > 0 and not self._above("high"):
            found = self.shrink(priority, wanted)
            reclaimed += found
            priority -= not found
        return reclaimed

    def _above(self, name: str) -> bool:
        """Say whether a zone has more than its mark free, and its reserve against requests for higher zones."""
        top = len(self._zones[-1].lowmem_reserve) - 1
        return any(zone.watermark_ok(0, getattr(zone.watermarks, name), top) for zone in self._zones)

    def _high(self) -> int:
        return sum(zone.watermarks.high for zone in self._zones)

    def direct(self) -> int:
        """Reclaim a cluster of pages for an allocation that has failed; returns how many it was."""
        self.direct_runs += 1
        self._tell(events.DirectReclaimBegin(self._free()))
        reclaimed = 0
        for priority in range(DEF_PRIORITY, -1, -1):
            reclaimed += self.shrink(priority, CLUSTER - reclaimed)
            if reclaimed >= CLUSTER:
                break
        self.machine.memory.drain_pages()
        if reclaimed:
            self.failures = 0
        self._activated = dict(self.machine.workingset.activated)
        self._tell(events.DirectReclaimEnd(reclaimed))
        return reclaimed

    def kill(self, mm: MachineMm | None) -> bool:
        """Kill the process with the most points; returns whether there was one.

        Raises FatalSignal if it was who uses ``mm``.
        """
        victim = select_bad_process(self.machine)
        if victim is None:
            return False
        self.kills += 1
        points, lost = badness(victim) or 0, victim.mm
        self._tell(
            events.MarkVictim(victim.pid, victim.name, points, lost.rss, len(lost.pages.swapped), lost.nr_pgtables)
        )
        signal = FatalSignal("SIGKILL", "SI_KERNEL", 0, "out of memory: it had the most points")
        for member in [each for each in self.machine if each.tgid == victim.tgid]:
            member.killed = signal
            member.exit()
        self.machine.memory.drain_pages()
        if mm is not None and not mm.mm_users:
            raise signal
        return True

    def _free(self) -> int:
        return sum(zone.free_pages for zone in self.machine.memory.zones)

    def _tell(self, event: Event) -> None:
        if self.machine.trace is not None:
            self.machine.trace.emit(event)

    # -- which lists --------------------------------------------------------------------------------------------------

    def shrink(self, priority: int, wanted: int) -> int:
        """Look at a part of the lists, all of them at priority 0; returns how many pages were reclaimed."""
        lru, left, reclaimed = self.machine.lru, self._scan_counts(priority), 0
        while any(left[name] for name in (INACTIVE_ANON, ACTIVE_FILE, INACTIVE_FILE)) and reclaimed < wanted:
            for name in left:
                count = min(left[name], CLUSTER)
                left[name] -= count
                kind = name.rpartition("_")[2]
                if not count:
                    continue
                if not name.startswith("active"):
                    reclaimed += self._shrink_inactive(name, count, priority)
                elif self._may_deactivate(kind):
                    self._shrink_active(name, count)
        if self.machine.swap.free and lru.inactive_is_low("anon"):
            self._shrink_active(ACTIVE_ANON, CLUSTER)
        return reclaimed

    def _may_deactivate(self, kind: str) -> bool:
        """Say whether active pages are to age: there are too many, or pages come back that should not have gone."""
        come_back = self.machine.workingset.activated[kind] != self._activated[kind]
        return come_back or self.machine.lru.inactive_is_low(kind)

    def _scan_counts(self, priority: int) -> dict[str, int]:
        """Return how many pages of each list to look at: by cost and swappiness; without swap no anonymous ones."""
        anon, file = self._shares(priority)
        lists = (("anon", (INACTIVE_ANON, ACTIVE_ANON)), ("file", (INACTIVE_FILE, ACTIVE_FILE)))
        shares, size = {"anon": anon, "file": file}, self.machine.lru.size
        whole = 1 if anon < 0 else anon + file
        return {name: (size(name) >> priority) * abs(shares[kind]) // whole for kind, names in lists for name in names}

    def _shares(self, priority: int) -> tuple[int, int]:
        """Return which parts of the anonymous and of the file lists to look at, as a proportion."""
        lru = self.machine.lru
        if not self.machine.swap.free:
            return 0, 1
        if priority == 0 and self.swappiness:
            return -1, -1  # Close to the end nothing is weighed: all of both.
        files = lru.size(INACTIVE_FILE) + lru.size(ACTIVE_FILE)
        if (
            files + self._free() <= self._high()
            and not self._may_deactivate("anon")
            and lru.size(INACTIVE_ANON) >> priority
        ):
            return 1, 0
        if lru.size(INACTIVE_FILE) >> priority and not self._may_deactivate("file"):
            return 0, 1
        total = lru.anon_cost + lru.file_cost
        anon_cost, file_cost = total + lru.anon_cost, total + lru.file_cost
        total = anon_cost + file_cost
        return (
            self.swappiness * (total + 1) // (anon_cost + 1),
            (MAX_SWAPPINESS - self.swappiness) * (total + 1) // (file_cost + 1),
        )

    # -- which pages --------------------------------------------------------------------------------------------------

    def _shrink_active(self, name: str, count: int) -> None:
        """Let pages from the tail become inactive; code that was used stays."""
        lru, kept, taken, gone = self.machine.lru, 0, 0, 0
        for page in lru.tail(name, count):
            taken += 1
            referenced, executable = self._referenced(page)
            if referenced and executable and name == ACTIVE_FILE:
                kept += 1
                self._fate(page, "keep", "it is code, and was used", name)
            else:
                gone += 1
                page.set_flags(PageFlags.workingset)
                self._fate(page, "deactivate", "the active list is too long", name.replace("active", "inactive"))
        lru.note_cost(name == ACTIVE_FILE, 0, kept)
        self._tell(events.ShrinkActive(taken, kept, gone, name == ACTIVE_FILE))

    def _shrink_inactive(self, name: str, count: int, priority: int) -> int:
        scanned, reclaimed, written = [], 0, self.swapped_out
        for page in self.machine.lru.tail(name, count):
            scanned.append(page)
            reclaimed += self._one(page, name)
        self._flush([page for page in scanned if page.flags & PageFlags.reclaim], name)
        self.machine.lru.note_cost(name == INACTIVE_FILE, self.swapped_out - written, len(scanned) - reclaimed)
        self._tell(events.ShrinkInactive(len(scanned), reclaimed, priority, name == INACTIVE_FILE))
        return reclaimed

    def _flush(self, pages: list[Page], name: str) -> None:
        """Write pages to the disk; what is clean by then is looked at next (folio_rotate_reclaimable())."""
        for page in pages:
            self._tell(events.LruFate(page.pfn, "rotate", "the disk has it now"))
            self.machine.page_cache.write_back(page)
            page.clear_flags(PageFlags.reclaim)
            self.machine.lru.add_tail(page, name)

    def _one(self, page: Page, name: str) -> bool:
        """Decide about one inactive page; returns whether it is free now (shrink_folio_list())."""
        referenced, executable = self._referenced(page)
        noted = bool(page.flags & PageFlags.referenced)
        active = ACTIVE_FILE if name == INACTIVE_FILE else ACTIVE_ANON
        if referenced:
            page.set_flags(PageFlags.referenced)
            if noted or referenced > 1 or (executable and name == INACTIVE_FILE):
                return self._fate(page, "activate", "it was used again", active)
            return self._fate(page, "keep", "it was used since it was last looked at", name)
        if noted:
            page.clear_flags(PageFlags.referenced)
        return self._take(page, name, active)

    def _take(self, page: Page, name: str, active: str) -> bool:
        machine = self.machine
        if not page.is_anon:
            return self._take_file(page, name, active)
        if page.flags & PageFlags.swapbacked:
            return self._take_anon(page, name, active)
        if machine.pages_dirty(page):
            page.set_flags(PageFlags.swapbacked)
            return self._fate(page, "activate", "it was written to after MADV_FREE", ACTIVE_ANON)
        self._fate(page, "drop", "the process gave it up (MADV_FREE)", None)
        self.dropped += 1
        machine.unmap_everywhere(page)
        return True

    def _take_anon(self, page: Page, name: str, active: str) -> bool:
        """Let an anonymous page go to swap, if there is room, and nobody holds it but entries and the swap cache."""
        machine = self.machine
        cached = machine.swap.slot_of(page) is not None
        if not cached and not machine.swap.free:
            return self._fate(page, "activate", "there is no room in swap", active)
        if page.refcount != page.mappings + cached:
            return self._fate(page, "keep", "somebody else holds it", name)
        write = not cached or machine.pages_dirty(page)
        if write:
            self._fate(page, "swap out", "it was not used lately", None)
            self.swapped_out += 1
        else:
            self._fate(page, "drop", "it was not used lately, and its slot has it still", None)
            self.dropped += 1
        machine.swap_out(page, write)
        return True

    def _take_file(self, page: Page, name: str, active: str) -> bool:
        machine = self.machine
        if page.flags & PageFlags.swapbacked:
            return self._fate(page, "activate", "shared memory stays", active)
        if page.refcount != page.mappings + 1:
            return self._fate(page, "keep", "somebody else holds it", name)
        if machine.pages_dirty(page):
            self._fate(page, "write back", "the flusher is to write it to the disk first", active)
            machine.unmap_everywhere(page)
            page.set_flags(PageFlags.reclaim)
            return False
        self._fate(page, "drop", "it was not used lately, and the disk has it", None)
        self.dropped += 1
        machine.unmap_everywhere(page)
        machine.page_cache.evict(page)
        return True

    def _fate(self, page: Page, fate: str, why: str, home: str | None) -> bool:
        self._tell(events.LruFate(page.pfn, fate, why))
        if fate == "activate" and self.machine.swap.full:
            self.machine.free_swap(page)
        if home is None:
            self.machine.lru.drop(page.pfn)
        else:
            self.machine.lru.add(page, home)
        return False

    def _referenced(self, page: Page) -> tuple[int, bool]:
        """Return in how many entries a page was used, and whether one of them is code; they are old from now on."""
        count, executable = 0, False
        for space, number in self.machine.rmap_of(page):
            raw = space.pages.raw(number)
            if raw & space.pages.young:
                vma = space.index.find(number << 12)
                count += 1
                executable |= bool(vma and vma.vm_flags & f.VM_EXEC)
                space.pages.set(number, raw & ~space.pages.young)
        return count, executable
