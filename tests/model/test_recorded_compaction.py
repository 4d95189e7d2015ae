"""Compaction of a traced 6.1, run again: every step of both scanners, every page that moved, in order.

``echo 1 > /proc/sys/vm/compact_memory`` was traced twice. Before each the model is put into the state of the snapshot
before: the free lists from the memory image, and of the pages in use those on an LRU list (they can move) and the heads
of compound pages (the scanners step over them), from their flags. Allocations and frees between snapshot and compaction
are played. Then the model compacts by itself. All that it is told on its way is what the kernel's per-CPU lists give
back meanwhile of pages that compaction has not moved: where those lie free, room is.
"""

from __future__ import annotations

import numpy as np
import pytest

from mmkit.data import recording
from mmkit.data.events import (
    CompactionBegin,
    CompactionEnd,
    DirectFree,
    IsolateFree,
    IsolateMigrate,
    Marker,
    MigratePages,
    PageAlloc,
    PageFree,
    PcpDrain,
    ZoneTake,
    read_events,
)
from mmkit.model.buddy import BuddyAllocator
from mmkit.model.compaction import Compaction
from mmkit.model.compacttrace import (
    MmCompactionBegin,
    MmCompactionEnd,
    MmCompactionIsolateFreepages,
    MmCompactionIsolateMigratepages,
    MmCompactionMigratepages,
)
from mmkit.model.migratetype import MigrateType
from mmkit.model.pageblock import INSIDE, UNKNOWN
from mmkit.model.trace import Trace
from mmkit.record import replace

NAME = "trace-compact-6.1"
LRU, COMPOUND_HEAD = 1 << 5, 1 << 15
KINDS = {
    CompactionBegin: MmCompactionBegin,
    IsolateMigrate: MmCompactionIsolateMigratepages,
    IsolateFree: MmCompactionIsolateFreepages,
    MigratePages: MmCompactionMigratepages,
    CompactionEnd: MmCompactionEnd,
}
MOVED = {1: 6460, 4: 4404}
STEPS = {1: 279, 4: 222}


def page_flags(k):
    return np.frombuffer(recording(NAME).data(f"snap{k}.kpageflags.bin.gz"), "<u8")


def as_allocated(snapshot, flags):
    """The snapshot, with the uses of pages in use from their flags."""
    pages = bytearray(snapshot.allocated)
    flags = flags[snapshot.start_pfn :]
    for i, byte in enumerate(snapshot.allocated):
        if byte == UNKNOWN and flags[i] & COMPOUND_HEAD:
            rest = flags[i + 1 : i + (1 << 10)] & (1 << 16) == 0
            order = (int(np.argmax(rest)) + 1).bit_length() - 1
            pages[i : i + (1 << order)] = bytes([0x80 | order]) + bytes((1 << order) - 1)
        elif byte == UNKNOWN and flags[i] & LRU:
            pages[i] = 0x80 | MigrateType.MOVABLE << 4
    return replace(snapshot, allocated=bytes(pages))


