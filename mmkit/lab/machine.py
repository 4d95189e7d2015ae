"""The machine lab: a recording until the reader asks for the machine that the notebook runs on."""

from __future__ import annotations

import html

import ipywidgets as widgets

from mmkit.data import recording
from mmkit.lab.bar import button, row
from mmkit.lab.base import Lab, handler
from mmkit.lab.timeline import Entry
from mmkit.proc.reading import Reader, Reading
from mmkit.view.frames import FrameMapPicture
from mmkit.view.freelists import FreeLists
from mmkit.view.picture import Picture


class MachineLab(Lab):
    """Shows a machine's memory, frame by frame and as lists of free blocks; ``read`` asks this machine.

    Each reading is a step of the timeline, so that two moments can be compared.
    """

    def __init__(self, recorded: str = "amd64-4g") -> None:
        machine = recording(recorded)
        self.read_button = button("Read this machine", "Ask the kernel that this runs on", self.read, style="primary")
        self.zone_menu = widgets.Dropdown(description="Zone", layout=widgets.Layout(width="20em"))
        self.offers_box = widgets.HTML()
        reading = Reading(machine.memory, machine.frame_map())
        self._frames: FrameMapPicture | None = None
        self._lists: FreeLists | None = None
        super().__init__((row(self.read_button, self.zone_menu), self.offers_box), ())
        self.begin(Reader(reading), f"the recording {machine.name}")
        self.zone_menu.observe(lambda _: self._draw_lists(), "value")

    def draw(self, entry: Entry[Reading]) -> None:
        """Draw a reading; where frames cannot be seen, the lists of free blocks remain."""
        reading = entry.snapshot
        names = [f"{zone.name}, node {zone.node}" for zone in reading.memory.zones if zone.present]
        kept = self.zone_menu.value
        if self.zone_menu.options != tuple(names):
            self.zone_menu.options = names
        self.zone_menu.value = kept if kept in names else names[-1]
        self.offers_box.value = _offers(reading)
        populated = [zone for zone in reading.memory.zones if zone.spanned]
        self._frames = FrameMapPicture(reading.frames, populated) if reading.frames else None
        self._lists = FreeLists(reading.memory, *self._zone())
        self._set_pictures()

    def _set_pictures(self) -> None:
        found: list[Picture] = [picture for picture in (self._frames, self._lists) if picture is not None]
        self.pictures = tuple(found)

    def _zone(self) -> tuple[str, int]:
        name, node = str(self.zone_menu.value).split(", node ")
        return name, int(node)

    def _draw_lists(self) -> None:
        if self._lists is not None and self.zone_menu.value:
            self._lists.update(self.timeline.current.snapshot.memory, *self._zone())
            self.image.value = self.picture_html()

    def restore(self, snapshot: Reading) -> Reader:
        """Return a reader that remembers ``snapshot``."""
        return Reader(snapshot)

    @handler
    def read(self) -> None:
        """Read the machine that this runs on."""
        self.act("read this machine", lambda reader: reader.read(), told=_told)


def _told(reading: Reading) -> str:
    what = f"kernel {reading.memory.source.kernel}"
    return f"{what}; {reading.why_no_frames}, so frames cannot be drawn" if reading.why_no_frames else what


def _offers(reading: Reading) -> str:
    if not reading.offers:
        return "<p>A recording. Press the button to see what your own machine shows.</p>"
    lines = "".join(f"<li>{html.escape(str(offer))}</li>" for offer in reading.offers)
    return f'<details open><summary>What this kernel shows</summary><ul style="line-height:1.3">{lines}</ul></details>'
