"""check() of the buddy allocator: one broken structure per rule, and the rule that is named."""

from __future__ import annotations

import pytest

from mmkit.errors import InvariantError
from mmkit.model.buddy import BuddyAllocator, MigrateType
from mmkit.model.pageblock import HOLE, INSIDE, UNKNOWN

UNMOVABLE, MOVABLE = MigrateType.UNMOVABLE, MigrateType.MOVABLE


def make(kernel="6.18"):
    """Pages 16 to 67 less 40 to 43; blocks of 4 at 44 and 64 and of 1 at 32 and 33 are allocated."""
    buddy = BuddyAllocator(52, 16, 5, pageblock_order=4, holes=[(40, 44)], kernel=kernel)
    assert [buddy.alloc(2), buddy.alloc(2), buddy.alloc(0), buddy.alloc(0)] == [44, 64, 32, 33]
    buddy.check()
    return buddy


def lists_of(buddy):
    return {(o, k.name): buddy.free_blocks(o, k) for o in range(6) for k in MigrateType if buddy.free_blocks(o, k)}


def test_the_state_that_is_broken_below():
    assert lists_of(make()) == {(1, "MOVABLE"): [34], (2, "MOVABLE"): [36], (4, "MOVABLE"): [16, 48]}


def a_page_in_a_hole(buddy):
    buddy.state[40] = INSIDE


def a_hole_in_memory(buddy):
    buddy.state[40:48] = bytes([HOLE]) * 8


def a_block_listed_twice(buddy):
    buddy.lists.push(34, MOVABLE, 1)
    buddy.lists.append(34, MOVABLE, 1)


def a_block_on_two_types_lists(buddy):
    buddy.lists.push(34, UNMOVABLE, 1)


def an_allocated_block_on_a_list(buddy):
    buddy.lists.push(32, MOVABLE, 0)


def a_block_on_the_list_of_another_order(buddy):
    buddy.lists.remove(36, 2)
    buddy.lists.push(36, MOVABLE, 3)


def a_listed_page_outside_the_zone(buddy):
    buddy.lists.push(80, MOVABLE, 4)


def a_misaligned_free_block(buddy):
    buddy.lists.remove(34, 1)
    buddy.state[34] = INSIDE
    buddy.state[35] = 1
    buddy.lists.push(35, MOVABLE, 1)


def a_free_block_on_no_list(buddy):
    buddy.lists.remove(36, 2)


def a_type_that_there_is_not(buddy):
    buddy.state[32] = 0x80 | 5 << 4


def an_order_that_there_is_not(buddy):
    buddy.state[64] = 0x80 | MOVABLE << 4 | 6


def a_misaligned_allocated_block(buddy):
    buddy.state[33] = 0x80 | MOVABLE << 4 | 1
    buddy.lists.remove(34, 1)
    buddy.state[34] = INSIDE
    buddy.state[35] = 0x80 | MOVABLE << 4


def two_blocks_on_one_page(buddy):
    buddy.state[32] = 0x80 | MOVABLE << 4 | 1


def a_block_and_an_unknown_page(buddy):
    buddy.state[37] = UNKNOWN


def a_block_that_reaches_over_the_end(buddy):
    buddy.state[64] = 0x80 | MOVABLE << 4 | 3


def a_lost_page(buddy):
    buddy.state[33] = INSIDE


def buddies_that_are_not_merged(buddy):
    buddy.state[32] = 0
    buddy.state[33] = 0
    buddy.lists.push(32, MOVABLE, 0)
    buddy.lists.push(33, MOVABLE, 0)


def a_block_on_another_list_than_its_pageblocks(buddy):
    buddy.lists.move_to_tail(34, 1, UNMOVABLE)


def a_pageblock_of_another_type_than_its_blocks(buddy):
    buddy.blocks.change(48, 4, UNMOVABLE)


RULES = {
    a_page_in_a_hole: "holes and what lies outside the zone are never memory: page 40",
    a_hole_in_memory: "holes and what lies outside the zone are never memory: page 44",
    a_block_listed_twice: "a block is on one list, once: page 34",
    a_block_on_two_types_lists: "a block is on one list, once: page 34",
    an_allocated_block_on_a_list: "a block on a list is free and of that order: page 32",
    a_block_on_the_list_of_another_order: "a block on a list is free and of that order: page 36",
    a_listed_page_outside_the_zone: "a block on a list is free and of that order: page 80",
    a_misaligned_free_block: "blocks are aligned to their size: page 35",
    a_free_block_on_no_list: "a free block is on a list: 1 are not",
    a_type_that_there_is_not: "every block has an order and a type that there are",
    an_order_that_there_is_not: "every block has an order and a type that there are",
    a_misaligned_allocated_block: "blocks are aligned to their size: page 33",
    two_blocks_on_one_page: "no two blocks overlap: page 33",
    a_block_and_an_unknown_page: "no two blocks overlap: page 37",
    a_block_that_reaches_over_the_end: "no two blocks overlap: page 68",
    a_lost_page: "no page is lost: page 33",
    buddies_that_are_not_merged: "free buddies are merged: pages 32 and 33, order 0",
    a_block_on_another_list_than_its_pageblocks: "on the list of its pageblock's type: page 34",
    a_pageblock_of_another_type_than_its_blocks: "on the list of its pageblock's type: page 48",
}


@pytest.mark.parametrize(("damage", "rule"), RULES.items(), ids=[damage.__name__ for damage in RULES])
def test_each_broken_rule_is_named(damage, rule):
    buddy = make()
    damage(buddy)
    with pytest.raises(InvariantError, match=rule):
        buddy.check()


def test_memory_outside_the_zone_is_never_used():
    buddy = BuddyAllocator(50, 18, 5, pageblock_order=4)
    buddy.state[17] = 0x80
    with pytest.raises(InvariantError, match="holes and what lies outside the zone are never memory: page 17"):
        buddy.check()


def test_6_1_lets_a_free_block_be_on_another_types_list():
    for damage in (a_block_on_another_list_than_its_pageblocks, a_pageblock_of_another_type_than_its_blocks):
        buddy = make("6.1")
        damage(buddy)
        buddy.check()


def test_blocks_of_types_kept_apart_need_not_be_merged():
    buddy = BuddyAllocator(32, max_order=5, pageblock_order=4)
    buddy.set_pageblock_type(16, MigrateType.ISOLATE)
    assert lists_of(buddy) == {(4, "MOVABLE"): [0], (4, "ISOLATE"): [16]}
    buddy.check()
    buddy.lists.move_to_tail(16, 4, MOVABLE)
    buddy.blocks.change(16, 4, MOVABLE)
    with pytest.raises(InvariantError, match="free buddies are merged: pages 0 and 16, order 4"):
        buddy.check()
