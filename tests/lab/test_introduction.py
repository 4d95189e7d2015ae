"""The lab of chapter 01, operated without a browser."""

from __future__ import annotations

import pytest

from mmkit.lab.introduction import PLACES, IntroductionLab


@pytest.fixture
def lab() -> IntroductionLab:
    return IntroductionLab()


def test_it_starts_where_it_is_told(lab):
    assert "frame 0x104d01 of zone Normal" in lab.alt
    assert lab.address_box.value == "0x103c010"


def test_typed_address_is_followed(lab):
    lab.address_box.value = " 0x2000000 "
    lab.follow_button.click()
    assert "in no mapping" in lab.message
    assert "in no mapping" in lab.alt
    assert lab.address_box.value == "0x2000000"


@pytest.mark.parametrize("nonsense", ["", "heap", "-1", "0x1" + 16 * "0"])
def test_no_address_is_refused_in_words(lab, nonsense):
    before = lab.timeline.current
    lab.address_box.value = nonsense
    lab.follow_button.click()
    assert "Nothing has changed" in lab.message
    assert lab.timeline.current is before


def test_every_place_is_what_it_says(lab):
    told = {}
    for what, addr in PLACES.items():
        if addr:
            lab.place_menu.value = addr
            told[what] = lab.message
    assert "/bin/memcap" in told["code of the program"]
    assert "[heap], frame" in told["heap, a page in use"]
    assert "not in memory yet" in told["heap, a page never touched"]
    assert "[stack]" in told["stack"]
    assert "frame 0x330d" in told["a page only read so far"]
    assert "may not be used" in told["a guard: mapped, but not to be used"]
    assert "in no mapping" in told["between the mappings"]
    assert "in no mapping" in told["last byte of the user half"]
    assert "not the program's" in told["first byte of the gap"]
    assert "not the program's" in told["the kernel's view of frame 0"]


def test_pages_and_timeline(lab):
    lab.next_button.click()
    assert "frame 0x104d03" in lab.alt
    lab.previous_button.click()
    assert "frame 0x104d01" in lab.alt
    lab.bar.undo_button.click()
    assert "frame 0x104d03" in lab.alt
    lab.follow(0x7FFFFFFFFFFF)
    assert "replaces 1 undone operation" in lab.message
    lab.bar.first_button.click()
    assert lab.address_box.value == "0x103c010"
