"""The page table lab beside the model: two PageTables and an Mmu that are called directly, and plain dicts."""

from __future__ import annotations

import random
from functools import cache
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmkit.arch import PRESETS
from mmkit.errors import MmkitError
from mmkit.lab.pagetable import ARCHES, PageTableLab, sizes_of
from mmkit.lab.tablebench import ACCESSES, BEGINNINGS, NAMES, RAM, RIGHTS, TableBench
from mmkit.model.gfp import Gfp
from mmkit.model.memory import PhysicalMemory
from mmkit.model.mmu import FETCH, PRESENT, USER, WRITE, GeneralProtection, Mmu, PageFault
from mmkit.model.pgstate import PteFlags
from mmkit.model.pgtable import PageTable
from mmkit.model.pgtrace import Cr3Load, PageFaultKernel, PageFaultUser
from mmkit.model.trace import Trace

UNSEEN = PageTableLab

PAGE = 1 << 12
AREA = 1 << 28
"""Where no machine but the toy has anything at first: a multiple of every page size."""


class Twin:
    """What the lab has, made of the model alone."""

    def __init__(self, arch: str = "TOY") -> None:
        self.memory = PhysicalMemory(arch, RAM.get(arch, "64MiB"))
        first = PageTable(arch, self.memory)
        self.tables = first, PageTable(arch, self.memory, words=first.words)
        self.mmu, self.loaded, self.events, self.frames = Mmu(arch, first.words), 0, [], {}
        self.mmu.cr3 = first.cr3
        shared = {}
        for number, addr, rights, name in BEGINNINGS["TOY" if arch == "TOY" else str(8 * first.arch.word_bytes)]:
            frame = shared.get(name) or self.new()
            shared |= {name: frame} if name else {}
            self.tables[number].map(addr, frame, RIGHTS[rights])
        trace = Trace()
        trace.listen(self.events.append)
        for each in (*self.tables, self.mmu):
            each.trace = trace

    @property
    def table(self) -> PageTable:
        return self.tables[self.loaded]

    def new(self, order: int = 0) -> int:
        page = self.memory.alloc_pages(Gfp.GFP_HIGHUSER_MOVABLE, order)
        self.frames[page.pfn] = page
        return page.pfn

    def map(self, addr, pfn=None, rights="rw-", level=0):
        levels = self.table.arch.levels[::-1]
        order = levels[level].shift - levels[0].shift
        self.table.map(addr, self.new(order) if pfn is None else pfn, RIGHTS[rights], level)

    def unmap(self, addr):
        """Unmap a page of 4 KiB that nobody else maps, and give its frame back."""
        frame = self.table.walk(addr).steps[-1].target_addr >> 12
        self.table.unmap(addr)
        self.memory.free_pages(self.frames.pop(frame), 0)

    def switch(self, number):
        self.loaded = number
        self.mmu.cr3 = self.table.cr3

    def access(self, addr, how="write", user=True):
        """The physical address, or what was raised."""
        try:
            return self.mmu.translate(addr, ACCESSES[how], user)
        except MmkitError as error:
            return error


@cache
def only() -> PageTableLab:
    """A lab that most tests use, one after the other: making its pictures takes longer than they do."""
    return PageTableLab()


def on(arch: str = "TOY") -> PageTableLab:
    """The lab, begun anew on a machine, its controls as at first."""
    lab = only()
    lab.build(arch)
    lab.frame_box.value, lab.rights_menu.value, lab.size_menu.value = "", "rw-", lab.size_menu.options[0]
    lab.access_menu.value, lab.user_box.value = "write", True
    return lab


@pytest.fixture
def lab() -> PageTableLab:
    return on()


def spaces(lab):
    return lab.timeline.current.snapshot.spaces


def same(lab, twin: Twin) -> None:
    """Both processes' tables, entry by entry, and CR3 are the twin's."""
    now = spaces(lab)
    assert [space.tables for space in now.spaces] == [table.snapshot() for table in twin.tables]
    assert (now.loaded, now.running.tables.root_addr) == (twin.loaded, twin.mmu.cr3)
    assert [space.name for space in now.spaces] == list(NAMES)
    if lab.timeline.at_end:
        assert lab.model.mmu.cr3 == twin.mmu.cr3
        sound(lab)


