"""Pressure: each step's state is the machine's, each fate is what folio_check_references() says, nothing is lost."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest

from mmkit.errors import OutOfMemory
from mmkit.model import reclaimtrace
from mmkit.model.machine import Machine
from mmkit.model.machine.pressure import FILE_PAGES, RAM, Pressure
from mmkit.model.machine.pressuresteps import RUN
from mmkit.model.pressuretrace import PagesUsed, Refault, TaskGone

PAGE = 4096


@pytest.fixture
def pressure() -> Pressure:
    return Pressure()


def listen(pressure):
    told = [(None, pressure.snapshot())]
    pressure.told = lambda event: told.append((event, pressure.snapshot()))
    return told


def story(pressure):
    """A working set, a file, a hog; use again, write the file, lock, and in the end too much."""
    pressure.write_new(100, 30)
    pressure.use_file(100, 0, 40)
    pressure.write_new(101, 64)
    pressure.use(100, 0, 10)
    pressure.use_file(100, 10, 6, "store")
    pressure.write_new(101, 50)
    pressure.use(100, 0, 6, write=True)
    pressure.use_file(101, 0, 8)
    pressure.use_file(101, 12, 4, "load")
    pressure.lock(100, 0, 4)
    pressure.write_new(101, 64)


def steps_of(told, kind):
    """Each step of that kind with the state before it and its own."""
    return [(event, before, after) for (_, before), (event, after) in pairwise(told) if isinstance(event, kind)]


def test_marks_and_pages_are_the_machines(pressure):
    state, zone = pressure.snapshot(), Machine("X86_64", RAM).memory.zones[0]
    assert (state.min, state.low, state.high) == tuple(zone.watermarks)
    assert state.managed == zone.managed_pages
    assert 100 < state.managed - state.min < 250, "small enough that every page is drawn"
    assert [line.name for line in state.processes] == ["editor", "hog"]
    assert all(pages == () for _, pages in state.lists)
    assert state.running == ()
    assert state.look is None


def test_every_state_is_what_proc_says(pressure):
    compared = []

    def compare(event):
        state, proc = pressure.snapshot(), pressure.machine.proc
        rows = dict(line.split() for line in proc.read("vmstat").splitlines())
        for name, pages in state.lists:
            assert len(pages) == int(rows[f"nr_{name}"]), (event, name)
        for name in ("pswpin", "pswpout", "oom_kill"):
            assert dict(state.counters)[name] == int(rows[name]), (event, name)
        meminfo = dict(line.split(":") for line in proc.read("meminfo").splitlines())
        used = int(meminfo["SwapTotal"].split()[0]) - int(meminfo["SwapFree"].split()[0])
        assert sum(slot.owner > 0 for slot in state.slots) * 4 == used
        for line in state.processes:
            if not line.end:
                status = dict(row.split(":", 1) for row in proc.read(f"{line.pid}/status").splitlines())
                assert [int(status[name].split()[0]) // 4 for name in ("VmRSS", "VmSwap")] == [line.rss, line.swap]
        compared.append(event)

    pressure.told = compare
    story(pressure)
    pressure.machine.check()
    assert {type(event) for event in compared} >= {
        PagesUsed, Refault, TaskGone, reclaimtrace.KswapdWake, reclaimtrace.KswapdSleep, reclaimtrace.LruFate,
        reclaimtrace.SwapIn, reclaimtrace.DirectReclaimBegin, reclaimtrace.DirectReclaimEnd, reclaimtrace.MarkVictim,
        reclaimtrace.ShrinkInactive, reclaimtrace.ShrinkActive,
    }  # fmt: skip


def expected(page, source, slots_free, rotated, cached):
    """folio_check_references() and what follows, written down a second time."""
    if rotated:
        return "rotate"
    if source.startswith("active"):
        return "deactivate"
    if page.young:
        return "activate" if page.referenced else "keep"
    if page.owner and cached and not page.dirty:
        return "drop"
    if page.owner:
        return "swap out" if slots_free or cached else "activate"
    return "write back" if page.dirty else "drop"


def others(state, pfn):
    return {page for _, pages in state.lists for page in pages if page.pfn != pfn}


def test_every_page_is_taken_from_the_tail_and_goes_where_its_marks_send_it(pressure):
    told = listen(pressure)
    story(pressure)
    seen, written = set(), set()
    for event, before, after in steps_of(told, reclaimtrace.LruFate):
        look = after.look
        old, new = dict(before.lists), dict(after.lists)
        rotated = event.pfn in written
        cached = any(
            slot.cached and (slot.owner, slot.index) == (look.page.owner, look.page.index) for slot in before.slots
        )
        page = (
            old[look.source][0] if not rotated else next(page for page in old["active_file"] if page.pfn == event.pfn)
        )
        assert page.pfn == look.page.pfn == event.pfn, "the tail is looked at"
        assert look.fate == expected(page, look.source, any(not slot.owner for slot in before.slots), rotated, cached)
        written = written - {event.pfn} if rotated else written | ({event.pfn} if look.fate == "write back" else set())
        head = {
            "keep": look.source, "activate": look.source.replace("inactive", "active"), "rotate": "inactive_file",
            "deactivate": look.source.replace("active", "inactive"), "write back": "active_file",
        }.get(look.fate)  # fmt: skip
        if head:
            moved = new[head][0 if rotated else -1]
            assert not (rotated and moved.dirty)
            assert (moved.pfn, moved.owner, moved.index, moved.young) == (page.pfn, page.owner, page.index, False)
        elif page.owner:
            assert (after.slots[look.slot - 1].owner, after.slots[look.slot - 1].index) == (page.owner, page.index)
            assert cached or before.slots[look.slot - 1].owner == 0
            assert not after.slots[look.slot - 1].cached
        else:
            assert (before.file_pages[page.index], after.file_pages[page.index]) == ("m", "x")
        assert others(before, page.pfn) == others(after, page.pfn), "nothing else changes, not even a mark"
        seen.add(look.fate)
    assert seen >= {"keep", "activate", "deactivate", "swap out", "drop", "write back", "rotate"}
    assert not written, "what was given to the flusher comes back to the tail"


def test_free_pages_fall_through_the_marks_before_kswapd_wakes(pressure):
    told = listen(pressure)
    pressure.write_new(100, 30)
    pressure.write_new(101, 120)
    wakes = steps_of(told, reclaimtrace.KswapdWake)
    assert wakes
    for event, _, state in wakes:
        assert state.free == event.free <= state.low
        assert state.running == ("hog writes its new pages", "kswapd")
    for event, before, state in steps_of(told, reclaimtrace.KswapdSleep):
        assert state.free == event.free
        assert state.free > state.high or before.free <= before.high
        assert state.running == ("hog writes its new pages",)
    assert told[1][1].running == ("editor writes its new pages",)


def test_runs_cover_every_access_once(pressure):
    told = listen(pressure)
    pressure.write_new(100, 30)
    pressure.write_new(101, 128)
    covered = [
        (event.pid, number) for event, _ in told if isinstance(event, PagesUsed)
        for number in range(event.first, event.last + 1)
    ]  # fmt: skip
    assert covered == [(100, number) for number in range(30)] + [(101, number) for number in range(128)]
    for event, state in told:
        if isinstance(event, PagesUsed):
            assert event.last - event.first < RUN
            assert event.free == state.free
    told.clear()
    pressure.use(100, 0, 30)
    back = [event for event, _ in told if isinstance(event, reclaimtrace.SwapIn)]
    runs = [event for event, _ in told if isinstance(event, PagesUsed)]
    assert len(back) == 30 - sum(event.last - event.first + 1 for event in runs) > 0


def test_what_comes_back_is_a_major_fault_and_holds_what_was_written(pressure):
    pressure.write_new(100, 20)
    pressure.write_new(101, 140)
    task = pressure.alive(100)
    swapped = len(task.process.mm.pages.swapped)
    assert swapped > 0
    told, before = listen(pressure), dict(pressure.snapshot().counters)
    pressure.use(100, 0, 20)
    after = dict(pressure.snapshot().counters)
    back = steps_of(told, reclaimtrace.SwapIn)
    assert len(back) >= swapped, "some may have gone meanwhile, and come back as well"
    assert after["pswpin"] - before["pswpin"] == after["pgmajfault"] - before["pgmajfault"] == len(back)
    for event, was, state in back:
        slot = was.slots[event.slot - 1]
        assert state.slots[event.slot - 1].owner == 0 or state.slots[event.slot - 1].cached
        assert (state.look.page.owner, state.look.page.index) == (slot.owner, slot.index)
        heads = {pages[-1].pfn for name, pages in state.lists if pages and name.endswith("_anon")}
        assert event.pfn in heads, "active or inactive"
    for number in range(20):
        assert task.process.read(task.own + number * PAGE) == bytes([number + 1])


def test_a_refault_is_a_page_that_was_dropped(pressure):
    pressure.use_file(100, 0, FILE_PAGES)
    assert dict(pressure.snapshot().counters)["workingset_refault_file"] == 0, "the first time is no refault"
    pressure.write_new(101, 160)
    dropped = {index for index, letter in enumerate(pressure.snapshot().file_pages) if letter == "x"}
    assert dropped
    told = listen(pressure)
    pressure.use_file(100, 0, FILE_PAGES)
    again = [event.index for event, _ in told if isinstance(event, Refault)]
    assert dropped <= set(again)
    assert dict(pressure.snapshot().counters)["workingset_refault_file"] == len(again)


def test_pages_of_the_file_are_seen_through_read_and_mappings(pressure):
    pressure.use_file(100, 0, 2)
    first = dict(pressure.snapshot().lists)["inactive_file"]
    assert [(page.owner, page.index, page.young, page.referenced) for page in first] == [
        (0, 0, False, True), (0, 1, False, True)]  # fmt: skip
    pressure.use_file(100, 0, 1)
    assert [page.index for page in pressure.snapshot().active_file] == [0], "read() a second time"
    pressure.use_file(101, 1, 1, "load")
    pressure.use_file(101, 2, 1, "store")
    pages = {page.index: page for page in pressure.snapshot().inactive_file}
    assert (pages[1].young, pages[1].dirty) == (True, False)
    assert (pages[2].young, pages[2].dirty) == (True, True)
    assert pressure.snapshot().file_pages.startswith("mmd.")


# -- out of memory ----------------------------------------------------------------------------------------------------


def test_the_killer_takes_the_one_with_the_most_points(pressure):
    told = listen(pressure)
    pressure.write_new(100, 40)
    done = pressure.write_new(101, 300)
    ((event, _, state),) = steps_of(told, reclaimtrace.MarkVictim)
    points = {line.pid: line.points for line in state.processes}
    assert max(points, key=points.get) == event.pid == 101
    assert event.points == points[101] == event.rss + event.swap + event.tables
    assert state.running[-1] == "out of memory"
    assert state.processes[1].end == "", "it lives while it is chosen"
    ((gone, _, after),) = steps_of(told, TaskGone)
    assert (gone.end, after.processes[1].end, after.processes[1].points) == ("killed", "killed", event.points)
    assert after.free > after.high
    assert not any(slot.owner == 101 for slot in after.slots)
    assert done == state.processes[1].written < 300
    pressure.machine.check()


def test_who_may_not_be_killed_lives_and_if_nobody_may_it_is_told(pressure):
    pressure.write_new(100, 20)
    pressure.set_oom_score_adj(101, -1000)
    told = listen(pressure)
    pressure.write_new(101, 190)
    assert [event.pid for event, _ in told if isinstance(event, reclaimtrace.MarkVictim)] == [100]
    assert pressure.snapshot().processes[1].points is None
    with pytest.raises(OutOfMemory):
        pressure.write_new(101, 200)


def test_a_process_that_exits_gives_everything_back(pressure):
    free = pressure.snapshot().free + pressure.snapshot().pcp
    told = listen(pressure)
    pid = pressure.start()
    pressure.write_new(pid, 30)
    pressure.exit(pid)
    assert isinstance(told[-1][0], TaskGone)
    pressure.machine.objects.shrink()
    state = pressure.snapshot()
    assert state.free + state.pcp == free
    assert state.processes[-1].end == "exited"
    pressure.machine.check()


def test_swappiness_decides_what_goes(pressure):
    gone = {}
    for value in (0, 200):
        one = Pressure()
        one.set_swappiness(value)
        one.use_file(100, 0, FILE_PAGES)
        one.write_new(100, 100)
        one.write_new(101, 30)
        gone[value] = dict(one.snapshot().counters)["pswpout"]
    assert gone[0] == 0
    assert gone[0] <= gone[200]


# -- in any case ------------------------------------------------------------------------------------------------------


def test_who_listens_changes_nothing():
    heard, alone = Pressure(), Pressure()
    listen(heard)
    story(heard)
    story(alone)
    assert heard.snapshot() == alone.snapshot()


def test_what_is_refused_leaves_it_as_it_was(pressure):
    pressure.write_new(100, 10)
    before = pressure.snapshot()
    for do, words in (
        (lambda: pressure.write_new(99, 1), "process 99 does not live"),
        (lambda: pressure.write_new(100, 391), "10 of them written already"),
        (lambda: pressure.write_new(100, 0), "area of 400 pages"),
        (lambda: pressure.use(100, 5, 6), "pages 0 to 9 so far; asked for 5 to 10"),
        (lambda: pressure.use(101, 0, 1), "none of its pages"),
        (lambda: pressure.lock(100, -1, 2), "asked for -1 to 0"),
        (lambda: pressure.use_file(100, 40, 9), "pages 0 to 47; asked for 40 to 48"),
        (lambda: pressure.use_file(100, 0, 1, "mmap"), "one of read, load, store"),
        (lambda: pressure.set_oom_score_adj(100, 1001), "-1000 to 1000, not 1001"),
        (lambda: pressure.set_swappiness(201), "0 to 200, not 201"),
    ):
        with pytest.raises(ValueError, match=words):
            do()
    assert pressure.snapshot() == before


@pytest.mark.parametrize("seed", range(3))
def test_a_sound_machine_whatever_is_done(seed):
    rng, pressure = random.Random(seed), Pressure()
    told = listen(pressure)
    for _ in range(60):
        alive = [pid for pid, task in pressure.tasks.items() if not task.end]
        if len(alive) < 3:
            alive.append(pressure.start())
        pid = rng.choice(alive)
        written = pressure.alive(pid).written
        match rng.choice(("new", "new", "use", "file", "lock", "adj")):
            case "new" if written < 300:
                pressure.write_new(pid, rng.randrange(1, 50))
            case "use" if written:
                first = rng.randrange(written)
                pressure.use(pid, first, rng.randrange(1, written - first + 1), rng.random() < 0.5)
            case "lock" if written and rng.random() < 0.3:
                pressure.lock(pid, 0, 1)
            case "file":
                pressure.use_file(pid, rng.randrange(40), 8, rng.choice(("read", "load", "store")))
            case _:
                pressure.set_swappiness(rng.choice((0, 60, 100, 200)))
        pressure.machine.check()
        assert pressure.snapshot().running == ()
    assert dict(pressure.snapshot().counters)["pswpout"] > 0
    assert all(event.free == state.free for event, state in told if isinstance(event, PagesUsed))
