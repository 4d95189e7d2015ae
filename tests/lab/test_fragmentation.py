"""The fragmentation lab and the measuring lab, operated without a browser."""

from __future__ import annotations

import pytest

from mmkit.errors import LiveError
from mmkit.lab.fragbench import MOMENTS, FragBench, Plan
from mmkit.lab.fragmentation import MEMORIES, PICTURES, FragmentationLab
from mmkit.lab.measure import MeasureLab
from mmkit.model.fragmentation import measure
from mmkit.model.snapshot import BuddyInfo, BuddyInfoZone, Source
from mmkit.model.workload import Workload
from mmkit.proc import live


@pytest.fixture
def lab() -> FragmentationLab:
    return FragmentationLab(percent=50)


def state(lab):
    return lab.timeline.current.snapshot


def test_it_starts(lab, checks):
    checks.consistent(lab)
    checks.named(lab)
    assert "workload 1, 10 % unmovable" in lab.message
    assert [history.label for history in state(lab).histories] == ["grouped by mobility", "not grouped"]


def test_run_piece_by_piece_is_the_workload_itself(lab, checks):
    lab.run(10)
    lab.run_all()
    checks.consistent(lab)
    workload = Workload(1, 8192, unmovable=0.1, reclaimable=0.05, long_lived=0.1)
    for grouping, history, occupancy in zip((True, False), state(lab).histories, state(lab).occupancies, strict=True):
        run = workload.run(grouping, MOMENTS)
        assert history == run.history
        assert occupancy == run.occupancy()
    assert "100 % of the workload done" in lab.message


def test_what_cannot_be_run_is_refused_in_words(lab, checks):
    checks.refuses(lab, "1 to 60", "0", do=lambda: lab.run(0))
    lab.run_all()
    checks.refuses(lab, "at its end", do=lab.run_all)
    checks.refuses(lab, "no memory 'mine'", "'grouped by mobility'", do=lambda: lab.compact("mine"))


def test_other_shares_begin_anew_and_run_as_far(lab, checks):
    lab.unmovable_number.slider.value = 40
    assert state(lab).plan == Plan(unmovable=40)
    assert "50 % of it done" in lab.message
    lab.seed_box.value = 7
    assert state(lab).plan == Plan(seed=7, unmovable=40)
    assert len(lab.timeline.ends) == 2, "building again replaces"
    lab.undo()
    assert lab.unmovable_number.value == 10
    checks.consistent(lab)


def test_shares_above_all_are_refused_and_the_controls_follow(lab, checks):
    before = state(lab)
    lab.build(unmovable=60, reclaimable=50)
    assert "Nothing has changed" in lab.message
    assert state(lab) == before
    assert (lab.unmovable_number.value, lab.reclaimable_number.value) == (10, 5)
    checks.consistent(lab)


@pytest.mark.parametrize("memory", MEMORIES)
def test_compaction_in_steps_and_at_once_come_to_the_same(lab, checks, memory):
    lab.run_all()
    which = MEMORIES[memory]
    lab.compact(memory)
    at_once = state(lab).compactions[which]
    checks.consistent(lab)
    assert at_once.done
    assert f"{sum(1 << order for _, _, order in at_once.moved):,} pages moved" in lab.message
    lab.undo()
    for _ in range(30):
        lab.compact_step(memory)
    assert not state(lab).compactions[which].done
    lab.compact(memory)
    assert state(lab).compactions[which] == at_once
    assert state(lab).compactions[1 - which] is None


def test_each_step_of_a_cluster_can_be_looked_at(lab):
    lab.run_all()
    lab.compact("grouped by mobility")
    assert len(lab.timeline) > 20
    lab.go(10)
    assert lab.timeline.current.event is not None
    assert "Compaction of 8,192 pages" in lab.alt


def test_acting_after_going_back_starts_from_there(lab, checks):
    lab.run_all()
    done = state(lab)
    lab.compact("not grouped")
    lab.undo()
    lab.undo()
    lab.run_all()
    assert state(lab).histories == done.histories
    assert state(lab).occupancies == done.occupancies
    checks.consistent(lab)


def test_running_on_ends_a_compaction_and_gives_its_room_back(lab):
    lab.compact_step("grouped by mobility")
    for _ in range(20):
        lab.compact_step("grouped by mobility")
    lab.run(1)
    assert state(lab).compactions == (None, None)
    for run in lab.model.runs:
        run.check()


def test_every_picture(lab, checks):
    lab.compact("not grouped")
    seen = set()
    for picture in PICTURES:
        for memory in MEMORIES:
            lab.memory_menu.label, lab.picture_menu.label = memory, picture
            checks.consistent(lab)
            seen.add(lab.alt)
    assert len(seen) == 6  # history, indices and measures show both memories; a memory not compacted shows its pages


def test_a_bench_goes_on_from_its_state():
    bench = FragBench(Plan(seed=4, unmovable=20))
    bench.advance(30)
    bench.step(0)
    bench.compact(0)
    bench.advance(2)
    bench.compact(1)
    again = FragBench(state=bench.snapshot())
    assert again.snapshot() == bench.snapshot()
    bench.advance(28)
    again.advance(28)
    assert again.snapshot() == bench.snapshot()


# -- measuring --------------------------------------------------------------------------------------------------------


def test_measures_of_recordings(checks):
    lab = MeasureLab()
    checks.consistent(lab)
    checks.named(lab)
    lab.source_menu.value = "host-6.18"
    checks.consistent(lab)
    assert "Normal of node 0: order 10" in lab.message
    assert "1,171,698 pages free" in lab.alt
    lab.undo()
    assert "amd64-4g" in lab.alt
    checks.refuses(lab, "no recording 'mine'", do=lambda: lab.choose("mine"))
    with pytest.raises(ValueError, match="no recording 'mine'"):
        MeasureLab("mine")


def test_this_machine_is_measured(checks, monkeypatch):
    lab, here = MeasureLab(), Source("live", "9.9")
    monkeypatch.setattr(live, "buddyinfo", lambda: BuddyInfo(here, (BuddyInfoZone(0, "Normal", (5, 0, 0)),)))
    lab.read_button.click()
    checks.consistent(lab)
    assert state(lab) == (measure((5, 0, 0), here, "Normal"),)
    assert "live (kernel 9.9); largest free block: Normal of node 0: order 0" in lab.message


def test_without_linux_the_reason_is_told(checks, monkeypatch):
    def refused() -> None:
        raise LiveError("/proc/buddyinfo is a file of Linux; this machine runs Plan9")

    monkeypatch.setattr(live, "buddyinfo", refused)
    lab = MeasureLab()
    checks.refuses(lab, "Plan9", do=lab.read)
