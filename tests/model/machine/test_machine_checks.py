"""check() of a machine: each rule, broken on purpose."""

from __future__ import annotations

import pytest

from mmkit import Machine
from mmkit.errors import InvariantError
from mmkit.model.gfp import Gfp
from mmkit.model.machine.lru import INACTIVE_ANON

PAGE = 4096


@pytest.fixture
def machine():
    """Two processes that share a page, one of whose pages is in swap, and a file with a page in memory."""
    machine = Machine("X86_64", "64MiB", swap="1MiB")
    machine.create_file("/data", b"d" * PAGE)
    process = machine.spawn("first")
    addr = process.mmap(4 * PAGE)
    process.write(addr, b"x" * PAGE)
    for _ in range(2):
        machine.reclaim.shrink(0, 1)
    process.write(addr + PAGE, b"y" * PAGE)
    process.fork()
    assert machine.swap.used == 1
    machine.check()
    return machine


def first(machine):
    """The first process's address space, and the number of its page that is in memory."""
    space = machine.spaces[0]
    return space, next(page for page, _ in space.pages.items())


def lose_a_page(machine):
    machine.memory.alloc_pages(Gfp.GFP_KERNEL, 0)


def one_reference_too_many(machine):
    space, page = first(machine)
    space.pages.struct_page(page).get()


def one_mapping_too_many(machine):
    space, page = first(machine)
    struct = space.pages.struct_page(page)
    struct.get()
    struct.map()


def forget_who_maps(machine):
    space, page = first(machine)
    machine.rmap[space.pages.pfn(page)].remove((space, page))


def off_the_lists(machine):
    space, page = first(machine)
    machine.lru.drop(space.pages.pfn(page))


def on_a_list_though_free(machine):
    struct = machine.memory.alloc_pages(Gfp.GFP_HIGHUSER_MOVABLE, 0)
    machine.lru.add(struct, INACTIVE_ANON)
    struct.clear_flags(struct.flags)
    machine.memory.free_pages(struct, 0)


def a_slot_that_nobody_has(machine):
    machine.swap.alloc()


def an_entry_that_is_not_known(machine):
    space, page = first(machine)
    space.table.set_entry(page + 2 << 12, space.pages.raw(page), make=True)


def an_object_that_is_lost(machine):
    machine.objects.alloc("vm_area_struct")


def bytes_in_a_free_frame(machine):
    machine.frames.write(machine.memory.zones[-1].end_pfn - 1 << 12, b"left")


def a_forgotten_flush(machine):
    space, page = first(machine)
    next(iter(machine)).read(page << 12)
    machine.flush_page = lambda space, addr: None
    space.munmap(page << 12, PAGE)


@pytest.mark.parametrize(("harm", "words"), [
    (lose_a_page, "every page is accounted for"),
    (one_reference_too_many, "refcount"),
    (one_mapping_too_many, "mapcount"),
    (forget_who_maps, "rmap"),
    (off_the_lists, "lru"),
    (on_a_list_though_free, "lru"),
    (a_slot_that_nobody_has, "swap"),
    (an_entry_that_is_not_known, "one entry a page"),
    (an_object_that_is_lost, "objects"),
    (bytes_in_a_free_frame, "bytes are somebody's"),
    (a_forgotten_flush, "no stale translation"),
])  # fmt: skip
def test_each_rule_is_noticed_when_it_is_broken(machine, harm, words):
    harm(machine)
    with pytest.raises(InvariantError, match=words):
        machine.check()
