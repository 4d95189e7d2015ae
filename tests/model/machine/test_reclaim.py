"""Memory pressure: who is woken when, which pages go, what comes back, and who dies."""

from __future__ import annotations

import random
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest

from mmkit.errors import FatalSignal, OutOfMemory
from mmkit.model import reclaimtrace
from mmkit.model import vmaflags as f
from mmkit.model.machine import Machine
from mmkit.model.machine.lru import ACTIVE_FILE, INACTIVE_ANON, INACTIVE_FILE, UNEVICTABLE
from mmkit.model.machine.oom import badness, oom_score, score, select_bad_process
from mmkit.model.machine.swap import is_exclusive
from mmkit.model.trace import Trace

PAGE, RW = 4096, f.PROT_READ | f.PROT_WRITE


def small(swap="8MiB", **more):
    return Machine("X86_64", "16MiB", swap=swap, **more)


def free(machine):
    return sum(zone.free_pages + zone.pcp_pages for zone in machine.memory.zones)


def fill(process, addr, pages, first=0):
    for page in range(first, pages):
        process.write(addr + page * PAGE, page.to_bytes(4, "little"))


def hog(machine, pages, name="hog"):
    """A process that has written its number to each of so many pages, and where they are."""
    process = machine.spawn(name)
    addr = process.mmap(pages * PAGE)
    fill(process, addr, pages)
    return process, addr


def swap_out(machine, pages):
    """Reclaim until so many pages are in swap."""
    while machine.swap.used < pages:
        machine.reclaim.shrink(0, 32)


def above(machine, mark):
    """Whether a zone has more free than its mark of that name."""
    zones = [zone for zone in machine.memory.zones if zone.buddy]
    return any(zone.watermark_ok(0, getattr(zone.watermarks, mark), len(zone.lowmem_reserve) - 1) for zone in zones)


def told(machine, kind):
    return [event for event in machine.trace.events if isinstance(event, kind)]


# -- kswapd -----------------------------------------------------------------------------------------------------------


def test_kswapd_wakes_below_low_and_sleeps_above_high():
    machine = small(trace=Trace())
    process = machine.spawn("hog")
    addr = process.mmap(4400 * PAGE)
    for page in range(4400):
        woken = machine.reclaim.woken
        process.write(addr + page * PAGE, b"x")
        assert above(machine, "low"), "kswapd keeps the zones above low"
        # The first time nothing goes: all pages have just been used, which is what kswapd finds out then.
        if machine.reclaim.woken > woken and machine.swap.used:
            assert above(machine, "high")
    wakes, sleeps = told(machine, reclaimtrace.KswapdWake), told(machine, reclaimtrace.KswapdSleep)
    assert len(wakes) == len(sleeps) == machine.reclaim.woken > 3
    assert all(wake.free <= sleep.free for wake, sleep in zip(wakes, sleeps, strict=True))
    assert not machine.reclaim.direct_runs
    machine.check()


def test_every_page_that_goes_is_told():
    machine = small(trace=Trace())
    machine.create_file("/data", b"f" * PAGE * 300)
    hog(machine, 4300)
    fates = [event.fate for event in told(machine, reclaimtrace.LruFate)]
    assert fates.count("swap out") == machine.reclaim.swapped_out == machine.swap.used
    assert fates.count("drop") == machine.reclaim.dropped > 0
    shrunk = told(machine, reclaimtrace.ShrinkInactive)
    assert sum(event.nr_reclaimed for event in shrunk) == machine.reclaim.swapped_out + machine.reclaim.dropped
    assert all(event.nr_scanned <= 32 and 0 <= event.priority <= 12 for event in shrunk)


# -- which pages ------------------------------------------------------------------------------------------------------


def test_pages_that_were_used_stay_and_the_oldest_go_first():
    machine = small()
    process, addr = hog(machine, 200)
    machine.reclaim.shrink(0, 1)  # All entries are old from now on.
    for page in range(100):
        process.read(addr + page * PAGE)
    swap_out(machine, 60)
    gone = sorted(page - (addr >> 12) for page in process.mm.pages.swapped)
    assert gone == list(range(100, 100 + len(gone))), "those that were read have a second chance"
    machine.check()


