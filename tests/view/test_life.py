"""The picture of an allocation: it says what is so at every step, marks what changed, and leaves nothing behind."""

from __future__ import annotations

import pytest

from mmkit.lab.words import describe
from mmkit.model.lifestate import LifeState
from mmkit.model.machine.life import Life
from mmkit.view.life import LEVELS, LifePicture
from mmkit.view.svg import svg_of


@pytest.fixture(scope="module")
def moments() -> list[tuple[LifeState, str]]:
    """A life with both kinds of blocks, step by step."""
    life = Life()
    found = [(life.snapshot(), "")]
    life.told = lambda event: found.append((life.snapshot(), describe(event)))
    for size in (100_000, 200_000):
        block = life.malloc(size)
        life.write(block, b"A")
        life.write(block + 4096, b"B")
        found.append((life.snapshot(), ""))
        life.free(block)
    found.append((life.snapshot(), "over"))
    return found


def test_every_step_is_said_and_written(moments):
    picture = LifePicture(moments[0][0])
    for (state, told), (before, _) in zip(moments[1:], moments, strict=False):
        picture.update(state, before, told)
        written = {text for text, _ in picture.texts}
        assert told in picture.alt
        assert len(picture.alt) < 1200
        assert {f"{area.name}" for area in state.areas} <= written
        assert f"{state.vmas_in_use} of {state.vmas_there} in use" in written
        assert {f"{pfn:x}" for pfn in state.pcp[:40]} <= written
        assert {f"{state.rss}", f"{state.tables}", f"{state.faults}"} <= written
        if state.walk is not None:
            read = {step.level for step in state.walk.steps}
            assert {level for level in LEVELS if level not in read} <= written
            assert {f"{step.level}[{step.index}]" for step in state.walk.steps} <= written


def test_nothing_runs_over_the_edge_or_into_another(moments):
    picture = LifePicture(moments[0][0])
    for (state, told), (before, _) in zip(moments[1:], moments, strict=False):
        picture.update(state, before, told)
        boxes = [box for _, box in picture.texts]
        for text, box in picture.texts:
            assert box.left >= 0, text
            assert box.right <= picture.width, text
            assert box.bottom <= picture.height, text
        for number, one in enumerate(boxes):
            for other in boxes[number + 1 :]:
                apart = one.right <= other.left or other.right <= one.left
                assert apart or one.bottom <= other.top + 1 or other.bottom <= one.top + 1, (one, other)


def test_only_what_changed_is_outlined(moments):
    state = moments[20][0]
    picture = LifePicture(state, state)
    assert not len(picture.outlines.get_xdata())
    picture.update(state, moments[0][0])
    assert len(picture.outlines.get_xdata())


def test_an_update_leaves_nothing_behind(moments):
    picture = LifePicture(moments[40][0], moments[39][0], moments[40][1])
    picture.update(moments[0][0])
    picture.update(moments[30][0], moments[29][0], moments[30][1])
    wanted = LifePicture(moments[30][0], moments[29][0], moments[30][1])
    assert (picture.alt, picture.texts, picture.png()) == (wanted.alt, wanted.texts, wanted.png())
    assert svg_of(picture) == svg_of(wanted)
