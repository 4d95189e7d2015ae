"""One zone: its marks, and where the next block comes from."""

import pytest

from mmkit.arch import TOY
from mmkit.errors import InvariantError
from mmkit.model.gfp import Gfp
from mmkit.model.memory import PhysicalMemory
from mmkit.model.migratetype import MigrateType
from mmkit.model.zone import Zone

U, M = MigrateType.UNMOVABLE, MigrateType.MOVABLE


@pytest.fixture
def zone():
    return PhysicalMemory(TOY, "64 pages", min_free_kbytes=32, lowmem_reserve_ratio={"DMA": 5}).zone("DMA")


def test_what_a_zone_says_of_itself(zone):
    assert (zone.name, zone.node, zone.index, zone.start_pfn, zone.end_pfn) == ("DMA", 0, 0, 0, 16)
    assert (zone.spanned_pages, zone.present_pages, zone.managed_pages, zone.free_pages) == (16, 16, 16, 16)
    assert repr(zone) == "<Zone DMA of node 0: 16 of 16 pages free>"


def test_a_mark_is_passed_only_if_more_stays_free(zone):
    assert zone.watermark_ok(0, 15, 0)
    assert not zone.watermark_ok(0, 16, 0)
    assert zone.watermark_ok(0, 6, 1)  # 9 more pages are protected from those who could use Normal
    assert not zone.watermark_ok(0, 7, 1)
    assert zone.watermark_ok(3, 8, 0)  # 7 of the pages of the block itself do not count
    assert not zone.watermark_ok(3, 9, 0)


def test_a_large_request_needs_a_block_that_large(zone):
    taken = [zone.take(0, M) for _ in range(16)]
    for pfn in taken:
        if pfn % 2:
            zone.give(pfn, 0)
    zone.drain(0)
    assert zone.free_pages == 8
    assert zone.watermark_ok(0, 2, 0)
    assert not zone.watermark_ok(1, 0, 0)
    assert zone.take(1, M) is None
    assert zone.can_take(0, U, 0, nofragment=False)
    assert not zone.can_take(0, U, 0, nofragment=True)  # only Movable's pageblocks, none of them whole
    assert zone.can_take(0, M, 0, nofragment=True)
    assert zone.take(0, U, 0, nofragment=True) is None


def test_falling_below_high_is_remembered(zone):
    assert zone.watermarks == (2, 2, 2)
    assert zone.passes(0, 2, 0)
    assert not zone.below_high
    while zone.free_pages > 2:
        zone.take(0, M)
    assert not zone.passes(0, 2, 0)
    assert zone.below_high


def test_an_empty_zone_serves_nobody():
    empty = PhysicalMemory(TOY, "64 pages").zone("Movable")
    assert (empty.managed_pages, empty.free_pages, empty.buddy, empty.pcp) == (0, 0, None, ())
    assert not empty.watermark_ok(0, 0, 0)
    assert not empty.has_block(0)
    assert empty.allocated_blocks() == []
    empty.check()


def test_a_copy_of_a_zone(zone):
    zone.take(1, M)
    zone.passes(4, 16, 0)
    copy = Zone.from_snapshot(zone.snapshot(), 0, TOY.pageblock_order)
    assert copy.snapshot() == zone.snapshot()
    assert copy.span == zone.span
    with pytest.raises(ValueError, match="no free lists"):
        Zone.from_snapshot(zone.snapshot(frames=False), 0, TOY.pageblock_order)


def test_check_finds_more_managed_than_present(zone):
    zone.managed_pages += 1
    with pytest.raises(InvariantError, match="must ascend"):
        zone.check()


def test_protection_of_a_whole_zone_of_another_node():
    memory = PhysicalMemory("X86_64", "8GiB", nodes=2)
    assert memory.zone("DMA", 1).managed_pages == 0
    assert memory.zone("DMA32", 0).lowmem_reserve[2] == memory.zone("Normal", 0).managed_pages // 256
    assert memory.zonelist(Gfp.GFP_DMA, node=1) == [memory.zone("DMA", 0)]
