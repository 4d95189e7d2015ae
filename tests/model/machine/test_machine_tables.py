"""Page tables of processes: when they come, when they go, and that the running kernel counts as many."""

from __future__ import annotations

import os
import random
import re
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "vma"))

from kernelfamily import Kernel
from vmapeers import NUMBERS, running_rules

from mmkit import Machine
from mmkit.errors import InvariantError, MmError, OutOfMemory
from mmkit.model import trace as kmem
from mmkit.model import vmaflags as f
from mmkit.model.pgtrace import PtEntrySet, PtTableFree
from mmkit.model.tlbtrace import TlbFlush
from mmkit.model.trace import Trace

PAGE, PMD, PUD, RW = 4096, 1 << 21, 1 << 30, f.PROT_READ | f.PROT_WRITE
WINDOW, SIZE = 16 << 40, 3 * PUD
"""Where nothing of a program lies, so that all tables are the test's; in three regions of a gigabyte."""
ANON = f.MAP_PRIVATE | f.MAP_ANONYMOUS | f.MAP_FIXED
MOVE = f.MREMAP_MAYMOVE | f.MREMAP_FIXED


@pytest.fixture
def process():
    process = Machine("X86_64", "64MiB", swap="16MiB").spawn()
    yield process
    if process.alive:
        process.exit()
    process.machine.check()


def tables(process):
    process.machine.check()
    return process.mm.table.nr_tables - 1


def mapped(process, pages, at=WINDOW):
    process.mm.mmap(at, pages * PAGE, RW, ANON)
    for page in range(pages):
        process.write(at + page * PAGE, page.to_bytes(2, "little"))
    return at


# -- when they go -----------------------------------------------------------------------------------------------------


def test_tables_stay_while_an_area_might_need_them(process):
    at = mapped(process, 20)
    assert tables(process) == 3
    process.mm.madvise(at, 20 * PAGE, f.MADV_DONTNEED)
    assert tables(process) == 3
    process.mm.munmap(at, 10 * PAGE)
    assert tables(process) == 3, "ten pages of the same 2 MiB are mapped, although none is there"
    process.mm.munmap(at + 10 * PAGE, 10 * PAGE)
    assert tables(process) == 0


def test_throwing_two_mebibytes_away_frees_their_table(process):
    process.mm.mmap(WINDOW, 3 * PMD, RW, ANON)
    for number in range(3):
        process.write(WINDOW + number * PMD, b"x")
    process.mm.madvise(WINDOW + PAGE, PMD - PAGE, f.MADV_DONTNEED)
    assert tables(process) == 5
    process.mm.madvise(WINDOW + PMD - PAGE, PMD + PAGE, f.MADV_DONTNEED)
    assert tables(process) == 4, "the first and the third are not wholly in the range"


def test_what_reclaim_emptied_goes_with_its_area(process):
    at = mapped(process, 40)
    while process.machine.swap.used < 40:
        process.machine.reclaim.shrink(0, 64)
    assert tables(process) == 3
    process.mm.munmap(at, 40 * PAGE)
    assert (tables(process), process.machine.swap.used) == (0, 0)


def test_a_child_has_the_tables_that_its_parent_has_also_the_empty_ones(process):
    mapped(process, 4)
    process.mm.madvise(WINDOW, 4 * PAGE, f.MADV_DONTNEED)
    child = process.fork()
    assert tables(child) == 3
    assert not len(child.mm.pages)


def test_a_whole_table_is_moved_and_no_page_with_it(process):
    at = mapped(process, 512)
    machine = process.machine
    frames = [process.mm.pages.pfn((at >> 12) + page) for page in range(512)]
    table = process.mm.table.tables(at, at + PMD)[0][2]
    to = WINDOW + PUD
    process.mm.mremap(at, PMD, PMD, MOVE, to)
    assert process.mm.table.tables(to, to + PMD)[0][2] == table
    assert [process.mm.pages.pfn((to >> 12) + page) for page in range(512)] == frames
    assert tables(process) == 3
    assert process.read(to + 300 * PAGE, 2) == (300).to_bytes(2, "little")
    process.mm.mremap(to, 100 * PAGE, 100 * PAGE, MOVE, at)
    assert process.read(at + 99 * PAGE, 2) == (99).to_bytes(2, "little")
    assert tables(process) == 5
    machine.check()


def test_a_move_that_finds_no_memory_leaves_all_where_it_was():
    machine = Machine("X86_64", "64MiB", reclaim=False)
    process = machine.spawn()
    at = mapped(process, 3)
    given, alloc = 0, machine.memory.alloc_pages

    def failing(*arguments, **more):
        nonlocal given
        given += 1
        if given == 2:
            raise OutOfMemory("no memory for the second table")
        return alloc(*arguments, **more)

    machine.memory.alloc_pages = failing
    with pytest.raises(OutOfMemory):
        process.mm.mremap(at, 3 * PAGE, 3 * PAGE, MOVE, WINDOW + (1 << 40))
    machine.memory.alloc_pages = alloc
    assert process.read(at + 2 * PAGE, 2) == (2).to_bytes(2, "little")
    assert (tables(process), process.mm.map_count) == (3, 1)


def test_a_table_where_nothing_is_mapped_is_noticed(process):
    process.mm.table.make(WINDOW)
    with pytest.raises(InvariantError, match="tables are areas'"):
        process.machine.check()
    process.mm.table.free_range(WINDOW, WINDOW + PAGE, 0, 1 << 64)


# -- in which order ---------------------------------------------------------------------------------------------------


