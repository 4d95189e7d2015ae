"""Pages that are brought in before anybody touches them, and pages that must stay: populating and locking.

After each test all processes end, and every frame has to be free again or a file's.
"""

from __future__ import annotations

import random
from errno import EAGAIN, EFAULT, EINVAL, ENOMEM

import pytest

from mmkit import Machine
from mmkit.errors import FatalSignal, MmError
from mmkit.model import vmaflags as f
from mmkit.model.machine.usage import usage_of

PAGE, RW, R, W = 4096, f.PROT_READ | f.PROT_WRITE, f.PROT_READ, f.PROT_WRITE
PRIVATE, SHARED = f.MAP_PRIVATE, f.MAP_SHARED
ANON = f.MAP_PRIVATE | f.MAP_ANONYMOUS
BASE, PAGES = 0x1_0000_0000, 40


def owned(machine):
    """Return how many frames are free, on lists of processors too, and how many are files'."""
    machine.objects.shrink()
    return sum(zone.free_pages + zone.pcp_pages for zone in machine.memory.zones), len(machine.page_cache)


def ended(machine, before):
    for process in list(machine):
        process.exit()
    machine.check()
    free, cached = owned(machine)
    assert free + cached == before, "everything comes back on exit"
    assert not machine.spaces
    assert not machine.rmap
    assert not machine.swap.used


@pytest.fixture
def machine():
    machine = Machine("X86_64", "64MiB")
    machine.spawn().exit()
    free, cached = owned(machine)
    assert cached == 0
    yield machine
    ended(machine, free)


def kinds(process, at, pages=PAGES):
    """Return a letter for each page: "a" its own, "f" a file's, "s" shared memory, "z" the zero page, "-" not there."""
    return "".join(process.mm.pages.kind((at >> 12) + page) or "-" for page in range(pages))


def frames(process, at, pages=PAGES):
    return [process.mm.pages.pfn((at >> 12) + page) for page in range(pages)]


def faults(process, do):
    """Return what came of it, and how many minor faults and major faults it took."""
    minor, major = process.mm.min_flt, process.mm.maj_flt
    result = do()
    process.machine.check()
    return result, process.mm.min_flt - minor, process.mm.maj_flt - major


def touches(process, at, write, pages=PAGES):
    """Return how many faults it takes to read or write each page."""

    def each():
        for page in range(pages):
            process.touch(at + page * PAGE, write)

    _, minor, major = faults(process, each)
    return minor + major


def letters(process, addr):
    flags = process.mm.find_vma(addr).vm_flags
    return (flags & f.VM_LOCKED != 0) + (flags & f.VM_LOCKONFAULT != 0)


def content(pages=PAGES):
    return b"".join(bytes([page + 1]) * PAGE for page in range(pages))


def place(machine, process, kind, prot, flags, more=0):
    """Map 40 pages: of nothing, or of a new file of that kind; one on tmpfs has no pages yet."""
    data = content() if kind == "ext4" else PAGES * PAGE
    file = machine.create_file(f"/{kind}", data, kind=kind).open("rw") if kind else None
    return process.mmap(PAGES * PAGE, prot, flags | f.MAP_FIXED | more | (0 if kind else f.MAP_ANONYMOUS), file,
                        addr=BASE)  # fmt: skip


# What there is, how it is mapped; then which pages come, with how many faults, how many a write to each takes later.
CASES = {
    "private": (None, RW, PRIVATE, "a", 40, 0),
    "private, read-only": (None, R, PRIVATE, "z", 40, None),
    "shared": (None, RW, SHARED, "s", 40, 0),
    "shared, read-only": (None, R, SHARED, "s", 40, None),
    "a file, private": ("ext4", RW, PRIVATE, "a", 40, 0),
    "a file, private, read-only": ("ext4", R, PRIVATE, "f", 3, None),
    "a file, shared": ("ext4", RW, SHARED, "f", 3, 40),
    "a file, shared, read-only": ("ext4", R, SHARED, "f", 3, None),
    "tmpfs, private": ("tmpfs", RW, PRIVATE, "a", 40, 0),
    "tmpfs, private, read-only": ("tmpfs", R, PRIVATE, "s", 40, None),
    "tmpfs, shared": ("tmpfs", RW, SHARED, "s", 40, 0),
}
WAYS = {
    "MAP_POPULATE": (f.MAP_POPULATE, None), "MAP_LOCKED": (f.MAP_LOCKED, None),
    "mlock": (0, lambda process: process.mm.mlock(BASE, PAGES * PAGE)),
    "mlock2": (0, lambda process: process.mm.mlock2(BASE, PAGES * PAGE, 0)),
}  # fmt: skip


