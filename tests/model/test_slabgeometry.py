"""Slab geometry: equal to what real kernels report for every cache, and by itself."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mmkit.data import recording, recordings
from mmkit.errors import LiveError
from mmkit.model.kmallocsize import (
    BOOT_CACHES,
    KINDS,
    SIZES,
    find_mergeable,
    kmalloc_align,
    kmalloc_name,
    kmalloc_size,
    unique_id,
    unmergeable,
)
from mmkit.model.slabgeometry import DEBUG_FLAGS, FREEPTR_OFFSETS, alignment, geometry, get_order, slab_order
from mmkit.model.slabstate import SlabFlags
from mmkit.proc import live
from mmkit.proc.zoneinfo_layout import rules
from mmkit.record import replace
from tests import btf

TABLES = [name for name in recordings() if "slab_table.tsv.gz" in recording(name).files]

DEBUGGED = "amd64-slubdebug"
MERGED = [name for name in TABLES if name != DEBUGGED and recording(name).kernel == recording(DEBUGGED).kernel]

WISHES = {
    "task_struct": 64, "net_namespace": 64, "dio": 64, "task_group": 64, "pgd_cache": 32, "x86_emulator": 16,
    "kvm_vcpu": 16, "maple_node": 256, "pool_workqueue": 256,
}  # fmt: skip
"""What creators of caches ask for in the kernel's source, besides HWCACHE_ALIGN: ``align`` of kmem_cache_create()."""
ALONE = {"kmalloc_buckets", "maple_node", "msg_msg-8", "msg_msg-16", "msg_msg-32"}
"""Caches of 6.12 and 6.18 that ask not to be merged (NO_MERGE), or have sheaves; /sys/kernel/slab does not say so."""


def smallest_of(names):
    """The smallest class of kmalloc: 8, or what devices need on Arm."""
    return min(size for size in SIZES if kmalloc_name(size) in names)


def predicted(row, names, nr_cpus, kernel, word, smallest):
    """What the model says of a cache, by what its creator asked for; ``names`` are those it is used under."""
    kmalloc = row.name.startswith(("kmalloc-", "dma-kmalloc-"))
    wish = max((WISHES.get(name, 0) for name in names), default=0)
    if kmalloc:
        wish = kmalloc_align(row.object_size, kernel, smallest)
    elif smallest > 8 and (row.name in BOOT_CACHES or row.name.startswith("bio-")):
        wish = smallest
    made = geometry(
        row.name, row.object_size, wish, row.flags, nr_cpus=nr_cpus, kernel=kernel, word=word,
        has_ctor=row.has_ctor, freeptr_offset=FREEPTR_OFFSETS.get(row.name) if kernel == "6.18" else None,
        kmalloc=kmalloc,
    )  # fmt: skip
    return made.size, made.align, made.order, made.objs_per_slab, made.cpu_partial, made.min_partial


def told(row):
    return row.slab_size, row.align, row.order, row.objs_per_slab, row.cpu_partial, row.min_partial


def compare(table, nr_cpus, kernel, word):
    """Return the number of caches, and those of which the model says something else than the kernel."""
    names = {row.name: [other.name for other in table if other.links_to == row.name] for row in table}
    rows = [row for row in table if not row.links_to]
    said = {row.name: predicted(row, [row.name, *names[row.name]], nr_cpus, kernel, word, smallest_of(names))
            for row in rows}  # fmt: skip
    return len(rows), {row.name: (said[row.name], told(row)) for row in rows if said[row.name] != told(row)}


def live_table():
    """The slab caches of this machine; skips where there are none to read."""
    try:
        return live.slab_table()
    except LiveError as error:
        pytest.skip(str(error))


def present_cpus():
    text = Path("/sys/devices/system/cpu/present").read_text().strip()
    ranges = [part.split("-") for part in text.split(",")]
    present = sum(int(part[-1]) - int(part[0]) + 1 for part in ranges)
    possible = 1 + int(Path("/sys/devices/system/cpu/possible").read_text().strip().replace("-", ",").split(",")[-1])
    return present if present > 1 else possible


