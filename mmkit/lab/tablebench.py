"""The bench of the page table lab: two processes with tables of their own, frames that they map, and an MMU."""

from __future__ import annotations

from typing import Any

from mmkit.errors import MmkitError
from mmkit.model.gfp import Gfp
from mmkit.model.memory import PhysicalMemory
from mmkit.model.mmu import Mmu
from mmkit.model.page import Page
from mmkit.model.pgstate import PteFlags, SpacesState, SpaceState, Walk
from mmkit.model.pgtable import PageTable
from mmkit.model.trace import Trace
from mmkit.record import Record, field

NAMES = ("process A", "process B")
RAM = {"TOY": "256KiB"}
"""Memory of the machines; all but the toy have 64 MiB."""
RIGHTS = {
    "rw-": PteFlags.USER | PteFlags.WRITE,
    "r--": PteFlags.USER,
    "r-x": PteFlags.USER | PteFlags.EXEC,
    "rwx": PteFlags.USER | PteFlags.WRITE | PteFlags.EXEC,
    "rw-, kernel only": PteFlags.WRITE,
}
SIZES = ("4 KiB", "2 MiB", "4 MiB")
"""Page sizes that there is memory for."""
ACCESSES = {"read": "r", "write": "w", "execute": "x"}
BEGINNINGS: dict[str, tuple[tuple[int, int, str, str], ...]] = {
    "TOY": ((0, 0x0000, "r-x", "code"), (0, 0x3000, "rw-", ""), (0, 0x9000, "rw-", ""), (1, 0x0000, "r-x", "code"),
            (1, 0xF000, "rw-", "")),
    "32": ((0, 0x0804_8000, "r-x", "code"), (0, 0x0804_9000, "rw-", ""), (0, 0xBFFF_F000, "rw-", ""),
           (1, 0x0804_8000, "r-x", "code"), (1, 0xBFFF_F000, "rw-", "")),
    "64": ((0, 0x40_0000, "r-x", "code"), (0, 0x40_1000, "rw-", ""), (0, 0x3F_FFFF_F000, "rw-", ""),
           (1, 0x40_0000, "r-x", "code"), (1, 0x3F_FFFF_F000, "rw-", "")),
}  # fmt: skip
"""What the two processes have mapped at first: whose, where, rights, and the name of a frame that both share."""


class TablesState(Record):
    """What the timeline keeps: the processes, and what was done, from which it can be done again."""

    spaces: SpacesState
    done: tuple[tuple[str, tuple[Any, ...]], ...] = field(repr=False)
    asked: int = 0
    """How often a page was to be mapped. A refused attempt may have moved free pages: this tells that it was made."""


