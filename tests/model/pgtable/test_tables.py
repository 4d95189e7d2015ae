"""Tables to be read: the toy's entries, samples of all architectures, addresses taken apart, costs, events."""

from __future__ import annotations

import random
from itertools import pairwise

import numpy as np
import pytest

from mmkit.arch import PRESETS
from mmkit.errors import InvariantError, OutOfMemory
from mmkit.model import pgtrace
from mmkit.model.memory import PhysicalMemory
from mmkit.model.mmu import GeneralProtection, Mmu, PageFault
from mmkit.model.pgstate import PteFlags
from mmkit.model.pgtable import PageTable
from mmkit.model.pgtable.cost import flat_bytes, table_cost, tables_needed
from mmkit.model.pgtable.parts import address_parts, walk_state
from mmkit.model.pgtable.tables import sample_places, sample_tables, spaces
from mmkit.model.trace import Trace

ALL = sorted(PRESETS)


def ram(arch: str) -> str:
    return "256KiB" if arch == "TOY" else "64MiB"


@pytest.mark.parametrize("arch", ALL)
def test_an_address_is_its_parts(arch: str) -> None:
    rng = random.Random(arch)
    bits = address_parts(arch, 0).word_bits
    for _ in range(200):
        addr = rng.randrange(1 << bits)
        parts = address_parts(arch, addr)
        low = sum(field.value << field.low for field in parts.fields)
        assert low | parts.above << parts.virt_bits == addr
        edges = [(field.high, field.low) for field in parts.fields]
        assert edges[0][0] == parts.virt_bits - 1
        assert edges[-1][1] == 0
        assert all(upper[1] == lower[0] + 1 for upper, lower in pairwise(edges))


@pytest.mark.parametrize("arch", ["X86_64", "X86_64_LA57", "SV39", "SV48"])
def test_canonical_is_what_the_highest_translated_bit_says(arch: str) -> None:
    parts = address_parts(arch, 0)
    width, top = parts.word_bits - parts.virt_bits, 1 << parts.virt_bits - 1
    assert address_parts(arch, top - 1).canonical
    assert not address_parts(arch, top).canonical
    for bit in range(width):
        assert not address_parts(arch, top - 1 | 1 << parts.virt_bits + bit).canonical
    assert address_parts(arch, ((1 << width + 1) - 1) << parts.virt_bits - 1).canonical


def test_arm_has_two_roots_and_no_sign() -> None:
    assert address_parts("ARM64", (1 << 48) - 1).canonical
    assert address_parts("ARM64", 0xFFFF << 48).canonical
    assert not address_parts("ARM64", 1 << 48).canonical


@pytest.mark.parametrize("addr", [-1, 1 << 32])
def test_more_bits_than_a_pointer_has(addr: int) -> None:
    with pytest.raises(ValueError, match="a pointer has 32 bits"):
        address_parts("X86", addr)


@pytest.mark.parametrize("arch", ALL)
def test_a_small_program_of_every_architecture(arch: str) -> None:
    tables, places = sample_tables(arch), sample_places(arch)
    frames = [tables.walk(addr).phys_addr for addr in places.values()]
    assert None not in frames
    assert len(set(frames)) == len(places)
    assert tables.walk(places["data"]).flags & PteFlags.WRITE
    assert not tables.walk(places["code"]).flags & PteFlags.WRITE
    state = tables.walk_state(places["stack"] | 0x123)
    assert [dict(rows)[step.index] for step, rows in zip(state.walk.steps, state.rows, strict=True)] == [
        step.raw for step in state.walk.steps
    ]
    assert state.at_end


@pytest.mark.parametrize("arch", ALL)
def test_a_tree_says_what_its_pages_are(arch: str) -> None:
    tables = sample_tables(arch)
    state = tables.snapshot()
    shifts = [level.shift for level in PRESETS[arch].levels]
    found = {
        table.virt_addr | index << shifts[table.depth]: (addr, letters)
        for table in state.tables for index, addr, letters in table.pages
    }  # fmt: skip
    assert state.pages == len(found)
    for virt, (phys, letters) in found.items():
        walk = tables.walk(virt)
        assert (walk.phys_addr, "W" in letters) == (phys, bool(walk.flags & PteFlags.WRITE))
    assert spaces(tables, tables, loaded=1).running.tables == state


