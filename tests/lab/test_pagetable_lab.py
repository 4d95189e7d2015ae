"""The page table lab: maps, rights, accesses of two processes, beside a dict for each of them."""

from __future__ import annotations

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

from mmkit.lab.pagetable import ARCHES, PageTableLab, sizes_of
from mmkit.lab.tablebench import ACCESSES, RIGHTS, TableBench
from mmkit.model.pgstate import PteFlags
from mmkit.model.pgtrace import PtEntrySet
from mmkit.view.pagetree import SHIFTS


@pytest.fixture
def lab() -> PageTableLab:
    return PageTableLab()


def spaces(lab):
    return lab.timeline.current.snapshot.spaces


def mapped(space):
    """Virtual to physical page and rights, from the state alone."""
    shifts = SHIFTS[space.tables.arch]
    return {
        table.virt_addr | index << shifts[table.depth]: (addr, set(letters) - set("AD"))
        for table in space.tables.tables for index, addr, letters in table.pages
    }  # fmt: skip


def free_pages(lab):
    """Pages of the lab's machine that nobody has, those on per-CPU lists included."""
    return sum(zone.free_pages + zone.pcp_pages for zone in lab.model.memory.zones)


def sound(lab):
    """All tables are in order, and every frame that the lab holds is mapped by somebody."""
    bench = lab.model
    for table in bench.tables:
        table.check()
    used = {addr >> 12 for space in bench.snapshot().spaces.spaces for addr, _ in mapped(space).values()}
    assert set(bench.frames) <= used


def test_it_begins_with_two_processes_and_names_everything(lab, checks):
    checks.consistent(lab)
    checks.named(lab)
    a, b = spaces(lab).spaces
    assert mapped(a)[0] == mapped(b)[0], "the code is shared"
    assert len({frame for space in (a, b) for frame, _ in mapped(space).values()}) == 4
    sound(lab)


def test_mapping_unmapping_and_what_it_costs(lab, checks):
    free = free_pages(lab)
    before = spaces(lab)
    lab.map_button.click()
    assert len(spaces(lab).running.tables.tables) == len(before.running.tables.tables) + 1
    assert 0x6000 in mapped(spaces(lab).running)
    entries = [entry.event for entry in lab.timeline.entries if isinstance(entry.event, PtEntrySet)]
    assert [event.level for event in entries] == ["pgd", "pte"]
    checks.consistent(lab)
    sound(lab)
    lab.unmap_button.click()
    assert mapped(spaces(lab).running) == mapped(before.running)
    assert spaces(lab).running.tables == before.running.tables
    assert 0x39 not in lab.model.frames
    assert free_pages(lab) == free
    sound(lab)


def test_a_frame_of_the_other_process(lab, checks):
    shared = mapped(spaces(lab).running)[0x3000][0] >> 12
    lab.process_menu.value = 1
    assert lab.model.mmu.cr3 == spaces(lab).spaces[1].tables.root_addr
    lab.frame_box.value = f"0x{shared:x}"
    lab.rights_menu.value = "r--"
    lab.map_button.click()
    assert mapped(spaces(lab).running)[0x6000] == (shared << 12, set("RXU"))
    lab.unmap()
    sound(lab)
    assert mapped(spaces(lab).spaces[0])[0x3000][0] == shared << 12, "the other one's page is still there"
    checks.consistent(lab)


def test_rights_and_accesses(lab, checks):
    lab.access(0x3000, "write")
    entry = spaces(lab).access.steps[-1]
    assert {"accessed", "dirty"} <= set(entry.bits)
    assert "physical address" in lab.message
    lab.protect(0x3000, "r--")
    lab.access(0x3000, "write")
    assert "error code 0x7" in lab.message
    lab.access(0x3000, "write", user=False)
    assert "error code 0x3" in lab.message, "CR0.WP is set"
    lab.access(0x3000, "read", user=False)
    assert "physical address" in lab.message
    lab.protect(0x3000, "rw-, kernel only")
    lab.user_box.value, lab.access_menu.value, lab.address_box.value = True, "read", "0x3000"
    lab.access_button.click()
    assert "error code 0x5" in lab.message
    lab.access(0xC000, "read")
    assert "error code 0x4" in lab.message
    checks.consistent(lab)
    lab.access(0x1_0000, "read")
    assert "no address of 16 bits" in lab.message


@pytest.mark.parametrize("arch", ARCHES)
def test_every_machine(lab, checks, arch):
    lab.arch_menu.value = arch
    lab.map()
    assert int(lab.address_box.value, 16) in mapped(spaces(lab).running)
    for size, level in sizes_of(arch).items():
        lab.map(0x1000_0000 if level else 0x5000, size=size)
        found = mapped(spaces(lab).running).get(0x1000_0000 if level else 0x5000)
        assert found is not None
    lab.switch()
    lab.access(0x5000, "write")
    assert "not present" in lab.message
    checks.consistent(lab)
    sound(lab)


