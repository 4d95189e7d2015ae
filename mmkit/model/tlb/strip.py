"""Accesses whose outcome is plain without looking at a TLB, taken out of a long trace before it is simulated.

Models: true LRU replacement, of which two facts are used. An access to the tag that its set saw last is a hit and
changes nothing. And where the accesses to a set repeat with a period, so do hits and misses, and each whole period
leaves the set as it found it. Leaves out: other policies, for which only the first fact holds.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64] | NDArray[np.int32]
Bools = NDArray[np.bool_]

CHUNK = 1 << 16
"""Accesses grouped at a time: what is sorted stays in the CPU's caches."""
PERIODS = (2, 3, 4, 6, 8, 12, 16, 24, 32, 64, 128)
WORTH = 32
"""A period is taken out only if that removes one access in so many: taking out costs about as much as simulating."""


class Stripped(NamedTuple):
    """What one pass of :func:`strip_period` took out."""

    length: int
    """Of the stream before."""
    kept: NDArray[np.int64]
    """Indices of what is left."""
    dropped: NDArray[np.int64]
    source: NDArray[np.int64] | None
    """For each dropped access the earlier one that fared the same; None: all are hits."""


def group(tags: Ints, sets: NDArray[np.unsignedinteger]) -> NDArray[np.int64]:
    """Return the indices of the accesses that remain once repeats inside a set are gone, grouped by set.

    ``tags`` says what each access asks for (unique across sets), ``sets`` in which set. Inside a set order is kept.
    """
    found = []
    for start in range(0, len(tags), CHUNK):
        order = np.argsort(sets[start : start + CHUNK], kind="stable")
        found.append(order[changed(tags[start : start + CHUNK].take(order))] + start)
    left = np.concatenate(found) if found else np.empty(0, np.int64)
    left = left.take(np.argsort(sets.take(left), kind="stable"))
    return left[changed(tags.take(left))]


def changed(stream: NDArray[np.integer]) -> Bools:
    """Return for each element whether it differs from the one before it."""
    differs = np.empty(len(stream), np.bool_)
    differs[:1] = True
    np.not_equal(stream[1:], stream[:-1], out=differs[1:])
    return differs


def strip_period(stream: Ints, period: int, ways: int) -> Stripped | None:
    """Take whole periods out of a stream of accesses grouped by set; None if that is not worth while.

    Where the stream repeats with a period of at most ``ways`` all is hit. With a longer one, what happens in the first
    period that repeats happens in all that follow.
    """
    same = np.zeros(len(stream) - period + 2, np.bool_)
    np.equal(stream[period:], stream[:-period], out=same[1:-1])
    if np.count_nonzero(same) * WORTH < len(stream):
        return None
    edges = np.flatnonzero(same[1:] != same[:-1])
    starts, ends = edges[::2], edges[1::2]
    known = 0 if period <= ways else period
    lengths = (ends - starts) // period * period - known
    worth = lengths > 0
    if lengths[worth].sum() * WORTH < len(stream):
        return None
    first = starts[worth] + period + known
    depth = np.zeros(len(stream) + 1, np.int8)
    depth[first] = 1
    depth[first + lengths[worth]] -= 1
    out = np.cumsum(depth[:-1], dtype=np.int8).view(np.bool_)
    dropped = np.flatnonzero(out)
    source = None
    if known:
        begin = np.repeat(first, lengths[worth])
        source = begin - period + (dropped - begin) % period
    return Stripped(len(stream), np.flatnonzero(~out), dropped, source)


def restore(hits: Bools, stripped: Stripped) -> Bools:
    """Return the hits of the whole stream from those of what was left of it."""
    whole = np.empty(stripped.length, np.bool_)
    whole[stripped.kept] = hits
    whole[stripped.dropped] = True if stripped.source is None else whole[stripped.source]
    return whole
