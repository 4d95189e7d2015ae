"""The labs of chapters 8 and 9, operated in a real page by mouse and keyboard beside the same labs in Python."""

from __future__ import annotations

from mmkit.lab import AddressLab, FaultLab, LifeLab, PageTableLab, TlbLab, TranslationLab
from mmkit.lab.addressbench import MACHINES
from mmkit.lab.tlbbench import GEOMETRIES
from tests.browser.lab_page import Show, walk_the_timeline


def test_address_lab_takes_addresses_apart(show: Show) -> None:
    """Typed, slid, flipped, chosen; walked entry by entry; on another machine."""
    page, twin = show('AddressLab("X86", 0xB7F98ABC)'), AddressLab("X86", 0xB7F98ABC)
    page.assert_shows(twin)
    page.type("Address", "0xb7ff2000")
    page.press("Look up")
    twin.look("0xb7ff2000")
    page.assert_shows(twin)

    page.type("Value", "920")
    twin.slide(920)
    page.assert_shows(twin)
    page.key(page.slider("Value"), "ArrowRight", "ArrowRight")
    twin.slide(922)
    page.assert_shows(twin)
    page.choose("Field", "pgd index")
    twin.field_menu.value = "pgd"
    page.type("Value", "32")
    twin.slide(32)
    page.assert_shows(twin)
    page.type("Bit", "31")
    page.press("Flip")
    twin.flip(31)
    page.assert_shows(twin)

    page.press("Walk")
    twin.walk()
    page.assert_shows(twin)
    walk_the_timeline(page, twin)


def test_address_lab_on_every_machine(show: Show) -> None:
    """Each machine by the menu, one of its places, and what is no address there."""
    page, twin = show("AddressLab()"), AddressLab()
    for name, machine in MACHINES.items():
        page.choose("Machine", machine.words)
        twin.arch_menu.value = name
        page.assert_shows(twin)
        place = twin.place_menu.options[-1][0]
        page.choose("Place", place)
        twin.place_menu.label = place
        page.assert_shows(twin)
        page.press("Walk", "Forward")
        twin.walk()
        twin.forward()
        page.assert_shows(twin)
    for text in ("nonsense", "0x10000000000000000"):
        page.type("Address", text)
        page.press("Look up")
        twin.look(text)
        page.assert_shows(twin)
        assert "Nothing has changed" in page.said


def test_page_table_lab_changes_tables(show: Show) -> None:
    """Map, access, protect, switch, unmap, by buttons, menus and boxes; on the toy and on real machines."""
    page, twin = show("PageTableLab()"), PageTableLab()
    page.assert_shows(twin)
    page.press("Map")
    twin.map()
    page.assert_shows(twin)
    for access, by_user in (("write", True), ("execute", False), ("read", False)):
        page.choose("Access", access)
        page.node.get_by_label("by user code").set_checked(by_user)
        page.press("Try")
        twin.access(how=access, user=by_user)
        page.assert_shows(twin)
    page.choose("Running", "process B")
    twin.switch(1)
    page.assert_shows(twin)
    page.type("Frame", "0x3c")
    page.choose("Rights", "r--")
    page.press("Map")
    twin.map(pfn="0x3c", rights="r--")
    page.assert_shows(twin)
    page.choose("Rights", "rw-, kernel only")
    page.press("Protect")
    twin.protect(rights="rw-, kernel only")
    page.assert_shows(twin)
    page.press("Unmap")
    twin.unmap()
    page.assert_shows(twin)
    page.press("Unmap")
    twin.unmap()
    page.assert_shows(twin)
    assert "Nothing has changed" in page.said
    walk_the_timeline(page, twin)

    page.choose("Machine", "64-bit x86, four levels")
    twin.arch_menu.value = "X86_64"
    page.assert_shows(twin)
    page.type("Frame", "")
    page.choose("Page of", "2 MiB")
    page.type("Address", "0x600000")
    page.press("Map")
    twin.map("0x600000", "", "rw-, kernel only", "2 MiB")
    page.assert_shows(twin)