def mapped(table) -> dict[int, int]:
    """Virtual to physical page, from the state alone."""
    shifts = [level.shift for level in PRESETS[table.arch].levels]
    return {
        each.virt_addr | index << shifts[each.depth]: addr
        for each in table.tables for index, addr, _ in each.pages
    }  # fmt: skip


def flags_of(lab, addr) -> PteFlags:
    return lab.model.table.walk(addr).flags


def events(lab):
    return [entry.event for entry in lab.timeline.entries if entry.event]


def sound(lab) -> None:
    """Both tables keep their rules, and the lab holds exactly frames that somebody maps."""
    for table in lab.model.tables:
        table.check()
    used = {addr >> 12 for space in lab.model.snapshot().spaces.spaces for addr in mapped(space.tables).values()}
    assert set(lab.model.frames) <= used


def free(memory) -> int:
    """Pages that nobody has, per-CPU lists included."""
    return sum(zone.free_pages + zone.pcp_pages for zone in memory.zones)


def taken(lab) -> int:
    """Pages that the lab should have: tables, and frames by their sizes."""
    return sum(table.nr_tables for table in lab.model.tables) + sum(
        1 << order for _, order in lab.model.frames.values()
    )


@cache
def fresh(arch="TOY") -> int:
    """Pages of the machine before anybody takes any."""
    return free(PhysicalMemory(arch, RAM.get(arch, "64MiB")))


# -- what there is ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("arch", ARCHES)
def test_it_begins_with_two_processes(arch, checks):
    lab = PageTableLab(arch)
    same(lab, Twin(arch))
    checks.consistent(lab)
    checks.named(lab)
    assert PRESETS[arch].title in lab.message
    assert fresh(arch) - free(lab.model.memory) == taken(lab)
    other = on("X86" if arch == "TOY" else "TOY")
    other.arch_menu.value = arch
    same(other, Twin(arch))
    assert (len(other.timeline), repr(other)) == (1, repr(lab))


def test_the_code_is_shared_and_nothing_else(lab):
    a, b = (mapped(space.tables) for space in spaces(lab).spaces)
    assert set(a.values()) & set(b.values()) == {a[0]} == {b[0]}


# -- every method and every control -----------------------------------------------------------------------------------


@pytest.mark.parametrize("arch", ARCHES)
def test_methods_do_what_the_model_does(arch):
    lab, twin = on(arch), Twin(arch)
    code = min(twin.frames)
    did = [
        (lambda: lab.map(0x5000, rights="r--"), lambda: twin.map(0x5000, rights="r--")),
        (lambda: lab.map("0x6000", code, "rwx", "4 KiB"), lambda: twin.map(0x6000, code, "rwx")),
        (lambda: lab.protect(0x5678, "rw-"), lambda: twin.table.protect(0x5678, RIGHTS["rw-"])),
        (lambda: lab.access(0x5678, "write", True), lambda: twin.access(0x5678)),
        (lambda: lab.protect(0x5000, "r-x"), lambda: twin.table.protect(0x5000, RIGHTS["r-x"])),
        (lambda: lab.switch(), lambda: twin.switch(1)),
        (lambda: lab.map(0x6000, hex(code), "rw-, kernel only"), lambda: twin.map(0x6000, code, "rw-, kernel only")),
        (lambda: lab.access(0x6001, "read", False), lambda: twin.access(0x6001, "read", False)),
        (lambda: lab.switch(0), lambda: twin.switch(0)),
        (lambda: lab.unmap("0x5000"), lambda: twin.unmap(0x5000)),
        (lambda: lab.map(0x5000), lambda: twin.map(0x5000)),
    ]
    for number, (ours, theirs) in enumerate(did, 1):
        ours()
        theirs()
        assert lab.timeline.current.operation == number, lab.message
        same(lab, twin)
    assert events(lab) == twin.events


