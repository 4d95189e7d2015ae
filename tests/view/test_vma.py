"""Pictures of address spaces: what they say is so, and what they were updated to is what they would be made as."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
from vmasamples import BASE, PAGE, crowd, empty, history, process, tasks, trees

from mmkit.model import vmatrace
from mmkit.model.vma.lookup import KINDS, lookup
from mmkit.view.picture import Picture
from mmkit.view.vma import AddressSpacePicture, rows_of
from mmkit.view.vmachange import VmaChangePicture, differences, maps_lines, window_of
from mmkit.view.vmakinds import bands, kinds_of
from mmkit.view.vmatasks import TasksPicture
from mmkit.view.vmatree import LookupPicture
from mmkit.view.words import in_words

A, B, C, D = history()


def searches(mm: Any, addr: int | None) -> list[Any]:
    return [lookup(mm, kind, addr) for kind in KINDS]


Case = tuple[Callable[..., Picture], tuple[Any, ...], list[tuple[Any, ...]]]
UPDATES: dict[str, Case] = {
    "layout": (AddressSpacePicture, (A,), [(process(),), (B, A)]),
    "layout, pointed at": (AddressSpacePicture, (process(), None, 0x10000), [(A, None, BASE), (crowd(),)]),
    "change": (VmaChangePicture, (B, A), [(C, B), (D, C, (BASE, BASE + 26 * PAGE))]),
    "change, many": (VmaChangePicture, (crowd(), empty()), [(A, empty())]),
    "lookup": (LookupPicture, (searches(process(), BASE),), [(searches(A, BASE),), (searches(crowd(), BASE),)]),
    "tasks": (TasksPicture, (tasks(8, 3),), [(tasks(1, 0),), (tasks(),)]),
}


@pytest.mark.parametrize("name", UPDATES)
def test_an_update_leaves_nothing_behind(name: str) -> None:
    make, first, updates = UPDATES[name]
    picture = make(*first)
    picture.png()
    for arguments in updates:
        picture.update(*arguments)  # type: ignore[attr-defined]
        picture.png()
    wanted = make(*updates[-1])
    assert (picture.alt, picture.texts) == (wanted.alt, wanted.texts)
    assert picture.png() == wanted.png()


def test_kinds_of_areas() -> None:
    assert kinds_of(process("amd64-4g", "init").vmas) == [
        "read-only", "code", "read-only", "read-only", "data", "bss", "heap", "stack", "kernel", "kernel",
    ]  # fmt: skip
    assert set(kinds_of(process("amd64-4g", "vmas").vmas)) >= {"guard", "shared", "anonymous"}


@pytest.mark.parametrize("most", [5, 26, 1000])
def test_bands_are_all_areas_once_and_in_order(most: int) -> None:
    for mm in (A, process(), crowd(), empty()):
        found = bands(mm, most)
        assert len(found) <= most
        assert [n for band in found for n in range(band.first, band.last + 1)] == list(range(len(mm.vmas)))


def test_rows_cover_the_whole_user_half() -> None:
    for mm in (A, process(), empty(), process("i386-686-2g", "vmas")):
        rows = rows_of(mm)[::-1]
        assert rows[0].start == 0
        assert rows[-1].end == mm.layout.task_size
        assert all(low.end == high.start for low, high in pairwise(rows))


def test_the_layout_says_what_there_is() -> None:
    picture = AddressSpacePicture(B, A, addr=BASE + 3 * PAGE)
    assert picture.alt.startswith("Address space of toy: 6 areas, 84 KiB mapped")
    assert "3 areas are new or changed" in picture.alt
    assert f"0x{BASE + 3 * PAGE:x} lies in the area at 0x{BASE + 2 * PAGE:x}" in picture.alt
    assert "lies in a gap" in AddressSpacePicture(A, addr=0x20000).alt
    shown = [text for text, _ in picture.texts]
    assert sum("●" in text for text in shown) == 3
    assert "● ▶" in shown
    assert "poem.txt (data)" in shown


def test_the_change_shows_the_lines_that_come_and_go() -> None:
    start, end = window_of(B, A)
    marked = differences(maps_lines(A, start, end), maps_lines(B, start, end))
    assert [sign for sign, _ in marked if sign != " "] == ["−", "+", "+", "+"]
    picture = VmaChangePicture(B, A)
    shown = [text for text, _ in picture.texts]
    assert sum(text == "+" for text in shown) == 3
    assert "10002000-10005000 r--p 00000000 00:00 0" in [text.strip() for text in shown]
    assert "After: 6 areas: pages 0 to 1 rw-p anon_vma 1, pages 2 to 4 r--p anon_vma 1" in picture.alt


def test_the_search_says_how_much_it_cost() -> None:
    alt = trees(process(), process().vmas[78].start).alt
    assert "List of 117 areas, 117 nodes" in alt
    assert "looks at 79 nodes, makes 79 comparisons, and finds area 78" in alt
    assert "finds no area" in trees(A, 1 << 46).alt


def test_the_tasks_say_who_shares_what() -> None:
    alt = TasksPicture(tasks()).alt
    assert alt.startswith("6 tasks, 2 address spaces. Address space 1 has 3 users: 1000, 1002 (a thread of 1000)")


def test_every_event_is_said_in_words() -> None:
    made = [
        vmatrace.VmUnmappedArea(BASE, PAGE), vmatrace.VmaInsert(BASE, BASE + PAGE, "rw-p"),
        vmatrace.VmaRemove(BASE, BASE + PAGE, "rw-p"), vmatrace.VmaSplit(BASE, BASE + PAGE, BASE + 3 * PAGE),
        vmatrace.VmaMerge(BASE, BASE + 3 * PAGE, 1), vmatrace.VmaResize(BASE, BASE + PAGE, BASE, BASE + 2 * PAGE),
        vmatrace.VmaFlags(BASE, BASE + PAGE, 3, 1), vmatrace.VmaFault(BASE, True, 7),
        vmatrace.Zap(BASE, BASE + PAGE, 1),
    ]  # fmt: skip
    said = [in_words(event) for event in made]
    assert all("0x10000000" in words for words in said)
    assert said[6].endswith("lost wr.")
    assert len(set(said)) == len(made)
