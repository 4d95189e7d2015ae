"""The picture of chapter 01: one virtual address on its way to physical memory."""

from __future__ import annotations

from mmkit.model.snapshot import FrameUse, Journey, ZoneSnapshot
from mmkit.units import format_address, format_size
from mmkit.view import ink
from mmkit.view.artist import Box, Boxes
from mmkit.view.picture import Picture, fit

_TOP, _BOTTOM = 74, 322
_LEFT, _MIDDLE, _RIGHT = (24, 300), (352, 560), (612, 876)
_KERNEL, _GAP, _USER = Box(24, 74, 300, 122), Box(24, 122, 300, 152), Box(24, 152, 300, 322)
_SPOT = Box(40, 206, 284, 306)


def alt_journey(journey: Journey) -> str:
    """Say in words how far the address got."""
    addr = format_address(journey.addr)
    if journey.owner != "user":
        whose = "the kernel half" if journey.owner == "kernel" else "the gap between the halves"
        return f"Virtual address {addr} lies in {whose}: a program that touches it is stopped. ({journey.source})"
    if journey.mapping is None:
        return (
            f"Virtual address {addr} lies in the user half, in no mapping: touching it is an error. ({journey.source})"
        )
    start, end = journey.mapping
    belongs = f"Virtual address {addr} lies in {journey.name} ({journey.perms}), 0x{start:x} to 0x{end - 1:x}"
    if journey.pfn is None:
        return f"{belongs}; its page is in no frame yet. ({journey.source})"
    where = f"zone {journey.zone}" if journey.zone else "no zone"
    return (
        f"{belongs}; its page is in frame 0x{journey.pfn:x} of {where}, so the byte is at physical address "
        f"0x{journey.phys_addr:x}. ({journey.source})"
    )


