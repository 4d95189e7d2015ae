"""The memory pressure lab: every control, the timeline both ways, refusals, and a twin that is the model alone."""

from __future__ import annotations

import random
import time

import pytest

from mmkit.lab import ReclaimLab
from mmkit.lab.reclaimbench import MOST_PAGES, MOST_PROCESSES, WAYS, ReclaimBench
from mmkit.model.machine.pressure import Pressure
from mmkit.model.reclaimtrace import LruFate, MarkVictim, SwapIn


@pytest.fixture
def lab() -> ReclaimLab:
    return ReclaimLab()


def state(lab):
    return lab.timeline.current.snapshot.pressure


def press(lab, button, **controls):
    """Set controls, press a button, and go to the end of what comes."""
    for name, value in controls.items():
        getattr(lab, name).value = value
    getattr(lab, button).click()
    assert "✘" not in lab.status.value, lab.message
    lab.last()


def test_it_begins_at_rest_and_names_everything(lab, checks):
    checks.consistent(lab)
    checks.named(lab)
    assert "two processes without any page" in lab.message
    assert state(lab) == Pressure().snapshot()


def test_every_control_does_what_its_method_does(lab, checks):
    twin, model = ReclaimLab(), Pressure()
    for button, controls, method, arguments, alone in (
        ("write_button", {"pages": 30}, "write", (30, 100), lambda: model.write_new(100, 30)),
        ("file_button", {"pages": 40}, "use_file", ("read()", 0, 40, 100), lambda: model.use_file(100, 0, 40)),
        ("write_button", {"process_menu": 101, "pages": 64}, "write", (64, 101), lambda: model.write_new(101, 64)),
        ("read_again_button", {"first_box": "3", "pages": 10}, "read_again", (3, 10, 101),
         lambda: model.use(101, 3, 10)),
        ("write_button", {"pages": 50}, "write", (50, 101), lambda: model.write_new(101, 50)),
        ("write_again_button", {"process_menu": 100, "pages": 5}, "write_again", (3, 5, 100),
         lambda: model.use(100, 3, 5, write=True)),
        ("file_button", {"way_menu": "a mapping, writing", "pages": 4}, "use_file", ("a mapping, writing", 3, 4, 100),
         lambda: model.use_file(100, 3, 4, "store")),
        ("file_button", {"way_menu": "a mapping, reading", "pages": 8}, "use_file", ("a mapping, reading", 3, 8, 100),
         lambda: model.use_file(100, 3, 8, "load")),
        ("lock_button", {"pages": 2}, "lock", (3, 2, 100), lambda: model.lock(100, 3, 2)),
        ("adj_button", {"adj_box": "-1000"}, "set_oom_score_adj", (-1000, 100),
         lambda: model.set_oom_score_adj(100, -1000)),
        ("swappiness_button", {"swappiness_box": "150"}, "set_swappiness", (150,), lambda: model.set_swappiness(150)),
        ("start_button", {}, "start", (), model.start),
        ("exit_button", {"process_menu": 102}, "exit", (102,), lambda: model.exit(102)),
    ):  # fmt: skip
        press(lab, button, **controls)
        getattr(twin, method)(*arguments)
        twin.last()
        alone()
        assert state(lab) == state(twin) == model.snapshot(), button
        assert lab.message == twin.message
        checks.consistent(lab)


def test_a_page_is_followed_until_it_is_back(lab, checks):
    """By its name: written, looked at, kept, looked at again, swapped out, read in."""
    lab.write(20, 100)
    assert "step 1 of 4: editor writes new pages 0 to 7" in lab.message
    lab.write(64, 101)
    lab.write(64, 101)
    lab.write(20, 101)
    lab.read_again(0, 20, 100)
    fates = [
        entry.event.fate for entry in lab.timeline.entries
        if isinstance(entry.event, LruFate) and entry.label.startswith("E0 (")
    ]  # fmt: skip
    assert fates == ["keep", "swap out"]
    back = next(entry for entry in lab.timeline.entries if isinstance(entry.event, SwapIn))
    assert back.label.startswith("E0 (frame 0x")
    assert "from slot 1, comes back" in back.label
    lab.last()
    assert "major fault" in lab.message
    assert "read back from swap" in lab.message


