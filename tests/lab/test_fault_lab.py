"""The page fault lab beside a machine that does the same; problems of chapter 10; the running kernel's faults."""

from __future__ import annotations

import random
import re
import sys
from itertools import pairwise

import pytest

from mmkit.course.fault import HowManyFaults, HowManyFrames, WhichSignal
from mmkit.data import recording
from mmkit.errors import FormatError, LiveError
from mmkit.lab import kernelfaults
from mmkit.lab.fault import FaultLab
from mmkit.lab.faultbench import BASE, PAGE, PAGES, FaultBench
from mmkit.lab.kernelfaults import SCRIPT, kernels_faults, models_faults
from mmkit.proc import livefaults
from mmkit.proc.livefaults import Touch
from mmkit.view.fault import FaultPicture

SEEDS = range(1, 40)


@pytest.fixture
def lab() -> FaultLab:
    return FaultLab()


def state(lab):
    return lab.timeline.current.snapshot


def page_of(lab, pid, page):
    return next(member for member in state(lab).faults.members if member.pid == pid).pages[page]


def test_it_begins_with_nothing_behind_its_pages(lab, checks):
    checks.consistent(lab)
    checks.named(lab)
    assert [page.kind for page in state(lab).faults.members[0].pages] == [""] * PAGES
    assert repr(lab) == repr(FaultLab())


def test_touches_by_button(lab, checks):
    lab.page.value = 1
    lab.read_button.click()
    assert page_of(lab, 100, 1).kind == "z"
    assert "a zero is read, one page fault" in lab.message
    lab.write_button.click()
    assert (page_of(lab, 100, 1).kind, page_of(lab, 100, 1).writable) == ("a", True)
    lab.write_button.click()
    assert "no fault" in lab.message
    labels = [entry.label for entry in lab.timeline.entries]
    assert any("error code 0x4" in label for label in labels)
    assert any("Served" in label for label in labels)
    checks.consistent(lab)
    lab.drop_button.click()
    assert page_of(lab, 100, 1).kind == ""


def test_fork_write_and_end(lab, checks):
    lab.touch(0, write=True)
    lab.fork_button.click()
    frame = page_of(lab, 100, 0).pfn
    assert page_of(lab, 101, 0).pfn == frame
    assert not page_of(lab, 100, 0).writable
    lab.process_menu.value = 101
    lab.touch(0, write=True)
    assert page_of(lab, 101, 0).pfn != frame == page_of(lab, 100, 0).pfn
    checks.consistent(lab)
    lab.exit_button.click()
    assert [member.pid for member in state(lab).faults.members] == [100]
    assert lab.process_menu.value == 100
    lab.undo()
    assert lab.process_menu.value == 101
    checks.consistent(lab)
    lab.first()
    lab.touch(7)
    assert page_of(lab, 100, 7).kind == "f"


def test_protecting_and_being_killed(lab, checks):
    lab.fork()
    lab.protect_button.click()
    lab.write_button.click()
    assert "is killed: SIGSEGV (SEGV_ACCERR)" in lab.message
    assert [member.pid for member in state(lab).faults.members] == [101]
    checks.consistent(lab)
    lab.undo()
    lab.allow_button.click()
    lab.write_button.click()
    assert "A is written" in lab.message


def test_bad_input_is_refused(lab, checks):
    checks.refuses(lab, "pages 0 to 7, not 8", do=lambda: lab.touch(8))
    checks.refuses(lab, "pages 0 to 7, not -1", do=lambda: lab.drop(-1))
    checks.refuses(lab, "pages 0 to 7, not 1.0", do=lambda: lab.touch(1.0))
    checks.refuses(lab, "no process 7", do=lambda: lab.switch(7))
    checks.refuses(lab, "no process 100.0", do=lambda: lab.switch(100.0))
    checks.refuses(lab, "last process", do=lab.exit_button.click)
    for _ in range(3):
        lab.fork()
    checks.refuses(lab, "as many as can be drawn", do=lab.fork_button.click)


def test_random_operations_leave_the_machine_sound(lab):
    rng = random.Random(1)
    for _ in range(60):
        do = rng.choice((lab.touch, lab.touch, lab.touch, lab.drop, lab.protect, lab.fork, lab.exit, lab.undo))
        if do == lab.touch:
            lab.touch(rng.randrange(PAGES), rng.random() < 0.6)
        elif do in (lab.drop, lab.protect):
            do(rng.randrange(PAGES))
        else:
            do()
        lab.model.machine.check()
    assert FaultBench(state(lab)).snapshot() == state(lab)


