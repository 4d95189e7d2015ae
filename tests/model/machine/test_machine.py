"""A whole machine: beside the running kernel, beside a dict of bytes, rule by rule, killed anywhere, and its /proc."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from kernelfamily import confirmed
from vmapeers import needs_linux

from mmkit import Machine
from mmkit.errors import FatalSignal, LiveError
from mmkit.model import vmaflags as f
from mmkit.model.machine.usage import usage_of
from mmkit.proc import smaps, status

PAGE, RW, R = 4096, f.PROT_READ | f.PROT_WRITE, f.PROT_READ
SHARED = f.MAP_SHARED | f.MAP_ANONYMOUS
BASE = 0x1_0000_0000


@needs_linux
@pytest.mark.parametrize("seed", [1, 2, 3, 4])
def test_the_machine_does_what_the_running_kernel_does(seed: int, tmp_path: Path) -> None:
    """smaps of every area, faults of every touch, and shared frames, after each of 500 steps."""
    assert confirmed(seed, 500, tmp_path) == 500


class MachineBesideBytes(RuleBasedStateMachine):
    """Processes and threads that write, fork, lock, move and end, whose pages are reclaimed at any time.

    Beside it are a bytearray for each private page, and one for the file.
    """

    def __init__(self) -> None:
        super().__init__()
        self.machine = Machine("X86_64", "64MiB", nr_cpus=2, swap="256KiB")
        self.file = self.machine.create_file("/data", bytes(range(256)) * 64)
        self.content = bytearray(bytes(range(256)) * 64)
        self.twins = [(self.machine.spawn(), {})]
        self.twins[0][0].mm.mmap(BASE, 8 * PAGE, RW, f.MAP_PRIVATE | f.MAP_ANONYMOUS | f.MAP_FIXED)
        self.twins[0][0].mm.mmap(BASE + 8 * PAGE, 4 * PAGE, RW, f.MAP_SHARED | f.MAP_FIXED, self.file.open("rw"))

    def bytes_of(self, twin: dict, page: int) -> bytearray:
        if page >= 8:
            at = (page - 8) * PAGE
            return self.content[at : at + PAGE]
        return twin.setdefault(page, bytearray(PAGE))

    @rule(who=st.integers(0, 5), at=st.integers(0, 12 * PAGE - 40), data=st.binary(min_size=1, max_size=40),
          cpu=st.integers(0, 1))  # fmt: skip
    def write(self, who: int, at: int, data: bytes, cpu: int) -> None:
        process, twin = self.twins[who % len(self.twins)]
        process.write(BASE + at, data, cpu=cpu)
        for number, byte in enumerate(data, at):
            if number // PAGE >= 8:
                self.content[number - 8 * PAGE] = byte
            else:
                self.bytes_of(twin, number // PAGE)[number % PAGE] = byte

    @rule(who=st.integers(0, 5), at=st.integers(0, 12 * PAGE - 40), cpu=st.integers(0, 1))
    def read(self, who: int, at: int, cpu: int) -> None:
        process, twin = self.twins[who % len(self.twins)]
        wanted = bytes(self.bytes_of(twin, number // PAGE)[number % PAGE] for number in range(at, at + 40))
        assert process.read(BASE + at, 40, cpu=cpu) == wanted

    @precondition(lambda self: len(self.twins) < 4)
    @rule(who=st.integers(0, 5))
    def fork(self, who: int) -> None:
        process, twin = self.twins[who % len(self.twins)]
        self.twins.append((process.fork(), {page: bytearray(data) for page, data in twin.items()}))

    @precondition(lambda self: len(self.twins) < 4)
    @rule(who=st.integers(0, 5))
    def thread(self, who: int) -> None:
        process, twin = self.twins[who % len(self.twins)]
        self.twins.append((process.clone_thread(), twin))

    @precondition(lambda self: len(self.twins) > 1)
    @rule(who=st.integers(0, 5))
    def end(self, who: int) -> None:
        self.twins.pop(who % len(self.twins))[0].exit()

    @rule(who=st.integers(0, 5), page=st.integers(0, 7))
    def drop(self, who: int, page: int) -> None:
        process, twin = self.twins[who % len(self.twins)]
        process.mm.madvise(BASE + page * PAGE, PAGE, f.MADV_DONTNEED_LOCKED)
        twin.pop(page, None)

    @rule(priority=st.integers(0, 2))
    def reclaim(self, priority: int) -> None:
        self.machine.reclaim.shrink(priority, 32)

    @rule(who=st.integers(0, 5), page=st.integers(0, 11), on_fault=st.booleans())
    def lock(self, who: int, page: int, on_fault: bool) -> None:
        process, _ = self.twins[who % len(self.twins)]
        process.mm.mlock2(BASE + page * PAGE, PAGE, f.MLOCK_ONFAULT if on_fault else 0)

    @rule(who=st.integers(0, 5), page=st.integers(0, 11))
    def unlock(self, who: int, page: int) -> None:
        self.twins[who % len(self.twins)][0].mm.munlock(BASE + page * PAGE, PAGE)

    @rule(who=st.integers(0, 5), page=st.integers(0, 7), locking=st.booleans())
    def give_up_and_take_back(self, who: int, page: int, locking: bool) -> None:
        """What was given up and is populated before it is reclaimed keeps what it holds."""
        mm, addr = self.twins[who % len(self.twins)][0].mm, BASE + page * PAGE
        mm.munlock(addr, PAGE)
        if not mm.pages.in_swap(addr, addr + PAGE):  # Of what is in swap, nothing is left to take back.
            mm.madvise(addr, PAGE, f.MADV_FREE)
            mm.mlock(addr, PAGE) if locking else mm.madvise(addr, PAGE, f.MADV_POPULATE_WRITE)

    @rule(who=st.integers(0, 5), there=st.sampled_from((BASE + (1 << 30), BASE + (1 << 21))))
    def move_and_back(self, who: int, there: int) -> None:
        """All private pages go to another place, also those in swap, and return."""
        mm = self.twins[who % len(self.twins)][0].mm
        for old, new in ((BASE, there), (there, BASE)):
            mm.mremap(old, 8 * PAGE, 8 * PAGE, f.MREMAP_MAYMOVE | f.MREMAP_FIXED, new)

    @invariant()
    def sound(self) -> None:
        self.machine.check()

    def teardown(self) -> None:
        for process, _ in self.twins:
            process.exit()
        self.machine.check()
        assert not self.machine.spaces


TestMachine = MachineBesideBytes.TestCase
TestMachine.settings = settings(max_examples=25, stateful_step_count=25)


@pytest.fixture
def machine() -> Machine:
    return Machine("X86_64", "64MiB")


def use(process, addr):
    return usage_of(process.mm, process.mm.find_vma(addr))


def faults(process, addr, write):
    before = process.mm.min_flt
    process.touch(addr, write)
    return process.mm.min_flt - before


def frame(process, addr):
    return process.mm.pages.pfn(addr >> 12)


def test_r36_fork_drops_locks_dontfork_and_wipes(machine):
    parent = machine.spawn()
    at = [parent.mmap(PAGE, prot=prot) for prot in (RW, R | f.PROT_EXEC, R)]
    parent.mm.mlock(at[0], PAGE)
    parent.mm.madvise(at[1], PAGE, f.MADV_DONTFORK)
    wiped = parent.mmap(PAGE, flags=f.MAP_PRIVATE | f.MAP_ANONYMOUS, addr=BASE)
    parent.write(wiped, b"secret")
    parent.mm.madvise(wiped, PAGE, f.MADV_WIPEONFORK)
    child = parent.fork()
    assert (parent.mm.locked_vm, child.mm.locked_vm) == (1, 0)
    assert child.mm.map_count == parent.mm.map_count - 1
    assert child.read(wiped, 6) == bytes(6)


def test_r37_only_areas_with_an_anon_vma_copy_their_tables(machine):
    parent, file = machine.spawn(), machine.create_file("/f", 4 * PAGE)
    shared, looked, clean = (parent.mmap(PAGE, flags=SHARED), parent.mmap(PAGE),
                             parent.mmap(PAGE, RW, f.MAP_PRIVATE, file.open("rw")))  # fmt: skip
    written = parent.mmap(PAGE, addr=BASE)
    for addr, write in ((shared, True), (looked, False), (clean, False), (written, True)):
        parent.touch(addr, write)
    child = parent.fork()
    assert [child.mm.pages.kind(addr >> 12) for addr in (shared, looked, clean, written)] == [None, None, None, "a"]


def test_r38_the_child_has_anon_vmas_of_its_own(machine):
    parent = machine.spawn()
    at = parent.mmap(2 * PAGE)
    parent.touch(at, True)
    child = parent.fork()
    assert child.mm.vmas[0].anon_vma != parent.mm.vmas[0].anon_vma
    assert child.mm.vmas[0].forked


def attempt(process, addr, access):
    if access == "w":
        process.write(addr, b"!")
    elif access == "x":
        process.exec(addr)
    else:
        process.read(addr)


def test_r39_who_may_not_is_killed(machine):
    file = machine.create_file("/f", PAGE)
    cases = [
        ("SIGSEGV", "SEGV_MAPERR", lambda p: 0x5000, "r"), ("SIGSEGV", "SEGV_ACCERR", lambda p: p.mmap(PAGE, R), "w"),
        ("SIGSEGV", "SEGV_ACCERR", lambda p: p.mmap(PAGE), "x"),
        ("SIGSEGV", "SEGV_ACCERR", lambda p: p.mmap(PAGE, 0), "r"),
        ("SIGSEGV", "SI_KERNEL", lambda p: 1 << 47, "r"),
        ("SIGBUS", "BUS_ADRERR", lambda p: p.mmap(4 * PAGE, RW, f.MAP_PRIVATE, file.open("rw")) + PAGE, "w"),
    ]  # fmt: skip
    for name, code, place, access in cases:
        process = machine.spawn()
        addr = place(process)
        with pytest.raises(FatalSignal) as signal:
            attempt(process, addr, access)
        assert (signal.value.signal, signal.value.code) == (name, code)
        assert not process.alive
        machine.check()
    assert not machine.spaces


def test_r40_reading_costs_no_page(machine):
    process = machine.spawn()
    at = process.mmap(4 * PAGE)
    assert faults(process, at, False) == 1
    assert (use(process, at).rss, frame(process, at)) == (0, machine.frames.zero.pfn)
    assert faults(process, at, False) == 0
    assert faults(process, at, True) == 1
    assert (use(process, at).rss, frame(process, at) != machine.frames.zero.pfn) == (1, True)
    assert faults(process, at + PAGE, True) == 1
    assert faults(process, at + PAGE, True) == 0


def test_r41_a_read_of_a_file_maps_what_is_around(machine):
    process, file = machine.spawn(), machine.create_file("/f", 40 * PAGE)
    at = process.mm.mmap(BASE, 40 * PAGE, R, f.MAP_PRIVATE | f.MAP_FIXED, file.open("r"))
    assert faults(process, at + 20 * PAGE, False) == 1
    assert sorted(page - (at >> 12) for page, _ in process.mm.pages.items()) == list(range(16, 32))


def test_r42_a_private_write_copies_and_can_be_undone(machine):
    process, file = machine.spawn(), machine.create_file("/f", b"old" + bytes(PAGE))
    at = process.mmap(PAGE, RW, f.MAP_PRIVATE, file.open("rw"))
    process.write(at, b"new")
    assert (use(process, at).anonymous, process.read(at, 3)) == (1, b"new")
    process.mm.madvise(at, PAGE, f.MADV_DONTNEED)
    assert (process.read(at, 3), use(process, at).anonymous) == (b"old", 0)


def test_a_private_write_beyond_the_file_leaves_an_anon_vma_and_so_a_child_with_entries(machine):
    """The kernel prepares the copy before it asks the file (seen on 6.18: the child then has the area's pages)."""
    process, file = machine.spawn(), machine.create_file("/short", bytes(PAGE))
    process.mm.mmap(BASE, 2 * PAGE, RW, f.MAP_PRIVATE | f.MAP_FIXED, file.open("rw"))
    process.touch(BASE)
    with pytest.raises(FatalSignal, match="SIGBUS"):
        process.touch(BASE + PAGE, write=True)
    assert process.mm.vmas[0].anon_vma is not None
    assert process.fork().mm.file_rss == 1


@pytest.mark.parametrize(("kind", "second"), [("ext4", 1), ("tmpfs", 0)])
def test_r43_the_first_write_to_a_file_is_noticed(machine, kind, second):
    process, file = machine.spawn(), machine.create_file("/f", PAGE, kind=kind)
    at = process.mmap(PAGE, RW, f.MAP_SHARED, file.open("rw"))
    assert faults(process, at, False) == 1
    page = frame(process, at)
    assert faults(process, at, True) == second
    assert frame(process, at) == page
    assert use(process, at).private_dirty == 1


def test_r44_copy_on_write_and_the_last_one_keeps_the_page(machine):
    parent = machine.spawn()
    at = parent.mmap(PAGE)
    parent.write(at, b"one")
    page = frame(parent, at)
    child = parent.fork()
    assert use(child, at).referenced == 0
    assert frame(child, at) == page
    assert faults(child, at, True) == 1
    assert frame(child, at) != page
    assert faults(parent, at, True) == 1
    assert frame(parent, at) == page, "nobody shares it any more"
    assert machine.frames.page(page).refcount == 1
    assert faults(parent, at, True) == 0


def test_r45_rights_come_back_without_a_fault_unless_shared(machine):
    process = machine.spawn()
    at = process.mmap(PAGE)
    process.touch(at, True)
    for _ in range(2):
        process.mm.mprotect(at, PAGE, R)
        process.mm.mprotect(at, PAGE, RW)
        assert faults(process, at, True) == 0
    child = process.fork()
    process.mm.mprotect(at, PAGE, R)
    process.mm.mprotect(at, PAGE, RW)
    assert faults(process, at, True) == 1
    assert child.read(at) == b"\0"


def test_r46_free_for_the_taking(machine):
    process = machine.spawn()
    at = process.mmap(PAGE)
    process.touch(at, True)
    process.mm.madvise(at, PAGE, f.MADV_FREE)
    assert (use(process, at).rss, use(process, at).private_clean, use(process, at).referenced) == (1, 1, 0)
    assert faults(process, at, True) == 0
    assert use(process, at).private_dirty == 1


def test_r47_pss_divides_by_all_mappings(machine):
    parent = machine.spawn()
    at = parent.mmap(3 * PAGE)
    for page in range(3):
        parent.touch(at + page * PAGE, True)
    family = [parent, parent.fork(), parent.fork()]
    assert [use(each, at).pss_bytes for each in family] == [3 * ((PAGE << 12) // 3) >> 12] * 3
    assert use(parent, at).shared_dirty == 3
    family[1].exit()
    assert use(parent, at).pss_bytes == 3 * PAGE // 2
    family[2].exit()
    assert (use(parent, at).private_dirty, use(parent, at).shared_dirty) == (3, 0)


def test_mremap_moves_frames_without_faults(machine):
    process = machine.spawn()
    at = process.mmap(2 * PAGE)
    process.write(at, b"here")
    page = frame(process, at)
    new = process.mm.mremap(at, 2 * PAGE, 2 * PAGE, f.MREMAP_MAYMOVE | f.MREMAP_FIXED, BASE)
    assert (new, frame(process, new), process.read(new, 4), process.mm.min_flt) == (BASE, page, b"here", 1)
    machine.check()


def test_major_faults_are_those_that_read_the_disk(machine):
    file = machine.create_file("/f", 2 * PAGE, cached=False)
    process = machine.spawn()
    at = process.mmap(2 * PAGE, R, f.MAP_PRIVATE, file.open("r"))
    for page in range(2):
        process.read(at + page * PAGE)
    assert (process.mm.maj_flt, process.mm.min_flt) == (2, 0)
    other = machine.spawn()
    at = other.mmap(2 * PAGE, R, f.MAP_PRIVATE, file.open("r"))
    other.read(at)
    assert (other.mm.maj_flt, other.mm.min_flt) == (0, 1)


def test_everything_comes_back_on_exit(machine):
    def free():
        machine.objects.shrink()
        machine.memory.drain_pages()
        return [zone.free_pages for zone in machine.memory.zones]

    machine.spawn("first").exit()
    before = free()
    for seed in range(6):
        rng, process = random.Random(seed), machine.spawn()
        at = process.mmap(64 * PAGE)
        family = [process]
        for _ in range(80):
            one = rng.choice(family)
            one.touch(at + rng.randrange(64) * PAGE, rng.random() < 0.6)
            if rng.random() < 0.05 and len(family) < 5:
                family.append(one.fork())
            if rng.random() < 0.05 and len(family) > 1:
                family.remove(one)
                one.exit()
        machine.check()
        for one in family:
            one.exit()
        machine.check()
        assert free() == before


def test_threads_share_everything_at_once(machine):
    process = machine.spawn()
    thread = process.clone_thread()
    at = thread.mmap(PAGE)
    process.write(at, b"hello")
    process.exit()
    assert thread.read(at, 5) == b"hello"
    thread.exit()
    machine.check()
    with pytest.raises(ValueError, match="has ended"):
        thread.read(at)


def test_proc_agrees_with_itself(machine):
    file = machine.create_file("/f", 8 * PAGE)
    process = machine.spawn("worker")
    at = process.mmap(8 * PAGE)
    there = process.mmap(8 * PAGE, RW, f.MAP_SHARED, file.open("rw"))
    for page in range(5):
        process.touch(at + page * PAGE, True)
    process.touch(there, True)
    process.fork()
    areas = smaps.parse(machine.proc.read(f"{process.pid}/smaps"))
    said = status.parse(machine.proc.read(f"{process.pid}/status"))
    assert sum(area.kb("Rss") for area in areas) == said.kb("VmRSS") == 4 * (5 + 1)
    assert sum(area.kb("Size") for area in areas) == said.kb("VmSize")
    assert machine.proc.read(f"{process.pid}/maps").splitlines() == [
        line for line in machine.proc.read(f"{process.pid}/smaps").splitlines() if "-" in line.split()[0]
    ]
    words = machine.proc.pagemap(process.pid, at, 8)
    pfns = [int.from_bytes(words[8 * n : 8 * n + 8], "little") & (1 << 55) - 1 for n in range(8)]
    assert pfns == [frame(process, at + n * PAGE) for n in range(5)] + [0] * 3
    rows = dict(line.split(":") for line in machine.proc.read("meminfo").splitlines())
    assert rows["AnonPages"].split()[0] == str(4 * 5)
    assert rows["Mapped"].split()[0] == str(4 * 1)
    assert rows["Cached"].split()[0] == str(4 * 8)
    vmstat = dict(line.split() for line in machine.proc.read("vmstat").splitlines())
    assert int(vmstat["nr_free_pages"]) * 4 == int(rows["MemFree"].split()[0])
    with pytest.raises(LiveError, match="/proc/7/maps does not exist"):
        machine.proc.read("7/maps")


@pytest.mark.parametrize("arch", ["X86", "X86_PAE", "X86_64", "X86_64_LA57"])
def test_every_x86(arch):
    machine = Machine(arch, "64MiB", nr_cpus=2)
    process = machine.spawn()
    at = process.mmap(3 * PAGE)
    process.write(at + PAGE - 2, b"four", cpu=1)
    child = process.fork()
    child.write(at + PAGE, b"!")
    assert (process.read(at + PAGE - 2, 4), child.read(at + PAGE - 2, 4)) == (b"four", b"fo!r")
    machine.check()
    with pytest.raises(ValueError, match="not ARM64"):
        Machine("ARM64")
