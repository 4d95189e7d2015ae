"""Addresses, walks, trees of tables, TLBs, traces and curves to draw, and every picture of several of them."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np

from mmkit.arch import PRESETS
from mmkit.data import matrix_walks, recording
from mmkit.lab.faultbench import FaultBench
from mmkit.lab.tablebench import TableBench
from mmkit.lab.tlbbench import PATTERNS, Setting, TlbBench, TlbBenchState
from mmkit.model.machinestate import FaultState
from mmkit.model.pgstate import AddressParts, SpacesState, SpaceState, WalkState
from mmkit.model.pgtable.cost import table_cost
from mmkit.model.pgtable.parts import address_parts
from mmkit.model.pgtable.tables import sample_places, sample_tables, spaces
from mmkit.model.tlb.maps import hit_curve, trace_map
from mmkit.model.tlbstate import HitCurve, TlbGeometry, TraceMap
from mmkit.view.address import AddressPicture
from mmkit.view.fault import FaultPicture
from mmkit.view.pagetree import TreesPicture
from mmkit.view.picture import Picture
from mmkit.view.reach import ReachPicture, TimingPicture
from mmkit.view.tablecost import TableCostPicture
from mmkit.view.tlb import TlbPicture
from mmkit.view.tracemap import TracePicture
from mmkit.view.walk import WalkPicture

RECORDED = {"X86": "i386-686-2g", "X86_PAE": "i386-pae-6g", "X86_64": "amd64-4g", "ARM64": "arm64-4g"}
GEOMETRIES = ((8, 2), (8, 8), (8, 1), (32, 4), (64, 4), (72, 72), (1536, 12))


def address(arch: str, which: str) -> AddressParts:
    """The lowest address, the highest, one of many digits, or one that is not canonical."""
    bits = PRESETS[arch].pointer_bits
    addr = {
        "low": 0, "high": (1 << bits) - 1, "mixed": 0x7F12_3456_789A & (1 << min(bits, 47)) - 1, "none": 1 << bits - 2,
    }[which]  # fmt: skip
    return address_parts(arch, addr)


@cache
def walk(arch: str, shown: int | None = None, recorded: bool = False) -> WalkState:
    """A walk to the last page of a small program, or of a recorded process."""
    if not recorded:
        return sample_tables(arch).walk_state(sample_places(arch)["stack"] | 0xABC, shown)
    tables = recording(RECORDED[arch]).page_tables
    last = max(entry.virt_addr for entry in tables.entries if entry.kind == "page4k")
    return tables.walk_state(last | 0xFFF, shown)


def large() -> WalkState:
    """A walk to a page of 2 MiB."""
    return recording("amd64-4g").page_tables.walk_state(0x7FFF_E701_2345)


@cache
def trees(arch: str = "TOY", pages: int = 0, access: bool = False) -> tuple[SpacesState, SpacesState]:
    """Two processes before and after some pages more were mapped, and perhaps one was written to."""
    bench = TableBench(arch)
    before = bench.snapshot().spaces
    step = 0x1000 if arch == "TOY" else 0x2345_6000
    mapped = {addr for space in before.spaces for addr in _pages(space)}
    room = [addr for addr in range(0, 16 * step, step) if addr not in mapped]
    for addr in room[:pages]:
        bench.map(addr, None, "rw-", 0)
    if access:
        bench.access(room[0], "write", True)
    return bench.snapshot().spaces, before


def _pages(space: SpaceState) -> list[int]:
    shifts = [level.shift for level in PRESETS[space.tables.arch].levels]
    return [
        table.virt_addr | index << shifts[table.depth] for table in space.tables.tables for index, *_ in table.pages
    ]


@cache
def tlb(entries: int, ways: int, pattern: str = "random pages", done: int = 100, policy: str = "lru") -> TlbBenchState:
    """A TLB after some accesses."""
    bench = TlbBench(Setting(pattern, entries, ways, policy, 12, False))
    if done:
        bench.step(done)
    return bench.snapshot()


def trace(count: int) -> TraceMap:
    """So many accesses, in turn to a few pages."""
    addresses = np.arange(count, dtype=np.uint64) % np.uint64(7) * np.uint64(4096)
    return trace_map("Seven pages in turn", addresses, TlbGeometry(4, 4))


@cache
def curves(count: int) -> tuple[HitCurve, ...]:
    """Curves for TLBs of growing size."""
    sizes = [1 << power for power in range(14, 24)]
    made = [hit_curve(f"{16 << k} entries", TlbGeometry(16 << k, 4), sizes, accesses=2000) for k in range(count)]
    return tuple(made)


def faults(count: int) -> tuple[FaultState, FaultState]:
    """The page fault lab's machine before and after the last of some operations."""
    bench = FaultBench()
    story = [("touch", (0, True)), ("touch", (1, False)), ("touch", (4, False)), ("fork", ()), ("touch", (0, True)),
             ("fork", ()), ("touch", (6, True)), ("fork", ())]  # fmt: skip
    before = bench.snapshot().faults
    for name, arguments in story[:count]:
        before = bench.snapshot().faults
        getattr(bench, name)(*arguments)
    return bench.snapshot().faults, before


