"""The base of all labs, with the smallest model there is: a counter."""

from __future__ import annotations

import re

import pytest
from comm import DummyComm

from mmkit.errors import InvariantError, OutOfMemory
from mmkit.lab.bar import button
from mmkit.lab.base import Lab, handler
from mmkit.lab.flipbook import Flipbook
from mmkit.model.trace import MmPageFree
from mmkit.record import Record
from mmkit.view.picture import Picture


class Count(Record):
    number: int


class Counter:
    def __init__(self, number, trace):
        self.number, self.trace = number, trace

    def add(self, steps):
        if self.number + steps > 9:
            raise OutOfMemory(f"{self.number + steps} is above 9")
        for _ in range(steps):
            self.number += 1
            self.trace.emit(MmPageFree(self.number, 0))
        return self.number

    def snapshot(self):
        return Count(self.number)


class CountPicture(Picture):
    def __init__(self):
        super().__init__(height=40)
        self.label = self.text(10, 20, live=True)

    def update(self, snapshot):
        self.label.set(str(snapshot.number))
        self.alt = f'The count is "{snapshot.number}".'
        self.touch()


class CountLab(Lab):
    def __init__(self):
        self.add_button = button("Add", "Add one", self.add)
        super().__init__([self.add_button], [CountPicture()])
        self.restored = 0
        self.begin(Counter(0, self.trace), "nothing counted")

    def draw(self, entry):
        self.picture.update(entry.snapshot)

    def restore(self, snapshot):
        self.restored += 1
        return Counter(snapshot.number, self.trace)

    @handler
    def add(self, steps=1):
        return self.act(f"add {steps}", lambda counter: counter.add(steps))

    @handler
    def fail(self, error):
        self.act("fail", lambda _: raise_(error))


def raise_(error):
    raise error


@pytest.fixture
def lab() -> CountLab:
    return CountLab()


def shown(lab):
    return lab.timeline.current.snapshot.number


def test_it_starts(lab, checks):
    checks.consistent(lab)
    checks.named(lab)
    assert lab.message == "Start: nothing counted."
    assert repr(lab) == 'CountLab: Start: nothing counted. The count is "0".'


def test_every_event_is_a_step(lab, checks):
    assert lab.add(3) == 3
    assert [entry.label for entry in lab.timeline.entries[1:]] == [
        f"Given back: order 0 at 0x{n}, 1 page." for n in (1, 2, 3)
    ]
    assert lab.message == "1. Add 3, step 3 of 3: Given back: order 0 at 0x3, 1 page."
    checks.consistent(lab)


def test_a_button_acts(lab, checks):
    lab.add_button.click()
    assert shown(lab) == 1
    assert lab.bar.step_slider.value == 1
    checks.consistent(lab)


def test_all_ways_of_moving(lab, checks):
    lab.add(2), lab.add(3)
    bar = lab.bar
    moves = [
        (bar.first_button, 0), (bar.forward_button, 1), (bar.redo_button, 2), (bar.redo_button, 5),
        (bar.back_button, 4), (bar.undo_button, 2), (bar.undo_button, 0), (bar.last_button, 5),
    ]  # fmt: skip
    for control, number in moves:
        control.click()
        assert shown(lab) == number
        checks.consistent(lab)
    for control in (bar.step_slider, bar.step_box):
        for number in (2, 4, 0):
            control.value = number
            assert shown(lab) == number
            checks.consistent(lab)
    assert not lab.restored


@pytest.mark.parametrize(
    ("move", "word"), [("back", "no step before"), ("first", "already"), ("undo", "nothing to undo")]
)
def test_stuck_at_the_start(lab, move, word):
    lab.add()
    lab.first()
    getattr(lab, move)()
    assert word in lab.message
    assert shown(lab) == 0


@pytest.mark.parametrize(
    ("move", "word"), [("forward", "none after"), ("last", "already"), ("redo", "nothing to redo")]
)
def test_stuck_at_the_end(lab, move, word):
    lab.add()
    getattr(lab, move)()
    assert word in lab.message
    assert shown(lab) == 1


def test_acting_in_the_past_continues_from_the_operation_shown(lab, checks):
    lab.add(3), lab.add(2), lab.add(1)
    lab.go(1)
    assert shown(lab) == 1
    lab.add(4)
    assert [entry.snapshot.number for entry in lab.timeline.entries] == [0, 1, 2, 3, 4, 5, 6, 7]
    assert "This replaces 2 undone operations." in lab.message
    assert lab.restored == 1
    checks.consistent(lab)
    lab.add(1)
    assert lab.restored == 1
    assert "replaces" not in lab.message


def test_a_refusal_changes_nothing_even_in_the_past(lab, checks):
    lab.add(3), lab.add(3)
    checks.refuses(lab, "10 is above 9", do=lambda: lab.add(4))
    lab.undo()
    checks.refuses(lab, "10 is above 9", do=lambda: lab.add(7))
    lab.redo()
    assert shown(lab) == 6
    lab.add(2)
    assert lab.model.number == 8


