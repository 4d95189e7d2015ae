"""The pictures of fragmentation and compaction show the states they were given."""

from __future__ import annotations

import re

import numpy as np
import pytest
from fragsamples import SHARES, packets, rates, run, steps

from mmkit.data import recording
from mmkit.model import compacttrace
from mmkit.model.buddy import BuddyAllocator
from mmkit.model.fragmentation import measure, measure_all
from mmkit.model.fragstate import History, Moment, Occupancy
from mmkit.model.migratetype import MigrateType
from mmkit.model.pageblock import INSIDE
from mmkit.model.snapshot import MODEL
from mmkit.view import compaction, history, ink, occupancy
from mmkit.view.artist import word
from mmkit.view.cells import NOTHING
from mmkit.view.compaction import CompactionPicture
from mmkit.view.fragmentation import MOST, FragmentationPicture, alt_fragmentation
from mmkit.view.history import HistoryPicture
from mmkit.view.occupancy import OccupancyPicture
from mmkit.view.successrate import SuccessRatePicture
from mmkit.view.words import in_words


def same_pixels(updated, fresh):
    """An updated picture is a fresh one, to the pixel, and says the same."""
    assert updated.png() == fresh.png()
    assert updated.alt == fresh.alt


# -- indices ----------------------------------------------------------------------------------------------------------

HOST = measure_all(recording("host-6.18").buddyinfo)


def lengths(picture, *looks):
    """Lengths of the bars of some inks, from the top."""
    bars = zip(picture.bars.boxes, picture.bars.inks, strict=True)
    return [box.right - box.left for box, one in bars if one in looks]


@pytest.mark.parametrize("zone", HOST, ids=lambda one: one.zone)
def test_each_row_of_indices_tells_its_order(zone):
    (rows,) = FragmentationPicture([zone]).rows
    for order, row in enumerate(rows):
        name, size, blocks, unusable, why = (label.text for label in row)
        assert (name, size) == (str(order), ["4 KiB", "8 KiB", "16 KiB", "32 KiB", "64 KiB", "128 KiB", "256 KiB",
                                             "512 KiB", "1 MiB", "2 MiB", "4 MiB"][order])  # fmt: skip
        assert blocks.split()[0] == f"{zone.counts[order]:,}"
        assert float(unusable) == zone.unusable[order]
        assert why == "would not fail"


def test_bars_of_free_pages_are_to_scale():
    found = lengths(FragmentationPicture([measure((8, 0, 4, 1))]), ink.WATER, ink.LARGEST)
    assert [length / found[0] for length in found] == pytest.approx([1, 2, 1])


def test_only_the_largest_block_is_marked():
    picture = FragmentationPicture([measure((8, 0, 4, 0)), measure((0, 1, 0, 0)), measure((0, 0, 0, 0))])
    assert [one for one in picture.bars.inks if one in (ink.WATER, ink.LARGEST)] == [
        ink.WATER,
        ink.LARGEST,
        ink.LARGEST,
    ]
    assert [title.text.split(": ", 1)[1] for title in picture.titles] == [
        "96 KiB free; the largest block is of order 2, 16 KiB", "8 KiB free; the largest block is of order 1, 8 KiB",
        "nothing free",
    ]  # fmt: skip


def test_both_indices_are_on_one_scale():
    zone = measure((300, 0, 0))
    picture = FragmentationPicture([zone])
    whole = lengths(picture, ink.KEPT)[-1]  # index 1
    assert lengths(picture, ink.KEPT) == pytest.approx([whole * share for share in zone.unusable[1:]])
    assert lengths(picture, ink.WHY) == pytest.approx([whole * index for index in zone.extfrag[1:]])


def test_why_a_request_fails_is_said_beside_the_index():
    (few,), (many,) = (FragmentationPicture([measure((n, 0, 0))]).rows for n in (3, 300))
    assert [row[-1].text for row in few] == ["would not fail", "0.167: too little", "0.417: too little"]
    assert [row[-1].text for row in many] == ["would not fail", "0.497: too little", "0.747: in pieces"]


def test_memories_have_the_names_of_their_sources():
    measures = [measure(run(grouping).buddy.snapshot()) for grouping in (True, False)]
    picture = FragmentationPicture(measures)
    assert [title.text.split(":")[0] for title in picture.titles] == [
        "Workload 3, grouped by mobility", "Workload 3, not grouped",
    ]  # fmt: skip
    assert "model" in [text for text, _ in picture.texts]
    assert picture.alt.endswith("(model)")


