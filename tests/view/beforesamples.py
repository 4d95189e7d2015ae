"""The same memory before and after compaction, and pictures of it."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from random import Random

from mmkit.model.buddy import BuddyAllocator
from mmkit.model.framemap import frame_map
from mmkit.model.migratetype import MigrateType
from mmkit.model.snapshot import BuddySnapshot, FrameMap
from mmkit.view.beforeafter import BeforeAfter
from mmkit.view.picture import Picture

Pair = tuple[BuddySnapshot, BuddySnapshot]


@cache
def compacted(nr_pages: int, start_pfn: int = 0, max_order: int = 10, pageblock_order: int = 9) -> Pair:
    """A zone with three pages in four free, here and there, and a few unmovable ones in its upper half; compacted."""
    random = Random(nr_pages)
    buddy = BuddyAllocator(nr_pages, start_pfn, max_order, pageblock_order=pageblock_order, zone="Normal")
    for pfn in sorted(buddy.alloc(0) for _ in range(nr_pages)):
        if random.random() < 0.75:
            buddy.free(pfn, 0)
        elif pfn - start_pfn > nr_pages // 2 and random.random() < 0.05:
            buddy.set_allocated_type(pfn, MigrateType.UNMOVABLE)
    before = buddy.snapshot()
    buddy.compact()
    return before, buddy.snapshot()


def toy() -> Pair:
    """64 pages in pageblocks of eight."""
    return compacted(64, 0, 4, 3)


def odd() -> Pair:
    """A zone that neither starts nor ends at a power of two."""
    return compacted(1500, 0x91, 6, 5)


def maps() -> tuple[FrameMap, FrameMap]:
    """The toy as maps of frames, which know no blocks."""
    before, after = toy()
    return frame_map(before), frame_map(after)


BEFORE_AFTER_PICTURES: dict[str, Callable[[], Picture]] = {
    "before after 64": lambda: BeforeAfter(*toy()),
    "before after odd": lambda: BeforeAfter(*odd()),
    "before after 8192": lambda: BeforeAfter(*compacted(8192), title="Compaction", titles=("as it was", "compacted")),
    "before after large": lambda: BeforeAfter(*compacted(1 << 16), order=4),
    "before after frames": lambda: BeforeAfter(*maps()),
}
