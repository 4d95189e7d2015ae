"""List, red-black tree and maple tree find the same areas; each broken rule of a tree is named."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmkit.data import recording
from mmkit.errors import InvariantError
from mmkit.model.vma import MmStruct, maple, rbtree
from mmkit.model.vma.lookup import KINDS, lookup
from mmkit.model.vmaflags import MAP_ANONYMOUS, MAP_FIXED, MAP_PRIVATE, PROT_READ
from mmkit.model.vmastate import MmState
from mmkit.record import replace

PAGE, BASE = 4096, 0x10_0000


def state_of(pages: set[int]) -> MmState:
    """An address space with one area for each run of pages."""
    mm = MmStruct()
    for page in sorted(pages):
        mm.mmap(BASE + page * PAGE, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED)
    return mm.snapshot()


@given(st.sets(st.integers(0, 400), max_size=120), st.integers(0, 2**32), st.randoms(use_true_random=False))
def test_all_of_them_find_what_find_vma_finds(pages: set[int], addr: int, shuffler: Random) -> None:
    state = state_of(pages)
    order = list(range(len(state.vmas)))
    shuffler.shuffle(order)
    edges = [at for vma in state.vmas for at in (vma.start - 1, vma.start, vma.end - 1, vma.end)]
    for wanted in [0, addr, addr % (500 * PAGE) + BASE, 2**47, *edges]:
        answer = state.find_vma(wanted)
        for kind in KINDS:
            tree = lookup(state, kind, wanted, order)
            assert (None if tree.found is None else state.vmas[tree.found]) == answer


@given(st.sets(st.integers(0, 4000), max_size=400), st.randoms(use_true_random=False))
def test_trees_obey_their_rules(pages: set[int], shuffler: Random) -> None:
    state = state_of(pages)
    order = list(range(len(state.vmas)))
    for _ in range(2):
        rbtree.check(lookup(state, "rbtree", order=order).nodes)
        shuffler.shuffle(order)
    maple.check(lookup(state, "maple").nodes, state.vmas)


def test_how_many_comparisons_a_real_process_costs() -> None:
    state = recording("host-6.18").process("python")
    assert len(state.vmas) > 50
    every = [vma.start for vma in state.vmas]
    cost = {kind: [lookup(state, kind, addr).comparisons for addr in every] for kind in KINDS}
    assert cost["list"] == list(range(1, len(state.vmas) + 1))
    depth = 2 * len(state.vmas).bit_length()
    assert max(cost["rbtree"]) <= 2 * depth
    assert max(cost["maple"]) <= 2 * maple.LEAF_SLOTS
    nodes = [len(lookup(state, kind, every[-1]).visits) for kind in KINDS]
    assert nodes[2] < nodes[1] < nodes[0]


def test_a_leaf_of_the_maple_tree_fills_a_node_of_256_bytes() -> None:
    sizes = {row.name: row.object_size for row in recording("host-6.18").slab_table}
    assert sizes["maple_node"] == maple.NODE_BYTES
    parent, word = 8, 8
    assert parent + maple.LEAF_SLOTS * word + (maple.LEAF_SLOTS - 1) * word == maple.NODE_BYTES
    assert parent + (maple.INNER_SLOTS * 3 - 1) * word <= maple.NODE_BYTES


FORTY = state_of(set(range(0, 80, 2)))


def damaged(nodes, number: int, **changes):
    return [*nodes[:number], replace(nodes[number], **changes), *nodes[number + 1 :]]


def red_below_red(nodes):
    parent = next(number for number in range(1, len(nodes)) if nodes[number].children[0] > 0)
    return damaged(damaged(nodes, parent, red=True), nodes[parent].children[0], red=True)


def one_black_more(nodes):
    return damaged(nodes, next(number for number, node in enumerate(nodes) if node.red), red=False)


def pivot_moved(nodes, number: int, by: int):
    return damaged(nodes, number, pivots=(nodes[number].pivots[0] + by, *nodes[number].pivots[1:]))


RED_BLACK = {
    "black root": lambda nodes: damaged(nodes, 0, red=True),
    "order": lambda nodes: damaged(nodes, len(nodes) - 1, vmas=(0,)),
    "no red child of a red node": red_below_red,
    "equal black height": one_black_more,
}


def one_leaf_deeper(nodes):
    last = len(nodes) - 1
    return [*damaged(nodes, last, children=(last + 1,), pivots=(), slots=(), vmas=()), nodes[last]]


def an_area_forgotten(nodes):
    slots = nodes[1].slots
    at = next(number for number, slot in enumerate(slots) if slot is not None)
    return damaged(nodes, 1, slots=(*slots[:at], None, *slots[at + 1 :]))


MAPLE = {
    "each area once, in order": an_area_forgotten,
    "at most 16 slots": lambda nodes: damaged(nodes, len(nodes) - 1, slots=nodes[-1].slots + (None,) * 16),
    "at most 10 slots": lambda nodes: damaged(nodes, 0, children=nodes[0].children + (1,) * 10),
    "leaves at one depth": one_leaf_deeper,
    "at least 6 slots": lambda nodes: damaged(nodes, len(nodes) - 1, slots=nodes[-1].slots[:5]),
    "pivots rise": lambda nodes: damaged(nodes, len(nodes) - 1, pivots=nodes[-1].pivots[::-1]),
    "a node covers what its slot says": lambda nodes: pivot_moved(nodes, 0, 1),
    "a slot is its area's range": lambda nodes: pivot_moved(nodes, 1, -1),
}


@pytest.mark.parametrize("rule", RED_BLACK)
def test_a_broken_rule_of_the_red_black_tree_is_named(rule: str) -> None:
    nodes = list(lookup(FORTY, "rbtree").nodes)
    rbtree.check(nodes)
    with pytest.raises(InvariantError, match=rule):
        rbtree.check(RED_BLACK[rule](nodes))


@pytest.mark.parametrize("rule", MAPLE)
def test_a_broken_rule_of_the_maple_tree_is_named(rule: str) -> None:
    nodes = list(lookup(FORTY, "maple").nodes)
    maple.check(nodes, FORTY.vmas)
    with pytest.raises(InvariantError, match=rule):
        maple.check(MAPLE[rule](nodes), FORTY.vmas)


def test_a_structure_that_is_none_is_said_in_words() -> None:
    with pytest.raises(ValueError, match="list, rbtree, maple, not in 'hash'"):
        lookup(FORTY, "hash", 0)