def is_as_said(machine, process, kind, prot, wanted):
    """Which pages are there, what they count as, and what they hold."""
    assert kinds(process, BASE) == wanted * PAGES
    mm, pages = process.mm, 0 if wanted == "z" else PAGES
    counts = {"a": mm.anon_rss, "f": mm.file_rss, "s": mm.shmem_rss}
    assert counts == dict.fromkeys("afs", 0) | ({wanted: PAGES} if pages else {})
    use = usage_of(mm, mm.find_vma(BASE))
    assert (use.rss, use.anonymous, use.referenced) == (pages, PAGES if wanted == "a" else 0, pages)
    assert use.pss_bytes == pages * PAGE
    assert use.private_dirty == (PAGES if wanted == "a" else 0), "only pages to write to were written to"
    there = frames(process, BASE)
    assert set(there) == {machine.frames.zero.pfn} if wanted == "z" else len(set(there)) == PAGES
    assert process.read(BASE, PAGES * PAGE) == (content() if kind == "ext4" else bytes(PAGES * PAGE))
    writable = {bool(mm.pages.writable((BASE >> 12) + page)) for page in range(PAGES)}
    # A file system wants to be told of the first write.
    assert writable == {prot == RW and wanted != "f"}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("case", CASES)
def test_all_pages_come_at_once(machine, case, way):
    kind, prot, flags, wanted, expected, later = CASES[case]
    more, then = WAYS[way]
    process = machine.spawn()

    def bring_in():
        place(machine, process, kind, prot, flags, more)
        if then:
            assert kinds(process, BASE) == "-" * PAGES
            then(process)

    assert faults(process, bring_in)[1:] == (expected, 0)
    is_as_said(machine, process, kind, prot, wanted)
    assert process.mm.locked_vm == (0 if way == "MAP_POPULATE" else PAGES)
    before = frames(process, BASE)
    assert touches(process, BASE, False) == 0
    if later is not None:
        assert touches(process, BASE, True) == later
        assert kinds(process, BASE) == wanted * PAGES
        assert touches(process, BASE, True) == 0
    assert frames(process, BASE) == before


@pytest.mark.parametrize("flags", [0, f.MAP_NONBLOCK, f.MAP_POPULATE | f.MAP_NONBLOCK])
def test_without_being_asked_for_nothing_comes(machine, flags):
    process = machine.spawn()
    assert faults(process, lambda: place(machine, process, None, RW, PRIVATE, flags))[1:] == (0, 0)
    assert (kinds(process, BASE), process.mm.anon_rss) == ("-" * PAGES, 0)
    assert touches(process, BASE, True) == PAGES


def test_the_zero_page_gives_way_to_an_own_one_at_the_first_write(machine):
    process = machine.spawn()
    place(machine, process, None, R, PRIVATE, f.MAP_POPULATE)
    assert kinds(process, BASE) == "z" * PAGES
    process.mm.mprotect(BASE, PAGES * PAGE, RW)
    assert kinds(process, BASE) == "z" * PAGES, "rights alone bring nothing in"
    assert touches(process, BASE, True) == PAGES
    assert kinds(process, BASE) == "a" * PAGES
    assert len(set(frames(process, BASE)) | {machine.frames.zero.pfn}) == PAGES + 1


