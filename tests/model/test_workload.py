"""Workloads: the same every time, the same for both ways, and the lesson that grouping by mobility teaches."""

from __future__ import annotations

from collections import Counter
from statistics import mean

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmkit import MigrateType
from mmkit.errors import InvariantError
from mmkit.model.fragmentation import measure
from mmkit.model.workload import PAGE_SIZE, Run, Workload, success_rate

U, M, R = MigrateType.UNMOVABLE, MigrateType.MOVABLE, MigrateType.RECLAIMABLE
SHARES = st.floats(0, 1)


@given(
    seed=st.integers(0, 1000),
    unmovable=st.floats(0, 0.6),
    reclaimable=st.floats(0, 0.4),
    long_lived=SHARES,
    occupancy=st.floats(0.05, 1),
    grouping=st.booleans(),
    steps=st.lists(st.integers(0, 400), max_size=5),
)
def test_any_workload_leaves_everything_in_order(seed, unmovable, reclaimable, long_lived, occupancy, grouping, steps):
    workload = Workload(
        seed,
        512,
        unmovable=unmovable,
        reclaimable=reclaimable,
        long_lived=long_lived,
        occupancy=occupancy,
        max_order=6,
        pageblock_order=4,
    )
    run = Run(workload, grouping)
    for nr_steps in steps:
        run.advance(nr_steps)
        run.note()
        run.check()
    run.advance(len(workload.steps))
    run.check()
    assert run.done
    assert run.nr_done == len(workload.steps)
    compaction = run.compaction()
    free = run.buddy.free_pages
    compaction.run()
    compaction.check()
    run.check()
    assert run.buddy.free_pages == free
    assert [moment.step for moment in run.history.moments][1:] == sorted(moment.step for moment in run.history.moments)[
        1:
    ]


def test_a_stream_takes_and_gives_back_and_keeps_below_its_limit():
    workload = Workload(3, unmovable=0.3, occupancy=0.5)
    used, live, most = 0, set(), 0
    for step in workload.steps:
        if step >= 0:
            assert step not in live
            live.add(step)
            used += 1 << workload.requests[step].order
        else:
            live.remove(~step)
            used -= 1 << workload.requests[~step].order
        most = max(most, used)
    assert 0.49 * workload.nr_pages < most <= 0.5 * workload.nr_pages
    # In the end only what is long-lived is there.
    assert live
    assert all(workload.requests[i].long_lived for i in live)
    assert sorted(step for step in workload.steps if step >= 0) == list(range(len(workload.requests)))


