"""The map of frames: what it says of large memories is what a slow and simple count says."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from viewsamples import frames, zone

from mmkit.model.snapshot import MODEL, FrameMap, FrameUse
from mmkit.view import ink
from mmkit.view.cells import NOTHING
from mmkit.view.frames import FrameMapPicture, alt_frame_map, changed_span, choose_grid, fold

places = st.integers(0, 1 << 34)
sizes = st.integers(1, 1 << 25)


@given(places, sizes)
def test_the_grid_holds_every_frame_and_fits(start: int, size: int) -> None:
    grid = choose_grid(start, size, 1024, 540, 128)
    assert grid.columns * grid.wide <= 1024
    assert grid.rows * grid.high <= 540
    assert grid.wide >= 1
    assert grid.high >= 1
    assert grid.first_pfn <= start
    assert grid.first_pfn % grid.per_row == 0
    assert start - grid.first_pfn < grid.per_row
    assert start + size <= grid.first_pfn + grid.rows * grid.per_row
    assert start + size > grid.first_pfn + (grid.rows - 1) * grid.per_row


@given(st.integers(0, 1 << 20), st.integers(1, 200_000))
def test_frames_share_a_cell_only_where_they_must(start: int, size: int) -> None:
    assert choose_grid(start, size, 1024, 540, 128).per_cell == 1


def test_the_real_sizes() -> None:
    assert choose_grid(0, 64, 1024, 540, 128).columns == 8
    assert choose_grid(0, 4 << 20, 1024, 540, 128).per_cell == 8
    assert choose_grid(0, 16 << 20, 1024, 540, 128).per_cell == 32


@given(st.lists(st.integers(0, 12), min_size=1, max_size=300), st.integers(0, 5))
def test_fold_takes_the_highest_of_neighbours(uses: list[int], power: int) -> None:
    size = 1 << power
    padded = np.array(uses + [0] * (-len(uses) % size), dtype=np.uint8)
    expected = [max(padded[i : i + size].tolist()) for i in range(0, len(padded), size)]
    assert fold(padded, size).tolist() == expected


@given(st.binary(min_size=1, max_size=60), st.lists(st.tuples(st.integers(0, 59), st.integers(0, 255)), max_size=3))
def test_changed_span_covers_all_that_differs(old: bytes, changes: list[tuple[int, int]]) -> None:
    new = bytearray(old)
    for place, value in changes:
        new[place % len(new)] = value
    differ = [i for i, (a, b) in enumerate(zip(old, new, strict=True)) if a != b]
    span = changed_span(np.frombuffer(old, np.uint8), np.frombuffer(bytes(new), np.uint8))
    if not differ:
        assert span is None
    else:
        assert span is not None
        assert span[0] <= differ[0] < span[0] + 8
        assert differ[-1] < span[1] <= len(new)


@pytest.mark.parametrize(("size", "start"), [(64, 0), (100, 3), (4095, 1), (5000, 0x1234), (300_000, 77)])
def test_cells_show_the_frames(size: int, start: int) -> None:
    shown = frames(size, start)
    picture = FrameMapPicture(shown)
    grid = picture.grid
    last = grid.rows * grid.columns - 1
    for cell in [0, last, *np.random.default_rng(1).integers(0, last + 1, 400).tolist()]:
        first = grid.first_pfn + cell * grid.per_cell
        inside = [shown.uses[pfn - start] for pfn in range(first, first + grid.per_cell) if start <= pfn < start + size]
        assert picture.values[divmod(cell, grid.columns)] == (max(inside) if inside else NOTHING)


def test_updates_of_a_part_leave_the_rest() -> None:
    old = frames(300_000)
    uses = bytearray(old.uses)
    uses[1_000:1_400] = bytes([FrameUse.SLAB]) * 400
    new = FrameMap(MODEL, 0, bytes(uses))
    picture = FrameMapPicture(old)
    picture.png()
    picture.update(new)
    fresh = FrameMapPicture(new)
    assert (picture.values == fresh.values).all()
    assert (picture.counts == fresh.counts).all()
    assert picture.png() == fresh.png()


def test_two_updates_before_a_drawing_are_both_drawn() -> None:
    first = bytearray(frames(300_000).uses)
    picture = FrameMapPicture(FrameMap(MODEL, 0, bytes(first)))
    picture.png()
    for place in (10, 299_000):
        first[place : place + 500] = bytes([FrameUse.FILE]) * 500
        picture.update(FrameMap(MODEL, 0, bytes(first)))
    assert picture.png() == FrameMapPicture(FrameMap(MODEL, 0, bytes(first))).png()


def test_counts_are_told() -> None:
    uses = bytes([FrameUse.FREE] * 1200 + [FrameUse.MOVABLE] * 2 + [FrameUse.HOLE])
    shown = FrameMap(MODEL, 0x400, uses)
    assert alt_frame_map(shown, (0x400, 0x408)) == (
        "Map of 1,203 page frames (4.7 MiB), pfn 0x400 to 0x8b2: 1 hole, 1,200 free and 2 movable. "
        "Marked: pfn 0x400 to 0x407. (model)"
    )
    texts = [text for text, _ in FrameMapPicture(shown).texts]
    assert {"1,200", "free", "movable"} <= set(texts)


def test_the_outline_follows_the_rows() -> None:
    picture = FrameMapPicture(frames(64), highlight=(17, 23))
    grid = picture.grid
    wide, high = grid.wide / picture.ratio, grid.high / picture.ratio
    left, top = picture.map_box[:2]
    assert grid.columns == 16
    xs, ys = picture.outline[0].get_data()
    assert (min(xs), max(xs)) == (left + wide, left + 7 * wide)
    assert (min(ys), max(ys)) == (top + high, top + 2 * high)
    picture.update(frames(64), highlight=(6, 40))
    xs, ys = picture.outline[0].get_data()
    assert (min(xs), max(xs)) == (left, left + 16 * wide)
    assert (min(ys), max(ys)) == (top, top + 3 * high)
    picture.update(frames(64))
    assert not len(picture.outline[0].get_xdata())


def test_zones_are_named_beside_their_rows() -> None:
    picture = FrameMapPicture(
        frames(4096), [zone("DMA", 0, 1024), zone("Normal", 1024, 3072), zone("Far", 1 << 20, 16)]
    )
    places = {text: box for text, box in picture.texts if ": " in text and "MiB" in text}
    assert set(places) == {"DMA: 4 MiB", "Normal: 12 MiB"}
    assert places["DMA: 4 MiB"].bottom < places["Normal: 12 MiB"].top


def test_letters_stand_in_cells_that_have_room() -> None:
    lettered = ink.USE_INKS[FrameUse.SLAB]
    uses = FrameMap(MODEL, 0, bytes([FrameUse.SLAB]) * 64)
    picture = FrameMapPicture(uses)
    left, top = (round(edge * 2) for edge in picture.map_box[:2])
    tile = picture.pixels()[top : top + picture.grid.high, left : left + picture.grid.wide, :3]
    white = (tile == 255).all(axis=2)
    assert lettered.letter == "S"
    assert white[: picture.grid.high - 3, : picture.grid.wide - 3].sum() > 40
