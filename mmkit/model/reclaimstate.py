"""One moment of a machine under pressure: every page that can be reclaimed, every slot and every process, frozen.

Models: what ``/proc/zoneinfo``, ``vmstat``, ``swaps``, ``kpageflags`` and ``PID/oom_score`` of a Linux 6.18 tell
together, and the order of its lists, which it does not tell. Leaves out: what the kernel uses itself, except how much.
"""

from __future__ import annotations

from mmkit.model.snapshot import MODEL, Source
from mmkit.record import Record


class LruPage(Record):
    """A page on a list: frame, whose it is, and what the kernel knows of its use."""

    pfn: int
    owner: int
    """The process, by pid; 0 for a page of the file."""
    index: int
    """Which page of the process's memory, or of the file, from 0 on."""
    young: bool
    """An entry says that it was used since it was last looked at (the accessed bit)."""
    referenced: bool
    """PG_referenced: an earlier look, or read(), has noted a use."""
    dirty: bool
    """The disk does not have what it holds."""


class Look(Record):
    """The page that was looked at last, as it was found, and what became of it."""

    page: LruPage
    source: str
    """The list that it was on."""
    fate: str
    why: str
    slot: int | None = None
    """The slot of the swap device that it went to, or came from."""


class SlotState(Record):
    """A slot of the swap device: whose page it holds, by pid, and which one; ``owner`` 0: none."""

    number: int
    owner: int = 0
    index: int = 0
    cached: bool = False
    """Whether the page is in memory as well, so that the slot could be given up."""


class ProcessLine(Record):
    """A process as the out-of-memory killer sees it: numbers in pages, ``points`` None if it must not be killed."""

    pid: int
    name: str
    letter: str
    """What its pages are called by: "H12"."""
    written: int
    """Pages that it has written so far, from 0 on: those that it can use again."""
    rss: int
    swap: int
    tables: int
    oom_score_adj: int
    points: int | None
    end: str = ""
    """"killed" or "exited"; "" while it lives."""


class ReclaimState(Record):
    """Everything at one moment, in pages."""

    running: tuple[str, ...]
    """What runs, from the process inwards: ("hog writes new pages", "kswapd")."""
    zone: str
    managed: int
    free: int
    """What is compared with the marks: free blocks, without those on the processor's own list."""
    pcp: int
    min: int
    low: int
    high: int
    """Marks of the zone."""
    active_anon: tuple[LruPage, ...]
    inactive_anon: tuple[LruPage, ...]
    active_file: tuple[LruPage, ...]
    inactive_file: tuple[LruPage, ...]
    unevictable: tuple[LruPage, ...]
    """Lists, the next page to be looked at first."""
    slots: tuple[SlotState, ...]
    file: str
    file_pages: str
    """A letter for each page of the file: "." on the disk only, "m" in memory, "d" in memory and dirty, "x" dropped."""
    processes: tuple[ProcessLine, ...]
    swappiness: int
    counters: tuple[tuple[str, int], ...]
    """Names as in ``/proc/vmstat``, without what they end in for each zone or kind of reclaim."""
    look: Look | None = None
    source: Source = MODEL

    @property
    def lists(self) -> tuple[tuple[str, tuple[LruPage, ...]], ...]:
        """The lists with their names, as in ``/proc/vmstat``, without ``nr_``."""
        names = "active_anon", "inactive_anon", "active_file", "inactive_file", "unevictable"
        return tuple((name, getattr(self, name)) for name in names)
