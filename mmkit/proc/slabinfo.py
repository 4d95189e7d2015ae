"""``/proc/slabinfo``: every slab cache, how many objects it has, and in how many slabs.

Models: mm/slab_common.c (Linux 6.18), print_slabinfo_header(), cache_show(). Leaves out: the statistics that the SLAB
allocator added until 6.7 when it was built for debugging.
"""

from __future__ import annotations

from mmkit.model.slabstate import SlabInfo, SlabInfoLine
from mmkit.model.snapshot import Source
from mmkit.proc.text import RECORDING, Lines, line

_VERSION = line(r"slabinfo - version: (\S+)")
_TITLES = (
    "# name            <active_objs> <num_objs> <objsize> <objperslab> <pagesperslab>"
    " : tunables <limit> <batchcount> <sharedfactor> : slabdata <active_slabs> <num_slabs> <sharedavail>"
)
_HEADER = line(r"\S name .*")
# Some modules give their caches names with blanks in them; the kernel warns of it, and shows them as they are.
_ROW = line(r"(\S+(?: \S+)*) # # # # # : tunables # # # : slabdata # # #")
_EXPECTED = "a cache's name, five numbers, ': tunables' and three numbers, ': slabdata' and three numbers"


def parse(text: str, source: Source = RECORDING) -> SlabInfo:
    """Return what ``text`` says.

    Raises FormatError, with the line, if the text is damaged.

    >>> written = format(SlabInfo(RECORDING, (SlabInfoLine("dentry", 20, 21, 192, 21, 1, num_slabs=1),)))
    >>> parse(written).lines[0].pages, written.splitlines()[2][:53]
    (1, 'dentry                20     21    192   21    1 : tu')
    """
    lines = Lines("slabinfo", text)
    version = lines.take(_VERSION, "'slabinfo - version: 2.1'")[1]
    lines.take(_HEADER, "the names of the columns")
    rows = []
    while not lines.at_end:
        row = lines.take(_ROW, _EXPECTED)
        rows.append(SlabInfoLine(row[1], *map(int, row.groups()[1:])))
    info = SlabInfo(source, tuple(rows), version)
    lines.prove(format(info))
    return info


def format(info: SlabInfo) -> str:
    """Return the text of ``info``, byte for byte as the kernel writes it."""
    return "".join([f"slabinfo - version: {info.version}\n", _TITLES, "\n", *map(_format_row, info.lines)])


def _format_row(row: SlabInfoLine) -> str:
    return (
        f"{row.name:<17} {row.active_objs:6d} {row.num_objs:6d} {row.objsize:6d} {row.objperslab:4d} "
        f"{row.pagesperslab:4d} : tunables {row.limit:4d} {row.batchcount:4d} {row.sharedfactor:4d} : slabdata "
        f"{row.active_slabs:6d} {row.num_slabs:6d} {row.sharedavail:6d}\n"
    )
