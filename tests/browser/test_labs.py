"""Every lab, operated in a real page by mouse and keyboard, says and shows what the same lab does in Python."""

from __future__ import annotations

import platform
import sys
from collections.abc import Callable

import pytest

from mmkit.course.introduction import CountPages
from mmkit.lab import BuddyLab, IntroductionLab, MachineLab, PageLab, ProblemLab, ZoneLab
from mmkit.model.migratetype import MigrateType
from tests.browser.lab_page import LabPage, Show, walk_the_timeline
from tests.browser.notebook import Notebook


def test_introduction_lab(show: Show) -> None:
    page, twin = show("IntroductionLab()"), IntroductionLab()
    page.assert_shows(twin)

    page.type("Address", "0x7fffffffe0f8")
    twin.follow("0x7fffffffe0f8")
    page.assert_shows(twin)

    page.press("Next page")
    twin.next_page()
    page.assert_shows(twin)

    page.choose("Place", "first byte of the gap 0x800000000000")
    twin.follow("0x800000000000")
    page.assert_shows(twin)

    page.type("Address", "0x12345nonsense")
    twin.follow("0x12345nonsense")
    page.assert_shows(twin)
    assert "Nothing has changed" in page.said

    walk_the_timeline(page, twin)


def test_buddy_lab(show: Show) -> None:
    """The notes' example by slider, box and buttons; then everything that cannot be done."""
    page, twin = show("BuddyLab(start='notes')"), BuddyLab(start="notes")
    page.assert_shows(twin)

    page.type("Order", "8")
    page.press("Allocate")
    twin.alloc(order=8)
    page.assert_shows(twin)

    page.key(page.slider("Order"), "ArrowLeft", "ArrowLeft")
    page.choose("Type", "Unmovable")
    page.press("Allocate")
    twin.alloc(order=6, migratetype=MigrateType.UNMOVABLE)
    page.assert_shows(twin)

    page.choose("Block", "0x0, order 8, Movable")
    page.press("Free")
    twin.free(0, 8)
    page.assert_shows(twin)

    for order in (10, 10):
        page.type("Order", str(order))
        page.press("Allocate")
        twin.alloc(order=order, migratetype=MigrateType.UNMOVABLE)
        page.assert_shows(twin)
    assert "Nothing has changed" in page.said

    for pfn, order in (("0x3", 0), ("0x5000", 1), ("nonsense", 2)):
        page.type("or pfn", pfn)
        page.type("of order", str(order))
        page.press("Free pfn")
        twin.pfn_box.value, twin.free_order_box.value = pfn, order
        twin.free_typed()
        page.assert_shows(twin)

    walk_the_timeline(page, twin)


def test_buddy_lab_plays(show: Show) -> None:
    """Playing an operation again goes through its steps, one by one, and stops at the end or when told to."""
    page, twin = show("BuddyLab(start='notes')"), BuddyLab(start="notes")
    page.type("Order", "5")
    page.press("Allocate")
    twin.alloc(order=5)
    steps = [entry.label for entry in twin.timeline.entries]
    page.node.get_by_role("button", name="Play").click()
    page.notebook.page.wait_for_timeout(2000)
    page.press("Play")
    at = int(page.box("Step").input_value())
    assert 0 < at < len(steps) - 1
    page.notebook.page.wait_for_timeout(1500)
    twin.go(at)
    page.assert_shows(twin)


@pytest.mark.parametrize("picture", ["one request as a ladder", "free lists as bars"])
def test_buddy_lab_loads_a_real_kernel(show: Show, picture: str) -> None:
    page, twin = show("BuddyLab()"), BuddyLab()
    page.choose("Start", "recording trace-buddy-6.1")
    twin.begin_at("trace-buddy-6.1")
    page.assert_shows(twin)
    page.choose("Picture", picture)
    twin.picture_menu.label = picture
    page.type("Order", "3")
    page.press("Allocate", "Back")
    twin.alloc(order=3)
    twin.back()
    page.assert_shows(twin)


