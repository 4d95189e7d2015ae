"""Page tables of five recorded machines: every walk leads to the frame that the kernel's own pagemap names."""

from __future__ import annotations

import pytest
from recordedtables import ARCHES, read_tables

from mmkit.data import recording
from mmkit.model.pgstate import PteFlags
from mmkit.model.pgtable.walk import walk
from mmkit.proc import pagemap

NOT_IN_PAGEMAP = {"[vvar]", "[vdso]"}


@pytest.mark.parametrize("folder", ARCHES)
def test_every_present_page_walks_to_its_frame(folder: str) -> None:
    tables = read_tables(folder)
    pages = pagemap.parse_listing(recording(folder).text("vmas.pagemap.txt.gz"))
    present = {addr: page.pfn for addr, page in pages.items() if page.present}
    assert len(present) > 1700
    for addr, pfn in present.items():
        found = walk(tables.words, tables.root_addr, tables.format, addr | 0x123)
        assert (hex(addr), found.end, found.phys_addr) == (hex(addr), "page", pfn << 12 | 0x123)


@pytest.mark.parametrize("folder", ARCHES)
def test_what_is_not_present_does_not_walk(folder: str) -> None:
    tables = read_tables(folder)
    state = recording(folder).process("vmas")
    present = pagemap.parse_listing(recording(folder).text("vmas.pagemap.txt.gz"))
    checked = 0
    for vma in state.vmas:
        if vma.name in NOT_IN_PAGEMAP:
            continue
        for addr in range(vma.start, min(vma.end, vma.start + (64 << 12)), 4096):
            if addr not in present or not present[addr].present:
                checked += 1
                end = walk(tables.words, tables.root_addr, tables.format, addr).end
                # Tables of which no entry was valid were not recorded: there the walk leaves what is known.
                assert end in ("absent", "outside")
    assert checked > 200


@pytest.mark.parametrize("folder", ARCHES)
def test_rights_are_those_of_the_areas(folder: str) -> None:
    tables = read_tables(folder)
    mapped = recording(folder).process("vmas").vmas
    for row in tables.rows:
        if row.kind == "table":
            continue
        found = walk(tables.words, tables.root_addr, tables.format, row.virt_addr)
        area = next((area for area in mapped if row.virt_addr in area), None)
        if area is None or area.name in NOT_IN_PAGEMAP:
            continue
        assert found.flags & PteFlags.USER or area.perms.startswith("---")
        if found.flags & PteFlags.WRITE:
            assert area.perms[1] == "w"
        # The PAE kernel of the recording marks no page of a process no-execute; two levels have no bit for it.
        if tables.arch.entry_bytes == 8 and tables.arch.virt_bits > 32:
            assert bool(found.flags & PteFlags.EXEC) == (area.perms[2] == "x")


@pytest.mark.parametrize("folder", ARCHES)
def test_each_entry_is_what_the_recorder_took_it_for(folder: str) -> None:
    tables = read_tables(folder)
    for row in tables.rows:
        leaf = bool(tables.format.leaf(row.raw, row.depth))
        assert (leaf, bool(tables.format.reserved(row.raw, row.depth))) == (row.kind != "table", False)
        assert tables.format.present(row.raw, row.depth)
        step = walk(tables.words, tables.root_addr, tables.format, row.virt_addr).steps[row.depth]
        assert (step.table_addr, step.index, step.raw) == (row.table_addr, row.index, row.raw)
    large = {row.kind for row in tables.rows}
    assert large >= {"table", "page4k"}
    assert len(large) == 3


def test_the_recordings_are_of_two_three_and_four_levels() -> None:
    assert {len(read_tables(folder).arch.levels) for folder in ARCHES} == {2, 3, 4}
