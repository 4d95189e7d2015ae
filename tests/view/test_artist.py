"""Labels, boxes and letters as artists."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmkit.view import cells, ink
from mmkit.view.artist import Boxes, Label, sprite, text_width, word
from mmkit.view.cells import Lanes, Letters, Run
from mmkit.view.picture import Picture, fit


def pixels_of(picture: Picture) -> np.ndarray:
    """One word a pixel."""
    return picture.pixels().view("<u4")[..., 0].copy()


@pytest.mark.parametrize(("ha", "share"), [("left", 0.0), ("center", 0.5), ("right", 1.0)])
def test_labels_are_placed_by_their_anchor(ha: str, share: float) -> None:
    box = Label(100, 50, "0x1000", 12, ha=ha).box
    wide = text_width("0x1000", 12)
    assert box.left == pytest.approx(100 - share * wide, abs=1.5)
    assert box.right == pytest.approx(100 - share * wide + wide, abs=1.5)


def test_a_label_stands_on_its_baseline_or_around_its_middle() -> None:
    assert Label(0, 50, "H", 12).box.bottom == pytest.approx(50, abs=0.6)
    centred = Label(0, 50, "H", 12, va="center").box
    assert (centred.top + centred.bottom) / 2 == pytest.approx(50, abs=0.6)


def test_the_box_of_a_label_is_where_its_ink_is() -> None:
    picture = Picture(60, 120)
    label = picture.text(20, 40, "Normal", 14, bold=True)
    rows, columns = np.nonzero(pixels_of(picture) != word(ink.PAPER))
    left, top, right, bottom = columns.min() / 2, rows.min() / 2, (columns.max() + 1) / 2, (rows.max() + 1) / 2
    box = label.box
    assert box.left <= left <= box.left + 1.5
    assert right <= box.right <= right + 1.5
    assert (top, bottom) == pytest.approx((box.top, box.bottom), abs=0.51)


def test_empty_and_hidden_labels_draw_nothing() -> None:
    picture = Picture(40, 40)
    picture.text(5, 20, "")
    picture.text(5, 20, "hidden").set_visible(False)
    assert (pixels_of(picture) == word(ink.PAPER)).all()
    assert not picture.texts


def test_a_sprite_is_made_once() -> None:
    assert sprite("0x42", 22.0) is sprite("0x42", 22.0)


def test_fit_cuts_with_an_ellipsis() -> None:
    assert fit("short", 200) == "short"
    cut = fit("a rather long line of text", 60)
    assert cut.endswith("…")
    assert text_width(cut) <= 60


def test_boxes_are_filled_edged_and_cut_at_their_area() -> None:
    picture = Picture(50, 100)
    boxes = picture.live(Boxes((10, 10, 60, 40)))
    boxes.put([(0, 20, 30, 30), (55, 5, 90, 45), (40, 12, 40, 14)], [ink.WATER, ink.IN_HAND, ink.RULE])
    seen = pixels_of(picture)
    assert seen[50, 30] == word(ink.WATER.face)
    assert seen[50, 59] == word(ink.WATER.edge)
    assert (seen[:, :20] == word(ink.PAPER)).all()
    assert (seen[:20] == word(ink.PAPER)).all()
    assert (seen[80:] == word(ink.PAPER)).all()
    assert (seen[:, 120:] == word(ink.PAPER)).all()
    assert seen[26, 80] == word(ink.RULE.face)  # no width, yet a pixel


def test_lanes_show_every_box_at_its_place() -> None:
    picture = Picture(40, 100)
    lanes = picture.live(Lanes((0, 0, 100, 40)))
    run = Run(np.array([0, 16, 1000]), np.array([8, 17, 1001]), ink.WATER)
    lanes.put([(10, 20), (20, 40)], [[run], []], (0, 32))
    seen = pixels_of(picture)
    assert (seen[20:40, 0:50] != word(ink.PAPER)).all()
    assert (seen[20:40, 50:100] == word(ink.PAPER)).all()
    assert (seen[20:40, 100:106] != word(ink.PAPER)).all()
    assert (seen[:20] == word(ink.PAPER)).all()
    assert (seen[40:] == word(ink.PAPER)).all()
    assert lanes.x(16) == 50


def test_boxes_that_reach_into_the_range_are_cut_at_its_ends() -> None:
    picture = Picture(20, 100)
    lanes = picture.live(Lanes((0, 0, 100, 20)))
    lanes.put([(0, 20)], [[Run(np.array([0, 24]), np.array([16, 40]), ink.WATER)]], (8, 32))
    columns = (pixels_of(picture) != word(ink.PAPER)).all(axis=0)
    assert columns.tolist() == [True] * 66 + [False] * 67 + [True] * 67


def test_the_smallest_of_a_million_is_still_seen() -> None:
    picture = Picture(20, 100)
    lanes = picture.live(Lanes((0, 0, 100, 20)))
    lanes.put([(0, 20)], [[Run(np.array([500_000]), np.array([500_001]), ink.WATER)]], (0, 1_000_000))
    assert (pixels_of(picture) == word(ink.WATER.edge)).any(axis=0).sum() == 2


@given(st.lists(st.tuples(st.integers(0, 40), st.integers(14, 120)), max_size=12), st.integers(0, 200))
def test_few_boxes_are_painted_as_many_are(gaps_and_sizes: list[tuple[int, int]], first: int) -> None:
    picture = Picture(20, 100)
    lanes = picture.live(Lanes((0, 0, 100, 20)))
    edges = first + np.cumsum(np.array(gaps_and_sizes, dtype=np.int64).reshape(-1, 2))
    lanes.put([(0, 20)], [[Run(edges[::2], edges[1::2], ink.WATER)]], (100, 900))
    few = pixels_of(picture)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cells, "_FEW", -1)
        assert (pixels_of(picture) == few).all()


def test_letters_know_their_boxes() -> None:
    letters = Letters(12)
    letters.put([(50, 30, "M", ink.TEXT)])
    ((text, box),) = letters.texts
    assert text == "M"
    assert (box.left + box.right) / 2 == 50
    assert (box.top + box.bottom) / 2 == 30