@pytest.mark.parametrize("name", TABLES)
def test_every_cache_of_every_recording(name):
    recorded = recording(name)
    word = 4 if name.startswith("i386") else 8
    number, wrong = compare(recorded.slab_table, recorded.nr_cpus, rules(recorded.kernel), word)
    assert wrong == {}
    assert number > 100


def test_every_cache_of_this_machine():
    assert compare(live_table(), present_cpus(), rules(live.source().kernel), 8)[1] == {}


def test_only_free_pointers_inside_explain_the_size_of_an_area():
    """vm_area_struct of 6.18 outlives its free, fills three cache lines, and yet needs no fourth."""
    row = next(row for row in recording("host-6.18").slab_table if row.name == "vm_area_struct")
    assert (row.object_size, row.slab_size, row.flags) == (
        192, 192, SlabFlags.HWCACHE_ALIGN | SlabFlags.TYPESAFE_BY_RCU
    )  # fmt: skip
    assert geometry(row.name, 192, flags=row.flags).size == 256
    assert geometry(row.name, 192, flags=row.flags, freeptr_offset=FREEPTR_OFFSETS[row.name]).size == 192


def test_free_pointers_inside_are_where_this_kernel_has_them():
    vmlinux = Path("/sys/kernel/btf/vmlinux")
    if rules(live.source().kernel) != "6.18" or not vmlinux.exists() or os.uname().machine != "x86_64":
        pytest.skip("no 6.18 that describes its types")
    structs = {"vm_area_struct": "vm_area_struct", "filp": "file", "bfilp": "backing_file"}
    kernel = btf.Btf(vmlinux.read_bytes())
    said = {cache: kernel.offsets(struct) for cache, struct in structs.items()}
    found = {
        cache: [at for member, at in members.items() if member.endswith("freeptr")] for cache, members in said.items()
    }
    assert found == {cache: [offset] for cache, offset in FREEPTR_OFFSETS.items()}


def test_free_pointers_where_the_kernel_has_them():
    """stateK.slabs of a traced boot holds ``kmem_cache.offset``, read from the machine's memory.

    A shared cache has the name, and the offset, of the first one that was made; what that asked for alone is known
    from a boot of the same kernel in which nothing merges.
    """
    first = {row.name: row for row in recording(DEBUGGED).slab_table}
    lines = recording("trace-slab-6.1").text("state0.slabs.tsv.gz").splitlines()
    words = [line.split("\t") for line in lines if line.startswith("CACHE\t")]
    caches = {name: tuple(map(int, numbers[:7])) for _, name, *numbers in words}
    assert len(caches) == 145
    for name, (size, object_size, offset, min_partial, cpu_partial_slabs, objects, order) in caches.items():
        row = first[name]
        wish = kmalloc_align(row.object_size, "6.1") if row.usersize == row.object_size else WISHES.get(name, 0)
        made = geometry(
            name, row.object_size, wish, row.flags & ~DEBUG_FLAGS, kernel="6.1", has_ctor=row.has_ctor
        )  # fmt: skip
        assert row.object_size <= object_size
        assert (made.size, made.offset, made.order, made.objs_per_slab) == (size, offset, order, objects), name
        assert (made.min_partial, made.cpu_partial_slabs) == (min_partial, cpu_partial_slabs), name


@pytest.mark.parametrize("name", TABLES)
def test_kmalloc_caches_of_every_recording(name):
    recorded = recording(name)
    rows = {row.name: row for row in recorded.slab_table}
    smallest = smallest_of(rows)
    for kind in KINDS:
        sizes = [size for size in SIZES if kmalloc_name(size, kind) in rows]
        assert sizes == sorted({kmalloc_size(n, smallest) for n in range(1, 8193)}), kind
        for size in sizes:
            row = rows[kmalloc_name(size, kind)]
            assert row.object_size == row.usersize == size
            assert row.flags & KINDS[kind] == KINDS[kind] & ~SlabFlags.ACCOUNT


def test_classes_where_devices_need_lines_of_their_own():
    assert [kmalloc_size(n, 64) for n in (1, 65, 129, 8193)] == [64, 128, 192, None]
    assert [kmalloc_size(n, 128) for n in (1, 129)] == [128, 256]
    assert [kmalloc_size(n, 32) for n in (1, 65, 129)] == [32, 96, 192]


