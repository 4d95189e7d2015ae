"""The buddy lab: take and give back blocks, and step through every split and merge."""

from __future__ import annotations

from typing import Any

import ipywidgets as widgets

from mmkit.data import recording, recordings
from mmkit.lab.bar import Number, button, row
from mmkit.lab.base import Lab, handler
from mmkit.lab.timeline import Entry
from mmkit.model.buddy import BuddyAllocator
from mmkit.model.migratetype import MigrateType
from mmkit.model.snapshot import BuddySnapshot
from mmkit.proc import live
from mmkit.view.buddy import BuddyPicture, FreeLists, SplitMerge
from mmkit.view.picture import Picture
from mmkit.view.zoom import span_of_request

EMPTY, NOTES, LIVE, GIVEN = "empty", "notes", "live", "given"
EMPTY_PAGES, NOTES_PAGES = 4096, 1024
TYPES = {kind.title: kind for kind in (MigrateType.MOVABLE, MigrateType.UNMOVABLE, MigrateType.RECLAIMABLE)}
PICTURES = {"memory, order by order": "memory", "one request as a ladder": "ladder", "free lists as bars": "bars"}
_LISTED = 300


class BuddyLab(Lab):
    """One zone's buddy allocator.

    ``start`` is "empty" (all is free), "notes" (the notes' example: one free block of 1024 pages), the name of a
    recording that has free lists ("trace-buddy-6.1"), "live" (this machine; root only), or a snapshot. ``snapshot`` and
    ``zone`` say which one of a recording or of this machine; by default its largest zone.
    """

    def __init__(self, start: str | BuddySnapshot = EMPTY, *, snapshot: int = 0, zone: str | None = None) -> None:
        self._make_controls()
        self._make_menus()
        super().__init__(self._rows(), ())
        self._following = False
        self._given: BuddySnapshot | None = None
        self.begin_at(start, snapshot=snapshot, zone=zone)
        if not hasattr(self, "timeline"):
            why = self.message
            self.begin_at(EMPTY)
            self.say(why, "refused")
        self._connect()

    def _make_controls(self) -> None:
        self.order_number = Number("Order", 0, 10, 0, "A block is 2 to the order pages")
        self.type_menu = widgets.Dropdown(
            description="Type", options=TYPES, value=MigrateType.MOVABLE, layout=widgets.Layout(width="12em"),
            style={"description_width": "initial"},
        )  # fmt: skip
        self.alloc_button = button("Allocate", "Take a block of this order and type", self.alloc, style="primary")
        self.block_menu = widgets.Dropdown(
            description="Block", layout=widgets.Layout(width="24em"), style={"description_width": "initial"}
        )
        self.free_button = button("Free", "Give back the block chosen beside", self.free, style="primary")
        self.pfn_box = widgets.Text(
            description="or pfn", placeholder="0x100", layout=widgets.Layout(width="11em"),
            style={"description_width": "initial"},
        )  # fmt: skip
        self.free_order_box = widgets.BoundedIntText(
            min=0, max=10, description="of order", layout=widgets.Layout(width="8em"),
            style={"description_width": "initial"},
        )  # fmt: skip
        self.free_pfn_button = button("Free pfn", "Give back what starts at this pfn, right or wrong", self.free_typed)

    def _make_menus(self) -> None:
        recorded = {f"recording {name}": name for name in recordings() if recording(name).snapshots}
        starts = (
            ("all free, 16 MiB", EMPTY), ("the notes' example, 4 MiB", NOTES), *recorded.items(), ("this machine", LIVE)
        )  # fmt: skip
        look: dict[str, Any] = {"style": {"description_width": "initial"}}
        self.start_menu = widgets.Dropdown(
            description="Start", options=starts, layout=widgets.Layout(width="20em"), **look
        )
        self.snapshot_box = widgets.BoundedIntText(
            min=0, max=0, description="snapshot", layout=widgets.Layout(width="8em"), **look
        )
        self.zone_menu = widgets.Dropdown(description="zone", layout=widgets.Layout(width="9em"), **look)
        self.picture_menu = widgets.Dropdown(
            description="Picture", options=PICTURES, layout=widgets.Layout(width="17em"), **look
        )
        self.zoom_toggle = widgets.ToggleButton(
            value=False, description="Zoom in", tooltip="Show only the memory around the block", icon="search",
            layout=widgets.Layout(width="auto"),
        )  # fmt: skip

    def _rows(self) -> tuple[widgets.Widget, ...]:
        return (
            row(self.start_menu, self.snapshot_box, self.zone_menu, self.picture_menu, self.zoom_toggle),
            row(self.order_number, self.type_menu, self.alloc_button),
            row(self.block_menu, self.free_button, self.pfn_box, self.free_order_box, self.free_pfn_button),
        )

    def _connect(self) -> None:
        for menu in (self.start_menu, self.snapshot_box, self.zone_menu):
            menu.observe(self._chosen, "value")
        for look in (self.picture_menu, self.zoom_toggle):
            look.observe(lambda _: self.redraw(), "value")

    def _chosen(self, change: Any) -> None:
        if self._following:
            return
        same = change.owner is not self.start_menu
        place = {"snapshot": self.snapshot_box.value, "zone": self.zone_menu.value} if same else {}
        self.begin_at(self.start_menu.value, **place)
        self._show_start()

    # -- where to start -----------------------------------------------------------------------------------------------

    @handler
    def begin_at(self, start: str | BuddySnapshot, *, snapshot: int = 0, zone: str | None = None) -> None:
        """Start anew; arguments as of the class. If that state is not to be had here, the lab stays as it is."""
        if isinstance(start, BuddySnapshot):
            self._offer(start)
            start = GIVEN
        model, zones, label = self._load(start, snapshot, zone)
        begun = model.snapshot()
        self._memory = BuddyPicture(begun)
        self._bars: FreeLists | None = None
        self._ladder: tuple[Entry[BuddySnapshot], SplitMerge] | None = None
        self._place = (start, snapshot, model.zone, zones)
        self._shown_blocks: object = None
        self._show_start()
        large = begun.nr_pages > 4 << begun.max_order
        self.zoom_toggle.value = large
        self.zoom_toggle.layout.display = "" if large else "none"
        self.order_number.box.max = self.order_number.slider.max = self.free_order_box.max = model.max_order
        self.begin(model, label)

    def _offer(self, given: BuddySnapshot) -> None:
        self.restore(given)  # raises if it is no state to start from
        self._given, self._following = given, True
        chosen = self.start_menu.value
        self.start_menu.options = (*(o for o in self.start_menu.options if o[1] != GIVEN), ("the state given", GIVEN))
        self.start_menu.value = chosen
        self._following = False

    def _load(self, start: str, k: int, zone: str | None) -> tuple[BuddyAllocator, tuple[str, ...], str]:
        if start == GIVEN and self._given is not None:
            return self.restore(self._given), (self._given.zone,), "the state that was given"
        if start == EMPTY:
            return BuddyAllocator(EMPTY_PAGES, trace=self.trace), ("",), "all memory is free"
        if start == NOTES:
            return BuddyAllocator(NOTES_PAGES, trace=self.trace), ("",), "one free block of 1024 pages, nothing else"
        if start == LIVE:
            known = {each.name: each.present for each in live.zoneinfo().zones if each.present and each.node == 0}
            zone = zone or max(known, key=lambda name: known[name])
            return self.restore(live.buddy(zone)), tuple(known), f"zone {zone} of this machine, as it is just now"
        lists = recording(start).free_lists(k)
        zone = zone or max(lists, key=lambda name: lists[name].nr_pages)
        if zone not in lists:
            raise ValueError(f"no zone {zone!r} in recording {start}: choose one of {', '.join(lists)}")
        return self.restore(lists[zone]), tuple(lists), f"zone {zone} of a real machine, {lists[zone].source}"

    def _show_start(self) -> None:
        """Let the menus say where the lab started, also after a start that was refused."""
        start, k, zone, zones = self._place
        recorded = start not in (EMPTY, NOTES, LIVE, GIVEN)
        self._following = True
        self.start_menu.value = start
        self.snapshot_box.max = max(recording(start).snapshots) if recorded else 0
        self.snapshot_box.value = k
        self.zone_menu.options = zones
        self.zone_menu.value = zone
        self._following = False
        self.snapshot_box.layout.display = "" if recorded else "none"
        self.zone_menu.layout.display = "" if len(zones) > 1 else "none"

    def restore(self, snapshot: BuddySnapshot) -> BuddyAllocator:
        """Return an allocator that goes on from ``snapshot``."""
        return BuddyAllocator.from_snapshot(snapshot, self.trace)

    # -- what is shown ------------------------------------------------------------------------------------------------

    def draw(self, entry: Entry[BuddySnapshot]) -> None:
        """Update the picture that is chosen, and the menu of allocated blocks."""
        self.pictures = (self._drawn(entry),)
        if entry.snapshot.allocated is not self._shown_blocks:
            self._shown_blocks = entry.snapshot.allocated
            self._list_blocks(entry.snapshot)

    def _drawn(self, entry: Entry[BuddySnapshot]) -> Picture:
        kind = self.picture_menu.value
        if kind == "bars":
            self._bars = self._bars or FreeLists(entry.snapshot)
            self._bars.update(entry.snapshot)
            return self._bars
        if kind == "ladder" and entry.event is not None:
            return self._climb(entry)
        request = [each.event for each in self._request(entry)] if self.zoom_toggle.value else []
        self._memory.span = span_of_request(entry.snapshot, request)
        self._memory.update(entry.snapshot, entry.event)
        return self._memory

    def _request(self, entry: Entry[BuddySnapshot]) -> list[Entry[BuddySnapshot]]:
        """All steps of the request that ``entry`` is a step of; none for the start."""
        ends = self.timeline.ends
        first = ends[entry.operation - 1] + 1 if entry.operation else 1
        return [each for each in self.timeline.entries[first : ends[entry.operation] + 1] if each.event]

    def _climb(self, entry: Entry[BuddySnapshot]) -> SplitMerge:
        told = self._request(entry)
        index = told.index(entry)
        if self._ladder is None or self._ladder[0] is not told[0]:
            self._ladder = told[0], SplitMerge([(each.event, each.snapshot) for each in told if each.event], index)
        self._ladder[1].go(index)
        return self._ladder[1]

    def _list_blocks(self, snapshot: BuddySnapshot) -> None:
        chosen, blocks = self.block_menu.value, snapshot.allocated_blocks[:_LISTED]
        options: dict[str, tuple[int, ...]] = {
            f"0x{pfn:x}, order {order}, {MigrateType(kind).title}": (pfn, order) for pfn, order, kind in blocks
        } or {"none allocated here": ()}
        if tuple(options.items()) != tuple(self.block_menu.options):
            self.block_menu.options = tuple(options.items())
            self.block_menu.value = chosen if chosen in options.values() else next(iter(options.values()))

    # -- what can be done ---------------------------------------------------------------------------------------------

    @handler
    def alloc(self, order: int | None = None, migratetype: int | None = None) -> int | None:
        """Take a block, of the order and type that the controls show unless told otherwise; returns its pfn."""
        order = self.order_number.value if order is None else order
        kind = self.type_menu.value if migratetype is None else migratetype
        pfn: int | None = self.act(_asked(order, kind), lambda buddy: buddy.alloc(order, kind))
        return pfn

    @handler
    def free(self, pfn: int | None = None, order: int | None = None) -> None:
        """Give back the block at ``pfn`` or, without arguments, the one chosen in the menu."""
        if pfn is None:
            if not self.block_menu.value:
                raise ValueError("there is no allocated block to choose: allocate one first, or type a pfn")
            pfn, order = self.block_menu.value
        order = 0 if order is None else order
        self.act(f"free pfn {_hex(pfn)} of order {order}", lambda buddy: buddy.free(pfn, order))

    @handler
    def free_typed(self) -> None:
        """Give back what was typed, which may be wrong."""
        text = self.pfn_box.value.strip()
        try:
            pfn = int(text, 0)
        except ValueError:
            raise ValueError(f"{text!r} is not a page frame number: type it as 0x100 or 256") from None
        self.free(pfn, self.free_order_box.value)


def _asked(order: object, kind: object) -> str:
    title = MigrateType(kind).title if isinstance(kind, int) and kind in tuple(MigrateType) else kind
    size = f"{1 << order} page{'s' * (order > 0)}" if isinstance(order, int) and order >= 0 else "a block"
    return f"allocate {size}, order {order}, {title}"


def _hex(pfn: object) -> str:
    return hex(pfn) if isinstance(pfn, int) else repr(pfn)
