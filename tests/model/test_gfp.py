"""Gfp against the flag table that a running kernel prints, and the masks that it refuses."""

import re
from importlib.resources import files
from pathlib import Path

import pytest

from mmkit.arch import ARM64, TOY, X86, X86_64, X86_PAE
from mmkit.model.gfp import PRINT_ORDER, Gfp, check_gfp, gfp_migratetype, gfp_zone
from mmkit.model.migratetype import MigrateType

RECORDED = files("mmkit") / "data" / "host-6.18" / "mm_page_alloc.format"
LIVE = Path("/sys/kernel/tracing/events/kmem/mm_page_alloc/format")


def flag_table(text):
    """The (name, value) pairs of a tracepoint's format file, its C expressions worked out."""
    pairs = re.findall(r"\{\s*\( unsigned long\)((?:(?!\}, ?\{).)*?), \"(\w+)\"\}", text)
    return [(name, eval(re.sub(r"\( gfp_t\)|1UL", lambda m: "1" if m[0] == "1UL" else "", c))) for c, name in pairs]


def test_values_names_and_order_are_those_of_the_recorded_6_18_kernel():
    table = flag_table(RECORDED.read_text())
    assert len(table) == 38
    assert table == list(PRINT_ORDER)


@pytest.mark.skipif(not LIVE.is_file(), reason="needs root, Linux and tracefs")
def test_values_are_those_of_this_machine():
    known = dict(PRINT_ORDER)
    for name, value in flag_table(LIVE.read_text()):
        assert known.get(name, value) == value, name


def test_text_goes_both_ways_as_ftrace_writes_it():
    # Masks that allocations on the recorded 6.18 machine carried.
    for text in (
        "GFP_HIGHUSER_MOVABLE|__GFP_ZERO|__GFP_COMP",
        "GFP_HIGHUSER|__GFP_ACCOUNT",
        "GFP_KERNEL_ACCOUNT|__GFP_NOWARN|__GFP_COMP|__GFP_NOMEMALLOC",
        "GFP_NOWAIT|__GFP_IO|__GFP_FS|__GFP_COMP|__GFP_ACCOUNT",
        "GFP_KERNEL|__GFP_RECLAIMABLE|__GFP_NOWARN|__GFP_NORETRY|__GFP_COMP",
        "__GFP_IO|__GFP_FS|__GFP_NOWARN|__GFP_NORETRY|__GFP_COMP|__GFP_NOMEMALLOC",
        "GFP_TRANSHUGE|__GFP_NORETRY|__GFP_THISNODE",
        "GFP_NOFS|__GFP_HIGHMEM|__GFP_MOVABLE|__GFP_NOWARN|__GFP_NORETRY|__GFP_COMP|__GFP_HARDWALL",
        "none",
    ):
        assert str(Gfp.parse(text)) == text
    for flag in Gfp:
        assert Gfp.parse(str(flag)) == flag
    assert Gfp.parse("0x100|GFP_KERNEL") == Gfp.GFP_KERNEL | Gfp.ZERO


def test_the_kernels_spelling_of_a_bit_works_in_and_out_of_classes():
    class Caller:
        flag = Gfp.__GFP_ZERO

    assert Caller.flag is Gfp.ZERO
    assert getattr(Gfp, "__GFP_DMA32") is Gfp.GFP_DMA32
    with pytest.raises(AttributeError, match="__GFP_NONSENSE"):
        Gfp.__GFP_NONSENSE  # noqa: B018


@pytest.mark.parametrize(
    ("gfp", "x86", "x86_64", "arm64"),
    [
        (Gfp.GFP_KERNEL, "Normal", "Normal", "Normal"),
        (Gfp.GFP_DMA, "DMA", "DMA", "DMA"),
        (Gfp.GFP_DMA32, "Normal", "DMA32", "DMA32"),
        (Gfp.GFP_HIGHUSER, "HighMem", "Normal", "Normal"),
        (Gfp.GFP_HIGHUSER_MOVABLE, "Movable", "Movable", "Movable"),
        (Gfp.GFP_KERNEL | Gfp.MOVABLE, "Normal", "Normal", "Normal"),
        (Gfp.GFP_KERNEL | Gfp.MOVABLE | Gfp.DMA, "DMA", "DMA", "DMA"),
        (Gfp.GFP_KERNEL | Gfp.MOVABLE | Gfp.DMA32, "Normal", "DMA32", "DMA32"),
        (Gfp.GFP_KERNEL | Gfp.RECLAIMABLE | Gfp.HIGHMEM, "HighMem", "Normal", "Normal"),
    ],
)
def test_zone_of_a_mask(gfp, x86, x86_64, arm64):
    assert gfp_zone(gfp, X86) == gfp_zone(gfp, X86_PAE) == x86
    assert gfp_zone(gfp) == gfp_zone(gfp, X86_64) == x86_64
    assert gfp_zone(gfp, ARM64) == arm64


def test_toy_has_no_dma32_and_no_high_memory():
    assert gfp_zone(Gfp.GFP_DMA32, TOY) == gfp_zone(Gfp.GFP_HIGHUSER, TOY) == "Normal"


def test_zone_bits_are_refused_exactly_where_the_kernels_table_says_bad():
    # GFP_ZONE_BAD has a bit for each of these combinations of the four zone modifiers.
    bad = {0b0011, 0b0101, 0b0110, 0b0111, 0b1011, 0b1101, 0b1110, 0b1111}
    for bits in range(16):
        try:
            gfp_zone(Gfp.GFP_KERNEL | bits)
            refused = False
        except ValueError:
            refused = True
        assert refused == (bits in bad), bin(bits)


def test_migratetype_of_a_mask():
    assert gfp_migratetype(Gfp.GFP_KERNEL) is MigrateType.UNMOVABLE
    assert gfp_migratetype(Gfp.GFP_HIGHUSER_MOVABLE) is MigrateType.MOVABLE
    assert gfp_migratetype(Gfp.GFP_KERNEL | Gfp.RECLAIMABLE) is MigrateType.RECLAIMABLE


@pytest.mark.parametrize(
    ("gfp", "words"),
    [
        (Gfp.DMA | Gfp.HIGHMEM, "__GFP_DMA with __GFP_HIGHMEM"),
        (Gfp.DMA | Gfp.DMA32, "__GFP_DMA with __GFP_DMA32"),
        ("GFP_DMA32|__GFP_HIGHMEM", "__GFP_HIGHMEM with __GFP_DMA32"),
        (Gfp.MOVABLE | Gfp.RECLAIMABLE, "__GFP_MOVABLE with __GFP_RECLAIMABLE"),
        (Gfp.NOFAIL, "__GFP_NOFAIL without __GFP_DIRECT_RECLAIM"),
        (0x200, "0x200"),
        (1 << 25, "0x2000000"),
        (-1, "does not know"),
        ("GFP_KERNAL", "GFP_KERNAL"),
        ("", "is not a gfp flag"),
    ],
)
def test_a_contradicting_or_unknown_mask_is_refused_in_words(gfp, words):
    with pytest.raises(ValueError, match=words):
        check_gfp(gfp)


@pytest.mark.parametrize("gfp", [None, 1.5, True, [Gfp.DMA]])
def test_what_is_no_mask_at_all(gfp):
    with pytest.raises(TypeError, match="gfp flags are"):
        check_gfp(gfp)
