"""The address lab: typed, slid, flipped, walked; on every machine; and what is no address."""

from __future__ import annotations

import random

import pytest

from mmkit.arch import PRESETS
from mmkit.lab.address import AddressLab
from mmkit.lab.addressbench import MACHINES, tables_of
from mmkit.model.pgtable.parts import address_parts


@pytest.fixture
def lab() -> AddressLab:
    return AddressLab("X86", 0xB7F98ABC)


def state(lab):
    return lab.timeline.current.snapshot


def test_it_begins_with_a_whole_walk_and_names_everything(lab, checks):
    checks.consistent(lab)
    checks.named(lab)
    assert state(lab) == tables_of("X86").walk_state(0xB7F98ABC)
    assert lab.address_box.value == "0xb7f98abc"
    assert repr(lab) == repr(AddressLab("X86", "0xb7f98abc"))


@pytest.mark.parametrize("arch", MACHINES)
def test_every_machine_and_its_places(lab, checks, arch):
    lab.arch_menu.value = arch
    checks.consistent(lab)
    assert state(lab).parts.arch == arch
    for words, addr in lab.place_menu.options[1:6]:
        lab.place_menu.label = words
        assert state(lab) == tables_of(arch).walk_state(addr)
        assert lab.place_menu.value == -1, "so that the same place can be chosen again"
    checks.consistent(lab)
    assert lab.bit_box.max == PRESETS[arch].pointer_bits - 1


def test_typing_an_address(lab, checks):
    lab.address_box.value = "0x5000_0123"
    lab.look_button.click()
    assert state(lab).walk.virt_addr == 0x5000_0123
    assert "not present" in lab.message
    checks.consistent(lab)


@pytest.mark.parametrize("arch", ["X86", "X86_PAE", "X86_64", "X86_64_LA57", "SV39"])
def test_sliding_a_field_changes_that_field_alone(arch):
    lab, rng = AddressLab(arch), random.Random(arch)
    for _ in range(12):
        before = state(lab).parts
        field = rng.choice(before.fields)
        value = rng.randrange(1 << field.high - field.low + 1)
        lab.slide(value, field.name)
        after = state(lab).parts
        assert after.canonical
        same = {one.name: one.value for one in before.fields} | {field.name: value}
        low = sum(one.value << one.low for one in before.fields) - (field.value << field.low) + (value << field.low)
        assert after.virt_addr & (1 << after.virt_bits) - 1 == low
        if after.fields[-1].high == before.fields[-1].high:
            assert {one.name: one.value for one in after.fields} == same


def test_a_drag_is_one_operation(lab, checks):
    for value in (5, 6, 7):
        lab.value.slider.value = value
    assert len(lab.timeline) == 2
    assert address_parts("X86", state(lab).walk.virt_addr).fields[1].value == 7
    checks.consistent(lab)
    lab.field_menu.value = "pgd"
    assert lab.value.value == state(lab).parts.fields[0].value
    lab.value.box.value = 32
    assert state(lab).parts.fields[0].value == 32
    assert len(lab.timeline) == 3
    lab.undo()
    lab.undo()
    assert state(lab).walk.virt_addr == 0xB7F98ABC


@pytest.mark.parametrize("arch", ["X86", "X86_64", "X86_64_LA57", "SV48"])
def test_bits_flip_and_flip_back(arch):
    lab = AddressLab(arch)
    start = state(lab)
    for bit in {0, 11, 12, *range(20, start.parts.word_bits, 9), start.parts.word_bits - 1}:
        lab.flip(bit)
        assert state(lab) == tables_of(arch).walk_state(start.walk.virt_addr ^ 1 << bit)
        lab.bit_box.value = bit
        lab.flip_button.click()
        assert state(lab) == start


def test_walking_step_by_step(lab, checks):
    lab.walk_button.click()
    steps = tables_of("X86").walk(0xB7F98ABC).steps
    for number, step in enumerate(steps, 1):
        assert state(lab).shown == number
        assert f"0x{step.raw:x}" in lab.message
        checks.consistent(lab)
        lab.forward()
    assert state(lab).at_end
    assert "physical address" in lab.message
    lab.walk()
    assert len(lab.timeline.titles) == 2, "walking again takes the place of the walk before"


def test_acting_in_the_middle_of_a_walk(lab, checks):
    lab.walk()
    lab.flip(12)
    assert state(lab).walk.virt_addr == 0xB7F98ABC ^ 1 << 12
    checks.consistent(lab)


def test_no_address_is_refused(lab, checks):
    checks.refuses(lab, "pointer has 32 bits", do=lambda: lab.look(1 << 32))
    checks.refuses(lab, "not an address", do=lambda: lab.look("here"))
    checks.refuses(lab, "bits 0 to 31, not 32", do=lambda: lab.flip(32))
    checks.refuses(lab, "bits 0 to 31, not -1", do=lambda: lab.flip(-1))
    checks.refuses(lab, "no field 'pmd'", do=lambda: lab.slide(1, "pmd"))
    checks.refuses(lab, "10 bits: 0 to 1023, not 1024", do=lambda: lab.slide(1024, "pte"))
    checks.refuses(lab, "unknown architecture 'VAX'", do=lambda: lab.look(0, "VAX"))
    lab.address_box.value = "nonsense"
    checks.refuses(lab, "not an address", do=lab.look_button.click)
    with pytest.raises(ValueError, match="unknown architecture 'VAX'"):
        AddressLab("VAX")
    with pytest.raises(ValueError, match="pointer has 32 bits"):
        AddressLab("X86", 1 << 40)


def test_the_kernels_root_of_arm_is_not_here(checks):
    lab = AddressLab("ARM64")
    checks.refuses(lab, "TTBR1", do=lambda: lab.flip(63))
