"""What every page frame of a machine is used for: the zones' maps put together, with what only the machine knows.

Models: what /proc/kpageflags and /proc/zoneinfo say together (Linux 6.18). Leaves out: what pages in use are used for,
beyond the migrate type they were asked for with.
"""

from __future__ import annotations

import numpy as np

from mmkit.model.framemap import frame_map
from mmkit.model.pcp import COSTLY_ORDER, NR_LOW_LISTS, PCP_TYPES
from mmkit.model.snapshot import FrameMap, FrameUse, MemorySnapshot, ZoneSnapshot


def memory_frame_map(memory: MemorySnapshot) -> FrameMap:
    """Return the use of every frame from pfn 0 to the last page of RAM; between zones there are holes.

    Free pages on per-CPU lists are told from those on the buddy lists, and what boot kept back from holes.

    Raises ValueError for a snapshot that says nothing of single frames.
    """
    frames = np.full(max(zone.end_pfn for zone in memory.zones), FrameUse.HOLE, np.uint8)
    for zone in memory.zones:
        if zone.buddy is not None:
            uses = np.frombuffer(frame_map(zone.buddy).uses, np.uint8)
            part = frames[zone.start_pfn : zone.end_pfn]
            # Zones of two nodes may lie in each other's holes.
            np.copyto(part, uses, where=uses != FrameUse.HOLE)
            _paint_lists(frames, zone, zone.buddy.pageblock_order)
        elif zone.managed:
            raise ValueError(f"the snapshot says nothing of the frames of zone {zone.name}: take one with frames=True")
        for start, end in zone.reserved:
            frames[start:end] = FrameUse.RESERVED
    return FrameMap(memory.source, 0, frames.tobytes())


def _paint_lists(frames: np.ndarray[tuple[int], np.dtype[np.uint8]], zone: ZoneSnapshot, huge_order: int) -> None:
    for pcp in zone.pcp:
        for index, blocks in enumerate(pcp.lists):
            order = min(index // PCP_TYPES, COSTLY_ORDER) if index < NR_LOW_LISTS else huge_order
            for pfn in blocks:
                frames[pfn : pfn + (1 << order)] = FrameUse.PER_CPU
