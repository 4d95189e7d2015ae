"""Readings of a machine: what its kernel says of its memory at one moment, recorded or live."""

from __future__ import annotations

from mmkit.errors import LiveError
from mmkit.model.snapshot import FrameMap, MemorySnapshot
from mmkit.proc import live
from mmkit.record import Record, field


class Reading(Record):
    """The zones with their free blocks and, where the kernel shows it, the use of every page frame."""

    memory: MemorySnapshot
    frames: FrameMap | None = field(repr=False)
    why_no_frames: str = ""
    """Why ``frames`` is None, in words."""
    offers: tuple[live.Offer, ...] = ()
    """The kernel's files and whether they open, for a live reading."""


def read_live() -> Reading:
    """Read the machine that this runs on. Raises LiveError, in words, where there is no Linux to ask."""
    memory, offers = live.memory(), live.offers()
    try:
        return Reading(memory, live.kpageflags(), "", offers)
    except LiveError as why:
        return Reading(memory, None, str(why), offers)


class Reader:
    """Remembers the last reading of a machine."""

    def __init__(self, reading: Reading) -> None:
        self._reading = reading

    def read(self) -> Reading:
        """Read the machine that this runs on. Raises LiveError, and keeps the last reading, where it cannot."""
        self._reading = read_live()
        return self._reading

    def snapshot(self) -> Reading:
        """Return the last reading."""
        return self._reading