@pytest.mark.parametrize("arch", ARCHES)
def test_controls_do_what_the_model_does(arch, checks):
    lab, twin = on(arch), Twin(arch)
    lab.address_box.value, lab.rights_menu.value = " 0x5_000 ", "r--"
    lab.map_button.click()
    twin.map(0x5000, rights="r--")
    same(lab, twin)
    lab.rights_menu.value = "rw-"
    lab.protect_button.click()
    twin.table.protect(0x5000, RIGHTS["rw-"])
    same(lab, twin)
    for how, user in product(ACCESSES, (True, False)):
        lab.access_menu.value, lab.user_box.value = how, user
        lab.access_button.click()
        twin.access(0x5000, how, user)
        same(lab, twin)
    lab.process_menu.value = 1
    twin.switch(1)
    lab.frame_box.value = str(twin.tables[0].walk(0x5000).phys_addr >> 12)
    lab.map_button.click()
    twin.map(0x5000, twin.tables[0].walk(0x5000).phys_addr >> 12)
    same(lab, twin)
    lab.unmap_button.click()
    twin.table.unmap(0x5000)
    same(lab, twin)
    assert events(lab) == twin.events
    checks.consistent(lab)
    assert len(lab.timeline.ends) == 1 + 2 + 6 + 3


@pytest.mark.parametrize("arch", [arch for arch in ARCHES if len(sizes_of(arch)) > 1])
def test_large_pages(arch, checks):
    lab, twin = on(arch), Twin(arch)
    assert list(lab.size_menu.options) == list(sizes_of(arch))
    words, level = list(sizes_of(arch).items())[-1]
    size = 1 << PRESETS[arch].levels[::-1][level].shift
    lab.address_box.value, lab.size_menu.value, lab.frame_box.value = f"{AREA:#x}", words, ""
    lab.map_button.click()
    twin.map(AREA, level=level)
    same(lab, twin)
    lab.access(AREA + size - 1, "write")
    assert f"physical address 0x{twin.access(AREA + size - 1):x}" in lab.message
    lab.protect(AREA + PAGE, "r--")
    twin.table.protect(AREA + PAGE, RIGHTS["r--"])
    same(lab, twin)
    for addr, pfn in ((AREA + size + PAGE, None), (AREA + size, 1)):
        checks.refuses(lab, "multiple", do=lambda addr=addr, pfn=pfn: lab.map(addr, pfn, size=words))
    checks.refuses(lab, "mapped already", do=lambda: lab.map(AREA + PAGE, size="4 KiB"))
    lab.unmap(AREA + 5)
    assert fresh(arch) - free(lab.model.memory) == taken(lab)
    assert set(lab.model.frames) == set(TableBench(arch).frames)
    checks.consistent(lab)


def test_a_large_page_takes_no_small_ones_place(checks):
    lab = on("X86_64")
    lab.map(AREA + PAGE)
    checks.refuses(lab, "pages below", do=lambda: lab.map(AREA, size="2 MiB"))
    sound(lab)


# -- accesses ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("arch", ["TOY", "X86_64"])
def test_every_access_to_every_kind_of_page(arch):
    """Rights, accesses, user code or the kernel: all of them, told as the processor does."""
    lab, twin = on(arch), Twin(arch)
    for rights in RIGHTS:
        lab.map(0x5000, min(twin.frames), rights)
        twin.map(0x5000, min(twin.frames), rights)
        for how, user in product(ACCESSES, (True, False)):
            lab.access(0x5ABC, how, user)
            found = twin.access(0x5ABC, how, user)
            assert (f"physical address 0x{found:x}" if isinstance(found, int) else str(found)) in lab.message
            assert spaces(lab).access == twin.mmu.walk(0x5ABC)
            same(lab, twin)
        lab.unmap(0x5000)
        twin.table.unmap(0x5000)
    assert events(lab) == twin.events


