"""Inks tell categories apart without colour, and letters can be read on them."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from mmkit.model.migratetype import MigrateType
from mmkit.model.snapshot import FrameUse
from mmkit.view import ink
from mmkit.view.artist import sheet
from mmkit.view.png import rgb

GROUPS = [list(ink.USE_INKS.values()), [*ink.FREE_INKS.values(), ink.CMA], list(ink.ZONE_INKS.values())]


def luminance(colour: str) -> float:
    """Relative luminance as the web's accessibility guidelines define it."""
    parts = [part / 255 for part in rgb(colour)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    """Contrast ratio, from 1 to 21."""
    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def test_every_category_has_an_ink() -> None:
    assert set(ink.USE_INKS) == set(FrameUse)
    assert set(ink.FREE_INKS) == set(MigrateType)


@pytest.mark.parametrize("group", GROUPS, ids=["uses", "free types", "zones"])
def test_two_inks_differ_in_more_than_colour(group: list[ink.Ink]) -> None:
    for one, other in combinations(group, 2):
        assert (one.letter, one.hatch) != (other.letter, other.hatch), (one.name, other.name)


@pytest.mark.parametrize("one", [one for one in ink.INKS if one.letter], ids=lambda one: f"{one.name} {one.face}")
def test_letters_can_be_read(one: ink.Ink) -> None:
    assert contrast(one.face, one.text) >= (3 if one.text == ink.PAPER else 4.5)


def test_texts_can_be_read() -> None:
    for colour in (ink.TEXT, ink.MUTED, ink.ALERT):
        assert contrast(colour, ink.PAPER) >= 4.5


@pytest.mark.parametrize("one", [one for one in ink.INKS if one.hatch], ids=lambda one: f"{one.name} {one.face}")
def test_hatches_show(one: ink.Ink) -> None:
    area = sheet(one, 40, 60, 2.0)
    colours, counts = np.unique(area, return_counts=True)
    assert len(colours) == 2
    assert counts.min() > area.size / 20


def test_a_sheet_is_the_same_whatever_its_size() -> None:
    one = ink.USE_INKS[FrameUse.UNMOVABLE]
    assert (sheet(one, 30, 40, 2.0) == sheet(one, 500, 700, 2.0)[:30, :40]).all()


def test_titles_of_types_lead_to_inks() -> None:
    assert ink.ink_of_title("Reclaimable") is ink.FREE_INKS[MigrateType.RECLAIMABLE]
    assert ink.ink_of_title("Unheard-of") is ink.UNTOLD
