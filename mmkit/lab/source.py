"""What labs have in common that show recordings until the reader asks for the machine that the notebook runs on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import ipywidgets as widgets

from mmkit.lab.bar import button, row
from mmkit.lab.base import Lab, handler


class Shown:
    """Holds what is shown: one reading after another."""

    def __init__(self, reading: Any) -> None:
        self.reading = reading

    def snapshot(self) -> Any:
        """Return the reading."""
        return self.reading

    def show(self, reading: Any) -> Any:
        """Put another reading in its place and return it."""
        self.reading = reading
        return reading


class SourceLab(Lab):
    """Shows what a recording, or this machine, says; each choice is a step of the timeline.

    A subclass says how to ``read_recording`` and how to ``read_live``, what a reading is in ``words``, and draws it.
    """

    def __init__(self, names: Sequence[str], start: str, *controls: widgets.Widget) -> None:
        if start not in names:
            raise ValueError(f"there is no recording {start!r} for this: choose one of {', '.join(names)}")
        self.source_menu = widgets.Dropdown(
            description="Recording", options=names, value=start, layout=widgets.Layout(width="20em"),
            style={"description_width": "initial"},
        )  # fmt: skip
        self.read_button = button("Read this machine", "Ask the kernel that this runs on", self.read, style="primary")
        super().__init__((row(self.source_menu, self.read_button, *controls),), ())
        self._following = False
        self._readings = {start: self.read_recording(start)}
        self.begin(Shown(self._readings[start]), f"the recording {start}")
        self.source_menu.observe(self._chosen, "value")

    def read_recording(self, name: str) -> Any:
        """Return what the recording of that name says."""
        raise NotImplementedError

    def read_live(self) -> Any:
        """Return what this machine says. Raises LiveError, in words, where it cannot be read."""
        raise NotImplementedError

    def words(self, reading: Any) -> str:
        """Return in a few words what a reading says."""
        raise NotImplementedError

    def restore(self, snapshot: Any) -> Shown:
        """Return a holder of ``snapshot``."""
        return Shown(snapshot)

    def show(self, more: str = "") -> None:
        """Show the step; the menu follows, so that every recording but the one shown can be chosen."""
        super().show(more)
        self._follow()

    def _follow(self) -> None:
        reading = self.timeline.current.snapshot
        self._following = True
        self.source_menu.value = next((name for name, known in self._readings.items() if known == reading), None)
        self._following = False

    def _chosen(self, change: Any) -> None:
        if not self._following:
            self.choose(change.new)
            self._follow()

    @handler
    def choose(self, name: str) -> None:
        """Show the recording of that name."""
        if name not in self.source_menu.options:
            raise ValueError(f"there is no recording {name!r} for this: choose one of {self.source_menu.options}")
        self._readings[name] = self.read_recording(name)
        self.act(f"show the recording {name}", lambda shown: shown.show(self._readings[name]), told=self.words)

    @handler
    def read(self) -> None:
        """Read the machine that this runs on."""
        self.act("read this machine", lambda shown: shown.show(self.read_live()), told=self.words)