def test_alt_of_indices_tells_all():
    assert alt_fragmentation([measure((8, 4, 0, 1, 0), name="Normal", node=1)]) == (
        "Zone Normal of node 1: 24 pages free, in blocks of order 0 to 4: 8, 4, 0, 1, 0; "
        "share of no use to a request of that order: 0, 0.333, 0.666, 0.666, 1; "
        "a request of order 4 would fail, fragmentation index 0.808. (model)"
    )
    assert "requests of order 1 to 2 would fail, fragmentation index 0.167 to 0.417." in alt_fragmentation(
        [measure((3, 0, 0))]
    )
    assert alt_fragmentation([measure((0, 0))]) == "Free memory: nothing is free. (model)"
    assert "no request would fail" in alt_fragmentation(HOST)


def test_indices_updated():
    after = [measure(run(grouping).buddy.snapshot()) for grouping in (True, False)]
    picture = FragmentationPicture(after[::-1])
    picture.png()
    picture.update(after)
    same_pixels(picture, FragmentationPicture(after))
    with pytest.raises(ValueError, match="2 zones with 11 orders"):
        picture.update(after[:1])
    with pytest.raises(ValueError, match="2 zones with 11 orders"):
        picture.update([measure((1,) * 12)] * 2)


def test_what_is_left_out_is_said():
    many = [measure((1,), name=f"Z{k}") for k in range(MOST + 2)]
    assert "2 more zones, not shown" in [text for text, _ in FragmentationPicture(many).texts]
    assert "And 2 more zones." in alt_fragmentation(many)
    with pytest.raises(ValueError, match="no zone"):
        FragmentationPicture([])


# -- history ----------------------------------------------------------------------------------------------------------


def test_every_moment_is_a_column_with_a_layer_for_each_share():
    told = run(True).history
    (stack,) = HistoryPicture([told]).stacks
    wide = stack.box.right - stack.box.left
    assert stack.ends[1:] == pytest.approx([wide * one.step / told.moments[-1].step for one in told.moments[1:]])
    shares = [history.shares_of(moment, 4096) for moment in told.moments]
    assert stack.levels == pytest.approx(np.cumsum(shares, axis=1))
    assert stack.levels[:, -1] == pytest.approx(1)


def test_layers_are_as_high_as_their_shares():
    stack = history.Stack((0, 0, 40, 100), (ink.USED, ink.VACANT, ink.LARGEST))
    stack.put([10, 30], [(0.5, 0, 0.5), (0.2, 0.3, 0)])
    pixels = np.zeros((200, 80), dtype=np.uint32)
    stack.paint(pixels, 2.0)
    used, vacant, largest = ([word(one.face), word(one.mark), word(one.edge)] for one in stack.inks)
    assert np.isin(pixels[100:, :20], used).all()
    assert np.isin(pixels[:100, :20], largest).all()
    assert np.isin(pixels[160:, 20:60], used).all()
    assert np.isin(pixels[100:160, 20:60], vacant).all()
    assert not pixels[:100, 20:60].any()
    assert not pixels[:, 60:].any()
    assert (pixels[100, :20] == word(ink.USED.edge)).all()
    assert (pixels[1:, 30] == pixels[1:, 31]).mean() > 0.5  # a hatch of bars goes on


def test_both_histories_are_on_one_scale_and_refusals_stand_where_they_were():
    def moment(step, failures, mixed):
        return Moment(step, (0, 4), (failures, 0), 8, mixed)

    long = History(MODEL, "long", 16, (moment(0, 0, 0), moment(50, 0, 1), moment(100, 4, 4)))
    short = History(MODEL, "short", 16, (moment(0, 0, 0), moment(50, 2, 0)))
    picture = HistoryPicture([long, short])
    assert [stack.ends[-1] for stack in picture.stacks] == [594, 297]
    found = [[(one.name, box.left, box.right, box.bottom - box.top)
              for box, one in zip(marks.boxes, marks.inks, strict=True)] for marks in picture.marks]  # fmt: skip
    assert found == [
        [("refused", 363, 660, 17), ("of mixed types", 68, 363, 17 / 4), ("of mixed types", 363, 660, 17)],
        [("refused", 68, 363, 17 / 2)],
    ]
    assert [[label.text for label in lines] for lines in picture.told] == [
        ["4 requests refused so far", "4 pageblocks of mixed types"],
        ["2 requests refused so far", "0 pageblocks of mixed types"],
    ]