def test_rights_to_write_bring_own_pages_into_a_locked_area(machine):
    process = machine.spawn()
    place(machine, process, None, R, PRIVATE, f.MAP_LOCKED)
    assert kinds(process, BASE) == "z" * PAGES
    half = PAGES // 2
    assert faults(process, lambda: process.mm.mprotect(BASE, half * PAGE, RW))[1] == half
    assert kinds(process, BASE) == "a" * half + "z" * half
    assert touches(process, BASE, True, half) == 0


def test_what_was_copied_in_advance_is_the_processs_own(machine):
    file = machine.create_file("/f", content()).open("rw")
    one, other = machine.spawn(), machine.spawn()
    copied = one.mmap(PAGES * PAGE, RW, PRIVATE | f.MAP_POPULATE, file)
    seen = other.mmap(PAGES * PAGE, RW, SHARED | f.MAP_POPULATE, file)
    assert not set(frames(one, copied)) & set(frames(other, seen))
    one.write(copied, b"mine")
    other.write(seen + PAGE, b"everybody's")
    assert other.read(seen, PAGES * PAGE) == content()[:PAGE] + b"everybody's" + content()[PAGE + 11 :]
    assert one.read(copied, PAGES * PAGE) == b"mine" + content()[4:], "even a page that it never touched"
    machine.check()


def test_populating_reads_the_disk(machine):
    file = machine.create_file("/f", content(), cached=False).open("rw")
    first, second = machine.spawn(), machine.spawn()
    assert len(machine.page_cache) == 0
    at, *spent = faults(first, lambda: first.mmap(PAGES * PAGE, RW, PRIVATE | f.MAP_POPULATE, file))
    assert spent == [0, PAGES]
    assert len(machine.page_cache) == PAGES
    assert (kinds(first, at), first.read(at, PAGES * PAGE)) == ("a" * PAGES, content())
    at, *spent = faults(second, lambda: second.mmap(PAGES * PAGE, R, PRIVATE | f.MAP_POPULATE, file, addr=BASE))
    assert spent == [3, 0]
    assert kinds(second, at) == "f" * PAGES


def test_populating_replaces_what_was_there(machine):
    process = machine.spawn()
    place(machine, process, None, RW, PRIVATE, f.MAP_POPULATE)
    process.write(BASE, b"old")
    before = owned(machine)
    assert faults(process, lambda: place(machine, process, None, RW, PRIVATE, f.MAP_POPULATE))[1] == PAGES
    assert owned(machine) == before
    assert process.read(BASE, 3) == bytes(3)


# -- what cannot be there ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("prot", [RW, R])
def test_beyond_the_end_of_a_file_nothing_comes(machine, prot):
    file = machine.create_file("/f", 2 * PAGE).open("rw")
    process, there = machine.spawn(), ("a" if prot == RW else "f") * 2 + "--"
    at = process.mmap(4 * PAGE, prot, PRIVATE | f.MAP_POPULATE, file)
    assert kinds(process, at, 4) == there, "mmap() says nothing of it"
    locked = process.mmap(4 * PAGE, prot, PRIVATE, file)
    with pytest.raises(MmError) as error:
        process.mm.mlock(locked, 4 * PAGE)
    assert (error.value.errno, process.mm.locked_vm, kinds(process, locked, 4)) == (ENOMEM, 4, there)
    advised = process.mmap(4 * PAGE, prot, PRIVATE, file)
    with pytest.raises(MmError) as error:
        process.mm.madvise(advised, 4 * PAGE, f.MADV_POPULATE_WRITE if prot == RW else f.MADV_POPULATE_READ)
    assert (error.value.errno, kinds(process, advised, 4)) == (EFAULT, there)
    machine.check()
    assert process.alive
    with pytest.raises(FatalSignal, match="BUS_ADRERR"):
        process.read(at + 2 * PAGE)
    machine.check()


