"""The PNG writer: what is decoded is what was drawn, however the picture came about."""

from __future__ import annotations

import io

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from mmkit.view import ink
from mmkit.view.png import PngWriter, palette, rgb


def opaque(colours: np.ndarray) -> np.ndarray:
    """RGBA pixels of RGB ones."""
    return np.concatenate([colours, np.full((*colours.shape[:2], 1), 255)], axis=2).astype(np.uint8)


def decoded(data: bytes) -> np.ndarray:
    """RGB pixels of a PNG file, read by another library."""
    with Image.open(io.BytesIO(data)) as image:
        image.load()
        return np.asarray(image.convert("RGB"))


def test_the_palette_fits_a_byte_and_holds_every_ink() -> None:
    colours = {tuple(colour) for colour in palette().tolist()}
    assert len(palette()) <= 256
    for one in ink.INKS:
        assert {rgb(one.face), rgb(one.mark), rgb(one.edge)} <= colours, one.name


def test_inks_survive() -> None:
    inks = np.array([[rgb(colour) for one in ink.INKS for colour in (one.face, one.mark, one.edge, one.text)]])
    assert (decoded(PngWriter().encode(opaque(inks))) == inks).all()


@given(st.integers(1, 90), st.integers(1, 30), st.integers(0, 2**32 - 1))
def test_other_colours_become_near_ones_of_the_palette(rows: int, columns: int, seed: int) -> None:
    drawn = np.random.default_rng(seed).integers(0, 256, (rows, columns, 3))
    seen = decoded(PngWriter().encode(opaque(drawn))).astype(int)
    away = ((seen - drawn) ** 2).sum(axis=2)
    best = ((palette().astype(int) - drawn[:, :, None]) ** 2).sum(axis=3).min(axis=2)
    assert (np.sqrt(away) <= np.sqrt(best) + 15).all()  # the index keeps 5 or 6 bits of a colour


@given(st.lists(st.tuples(st.integers(0, 120), st.integers(0, 200), st.integers(0, 20)), min_size=1, max_size=6))
def test_changed_strips_make_the_file_that_a_fresh_writer_makes(changes: list[tuple[int, int, int]]) -> None:
    writer, picture = PngWriter(), np.full((121, 201, 4), 255, np.uint8)
    writer.encode(picture)
    for row, column, colour in changes:
        picture[row:, column:, :3] = palette()[colour]
        assert writer.encode(picture) == PngWriter().encode(picture)


def test_another_size_starts_anew() -> None:
    writer = PngWriter()
    writer.encode(np.full((50, 60, 4), 255, np.uint8))
    assert decoded(writer.encode(np.full((41, 7, 4), 255, np.uint8))).shape == (41, 7, 3)
