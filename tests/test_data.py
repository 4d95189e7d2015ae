"""The recordings as a teacher or a lab meets them: by name, lazily, from wherever mmkit is installed."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib.resources import files
from itertools import islice
from pathlib import Path

import pytest

from mmkit.data import MemoryRange, recording, recordings
from mmkit.data.boot import Recording
from mmkit.errors import FormatError
from mmkit.model.snapshot import FrameUse
from mmkit.proc import buddyinfo, pagetypeinfo, zoneinfo

FOLDER = Path(str(files("mmkit.data")))


def test_names():
    assert recordings() == tuple(sorted(path.parent.name for path in FOLDER.glob("*/uname")))
    assert {"amd64-4g", "host-6.18", "trace-buddy-6.1"} <= set(recordings())
    with pytest.raises(
        ValueError, match=r"no recording 'amd64': choose one of amd64-4g, amd64-movablecore, .*trace-slab"
    ):
        recording("amd64")


def test_the_readme_names_every_recording_and_every_kind_of_file():
    readme = (FOLDER / "README.md").read_text()
    assert [name for name in recordings() if f"`{name}`" not in readme] == []
    kinds = {re.sub(r"^(snap|state)\d+\.|^trace_\w+?\.|\.(after|before)$", "", Path(file).name) for file in all_files()}
    kinds = {re.sub(r"^\d-.*\.", "zones .", kind) for kind in kinds}
    assert [kind for kind in sorted(kinds) if kind.split(".")[0].split(" ")[0] not in readme] == []


def all_files() -> list[str]:
    return [file for name in recordings() for file in recording(name).files]


@pytest.mark.parametrize("name", recordings())
def test_each_recording_holds_its_zones_and_says_where_they_come_from(name):
    recorded = recording(name)
    assert recorded.kernel in (FOLDER / name / "uname").read_text()
    assert str(recorded.source) == f"recording (kernel {recorded.kernel}), {name}"
    assert repr(recorded) == f"Recording({name!r}, kernel {recorded.kernel})"
    for snapshot, module in [
        (recorded.zoneinfo, zoneinfo),
        (recorded.buddyinfo, buddyinfo),
        (recorded.pagetypeinfo, pagetypeinfo),
    ]:
        assert snapshot.source is recorded.source
        assert module.format(snapshot) == recorded.text(module.__name__.rsplit(".")[-1])
    assert buddyinfo.format(recorded.memory) == recorded.text("buddyinfo")


@pytest.mark.parametrize("name", recordings())
def test_every_other_text_file_of_a_recording_is_read_by_name(name):
    recorded = recording(name)
    readers = {
        "buddyinfo": (recorded.read_buddyinfo, buddyinfo),
        "zoneinfo": (recorded.read_zoneinfo, zoneinfo),
        "pagetypeinfo": (recorded.read_pagetypeinfo, pagetypeinfo),
    }
    for file in recorded.files:
        for kind, (read, module) in readers.items():
            if kind in file and "." in file:
                assert module.format(read(file)) == recorded.text(file)
                assert str(read(file).source) == f"recording (kernel {recorded.kernel}), {name}, {file}"


def test_nothing_is_read_before_it_is_asked_for():
    script = """
