"""``/proc/kpageflags``: 64 bits for every page frame, from frame 0.

Models: include/uapi/linux/kernel-page-flags.h, include/linux/kernel-page-flags.h and fs/proc/page.c (Linux 6.18),
stable_page_flags(). Leaves out: what a frame is used for when no bit says it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from mmkit.model.migratetype import NR_MIGRATETYPES, MigrateType
from mmkit.model.snapshot import BuddySnapshot, FrameMap, FrameUse, Source, ZoneSnapshot
from mmkit.proc.text import RECORDING

Words = NDArray[np.uint64]
WORD = np.dtype("<u8")


class Kpf(IntEnum):
    """Number of each bit, by the kernel's name without KPF_; those from 32 on are for kernel hackers."""

    LOCKED = 0
    ERROR = 1
    REFERENCED = 2
    UPTODATE = 3
    DIRTY = 4
    LRU = 5
    """On one of the lists from which memory is reclaimed."""
    ACTIVE = 6
    SLAB = 7
    """Memory of the slab allocator."""
    WRITEBACK = 8
    RECLAIM = 9
    BUDDY = 10
    """Part of a free block of the buddy allocator."""
    MMAP = 11
    """Mapped by a process."""
    ANON = 12
    """Anonymous memory."""
    SWAPCACHE = 13
    SWAPBACKED = 14
    """Anonymous or shared memory: no file behind it but swap."""
    COMPOUND_HEAD = 15
    COMPOUND_TAIL = 16
    HUGE = 17
    """Part of a hugetlb page."""
    UNEVICTABLE = 18
    HWPOISON = 19
    """Broken memory."""
    NOPAGE = 20
    """No page frame here."""
    KSM = 21
    THP = 22
    """Part of a transparent huge page."""
    OFFLINE = 23
    ZERO_PAGE = 24
    """The page of zeros that stands for memory not written yet."""
    IDLE = 25
    PGTABLE = 26
    """A page table."""
    RESERVED = 32
    """Never given to the buddy allocator."""
    MLOCKED = 33
    OWNER_2 = 34
    PRIVATE = 35
    PRIVATE_2 = 36
    OWNER_PRIVATE = 37
    ARCH = 38
    UNCACHED = 39
    SOFTDIRTY = 40
    ARCH_2 = 41
    ARCH_3 = 42


# Later rows win: a slab page may carry ANON, a transparent huge page in use carries LRU, a hole nothing else.
_USES: tuple[tuple[FrameUse, tuple[Kpf, ...]], ...] = (
    (FrameUse.FILE, (Kpf.LRU, Kpf.SWAPBACKED, Kpf.THP)),
    (FrameUse.ANON, (Kpf.ANON,)),
    (FrameUse.OTHER, (Kpf.HUGE, Kpf.OFFLINE, Kpf.HWPOISON, Kpf.ZERO_PAGE)),
    (FrameUse.RESERVED, (Kpf.RESERVED,)),
    (FrameUse.PAGE_TABLE, (Kpf.PGTABLE,)),
    (FrameUse.SLAB, (Kpf.SLAB,)),
    (FrameUse.FREE, (Kpf.BUDDY,)),
    (FrameUse.HOLE, (Kpf.NOPAGE,)),
)
# What is written for a use that no bit expresses: nothing, which reads back as OTHER.
_WORDS = {use: 1 << bits[0] for use, bits in _USES if use != FrameUse.OTHER}
_CHUNK = 1 << 14


def flag_names(word: int) -> tuple[str, ...]:
    """Return the names of the bits that are set, lowest first; unknown bits as "BIT_63".

    >>> flag_names(0x5828)
    ('UPTODATE', 'LRU', 'MMAP', 'ANON', 'SWAPBACKED')
    """
    names = {bit.value: bit.name for bit in Kpf}
    return tuple(names.get(bit, f"BIT_{bit}") for bit in range(word.bit_length()) if word >> bit & 1)


def words(data: bytes) -> Words:
    """Return the content of the file as one number a frame. Raises ValueError if it is not whole words."""
    if len(data) % WORD.itemsize:
        raise ValueError(f"kpageflags has 8 bytes a frame: {len(data)} bytes are no whole number of frames")
    return np.frombuffer(data, WORD)


def parse(
    data: bytes | Words,
    source: Source = RECORDING,
    start_pfn: int = 0,
    ram: Iterable[tuple[int, int]] | None = None,
) -> FrameMap:
    """Return what every frame is used for, as far as its bits tell; ``data`` starts at frame ``start_pfn``.

    6.18 writes 0 instead of NOPAGE where no memory is: give ``ram``, ranges [start, end) of pfns as in ``/proc/iomem``,
    to tell such holes from frames in use. Raises ValueError if ``data`` is not whole words.
    """
    flags = words(data) if isinstance(data, bytes | bytearray | memoryview) else data
    uses = np.empty(len(flags), np.uint8)
    # A chunk stays in the cache while it is looked at once for each use.
    for start in range(0, len(flags), _CHUNK):
        uses[start : start + _CHUNK] = _classify(flags[start : start + _CHUNK])
    for start, end in _gaps(ram, start_pfn, start_pfn + len(flags)) if ram is not None else ():
        inside = slice(start - start_pfn, end - start_pfn)
        uses[inside][flags[inside] == 0] = FrameUse.HOLE
    return FrameMap(source, start_pfn, uses.tobytes())


