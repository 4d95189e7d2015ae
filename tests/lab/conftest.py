"""What the tests of all labs share."""

from __future__ import annotations

import re
from html import unescape

import ipywidgets as widgets
import pytest

from mmkit.lab.base import Lab

NAMED_BY_DESCRIPTION = (
    widgets.Text, widgets.BoundedIntText, widgets.Dropdown, widgets.Checkbox, widgets.ToggleButton, widgets.Button,
    widgets.Select, widgets.SelectMultiple, widgets.Combobox, widgets.RadioButtons,
)  # fmt: skip


def all_widgets(widget):
    yield widget
    for child in getattr(widget, "children", ()):
        yield from all_widgets(child)


class Checks:
    """What holds for every lab, whatever it shows."""

    @staticmethod
    def frozen(lab: Lab):
        """Everything that a refusal must leave alone."""
        pictures = tuple((picture.alt, picture.png()) for picture in lab.pictures)
        return lab.snapshot_of(lab.model), lab.timeline.index, tuple(lab.timeline.entries), lab.image.value, pictures

    def refuses(self, lab: Lab, *words: str, do) -> None:
        """``do()`` changes nothing, and the status line says why."""
        before = self.frozen(lab)
        do()
        assert self.frozen(lab) == before
        assert lab.message.endswith("Nothing has changed.")
        assert "✘" in lab.status.value
        for word in words:
            assert word.lower() in lab.message.lower()

    @staticmethod
    def consistent(lab: Lab) -> None:
        """Picture, alt text, status line and bar show the same step."""
        bar, timeline = lab.bar, lab.timeline
        assert bar.step_slider.value == bar.step_box.value == timeline.index
        assert bar.step_slider.max == bar.step_box.max == len(timeline) - 1
        assert not bar.clock.playing or (bar.clock.value, bar.clock.max) == (timeline.index, len(timeline) - 1)
        shown = re.findall(r'<img alt="([^"]*)"|<svg role="img" aria-label="([^"]*)"', lab.image.value)
        shown = [png or svg for png, svg in shown]
        assert [unescape(alt) for alt in shown] == [picture.alt for picture in lab.pictures]
        assert unescape(re.sub("<[^>]*>", "", lab.status.value)).removeprefix("✘ ") == lab.message
        assert 'role="status"' in lab.status.value
        assert 'aria-live="polite"' in lab.status.value
        assert lab.picture.alt
        assert repr(lab) == f"{type(lab).__name__}: {lab.message} {lab.alt}"
        assert "\n" not in repr(lab)
        assert not re.search(r"<\S+ object at 0x", repr(lab))

    @staticmethod
    def named(lab: Lab) -> None:
        """Every control has a name that assistive technology reads; sliders have a number box beside them."""
        sliders = 0
        for widget in all_widgets(lab):
            if isinstance(widget, (widgets.IntSlider, widgets.SelectionSlider)):
                sliders += 1
            elif isinstance(widget, NAMED_BY_DESCRIPTION):
                assert widget.description or widget.tooltip, widget
            else:
                kinds = (widgets.Box, widgets.HTML, widgets.Label, widgets.Play)
                assert isinstance(widget, kinds), f"{type(widget).__name__}: does it have a name?"
        boxes = [one for one in all_widgets(lab) if isinstance(one, (widgets.BoundedIntText, widgets.Text))]
        assert len(boxes) >= sliders >= 1


@pytest.fixture(autouse=True)
def unseen(request, monkeypatch):
    """Let the lab that a module names in UNSEEN show no page, except to who checks what is shown together (``checks``).

    Most of the time would go there.
    """
    lab = getattr(request.module, "UNSEEN", None)
    if lab is not None and "checks" not in request.fixturenames:
        monkeypatch.setattr(lab, "live_html", lambda lab: "")


@pytest.fixture
def checks() -> Checks:
    return Checks()
