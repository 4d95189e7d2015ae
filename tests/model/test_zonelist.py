"""The order of nodes in a zonelist."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmkit.model.zonelist import check_distances, node_orders


def everywhere(node):
    return True


def test_one_node_and_two():
    assert node_orders(check_distances(None, 1), everywhere) == ((0,),)
    assert node_orders(check_distances(None, 2), everywhere) == ((0, 1), (1, 0))


def test_nearest_first():
    distances = [[10, 40, 20, 30], [40, 10, 30, 20], [20, 30, 10, 40], [30, 20, 40, 10]]
    assert node_orders(distances, everywhere) == ((0, 2, 3, 1), (1, 3, 2, 0), (2, 0, 1, 3), (3, 1, 0, 2))


def test_equally_near_nodes_take_turns_at_being_first():
    orders = node_orders(check_distances(None, 4), everywhere)
    assert orders == ((0, 1, 2, 3), (1, 2, 3, 0), (2, 3, 0, 1), (3, 0, 1, 2))


def test_memory_without_cpus_is_preferred():
    orders = node_orders(check_distances(None, 3), lambda node: node != 2)
    assert orders[0] == (0, 2, 1)


@given(st.integers(1, 6), st.randoms(use_true_random=False))
def test_every_order_is_all_nodes_by_distance(nr_nodes, random):
    distances = [[10 if a == b else random.randint(11, 30) for b in range(nr_nodes)] for a in range(nr_nodes)]
    for local, order in enumerate(node_orders(distances, everywhere)):
        assert sorted(order) == list(range(nr_nodes))
        assert order[0] == local
        for near, far in pairwise(order[1:]):
            assert distances[local][near] <= distances[local][far] + 1  # one farther, if the other is below us


@pytest.mark.parametrize(
    ("distances", "words"),
    [
        ([[10]], "2 rows of 2"),
        ([[10, 20], [20]], "2 rows of 2"),
        ([[11, 20], [20, 10]], "distance 10 from itself"),
        ([[10, 9], [20, 10]], "not .10, 9."),
        ([[10, 256], [20, 10]], "at most 255"),
    ],
)
def test_impossible_distances(distances, words):
    with pytest.raises(ValueError, match=words):
        check_distances(distances, 2)
