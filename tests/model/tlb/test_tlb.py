"""One TLB: what it says of itself, what it refuses, and what the examples of the chapter come to."""

from __future__ import annotations

import numpy as np
import pytest

from mmkit import Tlb as PublicTlb
from mmkit.errors import InvariantError
from mmkit.model.tlb import Tlb
from mmkit.model.tlbstate import PLRU, TlbEntry, TlbGeometry
from mmkit.model.trace import Trace


def test_the_public_name():
    assert PublicTlb is Tlb
    assert repr(Tlb(64, 4, name="DTLB")) == "<Tlb DTLB: 0 of 64 entries, 4 ways>"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"entries": 0}, "at least one of entries, not 0"),
        ({"entries": 8, "ways": 0}, "at least one of ways, not 0"),
        ({"entries": 8, "ways": 3}, "8 entries of 3 ways make no power of two of sets"),
        ({"entries": 12, "ways": 4}, "12 entries of 4 ways make no power of two of sets"),
        ({"entries": 8, "shifts": ()}, r"ascending powers of two such as \(12, 21\), not \(\)"),
        ({"entries": 8, "shifts": (21, 12)}, r"not \(21, 12\)"),
        ({"entries": 8, "policy": "fifo"}, "unknown replacement policy 'fifo': choose 'lru' or 'plru'"),
        ({"entries": 12, "policy": PLRU}, "power of two of ways, not 12"),
        ({"entries": 8, "level": 3}, "level 3 for 'id': there are 1 and 2"),
    ],
)
def test_geometries_that_cannot_be(arguments, words):
    with pytest.raises(ValueError, match=words):
        Tlb(**arguments)


def test_geometries_of_the_wrong_type():
    with pytest.raises(TypeError, match=r"entries of a TLB are a whole number, not 8.0"):
        Tlb(8.0)
    with pytest.raises(TypeError, match="ways of a TLB are a whole number, not True"):
        Tlb(8, True)


def test_what_cannot_be_kept_changes_nothing():
    tlb = Tlb(8, 2)
    tlb.access(0x1000)
    before = tlb.snapshot()
    with pytest.raises(ValueError, match=r"holds pages of 2\*\*12 bytes, not of 2\*\*21"):
        tlb.insert(TlbEntry(0, 0, 21))
    with pytest.raises(ValueError, match=r"0x1001 -> 0x2000 is no page of 2\*\*12 bytes"):
        tlb.insert(TlbEntry(0x1001, 0x2000))
    assert tlb.snapshot() == before


def test_reach():
    geometry = TlbGeometry(1536, 12, (12, 21))
    assert (geometry.sets, geometry.reach_bytes, geometry.reach(21), geometry.reach(30)) == (128, 6 << 20, 3 << 30, 0)
    tlb = Tlb(4, shifts=(12, 21))
    tlb.access(0)
    tlb.access(5 << 21, shift=21)
    assert tlb.snapshot().covered_bytes == (1 << 21) + (1 << 12)


def test_global_entries_are_found_in_every_space_and_survive():
    tlb = Tlb(8)
    tlb.insert(TlbEntry(0x1000, 0x8000, asid=1))
    tlb.insert(TlbEntry(0x2000, 0x9000, asid=1, glob=True))
    assert tlb.lookup(0x1000, 2) is None
    assert tlb.lookup(0x2FFF, 2).translate(0x2FFF) == 0x9FFF
    assert tlb.flush_asid(1) == 1
    assert tlb.flush(keep_global=True) == 0
    assert tlb.invlpg(0x2000, 3) == 1
    assert len(tlb) == 0


def test_an_entry_for_the_same_page_is_replaced():
    tlb = Tlb(2, 2)
    tlb.insert(TlbEntry(0x1000, 0x8000, dirty=False))
    assert tlb.insert(TlbEntry(0x1000, 0x8000, dirty=True)) is None
    assert len(tlb) == 1
    assert tlb.lookup(0x1000).dirty


def test_the_486_chooses_by_three_bits():
    # One set of four ways: after 0, 1, 2, 3 the bits point at way 0; using way 0 turns them to the other pair.
    tlb = Tlb(4, 4, policy=PLRU)
    for page in range(4):
        assert not tlb.access(page << 12)
    assert (tlb.snapshot().sets[0].bits, tlb.snapshot().sets[0].victim) == (0b000, 0)
    assert tlb.access(0)
    assert (tlb.snapshot().sets[0].bits, tlb.snapshot().sets[0].victim) == (0b011, 2)
    # True LRU would take way 1, whose page was used longest ago.
    lru = Tlb(4, 4)
    for page in (0, 1, 2, 3, 0):
        lru.access(page << 12)
    assert (lru.snapshot().sets[0].victim, lru.snapshot().sets[0].ages) == (1, (0, 3, 2, 1))


def test_a_flush_tells():
    trace = Trace()
    tlb = Tlb(4, trace=trace)
    tlb.access(0x1000)
    tlb.flush()
    tlb.invlpg(0x1000)
    assert [(event.reason, event.pages) for event in trace.select("tlb_flush")] == [("flush", 1), ("invlpg", 0)]
    assert [event.name for event in trace] == ["tlb_miss", "tlb_fill", "tlb_flush", "tlb_flush"]


def test_check_notices_damage():
    tlb = Tlb(4, 2)
    tlb.access(0x1000)
    tlb._ways[0][1] = tlb._ways[1][0]
    with pytest.raises(InvariantError, match="in the wrong one, or twice"):
        tlb.check()
    tlb._ways[0][1] = tlb._ways[1][0] = None
    with pytest.raises(InvariantError, match="does not say where they are"):
        tlb.check()


def test_what_a_cyclic_walk_does_to_lru():
    # One page more than fits, again and again: true LRU throws each page away just before it is wanted.
    walk = np.tile(np.arange(5, dtype=np.uint64) << np.uint64(12), 100)
    assert Tlb(4).simulate(walk).hit_count == 0
    assert Tlb(8).simulate(walk).miss_count == 5
    # The tree of bits errs once on its way there.
    assert np.flatnonzero(Tlb(4, policy=PLRU).simulate(walk).hits).tolist() == [6]
