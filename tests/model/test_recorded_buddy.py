"""The buddy lists of traced kernels, two 6.1 and a 6.12, replayed: the very page of every take, every list in order.

The model starts from the free lists in the memory image of snapshot 0. It is then told only what was asked for: takes
(Z) by order and type, gives (D, G) by page. Whether a claimed pageblock changes its type is read from the recording
(X), since the trace does not hold how many pages in use were alike. A fallback in 6.12 takes the page itself (X, no Z);
its rules are those of the model's "6.18", though all its fallbacks are of one kind: whole pageblocks.
"""

from __future__ import annotations

import pytest

from mmkit.data.events import DirectFree, Extfrag, Marker, PcpDrain, ZoneTake, read_events
from mmkit.data.lists import read_lists
from mmkit.model.buddy import BuddyAllocator
from mmkit.model.migratetype import NR_MIGRATETYPES
from mmkit.model.trace import MmPageAllocExtfrag, Trace

TAKES = {"trace-buddy-6.1": 13_651, "trace-fallback-6.1": 27_116, "trace-frag-6.12": 20_612 + 4}
SNAPSHOTS = {"trace-buddy-6.1": 6, "trace-fallback-6.1": 2, "trace-frag-6.12": 2}
FALLBACKS = {"trace-buddy-6.1": 2, "trace-fallback-6.1": 5, "trace-frag-6.12": 4}


class Recorded(BuddyAllocator):
    """Claims the pageblocks that the kernel claimed."""

    kernels: Extfrag | None = None

    def claims_pageblock(self, pfn, migratetype, free_pages, alike_pages):
        assert self.kernels
        assert (self.kernels.pfn, self.kernels.migratetype) == (pfn, migratetype)
        return self.kernels.change_ownership


class Replay:
    """What the model did where the kernel did something."""

    def __init__(self, name):
        self.name, self.trace = name, Trace()
        self.takes, self.fallbacks, self.snapshots = [], [], {}
        zones = read_lists(name, 0)
        self.quick = {zone: Recorded.from_snapshot(lists) for zone, lists in zones.items()}
        self.told = {zone: Recorded.from_snapshot(lists, self.trace) for zone, lists in zones.items()}
        for row in read_events(name):
            if isinstance(row, Marker):
                self.mark(row.text)
            elif isinstance(row, (Extfrag, ZoneTake, PcpDrain, DirectFree)):
                self.play(row)

    def mark(self, text):
        word, *number = text.split()
        if word == "SNAP-BEGIN":
            for buddy in self.quick.values():
                buddy.check()
            self.snapshots[int(number[0])] = {zone: buddy.snapshot() for zone, buddy in self.quick.items()}

    def play(self, row):
        zone = next(name for name, buddy in self.quick.items() if buddy.start_pfn <= row.pfn < buddy.end_pfn)
        for buddy in (self.quick[zone], self.told[zone]):
            match row:
                case Extfrag() if buddy.kernel == "6.1":
                    buddy.kernels = row
                case Extfrag() | ZoneTake():
                    buddy.kernels = row if isinstance(row, Extfrag) else buddy.kernels
                    self.takes.append((row.line_no, row.pfn, buddy.alloc(row.order, row.migratetype)))
                case PcpDrain():
                    buddy.free(row.pfn, row.order, row.migratetype)
                case DirectFree():
                    buddy.free(row.pfn, row.order)
        if isinstance(row, Extfrag):
            self.fallbacks.append(MmPageAllocExtfrag(*row[4:]))


@pytest.fixture(scope="module", params=TAKES)
def replay(request):
    return Replay(request.param)


def test_the_very_page_is_named_for_every_take(replay):
    assert len(replay.takes) == 2 * TAKES[replay.name]
    assert [(line_no, hex(ours)) for line_no, kernels, ours in replay.takes if kernels != ours] == []


def test_all_lists_are_the_kernels_in_order(replay):
    assert sorted(replay.snapshots) == [*range(SNAPSHOTS[replay.name] + 1)]
    for k, zones in replay.snapshots.items():
        kernels = read_lists(replay.name, k)
        assert sum(len(lists) for zone in zones.values() for lists in zone.free_lists) == 2 * 11 * NR_MIGRATETYPES
        for name, zone in zones.items():
            assert zone.free_lists == kernels[name].free_lists, (k, name)
            assert zone.pageblocks == kernels[name].pageblocks, (k, name)


def test_fallbacks_are_the_kernels(replay):
    assert replay.trace.select("mm_page_alloc_extfrag") == replay.fallbacks
    assert len(replay.fallbacks) == FALLBACKS[replay.name]


def test_listening_changes_nothing(replay):
    assert {zone: buddy.snapshot() for zone, buddy in replay.told.items()} == {
        zone: buddy.snapshot() for zone, buddy in replay.quick.items()
    }


@pytest.mark.parametrize("name", TAKES)
def test_recorded_lists_survive_the_round_trip(name):
    for k in range(SNAPSHOTS[name] + 1):
        for lists in read_lists(name, k).values():
            assert BuddyAllocator.from_snapshot(lists).snapshot() == lists