def test_accesses_set_their_bits_and_no_others(lab):
    assert not {"accessed", "dirty"} & set(lab.model.table.walk(0x3000).steps[-1].bits)
    for how, bits in (("read", {"accessed"}), ("write", {"accessed", "dirty"})):
        others = spaces(lab).spaces[1].tables
        before = dict(entry for table in spaces(lab).running.tables.tables for entry in [(table.addr, table.entries)])
        lab.access(0x3000, how)
        step = spaces(lab).access.steps[-1]
        assert {"accessed", "dirty"} & set(step.bits) == bits
        after = {table.addr: table.entries for table in spaces(lab).running.tables.tables}
        changed = {addr for addr in after if after[addr] != before[addr]}
        assert changed <= {each.table_addr for each in spaces(lab).access.steps}
        assert spaces(lab).spaces[1].tables == others


def test_protect_keeps_them(lab):
    lab.access(0x3000, "write")
    lab.protect(0x3000, "r--")
    assert {"accessed", "dirty"} <= set(lab.model.table.walk(0x3000).steps[-1].bits)


@pytest.mark.parametrize(
    ("addr", "how", "user", "code"),
    [
        (0xC000, "read", False, 0),
        (0x6000, "read", True, USER),
        (0x6000, "write", True, USER | WRITE),
        (0x0000, "write", True, PRESENT | USER | WRITE),
        (0x0000, "write", False, PRESENT | WRITE),
    ],
)
def test_faults_have_their_error_code(lab, checks, addr, how, user, code):
    before = spaces(lab)
    lab.access(addr, how, user)
    assert f"error code {code:#x}" in lab.message
    assert events(lab)[-1] == (PageFaultUser if user else PageFaultKernel)(addr, code)
    assert spaces(lab).spaces == before.spaces, "a fault marks nothing"
    assert "✘" not in lab.status.value, "a fault is no error of the reader's"
    checks.consistent(lab)


def test_a_fetch_is_told_where_the_processor_can_forbid_it():
    for arch in ARCHES:
        lab, twin = on(arch), Twin(arch)
        addr = next(addr for number, addr, rights, _ in BEGINNINGS[beginning(arch)] if (number, rights) == (0, "rw-"))
        lab.access(addr, "execute", True)
        found = twin.access(addr, "execute", True)
        assert isinstance(found, PageFault) == (PRESETS[arch].entry_bytes == 8)
        if isinstance(found, PageFault):
            assert f"error code {PRESENT | USER | FETCH:#x}" in lab.message
        same(lab, twin)


def beginning(arch):
    return "TOY" if arch == "TOY" else str(8 * PRESETS[arch].word_bytes)


@pytest.mark.parametrize("arch", ["X86_64", "X86_64_LA57"])
def test_what_is_not_canonical_is_general_protection(arch, checks):
    lab, twin = on(arch), Twin(arch)
    addr = 1 << PRESETS[arch].virt_bits - 1
    lab.access(addr, "read")
    found = twin.access(addr, "read")
    assert isinstance(found, GeneralProtection)
    assert str(found) in lab.message
    same(lab, twin)
    checks.consistent(lab)


# -- frames -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("arch", ARCHES)
def test_all_frames_and_tables_come_back(arch):
    lab = on(arch)
    for number in (1, 0):
        lab.switch(number)
        for addr in mapped(spaces(lab).running.tables):
            lab.unmap(addr)
            assert fresh(arch) - free(lab.model.memory) == taken(lab)
    assert not lab.model.frames
    assert fresh(arch) - free(lab.model.memory) == len(NAMES), "the roots"
    sound(lab)


@pytest.mark.parametrize("last", [0, 1])
def test_a_shared_frame_stays_until_its_last_user_goes(lab, last):
    lab.map(0x6000)
    frame = lab.model.table.walk(0x6000).phys_addr >> 12
    lab.switch(1)
    lab.map(0x6000, frame)
    lab.switch(1 - last)
    lab.unmap(0x6000)
    assert frame in lab.model.frames
    assert lab.model.tables[last].walk(0x6000).phys_addr == frame << 12
    lab.switch(last)
    lab.unmap(0x6000)
    assert frame not in lab.model.frames
    assert fresh() - free(lab.model.memory) == taken(lab)
    sound(lab)


