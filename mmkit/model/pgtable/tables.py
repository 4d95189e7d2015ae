"""Tables: page tables that lie in memory, whoever wrote them, to be read and walked; and a small program's.

Models: nothing of its own; see ``walk``. Leaves out: changing them, which PageTable does.
"""

from __future__ import annotations

from mmkit.arch import Arch, get_arch
from mmkit.model.gfp import Gfp
from mmkit.model.memory import PhysicalMemory
from mmkit.model.pgstate import PageTableState, PteFlags, SpacesState, SpaceState, Walk, WalkState
from mmkit.model.pgtable.formats import format_of
from mmkit.model.pgtable.parts import walk_state
from mmkit.model.pgtable.table import PageTable, snapshot
from mmkit.model.pgtable.walk import Format, walk
from mmkit.model.pgtable.words import TableWords
from mmkit.model.snapshot import MODEL, Source

_CODE, _DATA = PteFlags.USER | PteFlags.EXEC, PteFlags.USER | PteFlags.WRITE


class Tables:
    """Tables in ``words``; ``root_addr`` is where the walk begins."""

    def __init__(self, arch: Arch | str, words: TableWords, root_addr: int, source: Source = MODEL) -> None:
        self.arch, self.words, self.root_addr, self.source = get_arch(arch), words, root_addr, source
        self.format: Format = format_of(self.arch)

    def walk(self, virt_addr: int) -> Walk:
        """Follow the entries for an address."""
        return walk(self.words, self.root_addr, self.format, virt_addr)

    def walk_state(self, virt_addr: int, shown: int | None = None) -> WalkState:
        """Return the walk with the words around each entry, as far as ``shown`` steps."""
        return walk_state(self.words, self.root_addr, self.format, virt_addr, shown, self.source)

    def snapshot(self) -> PageTableState:
        """Return the whole tree."""
        return snapshot(self.words, self.root_addr, self.format, self.source)


def sample_places(arch: Arch | str) -> dict[str, int]:
    """Return where a small program has its code, data, library and stack, by their names.

    >>> {name: hex(addr) for name, addr in sample_places("X86").items()}
    {'code': '0x8048000', 'data': '0x804c000', 'library': '0xb7c00000', 'stack': '0xbfffe000'}
    """
    known = get_arch(arch)
    if known.name == "TOY":
        return {"code": 0x1000, "data": 0x3000, "library": 0x6000, "stack": 0xF000}
    if known.word_bytes == 4:
        return {"code": 0x0804_8000, "data": 0x0804_C000, "library": 0xB7C0_0000, "stack": 0xBFFF_E000}
    # With five levels Linux still keeps below 47 bits what did not ask for more (DEFAULT_MAP_WINDOW).
    end = 1 << min(known.virt_bits, 48) - 1
    asked = {"asked for": 0x80_1234_0000_0000} if known.virt_bits > 48 else {}
    return {"code": 0x40_0000, "data": 0x40_4000, "library": end - (0x4000 << 12), "stack": end - 0x2000} | asked


def sample_tables(arch: Arch | str) -> Tables:
    """Return tables of a small program, made by PageTable: two pages of code, two of data, of a library, of stack.

    In the toy each of them has one page.
    """
    known = get_arch(arch)
    memory = PhysicalMemory(known, "256KiB" if known.name == "TOY" else "64MiB")
    table = PageTable(known, memory)
    for name, addr in sample_places(known).items():
        for page in range(1 if known.name == "TOY" else 2):
            frame = memory.alloc_pages(Gfp.GFP_HIGHUSER_MOVABLE, 0)
            table.map(addr + page * known.page_size, frame.pfn, _CODE if name in ("code", "library") else _DATA)
    return Tables(known, table.words, table.cr3)


def spaces(*tables: PageTable | Tables, loaded: int = 0, access: Walk | None = None) -> SpacesState:
    """Return the state of some processes by their tables, called A, B, ...; CR3 holds the root of number ``loaded``."""
    names = [f"process {letter}" for letter in "ABCDEFGH"]
    states = tuple(SpaceState(name, each.snapshot()) for name, each in zip(names, tables, strict=False))
    return SpacesState(tables[0].arch.name, states, loaded, access)
