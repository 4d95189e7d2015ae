"""The bench of the TLB lab: a TLB, a sequence of accesses, and how far it has come."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mmkit.data import matrix_walks
from mmkit.model.tlb import Tlb
from mmkit.model.tlb.maps import trace_map
from mmkit.model.tlbstate import LRU, PLRU, TlbEntry, TlbRun, TraceMap
from mmkit.model.trace import Trace
from mmkit.record import Record, field
from mmkit.view.tlb import accesses

BASE, PAGE, RECENT = 0x40_0000, 4096, 48
TOLD = 12
"""So many accesses of one press are told one by one."""
Words = NDArray[np.uint64]


class Pattern(NamedTuple):
    """A sequence of accesses: how it is made, and, if there are two processes, how many accesses they make in turn."""

    make: Callable[[], Words]
    slice: int = 0


def _pages(pages: NDArray[np.int64]) -> Words:
    found: Words = (BASE + pages * PAGE).astype(np.uint64)
    return found


def _matrix(by_rows: bool) -> Words:
    """16 rows of a page, of which every 32nd number is read: 16 numbers a row."""
    rows, columns = np.divmod(np.arange(256), 16)
    if not by_rows:
        rows, columns = columns, rows
    found: Words = (BASE + rows * PAGE + columns * 256).astype(np.uint64)
    return found


PATTERNS: dict[str, Pattern] = {
    "small matrix row by row": Pattern(lambda: _matrix(True)),
    "small matrix column by column": Pattern(lambda: _matrix(False)),
    "eight pages in turn": Pattern(lambda: _pages(np.arange(160) % 8)),
    "nine pages in turn": Pattern(lambda: _pages(np.arange(180) % 9)),
    "every eighth page": Pattern(lambda: _pages(np.arange(160) % 8 * 8)),
    "random pages": Pattern(lambda: _pages(np.random.default_rng(1).integers(0, 16, 200))),
    "mostly a few pages": Pattern(lambda: _pages((np.random.default_rng(2).zipf(1.6, 300) - 1) % 64)),
    "two processes in turn": Pattern(lambda: _pages(np.arange(200) % 4), slice=20),
    "recorded: matrix row by row": Pattern(lambda: matrix_walks().rows),
    "recorded: matrix column by column": Pattern(lambda: matrix_walks().columns),
    "recorded: hash table": Pattern(lambda: matrix_walks().table),
}
"""What can be played, by its name."""
GEOMETRIES = {
    "8 entries, 4 sets of 2": (8, 2),
    "8 entries, any page anywhere": (8, 8),
    "8 entries, 8 sets of 1": (8, 1),
    "32 entries, 8 sets of 4 (Intel486)": (32, 4),
    "64 entries, 16 sets of 4 (Skylake data)": (64, 4),
    "72 entries, any page anywhere (Zen 4 data)": (72, 72),
    "1536 entries, 128 sets of 12 (Skylake, second level)": (1536, 12),
}
"""Entries and ways."""
PAGES = {"4 KiB": 12, "64 KiB": 16, "2 MiB": 21}
POLICIES = {"LRU": LRU, "pseudo-LRU": PLRU}
SWITCHES = {"keep them (ASIDs)": False, "throw all away": True}
"""What happens to translations when the process changes."""


class Setting(Record):
    """All that is chosen."""

    pattern: str
    entries: int
    ways: int
    policy: str
    shift: int
    flush: bool


class TlbBenchState(Record):
    """What the timeline keeps."""

    setting: Setting
    run: TlbRun
    map: TraceMap = field(repr=False)


class TlbBench:
    """A TLB, empty at first, and a sequence that is played through it.

    Raises ValueError for a geometry that cannot be.
    """

    def __init__(self, setting: Setting, done: int = 0, trace: Trace | None = None) -> None:
        self.trace = trace
        self.set_up(setting)
        self._play(done)

    def set_up(self, setting: Setting) -> str:
        """Begin anew. Raises ValueError for a geometry that cannot be; nothing has changed then."""
        tlb = Tlb(setting.entries, setting.ways, shifts=(setting.shift,), policy=setting.policy)
        pattern = PATTERNS[setting.pattern]
        self.setting, self.tlb, self.done = setting, tlb, 0
        self.addresses = pattern.make()
        self.asids = np.arange(len(self.addresses)) // pattern.slice % 2 if pattern.slice else None
        self.recent: list[tuple[int, int, bool]] = []
        self.evicted: TlbEntry | None = None
        self.map = trace_map(
            self.title, self.addresses, tlb.geometry, asids=0 if self.asids is None else self.asids,
            flush_on_switch=setting.flush,
        )  # fmt: skip
        return f"{setting.pattern}: {accesses(len(self.addresses))}, none made yet"

    @property
    def title(self) -> str:
        """What the pictures call the sequence."""
        return self.setting.pattern[:1].upper() + self.setting.pattern[1:]

    def snapshot(self) -> TlbBenchState:
        """Return the frozen state."""
        run = TlbRun(
            self.title, self.tlb.snapshot(), self.done, len(self.addresses), tuple(self.recent[-RECENT:]), self.evicted
        )  # fmt: skip
        return TlbBenchState(self.setting, run, self.map)

    def step(self, count: int) -> str:
        """Make so many accesses more; a few of them are told one by one. Raises ValueError if none is left."""
        if self.done == len(self.addresses):
            raise ValueError(f"all {self.done:,} accesses have been made: begin anew")
        before = self.tlb.hits, self.done
        self.tlb.trace = self.trace if count <= TOLD else None
        self._play(count)
        self.tlb.trace = None
        made, hits = self.done - before[1], self.tlb.hits - before[0]
        return ("a hit" if hits else "a miss") if made == 1 else f"{accesses(made)}, {hits:,} of them hits"

    def _play(self, count: int) -> None:
        for number in range(self.done, min(self.done + count, len(self.addresses))):
            addr = int(self.addresses[number])
            asid = int(self.asids[number]) if self.asids is not None else 0
            if self.setting.flush and number and asid != self.recent[-1][1]:
                self.tlb.flush()
            hit, self.evicted = self._access(addr, asid)
            self.done = number + 1
            self.recent.append((addr, asid, hit))
            del self.recent[:-RECENT]

    def _access(self, addr: int, asid: int) -> tuple[bool, TlbEntry | None]:
        """Access an address; returns whether it hit, and what had to go."""
        if self.tlb.lookup(addr, asid) is not None:
            return True, None
        page = addr >> self.setting.shift << self.setting.shift
        return False, self.tlb.insert(TlbEntry(page, page, self.setting.shift, asid))


def played(
    pattern: str, entries: int = 8, ways: int = 2, done: int | None = None, policy: str = LRU, flush: bool = False
) -> TlbBenchState:
    """Return the state of a TLB after so many accesses of a pattern (None: all).

    >>> played("nine pages in turn", entries=8, ways=8).run.hits
    0
    """
    bench = TlbBench(Setting(pattern, entries, ways, policy, 12, flush))
    bench.step(len(bench.addresses) if done is None else done)
    return bench.snapshot()
