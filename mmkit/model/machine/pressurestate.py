"""What there is to see of a machine under pressure: its lists, slots, file and processes, as one frozen state.

Models: ``/proc/zoneinfo``, ``vmstat``, ``swaps``, ``kpageflags``, ``PID/oom_score_adj`` (Linux 6.18). Leaves out: the
kernel's own pages.
"""

from __future__ import annotations

from collections.abc import Mapping

from mmkit.model.machine.lru import ACTIVE_ANON, ACTIVE_FILE, INACTIVE_ANON, INACTIVE_FILE, LISTS, UNEVICTABLE
from mmkit.model.machine.machine import Machine
from mmkit.model.machine.oom import badness
from mmkit.model.machine.process import Process
from mmkit.model.page import Page
from mmkit.model.pageflags import PageFlags
from mmkit.model.reclaimstate import Look, LruPage, ProcessLine, ReclaimState, SlotState
from mmkit.model.snapshot import MODEL
from mmkit.model.vma.area import File
from mmkit.model.zone import Zone

_MOST_LINES = 5


class Task:
    """A process here: where its memory and its mapping of the file are, and how many pages it has written."""

    def __init__(self, process: Process, called: str, letter: str, own: int, mapping: int) -> None:
        self.process, self.called, self.letter, self.own, self.mapping = process, called, letter, own, mapping
        self.written = 0
        self.end, self.points = "", 0

    def page(self, number: int) -> int:
        """Return the page number in the address space of a page of its own."""
        return (self.own >> 12) + number


class Sight:
    """What is seen of ``machine``: its processes here by pid, a file, and what only who watches can count."""

    def __init__(self, machine: Machine, file: File) -> None:
        self.machine, self.file = machine, file
        self.tasks: dict[int, Task] = {}
        self.dropped: set[int] = set()
        """Pages of the file that were dropped, and not read again."""
        self.scanned = 0

    @property
    def zone(self) -> Zone:
        """The only zone that there is."""
        return next(zone for zone in self.machine.memory.zones if zone.buddy)

    def state(self, running: tuple[str, ...], look: Look | None, found: Mapping[int, LruPage]) -> ReclaimState:
        """Return this moment; pages that are in ``found``, by pfn, as they were found then."""
        zone, marks, machine = self.zone, self.zone.watermarks, self.machine

        def pages(name: str) -> tuple[LruPage, ...]:
            return tuple(found.get(page.pfn) or self.page(page) for page in machine.lru.pages(name))

        return ReclaimState(
            running, zone.name, zone.managed_pages, zone.free_pages, zone.pcp_pages, marks.min, marks.low, marks.high,
            pages(ACTIVE_ANON), pages(INACTIVE_ANON), pages(ACTIVE_FILE), pages(INACTIVE_FILE), pages(UNEVICTABLE),
            self._slots(), self.file.name, self._file_pages(), self._lines(), machine.reclaim.swappiness,
            self._counters(), look, MODEL,
        )  # fmt: skip

    def pages(self) -> dict[int, LruPage]:
        """Return all pages on the lists as they are now, by pfn."""
        return {page.pfn: self.page(page) for name in LISTS for page in self.machine.lru.pages(name)}

    def page(self, page: Page) -> LruPage:
        """Return a page with what its entries and flags say."""
        owner, index, young, dirty = 0, page.index, False, bool(page.flags & PageFlags.dirty)
        for space, number in self.machine.rmap_of(page):
            raw = space.pages.raw(number)
            young |= bool(raw & space.pages.young)
            dirty |= bool(raw & space.pages.dirty)
            if page.is_anon:
                task = next(task for task in self.tasks.values() if task.process.mm is space)
                owner, index = task.process.pid, number - task.page(0)
        return LruPage(page.pfn, owner, index, young, bool(page.flags & PageFlags.referenced), dirty)

    def _slots(self) -> tuple[SlotState, ...]:
        held = {}
        for task in self.tasks.values():
            for number, slot in task.process.mm.pages.swapped.items():
                held[slot] = task.process.pid, number - task.page(0), False
        for slot, page in self.machine.swap.cache.items():
            known = self.page(page)
            held.setdefault(slot, (known.owner, known.index, True))
        return tuple(SlotState(slot, *held.get(slot, ())) for slot in range(1, self.machine.swap.nr_slots + 1))

    def _file_pages(self) -> str:
        pages = {index: page for _, index, page in self.machine.page_cache.items()}
        dirty = {index for index, page in pages.items() if self.machine.pages_dirty(page)}
        return "".join(
            "d" if index in dirty else "m" if index in pages else "x" if index in self.dropped else "."
            for index in range(self.file.pages)
        )

    def _lines(self) -> tuple[ProcessLine, ...]:
        """All processes that live, and the last ones that do not."""
        ended = [pid for pid, task in self.tasks.items() if task.end]
        too_many = ended[: max(0, len(self.tasks) - _MOST_LINES)]
        return tuple(self._line(pid, task) for pid, task in self.tasks.items() if pid not in too_many)

    @staticmethod
    def _line(pid: int, task: Task) -> ProcessLine:
        process, mm = task.process, task.process.mm
        adj = process.oom_score_adj
        if task.end:
            return ProcessLine(pid, task.called, task.letter, task.written, 0, 0, 0, adj, task.points or None, task.end)
        swapped, tables = len(mm.pages.swapped), mm.nr_pgtables
        return ProcessLine(pid, task.called, task.letter, task.written, mm.rss, swapped, tables, adj, badness(process))

    def _counters(self) -> tuple[tuple[str, int], ...]:
        machine, reclaim = self.machine, self.machine.reclaim
        return (
            ("pageoutrun", reclaim.woken), ("allocstall", reclaim.direct_runs), ("pgscan", self.scanned),
            ("pgsteal", reclaim.dropped + reclaim.swapped_out), ("pswpout", reclaim.swapped_out),
            ("pswpin", machine.swap.read_in), ("pgmajfault", machine.maj_flt),
            ("workingset_refault_file", machine.workingset.refaults["file"]), ("oom_kill", reclaim.kills),
        )  # fmt: skip
