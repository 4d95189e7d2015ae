"""What the parsed slabinfo and the slab table hold, and that nothing of the texts gets lost."""

from __future__ import annotations

import gzip
import os
import re
import sys
from pathlib import Path

import pytest
from formats import DATA

from mmkit.data import recording, recordings
from mmkit.errors import FormatError, LiveError
from mmkit.model.slabstate import SlabInfo, SlabInfoLine
from mmkit.model.snapshot import MODEL
from mmkit.proc import live, slabinfo, slabtable

TEXTS = [path for path in sorted(DATA.rglob("*slabinfo*")) if path.is_file()]
AS_ROOT = pytest.mark.skipif(
    not sys.platform.startswith("linux") or os.geteuid() != 0, reason="/proc/slabinfo is shown to root of Linux only"
)


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


DAMAGE = [
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


def test_a_damaged_table_names_the_line():
    text = recording("amd64-4g").text("slab_table.tsv.gz")
    lines = text.splitlines()
    with pytest.raises(FormatError, match=r"slab_table\.tsv, line 3"):
        slabtable.parse("\n".join([*lines[:2], lines[2].rsplit("\t", 2)[0], *lines[3:]]))
    with pytest.raises(FormatError, match=r"slab_table\.tsv, line 2"):
        slabtable.parse(text.replace("\t24\t24\t8", "\t24\tmany\t8", 1))
    with pytest.raises(FormatError, match="the names of the columns"):
        slabtable.parse("")


@AS_ROOT
def test_this_machine_byte_for_byte():
    text = live.read("slabinfo").decode()
    assert slabinfo.format(slabinfo.parse(text)) == text
    assert live.slabinfo().source.kind == "live"


@AS_ROOT
def test_the_slab_table_of_this_machine():
    rows = {row.name: row for row in live.slab_table()}
    assert {"kmalloc-64", "vm_area_struct", "dentry"} <= set(rows)
    assert all(rows[row.links_to].object_size == row.object_size for row in rows.values() if row.links_to)


def test_without_it_the_reason_is_told(monkeypatch, tmp_path):
    monkeypatch.setattr(live, "SLAB", tmp_path / "nothing")
    with pytest.raises(LiveError, match="/sys/kernel/slab does not exist here"):
        live.slab_table()
