"""Tracepoints: what the models say while they work.

Events carry the kernel's tracepoint names and fields (include/trace/events/kmem.h, Linux 6.18) where it has them;
``Take``, ``Split``, ``Merge`` and ``Put`` are ours, for steps that the kernel takes in silence.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import ClassVar

from mmkit.record import Record


class Event(Record):
    """Base of all events; ``name`` is the tracepoint's."""

    name: ClassVar[str] = ""


class Take(Event):
    """A free block leaves the head of its list."""

    name: ClassVar[str] = "take"
    pfn: int
    order: int
    migratetype: int


class Split(Event):
    """A block of ``order`` is halved: the upper half, ``buddy_pfn``, goes to the head of the next lower list."""

    name: ClassVar[str] = "split"
    pfn: int
    order: int
    buddy_pfn: int
    migratetype: int


class Merge(Event):
    """A block of ``order`` at ``pfn`` and its free buddy become one block of the next order."""

    name: ClassVar[str] = "merge"
    pfn: int
    order: int
    buddy_pfn: int


class Put(Event):
    """A block goes onto its free list, at the head or (``tail``) at the tail."""

    name: ClassVar[str] = "put"
    pfn: int
    order: int
    migratetype: int
    tail: bool


class MmPageAlloc(Event):
    """``alloc_pages`` hands out a block; ``pfn`` is None when it fails."""

    name: ClassVar[str] = "mm_page_alloc"
    pfn: int | None
    order: int
    gfp_flags: int
    migratetype: int


class MmPageFree(Event):
    """A block is given back."""

    name: ClassVar[str] = "mm_page_free"
    pfn: int
    order: int


class MmPageAllocZoneLocked(Event):
    """A block is taken from the buddy lists."""

    name: ClassVar[str] = "mm_page_alloc_zone_locked"
    pfn: int
    order: int
    migratetype: int
    percpu_refill: bool


class MmPagePcpuDrain(Event):
    """A block returns from a per-CPU list to the buddy lists."""

    name: ClassVar[str] = "mm_page_pcpu_drain"
    pfn: int
    order: int
    migratetype: int


class MmVmscanWakeupKswapd(Event):
    """All zones of node ``nid`` that may serve are below their low marks: kswapd is woken; ``zid`` is the highest."""

    name: ClassVar[str] = "mm_vmscan_wakeup_kswapd"
    nid: int
    zid: int
    order: int
    gfp_flags: int


class MmPageAllocExtfrag(Event):
    """An allocation falls back to another migrate type."""

    name: ClassVar[str] = "mm_page_alloc_extfrag"
    pfn: int
    alloc_order: int
    fallback_order: int
    alloc_migratetype: int
    fallback_migratetype: int
    change_ownership: bool


class PageRefMod(Event):
    """References are taken on a page (``val`` above 0) or dropped; ``count`` and the rest are as they are after it."""

    name: ClassVar[str] = "page_ref_mod"
    pfn: int
    flags: int
    count: int
    mapcount: int
    mapping: int
    val: int


class PageRefModAndTest(Event):
    """A reference is dropped; ``ret`` says whether it was the last."""

    name: ClassVar[str] = "page_ref_mod_and_test"
    pfn: int
    flags: int
    count: int
    mapcount: int
    mapping: int
    val: int
    ret: bool


class PageRefSet(Event):
    """The count of a page is set: 1 when it is handed out."""

    name: ClassVar[str] = "page_ref_set"
    pfn: int
    flags: int
    count: int
    mapcount: int
    mapping: int
    val: int


class PageMapcount(Event):
    """A page table entry for the page is made (``val`` 1) or removed (-1): the kernel has no tracepoint for it."""

    name: ClassVar[str] = "page_mapcount"
    pfn: int
    mapcount: int
    val: int


class PageFlagsChange(Event):
    """Flags of a page change, from ``old`` to ``new``: the kernel has no tracepoint for it."""

    name: ClassVar[str] = "page_flags"
    pfn: int
    old: int
    new: int


Listener = Callable[[Event], None]


class Trace:
    """Keeps events and passes them on to listeners.

    >>> trace = Trace()
    >>> trace.emit(Merge(pfn=0, order=0, buddy_pfn=1))
    >>> trace.select("merge")
    [Merge(pfn=0, order=0, buddy_pfn=1)]
    """

    def __init__(self) -> None:
        self.events: list[Event] = []
        self._listeners: list[Listener] = []

    def emit(self, event: Event) -> None:
        """Keep ``event`` and tell every listener, in the order they came."""
        self.events.append(event)
        for listener in self._listeners:
            listener(event)

    def listen(self, listener: Listener) -> Callable[[], None]:
        """Call ``listener`` with each event from now on; returns the function that ends it."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    def select(self, *names: str) -> list[Event]:
        """Return the kept events with one of these names, in order."""
        return [event for event in self.events if event.name in names]

    def clear(self) -> None:
        """Forget the kept events; listeners stay."""
        self.events.clear()

    def __iter__(self) -> Iterator[Event]:
        return iter(self.events)

    def __len__(self) -> int:
        return len(self.events)

    def __bool__(self) -> bool:
        return True  # an empty trace is a trace: `if self.trace` asks whether anybody wants to be told
