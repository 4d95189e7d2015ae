"""Every byte of an object is shown as it is, in the ink of what it is for; damage and its place are told."""

from __future__ import annotations

import pytest
from slabsamples import cache_of, objects

from mmkit.model.slabstate import ObjectSnapshot, ObjectState, SlabFlags
from mmkit.view import ink
from mmkit.view.slabobject import PER_ROW, ObjectBytes, alt_object, choose_lines, parts_of, wanted_byte

OBJECTS = objects()
BAD = ink.OBJECT_INKS[ObjectState.DAMAGED]


def shown(picture: ObjectBytes) -> dict[int, tuple[str, str]]:
    """What stands where: offset in the object's bytes -> text and name of the ink."""
    found, inks = {}, iter(picture.boxes.inks)
    for line, row in enumerate(picture.lines):
        for column, label in enumerate(picture.bytes[line]):
            if row is not None and label.text:
                found[row * PER_ROW + column] = label.text, next(inks).name
    assert next(inks, None) is None
    return found


@pytest.mark.parametrize("name", OBJECTS)
def test_parts_are_all_of_an_object_without_a_gap(name: str) -> None:
    state = OBJECTS[name]
    parts = parts_of(state)
    assert [part.start for part in parts] == [0, *(part.end for part in parts[:-1])]
    assert parts[-1].end == state.geometry.size == len(state.content)


@pytest.mark.parametrize("name", OBJECTS)
def test_bytes_are_those_of_the_object_in_the_ink_of_their_part(name: str) -> None:
    state = OBJECTS[name]
    found = shown(ObjectBytes(state))
    for part in parts_of(state):
        for at in range(part.start, part.end):
            if at in found:
                look = BAD if at in state.damaged else part.look
                assert found[at] == (f"{state.content[at]:02x}", look.name)


@pytest.mark.parametrize("name", OBJECTS)
def test_what_must_stand_in_a_part_does_but_for_the_damage(name: str) -> None:
    state = OBJECTS[name]
    wrong = [at for part in parts_of(state) for at in range(part.start, part.end)
             if wanted_byte(part, at) not in (None, state.content[at])]  # fmt: skip
    pointer = [at for part in parts_of(state) if part.name == "free pointer" for at in range(part.start, part.end)]
    assert wrong == [at for at in state.damaged if at not in pointer]