def test_the_picture_is_updated_in_place():
    bench, states = FaultBench(), []
    story = [
        ("touch", (0, True)),
        ("touch", (4, False)),
        ("fork", ()),
        ("fork", ()),
        ("touch", (0, True)),
        ("exit", ()),
    ]
    for name, arguments in story:
        states.append(bench.snapshot().faults)
        getattr(bench, name)(*arguments)
    picture = FaultPicture(states[0])
    for before, now in pairwise(states):
        picture.update(now, before)
        wanted = FaultPicture(now, before)
        assert (picture.alt, picture.texts, picture.png()) == (wanted.alt, wanted.texts, wanted.png())
        assert len(picture.alt) < 1200
        for frame in now.frames:
            if frame.kind != "z":
                assert f"0x{frame.pfn:x}" in picture.alt


def test_model_and_kernel_take_the_same_faults():
    assert models_faults() == kernels_faults() == tuple(count for _, count in recording("host-6.18").faults)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs Linux's page faults")
@pytest.mark.parametrize("seed", range(4))
def test_random_touches_on_the_running_kernel(seed):
    rng, touches = random.Random(seed), []
    for number in range(60):
        if number == 25:
            touches.append(Touch(0, "fork", 0))
        who = rng.randrange(2) if number > 25 else 0
        touches.append(Touch(who, rng.choice(("r", "w", "w", "drop")), rng.randrange(8)))
    assert livefaults.measure(touches) == models_faults(tuple(touches))


def test_without_a_kernel_the_recording_stands_in(monkeypatch):
    monkeypatch.setattr(sys, "platform", "plan9")
    with pytest.raises(LiveError, match="Linux's"):
        livefaults.measure(SCRIPT)
    assert kernels_faults() == models_faults()
    with pytest.raises(ValueError, match="other touches"):
        kernels_faults(SCRIPT[:2])
    assert kernelfaults.RECORDED in ("host-6.18",)


def test_faults_as_text():
    text = recording("host-6.18").text("faults")
    known = livefaults.parse_faults(text)
    assert livefaults.format_faults([touch for touch, _ in known], [count for _, count in known]) == text
    with pytest.raises(FormatError, match="line 1"):
        livefaults.parse_faults("0\tr\n")


def steps(text):
    """(who, how, page) of each line of a story."""
    found = []
    for line in re.findall(r"^\d+\. (.*)$", text, re.M):
        who, how, *rest = re.sub(r"^the ", "", line).split()
        found.append((who, how, int(rest[-1]) if rest else 0))
    return found


class Naive:
    """Pages as sets: who has the zero page, who has which copy, and who may write it."""

    def __init__(self):
        self.pages = {"parent": {}}
        self.copies, self.faults, self.written = 0, 0, False

    def do(self, who, how, page):
        if how == "forks":
            # Nothing is copied if nothing was written: then there is no anon_vma.
            self.pages["child"] = dict(self.pages["parent"]) if self.written else {}
            self.pages = {
                name: {p: (copy, False) for p, (copy, _) in held.items()} for name, held in self.pages.items()
            }
            return
        copy, may_write = self.pages[who].get(page, (None, False))
        if how == "reads":
            if copy is None:
                self.faults += 1
                self.pages[who][page] = (0, False)
            return
        self.written = True
        if may_write:
            return
        self.faults += 1
        holders = [name for name, held in self.pages.items() if held.get(page, (None,))[0] == copy]
        if not copy or len(holders) > 1:
            self.copies += 1
            copy = self.copies
        self.pages[who][page] = (copy, True)


def played(text):
    twin = Naive()
    for step in steps(text):
        twin.do(*step)
    return twin


def test_faults_by_a_naive_account():
    for problem in map(HowManyFaults, SEEDS):
        assert problem.check(played(problem.question().text).faults), problem
        assert problem.check(99).right is False


def test_frames_by_a_naive_account():
    for problem in map(HowManyFrames, SEEDS):
        twin = played(problem.question().text)
        frames = {copy for held in twin.pages.values() for copy, _ in held.values() if copy}
        assert problem.check(len(frames)), problem


def test_signals_by_the_three_checks():
    answers = []
    for problem in map(WhichSignal, SEEDS):
        text = problem.question().text
        page = int(re.search(r"page (\d) \(from 0\)", text)[1])
        has = int(found[1]) if (found := re.search(r"a file of (\d)", text)) else 2
        answer = "a"
        if page > 1:
            answer = "b"
        elif "writes" in text and "read only" in text:
            answer = "c"
        elif page >= has:
            answer = "d"
        answers.append(answer)
        assert problem.check(answer), problem
    assert set(answers) == set("abcd")


@pytest.mark.parametrize("kind", [HowManyFaults, HowManyFrames, WhichSignal])
def test_what_cannot_be_read_is_not_wrong(kind):
    assert kind(1).check("perhaps").right is None
    assert all(kind(seed).solution().text for seed in SEEDS)


def test_the_window_is_where_the_lab_says():
    bench = FaultBench()
    bench.touch(3, True)
    assert bench.process.read(BASE + 3 * PAGE) == b"A"
