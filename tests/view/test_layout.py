"""No text touches another, and none leaves the picture, at any size that is offered."""

from __future__ import annotations

from itertools import combinations

import pytest
from viewsamples import PICTURES, drawn

from mmkit.view.artist import Box


def overlap(one: Box, other: Box) -> float:
    """Area that two rectangles share, in square pixels."""
    wide = min(one.right, other.right) - max(one.left, other.left)
    high = min(one.bottom, other.bottom) - max(one.top, other.top)
    return max(0.0, wide) * max(0.0, high)


@pytest.mark.parametrize("name", PICTURES)
def test_texts_keep_apart(name: str) -> None:
    texts = drawn(name).texts
    assert texts
    touching = [(a, b) for (a, box), (b, other) in combinations(texts, 2) if overlap(box, other) > 0.5]
    assert not touching


@pytest.mark.parametrize("name", PICTURES)
def test_texts_stay_inside(name: str) -> None:
    picture = drawn(name)
    for text, box in picture.texts:
        assert box.left >= 0, text
        assert box.top >= 0, text
        assert box.right <= picture.width, text
        assert box.bottom <= picture.height, text


def test_overlap_is_noticed() -> None:
    assert overlap(Box(0, 0, 10, 10), Box(9, 9, 20, 20)) == 1
    assert overlap(Box(0, 0, 10, 10), Box(10, 0, 20, 10)) == 0
