"""The picture of what kmalloc wastes: its teeth are what the model gives, its numbers those of the requests."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from kmallocsamples import ARM, recorded_requests, recorded_rows

from mmkit.model.kmalloc import SlabAllocator
from mmkit.model.kmallocsize import SIZES, kmalloc_size
from mmkit.model.memory import PhysicalMemory
from mmkit.view import ink
from mmkit.view.kmallocwaste import Area, KmallocWaste, alt_kmalloc_waste, edge_of, given_bytes, teeth_of

sizes = st.one_of(st.integers(1, 300), st.integers(1, 1 << 20))


def test_what_is_given_is_what_the_kernel_gave() -> None:
    assert [given_bytes(row.bytes_req, SIZES) for row in recorded_rows()] == [
        row.bytes_alloc for row in recorded_rows()
    ]


def test_what_is_given_is_what_the_model_gives() -> None:
    assert [given_bytes(asked, SIZES) for asked in range(1, 8193)] == [kmalloc_size(asked) for asked in range(1, 8193)]
    assert [given_bytes(asked, ARM) for asked in range(1, 8193)] == [
        kmalloc_size(asked, 128) for asked in range(1, 8193)
    ]
    slabs = SlabAllocator(PhysicalMemory("X86_64", "64MiB", pcp=False))
    for asked in (8191, 8192, 8193, 12_288, 16_384, 16_385, 100_000):
        assert given_bytes(asked, SIZES) == slabs.ksize(slabs.kmalloc(asked)), asked


@given(st.lists(sizes, max_size=40), st.sampled_from([SIZES, ARM]))
def test_each_request_is_on_its_tooth(asked: list[int], classes: tuple[int, ...]) -> None:
    teeth = teeth_of(Counter(asked), classes)
    assert [one.above for one in teeth[1:]] == [one.size for one in teeth[:-1]]
    for one in teeth:
        inside = [each for each in asked if one.above < each <= one.size]
        assert (one.count, one.asked) == (len(inside), sum(inside))
        assert all(given_bytes(each, classes) == one.size for each in inside)


def test_by_chance_is_the_average_of_all_sizes() -> None:
    for one in teeth_of({}, SIZES):
        shares = [1 - asked / one.size for asked in range(one.above + 1, one.size + 1)]
        assert one.by_chance == pytest.approx(sum(shares) / len(shares))


@pytest.mark.parametrize("one", teeth_of({}, SIZES), ids=lambda one: str(one.size))
def test_teeth_start_at_the_worst_size_and_end_at_none(one: object) -> None:
    corners = edge_of(one)  # type: ignore[arg-type]
    assert corners[0] == (0, 0)
    assert corners[1] == (0, pytest.approx(1 - (one.above + 1) / one.size))  # type: ignore[attr-defined]
    assert corners[-1] == (1, 0)
    places = [place for place, _ in corners]
    assert places == sorted(places)


def test_the_area_is_as_high_as_the_waste() -> None:
    picture = KmallocWaste(SIZES)
    area = next(one for one in picture.axes.get_children() if isinstance(one, Area))
    for column, one in enumerate(teeth_of({}, SIZES)):
        wide = one.size - one.above
        for asked in (one.above + 1 + wide // 4, one.above + 1 + wide // 2, one.size):
            x = picture._within(column, (asked - one.above - 0.5) / wide)
            height = area.heights[round((x - area.box.left) * 2)]
            assert height == pytest.approx(1 - asked / one.size, abs=0.03), (one.size, asked)


def test_the_area_is_painted_up_to_its_heights() -> None:
    area = Area((0, 0, 4, 10), ink.WASTED, np.array([0.0, 0.1, 0.5, 1.0]))
    pixels = np.zeros((20, 8), dtype=np.uint32)
    area.paint(pixels, 2.0)
    assert (pixels != 0).sum(axis=0).tolist() == [0, 0, 2, 2, 10, 10, 20, 20]


def test_dots_lie_on_the_edge_within_their_tooth() -> None:
    asked = [1, 8, 9, 65, 96, 100, 192, 1000, 32_768]
    picture = KmallocWaste(SIZES, asked)
    xs, ys = picture.dots.get_data()
    assert len(xs) == len(asked)
    for x, y, each in zip(xs, ys, asked, strict=True):
        column = next(i for i, one in enumerate(teeth_of({}, SIZES)) if one.size == given_bytes(each, SIZES))
        assert picture._x(column) < x < picture._x(column + 1)
        assert (244 - y) / (244 - 92) == pytest.approx(1 - each / given_bytes(each, SIZES))


def test_bars_are_to_scale_and_counted() -> None:
    picture = KmallocWaste(SIZES, [16] * 10 + [100] * 5 + [50_000])
    heights = [box.bottom - box.top for box in picture.bars.boxes]
    assert [height / heights[0] for height in heights[:2]] == [1, 0.5]
    assert len(heights) == 3
    assert [label.text for label in picture.counts if label.text != "0"] == ["10", "5", "1"]
    assert [label.text for label in picture.wasted if label.text] == ["0%", "22%", "24%"]


def test_a_recorded_kernel_asks_for_what_fits() -> None:
    asked = recorded_requests()
    told = alt_kmalloc_waste(SIZES, asked)
    given_all = sum(row.bytes_alloc for row in recorded_rows())
    assert f"{1 - sum(asked) / given_all:.1%}" == "1.8%"
    assert "2,089 requests for 6.1 MiB got 6.2 MiB: 1.8% was not asked for. Most got 16 B (601, 2% not" in told
    caption = KmallocWaste(SIZES, asked)._caption.text
    assert caption in told


def test_alt_tells_the_teeth() -> None:
    told = alt_kmalloc_waste((64, 128, 192, 256, 512, 1024, 2048, 4096, 8192))
    assert told.startswith(
        "Share of an object that kmalloc gives and nobody asked for, a saw: nothing for the 11 sizes "
    )
    assert "49% from 64 to 128, 33% from 128 to 192, 25% from 192 to 256, 50% from 256 to 512" in told
    assert told.endswith("16,384 to 32,768. (model)")


@pytest.mark.parametrize("other", [[], [100], [0, 0], [7] * 30 + [1 << 20]], ids=["none", "one", "zeros", "two"])
def test_an_update_is_a_fresh_drawing(other: list[int]) -> None:
    picture = KmallocWaste(SIZES, [33, 4000])
    picture.png()
    picture.update(other)
    fresh = KmallocWaste(SIZES, other)
    assert (picture.alt, picture.height) == (fresh.alt, fresh.height)
    assert picture.png() == fresh.png()


def test_waste_differs_from_use_in_more_than_colour() -> None:
    picture = KmallocWaste(SIZES, [100])
    assert {one.hatch for one in picture.bars.inks} == {""}
    assert ink.WASTED.hatch


def test_no_negative_requests() -> None:
    picture = KmallocWaste(SIZES, [5])
    before = picture.png()
    with pytest.raises(ValueError, match="for -1 bytes"):
        picture.update([3, -1])
    assert picture.png() == before


@pytest.mark.parametrize("classes", [(), (8, 8), (16, 8)])
def test_classes_ascend(classes: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="must ascend"):
        KmallocWaste(classes)
