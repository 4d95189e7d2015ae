"""The ranking of slab caches shows the numbers of slabinfo, to scale, and says the same in words."""

from __future__ import annotations

import re
from itertools import combinations

import pytest

from mmkit.data import recording, recordings
from mmkit.model.slabstate import SlabInfo, SlabInfoLine
from mmkit.model.snapshot import Source
from mmkit.units import format_size
from mmkit.view import slabinfo
from mmkit.view.artist import Box
from mmkit.view.slabinfo import FREE, IN_USE, MOST, RANKINGS, TAIL, SlabRanking, alt_slab_ranking, ranked

NAMES = [name for name in recordings() if "slabinfo" in recording(name).files]


def line(name: str, used: int, slabs: int, size: int = 1000, per_slab: int = 4, pages: int = 1) -> SlabInfoLine:
    return SlabInfoLine(name, used, slabs * per_slab, size, per_slab, pages, active_slabs=slabs, num_slabs=slabs)


SMALL = SlabInfo(
    Source("recording", "6.18"), (line("full", 40, 10), line("idle", 0, 0), line("half", 40, 20), line("none", 0, 5))
)
"""Slabs of 4096 bytes with four objects of 1000: 96 bytes of each are in no object."""
MANY = SlabInfo(Source("live", "6.18"), tuple(line(f"cache-{n:03}", n, n, per_slab=1) for n in range(1, 201)))


def numbers(info: SlabInfo) -> dict[str, tuple[int, int, int]]:
    """Bytes in use, in free objects and in none, straight from the fields."""
    found = {}
    for one in info.lines:
        used, free = one.active_objs * one.objsize, (one.num_objs - one.active_objs) * one.objsize
        found[one.name] = used, free, one.num_slabs * one.pagesperslab * 4096 - used - free
    return found


def bars(picture: SlabRanking) -> list[list[Box]]:
    """The boxes of each row, from the left."""
    rows: dict[float, list[Box]] = {}
    for box in picture.bars.boxes:
        rows.setdefault(box[1], []).append(Box(*box))
    return [sorted(rows[top]) for top in sorted(rows)]


@pytest.mark.parametrize("by", RANKINGS)
@pytest.mark.parametrize("name", NAMES)
def test_the_order_is_that_of_the_numbers(name: str, by: str) -> None:
    info = recording(name).slabinfo
    sizes = {cache: sum(parts[by == "waste" :]) for cache, parts in numbers(info).items()}
    shown = [one.name for one in ranked(info, by)]
    assert sorted(shown) == sorted(one.name for one in info.lines if one.num_slabs)
    assert [sizes[cache] for cache in shown] == sorted((sizes[cache] for cache in shown), reverse=True)


def test_caches_without_slabs_are_left_out_and_equal_ones_are_in_order_of_names() -> None:
    assert [one.name for one in ranked(SMALL)] == ["half", "full", "none"]
    assert [one.name for one in ranked(SMALL, "waste")] == ["half", "none", "full"]
    equal = SlabInfo(SMALL.source, tuple(line(name, 4, 1) for name in "cab"))
    assert [one.name for one in ranked(equal)] == ["a", "b", "c"]
    with pytest.raises(ValueError, match="by memory or waste, not by 'name'"):
        ranked(SMALL, "name")


def test_bars_are_to_scale_and_cut_by_what_bytes_are_for() -> None:
    picture = SlabRanking(SMALL)
    half, full, none = bars(picture)
    per_byte = (half[-1].right - half[0].left) / (20 * 4096)
    assert [(box.right - box.left) / per_byte for box in half] == pytest.approx([40_000, 40_000, 20 * 96])
    assert [(box.right - box.left) / per_byte for box in full] == pytest.approx([40_000, 10 * 96])
    assert [(box.right - box.left) / per_byte for box in none] == pytest.approx([20_000, 5 * 96])
    assert picture.bars.inks == [IN_USE, FREE, TAIL, IN_USE, TAIL, FREE, TAIL]


def test_by_waste_only_waste_has_a_bar() -> None:
    picture = SlabRanking(SMALL, "waste")
    half, none, full = bars(picture)
    per_byte = (half[-1].right - half[0].left) / (40_000 + 20 * 96)
    assert [box.right - box.left for box in none] == pytest.approx([20_000 * per_byte, 480 * per_byte])
    assert [box.right - box.left for box in full] == pytest.approx([960 * per_byte])
    assert IN_USE not in picture.bars.inks


