"""What hits and what misses in a long trace of addresses: the answer of a loop, found with arrays.

Models: a TLB of true LRU or pseudo-LRU replacement, empty at first, with address spaces. Leaves out: global pages, and
flushes other than on a switch of address spaces; those are for ``Tlb`` itself, access by access.

Repeats go first, then whole periods; the few accesses that are left go through a loop, many through lanes.
"""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mmkit.model.addressarray import address_array
from mmkit.model.tlb.lanes import FILL, simulate_lanes
from mmkit.model.tlb.loop import loop_lru, loop_plru
from mmkit.model.tlb.strip import PERIODS, Bools, Ints, between, changed, group, restore, strip_period
from mmkit.model.tlbstate import PLRU, TlbGeometry

FEW = 1024
"""Looking for periods among so few accesses is not worth while."""
STEP_COST, LOOP_COST = 5, 0.2
"""What one step of all lanes costs, beside each way, and what one access costs in the loop: in about microseconds."""


class Simulation(NamedTuple):
    """Hits and misses, one truth value for each access."""

    hits: Bools
    misses: Bools

    @property
    def hit_count(self) -> int:
        """Accesses whose translation was there."""
        return int(np.count_nonzero(self.hits))

    @property
    def miss_count(self) -> int:
        """Accesses that need a walk, or the next level."""
        return len(self.hits) - self.hit_count

    @property
    def hit_rate(self) -> float:
        """Hits for one access; 0.0 if there are none."""
        return self.hit_count / len(self.hits) if len(self.hits) else 0.0


def simulate(
    geometry: TlbGeometry, virt_addrs: ArrayLike, asids: ArrayLike, shift: ArrayLike | None, flush_on_switch: bool
) -> Simulation:
    """Return what hits and misses; see ``Tlb.simulate``."""
    addresses = address_array(virt_addrs)
    shifts = _shift_array(geometry, shift, len(addresses))
    spaces = _space_array(asids, len(addresses))
    pages = addresses >> shifts.astype(np.uint64)
    hits = np.ones(len(pages), np.bool_)
    if flush_on_switch and spaces.ndim:
        if geometry.policy == PLRU:
            for start, end in pairwise([*np.flatnonzero(changed(spaces)).tolist(), len(pages)]):
                piece = shifts[start:end] if shifts.ndim else shifts
                hits[start:end] = simulate(geometry, addresses[start:end], 0, piece, False).hits
            return Simulation(hits, ~hits)
        spaces = np.cumsum(changed(spaces))  # what was there before a flush is never found again
    tells_apart = [each for each in (spaces, shifts) if each.ndim]
    if len(pages):
        differs = changed(pages)
        for each in tells_apart:
            differs |= changed(each)
        kept = np.flatnonzero(differs)
        hits[kept] = _outcomes(geometry, pages.take(kept), [each.take(kept) for each in tells_apart])
    return Simulation(hits, ~hits)


def _shift_array(geometry: TlbGeometry, shift: ArrayLike | None, length: int) -> NDArray[np.int64]:
    shifts = np.asarray(geometry.shifts[0] if shift is None else shift)
    if shifts.ndim and shifts.shape != (length,):
        raise ValueError(f"{shifts.shape} page sizes for {length} addresses")
    strange = shifts[~np.isin(shifts, geometry.shifts)]
    if strange.size:
        held = ", ".join(f"2**{each}" for each in geometry.shifts)
        raise ValueError(f"{geometry.name} holds pages of {held} bytes, not of 2**{strange.flat[0]}")
    return shifts.astype(np.int64)


def _space_array(asids: ArrayLike, length: int) -> NDArray[np.int64]:
    spaces = np.asarray(asids)
    if spaces.ndim and spaces.shape != (length,):
        raise ValueError(f"{spaces.shape} address spaces for {length} addresses")
    if spaces.dtype.kind not in "ui":
        raise TypeError(f"address spaces are whole numbers, not {spaces.dtype}")
    return spaces.astype(np.int64)


def _outcomes(geometry: TlbGeometry, pages: NDArray[np.uint64], tells_apart: list[NDArray[np.int64]]) -> Bools:
    """Return which accesses hit, none of which repeats the one before it."""
    sets, ways = geometry.sets, geometry.ways
    names = _names(pages, tells_apart)
    which = (pages & np.uint64(sets - 1)).astype(np.min_scalar_type(sets - 1))
    hits = np.ones(len(pages), np.bool_)
    left = group(names, which, between(names, which))
    if geometry.policy == PLRU:
        hits[left] = loop_plru(names.take(left), which.take(left), ways)
    else:
        hits[left] = _lru(names.take(left), ways)
    return hits


def _names(pages: NDArray[np.uint64], tells_apart: list[NDArray[np.int64]]) -> Ints:
    """Return numbers that are equal where page, address space and page size are: small ones, if that comes cheap."""
    low = pages.min()
    span, others, count = int(pages.max() - low) + 1, np.zeros(1, np.int64), 1
    for each in tells_apart:
        values, index = np.unique(each, return_inverse=True)
        others, count = others * len(values) + index, count * len(values)
    if span * count >= 1 << 62:
        found, index = np.unique(pages, return_inverse=True)
        pages, low, span = index.astype(np.uint64), np.uint64(0), len(found)
    kind = np.int32 if span * count < 1 << 31 else np.int64
    names: Ints = (pages - low).astype(kind)
    if tells_apart:
        names += (others * span).astype(kind)
    return names


def _lru(stream: Ints, ways: int) -> Bools:
    """Return which accesses of a stream grouped by set hit."""
    taken = []
    for period in PERIODS:
        if len(stream) < max(FEW, 4 * period):
            break
        stripped = strip_period(stream, period, ways)
        if stripped is not None:
            taken.append(stripped)
            stream = stream[stripped.left]
    few = len(stream) * LOOP_COST < FILL * ways * (STEP_COST + ways)
    hits = loop_lru(stream, ways) if few else simulate_lanes(stream, ways)
    for stripped in reversed(taken):
        hits = restore(hits, stripped)
    return hits
