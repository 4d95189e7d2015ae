"""The pictures of a page show what its snapshot says: artists and alt text, not pixels."""

from itertools import combinations

import pytest

from mmkit import ARM64, TOY, X86, X86_64, MemMap, PageFlags
from mmkit.data import recording
from mmkit.model.pageflags import PageType
from mmkit.proc import structpage
from mmkit.view.page import FlagBits, MappingBits, PagePicture, StructPage

PFN = 0x123456
ANON_VMA, ADDRESS_SPACE = 0xFFFF_8881_0ABC_D000, 0xFFFF_8881_3D27_3BD0


def page_of(arch=X86_64, zone="Normal", pfn=PFN):
    mem_map = MemMap(3, pfn, arch=arch)
    mem_map.set_zone(zone, pfn, pfn + 3)
    return mem_map[pfn]


def shot(page):
    return page._map.snapshot(page.pfn)


def free():
    return page_of()


def anonymous():
    page = page_of()
    page.set_refcounted()
    page.set_anon(ANON_VMA, 0x7_FFFF_FFFE)
    page.map()
    page.set_flags(PageFlags.uptodate)
    return page


def file_backed():
    page = page_of()
    page.set_refcounted()
    page.set_file(ADDRESS_SPACE, 88)
    return page


def everything_set():
    page = file_backed()
    page.set_flags(~PageFlags(0))
    for number in (1, 2):
        other = page._map[page.pfn + number]
        other.set_refcounted()
        if number == 1:
            other.lru_add()
    page.lru_add(page._map[page.pfn + 1])
    page._map[page.pfn + 2].lru_add(page)
    return page


def slab():
    page = page_of()
    page.set_type(PageType.large_kmalloc)
    return page


def block():
    page = page_of(pfn=0x123400)
    page.set_buddy(10)
    return page


def high():
    page = page_of(X86, "HighMem", 0x40000)
    page.set_refcounted()
    page.set_anon(0xC123_4560, 0xBFFFF)
    return page


def arm():
    return page_of(ARM64)


def toy():
    return page_of(TOY, "Normal", 5)


STATES = [free, anonymous, file_backed, everything_set, slab, block, high, arm, toy]
RECORDED = structpage.parse(recording("host-6.18").text("struct_pages.tsv"), recording("host-6.18").source).frames


def check_texts(picture):
    """No text runs into another one or out of the picture."""
    for label in picture.labels:
        box = label.box
        assert box.left >= 0, label.text
        assert box.right <= picture.width, label.text
        assert box.bottom <= picture.height, label.text
    for one, other in combinations(picture.labels, 2):
        a, b = one.box, other.box
        apart = a.right <= b.left or b.right <= a.left or a.bottom <= b.top or b.bottom <= a.top
        assert apart, (one.text, other.text)


@pytest.mark.parametrize("state", STATES)
def test_texts_are_apart_and_inside(state):
    picture = PagePicture(shot(state()))
    check_texts(picture)
    for name, label in picture.panels[1].names.items():
        cell = picture.panels[1].cell(name.bit)
        assert cell.left <= label.box.left
        assert label.box.right <= cell.right


@pytest.mark.parametrize("frame", RECORDED[::25], ids=lambda frame: f"{frame.pfn:x}")
def test_recorded_pages_are_drawn_as_well(frame):
    picture = PagePicture(frame.page)
    check_texts(picture)
    assert picture.alt.endswith("(recording (kernel 6.18.44-fc-v669), host-6.18)")
    assert picture.labels[0].text == str(frame.source)


def texts(picture):
    return [label.text for label in picture.labels]


# -- flags ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", STATES)
def test_each_bit_is_the_snapshot_s_by_fill_and_by_digit(state):
    snapshot = shot(state())
    picture = FlagBits(snapshot)
    (panel,) = picture.panels
    bits = snapshot.layout.word_bits
    drawn = panel.row.cells.values[0]
    assert [int(value) & 1 for value in drawn] == [snapshot.flags_word >> bit & 1 for bit in reversed(range(bits))]
    numbers = {bit for f in snapshot.layout.fields for bit in range(f.shift, f.shift + f.width)}
    assert {bits - 1 - at for at, value in enumerate(drawn) if value >= 2} == numbers
    digits = {flag: letter[2] for flag, letter in zip(PageFlags, panel.digits.letters, strict=True)}
    faces = dict(zip(PageFlags, panel.boxes.inks, strict=True))
    for flag in PageFlags:
        assert digits[flag] == faces[flag].letter == str(int(flag in snapshot.flags))
        # The digit stands in the cell of its flag.
        x, y, *_ = panel.digits.letters[list(PageFlags).index(flag)]
        cell = panel.cell(flag.bit)
        assert cell.left < x < cell.right
        assert cell.top < y < cell.bottom


