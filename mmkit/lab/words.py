"""What the models' events mean, in words for the status line."""

from __future__ import annotations

from mmkit.model import trace
from mmkit.model.migratetype import MigrateType


def pages(order: int) -> str:
    """Return "1 page" or "2^order pages"."""
    return "1 page" if order == 0 else f"{1 << order} pages"


def _kind(migratetype: int) -> str:
    return MigrateType(migratetype).title.lower()


def describe(event: trace.Event) -> str:
    """Return ``event`` as a clause: "cut 1024 pages at pfn 0 into two of 512; ..."."""
    match event:
        case trace.Take():
            kind = _kind(event.migratetype)
            return f"take {pages(event.order)} at pfn {event.pfn} off the {kind} list of order {event.order}"
        case trace.Split():
            half = event.order - 1
            return (
                f"cut {pages(event.order)} at pfn {event.pfn} into two of {1 << half}; the upper half, "
                f"pfn {event.buddy_pfn}, goes to the head of the list of order {half}"
            )
        case trace.Merge():
            whole = min(event.pfn, event.buddy_pfn)
            return (
                f"{pages(event.order)} at pfn {event.pfn} and the free buddy at pfn {event.buddy_pfn} "
                f"become {pages(event.order + 1)} at pfn {whole}"
            )
        case trace.Put():
            end, kind = "tail" if event.tail else "head", _kind(event.migratetype)
            return f"{pages(event.order)} at pfn {event.pfn} go to the {end} of the {kind} list of order {event.order}"
    return _describe_kernel(event)


def _describe_kernel(event: trace.Event) -> str:
    match event:
        case trace.MmPageAlloc() if event.pfn is None:
            return f"no block of {pages(event.order)} is left: the request fails"
        case trace.MmPageAlloc():
            return f"hand out {pages(event.order)} at pfn {event.pfn}"
        case trace.MmPageFree():
            return f"give back {pages(event.order)} at pfn {event.pfn}"
        case trace.MmPageAllocZoneLocked():
            why = " to refill a per-CPU list" if event.percpu_refill else ""
            return f"take {pages(event.order)} at pfn {event.pfn} from the buddy lists{why}"
        case trace.MmPagePcpuDrain():
            return f"{pages(event.order)} at pfn {event.pfn} go from a per-CPU list back to the buddy lists"
        case trace.MmPageAllocExtfrag():
            change = "; the whole pageblock changes its type" if event.change_ownership else ""
            return (
                f"the {_kind(event.alloc_migratetype)} lists have nothing: fall back to a "
                f"{_kind(event.fallback_migratetype)} block of {pages(event.fallback_order)} at pfn {event.pfn}{change}"
            )
    return str(event)
