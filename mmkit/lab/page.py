"""The page lab: operate on one page and watch the bits of its ``struct page`` move."""

from __future__ import annotations

from typing import Any

import ipywidgets as widgets

from mmkit.arch import Arch, get_arch
from mmkit.lab.bar import button, row
from mmkit.lab.base import Lab, handler
from mmkit.lab.timeline import Entry
from mmkit.model.page import MemMap, Page
from mmkit.model.pageflags import MappingKind, PageFlags
from mmkit.model.snapshot import PageSnapshot
from mmkit.view.page import PageBits, PagePicture, StructPage

Shown = PageBits | PagePicture | StructPage

PFN = 0x123456
ANON_VMA_ADDR, ADDRESS_SPACE_ADDR, FILE_INDEX = 0x0ABC_D000, 0x0123_4560, 3
"""Where in low memory the structures lie that a page is given to, and which page of the file it is."""
COUNTS = {"_refcount: 0 when free (today)": False, "_count: -1 when free (the textbook's)": True}
PICTURES: dict[str, type[Shown]] = {
    "flags and mapping": PageBits, "struct page, now and then": StructPage, "everything": PagePicture,
}  # fmt: skip


class PageLab(Lab):
    """One page: take and drop references and mappings, give it to a process or a file, toggle any flag.

    ``map_button`` and the other buttons are named after the methods; ``flag_toggles`` has one control for each flag, by
    its name; ``count_menu`` chooses the textbook's count or today's.
    """

    def __init__(
        self, arch: Arch | str = "X86_64", pfn: int = PFN, zone: str = "Normal", *, picture: str = "flags and mapping"
    ) -> None:
        self.arch, self.pfn = get_arch(arch), pfn
        mem_map = MemMap(1, pfn, arch=self.arch)
        mem_map.set_zone(zone, pfn, pfn + 1)
        look: dict[str, Any] = {"style": {"description_width": "initial"}, "layout": widgets.Layout(width="23em")}
        self.picture_menu = widgets.Dropdown(description="Picture", options=tuple(PICTURES), value=picture, **look)
        self.count_menu = widgets.Dropdown(description="Count", options=COUNTS, value=False, **look)
        self.flag_toggles = {name: self._toggle(name) for name in PageFlags.__members__ if _own_bit(name)}
        self._drawn: dict[str, Shown] = {}
        self._following = False
        super().__init__(self._controls(), ())
        mem_map.trace = self.trace
        self.begin(mem_map, "a free page")
        for menu in (self.picture_menu, self.count_menu):
            menu.observe(lambda _: self.redraw(), "value")

    def _controls(self) -> tuple[widgets.Widget, ...]:
        self.alloc_button = button("Hand out", "The allocator hands the page out, with one reference", self.alloc)
        self.get_button = button("get", "Take a reference", self.get)
        self.put_button = button("put", "Drop a reference", self.put)
        self.map_button = button("map", "One more page table entry maps the page", self.map)
        self.unmap_button = button("unmap", "One page table entry less", self.unmap)
        self.anon_button = button("anonymous", "Give the page to a process: anonymous memory", self.anonymous)
        self.file_button = button("file-backed", "Put the page into the page cache of a file", self.file)
        self.free_button = button("free", "Unmap the page everywhere and drop all references", self.free)
        flags = widgets.GridBox(
            tuple(self.flag_toggles.values()),
            layout=widgets.Layout(grid_template_columns="repeat(8, 1fr)", grid_gap="2px", width="100%"),
        )
        return (
            row(self.alloc_button, self.get_button, self.put_button, self.map_button, self.unmap_button,
                widgets.Label("Make it"), self.anon_button, self.file_button, self.free_button),
            row(self.picture_menu, self.count_menu),
            flags,
        )  # fmt: skip

    def _toggle(self, name: str) -> widgets.ToggleButton:
        made = widgets.ToggleButton(
            description=name, tooltip=PageFlags[name].what, layout=widgets.Layout(width="auto", margin="0", padding="0")
        )
        made.observe(lambda _: None if self._following else self.toggle(name), "value")
        return made

    @property
    def page(self) -> Page:
        """The page itself, at the newest step."""
        page: Page = self.model[self.pfn]
        return page

    def snapshot_of(self, model: MemMap) -> PageSnapshot:
        """Return the snapshot of the one page."""
        return model.snapshot(self.pfn)

    def restore(self, snapshot: PageSnapshot) -> MemMap:
        """Return a map of the one page."""
        return MemMap.from_snapshot(snapshot, self.arch, self.trace)

    def draw(self, entry: Entry[PageSnapshot]) -> None:
        """Draw the page; the toggles show its flags."""
        before = self.timeline.entries[max(self.timeline.index - 1, 0)].snapshot
        picture = self._shown(entry.snapshot)
        picture.update(entry.snapshot, bool(self.count_menu.value), before)
        self.pictures = (picture,)
        self._follow(entry.snapshot.flags)

    def _shown(self, snapshot: PageSnapshot) -> Shown:
        """The picture that is chosen, made when it is first looked at."""
        chosen = str(self.picture_menu.value)
        if chosen not in self._drawn:
            self._drawn[chosen] = PICTURES[chosen](snapshot)
        return self._drawn[chosen]

    def _follow(self, flags: PageFlags) -> None:
        self._following = True
        for name, toggle in self.flag_toggles.items():
            toggle.value = PageFlags[name] in flags
        self._following = False

    def _do(self, title: str, do: Any, told: str = "") -> None:
        self.act(title, lambda model: do(model[self.pfn]), told=(lambda _: told) if told else None)

    @handler
    def alloc(self) -> None:
        """Hand the page out: its first reference."""
        self._do("hand out", Page.set_refcounted)

    @handler
    def get(self) -> None:
        """Take a reference."""
        self._do("get", Page.get)

    @handler
    def put(self) -> None:
        """Drop a reference."""
        self._do("put", Page.put)

    @handler
    def map(self) -> None:
        """Let one more page table entry map the page; it needs a reference of its own."""
        self._do("map", Page.map)

    @handler
    def unmap(self) -> None:
        """Remove a page table entry; the reference it held is still to be put."""
        self._do("unmap", Page.unmap)

    @handler
    def anonymous(self) -> None:
        """Give the page (handed out first, if it is free) to a process, which maps it once."""
        anon_vma_addr = self.arch.page_offset + ANON_VMA_ADDR
        index = (1 << self.arch.virt_bits - 1) - 0x2000 >> self.arch.page_shift

        def do(page: Page) -> None:
            _hand_out(page)
            page.set_anon(anon_vma_addr, index)
            page.map()

        self._do("make it anonymous", do)

    @handler
    def file(self) -> None:
        """Put the page (handed out first, if it is free) into the page cache of a file."""
        address_space_addr = self.arch.page_offset + ADDRESS_SPACE_ADDR

        def do(page: Page) -> None:
            _hand_out(page)
            page.set_file(address_space_addr, FILE_INDEX)

        self._do("make it file-backed", do, "mapping leads to the file's address_space, its lowest bit is 0")

    @handler
    def free(self) -> None:
        """Take away every mapping and every reference."""
        belonged = self.timeline.settled.snapshot.mapping
        self._do("free the page", _let_go, "the page is free; mapping is 0, it belongs to nobody" if belonged else "")

    def toggle(self, flag: str) -> None:
        """Set the flag of that name, or clear it if it is set; on the lru list and off it for "lru"."""
        self._toggle_flag(flag)
        # A refusal must not leave a button pressed.
        self._follow(self.timeline.current.snapshot.flags)

    @handler
    def _toggle_flag(self, flag: str) -> None:
        if flag not in self.flag_toggles:
            raise ValueError(f"no flag {flag!r}: choose one of {', '.join(self.flag_toggles)}")
        one = PageFlags[flag]
        is_set = one in self.timeline.settled.snapshot.flags
        if one is PageFlags.lru:
            change = Page.lru_del if is_set else Page.lru_add
            linked = "taken off its list" if is_set else "on a list: lru links it to its neighbours, here itself"
            self.act("toggle lru", lambda model: change(model[self.pfn]), told=lambda _: linked)
        else:
            write = Page.clear_flags if is_set else Page.set_flags
            self._do(f"toggle {flag}", lambda page: write(page, one))


def _own_bit(name: str) -> bool:
    """Whether it is the first name of a bit."""
    return PageFlags[name].name == name


def _hand_out(page: Page) -> None:
    if page.refcount == 0:
        page.set_refcounted()


def _let_go(page: Page) -> None:
    if page.refcount == 0:
        raise ValueError(f"page {page.pfn} is free already")
    while page.mappings:
        page.unmap()
        page.put()
    if page.mapping_kind is MappingKind.FILE:
        page.clear_file()
    while page.refcount:
        page.put()