def test_flags_names_and_numbers_are_written():
    picture = FlagBits(shot(anonymous()))
    written = texts(picture)
    assert {"node 0", "zone 2: Normal", "last_cpupid: nobody", "flags = 0x0017fff800020808"} <= set(written)
    assert {"63-54", "53-51", "50-35", "23-0"} <= set(written)
    assert "anon_exclusive" in written
    assert "owner_2" not in written
    assert "Set: uptodate, owner_2 (here: anon_exclusive) and swapbacked." in written
    assert written.count("dirty") == 1


def test_a_bit_has_the_name_it_has_on_such_a_page():
    assert "owner_2" in texts(FlagBits(shot(free())))
    assert "mappedtodisk" in texts(FlagBits(shot(file_backed())))


def test_what_changed_is_outlined_and_said():
    page = anonymous()
    picture = FlagBits(shot(page))
    (panel,) = picture.panels
    assert panel.outlines.boxes == panel.row.outlines.boxes == []
    assert "Changed" not in picture.alt
    page.set_flags(PageFlags.dirty | PageFlags.referenced)
    picture.update(shot(page))
    assert panel.outlines.boxes == [panel.cell(2), panel.cell(4)]
    assert panel.row.outlines.boxes == [panel.row.box(2), panel.row.box(4)]
    assert "Changed: referenced set and dirty set." in picture.alt
    page.clear_flags(PageFlags.dirty)
    picture.update(shot(page))
    assert panel.outlines.boxes == [panel.cell(4)]
    assert "Changed: dirty cleared (its contents differ from what is on disk)." in picture.alt
    picture.update(shot(page), textbook=True)  # the same state, shown once more
    assert panel.outlines.boxes == [panel.cell(4)]


def test_neighbouring_changed_bits_have_one_outline():
    page = anonymous()
    picture = FlagBits(shot(page))
    (panel,) = picture.panels
    page.set_flags(PageFlags.reserved | PageFlags.private | PageFlags.private_2)
    picture.update(shot(page))
    assert panel.row.outlines.boxes == [panel.row.box(13, 3)]


def test_more_flags_than_a_line_holds_are_counted():
    snapshot = shot(everything_set())
    assert "Set: 24 of the 24 flags." in texts(FlagBits(snapshot))
    assert all(flag.name in FlagBits(snapshot).alt for flag in PageFlags)


def test_another_page_has_no_changes():
    picture = FlagBits(shot(anonymous()))
    picture.update(shot(block()))
    assert picture.panels[0].outlines.boxes == []


# -- mapping ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("state", "kind", "says"),
    [
        (free, "no mapping", "The page belongs to no file and to no anonymous memory."),
        (anonymous, "01: anonymous", "The lowest bit is 1: the page is anonymous"),
        (file_backed, "00: file-backed", "The lowest bit is 0: the page is a file's"),
        (high, "01: anonymous", "index 0xbffff: the number of its virtual page, at 0xbffff000."),
    ],
)
def test_the_low_bits_tell_what_the_page_belongs_to(state, kind, says):
    snapshot = shot(state())
    picture = MappingBits(snapshot)
    (panel,) = picture.panels
    assert kind in texts(picture)
    assert says in picture.alt
    bits = snapshot.layout.word_bits
    drawn = [int(value) for value in panel.row.cells.values[0]]
    assert [value & 1 for value in drawn] == [snapshot.mapping >> bit & 1 for bit in reversed(range(bits))]
    assert [value >= 2 for value in drawn] == [True] * (bits - 2) + [False] * 2
    assert "".join(label.text for label in reversed(panel.hex)) == f"{snapshot.mapping:0{bits // 4}x}"


def test_the_pointer_is_written_without_its_low_bit():
    assert "without the low bits 0xffff88810abcd000: a struct anon_vma" in texts(MappingBits(shot(anonymous())))
    picture = MappingBits(shot(file_backed()))
    assert {"address of a struct address_space", "index 88: the page holds the file from byte 360,448 on."} <= set(
        texts(picture)
    )


def test_the_index_of_a_free_page_is_called_left_over():
    page = anonymous()
    page.unmap()
    page.put()
    assert "0x7fffffffe is left over from its last use" in MappingBits(shot(page)).alt


def test_what_is_not_told_is_not_drawn_as_zeros():
    frame = next(frame for frame in RECORDED if frame.page.page_type is PageType.slab)
    picture = MappingBits(frame.page)
    assert set(picture.panels[0].row.cells.values[0]) == {4}
    assert "mapping = not told" in texts(picture)
    assert "hold something else on a page of this type" in picture.alt


# -- struct page ------------------------------------------------------------------------------------------------------


