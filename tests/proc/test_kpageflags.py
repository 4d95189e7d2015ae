"""Page flags of recorded kernels: what every frame is used for, and the free blocks that follow from them."""

from __future__ import annotations

import gzip
import random
import re
from pathlib import Path

import numpy as np
import pytest
from formats import DATA

from mmkit.model.buddy import BuddyAllocator
from mmkit.model.snapshot import FrameMap, FrameUse, Source, ZoneSnapshot
from mmkit.proc import buddyinfo, kpageflags, zoneinfo
from mmkit.proc.kpageflags import Kpf

RECORDED = sorted(path.parent.name for path in DATA.glob("*/kpageflags.bin.gz"))
# The reader's own buffer, made between the two files, came from the other zones.
UNTOUCHED = {
    "amd64-4g": ["DMA", "DMA32"],
    "amd64-movablecore": ["DMA", "DMA32"],
    "arm64-4g": ["DMA"],
    "i386-686-2g": ["DMA"],
    "i386-pae-6g": ["DMA"],
}


def flags_of(name: str) -> bytes:
    return gzip.decompress((DATA / name / "kpageflags.bin.gz").read_bytes())


def zones_of(name: str) -> list[ZoneSnapshot]:
    memory = zoneinfo.parse((DATA / name / "zoneinfo").read_text())
    counts = buddyinfo.parse((DATA / name / "buddyinfo").read_text())
    return [zone for zone in buddyinfo.with_counts(memory, counts).zones if zone.present]


def word(*bits: Kpf) -> int:
    return sum(1 << bit for bit in bits)


@pytest.mark.parametrize(
    ("bits", "use"),
    [
        ((), FrameUse.OTHER),
        ((Kpf.NOPAGE,), FrameUse.HOLE),
        ((Kpf.BUDDY,), FrameUse.FREE),
        ((Kpf.SLAB, Kpf.ANON, Kpf.KSM, Kpf.COMPOUND_TAIL), FrameUse.SLAB),
        ((Kpf.PGTABLE, Kpf.MMAP), FrameUse.PAGE_TABLE),
        ((Kpf.UPTODATE, Kpf.LRU, Kpf.MMAP, Kpf.ANON, Kpf.SWAPBACKED), FrameUse.ANON),
        ((Kpf.MMAP, Kpf.ANON, Kpf.COMPOUND_TAIL, Kpf.THP), FrameUse.ANON),
        ((Kpf.UPTODATE, Kpf.LRU, Kpf.COMPOUND_TAIL, Kpf.THP, Kpf.PRIVATE), FrameUse.FILE),
        ((Kpf.REFERENCED, Kpf.UPTODATE, Kpf.DIRTY, Kpf.LRU, Kpf.ACTIVE, Kpf.MMAP, Kpf.SWAPBACKED), FrameUse.FILE),
        ((Kpf.RESERVED, Kpf.PRIVATE), FrameUse.RESERVED),
        ((Kpf.RESERVED, Kpf.ZERO_PAGE), FrameUse.RESERVED),
        ((Kpf.THP, Kpf.ZERO_PAGE), FrameUse.OTHER),
        ((Kpf.HUGE, Kpf.COMPOUND_HEAD), FrameUse.OTHER),
        ((Kpf.COMPOUND_TAIL,), FrameUse.OTHER),
    ],
)
def test_a_frame_is_used_as_its_bits_say(bits, use):
    frames = kpageflags.parse(np.array([word(*bits)], "<u8"))
    assert FrameUse(frames.uses[0]) is use
    assert kpageflags.flag_names(word(*bits)) == tuple(bit.name for bit in sorted(bits))


def test_bits_have_the_numbers_of_the_header():
    header = Path("/usr/include/linux/kernel-page-flags.h")
    text = header.read_text() if header.exists() else "#define KPF_BUDDY\t\t10\n#define KPF_PGTABLE\t\t26\n"
    numbers = {name: int(number) for name, number in re.findall(r"#define KPF_(\w+)\s+(\d+)", text)}
    known = {bit.name: bit.value for bit in Kpf}
    assert {"BUDDY", "PGTABLE"} <= set(numbers)
    assert {name: known.get(name, number) for name, number in numbers.items()} == numbers


def test_names_of_unknown_bits():
    assert kpageflags.flag_names(1 << 63 | 1 << 10) == ("BUDDY", "BIT_63")
    assert kpageflags.flag_names(0) == ()


@pytest.mark.parametrize("name", RECORDED)
def test_every_use_in_a_recording_adds_up(name):
    flags = flags_of(name)
    frames = kpageflags.parse(flags)
    raw = np.frombuffer(flags, "<u8")
    uses = np.frombuffer(frames.uses, np.uint8)
    assert len(frames.uses) * 8 == len(flags)
    for use, bit in [(FrameUse.HOLE, 20), (FrameUse.FREE, 10), (FrameUse.SLAB, 7), (FrameUse.PAGE_TABLE, 26)]:
        assert np.array_equal(uses == use, raw >> np.uint64(bit) & np.uint64(1) == 1)
    # Nothing but kernel memory without any bit of its own is left over.
    assert {kpageflags.flag_names(each) for each in set(raw[uses == FrameUse.OTHER].tolist())} <= {
        (),
        ("COMPOUND_HEAD",),
        ("COMPOUND_TAIL",),
    }
    assert all(use in uses for use in (FrameUse.ANON, FrameUse.FILE, FrameUse.RESERVED))


