"""The VMA lab, operated without a browser."""

from __future__ import annotations

import re
from html import unescape
from random import Random

import pytest

from mmkit.errors import FatalSignal, MmError
from mmkit.lab.vma import KINDS, PICTURES, VmaLab
from mmkit.lab.vmabench import FAULTS, MOST_POPULATED, MOST_TASKS, STEPS, VmaBench
from mmkit.lab.vmamenus import ADVICE, ANONYMOUS, EXTRAS, PAGE, PLACES, PROTS, REMAPS, Request, places, window
from mmkit.lab.vmaprograms import load, work
from mmkit.lab.vmastage import STAGES
from mmkit.lab.vmatexts import TEXTS
from mmkit.model import vmaflags as f
from mmkit.model.vma import File, MmStruct
from mmkit.model.vma.lookup import lookup
from mmkit.model.vmatrace import VmaFault, VmaInsert, VmaRemove, VmaResize, VmaSplit
from mmkit.record import replace
from mmkit.view.vmachange import MOST_PAGES

RW = f.PROT_READ | f.PROT_WRITE
ANON = f.MAP_PRIVATE | f.MAP_ANONYMOUS
LOW = 0x1000_0000


@pytest.fixture
def lab() -> VmaLab:
    return VmaLab()


@pytest.fixture(scope="module")
def shared() -> VmaLab:
    """A lab for tests that leave it as it was."""
    return VmaLab("areas side by side")


@pytest.fixture
def apart() -> VmaLab:
    return VmaLab("areas side by side")


def state(lab):
    return lab.timeline.current.snapshot


def same(mm, twin: MmStruct) -> None:
    """The address space shown is that of the twin; what open files are called is left out."""
    ours, theirs = mm, twin.snapshot()
    assert ours.vmas == theirs.vmas
    assert (ours.counters, ours.layout, ours.mm_users) == (theirs.counters, theirs.layout, theirs.mm_users)
    assert ours.back.pages == theirs.back.pages


def events(lab):
    return [type(entry.event) for entry in lab.timeline.entries if entry.event]


def text(lab) -> str:
    """What the text box shows."""
    return unescape(re.sub("<[^>]*>", "", lab.text_box.value))


# -- what there is ----------------------------------------------------------------------------------------------------


def test_it_starts(lab, checks):
    checks.consistent(lab)
    checks.named(lab)
    assert lab.message == "Start: python, just loaded, 13 areas, 7.2 MiB."
    same(state(lab).mm, load(MmStruct()))
    assert "python3: 13 areas" in lab.alt
    assert text(lab) == ""
    assert lab.address_box.value == "0x945000"
    assert lab.task_menu.options == (("1000 python3, process", 1000),)


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("picture", PICTURES)
def test_it_begins_with_any_stage_and_picture(stage, picture, checks):
    lab = VmaLab(stage, picture)
    checks.consistent(lab)
    assert lab.stage_menu.value == stage
    assert lab.picture_menu.label == picture


@pytest.mark.parametrize(("args", "words"), [(("a full one",), "stage"), (("python at work", "a film"), "picture")])
def test_what_there_is_not_is_refused_at_once(args, words):
    with pytest.raises(ValueError, match=f"no {words} 'a f"):
        VmaLab(*args)


def test_another_stage_by_menu(lab, checks):
    lab.stage_menu.value = "python at work"
    same(state(lab).mm, work(load(MmStruct())))
    assert lab.message.startswith("1. Begin anew: python at work: 21 areas")
    checks.consistent(lab)
    lab.stage_menu.value = "areas side by side"
    assert len(lab.timeline) == 2, "the stage before was not used: it is replaced"
    assert lab.address_box.value == f"{LOW:#x}"
    lab.undo()
    assert lab.stage_menu.value == "python, just loaded"
    checks.consistent(lab)


# -- calls ------------------------------------------------------------------------------------------------------------


def test_mmap_step_by_step(lab, checks):
    lab.length_box.value = "6 pages"
    lab.mmap_button.click()
    twin = load(MmStruct())
    found = twin.mmap(0, 6 * PAGE, RW, ANON)
    same(state(lab).mm, twin)
    assert lab.message == (
        f"1. Mmap 6 pages, rw-, private, anonymous, step 3 of 3: mmap returns {found:#x}: 14 areas, 7.2 MiB."
    )
    assert lab.address_box.value == f"{found:#x}"
    assert events(lab)[-1] is VmaInsert
    for index in range(len(lab.timeline)):
        lab.go(index)
        checks.consistent(lab)


