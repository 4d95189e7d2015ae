"""The MMU's rules, R48 to R52, one by one; and a dictionary of pages beside page table and MMU."""

from __future__ import annotations

from contextlib import suppress

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from mmkit import Mmu, PageFault, PageTable, PhysicalMemory, Tlb
from mmkit.errors import OutOfMemory
from mmkit.model.mmu import FETCH, PRESENT, RESERVED, USER, WRITE, GeneralProtection, error_names
from mmkit.model.pgstate import PteFlags

W, U, X, G = PteFlags.WRITE, PteFlags.USER, PteFlags.EXEC, PteFlags.GLOBAL
ADDR, PFN = 0x40_0000, 0x123
ARCHES = ("X86", "X86_PAE", "X86_64", "X86_64_LA57", "ARM64", "SV39", "SV48")
X86S = ARCHES[:4]


def made(arch: str = "X86_64", flags: PteFlags = W | U | X, level: int = 0, **settings_: bool) -> tuple[PageTable, Mmu]:
    """A table with one page, and an MMU that uses it."""
    table = PageTable(arch, PhysicalMemory(arch, "64MiB"))
    table.map(ADDR, PFN if not level else 0x800, flags, level)
    mmu = Mmu(arch, table.words, **settings_)
    mmu.cr3 = table.cr3
    return table, mmu


def fault(mmu: Mmu, addr: int, access: str = "r", user: bool = True) -> int:
    """The error code of the fault that an access takes."""
    with pytest.raises(PageFault) as caught:
        mmu.translate(addr, access, user)
    assert caught.value.addr == addr
    return caught.value.error_code


@pytest.mark.parametrize("arch", ARCHES)
def test_a_mapped_page_is_translated_and_walked(arch: str) -> None:
    table, mmu = made(arch)
    assert mmu.translate(ADDR | 0xABC) == PFN << 12 | 0xABC
    walk = table.walk(ADDR | 0xABC)
    assert [step.level for step in walk.steps] == [level.name for level in table.arch.levels]
    assert table.nr_tables == len(table.arch.levels)
    table.check()


def test_r48_not_canonical_and_not_present() -> None:
    _, mmu = made()
    for addr in (1 << 47, 0xFFFF_0000_0000_0000, 0x8000_0000_0000_0000):
        with pytest.raises(GeneralProtection):
            mmu.translate(addr)
    _, five = made("X86_64_LA57")
    assert fault(five, 1 << 47) == USER
    assert fault(mmu, 0) == USER
    assert fault(mmu, 0, "w", user=False) == WRITE
    assert fault(mmu, 0, "x") == USER | FETCH
    assert fault(made("X86")[1], 0, "x") == USER
    assert fault(made("X86", smep=True)[1], 0, "x") == USER | FETCH
    assert fault(made(nxe=False)[1], 0, "x") == USER
    assert error_names(USER | WRITE) == "not present W U"


def test_r49_present_then_reserved_then_rights_at_the_leaf() -> None:
    table, mmu = made(flags=X)
    steps = table.walk(ADDR).steps
    table.words.write(steps[1].entry_addr, steps[1].raw | 1 << 51)
    assert fault(mmu, ADDR, "w") == PRESENT | WRITE | USER | RESERVED
    table.words.write(steps[1].entry_addr, steps[1].raw)
    table.words.write(steps[0].entry_addr, steps[0].raw & ~(2 | 4))
    table.words.write(steps[-1].entry_addr, 0)
    assert fault(mmu, ADDR, "w") == WRITE | USER, "a missing lower entry wins over a denied upper one"
    table.words.write(steps[-1].entry_addr, steps[-1].raw | 6)
    assert fault(mmu, ADDR, "w") == PRESENT | WRITE | USER, "rights are those of all levels together"
    table.words.write(steps[0].entry_addr, steps[0].raw | 1 << 63)
    assert fault(mmu, ADDR, "x") == PRESENT | USER | FETCH


@pytest.mark.parametrize(("arch", "depth", "bit", "settings_"), [
    ("X86_64", 3, 46, {}), ("X86_64", 3, 63, {"nxe": False}), ("X86_64", 0, 7, {}), ("X86_64_LA57", 0, 7, {}),
    ("X86_64_LA57", 1, 7, {}), ("X86_PAE", 2, 52, {}), ("X86_PAE", 2, 36, {}),
])  # fmt: skip
def test_r50_reserved_bits(arch: str, depth: int, bit: int, settings_: dict[str, bool]) -> None:
    table, mmu = made(arch, **settings_)
    step = table.walk(ADDR).steps[depth]
    raw = step.raw & ~(1 << 63) if settings_ else step.raw
    table.words.write(step.entry_addr, raw | 1 << bit)
    assert fault(mmu, ADDR) == PRESENT | USER | RESERVED