def test_large_orders_are_counted_too():
    moment = Moment(1, (0,) * 12 + (1,), (0,) * 13, 4096)
    assert history.shares_of(moment, 8192) == (0.5, 0, 0, 0, 0.5)


def test_shares_of_a_moment_add_up():
    for moment in run(False).history.moments:
        assert sum(history.shares_of(moment, 4096)) == pytest.approx(1)


def test_alt_of_history_tells_how_it_ends():
    both = [run(True).history, run(False).history]
    words = HistoryPicture(both).alt
    for told in both:
        last = told.moments[-1]
        assert f"{told.label}, after {last.step:,} steps: {last.used_pages / 4096:.0%} in use" in words
        assert f"{last.mixed_blocks} pageblock" in words


def test_history_updated_and_refused():
    both = [run(True).history, run(False).history]
    picture = HistoryPicture(both)
    picture.update(both[::-1])
    same_pixels(picture, HistoryPicture(both[::-1]))
    with pytest.raises(ValueError, match="one or two histories"):
        HistoryPicture([])
    with pytest.raises(ValueError, match="2, not 1 histories"):
        picture.update(both[:1])


# -- occupancy --------------------------------------------------------------------------------------------------------


def test_pages_are_free_or_asked_for_in_part():
    pages = occupancy.pages_of(packets())
    used = pages.kinds == 4 + MigrateType.MOVABLE
    assert used.sum() == 80
    assert (pages.kinds == occupancy.LARGEST).sum() == 64
    assert (pages.kinds == occupancy.FREE).sum() == 256 - 80 - 64
    for pfn, _ in packets().requested:
        assert pages.asked[pfn : pfn + 4] == pytest.approx([1, 1, 9000 / 4096 - 2, 0])
        assert pages.last[pfn : pfn + 4].tolist() == [False, False, False, True]


@pytest.mark.parametrize("memory", [packets(), run(False).occupancy()], ids=["packets", "workload"])
def test_what_is_added_up_is_all_of_memory(memory):
    found = occupancy.bytes_of(memory)
    types = [found[4 + kind] for kind in (MigrateType.UNMOVABLE, MigrateType.MOVABLE, MigrateType.RECLAIMABLE)]
    assert sum(types) == memory.requested_bytes
    assert found[occupancy.WASTED] == memory.allocated_bytes - memory.requested_bytes
    assert found[occupancy.FREE] + found[occupancy.LARGEST] == memory.buddy.free_pages * 4096
    assert sum(found.values()) == memory.buddy.nr_pages * 4096
    bar = OccupancyPicture(memory).bar
    lengths = {one.name: box.right - box.left for box, one in zip(bar.boxes, bar.inks, strict=True)}
    share = found[occupancy.WASTED] / memory.buddy.nr_pages / 4096
    assert lengths[ink.WASTED.name] == pytest.approx(876 * share)
    assert sum(lengths.values()) == pytest.approx(876)


def test_the_part_of_a_block_that_was_asked_for_is_to_scale():
    picture = OccupancyPicture(packets())
    codes, layout = picture.map.codes, picture.layout
    assert layout.columns == 32
    assert codes.shape == (8, 32 * layout.wide)
    block = codes[0, 4 * layout.wide : 8 * layout.wide]  # the first one that was kept
    asked = (block == 4 + MigrateType.MOVABLE).sum()
    assert asked / len(block) == pytest.approx(9000 / 16384, abs=0.5 / layout.wide)
    assert set(block[asked:-2]) == {occupancy.WASTED}
    assert set(block[-2:]) == {NOTHING}
    assert set(codes[0, : 4 * layout.wide - 2]) == {occupancy.FREE}


def test_blocks_with_room_tell_their_type_or_order():
    texts = [text for _, _, text, _ in OccupancyPicture(packets()).letters.letters]
    assert sorted(texts) == ["M"] * 20 + ["order 2"] * 20 + ["order 5", "order 6"]


