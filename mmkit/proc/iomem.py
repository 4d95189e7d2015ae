"""``/proc/iomem``: who owns which physical addresses; RAM is what is called "System RAM".

Models: kernel/resource.c (Linux 6.18), r_show(). Leaves out: nothing. All but root read zeros for the addresses.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from mmkit.proc.text import Lines
from mmkit.record import Record

RAM = "System RAM"
_ROW = re.compile(r"((?:  ){0,5})([0-9a-f]{8,16})-([0-9a-f]{8,16}) : (.*)")


class Region(Record):
    """Physical addresses from ``start`` up to, not including, ``end``; ``depth`` 1 is part of the last 0 above it."""

    start: int
    end: int
    name: str
    depth: int = 0


def parse(text: str) -> tuple[Region, ...]:
    """Return the regions in ``text``. Raises FormatError, with the line, if it is damaged.

    >>> parse("00001000-0009fbff : System RAM\\n")
    (Region(start=4096, end=654336, name='System RAM', depth=0),)
    """
    lines = Lines("iomem", text)
    regions = []
    while not lines.at_end:
        row = lines.take(_ROW, "'start-end : name', addresses in hexadecimal")
        regions.append(Region(int(row[2], 16), int(row[3], 16) + 1, row[4], len(row[1]) // 2))
    lines.prove(format(regions))
    return tuple(regions)


def format(regions: Iterable[Region]) -> str:
    """Return the text of ``regions``, byte for byte as the kernel writes it."""
    return "".join(
        f"{'  ' * region.depth}{region.start:08x}-{region.end - 1:08x} : {region.name}\n" for region in regions
    )


def ram_frames(regions: Iterable[Region], page_size: int = 4096) -> tuple[tuple[int, int], ...]:
    """Return RAM as ranges [start, end) of page frame numbers; a frame that is RAM only in part does not count."""
    ram = ((region.start, region.end) for region in regions if region.name == RAM and not region.depth)
    frames = ((-(-start // page_size), end // page_size) for start, end in ram)
    return tuple((start, end) for start, end in frames if start < end)