def test_page_lab(show: Show) -> None:
    page, twin = show("PageLab()"), PageLab()
    page.assert_shows(twin)
    for name, do in (
        ("Hand out", twin.alloc), ("get", twin.get), ("map", twin.map), ("put", twin.put), ("unmap", twin.unmap),
        ("put", twin.put), ("put", twin.put), ("anonymous", twin.anonymous), ("free", twin.free),
        ("file-backed", twin.file),
    ):  # fmt: skip
        page.press(name)
        do()
        page.assert_shows(twin)

    page.press("dirty")
    twin.toggle("dirty")
    page.assert_shows(twin)
    page.choose("Count", "_count: -1 when free (the textbook's)")
    twin.count_menu.value = True
    page.assert_shows(twin)

    walk_the_timeline(page, twin)


def test_zone_lab(show: Show) -> None:
    """Machines of several kinds, requests that are served, fall back and fail, and what makes no sense."""
    page, twin = show("ZoneLab()"), ZoneLab()
    page.assert_shows(twin)

    page.type("RAM", "6 GiB")
    twin.build(ram="6 GiB")
    page.assert_shows(twin)
    page.type("RAM", "4 GiBB")
    twin.build(ram="4 GiBB")
    page.assert_shows(twin)
    assert "Nothing has changed" in page.said

    page.type("Nodes", "2")
    twin.build(nodes=2)
    page.assert_shows(twin)
    page.choose("Machine", twin.arch_menu.options[1][0])
    twin.build(arch=twin.arch_menu.options[1][1])
    page.assert_shows(twin)

    for picture in ("their watermarks", "the way of the request"):
        page.choose("Picture", picture)
        twin.picture_menu.label = picture
        page.key(page.slider("Order"), "ArrowRight")
        twin.order_number.value += 1
        page.choose("gfp", "GFP_HIGHUSER_MOVABLE")
        twin.gfp_menu.value = "GFP_HIGHUSER_MOVABLE"
        for name, do in (("Look", twin.look), ("Allocate", twin.alloc), ("Until another zone", twin.alloc_until)):
            page.press(name)
            do()
            page.assert_shows(twin)

    page.press("DMA", "HIGHMEM", "Allocate")
    for name in ("DMA", "HIGHMEM"):
        twin.flag_toggles[name].value = True
    twin.alloc()
    page.assert_shows(twin)
    assert "Nothing has changed" in page.said

    for name, do in (("Free all", twin.free_all), ("Drain", twin.drain)):
        page.press(name)
        do()
        page.assert_shows(twin)

    walk_the_timeline(page, twin)


def test_machine_lab(show: Show) -> None:
    """A recording, until asked for this machine, whose state nobody can foretell; undo brings the recording back."""
    page, twin = show("MachineLab()"), MachineLab()
    page.assert_shows(twin)
    page.choose("Zone", twin.zone_menu.options[0])
    twin.zone_menu.value = twin.zone_menu.options[0]
    page.assert_shows(twin)

    page.press("Read this machine")
    assert page.notebook.problems() == []
    if sys.platform == "linux":
        assert platform.release() in page.said
        assert all(platform.release() in alt and "live" in alt for alt in page.alts)
        page.press("Undo")
        assert page.alts[0] == twin.pictures[0].alt
    else:
        assert "Nothing has changed" in page.said


def test_problem_lab(run_code: Callable[..., Notebook]) -> None:
    """A wrong answer, none, a hint, the solution, the right answer, another question: the words are the problem's."""
    imports = "from mmkit.course.introduction import CountPages\nfrom mmkit.lab import ProblemLab\n"
    page = LabPage(run_code(f"{imports}ProblemLab(CountPages(seed=1))"), ".jp-OutputArea-output")
    twin = ProblemLab(CountPages(seed=1))

    def assert_says_the_same() -> None:
        assert page.notebook.problems() == []
        for box in (twin.question_box, twin.verdict_box):
            words = page.notebook.page.evaluate("html => mmkitTest.text(html)", box.value)
            assert words in page.node.text_content()

    assert_says_the_same()
    right = str(twin.problem.answer(twin.problem._state))
    for answer in ("1", "nonsense", "", right):
        page.type("Answer", answer)
        twin.check(answer)
        assert_says_the_same()
    assert "Right." in page.said
    for name, do in (
        ("Hint", twin.hint),
        ("Solution", twin.solution),
        ("Another", twin.another),
        ("Check", twin.check),
    ):
        page.press(name)
        do()
        assert_says_the_same()
    assert "Not attempted." in page.said