def test_pages_are_as_large_as_there_is_room_for():
    for pages in (1, 100, 256, 8192, 1 << 15):
        layout = occupancy.choose_layout(pages, 1752, 512, 108)
        assert layout.columns * layout.wide <= 1752
        assert layout.rows(pages) * layout.high <= 512
        assert layout.wide <= 3 * layout.high <= 6 * layout.wide
    assert occupancy.choose_layout(1 << 20, 1752, 512, 108) is None


def test_large_memories_are_folded_so_that_what_is_in_use_shows():
    buddy = BuddyAllocator(1 << 20)
    pfn = buddy.alloc(0)
    picture = OccupancyPicture(Occupancy(MODEL, buddy.snapshot(), ((pfn, 4096),)))
    assert (picture.map.codes == 4 + MigrateType.MOVABLE).sum() == picture.layout.wide
    assert any(" to a dot, the first at the top left" in text for text, _ in picture.texts)


def test_alt_of_occupancy_has_both_kinds_of_fragmentation():
    words = OccupancyPicture(packets()).alt
    assert "20 blocks in use, 175.8 KiB asked for, 320 KiB given: 45% of it wasted inside blocks" in words
    assert "176 pages free, the largest free block has 64 pages" in words


def test_pages_in_use_by_what_is_not_told_are_shown_as_such():
    buddy = BuddyAllocator(64, max_order=4, pageblock_order=3).snapshot()
    unknown = Occupancy(MODEL, buddy.__replace__(free_lists=(((),) * 5,) * 5, allocated=b"\xff" * 64), ())
    assert set(occupancy.pages_of(unknown).kinds) == {occupancy.UNTOLD}
    assert INSIDE not in unknown.buddy.allocated
    assert "not told" in [text for text, _ in OccupancyPicture(unknown).texts]


def test_occupancy_updated():
    picture = OccupancyPicture(run(True).occupancy())
    picture.update(run(False).occupancy())
    same_pixels(picture, OccupancyPicture(run(False).occupancy()))


# -- compaction -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", range(12))
def test_the_map_shows_what_every_page_is(number):
    snapshot, event = steps(64)[number]
    values = CompactionPicture(snapshot, event).cells.values.ravel()[:64]
    isolated = {pfn + i for pfn, order in snapshot.isolated for i in range(1 << order)}
    room = {pfn + i for pfn, order in snapshot.targets for i in range(1 << order)}
    assert set(np.flatnonzero(values == compaction.ISOLATED)) == isolated
    assert set(np.flatnonzero(values == compaction.ROOM)) == room
    free = {pfn + i for order, lists in enumerate(snapshot.buddy.free_lists)
            for pfns in lists for pfn in pfns for i in range(1 << order)}  # fmt: skip
    assert set(np.flatnonzero(values == compaction.FREE)) == free
    assert set(np.flatnonzero(values == compaction.MOVED)) == {new for _, new, _ in snapshot.moved}


def test_what_stays_is_marked_if_it_is_movable():
    snapshot, _ = steps(64)[3]
    unmovable, movable = (
        next(pfn for pfn, _, kind in reversed(list(snapshot.buddy.allocated_blocks)) if kind == which)
        for which in (MigrateType.UNMOVABLE, MigrateType.MOVABLE)
    )
    failed = ((movable, "pinned"), (unmovable, "allocated as Unmovable"))
    picture = CompactionPicture(snapshot.__replace__(failed=failed))
    assert np.flatnonzero(picture.cells.values.ravel() == compaction.STUCK).tolist() == [movable]


def test_scanners_stand_between_what_they_have_seen_and_have_not():
    distances = []
    for snapshot, event in steps(64, 200):
        picture = CompactionPicture(snapshot, event)
        for line, pfn in zip(picture.scanners, (snapshot.migrate_pfn, snapshot.free_pfn), strict=True):
            row, column = divmod(pfn, picture.columns)
            left, top = picture.cells.box.left + column * picture.cell, picture.cells.box.top + row * picture.high
            assert (line.get_xdata()[2], line.get_ydata()[2]) == (left, top)
        migrate, free = picture.names
        assert (migrate.text, free.text) == (f"▼ 0x{snapshot.migrate_pfn:x}", f"▲ 0x{snapshot.free_pfn:x}")
        distances.append(free.y - migrate.y)
    assert distances == sorted(distances, reverse=True)
    assert distances[0] > distances[-1] >= 16


