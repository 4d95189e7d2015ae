"""Fragmentation measures: the kernel's arithmetic, by hand, against definitions, on everything that has free blocks."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmkit import BuddyAllocator, PhysicalMemory
from mmkit.data import recording, recordings
from mmkit.errors import OutOfMemory
from mmkit.model.fragmentation import (
    contig_page_info,
    counts_of,
    fragmentation_index,
    largest_block,
    measure,
    measure_all,
    unusable_free_index,
)
from mmkit.model.snapshot import Source

COUNTS = st.lists(st.integers(0, 300), min_size=1, max_size=11).map(tuple)


def test_by_hand():
    """16 free pages in blocks of 1, 1, 2, 4 and 8: a request of order 2 can use 12 of them, one of order 4 none."""
    counts = (2, 1, 1, 1, 0)
    info = contig_page_info(counts, 2)
    assert info == (16, 5, 3)
    assert unusable_free_index(2, info) == 250
    assert fragmentation_index(2, info) == -1000
    # 16 pages are exactly what order 4 needs: 1000 - (1000 + 16,000 / 16) / 5.
    assert fragmentation_index(4, contig_page_info(counts, 4)) == 600
    assert unusable_free_index(4, contig_page_info(counts, 4)) == 1000
    assert largest_block(counts) == 3


def test_nothing_free():
    found = measure((0, 0, 0))
    assert found.unusable == (1.0, 1.0, 1.0)
    assert found.extfrag == (0.0, 0.0, 0.0)
    assert found.largest_order is None
    assert largest_block((0, 0)) is None


def test_towards_0_for_lack_of_memory_towards_1_for_fragmentation():
    little = measure((3, 1, 0, 0, 0, 0, 0, 0, 0, 0))
    much = measure((20_000, 4000, 500, 0, 0, 0, 0, 0, 0, 0))
    assert 0 <= little.extfrag[9] < 0.8
    assert much.extfrag[9] > 0.99
    # A single page and an order just above it: the kernel's formula leaves the range that its comment names.
    assert measure((1, 0)).extfrag == (-1.0, -0.5)


@given(COUNTS)
def test_measures_are_what_their_definitions_say(counts):
    found = measure(counts)
    pages = [size for order, count in enumerate(counts) for size in [1 << order] * count]
    assert found.free_pages == sum(pages)
    for order in range(len(counts)):
        usable = sum(size >> order << order for size in pages)
        share = Fraction(sum(pages) - usable, sum(pages)) if pages else Fraction(1)
        assert found.unusable[order] == int(share * 1000) / 1000
        if not pages:
            assert found.extfrag[order] == 0
        elif usable:
            assert found.extfrag[order] == -1
        else:
            exact = 1 - (1 + Fraction(sum(pages), 1 << order)) / len(pages)
            assert 0 <= Fraction(found.extfrag[order]).limit_denominator(1000) - exact <= Fraction(2, 1000)
            assert -1 < found.extfrag[order] < 1
    assert list(found.unusable) == sorted(found.unusable)
    assert found.largest_order == largest_block(counts)


@given(st.lists(st.integers(0, 63), max_size=64), st.integers(0, 6))
def test_a_block_is_obtainable_exactly_if_the_indexes_say_so(pages, order):
    buddy = BuddyAllocator(64, max_order=6, pageblock_order=4)
    for pfn in {buddy.alloc(0) for _ in range(64)} - set(pages):
        buddy.free(pfn, 0)
    try:
        buddy.free(buddy.alloc(order), order)
        obtainable = True
    except OutOfMemory:
        obtainable = False
    assert obtainable == (buddy.fragmentation_index(order) == -1)
    assert obtainable == (buddy.unusable_index(order) < 1)
    assert obtainable == (order <= (largest_block(buddy.counts()) or 0) and buddy.free_pages > 0)


def test_an_allocator_measures_itself():
    buddy = BuddyAllocator(64, max_order=6, pageblock_order=4)
    for pfn in [buddy.alloc(0) for _ in range(64)][::2]:
        buddy.free(pfn, 0)
    assert [buddy.unusable_index(order) for order in range(7)] == [0, 1, 1, 1, 1, 1, 1]
    # 32 single pages: enough for 16 blocks of order 1, and for none of order 6.
    assert [buddy.fragmentation_index(order) for order in (0, 1, 5, 6)] == [-1, 0.469, 0.938, 0.954]
    with pytest.raises(OutOfMemory):
        buddy.alloc(1)
    found = measure(buddy.snapshot())
    assert found.counts == buddy.counts()
    assert found.source == buddy.source
    for order in (-1, 7, 1.5, "1"):
        with pytest.raises(ValueError, match=r"order is .*, must be one of 0 to 6"):
            buddy.unusable_index(order)
        with pytest.raises(ValueError, match=r"order is .*, must be one of 0 to 6"):
            buddy.fragmentation_index(order)


@pytest.mark.parametrize("name", recordings())
def test_buddyinfo_and_pagetypeinfo_of_every_recording_measure_alike(name):
    found = recording(name)
    names = [file for file in found.files if file.endswith("pagetypeinfo") and file.startswith("snap")]
    for file in names:  # at a snapshot nothing came between; elsewhere the reader's own memory did
        by_type = measure_all(found.read_pagetypeinfo(file))
        by_order = measure_all(found.read_buddyinfo(file.replace("pagetypeinfo", "buddyinfo")))
        assert [each.counts for each in by_type] == [each.counts for each in by_order]
        assert [(each.node, each.zone, each.unusable) for each in by_type] == [
            (each.node, each.zone, each.unusable) for each in by_order
        ]
    first = measure_all(found.buddyinfo)[0]
    assert (first.source, first.zone, first.node) == (found.source, found.buddyinfo.zones[0].zone, 0)
    assert measure_all(found.pagetypeinfo)[0].counts == first.counts
    assert len(measure_all(found.memory)) == len(found.buddyinfo.zones)


def test_the_free_lists_of_a_recording():
    found = recording("trace-fallback-6.1")
    for zone, lists in found.free_lists(2).items():
        row = next(row for row in found.read_buddyinfo("snap2.buddyinfo").zones if row.zone == zone)
        assert measure(lists).unusable == measure(row).unusable


def test_a_machine_of_the_model():
    memory = PhysicalMemory("X86_64", "64MiB", movable="16MiB")
    page = memory.alloc_pages("GFP_KERNEL", 3)
    found = measure_all(memory.snapshot())
    assert [each.zone for each in found] == [zone.name for zone in memory.zones if zone.present_pages]
    assert [each.counts for each in found] == [zone.buddy.counts() for zone in memory.zones if zone.buddy]
    assert found == measure_all(memory.snapshot(frames=False))
    memory.free_pages(page, 3)


def test_arguments():
    source = Source("live", "6.18")
    found = measure((1, 2), source, "Normal", 1)
    assert (found.source, found.zone, found.node) == (source, "Normal", 1)
    assert counts_of([1, 2]) == (1, 2)
    for wrong in ((), (1, -1)):
        with pytest.raises(ValueError, match="free blocks by order are wanted"):
            measure(wrong)
    with pytest.raises(ValueError, match="order is 2, must be one of 0 to 1"):
        contig_page_info((1, 2), 2)
    with pytest.raises(ValueError, match="the free blocks of zone DMA are not known"):
        measure_all(recording("amd64-4g").zoneinfo)
