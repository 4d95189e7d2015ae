"""The page lab, operated without a browser."""

from __future__ import annotations

import pytest

from mmkit.lab.page import PageLab
from mmkit.model.page import MemMap
from mmkit.model.pageflags import MappingKind, PageFlags


@pytest.fixture
def lab() -> PageLab:
    return PageLab()


def shown(lab):
    return lab.timeline.current.snapshot


def test_it_starts_free(lab, checks):
    checks.consistent(lab)
    checks.named(lab)
    assert shown(lab).refcount == 0
    assert "free, _refcount 0" in lab.picture.alt
    assert len(lab.flag_toggles) == len(PageFlags) == 24


def test_the_buttons_do_what_the_page_does(lab, checks):
    twin = MemMap(1, lab.pfn)
    twin.set_zone("Normal", lab.pfn, lab.pfn + 1)
    page = twin[lab.pfn]
    for control, do in (
        (lab.alloc_button, page.set_refcounted), (lab.get_button, page.get), (lab.map_button, page.map),
        (lab.get_button, page.get), (lab.map_button, page.map), (lab.unmap_button, page.unmap),
        (lab.put_button, page.put), (lab.put_button, page.put),
    ):  # fmt: skip
        control.click()
        do()
        assert shown(lab) == twin.snapshot(lab.pfn)
        checks.consistent(lab)


def test_every_flag_goes_on_and_off(lab, checks):
    lab.alloc()
    for name, toggle in lab.flag_toggles.items():
        before = lab.picture.alt
        toggle.value = True
        assert shown(lab).flags == PageFlags[name]
        assert lab.picture.alt != before
        assert name in lab.message
        toggle.value = False
        assert not shown(lab).flags
    checks.consistent(lab)
    lab.model.check()


def test_the_toggles_follow_the_timeline(lab):
    lab.alloc(), lab.toggle("dirty"), lab.toggle("lru"), lab.toggle("dirty")

    def pressed():
        return {name for name, toggle in lab.flag_toggles.items() if toggle.value}

    assert pressed() == {"lru"}
    lab.undo()
    assert pressed() == {"dirty", "lru"}
    lab.first()
    assert pressed() == set()
    assert len(lab.timeline) == 6
    assert shown(lab).lru is None


def test_anonymous_file_and_free_again(lab, checks):
    lab.anon_button.click()
    assert shown(lab).kind is MappingKind.ANON
    assert shown(lab).mapping == 0xFFFF_8880_0ABC_D001
    assert (shown(lab).refcount, shown(lab).mapcount) == (1, 0)
    assert "anonymous" in lab.picture.alt
    lab.free_button.click()
    assert (shown(lab).refcount, shown(lab).mapping) == (0, 0)
    lab.file_button.click()
    assert shown(lab).kind is MappingKind.FILE
    assert shown(lab).mapping == 0xFFFF_8880_0123_4560
    lab.map_button.click()
    lab.free_button.click()
    assert (shown(lab).refcount, shown(lab).mapcount, shown(lab).mapping) == (0, -1, 0)
    checks.consistent(lab)
    lab.model.check()


def test_each_step_is_told(lab):
    lab.anonymous()
    told = [entry.label for entry in lab.timeline.entries]
    assert told[1] == "The allocator hands the page out: _refcount is now 1."
    assert told[2] == "Set owner_2, swapbacked."
    assert told[3] == "One more page table entry maps the page: _mapcount is now 0."
    lab.free()
    told = [entry.label for entry in lab.timeline.entries[4:]]
    assert told[:2] == [
        "A page table entry is removed: _mapcount is now -1.",
        "The last reference is dropped: the page is free, _refcount is now 0.",
    ]
    assert told[-1] == "the page is free; mapping is 0, it belongs to nobody"
    lab.file()
    assert "mapping leads to the file's address_space" in lab.message
    lab.free()
    assert "it belongs to nobody" in lab.message
    lab.alloc(), lab.free()
    assert "mapping" not in lab.message


@pytest.mark.parametrize(
    ("before", "method", "words"),
    [
        ((), "get", "free"),
        ((), "put", "no reference"),
        ((), "map", "free"),
        ((), "unmap", "mapcount -1"),
        ((), "free", "free already"),
        (("alloc",), "alloc", "refcount 1"),
        (("alloc",), "unmap", "mapcount -1"),
        (("alloc", "map"), "put", "page table entry"),
        (("alloc", "map"), "map", "get() one first"),
        (("anonymous",), "file", "anon_vma"),
        (("file",), "anonymous", "address_space"),
    ],
)
def test_what_the_kernel_would_not_do(lab, checks, before, method, words):
    for step in before:
        getattr(lab, step)()
    checks.refuses(lab, words, do=getattr(lab, method))


def test_a_locked_page_is_not_freed_not_even_in_part(lab, checks):
    lab.anonymous(), lab.toggle("locked")
    checks.refuses(lab, "locked", do=lab.free)
    assert (lab.page.refcount, lab.page.mapcount) == (1, 0)


def test_a_refused_flag_leaves_no_button_pressed(lab, checks):
    def press():
        lab.flag_toggles["dirty"].value = True

    checks.refuses(lab, "free", do=press)
    assert not lab.flag_toggles["dirty"].value
    checks.refuses(lab, "'wet'", do=lambda: lab.toggle("wet"))


def test_the_textbook_counts_one_less(lab, checks):
    lab.alloc()
    today = lab.picture.png()
    assert "_refcount 1" in lab.picture.alt
    lab.count_menu.value = True
    assert "_count 0" in lab.picture.alt
    assert lab.picture.png() != today
    checks.consistent(lab)
    lab.first()
    assert "_count -1" in lab.picture.alt


def test_every_picture_shows_the_same_step_the_same_way(lab, checks):
    lab.anonymous(), lab.toggle("dirty")
    for picture in lab.picture_menu.options:
        lab.picture_menu.value = picture
        checks.consistent(lab)
        seen = [one.png() for one in lab.pictures]
        lab.first(), lab.last()
        assert [one.png() for one in lab.pictures] == seen


def test_high_memory_has_no_virtual_address(checks):
    lab = PageLab("X86", 0x40000, "HighMem", picture="everything")
    assert shown(lab).virtual is None
    assert "High memory" in lab.picture.alt
    lab.anonymous()
    checks.refuses(lab, "anon_vma", do=lab.file)
    checks.consistent(lab)


def test_acting_in_the_past(lab):
    lab.anonymous(), lab.toggle("dirty")
    lab.undo(), lab.undo()
    lab.file()
    assert shown(lab).kind is MappingKind.FILE
    assert not shown(lab).flags
    assert "replaces 2" in lab.message
