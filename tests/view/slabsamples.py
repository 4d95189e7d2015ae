"""States of slab caches to draw, made by the models or read from recordings, and every picture of several of them."""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import suppress
from functools import cache

from mmkit.data import recording
from mmkit.errors import OutOfMemory
from mmkit.model import slabtrace
from mmkit.model.memory import PhysicalMemory
from mmkit.model.slab import KmemCache
from mmkit.model.slabgeometry import geometry
from mmkit.model.slabstate import CacheSnapshot, ObjectSnapshot, Place, SlabFlags, SlabGeometry
from mmkit.model.trace import Event, Trace
from mmkit.record import replace
from mmkit.view.picture import Picture
from mmkit.view.slab import SlabPicture
from mmkit.view.slabclassic import ClassicSlabs
from mmkit.view.slabfill import SlabFill
from mmkit.view.slabinfo import RANKINGS, SlabRanking
from mmkit.view.slabobject import ObjectBytes
from mmkit.view.slabwaste import SlabWaste

DEBUG = SlabFlags.CONSISTENCY_CHECKS | SlabFlags.RED_ZONE | SlabFlags.POISON | SlabFlags.STORE_USER
Step = tuple[CacheSnapshot, Event | None]


def cache_of(
    object_size: int,
    nr_cpus: int = 1,
    flags: SlabFlags | int = 0,
    arch: str = "X86_64",
    name: str = "dentry",
    **more: object,
) -> KmemCache:
    """An empty cache on a machine of its own."""
    memory = PhysicalMemory(arch, "256MiB", pcp=False)
    return KmemCache(name, object_size, memory=memory, nr_cpus=nr_cpus, flags=flags, **more)  # type: ignore[arg-type]


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


def sizes(first: int, last: int, nr_cpus: int = 2) -> list[SlabGeometry]:
    """Geometries of ascending sizes."""
    return [geometry("any", size, nr_cpus=nr_cpus) for size in range(first, last + 1, 8)]


def too_many() -> CacheSnapshot:
    """4,000 slabs of 512 objects each: more than there are pixels."""
    cache = filled(8, 300, 0.6)
    (first,) = cache.slabs
    others = (
        replace(first, pfn=first.pfn + n, place=Place.FULL, cpu=None, objects=b"\2" * 512) for n in range(1, 4000)
    )
    return replace(cache, slabs=(first, *others))


@cache
def objects() -> dict[str, ObjectSnapshot]:
    """Objects of caches that are debugged, sound and damaged."""
    found: dict[str, ObjectSnapshot] = {}

    def keep(name: str, made: KmemCache, at: int | None, data: bytes = b"", give_back: bool = False) -> None:
        address = made.alloc()
        if give_back:
            made.free(address)
        if at is not None:
            made.write(address + at, data)
        found[name] = made.debug.object_snapshot(address)  # type: ignore[union-attr]

    keep("in use", cache_of(64, flags=DEBUG), None)
    keep("free", cache_of(64, flags=DEBUG), None, give_back=True)
    keep("overrun", cache_of(64, flags=DEBUG), 0, b"A" * 70)
    keep("underrun", cache_of(64, flags=DEBUG), -3, b"abc")
    keep("used after free", cache_of(8192, flags=DEBUG), 5000, b"x" * 3, give_back=True)
    keep("all overwritten", cache_of(8192, flags=DEBUG), 0, b"x" * 8192, give_back=True)
    keep("red zones alone", cache_of(100, flags=SlabFlags.RED_ZONE), None, give_back=True)
    keep("checks alone", cache_of(100, flags=SlabFlags.CONSISTENCY_CHECKS), None)
    keep("poison alone", cache_of(100, flags=SlabFlags.POISON), 104, b"!", give_back=True)
    keep("32 bits", cache_of(40, flags=DEBUG, arch="X86"), None, give_back=True)
    keep("aligned", cache_of(64, flags=DEBUG, align=64), None)
    keep("kmalloc", cache_of(64, flags=DEBUG, kmalloc=True, name="kmalloc-64"), None)
    return found


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
    **{f"object {name}": lambda name=name: ObjectBytes(objects()[name]) for name in objects()},
    "fill empty": lambda: SlabFill(cache_of(192).snapshot()),
    "fill few": lambda: SlabFill(filled(192, 60, 0.6, 2)),
    "fill 500 slabs": lambda: SlabFill(filled(128, 16_000, 0.6, 2)),
    "fill 512 objects": lambda: SlabFill(filled(8, 300, 0.6)),
    "fill four lists": lambda: SlabFill(filled(192, 3000, 0.98, 2)),
    "fill debug": lambda: SlabFill(damaged().snapshot()),
    "fill too many": lambda: SlabFill(too_many()),
    "classic lists": lambda: ClassicSlabs(filled(192, 3000, 0.98, 2)),
    "classic thousands": lambda: ClassicSlabs(filled(2048, 20_000, 0.7, 2)),
    "classic empty": lambda: ClassicSlabs(cache_of(192).snapshot()),
    "classic debug": lambda: ClassicSlabs(damaged().snapshot()),
    "waste": lambda: SlabWaste(sizes(8, 4096), nr_cpus=2),
    "waste 64 CPUs": lambda: SlabWaste(sizes(8, 8192, 64), nr_cpus=64),
    "waste few": lambda: SlabWaste(sizes(1000, 1400)),
    **{f"ranking {name} {by}": lambda name=name, by=by: SlabRanking(recording(name).slabinfo, by)
       for name in ("host-6.18", "amd64-slubdebug", "arm64-4g") for by in RANKINGS},
}  # fmt: skip
