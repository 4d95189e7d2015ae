"""extfrag_index and unusable_index: byte for byte, damaged, computed from free blocks, and of the machine itself."""

from __future__ import annotations

import os
import random
import subprocess
import sys

import pytest
from formats import DATA

from mmkit import PhysicalMemory
from mmkit.errors import FormatError, LiveError
from mmkit.model.fragstate import FragmentationIndex, IndexZone
from mmkit.model.snapshot import BuddyInfo, BuddyInfoZone
from mmkit.proc import buddyinfo, extfrag, live
from mmkit.proc.text import RECORDING

RECORDED = sorted(path for name in extfrag.NAMES for path in DATA.rglob(f"{name}*"))

# By recording: zones whose index was not that of the buddyinfo beside it. Both files were read one after the other by a
# process that took the memory for reading from there; zones that it did not take from agree in every digit.
READ_FROM = {
    "amd64-4g/unusable_index": {(0, "Normal")},
    "amd64-4g/unusable_index.after": {(0, "Normal")},
    "amd64-movablecore/unusable_index": {(0, "Normal"), (0, "Movable")},
    "amd64-numa2/unusable_index": {(0, "DMA32"), (1, "Normal")},
    "arm64-4g/unusable_index": {(0, "Normal")},
    "i386-686-2g/unusable_index": {(0, "Normal")},
    "i386-pae-6g/unusable_index": {(0, "Normal")},
}


def parse(path):
    return extfrag.parse(path.read_text(encoding="ascii"), path.name.removesuffix(".after"))


def test_every_recording_comes_back_byte_for_byte():
    assert len(RECORDED) == 24
    for path in RECORDED:
        assert extfrag.format(parse(path)) == path.read_text(encoding="ascii"), path


def test_every_recording_is_what_the_free_blocks_say():
    differ = {}
    for path in RECORDED:
        beside = "buddyinfo" + path.suffix
        info = buddyinfo.parse(path.with_name(beside).read_text())
        found, computed = parse(path), extfrag.from_counts(info, path.name.removesuffix(".after"))
        assert [zone.zone for zone in found.zones] == [zone.zone for zone in computed.zones]
        pairs = zip(found.zones, computed.zones, strict=True)
        off = [(ours, theirs) for ours, theirs in pairs if ours != theirs]
        if off:
            differ[f"{path.parent.name}/{path.name}"] = {(ours.node, ours.zone) for ours, _ in off}
        for ours, theirs in off:  # of some hundred pages that came and went, no more
            assert max(abs(a - b) for a, b in zip(ours.index, theirs.index, strict=True)) <= 0.004
    assert differ == READ_FROM


@pytest.mark.parametrize("name", extfrag.NAMES)
def test_a_model_writes_what_the_kernel_would(name):
    memory = PhysicalMemory("X86_64", "32MiB")
    pages = [memory.alloc_pages("GFP_KERNEL") for _ in range(3000)]
    for page in pages[::3]:
        memory.free_pages(page)
    memory.drain_pages()
    computed = extfrag.from_counts(memory.snapshot(), name)
    assert extfrag.parse(extfrag.format(computed), name, computed.source) == computed
    counts = buddyinfo.from_model(memory.snapshot())
    assert extfrag.from_counts(counts, name) == computed
    for zone, row in zip([zone for zone in memory.zones if zone.buddy], computed.zones, strict=True):
        measure = zone.buddy.fragmentation_index if name == "extfrag_index" else zone.buddy.unusable_index
        assert row.index == tuple(map(measure, range(11)))


@pytest.mark.parametrize(
    ("thousandths", "extfrag_text", "unusable_text"),
    [
        (-1000, "-1.000", "-1.000"),
        (-125, " 0.-125", "0.-125"),
        (-20, " 0.-20", "0.-20"),
        (-5, " 0.-05", "0.-05"),
        (0, " 0.000", "0.000"),
        (7, " 0.007", "0.007"),
        (999, " 0.999", "0.999"),
        (1000, " 1.000", "1.000"),
    ],
)
def test_numbers_are_written_as_c_writes_them(thousandths, extfrag_text, unusable_text):
    """What ``%2d.%03d`` and ``%d.%03d`` make of index / 1000 and index % 1000."""
    for name, text in zip(extfrag.NAMES, (extfrag_text, unusable_text), strict=True):
        row = IndexZone(1, "Normal", (thousandths / 1000,))
        index = FragmentationIndex(RECORDING, name, (row,))
        assert extfrag.format(index) == f"Node 1, zone   Normal {text} \n"
        assert extfrag.parse(extfrag.format(index), name) == index


