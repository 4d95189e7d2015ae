"""Every lab, operated in a real page by mouse and keyboard, says and shows what the same lab does in Python."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from mmkit.lab import BuddyLab, IntroductionLab
#from mmkit.lab.page import PageLab
from mmkit.lab.base import Lab
from mmkit.model.migratetype import MigrateType
from tests.browser.lab_page import LabPage
from tests.browser.notebook import Notebook

Show = Callable[[str], LabPage]


@pytest.fixture
def show(run_code: Callable[..., Notebook]) -> Show:
    """A function that shows a lab, given as code, and returns it."""

    def open_lab(code: str) -> LabPage:
        name = code.partition("(")[0]
        return LabPage(run_code(f"from mmkit.lab import {name}\n{code}"))

    return open_lab


def walk_the_timeline(page: LabPage, twin: Lab) -> None:
    """Move along the timeline by every control of its bar, by mouse and by keyboard."""
    moves = {
        "First": twin.first, "Forward": twin.forward, "Last": twin.last, "Back": twin.back, "Undo": twin.undo,
        "Redo": twin.redo,
    }  # fmt: skip
    for name in ("Undo", "Redo", "First", "Back", "Forward", "Last", "Forward", "Back", "Redo"):
        page.press(name)
        moves[name]()
        page.assert_shows(twin)
    for name, key in (("Undo", "Enter"), ("Redo", "Space"), ("Back", "Space"), ("Forward", "Enter")):
        page.key(page.button(name), key)
        moves[name]()
        page.assert_shows(twin)
    for key, go in (("ArrowLeft", -1), ("ArrowLeft", -1), ("ArrowRight", +1)):
        page.key(page.slider(), key)
        twin.go(twin.timeline.index + go)
        page.assert_shows(twin)
    page.key(page.slider(), "Home")
    twin.go(0)
    page.assert_shows(twin)
    page.type("Step", "1")
    twin.go(1)
    page.assert_shows(twin)


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
    page.choose("Count", "_count, -1 when free (the textbook's)")
    twin.count_menu.value = True
    page.assert_shows(twin)

    walk_the_timeline(page, twin)
