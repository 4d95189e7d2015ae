"""Debugging of slab caches: each crime, when it is found, what the report says, and what the kernel does about it."""

from __future__ import annotations

import re

import pytest

from mmkit.errors import BadFree
from mmkit.model.kmalloc import SlabAllocator
from mmkit.model.memory import PhysicalMemory
from mmkit.model.slab import KmemCache
from mmkit.model.slabdebug import POISON_END, POISON_FREE, POISON_INUSE, RED_ACTIVE, RED_INACTIVE
from mmkit.model.slabgeometry import get_order
from mmkit.model.slabstate import ObjectState, Place, SlabFlags
from mmkit.model.trace import Trace

CHECKS, RED, POISON, USER = (
    SlabFlags.CONSISTENCY_CHECKS, SlabFlags.RED_ZONE, SlabFlags.POISON, SlabFlags.STORE_USER,
)  # fmt: skip
ALL = CHECKS | RED | POISON | USER
RULE, LINE = "=" * 77, "-" * 77


@pytest.fixture
def memory():
    return PhysicalMemory("X86_64", "64MiB")


@pytest.fixture
def cache(memory):
    made = KmemCache("kmalloc-64", 64, memory=memory, flags=ALL, nr_cpus=2, trace=Trace())
    made.debug.caller, made.debug.pid = "copy_process+0x1b4", 12
    return made


def fixes(report):
    return [line.split(": ", 1)[1] for line in report.splitlines() if line.startswith("FIX ")]


def found(report):
    return [line[1 : line.index("]")] for line in report.splitlines() if line.startswith("[")]


# -- what stands where ------------------------------------------------------------------------------------------------


def test_bytes_of_an_object_in_use_and_free(cache):
    """Left red zone, 64 bytes, right red zone, free pointer, two notes, padding: 160 bytes as in slub_debug=FZPU."""
    geometry = cache.geometry
    assert (geometry.size, geometry.inuse, geometry.offset, geometry.red_left_pad) == (160, 72, 72, 8)
    address, neighbour = cache.alloc(), cache.alloc()
    for red, poisoned in ((RED_ACTIVE, False), (RED_INACTIVE, True)):
        assert cache.read(address - 8, 8) == bytes([red]) * 8
        assert cache.read(address + 64, 8) == bytes([red]) * 8
        if poisoned:
            assert cache.read(address, 64) == bytes([POISON_FREE]) * 63 + bytes([POISON_END])
        assert cache.read(address + 72 + 8 + 64, 8) == bytes([POISON_INUSE]) * 8
        if not poisoned:
            cache.write(address, b"user's own".ljust(64))
            cache.free(address)
    assert cache.read(neighbour - 8, 1) == bytes([RED_ACTIVE])


def test_free_objects_are_linked_by_their_bytes(cache):
    def chain():
        (slab,) = cache.slabs.values()
        at, seen = slab.freelist[-1], []
        while at:
            seen.append(at)
            at = cache.debug.free_pointer(at)
        return seen, list(reversed(slab.freelist))

    taken = [cache.alloc() for _ in range(4)]
    assert chain()[0] == chain()[1]
    assert len(chain()[0]) == 21
    for address in (taken[2], taken[0]):
        cache.free(address)
    assert chain()[0] == chain()[1]
    assert chain()[0][:2] == [taken[0], taken[2]]


@pytest.mark.parametrize("flags", [RED, POISON, USER, CHECKS, RED | POISON, CHECKS | USER])
@pytest.mark.parametrize("object_size", [1, 5, 8, 33, 64, 700])
def test_proper_use_is_never_reported(memory, flags, object_size):
    cache = KmemCache("well-used", object_size, memory=memory, flags=flags | CHECKS, seed=4)
    live = [cache.alloc() for _ in range(60)]
    for address in live:
        cache.write(address, b"\xff" * object_size)
    for address in live[::2]:
        cache.free(address)
    live = live[1::2] + [cache.alloc() for _ in range(20)]
    assert cache.validate() == cache.reports == []
    cache.check()
    for address in live:
        cache.free(address)
    cache.shrink()
    assert cache.reports == []
    assert not cache.slabs