def test_a_page_used_twice_becomes_active_and_one_unused_inactive_again():
    machine = small()
    process, addr = hog(machine, 50)
    for _ in range(2):
        for page in range(25):
            process.read(addr + page * PAGE)
        machine.reclaim._shrink_inactive(INACTIVE_ANON, 50, 0)
    assert machine.lru.size("active_anon") == 25
    assert machine.lru.size(INACTIVE_ANON) == 0
    assert machine.lru.inactive_is_low("anon")
    machine.reclaim._shrink_active("active_anon", 10)
    assert (machine.lru.size("active_anon"), machine.lru.size(INACTIVE_ANON)) == (15, 10)
    machine.check()


def test_locked_pages_stay():
    machine = small()
    process, addr = hog(machine, 200, "locker")
    process.mm.mlock(addr, 50 * PAGE)
    for _ in range(20):
        machine.reclaim.shrink(0, 64)
    assert not {page for page in process.mm.pages.swapped if page < (addr >> 12) + 50}
    assert machine.swap.used == 150
    assert machine.lru.size(UNEVICTABLE) == 50
    process.mm.munlock(addr, 50 * PAGE)
    machine.check()
    process.exit()
    assert machine.lru.size(UNEVICTABLE) == 0
    machine.check()


def test_code_that_runs_becomes_active_at_once():
    machine = small()
    file = machine.create_file("/bin/tool", bytes(PAGE * 4))
    process = machine.spawn("tool")
    code = process.mm.mmap(0, PAGE, f.PROT_READ | f.PROT_EXEC, f.MAP_PRIVATE, file.open("r"))
    data = process.mm.mmap(0, PAGE, f.PROT_READ, f.MAP_PRIVATE, file.open("r"), 3 * PAGE)
    process.exec(code)
    process.read(data)
    pfns = [process.mm.pages.pfn(addr >> 12) for addr in (code, data)]
    machine.reclaim._shrink_inactive(INACTIVE_FILE, 10, 0)
    assert [machine.lru.where(pfn) for pfn in pfns] == [ACTIVE_FILE, INACTIVE_FILE]
    machine.check()


def test_a_clean_file_page_is_dropped_and_read_again():
    machine = small()
    file = machine.create_file("/data", b"clean" + bytes(2 * PAGE))
    process = machine.spawn("reader")
    addr = process.mm.mmap(0, PAGE, f.PROT_READ, f.MAP_SHARED, file.open("r"))
    assert process.read(addr, 5) == b"clean"
    before = process.mm.maj_flt
    for _ in range(4):
        machine.reclaim.shrink(0, 32)
    assert machine.page_cache.find(file, 0) is None
    assert process.mm.pages.kind(addr >> 12) is None
    machine.check()
    assert process.read(addr, 5) == b"clean"
    assert process.mm.maj_flt == before + 1
    machine.check()


def test_a_dirty_file_page_is_written_back_first_and_nothing_is_lost():
    machine = small(trace=Trace())
    file = machine.create_file("/data", b"old" + bytes(2 * PAGE))
    process = machine.spawn("writer")
    addr = process.mm.mmap(0, PAGE, RW, f.MAP_SHARED, file.open("rw"))
    process.write(addr, b"new")
    for _ in range(6):
        machine.reclaim.shrink(0, 32)
    assert machine.page_cache.find(file, 0) is None
    pfn = told(machine, reclaimtrace.LruFate)[-1].pfn
    fates = [event.fate for event in told(machine, reclaimtrace.LruFate) if event.pfn == pfn]
    assert fates.index("write back") < fates.index("drop")
    assert process.read(addr, 3) == b"new"
    machine.check()


def test_a_page_given_up_goes_without_swap():
    machine = small()
    process, addr = hog(machine, 20, "freer")
    process.mm.madvise(addr, 10 * PAGE, f.MADV_FREE)
    process.write(addr, b"back")
    for _ in range(4):
        machine.reclaim.shrink(0, 32)
    assert process.read(addr, 4) == b"back", "a page that was written again is kept, or swapped"
    assert process.read(addr + 5 * PAGE, 4) == bytes(4)
    assert process.read(addr + 15 * PAGE, 1) == b"\x0f"
    machine.check()


