"""What the parsed slabinfo and the slab table hold, and that nothing of the texts gets lost."""

from __future__ import annotations

import gzip
import random
import re
from pathlib import Path

import pytest
from formats import DATA

from mmkit.data import recording, recordings
from mmkit.errors import FormatError, LiveError
from mmkit.model.slabstate import SlabInfo, SlabInfoLine
from mmkit.model.snapshot import MODEL
from mmkit.proc import live, slabinfo, slabtable

TEXTS = [path for path in sorted(DATA.rglob("*slabinfo*")) if path.is_file()]


def content(path: Path) -> str:
    return gzip.decompress(path.read_bytes()).decode() if path.suffix == ".gz" else path.read_text()


def test_there_are_recordings_of_many_kernels():
    assert len({path.parent for path in TEXTS}) >= 13


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: str(path.relative_to(DATA)))
def test_byte_for_byte(path):
    text = content(path)
    assert slabinfo.format(slabinfo.parse(text)) == text


def test_values():
    info = recording("host-6.18").slabinfo
    dentry = next(row for row in info.lines if row.name == "dentry")
    text = next(line for line in recording("host-6.18").text("slabinfo").splitlines() if line.startswith("dentry "))
    assert [dentry.active_objs, dentry.num_objs, dentry.objsize, dentry.objperslab, dentry.pagesperslab] == [
        int(word) for word in text.split()[1:6]
    ]
    assert dentry.pages == dentry.num_slabs * dentry.pagesperslab
    assert info.version == "2.1"
    assert str(info.source) == "recording (kernel 6.18.44), host-6.18" or "host-6.18" in str(info.source)


def test_wide_numbers_push_the_columns_apart():
    info = SlabInfo(MODEL, (SlabInfoLine("a_name_longer_than_seventeen", 12345678, 0, 1, 2, 3),))
    assert slabinfo.parse(slabinfo.format(info), MODEL) == info


def test_names_with_blanks_stay_whole():
    info = SlabInfo(MODEL, tuple(SlabInfoLine(name, 7, 8, 9, 1, 2) for name in ("two words", "a  1 2 3", "x 1 : y")))
    assert slabinfo.parse(slabinfo.format(info), MODEL) == info


def accepts(text: str) -> bool:
    """Whether ``text`` parses, after checking that nothing is lost or that the error names line and reason."""
    error = None
    try:
        info = slabinfo.parse(text)
    except FormatError as caught:
        error = caught
    if error is None:
        assert slabinfo.format(info) == text
        return True
    lines = [*text.split("\n"), "(end of text)"]
    assert error.what == "slabinfo"
    assert error.line in (lines[error.line_no - 1], "(end of text)")
    assert error.expected
    return False


@pytest.mark.parametrize("name", ["amd64-4g", "i386-686-2g", "host-6.18"])
def test_truncated_at_every_line_it_is_whole_or_refused(name):
    rows = recording(name).text("slabinfo").splitlines(keepends=True)
    assert [number for number in range(len(rows)) if accepts("".join(rows[:number]))] == list(range(2, len(rows)))


def test_truncated_anywhere():
    text = recording("i386-pae-6g").text("slabinfo")
    assert all(text[end - 1] == "\n" for end in range(3000) if accepts(text[:end]))


def test_mutated_bytes_and_lines():
    rng = random.Random("slabinfo")
    texts = [content(path) for path in TEXTS]
    for _ in range(700):
        text = rng.choice(texts)
        rows = text.splitlines(keepends=True)
        number = rng.randrange(len(rows))
        accepts("".join([*rows[:number], *rows[number + 1 :]]))
        assert not accepts("".join([*rows[:number], "\n", *rows[number:]]))
        for _ in range(rng.randint(1, 3)):
            spot = rng.randrange(len(text))
            piece = rng.choice([rng.choice("0123456789 \n,:<->(abcN\t\r\x00\x0b\x85\u2028²١é"), text[spot] * 2, ""])
            text = text[:spot] + piece + text[spot + 1 :]
        accepts(text)


DAMAGE = [
    (lambda text: text.replace("\n:", "\n", 1).replace(": slabdata", "slabdata", 1), 2, "sharedavail"),
    (lambda text: text.replace(" 21    1 : tunables", " 21    1    7 : tunables", 1), None, "found"),
    (lambda text: text.replace("slabinfo - version: 2.1", "slab", 1), 1, "version"),
    (lambda text: re.sub("# name", "name", text, count=1), 2, "columns"),
    (lambda text: text.replace(": tunables    0", ": tunables    x", 1), None, "tunables"),
    (lambda text: text[:-1], None, "newline"),
    (lambda text: text.replace("    0    0    0 : slabdata", "    0    00    0 : slabdata", 1), None, "slabdata"),
]


@pytest.mark.parametrize(("damage", "line_no", "word"), DAMAGE)
def test_damage_is_named_with_its_line(damage, line_no, word):
    text = damage(recording("amd64-4g").text("slabinfo"))
    with pytest.raises(FormatError, match="slabinfo, line") as caught:
        slabinfo.parse(text)
    assert line_no in (None, caught.value.line_no)
    assert word in str(caught.value)


