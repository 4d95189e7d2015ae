"""Every object of a cache is one cell of the fill picture, in its state and on its list, whatever their number."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from slabsamples import DEBUG, cache_of, damaged, filled, short_of_memory, too_many

from mmkit.model.slabstate import CacheSnapshot, ObjectState, Place
from mmkit.view import ink
from mmkit.view.artist import word
from mmkit.view.cells import NOTHING
from mmkit.view.slabfill import Shelf, SlabFill, alt_slab_fill, list_names

STATES = {
    "few": filled(192, 60, 0.6, 2), "500 slabs": filled(128, 16_000, 0.6, 2), "512 objects": filled(8, 300, 0.6),
    "four lists": filled(192, 3000, 0.98, 2), "debugged": damaged().snapshot(), "short": short_of_memory(),
    "none": cache_of(192).snapshot(),
}  # fmt: skip


def slabs_drawn(picture: SlabFill, place: Place, shelf: Shelf, count: int) -> list[bytes]:
    """Read the objects of the slabs of one list off its cells."""
    values = picture.cells[place].values
    tall, wide = shelf.tall + 1, shelf.wide + 1
    parts = [values[top : top + tall - 1, left : left + wide - 1]
             for top in range(0, len(values), tall) for left in range(0, values.shape[1], wide)]  # fmt: skip
    return [part[part != NOTHING].tobytes() for part in parts[:count]]


@pytest.mark.parametrize("name", STATES)
def test_cells_are_the_objects(name: str) -> None:
    cache = STATES[name]
    picture = SlabFill(cache)
    lists = [[slab.objects for slab in cache.slabs if slab.place is place] for place in Place]
    shelf = Shelf([len(slabs) for slabs in lists], max((len(one) for each in lists for one in each), default=1))
    for place, slabs in zip(Place, lists, strict=True):
        assert picture.cells[place].get_visible() == bool(slabs)
        if slabs:
            assert slabs_drawn(picture, place, shelf, len(slabs)) == slabs
            values = picture.cells[place].values
            assert (values != NOTHING).sum() == sum(map(len, slabs))
        used = sum(slab.inuse for slab in cache.slabs if slab.place is place)
        counted = f"{len(slabs):,}, {used:,} of {sum(map(len, slabs)):,} objects in use"
        name_text = f"{list_names(cache.geometry.flags)[place]}: {counted}"
        assert picture.names[place].text == (name_text if slabs else "")


@pytest.mark.parametrize("name", ["500 slabs", "512 objects", "four lists"])
def test_cells_are_whole_pixels_and_large_enough_to_see(name: str) -> None:
    picture = SlabFill(STATES[name])
    for cells in picture.cells:
        if cells.get_visible():
            wide = (cells.box.right - cells.box.left) / cells.values.shape[1]
            high = (cells.box.bottom - cells.box.top) / len(cells.values)
            assert wide == high >= 3
            assert (wide * 2).is_integer()
            assert cells.box.right <= picture.width
            assert cells.box.bottom <= picture.height


def test_the_pixels_are_those_of_the_states() -> None:
    cache = filled(8, 300, 0.6)
    picture = SlabFill(cache)
    pixels = picture.pixels().view("<u4")[..., 0]
    cells = picture.cells[Place.CPU]
    size = (cells.box.right - cells.box.left) / cells.values.shape[1] * 2
    seen = Counter()
    for row, column in np.argwhere(cells.values != NOTHING):
        y, x = (int(edge * 2 + at * size) for edge, at in ((cells.box.top, row), (cells.box.left, column)))
        face = word(ink.OBJECT_INKS[ObjectState(cells.values[row, column])].face)
        cell = pixels[y : y + int(size), x : x + int(size)]
        assert (cell == face).mean() > 0.4
        seen[int(cells.values[row, column])] += 1
    assert seen == Counter(cache.slabs[0].objects)


def test_lists_stand_one_below_the_other() -> None:
    picture = SlabFill(filled(192, 3000, 0.98, 2))
    shown = [one for one in zip(picture.names, picture.cells, strict=True) if one[1].get_visible()]
    assert len(shown) == 4
    ys = [y for name, cells in shown for y in (name.y, cells.box.top, cells.box.bottom)]
    assert ys == sorted(ys)


def test_what_does_not_fit_is_said() -> None:
    picture = SlabFill(too_many())
    note = next(text for text, _ in picture.texts if "slabs of 512 objects" in text)
    drawn = int(note.split("the first ")[1].split(" ")[0].replace(",", ""))
    shown = sum((cells.values != NOTHING).sum() for cells in picture.cells if cells.get_visible())
    assert shown == drawn * 512
    assert 500 <= drawn < 4000
    assert "4,000 slabs" in note


def test_all_slabs_fit() -> None:
    for counts, objects in (([2, 10, 488, 0], 32), ([1, 0, 0, 0], 512), ([0, 0, 100, 400], 21), ([64, 64, 64, 64], 46)):
        shelf = Shelf(counts, objects)
        rows = sum(-(-count // shelf.columns) for count in counts)
        assert shelf.columns * (shelf.wide + 1) * shelf.cell <= 876
        assert rows * (shelf.tall + 1) * shelf.cell <= 330
        assert shelf.wide * shelf.tall >= objects


def test_alt_tells_lists_damage_and_empty_slabs() -> None:
    cache = filled(192, 300, 0.3, 2)
    words = alt_slab_fill(cache)
    assert words.startswith("Cache dentry, an object a cell: 90 of 336 objects in 16 slabs in use; CPU slabs 2, ")
    assert f"{sum(slab.inuse == 0 for slab in cache.slabs)} empty. (model)" in words
    assert "; 2 damaged. (model)" in alt_slab_fill(damaged().snapshot())
    assert "no slab; 0 empty" in alt_slab_fill(cache_of(192).snapshot())
    assert "full, on no list" in alt_slab_fill(filled(192, 3000, 0.98, 2))
    assert list_names(DEBUG)[Place.FULL] == "full slabs"


UPDATES: dict[str, tuple[CacheSnapshot, CacheSnapshot]] = {
    "one more": (filled(192, 60), filled(192, 61)),
    "many more": (filled(192, 60, 0.6, 2), filled(128, 16_000, 0.6, 2)),
    "another cache": (filled(192, 60), filled(8, 300, 0.6)),
    "none": (cache_of(192).snapshot(), filled(192, 60)),
}


@pytest.mark.parametrize("name", UPDATES)
def test_an_update_leaves_nothing_behind(name: str) -> None:
    before, after = UPDATES[name]
    picture, wanted = SlabFill(before), SlabFill(after)
    picture.png()
    for cache in (after, before, after):
        picture.update(cache)
        picture.png()
    assert picture.alt == wanted.alt
    tall = round(wanted.height * 2)
    assert (picture.pixels()[:tall] == wanted.pixels()).all()
    assert (picture.pixels()[tall:] == 255).all()


def test_only_rows_that_changed_are_painted_anew() -> None:
    made = cache_of(128, 2)
    taken = [made.alloc(i % 2) for i in range(16_000)]
    for address in taken[::3]:
        made.free(address)
    picture = SlabFill(made.snapshot())
    picture.png()
    made.free(taken[1])
    picture.update(made.snapshot())
    assert picture.png() == SlabFill(made.snapshot()).png()
