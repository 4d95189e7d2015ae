"""Zonelists: in which order zones are asked for memory.

Models: build_zonelists(), find_next_best_node() of mm/page_alloc.c (Linux 6.18). Leaves out: memory policies and
cpusets, which may shorten the list.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

LOCAL_DISTANCE = 10
REMOTE_DISTANCE = 20
_LOAD_WEIGHT = 1 << 10


def check_distances(distances: Sequence[Sequence[int]] | None, nr_nodes: int) -> tuple[tuple[int, ...], ...]:
    """Return the table of node distances as firmware gives it, by default 10 to itself and 20 to every other node.

    Raises ValueError for a table of another size or with distances that cannot be.
    """
    if distances is None:
        distances = [[LOCAL_DISTANCE if a == b else REMOTE_DISTANCE for b in range(nr_nodes)] for a in range(nr_nodes)]
    table = tuple(tuple(row) for row in distances)
    if len(table) != nr_nodes or any(len(row) != nr_nodes for row in table):
        raise ValueError(f"distances of {nr_nodes} nodes are {nr_nodes} rows of {nr_nodes}, not {table!r}")
    for node, row in enumerate(table):
        if row[node] != LOCAL_DISTANCE or min(row) < LOCAL_DISTANCE or max(row) > 255:
            raise ValueError(f"a node is at distance 10 from itself, others are farther, at most 255: not {row!r}")
    return table


def node_orders(distances: Sequence[Sequence[int]], has_cpus: Callable[[int], bool]) -> tuple[tuple[int, ...], ...]:
    """Return for every node the nodes that it asks for memory, itself first, then from the nearest on.

    Of equally near ones, nodes without CPUs, nodes with higher numbers than its own and nodes that are not yet the
    first choice of others come first.
    """
    load = [0] * len(distances)
    orders = []
    for local in range(len(distances)):
        order = [local]
        while len(order) < len(distances):
            best = min(
                (node for node in range(len(distances)) if node not in order),
                key=lambda node: (
                    (distances[local][node] + (node < local) + has_cpus(node)) * _LOAD_WEIGHT + load[node],
                    node,
                ),
            )
            if distances[local][best] != distances[local][order[-1]]:
                load[best] += 1
            order.append(best)
        orders.append(tuple(order))
    return tuple(orders)
