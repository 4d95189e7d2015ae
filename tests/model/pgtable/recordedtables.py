"""Page tables of recorded processes, raw, as they stood in the machine's memory."""

from __future__ import annotations

import re
from typing import NamedTuple

from mmkit.arch import Arch, get_arch
from mmkit.data import recording
from mmkit.model.pgtable.formats import format_of
from mmkit.model.pgtable.walk import Format
from mmkit.model.pgtable.words import TableWords

ARCHES = {
    "amd64-4g": "X86_64", "amd64-movablecore": "X86_64", "arm64-4g": "ARM64",
    "i386-686-2g": "X86", "i386-pae-6g": "X86_PAE",
}  # fmt: skip


class Row(NamedTuple):
    """One recorded entry; depth 0 is the root's."""

    depth: int
    table_addr: int
    index: int
    virt_addr: int
    raw: int
    kind: str


class Recorded(NamedTuple):
    """The tables of one process."""

    arch: Arch
    format: Format
    words: TableWords
    root_addr: int
    rows: tuple[Row, ...]


def read_tables(folder: str) -> Recorded:
    """Return the tables of a recording, put into memory word by word."""
    arch, machine = get_arch(ARCHES[folder]), recording(folder)
    rows = []
    for line in machine.text("pt.user.tsv.gz").splitlines():
        if not line.startswith("#"):
            level, table, index, virt, raw, kind, *_ = line.split("\t")
            rows.append(Row(int(level) - 1, int(table, 16), int(index), int(virt, 16), int(raw, 16), kind))
    words = TableWords(arch.entry_bytes)
    for row in rows:
        if row.table_addr >> 12 not in words:
            words.add(row.table_addr >> 12)
        words.write(row.table_addr + row.index * arch.entry_bytes, row.raw)
    root = re.search(r"root table: ([0-9a-f]+)", machine.text("pt.meta.txt"))
    assert root
    return Recorded(arch, format_of(arch), words, int(root[1], 16), tuple(rows))
