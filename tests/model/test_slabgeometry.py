"""Slab geometry: equal to what real kernels report for every cache, and by itself."""

from __future__ import annotations

import os
import sys

import pytest

from mmkit.data import recording, recordings
from mmkit.model.kmallocsize import KINDS, SIZES, kmalloc_align, kmalloc_name, kmalloc_size, unique_id
from mmkit.model.slabgeometry import FREEPTR_OFFSETS, alignment, geometry, get_order, slab_order
from mmkit.model.slabstate import SlabFlags
from mmkit.proc import live
from mmkit.proc.zoneinfo_layout import rules

TABLES = [name for name in recordings() if "slab_table.tsv.gz" in recording(name).files]


def predicted(row, nr_cpus, kernel, word):
    """What the model says of a cache, by what its creator asked for."""
    made = geometry(
        row.name, row.object_size, row.align, row.flags, nr_cpus=nr_cpus, kernel=kernel, word=word,
        has_ctor=row.has_ctor, freeptr_offset=FREEPTR_OFFSETS.get(row.name) if kernel == "6.18" else None,
        kmalloc=row.name.startswith(("kmalloc-", "dma-kmalloc-")),
    )  # fmt: skip
    return (
        made.size, made.align, made.order, made.objs_per_slab, made.cpu_partial, made.min_partial
    )  # fmt: skip


def told(row):
    return row.slab_size, row.align, row.order, row.objs_per_slab, row.cpu_partial, row.min_partial


@pytest.mark.parametrize("name", TABLES)
def test_every_cache_of_every_recording(name):
    recorded = recording(name)
    kernel, word = rules(recorded.kernel), 4 if name.startswith("i386") else 8
    rows = [row for row in recorded.slab_table if not row.links_to]
    assert len(rows) > 100
    wrong = {
        row.name: (predicted(row, recorded.nr_cpus, kernel, word), told(row))
        for row in rows
        if predicted(row, recorded.nr_cpus, kernel, word) != told(row)
    }
    assert wrong == {}


@pytest.mark.skipif(
    not sys.platform.startswith("linux") or os.geteuid() != 0, reason="/sys/kernel/slab is shown to root of Linux only"
)
def test_every_cache_of_this_machine():
    kernel, nr_cpus = rules(live.source().kernel), os.cpu_count()
    rows = [row for row in live.slab_table() if not row.links_to]
    wrong = {
        row.name: (predicted(row, nr_cpus, kernel, 8), told(row))
        for row in rows
        if predicted(row, nr_cpus, kernel, 8) != told(row)
    }
    assert wrong == {}


def test_free_pointers_where_the_kernel_has_them():
    """stateK.slabs of the traced boots holds ``kmem_cache.offset``, read from the machine's memory."""
    recorded = recording("trace-slab-6.1")
    made_with = {row.name: row for row in recorded.slab_table}
    text = recorded.text("state0.slabs.tsv.gz")
    seen = 0
    for line in text.splitlines():
        if not line.startswith("CACHE\t"):
            continue
        _, name, size, object_size, offset, min_partial, cpu_partial_slabs, objects, order, *_ = line.split("\t")
        row = made_with.get(name)
        if row is None:
            continue
        row = made_with.get(row.links_to, row)
        made = geometry(name, int(object_size), row.align, row.flags, kernel="6.1", has_ctor=row.has_ctor)
        seen += 1
        assert (made.size, made.order, made.objs_per_slab) == (int(size), int(order), int(objects)), name
        assert (made.min_partial, made.cpu_partial_slabs) == (int(min_partial), int(cpu_partial_slabs)), name
        # Caches that were merged keep the offset of the first of them, whose objects were smaller.
        if not row.aliases and row.name == name and not name.startswith(":"):
            assert made.offset == int(offset), name
    assert seen > 130