def test_every_way_to_map(apart, checks):
    twin = STAGES["areas side by side"](MmStruct())
    board = File("/dev/shm/board", 32_768, "tmpfs", (0, 26), 5).open("rw")
    apart.prot_menu.value, apart.sharing_menu.value = "r--", "shared"
    apart.memory_menu.label = "/dev/shm/board, opened anew (rw)"
    apart.offset_box.value, apart.length_box.value = "0x1000", "2 pages"
    apart.where_menu.value, apart.extra_menu.value = "at Address (MAP_FIXED)", "MAP_POPULATE"
    apart.address_box.value = f"{LOW + 0x5000:#x}"
    apart.mmap_button.click()
    flags = f.MAP_SHARED | f.MAP_FIXED | f.MAP_POPULATE
    twin.mmap(LOW + 0x5000, 2 * PAGE, f.PROT_READ, flags, board, 0x1000)
    same(state(apart).mm, twin)
    checks.consistent(apart)
    # The next page of the very same open file merges with it; another opening would not.
    apart.memory_menu.label = "open file 1: /dev/shm/board (rw)"
    apart.mmap(length=PAGE, offset="12 KiB", addr=LOW + 0x7000, where="at Address (MAP_FIXED)")
    twin.mmap(LOW + 0x7000, PAGE, f.PROT_READ, flags, board, 0x3000)
    same(state(apart).mm, twin)
    assert VmaResize in events(apart)
    before = len(state(apart).mm.vmas)
    apart.mmap(length=PAGE, memory="board (rw)", offset="16 KiB", addr=LOW + 0x8000, where="at Address (MAP_FIXED)")
    assert len(state(apart).mm.vmas) == before + 1
    assert state(apart).opened == ("/dev/shm/board (rw)", "/dev/shm/board (rw)")
    checks.consistent(apart)


def test_a_hint_that_is_not_free_is_told(apart):
    apart.mmap(length="1 page", addr=LOW)
    assert "since the hint was not free" in apart.message
    apart.mmap(length=PAGE, addr=LOW + 0x6000)
    assert f"mmap returns {LOW + 0x6000:#x}: " in apart.message


def test_calls_do_what_the_model_does(apart, checks):
    twin = STAGES["areas side by side"](MmStruct())
    did = [
        (lambda: apart.munmap(LOW + PAGE, "1 pages"), lambda: twin.munmap(LOW + PAGE, PAGE)),
        (lambda: apart.mprotect(LOW, PAGE, "r--"), lambda: twin.mprotect(LOW, PAGE, f.PROT_READ)),
        (lambda: apart.mlock(LOW + 0x8000, 2 * PAGE), lambda: twin.mlock(LOW + 0x8000, 2 * PAGE)),
        (lambda: apart.munlock(LOW + 0x8000, PAGE), lambda: twin.munlock(LOW + 0x8000, PAGE)),
        (
            lambda: apart.madvise(LOW + 0x10000, "8 KiB", "MADV_DONTFORK"),
            lambda: twin.madvise(LOW + 0x10000, 2 * PAGE, f.MADV_DONTFORK),
        ),
        (
            lambda: apart.mremap(LOW + 0x10000, 2 * PAGE, 3 * PAGE, "may move"),
            lambda: twin.mremap(LOW + 0x10000, 2 * PAGE, 3 * PAGE, f.MREMAP_MAYMOVE),
        ),
        (lambda: apart.touch(LOW + 0x12000), lambda: twin.touch(LOW + 0x12000)),
        (lambda: apart.touch(LOW + 0x12000, write=True), lambda: twin.touch(LOW + 0x12000, write=True)),
        (
            lambda: apart.mremap(LOW + 0x2000, PAGE, PAGE, "to New address (MREMAP_FIXED)", 0x2000_0000),
            lambda: twin.mremap(LOW + 0x2000, PAGE, PAGE, 3, 0x2000_0000),
        ),
    ]
    for number, (ours, theirs) in enumerate(did, 1):
        ours()
        theirs()
        same(state(apart).mm, twin)
        assert apart.timeline.current.operation == number, apart.message
        checks.consistent(apart)
    assert apart.address_box.value == "0x20000000"
    apart.model.mm.check()