def test_all_indexes_that_small_zones_have_come_back():
    counts = [(a, b, c, d) for a in range(5) for b in range(4) for c in range(3) for d in range(2)]
    info = BuddyInfo(RECORDING, tuple(BuddyInfoZone(0, f"Z{i}", each) for i, each in enumerate(counts)))
    for name in extfrag.NAMES:
        index = extfrag.from_counts(info, name)
        assert extfrag.parse(extfrag.format(index), name) == index
    assert min(min(zone.index[1:3]) for zone in extfrag.from_counts(info, "extfrag_index").zones) == -1
    assert any(-1 < each < 0 for zone in extfrag.from_counts(info, "extfrag_index").zones for each in zone.index)


@pytest.mark.parametrize("name", extfrag.NAMES)
def test_damage_is_noticed(name):
    rng = random.Random(name)
    texts = [path.read_text() for path in RECORDED if path.name.startswith(name)]
    refused = [error for _ in range(500) if (error := why_refused(damaged(rng, texts), name)) is not None]
    assert len(refused) > 300
    assert {error.what for error in refused} == {name}


def damaged(rng, texts):
    text = rng.choice(texts)
    spot = rng.randrange(len(text))
    return text[:spot] + rng.choice(["", "5", "-", ".", " ", "\n", "x", text[spot] * 2]) + text[spot + 1 :]


def why_refused(text, name):
    """The error; None where nothing got lost."""
    try:
        index = extfrag.parse(text, name)
    except FormatError as error:
        return error
    assert extfrag.format(index) == text
    return None


def test_rows_are_of_one_length_and_names_are_known():
    text = (DATA / "amd64-4g" / "extfrag_index").read_text()
    with pytest.raises(FormatError, match="line 2: expected 'Node N, zone NAME' and 11 numbers with three decimals"):
        extfrag.parse(text.replace("DMA32 -1.000", "DMA32"), "extfrag_index")
    with pytest.raises(FormatError, match="line 1"):
        extfrag.parse("", "extfrag_index")
    with pytest.raises(ValueError, match="the file is one of extfrag_index, unusable_index, not 'buddyinfo'"):
        extfrag.parse(text, "buddyinfo")
    with pytest.raises(FormatError, match="unusable_index, line 1"):
        extfrag.parse(text.replace("-1.000", " 0.500"), "unusable_index")


@pytest.fixture
def debugfs(tmp_path, monkeypatch):
    """The kernel's debugfs, mounted for this test if it is not; only where nobody may is there nothing to test."""
    mounted = False
    if not os.access(live.DEBUG / "extfrag", os.R_OK):
        done = subprocess.run(["mount", "-t", "debugfs", "none", tmp_path], capture_output=True, check=False)
        mounted = not done.returncode
        monkeypatch.setattr(live, "DEBUG", tmp_path)
    if not (live.DEBUG / "extfrag").is_dir():
        pytest.skip("needs root, and a kernel with debugfs and compaction")
    yield
    if mounted:
        subprocess.run(["umount", tmp_path], check=True)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs Linux")
@pytest.mark.usefixtures("debugfs")
def test_this_machine_agrees_with_its_buddyinfo():
    exact = set()
    for _ in range(200):
        before = live.buddyinfo()
        found = live.extfrag_index(), live.unusable_index()
        after = live.buddyinfo()
        for i, zone in enumerate(before.zones):
            if after.zones[i] == zone:  # nothing came or went between the readings, as far as can be seen
                computed = [extfrag.from_counts(before, name).zones[i] for name in extfrag.NAMES]
                if [index.zones[i] for index in found] == computed:
                    exact.add(zone.zone)
        if len(exact) == len(before.zones):
            break
    assert exact
    assert before.zones[0].zone in exact
    for name in extfrag.NAMES:
        text = live.DEBUG.joinpath("extfrag", name).read_text()
        assert extfrag.format(extfrag.parse(text, name)) == text


def test_a_machine_without_debugfs(tmp_path, monkeypatch):
    monkeypatch.setattr(live, "DEBUG", tmp_path)
    monkeypatch.setattr(sys, "platform", "linux")
    missing = "/sys/kernel/debug/extfrag/unusable_index does not exist here: .* mount -t debugfs none /sys/kernel/debug"
    with pytest.raises(LiveError, match=missing):
        live.unusable_index()
    (tmp_path / "extfrag").mkdir()
    (tmp_path / "extfrag" / "unusable_index").write_bytes((DATA / "amd64-4g" / "unusable_index").read_bytes())
    assert live.unusable_index().zones[0].zone == "DMA"
    assert live.unusable_index().source.kind == "live"