def test_the_same_frame_twice_in_one_process(lab):
    frame = lab.model.table.walk(0x3000).phys_addr >> 12
    lab.map(0x6000, frame)
    lab.unmap(0x3000)
    assert frame in lab.model.frames
    lab.unmap(0x6000)
    assert frame not in lab.model.frames
    sound(lab)


def test_mapping_until_no_memory_is_left(lab, checks):
    for number in (0, 1):
        lab.switch(number)
        for page in range(16):
            lab.map(page * PAGE)
            assert fresh() - free(lab.model.memory) == taken(lab)
    checks.refuses(lab, "no block of order 0", do=lambda: lab.map(0xE000))
    sound(lab)


def test_switching_loads_cr3(lab, checks):
    roots = [space.tables.root_addr for space in spaces(lab).spaces]
    lab.switch()
    assert events(lab)[-1] == Cr3Load(*roots)
    lab.process_menu.value = 0
    assert events(lab)[-1] == Cr3Load(*roots[::-1])
    lab.switch(1)
    assert lab.model.mmu.cr3 == spaces(lab).running.tables.root_addr == roots[1]
    assert f"CR3 is 0x{roots[1]:x}" in lab.message
    assert lab.process_menu.value == 1
    checks.consistent(lab)
    lab.undo()
    assert lab.process_menu.value == 0


# -- the timeline -----------------------------------------------------------------------------------------------------

DEEDS = (
    lambda lab: lab.map(0x6000),
    lambda lab: lab.access(0x6000, "write"),
    lambda lab: lab.switch(),
    lambda lab: lab.map(0x1000, min(lab.model.frames), "r--"),
    lambda lab: lab.protect(0x1000, "rwx"),
    lambda lab: lab.access(0x2000, "read"),
    lambda lab: lab.unmap(0x1000),
)


def test_undo_redo_back_and_forward(lab, checks):
    kept = [spaces(lab)]
    for deed in DEEDS:
        deed(lab)
        kept.append(spaces(lab))
    for expected in kept[-2::-1]:
        lab.bar.undo_button.click()
        assert spaces(lab) == expected
        assert (lab.process_menu.value, lab.arch_menu.value) == (expected.loaded, "TOY")
    lab.undo()
    assert lab.message == "There is nothing to undo."
    for expected in kept[1:]:
        lab.bar.redo_button.click()
        assert spaces(lab) == expected
    shown = [lab.timeline.current]
    while lab.timeline.index:
        lab.back()
        shown.append(lab.timeline.current)
    assert shown[::-1] == lab.timeline.entries
    lab.forward()
    assert lab.timeline.index == 1
    checks.consistent(lab)


@pytest.mark.parametrize(("arch", "operation"), [("TOY", 0), ("TOY", 1), ("TOY", 4), ("X86_PAE", 6)])
def test_acting_in_the_middle_goes_on_from_that_operation(arch, operation, checks):
    """Also in the midst of an operation: what came before it, the operation, and the new one."""
    lab = on(arch)
    for deed in DEEDS[:operation]:
        deed(lab)
    lab.map(0x7000)
    entries, frames, cr3 = list(lab.timeline.entries), set(lab.model.frames), lab.model.mmu.cr3
    again = on(arch)
    for deed in DEEDS:
        deed(again)
    again.go(again.timeline.ends[operation - 1] + 1 if operation else 0)
    again.map(0x7000)
    assert again.timeline.entries == entries
    assert (set(again.model.frames), again.model.mmu.cr3) == (frames, cr3)
    sound(again)
    checks.consistent(again)


def test_what_is_undone_is_told(lab):
    for deed in DEEDS:
        deed(lab)
    lab.first()
    lab.map(0x7000)
    assert f"replaces {len(DEEDS)} undone operations" in lab.message


def test_building_begins_anew(lab, checks):
    lab.map(0x6000)
    for arch in ARCHES[::-1]:
        lab.build(arch)
        assert len(lab.timeline) == 1
        assert tuple(lab.size_menu.options) == tuple(sizes_of(arch))
        lab.map()
        twin = Twin(arch)
        twin.map(int(lab.address_box.value, 0))
        same(lab, twin)
    checks.consistent(lab)