@pytest.mark.parametrize("name", TABLES)
def test_shared_caches_are_named_by_flags_and_size(name):
    shared_ids_hold(recording(name).slab_table, 4 if name.startswith("i386") else 8)


def test_shared_caches_of_this_machine():
    shared_ids_hold(live_table(), 8)


def shared_ids_hold(rows, word):
    """Every cache is alone for a reason that unmergeable() gives, or shared under the name that unique_id() gives."""
    for row in rows:
        if row.links_to:
            continue
        flags = row.flags | (SlabFlags.ACCOUNT if "A" in row.name and row.name.startswith(":") else SlabFlags(0))
        made = geometry(row.name, row.object_size, row.align, flags, word=word, has_ctor=row.has_ctor)
        if row.name.startswith(":"):
            assert not unmergeable(made, row.usersize), row
            assert unique_id(made) == row.name
            assert row.aliases == sum(other.links_to == row.name for other in rows) - 1
        else:
            assert unmergeable(made, row.usersize) or row.name in ALONE, row
            assert row.aliases == 0


def asked_for(row, links_to):
    """Geometry of a cache without debugging, from its row with debugging; its ``links_to`` says if it is accounted."""
    account = SlabFlags.ACCOUNT if links_to.startswith(":") and "A" in links_to else SlabFlags(0)
    flags = row.flags & ~DEBUG_FLAGS | account
    return geometry(row.name, row.object_size, WISHES.get(row.name, 0), flags, kernel="6.1", has_ctor=row.has_ctor)


@pytest.mark.parametrize("name", MERGED)
def test_which_caches_merge_is_predicted(name):
    """A boot with slub_debug merges nothing: it shows what each of the 199 caches of this kernel was created with.

    Created one after the other they must come to share what they share in boots without debugging.
    """
    created = {row.name: row for row in recording(DEBUGGED).slab_table}
    order = [line.name for line in recording(DEBUGGED).slabinfo.lines][::-1]
    assert sorted(order) == sorted(created)
    real = {row.name: row.links_to for row in recording(name).slab_table if not row.name.startswith(":")}
    known, found = [], {}
    for each in order:
        row, made = created[each], asked_for(created[each], real[each])
        if unmergeable(made, row.usersize):
            found[each] = ""
            continue
        same = find_mergeable(row.object_size, WISHES.get(each, 0), made.flags, known)
        if same is None:
            known.append(made)
        found[each] = unique_id(same or made)
    assert found == real
    assert len(set(found.values())) > 50


def test_debugging_keeps_caches_apart_unless_it_only_checks():
    plain = geometry("x", 64)
    assert not unmergeable(plain)
    assert not unmergeable(replace(plain, flags=SlabFlags.CONSISTENCY_CHECKS))
    for flag in (SlabFlags.RED_ZONE, SlabFlags.POISON, SlabFlags.STORE_USER, SlabFlags.TYPESAFE_BY_RCU):
        assert unmergeable(replace(plain, flags=flag))
    assert unmergeable(plain, usersize=8)
    assert unmergeable(replace(plain, name="kmem_cache"))
    assert unmergeable(geometry("x", 64, has_ctor=True))


def test_a_cache_merges_into_one_of_its_size_and_kind():
    known = [geometry("a", 64), geometry("b", 104), geometry("c", 64, flags=SlabFlags.ACCOUNT)]
    assert find_mergeable(57, 0, SlabFlags(0), known) is known[0]
    assert find_mergeable(56, 0, SlabFlags(0), known) is None
    assert find_mergeable(64, 0, SlabFlags.ACCOUNT, known) is known[2]
    assert find_mergeable(64, 0, SlabFlags.RECLAIM_ACCOUNT, known) is None
    assert find_mergeable(104, 16, SlabFlags(0), known) is None
    assert find_mergeable(104, 8, SlabFlags(0), known) is known[1]
    assert find_mergeable(60, 64, SlabFlags(0), known) is known[0]


