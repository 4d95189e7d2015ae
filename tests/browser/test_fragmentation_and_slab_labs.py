"""The labs of chapters 5 and 6, operated in a real page by mouse and keyboard beside the same labs in Python."""

from __future__ import annotations

import platform

from mmkit.lab import FragmentationLab, MeasureLab, SlabInfoLab, SlabLab
from mmkit.lab.fragmentation import PICTURES as FRAGMENTATION_PICTURES
from mmkit.lab.slab import PICTURES as SLAB_PICTURES
from tests.browser.lab_page import LabPage, Show, walk_the_timeline


def test_fragmentation_lab(show: Show) -> None:
    """A workload piece by piece, other shares by slider and box, compaction, every picture, and nothing left to run."""
    page, twin = show("FragmentationLab(percent=20)"), FragmentationLab(percent=20)
    page.assert_shows(twin)

    page.key(page.slider("Unmovable %"), "ArrowRight")
    twin.build(unmovable=11)
    page.assert_shows(twin)
    page.type("Long-lived %", "30")
    twin.build(long_lived=30)
    page.assert_shows(twin)
    page.type("Reclaimable %", "95")
    twin.build(reclaimable=95)
    page.assert_shows(twin)
    assert "Nothing has changed" in page.said

    for name, do in (("Run on", twin.run), ("Run to the end", twin.run_all), ("Run on", twin.run)):
        page.press(name)
        do()
        page.assert_shows(twin)
    assert "at its end" in page.said

    for memory in ("not grouped", "grouped by mobility"):
        page.choose("Memory", memory)
        twin.memory_menu.label = memory
        page.press("Compaction step", "Compact")
        twin.compact_step()
        twin.compact()
        page.assert_shows(twin)
    for picture in FRAGMENTATION_PICTURES:
        page.choose("Picture", picture)
        twin.picture_menu.label = picture
        page.assert_shows(twin)

    walk_the_timeline(page, twin)


def test_slab_lab(show: Show) -> None:
    """Objects taken and given back, one and many, on two CPUs; other caches; what cannot be done."""
    page, twin = show("SlabLab(nr_cpus=2)"), SlabLab(nr_cpus=2)
    page.assert_shows(twin)

    page.type("Objects", "50")
    page.press("Allocate")
    twin.alloc(50)
    page.assert_shows(twin)
    page.type("on CPU", "1")
    page.type("Objects", "7")
    page.press("Free at random")
    twin.free_random(7, cpu=1)
    page.assert_shows(twin)

    name, address = twin.object_menu.options[3]
    page.choose("Object", name)
    page.press("Free")
    twin.free(address, cpu=1)
    page.assert_shows(twin)
    page.type("Objects", "5000")
    page.press("Free at random")
    twin.free_random(5000, cpu=1)
    page.assert_shows(twin)
    assert "Nothing has changed" in page.said

    page.press("Shrink")
    twin.shrink()
    page.assert_shows(twin)
    page.choose("Crime", "overrun")
    page.press("Commit")
    twin.commit("overrun")
    page.assert_shows(twin)
    assert "Nothing has changed" in page.said

    walk_the_timeline(page, twin)


def test_slab_lab_finds_crimes(show: Show) -> None:
    """With debugging on, each crime is reported, in the picture of bytes too."""
    page, twin = show("SlabLab(object_size=64, debug=True)"), SlabLab(object_size=64, debug=True)
    page.type("Objects", "3")
    page.press("Allocate")
    twin.alloc(3)
    page.press("Free")
    twin.free()
    page.assert_shows(twin)
    page.choose("Picture", "one object, byte by byte")
    twin.picture_menu.label = "one object, byte by byte"
    for crime in ("double free", "use after free", "overrun", "underrun", "wrong pointer"):
        page.choose("Crime", crime)
        page.press("Commit", "Validate")
        twin.commit(crime)
        twin.validate()
        page.assert_shows(twin)
    assert "BUG lab" in page.node.locator("pre").inner_text()
    for picture in SLAB_PICTURES:
        page.choose("Picture", picture)
        twin.picture_menu.label = picture
        page.assert_shows(twin)

    page.key(page.slider("Object size"), "ArrowRight")
    twin.build(object_size=65)
    page.assert_shows(twin)
    page.choose("Align", "page (4096)")
    twin.build(align=4096)
    page.assert_shows(twin)


def assert_reads_this_machine(page: LabPage, twin: MeasureLab | SlabInfoLab) -> None:
    """What is live nobody can foretell; undo brings back what was shown before."""
    before = page.alts
    twin.read()
    refused = "Nothing has changed" in twin.status.value
    page.press("Read this machine")
    assert page.notebook.problems() == []
    assert ("Nothing has changed" in page.said) == refused
    if not refused:
        twin.undo()
        assert platform.release() in page.said
        assert all("live" in alt for alt in page.alts)
        page.press("Undo")
    assert page.alts == before == [picture.alt for picture in twin.pictures]


def test_measure_lab(show: Show) -> None:
    page, twin = show("MeasureLab()"), MeasureLab()
    page.assert_shows(twin)
    page.choose("Recording", "host-6.18")
    twin.choose("host-6.18")
    page.assert_shows(twin)
    assert_reads_this_machine(page, twin)


def test_slabinfo_lab(show: Show) -> None:
    page, twin = show("SlabInfoLab()"), SlabInfoLab()
    page.assert_shows(twin)
    page.choose("Ranked", "by waste")
    twin.order_menu.label = "by waste"
    page.assert_shows(twin)
    page.choose("Recording", "amd64-4g")
    twin.choose("amd64-4g")
    page.assert_shows(twin)
    assert_reads_this_machine(page, twin)
