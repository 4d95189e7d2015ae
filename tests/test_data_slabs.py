"""The reader of recorded slab caches: it agrees with what the kernel said of itself, and refuses damage."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from mmkit.data import recording
from mmkit.data.lines import folder_of
from mmkit.data.slabs import read_slabs
from mmkit.errors import FormatError
from mmkit.model.slabstate import CacheSnapshot, ObjectState, Place

NAME = "trace-slab-6.1"
STATE = """# comment
CACHE\tdentry\t192\t192\t96\t5\t12\t21\t0\t6419\t6418,7\t8
SLAB\tdentry\t8\t0\t21\t20\t0\tnode:0\t3\t-
SLAB\tdentry\t7\t0\t21\t20\t1\tcpu_partial:1\t3\t-
SLAB\tdentry\t6418\t0\t21\t20\t1\tcpu_partial:0\t3\t-
SLAB\tdentry\t9\t0\t21\t21\t0\tfull\t-\t-
SLAB\tdentry\t6419\t0\t21\t21\t1\tcpu\t0,20\t7,5
"""


@pytest.mark.parametrize("k", range(5))
def test_every_slab_is_at_one_place_and_every_object_known(k: int) -> None:
    caches = read_slabs(NAME, k)
    assert len(caches) == 145
    slabs = [slab for cache in caches.values() for slab in cache.slabs]
    assert len({slab.pfn for slab in slabs}) == len(slabs) > 2600
    for cache in caches.values():
        places = [slab.place for slab in cache.slabs]
        assert places == sorted(places)
        assert places.count(Place.CPU) <= 1
        for slab in cache.slabs:
            assert (slab.place is Place.FULL) <= (slab.inuse == len(slab.objects) == cache.geometry.objs_per_slab)
            assert not slab.cpu_freelist or slab.place is Place.CPU


@pytest.mark.parametrize("k", range(5))
def test_slabs_and_objects_add_up_to_the_slabinfo_of_the_same_moment(k: int) -> None:
    """There only what is free in slabs of the node's list counts as free, not what a CPU has for itself."""
    caches = read_slabs(NAME, k)
    lines = {line.name: line for line in recording(NAME).read_slabinfo(f"snap{k}.slabinfo.gz").lines}
    assert set(caches) <= set(lines)
    for name, cache in caches.items():
        line = lines[name]
        assert (line.objsize, line.objperslab) == (cache.geometry.size, cache.geometry.objs_per_slab), name
        assert (line.num_slabs, line.num_objs) == (len(cache.slabs), cache.num_objs), name
        on_node = sum(len(slab.objects) - slab.inuse for slab in cache.slabs if slab.place is Place.NODE)
        assert line.active_objs == cache.num_objs - on_node, name


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    tmp_path.joinpath("uname").write_text("Linux captured 6.1.0-50-amd64 #1 x86_64\n")
    tmp_path.joinpath("slab_table.tsv.gz").write_bytes(folder_of(NAME).joinpath("slab_table.tsv.gz").read_bytes())
    return tmp_path


def read(folder: Path, text: str) -> CacheSnapshot:
    folder.joinpath("state0.slabs.tsv.gz").write_bytes(gzip.compress(text.encode()))
    return read_slabs(folder, 0)["dentry"]


def test_lists_keep_order_and_place(folder: Path) -> None:
    cache = read(folder, STATE)
    assert [(slab.pfn, slab.place, slab.cpu) for slab in cache.slabs] == [
        (0x6419, Place.CPU, 0),
        (0x6418, Place.CPU_PARTIAL, 0),
        (0x7, Place.CPU_PARTIAL, 0),
        (0x8, Place.NODE, None),
        (0x9, Place.FULL, None),
    ]
    first = cache.slabs[0]
    assert (first.freelist, first.cpu_freelist, first.address) == ((0, 20), (7, 5), 0xFFFF_8880_0641_9000)
    assert [first.objects[index] for index in (0, 1, 5, 7)] == [
        ObjectState.FREE, ObjectState.ALLOCATED, ObjectState.CPU_FREE, ObjectState.CPU_FREE,
    ]  # fmt: skip
    assert (first.inuse, cache.geometry.align, cache.geometry.cpu_partial) == (17, 8, 120)
    assert str(cache.source).endswith("snapshot 0")


@pytest.mark.parametrize(
    ("line", "instead", "line_no"),
    [
        ("CACHE\tdentry\t192", "CACHE\tdentries\t192", 2),
        ("CACHE\tdentry\t192", "CACHE\tdentry\tmany", 2),
        ("CACHE\t", "CASH\t", 2),
        ("SLAB\tdentry\t8\t", "SLAB\tinode\t8\t", 3),
        ("node:0\t3\t-", "node:0\t21\t-", 3),
        ("node:0\t3\t-", "node:0\t3,3\t-", 3),
        ("node:0\t3\t-", "node:0\t3", 3),
        ("node:0\t3\t-", "nowhere\t3\t-", 3),
        ("SLAB\tdentry\t7\t", "SLAB\tdentry\tseven\t", 4),
        ("full\t-\t-", "full\t1\t-", 6),
    ],
)
def test_damage_is_refused_with_its_line(folder: Path, line: str, instead: str, line_no: int) -> None:
    assert line in STATE
    with pytest.raises(FormatError, match=rf"state0.slabs.tsv.gz, line {line_no}: expected"):
        read(folder, STATE.replace(line, instead, 1))


def test_what_was_not_recorded() -> None:
    with pytest.raises(FileNotFoundError):
        read_slabs(NAME, 5)
    with pytest.raises(ValueError, match="no recording 'trace-slob'"):
        read_slabs("trace-slob", 0)
