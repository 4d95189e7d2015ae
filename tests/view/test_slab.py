"""The picture of a slab cache shows every object of the slabs it draws, in the state and at the place that it has."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from slabsamples import DEBUG, cache_of, damaged, filled, short_of_memory, steps

from mmkit.model import slabtrace, trace
from mmkit.model.slabstate import CacheSnapshot, ObjectState, Place, SlabSnapshot
from mmkit.record import replace
from mmkit.view import ink
from mmkit.view.artist import Box
from mmkit.view.slab import SlabPicture, alt_slab
from mmkit.view.slabrows import LEFT, RIGHT, choose_rows, ruling

STATES = {
    "one slab": filled(500, 8), "many": filled(192, 5000, 0.6, 2), "512 objects": filled(8, 1700, 0.6),
    "24 bytes": filled(24, 1700, 0.6), "pages": filled(1000, 90, 0.4, 2), "debugged": damaged().snapshot(),
    "short of memory": short_of_memory(),
}  # fmt: skip


@dataclass
class Drawn:
    """A slab as it is drawn."""

    slab: SlabSnapshot
    top: float
    boxes: list[tuple[Box, ink.Ink]]
    texts: list[tuple[float, float, str]]


def rows(picture: SlabPicture) -> list[Drawn]:
    """Take the picture to pieces."""
    bar, found = ruling(picture.cache.geometry).bar, []
    for row in picture.rows:
        if row.slab is None:
            continue
        inside = [(box, one) for box, one in zip(picture.boxes.boxes, picture.boxes.inks, strict=True)
                  if box.left >= LEFT - 0.01 and row.top - 1 < box.top < row.top + bar]  # fmt: skip
        texts = [(x, y, text) for x, y, text, _ in picture.letters.letters if row.top < y < row.top + bar]
        found.append(Drawn(row.slab, row.top, inside, texts))
    return found


@pytest.mark.parametrize("name", STATES)
def test_every_object_is_drawn_to_scale_in_the_ink_of_its_state(name: str) -> None:
    cache = STATES[name]
    geometry, lines = cache.geometry, ruling(cache.geometry).lines
    per_byte = (RIGHT - LEFT) * lines / geometry.slab_bytes
    for row in rows(SlabPicture(cache)):
        width = {look.name: 0.0 for look in (*ink.OBJECT_INKS.values(), ink.NO_OBJECT)}
        for box, look in row.boxes:
            width[look.name] += box.right - box.left
        for state, look in ink.OBJECT_INKS.items():
            assert width[look.name] == pytest.approx(row.slab.objects.count(state) * geometry.size * per_byte)
        # What is under the objects is drawn first, so that only the rest of the slab stays to be seen.
        assert width[ink.NO_OBJECT.name] == pytest.approx(geometry.bytes_of(len(row.slab.objects)) * per_byte)


def test_objects_lie_where_their_bytes_are() -> None:
    cache = filled(1000, 90, 0.4, 2)
    for row in rows(SlabPicture(cache)):
        objects = [(box, look) for box, look in row.boxes if look is not ink.NO_OBJECT]
        lefts = [LEFT + (RIGHT - LEFT) * i * 1000 / 16384 for i in range(16)]
        assert [box.left for box, _ in objects] == pytest.approx(lefts)
        assert [look for _, look in objects] == [ink.OBJECT_INKS[ObjectState(state)] for state in row.slab.objects]


def test_a_slab_of_512_objects_has_room_for_each() -> None:
    row = rows(SlabPicture(filled(8, 1700, 0.6)))[0]
    objects = [box for box, look in row.boxes if look is not ink.NO_OBJECT]
    assert len(objects) == len(set(objects)) == 512
    assert min(box.right - box.left for box in objects) >= 4
    assert len({box.top for box in objects}) == 4


def test_posts_stand_between_pages() -> None:
    picture = SlabPicture(filled(1000, 90, 0.4, 2))
    xs = np.asarray(picture.pages.get_xdata())
    expected = {round(LEFT + (RIGHT - LEFT) * page / 4, 3) for page in range(5)}
    assert {round(float(x), 3) for x in xs if not np.isnan(x)} == expected


def test_a_slab_made_while_memory_was_short_is_as_short_as_its_pages() -> None:
    cache = short_of_memory()
    assert cache.geometry.order == 2
    picture = SlabPicture(cache)
    xs, ys = (np.asarray(data) for data in picture.pages.get_data())
    for row, objects in zip(rows(picture), (4, 4, 4, 16), strict=True):
        assert len(row.slab.objects) == objects
        end = LEFT + (RIGHT - LEFT) * objects / 16
        assert max(box.right for box, _ in row.boxes) == end
        assert xs[abs(ys - row.top) < 10].max() == end


def test_numbers_say_what_is_handed_out_next() -> None:
    made = cache_of(1000, 1)
    taken = [made.alloc() for _ in range(made.objs_per_slab)]
    for address in (taken[7], taken[2], taken[5]):
        made.free(address)
    (row,) = rows(SlabPicture(made.snapshot()))
    turns = {int(text): x for x, _, text in row.texts}
    for number in (1, 2, 3):
        index = (made.alloc() - row.slab.address) // 1000
        box = [box for box, look in row.boxes if look is not ink.NO_OBJECT][index]
        assert box.left < turns[number] < box.right


def test_free_on_the_slab_comes_after_free_on_the_cpu() -> None:
    slab = SlabSnapshot(1, 0x1000, Place.CPU, 0, bytes([1, 0, 2, 0]), (3, 1), (0,))
    cache = filled(1000, 8)
    cache = replace(cache, geometry=replace(cache.geometry, size=1000, order=0, objs_per_slab=4), slabs=(slab,))
    (row,) = rows(SlabPicture(cache))
    assert [text for _, _, text in sorted(row.texts)] == ["1", "3", "2"]


def test_no_number_touches_a_post_or_an_edge() -> None:
    for cache in STATES.values():
        picture = SlabPicture(cache)
        posts = {float(x) for x in np.asarray(picture.pages.get_xdata()) if not np.isnan(x)}
        for _, box in picture.letters.texts:
            assert not [x for x in posts if box.left < x < box.right]


def test_damage_is_marked_by_letter_hatch_and_in_words() -> None:
    cache = damaged().snapshot()
    texts = [text for row in rows(SlabPicture(cache)) for _, _, text in row.texts]
    assert texts.count("!") == 2
    assert " 2 damaged." in alt_slab(cache)


def test_what_an_object_is_differs_in_more_than_colour() -> None:
    looks = [(one.letter, one.hatch) for one in (*ink.OBJECT_INKS.values(), ink.NO_OBJECT)]
    assert len(set(looks)) == len(looks)


@pytest.mark.parametrize("name", STATES)
def test_what_is_not_drawn_is_counted(name: str) -> None:
    cache = STATES[name]
    picture = SlabPicture(cache)
    for place in Place:
        slabs = [slab for slab in cache.slabs if slab.place is place]
        shown = [row.slab for row in picture.rows if row.place is place and row.slab]
        said = [row.words for row in picture.rows if row.place is place and not row.slab]
        left = [slab for slab in slabs if slab not in shown]
        used = sum(slab.inuse for slab in left)
        expected = [f"and {len(left):,} more, {used:,} object{'s' * (used != 1)} in use"] if left else []
        assert said == expected
        assert [label.text for label in picture.notes if label.text in said] == said


def test_every_list_has_a_row_and_the_touched_slab_too() -> None:
    slabs = filled(192, 5000, 0.6, 2).slabs
    last = slabs[-1]
    chosen = choose_rows(slabs, last.pfn, 8)
    assert sum(map(len, chosen)) == 8
    assert {slab.place for slab in slabs} == {slab.place for each in chosen for slab in each}
    assert last in chosen[last.place]
    assert choose_rows(slabs, None, 8)[Place.NODE] == [slab for slab in slabs if slab.place is Place.NODE][:3]


def outlined(picture: SlabPicture) -> Box | None:
    """The box that is outlined."""
    xs, ys = (np.asarray(data, float) for data in picture.outline.get_data())
    return Box(xs.min(), ys.min(), xs.max(), ys.max()) if len(xs) else None


def test_what_an_event_touched_is_outlined() -> None:
    seen = set()
    for cache, event in steps():
        picture, box = SlabPicture(cache, event), None
        seen.add(type(event))
        if isinstance(event, (slabtrace.KmemCacheAlloc, slabtrace.KmemCacheFree)):
            at = [row for row in picture.rows if row.slab and 0 <= event.ptr - row.slab.address < 16384]
            if at:
                left = LEFT + (RIGHT - LEFT) * (event.ptr - at[0].slab.address) / 16384
                box = Box(left, at[0].top, left + (RIGHT - LEFT) * 1000 / 16384, at[0].top + 26)
        else:
            at = [row for row in picture.rows if row.slab and row.slab.pfn == event.pfn]
            if at:
                box = Box(LEFT, at[0].top, RIGHT, at[0].top + 26)
        assert (outlined(picture) is None) == (box is None)
        assert box is None or outlined(picture) == pytest.approx(box)
    assert seen == {slabtrace.KmemCacheAlloc, slabtrace.KmemCacheFree, slabtrace.SlabNew, slabtrace.SlabMove,
                    slabtrace.SlabDiscard}  # fmt: skip


def test_what_happened_stands_on_top_in_words() -> None:
    cache, event = steps()[40]
    for picture in (SlabPicture(cache, event), SlabPicture(cache, trace.MmPageAlloc(0x1000, 2, 0, 0))):
        caption = " ".join(label.text for label in picture.caption).strip()
        assert picture.alt.startswith(caption)
        assert "0x100" in caption


def test_alt_tells_layout_and_lists() -> None:
    assert alt_slab(filled(192, 300, 0.3, 2)) == (
        "Cache dentry: objects of 192 bytes, 192 from one to the next, 21 in a slab of 1 page. 90 of 336 objects in 16 "
        "slabs in use: 2 as CPUs' own (4 objects in use) and 14 on CPUs' partial lists (86 objects in use). (model)"
    )
    assert alt_slab(cache_of(192).snapshot()).endswith("0 of 0 objects in 0 slabs in use. (model)")


def test_full_slabs_are_on_a_list_only_where_users_are_noted() -> None:
    for flags, words, name in ((0, "full, on no list", "on no list"), (DEBUG, "full ones", "node, full")):
        made = cache_of(1000, flags=flags)
        while not any(slab.place is Place.FULL for slab in made.slabs.values()):
            made.alloc()
        picture = SlabPicture(made.snapshot())
        assert words in picture.alt
        assert name in [label.text for label in picture.places]


UPDATES: dict[str, tuple[CacheSnapshot, CacheSnapshot]] = {
    "another cache": (filled(500, 8), filled(192, 5000, 0.6, 2)),
    "more lines": (filled(192, 300, 0.3, 2), filled(8, 1700, 0.6)),
    "debugged": (filled(192, 42), damaged().snapshot()),
}


@pytest.mark.parametrize("name", UPDATES)
def test_an_update_leaves_nothing_behind(name: str) -> None:
    before, after = UPDATES[name]
    event = slabtrace.SlabNew(after.slabs[0].pfn, "dentry", 0, 1)
    picture, wanted = SlabPicture(before, steps()[40][1]), SlabPicture(after, event)
    picture.png()
    picture.update(after, event)
    assert picture.alt == wanted.alt
    tall = round(wanted.height * 2)
    assert picture.height >= wanted.height
    assert (picture.pixels()[:tall] == wanted.pixels()).all()
    assert (picture.pixels()[tall:] == 255).all()


def test_its_height_never_shrinks_so_that_nothing_below_jumps() -> None:
    picture = SlabPicture(filled(192, 5000, 0.6, 2))
    height = picture.height
    picture.update(filled(500, 8))
    assert picture.height == height > SlabPicture(filled(500, 8)).height


@pytest.mark.parametrize(("name", "numbered"), [("pages", True), ("512 objects", False)])
def test_the_key_speaks_of_numbers_only_where_there_are_some(name, numbered):
    (key,) = (text for text, _ in SlabPicture(STATES[name]).texts if text.startswith("pages (between"))
    assert key.endswith("; numbers: which is handed out next") == numbered