class JourneyPicture(Picture):
    """Virtual addresses on the left, frames by zone on the right, and the one step that joins them."""

    def __init__(self, journey: Journey) -> None:
        super().__init__(height=348)
        self._draw_fixed()
        self._boxes = self.live(Boxes((0, 0, self.width, self.height)))
        self._badge = self.badge(journey.source)
        self._spot = [self.text(52, 228 + 21 * row, size=12, live=True) for row in range(4)]
        self._kernel = self.text(40, 104, live=True)
        self._gap = self.text(40, 141, size=11, live=True)
        self._steps = [
            self.text(x, y, size=13, live=True, ha="center", va="center", mono=True, colour=colour)
            for x, y, colour in (
                (416, 126, ink.TEXT),
                (520, 126, ink.TEXT),
                (416, 268, ink.PAPER),
                (520, 268, ink.TEXT),
            )
        ]
        self._says = [
            self.text(x, y, size=11, live=True, ha="center", colour=ink.MUTED)
            for x, y in ((416, 98), (520, 98), (456, 192), (456, 209), (416, 304), (520, 304))
        ]
        self._zones = [self.text(626, 0, live=True) for _ in range(2 * len(_shown(journey)))]
        self._paths = [self.line([], [], ink.TEXT, 1.6, live=True) for _ in range(4)]
        self.update(journey)

    def _draw_fixed(self) -> None:
        self.text(40, 180, "user half", live=True)
        self.text(_RIGHT[0], 338, "zones by address, not to scale", 11, colour=ink.MUTED)
        for (left, _), title in zip((_LEFT, _MIDDLE, _RIGHT), _TITLES, strict=True):
            self.text(left, 60, title, 13, bold=True)

    def update(self, journey: Journey) -> None:
        """Draw another address of the same machine."""
        self.alt = alt_journey(journey)
        self._badge.set(str(journey.source))
        bands = _bands(journey)
        owner = journey.owner
        boxes = [(_KERNEL, ink.FIELD), (_GAP, ink.USE_INKS[FrameUse.HOLE]), (_USER, ink.CLEAR_BIT)]
        boxes += [(band, ink.CLEAR_BIT) for band in bands]
        boxes += self._marks(journey, bands)
        self._boxes.put([box for box, _ in boxes], [one for _, one in boxes], [ink.LINE] * len(boxes))
        self._kernel.set("kernel half" + (f": {format_address(journey.addr)}" if owner == "kernel" else ""))
        self._kernel.set(bold=owner == "kernel")
        self._gap.set("nobody's" + (f": {format_address(journey.addr)}" if owner == "nobody" else " (not canonical)"))
        self._gap.set(bold=owner == "nobody")
        self._write_spot(journey)
        self._write_step(journey)
        self._write_zones(journey, bands)
        self._join(journey, bands)
        self.touch()

    def _marks(self, journey: Journey, bands: list[Box]) -> list[tuple[Box, ink.Ink]]:
        if journey.owner != "user":
            return []
        marks = [(_SPOT, ink.WATER if journey.mapping else ink.CLEAR_BIT)]
        if journey.pfn is not None:
            marks += [(Box(*_MIDDLE[:1], 106, 480, 146), ink.WATER), (Box(480, 106, _MIDDLE[1], 146), ink.FIELD)]
            marks += [(Box(_MIDDLE[0], 248, 480, 288), ink.SET_BIT), (Box(480, 248, _MIDDLE[1], 288), ink.FIELD)]
            marks += [(_frame_box(journey, bands), ink.SET_BIT)] if journey.zone else []
        return marks

    def _write_spot(self, journey: Journey) -> None:
        lines = ["", "", "", ""]
        if journey.owner == "user":
            name = f"{journey.name}, {journey.perms}" if journey.mapping else "in no mapping"
            span = f"0x{journey.mapping[0]:x} to 0x{journey.mapping[1] - 1:x}" if journey.mapping else ""
            lines = [format_address(journey.addr), name, span, f"byte {journey.offset} of its page"]
        for label, line in zip(self._spot, lines, strict=True):
            label.set(fit(line, 224, label.size))
        self._spot[0].set(bold=True)

    def _write_step(self, journey: Journey) -> None:
        digits = (journey.page_size.bit_length() - 1) // 4
        page, offset = f"0x{journey.addr // journey.page_size:x}", f"{journey.offset:0{digits}x}"
        found = journey.pfn is not None
        steps = (page, offset, f"0x{journey.pfn:x}", offset) if journey.pfn is not None else ("",) * 4
        says = _SAYS if found else ("", "", _why_not(journey), "", "", "")
        for label, line in zip(self._steps + self._says, steps + says, strict=True):
            label.set(line)

    def _write_zones(self, journey: Journey, bands: list[Box]) -> None:
        zones = _shown(journey)
        for number, (zone, band) in enumerate(zip(zones, bands, strict=True)):
            title, frames = self._zones[2 * number : 2 * number + 2]
            here = zone.name == journey.zone and zone.node == journey.node
            name = zone.name if len({z.node for z in zones}) == 1 else f"node {zone.node}, {zone.name}"
            size = format_size(zone.spanned * journey.page_size)
            title.set(f"{name}, {size}", x=band.left + 14, y=band.top + 20, bold=here)
            text = f"frames 0x{zone.start_pfn:x} to 0x{zone.end_pfn - 1:x}"
            frames.set(text, x=band.left + 14, y=band.top + 38, size=11, colour=ink.MUTED)

    def _join(self, journey: Journey, bands: list[Box]) -> None:
        points: list[tuple[list[float], list[float]]] = [([], [])] * 4
        if journey.pfn is not None:
            points[0] = ([_SPOT.right, 326, 326, _MIDDLE[0]], [220, 220, 126, 126])
            points[1] = ([416, 416], [146, 174])
            points[3] = ([416, 416], [218, 248])
            if journey.zone:
                box = _frame_box(journey, bands)
                y = (box.top + box.bottom) / 2
                points[2] = ([_MIDDLE[1], 586, 586, box.left], [268, 268, y, y])
        for line, (xs, ys) in zip(self._paths, points, strict=True):
            line.set_data(xs, ys)


_SAYS = ("page number", "offset", "the note for this page says", "in which frame it is kept", "frame number", "offset")
_TITLES = ("1  virtual memory", "3  the translation", "2  physical memory")


def _shown(journey: Journey) -> list[ZoneSnapshot]:
    return [zone for zone in journey.memory.zones if zone.spanned]


def _bands(journey: Journey) -> list[Box]:
    zones = _shown(journey)
    height = (_BOTTOM - _TOP) / len(zones)
    return [Box(_RIGHT[0], _BOTTOM - (n + 1) * height, _RIGHT[1], _BOTTOM - n * height) for n in range(len(zones))]


def _frame_box(journey: Journey, bands: list[Box]) -> Box:
    zones = _shown(journey)
    number = next(n for n, z in enumerate(zones) if (z.node, z.name) == (journey.node, journey.zone))
    zone, band = zones[number], bands[number]
    assert journey.pfn is not None
    x = band.left + 10 + (band.right - band.left - 24) * (journey.pfn - zone.start_pfn) / zone.spanned
    return Box(x, band.bottom - 20, x + 6, band.bottom - 6)


def _why_not(journey: Journey) -> str:
    if journey.owner != "user":
        return "no note: not the program's"
    return "no note: page in no frame yet" if journey.mapping else "no note: nothing is mapped"
