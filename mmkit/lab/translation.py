"""The lab that shows what translation costs on a real CPU: as recorded, and as measured on the reader's own."""

from __future__ import annotations

from mmkit.data import recording
from mmkit.lab.source import SourceLab
from mmkit.lab.timeline import Entry
from mmkit.model.tlbstate import TranslationTiming
from mmkit.proc import reach
from mmkit.view.reach import TimingPicture

RECORDED = ("host-6.18",)


class TranslationLab(SourceLab):
    """Matrices row by row and column by column, and cache lines in more and more pages: recorded, or measured here."""

    def __init__(self, start: str = "host-6.18") -> None:
        super().__init__(RECORDED, start)
        self.read_button.description, self.read_button.tooltip = "Measure this machine", "Takes some seconds"

    def read_recording(self, name: str) -> TranslationTiming:
        """Return what was measured then."""
        return recording(name).translation

    def read_live(self) -> TranslationTiming:
        """Measure the CPU that this runs on."""
        return reach.measure()

    def words(self, reading: TranslationTiming) -> str:
        """Say how much longer the slow way takes."""
        matrix, far = reading.matrices[-1], reading.reach[-1]
        return (
            f"{reading.cpu}: the largest matrix takes {matrix.ratio:.1f} times as long column by column as row "
            f"by row; lines in {far.pages:,} pages take {far.ratio:.1f} times as long as as many side by side"
        )

    def draw(self, entry: Entry[TranslationTiming]) -> None:
        """Draw the measurement."""
        self.pictures = (TimingPicture(entry.snapshot),)
