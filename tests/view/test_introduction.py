"""The picture of chapter 01 says what the journey says, and its texts do not collide."""

from __future__ import annotations

import gzip
from importlib.resources import files
from itertools import combinations

import pytest

from mmkit.model.snapshot import Journey, MemorySnapshot, Source, ZoneSnapshot
from mmkit.proc import maps, pagemap
from mmkit.proc.journey import follow
from mmkit.view.introduction import JourneyPicture

RECORDED = files("mmkit.data") / "amd64-4g"


def zone(name: str, start: int, spanned: int) -> ZoneSnapshot:
    return ZoneSnapshot(0, name, start, spanned, spanned, spanned, 0, 0, 0, 0)


MEMORY = MemorySnapshot(
    Source("recording", "6.1"),
    (zone("DMA", 1, 4095), zone("DMA32", 4096, 1044480), zone("Normal", 1048576, 262144), zone("Movable", 0, 0)),
)


def journey(addr: int) -> Journey:
    mappings = maps.parse((RECORDED / "vmas.maps.txt").read_text())
    listing = gzip.decompress((RECORDED / "vmas.pagemap.txt.gz").read_bytes()).decode()
    return follow(addr, mappings, pagemap.parse_listing(listing), MEMORY)


CASES = {
    0x103C010: "[heap] (rw-p), 0x1019000 to 0x121dfff; its page is in frame 0x104d01 of zone Normal",
    0x1020000: "in no frame yet",
    0x2000000: "in no mapping",
    0xFFFF_8880_0000_0000: "the kernel half",
    1 << 62: "the gap between the halves",
}


@pytest.mark.parametrize("addr", CASES)
def test_alt_and_texts(addr):
    picture = JourneyPicture(journey(addr))
    assert CASES[addr] in picture.alt
    assert "recording (kernel 6.1)" in picture.alt
    for one, other in combinations(picture.labels, 2):
        a, b = one.box, other.box
        apart = a.right <= b.left or b.right <= a.left or a.bottom <= b.top or b.bottom <= a.top
        assert apart, (one.text, other.text)


def test_the_byte_keeps_its_offset():
    found = journey(0x103C010)
    assert found.phys_addr == 0x104D01 * 4096 + 0x010
    texts = [label.text for label in JourneyPicture(found).labels]
    assert {"0x103c", "0x104d01"} <= set(texts)
    assert texts.count("010") == 2


def test_update_is_the_same_as_drawing_anew():
    picture = JourneyPicture(journey(0x103C010))
    for addr in CASES:
        picture.update(journey(addr))
        assert picture.png() == JourneyPicture(journey(addr)).png()
