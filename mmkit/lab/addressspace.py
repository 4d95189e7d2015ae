"""The lab that shows whole address spaces: of recorded processes, and of the notebook's own."""

from __future__ import annotations

from typing import Any

import ipywidgets as widgets

from mmkit.data import recording
from mmkit.lab.bar import button
from mmkit.lab.base import handler
from mmkit.lab.source import SourceLab
from mmkit.lab.timeline import Entry
from mmkit.model.vmastate import MmState
from mmkit.proc import addrspace
from mmkit.units import format_size, parse_address
from mmkit.view.parts import plural
from mmkit.view.vma import AddressSpacePicture

PROCESSES = {
    "python on 6.18": ("host-6.18", "python"),
    "a static program on 6.1": ("amd64-4g", "init"),
    "every kind of mapping": ("amd64-4g", "vmas"),
    "a static program, 32-bit x86": ("i386-686-2g", "init"),
    "every kind, 32-bit x86": ("i386-686-2g", "vmas"),
    "a static program on arm64": ("arm64-4g", "init"),
}
"""What can be chosen: recording and process."""


class AddressSpaceLab(SourceLab):
    """Choose a recorded process, or read the one that this notebook runs in; point at an address in it."""

    def __init__(self, process: str = "python on 6.18") -> None:
        self.addr: int | None = None
        self.address_box = widgets.Text(
            description="Address", placeholder="0x7f0000000000", layout=widgets.Layout(width="20em")
        )
        self.find_button = button("Find", "Show which area holds the address", self.find)
        super().__init__(tuple(PROCESSES), process, self.address_box, self.find_button)

    def read_recording(self, name: str) -> MmState:
        """Return the address space of a recorded process."""
        folder, process = PROCESSES[name]
        return recording(folder).process(process)

    def read_live(self) -> MmState:
        """Return the address space of this process. Raises LiveError, in words, where there is no Linux."""
        return addrspace.live()

    def words(self, reading: Any) -> str:
        """Return in a few words how large it is."""
        pages = reading.counters
        resident = pages.anon_rss + pages.file_rss + pages.shmem_rss
        return (
            f"{reading.name}: {plural(pages.map_count, 'area')}, {format_size(pages.total_vm << 12)} mapped, "
            f"{format_size(resident << 12)} of it in memory"
        )

    def draw(self, entry: Entry[Any]) -> None:
        """Update the picture."""
        if not self.pictures:
            self.pictures = (AddressSpacePicture(entry.snapshot, addr=self.addr),)
        else:
            self.pictures[0].update(entry.snapshot, addr=self.addr)  # type: ignore[attr-defined]

    @handler
    def find(self, address: int | str | None = None) -> None:
        """Point at the area that holds an address; an empty box points at nothing."""
        text = self.address_box.value if address is None else address
        self.addr = parse_address(text) if text or text == 0 else None
        self.redraw()
        if self.addr is None:
            self.say("No address is pointed at.")
            return
        mm = self.timeline.current.snapshot
        vma = mm.find_vma(self.addr)
        if vma is None:
            self.say(f"0x{self.addr:x}: no area ends above it.")
        elif self.addr in vma:
            self.say(
                f"0x{self.addr:x} lies in {vma.name or 'an anonymous area'}, {vma.perms}, from 0x{vma.start:x} on."
            )
        else:
            self.say(f"0x{self.addr:x} lies in a gap; the next area above begins at 0x{vma.start:x}.")