def test_what_nobody_may_access_does_not_come(machine):
    process = machine.spawn()
    for flags, locked in ((f.MAP_POPULATE, 0), (f.MAP_LOCKED, PAGES)):
        place(machine, process, None, 0, PRIVATE, flags)
        assert (kinds(process, BASE), process.mm.locked_vm) == ("-" * PAGES, locked)
    process.mm.munlock(BASE, PAGES * PAGE)
    with pytest.raises(MmError) as error:
        process.mm.mlock(BASE, PAGES * PAGE)
    assert (error.value.errno, process.mm.locked_vm, kinds(process, BASE)) == (ENOMEM, PAGES, "-" * PAGES)
    machine.check()


def test_a_hole_keeps_mlock_from_bringing_in_anything(machine):
    process = machine.spawn()
    place(machine, process, None, RW, PRIVATE)
    process.mm.munmap(BASE + 10 * PAGE, PAGE)
    with pytest.raises(MmError) as error:
        process.mm.mlock(BASE, PAGES * PAGE)
    assert (error.value.errno, process.mm.locked_vm, kinds(process, BASE)) == (ENOMEM, 10, "-" * PAGES)
    assert (letters(process, BASE), letters(process, BASE + 11 * PAGE)) == (1, 0)
    machine.check()


def test_what_is_over_the_limit_stays_as_it_is(machine):
    process = machine.spawn(memlock_limit=8 * PAGE)
    place(machine, process, None, RW, PRIVATE)
    assert faults(process, lambda: process.mm.mlock(BASE, 8 * PAGE))[1] == 8
    with pytest.raises(MmError) as error:
        process.mm.mlock(BASE + 8 * PAGE, PAGE)
    assert error.value.errno == ENOMEM
    with pytest.raises(MmError) as error:
        process.mmap(PAGE, flags=ANON | f.MAP_LOCKED)
    assert error.value.errno == EAGAIN
    assert (process.mm.locked_vm, process.mm.map_count) == (8, 2)
    assert kinds(process, BASE) == "a" * 8 + "-" * 32
    machine.check()


# -- mlock() and munlock() ---------------------------------------------------------------------------------------------


def test_a_part_is_locked_and_the_rest_is_not(machine):
    process = machine.spawn()
    place(machine, process, None, RW, PRIVATE)
    assert faults(process, lambda: process.mm.mlock(BASE + 10 * PAGE + 1, 4 * PAGE))[1] == 5, "pages that it touches"
    assert kinds(process, BASE) == "-" * 10 + "a" * 5 + "-" * 25
    assert (process.mm.locked_vm, process.mm.map_count) == (5, 3)
    assert len(machine.objects.in_use["vm_area_struct"]) == 3
    process.mm.munmap(BASE + 12 * PAGE, PAGE)
    machine.check()
    assert (process.mm.locked_vm, process.mm.map_count, process.mm.anon_rss) == (4, 4, 4)


def test_mlock_brings_in_only_what_is_not_there(machine):
    process = machine.spawn()
    place(machine, process, None, RW, PRIVATE)
    process.write(BASE + 3 * PAGE, b"kept")
    assert touches(process, BASE + 4 * PAGE, False, 2) == 2
    kept = frames(process, BASE + 3 * PAGE, 1)
    assert kinds(process, BASE, 7) == "---azz-"
    assert faults(process, lambda: process.mm.mlock(BASE, PAGES * PAGE))[1] == PAGES - 1, "two zero pages are replaced"
    assert kinds(process, BASE) == "a" * PAGES
    assert (frames(process, BASE + 3 * PAGE, 1), process.read(BASE + 3 * PAGE, 4)) == (kept, b"kept")
    assert faults(process, lambda: process.mm.mlock(BASE, PAGES * PAGE))[1] == 0


@pytest.mark.parametrize("case", CASES)
def test_munlock_leaves_the_pages(machine, case):
    kind, prot, flags, wanted, _, _ = CASES[case]
    process = machine.spawn()
    place(machine, process, kind, prot, flags, f.MAP_LOCKED)
    before = frames(process, BASE)
    assert faults(process, lambda: process.mm.munlock(BASE + 8 * PAGE, 8 * PAGE))[1:] == (0, 0)
    assert (process.mm.locked_vm, process.mm.map_count) == (PAGES - 8, 3)
    process.mm.munlock(BASE, PAGES * PAGE)
    assert (process.mm.locked_vm, process.mm.map_count) == (0, 1)
    assert (kinds(process, BASE), frames(process, BASE)) == (wanted * PAGES, before)
    assert touches(process, BASE, False) == 0
    process.mm.madvise(BASE, PAGES * PAGE, f.MADV_DONTNEED)
    assert kinds(process, BASE) == "-" * PAGES, "now they may go"
    machine.check()


