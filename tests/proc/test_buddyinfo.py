"""What the parsed buddyinfo holds, and what it takes to write one."""

from __future__ import annotations

import pytest
from formats import DATA

from mmkit.model.snapshot import MODEL, BuddyInfo, BuddyInfoZone, BuddySnapshot, MemorySnapshot, ZoneSnapshot
from mmkit.proc import buddyinfo, zoneinfo


def test_values():
    info = buddyinfo.parse((DATA / "host-6.18/buddyinfo").read_text())
    assert [(zone.node, zone.zone) for zone in info.zones] == [(0, "DMA"), (0, "DMA32"), (0, "Normal")]
    assert info.zones[0].counts == (0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 3)
    assert info.zones[2].counts[:3] == (20768, 18545, 7276)
    assert info.zones[0].free_pages == 256 + 512 + 3 * 1024


def test_two_nodes():
    info = buddyinfo.parse((DATA / "amd64-numa2/buddyinfo").read_text())
    assert [(zone.node, zone.zone) for zone in info.zones] == [(0, "DMA"), (0, "DMA32"), (1, "DMA32"), (1, "Normal")]


def test_wide_counts_push_the_columns_apart_as_in_the_kernel():
    info = BuddyInfo(MODEL, (BuddyInfoZone(12, "Normal", (1234567, 0)),))
    assert buddyinfo.format(info) == "Node 12, zone   Normal 1234567      0 \n"
    assert buddyinfo.parse(buddyinfo.format(info), MODEL) == info


@pytest.mark.parametrize("name", ["amd64-numa2", "host-6.18", "trace-buddy-6.1"])
def test_counts_join_the_zones_of_zoneinfo(name):
    memory = zoneinfo.parse((DATA / name / "zoneinfo").read_text())
    text = (DATA / name / "buddyinfo").read_text()
    joined = buddyinfo.with_counts(memory, buddyinfo.parse(text))
    assert buddyinfo.format(joined) == text
    assert [zone.counts is not None for zone in joined.zones] == [zone.present > 0 for zone in memory.zones]
    with pytest.raises(ValueError, match="free blocks of zone DMA are not known"):
        buddyinfo.format(memory)


def buddy(zone: str) -> BuddySnapshot:
    lists = (((), (5,)), ((2, 0), ()))
    return BuddySnapshot(MODEL, 1, zone, 0, 6, 1, 1, lists, bytes([0, 0, 1]), bytes(6))


def test_a_buddy_allocator_writes_one_line():
    assert buddyinfo.format(buddy("Normal")) == "Node 1, zone   Normal      1      2 \n"
    with pytest.raises(ValueError, match="names the zone"):
        buddyinfo.format(buddy(""))


def test_empty_zones_have_no_line():
    zones = [ZoneSnapshot(0, name, 0, n, n, n, 0, 0, 0, 0, counts=(n,)) for name, n in (("DMA", 0), ("Normal", 8))]
    text = buddyinfo.format(MemorySnapshot(MODEL, tuple(zones)))
    assert text == "Node 0, zone   Normal      8 \n"
