"""``/sys/kernel/slab``: what the kernel says of the layout of every slab cache, as rows of one table.

Models: mm/slub.c (Linux 6.18), the slab_attrs[] files. Leaves out: files that count events, which need
CONFIG_SLUB_STATS. The kernel has a folder for each cache and a file for each number; recordings keep them as one text,
``slab_table.tsv``, a line for each cache with the names of the files on top.
"""

from __future__ import annotations

from collections.abc import Mapping

from mmkit.errors import FormatError
from mmkit.model.slabstate import SlabFlags
from mmkit.record import Record

_FLAGS = {
    "hwcache_align": SlabFlags.HWCACHE_ALIGN,
    "reclaim_account": SlabFlags.RECLAIM_ACCOUNT,
    "cache_dma": SlabFlags.CACHE_DMA,
    "destroy_by_rcu": SlabFlags.TYPESAFE_BY_RCU,
    "sanity_checks": SlabFlags.CONSISTENCY_CHECKS,
    "red_zone": SlabFlags.RED_ZONE,
    "poison": SlabFlags.POISON,
    "store_user": SlabFlags.STORE_USER,
}
NUMBERS = (
    "object_size", "slab_size", "align", "order", "objs_per_slab", "aliases", "usersize", "cpu_partial", "min_partial",
    "objects", "objects_partial", "total_objects", "slabs", "cpu_slabs", "slabs_cpu_partial", "partial",
)  # fmt: skip
"""The files that hold numbers. The first one is meant where several stand ("20 N0=20": of them on node 0)."""
FILES = (*NUMBERS, *_FLAGS, "ctor")


class SlabRow(Record):
    """One name in ``/sys/kernel/slab``; sizes in bytes, numbers as ``SlabGeometry`` has them."""

    name: str
    links_to: str
    """The shared cache that this is another name of; empty if it is none."""
    flags: SlabFlags
    has_ctor: bool
    object_size: int
    slab_size: int
    align: int
    order: int
    objs_per_slab: int
    aliases: int
    """Names of this cache, less one."""
    usersize: int
    cpu_partial: int
    min_partial: int
    objects: int
    """Objects in use, as far as the kernel knows: those on CPU lists count as used."""
    objects_partial: int
    total_objects: int
    slabs: int
    cpu_slabs: int
    slabs_cpu_partial: int
    partial: int


def row_of(name: str, links_to: str, content: Mapping[str, str]) -> SlabRow:
    """Return the row of a cache from the contents of its files. Raises ValueError for a number that is none."""
    numbers = {each: int(content[each].split()[0].split("(")[0]) for each in NUMBERS}
    flags = SlabFlags(0)
    for each, flag in _FLAGS.items():
        flags |= flag if int(content[each]) else SlabFlags(0)
    return SlabRow(name, links_to, flags, content["ctor"].strip() not in ("", "-"), **numbers)


def parse(text: str) -> tuple[SlabRow, ...]:
    """Return the rows of a recorded table. Raises FormatError, with the line, if it is damaged."""
    head, *lines = text.splitlines() or [""]
    columns = head.split("\t")
    if not {"name", "links_to", *FILES} <= set(columns):
        raise FormatError("slab_table.tsv", 1, head, "the names of the columns")
    rows = []
    for number, line in enumerate(lines, 2):
        words = line.split("\t")
        try:
            content = dict(zip(columns, words, strict=True))
            links_to = "" if content["links_to"] == "-" else content["links_to"]
            rows.append(row_of(content["name"], links_to, content))
        except (ValueError, IndexError) as error:
            raise FormatError("slab_table.tsv", number, line, f"{len(columns)} columns ({error})") from error
    return tuple(rows)