def test_what_came_of_it_is_said(lab):
    lab.write(20)
    lab.last()
    assert f"20 new pages: {state(lab).free} pages free, 193 before." in lab.message
    lab.use_file(pages=12)
    lab.use_file(pages=4)
    lab.last()
    assert "active_file has 4 pages" in lab.message
    lab.write(64, 101)
    lab.write(64, 101)
    lab.last()
    swapped = dict(state(lab).counters)["pswpout"]
    assert f"{swapped} pages swapped out" in lab.message
    lab.read_again(60, 5, 101)
    lab.last()
    assert "5 pages more marked as used" in lab.message


def test_out_of_memory_step_by_step(lab, checks):
    lab.write(64, 101)
    for _ in range(3):
        lab.write(64, 101)
        lab.last()
        if "killed" in lab.message:
            break
    victim = next(entry for entry in lab.timeline.entries if isinstance(entry.event, MarkVictim))
    assert victim.event.comm == "hog"
    assert victim.snapshot.pressure.processes[1].end == ""
    assert f"hog was killed, with {victim.event.points} points" in lab.message
    assert state(lab).processes[1].end == "killed"
    assert tuple(lab.process_menu.options) == (("100 editor", 100),)
    checks.refuses(lab, "process 101 does not live: it was killed", do=lambda: lab.write(1, 101))
    lab.back()
    lab.undo()
    assert 101 in dict(lab.process_menu.options).values()


def test_every_step_both_ways(lab, checks):
    lab.write(30, 100)
    lab.write(64, 101)
    lab.write(64, 101)
    shown = []
    lab.first()
    for _ in range(len(lab.timeline)):
        shown.append((lab.message, lab.alt, lab.image.value))
        checks.consistent(lab)
        lab.forward()
    assert len({image for _, _, image in shown}) > len(shown) - 3, "each step shows something new"
    for index in reversed(range(len(lab.timeline))):
        lab.go(index)
        assert lab.alt == shown[index][1]
        assert lab.image.value == shown[index][2]


@pytest.mark.parametrize("step", [1, 8, 30])
def test_acting_in_the_middle_goes_on_from_that_operation(lab, step):
    lab.write(40, 100)
    lab.write(64, 101)
    lab.write(40, 101)
    operation = lab.timeline.entries[step].operation
    lab.go(step)
    lab.use_file("read()", 0, 10, 100)
    lab.last()
    twin = Pressure()
    for pid, pages in ((100, 40), (101, 64), (101, 40))[:operation]:
        twin.write_new(pid, pages)
    twin.use_file(100, 0, 10)
    assert state(lab) == twin.snapshot()
    lab.model.pressure.machine.check()


def test_undo_and_redo(lab):
    lab.write(30)
    lab.last()
    after = state(lab)
    lab.undo()
    assert state(lab).inactive_anon == ()
    lab.redo()
    assert state(lab) == after


