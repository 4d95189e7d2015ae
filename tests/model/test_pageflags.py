"""The packed words of struct page, against what a running 6.18 says about itself."""

import platform

import pytest

from mmkit import ARM64, TOY, X86, X86_64, X86_64_LA57, X86_PAE
from mmkit.arch import PRESETS
from mmkit.data import recording
from mmkit.model.pageflags import (
    BitField,
    MappingKind,
    PageFlags,
    PageType,
    flags_layout,
    mapping_kind,
    page_type_of,
)  # fmt: skip
from mmkit.model.structpage import struct_page_now, struct_page_then
from tests import btf

RECORDED = btf.parse(recording("host-6.18").text("btf.txt"))
# What large folios and Xen guests call bits that have another name already; the model leaves them out.
LEFT_OUT = {
    "PG_pinned", "PG_savepinned", "PG_foreign", "PG_xen_remapped", "PG_movable_ops_isolated", "PG_movable_ops",
    "PG_vmemmap_self_hosted", "PG_has_hwpoisoned", "PG_large_rmappable", "PG_partially_mapped",
}  # fmt: skip


def ours(enum, prefix):
    """Every name, aliases included, that starts with ``prefix``."""
    return {name: member for name, member in enum.__members__.items() if name.startswith(prefix)}


def test_every_flag_bit_is_where_the_kernel_has_it():
    recorded = {name: bit for name, bit in RECORDED["enum pageflags"].items() if name.startswith("PG_")}
    assert {name: flag.bit for name, flag in ours(PageFlags, "PG_").items()} == {
        name: bit for name, bit in recorded.items() if name not in LEFT_OUT
    }
    assert len(PageFlags) == RECORDED["enum pageflags"]["__NR_PAGEFLAGS"]
    assert recorded.keys() >= LEFT_OUT


def test_each_flag_has_its_printed_name_and_the_source_s():
    for name, flag in ours(PageFlags, "PG_").items():
        assert PageFlags[name.removeprefix("PG_")] is flag


def test_every_page_type_is_the_kernel_s():
    recorded = dict(RECORDED["enum pagetype"])
    assert recorded.pop("PGTY_mapcount_underflow") == 0xFF
    assert {name: kind.value for name, kind in ours(PageType, "PGTY_").items()} == recorded


def test_zones_have_the_kernel_s_numbers_and_room_in_flags():
    recorded = RECORDED["enum zone_type"]
    for name in X86_64.zone_names:
        assert X86_64.zone_names.index(name) == recorded[f"ZONE_{name.upper()}"]
    assert flags_layout(X86_64).zone.max + 1 >= recorded["__MAX_NR_ZONES"]


def test_fields_of_struct_page_are_where_the_kernel_has_them():
    recorded = RECORDED["struct page"] | {"index": RECORDED["struct page"]["__folio_index"]}
    assert {member.name: member.offset for member in struct_page_now()} == {
        member.name: recorded[member.name] for member in struct_page_now()
    }


@pytest.mark.parametrize(("word_bytes", "then", "now"), [(8, 64, 64), (4, 36, 32)])
def test_struct_page_has_no_gaps(word_bytes, then, now):
    for members, size in ((struct_page_then(word_bytes), then), (struct_page_now(word_bytes), now)):
        ends = [member.offset + member.size for member in members]
        assert [member.offset for member in members] == [0, *ends[:-1]]
        assert ends[-1] == size
    assert X86.struct_page_bytes == 32
    assert X86_64.struct_page_bytes == 64


@pytest.mark.skipif(
    not (btf.VMLINUX.exists() and platform.release().startswith("6.18.") and platform.machine() == "x86_64"),
    reason="needs a running Linux 6.18 on x86-64 that describes its types",
)
def test_this_machine_agrees():
    live = btf.Btf(btf.VMLINUX.read_bytes())
    assert live.enum("pagetype") == RECORDED["enum pagetype"]
    # From bit 21 on the numbers depend on how the kernel was built.
    fixed = {name: bit for name, bit in live.enum("pageflags").items() if bit <= PageFlags.mlocked.bit}
    assert fixed == {name: bit for name, bit in RECORDED["enum pageflags"].items() if bit <= PageFlags.mlocked.bit}


# Words that kernels print when they dump a page ("flags: 0x...(node=0|zone=2|lastcpupid=0x1fffff)"). Debian's and
# Fedora's x86-64 are built for 8,192 CPUs, so that the last CPU takes 21 bits there instead of our 16.
@pytest.mark.parametrize(
    ("arch", "word", "node", "zone"),
    [(X86_64, 0x17FFFFC0000000, 0, 2), (X86_64, 0x57FFFFC0000000, 1, 2), (X86_64, 0xFFFFFC0000000, 0, 1),
     (ARM64, 0xBFFFC0000000000, 0, 2), (X86, 0x80000000, 0, 2)],
)  # fmt: skip
def test_node_and_zone_of_words_printed_by_kernels(arch, word, node, zone):
    layout = flags_layout(arch)
    assert (layout.node.get(word), layout.zone.get(word)) == (node, zone)


@pytest.mark.parametrize("arch", PRESETS.values(), ids=lambda arch: arch.name)
def test_fields_do_not_overlap_each_other_or_the_flags(arch):
    layout = flags_layout(arch)
    used = [bit for field in layout.fields for bit in range(field.shift, field.shift + field.width)]
    assert len(used) == len(set(used))
    assert max(used) == layout.word_bits - 1
    assert min(used) > max(flag.bit for flag in PageFlags)
    assert layout.zone.max + 1 >= len(arch.zones)


@pytest.mark.parametrize("arch", [X86_64, X86_64_LA57, ARM64, TOY])
def test_packing_and_unpacking_a_word(arch):
    layout = flags_layout(arch)
    word = layout.pack(PageFlags.locked | PageFlags.arch_2, zone=2, node=3)
    assert (layout.node.get(word), layout.zone.get(word), layout.last_cpupid.get(word)) == (
        3,
        2,
        layout.last_cpupid.max,
    )
    assert PageFlags(word & 0xFFFFFF) == PageFlags.locked | PageFlags.arch_2


@pytest.mark.parametrize(("arch", "node", "says"), [(X86, 1, "node 1"), (X86_PAE, 1, "node 1"), (X86_64, 1024, "1023")])
def test_a_number_too_large_for_its_field_is_refused(arch, node, says):
    with pytest.raises(ValueError, match=says):
        flags_layout(arch).pack(0, zone=0, node=node)


def test_a_field_refuses_a_negative_number():
    with pytest.raises(ValueError, match="-1 does not fit in 3 bits: at most 7"):
        BitField("zone", 51, 3).put(-1)


def test_mapping_kinds():
    pointer = 0xFFFF_8881_0478_7C98
    assert mapping_kind(0) is MappingKind.NONE
    assert mapping_kind(pointer) is MappingKind.FILE
    assert mapping_kind(pointer | 1) is MappingKind.ANON
    assert mapping_kind(pointer | 3) is MappingKind.KSM
    with pytest.raises(ValueError, match="0xffff888104787c9a ends in binary 10"):
        mapping_kind(pointer | 2)


def test_page_types_in_their_word():
    assert page_type_of(0xFFFF_FFFF) is None
    assert page_type_of(0) is None
    assert [page_type_of(kind.word) for kind in PageType] == list(PageType)


def test_flags_say_what_they_are():
    assert all(flag.what for flag in PageFlags)
    assert len({flag.what for flag in PageFlags}) == len(PageFlags)
    with pytest.raises(ValueError, match="not one flag"):
        _ = (PageFlags.locked | PageFlags.dirty).bit
