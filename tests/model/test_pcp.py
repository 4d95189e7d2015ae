"""Per-CPU lists: batch and high of every recording, which list, which end, how much moves."""

import pytest

from mmkit.model.migratetype import MigrateType
from mmkit.model.pcp import (
    NR_LISTS,
    PerCpuLists,
    Tuning61,
    Tuning618,
    batch_size,
    high_size,
    list_index,
    make_tuning,
    tuning_from_snapshot,
)
from tests.model.zonefiles import DATA, NAMES, SETTINGS, kernel_of, read_sysctl, read_zones

FILES = [DATA / name / "zoneinfo" for name in NAMES] + SETTINGS
U, M, R, H = MigrateType.UNMOVABLE, MigrateType.MOVABLE, MigrateType.RECLAIMABLE, MigrateType.HIGHATOMIC


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(DATA)))
def test_batch_and_high_of_a_recording(path):
    zones = read_zones(path.read_text())
    sysctl = path.with_suffix(".sysctl")
    fraction = read_sysctl(sysctl.read_text())["percpu_pagelist_high_fraction"][0] if sysctl.is_file() else 0
    for zone in zones:
        cpus_here = len(zone["pcp"]) // len({z["node"] for z in zones})
        for pcp in zone["pcp"]:
            tuning = make_tuning(
                kernel_of(path.relative_to(DATA).parts[0]), zone["managed"], zone["low"], cpus_here, fraction
            )
            assert tuning.batch == pcp["batch"]
            if "high_min" in pcp:
                assert (tuning.high_min, tuning.high_max) == (pcp["high_min"], pcp["high_max"])
                assert pcp["high"] == 0 or pcp["high_min"] <= pcp["high"] <= pcp["high_max"]
            elif isinstance(tuning, Tuning618):  # 6.12 has the bounds and does not print them
                assert tuning.high_min <= pcp["high"] <= tuning.high_max or pcp["high"] == 0
            else:
                assert tuning.high == pcp["high"]


def test_sizes():
    assert [batch_size(pages) for pages in (0, 16, 3840, 4 << 12, 1 << 17, 1 << 18, 1 << 30)] == [
        1,
        1,
        1,
        3,
        31,
        63,
        63,
    ]
    assert high_size(1000, 2, 31) == 500
    assert high_size(100, 2, 31) == 124
    assert high_size(100, 0, 1) == 100  # a node without CPUs


def test_list_of_a_block():
    assert [list_index(0, U), list_index(0, M), list_index(0, R), list_index(0, H)] == [0, 1, 2, 1]
    assert [list_index(3, R), list_index(9, M), list_index(9, U), list_index(9, R)] == [11, 13, 12, 12]
    lists = PerCpuLists(0, Tuning61(1, 4))
    assert [lists.order_of(index) for index in range(NR_LISTS)] == [0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3, 9, 9]
    assert [order for order in range(11) if lists.covers(order)] == [0, 1, 2, 3, 9]
    assert [order for order in range(11) if PerCpuLists(0, Tuning61(1, 4), None).covers(order)] == [0, 1, 2, 3]


def filled():
    lists = PerCpuLists(0, Tuning61(batch=4, high=20))
    for pfn in (10, 11, 12):
        lists.append(pfn, 0, U)
    lists.append(20, 0, M)
    lists.append(32, 1, U)
    return lists


def test_ends_of_the_lists():
    lists = filled()
    lists.give(9, 0, U)
    assert lists.lists[0] == (9, 10, 11, 12)
    assert lists.count == 7
    assert lists.take(0, U) == 9
    assert lists.has(1, U)
    assert not lists.has(1, M)
    assert lists.count == 6


def test_drain_empties_list_after_list_from_the_tails():
    lists = filled()
    assert list(lists.drain(4)) == [(12, 0, 0), (11, 0, 0), (10, 0, 0), (20, 0, 1)]
    assert lists.count == 2
    assert list(lists.drain(1, first_index=5)) == [(32, 1, 3)]
    assert list(lists.drain(100)) == []


def test_drain_starts_at_the_list_of_the_freed_block():
    assert [pfn for pfn, _, _ in filled().drain(3, first_index=list_index(1, U))] == [32, 12]


