"""The rules that a zone's free memory obeys at every moment, checked against its whole state.

Models: the VM_BUG_ON and VM_WARN_ON assertions of mm/page_alloc.c (Linux 6.18), and what they take for granted.
Leaves out: assertions about struct page.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from mmkit.errors import InvariantError
from mmkit.model.migratetype import NR_MIGRATETYPES, MigrateType
from mmkit.model.pageblock import HOLE, INSIDE, UNKNOWN

if TYPE_CHECKING:
    from mmkit.model.freearea import FreeArea

Bytes = npt.NDArray[np.uint8]
Pfns = npt.NDArray[np.int64]
Listed = list[tuple[MigrateType, int, Pfns]]
"""(migrate type, order, first pfns) of every list that is not empty."""


def check_area(area: FreeArea) -> None:
    """Raise InvariantError, naming the rule and the page, if one of the rules is broken."""
    chunk = 1 << area.max_order
    first = area.start_pfn // chunk * chunk
    states = np.frombuffer(bytes(memoryview(area.state)[first:]), np.uint8)
    _check_holes(area, states, first)
    listed = [
        (kind, order, np.array(area.lists.pfns(kind, order), np.int64))
        for kind in MigrateType
        for order in range(area.max_order + 1)
        if area.lists.length(kind, order)
    ]
    _check_lists(area, listed, states, first)
    _check_cover(area, states, first)
    for kind, order, pfns in listed:
        _check_merged(area, order, pfns, states, first)
        if area.kernel != "6.1":
            _check_list_type(area, kind, order, pfns)


def _broken(rule: str, what: str) -> InvariantError:
    return InvariantError(f"{rule}: {what}")


def _check_holes(area: FreeArea, states: Bytes, first: int) -> None:
    expected = np.full(len(states), HOLE, np.uint8)
    for start, end in area.memory():
        expected[start - first : end - first] = INSIDE
    wrong = np.flatnonzero((states == HOLE) != (expected == HOLE))
    if len(wrong):
        raise _broken("holes and what lies outside the zone are never memory", f"page {first + int(wrong[0])}")


def _check_lists(area: FreeArea, listed: Listed, states: Bytes, first: int) -> None:
    every = np.sort(np.concatenate([pfns for _, _, pfns in listed])) if listed else np.empty(0, np.int64)
    twice = every[1:][every[1:] == every[:-1]]
    if len(twice):
        raise _broken("a block is on one list, once", f"page {twice[0]}")
    for kind, order, pfns in listed:
        where = f"on the list of order {order}, {kind.title}"
        wrong = pfns[(pfns < area.start_pfn) | (pfns >= area.end_pfn)]
        wrong = wrong if len(wrong) else pfns[states[pfns - first] != order]
        if len(wrong):
            raise _broken("a block on a list is free and of that order", f"page {wrong[0]} {where}")
        wrong = pfns[pfns & (1 << order) - 1 != 0]
        if len(wrong):
            raise _broken("blocks are aligned to their size", f"page {wrong[0]} {where}")
    unlisted = int(np.count_nonzero(states <= area.max_order)) - len(every)
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


def _check_merged(area: FreeArea, order: int, pfns: Pfns, states: Bytes, first: int) -> None:
    if order == area.max_order:
        return
    lower = pfns[pfns & 1 << order == 0]
    for pfn in lower[states[(lower ^ 1 << order) - first] == order].tolist():
        buddy = pfn ^ 1 << order
        kinds = area.blocks.type_of(pfn), area.blocks.type_of(buddy)
        if kinds[0] == kinds[1] or max(kinds) <= MigrateType.RECLAIMABLE:
            raise _broken("free buddies are merged", f"pages {pfn} and {buddy}, order {order}")


def _check_list_type(area: FreeArea, kind: MigrateType, order: int, pfns: Pfns) -> None:
    """Since 6.10 a free block is on the list of its pageblock's type, and larger ones have pageblocks of one type."""
    numbers, place = np.unique(pfns >> area.pageblock_order, return_inverse=True)
    for number, row in enumerate(numbers.tolist()):
        touched = area.blocks.rows[row : row + max(1, 1 << order >> area.pageblock_order)]
        if any(found != kind for _, _, found in touched):
            page = pfns[np.flatnonzero(place == number)[0]]
            raise _broken("a free block is on the list of its pageblock's type", f"page {page} is on {kind.title}")