def test_tlb_lab_plays_accesses(show: Show) -> None:
    """One, ten, a hundred, all; other patterns, geometries, pages and rules; what cannot be built."""
    page, twin = show("TlbLab()"), TlbLab()
    page.assert_shows(twin)
    for name, count in (("One", 1), ("Ten", 10), ("A hundred", 100), ("All", None)):
        page.press(name)
        twin.make(count)
        page.assert_shows(twin)
    walk_the_timeline(page, twin)
    for menu, option, chosen in (
        ("Accesses", "two processes in turn", {"pattern": "two processes in turn"}),
        ("On a switch of processes", "throw all away", {"flush": True}),
        ("Replace", "pseudo-LRU", {"policy": "plru"}),
        ("Accesses", "recorded: hash table", {"pattern": "recorded: hash table"}),
        ("Page of", "64 KiB", {"shift": 16}),
    ):
        page.choose(menu, option)
        twin.choose(**chosen)
        page.press("All")
        twin.make(None)
        page.assert_shows(twin)
    name = "64 entries, 16 sets of 4 (Skylake data)"
    page.choose("TLB", name)
    twin.geometry_menu.value = GEOMETRIES[name]
    page.assert_shows(twin)
    page.type("Ways", "3")
    twin.choose(ways=3)
    page.assert_shows(twin)
    assert "Nothing has changed" in page.said
    page.press("Begin anew")
    twin.again()
    page.assert_shows(twin)


def test_translation_lab_measures_here(show: Show) -> None:
    """The recording first; then this very machine, whose figures are its own."""
    page, twin = show("TranslationLab()"), TranslationLab()
    page.assert_shows(twin)
    page.press("Measure this machine")
    page.node.get_by_text("1. Read this machine").wait_for(timeout=60_000)
    assert page.notebook.problems() == []
    assert all("live" in alt for alt in page.alts)
    page.press("Undo")
    twin.read()
    twin.undo()
    assert page.alts == [picture.alt for picture in twin.pictures]


def test_fault_lab_touches_and_forks(show: Show) -> None:
    """Touch, fork, switch, protect, throw away, end, by buttons and menus."""
    page, twin = show("FaultLab()"), FaultLab()
    page.assert_shows(twin)
    for name, do in (
        ("Write", lambda: twin.touch(write=True)),
        ("fork", twin.fork),
        ("Write", lambda: twin.touch(write=True)),
    ):
        page.press(name)
        do()
        page.assert_shows(twin)
    page.choose("Process", "101 child")
    twin.switch(101)
    page.assert_shows(twin)
    page.type("Page", "6")
    for name, do in (
        ("Read", lambda: twin.touch(6)), ("Write", lambda: twin.touch(6, write=True)),
        ("Protect", lambda: twin.protect(6)), ("Allow", lambda: twin.protect(6, write=True)),
        ("Throw away", lambda: twin.drop(6)), ("exit", twin.exit), ("exit", twin.exit),
    ):  # fmt: skip
        page.press(name)
        do()
        page.assert_shows(twin)
    assert "Nothing has changed" in page.said
    walk_the_timeline(page, twin)


def test_life_lab_follows_a_block_from_malloc_to_free(show: Show) -> None:
    """malloc, steps, a write, free, bad input, and the timeline both ways."""
    page, twin = show("LifeLab()"), LifeLab()
    page.assert_shows(twin)
    for name, do in (("malloc", twin.malloc), *[("Forward", twin.forward)] * 13, ("Last", twin.last)):
        page.press(name)
        do()
        page.assert_shows(twin)
    page.choose("Where", "the next untouched page")
    for name, do in (("Write", twin.write), ("Read", twin.read)):
        page.press(name, "Last")
        do("the next untouched page")
        twin.last()
        page.assert_shows(twin)
    page.press("free")
    twin.free()
    page.assert_shows(twin)
    page.type("Bytes", "much")
    page.press("malloc")
    twin.malloc("much")
    page.assert_shows(twin)
    assert "Nothing has changed" in page.said
    walk_the_timeline(page, twin)
