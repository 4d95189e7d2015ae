"""``/proc/PID/smaps``: for every virtual memory area its line of maps, and how much of it is in memory, and how.

Models: fs/proc/task_mmu.c (Linux 6.18), show_smap(), __show_smap(), show_smap_vma_flags(); the spacing of 6.1 where it
differs. Leaves out: nothing; what a line is called and in which order lines come is kept as found.
"""

from __future__ import annotations

from mmkit.model.vmaflags import parse_flag_letters
from mmkit.proc import maps
from mmkit.proc.maps import Mapping
from mmkit.proc.text import Lines, line
from mmkit.record import Record, field

ROLLUP = "[rollup]"
"""The name of the one entry of ``smaps_rollup``: all areas added up, without flags."""
_HEAD = line(r"([0-9a-f]+-[0-9a-f]+ .*)")
_SIZE = line(r"(\w+): # kB")
_NUMBER = line(r"(THPeligible|ProtectionKey): #")
_FLAGS = line(r"VmFlags:((?: \w\w)*) ")


class SmapsArea(Record):
    """An area: its mapping, its sizes in kB by the kernel's names, its other numbers, its flags."""

    mapping: Mapping
    sizes: tuple[tuple[str, int], ...]
    numbers: tuple[tuple[str, int], ...]
    """THPeligible and, where the processor has them, ProtectionKey."""
    letters: str
    """Flags as two letters each."""
    narrow: bool = field(default=False, repr=False, compare=False)
    """Whether THPeligible stands right behind its colon, as before 6.10."""

    def kb(self, name: str) -> int:
        """Return a size in kB: "Rss", "Anonymous", "Private_Dirty". Raises KeyError if the kernel did not say it."""
        return dict(self.sizes)[name]

    @property
    def flags(self) -> int:
        """``vm_flags``, as far as the letters tell them. Raises ValueError for letters that are not known."""
        return parse_flag_letters(self.letters)


def parse(text: str) -> tuple[SmapsArea, ...]:
    """Return the areas in ``text``. Raises FormatError, with the line, for a text that is damaged."""
    lines = Lines("smaps", text)
    areas = []
    while not lines.at_end:
        areas.append(_parse_area(lines))
    lines.prove(format(tuple(areas)))
    return tuple(areas)


def _parse_area(lines: Lines) -> SmapsArea:
    number = lines.number
    head = lines.take(_HEAD, "the line of an area, as in maps")
    mapping = maps.parse_line(head[0], number, "smaps")
    sizes, numbers, narrow = [], [], False
    while match := lines.take_if(_SIZE):
        sizes.append((match[1], int(match[2])))
    while match := lines.take_if(_NUMBER):
        numbers.append((match[1], int(match[2])))
        narrow |= match[0].startswith("THPeligible:    ") and match[0][16] != " "
    if mapping.name == ROLLUP:
        return SmapsArea(mapping, tuple(sizes), (), "")
    flags = lines.take(_FLAGS, "'Name:   N kB', or the last line of an area, 'VmFlags: rd mr ... '")
    return SmapsArea(mapping, tuple(sizes), tuple(numbers), flags[1].strip(), narrow)


def format(areas: tuple[SmapsArea, ...]) -> str:
    """Return the text of ``areas``, byte for byte as the kernel writes it."""
    return "".join(map(_format_area, areas))


def _format_area(area: SmapsArea) -> str:
    rows = [maps.write_line(area.mapping)]
    rows += [f"{name + ':':<16}{size:>8} kB" for name, size in area.sizes]
    for name, value in area.numbers:
        width = 0 if area.narrow and name == "THPeligible" else 8
        rows.append(f"{name + ':':<16}{value:>{width}}")
    if area.mapping.name != ROLLUP:
        rows.append(f"VmFlags: {area.letters + ' ' if area.letters else ''}")
    return "\n".join([*rows, ""])