# -- swap -------------------------------------------------------------------------------------------------------------


def swapped(machine, pages):
    """A process all of whose pages are in swap, and where they are."""
    process, addr = hog(machine, pages)
    swap_out(machine, pages)
    return process, addr


def test_what_was_swapped_comes_back_by_a_major_fault():
    machine = small(trace=Trace())
    process, addr = swapped(machine, 40)
    assert (process.mm.anon_rss, process.mm.maj_flt) == (0, 0)
    for page in range(40):
        assert process.read(addr + page * PAGE, 4) == page.to_bytes(4, "little")
    assert (process.mm.maj_flt, machine.swap.used) == (40, 40), "a slot may keep what was only read"
    assert [event.addr for event in told(machine, reclaimtrace.SwapIn)] == [addr + page * PAGE for page in range(40)]
    faults = process.mm.min_flt + process.mm.maj_flt
    process.write(addr, b"own")
    assert process.mm.min_flt + process.mm.maj_flt == faults, "it came back writable: it was nobody else's"
    machine.check()


def test_a_shared_page_is_swapped_once_and_comes_back_shared():
    machine = small()
    parent, addr = hog(machine, 10, "parent")
    child = parent.fork()
    swap_out(machine, 10)
    assert machine.swap.used == 10, "one slot for both"
    parent.read(addr)
    child.read(addr)
    assert parent.mm.pages.pfn(addr >> 12) == child.mm.pages.pfn(addr >> 12)
    assert (parent.mm.maj_flt, child.mm.maj_flt) == (1, 0), "the second finds it in the swap cache"
    child.write(addr, b"mine")
    assert parent.read(addr, 4) == bytes(4)
    machine.check()
    child.exit()
    parent.exit()
    assert machine.swap.used == 0
    machine.check()


def test_a_page_that_was_only_read_goes_again_without_being_written():
    machine = small(trace=Trace())
    process, addr = swapped(machine, 40)
    machine.trace.clear()
    for page in range(40):
        process.read(addr + page * PAGE)
    assert f"SwapCached:{160:>13} kB" in machine.proc.read("meminfo")
    process.write(addr + 7 * PAGE, b"new")
    machine.check()
    while len(process.mm.pages.swapped) < 40:
        machine.reclaim.shrink(0, 32)
    fates = [event.fate for event in told(machine, reclaimtrace.LruFate) if event.fate in ("drop", "swap out")]
    assert (fates.count("drop"), fates.count("swap out")) == (39, 1)
    assert (machine.swap.used, len(machine.swap.cache)) == (40, 0)
    assert process.read(addr + 7 * PAGE, 3) == b"new"
    assert process.read(addr + 8 * PAGE, 4) == (8).to_bytes(4, "little")
    machine.check()


@pytest.mark.parametrize(("how", "kept"), [("read", 40), ("write", 0), ("locked", 0), ("short of slots", 0)])
def test_when_a_slot_is_given_up(how, kept):
    machine = small(swap=(70 if how == "short of slots" else 200) * PAGE)
    process, addr = swapped(machine, 40)
    if how == "locked":
        process.mm.mlock2(addr, 40 * PAGE, f.MLOCK_ONFAULT)
    for page in range(40):
        process.touch(addr + page * PAGE, write=how == "write")
    machine.check()
    if how == "short of slots":
        # Until no more than half of the slots are in use.
        assert machine.swap.used == len(machine.swap.cache) == 35
    else:
        assert machine.swap.used == len(machine.swap.cache) == kept
    process.exit()
    assert machine.swap.used == 0
    machine.check()


def test_a_page_in_swap_that_two_had_is_nobodys_own_until_the_other_has_gone():
    """The entry knows whether it was the only one when it was written, and forgets it with a fork."""
    machine = small()
    parent, addr = swapped(machine, 4)
    assert is_exclusive(parent.mm.table.entry(addr))
    child = parent.fork()
    assert not is_exclusive(parent.mm.table.entry(addr))
    assert not is_exclusive(child.mm.table.entry(addr))
    child.exit()
    parent.read(addr)
    assert not parent.mm.pages.writable(addr >> 12), "nothing says that nobody else has it"
    before = parent.mm.min_flt, parent.mm.pages.pfn(addr >> 12)
    parent.write(addr, b"mine")
    assert (parent.mm.min_flt - before[0], parent.mm.pages.pfn(addr >> 12)) == (1, before[1]), "found out by a fault"
    assert machine.swap.used == 3
    machine.check()


