"""Finding an address: the same areas as a list, as a red-black tree and as a maple tree, and a search in each.

Models: find_vma() in mm/mmap.c of Linux 2.2 (list), 5.10 (red-black tree) and 6.18 (maple tree). Leaves out: the areas
found last, which all of them looked at first for some time.
"""

from __future__ import annotations

from collections.abc import Sequence

from mmkit.model.vma import maple, rbtree
from mmkit.model.vmastate import MmState, TreeNode, TreeState, Visit, VmaState

KINDS = ("list", "rbtree", "maple")


def lookup(mm: MmState, kind: str, addr: int | None = None, order: Sequence[int] | None = None) -> TreeState:
    """Return the areas of ``mm`` as ``kind`` ("list", "rbtree", "maple"), with the search for ``addr`` if it is given.

    ``order`` is that in which the red-black tree got its areas; without it that of their addresses, as after a fork.
    Raises ValueError for another kind.
    """
    if kind not in KINDS:
        raise ValueError(f"areas are kept in a {', '.join(KINDS)}, not in {kind!r}")
    nodes = _nodes(mm.vmas, kind, order)
    if addr is None:
        return TreeState(kind, nodes, mm)
    find = {"list": _find_in_list, "rbtree": rbtree.find, "maple": maple.find}[kind]
    visits, found = find(nodes, mm.vmas, addr)
    return TreeState(kind, nodes, mm, addr, visits, found)


def _nodes(vmas: Sequence[VmaState], kind: str, order: Sequence[int] | None) -> tuple[TreeNode, ...]:
    if kind == "maple":
        return maple.build(vmas)
    if kind == "rbtree":
        return rbtree.RedBlackTree(range(len(vmas)) if order is None else order).nodes()
    last = len(vmas) - 1
    return tuple(TreeNode((number,), (number + 1,) if number < last else ()) for number in range(len(vmas)))


def _find_in_list(
    nodes: Sequence[TreeNode], vmas: Sequence[VmaState], addr: int
) -> tuple[tuple[Visit, ...], int | None]:
    visits: list[Visit] = []
    for number, vma in enumerate(vmas):
        if vma.end > addr:
            visits.append(Visit(number, 1, f"ends at {vma.end:#x}, above: this is it"))
            return tuple(visits), number
        visits.append(Visit(number, 1, f"ends at {vma.end:#x}, not above: go on"))
    return tuple(visits), None