@pytest.mark.parametrize("name", RECORDED)
def test_the_map_is_written_and_read_again(name):
    frames = kpageflags.parse(flags_of(name), Source("recording", "6.1"), 0)
    assert kpageflags.parse(kpageflags.format(frames), frames.source, frames.start_pfn) == frames


def test_uses_that_no_bit_says_are_written_as_nothing():
    frames = FrameMap(Source(), 0, bytes(FrameUse))
    again = kpageflags.parse(kpageflags.format(frames), Source())
    vague = {FrameUse.PER_CPU, FrameUse.UNMOVABLE, FrameUse.MOVABLE, FrameUse.RECLAIMABLE, FrameUse.IN_HAND}
    assert [FrameUse(use) for use in again.uses] == [FrameUse.OTHER if use in vague else use for use in FrameUse]


@pytest.mark.parametrize("size", [1, 7, 12])
def test_a_file_of_broken_words_is_refused(size):
    with pytest.raises(ValueError, match=f"{size} bytes are no whole number of frames"):
        kpageflags.parse(bytes(size))


@pytest.mark.parametrize("name", RECORDED)
def test_free_blocks_are_those_of_buddyinfo(name):
    frames = kpageflags.parse(flags_of(name))
    equal = []
    for zone in zones_of(name):
        blocks = kpageflags.free_blocks(frames, zone.start_pfn, zone.end_pfn)
        if tuple(map(len, blocks)) == zone.counts:
            equal.append(zone.name)
        pages = sum(len(pfns) << order for order, pfns in enumerate(blocks))
        # Everywhere: a free frame is in exactly one block; per-CPU pages carry no BUDDY bit.
        inside = frames.uses[zone.start_pfn : zone.end_pfn]
        assert pages == inside.count(FrameUse.FREE)
        assert abs(pages - zone.free) <= 0.05 * zone.free
    assert equal == UNTOUCHED[name]


def naive_blocks(free: list[bool], start: int, end: int, max_order: int) -> list[list[int]]:
    """The rule, frame by frame: the largest aligned block that is free as a whole and inside the zone."""
    found: list[list[int]] = [[] for _ in range(max_order + 1)]
    pfn = start
    while pfn < end:
        fits = [
            order
            for order in range(max_order + 1)
            if pfn % (1 << order) == 0 and pfn + (1 << order) <= end and all(free[pfn : pfn + (1 << order)])
        ]
        if fits:
            found[fits[-1]].append(pfn)
        pfn += 1 << fits[-1] if fits else 1
    return found


def test_free_blocks_as_a_naive_search_finds_them():
    rng = random.Random(4)
    for _ in range(300):
        nr_pages, max_order, first = rng.randrange(1, 200), rng.randrange(5), rng.choice([0, 3, 64])
        share = rng.random()
        free = [False] * first + [rng.random() < share for _ in range(nr_pages)]
        start, end = sorted(rng.randrange(first, first + nr_pages + 1) for _ in range(2))
        uses = bytes(FrameUse.FREE if each else FrameUse.OTHER for each in free[first:])
        blocks = kpageflags.free_blocks(FrameMap(Source(), first, uses), start, end, max_order)
        assert [list(pfns) for pfns in blocks] == naive_blocks(free, start, end, max_order)


def test_holes_by_ram_where_the_kernel_writes_nothing():
    flags = np.array([0, 0, word(Kpf.BUDDY), word(Kpf.RESERVED), 0, 0, 0], "<u8")
    frames = kpageflags.parse(flags, start_pfn=10, ram=[(5, 11), (15, 16)])
    use = FrameUse
    assert [*frames.uses] == [use.OTHER, use.HOLE, use.FREE, use.RESERVED, use.HOLE, use.OTHER, use.HOLE]
    assert FrameUse.HOLE not in kpageflags.parse(flags, start_pfn=10).uses
    assert kpageflags.parse(flags, start_pfn=10, ram=[]).uses.count(FrameUse.HOLE) == 5


@pytest.mark.parametrize("name", RECORDED)
def test_a_buddy_allocator_from_flags(name):
    frames = kpageflags.parse(flags_of(name), Source("recording", "6.1"))
    for zone in zones_of(name):
        buddy = kpageflags.to_buddy(frames, zone)
        assert buddy.source == frames.source
        assert (buddy.zone, buddy.start_pfn, buddy.nr_pages) == (zone.name, zone.start_pfn, zone.spanned)
        if zone.name in UNTOUCHED[name]:
            assert buddy.counts == zone.counts
        inside = frames.uses[zone.start_pfn : zone.end_pfn]
        assert buddy.free_pages == inside.count(FrameUse.FREE)
        assert sum(end - start for start, end in buddy.holes) == inside.count(FrameUse.HOLE)
        assert len(buddy.allocated) == zone.spanned
        assert buddy.allocated.count(0xFF) == zone.spanned - inside.count(FrameUse.FREE) - inside.count(FrameUse.HOLE)
        BuddyAllocator.from_snapshot(buddy).check()
        assert len(buddy.pageblocks) == len({pfn >> 9 for pfn in range(zone.start_pfn, zone.end_pfn)})


def test_a_zone_beyond_the_end_of_the_map_is_a_hole_there():
    frames = FrameMap(Source(), 0, bytes([FrameUse.FREE]) * 8)
    buddy = kpageflags.to_buddy(frames, ZoneSnapshot(0, "Normal", 4, 8, 4, 4, 4, 0, 0, 0))
    assert buddy.counts[:4] == (0, 0, 1, 0)
    assert buddy.holes == ((8, 12),)