def test_on_fault_each_page_comes_when_it_is_touched(machine):
    process = machine.spawn()
    place(machine, process, None, RW, PRIVATE)
    assert faults(process, lambda: process.mm.mlock2(BASE, PAGES * PAGE, f.MLOCK_ONFAULT))[1] == 0
    assert (process.mm.locked_vm, letters(process, BASE), kinds(process, BASE)) == (PAGES, 2, "-" * PAGES)
    assert touches(process, BASE, True, 5) == 5
    assert kinds(process, BASE) == "a" * 5 + "-" * 35
    with pytest.raises(MmError) as error:
        process.mm.madvise(BASE, PAGE, f.MADV_DONTNEED)
    assert (error.value.errno, kinds(process, BASE, 1)) == (EINVAL, "a")
    process.mm.madvise(BASE, 10 * PAGE, f.MADV_POPULATE_WRITE)
    assert kinds(process, BASE) == "a" * 10 + "-" * 30, "who asks for them gets them"
    assert faults(process, lambda: process.mm.mlock(BASE, PAGES * PAGE))[1] == PAGES - 10
    assert (process.mm.locked_vm, letters(process, BASE), kinds(process, BASE)) == (PAGES, 1, "a" * PAGES)
    process.mm.mlock2(BASE, PAGES * PAGE, f.MLOCK_ONFAULT)
    assert (letters(process, BASE), kinds(process, BASE)) == (2, "a" * PAGES)
    machine.check()


def test_a_locked_area_that_grows_is_all_there(machine):
    process = machine.spawn()
    at = process.mmap(4 * PAGE, flags=ANON | f.MAP_LOCKED)
    process.write(at + 3 * PAGE, b"moved")
    new, minor, _ = faults(process, lambda: process.mm.mremap(at, 4 * PAGE, 9 * PAGE, f.MREMAP_MAYMOVE))
    assert (minor, process.mm.locked_vm, kinds(process, new, 9)) == (5, 9, "a" * 9)
    assert process.read(new + 3 * PAGE, 5) == b"moved"
    plain = process.mmap(4 * PAGE, flags=ANON | f.MAP_POPULATE)
    new, minor, _ = faults(process, lambda: process.mm.mremap(plain, 4 * PAGE, 9 * PAGE, f.MREMAP_MAYMOVE))
    assert (minor, kinds(process, new, 9)) == (0, "aaaa-----"), "that it was populated once is forgotten"


def test_a_child_shares_pages_and_takes_its_own_when_it_locks_them(machine):
    parent = machine.spawn()
    place(machine, parent, None, RW, PRIVATE, f.MAP_LOCKED)
    parent.write(BASE, b"both")
    child = parent.fork()
    machine.check()
    assert (parent.mm.locked_vm, child.mm.locked_vm, letters(child, BASE)) == (PAGES, 0, 0)
    assert frames(child, BASE) == frames(parent, BASE)
    assert faults(child, lambda: child.mm.mlock(BASE, 10 * PAGE))[1] == 10
    own, others = frames(child, BASE), frames(parent, BASE)
    assert not set(own[:10]) & set(others)
    assert own[10:] == others[10:]
    assert child.read(BASE, 4) == b"both"
    assert touches(child, BASE, True, 10) == 0
    assert faults(parent, lambda: parent.mm.mlock(BASE, 10 * PAGE))[1] == 10, "entries may be written again"
    assert frames(parent, BASE) == others, "nobody else has these pages: they are not copied"
    with pytest.raises(MmError) as error:
        child.mm.madvise(BASE, PAGE, f.MADV_DONTNEED)
    assert error.value.errno == EINVAL
    child.mm.madvise(BASE + 10 * PAGE, 30 * PAGE, f.MADV_DONTNEED)
    assert kinds(child, BASE) == "a" * 10 + "-" * 30


