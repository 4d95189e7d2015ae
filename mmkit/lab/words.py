"""What the models' events mean, in words for the status line: those of the views, and what happens to one page."""

from __future__ import annotations

from mmkit.model import trace
from mmkit.model.pageflags import PageFlags
from mmkit.view.words import in_words


def describe(event: trace.Event) -> str:
    """Return one sentence that says what ``event`` does.

    >>> describe(trace.PageMapcount(pfn=1, mapcount=0, val=1))
    'One more page table entry maps the page: _mapcount is now 0.'
    """
    return in_words(event) or _of_page(event) or str(event)


def _of_page(event: trace.Event) -> str:
    match event:
        case trace.PageRefSet():
            return f"The allocator hands the page out: _refcount is now {event.count}."
        case trace.PageRefMod():
            return f"A reference is taken: _refcount is now {event.count}."
        case trace.PageRefModAndTest(ret=True):
            return "The last reference is dropped: the page is free, _refcount is now 0."
        case trace.PageRefModAndTest():
            return f"A reference is dropped: _refcount is now {event.count}."
        case trace.PageMapcount(val=1):
            return f"One more page table entry maps the page: _mapcount is now {event.mapcount}."
        case trace.PageMapcount():
            return f"A page table entry is removed: _mapcount is now {event.mapcount}."
        case trace.PageFlagsChange():
            changes = [(verb, PageFlags(bits).names) for verb, bits in _flag_changes(event) if bits]
            return "; ".join(f"{verb} {', '.join(names)}" for verb, names in changes) + "."
    return ""


def _flag_changes(event: trace.PageFlagsChange) -> tuple[tuple[str, int], tuple[str, int]]:
    return ("Set", event.new & ~event.old), ("Cleared", event.old & ~event.new)
