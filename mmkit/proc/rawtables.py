"""Page tables as they stood in a real machine's memory: raw entries, put back where they were.

Models: nothing; the rows were read from a stopped guest's memory, beginning at CR3 (TTBR0 on arm64). Leaves out: the
kernel's half, of which a walk says that it was not recorded.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from mmkit.arch import Arch, get_arch
from mmkit.errors import FormatError
from mmkit.model.pgstate import Walk, WalkState
from mmkit.model.pgtable.tables import Tables
from mmkit.model.pgtable.words import TableWords
from mmkit.model.snapshot import Source
from mmkit.record import replace

_MODES = {"x86 two-level": "X86", "x86 PAE": "X86_PAE", "x86-64 four-level": "X86_64", "arm64": "ARM64"}
_USER_END = {"X86": 0xC000_0000, "X86_PAE": 0xC000_0000, "X86_64": 1 << 47}
"""Where the kernel's half begins, below the same root; arm64 has another root for it."""
_ROW = "level, table, index, virtual address, entry, kind, flags"


class RawEntry(NamedTuple):
    """One entry that was read; depth 0 is the root's."""

    depth: int
    table_addr: int
    at: int
    """Index in its table."""
    virt_addr: int
    raw: int
    kind: str


class RawTables(Tables):
    """The page tables of one process, read from a machine's memory; ``entries`` are what was found, in that order."""

    def __init__(self, arch: Arch | str, root_addr: int, entries: tuple[RawEntry, ...], source: Source) -> None:
        known = get_arch(arch)
        super().__init__(known, TableWords(known.entry_bytes), root_addr, source)
        self.entries = entries
        for entry in entries:
            if entry.table_addr >> 12 not in self.words:
                self.words.add(entry.table_addr >> 12)
            self.words.write(entry.table_addr + entry.at * known.entry_bytes, entry.raw)

    def _recorded(self, index: int) -> bool:
        """Whether that entry of the root was read."""
        end = _USER_END.get(self.arch.name)
        return end is None or index < end >> self.arch.levels[0].shift

    def walk(self, virt_addr: int) -> Walk:
        """Follow the entries for an address; those of the kernel's half are not known."""
        found = super().walk(virt_addr)
        if self._recorded(found.steps[0].index):
            return found
        return replace(found, steps=(replace(found.steps[0], kind="unrecorded"),))

    def walk_state(self, virt_addr: int, shown: int | None = None) -> WalkState:
        """Return the walk with the words around each entry, if they are known, as far as ``shown`` steps."""
        state = super().walk_state(virt_addr, shown)
        known = tuple((index, raw) for index, raw in state.rows[0] if self._recorded(index))
        return replace(state, walk=self.walk(virt_addr), rows=(known, *state.rows[1:]))

    def __repr__(self) -> str:
        return f"<RawTables of {self.source}: {len(self.entries)} entries>"


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