def test_calls_by_buttons(apart):
    twin = STAGES["areas side by side"](MmStruct())
    apart.place_menu.label = f"{LOW + 0x2000:#x} middle of rw-p"
    assert apart.address_box.value == f"{LOW + 0x2000:#x}"
    assert apart.place_menu.value == -1 or apart.place_menu.label.startswith(f"{LOW + 0x2000:#x}")
    apart.length_box.value, apart.prot_menu.value = "1 pages", "---"
    at = LOW + 0x2000
    for press, do in (
        (apart.read_button, lambda: twin.touch(at)),
        (apart.write_button, lambda: twin.touch(at, write=True)),
        (apart.mlock_button, lambda: twin.mlock(at, PAGE)),
        (apart.munlock_button, lambda: twin.munlock(at, PAGE)),
        (apart.madvise_button, lambda: twin.madvise(at, PAGE, f.MADV_DONTNEED)),
        (apart.mprotect_button, lambda: twin.mprotect(at, PAGE, 0)),
        (apart.mremap_button, lambda: twin.mremap(at, PAGE, 8 * PAGE, f.MREMAP_MAYMOVE)),
    ):
        press.click()
        do()
        same(state(apart).mm, twin)
    apart.munmap_button.click()
    twin.munmap(int(apart.address_box.value, 0), PAGE)
    same(state(apart).mm, twin)
    assert apart.place_menu.value == -1


def test_the_heap(lab, checks):
    lab.heap_box.value = 5
    lab.brk_button.click()
    assert state(lab).mm.vmas[5].name == "[heap]"
    assert state(lab).mm.vmas[5].pages == 5
    lab.brk(-2)
    assert state(lab).mm.vmas[5].pages == 3
    checks.consistent(lab)
    checks.refuses(lab, "brk returns", "cannot end", do=lambda: lab.brk(-4))
    other = VmaLab("an empty address space")
    checks.refuses(other, "no heap", do=lambda: other.brk(1))


def test_the_stack_grows_and_does_not(lab, checks):
    stack = state(lab).mm.vmas[-1]
    lab.place_menu.label = f"{stack.start - PAGE:#x} page below rw-p [stack]"
    lab.read_button.click()
    assert state(lab).mm.vmas[-1].start == stack.start - PAGE
    checks.consistent(lab)
    checks.refuses(lab, "SIGSEGV", "RLIMIT_STACK", do=lambda: lab.touch(stack.end - (8 << 20) - PAGE))