@pytest.mark.parametrize("name", TABLES)
def test_kmalloc_caches_of_every_recording(name):
    recorded = recording(name)
    rows = {row.name: row for row in recorded.slab_table}
    smallest = min(size for size in SIZES if kmalloc_name(size) in rows)
    for kind in KINDS:
        sizes = [size for size in SIZES if kmalloc_name(size, kind) in rows]
        if not sizes:  # slub_debug puts dma- and others aside in some kernels
            continue
        assert sizes == sorted({kmalloc_size(n, smallest) for n in range(1, 8193)})
        for size in sizes:
            row = rows[kmalloc_name(size, kind)]
            assert row.object_size == row.usersize == size
            if not row.flags & SlabFlags.RED_ZONE:
                assert row.align == kmalloc_align(size, rules(recorded.kernel))
            assert row.flags & KINDS[kind] == KINDS[kind] & ~SlabFlags.ACCOUNT


@pytest.mark.parametrize("name", TABLES)
def test_shared_caches_are_named_by_flags_and_size(name):
    rows = recording(name).slab_table
    shared = [row for row in rows if row.name.startswith(":")]
    for row in shared:
        flags = row.flags | (SlabFlags.ACCOUNT if "A" in row.name else SlabFlags(0))
        made = geometry(row.name, row.object_size, row.align, flags, word=4 if name.startswith("i386") else 8)
        assert unique_id(made) == row.name
        assert row.aliases == sum(other.links_to == row.name for other in rows) - 1


def test_word_and_alignment():
    assert geometry("x", 1).size == 8
    assert geometry("x", 1, word=4).size == 4
    assert geometry("x", 20, align=32).size == 32
    assert alignment(33, flags=SlabFlags.HWCACHE_ALIGN) == 64
    assert alignment(16, flags=SlabFlags.HWCACHE_ALIGN) == 16
    assert alignment(16, align=128, flags=SlabFlags.HWCACHE_ALIGN) == 128


def test_the_free_pointer_goes_behind_what_must_survive_the_free():
    assert geometry("x", 64).offset == 32
    assert geometry("x", 64, has_ctor=True).offset == 64
    assert geometry("x", 64, flags=SlabFlags.TYPESAFE_BY_RCU).offset == 64
    assert geometry("x", 64, flags=SlabFlags.TYPESAFE_BY_RCU, freeptr_offset=8).offset == 8
    assert geometry("x", 64, flags=SlabFlags.TYPESAFE_BY_RCU, freeptr_offset=8).size == 64


def test_more_cpus_want_more_objects():
    assert [slab_order(512, cpus) for cpus in (1, 2, 4, 8, 64)] == [0, 1, 1, 2, 2]


def test_a_slab_never_has_more_objects_than_fit_its_counter():
    assert geometry("x", 8).objs_per_slab == 512
    assert max(geometry("x", size).objs_per_slab for size in range(8, 64, 8)) <= 32_767


@pytest.mark.parametrize(("nr_bytes", "order"), [(0, 0), (1, 0), (4096, 0), (4097, 1), (1 << 22, 10)])
def test_get_order(nr_bytes, order):
    assert get_order(nr_bytes) == order


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"object_size": 0}, ValueError, "object_size of cache x is 0, must be 1 to 4194304 bytes"),
        ({"object_size": -8}, ValueError, "-8"),
        ({"object_size": (4 << 20) + 1}, ValueError, "4194305"),
        ({"object_size": "8"}, TypeError, "whole number, not '8'"),
        ({"object_size": True}, TypeError, "True"),
        ({"align": 24}, ValueError, "align of cache x is 24, must be a power of two"),
        ({"align": -8}, ValueError, "-8"),
        ({"nr_cpus": 0}, ValueError, "nr_cpus is 0"),
        ({"kernel": "2.4"}, ValueError, "2.4"),
        ({"flags": SlabFlags.TYPESAFE_BY_RCU, "freeptr_offset": 60}, ValueError, "freeptr_offset is 60"),
    ],
)
def test_what_cannot_be_is_refused_by_name(arguments, error, words):
    with pytest.raises(error, match=words.replace("(", r"\(")):
        geometry("x", **{"object_size": 64, **arguments})