def test_mlock_brings_back_what_was_swapped():
    machine = Machine("X86_64", "16MiB", swap="8MiB")
    machine.spawn().exit()
    before = owned(machine)[0]
    process = machine.spawn()
    place(machine, process, None, RW, PRIVATE)
    process.write(BASE, content())
    while machine.swap.used < PAGES:
        machine.reclaim.shrink(0, 64)
    assert (kinds(process, BASE), len(process.mm.pages.swapped)) == ("-" * PAGES, PAGES)
    assert faults(process, lambda: process.mm.mlock(BASE, 10 * PAGE))[1:] == (0, 10)
    assert (kinds(process, BASE), machine.swap.used) == ("a" * 10 + "-" * 30, 30)
    process.mm.mlock(BASE, PAGES * PAGE)
    assert (kinds(process, BASE), machine.swap.used) == ("a" * PAGES, 0)
    assert process.read(BASE, PAGES * PAGE) == content()
    other = process.mmap(PAGES * PAGE)
    process.write(other, content())
    while machine.swap.used < PAGES:
        machine.reclaim.shrink(0, 64)
    assert kinds(process, BASE) == "a" * PAGES, "locked pages stay"
    assert kinds(process, other) == "-" * PAGES
    ended(machine, before)


# -- madvise() ---------------------------------------------------------------------------------------------------------

READ, WRITE = f.MADV_POPULATE_READ, f.MADV_POPULATE_WRITE


# Kind of file, how it is mapped, the advice; which pages come, with how many faults, how many a write to each takes.
@pytest.mark.parametrize(("kind", "prot", "flags", "advice", "wanted", "expected", "later"), [
    (None, RW, PRIVATE, READ, "z", 40, 40), (None, RW, PRIVATE, WRITE, "a", 40, 0),
    (None, RW, SHARED, READ, "s", 40, 0), (None, RW, SHARED, WRITE, "s", 40, 0),
    (None, R, PRIVATE, READ, "z", 40, None), (None, W, PRIVATE, WRITE, "a", 40, 0),
    ("ext4", RW, PRIVATE, READ, "f", 3, 40), ("ext4", RW, PRIVATE, WRITE, "a", 40, 0),
    ("ext4", RW, SHARED, READ, "f", 3, 40), ("ext4", RW, SHARED, WRITE, "f", 40, 0),
    ("tmpfs", RW, PRIVATE, READ, "s", 40, 40), ("tmpfs", RW, PRIVATE, WRITE, "a", 40, 0),
    ("tmpfs", RW, SHARED, READ, "s", 40, 0), ("tmpfs", RW, SHARED, WRITE, "s", 40, 0),
])  # fmt: skip
def test_populating_by_advice(machine, kind, prot, flags, advice, wanted, expected, later):
    process = machine.spawn()
    place(machine, process, kind, prot, flags)
    assert faults(process, lambda: process.mm.madvise(BASE, PAGES * PAGE, advice))[1:] == (expected, 0)
    assert kinds(process, BASE) == wanted * PAGES
    use = usage_of(process.mm, process.mm.find_vma(BASE))
    assert use.private_dirty == (PAGES if advice == WRITE else 0)
    assert faults(process, lambda: process.mm.madvise(BASE, PAGES * PAGE, advice))[1] == 0
    assert touches(process, BASE, False) == 0
    if later is not None:
        assert touches(process, BASE, True) == later
        assert process.mm.locked_vm == 0


