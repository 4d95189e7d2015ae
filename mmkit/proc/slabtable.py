"""``/sys/kernel/slab``: what the kernel says of the layout of every slab cache, as rows of one table.

Models: mm/slub.c (Linux 6.18), the slab_attrs[] files. Leaves out: files that count events, which need
CONFIG_SLUB_STATS. The kernel has a folder for each cache and a file for each number; recordings keep them as one text,
``slab_table.tsv``, a line for each cache with the names of the files on top.
"""

from __future__ import annotations

import re
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
    "objects", "objects_partial", "total_objects", "slabs", "cpu_slabs", "partial", "trace",
)  # fmt: skip
"""The files that hold numbers. The first one is meant where several stand ("20 N0=20": of them on node 0)."""
OPTIONAL = ("remote_node_defrag_ratio", "skip_kfence", "sheaf_capacity")
"""Numbers that only some kernels have."""
FILES = (*NUMBERS, *_FLAGS, "slabs_cpu_partial", *OPTIONAL, "ctor")
_ON_CPUS = re.compile(r"([0-9]+)(?:\(([0-9]+)\)(?: C[0-9]+=.*)?)?", re.ASCII)


class SlabRow(Record):
    """One name in ``/sys/kernel/slab``; sizes in bytes, numbers as ``SlabGeometry`` has them."""

    name: str
    links_to: str
    """The shared cache that this is another name of; empty if it is none."""
    flags: SlabFlags
    """Those of its flags that the kernel shows; whether it is accounted to memory cgroups is not among them."""
    ctor: str
    """Function that prepares each new object, such as "init_once+0x0/0x20"; empty if there is none."""
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
    """Slabs that CPUs have for themselves, those on their partial lists included."""
    partial: int
    """Slabs on the nodes' lists."""
    trace: int
    """1 if every call is logged."""
    objects_cpu_partial: int
    """Free objects in the slabs on CPU partial lists, taken as half full."""
    slabs_cpu_partial: int
    remote_node_defrag_ratio: int | None
    """Percent of calls that may look on other nodes; None in kernels without nodes."""
    skip_kfence: int | None
    """1 if none of its objects may be watched by KFENCE; None in kernels without it."""
    sheaf_capacity: int | None
    """Objects in each of the stores of a CPU that 6.18 puts before some caches; None where it does not say."""

    @property
    def has_ctor(self) -> bool:
        """Whether it has a constructor."""
        return bool(self.ctor)


def row_of(name: str, links_to: str, content: Mapping[str, str]) -> SlabRow:
    """Return the row of a cache from the contents of its files; what some kernels lack counts as 0.

    Raises ValueError for a number that is none.
    """
    numbers: dict[str, int | None] = {each: _first(content.get(each, "0")) for each in NUMBERS}
    for each in OPTIONAL:
        text = content.get(each, "-").strip()
        numbers[each] = None if text in ("", "-") else _first(text)
    flags = SlabFlags(0)
    for each, flag in _FLAGS.items():
        flags |= flag if _first(content.get(each, "0")) else SlabFlags(0)
    on_cpus = _ON_CPUS.fullmatch(content.get("slabs_cpu_partial", "0").strip())
    if on_cpus is None:
        raise ValueError(f"slabs_cpu_partial is {content['slabs_cpu_partial']!r}, not 'objects(slabs)'")
    ctor = content.get("ctor", "").strip().removeprefix("-")
    return SlabRow(
        name,
        links_to,
        flags,
        ctor,
        objects_cpu_partial=int(on_cpus[1]),
        slabs_cpu_partial=int(on_cpus[2] or 0),
        **numbers,  # type: ignore[arg-type]
    )


def _first(text: str) -> int:
    first, *nodes = text.split() or [""]
    if not (first.isascii() and first.isdigit()) or not all(node.startswith("N") for node in nodes):
        raise ValueError(f"{text!r} is no number")
    return int(first)


def parse(text: str) -> tuple[SlabRow, ...]:
    """Return the rows of a recorded table. Raises FormatError, with the line, if it is damaged."""
    head, *lines = text.splitlines() or [""]
    columns = head.split("\t")
    if not {"name", "links_to", *FILES} - {*OPTIONAL} <= set(columns):
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
