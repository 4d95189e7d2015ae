"""States to draw, made by hand or read from recordings, and every picture of several of them."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np
from beforesamples import BEFORE_AFTER_PICTURES
from fragsamples import FRAGMENTATION_PICTURES
from kmallocsamples import KMALLOC_PICTURES
from machinesamples import MACHINE_PICTURES
from slabsamples import SLAB_PICTURES
from tablesamples import TABLE_PICTURES
from vmasamples import VMA_PICTURES

from mmkit.data import recording
from mmkit.data.lists import read_lists
from mmkit.model import trace
from mmkit.model.snapshot import (
    MODEL,
    BuddySnapshot,
    FrameMap,
    FrameUse,
    MemorySnapshot,
    Source,
    ZoneSnapshot,
    ZoneTry,
    ZoneWalk,
)  # fmt: skip
from mmkit.view.buddy import BuddyPicture, FreeLists, FreeStrip, SplitMerge
from mmkit.view.frames import FrameMapPicture
from mmkit.view.picture import Picture
from mmkit.view.zone import WatermarksPicture, ZonelistPicture, ZonesPicture

U, M, R = 0, 1, 2


def buddy(
    free: dict[tuple[int, int], list[int]], nr_pages: int = 1024, start_pfn: int = 0, max_order: int = 10, *,
    allocated: dict[int, int] | None = None, in_hand: tuple[int, int] | None = None, zone: str = "Normal",
    holes: tuple[tuple[int, int], ...] = (), source: Source = MODEL,
) -> BuddySnapshot:  # fmt: skip
    """A snapshot with the free blocks ``{(order, type): pfns}`` and the bytes ``{pfn: code}`` of allocated blocks."""
    lists = tuple(tuple(tuple(free.get((order, kind), ())) for kind in range(5)) for order in range(max_order + 1))
    codes = bytearray(nr_pages)
    for pfn, code in (allocated or {}).items():
        codes[pfn - start_pfn] = code
    blocks = bytes([M]) * -(-nr_pages // (1 << min(9, max_order)))
    return BuddySnapshot(
        MODEL if source is None else source, 0, zone, start_pfn, nr_pages, max_order, min(9, max_order), lists, blocks,
        bytes(codes), holes, in_hand,
    )  # fmt: skip


def code(kind: int, order: int) -> int:
    """The byte of an allocated block."""
    return 0x80 | kind << 4 | order


NOTES = [
    (trace.Take(0, 10, M), buddy({}, in_hand=(0, 10))),
    (trace.Split(0, 10, 512, M), buddy({(9, M): [512]}, in_hand=(0, 9))),
    (trace.Split(0, 9, 256, M), buddy({(9, M): [512], (8, M): [256]}, in_hand=(0, 8))),
    (trace.MmPageAlloc(0, 8, 0, M), buddy({(9, M): [512], (8, M): [256]}, allocated={0: code(M, 8)})),
]
"""The notes' own example: 256 pages wanted, found at 1024."""

MERGE = [
    (trace.MmPageFree(0x11, 0), buddy({(0, M): [0x10], (1, M): [0x12]}, 64, max_order=4, in_hand=(0x11, 0))),
    (trace.Merge(0x11, 0, 0x10), buddy({(1, M): [0x12]}, 64, max_order=4, in_hand=(0x10, 1))),
    (trace.Merge(0x10, 1, 0x12), buddy({}, 64, max_order=4, in_hand=(0x10, 2))),
    (trace.Put(0x10, 2, M, False), buddy({(2, M): [0x10]}, 64, max_order=4)),
]

LADDER = [(trace.Take(0x400, 10, R), buddy({}, 4096, in_hand=(0x400, 10)))] + [
    (trace.Split(0x400, order, 0x400 + (1 << order - 1), R), buddy({}, 4096, in_hand=(0x400, order - 1)))
    for order in range(10, 0, -1)
]
"""The longest way down: one page out of 1024 (the lists of the snapshots are left out: the ladder draws events)."""