import sys, builtins, io
import mmkit.data as data
assert "numpy" not in sys.modules, "numpy"
assert not {name for name in sys.modules if name.startswith("mmkit.proc")}, "parsers"
one = data.recording("trace-buddy-6.1")
assert not {name for name in vars(one) if name in ("zoneinfo", "buddyinfo", "kernel")}, vars(one)
one.zoneinfo
assert one.zoneinfo is one.zoneinfo is data.recording("trace-buddy-6.1").zoneinfo
assert "buddyinfo" not in vars(one)
"""
    subprocess.run([sys.executable, "-c", script], check=True)


def test_files_and_their_content():
    recorded = recording("amd64-4g")
    assert "zones/1-recomputed.zoneinfo" in recorded.files
    assert recorded.text("zones/0-as-booted.zoneinfo").startswith("Node 0, zone      DMA\n")
    assert len(recorded.data("kpageflags.bin.gz")) == 8 * 1310720
    for file in ("nothing", "", "..", "../README.md", "zones", "/etc/passwd", None):
        with pytest.raises(ValueError, match=r"recording amd64-4g has no file .*: choose one of .*zoneinfo"):
            recorded.text(file)


def test_settings():
    assert recording("amd64-4g").settings["min_free_kbytes"] == "67584"
    settings = recording("amd64-4g").read_settings("zones/5-ratio64.sysctl")
    assert settings["lowmem_reserve_ratio"] == "64 64 64 64 64"


@pytest.mark.parametrize("name", [name for name in recordings() if "iomem" in recording(name).files])
def test_memory_maps_fit_the_zones(name):
    recorded = recording(name)
    assert list(recorded.ram) == sorted(recorded.ram)
    # present counts whole frames; the kernel never uses the first.
    pages = sum(end // 4096 - -(-max(start, 4096) // 4096) for start, end in recorded.ram)
    present = sum(zone.present for zone in recorded.zoneinfo.zones)
    assert present == pages


def test_memory_map_of_the_firmware_and_of_the_kernel():
    assert recording("amd64-4g").memory_map[0] == MemoryRange(0, 0x9FC00, "System RAM")
    assert recording("amd64-4g").memory_map[1].kind == "Reserved"
    # No firmware map on arm64: what the kernel made of the device tree.
    assert "firmware_memmap" not in recording("arm64-4g").files
    assert recording("arm64-4g").ram == ((1 << 30, 5 << 30),)


def test_a_damaged_memory_map(tmp_path, monkeypatch):
    text = recording("amd64-4g").text("firmware_memmap")
    for damaged, line_no in [(text.replace("1 0x9fc00", "7 0x9fc00"), 2), (text.replace("0xfffff", "oxfffff"), 3)]:
        recorded = Recording("amd64-4g")
        monkeypatch.setattr(recorded, "text", lambda file, damaged=damaged: damaged)
        with pytest.raises(FormatError, match=f"firmware_memmap, line {line_no}: expected"):
            _ = recorded.memory_map


def test_frame_maps():
    frames = recording("i386-686-2g").frame_map()
    assert frames.source == recording("i386-686-2g").source
    assert frames.uses.count(FrameUse.FREE) == 506797
    with pytest.raises(ValueError, match=r"host-6.18 has no frame map: choose one of amd64-4g, .*i386-pae-6g$"):
        recording("host-6.18").frame_map()


def test_free_blocks_from_the_flags_of_frames():
    recorded = recording("i386-686-2g")
    buddy = recorded.buddy("DMA")
    assert buddy.counts == recorded.buddyinfo.zones[0].counts
    assert (buddy.pageblock_order, buddy.kernel, buddy.source) == (10, "6.1", recorded.source)
    with pytest.raises(
        ValueError, match=r"no populated zone 'DMA32' of node 0: choose one of DMA of node 0, Normal of"
    ):
        recorded.buddy("DMA32")
    with pytest.raises(ValueError, match=r"no populated zone 'DMA' of node 1"):
        recorded.buddy("DMA", node=1)


def test_free_lists_and_per_cpu_lists():
    recorded = recording("trace-buddy-6.1")
    assert recorded.snapshots == tuple(range(7))
    assert recording("amd64-4g").snapshots == ()
    zones = recorded.free_lists(0)
    counts = {row.zone: row.counts for row in recorded.read_buddyinfo("snap0.buddyinfo").zones}
    assert {name: zone.counts for name, zone in zones.items()} == counts
    high = {zone.name: zone.pcp[0].high for zone in recorded.read_zoneinfo("snap2.zoneinfo").zones if zone.present}
    assert {name: pcp.high for name, pcp in recorded.pcp_lists(2).items()} == high
    with pytest.raises(ValueError, match=r"trace-buddy-6.1 has no snapshot 7: choose 0 to 6"):
        recorded.free_lists(7)
    known = r"trace-buddy-6.1, trace-compact-6.1, trace-fallback-6.1"
    with pytest.raises(ValueError, match=f"amd64-4g has no free lists: choose one of {known}"):
        recording("amd64-4g").pcp_lists()


def test_events():
    first = next(islice(recording("trace-fallback-6.1").events(), 1))
    assert first.text == "SNAP-BEGIN 0"
    with pytest.raises(ValueError, match=r"amd64-4g has no trace: choose one of trace-buddy-6.1, trace-compact-6.1"):
        recording("amd64-4g").events()