def test_fork_move_and_unmap_take_what_is_in_swap_along():
    machine = small()
    process, addr = swapped(machine, 30)
    child = process.fork()
    new = process.mm.mremap(addr, 30 * PAGE, 60 * PAGE, f.MREMAP_MAYMOVE | f.MREMAP_FIXED, 0x7000_0000_0000)
    machine.check()
    child.mm.munmap(addr, 10 * PAGE)
    child.mm.madvise(addr + 10 * PAGE, 10 * PAGE, f.MADV_DONTNEED)
    machine.check()
    assert process.read(new + 5 * PAGE, 4) == (5).to_bytes(4, "little")
    assert child.read(addr + 15 * PAGE, 4) == bytes(4)
    assert child.read(addr + 25 * PAGE, 4) == (25).to_bytes(4, "little")
    machine.check()


def test_proc_tells_of_it():
    machine = small()
    process, addr = swapped(machine, 40)
    fill(process, addr, 8)
    rows = dict(line.split(":") for line in machine.proc.read("meminfo").splitlines())
    kilobytes = {name: int(value.split()[0]) for name, value in rows.items()}
    assert kilobytes["SwapTotal"] == 8 << 10
    assert kilobytes["SwapTotal"] - kilobytes["SwapFree"] == 32 * 4
    assert kilobytes["Active(anon)"] + kilobytes["Inactive(anon)"] == kilobytes["AnonPages"] == 8 * 4
    assert f"VmSwap:\t{32 * 4:>8} kB" in machine.proc.read(f"{process.pid}/status")
    smaps = machine.proc.read(f"{process.pid}/smaps")
    assert f"Swap:{32 * 4:>19} kB" in smaps
    words = [int.from_bytes(machine.proc.pagemap(process.pid, addr + page * PAGE, 1), "little") for page in (0, 20)]
    assert [word >> 62 & 3 for word in words] == [2, 1], "present, swapped"
    assert machine.proc.read(f"{process.pid}/oom_score") == f"{oom_score(process)}\n"
    vmstat = dict(line.split() for line in machine.proc.read("vmstat").splitlines())
    assert int(vmstat["pswpout"]) == 40
    assert int(vmstat["pswpin"]) == 8


# -- out of memory ----------------------------------------------------------------------------------------------------


def test_without_swap_only_files_go_then_the_largest_dies():
    machine = small(swap=0, trace=Trace())
    file = machine.create_file("/data", b"f" * PAGE * 500)
    large, _ = hog(machine, 2500, "large")
    other = machine.spawn("small")
    addr = other.mmap(3000 * PAGE)
    assert machine.swap.used == 0
    for page in range(1200):
        other.write(addr + page * PAGE, b"x")
    assert not large.alive
    assert large.killed.signal == "SIGKILL"
    assert other.alive
    assert sum(machine.page_cache.find(file, index) is not None for index in range(500)) < 100, "files went first"
    assert machine.swap.used == 0
    victim = told(machine, reclaimtrace.MarkVictim)[0]
    assert (victim.pid, victim.comm, victim.rss) == (large.pid, "large", 2500)
    assert victim.points == 2500 + victim.tables
    machine.check()


def test_who_fills_memory_alone_is_killed_and_all_comes_back():
    machine = small(swap="1MiB")
    before = free(machine)
    process = machine.spawn("hog")
    addr = process.mmap(6000 * PAGE)
    with pytest.raises(FatalSignal, match="SIGKILL"):
        fill(process, addr, 6000)
    assert not process.alive
    assert machine.swap.used == 0
    machine.objects.shrink()
    assert free(machine) == before
    machine.check()


