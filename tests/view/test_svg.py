"""A picture as SVG says and shows what its PNG does."""

from __future__ import annotations

from xml.etree import ElementTree

import numpy as np
import pytest
from tablesamples import TABLE_PICTURES, address, walk

from mmkit.view.address import AddressPicture
from mmkit.view.cells import NOTHING
from mmkit.view.svg import svg_of
from mmkit.view.walk import WalkPicture

NAMES = [name for name in TABLE_PICTURES if name.startswith(("address", "walk", "tlb 8", "trees TOY"))][::3]


@pytest.mark.parametrize("name", NAMES)
def test_every_text_is_there_and_so_is_the_alt_text(name: str) -> None:
    picture = TABLE_PICTURES[name]()
    svg = ElementTree.fromstring(svg_of(picture))
    assert (svg.get("role"), svg.get("aria-label")) == ("img", picture.alt)
    assert [float(svg.get("width", 0)), float(svg.get("height", 0))] == [picture.width, picture.height]
    texts = [part.text for part in svg.iter("text")]
    for text, _ in picture.texts:
        assert text in texts


def test_cells_boxes_and_lines_are_where_they_are_in_the_picture() -> None:
    picture = AddressPicture(address("X86_64", "mixed"), address("X86_64", "low"))
    svg = ElementTree.fromstring(svg_of(picture))
    rects, paths = list(svg.iter("rect")), list(svg.iter("path"))
    assert len(rects) == np.count_nonzero(picture.cells.values != NOTHING) == 48
    fills = [rect.get("fill") for rect in rects]
    inks = dict(picture.cells._inks)
    assert fills == [inks[int(value)].face for value in picture.cells.values[0]]
    assert len(paths) == sum(np.size(line.get_xdata()) > 0 for line in picture.axes.get_lines())
    other = WalkPicture(walk("X86"))
    boxes = ElementTree.fromstring(svg_of(other)).iter("rect")
    lefts = [float(box.get("x", 0)) for box in boxes]
    assert lefts == pytest.approx([box.left for box in other.boxes.boxes], abs=0.01)


def test_equal_states_give_equal_drawings() -> None:
    picture = WalkPicture(walk("X86_64", 2))
    picture.update(walk("X86_64"))
    assert svg_of(picture) == svg_of(WalkPicture(walk("X86_64")))
