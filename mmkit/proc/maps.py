"""``/proc/PID/maps``: one line for every virtual memory area of a process.

Models: fs/proc/task_mmu.c (Linux 6.18), show_map_vma(). Leaves out: undoing the escapes in names (newline as \\012).
"""

from __future__ import annotations

import re

from mmkit.errors import FormatError
from mmkit.model.vmatext import NAME_COLUMN, format_line
from mmkit.record import Record, field

_LINE = re.compile(
    r"([0-9a-f]+)-([0-9a-f]+) ([r-][w-][x-][sp]) ([0-9a-f]+) ([0-9a-f]+):([0-9a-f]+) ([0-9]{1,20})( .*)?"
)


class Mapping(Record):
    """One line: addresses [start, end), permissions ("rw-p"), file offset in bytes, device, inode, name."""

    start: int
    end: int
    perms: str
    offset: int
    major: int
    minor: int
    inode: int
    name: str
    column: int = field(default=73, repr=False, compare=False)
    """Where the name begins: kernels for 32 bits leave less room."""

    def __contains__(self, addr: object) -> bool:
        return isinstance(addr, int) and self.start <= addr < self.end


def parse(text: str) -> tuple[Mapping, ...]:
    """Return the mappings in ``text``. Raises FormatError, with the line, for a text that is damaged."""
    if not isinstance(text, str):
        raise TypeError(f"the content of maps is text, not {type(text).__name__}")
    if text and not text.endswith("\n"):
        last = text.rsplit("\n", 1)[-1]
        raise FormatError("maps", text.count("\n") + 1, last, "a line that ends with a newline")
    return tuple(parse_line(line, number) for number, line in enumerate(text.split("\n")[:-1], 1))


def parse_line(line: str, number: int, what: str = "maps") -> Mapping:
    """Return the mapping of one line, without its newline. Raises FormatError, with ``what`` and the line's number."""
    match = _LINE.fullmatch(line)
    if not match:
        raise FormatError(what, number, line, "'start-end perms offset major:minor inode [name]'")
    start, end, offset, major, minor = (int(match[group], 16) for group in (1, 2, 4, 5, 6))
    name = (match[8] or "").strip(" ")
    column = (
        len(line) - len(name) if name and line[: NAME_COLUMN[8]].strip(" ") != line[: -len(name)].strip(" ") else 73
    )
    mapping = Mapping(start, end, match[3], offset, major, minor, int(match[7]), name, column)
    if write_line(mapping) != line or column not in NAME_COLUMN.values():
        raise FormatError(what, number, line, f"the kernel's spacing, as in {write_line(mapping)!r}")
    return mapping


def format(mappings: tuple[Mapping, ...]) -> str:
    """Return the text of ``mappings``, byte for byte as the kernel writes it."""
    return "".join(write_line(mapping) + "\n" for mapping in mappings)


def write_line(m: Mapping) -> str:
    """Return the line of one mapping, without its newline."""
    return format_line(m.start, m.end, m.perms, m.offset, m.major, m.minor, m.inode, m.name, m.column)
