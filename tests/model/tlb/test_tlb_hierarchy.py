"""The TLBs of real CPUs: a trace at once gives what its accesses give one by one; walks cost what they read."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmkit.arch import X86, X86_64
from mmkit.model.memory import PhysicalMemory
from mmkit.model.mmu import Mmu
from mmkit.model.pgstate import PteFlags
from mmkit.model.pgtable import PageTable
from mmkit.model.tlb import CPU_TLBS, Tlb, TlbHierarchy, WalkCache, cpu_tlbs
from mmkit.model.tlbstate import CpuTlbs, TlbEntry, TlbGeometry, WalkEntry
from mmkit.model.trace import Trace

SMALL = CpuTlbs(
    "SMALL", "small enough to overflow",
    (
        TlbGeometry(8, 2, (12, 21), level=2, name="L2"), TlbGeometry(2, 2, (12,), serves="i", name="L1 I"),
        TlbGeometry(4, 2, (12,), serves="d", name="L1 D"), TlbGeometry(1, 1, (21,), serves="d", name="L1 D 2M"),
    ),
    (2, 1, 1), "no CPU",
)  # fmt: skip


@st.composite
def accesses(draw):
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    length = draw(st.integers(0, 200))
    regions = rng.integers(0, draw(st.integers(1, 6)), length)
    region_base = np.array([0, 1 << 21, 1 << 30, 1 << 39, 0x7FFF_0000_0000, (1 << 39) + (1 << 30)])[regions]
    # A region has one page size: 4 KiB, 2 MiB or 1 GiB.
    shifts = np.array([12, 21, 30, 12, 12, 30])[regions]
    spread = np.where(shifts == 12, 40 << 12, np.where(shifts == 21, 1 << 21, 1 << 30))
    addrs = (region_base + rng.integers(0, spread)).astype(np.uint64)
    return addrs, rng.integers(0, 4, length) == 0, rng.integers(0, 2, length), shifts


@given(accesses(), st.sampled_from(["SMALL", *CPU_TLBS]))
def test_a_trace_equals_its_accesses(made, name):
    addrs, fetch, asids, shifts = made
    cpu = TlbHierarchy(SMALL if name == "SMALL" else name)
    run = cpu.simulate(addrs, fetch=fetch, asids=asids, shift=shifts)
    assert cpu.cost.accesses == 0
    levels, refs = [], []
    for addr, is_fetch, asid, shift in zip(addrs.tolist(), fetch, asids.tolist(), shifts.tolist(), strict=True):
        before = cpu.walk_refs
        levels.append(cpu.access(addr, asid, shift, "x" if is_fetch else "r"))
        refs.append(cpu.walk_refs - before)
    assert run.level.tolist() == levels
    assert run.walk_refs.tolist() == refs
    assert run.cost == cpu.cost == cpu.snapshot().cost
    assert cpu.snapshot().level_hits == (levels.count(1), levels.count(2))
    cpu.check()


def test_presets_are_what_their_sources_say():
    reach = {name: sum(each.entries << 12 for each in cpu.arrays if 12 in each.shifts and "d" in each.serves)
             for name, cpu in CPU_TLBS.items()}  # fmt: skip
    assert reach["I486"] == 128 << 10
    assert reach["SKYLAKE"] == (64 + 1536) << 12
    for name, cpu in CPU_TLBS.items():
        assert cpu.name == name
        assert cpu.source
        TlbHierarchy(cpu).check()
        assert [each.level for each in cpu.arrays] == sorted(each.level for each in cpu.arrays)
    with pytest.raises(ValueError, match="unknown CPU 'PENTIUM': choose one of I486, JAGUAR"):
        cpu_tlbs("PENTIUM")


def test_a_hit_in_the_second_level_is_copied_to_the_first():
    cpu = TlbHierarchy(SMALL)
    for page in (0, 2, 4):  # all in one set of the first level's two ways
        cpu.access(page << 12)
    assert [cpu.access(0), cpu.access(0)] == [2, 1]
    assert cpu.access(0, access="x") == 2
    assert cpu.access(0, access="x") == 1


def test_a_page_too_large_for_all_is_kept_in_pieces():
    cpu = TlbHierarchy("JAGUAR")
    cpu.insert(TlbEntry(1 << 30, 4 << 30, 30), virt_addr=(1 << 30) + (5 << 21) + 7)
    piece = cpu.lookup((1 << 30) + (5 << 21))
    assert (piece.shift, piece.virt_addr, piece.phys_addr) == (21, (1 << 30) + (5 << 21), (4 << 30) + (5 << 21))
    assert cpu.lookup(1 << 30) is None
    # The notes' machine has no 2 MiB pages; what keeps them keeps halves of its 4 MiB pages.
    old = TlbHierarchy("SKYLAKE", X86)
    old.access(4 << 20, shift=22)
    assert [old.access((4 << 20) + offset, shift=22) for offset in (4096, 2 << 20, 4 << 20)] == [1, 0, 0]


def test_flushes_reach_all():
    trace = Trace()
    cpu = TlbHierarchy("SKYLAKE", trace=trace)
    cpu.insert(TlbEntry(0x1000, 0x1000, asid=1))
    cpu.insert(TlbEntry(0x2000, 0x2000, asid=1, glob=True))
    cpu.walk_cache.insert(WalkEntry(0, 21, 0x9000, 1))
    cpu.walk_cache.insert(WalkEntry(0, 21, 0x9000, 2))
    assert cpu.invlpg(0x1000, 1) == 3  # from both levels, and the walk cache's entry of that address space
    assert cpu.flush(keep_global=True) == 1
    assert cpu.flush_asid(1) == 0
    assert cpu.lookup(0x2000, 9) is not None
    assert cpu.flush() == 2
    assert {event.reason for event in trace.select("tlb_flush")} == {"invlpg", "asid", "flush"}


def test_walks_start_as_low_as_is_known():
    trace = Trace()
    cache = WalkCache(X86_64, (2, 1, 1), trace)
    gib = 1 << 30
    assert [cache.walk_refs(addr) for addr in (0, 4096, 1 << 21, gib, 0)] == [4, 1, 2, 3, 2 + 1]
    assert [(event.level, event.skipped) for event in trace] == [("pmd", 3), ("pud", 2), ("pgd", 1), ("pgd", 1)]
    state = cache.snapshot()
    assert state.names == ("pgd", "pud", "pmd")
    assert state.sizes == (1, 1, 2)
    assert [entry.virt_addr for entry in state.levels[2]] == [0, gib]
    assert cache.walk_refs(0, shift=21) == 1  # a large page: its entry is the leaf
    assert cache.flush() == 4
    assert cache.walk_refs(0, shift=30) == 2
    with pytest.raises(ValueError, match=r"X86_64 has no pages of 2\*\*22 bytes"):
        cache.walk_refs(0, shift=22)
    with pytest.raises(ValueError, match=r"X86_64 has 3 levels above the last: no walk cache \(1, 1, 1, 1\)"):
        WalkCache(X86_64, (1, 1, 1, 1))


def test_the_cost_is_counted_in_accesses_to_memory():
    # Without TLB hits and walk caches four levels cost four reads each; with everything known, none.
    none = TlbHierarchy(CpuTlbs("NONE", "next to nothing", (TlbGeometry(1, 1),), (), "no CPU"))
    walk = np.arange(100, dtype=np.uint64) << np.uint64(12)
    cost = none.simulate(walk).cost
    assert (cost.accesses, cost.walks, cost.walk_refs, cost.total, cost.per_access) == (100, 100, 400, 500, 5.0)
    assert none.simulate(walk, shift=12).misses.all()
    twice = TlbHierarchy("SKYLAKE").simulate(np.concatenate([walk, walk]))
    assert twice.hits.sum() == 100
    assert twice.cost.walk_refs == 4 + 99
    assert TlbHierarchy("SKYLAKE").simulate([]).cost.per_access == 0.0


def mapped():
    """Four pages of 4 KiB, one of 2 MiB, one of 1 GiB, and an MMU in front of them."""
    table = PageTable(X86_64, PhysicalMemory(X86_64, "64MiB"))
    rights = PteFlags.WRITE | PteFlags.USER | PteFlags.EXEC
    for page in range(4):
        table.map(page << 12, 0x100 + page, rights)
    table.map(1 << 21, 0x200, rights, level=1)
    table.map(1 << 30, 1 << 18, rights, level=2)
    return table


@pytest.mark.parametrize("tlb", [Tlb(16, 4), Tlb(4, shifts=(21,)), TlbHierarchy("SKYLAKE"), TlbHierarchy("JAGUAR")])
def test_an_mmu_finds_the_same_with_any_tlb(tlb):
    table = mapped()
    alone, behind = (Mmu(X86_64, table.words, tlb=each) for each in (None, tlb))
    alone.cr3 = behind.cr3 = table.cr3
    rng = np.random.default_rng(5)
    bases = np.array([0, 0x1000, 0x3000, 1 << 21, (1 << 21) + 0x5000, 1 << 30, (1 << 30) + (7 << 21)])
    for addr in (bases[rng.integers(0, 7, 300)] + rng.integers(0, 4096, 300)).tolist():
        access = "rwx"[addr % 3]
        assert behind.translate(addr, access) == alone.translate(addr, access)
    cost = tlb.cost
    assert cost.accesses == 300
    assert cost.walk_refs <= 4 * cost.walks
    assert cost.walks < 300
    tlb.check()


def test_the_walk_cache_keeps_what_the_mmu_read():
    table = mapped()
    cpu = TlbHierarchy("SKYLAKE")
    mmu = Mmu(X86_64, table.words, tlb=cpu)
    mmu.cr3 = table.cr3
    mmu.translate(0x1234)
    steps = mmu.walk(0x1234).steps
    assert cpu.walk_refs == 4
    assert cpu.walk_cache.lookup(0x2000).table_addr == steps[3].table_addr
    mmu.translate(0x2000)
    assert cpu.walk_refs == 5
    mmu.translate(0x2000, "x")  # the second level is for fetches as well
    assert (cpu.walk_refs, cpu.level_hits) == (5, [0, 1])
    mmu.translate(1 << 30)
    assert cpu.walk_refs == 5 + 1


def test_invlpg_takes_all_pieces_of_a_page():
    table = mapped()
    cpu = TlbHierarchy("JAGUAR")  # a gibibyte is kept in pieces of 2 MiB
    mmu = Mmu(X86_64, table.words, tlb=cpu)
    mmu.cr3 = table.cr3
    for piece in range(3):
        mmu.translate((1 << 30) + (piece << 21))
    mmu.translate(1 << 21)
    held = [entry for tlb in cpu.snapshot().arrays for each in tlb.sets for entry in each.ways if entry]
    assert sorted({(entry.shift, entry.page_shift) for entry in held}) == [(21, 0), (21, 30)]
    mmu.invlpg((1 << 30) + (9 << 21))
    assert {entry.page_shift for tlb in cpu.tlbs for each in tlb.snapshot().sets for entry in each.ways if entry} == {0}
