"""Page tables of five recorded machines: every walk leads to the frame that the kernel's own pagemap names."""

from __future__ import annotations

import re

import pytest

from mmkit.data import recording
from mmkit.model.pgstate import PteFlags
from mmkit.proc import pagemap

FOLDERS = ("amd64-4g", "amd64-movablecore", "arm64-4g", "i386-686-2g", "i386-pae-6g")
NOT_IN_PAGEMAP = {"[vvar]", "[vdso]"}


@pytest.mark.parametrize("folder", FOLDERS)
def test_every_present_page_walks_to_its_frame(folder: str) -> None:
    tables = recording(folder).page_tables
    pages = pagemap.parse_listing(recording(folder).text("vmas.pagemap.txt.gz"))
    present = {addr: page.pfn for addr, page in pages.items() if page.present}
    assert len(present) > 1700
    for addr, pfn in present.items():
        found = tables.walk(addr | 0x123)
        assert (hex(addr), found.end, found.phys_addr) == (hex(addr), "page", pfn << 12 | 0x123)


@pytest.mark.parametrize("folder", FOLDERS)
def test_what_is_not_present_does_not_walk(folder: str) -> None:
    tables = recording(folder).page_tables
    state = recording(folder).process("vmas")
    present = pagemap.parse_listing(recording(folder).text("vmas.pagemap.txt.gz"))
    checked = 0
    for vma in state.vmas:
        if vma.name in NOT_IN_PAGEMAP:
            continue
        for addr in range(vma.start, min(vma.end, vma.start + (64 << 12)), 4096):
            if addr not in present or not present[addr].present:
                checked += 1
                end = tables.walk(addr).end
                # Tables of which no entry was valid were not recorded: there the walk leaves what is known.
                assert end in ("absent", "outside")
    assert checked > 200


@pytest.mark.parametrize("folder", FOLDERS)
def test_rights_are_those_of_the_areas(folder: str) -> None:
    tables = recording(folder).page_tables
    mapped = recording(folder).process("vmas").vmas
    for row in tables.entries:
        if row.kind == "table":
            continue
        found = tables.walk(row.virt_addr)
        area = next((area for area in mapped if row.virt_addr in area), None)
        if area is None or area.name in NOT_IN_PAGEMAP:
            continue
        assert found.flags & PteFlags.USER or area.perms.startswith("---")
        if found.flags & PteFlags.WRITE:
            assert area.perms[1] == "w"
        # The PAE kernel of the recording marks no page of a process no-execute; two levels have no bit for it.
        if tables.arch.entry_bytes == 8 and tables.arch.virt_bits > 32:
            assert bool(found.flags & PteFlags.EXEC) == (area.perms[2] == "x")


@pytest.mark.parametrize("folder", FOLDERS)
def test_each_entry_is_what_the_recorder_took_it_for(folder: str) -> None:
    tables = recording(folder).page_tables
    for row in tables.entries:
        leaf = bool(tables.format.leaf(row.raw, row.depth))
        assert (leaf, bool(tables.format.reserved(row.raw, row.depth))) == (row.kind != "table", False)
        assert tables.format.present(row.raw, row.depth)
        step = tables.walk(row.virt_addr).steps[row.depth]
        assert (step.table_addr, step.index, step.raw) == (row.table_addr, row.at, row.raw)
    large = {row.kind for row in tables.entries}
    assert large >= {"table", "page4k"}
    assert len(large) == 3


def test_the_recordings_are_of_two_three_and_four_levels() -> None:
    assert {len(recording(folder).page_tables.arch.levels) for folder in FOLDERS} == {2, 3, 4}


@pytest.mark.parametrize("folder", FOLDERS)
def test_the_tables_and_their_large_pages_account_for_what_the_kernel_counts(folder: str) -> None:
    """VmPTE counts every table below the root, and one put by for each transparent huge page, should it be cut up."""
    tables, meta = recording(folder).page_tables, recording(folder).text("pt.meta.txt")
    state = tables.snapshot()
    counted = re.search(r"VmPTE in status: (\d+) kB", meta)
    assert counted
    area_of = recording(folder).process("vmas").find_vma
    large = [area_of(entry.virt_addr) for entry in tables.entries if entry.kind not in ("table", "page4k")]
    put_by = sum(area is not None and "hugepage" not in area.name for area in large)
    assert put_by == 3
    assert int(counted[1]) == 4 * (len(state.tables) - 1 + put_by)
