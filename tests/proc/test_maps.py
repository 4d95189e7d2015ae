"""maps and pagemap, on a recording and on the process that runs this test."""

from __future__ import annotations

import ctypes
import gzip
import os
import sys
from importlib.resources import files
from pathlib import Path

import pytest

from mmkit.errors import FormatError
from mmkit.proc import maps, pagemap

RECORDED = files("mmkit.data") / "amd64-4g"


def recorded_maps() -> str:
    return (RECORDED / "vmas.maps.txt").read_text()


def test_recorded_maps_come_back_byte_for_byte():
    text = recorded_maps()
    assert maps.format(maps.parse(text)) == text
    assert len(maps.parse(text)) == text.count("\n")


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs Linux's /proc")
def test_own_maps_come_back_byte_for_byte():
    text = Path("/proc/self/maps").read_text()
    assert maps.format(maps.parse(text)) == text
    buffer = ctypes.create_string_buffer(10)
    assert any(ctypes.addressof(buffer) in mapping for mapping in maps.parse(Path("/proc/self/maps").read_text()))


@pytest.mark.parametrize("damage", [lambda t: t[:-5], lambda t: t.replace("rw-p", "rwzp", 1), lambda t: t + "x\n"])
def test_damaged_maps_name_the_line(damage):
    with pytest.raises(FormatError, match=r"maps, line \d+"):
        maps.parse(damage(recorded_maps()))


def test_recorded_pagemap_pages_lie_in_mappings():
    text = gzip.decompress((RECORDED / "vmas.pagemap.txt.gz").read_bytes()).decode()
    entries, mappings = pagemap.parse_listing(text), maps.parse(recorded_maps())
    assert len(entries) > 2000
    assert all(any(addr in mapping for mapping in mappings) for addr in entries)
    assert all(entry.pfn and entry.pfn < 0x140000 for entry in entries.values() if entry.present)
    with pytest.raises(FormatError, match="line 2"):
        pagemap.parse_listing("1000\ta1\nnonsense\n")


@pytest.mark.skipif(not Path("/proc/self/pagemap").exists(), reason="needs Linux's pagemap")
def test_own_page_is_present():
    buffer = ctypes.create_string_buffer(b"here")
    entry = pagemap.read_entry(ctypes.addressof(buffer))
    assert entry.present
    assert not entry.file_or_shared
    assert (entry.pfn or 0) > 0 or os.geteuid() != 0
