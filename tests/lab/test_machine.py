"""The machine lab: a recording first, the running kernel when asked."""

from __future__ import annotations

import platform
import sys

import pytest

from mmkit.errors import LiveError
from mmkit.lab.machine import MachineLab
from mmkit.proc import live, reading


@pytest.fixture
def lab() -> MachineLab:
    return MachineLab()


def test_before_the_click_it_is_a_recording_on_every_machine(lab):
    assert "recording (kernel 6.1.0-50-amd64)" in lab.alt
    assert repr(lab) == repr(MachineLab())
    assert platform.release() not in lab.alt or platform.release().startswith("6.1.0-50")


def test_zones_can_be_chosen(lab):
    before = lab.alt
    lab.zone_menu.value = "DMA, node 0"
    assert lab.alt != before
    assert "zone DMA" in lab.alt


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs Linux's /proc")
def test_reading_this_machine(lab):
    lab.read_button.click()
    assert f"live (kernel {platform.release()})" in lab.alt
    assert "/proc/zoneinfo" in lab.offers_box.value
    assert "kernel " + platform.release() in lab.message
    lab.bar.undo_button.click()
    assert "recording" in lab.alt
    assert "live" not in lab.alt


def test_without_linux_it_says_so_and_keeps_the_recording(lab, monkeypatch):
    def no_linux() -> None:
        raise LiveError("/proc/zoneinfo is a file of Linux; this machine runs Plan9")

    monkeypatch.setattr(live, "memory", no_linux)
    before = lab.timeline.current
    lab.read()
    assert "Plan9" in lab.message
    assert "Nothing has changed" in lab.message
    assert lab.timeline.current is before


def test_without_root_the_lists_remain(lab, monkeypatch):
    recorded = lab.timeline.current.snapshot

    def refused() -> None:
        raise LiveError("/proc/kpageflags is shown to root only")

    monkeypatch.setattr(live, "memory", lambda: recorded.memory)
    monkeypatch.setattr(live, "kpageflags", refused)
    lab.read()
    assert reading.read_live().frames is None
    assert "root only" in lab.message
    assert "Free blocks" in lab.alt or "free" in lab.alt
    assert "Map of" not in lab.alt