def test_notes_tell_who_and_when(cache):
    address = cache.alloc(cpu=1)
    cache.debug.caller, cache.debug.pid = "exit_mm+0x10", 77
    cache.free(address, cpu=0)
    cache.alloc(), cache.alloc()
    assert cache.debug.track(address, "Allocated")[:3] == ("exit_mm+0x10", 0, 77)  # it was taken again, by the same
    other = cache.alloc(cpu=1)
    assert cache.debug.track(other, "Freed") is None
    assert cache.debug.track(address, "Freed") == ("exit_mm+0x10", 0, 77, 2)
    cache.free(other + 8)
    cache.free(0)
    assert "Allocated in" not in cache.reports[-1]


# -- the crimes -------------------------------------------------------------------------------------------------------


def test_overrun_is_found_at_the_free_and_mended(cache):
    address = cache.alloc()
    cache.write(address, b"A" * 70)
    assert cache.reports == []
    cache.free(address)
    (report,) = cache.reports
    pfn, word = address - 8 >> 12 & 0xFFFF, cache.slabs[next(iter(cache.slabs))].page.flags_word
    following = address + 160
    assert report.splitlines() == [
        f"[Right Redzone overwritten] 0x{address + 64:x}-0x{address + 69:x} @offset=72. "
        "First byte 0x41 instead of 0xcc",
        RULE,
        "BUG kmalloc-64 (Not tainted): Object corrupt",
        LINE,
        "",
        "Allocated in copy_process+0x1b4 age=0 cpu=0 pid=12",
        f"Slab at pfn 0x{pfn:x} objects=25 used=1 fp=0x{following:x} flags=0x{word:x}(node=0|zone=1|lastcpupid=0xffff)",
        f"Object 0x{address:x} @offset=8 fp=0x{following:x}",
        "",
        f"Redzone  {address - 8:016x}: cc cc cc cc cc cc cc cc                          ........",
        *[f"Object   {address + at:016x}: {'41 ' * 16} {'A' * 16}" for at in range(0, 64, 16)],
        f"Redzone  {address + 64:016x}: 41 41 41 41 41 41 cc cc                          AAAAAA..",
        f"Padding  {address + 144:016x}: 5a 5a 5a 5a 5a 5a 5a 5a                          ZZZZZZZZ",
        f"FIX kmalloc-64: Restoring Right Redzone 0x{address + 64:x}-0x{address + 69:x}=0xcc",
        f"FIX kmalloc-64: Object at 0x{address:x} not freed",
    ]
    assert address in cache.live
    cache.check()
    cache.free(address)
    assert len(cache.reports) == 1
    assert address not in cache.live


def test_underrun(cache):
    cache.alloc()
    address = cache.alloc()
    cache.write(address - 3, b"UUU")
    cache.free(address)
    assert found(cache.reports[0]) == ["Left Redzone overwritten"]
    assert f"0x{address - 3:x}-0x{address - 1:x} @offset=" in cache.reports[0]


def test_every_damaged_part_is_named_but_the_object_shown_once(cache):
    address = cache.alloc()
    cache.write(address - 1, b"<")
    cache.write(address + 64, b">")
    cache.free(address)
    assert found(cache.reports[0]) == ["Left Redzone overwritten", "Right Redzone overwritten"]
    assert cache.reports[0].count("BUG ") == 1
    assert len(fixes(cache.reports[0])) == 3


def test_until_6_14_the_first_part_is_the_headline_and_the_last_word(memory):
    cache = KmemCache("old", 64, memory=memory, flags=ALL, kernel="6.1")
    address = cache.alloc()
    cache.write(address - 1, b"<")
    cache.write(address + 64, b">")
    cache.free(address)
    assert cache.reports[0].splitlines()[:3] == [RULE, "BUG old (Not tainted): Left Redzone overwritten", LINE]
    assert cache.read(address + 64, 1) == b">"
    cache.free(address)
    assert "Right Redzone overwritten" in cache.reports[1]


