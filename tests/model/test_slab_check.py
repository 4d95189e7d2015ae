"""check() of a slab cache: one broken structure per rule, and the rule that is named."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from mmkit.errors import InvariantError
from mmkit.model.kmalloc import SlabAllocator
from mmkit.model.memory import PhysicalMemory
from mmkit.model.slab import KmemCache
from mmkit.model.slabstate import Place


def make():
    """Two CPUs with a slab each, a slab on the partial list of CPU 1, four on the node's list, one full."""
    cache = KmemCache("thing", 1360, memory=PhysicalMemory("X86_64", "64MiB"), nr_cpus=2)
    assert (cache.objs_per_slab, cache.order, cache.geometry.cpu_partial_slabs) == (12, 2, 4)
    taken = [cache.alloc() for _ in range(12 * 7 + 4)]
    for index in (0, 12, 24):
        cache.free(taken[index], cpu=1)
    cache.flush(1)
    cache.alloc(cpu=1)
    for index in (36, 37, 48, 60, 61, 25):
        cache.free(taken[index], cpu=1)
    cache.check()
    return cache


def where(cache, place):
    return [slab for slab in cache.slabs.values() if slab.place is place]


def test_the_state_that_is_broken_below():
    cache = make()
    assert [len(where(cache, place)) for place in Place] == [2, 1, 4, 1]
    assert [len(cache.cpus[cpu].freelist) for cpu in (0, 1)] == [8, 1]


def a_slab_on_two_lists(cache):
    cache.partial[cache.cpus[1].partial[0]] = None


def a_slab_that_is_not_known(cache):
    slab = where(cache, Place.NODE)[0]
    del cache.slabs[slab.pfn]


def a_slab_that_believes_to_be_elsewhere(cache):
    where(cache, Place.NODE)[0].place = Place.CPU_PARTIAL


def a_slab_of_another_cpu(cache):
    cache.cpus[1].partial[0].cpu = 0


def a_partial_slab_without_a_free_object(cache):
    where(cache, Place.NODE)[0].freelist.clear()


def a_slab_that_no_list_has(cache):
    cache.partial.clear()


def a_full_slab_with_a_free_object(cache):
    slab = where(cache, Place.FULL)[0]
    address = slab.address
    del cache.live[address]
    slab.freelist.append(address)


def a_cpu_list_without_a_slab(cache):
    slab, cache.cpus[0].slab = cache.cpus[0].slab, None
    slab.place, slab.cpu = Place.FULL, None


def an_object_that_is_free_twice(cache):
    cache.cpus[0].freelist.append(cache.cpus[0].freelist[0])


def an_object_that_is_free_and_in_use(cache):
    slab = where(cache, Place.NODE)[0]
    cache.live[slab.freelist[0]] = slab


def a_lost_object(cache):
    cache.cpus[0].freelist.pop()


def an_object_that_is_none(cache):
    slab = where(cache, Place.NODE)[0]
    slab.freelist.append(slab.address + 4)


def an_object_in_use_with_another_slab(cache):
    cache.live[where(cache, Place.FULL)[0].address] = where(cache, Place.NODE)[0]


def an_object_on_another_slabs_list(cache):
    first, second = where(cache, Place.NODE)[0], cache.cpus[1].partial[0]
    first.freelist.append(second.freelist.pop(0) if len(second.freelist) > 1 else second.freelist[0])
    second.freelist.append(first.freelist.pop(0))


def an_object_of_another_slab_on_a_cpu_list(cache):
    mine, slab = cache.cpus[0], where(cache, Place.NODE)[0]
    mine.freelist[0], slab.freelist[0] = slab.freelist[0], mine.freelist[0]
    slab.freelist[0], cache.cpus[1].freelist[0] = cache.cpus[1].freelist[0], slab.freelist[0]


def a_page_that_is_no_slab(cache):
    where(cache, Place.NODE)[0].page.clear_type()


def a_page_with_two_holders(cache):
    where(cache, Place.FULL)[0].page.get()


def a_page_that_does_not_know_its_cache(cache):
    del cache.pages[where(cache, Place.FULL)[0].pfn + 3]


def more_objects_than_fit(cache):
    slab = where(cache, Place.FULL)[0]
    slab.objects += 1
    cache.live[slab.address + 12 * cache.size] = slab


@pytest.mark.parametrize(
    ("damage", "rule"),
    [
        (a_slab_on_two_lists, "a slab is on one list, once"),
        (a_slab_that_is_not_known, "every slab on a list is known"),
        (a_slab_that_believes_to_be_elsewhere, "a slab knows the list that it is on"),
        (a_slab_of_another_cpu, "a slab knows the list that it is on"),
        (a_partial_slab_without_a_free_object, "a slab on a partial list has a free object"),
        (a_slab_that_no_list_has, "only a full slab is on no list"),
        (a_full_slab_with_a_free_object, "a full slab has no free object"),
        (a_cpu_list_without_a_slab, "a CPU's list belongs to its slab"),
        (an_object_that_is_free_twice, "an object is free once or in use"),
        (an_object_that_is_free_and_in_use, "an object is free once or in use"),
        (a_lost_object, "every object is in use or on a list"),
        (an_object_that_is_none, "every object is in use or on a list"),
        (an_object_in_use_with_another_slab, "an object in use knows its slab"),
        (an_object_on_another_slabs_list, "a slab's list, and its CPU's, holds its own objects"),
        (an_object_of_another_slab_on_a_cpu_list, "a slab's list, and its CPU's, holds its own objects"),
        (a_page_that_is_no_slab, "the pages of a slab say so and are held once"),
        (a_page_with_two_holders, "the pages of a slab say so and are held once"),
        (a_page_that_does_not_know_its_cache, "every page of a slab knows its cache"),
        (more_objects_than_fit, "the objects of a slab fit into its pages"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_each_broken_rule_is_named(damage, rule):
    cache = make()
    damage(cache)
    with pytest.raises(InvariantError, match=f"cache thing: {rule}, but not "):
        cache.check()


def test_pages_of_an_allocator():
    slabs = SlabAllocator(PhysicalMemory("X86_64", "64MiB"))
    slabs.kmalloc(100)
    slabs.kmalloc(9000)
    slabs.check()
    (page, _), *_ = slabs._large.values()
    page.clear_type()
    with pytest.raises(InvariantError, match="pages that kmalloc gave say so"):
        slabs.check()


def test_a_page_that_belongs_to_no_slab_any_more():
    slabs = SlabAllocator(PhysicalMemory("X86_64", "64MiB"))
    slabs.kmalloc(100)
    slabs._pages[1] = SimpleNamespace()
    with pytest.raises(InvariantError, match="every page of a slab, and no other, knows its cache"):
        slabs.check()