@pytest.mark.parametrize(("kind", "flags", "after"), [
    (None, PRIVATE, "a"), ("ext4", PRIVATE, "a"), ("ext4", SHARED, "f"), ("tmpfs", PRIVATE, "a"),
])  # fmt: skip
def test_populating_for_writing_what_was_there_for_reading(machine, kind, flags, after):
    process = machine.spawn()
    place(machine, process, kind, RW, flags)
    process.mm.madvise(BASE, PAGES * PAGE, READ)
    before = frames(process, BASE)
    assert faults(process, lambda: process.mm.madvise(BASE, PAGES * PAGE, WRITE))[1] == PAGES
    assert kinds(process, BASE) == after * PAGES
    assert (frames(process, BASE) == before) == (after == "f"), "a shared page stays the same, a private one is copied"
    assert process.read(BASE, PAGES * PAGE) == (content() if kind == "ext4" else bytes(PAGES * PAGE))
    assert touches(process, BASE, True) == 0


@pytest.mark.parametrize(("prot", "advice"), [(R, WRITE), (W, READ), (0, READ), (0, WRITE)])
def test_populating_needs_the_right(machine, prot, advice):
    process = machine.spawn()
    place(machine, process, None, prot, PRIVATE)
    with pytest.raises(MmError) as error:
        process.mm.madvise(BASE, PAGES * PAGE, advice)
    assert (error.value.errno, kinds(process, BASE)) == (EINVAL, "-" * PAGES)
    machine.check()


def test_populating_goes_as_far_as_there_is_something(machine):
    process = machine.spawn()
    place(machine, process, None, RW, PRIVATE)
    process.mm.munmap(BASE + 10 * PAGE, PAGE)
    with pytest.raises(MmError) as error:
        process.mm.madvise(BASE, PAGES * PAGE, WRITE)
    assert (error.value.errno, kinds(process, BASE)) == (ENOMEM, "a" * 10 + "-" * 30)
    process.mm.mprotect(BASE + 15 * PAGE, PAGE, R)
    with pytest.raises(MmError) as error:
        process.mm.madvise(BASE + 11 * PAGE, 20 * PAGE, WRITE)
    assert (error.value.errno, kinds(process, BASE)) == (EINVAL, "a" * 10 + "-" + "a" * 4 + "-" * 25)
    machine.check()


GIVEN_UP = ("private", "shared", "a file, private", "a file, shared", "tmpfs, shared")
REFUSED = [(name, case) for name in ("DONTNEED", "COLD", "PAGEOUT") for case in GIVEN_UP]
REFUSED += [("FREE", "private"), *(("REMOVE", case) for case in GIVEN_UP if "shared" in case)]


@pytest.mark.parametrize(("name", "case"), REFUSED)
def test_what_is_locked_is_not_given_up(machine, name, case):
    kind, prot, flags, wanted, _, _ = CASES[case]
    process = machine.spawn()
    place(machine, process, kind, prot, flags, f.MAP_LOCKED)
    process.write(BASE, b"here")
    before = frames(process, BASE)
    advice = getattr(f, f"MADV_{name}")
    for start, pages in ((0, PAGES), (3, 1)):
        with pytest.raises(MmError) as error:
            process.mm.madvise(BASE + start * PAGE, pages * PAGE, advice)
        assert error.value.errno == EINVAL
    assert (kinds(process, BASE), frames(process, BASE)) == (wanted * PAGES, before)
    assert (process.read(BASE, 4), process.mm.locked_vm, process.mm.map_count) == (b"here", PAGES, 1)
    assert usage_of(process.mm, process.mm.find_vma(BASE)).lazy_free == 0
    assert touches(process, BASE, False) == 0
    process.mm.munlock(BASE, PAGES * PAGE)
    process.mm.madvise(BASE, PAGES * PAGE, advice)  # It was the lock alone that was in the way.
    assert kinds(process, BASE) == ("-" if name in ("DONTNEED", "REMOVE") else wanted) * PAGES
    machine.check()


def test_what_lies_before_a_locked_area_goes(machine):
    process = machine.spawn()
    place(machine, process, None, RW, PRIVATE, f.MAP_POPULATE)
    process.mm.mlock(BASE + 10 * PAGE, 10 * PAGE)
    before = owned(machine)[0]
    with pytest.raises(MmError) as error:
        process.mm.madvise(BASE, PAGES * PAGE, f.MADV_DONTNEED)
    assert error.value.errno == EINVAL
    assert kinds(process, BASE) == "-" * 10 + "a" * 30, "and what lies behind it stays"
    assert owned(machine)[0] == before + 10
    machine.check()


