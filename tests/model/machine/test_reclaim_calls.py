"""System calls while memory is short: what they bring in, lock, share and give up is neither lost nor left behind."""

from __future__ import annotations

import mmap
import sys
from pathlib import Path

import pytest

from mmkit import Machine
from mmkit.errors import FatalSignal, InvariantError, MmError
from mmkit.model import vmaflags as f
from mmkit.model.machine.lru import UNEVICTABLE
from mmkit.model.pageflags import PageFlags
from mmkit.model.reclaimtrace import LruFate
from mmkit.model.trace import Trace

PAGE, RW = 4096, f.PROT_READ | f.PROT_WRITE
SHARED_ANON = f.MAP_SHARED | f.MAP_ANONYMOUS


def small(swap="8MiB", **more):
    return Machine("X86_64", "16MiB", swap=swap, **more)


def hog(machine, pages, name="hog"):
    """A process that has written its number to each of so many pages, and where they are."""
    process = machine.spawn(name)
    addr = process.mmap(pages * PAGE)
    for page in range(pages):
        process.write(addr + page * PAGE, page.to_bytes(4, "little"))
    return process, addr


def squeeze(machine, times=6):
    for _ in range(times):
        machine.reclaim.shrink(0, 64)


def meminfo(machine):
    rows = (line.split(":") for line in machine.proc.read("meminfo").splitlines())
    return {name: int(value.split()[0]) for name, value in rows}


# -- pages that were given up, and are wanted again -------------------------------------------------------------------


@pytest.mark.parametrize("call", ["MADV_POPULATE_WRITE", "mlock"])
def test_a_page_given_up_and_populated_again_keeps_what_it_holds(call):
    machine = small(trace=Trace())
    process, addr = hog(machine, 20)
    process.mm.madvise(addr, 20 * PAGE, f.MADV_FREE)
    if call == "mlock":
        process.mm.mlock(addr, 20 * PAGE)
        process.mm.munlock(addr, 20 * PAGE)
    else:
        process.mm.madvise(addr, 20 * PAGE, f.MADV_POPULATE_WRITE)
    squeeze(machine)
    fates = {event.fate for event in machine.trace.events if isinstance(event, LruFate)}
    assert fates >= {"activate", "swap out"}
    assert "drop" not in fates
    assert [process.read(addr + page * PAGE, 4) for page in range(20)] == [n.to_bytes(4, "little") for n in range(20)]
    machine.check()


def test_populating_for_reading_does_not_take_a_page_back():
    machine = small()
    process, addr = hog(machine, 20)
    process.mm.madvise(addr, 20 * PAGE, f.MADV_FREE)
    process.mm.madvise(addr, 20 * PAGE, f.MADV_POPULATE_READ)
    squeeze(machine)
    assert {process.read(addr + page * PAGE, 4) for page in range(20)} == {bytes(4)}
    assert not machine.swap.used
    machine.check()


def lazily_free(advice):
    """Return the kB that the kernel would take for nothing after MADV_FREE and this advice; a child's own memory."""
    area = mmap.mmap(-1, 64 * PAGE, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    area.madvise(15)  # No huge pages.
    area.write(b"x" * 64 * PAGE)
    area.madvise(f.MADV_FREE)
    area.madvise(advice)
    lines = Path("/proc/self/smaps").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("LazyFree:"))


@pytest.mark.skipif(sys.platform != "linux", reason="madvise() of another kernel: not Linux")
def test_the_kernel_agrees_which_of_them_may_go():
    def ours(advice):
        machine = small()
        process, addr = hog(machine, 64)
        process.mm.madvise(addr, 64 * PAGE, f.MADV_FREE)
        process.mm.madvise(addr, 64 * PAGE, advice)
        lines = machine.proc.read(f"{process.pid}/smaps").splitlines()
        return sum(int(line.split()[1]) for line in lines if line.startswith("LazyFree:"))

    assert (ours(f.MADV_POPULATE_WRITE), ours(f.MADV_POPULATE_READ)) == (0, 256)
    assert lazily_free(f.MADV_POPULATE_WRITE) == 0
    # The last pages wait in a batch of the processor, and are no lazy ones yet.
    assert 192 <= lazily_free(f.MADV_POPULATE_READ) <= 256


# -- shared memory ----------------------------------------------------------------------------------------------------


