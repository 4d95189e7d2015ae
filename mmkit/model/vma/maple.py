"""The maple tree in which areas are found since 6.1: a B-tree of ranges, of areas and of the gaps between them.

Models: lib/maple_tree.c (Linux 6.18), mtree_range_walk(), and mm/mmap.c, find_vma(). A node is 256 bytes: in a leaf 16
slots and the 15 pivots between them, above the leaves 10 slots, 9 pivots and the largest gap below each slot.
Leaves out: inserting and removing (the tree is built in bulk, with its slots spread evenly over as few nodes as hold
them; one that has grown call by call is less full), RCU, dense nodes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

from mmkit.errors import InvariantError
from mmkit.model.vmastate import TreeNode, Visit, VmaState

LEAF_SLOTS, INNER_SLOTS = 16, 10
LEAF_LEAST, INNER_LEAST = 6, 4
"""So many slots a node has at least, unless it is the root (mt_min_slots[])."""
NODE_BYTES = 256
ULONG_MAX = (1 << 64) - 1


def build(vmas: Sequence[VmaState], last: int = ULONG_MAX) -> tuple[TreeNode, ...]:
    """Return the nodes of a tree that holds these areas and the gaps up to address ``last``; the root is the first."""
    ranges = _ranges(vmas, last)
    level: list[TreeNode] = []
    low = 0
    for group in _spread(ranges, LEAF_SLOTS):
        slots, ends = tuple(slot for slot, _ in group), tuple(end for _, end in group)
        held = tuple(slot for slot in slots if slot is not None)
        level.append(TreeNode(held, (), ends[:-1], low=low, high=ends[-1], slots=slots))
        low = ends[-1] + 1
    levels = [level]
    while len(levels[0]) > 1:
        levels.insert(0, [_inner(group) for group in _spread(list(enumerate(levels[0])), INNER_SLOTS)])
    return _numbered(levels)


def _ranges(vmas: Sequence[VmaState], last: int) -> list[tuple[int | None, int]]:
    found: list[tuple[int | None, int]] = []
    at = 0
    for number, vma in enumerate(vmas):
        if vma.start > at:
            found.append((None, vma.start - 1))
        found.append((number, vma.end - 1))
        at = vma.end
    return [*found, (None, last)] if at <= last else found


def _spread(items: Sequence[tuple[object, ...]], room: int) -> list[list]:  # type: ignore[type-arg]
    nr_nodes = -(-len(items) // room)
    cuts = [len(items) * number // nr_nodes for number in range(nr_nodes + 1)]
    return [list(items[low:high]) for low, high in pairwise(cuts)]


def _inner(group: list[tuple[int, TreeNode]]) -> TreeNode:
    pivots = tuple(node.high for _, node in group[:-1])
    return TreeNode((), tuple(place for place, _ in group), pivots, low=group[0][1].low, high=group[-1][1].high)


def _numbered(levels: list[list[TreeNode]]) -> tuple[TreeNode, ...]:
    """Let the children of each level, counted within the next, be numbers of nodes in the whole tree."""
    nodes: list[TreeNode] = []
    for level in levels:
        below = len(nodes) + len(level)
        nodes += [node.__replace__(children=tuple(below + child for child in node.children)) for node in level]
    return tuple(nodes)


def find(nodes: Sequence[TreeNode], vmas: Sequence[VmaState], addr: int) -> tuple[tuple[Visit, ...], int | None]:
    """Return the steps of find_vma(), and which area it finds: of a gap, the area in the slot after it."""
    visits: list[Visit] = []
    path: list[tuple[int, int]] = []
    at = 0
    while True:
        slot, compared = _slot(nodes[at], addr)
        path.append((at, slot))
        if not nodes[at].children:
            break
        visits.append(Visit(at, compared, f"slot {slot}: the first whose pivot is not below"))
        at = nodes[at].children[slot]
    found = nodes[at].slots[slot]
    if found is not None:
        return (*visits, Visit(at, compared, f"slot {slot} holds an area: this is it")), found
    visits.append(Visit(at, compared, f"slot {slot} is a gap: the next slot is what ends above"))
    return _next(nodes, path, visits)


def _slot(node: TreeNode, addr: int) -> tuple[int, int]:
    """Return the slot for ``addr``, and how many pivots were looked at."""
    for slot, pivot in enumerate(node.pivots):
        if addr <= pivot:
            return slot, slot + 1
    return len(node.pivots), len(node.pivots)


def _next(
    nodes: Sequence[TreeNode], path: list[tuple[int, int]], visits: list[Visit]
) -> tuple[tuple[Visit, ...], int | None]:
    at, slot = path.pop()
    if slot + 1 < len(nodes[at].slots):
        return tuple(visits), nodes[at].slots[slot + 1]
    while path:
        at, slot = path.pop()
        if slot + 1 < len(nodes[at].children):
            leaf = nodes[at].children[slot + 1]
            while nodes[leaf].children:
                leaf = nodes[leaf].children[0]
            return (*visits, Visit(leaf, 0, "the first slot of the next leaf")), nodes[leaf].slots[0]
    return tuple(visits), None


def check(nodes: Sequence[TreeNode], vmas: Sequence[VmaState]) -> None:
    """Raise InvariantError for the first rule of maple trees that does not hold, by its name."""
    depths = set(_depths(nodes, 0, 0))
    if len(depths) > 1:
        raise InvariantError(f"leaves at one depth: they are at {sorted(depths)}")
    _check_node(nodes, vmas, 0)
    held = [slot for node in nodes for slot in node.slots if slot is not None]
    if held != list(range(len(vmas))):
        raise InvariantError("each area once, in order: the leaves hold others")


def _depths(nodes: Sequence[TreeNode], at: int, depth: int) -> Iterator[int]:
    """Yield how deep each leaf is below the root."""
    if not nodes[at].children:
        yield depth
    for child in nodes[at].children:
        yield from _depths(nodes, child, depth + 1)


def _check_node(nodes: Sequence[TreeNode], vmas: Sequence[VmaState], at: int) -> None:
    node = nodes[at]
    least, most, used = INNER_LEAST, INNER_SLOTS, len(node.children)
    if not used:
        least, most, used = LEAF_LEAST, LEAF_SLOTS, len(node.slots)
    if used > most:
        raise InvariantError(f"at most {most} slots: a node has {used}")
    if at and used < least:
        raise InvariantError(f"at least {least} slots: a node has {used}")
    if len(node.pivots) != used - 1 or sorted({*node.pivots, node.low, node.high}) != _bounds(node):
        raise InvariantError("pivots rise: those of a node do not")
    if not node.children:
        _check_leaf(node, vmas)
    low = node.low
    for child, high in zip(node.children, (*node.pivots, node.high), strict=False):
        if (nodes[child].low, nodes[child].high) != (low, high):
            raise InvariantError("a node covers what its slot says: one does not")
        _check_node(nodes, vmas, child)
        low = high + 1


def _bounds(node: TreeNode) -> list[int]:
    return list(dict.fromkeys((node.low, *node.pivots, node.high)))


def _check_leaf(node: TreeNode, vmas: Sequence[VmaState]) -> None:
    low = node.low
    for slot, high in zip(node.slots, (*node.pivots, node.high), strict=True):
        if slot is not None and (vmas[slot].start, vmas[slot].end - 1) != (low, high):
            raise InvariantError(f"a slot is its area's range: area {slot} is not at [{low:#x}, {high:#x}]")
        low = high + 1
