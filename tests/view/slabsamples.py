"""States of slab caches to draw, made by the models or read from recordings, and every picture of several of them."""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import suppress
from functools import cache

from mmkit.errors import OutOfMemory
from mmkit.model import slabtrace
from mmkit.model.memory import PhysicalMemory
from mmkit.model.slab import KmemCache
from mmkit.model.slabstate import CacheSnapshot, Place, SlabFlags
from mmkit.model.trace import Event, Trace
from mmkit.record import replace
from mmkit.view.picture import Picture
from mmkit.view.slab import SlabPicture
from mmkit.view.slabfill import SlabFill

DEBUG = SlabFlags.CONSISTENCY_CHECKS | SlabFlags.RED_ZONE | SlabFlags.POISON | SlabFlags.STORE_USER
Step = tuple[CacheSnapshot, Event | None]


def cache_of(
    object_size: int, nr_cpus: int = 1, flags: SlabFlags | int = 0, arch: str = "X86_64", **more: object
) -> KmemCache:
    """An empty cache on a machine of its own."""
    memory = PhysicalMemory(arch, "256MiB", pcp=False)
    return KmemCache("dentry", object_size, memory=memory, nr_cpus=nr_cpus, flags=flags, **more)  # type: ignore[arg-type]


@cache
def filled(object_size: int, objects: int, kept: float = 1.0, nr_cpus: int = 1, flags: int = 0) -> CacheSnapshot:
    """A cache of which so many objects were taken, on all CPUs in turn, and this share of them kept."""
    made, rng = cache_of(object_size, nr_cpus, flags), random.Random(objects)
    taken = [made.alloc(i * nr_cpus // objects) for i in range(objects)]
    for address in rng.sample(taken, round(objects * (1 - kept))):
        made.free(address, rng.randrange(nr_cpus))
    return made.snapshot()


@cache
def steps() -> tuple[Step, ...]:
    """Every event of a small cache that fills, is emptied at random, and shrinks; each with the state after it."""
    found: list[Step] = []
    trace = Trace()
    made, rng = cache_of(1000, 2, trace=trace), random.Random(4)

    def keep() -> None:
        new = [event for event in trace.events if isinstance(event, slab_events)]
        found.extend((made.snapshot(), event) for event in new)
        trace.clear()

    slab_events = (slabtrace.KmemCacheAlloc, slabtrace.KmemCacheFree, slabtrace.SlabNew, slabtrace.SlabMove,
                   slabtrace.SlabDiscard)  # fmt: skip
    taken = []
    for i in range(60):
        taken.append(made.alloc(i % 2))
        keep()
    rng.shuffle(taken)
    for address in taken[:50]:
        made.free(address, rng.randrange(2))
        keep()
    made.shrink()
    keep()
    return tuple(found)


@cache
def short_of_memory() -> CacheSnapshot:
    """Slabs of one page where four would be wanted, made when memory was in pieces; and one of four pages."""
    memory = PhysicalMemory("X86_64", "64MiB", pcp=False)
    made, pages = KmemCache("pieces", 1000, memory=memory, nr_cpus=2), []
    with suppress(OutOfMemory):
        while True:
            pages.append(memory.alloc_pages("GFP_KERNEL", 1))
    for page in pages:
        if page.pfn % 4 == 0:
            memory.free_pages(page, 1)
    with suppress(OutOfMemory):
        while True:
            made.alloc()
    all_slabs = made.snapshot().slabs
    small, large = ([slab for slab in all_slabs if len(slab.objects) == objects] for objects in (4, 16))
    return replace(made.snapshot(), slabs=(*small[:3], large[0]))


def damaged() -> KmemCache:
    """A cache that is debugged: of its objects 3 was overrun while in use, 5 written to after it was given back."""
    made = cache_of(64, flags=DEBUG)
    taken = [made.alloc() for _ in range(30)]
    made.write(taken[3], b"A" * 70)
    made.free(taken[5])
    made.write(taken[5] + 3, b"x")
    return made


def too_many() -> CacheSnapshot:
    """4,000 slabs of 512 objects each: more than there are pixels."""
    cache = filled(8, 300, 0.6)
    (first,) = cache.slabs
    others = (
        replace(first, pfn=first.pfn + n, place=Place.FULL, cpu=None, objects=b"\2" * 512) for n in range(1, 4000)
    )
    return replace(cache, slabs=(first, *others))


SLAB_PICTURES: dict[str, Callable[[], Picture]] = {
    "slab empty": lambda: SlabPicture(cache_of(192).snapshot()),
    "slab one": lambda: SlabPicture(filled(500, 8)),
    "slab many": lambda: SlabPicture(filled(192, 5000, 0.6, 2)),
    "slab 512": lambda: SlabPicture(filled(8, 1700, 0.6)),
    "slab 24 bytes": lambda: SlabPicture(filled(24, 1700, 0.6)),
    "slab 64 CPUs": lambda: SlabPicture(filled(700, 12_000, 0.5, 64)),
    "slab large": lambda: SlabPicture(filled(8192, 40, 0.5, 2)),
    "slab debug": lambda: SlabPicture(damaged().snapshot()),
    "slab short": lambda: SlabPicture(short_of_memory()),
    **{f"slab step {n}": lambda n=n: SlabPicture(*steps()[n]) for n in (0, 2, 40, 70, 90, 126)},
    "fill empty": lambda: SlabFill(cache_of(192).snapshot()),
    "fill few": lambda: SlabFill(filled(192, 60, 0.6, 2)),
    "fill 500 slabs": lambda: SlabFill(filled(128, 16_000, 0.6, 2)),
    "fill 512 objects": lambda: SlabFill(filled(8, 300, 0.6)),
    "fill four lists": lambda: SlabFill(filled(192, 3000, 0.98, 2)),
    "fill debug": lambda: SlabFill(damaged().snapshot()),
    "fill too many": lambda: SlabFill(too_many()),
}  # fmt: skip
