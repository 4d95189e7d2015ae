"""The rules that a zone's free memory obeys at every moment, checked against its whole state.

Models: the VM_BUG_ON and VM_WARN_ON assertions of mm/page_alloc.c (Linux 6.18), and what they take for granted.
Leaves out: assertions about struct page.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from mmkit.errors import InvariantError
from mmkit.model.migratetype import NR_MIGRATETYPES, MigrateType
from mmkit.model.pageblock import HOLE, INSIDE, UNKNOWN

if TYPE_CHECKING:
    from mmkit.model.freearea import FreeArea

Bytes = npt.NDArray[np.uint8]


def check_area(area: FreeArea) -> None:
    """Raise InvariantError, naming the rule and the page, if one of the rules is broken."""
    chunk = 1 << area.max_order
    first = area.start_pfn // chunk * chunk
    states = np.frombuffer(bytes(memoryview(area.state)[first:]), np.uint8)
    _check_holes(area, states, first)
    listed = list(_listed(area))
    _check_lists(area, listed, states)
    _check_cover(area, states, first)
    for pfn, order, kind in listed:
        _check_merged(area, pfn, order)
        _check_list_type(area, pfn, order, kind)


def _broken(rule: str, what: str) -> InvariantError:
    return InvariantError(f"{rule}: {what}")


def _listed(area: FreeArea) -> Iterator[tuple[int, int, int]]:
    """Yield (pfn, order, migratetype) of every block on a list."""
    for kind in range(NR_MIGRATETYPES):
        for order in range(area.max_order + 1):
            for pfn in area.lists.pfns(kind, order):
                yield pfn, order, kind


def _check_holes(area: FreeArea, states: Bytes, first: int) -> None:
    expected = np.full(len(states), HOLE, np.uint8)
    for start, end in area.memory():
        expected[start - first : end - first] = INSIDE
    wrong = np.flatnonzero((states == HOLE) != (expected == HOLE))
    if len(wrong):
        raise _broken("holes and what lies outside the zone are never memory", f"page {first + int(wrong[0])}")


def _check_lists(area: FreeArea, listed: list[tuple[int, int, int]], states: Bytes) -> None:
    seen: set[int] = set()
    for pfn, order, kind in listed:
        where = f"page {pfn} on the list of order {order}, {MigrateType(kind).title}"
        if pfn in seen:
            raise _broken("a block is on one list, once", where)
        seen.add(pfn)
        if not area.start_pfn <= pfn < area.end_pfn or area.state[pfn] != order:
            raise _broken("a block on a list is free and of that order", where)
        if pfn % (1 << order):
            raise _broken("blocks are aligned to their size", where)
    unlisted = int(np.count_nonzero(states <= area.max_order)) - len(listed)
    if unlisted:
        raise _broken("a free block is on a list", f"{unlisted} are not")


def _check_cover(area: FreeArea, states: Bytes, first: int) -> None:
    """Every page belongs to exactly one thing: a block, a hole, or (alone) to what is unknown."""
    starts = np.flatnonzero((states != INSIDE) & (states != HOLE) & (states != UNKNOWN))
    orders = (states[starts] & 0x0F).astype(np.int64)
    kinds = states[starts] >> 4 & 7
    if len(starts) and (int(orders.max()) > area.max_order or int(kinds.max()) >= NR_MIGRATETYPES):
        raise _broken("every block has an order and a type that there are", f"page {first + int(starts[0])} or a later")
    misaligned = starts[starts + first & (1 << orders) - 1 != 0]
    if len(misaligned):
        raise _broken("blocks are aligned to their size", f"page {first + int(misaligned[0])}")
    cover = ((states == HOLE) | (states == UNKNOWN)).astype(np.int32)
    change = np.zeros(len(states) + (1 << area.max_order) + 1, np.int32)
    np.add.at(change, starts, 1)
    np.add.at(change, starts + (1 << orders), -1)
    if area.in_hand:
        pfn, order = area.in_hand
        change[[pfn - first, pfn - first + (1 << order)]] += (1, -1)
    cover += np.cumsum(change)[: len(states)]
    for count, rule in ((cover > 1, "no two blocks overlap"), (cover < 1, "no page is lost")):
        if count.any():
            raise _broken(rule, f"page {first + int(np.flatnonzero(count)[0])}")


def _check_merged(area: FreeArea, pfn: int, order: int) -> None:
    buddy = pfn ^ 1 << order
    if order == area.max_order or pfn > buddy or area.state[buddy] != order:
        return
    if order >= area.pageblock_order:
        kinds = area.blocks.type_of(pfn), area.blocks.type_of(buddy)
        if kinds[0] != kinds[1] and max(kinds) > MigrateType.RECLAIMABLE:
            return
    raise _broken("free buddies are merged", f"pages {pfn} and {buddy}, order {order}")


def _check_list_type(area: FreeArea, pfn: int, order: int, kind: int) -> None:
    """Since 6.10 a free block is on the list of its pageblock's type, and larger ones have pageblocks of one type."""
    if area.kernel == "6.1":
        return
    if any(area.blocks.type_of(page) != kind for page in range(pfn, pfn + (1 << order), 1 << area.pageblock_order)):
        raise _broken(
            "a free block is on the list of its pageblock's type", f"page {pfn} is on {MigrateType(kind).title}"
        )
