"""Events of the slab allocator: the kernel's tracepoints, and the steps between them for which it has none.

Models: include/trace/events/kmem.h (Linux 6.18). Leaves out: call sites and the node asked for.
"""

from __future__ import annotations

from typing import ClassVar

from mmkit.model.slabstate import Place
from mmkit.model.trace import Event


class KmemCacheAlloc(Event):
    """An object is handed out; ``ptr`` is None when there is no memory for it."""

    name: ClassVar[str] = "kmem_cache_alloc"
    ptr: int | None
    cache: str
    bytes_req: int
    bytes_alloc: int
    gfp_flags: int


class KmemCacheFree(Event):
    """An object is given back."""

    name: ClassVar[str] = "kmem_cache_free"
    ptr: int
    cache: str


class Kmalloc(Event):
    """``kmalloc`` hands out ``bytes_alloc`` bytes for the ``bytes_req`` asked for; ``cache`` is "" for whole pages."""

    name: ClassVar[str] = "kmalloc"
    ptr: int | None
    cache: str
    bytes_req: int
    bytes_alloc: int
    gfp_flags: int


class Kfree(Event):
    """What ``kmalloc`` gave is given back."""

    name: ClassVar[str] = "kfree"
    ptr: int


class SlabNew(Event):
    """A slab of ``objects`` free objects is made of 2**order pages."""

    name: ClassVar[str] = "slab_new"
    pfn: int
    cache: str
    order: int
    objects: int


class SlabMove(Event):
    """A slab goes from one list to another; ``cpu`` is the CPU of the list it goes to (of the old one for others)."""

    name: ClassVar[str] = "slab_move"
    pfn: int
    cache: str
    old: Place
    new: Place
    cpu: int | None
    inuse: int


class SlabDiscard(Event):
    """An empty slab gives its pages back."""

    name: ClassVar[str] = "slab_discard"
    pfn: int
    cache: str
    order: int


class SlabReport(Event):
    """Debugging found a mistake of a user: ``what`` in a few words, ``report`` as the kernel would print it."""

    name: ClassVar[str] = "slab_report"
    ptr: int
    cache: str
    what: str
    report: str