# -- what cannot be ---------------------------------------------------------------------------------------------------

BAD = [
    (lambda lab: lab.map(0x3000), "mapped already"),
    (lambda lab: lab.map(0x3000, 7), "mapped already"),
    (lambda lab: lab.map(0x6001), "begins at a multiple"),
    (lambda lab: lab.map(0x1_0000), "no virtual address of TOY"),
    (lambda lab: lab.map(1 << 70), "no virtual address of TOY"),
    (lambda lab: lab.map(-PAGE), "addresses start at 0"),
    (lambda lab: lab.map("here"), "not an address"),
    (lambda lab: lab.map(""), "not an address"),
    (lambda lab: lab.map(6.0), "an address is a number"),
    (lambda lab: lab.map(0x6000, 0x40), "memory ends before 0x40"),
    (lambda lab: lab.map(0x6000, 1 << 60), "no frame"),
    (lambda lab: lab.map(0x6000, -1), "not an address"),
    (lambda lab: lab.map(0x6000, "some"), "not an address"),
    (lambda lab: lab.map(0x6000, [7]), "an address is a number"),
    (lambda lab: lab.map(0x6000, rights="all"), "no set of rights 'all'"),
    (lambda lab: lab.map(0x6000, rights=""), "no set of rights"),
    (lambda lab: lab.map(0x6000, size="2 MiB"), "no page size here '2 MiB'"),
    (lambda lab: lab.map(0x6000, size="1 byte"), "no page size"),
    (lambda lab: lab.unmap(0x6000), "no page is mapped at 0x6000"),
    (lambda lab: lab.unmap(0xC000), "no page is mapped at 0xc000"),
    (lambda lab: lab.unmap(0x1_3000), "no virtual address"),
    (lambda lab: lab.unmap("it"), "not an address"),
    (lambda lab: lab.protect(0x6000, "r--"), "no page is mapped"),
    (lambda lab: lab.protect(0x3000, "all"), "no set of rights 'all'"),
    (lambda lab: lab.protect("it", "r--"), "not an address"),
    (lambda lab: lab.protect(0x1_3000, "r--"), "no virtual address"),
    (lambda lab: lab.access(0x3000, "jump"), "no access 'jump'"),
    (lambda lab: lab.access(0x3000, "w"), "no access 'w'"),
    (lambda lab: lab.access("it"), "not an address"),
    (lambda lab: lab.access(0x1_3000), "no address of 16 bits"),
    (lambda lab: lab.switch(2), "processes 0 and 1, not 2"),
    (lambda lab: lab.switch(-1), "processes 0 and 1, not -1"),
    (lambda lab: lab.switch(1.0), "processes 0 and 1, not 1.0"),
    (lambda lab: lab.map(0x6000, rights=[]), "no set of rights []"),
    (lambda lab: lab.switch("B"), "processes 0 and 1, not 'B'"),
    (lambda lab: lab.build("VAX"), "no architecture 'VAX'"),
    (lambda lab: lab.build("ARM64"), "no architecture 'ARM64'"),
    (lambda lab: lab.build(""), "no architecture"),
]  # fmt: skip


def test_refusals_change_nothing(lab, checks):
    for do, words in BAD:
        checks.refuses(lab, words, do=lambda do=do: do(lab))
    same(lab, Twin())
    assert fresh() - free(lab.model.memory) == taken(lab)


def test_refusals_after_undo_change_nothing(lab, checks):
    lab.access(0x3000, "write")
    lab.map(0x6000)
    lab.undo()
    for do, words in BAD[::5]:
        checks.refuses(lab, words, do=lambda do=do: do(lab))
    lab.redo()
    twin = Twin()
    twin.access(0x3000)
    twin.map(0x6000)
    same(lab, twin)
    checks.consistent(lab)