def test_6_1_gives_back_twice_as_much_each_time_until_something_is_allocated():
    tuning = Tuning61(batch=31, high=813)
    assert [tuning.surplus(0, 813, False) for _ in range(7)] == [31, 62, 124, 248, 496, 782, 782]
    tuning.note_alloc()
    assert tuning.free_factor == 2
    assert tuning.surplus(0, 813, False) == 124
    assert tuning.surplus(0, 812, False) == 0


def test_6_1_gives_everything_back_when_larger_blocks_are_freed_in_a_run():
    tuning = Tuning61(batch=31, high=813)
    assert tuning.surplus(2, 100, False) == 0
    tuning.surplus(0, 900, False)
    assert tuning.surplus(2, 100, False) == 100
    assert tuning.surplus(9, 600, False) == 0  # huge pages do not count as such


def test_6_1_refills():
    tuning = Tuning61(batch=31, high=813)
    assert [tuning.refill(order, 0, False) for order in (0, 1, 2, 3, 9)] == [31, 15, 7, 3, 2]
    assert [Tuning61(batch=1, high=4).refill(order, 0, False) for order in (0, 3)] == [1, 1]
    assert Tuning61(batch=4, high=3).surplus(0, 5, False) == 1


def test_6_18_refills_double_while_nothing_is_freed_and_high_grows():
    tuning = make_tuning("6.18", managed=3_506_176, low=17_337, nr_cpus=2)
    assert (tuning.batch, tuning.high, tuning.high_min, tuning.high_max) == (63, 0, 8668, 219_136)
    assert [tuning.refill(0, 0, False) for _ in range(7)] == [63, 126, 252, 504, 1008, 2016, 2016]
    assert tuning.high == 8668 + 63 + 126 + 252 + 504 + 1008 + 2016 + 2016
    assert [tuning.refill(order, 0, True) for order in (1, 2, 3, 9)] == [31, 15, 7, 2]
    tuning.surplus(0, 1, False)
    assert tuning.alloc_factor == 2


def test_6_18_refill_leaves_room_below_high():
    tuning = Tuning618(63, 300, 300, 300, alloc_factor=5)
    assert tuning.refill(0, 100, False) == 300 - 100 - 63
    assert tuning.refill(0, 290, False) == 63


def test_6_18_gives_back_what_was_freed_lately():
    tuning = Tuning618(batch=63, high=700, high_min=700, high_max=700)
    assert [tuning.surplus(0, count, False) for count in range(600, 701)][-2:] == [0, 101]
    tuning.note_alloc()
    assert tuning.free_count == 50
    assert tuning.surplus(0, 700, False) == 63


def test_6_18_high_grows_at_the_top_and_shrinks_when_the_zone_runs_low():
    tuning = Tuning618(batch=63, high=700, high_min=300, high_max=4000, free_count=1000)
    assert tuning.surplus(0, 700, False) == 637
    assert tuning.high == 1001 + 63
    assert tuning.surplus(0, 700, True) == 637
    assert tuning.high == 300
    assert tuning.refill(0, 0, True) == 63
    assert tuning.high == 300


def test_6_18_gives_much_back_when_larger_blocks_are_freed_in_a_run():
    tuning = Tuning618(batch=63, high=700, high_min=300, high_max=4000, free_count=300)
    assert tuning.surplus(2, 500, False) == 0
    assert tuning.surplus(2, 500, False) == 500
    assert tuning.high == 300
    assert tuning.surplus(0, 299, False) == 0
    assert tuning.surplus(2, 299, False) == 0


@pytest.mark.parametrize("tuning", [Tuning61(31, 813, 2), Tuning618(63, 700, 300, 4000, 3, 17, True)])
def test_a_snapshot_brings_back_lists_and_memory(tuning):
    lists = PerCpuLists(1, tuning)
    lists.give(7, 0, M)
    lists.give(512, 9, M)
    again = PerCpuLists.from_snapshot(lists.snapshot())
    assert again.snapshot() == lists.snapshot()
    assert again.count == 513
    assert again.tuning == tuning == tuning_from_snapshot(lists.snapshot())


def test_too_many_lists_are_refused():
    with pytest.raises(ValueError, match="14 lists, not 15"):
        filled().load([()] * 15)
