"""The timeline bar: first, back, play, forward, last, a slider with a number box, undo and redo."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import ipywidgets as widgets

PLAY_INTERVAL_MS = 700


def button(text: str, tooltip: str, do: Callable[[], object], *, icon: str = "", style: str = "") -> widgets.Button:
    """Return a button as wide as its text. An icon alone would leave assistive technology without a name to read."""
    made = widgets.Button(
        description=text, tooltip=tooltip, icon=icon, button_style=style, layout=widgets.Layout(width="auto")
    )
    made.on_click(lambda _: do())
    return made


def row(*parts: widgets.Widget) -> widgets.HBox:
    """Return the parts side by side, in as many lines as they need."""
    look = widgets.Layout(flex_flow="row wrap", align_items="center", grid_gap="2px 6px", overflow="visible")
    return widgets.HBox(parts, layout=look)


def menu(name: str, options: Any, value: Any, width: str) -> widgets.Dropdown:
    """Return a menu whose name stands before it, as wide as ``width`` together with it."""
    return widgets.Dropdown(
        description=name, options=options, value=value, layout=widgets.Layout(width=width),
        style={"description_width": "initial"},
    )  # fmt: skip


def text(name: str, value: str, width: str, placeholder: str = "") -> widgets.Text:
    """Return a box for a line of text whose name stands before it."""
    return widgets.Text(
        value, description=name, placeholder=placeholder, layout=widgets.Layout(width=width),
        style={"description_width": "initial"},
    )  # fmt: skip


class Number(widgets.HBox):
    """A whole number: a box that bears the name and, beside it, a slider, for which Chromium knows no name."""

    def __init__(self, name: str, low: int, high: int, value: int, tooltip: str = "", linked: bool = True) -> None:
        self.box = widgets.BoundedIntText(
            value, min=low, max=high, description=name, tooltip=tooltip, style={"description_width": "initial"},
            layout=widgets.Layout(width=f"{max(8, 5 + 0.6 * len(name)):.1f}em"),
        )  # fmt: skip
        self.slider = widgets.IntSlider(
            value, min=low, max=high, readout=False, layout=widgets.Layout(width="11em", margin="0 8px")
        )
        if linked:  # Else whoever observes both lets them follow.
            widgets.link((self.slider, "value"), (self.box, "value"))
        super().__init__((self.box, self.slider), layout=widgets.Layout(align_items="center", overflow="visible"))

    @property
    def value(self) -> int:
        """The number."""
        return int(self.box.value)

    @value.setter
    def value(self, number: int) -> None:
        self.box.value = self.slider.value = number


class Bar(widgets.HBox):
    """The controls that move along a timeline; ``lab`` has a method for each of them.

    Nothing is greyed out at the ends: a button that is disabled under the keyboard loses the focus.
    """

    def __init__(self, lab: Any) -> None:
        self.first_button = button("First", "First step", lab.first, icon="fast-backward")
        self.back_button = button("Back", "One step back", lab.back, icon="step-backward")
        self.play_toggle = widgets.ToggleButton(
            description="Play", tooltip="Play or pause", icon="play", layout=widgets.Layout(width="auto")
        )
        self.forward_button = button("Forward", "One step forward", lab.forward, icon="step-forward")
        self.last_button = button("Last", "Last step", lab.last, icon="fast-forward")
        self.step_slider = widgets.IntSlider(
            max=0, readout=False, layout=widgets.Layout(flex="1 1 12em", width="auto", margin="0 8px")
        )
        self.step_box = widgets.BoundedIntText(
            max=0, description="Step", style={"description_width": "initial"}, layout=widgets.Layout(width="7.5em")
        )
        self.undo_button = button("Undo", "Undo the last operation", lab.undo, icon="undo")
        self.redo_button = button("Redo", "Redo the next operation", lab.redo, icon="repeat")
        # The clock that plays: the stock Play widget, hidden since its own buttons have no accessible names.
        self.clock = widgets.Play(interval=PLAY_INTERVAL_MS, max=0, layout=widgets.Layout(display="none"))
        super().__init__(
            (
                self.first_button, self.back_button, self.play_toggle, self.forward_button, self.last_button,
                self.step_slider, self.step_box, self.undo_button, self.redo_button, self.clock,
            ),
            layout=widgets.Layout(align_items="center", width="100%", overflow="visible"),
        )  # fmt: skip
        self._connect(lab)

    def _connect(self, lab: Any) -> None:
        self.step_slider.observe(lambda change: lab.go(change.new), "value")
        self.step_box.observe(lambda change: lab.go(change.new), "value")
        self.clock.observe(self._ticked(lab), "value")
        self.clock.observe(self._stopped, "playing")
        self.play_toggle.observe(lambda change: lab.play() if change.new else lab.pause(), "value")

    def _ticked(self, lab: Any) -> Callable[[Any], None]:
        # A tick that was on its way when playing stopped must not move anything.
        return lambda change: lab.go(change.new) if self.clock.playing else None

    def _stopped(self, change: Any) -> None:
        if not change.new:
            self.play_toggle.value = False

    def follow(self, index: int, last: int) -> None:
        """Show step ``index`` of ``last`` in slider, box and running clock: nothing is sent if nothing changed.

        Ends and value go as messages of their own, in an order in which the value is always in range: of one message
        with both, a slider may take the value first, cut it to the old end, and send that back.
        """
        controls = (self.step_slider, self.step_box, self.clock)
        for control in controls if self.clock.playing else controls[:2]:
            _set(control, index, last)

    def run(self, playing: bool) -> None:
        """Start the clock at the step shown, or stop it."""
        if playing:
            _set(self.clock, self.step_box.value, self.step_box.max)
        self.play_toggle.value = self.clock.playing = playing


def _set(control: Any, value: int, end: int) -> None:
    for name in ("max", "value") if end >= control.max else ("value", "max"):
        setattr(control, name, end if name == "max" else value)
