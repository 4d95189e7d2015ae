"""The red-black tree in which areas were found until 6.0: built by inserting, searched by comparing.

Models: lib/rbtree.c, __rb_insert(), and mm/mmap.c of Linux 5.10, find_vma(). Leaves out: removal, the largest gap that
each node knew of the nodes below it, and the cache of the area found last.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from mmkit.errors import InvariantError
from mmkit.model.vmastate import TreeNode, Visit, VmaState

NONE = -1
"""In ``TreeNode.children``: no node on that side."""


class _Node:
    __slots__ = ("left", "parent", "red", "right", "vma")

    def __init__(self, vma: int, parent: _Node | None) -> None:
        self.vma, self.parent, self.red = vma, parent, True
        self.left: _Node | None = None
        self.right: _Node | None = None


class RedBlackTree:
    """A tree of areas, each known by its place in order of address."""

    def __init__(self, order: Iterable[int] = ()) -> None:
        self.root: _Node | None = None
        for vma in order:
            self.insert(vma)

    def insert(self, vma: int) -> None:
        """Put an area into the tree: as a red leaf, then recolour and rotate until the rules hold again."""
        parent, below = None, self.root
        while below:
            parent, below = below, below.left if vma < below.vma else below.right
        node = _Node(vma, parent)
        if parent is None:
            self.root = node
        elif vma < parent.vma:
            parent.left = node
        else:
            parent.right = node
        self._mend(node)

    def _mend(self, node: _Node) -> None:
        while (parent := node.parent) and parent.red and (grand := parent.parent):
            at_left = parent is grand.left
            uncle = grand.right if at_left else grand.left
            if uncle and uncle.red:
                parent.red = uncle.red = False
                grand.red = True
                node = grand
                continue
            if node is (parent.right if at_left else parent.left):
                self._rotate(parent, to_left=at_left)
                parent = node
            parent.red, grand.red = False, True
            self._rotate(grand, to_left=not at_left)
            break
        if self.root:
            self.root.red = False

    def _rotate(self, node: _Node, to_left: bool) -> None:
        up = node.right if to_left else node.left
        assert up is not None
        inner = up.left if to_left else up.right
        if to_left:
            node.right, up.left = inner, node
        else:
            node.left, up.right = inner, node
        if inner:
            inner.parent = node
        up.parent, parent, node.parent = node.parent, node.parent, up
        if parent is None:
            self.root = up
        elif parent.left is node:
            parent.left = up
        else:
            parent.right = up

    def nodes(self) -> tuple[TreeNode, ...]:
        """Return the nodes, level by level, the root first."""
        level = [self.root] if self.root else []
        places: dict[int, int] = {}
        ordered: list[_Node] = []
        while level:
            for node in level:
                places[id(node)] = len(ordered)
                ordered.append(node)
            level = [child for node in level for child in (node.left, node.right) if child]
        return tuple(
            TreeNode((node.vma,), tuple(places[id(c)] if c else NONE for c in (node.left, node.right)), red=node.red)
            for node in ordered
        )


def find(nodes: Sequence[TreeNode], vmas: Sequence[VmaState], addr: int) -> tuple[tuple[Visit, ...], int | None]:
    """Return the steps of find_vma(), and which area it finds."""
    visits: list[Visit] = []
    at, found = (0 if nodes else NONE), None
    while at != NONE:
        (number,) = nodes[at].vmas
        vma = vmas[number]
        if vma.end <= addr:
            visits.append(Visit(at, 1, f"ends at {vma.end:#x}, not above: go right"))
            at = nodes[at].children[1]
            continue
        found = number
        if vma.start <= addr:
            visits.append(Visit(at, 2, "ends above, starts at or below: this is it"))
            break
        visits.append(Visit(at, 2, "ends above, but starts above too: perhaps this; go left"))
        at = nodes[at].children[0]
    return tuple(visits), found


def check(nodes: Sequence[TreeNode]) -> None:
    """Raise InvariantError for the first rule of red-black trees that does not hold, by its name."""
    if nodes and nodes[0].red:
        raise InvariantError("black root: the root is red")
    _check_below(nodes, 0 if nodes else NONE, -1, 1 << 62)


def _check_below(nodes: Sequence[TreeNode], at: int, low: int, high: int) -> int:
    if at == NONE:
        return 1
    node = nodes[at]
    (vma,) = node.vmas
    if not low < vma < high:
        raise InvariantError(f"order: area {vma} does not belong between {low} and {high}")
    if node.red and any(child != NONE and nodes[child].red for child in node.children):
        raise InvariantError(f"no red child of a red node: area {vma} has one")
    left, right = (
        _check_below(nodes, child, *bounds)
        for child, bounds in zip(node.children, ((low, vma), (vma, high)), strict=True)
    )
    if left != right:
        raise InvariantError(f"equal black height: below area {vma} it is {left} on the left, {right} on the right")
    return left + (not node.red)