def outlined(line):
    """Corners of the rectangles that a line goes around: left, top, right, bottom."""
    xs, ys = line.get_data()
    parts = np.split(np.column_stack([xs, ys]), np.flatnonzero(np.isnan(xs)) + 1)
    parts = [part[~np.isnan(part[:, 0])] for part in parts if len(part) > 1]
    return [(*part.min(axis=0), *part.max(axis=0)) for part in parts]


def test_a_move_outlines_both_places_and_leads_from_one_to_the_other():
    moves = [(snapshot, event) for snapshot, event in steps(64) if isinstance(event, compacttrace.Migrate)]
    assert moves
    for snapshot, event in moves:
        picture = CompactionPicture(snapshot, event)
        boxes = []
        for line, pfn in zip(picture.outlines, (event.pfn, event.new_pfn), strict=True):
            ((left, top, right, bottom),) = outlined(line)
            row, column = picture.place(pfn)
            assert (left, top) == (76 + column * picture.cell, 108 + row * picture.high)
            assert (right - left, bottom - top) == (picture.cell, picture.high)
            boxes.append(((left + right) / 2, top, bottom))
        (x0, _, bottom), (x1, top, _) = boxes
        assert list(zip(*picture.arrows.get_data(), strict=True))[:2] == [(x0, bottom), (x1, top)]
        assert list(zip(*picture.heads.get_data(), strict=True)) == [(x1, top)]


def test_a_batch_outlines_its_moves_and_no_others():
    moved = ((0, 56, 0), (2, 48, 2), (8, 52, 0), (9, 53, 0))
    snapshot = steps(64)[0][0].__replace__(moved=moved)
    event = compacttrace.MmCompactionMigratepages(6, 3)
    assert compaction.moves_of(snapshot, event) == moved[1:]
    assert compaction.moves_of(snapshot, compacttrace.MmCompactionMigratepages(0, 3)) == ()
    picture = CompactionPicture(snapshot, event)
    assert [len(outlined(line)) for line in picture.outlines] == [2, 1]  # 2 to 5, 8 to 9; 48 to 53


def test_what_a_scanner_looked_at_is_outlined_across_rows():
    snapshot = steps(64)[0][0]
    picture = CompactionPicture(snapshot, compacttrace.MmCompactionIsolateMigratepages(8, 24, 16, 1))
    assert picture.columns == 16
    ((left, top, right, bottom),) = outlined(picture.outlines[0])
    assert (right - left, bottom - top) == (16 * picture.cell, 2 * picture.high)
    corners = set(zip(*picture.outlines[0].get_data(), strict=True))
    assert (left + 8 * picture.cell, top) in corners
    assert (left, top) not in corners
    picture.update(snapshot, compacttrace.MmCompactionIsolateMigratepages(8, 8, 0, 0))
    assert not outlined(picture.outlines[0])


def test_large_zones_are_folded_so_that_what_matters_shows():
    ((snapshot, event),) = steps(1 << 19, 1)
    picture = CompactionPicture(snapshot.__replace__(isolated=((1001, 0),)), event)
    assert picture.per_cell > 1
    assert picture.cells.values.size >= (1 << 19) // picture.per_cell
    row, column = picture.place(1001)
    assert picture.cells.values[row, column] == compaction.ISOLATED
    assert f"{picture.per_cell} to a cell" in picture._note.text


def test_alt_of_compaction_says_what_happens_and_where():
    snapshot, event = steps(64, 200)[-1]
    failed = ((1, "pinned"), (2, "no room left above"), (3, "pinned"))
    words = CompactionPicture(snapshot.__replace__(failed=failed), event).alt
    assert words.startswith("Compaction ends (complete): the scanners have met.")
    assert f"{len(snapshot.moved)} pages moved" in words
    assert "3 could not be moved (2 pinned and 1 no room left above); over (complete)" in words
    assert f"migrate scanner at page 0x{snapshot.migrate_pfn:x}" in words
    assert "0 could not be moved;" in CompactionPicture(snapshot.__replace__(failed=()), event).alt


def test_compaction_updated():
    picture = CompactionPicture(*steps(64)[1])
    for step in steps(64)[2:8]:
        picture.update(*step)
    same_pixels(picture, CompactionPicture(*steps(64)[7]))
    picture.update(*steps(1 << 14, 3)[-1])
    same_pixels(picture, CompactionPicture(*steps(1 << 14, 3)[-1]))