@pytest.mark.parametrize("end", [0, 10, 500, 2000])
def test_truncated(end):
    text = recording("amd64-4g").text("slabinfo")[:end]
    with pytest.raises(FormatError):
        slabinfo.parse(text)


@pytest.mark.parametrize("name", [name for name in recordings() if "slab_table.tsv.gz" in recording(name).files])
def test_slab_table_and_slabinfo_tell_the_same(name):
    rows = {row.name: row for row in recording(name).slab_table}
    assert len(rows) == len(recording(name).slab_table)
    known = 0
    for line in recording(name).slabinfo.lines:
        row = rows.get(line.name)
        if row is not None:
            known += 1
            told = line.objsize, line.objperslab, line.pagesperslab
            assert (row.slab_size, row.objs_per_slab, 1 << row.order) == told
    assert known == len(recording(name).slabinfo.lines)
    shared = [row for row in rows.values() if row.links_to]
    assert all(rows[row.links_to].links_to == "" for row in shared)


def test_every_number_of_the_table_is_kept():
    row = next(row for row in recording("host-6.18").slab_table if row.name == ":0000024")
    assert (row.cpu_slabs, row.objects_cpu_partial, row.slabs_cpu_partial, row.partial) == (5, 255, 3, 11)
    assert (row.objects, row.objects_partial, row.total_objects, row.slabs) == (2680, 1660, 2890, 17)
    assert (row.remote_node_defrag_ratio, row.skip_kfence, row.sheaf_capacity, row.trace) == (100, None, None, 0)
    inode = next(row for row in recording("host-6.18").slab_table if row.name == "inode_cache")
    assert inode.has_ctor
    assert inode.ctor.startswith("init_once+0x0/")
    assert recording("i386-pae-6g").slab_table[0].remote_node_defrag_ratio is None


def test_a_row_without_what_some_kernels_lack():
    content = {"object_size": "56\n", "slabs": "3 N0=2 N1=1\n", "slabs_cpu_partial": "28(1) C0=28(1)\n"}
    row = slabtable.row_of("x", "", {**content, "sheaf_capacity": "32\n", "ctor": "\n"})
    assert (row.slabs, row.objects_cpu_partial, row.slabs_cpu_partial, row.sheaf_capacity) == (3, 28, 1, 32)
    assert not row.has_ctor
    for damaged in ("", "-1", "5 x", "5 N0=5 6", "٣"):
        with pytest.raises(ValueError, match="is no number"):
            slabtable.row_of("x", "", {**content, "slabs": damaged})
    with pytest.raises(ValueError, match=r"not 'objects\(slabs\)'"):
        slabtable.row_of("x", "", {**content, "slabs_cpu_partial": "28(1"})


def test_a_cache_that_goes_meanwhile_is_left_out(monkeypatch, tmp_path):
    for name in ("a", "b", "gone"):
        tmp_path.joinpath(name).mkdir()
    for name in ("a", "b"):
        for file in ("object_size", "slab_size"):
            tmp_path.joinpath(name, file).write_text("64\n")
    tmp_path.joinpath("alias").symlink_to("a")
    monkeypatch.setattr(live, "SLAB", tmp_path)
    assert [(row.name, row.links_to, row.object_size) for row in live.slab_table()] == [
        ("a", "", 64), ("alias", "a", 64), ("b", "", 64)
    ]  # fmt: skip


def test_a_damaged_table_names_the_line():
    text = recording("amd64-4g").text("slab_table.tsv.gz")
    lines = text.splitlines()
    with pytest.raises(FormatError, match=r"slab_table\.tsv, line 3"):
        slabtable.parse("\n".join([*lines[:2], lines[2].rsplit("\t", 2)[0], *lines[3:]]))
    with pytest.raises(FormatError, match=r"slab_table\.tsv, line 2"):
        slabtable.parse(text.replace("\t24\t24\t8", "\t24\tmany\t8", 1))
    with pytest.raises(FormatError, match="the names of the columns"):
        slabtable.parse("")


def test_this_machine_byte_for_byte():
    try:
        text = live.read("slabinfo").decode()
    except LiveError as error:
        pytest.skip(str(error))
    assert slabinfo.format(slabinfo.parse(text)) == text
    assert live.slabinfo().source.kind == "live"


def test_the_slab_table_of_this_machine():
    try:
        rows = {row.name: row for row in live.slab_table()}
    except LiveError as error:
        pytest.skip(str(error))
    assert {"kmalloc-64", "vm_area_struct", "dentry"} <= set(rows)
    assert all(rows[row.links_to].object_size == row.object_size for row in rows.values() if row.links_to)


def test_without_it_the_reason_is_told(monkeypatch, tmp_path):
    monkeypatch.setattr(live, "SLAB", tmp_path / "nothing")
    with pytest.raises(LiveError, match="/sys/kernel/slab does not exist here"):
        live.slab_table()
