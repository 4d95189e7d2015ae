"""The TLB lab beside the simulation of whole traces; and the lab of measured times."""

from __future__ import annotations

import numpy as np
import pytest

from mmkit.data import recording
from mmkit.lab.tlb import TlbLab
from mmkit.lab.tlbbench import GEOMETRIES, PATTERNS, played
from mmkit.lab.translation import TranslationLab
from mmkit.model.snapshot import Source
from mmkit.model.tlb import Tlb
from mmkit.proc import reach
from mmkit.record import replace


@pytest.fixture
def lab() -> TlbLab:
    return TlbLab()


def state(lab):
    return lab.timeline.current.snapshot


def test_it_begins_empty_and_names_everything(lab, checks):
    checks.consistent(lab)
    checks.named(lab)
    assert (state(lab).run.done, state(lab).run.tlb.used) == (0, 0)
    assert repr(lab) == repr(TlbLab("nine pages in turn", 8, 2))


def small(name):
    return len(PATTERNS[name].make()) < 1000


@pytest.mark.parametrize("name", PATTERNS)
@pytest.mark.parametrize("geometry", [(8, 2), (64, 4)])
@pytest.mark.parametrize("policy", ["lru", "plru"])
def test_hits_are_those_of_the_simulation(name, geometry, policy):
    addresses, slice_ = PATTERNS[name].make()[:3000], PATTERNS[name].slice
    asids = np.arange(len(addresses)) // slice_ % 2 if slice_ else 0
    for flush in (False, True) if slice_ else (False,):
        found = played(name, *geometry, done=len(addresses), policy=policy, flush=flush)
        simulated = Tlb(*geometry, policy=policy).simulate(addresses, asids=asids, flush_on_switch=flush)
        assert found.run.hits == simulated.hit_count
        assert [hit for *_, hit in found.run.recent] == simulated.hits[-48:].tolist()


@pytest.mark.parametrize("name", [name for name in PATTERNS if small(name)])
def test_the_map_below_knows_the_end(lab, name):
    lab.choose(pattern=name)
    lab.make(None)
    assert state(lab).run.hits == state(lab).map.hits
    assert state(lab).run.done == state(lab).map.accesses == len(PATTERNS[name].make())


def test_one_by_one_is_all_at_once(lab, checks):
    for _ in range(20):
        lab.step_button.click()
    checks.consistent(lab)
    one_by_one = state(lab)
    lab.again()
    lab.ten_button.click()
    lab.ten_button.click()
    assert state(lab) == one_by_one
    lab.hundred_button.click()
    lab.all_button.click()
    assert state(lab).run.done == state(lab).run.total
    checks.consistent(lab)


def test_each_access_is_told(lab):
    lab.make(1)
    labels = [entry.label for entry in lab.timeline.entries[1:]]
    assert "the tables are walked" in labels[0]
    assert "is kept in set 0, way 0, which was empty" in labels[1]
    lab.make(10)
    assert "where 0x" in " ".join(entry.label for entry in lab.timeline.entries)


def test_going_back_and_on_from_there(lab, checks):
    lab.make(10)
    lab.make(10)
    lab.undo()
    assert state(lab).run.done == 10
    lab.make(5)
    assert state(lab) == played("nine pages in turn", 8, 2, done=15)
    checks.consistent(lab)
    lab.first()
    lab.make(3)
    assert state(lab).run.done == 3


@pytest.mark.parametrize("words", GEOMETRIES)
def test_geometries_by_menu_and_by_number(lab, checks, words):
    lab.geometry_menu.label = words
    size = GEOMETRIES[words]
    assert (lab.entries.value, lab.ways.value) == size
    lab.make(None)
    assert state(lab).run.hits == played("nine pages in turn", *size).run.hits
    checks.consistent(lab)
    lab.choose(entries=16, ways=4)
    assert lab.geometry_menu.value is None


def test_controls_begin_anew(lab, checks):
    lab.pattern_menu.value = "two processes in turn"
    lab.switch_menu.value = True
    lab.policy_menu.value = "plru"
    lab.page_menu.value = 16
    setting = state(lab).setting
    assert (setting.pattern, setting.flush, setting.policy, setting.shift) == (
        "two processes in turn",
        True,
        "plru",
        16,
    )
    assert state(lab).run.done == 0
    checks.consistent(lab)
    lab.entries.box.value = 16
    assert state(lab).setting.entries == 16
    lab.undo()
    assert lab.entries.value == 8, "controls follow the timeline"


def test_bad_input_is_refused(lab, checks):
    checks.refuses(lab, "power of two of sets", do=lambda: lab.choose(ways=3))
    checks.refuses(lab, "power of two of sets", do=lambda: setattr(lab.ways.box, "value", 3))
    assert lab.ways.value == 2, "the control shows what is"
    checks.refuses(lab, "no pattern 'dance'", do=lambda: lab.choose(pattern="dance"))
    checks.refuses(lab, "no policy 'fifo'", do=lambda: lab.choose(policy="fifo"))
    checks.refuses(lab, "2**13", do=lambda: lab.choose(shift=13))
    checks.refuses(lab, "one access at least", do=lambda: lab.make(0))
    checks.refuses(lab, "at least one of ways", do=lambda: lab.choose(ways=0))
    lab.make(None)
    checks.refuses(lab, "have been made", do=lab.step_button.click)
    checks.refuses(lab, "have been made", do=lab.all_button.click)
    with pytest.raises(ValueError, match="no pattern 'dance'"):
        TlbLab("dance")
    with pytest.raises(ValueError, match="power of two"):
        TlbLab(entries=9, ways=2)


def test_measured_times(checks, monkeypatch):
    lab = TranslationLab()
    checks.consistent(lab)
    recorded = recording("host-6.18").translation
    assert state(lab) == recorded
    here = replace(recorded, cpu="Z80", source=Source("live", "9.9"))
    monkeypatch.setattr(reach, "measure", lambda: here)
    lab.read_button.click()
    assert state(lab) == here
    assert f"{recorded.matrices[-1].ratio:.1f} times as long" in lab.message
    assert "live (kernel 9.9)" in lab.alt
    checks.consistent(lab)
    lab.undo()
    assert "recording" in lab.alt


def test_measuring_is_measuring():
    small = reach.measure(sizes=(64,), pages=(4, 16))
    assert [one.size for one in small.matrices] == [64]
    assert [one.pages for one in small.reach] == [4, 16]
    assert all(one.row_ns > 0 and one.column_ns > 0 for one in small.matrices)
    assert small.cpu
    text = reach.format(small)
    again = reach.parse(text, small.source)
    assert reach.format(again) == text


def test_a_damaged_measurement_is_told():
    from mmkit.errors import FormatError

    with pytest.raises(FormatError, match="line 2"):
        reach.parse("cpu\tZ80\nmatrix\t64\tfast\n", Source("live"))
