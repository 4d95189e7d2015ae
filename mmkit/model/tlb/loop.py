"""What is left of a trace, access by access: a plain loop for the streams that are too short to be worth arrays.

Models: true LRU, and pseudo-LRU by a tree of bits, of one set after the other. Leaves out: everything that is not
replacement.
"""

from __future__ import annotations

from collections import OrderedDict
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from mmkit.model.tlb.policy import PlruTree
from mmkit.model.tlb.strip import Bools, Ints, changed


def loop_lru(stream: Ints, ways: int) -> Bools:
    """Return which accesses hit. They are grouped by set, no tag is in two sets: so one list will do for all sets.

    Tags of the set before are older than all that its successor asks for, and never found again.
    """
    held: OrderedDict[int, None] = OrderedDict()
    hits = []
    for tag in stream.tolist():
        hit = tag in held
        hits.append(hit)
        if hit:
            held.move_to_end(tag)
        else:
            held[tag] = None
            if len(held) > ways:
                held.popitem(last=False)
    return np.array(hits, np.bool_)


def loop_plru(stream: Ints, sets: NDArray[np.unsignedinteger], ways: int) -> Bools:
    """Return which accesses hit. They are grouped by set, and ``sets`` says in which set each is."""
    order = PlruTree(ways)
    paths = []
    for way in range(ways):
        order.tree = 0
        order.touch(way)
        ones = order.tree
        order.tree = (1 << ways) - 1
        order.touch(way)
        paths.append((order.tree, ones))
    hits: list[bool] = []
    for start, end in pairwise([*np.flatnonzero(changed(sets)).tolist(), len(sets)]):
        hits += _one_set(stream[start:end].tolist(), ways, paths)
    return np.array(hits, np.bool_)


def _one_set(tags: list[int], ways: int, paths: list[tuple[int, int]]) -> list[bool]:
    """Return which accesses to one set hit; ``paths`` has for each way the bits that a use keeps, and those it sets."""
    order, where, slots, hits = PlruTree(ways), dict[int, int](), list[int](), list[bool]()
    tree = 0
    for tag in tags:
        way = where.get(tag)
        hits.append(way is not None)
        if way is None:
            if len(slots) < ways:
                way = len(slots)
                slots.append(tag)
            else:
                order.tree = tree
                way = order.victim()
                del where[slots[way]]
                slots[way] = tag
            where[tag] = way
        keep, ones = paths[way]
        tree = tree & keep | ones
    return hits
