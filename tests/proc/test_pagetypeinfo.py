"""What the parsed pagetypeinfo holds, and how it agrees with the other files."""

from __future__ import annotations

import pytest
from formats import DATA, recorded

from mmkit.errors import FormatError
from mmkit.model.snapshot import MODEL, BuddySnapshot, MemorySnapshot, ZoneSnapshot
from mmkit.proc import buddyinfo, pagetypeinfo
from mmkit.record import replace


def host():
    return pagetypeinfo.parse((DATA / "host-6.18/pagetypeinfo").read_text())


def test_values():
    info = host()
    assert info.pageblock_order == 9
    assert info.migratetypes == ("Unmovable", "Movable", "Reclaimable", "HighAtomic", "Isolate")
    assert [zone.zone for zone in info.zones] == ["DMA", "DMA32", "Normal"]
    normal = info.zones[2]
    assert normal.free[1][:3] == (16593, 17496, 6412)
    assert normal.blocks == (105, 6459, 284, 0, 0)
    assert normal.mixed is None


def test_types_as_the_kernel_was_built():
    info = pagetypeinfo.parse((DATA / "arm64-4g/pagetypeinfo").read_text())
    assert info.migratetypes[4:] == ("CMA", "Isolate")
    assert info.zones[0].blocks == (0, 1504, 0, 0, 32, 0)


def test_every_snapshot_file_agrees_with_the_buddyinfo_beside_it():
    # Both were read by a process that allocates nothing, one after the other (see mmkit/data/README.md).
    seen = 0
    for path in recorded("pagetypeinfo"):
        if not path.name.startswith("snap"):
            continue
        info = pagetypeinfo.parse(path.read_text())
        sums = [tuple(map(sum, zip(*zone.free, strict=True))) for zone in info.zones]
        text = path.with_name(path.name.replace("pagetype", "buddy")).read_text()
        assert sums == [row.counts for row in buddyinfo.parse(text).zones], path
        seen += 1
    assert seen >= 20


def test_long_lists_are_counted_up_to_a_limit():
    info = host()
    zone = replace(info.zones[0], free=((100_000, 99_999, *[0] * 9), (2_000_000, *[0] * 10), *info.zones[0].free[2:]))
    text = pagetypeinfo.format(replace(info, zones=(zone,)))
    rows = text.splitlines()
    assert rows[4] == "Node    0, zone      DMA, type    Unmovable >100000  99999 " + "     0 " * 9
    again = pagetypeinfo.parse(text)
    assert pagetypeinfo.format(again) == text
    assert again.zones[0].free[1][0] == 100_000
    with pytest.raises(FormatError) as caught:
        pagetypeinfo.parse(text.replace(">100000  99999", ">100001  99999"))
    assert (caught.value.line_no, caught.value.expected) == (5, repr(rows[4]))


def test_mixed_blocks_of_a_kernel_that_tracks_page_owners():
    info = host()
    zones = tuple(replace(zone, mixed=(1, 2, 3, 0, 0)) for zone in info.zones)
    text = pagetypeinfo.format(replace(info, zones=zones))
    head, rows = text.split("\nNumber of mixed blocks")
    assert head == (DATA / "host-6.18/pagetypeinfo").read_text()
    assert (
        rows.splitlines()[1]
        == "Node 0, zone      DMA            1            2            3            0            0 "
    )
    assert pagetypeinfo.parse(text).zones == zones
    with pytest.raises(FormatError, match="'Node 0, zone Normal' and 5 counts"):
        pagetypeinfo.parse(text[: text.rindex("Node")])


def model(holes: tuple[tuple[int, int], ...]) -> MemorySnapshot:
    nr_pages = 4 * pagetypeinfo.SECTION_PAGES
    lists = [[[], [], [], [], []] for _ in range(11)]
    lists[3][1] = [8, 1024]
    lists[10][0] = [2048]
    frozen = tuple(tuple(map(tuple, types)) for types in lists)
    types = bytes([2, 0, *[1] * (nr_pages // 512 - 2)])
    buddy = BuddySnapshot(MODEL, 0, "DMA32", 0, nr_pages, 10, 9, frozen, types, bytes(nr_pages), holes)
    empty = ZoneSnapshot(0, "Normal", 0, 0, 0, 0, 0, 0, 0, 0)
    return MemorySnapshot(MODEL, (ZoneSnapshot(0, "DMA32", 0, nr_pages, 9, 9, 9, 0, 0, 0, buddy=buddy), empty))


def test_a_model_writes_itself():
    text = pagetypeinfo.format(model(holes=()))
    info = pagetypeinfo.parse(text)
    assert [zone.zone for zone in info.zones] == ["DMA32"]
    assert info.zones[0].free[1] == (0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0)
    assert info.zones[0].free[0][10] == 1
    assert info.zones[0].blocks == (1, 254, 1, 0, 0)


def test_pageblocks_are_not_counted_where_the_kernel_has_no_memory_map():
    section = pagetypeinfo.SECTION_PAGES
    info = pagetypeinfo.from_model(model(holes=((section + 512, 3 * section),)))
    # One section is a hole altogether, the one before it only in part: its pages have a struct page.
    assert sum(info.zones[0].blocks) == 3 * section // 512
    # What boot keeps back is no hole for the kernel, though nothing of it is ever free.
    memory = model(holes=((section, 2 * section), (2 * section, 3 * section)))
    zone = replace(memory.zones[0], reserved=((3 * section - 1, 3 * section),))
    info = pagetypeinfo.from_model(replace(memory, zones=(zone,)))
    assert sum(info.zones[0].blocks) == 3 * section // 512


def test_free_lists_must_be_known():
    zone = ZoneSnapshot(0, "Normal", 0, 8, 8, 8, 0, 0, 0, 0, counts=(8,))
    with pytest.raises(ValueError, match="free lists of zone Normal are not known"):
        pagetypeinfo.format(MemorySnapshot(MODEL, (zone,)))
    with pytest.raises(ValueError, match="without a populated zone"):
        pagetypeinfo.format(MemorySnapshot(MODEL, ()))
