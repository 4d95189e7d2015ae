"""The page table lab: two processes, one CR3; map, unmap, protect, switch, and let the MMU walk."""

from __future__ import annotations

from typing import Any

import ipywidgets as widgets

from mmkit.arch import PRESETS, get_arch
from mmkit.lab.bar import button, menu, row, text
from mmkit.lab.base import Lab, handler
from mmkit.lab.tablebench import ACCESSES, NAMES, RIGHTS, SIZES, TableBench, TablesState
from mmkit.lab.timeline import Entry
from mmkit.lab.vmamenus import choice
from mmkit.model.pgstate import SpacesState
from mmkit.units import format_size, parse_address
from mmkit.view.pagetree import TreesPicture

ARCHES = ("TOY", "X86", "X86_PAE", "X86_64", "X86_64_LA57")


class PageTableLab(Lab):
    """Page tables of two processes on one machine; ``arch`` is "TOY", which is drawn whole, or a real one.

    Addresses are numbers or text ("0x3000"). What a method is not told it takes from its control.
    """

    def __init__(self, arch: str = "TOY") -> None:
        choice(dict.fromkeys(ARCHES), arch, "architecture")
        self._following = False
        bench = TableBench(arch)
        self._make_controls(arch)
        super().__init__(self._rows(), ())
        self._tell(bench)
        self.begin(bench, f"two processes on {get_arch(arch).title}")
        self.arch_menu.observe(self._told(lambda name: self.build(name)), "value")
        self.process_menu.observe(self._told(lambda number: self.switch(number)), "value")

    def _make_controls(self, arch: str) -> None:
        self.arch_menu = menu("Machine", tuple((PRESETS[name].title, name) for name in ARCHES), arch, "30em")
        self.process_menu = menu("Running", tuple((name, i) for i, name in enumerate(NAMES)), 0, "14em")
        self.address_box = text("Address", "0x6000", "17em")
        self.frame_box = text("Frame", "", "11em", "a new one")
        self.rights_menu = menu("Rights", tuple(RIGHTS), "rw-", "14em")
        self.size_menu = menu("Page of", ("4 KiB",), "4 KiB", "10em")
        self.map_button = button("Map", "Let the address lead to the frame", self.map, style="primary")
        self.unmap_button = button("Unmap", "Take the page at the address away", self.unmap)
        self.protect_button = button("Protect", "Give the page at the address these rights", self.protect)
        self.access_menu = menu("Access", tuple(ACCESSES), "write", "11em")
        self.user_box = widgets.Checkbox(
            True, description="by user code", indent=False, layout=widgets.Layout(width="9em")
        )
        self.access_button = button("Try", "Let the processor make this access", self.access)

    def _rows(self) -> tuple[widgets.Widget, ...]:
        return (
            row(self.arch_menu, self.process_menu),
            row(self.address_box, self.frame_box, self.rights_menu, self.size_menu),
            row(self.map_button, self.unmap_button, self.protect_button, self.access_menu, self.user_box,
                self.access_button),
        )  # fmt: skip

    def _told(self, do: Any) -> Any:
        return lambda change: None if self._following else do(change.new)

    def _tell(self, bench: TableBench) -> None:
        """Let a bench tell this lab's trace what it does."""
        for each in (*bench.tables, bench.mmu):
            each.trace = self.trace

    # -- what is shown ------------------------------------------------------------------------------------------------

    def restore(self, snapshot: TablesState) -> TableBench:
        """Return a bench in that state: what was done is done again."""
        return TableBench(snapshot.spaces.arch, snapshot, self.trace)

    def draw(self, entry: Entry[TablesState]) -> None:
        """Update the picture; the controls follow."""
        before = None
        if entry.operation:
            before = self.timeline.entries[self.timeline.ends[entry.operation - 1]].snapshot.spaces
            before = before if before.arch == entry.snapshot.spaces.arch else None
        if self.pictures:
            self.pictures[0].update(entry.snapshot.spaces, before)  # type: ignore[attr-defined]
        else:
            self.pictures = (TreesPicture(entry.snapshot.spaces, before),)
        self._follow(entry.snapshot.spaces)

    def _follow(self, state: SpacesState) -> None:
        self._following = True
        self.arch_menu.value, self.process_menu.value = state.arch, state.loaded
        sizes = tuple(sizes_of(state.arch))
        if tuple(self.size_menu.options) != sizes:
            self.size_menu.options, self.size_menu.value = sizes, sizes[0]
        self._following = False

    # -- what can be done ---------------------------------------------------------------------------------------------

    def _address(self, given: int | str | None) -> int:
        return parse_address(self.address_box.value if given is None else given)

    @handler
    def build(self, arch: str) -> None:
        """Begin anew on another machine."""
        choice(dict.fromkeys(ARCHES), arch, "architecture")
        bench = TableBench(arch)
        self._tell(bench)
        first = {"TOY": 0x6000}.get(arch, 0x0804_A000 if get_arch(arch).word_bytes == 4 else 0x40_2000)
        self.address_box.value = f"0x{first:x}"
        self.begin(bench, f"two processes on {get_arch(arch).title}")

    @handler
    def map(
        self, addr: int | str | None = None, pfn: int | str | None = None, rights: str | None = None,
        size: str | None = None,
    ) -> None:  # fmt: skip
        """Map a frame, an empty box is a new one, at an address of the running process."""
        at, what = self._address(addr), self.rights_menu.value if rights is None else rights
        typed = self.frame_box.value.strip() if pfn is None else pfn
        frame = None if typed == "" else parse_address(typed)
        sizes, of = sizes_of(self.timeline.current.snapshot.spaces.arch), self.size_menu.value if size is None else size
        choice(RIGHTS, what, "set of rights")
        choice(sizes, of, "page size here")
        self.act(f"map 0x{at:x}", lambda bench: bench.map(at, frame, what, sizes[of]), told=str)

    @handler
    def unmap(self, addr: int | str | None = None) -> None:
        """Take a page away."""
        at = self._address(addr)
        self.act(f"unmap 0x{at:x}", lambda bench: bench.unmap(at), told=str)

    @handler
    def protect(self, addr: int | str | None = None, rights: str | None = None) -> None:
        """Give a page other rights, such as "r--"."""
        at, what = self._address(addr), self.rights_menu.value if rights is None else rights
        choice(RIGHTS, what, "set of rights")
        self.act(f"protect 0x{at:x}", lambda bench: bench.protect(at, what), told=str)

    @handler
    def switch(self, number: int | None = None) -> None:
        """Let the other process run, or the one of that number."""
        running = self.timeline.current.snapshot.spaces.loaded
        which = 1 - running if number is None else number
        if type(which) is not int or which not in range(len(NAMES)):
            raise ValueError(f"there are processes 0 and 1, not {which!r}")
        self.act(f"switch to {NAMES[which]}", lambda bench: bench.switch(which), told=str)

    @handler
    def access(self, addr: int | str | None = None, how: str | None = None, user: bool | None = None) -> None:
        """Let the processor read, write or execute at an address."""
        at, what = self._address(addr), self.access_menu.value if how is None else how
        by = bool(self.user_box.value if user is None else user)
        choice(ACCESSES, what, "access")
        self.act(f"{what} at 0x{at:x}", lambda bench: bench.access(at, what, by), told=str)


def sizes_of(arch: str) -> dict[str, int]:
    """Return the page sizes of an architecture, in words, and the level that each is entered at."""
    levels = get_arch(arch).levels[::-1]
    found = {format_size(1 << level.shift): number for number, level in enumerate(levels)}
    return {words: number for words, number in found.items() if words in SIZES}
