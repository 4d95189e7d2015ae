"""Events of the slab allocator in words."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mmkit.model import slabtrace
from mmkit.model.slabstate import Place
from mmkit.model.trace import Event
from mmkit.view.parts import plural


def place_in_words(place: Place, cpu: int | None) -> str:
    """Return "CPU 0's own slab", "CPU 1's partial list", "the node's partial list", "no list"."""
    return {
        Place.CPU: f"CPU {cpu}'s own slab",
        Place.CPU_PARTIAL: f"CPU {cpu}'s partial list",
        Place.NODE: "the node's partial list",
        Place.FULL: "no list",
    }[place]


def _alloc(event: slabtrace.KmemCacheAlloc) -> str:
    if event.ptr is None:
        return f"There is no free object in cache {event.cache}, and no memory for a new slab: the request fails."
    return f"Handed out: the object at 0x{event.ptr:x}, {plural(event.bytes_req, 'byte')}, from cache {event.cache}."


def _free(event: slabtrace.KmemCacheFree) -> str:
    return f"Given back: the object at 0x{event.ptr:x}, to cache {event.cache}."


def _kmalloc(event: slabtrace.Kmalloc) -> str:
    if event.ptr is None:
        return f"kmalloc finds no memory for {plural(event.bytes_req, 'byte')}."
    source = f"from {event.cache}" if event.cache else "in whole pages"
    return f"kmalloc gives {plural(event.bytes_alloc, 'byte')} at 0x{event.ptr:x} for {event.bytes_req:,}, {source}."


def _kfree(event: slabtrace.Kfree) -> str:
    return f"kfree takes back what is at 0x{event.ptr:x}."


def _new(event: slabtrace.SlabNew) -> str:
    become = "the page becomes" if event.order == 0 else f"{1 << event.order} pages become"
    return f"A new slab at pfn 0x{event.pfn:x}: {become} {plural(event.objects, 'free object')}."


def _move(event: slabtrace.SlabMove) -> str:
    use = "none of its objects in use" if event.inuse == 0 else f"{plural(event.inuse, 'object')} taken"
    if event.new is Place.CPU:
        return (
            f"The slab at pfn 0x{event.pfn:x} becomes CPU {event.cpu}'s own: its free objects are that CPU's list now."
        )
    if event.new is Place.FULL:
        return f"The slab at pfn 0x{event.pfn:x} has no free object left: nobody looks there for one from now on."
    return f"The slab at pfn 0x{event.pfn:x}, {use}, goes onto {place_in_words(event.new, event.cpu)}."


def _discard(event: slabtrace.SlabDiscard) -> str:
    pages = "its page goes" if event.order == 0 else f"its {1 << event.order} pages go"
    return f"The slab at pfn 0x{event.pfn:x} is empty and not needed: {pages} back to the buddy system."


def _report(event: slabtrace.SlabReport) -> str:
    return f"Debugging of cache {event.cache} reports, at 0x{event.ptr:x}: {event.what}."


_WORDS: dict[type[Event], Callable[[Any], str]] = {
    slabtrace.KmemCacheAlloc: _alloc, slabtrace.KmemCacheFree: _free, slabtrace.Kmalloc: _kmalloc,
    slabtrace.Kfree: _kfree, slabtrace.SlabNew: _new, slabtrace.SlabMove: _move, slabtrace.SlabDiscard: _discard,
    slabtrace.SlabReport: _report,
}  # fmt: skip


def slab_in_words(event: Event) -> str:
    """Return one sentence that says what an event of the slab allocator does; nothing for one of another topic.

    >>> slab_in_words(slabtrace.SlabNew(pfn=0x1000, cache="dentry", order=0, objects=21))
    'A new slab at pfn 0x1000: the page becomes 21 free objects.'
    """
    words = _WORDS.get(type(event))
    return words(event) if words else ""
