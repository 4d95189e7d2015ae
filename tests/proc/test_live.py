"""The machine that runs this test: its files, and words instead of tracebacks where they are missing."""

from __future__ import annotations

import os
import platform
import sys

import pytest
from formats import DATA

from mmkit.errors import FormatError, LiveError
from mmkit.model.snapshot import FrameUse
from mmkit.proc import iomem, live

linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs Linux's /proc")
root = pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="needs root")


@linux
def test_zones_and_counts_of_this_machine():
    assert live.is_available()
    memory = live.memory()
    assert str(memory.source) == f"live (kernel {platform.release()})"
    assert live.buddyinfo().source == memory.source
    populated = [zone for zone in memory.zones if zone.present]
    assert populated
    assert all(zone.counts and zone.pcp and zone.managed <= zone.present <= zone.spanned for zone in populated)


@linux
@root
def test_files_for_root():
    info = live.pagetypeinfo()
    assert info.migratetypes[:3] == ("Unmovable", "Movable", "Reclaimable")
    assert [zone.zone for zone in info.zones] == [zone.zone for zone in live.buddyinfo().zones]
    dma = next(zone for zone in live.zoneinfo().zones if zone.present)
    frames = live.kpageflags(dma.start_pfn, dma.spanned)
    assert (frames.start_pfn, len(frames.uses)) == (dma.start_pfn, dma.spanned)
    # The kernel's memory map also tells holes; those of sections without any memory are what is missing there.
    assert frames.uses.count(FrameUse.HOLE) <= dma.spanned - dma.present
    assert live.kpageflags(0, 1).uses[0] in set(FrameUse)


@linux
@root
def test_free_blocks_with_their_places():
    zone = next(zone for zone in live.zoneinfo().zones if zone.present)
    for _ in range(20):
        before = live.buddyinfo().zones[0].counts
        found = live.buddy(zone.name, zone.node)
        if before == live.buddyinfo().zones[0].counts:
            break
    assert found.counts == before
    assert found.pageblock_order == live.pagetypeinfo().pageblock_order
    with pytest.raises(ValueError, match="no populated zone 'Nowhere' of node 0: choose one of"):
        live.buddy("Nowhere")


@linux
def test_offers_name_every_file_and_the_reason():
    offers = {offer.path: offer for offer in live.offers()}
    assert offers["/proc/zoneinfo"].readable
    assert str(offers["/proc/zoneinfo"]) == "/proc/zoneinfo (zones, watermarks, per-CPU lists): yes"
    for offer in offers.values():
        assert offer.readable or offer.path in offer.why_not


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """Another machine, whose /proc is a folder."""
    monkeypatch.setattr(live, "PROC", tmp_path)
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(platform, "release", lambda: "5.10.0-fake")
    return tmp_path


def test_a_kernel_without_the_file(machine):
    with pytest.raises(LiveError, match="/proc/zoneinfo does not exist here: the kernel was built without it"):
        live.zoneinfo()
    assert not live.is_available()
    assert not any(offer.readable for offer in live.offers())


def test_a_file_for_root_only(machine, monkeypatch):
    def refuse(*args: object) -> int:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(LiveError, match="/proc/pagetypeinfo is shown to root only"):
        live.pagetypeinfo()
    assert {offer.why_not for offer in live.offers()} == {
        f"{offer.path} is shown to root only" for offer in live.offers()
    }


def test_a_file_that_cannot_be_read_after_all(machine):
    (machine / "buddyinfo").mkdir()
    with pytest.raises(LiveError, match="/proc/buddyinfo cannot be read: Is a directory"):
        live.buddyinfo()


def test_addresses_hidden_from_others(machine, monkeypatch):
    (machine / "iomem").write_text("00000000-00000000 : System RAM\n")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    hidden = next(offer for offer in live.offers() if offer.path == "/proc/iomem")
    assert hidden.why_not == "/proc/iomem is shown to root only"


def test_a_machine_that_is_not_linux(machine, monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr(platform, "system", lambda: "Darwin")
    with pytest.raises(LiveError, match="/proc/buddyinfo is a file of Linux; this machine runs Darwin"):
        live.buddyinfo()
    assert not live.is_available()
    assert isinstance(LiveError("words"), OSError)


def test_files_of_another_machine(machine):
    for kind in ("zoneinfo", "buddyinfo", "pagetypeinfo", "iomem"):
        (machine / kind).write_bytes((DATA / "host-6.18" / kind).read_bytes())
    (machine / "kpageflags").write_bytes((1 << 10).to_bytes(8, "little") * 4096)
    assert live.memory().zones[2].counts[0] == 20768
    found = live.buddy("DMA")
    # Pages 1 to 4,095 are free here, and no block reaches back to page 0.
    assert found.counts == (1,) * 10 + (3,)
    assert found.kernel == "6.1"
    (machine / "zoneinfo").write_bytes(b"Node 0, \xff\n")
    with pytest.raises(FormatError, match="zoneinfo, line 1: expected 'Node N, zone NAME'"):
        live.zoneinfo()


@pytest.mark.parametrize("name", sorted(path.parent.name for path in DATA.glob("*/iomem")))
def test_iomem_comes_back_byte_for_byte(name):
    text = (DATA / name / "iomem").read_text()
    regions = iomem.parse(text)
    assert iomem.format(regions) == text
    assert iomem.ram_frames(regions)


def test_iomem_counts_whole_frames_of_ram():
    text = "00000000-00000fff : Reserved\n00001000-0009fbff : System RAM\n  00001800-00001fff : System RAM\n"
    assert iomem.ram_frames(iomem.parse(text)) == ((1, 0x9F),)
    with pytest.raises(FormatError, match="iomem, line 2: expected 'start-end : name'"):
        iomem.parse("00000000-00000fff : Reserved\n1000-9fbff : System RAM\n")