TABLE_PICTURES: dict[str, Callable[[], Picture]] = {
    **{f"address {arch} {which}": lambda arch=arch, which=which: AddressPicture(address(arch, which))
       for arch in PRESETS for which in ("low", "high", "mixed", "none")},
    **{f"walk {arch}": lambda arch=arch: WalkPicture(walk(arch)) for arch in PRESETS},
    **{f"walk {arch}, recorded": lambda arch=arch: WalkPicture(walk(arch, None, True)) for arch in RECORDED},
    **{f"walk, {shown} steps": lambda shown=shown: WalkPicture(walk("X86_64_LA57", shown)) for shown in range(6)},
    "walk to a large page": lambda: WalkPicture(large()),
    "walk to nothing": lambda: WalkPicture(recording("amd64-4g").page_tables.walk_state(0x1234_5000)),
    "walk of no address": lambda: WalkPicture(sample_tables("X86_64").walk_state(1 << 60)),
    **{f"trees {arch}, {pages} more": lambda arch=arch, pages=pages: TreesPicture(*trees(arch, pages, pages > 0))
       for arch in ("TOY", "X86", "X86_PAE", "X86_64", "X86_64_LA57") for pages in (0, 1, 5)},
    "trees, full": lambda: TreesPicture(*trees("TOY", 16, True)),
    **{f"trees {arch}, recorded": lambda arch=arch: TreesPicture(spaces(recording(RECORDED[arch]).page_tables))
       for arch in RECORDED},
    **{f"tlb {entries} {ways}": lambda entries=entries, ways=ways: TlbPicture(tlb(entries, ways).run)
       for entries, ways in GEOMETRIES},
    "tlb, empty": lambda: TlbPicture(tlb(8, 2, done=0).run),
    "tlb, pseudo-LRU": lambda: TlbPicture(tlb(8, 4, policy="plru").run),
    "tlb, two processes": lambda: TlbPicture(tlb(8, 2, "two processes in turn", 31).run),
    "tlb, recorded": lambda: TlbPicture(tlb(64, 4, "recorded: matrix column by column", 5000).run),
    **{f"trace {count}": lambda count=count: TracePicture(trace(count), count // 2) for count in (1, 40, 3000)},
    **{f"trace {name}": lambda name=name: TracePicture(
        trace_map(name, PATTERNS[name].make(), TlbGeometry(8, 2))) for name in PATTERNS},
    "curve": lambda: ReachPicture(curves(1)),
    "curves": lambda: ReachPicture(curves(5)),
    "timing": lambda: TimingPicture(recording("host-6.18").translation),
    **{f"cost {arch}": lambda arch=arch: TableCostPicture(table_cost(arch, [1 << k for k in range(0, 21, 2)]))
       for arch in ("X86", "X86_64_LA57")},
    **{f"faults {count}": lambda count=count: FaultPicture(*faults(count)) for count in range(1, 9)},
    "matrix": lambda: TracePicture(trace_map("Columns", matrix_walks().columns, TlbGeometry(64, 4)), 65536),
}  # fmt: skip
"""Pictures of chapters 8 and 9 by name."""