def _gaps(ranges: Iterable[tuple[int, int]], start: int, end: int) -> Iterator[tuple[int, int]]:
    """Yield the parts of [start, end) that are in none of ``ranges``."""
    for low, high in sorted(ranges):
        if start < min(low, end):
            yield start, min(low, end)
        start = max(start, high)
    if start < end:
        yield start, end


def _classify(flags: Words) -> NDArray[np.uint8]:
    uses = np.full(len(flags), FrameUse.OTHER, np.uint8)
    for use, bits in _USES:
        mask = np.uint64(sum(1 << bit for bit in bits))
        uses[(flags & mask) != 0] = use
    return uses


def format(frames: FrameMap) -> bytes:
    """Return words that parse to the same map, with the one bit that makes the use plain.

    Uses that no bit expresses (per-CPU lists, migrate types) become 0, which reads back as OTHER.
    """
    table = np.zeros(len(FrameUse), WORD)
    for use, word in _WORDS.items():
        table[use] = word
    return table[np.frombuffer(frames.uses, np.uint8)].tobytes()


def free_blocks(frames: FrameMap, start_pfn: int, end_pfn: int, max_order: int = 10) -> tuple[tuple[int, ...], ...]:
    """Return the first pfns of the free blocks in [start_pfn, end_pfn) by order, ascending.

    Free blocks are always fully merged, so they are the maximal aligned blocks of each run of free frames (rule B4).
    ``start_pfn`` and ``end_pfn`` are a zone's: no block crosses its ends.
    """
    first = max(start_pfn, frames.start_pfn)
    uses = np.frombuffer(frames.uses, np.uint8)[first - frames.start_pfn : max(first, end_pfn) - frames.start_pfn]
    starts, ends = _runs(uses == FrameUse.FREE, first)
    blocks = []
    for order in range(max_order):
        size = 1 << order
        low = starts[((starts & size) != 0) & (starts < ends)]
        starts = starts + (starts & size) * (starts < ends)
        high = ends[((ends & size) != 0) & (starts < ends)] - size
        ends = ends - (ends & size) * (starts < ends)
        blocks.append(np.sort(np.concatenate([low, high])))
    counts = np.maximum(ends - starts, 0) >> max_order
    nth = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    blocks.append(np.repeat(starts, counts) + (nth << max_order))
    return tuple(tuple(each.tolist()) for each in blocks)


def _runs(mask: NDArray[np.bool_], first: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return where each run of true values starts and where it ends (exclusive), as pfns."""
    if not len(mask):
        return np.empty(0, np.int64), np.empty(0, np.int64)
    changes = np.flatnonzero(mask[1:] != mask[:-1]) + 1
    edges = np.concatenate([[0] * bool(mask[0]), changes, [len(mask)] * bool(mask[-1])]).astype(np.int64) + first
    return edges[::2], edges[1::2]


def to_buddy(
    frames: FrameMap, zone: ZoneSnapshot, max_order: int = 10, pageblock_order: int = 9, kernel: str = "6.18"
) -> BuddySnapshot:
    """Return a zone's buddy allocator as the flags show it.

    Blocks are exact; the order within a list and the migrate types are not in the file: lists are ascending, and
    everything is Movable. Frames in use belong to blocks that nobody knows.
    """
    blocks = free_blocks(frames, zone.start_pfn, zone.end_pfn, max_order)
    empty: list[tuple[int, ...]] = [()] * NR_MIGRATETYPES
    lists = tuple((*empty[: MigrateType.MOVABLE], pfns, *empty[MigrateType.MOVABLE + 1 :]) for pfns in blocks)
    first = zone.start_pfn - frames.start_pfn
    uses = np.frombuffer(frames.uses, np.uint8)[first : first + zone.spanned]
    uses = np.pad(uses, (0, zone.spanned - len(uses)), constant_values=FrameUse.HOLE)
    hole_starts, hole_ends = _runs(uses == FrameUse.HOLE, zone.start_pfn)
    idle = np.isin(uses, (FrameUse.FREE, FrameUse.HOLE))
    nr_blocks = ((zone.end_pfn - 1) >> pageblock_order) - (zone.start_pfn >> pageblock_order) + 1
    return BuddySnapshot(
        source=frames.source,
        node=zone.node,
        zone=zone.name,
        start_pfn=zone.start_pfn,
        nr_pages=zone.spanned,
        max_order=max_order,
        pageblock_order=pageblock_order,
        free_lists=lists,
        pageblocks=bytes([MigrateType.MOVABLE]) * nr_blocks,
        allocated=np.where(idle, 0, 0xFF).astype(np.uint8).tobytes(),
        holes=tuple(zip(hole_starts.tolist(), hole_ends.tolist(), strict=True)),
        kernel=kernel,
    )
