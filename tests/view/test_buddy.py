"""The pictures of the buddy system show the lists they were given."""

from __future__ import annotations

import numpy as np
import pytest
from viewsamples import LADDER, MERGE, NOTES, ODD, TOY, M, R, U, buddy, code, recorded

from mmkit.data import recording
from mmkit.model import trace
from mmkit.model.migratetype import MigrateType
from mmkit.model.snapshot import FrameUse
from mmkit.record import replace
from mmkit.view import ink
from mmkit.view.blocks import used_runs
from mmkit.view.buddy import BuddyPicture, FreeLists, FreeStrip, SplitMerge, alt_buddy, alt_free_strip, alt_split_merge
from mmkit.view.cells import Lanes
from mmkit.view.freelists import bar_length, choose_scale, free_counts
from mmkit.view.splitmerge import climb


def blocks_on(lanes: Lanes, lane: int) -> dict[int, str]:
    """First pfn and ink of each box on a lane."""
    return {pfn: run.ink.name for run in lanes.runs[lane] for pfn in run.start.tolist()}


@pytest.mark.parametrize("snapshot", [TOY, ODD, recorded()], ids=["toy", "odd", "recorded"])
def test_every_free_block_is_on_the_lane_of_its_order(snapshot: object) -> None:
    picture = BuddyPicture(snapshot)  # type: ignore[arg-type]
    for order, lists in enumerate(picture.snapshot.free_lists):
        expected = {pfn: MigrateType(kind).title for kind, pfns in enumerate(lists) for pfn in pfns}
        assert blocks_on(picture.lanes, order) == expected
        assert picture.counts[order].text == f"{len(expected):,}"


def test_larger_orders_are_higher_up() -> None:
    tops = [top for top, _ in BuddyPicture(TOY).lanes.lanes]
    assert tops == sorted(tops, reverse=True)


def test_the_strip_shows_what_pages_are_used_for() -> None:
    snapshot = buddy({(0, M): [3]}, 32, max_order=4, allocated={0: code(U, 1), 8: code(R, 3), 16: 0xFF, 17: 0xFF},
                     holes=((20, 24),), in_hand=(4, 2))  # fmt: skip
    page = np.full(32, -1)
    uses = {one: use for use, one in ink.USE_INKS.items()}
    for run in used_runs(snapshot):
        for start, end in zip(run.start, run.end, strict=True):
            page[start:end] = uses[run.ink]
    expected = [FrameUse.UNMOVABLE] * 2 + [FrameUse.FREE] * 2 + [FrameUse.IN_HAND] * 4 + [FrameUse.RECLAIMABLE] * 8
    expected += [FrameUse.OTHER] * 2 + [FrameUse.FREE] * 2 + [FrameUse.HOLE] * 4 + [FrameUse.FREE] * 8
    assert page.tolist() == [int(use) for use in expected]


def test_a_split_outlines_the_half_put_back_and_the_whole_it_was() -> None:
    event, snapshot = NOTES[1]
    picture = BuddyPicture(snapshot, event)
    left, right = picture.lanes.box.left, picture.lanes.box.right
    middle = (left + right) / 2
    assert (min(picture.ghosts[0].get_xdata()), max(picture.ghosts[0].get_xdata())) == (left, right)
    assert (min(picture.outlines[0].get_xdata()), max(picture.outlines[0].get_xdata())) == (middle, right)
    assert min(picture.ghosts[0].get_ydata()) < min(picture.outlines[0].get_ydata())
    assert picture.marks.inks == [ink.IN_HAND]
    assert (picture.marks.boxes[0].left, picture.marks.boxes[0].right) == (left, middle)


def test_a_merge_outlines_both_halves_dashed() -> None:
    event, snapshot = MERGE[2]
    picture = BuddyPicture(snapshot, event)
    starts = sorted(min(line.get_xdata()) for line in picture.ghosts)
    assert starts == [picture.lanes.x(0x10), picture.lanes.x(0x12)]


def test_a_block_in_hand_too_small_for_its_name_has_a_tag() -> None:
    event, snapshot = LADDER[-1]
    picture = BuddyPicture(snapshot, event)
    assert picture.marks.inks == [ink.IN_HAND, ink.TAG]
    assert "◆ 0x400" in [text for text, _ in picture.texts]


def test_what_happened_stands_on_top_in_words() -> None:
    event, snapshot = NOTES[2]
    caption = " ".join(label.text for label in BuddyPicture(snapshot, event).caption)
    assert "Split order 9" in caption
    assert "0x0 ^ 0x100 = 0x100" in caption


def test_zoom_shows_a_part_and_stays_until_told_otherwise() -> None:
    picture = BuddyPicture(recorded())
    picture.zoom(0xA200, 0xA400)
    picture.update(recorded())
    assert picture.lanes.span == (0xA200, 0xA400)
    assert picture.ruler.pfns[0].text == "0xa200"
    with pytest.raises(ValueError, match="start below the end"):
        picture.zoom(5, 5)
    picture.update(TOY)
    assert picture.span == (0, 64)


def test_alt_tells_counts_and_hand_and_event() -> None:
    event, snapshot = NOTES[1]
    assert alt_buddy(snapshot, event) == (
        "Split order 10: 0x0 stays in hand, its buddy 0x0 ^ 0x200 = 0x200 goes to the head of the Movable list of "
        "order 9. "
        "Zone Normal, pfn 0x0 to 0x3ff: 512 of 1,024 pages free, all Movable; free blocks of order 0 to 10: "
        "0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0. In hand: order 9 at 0x0. (model)"
    )


