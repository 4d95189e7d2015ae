"""Two maps of one memory: each cell is what a slow and simple count says, and the words agree with the snapshots."""

from __future__ import annotations

import numpy as np
import pytest
from beforesamples import compacted, maps, odd, toy
from hypothesis import given
from hypothesis import strategies as st

from mmkit.model.framemap import frame_map
from mmkit.model.snapshot import MODEL, BuddySnapshot, FrameMap, FrameUse, Source
from mmkit.record import replace
from mmkit.view import ink
from mmkit.view.beforeafter import INKS, LARGE, BeforeAfter, alt_before_after, longest_run, side_of
from mmkit.view.blocks import uses_of
from mmkit.view.cells import NOTHING

ZONES = [*toy(), *odd(), *compacted(8192)]


def page_by_page(snapshot: BuddySnapshot, order: int) -> list[ink.Ink]:
    """The ink of every page, from the lists alone."""
    found = [ink.USE_INKS[use] for use in map(FrameUse, frame_map(snapshot).uses)]
    for size, lists in enumerate(snapshot.free_lists):
        for pfn in (pfn for pfns in lists for pfn in pfns):
            for page in range(pfn, pfn + (1 << size)):
                large = ink.LARGE_FREE if size >= order else ink.USE_INKS[FrameUse.FREE]
                found[page - snapshot.start_pfn] = large
    return found


@pytest.mark.parametrize("snapshot", ZONES, ids=lambda one: f"{one.nr_pages} pages")
def test_uses_are_those_of_the_frame_map(snapshot: BuddySnapshot) -> None:
    assert uses_of(snapshot).tobytes() == frame_map(snapshot).uses


def test_holes_unknown_pages_and_the_block_in_hand_are_told_apart() -> None:
    snapshot = toy()[0]
    codes = bytearray(snapshot.allocated)
    codes[4:14] = b"\0\0\0\0\xff\xff\0\0\0\0"
    other = replace(snapshot, allocated=bytes(codes), holes=((4, 6),), in_hand=(12, 1))
    assert uses_of(other).tobytes() == frame_map(other).uses
    assert {FrameUse.HOLE, FrameUse.OTHER, FrameUse.IN_HAND} <= set(map(FrameUse, uses_of(other).tolist()))


@pytest.mark.parametrize(("pair", "order"), [(toy(), None), (toy(), 1), (odd(), None), (odd(), 0)])
def test_every_cell_is_what_its_page_is(pair: tuple[BuddySnapshot, BuddySnapshot], order: int | None) -> None:
    picture = BeforeAfter(*pair, order=order)
    assert picture.grid.per_cell == 1
    for cells, snapshot in zip(picture.cells, pair, strict=True):
        flat = cells.values.reshape(-1)
        offset = snapshot.start_pfn - picture.grid.first_pfn
        shown = [INKS[value] for value in flat[offset : offset + snapshot.nr_pages].tolist()]
        assert shown == page_by_page(snapshot, snapshot.pageblock_order if order is None else order)
        rest = np.delete(flat, np.s_[offset : offset + snapshot.nr_pages])
        assert (rest == NOTHING).all()


def test_a_dot_of_many_pages_is_free_only_if_all_are() -> None:
    random = np.random.default_rng(1)
    memories = [FrameMap(MODEL, 0, random.choice([1, 1, 1, 4, 8], 1 << 20).astype(np.uint8).tobytes()) for _ in "ab"]
    picture = BeforeAfter(*memories)
    assert picture.grid.per_cell == 4
    for cells, one in zip(picture.cells, memories, strict=True):
        used = (np.frombuffer(one.uses, np.uint8).reshape(-1, 4) != FrameUse.FREE).any(axis=1)
        assert ((cells.values.reshape(-1) > LARGE) == used).all()


def test_compaction_shows_in_the_numbers() -> None:
    before, after = toy()
    sides = side_of(before), side_of(after)
    assert sides[0].free == sides[1].free == before.free_pages
    assert [side.large for side in sides] == [
        sum(count << order for order, count in enumerate(one.counts) if order >= 3) for one in (before, after)
    ]
    assert sides[0].large < sides[1].large
    notes = [label.text for label in BeforeAfter(before, after).legend.notes]
    assert f"{sides[0].large} → {sides[1].large}" in notes
    assert f"{sides[0].counts[FrameUse.MOVABLE]}" in notes


def test_alt_says_what_both_maps_show() -> None:
    before, after = toy()
    words = alt_before_after(before, after)
    assert words.startswith("Two maps of the same 64 pages, 0x0 to 0x3f. Before: ")
    for name, one in (("Before", before), ("After", after)):
        large = sum(count << order for order, count in enumerate(one.counts) if order >= 3)
        largest = max(order for order, count in enumerate(one.counts) if count)
        assert f"{name}: {one.free_pages} pages free, {large} of them in blocks of order 3 or more" in words
        assert f"the largest block is of order {largest}, {4 << largest} KiB" in words
    assert words == BeforeAfter(before, after).alt
    full = replace(before, free_lists=(((),) * 5,) * 5, allocated=b"\xff" * 64)
    assert (
        "0 pages free, 0 of them in blocks of order 3 or more; nothing to be had; 64 in use"
        in BeforeAfter(full, after).alt
    )


def test_frame_maps_tell_the_longest_run() -> None:
    words = BeforeAfter(*maps()).alt
    runs = [max(map(len, one.uses.translate(bytes(i == 1 for i in range(256))).split(b"\0"))) for one in maps()]
    for run in runs:
        assert f"the longest run of free frames has {run};" in words
    assert "blocks of order" not in words


@given(st.lists(st.booleans(), max_size=60))
def test_longest_run(marked: list[bool]) -> None:
    text = "".join(".X"[one] for one in marked)
    assert longest_run(np.array(marked, dtype=bool)) == max(map(len, text.split(".")))


@pytest.mark.parametrize("pair", [odd(), compacted(8192)], ids=["odd", "8192"])
def test_an_update_leaves_nothing_behind(pair: tuple[BuddySnapshot, BuddySnapshot]) -> None:
    picture = BeforeAfter(*toy())
    first = picture.png()
    picture.update(*pair)
    assert picture.png() == BeforeAfter(*pair).png() != first
    assert picture.alt == BeforeAfter(*pair).alt


def test_both_are_of_the_same_pages_or_are_refused_and_nothing_changes() -> None:
    picture = BeforeAfter(*toy())
    before = picture.png(), picture.alt
    with pytest.raises(ValueError, match="before are 64 pages from 0x0, after 1,500 from 0x91"):
        picture.update(toy()[0], odd()[1])
    assert (picture.png(), picture.alt) == before


def test_sources_that_differ_are_told_without_their_notes() -> None:
    before, after = toy()
    recorded = [Source("recording", "6.1.0", note) for note in ("snapshot 0", "snapshot 1")]
    words = BeforeAfter(replace(before, source=recorded[0]), replace(after, source=recorded[1])).alt
    assert words.endswith("(recording (kernel 6.1.0))")


def test_kinds_of_pages_are_told_apart_without_colour() -> None:
    looks = [(one.letter, one.hatch) for one in INKS.values()]
    assert len(set(looks)) == len(looks)