def test_requests_are_as_the_shares_say():
    workload = Workload(7, 1 << 14, unmovable=0.3, reclaimable=0.2, long_lived=0.25, orders=(0.5, 0.25, 0.25))
    total = len(workload.requests)
    kinds = Counter(map(workload.kind_of, workload.requests))
    assert abs(kinds[U] / total - 0.3) < 0.02
    assert abs(kinds[R] / total - 0.2) < 0.02
    assert abs(sum(request.long_lived for request in workload.requests) / total - 0.25) < 0.02
    orders = Counter(request.order for request in workload.requests)
    assert [abs(orders[order] / total - share) < 0.02 for order, share in enumerate((0.5, 0.25, 0.25))] == [True] * 3
    for request in workload.requests:
        most = PAGE_SIZE << request.order
        assert (most // 2 if request.order else 0) < request.nbytes <= most


def test_equal_seeds_are_equal_and_others_are_not():
    one, same, other = Workload(1), Workload(1), Workload(2)
    assert (one.requests, one.steps) == (same.requests, same.steps)
    assert one.steps != other.steps
    assert one.run().history == same.run().history
    # The streams of today: a change of them changes every picture that was drawn of one.
    assert (len(one.steps), one.requests[0][:3], one.steps[-4:]) == EXPECTED


EXPECTED = (25472, (1, 5064, False), [-11024, -11025, -11026, -11027])


def test_shares_change_types_and_nothing_else():
    one = Workload(5, unmovable=0)
    other = one.with_shares(0.4, 0.1)
    assert other.steps is one.steps
    assert Counter(map(other.kind_of, other.requests))[U] > 0.35 * len(one.requests)
    assert (one.unmovable, one.reclaimable) == (0, 0.05)
    assert (
        repr(other) == "Workload(seed=5, nr_pages=8192, unmovable=0.4, reclaimable=0.1, long_lived=0.1, occupancy=0.95)"
    )
    # What is unmovable at a small share is so at a larger one.
    few = one.with_shares(0.1, 0)
    assert all(other.kind_of(r) == U for r in one.requests if few.kind_of(r) == U)


def test_history_and_failures():
    workload = Workload(2, unmovable=0.2, orders=(0.5,) + (0.05,) * 10, occupancy=1, nr_pages=1 << 12)
    run = workload.run(moments=40)
    history = run.history
    assert (history.label, history.nr_pages, len(history.moments)) == ("grouped by mobility", 4096, 41)
    assert str(history.source) == "model, workload 2, grouped by mobility"
    first, last = history.moments[0], history.moments[-1]
    assert (first.step, first.used_pages, first.counts) == (0, 0, (0,) * 10 + (4,))
    assert (last.step, last.counts) == (len(workload.steps), run.buddy.counts())
    assert last.failures == tuple(run.failures)
    assert sum(last.failures) > 0
    # Failures only grow; pages in use are what is not free.
    for before, after in zip(history.moments, history.moments[1:], strict=False):
        assert all(a <= b for a, b in zip(before.failures, after.failures, strict=True))
    for moment in history.moments:
        assert moment.used_pages == 4096 - measure(moment.counts).free_pages
    assert workload.run(moments=0).history.moments == (first,)
    assert workload.run(False, 3).history.label == "not grouped"


def test_mixed_pageblocks_are_counted_as_defined():
    run = Workload(4, 1 << 12, unmovable=0.3).run(grouping=False)
    blocks = {}
    for i, pfn in enumerate(run.pfns):
        if pfn is not None:
            kind = run.workload.kind_of(run.workload.requests[i])
            blocks.setdefault(pfn >> 9, set()).add(kind == M)
    assert run.moment().mixed_blocks == sum(len(kinds) == 2 for kinds in blocks.values()) > 4


def test_internal_and_external_fragmentation_on_one_map():
    run = Workload(6, 1 << 12, unmovable=0.2).run()
    found = run.occupancy()
    live = [(pfn, run.workload.requests[i]) for i, pfn in enumerate(run.pfns) if pfn is not None]
    assert found.requested == tuple(sorted((pfn, request.nbytes) for pfn, request in live))
    assert found.requested_bytes == sum(request.nbytes for _, request in live)
    assert found.allocated_bytes == sum(PAGE_SIZE << request.order for _, request in live)
    assert found.allocated_bytes == PAGE_SIZE * (4096 - found.buddy.free_pages)
    assert 0.6 < found.requested_bytes / found.allocated_bytes < 0.9


def test_without_grouping_all_is_of_one_type_but_its_use_is_noted():
    run = Workload(1, unmovable=0.3, reclaimable=0.1).run(grouping=False)
    snapshot = run.buddy.snapshot()
    assert set(snapshot.pageblocks) == {U}
    assert all(not pfns for lists in snapshot.free_lists for pfns in lists[1:])
    assert {kind for _, _, kind in snapshot.allocated_blocks} == {U, M, R}
    # Compaction that respects types finds no pageblock to move to; the kernel's last attempt does not respect them.
    assert run.buddy.compact() == 0
    assert run.compaction().run() > 0


def test_compaction_tells_the_workload():
    run = Workload(9, unmovable=0.2).run()
    before = dict(enumerate(run.pfns))
    compaction = run.compaction()
    compaction.run()
    assert compaction.moved
    changed = {i for i, pfn in enumerate(run.pfns) if before[i] != pfn}
    assert len(changed) > 500
    assert {run.workload.kind_of(run.workload.requests[i]) for i in changed} == {M}
    run.check()
    run.pfns[next(iter(changed))] = None
    with pytest.raises(InvariantError, match="blocks are in use, but"):
        run.check()


def test_grouping_keeps_pageblocks_clean_and_large_blocks_obtainable():
    """The lesson, on the first seeds that there are: with unmovable requests, only grouping leaves large blocks."""
    seeds, shares = range(6), (0, 0.05, 0.2)
    grouped, mixed = (success_rate(9, shares, seeds, grouping) for grouping in (True, False))
    assert (grouped.label, mixed.label, grouped.order) == ("grouped by mobility", "not grouped", 9)
    assert grouped.shares == mixed.shares == shares
    assert all(len(rates) == 6 for rates in (*grouped.rates, *mixed.rates))
    assert all(0 <= rate <= 1 for rates in (*grouped.rates, *mixed.rates) for rate in rates)
    # Where all can be moved, grouping changes nothing.
    assert grouped.rates[0] == mixed.rates[0]
    assert mean(grouped.rates[0]) > 0.8
    for share in (1, 2):
        assert mean(grouped.rates[share]) > 0.5
        assert mean(mixed.rates[share]) < 0.1
    histories = [Workload(1, unmovable=0.1).run(grouping).history for grouping in (True, False)]
    worst = [max(moment.mixed_blocks for moment in history.moments) for history in histories]
    assert worst[0] < worst[1] / 2


def test_compaction_is_what_makes_large_blocks():
    """Grouping alone leaves pageblocks that can be cleared; cleared they are by compaction."""
    shares, seeds = (0.1,), range(4)
    assert mean(success_rate(9, shares, seeds, compact=False).rates[0]) < mean(success_rate(9, shares, seeds).rates[0])


def test_obtainable():
    run = Run(Workload(0, 1 << 10))
    assert run.obtainable(10) == run.obtainable(9) == run.obtainable(0) == 1
    run.buddy.alloc(0)
    assert run.obtainable(9) == 1
    assert run.obtainable(10) == 0
    full = Run(Workload(0, 1 << 10))
    full.buddy.alloc(10)
    assert full.obtainable(3) == 0


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ({"unmovable": 1.1}, "unmovable is 1.1, must be a share, between 0 and 1"),
        ({"reclaimable": -0.1}, "reclaimable is -0.1, must be a share, between 0 and 1"),
        ({"long_lived": 2}, "long_lived is 2, must be a share, between 0 and 1"),
        ({"unmovable": 0.7, "reclaimable": 0.4}, "unmovable and reclaimable are 0.7 and 0.4: together above 1"),
        ({"occupancy": 0}, "occupancy is 0, must be above 0 and at most 1"),
        ({"orders": ()}, "shares of orders 0 to at most 10 are wanted"),
        ({"orders": (0, 0)}, "shares of orders 0 to at most 10 are wanted"),
        ({"orders": (1, -1)}, "shares of orders 0 to at most 10 are wanted"),
        ({"orders": (1,) * 12}, "shares of orders 0 to at most 10 are wanted"),
        ({"nr_pages": 8}, "nr_pages is 8 and turnover 3: nothing would fit"),
        ({"turnover": 0}, "nr_pages is 8192 and turnover 0: nothing would fit"),
    ],
)
def test_arguments(arguments, why):
    with pytest.raises(ValueError, match=why):
        Workload(**arguments)
    if set(arguments) <= {"unmovable", "reclaimable"}:
        with pytest.raises(ValueError, match=why):
            Workload().with_shares(arguments.get("unmovable", 0), arguments.get("reclaimable", 0))