class Replay:
    """One of the two compactions."""

    def __init__(self, k):
        flags = page_flags(k)
        self.zones = {
            name: BuddyAllocator.from_snapshot(as_allocated(lists, flags))
            for name, lists in recording(NAME).free_lists(k).items()
        }
        self.runs, self.traces, self.pairs, self.freed, self.current = {}, {}, [], [], ""
        self.own, self.freed_by_others = set(), []
        rows = iter(read_events(NAME))
        for row in rows:
            if isinstance(row, Marker) and row.text == f"SYNC-DONE {k}":
                break
        for row in rows:
            if isinstance(row, Marker) and row.text.startswith("SNAP-BEGIN"):
                break
            self.play(row)

    def play(self, row):
        if type(row) in KINDS:
            self.compact(row)
        elif isinstance(row, (PageAlloc, PageFree, ZoneTake, PcpDrain, DirectFree)):
            name = next(name for name, buddy in self.zones.items() if buddy.start_pfn <= row.pfn < buddy.end_pfn)
            if isinstance(row, PageFree):
                (self.freed if name == self.current else self.freed_by_others).append(row.pfn)
            run = self.runs.get(name)
            if not (run and run.done) and row.pfn not in self.own:
                assert not run or isinstance(row, PcpDrain), "nothing else happens during compaction"
                self.allocate(self.zones[name], row)

    def allocate(self, buddy, row):
        match row:
            case ZoneTake():
                assert buddy.alloc(row.order, row.migratetype) == row.pfn
                self.mark(buddy, row.pfn, row.order, UNKNOWN)
            case PageAlloc() if row.order == 0:
                self.mark(buddy, row.pfn, 0, 0x90 if row.migratetype == MigrateType.MOVABLE else UNKNOWN)
            case PageAlloc():
                self.mark(buddy, row.pfn, row.order, 0x80 | row.order if "COMP" in row.gfp else UNKNOWN)
            case PageFree():
                self.mark(buddy, row.pfn, row.order, UNKNOWN)
            case PcpDrain() | DirectFree():
                self.mark(buddy, row.pfn, row.order, UNKNOWN)
                buddy.free(row.pfn, row.order)

    def mark(self, buddy, pfn, order, code):
        rest = UNKNOWN if code == UNKNOWN else INSIDE
        buddy.state[pfn : pfn + (1 << order)] = bytes([code]) + bytes([rest]) * ((1 << order) - 1)

    def compact(self, row):
        """Let the model go on until it, too, says something."""
        if isinstance(row, CompactionBegin):
            self.current = next(name for name, buddy in self.zones.items() if buddy.start_pfn == row.zone_start)
            self.traces[self.current] = Trace()
            self.runs[self.current] = Compaction(self.zones[self.current], trace=self.traces[self.current])
        run, trace = self.runs[self.current], self.traces[self.current]
        seen = len(trace.events)
        while not any(type(event) in KINDS.values() for event in trace.events[seen:]):
            assert run.step()
        self.pairs.append((row, trace.events[-1]))
        # The kernel frees what it moves one by one, the model learns of it when a batch has moved.
        self.own |= {pfn for pfn, _ in run.isolated}
        if isinstance(row, CompactionEnd):
            self.current = ""


@pytest.fixture(scope="module", params=[1, 4])
def replay(request):
    return request.param, Replay(request.param)


def test_every_step_of_both_scanners(replay):
    k, played = replay
    assert len(played.pairs) == STEPS[k] + 9  # the first zone, DMA, has nothing to move
    for row, event in played.pairs:
        assert type(event) is KINDS[type(row)], row
        fields = [name for name in type(event).record_fields if name not in ("sync", "status")]
        assert {name: getattr(event, name) for name in fields} == {name: getattr(row, name) for name in fields}, row
    assert [run.status for run in played.runs.values()] == ["complete", "complete"]


def test_the_very_pages_move_in_the_same_order(replay):
    k, played = replay
    sources = [pfn for pfn, _, _ in played.runs["DMA32"].moved]
    assert len(sources) == MOVED[k]
    assert sources == played.freed


def test_and_go_where_they_went(replay):
    """After it, all that moved is on LRU lists where the model put it, and the large free blocks are the same."""
    k, played = replay
    after = page_flags(k + 1)
    targets = [pfn for _, pfn, _ in played.runs["DMA32"].moved]
    assert len(set(targets)) == MOVED[k]
    gone = {pfn for pfn in targets if not after[pfn] & LRU}
    assert gone <= set(played.freed_by_others)
    assert len(gone) <= 1  # a page of the process that asked for compaction, which has ended since
    for name, lists in recording(NAME).free_lists(k + 1).items():
        buddy = played.zones[name]
        buddy.check()
        for order in (9, 10):
            assert sorted(buddy.free_blocks(order)) == sorted(pfn for pfns in lists.free_lists[order] for pfn in pfns)
