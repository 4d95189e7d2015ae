"""What must hold in a slab cache, and its frozen state.

Models: validate_slab(), slab_debug's on_freelist() of mm/slub.c (Linux 6.18). Leaves out: what only debugging can see,
the bytes of objects.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from mmkit.errors import InvariantError
from mmkit.model.slabstate import CacheSnapshot, ObjectState, Place, SlabSnapshot

if TYPE_CHECKING:
    from mmkit.model.slab import KmemCache, Slab


def _broken(cache: KmemCache, rule: str, where: str) -> InvariantError:
    return InvariantError(f"cache {cache.name}: {rule}, but not {where}")


def check_cache(cache: KmemCache) -> None:
    """Raise InvariantError, naming the rule, unless lists, slabs and pages of a cache agree with each other."""
    listed = list(_listed(cache))
    if len({slab.pfn for slab, _, _ in listed}) != len(listed):
        raise _broken(cache, "a slab is on one list, once", "every one")
    for slab, place, cpu in listed:
        if cache.slabs.get(slab.pfn) is not slab:
            raise _broken(cache, "every slab on a list is known", repr(slab))
        if (slab.place, slab.cpu) != (place, cpu):
            raise _broken(cache, "a slab knows the list that it is on", repr(slab))
        if not slab.freelist and place is not Place.CPU:
            raise _broken(cache, "a slab on a partial list has a free object", repr(slab))
    on_lists = {slab.pfn for slab, _, _ in listed}
    for slab in cache.slabs.values():
        if (slab.place is Place.FULL) != (slab.pfn not in on_lists):
            raise _broken(cache, "only a full slab is on no list", repr(slab))
        if slab.place is Place.FULL and slab.freelist:
            raise _broken(cache, "a full slab has no free object", repr(slab))
    _check_objects(cache)
    _check_pages(cache)


def _listed(cache: KmemCache) -> Iterator[tuple[Slab, Place, int | None]]:
    for number, cpu in cache.cpus.items():
        if cpu.slab is not None:
            yield cpu.slab, Place.CPU, number
        yield from ((slab, Place.CPU_PARTIAL, number) for slab in cpu.partial)
    yield from ((slab, Place.NODE, None) for slab in cache.partial)


def _check_objects(cache: KmemCache) -> None:
    """Every object of every slab is either in use, or free once, or given up by debugging."""
    lost = cache.debug.lost if cache.debug is not None else set()
    free = [address for slab in cache.slabs.values() for address in slab.freelist]
    for number, cpu in cache.cpus.items():
        if cpu.freelist and cpu.slab is None:
            raise _broken(cache, "a CPU's list belongs to its slab", f"that of CPU {number}")
        free += cpu.freelist
    accounted = [*free, *cache.live, *lost]
    if len(set(accounted)) != len(accounted):
        raise _broken(cache, "an object is free once or in use", "every one")
    start = cache.geometry.start_of
    all_objects = {slab.address + start(i) for slab in cache.slabs.values() for i in range(slab.objects)}
    if all_objects != set(accounted):
        wrong = min(all_objects ^ set(accounted))
        raise _broken(cache, "every object is in use or on a list", f"{wrong:#x}")
    owner = {slab.address + start(i): slab for slab in cache.slabs.values() for i in range(slab.objects)}
    for address, slab in cache.live.items():
        if owner[address] is not slab:
            raise _broken(cache, "an object in use knows its slab", f"{address:#x}")
    lists = [(slab, slab.freelist) for slab in cache.slabs.values()]
    lists += [(cpu.slab, cpu.freelist) for cpu in cache.cpus.values() if cpu.slab is not None]
    for slab, addresses in lists:
        if any(owner[address] is not slab for address in addresses):
            raise _broken(cache, "a slab's list, and its CPU's, holds its own objects", repr(slab))


def _check_pages(cache: KmemCache) -> None:
    for slab in cache.slabs.values():
        if not (slab.page.is_slab and slab.page.refcount == 1):
            raise _broken(cache, "the pages of a slab say so and are held once", repr(slab))
        if any(cache.pages.get(pfn) is not cache for pfn in range(slab.pfn, slab.pfn + (1 << slab.order))):
            raise _broken(cache, "every page of a slab knows its cache", repr(slab))
        if (
            slab.address % cache.geometry.page_size
            or slab.objects * cache.size > cache.geometry.page_size << slab.order
        ):
            raise _broken(cache, "the objects of a slab fit into its pages", repr(slab))


def freeze_cache(cache: KmemCache) -> CacheSnapshot:
    """Return the frozen state of a cache."""
    in_lists = [slab for slab, _, _ in _listed(cache)]
    full = [slab for slab in cache.slabs.values() if slab.place is Place.FULL]
    return CacheSnapshot(
        source=cache.source,
        geometry=cache.geometry,
        slabs=tuple(_freeze(cache, slab) for slab in (*in_lists, *full) if slab.pfn in cache.slabs),
        nr_cpus=cache.nr_cpus,
        aliases=tuple(cache.aliases[1:]),
        report=cache.reports[-1] if cache.reports else "",
    )


def _freeze(cache: KmemCache, slab: Slab) -> SlabSnapshot:
    base, size = slab.address + cache.geometry.red_left_pad, cache.size
    own = tuple((address - base) // size for address in reversed(slab.freelist))
    mine = cache.cpus[slab.cpu] if slab.place is Place.CPU and slab.cpu is not None else None
    cpu_list = (
        tuple((address - base) // size for address in reversed(mine.freelist)) if mine and mine.slab is slab else ()
    )
    states = bytearray([ObjectState.ALLOCATED]) * slab.objects
    for index in own:
        states[index] = ObjectState.FREE
    for index in cpu_list:
        states[index] = ObjectState.CPU_FREE
    if cache.debug is not None:
        for index in range(slab.objects):
            address = base + index * size
            if address in cache.debug.lost or cache.debug.is_damaged(address):
                states[index] = ObjectState.DAMAGED
    return SlabSnapshot(slab.pfn, slab.address, slab.place, slab.cpu, bytes(states), own, cpu_list)
