"""The labs of chapter 7, operated in a real page by mouse and keyboard beside the same labs in Python."""

from __future__ import annotations

import sys

from mmkit.lab import AddressSpaceLab, VmaLab
from mmkit.lab.vma import PICTURES
from mmkit.lab.vmatexts import TEXTS
from tests.browser.lab_page import Show, walk_the_timeline

PAGE, LOW = 4096, 0x1000_0000


def test_vma_lab_makes_calls(show: Show) -> None:
    """Each call by its button, with what stands in the boxes and menus; addresses chosen and typed."""
    page, twin = show("VmaLab()"), VmaLab()
    page.assert_shows(twin)

    page.type("Length", "6 pages")
    page.press("mmap")
    twin.mmap("6 pages")
    page.assert_shows(twin)
    assert page.box("Address").input_value() == twin.address_box.value

    page.press("Write")
    twin.touch(write=True)
    page.assert_shows(twin)
    place = next(words for words, _ in twin.place_menu.options if "middle of rw-p" in words and "7fff" in words)
    page.choose("Place", place)
    twin.place_menu.label = place
    page.type("Length", "1 page")
    page.choose("Rights", "r--")
    for name, do in (
        ("mprotect", lambda: twin.mprotect(length=PAGE, prot="r--")), ("mlock", lambda: twin.mlock(length=PAGE)),
        ("munlock", lambda: twin.munlock(length=PAGE)), ("munmap", lambda: twin.munmap(length=PAGE)),
    ):  # fmt: skip
        page.press(name)
        do()
        page.assert_shows(twin)

    page.choose("Backed by", "/home/you/book, opened anew (r)")
    page.choose("Kind", "shared")
    page.type("Offset", "0x1000")
    page.choose("With", "MAP_POPULATE")
    page.press("mmap")
    twin.mmap(PAGE, "r--", "shared", "book (r)", "0x1000", extra="MAP_POPULATE")
    page.assert_shows(twin)
    page.choose("Advice", "MADV_WILLNEED")
    page.press("madvise")
    twin.madvise(length=PAGE, advice="MADV_WILLNEED")
    page.assert_shows(twin)
    page.type("New length", "3 pages")
    page.choose("Move", "to New address (MREMAP_FIXED)")
    page.press("mremap")
    twin.mremap(length=PAGE, new_length="3 pages", how="to New address (MREMAP_FIXED)")
    page.assert_shows(twin)
    page.type("Heap by pages", "-1")
    page.press("brk")
    twin.brk(-1)
    page.assert_shows(twin)
    assert "Nothing has changed" in page.said
    page.type("Heap by pages", "7")
    page.press("brk")
    twin.brk(7)
    page.assert_shows(twin)

    walk_the_timeline(page, twin)


def test_vma_lab_refuses(show: Show) -> None:
    """What makes no sense is answered in words, with Linux's name for it, and changes nothing."""
    page, twin = show("VmaLab('areas side by side')"), VmaLab("areas side by side")
    for length, address, name, do, words in (
        ("0", "0x10000000", "munmap", lambda: twin.munmap(LOW, 0), "EINVAL"),
        ("16 pages", "0x10000000", "mlock", lambda: twin.mlock(LOW, 16 * PAGE), "ENOMEM"),
        ("1 page", "0x10004000", "Read", lambda: twin.touch(LOW + 0x4000), "SIGSEGV"),
        ("200 TiB", "0x10000000", "mmap", lambda: twin.mmap("200 TiB"), "ENOMEM"),
        ("1 page", "nowhere", "munmap", lambda: twin.munmap("nowhere", PAGE), "not an address"),
        ("some", "0x10000000", "munmap", lambda: twin.munmap(LOW, "some"), "not a size"),
        ("1 page", "0x10000800", "mprotect", lambda: twin.mprotect(LOW + 0x800, PAGE), "EINVAL"),
    ):
        page.type("Length", length)
        page.type("Address", address)
        page.press(name)
        do()
        page.assert_shows(twin)
        assert words in page.said


def test_vma_lab_has_tasks(show: Show) -> None:
    """A thread, a child, another program, an end; the picture shows who shares what."""
    page, twin = show("VmaLab('areas side by side')"), VmaLab("areas side by side")
    for name, do in (("New thread", twin.thread), ("fork", twin.fork)):
        page.press(name)
        do()
        page.assert_shows(twin)
    words = next(words for words, pid in twin.task_menu.options if pid == 1002)
    page.choose("Task", words)
    twin.switch(1002)
    page.assert_shows(twin)
    for name, do in (("execve", twin.execute), ("mmap", twin.mmap), ("exit", twin.exit)):
        page.press(name)
        do()
        page.assert_shows(twin)
    page.choose("Begin with", "an empty address space")
    twin.build("an empty address space")
    page.assert_shows(twin)
    page.press("exit")
    twin.exit()
    page.assert_shows(twin)
    assert "Nothing has changed" in page.said


def test_vma_lab_shows_it_in_every_way(show: Show) -> None:
    """Searches step by step in the three structures, all pictures, all texts."""
    page, twin = show("VmaLab('python at work')"), VmaLab("python at work")
    page.type("Address", "0x7ffff7fb3000")
    for words in ("the list", "the red-black tree", "the maple tree"):
        page.choose("Search in", words)
        page.press("Find")
        twin.kind_menu.label = words
        twin.find(0x7FFFF7FB3000)
        page.assert_shows(twin)
        page.press("Back")
        twin.back()
        page.assert_shows(twin)
    page.press("mmap")
    twin.mmap()
    for picture in PICTURES:
        page.choose("Picture", picture)
        twin.picture_menu.label = picture
        page.assert_shows(twin)
    for text in TEXTS:
        page.choose("Text", text)
        twin.text_menu.value = text
        page.assert_shows(twin)
        shown = page.node.locator("pre").all_inner_texts()
        assert len(shown) == (text != "none")
        if text == "/proc/PID/maps":
            assert shown[0] == twin.model.mm.maps()


def test_address_space_lab(show: Show) -> None:
    """A recording, until asked for this process, whose areas nobody can foretell; undo brings the recording back."""
    page, twin = show("AddressSpaceLab()"), AddressSpaceLab()
    page.assert_shows(twin)
    page.choose("Recording", "every kind of mapping")
    twin.choose("every kind of mapping")
    page.assert_shows(twin)
    for address in ("0x40001000", "0x50000000", "nonsense"):
        page.type("Address", address)
        page.press("Find")
        twin.find(address)
        page.assert_shows(twin)
    assert "Nothing has changed" in page.said

    before = page.alts
    page.press("Read this machine")
    assert page.notebook.problems() == []
    if sys.platform.startswith("linux"):
        assert all("live" in alt for alt in page.alts)
        page.press("Undo")
    else:
        assert "Nothing has changed" in page.said
    assert page.alts == before == [picture.alt for picture in twin.pictures]