# -- what cannot be ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("do", "words"),
    [
        (lambda lab: lab.mmap(length=0), "EINVAL"),
        (lambda lab: lab.mmap(length="200 TiB"), "ENOMEM"),
        (lambda lab: lab.mmap(offset=100), "EINVAL"),
        (lambda lab: lab.mmap(addr=LOW + 1, where="at Address (MAP_FIXED)"), "EINVAL"),
        (lambda lab: lab.mmap(addr=LOW, where="at Address, replace nothing"), "EEXIST"),
        (lambda lab: lab.mmap(memory="book (r)", sharing="shared"), "EACCES"),
        (lambda lab: lab.munmap(LOW + 5, PAGE), "EINVAL"),
        (lambda lab: lab.mprotect(LOW + 0x4000, PAGE), "ENOMEM"),
        (lambda lab: lab.mlock(LOW + 0x4000, PAGE), "ENOMEM"),
        (lambda lab: lab.mremap(0x3000_0000, PAGE), "EFAULT"),
        (lambda lab: lab.madvise(LOW + 7, PAGE), "EINVAL"),
        (lambda lab: lab.touch(LOW + 0x4000), "SIGSEGV"),
        (lambda lab: lab.touch("0x800000000000"), "SIGSEGV"),
        (lambda lab: lab.munmap(1 << 64, PAGE), "64 bits"),
        (lambda lab: lab.munmap("here", PAGE), "not an address"),
        (lambda lab: lab.munmap(LOW, "much"), "not a size"),
        (lambda lab: lab.munmap(LOW, "32 EiB"), "not a size"),
        (lambda lab: lab.munmap(LOW, 1 << 64), "64 bits"),
        (lambda lab: lab.mprotect(LOW, PAGE, "xyz"), "no protection"),
        (lambda lab: lab.mmap(prot="rwxp"), "no protection"),
        (lambda lab: lab.mmap(sharing="ours"), "no kind of mapping"),
        (lambda lab: lab.mmap(memory="open file 3"), "no memory"),
        (lambda lab: lab.mmap(where="somewhere"), "no place"),
        (lambda lab: lab.mmap(extra="MAP_HUGETLB"), "no flag"),
        (lambda lab: lab.madvise(LOW, PAGE, "MADV_HWPOISON"), "no advice"),
        (lambda lab: lab.mremap(LOW, PAGE, PAGE, "fly"), "no way to remap"),
        (lambda lab: lab.find(LOW, "heap"), "heap"),
        (lambda lab: lab.switch(7), "no task 7"),
        (lambda lab: lab.build("a full one"), "no stage"),
        (lambda lab: lab.exit(), "last task"),
        (lambda lab: lab.brk("many"), "many"),
        (lambda lab: lab.mmap(length="1 TiB", extra="MAP_POPULATE"), "resident in one call"),
        (lambda lab: lab.mmap(length="1 TiB", extra="MAP_LOCKED"), "resident in one call"),
    ],
)  # fmt: skip
def test_refusals_change_nothing(shared, checks, do, words):
    checks.refuses(shared, words, do=lambda: do(shared))
    shared.mmap(length=PAGE)
    checks.refuses(shared, words, do=lambda: do(shared))
    checks.consistent(shared)
    shared.undo()


def test_what_is_mapped_may_not_be_populated_without_end(apart, checks):
    apart.mmap(length="1 TiB")
    at = state(apart).stretch[0]
    checks.refuses(apart, "resident in one call", do=lambda: apart.mlock(at, "1 TiB"))
    checks.refuses(apart, "resident in one call", do=lambda: apart.madvise(at, "1 TiB", "MADV_POPULATE_READ"))
    apart.mlock(at, MOST_POPULATED * PAGE)
    assert state(apart).mm.counters.locked_vm == MOST_POPULATED
    checks.refuses(apart, "resident in one call", do=lambda: apart.mremap(at, PAGE, "1 TiB"))


def test_what_fails_halfway_is_told_and_stays(apart, checks):
    """As in Linux: mprotect changes what lies below the hole, and then fails."""
    apart.mprotect(LOW, "16 pages", "r--")
    assert "ENOMEM" in apart.message
    assert "What was done before it failed stays" in apart.message
    assert "✘" not in apart.status.value
    assert [vma.perms for vma in state(apart).mm.vmas] == ["r--p", "rw-p", "rw-p"]
    checks.consistent(apart)
    apart.undo()
    apart.redo()
    assert [vma.perms for vma in state(apart).mm.vmas] == ["r--p", "rw-p", "rw-p"]
    twin = VmaBench(state=state(apart))
    assert twin.snapshot() == state(apart)


# -- tasks ------------------------------------------------------------------------------------------------------------


def test_threads_share_and_processes_do_not(lab, checks):
    lab.thread_button.click()
    assert state(lab).mm.mm_users == 2
    assert "2 share this address space" in lab.message
    assert lab.picture_menu.label == "tasks and address spaces"
    lab.fork_button.click()
    assert len(state(lab).tasks.mms) == 2
    assert [label for label, _ in lab.task_menu.options] == [
        "1000 python3, process", "1001 python3, thread of 1000", "1002 python3, process",
    ]  # fmt: skip
    lab.task_menu.value = 1001
    lab.mmap(length=PAGE)
    ours, child = state(lab).tasks.mms
    assert len(ours.vmas) == len(child.vmas) + 1
    lab.task_menu.value = 1002
    assert len(state(lab).mm.vmas) == len(child.vmas)
    lab.exit_button.click()
    assert "its address space is gone" in lab.message
    assert state(lab).pid == 1000
    lab.exit()
    assert "1 still use" in lab.message
    assert state(lab).pid == 1001
    checks.consistent(lab)
    lab.model.tasks.check()