def test_word_and_alignment():
    assert geometry("x", 1).size == 8
    assert geometry("x", 1, word=4).size == 8
    assert geometry("x", 12, word=4).size == 16
    assert geometry("x", 12, word=4).offset == 4
    assert geometry("x", 20, align=32).size == 32
    assert alignment(33, flags=SlabFlags.HWCACHE_ALIGN) == 64
    assert alignment(16, flags=SlabFlags.HWCACHE_ALIGN) == 16
    assert alignment(16, align=128, flags=SlabFlags.HWCACHE_ALIGN) == 128


def test_debugging_lays_its_metadata_behind_the_object():
    """As check_object() and get_info_end() see it: [left red zone][object][red zone][free pointer][users][padding]."""
    every = geometry("x", 64, flags=DEBUG_FLAGS)
    assert (every.red_left_pad, every.inuse, every.offset, every.size) == (8, 72, 72, 8 + 64 + 8 + 8 + 64 + 8)
    assert geometry("x", 60, flags=DEBUG_FLAGS).inuse == 64
    assert geometry("x", 64, 64, DEBUG_FLAGS).red_left_pad == 64
    assert geometry("x", 64, flags=SlabFlags.RED_ZONE).offset == 32
    assert geometry("x", 4, flags=SlabFlags.RED_ZONE).offset == 8
    assert geometry("x", 64, flags=SlabFlags.POISON).offset == 64
    assert every.cpu_partial == every.cpu_partial_slabs == 0


def test_no_free_pointer_lies_in_a_red_zone_of_kmalloc():
    flags = SlabFlags.RED_ZONE | SlabFlags.STORE_USER
    assert geometry("kmalloc-64", 64, 64, flags, kmalloc=True).offset == 72
    assert geometry("kmalloc-64", 64, 64, flags, kmalloc=True, kernel="6.1").offset == 32
    assert geometry("x", 64, 64, flags).offset == 32


def test_the_free_pointer_goes_behind_what_must_survive_the_free():
    assert geometry("x", 64).offset == 32
    assert geometry("x", 64, has_ctor=True).offset == 64
    assert geometry("x", 64, flags=SlabFlags.TYPESAFE_BY_RCU).offset == 64
    assert geometry("x", 64, flags=SlabFlags.TYPESAFE_BY_RCU, freeptr_offset=8).offset == 8
    assert geometry("x", 64, flags=SlabFlags.TYPESAFE_BY_RCU, freeptr_offset=8).size == 64
    assert geometry("x", 64, flags=SlabFlags.TYPESAFE_BY_RCU, freeptr_offset=8, has_ctor=True).offset == 64


def test_more_cpus_want_more_objects():
    assert [slab_order(512, cpus) for cpus in (1, 2, 4, 8, 64)] == [0, 1, 1, 2, 2]


def test_large_objects_rather_two_in_a_slab_than_little_waste():
    """Since 6.7 up to half of a slab may be wasted before fewer objects are put into one; before, a quarter."""
    assert [slab_order(12_000, 2, kernel) for kernel in ("6.18", "6.1")] == [3, 2]
    assert [slab_order(20_000, 2, kernel) for kernel in ("6.18", "6.1")] == [3, 3]


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
        (
            {"flags": SlabFlags.TYPESAFE_BY_RCU, "freeptr_offset": 60},
            ValueError,
            "60, must be a multiple of 8 below 64",
        ),
        ({"flags": SlabFlags.TYPESAFE_BY_RCU, "freeptr_offset": 64}, ValueError, "is 64"),
        ({"flags": SlabFlags.TYPESAFE_BY_RCU, "freeptr_offset": -8}, ValueError, "is -8"),
        ({"freeptr_offset": 8}, ValueError, "only caches TYPESAFE_BY_RCU have one"),
        ({"object_size": 4 << 20, "has_ctor": True}, ValueError, "take 4194312 bytes each: no block"),
    ],
)
def test_what_cannot_be_is_refused_by_name(arguments, error, words):
    with pytest.raises(error, match=words.replace("(", r"\(")):
        geometry("x", **{"object_size": 64, **arguments})