@pytest.mark.parametrize(("arch", "level", "bad", "fine"), [
    ("X86", 1, 21, 12), ("X86_PAE", 1, 13, 12), ("X86_64", 1, 20, 12), ("X86_64", 2, 29, 12),
])  # fmt: skip
def test_r50_low_bits_of_a_large_page(arch: str, level: int, bad: int, fine: int) -> None:
    memory = PhysicalMemory(arch, "64MiB")
    table = PageTable(arch, memory)
    addr = 0x4000_0000
    table.map(addr, 0, W | U | X, level)
    mmu = Mmu(arch, table.words)
    mmu.cr3 = table.cr3
    step = table.walk(addr).steps[-1]
    table.words.write(step.entry_addr, step.raw | 1 << fine)
    assert mmu.translate(addr | 0x1234) == 0x1234
    table.words.write(step.entry_addr, step.raw | 1 << bad)
    assert fault(mmu, addr) == PRESENT | USER | RESERVED


def test_r50_without_pse_and_with_pse_36() -> None:
    table, mmu = made("X86")
    step = table.walk(ADDR).steps[0]
    table.words.write(step.entry_addr, step.raw | 0x80)
    assert mmu.walk(ADDR).steps[-1].kind == ("reserved" if step.raw & 1 << 21 else "page")
    small = Mmu("X86", table.words, pse=False)
    small.cr3 = table.cr3
    assert small.translate(ADDR | 5) == PFN << 12 | 5
    table.words.write(step.entry_addr, 0x0040_0000 | 0xE7 | 0b101 << 13)
    assert mmu.translate(ADDR | 0x1_2345) == 5 << 32 | 0x41_2345


def test_r51_what_the_kernel_may() -> None:
    _, mmu = made(flags=U | X)
    assert fault(mmu, ADDR, "w", user=False) == PRESENT | WRITE
    mmu.wp = False
    assert mmu.translate(ADDR, "w", user=False) == PFN << 12
    assert fault(mmu, ADDR, "w") == PRESENT | WRITE | USER
    mmu.smep = True
    assert fault(mmu, ADDR, "x", user=False) == PRESENT | FETCH
    mmu.smap = True
    assert fault(mmu, ADDR, "r", user=False) == PRESENT
    mmu.ac = True
    assert mmu.translate(ADDR, "r", user=False) == PFN << 12
    _, kernel = made(flags=W | X)
    assert fault(kernel, ADDR) == PRESENT | USER
    assert kernel.translate(ADDR, "w", user=False) == PFN << 12


@pytest.mark.parametrize("arch", X86S)
def test_r52_accessed_and_dirty(arch: str) -> None:
    table, mmu = made(arch)
    for step in table.walk(ADDR).steps:
        table.words.write(step.entry_addr, step.raw & ~0x60)
    mmu.translate(ADDR)
    after = [step.raw for step in table.walk(ADDR).steps]
    assert [bool(raw & 0x20) for raw in after] == [not (arch == "X86_PAE" and not n) for n in range(len(after))]
    assert not any(raw & 0x40 for raw in after)
    mmu.translate(ADDR, "w")
    assert [bool(step.raw & 0x40) for step in table.walk(ADDR).steps] == [False] * (len(after) - 1) + [True]
    version = table.words.version
    mmu.translate(ADDR, "w")
    assert table.words.version == version, "nothing is written that is set already"


def test_two_entries_may_lead_to_one_table() -> None:
    table, mmu = made()
    root = table.walk(ADDR).steps[0]
    table.words.write(root.table_addr + 8 * 7, root.raw)
    assert mmu.translate(7 << 39 | ADDR | 9) == PFN << 12 | 9


def test_a_table_that_is_nowhere_and_one_that_leads_to_itself() -> None:
    table, mmu = made()
    root = table.walk(ADDR).steps[0]
    table.words.write(root.entry_addr, 0x3F_FFFF_F067)
    assert fault(mmu, ADDR) == USER
    table.words.write(root.entry_addr, root.table_addr | 0x67)
    assert mmu.walk(0).end == "page"


def test_a_tlb_remembers_and_has_to_be_told() -> None:
    table, mmu = made()
    mmu.tlb = Tlb(16, 4)
    first = mmu.translate(ADDR)
    table.unmap(ADDR)
    assert mmu.translate(ADDR | 1) == first | 1, "what was forgotten to be flushed is still used"
    mmu.invlpg(ADDR)
    assert fault(mmu, ADDR) == USER
    table.map(ADDR, PFN, U)
    mmu.translate(ADDR)
    assert fault(mmu, ADDR, "w") == PRESENT | WRITE | USER
    other = PageTable("X86_64", table.memory, table.words)
    mmu.cr3 = other.cr3
    assert fault(mmu, ADDR) == USER, "another CR3 flushes what is not global"


@pytest.mark.parametrize(("what", "words"), [
    (lambda table: table.map(ADDR, 5), "mapped already, by a page of 0x1000 bytes"),
    (lambda table: table.map(ADDR & ~0x1FFFFF, 0x200, level=1), "a larger one cannot take their place"),
    (lambda table: table.map(ADDR + 1, 5), "begins at a multiple of that"),
    (lambda table: table.map(0x20_0000, 5, level=1), "in frames from a multiple of that"),
    (lambda table: table.map(0, 0, level=3), "has no pages at level 3"),
    (lambda table: table.map(0, 1 << 40), "beyond the 46 bits of a physical address"),
    (lambda table: table.map(1 << 50, 5), "no virtual address of X86_64: they have 48 bits"),
    (lambda table: table.unmap(0x9000), "no page is mapped at 0x9000"),
    (lambda table: table.protect(0x9000, W), "no page is mapped at 0x9000"),
])  # fmt: skip
def test_what_cannot_be_is_refused_in_words_and_changes_nothing(what, words: str) -> None:
    table, _ = made()
    before = table.snapshot(), table.words.version
    with pytest.raises(ValueError, match=words):
        what(table)
    assert (table.snapshot(), table.words.version) == before