def test_when_the_first_thread_ends_alone_it_is_said_how(lab, checks):
    lab.thread()
    lab.exit()
    assert "system call exit" in lab.message
    assert "exit_group" in lab.message
    lab.thread()
    lab.exit()
    assert "exit_group" not in lab.message, "that was no first thread"
    checks.consistent(lab)


COPY, THERE, NEW = "a page fault, though the page was there", "the page was there, no fault", ": a page fault, "


def writes(lab, addr):
    lab.touch(addr, write=True)
    return lab.message


def test_after_a_fork_both_may_write_only_with_a_fault(apart, checks):
    assert THERE in writes(apart, LOW)
    apart.fork()
    apart.touch(LOW)
    assert THERE in apart.message, "reading is allowed"
    for pid in (1001, 1000):
        apart.switch(pid)
        assert COPY in writes(apart, LOW)
        assert THERE in writes(apart, LOW)
        assert NEW in writes(apart, LOW + PAGE), "this page nobody had written"
    apart.undo()
    apart.undo()
    apart.undo()
    assert COPY in writes(apart, LOW), "as it was before"
    apart.fork()
    assert COPY in writes(apart, LOW), "and after each fork again"
    checks.consistent(apart)


def test_what_happens_to_such_pages_is_kept_account_of(apart):
    other = LOW + 16 * PAGE
    apart.fork()
    apart.mremap(other, 4 * PAGE, 4 * PAGE, how="to New address (MREMAP_FIXED)", new_addr=LOW + 32 * PAGE)
    assert COPY in writes(apart, LOW + 32 * PAGE), "moved"
    apart.munmap(LOW, PAGE)
    apart.mmap(PAGE, addr=LOW, where="at Address (MAP_FIXED)")
    assert NEW in writes(apart, LOW), "another page"
    apart.switch(1001)
    apart.mlock(LOW, PAGE)
    assert THERE in writes(apart, LOW), "locking copies"
    apart.madvise(other, PAGE, "MADV_POPULATE_WRITE")
    assert THERE in writes(apart, other)
    apart.fork()
    apart.switch(1002)
    apart.madvise(other, PAGE, "MADV_DONTNEED")
    assert NEW in writes(apart, other)


def test_execve_makes_a_new_address_space(apart, checks):
    apart.thread()
    apart.exec_button.click()
    loaded = load(MmStruct()).snapshot()
    assert [(vma.start, vma.end, vma.letters) for vma in state(apart).mm.vmas] == [
        (vma.start, vma.end, vma.letters) for vma in loaded.vmas
    ]
    assert len(state(apart).tasks.tasks) == 1
    checks.consistent(apart)
    apart.undo()
    assert len(state(apart).tasks.tasks) == 2


def test_there_are_never_too_many_tasks(apart, checks):
    for _ in range(MOST_TASKS - 1):
        apart.fork()
    checks.refuses(apart, "enough", do=apart.fork)
    checks.refuses(apart, "enough", do=apart.thread)
    checks.consistent(apart)


# -- search -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS.values())
def test_a_search_step_by_step(lab, checks, kind):
    addr = state(lab).mm.vmas[7].start + 5
    lab.address_box.value = f"{addr:#x}"
    lab.kind_menu.value = kind
    lab.find_button.click()
    tree = lookup(state(lab).mm, kind, addr)
    assert replace(state(lab).tree(kind), mm=tree.mm) == tree
    assert f"{tree.comparisons} comparisons" in lab.message
    assert f"{state(lab).mm.vmas[7].start:#x}, which holds it" in lab.message
    assert lab.picture_menu.label == "the search for an address"
    assert len(lab.timeline) == 1 + len(tree.visits) + 1
    for index in range(1, len(tree.visits) + 1):
        lab.go(index)
        checks.consistent(lab)
        assert f"{index}. {tree.visits[index - 1].words}".removesuffix(".") in lab.message
        assert ("goes on" in lab.alt) == (index < len(tree.visits))
    lab.last()
    lab.touch(0x945000)
    assert state(lab).search is None
    checks.consistent(lab)


