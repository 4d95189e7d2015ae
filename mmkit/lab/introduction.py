"""The lab of chapter 01: follow any address of a recorded process."""

from __future__ import annotations

import ipywidgets as widgets

from mmkit.data import recording
from mmkit.lab.bar import button, row
from mmkit.lab.base import Lab, handler
from mmkit.lab.timeline import Entry
from mmkit.model.snapshot import Journey
from mmkit.proc import maps, pagemap
from mmkit.proc.journey import Explorer
from mmkit.units import parse_address
from mmkit.view.introduction import JourneyPicture

PLACES = {
    "choose a place": "",
    "code of the program": "0x1007123",
    "heap, a page in use": "0x103c010",
    "heap, a page never touched": "0x1020000",
    "stack": "0x7fffffffe0f8",
    "a page only read so far": "0x7ffff7ff1000",
    "a guard: mapped, but not to be used": "0x7ffff7fcc000",
    "between the mappings": "0x2000000",
    "last byte of the user half": "0x7fffffffffff",
    "first byte of the gap": "0x800000000000",
    "the kernel's view of frame 0": "0xffff888000000000",
}


class IntroductionLab(Lab):
    """Type an address or pick a place, and see how far it gets on its way to physical memory."""

    def __init__(self, address: int | str = 0x103C010, recorded: str = "amd64-4g") -> None:
        machine = recording(recorded)
        self.address_box = widgets.Text(
            description="Address", placeholder="0x103c010", layout=widgets.Layout(width="20em")
        )
        self.place_menu = widgets.Dropdown(
            description="Place", options=[(f"{what} {addr}".strip(), addr) for what, addr in PLACES.items()],
            layout=widgets.Layout(width="30em"),
        )  # fmt: skip
        self.follow_button = button("Follow", "Follow the address", self.follow, style="primary")
        self.previous_button = button("Page before", "Follow the same byte of the page before", self.previous_page)
        self.next_button = button("Next page", "Follow the same byte of the next page", self.next_page)
        explorer = Explorer(
            maps.parse(machine.text("vmas.maps.txt")),
            pagemap.parse_listing(machine.text("vmas.pagemap.txt.gz")),
            machine.zoneinfo,
            parse_address(address),
        )
        controls = (
            row(self.address_box, self.follow_button, self.previous_button, self.next_button),
            row(self.place_menu),
        )
        super().__init__(controls, (JourneyPicture(explorer.snapshot()),))
        self.begin(
            explorer, "an address of the program's heap" if parse_address(address) == 0x103C010 else "an address"
        )
        self.place_menu.observe(lambda change: self.follow(change.new) if change.new else None, "value")
        # on_submit warns that it is deprecated; Text's own message is what Enter sends.
        self.address_box.on_msg(lambda _, content, __: self.follow() if content.get("event") == "submit" else None)

    def draw(self, entry: Entry[Journey]) -> None:
        """Draw the journey and write its address into the box."""
        self.pictures[0].update(entry.snapshot)  # type: ignore[attr-defined]
        self.address_box.value = hex(entry.snapshot.addr)

    def restore(self, snapshot: Journey) -> Explorer:
        """Return an explorer at the address of ``snapshot``."""
        explorer: Explorer = self.model.at(snapshot)
        return explorer

    @handler
    def follow(self, address: int | str | None = None) -> None:
        """Follow ``address``, or what stands in the box."""
        addr = parse_address(self.address_box.value if address is None else address)
        self.act(f"follow {hex(addr)}", lambda explorer: explorer.follow(addr), told=_outcome)

    @handler
    def next_page(self) -> None:
        """Follow the same byte of the next page."""
        shown: Journey = self.timeline.current.snapshot
        self.follow(shown.addr + shown.page_size)

    @handler
    def previous_page(self) -> None:
        """Follow the same byte of the page before."""
        shown: Journey = self.timeline.current.snapshot
        self.follow(shown.addr - shown.page_size)


def _outcome(journey: Journey) -> str:
    if journey.owner != "user":
        return "not the program's address: touching it ends the program"
    if journey.mapping is None:
        return "in no mapping: touching it ends the program"
    if journey.perms == "---p":
        return f"in {journey.name}, which may not be used in any way"
    if journey.pfn is None:
        return f"in {journey.name}, not in memory yet: the first touch brings the page in"
    return f"in {journey.name}, frame {hex(journey.pfn)} of zone {journey.zone}"