def test_steps_are_shown_as_far_as_they_are_taken() -> None:
    tables, addr = sample_tables("X86_64"), sample_places("X86_64")["code"]
    states = [walk_state(tables.words, tables.root_addr, tables.format, addr, shown) for shown in range(-1, 8)]
    assert [state.shown for state in states] == [0, 0, 1, 2, 3, 4, 5, 5, 5]
    assert [state.at_end for state in states] == [False] * 6 + [True] * 3


def toy() -> tuple[PageTable, Mmu]:
    table = PageTable("TOY", PhysicalMemory("TOY", "256KiB"))
    mmu = Mmu("TOY", table.words)
    mmu.cr3 = table.cr3
    return table, mmu


def test_toy_entries_are_two_bytes_with_a_frame_and_flags() -> None:
    table, mmu = toy()
    table.map(0x9000, 0x23, PteFlags.USER)
    leaf = table.walk(0x9000).steps[-1]
    assert (leaf.raw, leaf.bits) == (0x2305, ("present", "user"))
    assert mmu.translate(0x9ABC) == 0x23ABC
    assert table.walk(0x9000).steps[-1].raw == 0x2325
    with pytest.raises(PageFault) as fault:
        mmu.translate(0x9000, "w")
    assert fault.value.error_code == 7
    table.words.write(leaf.entry_addr, 0x2385)
    with pytest.raises(PageFault) as fault:
        mmu.translate(0x9000)
    assert fault.value.error_code == 13
    with pytest.raises(ValueError, match="no address of 16 bits"):
        mmu.translate(0x10000)


def test_toy_translates_arrays_as_one_by_one() -> None:
    table, mmu = toy()
    for page in range(0, 16, 3):
        table.map(page << 12, 0x20 + page)
    addresses = np.array([page << 12 | page * 17 for page in range(0, 16, 3)], np.uint64)
    assert mmu.translate_many(addresses).tolist() == [mmu.translate(int(addr)) for addr in addresses]


def test_a_table_that_leads_to_itself_is_walked_as_long_as_there_are_levels() -> None:
    table, mmu = toy()
    table.map(0, 0x20)
    table.words.write(table.cr3 + 6, table.cr3 >> 4 | 7)
    assert mmu.translate(0xF000) == table.cr3
    assert mmu.translate(0xC000) == table.walk(0).steps[1].table_addr
    with pytest.raises(InvariantError):
        table.check()


def test_tables_outside_memory_are_a_fault_and_no_snapshot() -> None:
    table, mmu = toy()
    table.words.write(table.cr3, 0xFF07)
    with pytest.raises(PageFault, match="no memory is there"):
        mmu.translate(0x123)
    assert table.walk(0x123).end == "outside"
    with pytest.raises(InvariantError, match="tables are in memory"):
        table.snapshot()


@pytest.mark.parametrize("arch", ["X86", "X86_PAE", "X86_64", "X86_64_LA57", "SV39", "ARM64"])
def test_tables_needed_are_those_that_are_made(arch: str) -> None:
    rng = random.Random(arch)
    bits = PRESETS[arch].virt_bits - (PRESETS[arch].word_bytes == 8)
    for _ in range(20):
        near = rng.randrange(1 << bits - 12) << 12
        pages = {(near + rng.randrange(1 << 10) * 4096 * 512 ** rng.randrange(2)) % (1 << bits) for _ in range(12)}
        table = PageTable(arch, PhysicalMemory(arch, "64MiB"))
        for addr in pages:
            table.map(addr, 0x80100 if arch == "SV39" else 0x100)
        state = table.snapshot()
        made = tuple(state.tables_at(depth) for depth in range(len(PRESETS[arch].levels)))
        assert tables_needed(arch, sorted(pages)) == made