def use_up(memory: PhysicalMemory, left: int) -> None:
    """Take all pages but some."""
    taken = []
    with suppress(OutOfMemory):
        while True:
            taken.append(memory.alloc_pages(0x400, 0))
    for page in taken[-left:]:
        memory.free_pages(page, 0)


def test_without_memory_for_a_table_nothing_changes() -> None:
    memory = PhysicalMemory("X86_64", "64MiB", pcp=False)
    table = PageTable("X86_64", memory)
    use_up(memory, 1)
    before = table.snapshot()
    with pytest.raises(OutOfMemory):
        table.map(ADDR, 5)
    assert (table.snapshot(), table.nr_tables) == (before, 1)
    table.check()


class Tables(RuleBasedStateMachine):
    """Pages are mapped, changed and unmapped in a table, and in a dictionary."""

    @initialize(arch=st.sampled_from(ARCHES))
    def start(self, arch: str) -> None:
        self.memory = PhysicalMemory(arch, "64MiB", pcp=False)
        self.free = sum(zone.free_pages for zone in self.memory.zones)
        self.table = PageTable(arch, self.memory)
        self.mmu = Mmu(arch, self.table.words)
        self.mmu.cr3 = self.table.cr3
        self.pages: dict[int, tuple[int, PteFlags]] = {}

    def addr(self, page: int) -> int:
        return (page & 3) << 12 | (page >> 2) << 21

    @rule(page=st.integers(0, 31), pfn=st.integers(1, 4000), flags=st.integers(0, 7))
    def map(self, page: int, pfn: int, flags: int) -> None:
        if page in self.pages:
            with pytest.raises(ValueError, match="mapped already"):
                self.table.map(self.addr(page), pfn, PteFlags(flags))
        else:
            self.table.map(self.addr(page), pfn, PteFlags(flags))
            self.pages[page] = pfn, PteFlags(flags)

    @rule(page=st.integers(0, 31))
    def unmap(self, page: int) -> None:
        if self.pages.pop(page, None) is None:
            with pytest.raises(ValueError, match="no page is mapped"):
                self.table.unmap(self.addr(page))
        else:
            self.table.unmap(self.addr(page))

    @rule(page=st.integers(0, 31), flags=st.integers(0, 7))
    def protect(self, page: int, flags: int) -> None:
        if page in self.pages:
            self.table.protect(self.addr(page), PteFlags(flags))
            self.pages[page] = self.pages[page][0], PteFlags(flags)

    @rule(page=st.integers(0, 31), access=st.sampled_from("rwx"), offset=st.integers(0, 4095))
    def access(self, page: int, access: str, offset: int) -> None:
        pfn, flags = self.pages.get(page, (0, PteFlags(0)))
        needed = U | {"r": PteFlags(0), "w": W, "x": X if self.can_forbid_execution else PteFlags(0)}[access]
        if page in self.pages and flags & needed == needed:
            assert self.mmu.translate(self.addr(page) | offset, access) == pfn << 12 | offset
        else:
            code = fault(self.mmu, self.addr(page) | offset, access)
            assert bool(code & PRESENT) == (page in self.pages)

    @property
    def can_forbid_execution(self) -> bool:
        return self.table.arch.name != "X86"

    @invariant()
    def tables_are_as_they_have_to_be(self) -> None:
        if hasattr(self, "table"):
            self.table.check()
            assert self.table.snapshot().mapped_bytes == len(self.pages) << 12
            free = sum(zone.free_pages for zone in self.memory.zones)
            assert free + self.table.nr_tables == self.free

    def teardown(self) -> None:
        if hasattr(self, "table"):
            self.table.free()
            assert sum(zone.free_pages for zone in self.memory.zones) == self.free


TestTables = Tables.TestCase
TestTables.settings = settings(max_examples=40, stateful_step_count=40)


@pytest.mark.parametrize("arch", ARCHES)
def test_many_addresses_at_once_are_the_same_as_one_by_one(arch: str) -> None:
    table, mmu = made(arch)
    for number in range(1, 40):
        table.map(ADDR + (number << 12), PFN + number * 3 % 50, W | U | X)
    addrs = np.array([ADDR + (n * 7919) % (40 << 12) for n in range(500)], dtype=np.uint64)
    assert mmu.translate_many(addrs, "w").tolist() == [mmu.translate(int(addr)) for addr in addrs]
    addrs[300] = ADDR + (41 << 12)
    with pytest.raises(PageFault) as caught:
        mmu.translate_many(addrs)
    assert caught.value.addr == addrs[300]
