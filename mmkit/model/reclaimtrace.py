"""Events of reclaim: who is woken, which pages are looked at, and what becomes of them.

Models: include/trace/events/vmscan.h and oom.h (Linux 6.18), whose names the first ones carry; ``lru_*`` are ours, for
what the kernel does to single pages in silence. Leaves out: cgroups, throttling.
"""

from __future__ import annotations

from typing import ClassVar

from mmkit.model.trace import Event


class KswapdWake(Event):
    """kswapd begins; ``free`` pages are free, it goes on until they are ``high``."""

    name: ClassVar[str] = "mm_vmscan_kswapd_wake"
    free: int
    high: int


class KswapdSleep(Event):
    """kswapd has done what it could, and sleeps; ``free`` pages are free."""

    name: ClassVar[str] = "mm_vmscan_kswapd_sleep"
    free: int


class DirectReclaimBegin(Event):
    """An allocation has failed: the process that wanted it has to reclaim pages itself."""

    name: ClassVar[str] = "mm_vmscan_direct_reclaim_begin"
    free: int


class DirectReclaimEnd(Event):
    """It has, so many of them."""

    name: ClassVar[str] = "mm_vmscan_direct_reclaim_end"
    nr_reclaimed: int


class ShrinkActive(Event):
    """Pages from the tail of an active list were looked at; most become inactive."""

    name: ClassVar[str] = "mm_vmscan_lru_shrink_active"
    nr_taken: int
    nr_active: int
    nr_deactivated: int
    file: bool


class ShrinkInactive(Event):
    """Pages from the tail of an inactive list were looked at, at a priority from 12 (a few) down to 0 (all)."""

    name: ClassVar[str] = "mm_vmscan_lru_shrink_inactive"
    nr_scanned: int
    nr_reclaimed: int
    priority: int
    file: bool


class LruFate(Event):
    """What becomes of one page: "activate", "deactivate", "keep", "drop", "swap out", "write back", "rotate"."""

    name: ClassVar[str] = "lru_fate"
    pfn: int
    fate: str
    why: str


class WorkingsetRefault(Event):
    """A page comes back that was reclaimed ``distance`` evictions ago; it is active if that is no more than ``room``.

    That many pages are on the lists that it would have had to outlast (workingset_refault()).
    """

    name: ClassVar[str] = "workingset_refault"
    pfn: int
    distance: int
    room: int
    active: bool


class SwapIn(Event):
    """A page comes back from its slot (do_swap_page())."""

    name: ClassVar[str] = "swap_in"
    addr: int
    slot: int
    pfn: int


class MarkVictim(Event):
    """Out of memory: the process with the most points is killed."""

    name: ClassVar[str] = "mark_victim"
    pid: int
    comm: str
    points: int
    rss: int
    swap: int
    tables: int