def test_gaps_and_the_end(lab):
    lab.find(0x10_0000_0000, "rbtree")
    assert "the address is in a gap" in lab.message
    lab.find("0xffff888000000000", "maple")
    assert "NULL: no area ends above it" in lab.message
    lab.address_box.value = ""
    lab.find()
    assert "not an address" in lab.message


def test_a_long_search_is_told_at_its_end(apart):
    for page in range(0, 400, 2):
        apart.model.mm.mmap(LOW + 0x100_0000 + page * PAGE, PAGE, RW, ANON | f.MAP_FIXED)
    apart.begin(apart.model, "many")
    before = len(apart.timeline)
    apart.find(LOW + 0x100_0000 + 398 * PAGE, "list")
    assert len(apart.timeline) - before == 2
    assert "203 nodes" in apart.message


# -- pictures, texts, menus -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("picture", PICTURES)
def test_pictures_follow_the_timeline(apart, checks, picture):
    apart.picture_menu.label = picture
    apart.munmap(LOW + PAGE, PAGE)
    apart.touch(LOW + 0x2000, write=True)
    apart.thread()
    apart.picture_menu.label = picture
    seen = set()
    for index in range(len(apart.timeline)):
        apart.go(index)
        checks.consistent(apart)
        seen.add(apart.picture.png())
    assert len(seen) > 1


def test_the_whole_is_shown_where_nothing_was_before(lab):
    assert "Before" not in lab.alt
    lab.mmap(length=PAGE)
    assert "Before" in lab.alt
    lab.fork()
    lab.switch(1001)
    lab.picture_menu.label = "what the call changed"
    assert "Before" not in lab.alt


def test_texts(lab):
    lab.text_menu.value = "/proc/PID/maps"
    assert text(lab) == lab.model.mm.maps()
    lab.mmap(length="3 pages", memory="book (r)", prot="r--")
    assert text(lab) == lab.model.mm.maps()
    lab.first()
    assert "/home/you/book" not in text(lab)
    lab.last()
    lab.text_menu.value = "each area, its flags"
    assert text(lab).count("VmFlags: ") == len(state(lab).mm.vmas)
    assert "VmFlags: rd wr mr mw me gd ac" in text(lab)
    assert "anon_vma 1" in text(lab)
    lab.text_menu.value = "/proc/PID/status"
    assert f"VmSize:   {state(lab).mm.counters.total_vm * 4:>8} kB" in text(lab)
    lab.text_menu.value = "mm_struct, its fields"
    assert f"start_brk   {state(lab).mm.layout.start_brk:#x}" in text(lab)
    assert "mm_users    1" in text(lab)
    lab.text_menu.value = "none"
    assert text(lab) == ""


def test_inherited_anon_vmas_are_told(apart):
    apart.fork()
    apart.switch(1001)
    apart.text_menu.value = "each area, its flags"
    assert "anon_vma 3 (inherited over fork)" in text(apart)


@pytest.mark.parametrize("name", TEXTS)
def test_texts_are_whole_for_every_stage(name):
    for stage in STAGES:
        lab = VmaLab(stage)
        lab.text_menu.value = name
        assert "object at" not in text(lab)


def test_places_are_in_order_and_where_they_say(lab):
    mm = state(lab).mm
    found = places(mm)
    assert list(found.values()) == sorted(found.values())
    for words, addr in found.items():
        assert words.startswith(f"{addr:#x} ")
        inside = any(addr in vma for vma in mm.vmas)
        assert inside == any(sign in words for sign in ("start of", "middle of", "last page of")), words
    assert places(MmStruct().snapshot()) == {"0x10000000 nothing is mapped": LOW}


def test_the_window_shows_what_the_call_was_about():
    mm = work(load(MmStruct()))
    rng = Random(3)
    for _ in range(60):
        before = mm.snapshot()
        vma = rng.choice(mm.vmas)
        first = vma.vm_start + rng.randrange(vma.pages) * PAGE
        length = rng.randrange(1, 200) * PAGE
        try:
            mm.mprotect(first, length, rng.choice((1, 3, 5)))
        except MmError:
            continue
        start, end = window(mm.snapshot(), before, (first, first + length))
        assert start % PAGE == end % PAGE == 0
        assert start <= first < end
        assert 1 <= (end - start) // PAGE <= MOST_PAGES


