"""The buddy lab, operated without a browser."""

from __future__ import annotations

import re

import pytest

from mmkit.data import recording
from mmkit.errors import LiveError
from mmkit.lab.buddy import BuddyLab
from mmkit.model.buddy import BuddyAllocator
from mmkit.model.migratetype import MigrateType
from mmkit.model.trace import Merge, MmPageAlloc, MmPageFree, Put, Split, Take
from mmkit.proc import live


@pytest.fixture
def lab() -> BuddyLab:
    return BuddyLab(start="notes")


def counts(lab):
    return lab.timeline.current.snapshot.counts


def events(lab):
    return [type(entry.event) for entry in lab.timeline.entries]


def test_the_notes_example_step_by_step(lab, checks):
    assert lab.alloc(order=8) == 0
    assert events(lab)[1:] == [Take, Split, Split, MmPageAlloc]
    checks.consistent(lab)
    seen = [entry.snapshot.counts[8:] for entry in lab.timeline.entries]
    assert seen == [(0, 0, 1), (0, 0, 0), (0, 1, 0), (1, 1, 0), (1, 1, 0)]
    lab.free()
    assert events(lab)[5:] == [MmPageFree, Merge, Merge, Put]
    assert counts(lab) == (0,) * 10 + (1,)


def test_controls_do_what_the_methods_do(lab, checks):
    twin = BuddyAllocator(1024)
    lab.order_number.slider.value = 3
    assert lab.order_number.box.value == 3
    lab.type_menu.value = MigrateType.MOVABLE
    lab.alloc_button.click()
    twin.alloc(3)
    lab.order_number.box.value = 0
    assert lab.order_number.slider.value == 0
    lab.alloc_button.click()
    pfn = twin.alloc(0)
    assert lab.model.snapshot() == twin.snapshot()
    checks.consistent(lab)
    lab.block_menu.value = (pfn, 0)
    lab.free_button.click()
    twin.free(pfn, 0)
    lab.pfn_box.value, lab.free_order_box.value = "0x0", 3
    lab.free_pfn_button.click()
    twin.free(0, 3)
    assert lab.model.snapshot() == twin.snapshot()
    checks.consistent(lab)


def test_it_is_named(lab, checks):
    checks.named(lab)


def test_picture_and_words_change_with_every_step(lab, checks):
    lab.alloc(8)
    told, alts, pixels = set(), set(), set()
    for index in range(len(lab.timeline)):
        lab.go(index)
        checks.consistent(lab)
        told.add(lab.message), alts.add(lab.picture.alt), pixels.add(lab.picture.png())
    assert len(told) == len(alts) == len(pixels) == 5
    lab.go(1)
    assert "In hand: order 10 at 0x0" in lab.picture.alt
    assert "step 1 of 4: Take the block" in lab.message


def test_the_block_menu_follows_the_timeline(lab):
    lab.alloc(8), lab.alloc(2, MigrateType.UNMOVABLE)
    assert [value for _, value in lab.block_menu.options] == [
        (pfn, order) for pfn, order, _ in lab.model.snapshot().allocated_blocks
    ]
    lab.undo()
    assert lab.block_menu.options == (("0x0, order 8, Movable", (0, 8)),)
    lab.undo()
    assert lab.block_menu.options == (("none allocated here", ()),)


@pytest.mark.parametrize("order", [-1, 11, "8", 2.5, None])
def test_impossible_orders(lab, checks, order):
    if order is None:
        checks.refuses(lab, "unexpected", do=lambda: lab.alloc(size=8))
    else:
        checks.refuses(lab, str(order), do=lambda: lab.alloc(order))


def test_impossible_types(lab, checks):
    checks.refuses(lab, "9", do=lambda: lab.alloc(0, 9))
    checks.refuses(lab, "Isolate", do=lambda: lab.alloc(0, MigrateType.ISOLATE))


def test_nothing_is_found(lab, checks):
    for _ in range(4):
        lab.alloc(8)
    checks.refuses(lab, "order 8", "no page is free", do=lambda: lab.alloc(8))
    checks.refuses(lab, "a page", do=lab.alloc_button.click)


@pytest.mark.parametrize(
    ("pfn", "order", "words"),
    [
        ("0x100", 8, "already free"),
        ("0x0", 7, "allocated with order 8, not 7"),
        ("0x10", 0, "inside the allocated block"),
        ("1024", 0, "outside the zone"),
        ("0x101", 3, "misaligned"),
        ("page nine", 0, "not a page frame number"),
        ("", 0, "not a page frame number"),
    ],
)
def test_wrong_frees_are_answered(lab, checks, pfn, order, words):
    lab.alloc(8)
    lab.pfn_box.value, lab.free_order_box.value = pfn, order
    checks.refuses(lab, words, do=lab.free_pfn_button.click)


def test_a_double_free_is_answered(lab, checks):
    lab.alloc(0)
    lab.free(0, 0)
    checks.refuses(lab, "already free", do=lambda: lab.free(0, 0))


def test_nothing_to_free(lab, checks):
    checks.refuses(lab, "no allocated block to choose", do=lab.free_button.click)


