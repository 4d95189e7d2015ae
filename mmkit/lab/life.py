"""The capstone lab: malloc, write, free; and every structure of the machine at every step on the way."""

from __future__ import annotations

import ipywidgets as widgets

from mmkit.lab.bar import button, menu, row, text
from mmkit.lab.base import Lab, handler
from mmkit.lab.lifebench import PLACES, LifeBench, LifeBenchState
from mmkit.lab.timeline import Entry
from mmkit.lab.vmamenus import parse_length
from mmkit.units import parse_address
from mmkit.view.life import LifePicture
from mmkit.view.svg import svg_of

_NONE = ("none yet", 0)


class LifeLab(Lab):
    """One process and its C library: each call is a timeline from the program down to the frame and back."""

    def __init__(self, size: int = 100_000) -> None:
        self.size_box = text("Bytes", str(size), "11em")
        self.malloc_button = button("malloc", "Ask the C library for so many bytes", self.malloc, style="primary")
        self.block_menu = menu("Block", (_NONE,), 0, "20em")
        self.place_menu = menu("Where", PLACES, PLACES[0], "17em")
        self.write_button = button("Write", "Write one byte there", self.write)
        self.read_button = button("Read", "Read one byte there", self.read)
        self.free_button = button("free", "Give the block back to the C library", self.free)
        rows: tuple[widgets.Widget, ...] = (
            row(self.size_box, self.malloc_button, self.block_menu, self.free_button),
            row(self.place_menu, self.write_button, self.read_button),
        )
        super().__init__(rows, ())
        bench = LifeBench()
        bench.listen(self.trace)
        self.begin(bench, "a process with code, data and stack, and no heap yet")

    # -- what is shown ------------------------------------------------------------------------------------------------

    def restore(self, snapshot: LifeBenchState) -> LifeBench:
        """Return a bench in that state: what was done is done again."""
        return LifeBench(snapshot, self.trace)

    def draw(self, entry: Entry[LifeBenchState]) -> None:
        """Update the picture."""
        index = self.timeline.index
        before = self.timeline.entries[index - 1].snapshot.life if index else None
        told = entry.label[:1].upper() + entry.label[1:]
        if self.pictures:
            self.pictures[0].update(entry.snapshot.life, before, told)  # type: ignore[attr-defined]
        else:
            self.pictures = (LifePicture(entry.snapshot.life, before, told),)

    def controls_follow(self, entry: Entry[LifeBenchState]) -> None:
        """Let the menu of blocks have those that there are."""
        blocks = entry.snapshot.life.blocks
        options = tuple((f"0x{block.addr:x}, {block.size:,} bytes", block.addr) for block in blocks) or (_NONE,)
        if tuple(self.block_menu.options) != options:
            chosen = self.block_menu.value
            self.block_menu.options = options
            addresses = [addr for _, addr in options]
            self.block_menu.value = chosen if chosen in addresses else addresses[-1]

    def live_html(self) -> str:
        """Return the picture as SVG: it is text and boxes, and follows the slider."""
        return svg_of(self.pictures[0])

    # -- what can be done ---------------------------------------------------------------------------------------------

    @handler
    def malloc(self, size: int | str | None = None) -> None:
        """Call malloc() with so many bytes: a number, or text such as "0x1000" or "64 KiB"."""
        given = self.size_box.value if size is None else size
        number = parse_length(given) if isinstance(given, str) else given
        self.act_step_by_step(f"call malloc({number})", lambda bench: bench.malloc(number))

    @handler
    def write(self, place: str | None = None, addr: int | str | None = None) -> None:
        """Write one byte of a block: "the first byte", "the next untouched page" or "the last byte"."""
        at, where = self._block(addr), self.place_menu.value if place is None else place
        self.act_step_by_step(f"write {where} of 0x{at:x}", lambda bench: bench.write(at, where))

    @handler
    def read(self, place: str | None = None, addr: int | str | None = None) -> None:
        """Read one byte of a block: "the first byte", "the next untouched page" or "the last byte"."""
        at, where = self._block(addr), self.place_menu.value if place is None else place
        self.act_step_by_step(f"read {where} of 0x{at:x}", lambda bench: bench.read(at, where))

    @handler
    def free(self, addr: int | str | None = None) -> None:
        """Call free()."""
        at = self._block(addr)
        self.act_step_by_step(f"call free(0x{at:x})", lambda bench: bench.free(at))

    def _block(self, given: int | str | None) -> int:
        if given is not None:
            return parse_address(given)
        settled = self.timeline.settled.snapshot.life.blocks
        known = [block.addr for block in settled]
        if not known:
            raise ValueError("there is no block: call malloc first")
        chosen = int(self.block_menu.value)
        return chosen if chosen in known else known[-1]