TOY = buddy(
    {(4, M): [0x30], (4, R): [0], (3, U): [0x28], (2, U): [0x20], (1, M): [0x1E], (1, U): [0x26], (0, M): [0x10, 0x1D],
     (0, U): [0x25]}, 64, max_order=4, zone="",
    allocated={0x11: code(M, 0), 0x12: code(M, 1), 0x14: code(R, 2), 0x18: code(M, 2), 0x1C: code(U, 0),
               0x24: code(U, 0)},
)  # fmt: skip
ODD = buddy({(1, U): [0x9A]}, 130, 0x91, holes=((0xA0, 0xB1),), allocated={0xC0: code(R, 3), 0xE0: 0xFF, 0xE1: 0xFF})
"""A zone that neither starts nor ends at a power of two, with a hole and pages of unknown use."""


def recorded() -> BuddySnapshot:
    """A zone of a real kernel."""
    return read_lists("trace-buddy-6.1", 2)["DMA32"]


@cache
def frames(nr_pages: int, start_pfn: int = 0, seed: int = 0, source: Source = MODEL) -> FrameMap:
    """Runs of all uses."""
    random = np.random.default_rng(seed)
    lengths = random.integers(1, max(2, nr_pages // 12), size=40)
    uses = np.repeat(random.choice(list(FrameUse), size=40), lengths).astype(np.uint8)
    return FrameMap(source, start_pfn, np.resize(uses, nr_pages).tobytes())


def zone(name: str, start_pfn: int, size: int, free: int = 0, node: int = 0, **more: object) -> ZoneSnapshot:
    """A zone without holes, of which 1/16 is kept by boot."""
    marks = {"min": size // 64, "low": size // 51, "high": size // 42} | more
    return ZoneSnapshot(node, name, start_pfn, size, size, size - size // 16, free, **marks)  # type: ignore[arg-type]


def big_machine() -> MemorySnapshot:
    """64 GiB on four nodes, with a movable part on each: nine zones."""
    quarter = 4 << 20
    zones = [zone("DMA", 1, 4095, 3000), zone("DMA32", 4096, (1 << 20) - 4096, 50_000)]
    for node in range(4):
        start = max(1 << 20, node * quarter)
        zones.append(zone("Normal", start, (node + 1) * quarter - (1 << 19) - start, 1_000_000, node))
        zones.append(zone("Movable", (node + 1) * quarter - (1 << 19), 1 << 19, 400_000, node))
    return MemorySnapshot(MODEL, tuple(zones), arch="X86_64")


def machine(name: str) -> MemorySnapshot:
    """The zones of a recorded machine."""
    return recording(name).zoneinfo


def look(name: str, free: int, mark: int, reserve: int = 0, mark_name: str = "low", node: int = 0) -> ZoneTry:
    """One look at a zone, with the verdict that the numbers give."""
    ok = free > mark + reserve
    why = "from the buddy lists" if ok else f"free {free:,} is not above {mark:,} + {reserve:,}"
    return ZoneTry(name, node, free, mark, reserve, ok, why, mark_name)


SERVED = ZoneWalk(MODEL, "GFP_KERNEL", 3, (look("Normal", 5_000, 5_131), look("DMA32", 752_174, 15_906, 948)), 0x1A00)
REFUSED = ZoneWalk(
    MODEL, "GFP_HIGHUSER_MOVABLE|__GFP_NOWARN", 9,
    tuple(
        look(name, 900, 1_000, 20_000 * (name == "DMA"), mark, node)
        for mark in ("low", "min", "none") for node in range(2) for name in ("Movable", "Normal", "DMA32", "DMA")
    ),
)  # fmt: skip

PICTURES: dict[str, Callable[[], Picture]] = {
    "frames 64": lambda: FrameMapPicture(frames(64), highlight=(20, 29)),
    "frames 100 odd": lambda: FrameMapPicture(frames(100, 3)),
    "frames 1024": lambda: FrameMapPicture(frames(1024, 0x400), highlight=(0x4F0, 0x560)),
    "frames 4095": lambda: FrameMapPicture(frames(4095, 1), [zone("DMA", 1, 4095)]),
    "frames 16 GiB": lambda: FrameMapPicture(frames(4 << 20), [z for z in big_machine().zones if z.node == 0]),
    "frames 64 GiB": lambda: FrameMapPicture(frames(16 << 20, source=recorded().source), big_machine().zones),
    "lists toy": lambda: FreeLists(TOY),
    "lists recorded": lambda: FreeLists(recorded()),
    "lists buddyinfo": lambda: FreeLists(recording("host-6.18").buddyinfo, "Normal"),
    "lists pagetypeinfo": lambda: FreeLists(recording("host-6.18").pagetypeinfo, "Normal"),
    "lists linear": lambda: FreeLists(recording("host-6.18").pagetypeinfo, "Normal", scale="linear"),
    "lists log": lambda: FreeLists(TOY, scale="log"),
    "lists empty": lambda: FreeLists(buddy({})),
    "strip toy": lambda: FreeStrip(TOY),
    "strip recorded": lambda: FreeStrip(recorded()),
    "strip zoomed": lambda: FreeStrip(recorded(), (0xA000, 0xA800)),
    "buddy toy": lambda: BuddyPicture(TOY),
    "buddy odd": lambda: BuddyPicture(ODD),
    "buddy recorded": lambda: BuddyPicture(recorded()),
    "buddy zoomed": lambda: BuddyPicture(recorded(), span=(0xA200, 0xA400)),
    **{f"buddy notes {n}": lambda n=n: BuddyPicture(NOTES[n][1], NOTES[n][0]) for n in range(4)},
    **{f"buddy merge {n}": lambda n=n: BuddyPicture(MERGE[n][1], MERGE[n][0]) for n in range(4)},
    **{f"buddy ladder {n}": lambda n=n: BuddyPicture(LADDER[n][1], LADDER[n][0]) for n in range(11)},
    **{f"ladder notes {n}": lambda n=n: SplitMerge(NOTES, n) for n in range(4)},
    **{f"ladder merge {n}": lambda n=n: SplitMerge(MERGE, n) for n in range(4)},
    "ladder long": lambda: SplitMerge(LADDER),
    **{f"zones {name}": lambda name=name: ZonesPicture(machine(name))
       for name in ("amd64-4g", "amd64-numa2", "amd64-movablecore", "i386-pae-6g", "arm64-4g", "host-6.18")},
    "zones 64 GiB": lambda: ZonesPicture(big_machine(), (0, "DMA")),
    **{f"marks {name} {top}": lambda name=name, top=top: WatermarksPicture(machine(name), top)
       for name, top in (("amd64-4g", None), ("amd64-4g", "Normal"), ("amd64-numa2", "Normal"), ("host-6.18", "DMA"),
                         ("i386-pae-6g", "HighMem"), ("amd64-movablecore", "Movable"), ("arm64-4g", "Normal"))},
    "marks 64 GiB": lambda: WatermarksPicture(big_machine(), "Movable"),
    "walk served": lambda: ZonelistPicture(SERVED),
    "walk refused": lambda: ZonelistPicture(REFUSED),
    "walk empty": lambda: ZonelistPicture(ZoneWalk(MODEL, "GFP_KERNEL", 0, ())),
    **FRAGMENTATION_PICTURES,
    **SLAB_PICTURES,
    **KMALLOC_PICTURES,
    **BEFORE_AFTER_PICTURES,
    **VMA_PICTURES,
    **TABLE_PICTURES,
    **MACHINE_PICTURES,
}  # fmt: skip


@cache
def drawn(name: str) -> Picture:
    """One of the pictures, made once; for tests that only look."""
    return PICTURES[name]()