def test_the_adjustment_saves_and_condemns():
    machine = small(swap=0)
    (large, _), (other, _) = hog(machine, 500, "large"), hog(machine, 50, "small")
    assert select_bad_process(machine) is large
    other.oom_score_adj = 500
    assert select_bad_process(machine) is other
    other.oom_score_adj = large.oom_score_adj = -1000
    assert select_bad_process(machine) is None
    assert badness(large) is None
    assert oom_score(large) == 0
    addr = large.mmap(5000 * PAGE)
    with pytest.raises(OutOfMemory):
        fill(large, addr, 5000)
    machine.check()


def test_of_equal_points_the_newest_is_killed_and_threads_count_once():
    machine = small(swap=0)
    first, second = machine.spawn("first"), machine.spawn("second")
    thread = second.clone_thread()
    assert badness(first) == badness(second)
    assert select_bad_process(machine) is second
    machine.reclaim.kill(None)
    assert first.alive
    assert not second.alive
    assert not thread.alive
    machine.check()


_SCORED = """
import sys
from pathlib import Path
Path("/proc/self/oom_score_adj").write_text(sys.argv[1])
status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
pages = [int(status[name].split()[0]) // 4 for name in ("VmRSS", "VmSwap", "VmPTE")]
print(sum(pages), Path("/proc/self/oom_score").read_text())
"""
"""A child's program: its own pages, and what the kernel's score of it is."""


@pytest.mark.skipif(not Path("/proc/self/oom_score").exists(), reason="there is no /proc/PID/oom_score: not Linux")
@pytest.mark.parametrize("adj", [0, 250, 999])
def test_the_kernels_own_score(adj):
    """What this kernel says of a child, beside the model's formula fed with the child's own counts."""
    told = subprocess.run([sys.executable, "-c", _SCORED, str(adj)], capture_output=True, text=True, check=True).stdout
    points, said = map(int, told.split())
    memory = dict(line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())
    total = sum(int(memory[name].split()[0]) // 4 for name in ("MemTotal", "SwapTotal"))
    assert score(points + adj * (total // 1000), total) == pytest.approx(said, abs=1)


# -- anything at all --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(4))
def test_nothing_is_lost_whatever_is_swapped(seed):
    """Random writes, reads, forks, exits, unmaps on too small a machine, beside a dict for each process."""
    rng, machine = random.Random(seed), small(swap="24MiB")
    area = 0x1000_0000
    first = machine.spawn("first")
    first.mm.mmap(area, 3000 * PAGE, RW, f.MAP_PRIVATE | f.MAP_ANONYMOUS | f.MAP_FIXED)
    held = {first: {}}
    for number in range(1300):
        process = rng.choice(list(held))
        pages = held[process]
        start = rng.randrange(3000)
        match rng.choices(("write", "read", "fork", "exit", "drop", "move"), (40, 30, 1, 1, 3, 1))[0]:
            case "write":
                for page in range(start, min(start + rng.randrange(1, 12), 3000)):
                    pages[page] = bytes([number % 251, page % 251])
                    process.write(area + page * PAGE + 100, pages[page])
            case "read":
                for page in range(start, min(start + 12, 3000)):
                    assert process.read(area + page * PAGE + 100, 2) == pages.get(page, bytes(2))
            case "fork" if len(held) < 3:
                held[process.fork()] = dict(pages)
            case "exit" if len(held) > 1:
                process.exit()
                del held[process]
            case "drop":
                count = min(rng.randrange(1, 200), 3000 - start)
                process.mm.madvise(area + start * PAGE, count * PAGE, f.MADV_DONTNEED)
                for page in range(start, start + count):
                    pages.pop(page, None)
            case _:
                machine.reclaim.shrink(rng.randrange(4), 64)
        if number % 250 == 0:
            machine.check()
    assert machine.reclaim.swapped_out > 60
    for process, pages in held.items():
        for page, content in pages.items():
            assert process.read(area + page * PAGE + 100, 2) == content
    machine.check()
    for process in list(held):
        process.exit()
    assert machine.swap.used == 0
    machine.check()


def test_lists_are_in_the_order_of_their_pages_arrival():
    machine = small()
    process, addr = hog(machine, 30)
    order = [process.mm.pages.pfn((addr >> 12) + page) for page in range(30)]
    assert [page.pfn for page in machine.lru.pages(INACTIVE_ANON)] == order
    assert all(left != right for left, right in pairwise(order))