def test_who_says_so_gives_up_locked_pages(machine):
    process = machine.spawn()
    place(machine, process, None, RW, PRIVATE, f.MAP_LOCKED)
    process.write(BASE, b"gone")
    before = owned(machine)[0]
    process.mm.madvise(BASE, 10 * PAGE, f.MADV_DONTNEED_LOCKED)
    assert (kinds(process, BASE), process.mm.locked_vm) == ("-" * 10 + "a" * 30, PAGES)
    assert owned(machine)[0] == before + 10
    assert process.read(BASE, 4) == bytes(4)
    assert kinds(process, BASE, 1) == "z", "and nobody brings them in again"
    assert faults(process, lambda: process.mm.mlock(BASE, PAGES * PAGE))[1] == 10
    machine.check()


# -- in any order ------------------------------------------------------------------------------------------------------


class Twin:
    """What a family ought to have, page by page: its bytes, and which pages are locked."""

    def __init__(self, held, locked):
        self.held, self.locked = dict(held), set(locked)

    def step(self, process, rng):
        first = rng.randrange(PAGES)
        last = rng.randrange(first, PAGES) + 1
        at, length, pages = BASE + first * PAGE, (last - first) * PAGE, set(range(first, last))
        match rng.choice(["write", "write", "lock", "unlock", "populate", "drop", "read"]):
            case "write":
                self.held[first] = bytes([rng.randrange(1, 256)])
                process.write(at, self.held[first])
            case "lock":
                process.mm.mlock(at, length)
                self.locked |= pages
                assert kinds(process, at, last - first) == "a" * (last - first)
            case "unlock":
                before = kinds(process, BASE)
                process.mm.munlock(at, length)
                self.locked -= pages
                assert kinds(process, BASE) == before
            case "populate":
                process.mm.madvise(at, length, rng.choice([READ, WRITE]))
                assert "-" not in kinds(process, at, last - first)
            case "drop":
                self.drop(process, first, last)
            case "read":
                missing = kinds(process, at, last - first).count("-")
                assert touches(process, at, False, last - first) == missing

    def drop(self, process, first, last):
        stop = min([page for page in self.locked if first <= page < last], default=last)
        if stop < last:
            with pytest.raises(MmError) as error:
                process.mm.madvise(BASE + first * PAGE, (last - first) * PAGE, f.MADV_DONTNEED)
            assert error.value.errno == EINVAL
        else:
            process.mm.madvise(BASE + first * PAGE, (last - first) * PAGE, f.MADV_DONTNEED)
        for page in range(first, stop):
            self.held.pop(page, None)
        assert kinds(process, BASE + first * PAGE, stop - first) == "-" * (stop - first)

    def holds(self, process):
        assert process.mm.locked_vm == len(self.locked)
        assert all(process.mm.pages.kind((BASE >> 12) + page) == "a" for page in self.locked)
        for page in range(PAGES):
            if process.mm.pages.kind((BASE >> 12) + page):
                assert process.read(BASE + page * PAGE) == self.held.get(page, b"\0")
            else:
                assert page not in self.held


@pytest.mark.parametrize("seed", range(6))
def test_whatever_is_done_locked_pages_are_there(machine, seed):
    rng, first = random.Random(seed), machine.spawn()
    place(machine, first, None, RW, PRIVATE)
    family = [(first, Twin({}, ()))]
    for _ in range(80):
        process, twin = rng.choice(family)
        twin.step(process, rng)
        if rng.random() < 0.06 and len(family) < 4:
            family.append((process.fork(), Twin(twin.held, ())))
        if rng.random() < 0.04 and len(family) > 1:
            family.pop(rng.randrange(len(family)))[0].exit()
        machine.check()
        for each, its in family:
            its.holds(each)
