"""Which way of a set gives way to a new translation: the one used longest ago, or one that a tree of bits points at.

Models: true LRU; and the pseudo-LRU of small caches since the Intel486 (tree of one bit for each pair, three bits for
four ways). Leaves out: random and not-most-recently-used replacement, which some CPUs have.
"""

from __future__ import annotations

from mmkit.model.tlbstate import LRU, PLRU


class LruOrder:
    """The ways of one set in the order of their last use."""

    __slots__ = ("order",)

    def __init__(self, ways: int) -> None:
        # An unused set fills from way 0 on, so way 0 counts as the least recent.
        self.order = list(range(ways - 1, -1, -1))

    def touch(self, way: int) -> None:
        """A way was used."""
        order = self.order
        if order[0] != way:
            order.remove(way)
            order.insert(0, way)

    def victim(self) -> int:
        """Return the way that was used longest ago."""
        return self.order[-1]

    def bits(self) -> int | None:
        """There are no bits: None."""
        return None

    def ages(self) -> tuple[int | None, ...]:
        """Return for each way how many others were used since."""
        return tuple(self.order.index(way) for way in range(len(self.order)))


class PlruTree:
    """A tree over the ways of one set: each bit points to the half that was not used last (0: the lower ways).

    Node 0 is the root, nodes 2n+1 and 2n+2 are below node n.
    """

    __slots__ = ("tree", "ways")

    def __init__(self, ways: int) -> None:
        self.ways, self.tree = ways, 0

    def touch(self, way: int) -> None:
        """A way was used: all bits on the path to it point away from it."""
        node, half, tree = 0, self.ways >> 1, self.tree
        while half:
            upper = bool(way & half)
            tree = tree & ~(1 << node) if upper else tree | 1 << node
            node, half = 2 * node + 1 + upper, half >> 1
        self.tree = tree

    def victim(self) -> int:
        """Return the way that the bits point to."""
        node, way, half = 0, 0, self.ways >> 1
        while half:
            upper = self.tree >> node & 1
            way += half * upper
            node, half = 2 * node + 1 + upper, half >> 1
        return way

    def bits(self) -> int | None:
        """Return the bits, the root's as the lowest."""
        return self.tree

    def ages(self) -> tuple[int | None, ...]:
        """Nobody knows: None for each way."""
        return (None,) * self.ways


Order = LruOrder | PlruTree


def make_order(policy: str, ways: int) -> Order:
    """Return the replacement state of an empty set. Raises ValueError for a policy that there is not."""
    if policy == LRU:
        return LruOrder(ways)
    if policy == PLRU:
        if ways & (ways - 1):
            raise ValueError(f"pseudo-LRU needs a power of two of ways, not {ways}: its tree halves them")
        return PlruTree(ways)
    raise ValueError(f"unknown replacement policy {policy!r}: choose {LRU!r} or {PLRU!r}")
