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

CHUNK = 1 << 17
"""Accesses grouped at a time: what is sorted stays in the CPU's caches."""
PERIODS = (2, 3, 4, 6, 8, 12, 16, 24, 32, 64, 128)
LONG = 128
"""Accesses of a run that is put back on its own."""
WORTH = 32
"""A period is taken out only if that removes one access in so many: taking out costs about as much as simulating."""


class Stripped(NamedTuple):
    """What :func:`strip_period` took out of a stream."""

    left: Bools
    """For each access whether it is still there."""
    period: int
    runs: tuple[tuple[int, int], ...]
    """First access and length of the runs that fare as the period before them does; all else that is gone is hits."""


def between(tags: Ints, sets: NDArray[np.unsignedinteger]) -> NDArray[np.int64] | None:
    """Return the indices of the accesses that do not repeat the last but one, with another set's between them.

    So do programs that read code and data in turn. None: there are too few of those to care.
    """
    again = np.zeros(len(tags), np.bool_)
    np.equal(tags[2:], tags[:-2], out=again[2:])
    again[2:] &= sets[2:] != sets[1:-1]
    return None if np.count_nonzero(again) * 8 < len(tags) else np.flatnonzero(~again)


def group(tags: Ints, sets: NDArray[np.unsignedinteger], among: NDArray[np.int64] | None = None) -> NDArray[np.int64]:
    """Return the indices of the accesses that remain once repeats inside a set are gone, grouped by set.

    ``tags`` says what each access asks for (unique across sets), ``sets`` in which set. Inside a set order is kept.
    With ``among`` all but these are gone already.
    """
    if among is not None:
        return among.take(group(tags.take(among), sets.take(among)))
    found = []
    for start in range(0, len(tags), CHUNK):
        order = np.argsort(sets[start : start + CHUNK], kind="stable")
        found.append(order[changed(tags[start : start + CHUNK].take(order))] + start)
    if len(found) < 2:
        return found[0] if found else np.empty(0, np.int64)
    left = np.concatenate(found)
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
    worth = lengths >= (LONG if known else 1)
    first, lengths = starts[worth] + period + known, lengths[worth]
    if lengths.sum() * WORTH < len(stream):
        return None
    depth = np.zeros(len(stream) + 1, np.int8)
    depth[first] = 1
    depth[first + lengths] -= 1
    left = np.cumsum(depth[:-1], dtype=np.int8) == 0
    runs = zip(first.tolist(), lengths.tolist(), strict=True) if known else ()
    return Stripped(left, period, tuple(runs))


def restore(hits: Bools, stripped: Stripped) -> Bools:
    """Return the hits of the whole stream from those of what was left of it."""
    whole = np.ones(len(stripped.left), np.bool_)
    whole[stripped.left] = hits
    for first, length in stripped.runs:
        whole[first : first + length].reshape(-1, stripped.period)[:] = whole[first - stripped.period : first]
    return whole
