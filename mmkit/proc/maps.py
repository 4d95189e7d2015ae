"""``/proc/PID/maps``: one line for every virtual memory area of a process.

Models: fs/proc/task_mmu.c (Linux 6.18), show_map_vma(). Leaves out: undoing the escapes in names (newline as \\012).
"""

from __future__ import annotations

import re

from mmkit.errors import FormatError
from mmkit.record import Record

_LINE = re.compile(r"([0-9a-f]+)-([0-9a-f]+) ([r-][w-][x-][sp]) ([0-9a-f]+) ([0-9a-f]+):([0-9a-f]+) (\d+)( .*)?")
_NAME_COLUMN = 73


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

    def __contains__(self, addr: object) -> bool:
        return isinstance(addr, int) and self.start <= addr < self.end


def parse(text: str) -> tuple[Mapping, ...]:
    """Return the mappings in ``text``. Raises FormatError, with the line, for a text that is damaged."""
    if text and not text.endswith("\n"):
        last = text.rsplit("\n", 1)[-1]
        raise FormatError("maps", text.count("\n") + 1, last, "a line that ends with a newline")
    return tuple(_parse_line(number, line) for number, line in enumerate(text.split("\n")[:-1], 1))


def _parse_line(number: int, line: str) -> Mapping:
    match = _LINE.fullmatch(line)
    if not match:
        raise FormatError("maps", number, line, "'start-end perms offset major:minor inode [name]'")
    start, end, offset, major, minor = (int(match[group], 16) for group in (1, 2, 4, 5, 6))
    mapping = Mapping(start, end, match[3], offset, major, minor, int(match[7]), (match[8] or "").strip(" "))
    if _format_line(mapping) != line:
        raise FormatError("maps", number, line, f"the kernel's spacing, as in {_format_line(mapping)!r}")
    return mapping


def format(mappings: tuple[Mapping, ...]) -> str:
    """Return the text of ``mappings``, byte for byte as the kernel writes it."""
    return "".join(_format_line(mapping) + "\n" for mapping in mappings)


def _format_line(m: Mapping) -> str:
    head = f"{m.start:08x}-{m.end:08x} {m.perms} {m.offset:08x} {m.major:02x}:{m.minor:02x} {m.inode} "
    return head.ljust(_NAME_COLUMN) + m.name if m.name else head
