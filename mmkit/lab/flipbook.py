"""Flipbook: the steps of a timeline as ready pictures, which turn without a kernel, in an exported page too."""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import Any

import ipywidgets as widgets

from mmkit.lab.bar import PLAY_INTERVAL_MS, row


class Flipbook(widgets.VBox):
    """Shows one of ``frames``, each a picture as HTML and its caption; slider, number box and Play work in the browser.

    Stock widgets linked in the browser: nothing here calls Python. Raises ValueError if there are no frames.
    """

    def __init__(self, frames: Sequence[tuple[str, str]], title: str) -> None:
        if not frames:
            raise ValueError("a flipbook needs at least one frame")
        self.title, self.frames, last = title, tuple(frames), len(frames) - 1
        self.stack = widgets.Stack([widgets.HTML(_page(*frame)) for frame in frames], selected_index=0)
        self.play_toggle = widgets.ToggleButton(description="Play", icon="play", layout=widgets.Layout(width="auto"))
        self.step_slider = widgets.IntSlider(max=last, readout=False, layout=widgets.Layout(flex="1 1 12em"))
        self.step_box = widgets.BoundedIntText(
            max=last, description="Step", style={"description_width": "initial"}, layout=widgets.Layout(width="7.5em")
        )
        self.clock = widgets.Play(max=last, interval=PLAY_INTERVAL_MS, layout=widgets.Layout(display="none"))
        controls = row(self.play_toggle, self.step_slider, self.step_box, widgets.Label(f"of {last}"), self.clock)
        self.links = [
            widgets.jslink((self.step_slider, "value"), other)
            for other in ((self.stack, "selected_index"), (self.step_box, "value"), (self.clock, "value"))
        ]
        self.links.append(widgets.jslink((self.play_toggle, "value"), (self.clock, "playing")))
        super().__init__((self.stack, controls), layout=widgets.Layout(max_width="920px"))
        self.add_class("mmkit-flipbook")

    def _repr_mimebundle_(self, **kwargs: Any) -> dict[str, Any]:
        bundle: dict[str, Any] = super()._repr_mimebundle_(**kwargs) or {}
        picture, caption = self.frames[-1]
        return bundle | {"text/plain": repr(self), "text/html": _page(picture, caption)}

    def __repr__(self) -> str:
        steps = " ".join(f"[{number}] {caption}" for number, (_, caption) in enumerate(self.frames))
        return f"Flipbook of {self.title}: {steps}"


def _page(picture: str, caption: str) -> str:
    return f'<div>{picture}<p role="status" style="min-height:2.6em;line-height:1.3">{html.escape(caption)}</p></div>'
