"""Events in words: the sentence that a lab shows for each step, and that a screen reader says."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mmkit.model import trace
from mmkit.model.migratetype import MigrateType
from mmkit.view.compactwords import compaction_in_words
from mmkit.view.machinewords import machine_in_words
from mmkit.view.parts import plural
from mmkit.view.pgwords import pg_in_words
from mmkit.view.reclaimwords import reclaim_in_words
from mmkit.view.slabwords import slab_in_words
from mmkit.view.vmawords import vma_in_words


def type_title(migratetype: int) -> str:
    """Return the name of a migrate type: "Movable"."""
    return MigrateType(migratetype).title


def _take(event: trace.Take) -> str:
    where = f"the {type_title(event.migratetype)} list of order {event.order}"
    return f"Take the block at the head of {where}: 0x{event.pfn:x}, {plural(1 << event.order, 'page')}."


def _split(event: trace.Split) -> str:
    half = event.order - 1
    return (
        f"Split order {event.order}: 0x{event.pfn:x} stays in hand, its buddy 0x{event.pfn:x} ^ 0x{1 << half:x} = "
        f"0x{event.buddy_pfn:x} goes to the head of the {type_title(event.migratetype)} list of order {half}."
    )


def _merge(event: trace.Merge) -> str:
    xor = f"0x{event.pfn:x} ^ 0x{1 << event.order:x} = 0x{event.buddy_pfn:x}"
    return (
        f"The buddy {xor} is free and of order {event.order} too: "
        f"together they are order {event.order + 1} at 0x{min(event.pfn, event.buddy_pfn):x}."
    )


def _put(event: trace.Put) -> str:
    end = "tail (it will likely merge soon)" if event.tail else "head"
    return f"Put 0x{event.pfn:x} at the {end} of the {type_title(event.migratetype)} list of order {event.order}."


def _alloc(event: trace.MmPageAlloc) -> str:
    pages = plural(1 << event.order, "page")
    if event.pfn is None:
        return f"No free block of order {event.order} or above: the request for {pages} fails."
    return f"Handed out: order {event.order} at 0x{event.pfn:x}, {pages}, {type_title(event.migratetype)}."


def _free(event: trace.MmPageFree) -> str:
    return f"Given back: order {event.order} at 0x{event.pfn:x}, {plural(1 << event.order, 'page')}."


def _locked(event: trace.MmPageAllocZoneLocked) -> str:
    goal = ", to refill a per-CPU list" if event.percpu_refill else ""
    return f"Taken from the buddy lists: order {event.order} at 0x{event.pfn:x}{goal}."


def _drain(event: trace.MmPagePcpuDrain) -> str:
    return f"Back from a per-CPU list to the buddy lists: order {event.order} at 0x{event.pfn:x}."


def _extfrag(event: trace.MmPageAllocExtfrag) -> str:
    block = f"{type_title(event.fallback_migratetype)} block of order {event.fallback_order} at 0x{event.pfn:x}"
    claimed = "; the whole pageblock changes its type" if event.change_ownership else ""
    return (
        f"The {type_title(event.alloc_migratetype)} lists have nothing of order {event.alloc_order} or above: "
        f"fall back on the {block}{claimed}."
    )


_WORDS: dict[type[trace.Event], Callable[[Any], str]] = {
    trace.Take: _take, trace.Split: _split, trace.Merge: _merge, trace.Put: _put, trace.MmPageAlloc: _alloc,
    trace.MmPageFree: _free, trace.MmPageAllocZoneLocked: _locked, trace.MmPagePcpuDrain: _drain,
    trace.MmPageAllocExtfrag: _extfrag,
}  # fmt: skip


def in_words(event: trace.Event | None) -> str:
    """Return one sentence that says what the event does; nothing for None or an event of another topic.

    >>> in_words(trace.Merge(pfn=0x400, order=3, buddy_pfn=0x408))
    'The buddy 0x400 ^ 0x8 = 0x408 is free and of order 3 too: together they are order 4 at 0x400.'
    """
    words = _WORDS.get(type(event)) if event else None
    if event is None or words:
        return words(event) if words else ""
    return (
        slab_in_words(event)
        or compaction_in_words(event)
        or vma_in_words(event)
        or pg_in_words(event)
        or machine_in_words(event)
        or reclaim_in_words(event)
    )