def test_acting_in_the_past_goes_on_as_if_the_future_had_not_been(lab, checks):
    lab.alloc(3), lab.alloc(5), lab.free(0, 3)
    lab.go(3)
    lab.alloc(0), lab.alloc(1, MigrateType.UNMOVABLE)
    twin = BuddyAllocator(1024)
    twin.alloc(3), twin.alloc(0), twin.alloc(1, MigrateType.UNMOVABLE)
    assert lab.model.snapshot() == twin.snapshot()
    lab.model.check()
    checks.consistent(lab)


def test_every_picture(lab, checks):
    lab.alloc(2)
    seen = set()
    for picture in ("memory", "ladder", "bars"):
        lab.picture_menu.value = picture
        checks.consistent(lab)
        lab.back()
        checks.consistent(lab)
        lab.last()
        seen.add(lab.picture.alt)
    assert len(seen) == 3
    lab.picture_menu.value = "ladder"
    lab.first()
    assert "Buddy allocator" in lab.picture.alt
    lab.last()
    lab.alloc(7)
    assert "Step 2 of 2" in lab.picture.alt or "Step" in lab.picture.alt


def test_recording(checks):
    lab = BuddyLab("trace-buddy-6.1", snapshot=3)
    recorded = recording("trace-buddy-6.1").free_lists(3)["DMA32"]
    assert lab.timeline.current.snapshot == recorded
    assert "recording (kernel 6.1" in lab.picture.alt
    assert (lab.start_menu.value, lab.snapshot_box.value, lab.zone_menu.value) == ("trace-buddy-6.1", 3, "DMA32")
    checks.consistent(lab)
    lab.alloc(0)
    assert "(model, started from recording" in lab.picture.alt
    lab.undo()
    assert "(recording" in lab.picture.alt
    lab.zone_menu.value = "DMA"
    assert lab.timeline.current.snapshot == recording("trace-buddy-6.1").free_lists(3)["DMA"]
    lab.snapshot_box.value = 1
    assert lab.timeline.current.snapshot == recording("trace-buddy-6.1").free_lists(1)["DMA"]
    lab.start_menu.value = "notes"
    assert counts(lab) == (0,) * 10 + (1,)
    assert lab.snapshot_box.layout.display == "none"
    checks.consistent(lab)


def test_zooming_in_shows_less(checks):
    lab = BuddyLab("trace-buddy-6.1")
    whole = lab.picture.png()
    lab.alloc(0)
    near = lab.picture.png()
    lab.zoom_toggle.value = False
    assert lab.picture.png() != near
    lab.undo()
    assert lab.picture.png() == whole


def test_a_given_state(checks):
    given = BuddyAllocator(64, start_pfn=128, max_order=5)
    given.alloc(2)
    lab = BuddyLab(given.snapshot())
    assert lab.timeline.current.snapshot == given.snapshot()
    assert lab.start_menu.value == "given"
    assert lab.order_number.box.max == lab.order_number.slider.max == 5
    lab.free()
    checks.consistent(lab)
    lab.start_menu.value = "empty"
    lab.start_menu.value = "given"
    assert lab.timeline.current.snapshot == given.snapshot()


@pytest.mark.parametrize(
    ("start", "place", "words"),
    [
        ("nowhere", {}, "choose one of"),
        ("amd64-4g", {}, "amd64-4g"),
        ("trace-buddy-6.1", {"snapshot": 99}, "99"),
        ("trace-buddy-6.1", {"zone": "Normal"}, "zone 'Normal'"),
    ],
)
def test_a_start_that_is_not_to_be_had(lab, checks, start, place, words):
    lab.alloc(8)
    checks.refuses(lab, words, do=lambda: lab.begin_at(start, **place))
    assert lab.start_menu.value == "notes"


def test_a_machine_that_shows_nothing(lab, checks, monkeypatch):
    def refuse(*_):
        raise LiveError("/proc/kpageflags is shown to root only")

    monkeypatch.setattr(live, "buddy", refuse)
    monkeypatch.setattr(live, "zoneinfo", lambda: recording("amd64-4g").zoneinfo)

    def choose():
        lab.start_menu.value = "live"

    checks.refuses(lab, "shown to root only", do=choose)
    assert lab.start_menu.value == "notes"
    assert "shown to root only" in BuddyLab("live").message


def test_this_machine(checks, monkeypatch):
    """A stand-in for the machine: live reading has tests of its own."""
    lists = recording("trace-buddy-6.1").free_lists(0)
    monkeypatch.setattr(live, "zoneinfo", lambda: recording("trace-buddy-6.1").read_zoneinfo("snap0.zoneinfo"))
    monkeypatch.setattr(live, "buddy", lists.__getitem__)
    lab = BuddyLab("live", zone="DMA")
    assert lab.timeline.current.snapshot == lists["DMA"]
    assert lab.zone_menu.options == ("DMA", "DMA32")
    assert "this machine" in lab.message
    checks.consistent(lab)


def test_flipbook(lab):
    lab.alloc(8)
    book = lab.flipbook()
    alts = [re.search('alt="([^"]*)"', page.value)[1] for page in book.stack.children]
    assert len(set(alts)) == len(lab.timeline) == 5
