"""Slab caches of a real kernel, slab by slab: ``stateK.slabs.tsv.gz`` of a recording, as snapshots.

The texts were made from a memory image of the guest at snapshot K of a trace, on x86-64 with one CPU and one node. They
hold every list in the kernel's order. How objects are aligned stands in ``slab_table.tsv.gz`` of the same recording.
"""

from __future__ import annotations

from pathlib import Path

from mmkit.arch import X86_64
from mmkit.data.lines import folder_of, read_lines, source_of
from mmkit.errors import FormatError
from mmkit.model.slabgeometry import align_up
from mmkit.model.slabstate import CacheSnapshot, ObjectState, Place, SlabGeometry, SlabSnapshot
from mmkit.proc import slabtable
from mmkit.proc.slabtable import SlabRow

DIRECT_MAP = 0xFFFF_8880_0000_0000
"""Where the kernel of the recordings sees page frame 0: they were booted with ``nokaslr``."""

_Listed = tuple[tuple[int, int], SlabSnapshot]
"""A slab, and what sorts it: its kind of list and the place on it."""


def read_slabs(recording: str | Path, k: int) -> dict[str, CacheSnapshot]:
    """Return every slab cache at snapshot ``k``, all lists in the kernel's order.

    ``recording`` is the name of a recording ("trace-slab-6.1") or a folder like one.

    Raises ValueError for an unknown recording, FileNotFoundError for a ``k`` that was not recorded, FormatError for a
    damaged text.

    >>> dentry = read_slabs("trace-slab-6.1", 0)["dentry"]
    >>> dentry.geometry.size, len(dentry.slabs), dentry.slabs[0].place
    (192, 699, <Place.CPU: 0>)
    """
    name = f"state{k}.slabs.tsv.gz"
    table = _rows_of(recording)
    geometries: dict[str, SlabGeometry] = {}
    slabs: dict[str, list[_Listed]] = {}
    for line_no, line in read_lines(recording, name):
        kind, *words = line.split("\t")
        try:
            if kind == "CACHE":
                geometries[words[0]] = _geometry(words, table)
                slabs[words[0]] = []
            elif kind == "SLAB":
                slabs[words[0]].append(_slab(words, geometries[words[0]]))
            else:
                raise ValueError(kind)
        except (KeyError, ValueError, IndexError) as error:
            raise FormatError(name, line_no, line, f"{_SHAPES.get(kind, 'CACHE or SLAB')} ({error})") from error
    source = source_of(recording, f"snapshot {k}")
    return {
        cache: CacheSnapshot(source, geometry, tuple(slab for _, slab in sorted(slabs[cache], key=lambda one: one[0])))
        for cache, geometry in geometries.items()
    }


_SHAPES = {
    "CACHE": "CACHE, name, size, object_size, offset, min_partial, cpu_partial_slabs, objects, order of a known cache",
    "SLAB": "SLAB, cache, pfn, order, objects, inuse, frozen, place and two lists of objects",
}


def _rows_of(recording: str | Path) -> dict[str, SlabRow]:
    """What ``/sys/kernel/slab`` said of every name, those of shared caches too."""
    import gzip

    data = folder_of(recording).joinpath("slab_table.tsv.gz").read_bytes()
    rows = {row.name: row for row in slabtable.parse(gzip.decompress(data).decode("ascii"))}
    return {name: rows.get(row.links_to, row) for name, row in rows.items()}


def _geometry(words: list[str], table: dict[str, SlabRow]) -> SlabGeometry:
    name, *numbers = words[:8]
    size, object_size, offset, min_partial, cpu_partial_slabs, objects, order = map(int, numbers)
    row = table[name]
    return SlabGeometry(
        name=name,
        object_size=object_size,
        size=size,
        align=row.align,
        order=order,
        objs_per_slab=objects,
        offset=offset,
        inuse=align_up(object_size, X86_64.word_bytes),
        flags=row.flags,
        cpu_partial=row.cpu_partial,
        cpu_partial_slabs=cpu_partial_slabs,
        min_partial=min_partial,
        has_ctor=row.has_ctor,
    )


def _slab(words: list[str], geometry: SlabGeometry) -> _Listed:
    _, pfn_word, _, objects, _, _, place_word, own_word, cpu_word = words
    place, _, index = place_word.partition(":")
    kind = {"cpu": Place.CPU, "cpu_partial": Place.CPU_PARTIAL, "node": Place.NODE, "full": Place.FULL}[place]
    own, cpu_list = _indices(own_word), _indices(cpu_word)
    states = bytearray([ObjectState.ALLOCATED]) * int(objects)
    for found, state in ((own, ObjectState.FREE), (cpu_list, ObjectState.CPU_FREE)):
        for each in found:
            if states[each] != ObjectState.ALLOCATED:
                raise ValueError(f"object {each} is on two lists")
            states[each] = state
    pfn = int(pfn_word, 16)
    if pfn % (1 << geometry.order) or (kind is Place.FULL and own):
        raise ValueError("a block of that order, free objects only on a list")
    cpu = 0 if kind in (Place.CPU, Place.CPU_PARTIAL) else None
    address = DIRECT_MAP + (pfn << X86_64.page_shift)
    return (kind, int(index or 0)), SlabSnapshot(pfn, address, kind, cpu, bytes(states), own, cpu_list)


def _indices(word: str) -> tuple[int, ...]:
    return () if word == "-" else tuple(map(int, word.split(",")))