@pytest.mark.parametrize("by", RANKINGS)
@pytest.mark.parametrize("name", NAMES)
def test_each_row_has_its_numbers(name: str, by: str) -> None:
    info = recording(name).slabinfo
    picture, lines = SlabRanking(info, by), {one.name: one for one in info.lines}
    columns = (picture._names, picture._sizes, picture._notes)
    *rows, others = zip(*([label.text for label in column] for column in columns), strict=True)
    assert [cache for cache, _, _ in rows] == [one.name for one in ranked(info, by)[:MOST]]
    for cache, size, used in rows:
        assert size == format_size(sum(numbers(info)[cache][by == "waste" :]))
        assert used == f"{lines[cache].active_objs / lines[cache].num_objs:.0%}"
    assert others[0] == f"{len(ranked(info, by)) - MOST} others"


def test_the_rest_is_summed_up_in_one_row() -> None:
    picture = SlabRanking(MANY)
    assert len(bars(picture)) == MOST + 1
    rest = sum(range(1, 201 - MOST))
    texts = [text for text, _ in picture.texts]
    assert f"{200 - MOST} others" in texts
    assert format_size(rest * 4096) in texts
    widths = [row[-1].right - row[0].left for row in bars(picture)]
    assert widths[-1] / widths[0] == pytest.approx(rest / 200)
    assert max(row[-1].right for row in bars(picture)) <= slabinfo._RIGHT + 1e-6


def test_few_caches_leave_no_row_of_others() -> None:
    assert "others" not in " ".join(text for text, _ in SlabRanking(SMALL).texts)


@pytest.mark.parametrize("by", RANKINGS)
@pytest.mark.parametrize("name", NAMES)
def test_alt_tells_the_numbers(name: str, by: str) -> None:
    info = recording(name).slabinfo
    parts = {cache: sizes for cache, sizes in numbers(info).items() if sum(sizes)}
    words = alt_slab_ranking(info, by)
    held, wasted = sum(map(sum, parts.values())), sum(free + tail for _, free, tail in parts.values())
    assert words.startswith(f"{len(parts)} slab caches with slabs hold {format_size(held)}, ")
    assert f"of which {format_size(wasted)} are in no object in use" in words
    largest = max(parts, key=lambda cache: sum(parts[cache][by == "waste" :]))
    assert f"{largest} {format_size(sum(parts[largest][by == 'waste' :]))} (" in words
    assert words.endswith(f"({info.source})")
    assert SlabRanking(info, by).alt == words


def test_without_any_slab_nothing_is_named() -> None:
    empty = SlabInfo(SMALL.source, (line("idle", 0, 0),))
    assert alt_slab_ranking(empty) == (
        "0 slab caches with slabs hold 0 B, of which 0 B are in no object in use. (recording (kernel 6.18))"
    )
    picture = SlabRanking(empty)
    assert not picture.bars.boxes
    picture.update(SMALL)
    assert picture.png() == SlabRanking(SMALL).png()


@pytest.mark.parametrize("name", NAMES)
def test_an_update_leaves_nothing_behind(name: str) -> None:
    picture = SlabRanking(MANY)
    before = picture.png()
    for by in RANKINGS:
        picture.update(recording(name).slabinfo, by)
        fresh = SlabRanking(recording(name).slabinfo, by)
        assert picture.png() == fresh.png() != before
        assert picture.alt == fresh.alt
    picture.update(MANY)
    assert picture.png() == before


@pytest.mark.parametrize("by", RANKINGS)
def test_texts_keep_apart_and_inside_even_with_long_names(by: str) -> None:
    long = SlabInfo(Source("live", "6.18.44-very-long-name-of-a-kernel", "and a note"), tuple(
        line(f"a-slab-cache-with-a-name-of-{n}-too-many-letters", 4 * n, 1 << n) for n in range(20)
    ))  # fmt: skip
    for info in (long, SMALL, MANY):
        picture = SlabRanking(info, by)
        for (one, box), (other, around) in combinations(picture.texts, 2):
            wide = min(box.right, around.right) - max(box.left, around.left)
            high = min(box.bottom, around.bottom) - max(box.top, around.top)
            assert max(wide, 0) * max(high, 0) <= 0.5, (one, other)
        for text, box in picture.texts:
            assert box.left >= 0, text
            assert box.right <= picture.width, text
            assert box.bottom <= picture.height, text


def test_parts_are_told_apart_without_colour() -> None:
    assert len({(one.letter, one.hatch) for one in (IN_USE, FREE, TAIL)}) == 3
    legend = [text for text, _ in SlabRanking(SMALL).texts]
    assert {one.name for one in (IN_USE, FREE, TAIL)} <= set(legend)
    assert re.search(r"\d+%", " ".join(legend)), "how much is in use stands in numbers too"


def test_what_is_not_drawn_is_not_in_the_legend() -> None:
    picture = SlabRanking(SMALL)
    picture.update(SMALL, "waste")
    texts = [text for text, _ in picture.texts]
    assert IN_USE.name not in texts
    assert {FREE.name, TAIL.name, "bytes of its slabs that are in no object in use"} <= set(texts)
    assert any("count as in use" in text for text in texts)