@pytest.mark.parametrize("text", ["", "here", "-1", "0x", "0x6001", "0x10000"])
def test_what_is_typed_wrongly_is_refused(lab, checks, text):
    lab.address_box.value = text
    for press in (lab.map_button, lab.unmap_button, lab.protect_button):
        checks.refuses(lab, do=press.click)
    if text != "0x6001":  # a byte of which there is no page: that is the processor's to say
        checks.refuses(lab, do=lab.access_button.click)
    lab.address_box.value, lab.frame_box.value = "0x6000", text or "x"
    checks.refuses(lab, do=lab.map_button.click)
    same(lab, Twin())


@pytest.mark.parametrize("arch", ["VAX", "ARM64", "", "toy"])
def test_it_does_not_begin_with_what_is_none(arch):
    with pytest.raises(ValueError, match=f"no architecture '{arch}'"):
        PageTableLab(arch)


# -- beside dicts -----------------------------------------------------------------------------------------------------

PAGES = st.integers(0, 15).map(lambda page: page * PAGE)
CALLS = st.lists(
    st.one_of(
        st.tuples(st.just("map"), PAGES, st.none() | st.integers(0x34, 0x42), st.sampled_from(sorted(RIGHTS))),
        st.tuples(st.just("unmap"), PAGES),
        st.tuples(st.just("protect"), PAGES, st.sampled_from(sorted(RIGHTS))),
        st.tuples(st.just("switch"), st.integers(-1, 2)),
        st.tuples(st.just("access"), PAGES, st.sampled_from(sorted(ACCESSES)), st.booleans()),
        st.tuples(st.just("undo")), st.tuples(st.just("redo")),
    ),
    max_size=12,
)  # fmt: skip


def expected(dicts, running, name, addr, more):
    """What the two dicts and the running one become; None if it is to be refused. A new frame is written as None."""
    dicts, here = [dict(each) for each in dicts], dicts[running]
    if name == "switch":
        return (dicts, addr) if addr in (0, 1) else None
    if name == "map":
        used = {frame for each in dicts for frame, _ in each.values()}
        if addr in here or (more[0] is not None and more[0] * PAGE not in used):
            return None
        dicts[running][addr] = None if more[0] is None else more[0] * PAGE, RIGHTS[more[1]]
    elif name in ("unmap", "protect"):
        if addr not in here:
            return None
        if name == "unmap":
            del dicts[running][addr]
        else:
            dicts[running][addr] = here[addr][0], RIGHTS[more[0]]
    return dicts, running


def rights_in(lab):
    """Both processes as dicts: virtual page to physical page and rights (the toy can forbid no fetch)."""
    tables = zip(lab.model.tables, (space.tables for space in spaces(lab).spaces), strict=True)
    return [
        {addr: (phys, table.walk(addr).flags & ~PteFlags.EXEC) for addr, phys in mapped(state).items()}
        for table, state in tables
    ]


def fill(lab, dicts):
    """Write the new frame in, which nobody may have had; and see that all else is as it should be."""
    now = [mapped(space.tables) for space in spaces(lab).spaces]
    for space, each in zip(now, dicts, strict=True):
        for addr, (frame, rights) in each.items():
            if frame is None:
                each[addr] = space[addr], rights
                assert space[addr] >> 12 in lab.model.frames
    assert now == [{addr: frame for addr, (frame, _) in each.items()} for each in dicts]
    if lab.timeline.at_end:
        without = [{addr: (frame, rights & ~PteFlags.EXEC) for addr, (frame, rights) in each.items()} for each in dicts]
        assert rights_in(lab) == without


def told(lab, here, addr, how, user):
    """An access succeeds where the rights say so, and gives the page's address."""
    phys, rights = here.get(addr, (0, None))
    needed = {"read": PteFlags(0), "write": PteFlags.WRITE, "execute": PteFlags(0)}[how]
    needed |= PteFlags.USER if user else PteFlags(0)
    may = rights is not None and rights & needed == needed
    assert (f"physical address 0x{phys:x}." in lab.message) == may
    assert ("page fault" in lab.message) == (not may)