@pytest.mark.parametrize("name", OBJECTS)
def test_damaged_bytes_and_borders_of_parts_are_always_shown(name: str) -> None:
    state = OBJECTS[name]
    picture, rows = ObjectBytes(state), {row for row in ObjectBytes(state).lines if row is not None}
    assert {at // PER_ROW for part in picture.parts for at in (part.start, part.end - 1)} <= rows
    bad = {at // PER_ROW for at in state.damaged}
    assert bad <= rows or (name == "all overwritten" and len(bad & rows) >= 8)


@pytest.mark.parametrize("name", OBJECTS)
def test_rows_that_are_left_out_are_counted(name: str) -> None:
    state = OBJECTS[name]
    picture = ObjectBytes(state)
    words = [label.text for label in picture.left_out if label.text]
    missing = -(-len(state.content) // PER_ROW) - sum(row is not None for row in picture.lines)
    counted = [int(text.split(" rows")[0].strip("… ").replace(",", "")) for text in words]
    assert sum(counted) == missing
    for text, line in ((label.text, i) for i, label in enumerate(picture.left_out) if label.text):
        before, after = picture.lines[line - 1], picture.lines[line + 1]
        assert before is not None
        assert after is not None
        content = set(state.content[(before + 1) * PER_ROW : after * PER_ROW])
        assert ("all 0x" in text) == (len(content) == 1)


@pytest.mark.parametrize("name", OBJECTS)
def test_a_bracket_for_each_part_in_order(name: str) -> None:
    picture = ObjectBytes(OBJECTS[name])
    xs, ys = picture.brackets.get_data()
    brackets = [(ys[i], ys[i + 2]) for i in range(0, len(xs), 8)]  # four points and a gap, then two and a gap
    assert len(brackets) == len(picture.parts)
    edges = [y for bracket in brackets for y in bracket]
    assert edges == sorted(edges)
    names = [label for label in picture.names if label.text]
    assert [label.text for label in names] == [part.name for part in picture.parts]
    assert [label.y for label in names] == sorted(label.y for label in names)


def test_choice_of_lines() -> None:
    assert choose_lines(5, {0, 4}, set()) == [0, 1, 2, 3, 4]
    assert choose_lines(100, {0, 99}, {50}, most=7) == [0, 1, 2, None, 50, None, 99]
    assert choose_lines(100, {0, 99}, set(range(10, 90)), most=8) == [0, None, 10, 11, 12, 13, None, 99]


def test_alt_tells_parts_and_damage() -> None:
    assert alt_object(OBJECTS["overrun"]) == (
        "Object 0 of a slab of cache dentry, at 0xffff888001000008, in use: left red zone (8 bytes), object (64 "
        "bytes), right red zone (8 bytes), free pointer (8 bytes), taken last (32 bytes), given back last (32 bytes) "
        "and padding (8 bytes). 6 bytes damaged, in right red zone: the first, at 0xffff888001000048, is 0x41 instead "
        "of 0xcc. (model)"
    )
    assert "at 0xffff888001000005, is 0x61 instead of 0xcc" in alt_object(OBJECTS["underrun"])
    assert "free: " in alt_object(OBJECTS["free"])
    for name, state in OBJECTS.items():
        assert ("No byte is damaged" in alt_object(state)) == (not state.damaged), name


def parts_by_name(state: ObjectSnapshot) -> dict[str, int]:
    """Bytes of each part."""
    return {part.name: part.size for part in parts_of(state)}


def test_parts_follow_the_flags() -> None:
    assert parts_by_name(OBJECTS["checks alone"]) == {"object": 100, "padding": 4}
    assert "left red zone" not in parts_by_name(OBJECTS["poison alone"])
    assert parts_by_name(OBJECTS["aligned"])["left red zone"] == 64
    assert parts_by_name(OBJECTS["kmalloc"])["size"] == 8
    assert parts_by_name(OBJECTS["32 bits"])["taken last"] == 20


def test_the_free_pointer_is_where_the_cache_has_it() -> None:
    for flags in (SlabFlags.RED_ZONE, SlabFlags.RED_ZONE | SlabFlags.POISON):
        made = cache_of(96, flags=flags)
        first, second = made.alloc(), made.alloc()
        made.free(first)
        made.free(second)
        state = made.debug.object_snapshot(second)  # type: ignore[union-attr]
        part = next(part for part in parts_of(state) if part.name == "free pointer")
        assert int.from_bytes(state.content[part.start : part.end], "little") == first


def test_damage_differs_in_more_than_colour() -> None:
    looks = [(one.letter, one.hatch) for one in (ink.RED_ZONE, ink.USERS, ink.NOTES, ink.PADDING, BAD)]
    assert len(set(looks)) == len(looks)
    notes = [label.text for label in ObjectBytes(OBJECTS["overrun"]).notes]
    assert [text for text in notes if "damaged" in text] == ["8 bytes, 0xcc: in use, 6 damaged!"]


@pytest.mark.parametrize("after", ["overrun", "used after free", "checks alone"])
def test_an_update_leaves_nothing_behind(after: str) -> None:
    picture, wanted = ObjectBytes(OBJECTS["in use"]), ObjectBytes(OBJECTS[after])
    picture.png()
    picture.update(OBJECTS[after])
    tall = round(wanted.height * 2)
    assert picture.alt == wanted.alt
    assert (picture.pixels()[:tall] == wanted.pixels()).all()
    assert (picture.pixels()[tall:] == 255).all()