# -- the timeline -----------------------------------------------------------------------------------------------------


def deeds(rng: Random, lab: VmaLab) -> None:
    """One thing that can be done, sensible or not."""
    mm = state(lab).mm
    near = rng.choice([0, LOW, *(vma.start for vma in mm.vmas)]) + rng.randrange(-3, 6) * PAGE
    near, length = max(near, 0), rng.randrange(1, 9) * PAGE
    tasks = [task.pid for task in state(lab).tasks.tasks]
    rng.choice((
        lambda: lab.mmap(
            length, rng.choice(tuple(PROTS)), rng.choice(("private", "shared")),
            rng.choice([value for _, value in lab.memory_menu.options]), rng.randrange(3) * PAGE, near,
            rng.choice(tuple(PLACES)), rng.choice(tuple(EXTRAS)),
        ),
        lambda: lab.munmap(near, length),
        lambda: lab.mprotect(near, length, rng.choice(tuple(PROTS))),
        lambda: lab.madvise(near, length, rng.choice(tuple(ADVICE))),
        lambda: lab.mlock(near, length),
        lambda: lab.munlock(near, length),
        lambda: lab.mremap(near, length, rng.randrange(1, 9) * PAGE, rng.choice(tuple(REMAPS)), near + 64 * PAGE),
        lambda: lab.brk(rng.randrange(-3, 9)),
        lambda: lab.touch(near, rng.random() < 0.6),
        lambda: lab.touch(near, rng.random() < 0.6),
        lab.fork, lab.thread, lab.exit,
        lambda: lab.switch(rng.choice(tasks)),
        lambda: lab.find(near, rng.choice(tuple(KINDS.values()))),
        lambda: lab.undo(),
        lambda: lab.back(),
    ))()  # fmt: skip


@pytest.mark.parametrize("stage", STAGES)
def test_whatever_is_done_can_be_done_again(stage, checks):
    """A bench that goes on from a kept state is the bench that made it: after any row of deeds, undone or not."""
    rng = Random(stage)
    lab = VmaLab(stage)
    for _ in range(70):
        deeds(rng, lab)
        lab.model.tasks.check()
    checks.consistent(lab)
    for index in sorted({*lab.timeline.ends[:: len(lab.timeline.ends) // 6 + 1], lab.timeline.ends[-1]}):
        kept = lab.timeline.entries[index].snapshot
        assert VmaBench(state=kept).snapshot() == kept
    shown = []
    for index in range(len(lab.timeline)):
        lab.go(index)
        shown.append((state(lab), lab.alt, lab.where()))
    for index in reversed(range(len(lab.timeline))):
        lab.go(index)
        assert (state(lab), lab.alt, lab.where()) == shown[index]


def test_going_on_after_going_back_drops_the_rest(apart, checks):
    apart.munmap(LOW, PAGE)
    apart.munmap(LOW + 0x8000, PAGE)
    apart.undo()
    apart.touch(LOW + 0x8000, write=True)
    assert "replaces 1 undone operation" in apart.message
    twin = STAGES["areas side by side"](MmStruct())
    twin.munmap(LOW, PAGE)
    twin.touch(LOW + 0x8000, write=True)
    same(state(apart).mm, twin)
    checks.consistent(apart)


def test_many_steps_are_told_in_part(apart):
    apart.mmap(length="100 pages")
    at, before = state(apart).stretch[0], len(apart.timeline)
    apart.mlock(at, "100 pages")
    told = [entry.event for entry in apart.timeline.entries[before:]]
    assert sum(isinstance(event, VmaFault) for event in told) == FAULTS
    assert len(told) <= STEPS
    assert state(apart).mm.counters.anon_rss == 102


def test_events_of_a_cut(apart):
    apart.munmap(LOW + PAGE, PAGE)
    assert {VmaSplit, VmaRemove} <= set(events(apart))


def test_the_bench_alone():
    bench = VmaBench("areas side by side")
    assert "areas" in bench.mmap(Request(length=PAGE))
    with pytest.raises(FatalSignal):
        bench.touch(5, write=False)
    with pytest.raises(ValueError, match=ANONYMOUS):
        bench.mmap(Request(memory="air"))
    assert bench.snapshot().task.pid == 1000
