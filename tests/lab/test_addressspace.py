"""The lab that shows whole address spaces: recorded processes, this one when asked, and an address in them."""

from __future__ import annotations

import platform
import sys

import pytest

from mmkit.data import recording
from mmkit.errors import LiveError
from mmkit.lab.addressspace import PROCESSES, AddressSpaceLab
from mmkit.model.snapshot import Source
from mmkit.model.vma import MmStruct
from mmkit.model.vmaflags import MAP_ANONYMOUS, MAP_PRIVATE, PROT_READ
from mmkit.proc import addrspace


@pytest.fixture
def lab() -> AddressSpaceLab:
    return AddressSpaceLab()


def state(lab):
    return lab.timeline.current.snapshot


def test_it_starts_with_a_recording_on_every_machine(lab, checks):
    checks.consistent(lab)
    checks.named(lab)
    assert state(lab) == recording("host-6.18").process("python")
    assert "recording" in lab.alt
    assert repr(lab) == repr(AddressSpaceLab())


@pytest.mark.parametrize("name", PROCESSES)
def test_every_process_by_menu(lab, checks, name):
    lab.source_menu.value = name
    checks.consistent(lab)
    folder, process = PROCESSES[name]
    assert state(lab) == recording(folder).process(process)
    if name != "python on 6.18":
        assert f"{len(state(lab).vmas)} areas" in lab.message
    lab.first()
    assert lab.source_menu.value == "python on 6.18"
    assert AddressSpaceLab(name).alt == (AddressSpaceLab(name).picture.alt)


def test_pointing_at_addresses(lab, checks):
    stack, heap = state(lab).vmas[-1], next(vma for vma in state(lab).vmas if vma.name == "[heap]")
    lab.address_box.value = hex(stack.start + 100)
    lab.find_button.click()
    assert f"{stack.start + 100:#x} lies in [stack], rw-p, from {stack.start:#x} on." in lab.message
    assert f"{stack.start + 100:#x}" in lab.alt
    checks.consistent(lab)
    lab.find(heap.end)
    assert f"lies in a gap; the next area above begins at {state(lab).find_vma(heap.end).start:#x}" in lab.message
    lab.find(stack.end)
    assert "no area ends above it" in lab.message
    lab.find(0)
    assert "0x0 lies in a gap" in lab.message
    checks.consistent(lab)
    assert len(lab.timeline) == 1, "where one looks is no step"
    lab.find("")
    assert "No address is pointed at." in lab.message
    assert lab.alt == AddressSpaceLab().alt


def test_the_address_stays_pointed_at_in_another_process(lab):
    lab.find(0x400000)
    lab.choose("a static program on 6.1")
    assert "0x400000" in lab.alt
    assert lab.alt != AddressSpaceLab("a static program on 6.1").alt


@pytest.mark.parametrize("address", ["here", "-1", "0xg"])
def test_what_is_no_address_is_refused(lab, checks, address):
    lab.find(0x400000)
    checks.refuses(lab, "not an address", do=lambda: lab.find(address))
    lab.choose("a static program on 6.1")
    assert "0x400000" in lab.alt


def test_this_process_when_asked(lab, checks, monkeypatch):
    mm = MmStruct()
    mm.mmap(0, 3 << 20, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS)
    here = mm.snapshot(Source("live", "9.9"))
    monkeypatch.setattr(addrspace, "live", lambda: here)
    lab.read_button.click()
    assert state(lab) == here
    assert lab.message == "1. Read this machine: a.out: 1 area, 3 MiB mapped, 0 B of it in memory."
    assert "live (kernel 9.9)" in lab.alt
    assert lab.source_menu.value is None, "so that every recording can be chosen"
    checks.consistent(lab)
    lab.undo()
    assert "recording" in lab.alt
    checks.consistent(lab)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs Linux's /proc")
def test_this_very_process(lab, checks):
    lab.read()
    assert f"live (kernel {platform.release()})" in lab.alt
    lab.find(id(lab))
    assert "lies in" in lab.message
    assert "gap" not in lab.message
    checks.consistent(lab)


def test_without_linux_it_says_so(lab, checks, monkeypatch):
    def refuse():
        raise LiveError("/proc/self cannot be read here: this is Plan9")

    monkeypatch.setattr(addrspace, "live", refuse)
    checks.refuses(lab, "Plan9", do=lab.read_button.click)
    checks.refuses(lab, "no recording 'mine'", do=lambda: lab.choose("mine"))
    with pytest.raises(ValueError, match="no recording 'mine'"):
        AddressSpaceLab("mine")
