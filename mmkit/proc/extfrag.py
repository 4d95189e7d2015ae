"""``extfrag_index`` and ``unusable_index`` of ``/sys/kernel/debug/extfrag``: how fragmented every zone is.

Models: mm/vmstat.c (Linux 6.18), extfrag_show_print(), unusable_show_print(). Leaves out: ``extfrag_index`` before
5.16, which has one space less where the index is not below 0; no recording here has a zone that fragmented.

The kernel divides thousandths with C's operators, so an index between -1 and 0 reads ``0.-125``.
"""

from __future__ import annotations

from mmkit.model.fragmentation import measure_all
from mmkit.model.fragstate import Fragmentation, FragmentationIndex, IndexZone
from mmkit.model.snapshot import BuddyInfo, MemorySnapshot, Source
from mmkit.proc.text import RECORDING, Lines, line

NAMES = ("extfrag_index", "unusable_index")
_ROW = line(r"Node #, zone (\S+)((?: -?[0-9]{1,2}\.-?[0-9]{1,3})+) ")


def parse(text: str, name: str, source: Source = RECORDING) -> FragmentationIndex:
    """Return what ``text``, the file ``name``, says.

    Raises FormatError, with the line, if the text is damaged, ValueError for a name that is none of the two.

    >>> parse("Node 0, zone   Normal 0.000 0.333 \\n", "unusable_index").zones
    (IndexZone(node=0, zone='Normal', index=(0.0, 0.333)),)
    """
    _check(name)
    lines = Lines(name, text)
    zones: list[IndexZone] = []
    while not (zones and lines.at_end):
        nr_orders = len(zones[0].index) if zones else None
        expected = f"'Node N, zone NAME' and {nr_orders or 'the'} numbers with three decimals"
        row = lines.take(_ROW, expected)
        zones.append(IndexZone(int(row[1]), row[2], tuple(map(_number, row[3].split()))))
        if nr_orders not in (None, len(zones[-1].index)):
            raise lines.error(expected, taken=True)
    found = FragmentationIndex(source, name, tuple(zones))
    lines.prove(format(found))
    return found


def format(index: FragmentationIndex) -> str:
    """Return the text of ``index``, byte for byte as the kernel writes it."""
    _check(index.name)
    width = 2 if index.name == "extfrag_index" else 1
    return "".join(
        f"Node {zone.node}, zone {zone.zone:>8} {''.join(_written(each, width) for each in zone.index)}\n"
        for zone in index.zones
    )


def from_counts(memory: BuddyInfo | MemorySnapshot, name: str) -> FragmentationIndex:
    """Return what the file ``name`` says where the free blocks are these: of a model, a recording or a live machine.

    Raises ValueError where the free blocks of a zone are not known, or for a name that is none of the two.

    >>> from mmkit.model.snapshot import BuddyInfoZone
    >>> info = BuddyInfo(RECORDING, (BuddyInfoZone(0, "Normal", (2, 1, 0)),))
    >>> format(from_counts(info, "extfrag_index"))
    'Node 0, zone   Normal -1.000 -1.000  0.334 \\n'
    """
    _check(name)
    return FragmentationIndex(memory.source, name, tuple(_row(found, name) for found in measure_all(memory)))


def _row(found: Fragmentation, name: str) -> IndexZone:
    return IndexZone(found.node, found.zone, found.extfrag if name == "extfrag_index" else found.unusable)


def _check(name: str) -> None:
    if name not in NAMES:
        raise ValueError(f"the file is one of {', '.join(NAMES)}, not {name!r}")


def _number(word: str) -> float:
    whole, _, thousandths = word.partition(".")
    return (int(whole) * 1000 + int(thousandths)) / 1000


def _written(value: float, width: int) -> str:
    thousandths = round(value * 1000)
    whole = int(thousandths / 1000)  # towards 0, as in C
    return f"{whole:{width}d}.{thousandths - whole * 1000:03d} "
