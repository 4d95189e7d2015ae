"""Where RAM and zones lie: any size of machine, nodes, a movable part, and nonsense."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmkit.arch import ARM64, GIB, LOWMEM_TEXTBOOK, MIB, PRESETS, TOY, X86, X86_64, X86_PAE
from mmkit.model.layout import boot_reserved, joined, lay_out, movable_starts, subtract, zone_limits
from mmkit.model.lowmem import VMALLOC_RESERVE, kernel_gigabyte, lowmem_bytes


def spans(layout):
    return {zone.name: (zone.start_pfn, zone.spanned, zone.present) for zone in layout.zones if zone.spanned}


def test_textbook_and_real_low_memory():
    assert LOWMEM_TEXTBOOK == GIB - VMALLOC_RESERVE == 896 * MIB
    assert lowmem_bytes(X86) == 0x36BFE << 12  # "875MB LOWMEM available"
    assert lowmem_bytes(X86_PAE) == 0x36FFE << 12  # "879MB LOWMEM available"
    for arch in (X86, X86_PAE):
        normal = next(zone for zone in arch.zones if zone.name == "Normal")
        assert normal.end_addr == lowmem_bytes(arch)
        areas = kernel_gigabyte(arch)
        assert sum(area.bytes for area in areas) == GIB
        assert all(low.end_addr == high.start_addr for low, high in pairwise(areas))
    with pytest.raises(ValueError, match="no high memory"):
        kernel_gigabyte(X86_64)


def test_small_32_bit_machine_has_no_high_memory():
    assert set(spans(lay_out(X86, "512MiB"))) == {"DMA", "Normal"}


def test_ram_out_of_reach_is_said_to_be_unused():
    layout = lay_out(X86, "6GiB")
    assert layout.out_of_reach_pages == 3 * GIB >> 12
    assert layout.note == "3 GiB of RAM lie above 4 GiB, out of reach of 32-bit x86, two levels: unused"
    assert spans(layout)["HighMem"][0] + spans(layout)["HighMem"][1] == (3 * GIB >> 12) - 38
    assert lay_out(X86_PAE, "6GiB").note == ""


def test_sizes_around_the_hole_below_4_gib():
    assert "Normal" not in spans(lay_out(X86_64, "3583MiB"))
    normal = spans(lay_out(X86_64, "3584MiB"))["Normal"]
    assert normal == (4 * GIB >> 12, 512 * MIB >> 12, 512 * MIB >> 12)


def test_arm64_starts_at_1_gib_and_toy_at_0():
    assert spans(lay_out(ARM64, "2GiB")) == {"DMA": (GIB >> 12, 2 * GIB >> 12, 2 * GIB >> 12)}
    assert spans(lay_out(TOY, "64 pages")) == {"DMA": (0, 16, 16), "Normal": (16, 48, 48)}


def test_three_unequal_nodes():
    layout = lay_out(X86_64, "8GiB", nodes=["1GiB", "4GiB", "3GiB"])
    node_of = {(zone.node, zone.name): zone for zone in layout.zones if zone.spanned}
    assert set(node_of) == {(0, "DMA"), (0, "DMA32"), (1, "DMA32"), (1, "Normal"), (2, "Normal")}
    assert node_of[1, "DMA32"].present == (2 * GIB >> 12) - 38
    assert node_of[1, "DMA32"].spanned == 3 * GIB >> 12  # the hole below 4 GiB is inside the node
    assert node_of[2, "Normal"].start_pfn == 6 * GIB >> 12


def test_movable_is_at_least_what_was_asked_for_and_starts_on_a_largest_block():
    movable = spans(lay_out(X86_64, "16GiB", movable="1000 pages"))["Movable"]
    assert movable == ((17 << 18) - 1024, 1024, 1024)


def test_movable_is_lost_where_rounding_up_eats_a_nodes_share_of_it():
    layout = lay_out(X86_64, "16GiB", nodes=3, movable="1000 pages")  # a third of a block on each node
    assert "Movable" not in spans(layout)


def test_movable_takes_high_memory_on_32_bits():
    layout = spans(lay_out(X86_PAE, "4GiB", movable="1GiB"))
    assert layout["Movable"][2] >= GIB >> 12
    assert layout["HighMem"][0] + layout["HighMem"][1] == layout["Movable"][0]


def test_movable_that_would_leave_the_kernel_nothing_is_not_made():
    layout = lay_out(X86_64, "4GiB", movable="4GiB")
    assert "Movable" not in spans(layout)
    small = lay_out(X86_64, "6GiB", movable="5GiB")  # only what lies in the highest zone can be movable
    assert spans(small)["Movable"][2] == 3 * GIB >> 12


def test_kernelcore_goes_where_movable_cannot_be():
    layout = lay_out(X86_64, "8GiB", nodes=["4GiB", "4GiB"], movable="2GiB")
    pages = {(zone.node, zone.name): zone.present for zone in layout.zones}
    assert pages[0, "Movable"] % 1024 == pages[1, "Movable"] % 1024 == 0
    assert 0 <= (2 * GIB >> 12) - pages[0, "Movable"] - pages[1, "Movable"] <= 1024
    core = [sum(pages[node, name] for name in ("DMA", "DMA32", "Normal")) for node in (0, 1)]
    assert abs(core[0] - core[1]) <= 1024


@given(
    name=st.sampled_from(sorted(PRESETS)),
    pages=st.integers(700, 20 << 18),
    nodes=st.integers(1, 4),
    movable=st.integers(0, 6 << 18),
)
def test_zones_share_out_ram_without_gap_or_overlap(name, pages, nodes, movable):
    arch = PRESETS[name]
    layout = lay_out(arch, f"{pages} pages", nodes, f"{movable} pages")
    for ram in layout.nodes:
        own = [zone for zone in layout.zones if zone.node == ram.node]
        assert [zone.name for zone in own] == list(arch.zone_names)
        assert joined(pfns for zone in own for pfns in zone.ranges) == joined(ram.ranges)
        assert sum(zone.present for zone in own) == ram.pages
    for zone in layout.zones:
        limit = next(limit.end_addr for limit in arch.zones if limit.name == zone.name)
        end = zone.start_pfn + zone.spanned
        assert limit is None or end <= limit >> 12 or zone.name == "Movable"
        assert sum(b - a for a, b in zone.holes) == zone.spanned - zone.present
    asked = min(movable, pages)
    got = sum(zone.present for zone in layout.zones if zone.name == "Movable")
    assert got == 0 or asked > 0


@given(nodes=st.integers(1, 5), pages=st.integers(1 << 18, 8 << 18), movable=st.integers(1, 1 << 18))
def test_movable_start_is_what_a_page_by_page_walk_finds(nodes, pages, movable):
    # Where nothing limits it, kernelcore per node is the even share; the last block may be shared with it.
    layout = lay_out(ARM64, f"{pages} pages", nodes)
    limits = {"DMA": (layout.nodes[0].span[0], layout.nodes[-1].span[1])}
    starts = movable_starts(ARM64, layout.nodes, limits, movable)
    total = sum(ram.pages for ram in layout.nodes)
    core = total - min(total, -(-movable // 1024) * 1024)
    for ram in layout.nodes:
        if ram.node in starts:
            own = starts[ram.node] - ram.span[0]
            assert abs(own - core // nodes) <= nodes + 1024


def test_limits_do_not_name_movable():
    assert list(zone_limits(X86_64, lay_out(X86_64, "8GiB").nodes)) == ["DMA", "DMA32", "Normal"]


def test_the_page_array_is_taken_from_the_top_below_high_memory():
    assert boot_reserved(lay_out(X86_64, "4GiB"))[-1] == (0x140000 - 16382, 0x140000)
    assert boot_reserved(lay_out(X86_PAE, "6GiB"))[-1][1] == 0x36FFE
    assert boot_reserved(lay_out(TOY, "64 pages")) == ((63, 64),)
    low, node0, node1 = boot_reserved(lay_out(X86_64, "8GiB", nodes=2))
    assert low == (0, 256)
    assert node0[1] == (5 * GIB >> 12)
    assert node1[1] == (9 * GIB >> 12)


@pytest.mark.parametrize(
    ("kwargs", "error", "words"),
    [
        ({"ram": 0}, ValueError, "needs RAM"),
        ({"ram": "0 GiB"}, ValueError, "needs RAM"),
        ({"ram": "4 GiBB"}, ValueError, "4 GiBB"),
        ({"ram": -1}, ValueError, "non-negative"),
        ({"ram": None}, TypeError, "None"),
        ({"ram": "100 B"}, ValueError, "too little RAM|needs RAM"),
        ({"nodes": 0}, ValueError, "1 to 1024 nodes"),
        ({"nodes": True}, TypeError, "nodes is a number"),
        ({"nodes": "2"}, TypeError, "nodes is a number"),
        ({"nodes": ["1GiB", "1GiB"]}, ValueError, "add up to 2 GiB, but RAM is 4 GiB"),
        ({"nodes": ["4GiB", 0]}, ValueError, "every node needs RAM"),
        ({"nodes": []}, ValueError, "every node needs RAM"),
        ({"movable": "lots"}, ValueError, "lots"),
        ({"memory_map": []}, ValueError, "memory map"),
        ({"memory_map": [(0, 1 << 20), (1 << 19, 1 << 21)]}, ValueError, "overlap"),
        ({"memory_map": [(5, 5)]}, ValueError, "empty"),
        ({"memory_map": [(0.0, 1 << 20)]}, TypeError, "whole numbers"),
        ({"memory_map": [(0, 4096)]}, ValueError, "leave no page"),
    ],
)
def test_nonsense_is_refused_in_words(kwargs, error, words):
    with pytest.raises(error, match=words):
        lay_out(X86_64, **kwargs)


def test_a_machine_too_small_for_its_page_array_is_refused():
    with pytest.raises(ValueError, match="struct page array"):
        boot_reserved(lay_out(X86_64, "1MiB"))


def test_ranges_arithmetic():
    assert subtract([(0, 4), (6, 9)], [(3, 7)]) == ((0, 3), (7, 9))
    assert joined([(4, 6), (0, 2), (2, 3)]) == ((0, 3), (4, 6))
