"""Every lab, operated in a real page by mouse and keyboard, says and shows what the same lab does in Python."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from mmkit.lab.base import Lab
from mmkit.lab.introduction import IntroductionLab
from tests.browser.lab_page import LabPage
from tests.browser.notebook import Notebook

Show = Callable[[str], LabPage]


@pytest.fixture
def show(run_code: Callable[..., Notebook]) -> Show:
    """A function that shows a lab, given as code, and returns it."""

    def open_lab(code: str) -> LabPage:
        name = code.partition("(")[0]
        return LabPage(run_code(f"from mmkit.lab.introduction import {name}\n{code}"))

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