class TableBench:
    """Two processes on one machine. Methods change the running one's tables and return what came of it, in words."""

    def __init__(self, arch: str, state: TablesState | None = None, trace: Trace | None = None) -> None:
        self.memory = PhysicalMemory(arch, RAM.get(arch, "64MiB"))
        first = PageTable(arch, self.memory)
        self.arch, self.tables = first.arch, (first, PageTable(arch, self.memory, words=first.words))
        self.mmu = Mmu(arch, first.words)
        self.frames: dict[int, tuple[Page, int]] = {}
        self.access_walk: Walk | None = None
        self.outcome = ""
        self.done: list[tuple[str, tuple[Any, ...]]] = []
        self.loaded = self.asked = 0
        self.mmu.cr3 = first.cr3
        self._begin()
        for name, arguments in state.done if state else ():
            getattr(self, name)(*arguments)
        for each in (*self.tables, self.mmu):
            each.trace = trace

    def _begin(self) -> None:
        shared: dict[str, int] = {}
        kind = "TOY" if self.arch.name == "TOY" else str(8 * self.arch.word_bytes)
        for number, addr, rights, name in BEGINNINGS[kind]:
            pfn = shared.get(name) if name else None
            made = self._new(0) if pfn is None else pfn
            shared[name] = made
            self.tables[number].map(addr, made, RIGHTS[rights])

    @property
    def table(self) -> PageTable:
        """The tables of the running process."""
        return self.tables[self.loaded]

    def snapshot(self) -> TablesState:
        """Return the frozen state."""
        spaces = [SpaceState(name, table.snapshot()) for name, table in zip(NAMES, self.tables, strict=True)]
        state = SpacesState(self.arch.name, tuple(spaces), self.loaded, self.access_walk, self.outcome)
        return TablesState(state, tuple(self.done), self.asked)

    # -- frames -------------------------------------------------------------------------------------------------------

    def _new(self, order: int) -> int:
        page = self.memory.alloc_pages(Gfp.GFP_HIGHUSER_MOVABLE, order)
        self.frames[page.pfn] = page, order
        return int(page.pfn)

    def _check_map(self, addr: int, pfn: int | None, level: int, size: int) -> None:
        """Refuse what cannot be mapped, before anything is taken."""
        end = max(zone.end_pfn for zone in self.memory.zones)
        if pfn is not None and not 0 <= pfn <= end - size:
            raise ValueError(f"there is no frame 0x{pfn + size - 1:x}: memory ends before 0x{end:x}")
        self.table.check_map(addr, pfn or 0, level)
        if pfn is not None:
            tables = {table.addr >> 12 for each in self.tables for table in each.snapshot().tables}
            for each in range(pfn, pfn + size):
                self._check_given(each, tables)

    def _check_given(self, pfn: int, tables: set[int]) -> None:
        """Refuse what vm_insert_page() does: a page that nobody has taken, and one that holds a table."""
        if any(first <= pfn < first + (1 << order) for first, (_, order) in self.frames.items()):
            return
        if pfn in tables:
            raise ValueError(f"frame 0x{pfn:x} holds a page table, which no process may reach")
        zone = self.memory.zone_of(pfn)
        if zone is not None and not any(start <= pfn < end for start, end in zone.reserved):
            raise ValueError(f"frame 0x{pfn:x} is free: give one that a page is in, or none at all to get a new one")

    def _drop_unused(self) -> None:
        """Free the frames that no page of either process lies in any more."""
        pages = [
            (addr >> 12, 1 << self.arch.levels[each.depth].shift - self.arch.page_shift)
            for table in self.tables for each in table.snapshot().tables for _, addr, _ in each.pages
        ]  # fmt: skip
        for first, (page, order) in list(self.frames.items()):
            if not any(pfn < first + (1 << order) and first < pfn + size for pfn, size in pages):
                self.memory.free_pages(page, order)
                del self.frames[first]

    # -- what can be done ---------------------------------------------------------------------------------------------

    def _told(self, name: str, arguments: tuple[Any, ...], words: str) -> str:
        self.done.append((name, arguments))
        self.outcome = words
        return words

    def map(self, addr: int, pfn: int | None, rights: str, level: int) -> str:
        """Map a frame (None: a new one) into the running process."""
        order = self.arch.levels[self.table.format.last - level].shift - self.arch.page_shift
        self._check_map(addr, pfn, level, 1 << order)
        self.asked += 1
        frame = self._new(order) if pfn is None else pfn
        try:
            self.table.map(addr, frame, RIGHTS[rights], level)
        except MmkitError:
            if pfn is None:
                self.memory.free_pages(*self.frames.pop(frame))
            raise
        self.access_walk = None
        return self._told("map", (addr, pfn, rights, level), f"0x{addr:x} now leads to frame 0x{frame:x}, {rights}.")

    def unmap(self, addr: int) -> str:
        """Take a page away from the running process."""
        self.table.unmap(addr)
        self._drop_unused()
        self.access_walk = None
        return self._told("unmap", (addr,), f"No page is mapped at 0x{addr:x} any more.")

    def protect(self, addr: int, rights: str) -> str:
        """Give a page other rights."""
        self.table.protect(addr, RIGHTS[rights])
        self.access_walk = None
        return self._told("protect", (addr, rights), f"The page at 0x{addr:x} is now {rights}.")

    def switch(self, number: int) -> str:
        """Let another process run: CR3 is loaded with its root."""
        self.loaded, self.access_walk = number, None
        self.mmu.cr3 = self.table.cr3
        return self._told("switch", (number,), f"{NAMES[number]} runs: CR3 is 0x{self.mmu.cr3:x}.")

    def access(self, addr: int, how: str, user: bool) -> str:
        """Read, write or execute; what the processor raises is told, and is no error of the reader's."""
        who = "user code" if user else "the kernel"
        try:
            found = self.mmu.translate(addr, ACCESSES[how], user)
            words = f"{how} at 0x{addr:x} by {who}: physical address 0x{found:x}."
        except MmkitError as error:
            words = f"{how} at 0x{addr:x} by {who}: {error}."
        self.access_walk = self.table.walk(addr)
        return self._told("access", (addr, how, user), words[:1].upper() + words[1:])
