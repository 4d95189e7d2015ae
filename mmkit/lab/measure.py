"""The measuring lab: how fragmented the free memory of a real machine is."""

from __future__ import annotations

from mmkit.data import recording, recordings
from mmkit.lab.source import SourceLab
from mmkit.lab.timeline import Entry
from mmkit.model.fragmentation import measure_all
from mmkit.model.fragstate import Fragmentation
from mmkit.proc import live
from mmkit.view.fragmentation import FragmentationPicture

Reading = tuple[Fragmentation, ...]


class MeasureLab(SourceLab):
    """Free blocks of every zone of a recording or of this machine, with the kernel's two indices, order by order."""

    def __init__(self, start: str = "amd64-4g") -> None:
        super().__init__(recordings(), start)

    def read_recording(self, name: str) -> Reading:
        """Measure every zone of a recording."""
        return measure_all(recording(name).buddyinfo)

    def read_live(self) -> Reading:
        """Measure every zone of this machine."""
        return measure_all(live.buddyinfo())

    def words(self, reading: Reading) -> str:
        """Say what the largest block is, zone by zone."""
        zones = [f"{each.zone} of node {each.node}: {_largest(each)}" for each in reading]
        return f"{reading[0].source}; largest free block: {'; '.join(zones)}"

    def draw(self, entry: Entry[Reading]) -> None:
        """Draw the indices of every zone."""
        self.pictures = (FragmentationPicture(entry.snapshot),)


def _largest(zone: Fragmentation) -> str:
    return "none" if zone.largest_order is None else f"order {zone.largest_order}"