def test_shared_memory_goes_with_its_last_mapping():
    machine = small()
    parent = machine.spawn("parent")
    addr = parent.mmap(8 * PAGE, RW, SHARED_ANON)
    parent.write(addr, b"both")
    child = parent.fork()
    child.mm.munmap(addr, 4 * PAGE)
    child.mm.munmap(addr + 6 * PAGE, 2 * PAGE)
    parent.exit()
    assert meminfo(machine)["Shmem"] == 4, "the child has two pages of the area still, so all of its pages stay"
    machine.check()
    new = child.mm.mremap(addr + 4 * PAGE, 2 * PAGE, 2 * PAGE, f.MREMAP_MAYMOVE | f.MREMAP_FIXED, 0x7000_0000_0000)
    assert meminfo(machine)["Shmem"] == 4
    child.mm.munmap(new, 2 * PAGE)
    assert (meminfo(machine)["Shmem"], len(machine.page_cache)) == (0, 0)
    machine.check()


def test_a_file_that_has_a_name_stays():
    machine = small()
    file = machine.create_file("/dev/shm/x", b"kept", kind="tmpfs")
    process = machine.spawn()
    process.mm.mmap(0, PAGE, RW, f.MAP_SHARED, file.open("rw"))
    process.exit()
    assert meminfo(machine)["Shmem"] == 4
    other = machine.spawn()
    assert other.read(other.mm.mmap(0, PAGE, RW, f.MAP_SHARED, file.open("rw")), 4) == b"kept"
    machine.check()


def test_what_was_written_to_a_file_in_memory_is_mapped_around():
    machine = small()
    file = machine.create_file("/dev/shm/x", b"x" * 40 * PAGE, kind="tmpfs")
    sparse = machine.create_file("/dev/shm/empty", 40 * PAGE, kind="tmpfs")
    process = machine.spawn()
    faults = []
    for each in (file, sparse):
        before = process.mm.min_flt
        addr = process.mm.mmap(0, 40 * PAGE, f.PROT_READ, f.MAP_SHARED, each.open("r"))
        process.mm.madvise(addr, 40 * PAGE, f.MADV_POPULATE_READ)
        faults.append(process.mm.min_flt - before)
    assert faults[0] <= 4
    assert faults[1] == 40, "pages that nobody wrote are made one by one"


# -- locked pages -----------------------------------------------------------------------------------------------------


def locked(machine):
    """Return the pages that meminfo calls locked, which are those on the list."""
    rows = meminfo(machine)
    assert rows["Mlocked"] == rows["Unevictable"] == 4 * machine.lru.size(UNEVICTABLE)
    machine.check()
    return rows["Mlocked"] // 4


def test_pages_are_locked_and_unlocked_at_once():
    machine = small()
    process, addr = hog(machine, 20)
    process.mm.mlock(addr, 15 * PAGE)
    assert locked(machine) == 15
    flags = process.mm.pages.struct_page(addr >> 12).flags
    assert flags & PageFlags.mlocked
    assert flags & PageFlags.unevictable
    process.mm.munlock(addr, 5 * PAGE)
    assert locked(machine) == 10
    process.mm.munmap(addr + 10 * PAGE, 10 * PAGE)
    assert locked(machine) == 5
    process.mm.mremap(addr + 5 * PAGE, 5 * PAGE, 5 * PAGE, f.MREMAP_MAYMOVE | f.MREMAP_FIXED, 0x7000_0000_0000)
    assert locked(machine) == 5
    process.exit()
    assert locked(machine) == 0


def test_pages_that_come_into_a_locked_area_are_locked():
    machine = small()
    file = machine.create_file("/data", b"d" * 20 * PAGE)
    process = machine.spawn()
    addr = process.mm.mmap(0, 20 * PAGE, f.PROT_READ, f.MAP_PRIVATE, file.open("r"))
    process.mm.mlock2(addr, 20 * PAGE, f.MLOCK_ONFAULT)
    assert locked(machine) == 0
    process.read(addr)
    assert locked(machine) == process.mm.file_rss == 16, "those that are mapped around are locked, too"


@pytest.mark.parametrize("end", ["munlock", "exit", "munmap", "MADV_DONTNEED"])
def test_a_page_that_two_have_locked_is_free_of_it_with_the_second(end):
    machine = small()
    first, addr = hog(machine, 6, "first")
    second = first.fork()
    for process in (first, second):
        process.mm.mlock2(addr, 6 * PAGE, f.MLOCK_ONFAULT)
    assert locked(machine) == 6
    first.mm.munlock(addr, 6 * PAGE)
    assert locked(machine) == 6
    match end:
        case "exit":
            second.exit()
        case "munlock":
            second.mm.munlock(addr, 6 * PAGE)
        case "munmap":
            second.mm.munmap(addr, 6 * PAGE)
        case _:
            second.mm.madvise(addr, 6 * PAGE, f.MADV_DONTNEED_LOCKED)
    assert locked(machine) == 0
    while machine.swap.used < 6:
        machine.reclaim.shrink(0, 64)
    assert first.read(addr + PAGE, 4) == (1).to_bytes(4, "little")
    machine.check()