def test_free_counts_of_every_source_agree() -> None:
    machine = recording("amd64-4g")
    by_order = next(zone.counts for zone in machine.buddyinfo.zones if zone.zone == "DMA32")
    typed = free_counts(machine.pagetypeinfo, "DMA32")
    assert free_counts(machine.buddyinfo, "DMA32").totals == typed.totals == by_order
    assert [one.name for one in typed.inks] == ["Unmovable", "Movable", "Reclaimable", "HighAtomic", "Isolate"]
    zones = replace(machine.zoneinfo, zones=tuple(replace(zone, counts=by_order) for zone in machine.zoneinfo.zones))
    assert free_counts(zones, "DMA32").totals == by_order
    assert free_counts(recorded()).totals == recorded().counts
    assert free_counts(recorded()).pages == recorded().free_pages


def test_free_counts_name_the_zones_there_are() -> None:
    with pytest.raises(ValueError, match=r"'Nowhere'.*DMA of node 0"):
        free_counts(recording("amd64-4g").buddyinfo, "Nowhere")


def test_bars_of_pages_are_to_scale_and_cut_by_type() -> None:
    picture = FreeLists(buddy({(3, M): [0, 8, 16], (3, U): [24], (0, M): [32]}, 64, max_order=4))
    pages = [(box, one) for box, one in zip(picture.bars.boxes, picture.bars.inks, strict=True) if box.left >= 500]
    by_ink = {one.name: box.right - box.left for box, one in pages if box.top == pages[-1][0].top}
    assert by_ink["Movable"] == pytest.approx(3 * by_ink["Unmovable"])
    small = next(box for box, _ in pages if box.top != pages[-1][0].top)
    assert small.right - small.left == pytest.approx(sum(by_ink.values()) / 32)


def test_scales() -> None:
    assert choose_scale((20_768, 165)) == "log"
    assert choose_scale((4, 0, 2)) == "linear"
    assert choose_scale((0, 0)) == "linear"
    assert bar_length(0, 100, "log") == 0
    assert bar_length(100, 100, "log") == bar_length(100, 100, "linear") == 1
    lengths = [bar_length(count, 1000, "log") for count in (1, 10, 100, 1000)]
    assert np.diff(lengths) == pytest.approx([np.diff(lengths)[0]] * 3)


def test_pagetypeinfo_that_stopped_counting_says_so() -> None:
    told = recording("amd64-4g").pagetypeinfo
    assert "or more" not in " ".join(text for text, _ in FreeLists(told, "DMA32").texts)
    first = told.zones[0]
    free = ((100_000, *first.free[0][1:]), *first.free[1:])
    many = replace(told, zones=(replace(first, free=free), *told.zones[1:]))
    assert any(text.endswith("or more") for text, _ in FreeLists(many).texts)


def test_the_skyline_is_as_high_as_the_order() -> None:
    picture = FreeStrip(TOY)
    heights = [bottom - top for top, bottom in picture.lanes.lanes]
    assert np.diff(heights) == pytest.approx([-heights[-1]] * 4)
    assert alt_free_strip(TOY).startswith("From pfn 0x0 to 0x3f: 9 free blocks; of order 0 to 4: 3, 2, 1, 1, 2.")
    assert "order 4 at 0x0, and 1 more" in alt_free_strip(TOY)
    assert alt_free_strip(TOY, (0x2C, 0x34)).startswith("From pfn 0x2c to 0x33: 2 free blocks; ")
    assert alt_free_strip(TOY, (0x11, 0x1D)) == "From pfn 0x11 to 0x1c: no free block. (model)"


def test_the_ladder_of_the_notes() -> None:
    rungs = climb(NOTES)
    assert {order: {pfn: look.name for pfn, look in rung.blocks.items()} for order, rung in rungs.items()} == {
        10: {0: "gone"}, 9: {0: "gone", 512: "Movable"}, 8: {0: "movable", 256: "Movable"},
    }  # fmt: skip
    assert (rungs[9].pair, rungs[8].pair) == ((0, 512), (0, 256))


def test_the_ladder_up() -> None:
    rungs = climb(MERGE)
    assert rungs[0].pair == (0x11, 0x10)
    assert rungs[1].pair == (0x10, 0x12)
    assert rungs[2].blocks == {0x10: ink.FREE_INKS[MigrateType.MOVABLE]}


def test_the_bit_that_differs_is_marked() -> None:
    picture = SplitMerge(NOTES)
    texts = [text for text, _ in picture.texts]
    assert texts.count("bit 9 differs") == texts.count("bit 8 differs") == 1
    assert "01000000000" in texts
    first, second = picture.bit_boxes.boxes
    assert first.left < second.left  # bit 9 stands left of bit 8


def test_the_ladder_is_as_long_at_every_step() -> None:
    assert len({SplitMerge(MERGE, step).height for step in range(4)}) == 1
    assert SplitMerge(MERGE, -1).index == 3
    with pytest.raises(IndexError):
        SplitMerge(MERGE, 4)
    with pytest.raises(ValueError, match="there are none"):
        SplitMerge([])
    with pytest.raises(ValueError, match="about a block"):
        SplitMerge([(trace.MmPageAlloc(None, 4, 0, M), TOY)])


def test_the_ladder_in_words() -> None:
    told = alt_split_merge(NOTES, 2)
    assert told.startswith("Step 3 of 4: Split order 9")
    assert "So far put back 0x200 (order 9) and 0x100 (order 8)." in told
