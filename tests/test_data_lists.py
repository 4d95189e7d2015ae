"""The readers of recorded free lists and traces: what they find, and how they refuse damage."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from mmkit.data.events import DirectFree, Extfrag, Marker, PageAlloc, PcpDrain, ZoneTake, read_events
from mmkit.data.lines import folder_of, release_of
from mmkit.data.lists import read_lists, read_pcp_lists
from mmkit.errors import FormatError

RECORDINGS = {"trace-buddy-6.1": 7, "trace-fallback-6.1": 3, "trace-frag-6.12": 3}
STATE = """# comment
ZONE DMA start_pfn 1 spanned 1023 watermarks 1 2 3
FREE DMA 0 1 3 9
FREE DMA 4 0 10
PCPINFO DMA count=3 high=4 batch=1 free_factor=0 lists=14
PCP DMA 0 5 7 6
PB 01
"""


def buddyinfo(recording: str, k: int) -> dict[str, tuple[int, ...]]:
    lines = folder_of(recording).joinpath(f"snap{k}.buddyinfo").read_text().splitlines()
    return {line.split()[3]: tuple(map(int, line.split()[4:])) for line in lines}


def write(folder: Path, name: str, text: str) -> Path:
    folder.joinpath("uname").write_text("Linux captured 6.1.0-50-amd64 #1 x86_64\n")
    folder.joinpath(name).write_bytes(gzip.compress(text.encode()))
    return folder


@pytest.mark.parametrize(("recording", "k"), [(name, k) for name, count in RECORDINGS.items() for k in range(count)])
def test_lists_add_up_to_the_buddyinfo_of_the_same_moment(recording: str, k: int) -> None:
    zones = read_lists(recording, k)
    assert {name: zone.counts for name, zone in zones.items()} == buddyinfo(recording, k)
    for zone in zones.values():
        assert zone.free_pages == zone.allocated.count(0)
        assert zone.kernel == ("6.1" if recording.endswith("-6.1") else "6.18")
        assert str(zone.source) == f"recording (kernel {release_of(recording)}), {recording}, snapshot {k}"


@pytest.mark.parametrize(("recording", "k"), [(name, k) for name, count in RECORDINGS.items() for k in range(count)])
def test_per_cpu_lists_hold_as_many_pages_as_the_kernel_counts(recording: str, k: int) -> None:
    for pcp in read_pcp_lists(recording, k).values():
        orders = [index // 3 for index in range(12)] + [9, 9]
        assert pcp.count == sum(len(pfns) << order for order, pfns in zip(orders, pcp.lists, strict=True))


def test_lists_keep_order_and_place(tmp_path: Path) -> None:
    recording = write(tmp_path, "state0.lists.txt.gz", STATE)
    zone = read_lists(recording, 0)["DMA"]
    assert zone.free_lists[0][1] == (3, 9)
    assert zone.free_lists[4][0] == (16,)
    assert zone.pageblocks == b"\x00\x01"
    assert [zone.allocated[pfn - 1] for pfn in (1, 3, 9, 15, 16, 31, 32)] == [255, 0, 0, 255, 0, 0, 255]
    assert read_pcp_lists(recording, 0)["DMA"].lists[0] == (5, 7, 6)


@pytest.mark.parametrize(
    ("line", "instead", "line_no"),
    [
        ("FREE DMA 4 0 10", "FREE DMA 4 0 11", 4),
        ("FREE DMA 4 0 10", "FREE DMA 11 0 10", 4),
        ("FREE DMA 4 0 10", "FREE DMA 4 7 10", 4),
        ("FREE DMA 4 0 10", "FREE HighMem 4 0 10", 4),
        ("FREE DMA 4 0 10", "FREE DMA 4 0 zz", 4),
        ("FREE DMA 4 0 10", "FREE DMA 4 0 400", 4),
        ("FREE DMA 4 0 10", "FREED DMA 4 0 10", 4),
        ("FREE DMA 4 0 10", "", 4),
        ("ZONE DMA start_pfn 1 spanned 1023 watermarks 1 2 3", "ZONE DMA", 2),
        ("PCPINFO DMA count=3 high=4 batch=1 free_factor=0 lists=14", "PCPINFO DMA count=3", 5),
        ("PCPINFO DMA count=3 high=4 batch=1 free_factor=0 lists=14\nPCP DMA 0 5 7 6\n", "", 5),
        ("PCP DMA 0 5 7 6", "PCP DMA 14 5 7 6", 6),
        ("PB 01", "PB 0", 7),
        ("PB 01\n", "", 7),
        ("PB 01\n", "PB 01\nPB 01\n", 8),
    ],
)
def test_damaged_lists_are_refused_by_line(tmp_path: Path, line: str, instead: str, line_no: int) -> None:
    recording = write(tmp_path, "state0.lists.txt.gz", STATE.replace(line, instead))
    with pytest.raises(FormatError, match=rf"state0.lists.txt.gz, line {line_no}: expected") as caught:
        read_lists(recording, 0)
    assert caught.value.line_no == line_no


def test_events_of_each_kind() -> None:
    rows = list(read_events("trace-fallback-6.1"))
    assert rows[0] == Marker(2, 0, "-", 163, "SNAP-BEGIN 0")
    assert sum(isinstance(row, ZoneTake) for row in rows) == 27_116
    assert sum(isinstance(row, PcpDrain) for row in rows) == 27_425
    extfrags = [row for row in rows if isinstance(row, Extfrag)]
    assert [(hex(row.pfn), row.fallback_order, row.change_ownership) for row in extfrags] == [
        ("0xb800", 10, True), ("0x6600", 9, True), ("0xba00", 9, True), ("0x6500", 8, True), ("0x400", 10, True),
    ]  # fmt: skip
    assert all(row.silent and row.context == "s" for row in rows if isinstance(row, DirectFree))
    first = next(row for row in rows if isinstance(row, PageAlloc))
    assert first[4:] == (0x625E, 1, 0, "GFP_KERNEL_ACCOUNT|__GFP_ZERO")


@pytest.mark.parametrize(
    "damaged",
    [
        "5\t-\t1\tZ\t400\t0\t1", "5\t-\t1\tZ\t400\t0\t1\t2", "5\t-\t1\tQ\t400", "5\t-", "5\t-\t1\tF\tpfn\t0",
        "5\t-\t1\tF\t400\t0\t0", "x\t-\t1\tF\t400\t0", "5\t-\t1\tG\t400\t0\tloud", "",
    ],
)  # fmt: skip
def test_damaged_events_are_refused_by_line(tmp_path: Path, damaged: str) -> None:
    recording = write(tmp_path, "trace.tsv.gz", f"# head\n0\t-\t1\tF\t400\t0\n{damaged}\n")
    rows = read_events(recording)
    next(rows)
    with pytest.raises(FormatError, match=r"trace\.tsv\.gz, line 3: expected"):
        next(rows)


def test_a_file_that_is_cut_off_is_refused_where_it_ends(tmp_path: Path) -> None:
    recording = write(tmp_path, "trace.tsv.gz", "".join(f"{t}\t-\t1\tF\t{t:x}\t0\n" for t in range(5000)))
    packed = tmp_path / "trace.tsv.gz"
    packed.write_bytes(packed.read_bytes()[:5000])
    read = 0
    with pytest.raises(FormatError, match="more of the compressed text") as caught:  # noqa: PT012
        for row in read_events(recording):
            read = row.line_no
    assert 0 < read < caught.value.line_no <= 5000
    write(tmp_path, "trace.tsv.gz", "0\t-\t1\tF\t400\t0\n1\t-\t1\tF\t40")
    with pytest.raises(FormatError, match="line 2: expected a line that is complete"):
        list(read_events(recording))
    packed.write_bytes(b"0\t-\t1\tF\t400\t0\n")
    with pytest.raises(FormatError, match="line 1"):
        list(read_events(recording))


def test_unknown_recordings_and_snapshots() -> None:
    with pytest.raises(ValueError, match=r"no recording 'trace-buddy-7': choose one of .*trace-buddy-6\.1"):
        read_lists("trace-buddy-7", 0)
    with pytest.raises(FileNotFoundError, match="state9"):
        read_lists("trace-buddy-6.1", 9)