@settings(max_examples=20)
@given(CALLS)
def test_whatever_is_done_is_done_to_dicts_as_well(calls):
    lab = on()
    history, at = [(rights_in(lab), 0)], 0
    for name, *arguments in calls:
        getattr(lab, name)(*arguments)
        if name in ("undo", "redo"):
            at = max(at - 1, 0) if name == "undo" else min(at + 1, len(history) - 1)
        else:
            now = expected(*history[at], name, arguments[0], arguments[1:])
            assert lab.message.endswith("Nothing has changed.") == (now is None), lab.message
            if now is not None:
                history, at = [*history[: at + 1], now], at + 1
            if name == "access":
                told(lab, now[0][now[1]], *arguments)
        assert (spaces(lab).loaded, lab.timeline.current.operation) == (history[at][1], at)
        fill(lab, history[at][0])
        sound(lab)
        assert fresh() - free(lab.model.memory) == taken(lab)
    state = lab.timeline.settled.snapshot
    assert TableBench("TOY", state).snapshot() == state


def test_many_deeds_on_every_machine(checks):
    rng = random.Random(5)
    for arch in ARCHES:
        lab = on(arch)
        for _ in range(12):
            addr = rng.choice([0x5000, 0x6000, 0x7000, 0x40_0000, 0x0804_8000]) + rng.randrange(2)
            rng.choice([
                lambda addr=addr, lab=lab: lab.map(addr & ~1, rights=rng.choice(tuple(RIGHTS))),
                lambda addr=addr, lab=lab: lab.unmap(addr),
                lambda addr=addr, lab=lab: lab.protect(addr, rng.choice(tuple(RIGHTS))),
                lambda addr=addr, lab=lab: lab.access(addr, rng.choice(tuple(ACCESSES)), rng.random() < 0.5),
                lab.switch, lab.undo, lab.redo,
            ])()  # fmt: skip
            sound(lab)
        assert fresh(arch) - free(lab.model.memory) == taken(lab)
        checks.consistent(lab)


# -- known to be wrong: strict, so that whoever mends it takes the mark away ------------------------------------------


def test_going_on_after_undo_moves_no_page(lab):
    lab.map(0x6000)
    lab.map(0x3000)
    assert "mapped already" in lab.message
    for addr in (0x1000, 0x2000, 0xC000, 0x4000):
        lab.map(addr)
    before = mapped(spaces(lab).running.tables)
    lab.unmap(0)
    lab.undo()
    lab.access(0, "read")
    assert mapped(spaces(lab).running.tables) == before


def test_a_large_page_stays_while_a_part_of_it_is_mapped():
    lab = on("X86_64")
    lab.map(AREA, size="2 MiB")
    frame = lab.model.table.walk(AREA).phys_addr >> 12
    lab.switch(1)
    lab.map(0x5000, frame + 5)
    lab.switch(0)
    lab.unmap(AREA)
    assert frame in lab.model.frames


def test_a_small_page_stays_while_a_large_one_reaches_it():
    lab = on("X86_64")
    lab.map(AREA, size="2 MiB")
    frame = lab.model.table.walk(AREA).phys_addr >> 12
    lab.map(0x5000, frame + 5)
    lab.unmap(AREA)
    assert frame in lab.model.frames
    lab.unmap(0x5000)
    assert frame not in lab.model.frames
    sound(lab)


def test_a_free_frame_is_refused(lab, checks):
    """What nobody has taken would be given to others as new."""
    lab.map(0x6000)
    frame = lab.model.table.walk(0x6000).phys_addr >> 12
    lab.unmap(0x6000)
    checks.refuses(lab, f"0x{frame:x} is free", do=lambda: lab.map(0x6000, frame))


def test_the_frame_of_a_table_is_refused(lab, checks):
    root = lab.model.table.cr3 >> 12
    checks.refuses(lab, "holds a page table", do=lambda: lab.map(0x6000, root))


def test_a_frame_kept_back_at_boot_can_be_mapped_and_is_never_freed():
    lab = on("X86_64")
    start, _ = next(zone.reserved[0] for zone in lab.model.memory.zones if zone.reserved)
    lab.map(0x5000, start)
    lab.unmap(0x5000)
    sound(lab)
