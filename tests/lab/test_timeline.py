"""The timeline, side by side with a naive twin: a list of operations, each a list of steps."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from mmkit.lab.timeline import Timeline, share
from mmkit.record import Record


class TimelineMachine(RuleBasedStateMachine):
    """The twin recounts everything from nested lists; ``at`` is (operation, step)."""

    @initialize()
    def start(self):
        self.timeline = Timeline("s0", "start")
        self.twin, self.at, self.made = [["s0"]], (0, 0), 0

    @rule(nr_steps=st.integers(1, 4))
    def record(self, nr_steps):
        steps = [f"s{self.made + number + 1}" for number in range(nr_steps)]
        self.made += nr_steps
        future = self.twin[self.at[0] + 1 :]
        self.twin = [*self.twin[: self.at[0] + 1], steps]
        self.at = (len(self.twin) - 1, nr_steps - 1)
        dropped = self.timeline.record(f"made {steps[-1]}", [(f"to {one}", one, None) for one in steps])
        assert dropped == len(future)

    def places(self):
        return [(op, step) for op, steps in enumerate(self.twin) for step in range(len(steps))]

    @rule()
    def forward(self):
        self.timeline.forward()
        later = [place for place in self.places() if place > self.at]
        self.at = min(later, default=self.at)

    @rule()
    def back(self):
        self.timeline.back()
        self.at = max([place for place in self.places() if place < self.at], default=self.at)

    @rule()
    def undo(self):
        self.timeline.undo()
        operation = max(self.at[0] - 1, 0)
        self.at = (operation, len(self.twin[operation]) - 1)

    @rule()
    def redo(self):
        self.timeline.redo()
        ends = [(op, len(steps) - 1) for op, steps in enumerate(self.twin)]
        self.at = min([end for end in ends if end > self.at], default=self.at)

    @rule(end=st.booleans())
    def far(self, end):
        (self.timeline.last if end else self.timeline.first)()
        self.at = self.places()[-1 if end else 0]

    @rule(data=st.data())
    def go(self, data):
        index = data.draw(st.integers(0, len(self.places()) - 1))
        self.timeline.go(index)
        self.at = self.places()[index]

    @invariant()
    def agrees(self):
        timeline, (operation, step) = self.timeline, self.at
        assert [entry.snapshot for entry in timeline.entries] == [one for steps in self.twin for one in steps]
        assert [entry.operation for entry in timeline.entries] == [op for op, _ in self.places()]
        assert timeline.current.snapshot == self.twin[operation][step]
        assert timeline.current.operation == operation
        assert timeline.settled.snapshot == self.twin[operation][-1]
        assert timeline.at_end == (operation == len(self.twin) - 1)
        assert timeline.title == (f"made {self.twin[operation][-1]}" if operation else "start")
        assert len(timeline.titles) == len(timeline.ends) == len(self.twin)


TestTimeline = TimelineMachine.TestCase
TestTimeline.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)


@pytest.mark.parametrize("index", [-1, 1, 99])
def test_no_such_step(index):
    timeline = Timeline("a")
    with pytest.raises(ValueError, match=rf"no step {index}: steps go from 0 to 0"):
        timeline.go(index)
    assert timeline.index == 0


def test_an_operation_needs_a_step():
    timeline = Timeline("a")
    with pytest.raises(ValueError, match="'nothing' has no steps"):
        timeline.record("nothing", [])
    assert len(timeline) == 1


class Big(Record):
    many: bytes
    lists: tuple[tuple[int, ...], ...]
    number: int


def test_equal_parts_are_kept_once():
    old = Big(bytes(1000), ((1, 2, 3), (4,)), 1)
    new = Big(bytes(bytearray(1000)), (tuple(range(1, 4)), (5,)), 2)
    kept = share(old, new)
    assert kept == new
    assert kept.many is old.many
    assert kept.lists[0] is old.lists[0]
    assert kept.lists[1] == (5,)


@pytest.mark.parametrize(
    ("old", "new"), [((), ()), ((1,), (1, 2)), (None, Big(b"", (), 0)), (Big(b"", (), 0), None), (1, True)]
)
def test_sharing_never_changes_the_new(old, new):
    kept = share(old, new)
    assert kept == new
    assert type(kept) is type(new)