def test_write_after_free_is_found_at_the_next_alloc(cache):
    address, other = cache.alloc(), cache.alloc()
    cache.free(address)
    cache.write(address + 20, b"!")
    cache.write(address + 63, b"?")
    assert cache.reports == []
    again = cache.alloc()
    (report,) = cache.reports
    assert found(report) == ["Poison overwritten", "End Poison overwritten"]
    assert fixes(report)[-1] == "Marking all objects used"
    assert again >> 12 != address >> 12  # from a new slab
    cache.check()
    slab = cache.snapshot().slabs[-1]
    assert slab.place is Place.FULL
    assert slab.objects.count(ObjectState.DAMAGED) == 24
    cache.free(other)
    assert "Slab disabled since SLUB metadata consistency check failed" in cache.reports[-1]
    assert other in cache.live


def test_without_poison_a_write_after_free_destroys_the_list(memory):
    cache = KmemCache("bare", 40, memory=memory, flags=CHECKS)
    address = cache.alloc()
    cache.free(address)
    cache.write(address + 16, b"A" * 8)
    assert cache.debug.object_snapshot(address).damaged == tuple(range(16, 24))
    cache.alloc()
    assert "BUG bare (Not tainted): Freepointer corrupt" in cache.reports[0]
    assert f"Object 0x{address:x} @offset=0 fp=0x4141414141414141" in cache.reports[0]


def test_double_free(cache):
    address = cache.alloc()
    cache.free(address)
    before = cache.snapshot().slabs
    cache.free(address, cpu=1)
    (report,) = cache.reports
    assert report.splitlines()[1] == "BUG kmalloc-64 (Not tainted): Object already free"
    assert re.search(r"^Freed in copy_process\+0x1b4 age=0 cpu=0 pid=12$", report, re.M)
    assert fixes(report) == [f"Object at 0x{address:x} not freed"]
    assert cache.snapshot().slabs == before


@pytest.mark.parametrize("shift", [1, 8, -8, 100])
def test_free_of_an_interior_pointer(cache, shift):
    address = cache.alloc() + shift
    before = cache.snapshot().slabs
    cache.free(address)
    assert f"BUG kmalloc-64 (Not tainted): Invalid object pointer 0x{address:x}" in cache.reports[0]
    assert cache.snapshot().slabs == before


def test_free_of_what_lies_in_no_slab(cache):
    cache.alloc()
    cache.free(0xFFFF_8880_0000_0000)
    assert cache.reports == ["virt_to_cache: Object is not a Slab page!"]


def test_free_into_the_wrong_cache_is_reported_and_done_in_the_right_one(memory):
    slabs = SlabAllocator(memory, debug=ALL)
    address, other = slabs.kmalloc(60), slabs.create("other", 60)
    other.free(address)
    (report,) = other.reports
    assert report.splitlines()[0] == "cache_from_obj: Wrong slab cache. other but object is from kmalloc-64"
    assert address not in slabs.cache("kmalloc-64").live
    slabs.check()


def test_without_debugging_a_wrong_cache_is_refused(memory):
    slabs = SlabAllocator(memory)
    address, other = slabs.kmalloc(60), slabs.create("other", 3000)
    with pytest.raises(BadFree, match=f"{address:#x} lies in a slab of cache kmalloc-64, not of other"):
        other.free(address)
    slabs.kfree(address)


def test_padding_of_objects_and_of_slabs(cache):
    address = cache.alloc()
    cache.write(address + 146, b"xy")
    cache.free(address)
    assert found(cache.reports[-1]) == ["Object padding overwritten"]
    (slab,) = cache.slabs.values()
    assert cache.geometry.tail_bytes == 96
    cache.write(slab.address + 4090, b"zz")
    cache.free(address)
    assert "Padding overwritten. 0x" in cache.reports[-1]
    assert fixes(cache.reports[-1]) == [
        f"Restoring slab padding 0x{slab.address + 4090:x}-0x{slab.address + 4091:x}=0x5a"
    ]
    assert address not in cache.live  # it is only said, and mended