def test_no_frame_is_free_while_an_entry_or_a_tlb_still_has_it():
    machine = Machine("X86_64", "64MiB", trace=Trace())
    process = machine.spawn()
    at = mapped(process, 1)
    machine.trace.clear()
    process.mm.munmap(at, PAGE)
    told = [event for event in machine.trace.events if isinstance(event, (PtEntrySet, TlbFlush, kmem.MmPageFree))]
    assert [type(event).__name__ for event in told[:3]] == ["PtEntrySet", "TlbFlush", "MmPageFree"]
    freed = [event for event in machine.trace.events if isinstance(event, PtTableFree)]
    assert [event.level for event in freed] == ["pte", "pmd", "pud"]


def test_a_table_is_there_before_the_page_that_it_leads_to():
    """Of a fault that lacks both, the kernel takes the tables first: GFP flags in the order of the allocations."""
    machine = Machine("X86_64", "64MiB", trace=Trace())
    process = machine.spawn()
    process.mm.mmap(WINDOW, PAGE, RW, ANON)
    machine.trace.clear()
    process.write(WINDOW, b"x")
    taken = [event.migratetype for event in machine.trace.events if isinstance(event, kmem.MmPageAlloc)]
    assert taken == [0, 0, 0, 1], "three tables, unmovable; one page, movable"


# -- beside the kernel ------------------------------------------------------------------------------------------------


class Pair:
    """A process of the running kernel, and the same one on a machine."""

    def __init__(self):
        self.kernel, self.machine = Kernel(), Machine("X86_64", "64MiB")
        self.process = self.machine.spawn("pair", kernel=running_rules())
        self.before = self.theirs()

    def theirs(self, path=()):
        """Return how many pages of tables the kernel counts, once its process does not need more for itself."""
        found = [0, 1]
        while found[-1] != found[-2]:
            text = self.kernel.ask(path, "T")[2]
            found.append(int(re.search(r"VmPTE:\s+(\d+) kB", text)[1]) // 4)
        return found[-1]

    def do(self, name, *arguments):
        """Make a call in both; the same has to come of it."""
        if name == "touch":
            addr, write = arguments
            errno = self.kernel.ask((), f"{'W' if write else 'R'} {addr}")[1]
            assert not errno
            self.process.touch(addr, write)
            return
        words = [-1 if each is None else each for each in arguments]
        errno = self.kernel.ask((), " ".join(map(str, (NUMBERS[name], *words))))[1]
        ours = 0
        try:
            getattr(self.process.mm, name)(*arguments)
        except MmError as error:
            ours = error.errno
        assert ours == errno, (name, arguments)

    def compare(self):
        assert self.theirs() - self.before == self.process.mm.table.nr_tables - 1

    def fork(self):
        """Fork, and compare what of the child's tables goes when it unmaps the window."""
        path = (self.kernel.ask((), "F")[0],)
        child = self.process.fork()
        held = self.theirs(path)
        self.kernel.ask(path, f"{NUMBERS['munmap']} {WINDOW} {SIZE}")
        assert held - self.theirs(path) == child.mm.table.nr_tables - 1
        self.kernel.ask((), f"> {path[0]} Q")
        child.exit()


def anywhere(rng):
    """Return an address that is near others of its kind: at the ends of tables, of pages of tables, or between."""
    base = WINDOW + rng.randrange(3) * PUD + rng.choice((0, 1, 2, 255, 510, 511)) * PMD
    return base + rng.choice((0, 0, 0, 1, 7, 256, 500, 511)) * PAGE


def step(rng, pair):
    addr = anywhere(rng)
    length = min(rng.choice((PAGE, 5 * PAGE, 300 * PAGE, PMD, PMD, 2 * PMD, 3 * PMD + PAGE)), WINDOW + SIZE - addr)
    match rng.choices(("mmap", "touch", "munmap", "drop", "mremap", "fork"), (5, 12, 3, 3, 3, 1))[0]:
        case "mmap":
            pair.do("mmap", addr, length, RW, ANON, None, 0)
        case "touch":
            vmas = pair.process.mm.vmas
            if vmas:
                vma = rng.choice(vmas)
                page = rng.choice((0, vma.pages - 1, rng.randrange(vma.pages)))
                pair.do("touch", vma.vm_start + page * PAGE, rng.random() < 0.7)
        case "munmap":
            pair.do("munmap", addr, length)
        case "drop":
            pair.do("madvise", addr, length, rng.choice((f.MADV_DONTNEED, f.MADV_DONTNEED, f.MADV_FREE)))
        case "mremap":
            to = min(anywhere(rng), WINDOW + SIZE - length)
            if pair.process.mm.vmas and rng.random() < 0.7:
                vma = rng.choice(pair.process.mm.vmas)
                addr, length = vma.vm_start, min(vma.vm_end - vma.vm_start, length)
            pair.do("mremap", addr, length, length, MOVE, min(to, WINDOW + SIZE - length))
        case _:
            pair.fork()


@pytest.mark.skipif(sys.platform != "linux" or os.uname().machine != "x86_64", reason="tables of an x86-64 Linux")
@pytest.mark.parametrize("seed", range(4))
def test_the_kernel_has_as_many_tables_at_every_step(seed):
    rng, pair = random.Random(seed), Pair()
    most = 0
    for number in range(120):
        step(rng, pair)
        pair.compare()
        most = max(most, pair.process.mm.table.nr_tables)
        if not number % 20:
            pair.machine.check()
    assert most > 8
    pair.kernel.close()
