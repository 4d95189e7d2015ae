"""LRU in lock step: a stream of accesses cut into pieces that are simulated side by side, each as one lane of arrays.

Models: true LRU replacement in a set-associative TLB. Leaves out: other policies.

Each lane starts cold, without knowing what the pieces before it left behind. Its first ``ways`` misses may therefore be
hits in truth; after those it holds as many tags as a set can, and what it says is true. What the lane before left is
known once all have run, so the doubtful accesses are simulated again, starting from that.
"""

from __future__ import annotations

import numpy as np

from mmkit.model.tlb.strip import Bools, Ints

EMPTY = -1
"""In a slot that holds no tag."""
LANES = 4096
FILL = 4
"""A lane is at least so many times ``ways`` long, so that few of its accesses are doubtful."""


def simulate_lanes(stream: Ints, ways: int) -> Bools:
    """Return which accesses of a stream grouped by set hit; tags are unique across sets and not negative."""
    lanes = max(1, min(LANES, len(stream) // (FILL * ways)))
    steps = -(-len(stream) // lanes)
    padded = np.full(lanes * steps, EMPTY - 1, stream.dtype)
    padded[: len(stream)] = stream
    columns = np.ascontiguousarray(padded.reshape(lanes, steps).T)
    state = np.full((ways, lanes), EMPTY, stream.dtype)
    hits = np.empty((steps, lanes), np.bool_)
    _run(state, columns, hits)
    flat = np.ascontiguousarray(hits.T)
    _settle(padded.reshape(lanes, steps), flat, state)
    return flat.reshape(-1)[: len(stream)]


def _run(state: Ints, columns: Ints, hits: Bools) -> None:
    """Let every lane make one access a row; ``state`` has the most recent tag of each lane first."""
    ways, lanes = state.shape
    equal = np.empty((ways, lanes), np.bool_)
    shift = np.empty((ways - 1, lanes), state.dtype)
    for tags, hit in zip(columns, hits, strict=True):
        np.equal(state, tags, out=equal)
        for way in range(1, ways):
            np.logical_or(equal[way], equal[way - 1], out=equal[way])
        hit[:] = equal[-1]
        # A tag moves down one place unless what is asked for was found above it.
        np.subtract(equal[:-1].view(np.int8), 1, out=shift)
        below, above = state[1:], state[:-1]
        np.bitwise_and(shift, below ^ above, out=shift)
        np.bitwise_xor(below, shift, out=below)
        state[0] = tags


def _settle(pieces: Ints, hits: Bools, final: Ints) -> None:
    """Correct the first ``ways`` misses of each lane, given what each lane holds in the end."""
    ways, lanes = final.shape
    missed = np.flatnonzero(~hits.reshape(-1))
    counts = np.bincount(missed // hits.shape[1], minlength=lanes)
    index = (np.cumsum(counts) - counts) + np.arange(ways)[:, None]
    doubtful = np.arange(ways)[:, None] < counts
    positions = missed.take(np.where(doubtful, index, 0), mode="clip") if len(missed) else np.zeros_like(index)
    columns = np.where(doubtful, pieces.reshape(-1)[positions], EMPTY - 1)
    state = _left_behind(final)
    corrected = np.empty(columns.shape, np.bool_)
    _run(state, columns, corrected)
    hits.reshape(-1)[positions[doubtful]] = corrected[doubtful]


def _left_behind(final: Ints) -> Ints:
    """Return what each lane would have found: what the lane before it left, and below that what it found itself."""
    ways, lanes = final.shape
    found = np.full((ways, lanes), EMPTY, final.dtype)
    found[:, 1:] = final[:, :-1]
    short = np.flatnonzero(found[-1] == EMPTY)[1:].tolist()
    if short:
        held = found.T.tolist()
        for lane in short:
            mine = held[lane][: held[lane].index(EMPTY)]
            held[lane] = (mine + [tag for tag in held[lane - 1] if tag not in mine])[:ways]
        found = np.ascontiguousarray(np.array(held, final.dtype).T)
    return found