def test_only_with_checks_is_anything_looked_at_before_validate(memory):
    cache = KmemCache("red", 64, memory=memory, flags=RED | USER)
    first, second = cache.alloc(), cache.alloc()
    cache.write(first, b"A" * 65)
    cache.write(second, b"B" * 66)
    cache.free(first)
    assert cache.reports == []
    cache.write(first - 1, b"C")
    reports = cache.validate()
    assert [found(report) for report in reports] == [["Left Redzone overwritten"]]  # it stops at the first object
    assert [found(report) for report in cache.validate()] == [["Right Redzone overwritten"]]
    assert cache.validate() == []
    with pytest.raises(BadFree):
        cache.free(first)


def test_validate_sees_full_slabs_only_if_users_are_noted(memory):
    for flags, seen in ((RED, 0), (RED | USER, 1)):
        cache = KmemCache("full", 2000, memory=memory, flags=flags)
        taken = [cache.alloc() for _ in range(cache.objs_per_slab)]
        assert not cache.partial
        cache.write(taken[0] + 2000, b"!")
        assert len(cache.validate()) == seen


def test_reports_are_traced(cache):
    address = cache.alloc()
    cache.write(address + 64, b"!")
    cache.free(address)
    cache.free(address)
    cache.free(address)
    events = cache.trace.select("slab_report")
    assert [(event.ptr, event.what) for event in events] == [
        (address, "Right Redzone overwritten"),
        (address, "Object already free"),
    ]
    assert [event.report for event in events] == cache.reports
    assert cache.snapshot().report == cache.reports[-1]


def test_only_bytes_of_slabs_can_be_read_and_written(cache, memory):
    address = cache.alloc()
    for call in (lambda: cache.read(address, 5000), lambda: cache.write(8, b"x"), lambda: cache.read(address, -1)):
        with pytest.raises(ValueError, match="are not in a slab of cache kmalloc-64"):
            call()
    plain = KmemCache("plain", 64, memory=memory)
    with pytest.raises(ValueError, match="cache plain keeps no bytes: make it with a debugging flag"):
        plain.read(plain.alloc(), 1)


def test_an_object_byte_by_byte(cache):
    address = cache.alloc()
    state = cache.debug.object_snapshot(address)
    assert (state.state, state.active, len(state.content), state.damaged) == (ObjectState.ALLOCATED, True, 160, ())
    cache.write(address + 64, b"!!")
    state = cache.debug.object_snapshot(address)
    assert (state.state, state.damaged) == (ObjectState.DAMAGED, (72, 73))
    assert cache.snapshot().slabs[0].objects[0] == ObjectState.DAMAGED
    with pytest.raises(ValueError, match="is no object of cache kmalloc-64"):
        cache.debug.object_snapshot(address + 1)


def test_a_free_object_that_is_damaged_is_not_in_use(cache):
    kept, freed = cache.alloc(), cache.alloc()
    cache.free(freed)
    cache.write(freed + 3, b"x")
    (slab,) = cache.snapshot().slabs
    assert sorted(slab.objects)[-2:] == [ObjectState.ALLOCATED, ObjectState.DAMAGED]
    assert slab.inuse == cache.snapshot().active_objs == len(cache.live) == 1
    cache.write(kept + 64, b"x")
    assert cache.snapshot().slabs[0].inuse == 1
    again = [cache.alloc() for _ in range(2)]  # the damaged one is given up with all others that were free
    lost = next(slab for slab in cache.snapshot().slabs if slab.pfn == cache.slab_of(kept).pfn)
    assert lost.inuse == cache.objs_per_slab
    assert {cache.slab_of(address) for address in again} != {cache.slab_of(kept)}


@pytest.mark.parametrize(("size", "nr_cpus"), [(64, 1), (1000, 2), (5000, 2), (8192, 1)])
def test_bytes_of_a_slab_follow_from_its_objects(memory, size, nr_cpus):
    geometry = KmemCache("any", size, memory=memory, nr_cpus=nr_cpus).geometry
    assert geometry.bytes_of(geometry.objs_per_slab) == 4096 << geometry.order
    least = 4096 << get_order(geometry.size)
    if least < geometry.slab_bytes:
        assert geometry.bytes_of(least // geometry.size) == least