def test_what_cannot_be_is_told(lab, checks):
    checks.refuses(lab, "has written none of its pages", do=lab.read_again_button.click)
    checks.refuses(lab, "has written none of its pages", do=lab.lock_button.click)
    for pages in (0, MOST_PAGES + 1, -3, 1.5, "many"):
        checks.refuses(lab, f"1 to {MOST_PAGES} pages", repr(pages), do=lambda pages=pages: lab.write(pages))
    lab.write(10)
    checks.refuses(lab, "pages 0 to 9 so far; asked for 5 to 14", do=lambda: lab.read_again(5, 10))
    checks.refuses(lab, "pages 0 to 47; asked for 40 to 49", do=lambda: lab.use_file(first=40, pages=10))
    checks.refuses(lab, "no way to use the file 'mail'", do=lambda: lab.use_file("mail"))
    checks.refuses(lab, "none -1", do=lambda: lab.read_again(-1, 1))
    checks.refuses(lab, "process 99 does not live", do=lambda: lab.exit(99))
    checks.refuses(lab, "process '100' does not live", do=lambda: lab.exit("100"))
    checks.refuses(lab, "-1000 to 1000, not 1001", do=lambda: lab.set_oom_score_adj(1001))
    checks.refuses(lab, "0 to 200, not -1", do=lambda: lab.set_swappiness(-1))
    checks.refuses(lab, "at most 12 letters", do=lambda: lab.start("a name"))
    for box, button, words in (
        ("first_box", "read_again_button", "page is a whole number, not 'two'"),
        ("adj_box", "adj_button", "oom_score_adj is a whole number"),
        ("swappiness_box", "swappiness_button", "swappiness is a whole number"),
    ):
        getattr(lab, box).value = "two"
        checks.refuses(lab, words, do=getattr(lab, button).click)
    for _ in range(MOST_PROCESSES - 2):
        lab.start()
    checks.refuses(lab, "let one end first", do=lab.start)


def test_if_nobody_may_be_killed_nothing_happens(lab, checks):
    for pid in (100, 101):
        lab.set_oom_score_adj(-1000, pid)
    for _ in range(2):
        lab.write(64, 101)
    lab.write(56, 101)
    lab.last()
    checks.refuses(lab, "a kernel panics", do=lambda: lab.write(64, 101))
    lab.model.pressure.machine.check()


def test_oom_score_adj_says_what_it_is_worth(lab):
    lab.set_oom_score_adj(500, 101)
    assert "500 * (260 // 1000) = 0 points; on so small a machine only -1000 counts" in lab.message
    lab.set_oom_score_adj(-1000, 101)
    assert "never killed" in lab.message


def test_the_menu_follows_the_processes(lab):
    lab.process_menu.value = 101
    lab.start("mine")
    assert lab.process_menu.value == 101, "who was chosen stays chosen"
    assert tuple(lab.process_menu.options)[-1] == ("102 mine", 102)
    lab.process_menu.value = 102
    lab.exit()
    lab.last()
    assert [pid for _, pid in lab.process_menu.options] == [100, 101]
    lab.exit()
    lab.exit(101)
    lab.last()
    assert lab.process_menu.options == (("none", 0),)
    lab.start()
    lab.last()
    assert lab.process_menu.value == 103


def test_a_step_is_quick(lab):
    for _ in range(3):
        lab.write(54, 101)
    last = len(lab.timeline) - 1
    assert last > 100
    start = time.perf_counter()
    for index in range(20):
        lab.go(last - index)
        assert lab.timeline.index == last - index
    assert (time.perf_counter() - start) / 20 < 0.05


def test_random_use_leaves_a_sound_machine(checks):
    rng, lab = random.Random(7), ReclaimLab()
    for _ in range(40):
        rng.choice([
            lambda: lab.write(rng.randrange(1, 50), rng.choice((100, 101, 102))),
            lambda: lab.write(rng.randrange(1, 50), rng.choice((100, 101, 102))),
            lambda: lab.read_again(0, rng.randrange(1, 20), rng.choice((100, 101))),
            lambda: lab.use_file(rng.choice(list(WAYS)), rng.randrange(40), 8), lab.start, lab.undo, lab.redo,
            lambda: lab.go(rng.randrange(len(lab.timeline))), lambda: lab.lock(0, 2),
        ])()  # fmt: skip
        lab.model.pressure.machine.check()
        checks.consistent(lab)
    settled = lab.timeline.settled.snapshot
    assert ReclaimBench(settled).snapshot() == settled