def test_a_refusal_halfway_takes_everything_back(lab, checks):
    lab.add(3)
    half_done = lambda counter: (counter.add(2), counter.add(9))  # noqa: E731
    checks.refuses(lab, "14 is above 9", do=lambda: handler(Lab.act)(lab, "add 2, add 9", half_done))
    assert lab.add(1) == 4


@pytest.mark.parametrize("index", [-1, 4, 100])
def test_no_such_step(lab, checks, index):
    lab.add(3)
    checks.refuses(lab, f"no step {index}", do=lambda: lab.go(index))


def test_a_wrong_argument_is_answered(lab, checks):
    checks.refuses(lab, "unexpected keyword argument 'stepz'", do=lambda: lab.add(stepz=2))
    checks.refuses(lab, "str", do=lambda: lab.add("3"))


@pytest.mark.parametrize("error", [RuntimeError("oops <b>"), InvariantError("a rule"), KeyError("x")])
def test_a_mistake_is_shown_and_not_swallowed(lab, error):
    with pytest.raises(type(error)):
        lab.fail(error)
    assert "A mistake in mmkit" in lab.message
    assert "<b>" not in lab.status.value


def test_play_pause(lab, checks):
    lab.play()
    assert "nothing to play" in lab.message
    assert not lab.bar.play_toggle.value
    lab.add(2), lab.add(3)
    lab.bar.play_toggle.value = True
    assert lab.bar.clock.playing
    assert (lab.bar.clock.value, lab.bar.clock.max) == (shown(lab), 5) == (2, 5)
    lab.bar.clock.value = 3
    assert shown(lab) == 3
    checks.consistent(lab)
    lab.bar.play_toggle.value = False
    assert not lab.bar.clock.playing
    lab.bar.clock.value = 4
    assert shown(lab) == 3


def test_the_clock_stops_at_the_end(lab):
    lab.add(2)
    lab.play()
    lab.bar.clock.value = 1
    lab.bar.clock.value = 2
    lab.bar.clock.playing = False
    assert not lab.bar.play_toggle.value
    assert shown(lab) == 2


def test_acting_stops_playing(lab, checks):
    lab.add(2), lab.add(2)
    lab.first()
    lab.play()
    assert shown(lab) == 0
    lab.add(1)
    assert not lab.bar.clock.playing
    assert not lab.bar.play_toggle.value
    checks.consistent(lab)


def test_beginning_anew(lab, checks):
    lab.add(2), lab.add(3)
    lab.begin(Counter(7, lab.trace), "seven counted")
    checks.consistent(lab)
    assert shown(lab) == 7
    assert lab.bar.step_box.max == 0


def test_without_a_kernel_the_last_picture_remains(lab):
    lab.add(2)
    bundle = lab._repr_mimebundle_()
    assert bundle["text/plain"] == repr(lab)
    assert 'alt="The count is &quot;2&quot;."' in bundle["text/html"]
    assert "Add 2, step 2 of 2" in bundle["text/html"]
    assert "application/vnd.jupyter.widget-view+json" in bundle


def test_one_message_for_each_thing_that_changed(lab, monkeypatch):
    """A moved slider sends the picture first, then number box and status; nothing twice, nothing else."""
    lab.add(3)
    sent = []
    monkeypatch.setattr(DummyComm, "publish_msg", lambda self, kind, data=None, **_: sent.append((self.comm_id, data)))
    data = {"method": "update", "state": {"value": 1}, "buffer_paths": []}
    lab.bar.step_slider._handle_msg({"content": {"data": data}, "buffers": []})
    updates = [comm for comm, data in sent if data["method"] == "update"]
    bar = lab.bar
    assert updates == [one.comm.comm_id for one in (lab.image, bar.step_box, lab.status)]


def test_a_flipbook_has_every_step_and_leaves_the_lab_alone(lab, checks):
    lab.add(2), lab.add(1)
    lab.go(1)
    before = checks.frozen(lab)
    book = lab.flipbook()
    assert checks.frozen(lab) == before
    alts = [re.search('alt="([^"]*)"', child.value)[1] for child in book.stack.children]
    assert alts == [f"The count is &quot;{number}&quot;." for number in range(4)]
    assert "[3] 2. Add 1: Given back: order 0 at 0x3, 1 page." in repr(book)
    assert "application/vnd.jupyter.widget-view+json" in book._repr_mimebundle_()
    assert "&quot;3&quot;" in book._repr_mimebundle_()["text/html"]


def test_a_flipbook_turns_without_python(lab):
    lab.add(3)
    book = lab.flipbook()
    linked = {(type(end[0]).__name__, end[1]) for link in book.links for end in (link.source, link.target)}
    assert linked == {
        ("IntSlider", "value"), ("Stack", "selected_index"), ("BoundedIntText", "value"), ("Play", "value"),
        ("ToggleButton", "value"), ("Play", "playing"),
    }  # fmt: skip
    assert book.step_slider.max == book.step_box.max == book.clock.max == len(book.stack.children) - 1 == 3


def test_an_empty_flipbook_is_refused():
    with pytest.raises(ValueError, match="at least one frame"):
        Flipbook([], "nothing")