def test_bad_input_is_refused(lab, checks):
    checks.refuses(lab, "mapped already", do=lambda: lab.map(0x3000))
    checks.refuses(lab, "begins at a multiple", do=lambda: lab.map(0x6001))
    checks.refuses(lab, "no frame 0x40", do=lambda: lab.map(0x6000, 0x40))
    checks.refuses(lab, "no virtual address", do=lambda: lab.map(0x10000))
    checks.refuses(lab, "no page is mapped", do=lambda: lab.unmap(0x6000))
    checks.refuses(lab, "no page is mapped", do=lambda: lab.protect(0x6000, "r--"))
    checks.refuses(lab, "no set of rights 'all'", do=lambda: lab.protect(0x3000, "all"))
    checks.refuses(lab, "no access 'jump'", do=lambda: lab.access(0x3000, "jump"))
    checks.refuses(lab, "no page size here '2 MiB'", do=lambda: lab.map(0x6000, size="2 MiB"))
    checks.refuses(lab, "not an address", do=lambda: lab.map("here"))
    checks.refuses(lab, "not an address", do=lambda: lab.map(0x6000, "some"))
    checks.refuses(lab, "processes 0 and 1, not 2", do=lambda: lab.switch(2))
    checks.refuses(lab, "no architecture 'VAX'", do=lambda: lab.build("VAX"))
    with pytest.raises(ValueError, match="no architecture 'VAX'"):
        PageTableLab("VAX")
    sound(lab)


def test_a_refused_map_takes_no_frame(lab):
    frames = set(lab.model.frames)
    for addr in (0x3000, 0x6001, 0x20000):
        lab.map(addr)
    assert set(lab.model.frames) == frames
    sound(lab)


PAGES = st.integers(0, 15).map(lambda page: page << 12)
CALLS = st.one_of(
    st.tuples(st.just("map"), PAGES, st.sampled_from(sorted(RIGHTS))),
    st.tuples(st.just("unmap"), PAGES),
    st.tuples(st.just("protect"), PAGES, st.sampled_from(sorted(RIGHTS))),
    st.tuples(st.just("switch"), st.integers(0, 1)),
    st.tuples(st.just("access"), PAGES, st.sampled_from(sorted(ACCESSES)), st.booleans()),
    st.tuples(st.just("undo")), st.tuples(st.just("back")),
)  # fmt: skip


def letters(rights):
    flags = RIGHTS[rights]
    found = {"R", "X"} | ({"W"} if flags & PteFlags.WRITE else set())
    return found | ({"U"} if flags & PteFlags.USER else set())


def may(rights, how, user):
    needed = {"read": "R", "write": "W", "execute": "X"}[how]
    return needed in rights and (not user or "U" in rights)


@settings(max_examples=25)
@given(st.lists(CALLS, max_size=12))
def test_the_lab_does_what_dicts_do(calls):
    lab = PageTableLab()
    history = [([mapped(space) for space in spaces(lab).spaces], 0)]
    for name, *arguments in calls:
        if name in ("undo", "back"):
            lab.undo()
            history = history[:-1] or history
            continue
        twins, running = [dict(twin) for twin in history[-1][0]], history[-1][1]
        told = lab.timeline.ends[lab.timeline.current.operation]
        getattr(lab, name)(*(arguments if name != "map" else (arguments[0], None, arguments[1])))
        refused = lab.message.endswith("Nothing has changed.")
        twin = twins[running]
        if name == "map":
            assert refused == (arguments[0] in twin)
            if not refused:
                frame = mapped(spaces(lab).running)[arguments[0]][0]
                assert frame not in {phys for each in twins for phys, _ in each.values()}
                twin[arguments[0]] = frame, letters(arguments[1])
        elif name == "unmap":
            assert refused == (twin.pop(arguments[0], None) is None)
        elif name == "protect":
            assert refused == (arguments[0] not in twin)
            if not refused:
                twin[arguments[0]] = twin[arguments[0]][0], letters(arguments[1])
        elif name == "switch":
            running = arguments[0]
        else:
            rights = twin.get(arguments[0], (0, set()))[1]
            assert ("physical address" in lab.message) == may(rights, *arguments[1:])
        if not refused:
            history.append((twins, running))
            assert lab.timeline.ends[lab.timeline.current.operation] > told or name == "switch"
        assert [mapped(space) for space in spaces(lab).spaces] == history[-1][0]
        assert spaces(lab).loaded == history[-1][1]
    if lab.timeline.at_end:
        sound(lab)


def test_a_bench_is_made_again_from_what_was_done():
    bench = TableBench("X86")
    bench.map(0x5000, None, "rw-", 0)
    bench.access(0x5000, "write", True)
    bench.switch(1)
    bench.unmap(0x0804_8000)
    state = bench.snapshot()
    assert TableBench("X86", state).snapshot() == state