def values(picture):
    panel = picture.panels[0]
    return {(("now", "then")[column], name): label.text for (column, name), label in panel.values.items()}


def test_then_and_now_side_by_side():
    found = values(StructPage(shot(anonymous())))
    assert (found["now", "_refcount"], found["then", "_count"]) == ("1", "0")
    assert found["now", "_mapcount"] == found["then", "_mapcount"] == "0"
    assert found["then", "virtual"] == "0xffff888123456000"
    assert found["now", "mapping"] == found["then", "mapping"] == "0xffff88810abcd001"
    assert ("now", "virtual") not in found
    found = values(StructPage(shot(free())))
    assert (found["now", "_refcount"], found["then", "_count"], found["now", "_mapcount"]) == ("0", "-1", "-1")


def test_a_page_type_stands_where_the_map_count_was():
    found = values(StructPage(shot(slab())))
    assert (found["now", "_mapcount"], found["then", "_mapcount"]) == ("large_kmalloc 0xf8", "-1")


def test_the_list_and_the_order_of_a_block():
    assert f"lru behind page {PFN + 1:#x} and before page {PFN + 2:#x}" in StructPage(shot(everything_set())).alt
    assert "lru on no list" in StructPage(shot(anonymous())).alt
    found = values(StructPage(shot(everything_set())))
    assert (found["now", "lru.next"], found["now", "lru.prev"]) == (
        f"next: page {PFN + 2:#x}",
        f"prev: page {PFN + 1:#x}",
    )
    assert values(StructPage(shot(block())))["now", "private"] == "0xa"


def test_fields_lie_where_their_offsets_say():
    picture = StructPage(shot(anonymous()))
    panel = picture.panels[0]
    cells = {member.name: panel.cell(0, member) for member in panel.now}
    assert cells["_mapcount"].top == cells["_refcount"].top
    assert cells["_mapcount"].right == cells["_refcount"].left
    assert cells["lru"].bottom - cells["lru"].top == 2 * (cells["flags"].bottom - cells["flags"].top)
    assert [name for name, _ in sorted(cells.items(), key=lambda item: (item[1].top, item[1].left))] == list(cells)
    for (column, name), label in panel.values.items():
        member = next(m for m in (panel.now, panel.then)[column] if m.name == name.split(".")[0])
        cell = panel.cell(column, member)
        assert cell.left < label.box.left
        assert label.box.right < cell.right


def test_changed_fields_are_outlined_in_both_layouts():
    page = anonymous()
    picture = StructPage(shot(page))
    panel = picture.panels[0]
    page.get()
    picture.update(shot(page))
    now, then = ({member.name: member for member in members} for members in (panel.now, panel.then))
    assert panel.outlines.boxes == [panel.cell(0, now["_refcount"]), panel.cell(1, then["_count"])]


def test_virtual_is_calculated_and_high_memory_has_none():
    assert "0xffff888000000000 + 0x123456000 = 0xffff888123456000" in StructPage(shot(anonymous())).alt
    assert "High memory: the kernel sees the page only while it maps it" in StructPage(shot(high())).alt


# -- all of it --------------------------------------------------------------------------------------------------------


def test_the_heading_counts_as_asked():
    page = anonymous()
    picture = PagePicture(shot(page))
    assert picture.alt.startswith("Page 0x123456: anonymous, _refcount 1, _mapcount 0.")
    picture.update(shot(page), textbook=True)
    assert "Page 0x123456: anonymous, _count 0, _mapcount 0" in texts(picture)
    assert picture.alt.startswith("Page 0x123456: anonymous, _count 0, _mapcount 0.")


@pytest.mark.parametrize(
    ("state", "says"),
    [
        (free, "Page 0x123456: free, _refcount 0, _mapcount -1."),
        (file_backed, "file-backed, _refcount 2"),
        (slab, "of type large_kmalloc, _refcount 0"),
        (block, "first of a free block"),
        (arm, "zone 2: Normal"),
    ],
)
def test_the_alt_text_says_what_the_page_is(state, says):
    picture = PagePicture(shot(state()))
    assert says in picture.alt
    assert picture.alt.endswith("(model)")
    assert picture.alt in repr(picture)


@pytest.mark.parametrize("kind", [FlagBits, MappingBits, StructPage, PagePicture])
def test_an_updated_picture_equals_a_new_one(kind):
    page = anonymous()
    picture = kind(shot(free()))
    before = shot(page)
    page.get()
    page.set_flags(PageFlags.dirty)
    picture.update(shot(page), before=before)
    new = kind(before)
    new.update(shot(page))
    assert picture.alt == new.alt
    assert picture.png() == new.png()


def test_the_picture_holds_no_live_page():
    page = anonymous()
    picture = PagePicture(shot(page))
    alt = picture.alt
    page.get()
    assert picture.alt == alt