def test_costs_grow_from_one_table_a_level_to_a_flat_one() -> None:
    cost = table_cost("X86", [1, 1024, 1 << 20])
    dense, far = (dict(curve.points) for curve in cost.curves)
    assert dense == {1: 8192, 1024: 8192, 1 << 20: flat_bytes("X86") + 4096}
    assert far == {1: 8192, 1024: flat_bytes("X86") + 4096, 1 << 20: flat_bytes("X86") + 4096}
    assert cost.flat_bytes == 4 << 20


def test_far_apart_means_within_what_a_process_has() -> None:
    far = dict(table_cost("X86_64", [256, 512]).curves[1].points)
    assert far[256] == (1 + 3 * 256) << 12
    assert far[512] == (1 + 256 + 2 * 512) << 12, "256 entries of the root are the process's, two pages share one"


def events(do, arch: str = "X86_64") -> list[pgtrace.Event]:
    trace, told = Trace(), []
    memory = PhysicalMemory(arch, ram(arch))
    table = PageTable(arch, memory, trace=trace)
    mmu = Mmu(arch, table.words, trace=trace)
    trace.listen(told.append)
    do(table, mmu)
    return told


def test_mapping_tells_of_every_table_and_entry() -> None:
    told = events(lambda table, _: table.map(0x40_0000, 0x123))
    kinds = [type(event) for event in told]
    assert kinds == [pgtrace.PtTableNew, pgtrace.PtEntrySet] * 3 + [pgtrace.PtEntrySet]
    assert [event.level for event in told if isinstance(event, pgtrace.PtEntrySet)] == ["pgd", "pud", "pmd", "pte"]
    assert told[-1].index == 0
    assert told[-1].old == 0


def test_unmapping_tells_the_same_backwards() -> None:
    def do(table: PageTable, _: Mmu) -> None:
        table.map(0x40_0000, 0x123)
        table.unmap(0x40_0000)

    told = events(do)
    gone = told[7:]
    assert [type(event) for event in gone] == [pgtrace.PtEntrySet] + [pgtrace.PtEntrySet, pgtrace.PtTableFree] * 3
    assert [event.new for event in gone if isinstance(event, pgtrace.PtEntrySet)] == [0] * 4
    made = {event.addr for event in told if isinstance(event, pgtrace.PtTableNew)}
    assert {event.addr for event in gone if isinstance(event, pgtrace.PtTableFree)} == made


def test_a_walk_tells_what_it_reads_marks_and_refuses() -> None:
    def do(table: PageTable, mmu: Mmu) -> None:
        table.map(0x40_0000, 0x123, PteFlags.USER)
        mmu.cr3 = table.cr3
        mmu.translate(0x40_0123)
        for addr, how, user in ((0x40_0000, "w", True), (0x80_0000, "r", False)):
            with pytest.raises(PageFault):
                mmu.translate(addr, how, user)
        with pytest.raises(GeneralProtection):
            mmu.translate(1 << 47)

    told = events(do)[7:]
    assert isinstance(told[0], pgtrace.Cr3Load)
    reads = [event for event in told if isinstance(event, pgtrace.WalkRead)]
    assert [event.kind for event in reads] == ["table"] * 3 + ["page"] + ["table"] * 3 + ["page"] + ["table"] * 2 + [
        "absent"
    ]
    faults = [event for event in told if isinstance(event, (pgtrace.PageFaultUser, pgtrace.PageFaultKernel))]
    assert [(type(event).name, event.address, event.error_code) for event in faults] == [
        ("page_fault_user", 0x40_0000, 7), ("page_fault_kernel", 0x80_0000, 0),
    ]  # fmt: skip
    marked = [event for event in told if isinstance(event, pgtrace.PtEntrySet)]
    assert [event.new & ~event.old for event in marked] == [0x20]


def test_out_of_memory_half_way_tells_that_everything_is_taken_back() -> None:
    memory, trace, told = PhysicalMemory("TOY", "256KiB"), Trace(), []
    table = PageTable("TOY", memory, trace=trace)
    taken = []
    while True:
        try:
            taken.append(memory.alloc_pages(0, 0))
        except OutOfMemory:
            break
    trace.listen(told.append)
    before = table.snapshot()
    with pytest.raises(OutOfMemory):
        table.map(0, 0x20)
    assert (table.snapshot(), told) == (before, [])