def test_cells_are_told_apart_without_colour():
    for inks in (compaction.INKS, occupancy.INKS):
        looks = [(one.letter, one.hatch) for one in inks.values()]
        assert len(set(looks)) == len(looks)


EVENTS = {
    compacttrace.MmCompactionBegin(0, 0x10, 0x38, 64, True): ["0x10", "0x38", "up", "down"],
    compacttrace.MmCompactionIsolateMigratepages(0x10, 0x20, 16, 3): ["0x10 to 0x1f", "3 pages"],
    compacttrace.MmCompactionIsolateFreepages(0x38, 0x40, 8, 1): ["0x38 to 0x3f", "1 page "],
    compacttrace.MmCompactionIsolateFreepages(0x38, 0x39, 1, 1): ["looks at page 0x38: 1 page "],
    compacttrace.Migrate(0x10, 0x38, 0): ["The page at 0x10 is moved to 0x38"],
    compacttrace.Migrate(0x10, 0x38, 2): ["The 4 pages at 0x10 are moved to 0x38"],
    compacttrace.MigrateFailed(0x11, 0, "pinned"): ["0x11 stays", "pinned"],
    compacttrace.MmCompactionMigratepages(30, 2): ["30 were moved", "2 could not be"],
    compacttrace.MmCompactionEnd(0, 1, 2, 3, True, "success"): ["success", "wanted size is free"],
}


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: type(event).__name__)
def test_sentences_of_compaction(event):
    sentence = in_words(event)
    assert sentence.endswith(".")
    for part in EVENTS[event]:
        assert part in sentence


# -- success rates ----------------------------------------------------------------------------------------------------


def test_every_seed_has_its_mark_and_the_line_is_the_mean():
    picture = rates()[0]
    marks = [line for line in picture.axes.lines if line.get_linestyle() == "None" and len(line.get_xdata()) > 2]
    assert [len(line.get_xdata()) for line in marks] == [len(SHARES) * 2] * 2
    assert len({line.get_marker() for line in marks}) == 2
    means = [line for line in picture.axes.lines if len(line.get_xdata()) == len(SHARES)]
    for rate, line in zip(picture.rates, means, strict=True):
        expected = [picture.chart.y(sum(seeds) / len(seeds)) for seeds in rate.rates]
        assert line.get_ydata() == pytest.approx(expected)
    assert len({line.get_linestyle() for line in means}) == 2


def test_marks_of_two_policies_stand_side_by_side_with_their_spread():
    picture = rates()[0]
    marks = [line for line in picture.axes.lines if line.get_linestyle() == "None" and len(line.get_xdata()) > 2]
    (first, second), middles = (line.get_xdata() for line in marks), [picture.chart.x(share) for share in SHARES]
    assert np.subtract(second, first) == pytest.approx(7)
    assert np.add(first, second)[::2] / 2 == pytest.approx(middles)
    uprights = [line for line in picture.axes.lines if len(line.get_xdata()) == 3 * len(SHARES)]
    for rate, line in zip(picture.rates, uprights, strict=True):
        ys = np.reshape(line.get_ydata(), (-1, 3))[:, :2]
        assert ys == pytest.approx(np.array([[picture.chart.y(f(seeds)) for f in (min, max)] for seeds in rate.rates]))


def test_chart_says_nothing_that_the_rates_do_not():
    """They may be of memory that was not compacted."""
    picture = rates()[0]
    assert "compact" not in picture.alt + " ".join(text for text, _ in picture.texts)
    assert "0%" in [text for text, _ in picture.texts]
    assert "2%" not in [text for text, _ in picture.texts]  # no room beside 0%


def test_alt_of_rates_has_every_mean():
    picture = rates()[0]
    for rate in picture.rates:
        for share, seeds in zip(rate.shares, rate.rates, strict=True):
            assert f"{sum(seeds) / len(seeds):.0%} at {share:.0%}" in picture.alt
    assert re.search(r"means of 2 seeds", picture.alt)


def test_rates_that_do_not_go_together_are_refused():
    one = rates()[0].rates[0]
    with pytest.raises(ValueError, match="1 to 3 policies"):
        SuccessRatePicture([])
    with pytest.raises(ValueError, match="one order"):
        SuccessRatePicture([one, one.__replace__(order=5)])
