"""The slabinfo lab: which caches of a real machine hold its memory."""

from __future__ import annotations

from typing import Any

import ipywidgets as widgets

from mmkit.data import recording, recordings
from mmkit.lab.source import SourceLab
from mmkit.lab.timeline import Entry
from mmkit.model.slabstate import SlabInfo
from mmkit.proc import live
from mmkit.view.parts import plural
from mmkit.view.slabinfo import SlabRanking

ORDERS = {"by memory": "memory", "by waste": "waste"}


class SlabInfoLab(SourceLab):
    """Slab caches of a recording or of this machine, ranked."""

    def __init__(self, start: str = "host-6.18") -> None:
        look: dict[str, Any] = {"style": {"description_width": "initial"}}
        self.order_menu = widgets.Dropdown(
            description="Ranked", options=ORDERS, layout=widgets.Layout(width="12em"), **look
        )
        super().__init__([name for name in recordings() if "slabinfo" in recording(name).files], start, self.order_menu)
        self.order_menu.observe(lambda _: self.redraw(), "value")

    def read_recording(self, name: str) -> SlabInfo:
        """Return the caches of a recording."""
        return recording(name).slabinfo

    def read_live(self) -> SlabInfo:
        """Return the caches of this machine."""
        return live.slabinfo()

    def words(self, reading: SlabInfo) -> str:
        """Say how many caches there are and how much memory they hold."""
        pages = sum(line.pages for line in reading.lines)
        return f"{reading.source}; {plural(len(reading.lines), 'cache')} together hold {plural(pages, 'page')}"

    def draw(self, entry: Entry[SlabInfo]) -> None:
        """Draw the ranking."""
        self.pictures = (SlabRanking(entry.snapshot, by=self.order_menu.value),)
