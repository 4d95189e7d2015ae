"""The lab of measured times: the recording, a measurement when asked, and what is said when it cannot be made."""

from __future__ import annotations

from functools import partial

import pytest

from mmkit.data import recording
from mmkit.errors import FormatError, LiveError
from mmkit.lab.translation import RECORDED, TranslationLab
from mmkit.model.snapshot import Source
from mmkit.proc import reach
from mmkit.record import replace
from mmkit.view.reach import TimingPicture


@pytest.fixture
def lab() -> TranslationLab:
    return TranslationLab()


def state(lab):
    return lab.timeline.current.snapshot


def said(timing) -> tuple[str, ...]:
    """What the status line has to say of a measurement."""
    matrix, far = timing.matrices[-1], timing.reach[-1]
    return timing.cpu, f"{matrix.ratio:.1f} times", f"{far.pages:,} pages take {far.ratio:.1f} times"


def shows(lab, timing) -> None:
    assert state(lab) == timing
    assert lab.alt == TimingPicture(timing).alt
    assert lab.source_menu.value in (*RECORDED, None)
    if lab.timeline.index:
        assert all(words in lab.message for words in said(timing))


@pytest.fixture
def here(monkeypatch):
    """A measurement of a machine that is not there."""
    recorded = recording(RECORDED[0]).translation
    made = replace(recorded, cpu="Z80", reach=recorded.reach[:3], source=Source("live", "9.9"))
    monkeypatch.setattr(reach, "measure", lambda: made)
    return made


@pytest.mark.parametrize("name", RECORDED)
def test_it_begins_with_a_recording(name, checks):
    lab = TranslationLab(name)
    shows(lab, recording(name).translation)
    assert name in lab.message
    assert "recording" in lab.alt
    assert lab.source_menu.options == RECORDED
    checks.consistent(lab)
    checks.named(lab)
    assert repr(lab) == repr(TranslationLab(name))


def test_it_measures_when_asked_and_goes_back(lab, checks, here):
    recorded = state(lab)
    lab.read_button.click()
    shows(lab, here)
    assert lab.source_menu.value is None, "so that the recording can be chosen"
    assert "live (kernel 9.9)" in lab.alt
    checks.consistent(lab)
    for move, expected in (
        (lab.undo, recorded), (lab.redo, here), (lab.back, recorded), (lab.forward, here), (lab.first, recorded),
        (lab.last, here),
    ):  # fmt: skip
        move()
        shows(lab, expected)
        assert lab.source_menu.value == (RECORDED[0] if expected is recorded else None)
        checks.consistent(lab)
    lab.source_menu.value = RECORDED[0]
    shows(lab, recorded)
    assert len(lab.timeline) == 3


def test_reading_in_the_middle_drops_the_rest(lab, checks, here):
    lab.read()
    lab.choose(RECORDED[0])
    lab.first()
    lab.read()
    assert lab.message.endswith("This replaces 2 undone operations.")
    shows(lab, here)
    assert len(lab.timeline) == 2
    checks.consistent(lab)


def test_this_very_cpu(lab, checks, monkeypatch):
    """Whatever it says: no time is judged, but a row of what was asked for is there."""
    monkeypatch.setattr(reach, "measure", partial(reach.measure, sizes=(16, 32), pages=(2, 4)))
    lab.read_button.click()
    assert [one.size for one in state(lab).matrices] == [16, 32]
    assert [one.pages for one in state(lab).reach] == [2, 4]
    assert state(lab).source.kind == "live"
    shows(lab, state(lab))
    checks.consistent(lab)


@pytest.mark.parametrize("error", [LiveError("no clock here"), ValueError("no clock here"), TypeError("no clock here")])
def test_what_cannot_be_measured_is_told(lab, checks, monkeypatch, error):
    def refuse():
        raise error

    monkeypatch.setattr(reach, "measure", refuse)
    checks.refuses(lab, "no clock here", do=lab.read_button.click)
    checks.consistent(lab)
    lab.choose(RECORDED[0])
    assert len(lab.timeline) == 2


def test_a_mistake_is_not_hidden(lab, monkeypatch):
    def fail():
        raise ZeroDivisionError("of mmkit's own")

    monkeypatch.setattr(reach, "measure", fail)
    with pytest.raises(ZeroDivisionError):
        lab.read()
    assert "mistake in mmkit" in lab.message
    assert len(lab.timeline) == 1


@pytest.mark.parametrize("name", ["mine", "", None, 5, "amd64-4g"])
def test_no_recording_is_refused(lab, checks, here, name):
    checks.refuses(lab, f"no recording {name!r}", do=lambda: lab.choose(name))
    lab.read()
    checks.refuses(lab, f"no recording {name!r}", do=lambda: lab.choose(name))
    with pytest.raises(ValueError, match="no recording"):
        TranslationLab(name)


def test_measuring_is_measuring():
    small = reach.measure(sizes=(64,), pages=(4, 16))
    assert [one.size for one in small.matrices] == [64]
    assert [one.pages for one in small.reach] == [4, 16]
    assert all(one.row_ns > 0 and one.column_ns > 0 and one.padded_ns > 0 for one in small.matrices)
    assert small.cpu
    text = reach.format(small)
    again = reach.parse(text, small.source)
    assert reach.format(again) == text


def test_a_damaged_measurement_is_told():
    with pytest.raises(FormatError, match="line 2"):
        reach.parse("cpu\tZ80\nmatrix\t64\tfast\n", Source("live"))
