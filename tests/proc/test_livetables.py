"""What the running kernel says of page tables is what the model predicts; frames of memory that is mapped twice."""

from __future__ import annotations

import os
import random
import sys

import pytest

from mmkit.data import recording
from mmkit.errors import FormatError, LiveError
from mmkit.lab.kerneltables import TOUCHES, kernels_frames, kernels_growth, models_growth
from mmkit.model.memory import PhysicalMemory
from mmkit.model.pgtable import PageTable
from mmkit.model.pgtable.cost import tables_needed
from mmkit.proc import livetables

needs_linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs Linux's /proc")
needs_root = pytest.mark.skipif(
    not sys.platform.startswith("linux") or os.geteuid() != 0, reason="frames are shown to root on Linux only"
)
REGIONS = (0x1000_0000_0000, 0x1000_4000_0000, 0x1080_0000_0000, 0x2000_0000_0000, 0x3000_0000_0000)


def touches(seed: int, count: int = 60) -> list[int]:
    """Pages near each other and far apart, where no program has anything, each once."""
    rng = random.Random(seed)
    spread = (1 << 12, 1 << 18, 1 << 21, 1 << 25, 1 << 30)
    found = {rng.choice(REGIONS) + rng.randrange(16) * rng.choice(spread) for _ in range(count)}
    return rng.sample(sorted(found), len(found))


@needs_linux
@pytest.mark.parametrize("seed", range(8))
def test_each_touch_costs_the_kernel_the_tables_that_it_costs_the_model(seed: int) -> None:
    addresses = touches(seed)
    grown = livetables.table_growth(addresses)
    assert grown == models_growth(addresses)
    assert sum(grown) == sum(tables_needed("X86_64", addresses)) - 1
    assert set(grown) >= {0, 1}


@needs_linux
def test_an_address_that_is_taken_is_told() -> None:
    with pytest.raises(LiveError, match="0x100000000000 cannot be mapped"):
        livetables.table_growth([REGIONS[0], REGIONS[0]])


def test_without_linux_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "plan9")
    with pytest.raises(LiveError, match="is a file of Linux"):
        livetables.table_growth([REGIONS[0]])
    assert kernels_growth() == tuple(recording("host-6.18").table_growth.values())
    with pytest.raises(ValueError, match="recorded are 0x100000000000"):
        kernels_growth([REGIONS[0]])


def test_the_recording_is_what_the_model_says() -> None:
    assert models_growth() == tuple(recording("host-6.18").table_growth.values())


def test_growth_as_text() -> None:
    text = recording("host-6.18").text("vmpte")
    known = livetables.parse_growth(text)
    assert livetables.format_growth(tuple(known), tuple(known.values())) == text
    assert tuple(known) == TOUCHES
    with pytest.raises(FormatError, match="line 2"):
        livetables.parse_growth("1000\t1\n2000\n")


@needs_root
def test_memory_that_is_mapped_twice_has_one_frame_a_page() -> None:
    frames = livetables.shared_frames(32)
    first, second = frames[:32], frames[32:]
    assert [pfn for _, pfn in first] == [pfn for _, pfn in second]
    assert len({pfn for _, pfn in first}) == 32
    assert not {addr for addr, _ in first} & {addr for addr, _ in second}


@needs_root
def test_the_walk_finds_the_frames_that_pagemap_names() -> None:
    table = PageTable("X86_64", PhysicalMemory("X86_64", "64MiB"))
    frames = livetables.shared_frames(64)
    for addr, pfn in frames:
        table.map(addr, pfn)
    for addr, pfn in frames:
        walk = table.walk(addr + 0xABC)
        assert walk.phys_addr == pfn * 4096 + 0xABC
        assert sum(step.index << step.low for step in walk.steps) == addr


def test_where_frames_are_hidden_a_recording_stands_in(monkeypatch: pytest.MonkeyPatch) -> None:
    def hidden(nr_pages: int) -> None:
        raise LiveError("/proc/self/pagemap shows frames to root only")

    monkeypatch.setattr(livetables, "shared_frames", hidden)
    tables = recording("amd64-4g").page_tables
    frames = kernels_frames()
    assert [pfn for _, pfn in frames[:4]] == [pfn for _, pfn in frames[4:]]
    assert len(set(frames)) == 8
    assert len({pfn for _, pfn in frames}) == 4
    assert all(tables.walk(addr).phys_addr == pfn << 12 for addr, pfn in frames)
