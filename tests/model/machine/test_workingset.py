"""What comes back soon after it was reclaimed becomes active at once; what comes back late does not."""

from __future__ import annotations

import pytest

from mmkit import Machine
from mmkit.model import reclaimtrace
from mmkit.model import vmaflags as f
from mmkit.model.machine.lru import ACTIVE_FILE, CLUSTER, INACTIVE_ANON, INACTIVE_FILE
from mmkit.model.machine.workingset import SLOT
from mmkit.model.pageflags import PageFlags
from mmkit.model.trace import Trace

PAGE = 4096


@pytest.fixture
def machine():
    machine = Machine("X86_64", "16MiB", swap="8MiB", trace=Trace())
    yield machine
    machine.check()


def read(machine, file, index):
    return machine.page_cache.get(file, index)[0]


def evict(machine, file, pages):
    """Let pages go as reclaim lets them, the oldest first."""
    for index in pages:
        machine.lru.drop(read(machine, file, index).pfn)
        machine.page_cache.evict(machine.page_cache.find(file, index))


def refaults(machine):
    return [event for event in machine.trace.events if isinstance(event, reclaimtrace.WorkingsetRefault)]


def test_the_distance_is_how_many_went_since(machine):
    file = machine.create_file("/data", 10 * PAGE)
    evict(machine, file, range(10))
    read(machine, file, 0)
    read(machine, file, 9)
    assert [(event.distance, event.room) for event in refaults(machine)] == [(10, 0), (1, 0)]
    where = [machine.lru.where(read(machine, file, index).pfn) for index in (0, 9)]
    assert where == [INACTIVE_FILE, INACTIVE_FILE], "there is no active page that they would have had to outlast"


@pytest.mark.parametrize(("evicted", "where"), [(8, ACTIVE_FILE), (9, INACTIVE_FILE)])
def test_it_is_active_at_once_if_the_active_pages_are_as_many(machine, evicted, where):
    machine.swap.nr_slots = 0
    file = machine.create_file("/data", 40 * PAGE)
    for index in range(20, 28):
        machine.lru.add(read(machine, file, index), ACTIVE_FILE)
    evict(machine, file, range(evicted))
    age = machine.lru.nonresident_age
    page = read(machine, file, 0)
    assert machine.lru.where(page.pfn) == where
    assert machine.lru.nonresident_age - age == (where == ACTIVE_FILE)
    found = machine.workingset
    assert (found.refaults["file"], found.activated["file"]) == (1, where == ACTIVE_FILE)
    rows = dict(line.split() for line in machine.proc.read("vmstat").splitlines())
    assert (rows["workingset_refault_file"], rows["workingset_activate_file"]) == ("1", str(int(where == ACTIVE_FILE)))


def test_anonymous_pages_count_while_there_is_swap(machine):
    file, process = machine.create_file("/data", 40 * PAGE), machine.spawn()
    process.write(process.mmap(30 * PAGE), b"x" * 30 * PAGE)
    evict(machine, file, range(25))
    read(machine, file, 0)
    assert refaults(machine)[0].room == machine.lru.size(INACTIVE_ANON) == 30
    assert refaults(machine)[0].active
    machine.swap.nr_slots = 0
    read(machine, file, 1)
    assert refaults(machine)[1].room == 1, "the one page that has just become active"


def test_what_had_been_active_costs_when_it_comes_back(machine):
    file = machine.create_file("/data", 200 * PAGE)
    for index in range(100):
        machine.lru.add(read(machine, file, index), ACTIVE_FILE)
    machine.reclaim._shrink_active(ACTIVE_FILE, 10)
    page = read(machine, file, 0)
    assert page.flags & PageFlags.workingset
    evict(machine, file, [0])
    machine.lru.file_cost = 0
    page = read(machine, file, 0)
    assert page.flags & PageFlags.workingset
    assert machine.lru.file_cost == CLUSTER
    evict(machine, file, [150])
    read(machine, file, 150)
    assert machine.lru.file_cost == CLUSTER, "one that had not been active costs nothing"


def test_shadows_go_with_what_they_are_of(machine):
    file, process = machine.create_file("/data", 40 * PAGE), machine.spawn()
    addr = process.mmap(10 * PAGE)
    process.write(addr, b"x" * 10 * PAGE)
    evict(machine, file, range(40))
    while machine.swap.used < 10:
        machine.reclaim.shrink(0, 32)
    keys = list(machine.workingset.shadows)
    assert len([key for key in keys if key[0] == SLOT]) == 10
    assert len(keys) == 50
    process.mm.munmap(addr, 5 * PAGE)
    machine.page_cache.drop(file, 20, 40)
    assert len(machine.workingset.shadows) == 25
    process.exit()
    machine.page_cache.drop(file, 0, 40)
    assert not machine.workingset.shadows


def majors_of_a_hot_part(shadows):
    """Read 100 pages of a file again and again, between them others only once; how often the 100 had to be fetched.

    700 pages of memory that nobody uses stand by: room that the file could have.
    """
    machine, hot, most, rounds = Machine("X86_64", "8MiB", swap="4MiB"), 100, 1200, 3
    if not shadows:
        machine.workingset.evicted = lambda key, page: None
    process, found = machine.spawn(), 0
    process.write(process.mmap(700 * PAGE), b"x" * 700 * PAGE)
    file = machine.create_file("/data", (hot + rounds * most) * PAGE, cached=False)
    at = process.mm.mmap(0, file.size_bytes, f.PROT_READ, f.MAP_SHARED, file.open("r"))
    for part in range(rounds):
        before = machine.maj_flt
        for page in range(hot):
            process.read(at + page * PAGE)
        found += machine.maj_flt - before
        for page in range(hot + most * part, hot + most * (part + 1)):
            process.read(at + page * PAGE)
    machine.check()
    return found


def test_what_is_used_again_and_again_survives_a_stream():
    """Without shadows each round of the stream washes the hot pages away: they are never seen twice."""
    assert majors_of_a_hot_part(shadows=False) == 3 * 100
    assert majors_of_a_hot_part(shadows=True) == 2 * 100, "the first time, and once more; then they are active"


def test_pages_that_come_back_let_active_ones_age():
    """Else new and wanted pages would never get the room of those that were wanted long ago."""
    machine = Machine("X86_64", "16MiB", swap="8MiB")
    file = machine.create_file("/data", 300 * PAGE)
    for index in range(100):
        machine.lru.add(read(machine, file, index), ACTIVE_FILE)
    machine.reclaim.direct()
    assert machine.lru.size(ACTIVE_FILE) == 100, "there are more inactive ones"
    gone = next(index for index in range(100, 300) if machine.page_cache.find(file, index) is None)
    read(machine, file, gone)
    assert machine.workingset.activated["file"] == 1
    machine.reclaim.direct()
    assert machine.lru.size(ACTIVE_FILE) < 101


def test_without_swappiness_anonymous_pages_go_when_files_are_nearly_gone():
    machine = Machine("X86_64", "16MiB", swap="8MiB")
    machine.reclaim.swappiness = 0
    machine.create_file("/data", 300 * PAGE)
    process = machine.spawn()
    addr = process.mmap(4400 * PAGE)
    swapped = []
    for page in range(4000):
        process.write(addr + page * PAGE, b"x")
        swapped.append((machine.swap.used, machine.lru.size(INACTIVE_FILE) + machine.lru.size(ACTIVE_FILE)))
    first = next(files for used, files in swapped if used)
    assert first < 60
    assert process.alive
