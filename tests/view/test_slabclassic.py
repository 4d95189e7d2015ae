"""Every slab is on one of the textbooks' lists and on one of SLUB's, as full as it is."""

from __future__ import annotations

import pytest
from slabsamples import DEBUG, cache_of, damaged, filled

from mmkit.model.slabstate import CacheSnapshot, Place
from mmkit.view import ink
from mmkit.view.slabclassic import _AT_HAND, _FREE, _USED, NOW, THEN, ClassicSlabs, alt_classic_slabs, lanes_of, then_of


def mixed() -> CacheSnapshot:
    """Full, partial and empty slabs."""
    made = cache_of(192)
    taken = [made.alloc() for _ in range(210)]
    for address in taken[42:84] + taken[90:200:3]:
        made.free(address)
    return made.snapshot()


STATES = {
    "mixed": mixed(), "four lists": filled(192, 3000, 0.98, 2), "partial": filled(192, 300, 0.3, 2),
    "debugged": damaged().snapshot(), "none": cache_of(192).snapshot(), "thousands": filled(2048, 20_000, 0.7, 2),
}  # fmt: skip


@pytest.mark.parametrize("name", STATES)
def test_every_slab_is_on_one_list_then_and_on_one_now(name: str) -> None:
    cache = STATES[name]
    for lanes in lanes_of(cache):
        assert sorted(slab.pfn for _, slabs in lanes for slab in slabs) == sorted(slab.pfn for slab in cache.slabs)
    then, now = lanes_of(cache)
    assert [lane for lane, _ in then] == list(THEN)
    for (_, slabs), place in zip(now, NOW, strict=True):
        assert all(slab.place is place for slab in slabs)
    for lane, slabs in then:
        for slab in slabs:
            expected = {"full": slab.inuse == len(slab.objects), "empty": slab.inuse == 0}
            assert expected.get(lane, 0 < slab.inuse < len(slab.objects))


def test_a_slab_is_named_as_the_textbooks_do() -> None:
    assert {then_of(slab) for slab in mixed().slabs} == set(THEN)


@pytest.mark.parametrize("name", STATES)
def test_a_box_is_filled_as_far_as_its_slab(name: str) -> None:
    cache = STATES[name]
    picture = ClassicSlabs(cache)
    drawn = [slab for lanes in lanes_of(cache) for _, slabs in lanes for slab in slabs[:6]]
    boxes = iter(zip(picture.boxes.boxes, picture.boxes.inks, strict=True))
    labels = [[label.text for label in column if label.text] for column in picture.labels_of_slabs]
    assert labels == [[f"0x{s.pfn:x}" for s in drawn], [f"{s.inuse}/{len(s.objects)}" for s in drawn]]
    then = sum(min(6, len(slabs)) for _, slabs in lanes_of(cache)[0])
    for number, slab in enumerate(drawn):
        at_hand = len(slab.cpu_freelist) if number >= then else 0
        counts = {_USED: slab.inuse, _AT_HAND: at_hand, _FREE: len(slab.objects) - slab.inuse - at_hand}
        for look, count in counts.items():
            if count:
                box, drawn_look = next(boxes)
                assert drawn_look is look
                assert box.right - box.left == pytest.approx(52 * count / len(slab.objects))
    assert next(boxes, None) is None


@pytest.mark.parametrize("name", STATES)
def test_lists_are_counted_in_full(name: str) -> None:
    picture = ClassicSlabs(STATES[name])
    lanes = [lane for side in lanes_of(STATES[name]) for lane in side]
    assert [label.text for label in picture.names] == [f"{lane}: {len(slabs):,}" for lane, slabs in lanes]
    assert [label.text for label in picture.more] == [
        f"… {len(slabs) - 6:,} more" if len(slabs) > 6 else "" for _, slabs in lanes
    ]


def test_the_textbook_is_left_and_slub_is_right() -> None:
    picture = ClassicSlabs(mixed())
    middle = picture.rule.get_xdata()[0]
    assert all((label.x < middle) == (number < len(THEN)) for number, label in enumerate(picture.names))


def test_alt_counts_both_ways() -> None:
    assert alt_classic_slabs(mixed()) == (
        "Cache dentry, 10 slabs with 131 of 210 objects in use. Then: 2 full, 6 partial and 2 empty. Now, in SLUB: 1 "
        "as a CPU's own, 7 on CPUs' partial lists, 0 on the node's partial list and 2 on no list. (model)"
    )
    assert "2 as CPUs' own" in alt_classic_slabs(filled(192, 300, 0.3, 2))


def test_slub_has_a_list_of_full_slabs_only_where_users_are_noted() -> None:
    assert "full slabs" not in [label.text.split(":")[0] for label in ClassicSlabs(mixed()).names]
    made = cache_of(192, flags=DEBUG)
    while not any(slab.place is Place.FULL for slab in made.slabs.values()):
        made.alloc()
    picture = ClassicSlabs(made.snapshot())
    assert "full slabs: 1" in [label.text for label in picture.names]
    assert "1 full. (model)" in picture.alt


def test_what_is_in_a_slab_differs_in_more_than_colour() -> None:
    looks: list[ink.Ink] = [_USED, _FREE, _AT_HAND]
    assert len({(one.letter, one.hatch) for one in looks}) == 3


@pytest.mark.parametrize("after", STATES)
def test_an_update_leaves_nothing_behind(after: str) -> None:
    picture, wanted = ClassicSlabs(mixed()), ClassicSlabs(STATES[after])
    picture.png()
    picture.update(STATES[after])
    assert picture.alt == wanted.alt
    # The line between the halves is as long as the picture, which does not shrink.
    tall, middle = round(wanted.height * 2) - 30, round(wanted.rule.get_xdata()[0] * 2)
    same = picture.pixels()[:tall] == wanted.pixels()[:tall]
    assert same.all()
    rest = picture.pixels()[tall:]
    assert (rest[:, : middle - 3] == 255).all()
    assert (rest[:, middle + 3 :] == 255).all()
