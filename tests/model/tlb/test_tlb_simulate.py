"""``simulate`` gives, access by access, what the step model gives and what a plain loop gives."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from naive_tlb import NaiveTlb, plain_loop

from mmkit.model.tlb import Tlb, lanes, strip
from mmkit.model.tlb.lanes import simulate_lanes
from mmkit.model.tlb.loop import loop_lru

GEOMETRIES = st.tuples(st.sampled_from([1, 2, 4, 16]), st.sampled_from([1, 2, 3, 4, 8, 12]))


@st.composite
def traces(draw):
    """Page numbers of the kinds that programs make: scattered, looping, striding, repeating, far apart."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    parts = []
    for _ in range(draw(st.integers(0, 5))):
        length = draw(st.integers(1, 300))
        base = draw(st.sampled_from([0, 5, 1 << 20, 0x7FFF_FFFF_F, (1 << 52) - 400]))
        kind = draw(st.sampled_from(["scattered", "loop", "stride", "repeat"]))
        if kind == "scattered":
            part = rng.integers(0, draw(st.integers(1, 60)), length)
        elif kind == "loop":
            part = np.resize(rng.integers(0, 40, draw(st.integers(1, 20))), length)
        elif kind == "stride":
            part = np.arange(length) * draw(st.integers(1, 8)) % 300
        else:
            part = np.repeat(rng.integers(0, 40, length), rng.integers(1, 4, length))
        parts.append(part.astype(np.uint64) + np.uint64(base))
    return np.concatenate(parts) if parts else np.empty(0, np.uint64)


def addresses(pages, rng_seed=0):
    offsets = np.random.default_rng(rng_seed).integers(0, 4096, len(pages)).astype(np.uint64)
    return (pages << np.uint64(12)) | offsets


@given(traces(), GEOMETRIES, st.sampled_from(["lru", "plru"]))
def test_equal_to_the_steps_and_to_plain_loops(pages, geometry, policy):
    sets, ways = geometry
    if policy == "plru" and ways & (ways - 1):
        ways = 8
    tlb, naive = Tlb(sets * ways, ways, policy=policy), NaiveTlb(sets, ways, policy=policy)
    addrs = addresses(pages)
    before = tlb.snapshot()
    found = tlb.simulate(addrs)
    assert tlb.snapshot() == before
    steps = [tlb.access(addr) for addr in addrs.tolist()]
    assert found.hits.tolist() == steps == [naive.access(addr) for addr in addrs.tolist()]
    assert (found.misses == ~found.hits).all()
    assert (found.hit_count, found.miss_count) == (tlb.hits, tlb.misses)
    assert found.hit_rate == (sum(steps) / len(steps) if steps else 0)
    if policy == "lru":
        assert steps == plain_loop(pages.tolist(), sets, ways)


@given(traces(), GEOMETRIES, st.sampled_from(["lru", "plru"]), st.integers(0, 9), st.booleans())
def test_address_spaces_and_page_sizes(pages, geometry, policy, seed, flushes):
    sets, ways = geometry
    if policy == "plru" and ways & (ways - 1):
        ways = 4
    rng = np.random.default_rng(seed)
    asids = np.repeat(rng.integers(0, 3, len(pages)), rng.integers(1, 9, len(pages)))[: len(pages)]
    # An address has one page size: here the upper half of every 64 KiB is one of 32 KiB.
    shifts = np.where(pages & np.uint64(8), 15, 12)
    tlb = Tlb(sets * ways, ways, shifts=(12, 15), policy=policy)
    addrs = addresses(pages)
    found = tlb.simulate(addrs, asids=asids, shift=shifts, flush_on_switch=flushes).hits.tolist()
    steps, last = [], None
    for addr, asid, shift in zip(addrs.tolist(), asids.tolist(), shifts.tolist(), strict=True):
        if flushes and asid != last:
            tlb.flush()
        last = asid
        steps.append(tlb.access(addr, asid, shift))
    assert found == steps


@given(traces(), st.sampled_from([1, 2, 3, 4, 8]), st.sampled_from([1, 2, 5, 64]), st.sampled_from([1, 2, 8]))
def test_lanes_of_any_length(pages, ways, most, fill):
    kept = lanes.LANES, lanes.FILL
    lanes.LANES, lanes.FILL = most, fill
    try:
        sets = np.sort(pages % np.uint64(4))
        stream = (
            np.concatenate([pages[pages % np.uint64(4) == each] for each in range(4)]) % np.uint64(1 << 20)
        ).astype(np.int32)
        expected = plain_loop(stream.tolist(), 4, ways)
        if len(stream):
            assert simulate_lanes(stream, ways).tolist() == expected
            assert loop_lru(stream, ways).tolist() == expected
    finally:
        lanes.LANES, lanes.FILL = kept
    assert len(sets) == len(stream)


@given(traces(), st.integers(1, 4), st.sampled_from([2, 3, 4, 6, 8]), st.sampled_from([1, 5, 40, 100]))
def test_periods_taken_out_and_put_back(pages, ways, period, times):
    stream = np.concatenate([pages, np.resize(pages[:period], period * times), pages])[:2000]
    stream = (stream % np.uint64(1 << 20)).astype(np.int64)
    stripped = strip.strip_period(stream, period, ways) if len(stream) > period else None
    expected = plain_loop(stream.tolist(), 1, ways)
    if stripped is not None:
        kept = stream[stripped.left]
        assert len(kept) < len(stream)
        # The accesses that are left fare alike without the rest; with the rest put back all do.
        left = plain_loop(kept.tolist(), 1, ways)
        assert strip.restore(np.array(left, bool), stripped).tolist() == expected


@pytest.mark.parametrize("ways", [4, 12, 48])
def test_long_traces_go_through_the_lanes(ways):
    rng = np.random.default_rng(3)
    pages = np.concatenate([rng.integers(0, 700, 60_000), rng.zipf(1.3, 60_000) % 5000]).astype(np.uint64)
    for sets in (1, 16):
        expected = plain_loop(pages.tolist(), sets, ways)
        assert Tlb(sets * ways, ways).simulate(pages << np.uint64(12)).hits.tolist() == expected


def test_what_is_no_trace():
    tlb = Tlb(16, 4)
    with pytest.raises(TypeError, match="addresses are whole numbers, not float64"):
        tlb.simulate([1.5])
    with pytest.raises(ValueError, match=r"from 0 to 2\*\*64 - 1, not -4096"):
        tlb.simulate([0, -4096])
    with pytest.raises(ValueError, match=r"from 0 to 2\*\*64 - 1, not 18446744073709551616"):
        tlb.simulate([0, 2**64])
    with pytest.raises(ValueError, match="one dimension, not of 2"):
        tlb.simulate([[0]])
    with pytest.raises(ValueError, match=r"pages of 2\*\*12 bytes, not of 2\*\*21"):
        tlb.simulate([0], shift=21)
    with pytest.raises(ValueError, match=r"\(2,\) address spaces for 1 addresses"):
        tlb.simulate([0], asids=[1, 2])
    with pytest.raises(ValueError, match=r"\(2,\) page sizes for 1 addresses"):
        tlb.simulate([0], shift=[12, 12])
    with pytest.raises(TypeError, match="address spaces are whole numbers, not float64"):
        tlb.simulate([0], asids=[0.5])
    assert tlb.simulate([]).hits.tolist() == []
    assert tlb.simulate([0, 1, 2**64 - 1]).hits.tolist() == [False, True, False]
