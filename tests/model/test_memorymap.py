"""The map of all page frames of a machine."""

from collections import Counter

import pytest

from mmkit.arch import TOY
from mmkit.model.gfp import Gfp
from mmkit.model.memory import PhysicalMemory
from mmkit.model.memorymap import memory_frame_map
from mmkit.model.snapshot import FrameUse


def test_every_frame_of_a_toy():
    memory = PhysicalMemory(TOY, "64 pages", min_free_kbytes=0)
    page, other = memory.alloc_pages(Gfp.GFP_KERNEL, 2), memory.alloc_pages(Gfp.GFP_HIGHUSER_MOVABLE, 1)
    memory.free_pages(memory.alloc_pages(Gfp.GFP_DMA, 1), 1)
    frames = memory_frame_map(memory.snapshot())
    uses = list(map(FrameUse, frames.uses))
    assert (frames.start_pfn, len(uses)) == (0, 64)
    assert uses[63] is FrameUse.RESERVED
    assert uses[page.pfn : page.pfn + 4] == [FrameUse.UNMOVABLE] * 4
    assert uses[other.pfn : other.pfn + 2] == [FrameUse.MOVABLE] * 2
    assert uses[:2] == [FrameUse.PER_CPU] * 2
    assert Counter(uses)[FrameUse.FREE] == sum(zone.free_pages for zone in memory.zones)


def test_frames_add_up_to_the_zones_of_a_pc_with_two_nodes():
    memory = PhysicalMemory("X86_64", "4GiB", nodes=2, nr_cpus=2)
    memory.alloc_pages(Gfp.GFP_TRANSHUGE | Gfp.RECLAIM, 9, cpu=1)
    counts = Counter(memory_frame_map(memory.snapshot()).uses)
    assert counts[FrameUse.FREE] == sum(zone.free_pages for zone in memory.zones)
    assert counts[FrameUse.PER_CPU] == sum(zone.pcp_pages for zone in memory.zones) == 512
    assert counts[FrameUse.MOVABLE] == 512
    assert counts[FrameUse.RESERVED] == sum(zone.present_pages - zone.managed_pages for zone in memory.zones)
    assert sum(counts.values()) - counts[FrameUse.HOLE] == sum(zone.present_pages for zone in memory.zones)


def test_a_small_snapshot_says_nothing_of_frames():
    with pytest.raises(ValueError, match="frames=True"):
        memory_frame_map(PhysicalMemory(TOY, "64 pages").snapshot(frames=False))
