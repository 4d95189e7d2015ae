"""A lab in a real page: operated as a reader does, compared with the same lab operated in Python."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from xml.etree import ElementTree

from playwright.sync_api import Locator

from mmkit.lab.base import Lab
from tests.browser.notebook import Notebook

_DRAWN = """each => each.map(svg => [...svg.querySelectorAll('*')].map(
    part => ['x', 'y', 'fill', 'd', 'width'].map(name => part.getAttribute(name)).concat([part.textContent])))"""


def drawings(twin: Lab) -> list[list[list[str | None]]]:
    """What a lab draws as SVG, part by part: place, colour, path, text. Empty if it shows PNG files."""
    found = re.findall(r"<svg .*?</svg>", twin.live_html(), re.S)
    names = ("x", "y", "fill", "d", "width")
    return [
        [[part.get(name) for name in names] + [part.text or ""] for part in ElementTree.fromstring(svg).iter()][1:]
        for svg in found
    ]


class LabPage:
    """The lab that the last cell of ``notebook`` shows, found by what a reader sees or hears: names and roles."""

    def __init__(self, notebook: Notebook, selector: str = ".mmkit-lab") -> None:
        self.notebook = notebook
        self.node = notebook.page.locator(f".jp-Notebook:visible {selector}").last

    def press(self, *names: str) -> None:
        """Click buttons, one after the other, by what they are called."""
        for name in names:
            self.button(name).click()
            self.notebook.settle()

    def type(self, name: str, text: str) -> None:
        """Type into a box, in place of what is there, and press Enter."""
        box = self.box(name)
        box.fill(text)
        box.press("Enter")
        self.notebook.settle()

    def choose(self, name: str, option: str) -> None:
        """Choose from a menu."""
        self.node.get_by_label(name, exact=True).select_option(label=option)
        self.notebook.settle()

    def key(self, locator: Locator, *keys: str) -> None:
        """Press keys on a control, without the mouse."""
        for key in keys:
            locator.press(key)
            self.notebook.settle()

    def button(self, name: str) -> Locator:
        """The button of that name; an icon before the text counts as a character of it."""
        return self.node.get_by_role("button", name=re.compile(rf"^\W*{re.escape(name)}$"))

    def box(self, name: str) -> Locator:
        """The box for a number or a text of that name."""
        return self.node.get_by_label(name, exact=True).and_(self.node.locator("input[type=text], input[type=number]"))

    def slider(self, name: str = "Step") -> Locator:
        """The handle of the slider that stands beside the box of that name."""
        row = self.box(name).locator("xpath=ancestor::*[contains(@class, 'widget-hbox')][1]")
        return row.locator(".noUi-handle").first

    @property
    def alts(self) -> list[str]:
        """What the pictures say to those who do not see them."""
        script = "each => each.map(image => image.alt || image.getAttribute('aria-label'))"
        return self.node.locator("img, svg[role=img]").evaluate_all(script)  # type: ignore[no-any-return]

    @property
    def said(self) -> str:
        """The status line."""
        return self.node.get_by_role("status").inner_text()

    def assert_shows(self, twin: Lab) -> None:
        """The page shows what ``twin`` shows: status line, words and pixels of every picture, step, and no problem."""
        assert self.notebook.problems() == []
        assert self.said.removeprefix("✘ ") == twin.message
        assert self.alts == [picture.alt for picture in twin.pictures]
        if drawn := drawings(twin):
            assert self.node.locator("svg[role=img]").evaluate_all(_DRAWN) == drawn
            assert int(self.box("Step").input_value()) == twin.timeline.index
            return
        pixels = [f"data:image/png;base64,{base64.b64encode(picture.png()).decode()}" for picture in twin.pictures]
        assert self.node.locator("img").evaluate_all("each => each.map(image => image.src)") == pixels
        assert int(self.box("Step").input_value()) == twin.timeline.index


Show = Callable[[str], LabPage]
"""Shows a lab, given as code, and returns it."""


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