def test_a_locked_page_that_is_not_unevictable_is_noticed():
    machine = small()
    process, addr = hog(machine, 2)
    process.mm.mlock(addr, PAGE)
    machine.lru.add(process.mm.pages.struct_page(addr >> 12), "inactive_anon")
    with pytest.raises(InvariantError, match="locked pages"):
        machine.check()


# -- memory that a system call needs ----------------------------------------------------------------------------------


def populate(process, call, pages):
    """Bring in so many pages without touching one, each call in its way."""
    mm, anon = process.mm, f.MAP_PRIVATE | f.MAP_ANONYMOUS
    match call:
        case "MAP_POPULATE":
            return mm.mmap(0, pages * PAGE, RW, anon | f.MAP_POPULATE)
        case "MAP_LOCKED":
            return mm.mmap(0, pages * PAGE, RW, anon | f.MAP_LOCKED)
    addr = mm.mmap(0, pages * PAGE, f.PROT_READ if call == "mprotect" else RW, anon)
    if call == "mlock":
        mm.mlock(addr, pages * PAGE)
    elif call == "mremap":
        mm.munmap(addr + PAGE, (pages - 1) * PAGE)
        mm.mlock(addr, PAGE)
        addr = mm.mremap(addr, PAGE, pages * PAGE, f.MREMAP_MAYMOVE)
    elif call == "mprotect":
        mm.mlock(addr, pages * PAGE)
        mm.mprotect(addr, pages * PAGE, RW)
    else:
        mm.madvise(addr, pages * PAGE, f.MADV_POPULATE_WRITE)
    return addr


CALLS = ("MAP_POPULATE", "MAP_LOCKED", "mlock", "mremap", "mprotect", "MADV_POPULATE_WRITE")


@pytest.mark.parametrize("call", CALLS)
def test_populating_reclaims_what_others_do_not_use(call):
    machine = small()
    other, addr = hog(machine, 2800, "other")
    process = machine.spawn("populate")
    populate(process, call, 1500)
    assert process.mm.anon_rss == 1500
    assert machine.reclaim.woken
    assert machine.swap.used > 100
    assert other.alive
    assert other.read(addr + 17 * PAGE, 4) == (17).to_bytes(4, "little")
    machine.check()


@pytest.mark.parametrize("call", CALLS)
def test_who_populates_more_than_there_is_dies_of_it(call):
    machine = small(swap=0)
    machine.spawn("bystander")
    process = machine.spawn("populate")
    with pytest.raises(FatalSignal, match="SIGKILL"):
        populate(process, call, 5000)
    assert not process.alive
    assert process.killed.signal == "SIGKILL"
    assert [each.name for each in machine] == ["bystander"]
    machine.check()


def test_populating_where_nobody_may_be_killed_is_refused():
    machine = small(swap=0)
    process = machine.spawn("populate")
    process.oom_score_adj = -1000
    addr = process.mmap(5000 * PAGE)
    with pytest.raises(MmError, match="ENOMEM"):
        process.mm.madvise(addr, 5000 * PAGE, f.MADV_POPULATE_WRITE)
    with pytest.raises(MmError, match="ENOMEM"):
        process.mm.mlock(addr, 5000 * PAGE)
    machine.check()
    process.exit()
    machine.check()


def test_areas_for_which_there_is_no_memory_come_from_reclaim():
    machine = small(trace=Trace())
    hog(machine, 3650, "other")
    process = machine.spawn("mapper")
    # 21 areas fill a page of the slab cache: these are some 150 pages.
    base = 0x5000_0000_0000
    for number in range(3000):
        process.mm.mmap(base + 2 * number * PAGE, PAGE, RW, f.MAP_PRIVATE | f.MAP_ANONYMOUS | f.MAP_FIXED)
    assert machine.swap.used > 20
    assert process.mm.map_count == 3000
    machine.check()


# -- a write to what is in swap ---------------------------------------------------------------------------------------


def test_a_write_to_a_page_that_others_share_in_swap_is_one_major_fault():
    machine = small()
    parent, addr = hog(machine, 10, "parent")
    child = parent.fork()
    while machine.swap.used < 10:
        machine.reclaim.shrink(0, 32)
    before = child.mm.min_flt, child.mm.maj_flt
    child.write(addr, b"mine")
    assert (child.mm.min_flt - before[0], child.mm.maj_flt - before[1]) == (0, 1)
    assert parent.read(addr, 4) == bytes(4)
    assert (parent.mm.maj_flt, child.read(addr, 4)) == (0, b"mine")
    machine.check()
