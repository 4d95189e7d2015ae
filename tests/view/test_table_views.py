"""Pictures of addresses, walks, trees, TLBs, traces: what they say is so, and an update leaves nothing behind."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from tablesamples import GEOMETRIES, RECORDED, TABLE_PICTURES, address, curves, tlb, trace, trees, walk

from mmkit.arch import PRESETS
from mmkit.data import recording
from mmkit.lab.tablebench import TableBench
from mmkit.model import pgtrace, tlbtrace
from mmkit.model.pgtable.cost import table_cost
from mmkit.model.pgtable.parts import address_parts
from mmkit.model.pgtable.tables import spaces
from mmkit.model.tlb import Tlb
from mmkit.model.tlb.maps import hit_curve, trace_map
from mmkit.model.tlbstate import TlbGeometry
from mmkit.units import format_size
from mmkit.view import ink
from mmkit.view.address import AddressPicture
from mmkit.view.cells import NOTHING
from mmkit.view.pagetree import TreesPicture, changed_of, path_of, shortened
from mmkit.view.pgwords import error_code_words
from mmkit.view.picture import Picture
from mmkit.view.reach import ReachPicture, TimingPicture
from mmkit.view.tablecost import TableCostPicture
from mmkit.view.tlb import TlbPicture
from mmkit.view.tracemap import TracePicture
from mmkit.view.walk import WalkPicture, root_name, step_words
from mmkit.view.words import in_words

Case = tuple[Callable[..., Picture], tuple[Any, ...], list[tuple[Any, ...]]]
UPDATES: dict[str, Case] = {
    "address": (AddressPicture, (address("X86_64", "mixed"),), [
        (address("X86_64", "none"), address("X86_64", "low")), (address("X86_64", "high"),)]),
    "walk": (WalkPicture, (walk("X86_64"),), [
        (walk("X86_64", None, True),), (recording("amd64-4g").page_tables.walk_state(0x5000),), (walk("X86_64", 2),)]),
    "trees": (TreesPicture, trees("TOY", 9, True), [trees("TOY", 0), trees("TOY", 2, True)]),
    "trees, four levels": (TreesPicture, trees("X86_64", 5), [trees("X86_64", 0), trees("X86_64", 1, True)]),
    "tlb": (TlbPicture, (tlb(8, 2).run,), [(tlb(8, 2, done=0).run,), (tlb(8, 2, "two processes in turn", 45).run,)]),
    "tlb, large": (TlbPicture, (tlb(64, 4).run,), [(tlb(64, 4, "recorded: hash table", 999).run,)]),
    "trace": (TracePicture, (trace(3000),), [(trace(3000), 17), (trace(3000),)]),
}  # fmt: skip


@pytest.mark.parametrize("name", UPDATES)
def test_an_update_leaves_nothing_behind(name: str) -> None:
    make, first, updates = UPDATES[name]
    picture = make(*first)
    picture.png()
    for arguments in updates:
        picture.update(*arguments)  # type: ignore[attr-defined]
        picture.png()
    wanted = make(*updates[-1])
    assert (picture.alt, picture.texts) == (wanted.alt, wanted.texts)
    assert picture.png() == wanted.png()


@pytest.mark.parametrize("name", TABLE_PICTURES)
def test_words_are_short_and_name_their_source(name: str) -> None:
    alt = TABLE_PICTURES[name]().alt
    assert 60 < len(alt) < 1200
    assert alt.endswith(")")
    assert any(source in alt for source in ("(model)", "(recording (kernel"))


@pytest.mark.parametrize(
    ("make", "first", "other"),
    [
        (AddressPicture, address("X86", "low"), address("X86_64", "low")),
        (AddressPicture, address("X86_64", "low"), address_parts("X86_64", 0, 21)),
        (WalkPicture, walk("X86"), walk("X86_64")), (TlbPicture, tlb(8, 2).run, tlb(8, 4).run),
        (TracePicture, trace(40), trace(39)),
    ],
)  # fmt: skip
def test_what_a_picture_is_not_made_for_is_refused(make: Any, first: Any, other: Any) -> None:
    picture = make(first)
    before = picture.alt
    with pytest.raises(ValueError, match="make a new one"):
        picture.update(other)
    assert picture.alt == before


@pytest.mark.parametrize("arch", sorted(PRESETS))
@pytest.mark.parametrize("which", ["low", "high", "mixed"])
def test_the_cells_are_the_bits(arch: str, which: str) -> None:
    parts = address(arch, which)
    picture = AddressPicture(parts, address(arch, "low"))
    shown = "".join(str(value % 2) for value in picture.cells.values[0])
    assert shown == f"{parts.virt_addr & (1 << parts.virt_bits) - 1:0{parts.virt_bits}b}"
    assert len(picture.digits.letters) == -(-parts.virt_bits // 4)
    hexadecimal = "".join(text for _, _, text, _ in reversed(picture.digits.letters))
    assert int(hexadecimal, 16) == int(shown, 2)
    outlined = np.isnan(picture.changed.get_xdata()).sum()
    assert outlined == shown.count("1")


@pytest.mark.parametrize("arch", sorted(PRESETS))
def test_each_field_is_written_in_three_ways(arch: str) -> None:
    parts = address(arch, "mixed")
    texts = [[label.text for label in column.values] for column in AddressPicture(parts).columns]
    for field, (as_hex, as_bits, as_number, where) in zip(parts.fields, texts, strict=True):
        assert int(as_hex, 16) == int(as_bits, 2) == int(as_number) == field.value
        assert len(as_bits) == field.high - field.low + 1
        if field.name != "offset":
            assert int(where, 16) == field.value * parts.entry_bytes


@pytest.mark.parametrize("arch", ["X86_64", "ARM64", "SV39"])
def test_an_address_that_is_none_is_said_to_be_none(arch: str) -> None:
    picture = AddressPicture(address(arch, "none"))
    assert "not canonical" in picture.alt or "no root" in picture.alt
    assert picture._told.colour == ink.ALERT


@pytest.mark.parametrize("arch", sorted(RECORDED))
def test_a_walk_shows_the_raw_words_and_marks_those_that_are_read(arch: str) -> None:
    state = walk(arch, None, True)
    picture = WalkPicture(state)
    for step, rows, table in zip(state.walk.steps, state.rows, picture.tables, strict=True):
        shown = [(label.text, label.bold) for label in table.words if label.text]
        assert shown == [(f"{raw:0{2 * state.parts.entry_bytes}x}", index == step.index) for index, raw in rows]
    yellow = [box for box, one in zip(picture.boxes.boxes, picture.boxes.inks, strict=True) if one is ink.ON_PATH]
    assert len(yellow) == len(state.walk.steps) + 1
    assert f"physical address 0x{state.walk.phys_addr:x}" in picture.alt
    assert root_name(arch) in picture.alt


def test_a_walk_shows_no_more_than_has_been_read() -> None:
    for shown in range(7):
        state = walk("X86_64_LA57", shown)
        picture = WalkPicture(state)
        bold = [label for table in picture.tables for label in table.words if label.bold and label.text]
        assert len(bold) == min(shown, 5)
        assert f"{min(shown, 5)} of 5 entries read" in picture.alt
        assert (f"0x{state.walk.phys_addr:x}" in step_words(state)) == (shown >= 6)


def test_the_end_of_a_walk_is_told_by_how_it_ends() -> None:
    tables = recording("amd64-4g").page_tables
    assert "not present" in step_words(tables.walk_state(0x5000))
    assert "not canonical" in step_words(tables.walk_state(1 << 60))


def test_trees_say_what_is_mapped_where() -> None:
    state, _ = trees("TOY", 5, True)
    picture = TreesPicture(state)
    for space in state.spaces:
        assert f"{space.name}, " in picture.alt
        assert (
            f"0x{space.tables.root_addr:x}: {len(space.tables.tables)} tables, {space.tables.pages} pages"
            in picture.alt
        )
    raws = {f"{raw:04x}" for space in state.spaces for table in space.tables.tables for _, raw in table.entries}
    assert raws <= {label.text for label in picture.labels}


def test_trees_mark_what_was_read_and_outline_what_changed() -> None:
    state, before = trees("TOY", 2, True)
    picture = TreesPicture(state, before)
    path = path_of(state, state.running)
    changed = changed_of(state.running.tables, before.running.tables)
    yellow = [one for one in picture.boxes.inks if one is ink.ON_PATH]
    assert len(yellow) == len(path) + 1 == 3
    assert np.isnan(picture.outlines.get_xdata()).sum() == len(changed)
    assert len(changed) >= 3
    assert path_of(state, state.spaces[1]) == frozenset()


def test_what_is_folded_is_counted() -> None:
    tables = recording("amd64-4g").page_tables
    texts = [label.text for label in TreesPicture(spaces(tables)).labels]
    first = tables.snapshot().tables
    assert f"… {len(next(t for t in first if len(t.entries) > 20).entries) - 5:,} more" in texts


@pytest.mark.parametrize(("entries", "ways"), GEOMETRIES)
def test_a_tlb_picture_has_a_cell_for_each_way(entries: int, ways: int) -> None:
    run = tlb(entries, ways).run
    picture = TlbPicture(run)
    if picture.detailed:
        pages = [label.text for label in picture.pages]
        held = [f"0x{entry.virt_addr >> 12:x}" if entry else "" for one in run.tlb.sets for entry in one.ways]
        assert pages == held
    else:
        values = picture.cells.values
        assert (values != NOTHING).sum() == entries
        assert ((values != NOTHING) & (values > 0)).sum() == run.tlb.used
    assert f"{run.hits:,} hits, {run.done - run.hits:,} misses" in picture.alt


def test_the_strip_is_the_last_accesses() -> None:
    run = tlb(8, 2, "nine pages in turn", 60).run
    shown = [value for value in TlbPicture(run).strip.values[0] if value != NOTHING]
    assert shown == [int(not hit) for *_, hit in run.recent][-48:]
    assert {0, 1} == set(shown)


def test_another_process_has_another_look() -> None:
    run = tlb(8, 4, "two processes in turn", 25).run
    picture = TlbPicture(run)
    inks = [one.name for one in picture.boxes.inks]
    asid = run.recent[-1][1]
    others = sum(entry is not None and entry.asid != asid for one in run.tlb.sets for entry in one.ways)
    assert inks.count("another process's") == others > 0


def test_a_trace_map_is_made_of_all_accesses() -> None:
    rng = np.random.default_rng(1)
    for count, pages, geometry in ((1, 1, (4, 4)), (500, 9, (8, 2)), (5000, 200, (16, 4))):
        addresses = rng.integers(0, pages, count).astype(np.uint64) << np.uint64(12)
        state = trace_map("random", addresses, TlbGeometry(*geometry))
        tlb_ = Tlb(*geometry)
        hits = [bool(tlb_.access(int(addr))) for addr in addresses]
        assert sum(map(sum, state.counts)) == count
        assert sum(map(sum, state.misses)) == hits.count(False) == count - state.hits
        used = sorted({int(addr) >> 12 for addr in addresses})
        assert state.pages == len(used)
        covered = [page for first, last in state.rows for page in used if first <= page <= last]
        assert covered == used


def test_a_trace_picture_darkens_with_use_and_marks_misses() -> None:
    state = trace(40)
    values = TracePicture(state).cells.values[::-1]
    counts, misses = np.array(state.counts), np.array(state.misses)
    assert ((values == NOTHING) == (counts == 0)).all()
    assert ((values >= 3) & (values != NOTHING) == (misses > 0)).all()


def test_curves_are_full_within_reach() -> None:
    for curve in curves(5):
        assert all(share == 1 for size, share in curve.points if size <= curve.reach_bytes)
        assert all(share < 1 for size, share in curve.points if size > curve.reach_bytes)
        assert f"reach {format_size(curve.reach_bytes)}" in ReachPicture([curve]).alt
    for count in (0, 6):
        with pytest.raises(ValueError, match=f"not {count}"):
            ReachPicture([hit_curve("one", TlbGeometry(4, 4), [4096], accesses=10)] * count)


def test_going_round_falls_off_a_cliff() -> None:
    geometry = TlbGeometry(64, 64)
    found = hit_curve("in turn", geometry, [64 << 12, 65 << 12], in_turn=True, accesses=1000)
    assert [share for _, share in found.points] == [1.0, 0.0]


def test_measured_times_are_told_as_they_are() -> None:
    state = recording("host-6.18").translation
    alt = TimingPicture(state).alt
    for one in state.matrices:
        longer = f"({one.padded_ns / one.row_ns:.1f} with longer rows)"
        assert f"{one.size:,} numbers square {one.column_ns / one.row_ns:.1f} times {longer}" in alt
    for one in state.reach:
        assert f"{one.pages:,} pages {one.apart_ns / one.together_ns:.1f} times" in alt


def test_costs_are_told_as_they_are() -> None:
    cost = table_cost("X86_64", [1, 512, 1 << 18])
    alt = TableCostPicture(cost).alt
    assert f"One flat table: {format_size(cost.flat_bytes)}" in alt
    for curve in cost.curves:
        for pages, size in curve.points:
            assert f"{format_size(size)} for {pages:,} page" in alt


EVENTS = [
    (pgtrace.PtTableNew(0x5000, "pmd"), ("pmd", "0x5000")), (pgtrace.PtTableFree(0x5000, "pte"), ("empty", "0x5000")),
    (pgtrace.PtEntrySet(0x5008, "pte", 1, 0, 0x67), ("Entry 1", "0x5008", "0x67")),
    (pgtrace.WalkRead(0x1000, "pgd", 7, 0x38, 0x5067, "table"), ("entry 7", "0x38", "0x5067", "next table")),
    (pgtrace.Cr3Load(0, 0x7000), ("0x7000",)), (pgtrace.PageFaultUser(0x123, 7), ("0x123", "0x7", "write", "user")),
    (pgtrace.PageFaultKernel(0x123, 16), ("0x123", "fetch", "kernel", "nothing was there")),
]  # fmt: skip


@pytest.mark.parametrize(("event", "words"), EVENTS)
def test_events_in_words(event: Any, words: tuple[str, ...]) -> None:
    said = in_words(event)
    assert said.endswith(".")
    assert all(word in said for word in words)


def test_every_event_of_walks_and_tlbs_has_words() -> None:
    made = {type(event) for event, _ in EVENTS}
    kinds = {kind for kind in vars(pgtrace).values() if isinstance(kind, type) and kind.__module__ == pgtrace.__name__}
    assert made == kinds
    told: list[Any] = []
    bench_trace = tlbtrace.TlbMiss("TLB", 0x1000, 0, 0)
    told.append(in_words(bench_trace))
    assert "not in set 0" in told[0]


@pytest.mark.parametrize("code", range(32))
def test_error_codes_bit_by_bit(code: int) -> None:
    said = error_code_words(code)
    assert ("(P)" in said, "(U)" in said, "(RSVD)" in said, "(I)" in said) == (
        bool(code & 1), bool(code & 4), bool(code & 8), bool(code & 16),
    )  # fmt: skip
    assert ("(W)" in said) == (code & 18 == 2)


def test_with_five_levels_entries_keep_their_values_and_their_letters() -> None:
    state = TableBench("X86_64_LA57").snapshot().spaces
    picture = TreesPicture(state)
    said = {text for text, _ in picture.texts}
    entries = [
        (raw, letters) for table in state.running.tables.tables for at, _, letters in table.pages
        for index, raw in table.entries if index == at
    ]  # fmt: skip
    assert len(entries) > 2
    for raw, letters in entries:
        assert {shortened(raw), letters[1:]} <= said
        assert letters not in said
