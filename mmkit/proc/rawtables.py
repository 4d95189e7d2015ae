"""Page tables as they stood in a real machine's memory: raw entries, put back where they were.

Models: nothing; the rows were read from a stopped guest's memory, beginning at CR3 (TTBR0 on arm64). Leaves out: the
kernel's half.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from mmkit.arch import Arch, get_arch
from mmkit.errors import FormatError
from mmkit.model.pgstate import PageTableState, Walk, WalkState
from mmkit.model.pgtable.formats import format_of
from mmkit.model.pgtable.parts import walk_state
from mmkit.model.pgtable.table import snapshot
from mmkit.model.pgtable.walk import Format, walk
from mmkit.model.pgtable.words import TableWords
from mmkit.model.snapshot import Source

_MODES = {"x86 two-level": "X86", "x86 PAE": "X86_PAE", "x86-64 four-level": "X86_64", "arm64": "ARM64"}
_ROW = "level, table, index, virtual address, entry, kind, flags"


class RawEntry(NamedTuple):
    """One entry that was read; depth 0 is the root's."""

    depth: int
    table_addr: int
    index: int
    virt_addr: int
    raw: int
    kind: str


class RawTables:
    """The page tables of one process, read from memory: ``words`` holds them, ``root_addr`` is where the walk begins."""

    def __init__(self, arch: Arch | str, root_addr: int, entries: tuple[RawEntry, ...], source: Source) -> None:
        self.arch, self.root_addr, self.entries, self.source = get_arch(arch), root_addr, entries, source
        self.format: Format = format_of(self.arch)
        self.words = TableWords(self.arch.entry_bytes)
        for entry in entries:
            if entry.table_addr >> 12 not in self.words:
                self.words.add(entry.table_addr >> 12)
            self.words.write(entry.table_addr + entry.index * self.arch.entry_bytes, entry.raw)

    def __repr__(self) -> str:
        return f"<RawTables of {self.source}: {len(self.entries)} entries>"

    def walk(self, virt_addr: int) -> Walk:
        """Follow the entries for an address."""
        return walk(self.words, self.root_addr, self.format, virt_addr)

    def walk_state(self, virt_addr: int, shown: int | None = None) -> WalkState:
        """Return the walk with the words around each entry, as far as ``shown`` steps."""
        return walk_state(self.words, self.root_addr, self.format, virt_addr, shown, self.source)

    def snapshot(self) -> PageTableState:
        """Return the whole tree."""
        return snapshot(self.words, self.root_addr, self.format, self.source)


def parse(text: str, meta: str, source: Source) -> RawTables:
    """Return the tables of a listing, tab-separated, and of the lines that say of what machine they are.

    Raises FormatError, with the line, for a text that is damaged.
    """
    mode, root = re.search(r"^mode: (.*)$", meta, re.M), re.search(r"^root table: ([0-9a-f]+)$", meta, re.M)
    arch = next((name for words, name in _MODES.items() if mode and mode[1].startswith(words)), None)
    if arch is None or root is None:
        raise FormatError("page tables", 1, meta.splitlines()[0] if meta else "", "a known mode and a root table")
    lines = enumerate(text.splitlines(), 1)
    entries = tuple(_entry(number, line) for number, line in lines if not line.startswith("#"))
    return RawTables(arch, int(root[1], 16), entries, source)


def _entry(number: int, line: str) -> RawEntry:
    try:
        level, table, index, virt, raw, kind, *_ = line.split("\t")
        return RawEntry(int(level) - 1, int(table, 16), int(index), int(virt, 16), int(raw, 16), kind)
    except ValueError:
        raise FormatError("page tables", number, line, _ROW) from None
