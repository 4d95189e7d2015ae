"""The pictures of zones: how a machine's memory is divided, how full the zones are, and what is kept back."""

from __future__ import annotations

from functools import partial

from mmkit.model.snapshot import MemorySnapshot, ZoneSnapshot
from mmkit.view import ink
from mmkit.view.artist import Box, Boxes, text_width
from mmkit.view.cells import Letters
from mmkit.view.parts import exact_size, listed, outline_of, pages_size, plural, segments
from mmkit.view.picture import MARGIN, Picture, fit
from mmkit.view.watermark import WatermarksPicture, alt_watermarks
from mmkit.view.zonelist import ZonelistPicture, alt_zonelist

__all__ = [
    "WatermarksPicture", "ZonelistPicture", "ZonesPicture", "alt_watermarks", "alt_zonelist", "alt_zones",
]  # fmt: skip

_BAR_TOP, _BAR_BOTTOM = 58, 82
_CARDS_TOP, _CARD_HIGH, _GAP, _MOST = 112, 186, 8, 5
_SIZES = ("spanned", "present", "managed", "free")


def populated(snapshot: MemorySnapshot) -> list[ZoneSnapshot]:
    """Return the zones that span any pages, in the order of their addresses."""
    return sorted((zone for zone in snapshot.zones if zone.spanned), key=lambda zone: (zone.start_pfn, zone.node))


def title_of(zone: ZoneSnapshot, snapshot: MemorySnapshot) -> str:
    """Return the zone's name, with its node where there are several."""
    several = len({one.node for one in snapshot.zones}) > 1
    return f"{zone.name}, node {zone.node}" if several else zone.name


def alt_zones(snapshot: MemorySnapshot) -> str:
    """Say where each zone lies, how big it is and how much of it is free."""
    zones = populated(snapshot)
    told = [
        f"{title_of(zone, snapshot)}: pfn 0x{zone.start_pfn:x} to 0x{zone.end_pfn - 1:x}, "
        f"{zone.spanned:,} pages spanned, {zone.present:,} present, {zone.managed:,} managed, {zone.free:,} free"
        for zone in zones
    ]
    arch = f" of {snapshot.arch}" if snapshot.arch else ""
    empty = _empty_words(snapshot)
    return f"{plural(len(zones), 'zone')}{arch}. {'; '.join(told)}.{' ' + empty if empty else ''} ({snapshot.source})"


def _empty_words(snapshot: MemorySnapshot) -> str:
    names = dict.fromkeys(zone.name for zone in snapshot.zones)
    empty = [name for name in names if not any(zone.spanned for zone in snapshot.zones if zone.name == name)]
    return f"Empty: {listed(empty)}." if empty else ""


class Card:
    """One zone as a card: name, range, and a bar each for the pages spanned, present, managed and free."""

    def __init__(self, picture: Picture) -> None:
        label = partial(picture.text, 0, 0, "", live=True)
        self.name, self.size = label(12, bold=True), label(10, ha="right", colour=ink.MUTED)
        self.range = label(10, mono=True, colour=ink.MUTED)
        self.words = [label(10.5) for _ in _SIZES]
        self.numbers = [label(10.5, ha="right") for _ in _SIZES]
        self.labels = [self.name, self.size, self.range, *self.words, *self.numbers]

    def clear(self) -> None:
        """Show nothing."""
        for label in self.labels:
            label.set("")

    def fill(self, box: Box, zone: ZoneSnapshot, title: str, page_size: int) -> list[tuple[Box, ink.Ink]]:
        """Write the texts of a zone into ``box``; returns the bars to draw."""
        left, right, look = box.left + 8, box.right - 8, ink.ZONE_INKS.get(zone.name, ink.UNTOLD)
        size = exact_size(zone.spanned * page_size)
        both = text_width(title, 12, True) + 5 + text_width(size, 10) <= right - left
        self.size.set(size if both else "", x=right, y=box.top + 18)
        self.name.set(fit(title, right - left, 12, True), x=left, y=box.top + 18)
        self.range.set(fit(f"0x{zone.start_pfn:x}–0x{zone.end_pfn - 1:x}", right - left, 10), x=left, y=box.top + 34)
        bars: list[tuple[Box, ink.Ink]] = [(box, ink.TAG)]
        lost = {}
        if zone.present < zone.spanned:
            lost["present"] = f"holes {zone.spanned - zone.present:,}"
        if zone.managed < zone.present:
            lost["managed"] = f"boot kept {zone.present - zone.managed:,}"
        for row, (word, pages) in enumerate(zip(_SIZES, sizes_of(zone), strict=True)):
            y = box.top + 54 + 34 * row
            more = f" ({lost[word]})" if word in lost else ""
            room = right - left - text_width(f"{pages:,}", 10.5) - 6
            self.words[row].set(word + more if text_width(word + more, 10.5) <= room else word, x=left, y=y)
            self.numbers[row].set(f"{pages:,}", x=right, y=y)
            bars.append((Box(left, y + 4, right, y + 14), ink.GHOST))
            if pages:
                full = ink.WATER if word == "free" else look
                bars.append((Box(left, y + 4, left + max(2.0, (right - left) * pages / zone.spanned), y + 14), full))
        return bars


def sizes_of(zone: ZoneSnapshot) -> tuple[int, int, int, int]:
    """Return the pages spanned, present, managed and free."""
    return zone.spanned, zone.present, zone.managed, zone.free


class ZonesPicture(Picture):
    """The zones of a machine: on top to scale along the addresses, below one card each, all legible.

    ``highlight`` is the (node, name) of a zone to outline.
    """

    def __init__(self, snapshot: MemorySnapshot, highlight: tuple[int, str] | None = None) -> None:
        super().__init__(height=_height(snapshot))
        self._badge = self.badge(snapshot.source)
        self._heading = self.text(MARGIN, 22, "", 14, live=True, bold=True)
        self._ends = [self.note(x, _BAR_TOP - 8, "", live=True, ha=ha) for x, ha in ((MARGIN, "left"), (888, "right"))]
        self._empty = self.note(MARGIN, 0, "", live=True)
        self.bar = self.live(Boxes((MARGIN - 1, _BAR_TOP, self.width - MARGIN + 3, _BAR_BOTTOM)))
        self.names = self.live(Letters(11))
        self.boxes = self.live(Boxes((MARGIN - 1, _CARDS_TOP, self.width - MARGIN + 1, 2000)))
        self.cards: list[Card] = []
        self.threads = self.line([], [], ink.LINE, 1, live=True)
        self.outline = self.line([], [], ink.TEXT, 2.4, live=True, zorder=6)
        self.update(snapshot, highlight)

    def update(self, snapshot: MemorySnapshot, highlight: tuple[int, str] | None = None) -> None:
        """Show another state or another machine."""
        zones = populated(snapshot)
        self.snapshot, self.alt = snapshot, alt_zones(snapshot)
        self.resize(_height(snapshot))
        self._badge.set(str(snapshot.source))
        pages = sum(zone.present for zone in zones)
        arch = f" of {snapshot.arch}" if snapshot.arch else ""
        title = f"The zones{arch}: {pages_size(pages, snapshot.page_size)} present"
        self._heading.set(self.heading_fit(title, snapshot.source))
        self._draw_bar(zones)
        self._draw_cards(zones, highlight)
        self._empty.set(_empty_words(snapshot), y=self.height - 10)
        self.touch()

    def _draw_bar(self, zones: list[ZoneSnapshot]) -> None:
        self._end = max((zone.end_pfn for zone in zones), default=1)
        # The widest first: a zone of two pixels must not be covered by its neighbour.
        zones = sorted(zones, key=lambda zone: -zone.spanned)
        ends = [(self._x(zone.start_pfn), self._x(zone.end_pfn)) for zone in zones]
        bars = [Box(left, _BAR_TOP, max(left + 2, right), _BAR_BOTTOM) for left, right in ends]
        self.bar.put(bars, [ink.ZONE_INKS.get(zone.name, ink.UNTOLD) for zone in zones])
        names = [(bar, title_of(zone, self.snapshot)) for bar, zone in zip(bars, zones, strict=True)]
        wide = [(bar, name) for bar, name in names if bar.right - bar.left > text_width(name, 11) + 8]
        y = (_BAR_TOP + _BAR_BOTTOM) / 2
        self.names.put([((bar.left + bar.right) / 2, y, name, ink.TEXT) for bar, name in wide])
        self._ends[0].set("0, all to scale")
        self._ends[1].set(pages_size(self._end, self.snapshot.page_size))

    def _x(self, pfn: int) -> float:
        return MARGIN + (self.width - 2 * MARGIN) * pfn / self._end

    def _draw_cards(self, zones: list[ZoneSnapshot], highlight: tuple[int, str] | None) -> None:
        while len(self.cards) < len(zones):
            self.cards.append(Card(self))
        for card in self.cards[len(zones) :]:
            card.clear()
        self.outline.set_data([], [])
        places, drawn = _places(len(zones), self.width), []
        self.boxes.box = Box(MARGIN - 1, _CARDS_TOP, self.width - MARGIN + 1, self.height - 22)
        for card, zone, box in zip(self.cards, zones, places, strict=False):
            drawn += card.fill(box, zone, title_of(zone, self.snapshot), self.snapshot.page_size)
            if highlight == (zone.node, zone.name):
                self.outline.set_data(*outline_of(box))
        self.boxes.put([box for box, _ in drawn], [one for _, one in drawn])
        pairs = list(zip(zones, places, strict=True))[:_MOST]
        starts = [((self._x(zone.start_pfn), _BAR_BOTTOM + 1), (box.left, _CARDS_TOP - 1)) for zone, box in pairs]
        ends = [((self._x(zone.end_pfn), _BAR_BOTTOM + 1), (box.right, _CARDS_TOP - 1)) for zone, box in pairs]
        self.threads.set_data(*segments(starts + ends))


def _rows(count: int) -> int:
    return -(-count // _MOST)


def _height(snapshot: MemorySnapshot) -> float:
    return _CARDS_TOP + max(1, _rows(len(populated(snapshot)))) * (_CARD_HIGH + _GAP) + 20


def _places(count: int, width: float) -> list[Box]:
    """Places of the cards: rows of at most five, all as wide as those of the fullest row."""
    columns = min(count, _MOST) or 1
    wide = min(280.0, (width - 2 * MARGIN - _GAP * (columns - 1)) / columns)
    step = wide + _GAP if wide < 280 else (width - 2 * MARGIN - wide) / max(columns - 1, 1)
    places = []
    for number in range(count):
        row, column = divmod(number, _MOST)
        left, top = MARGIN + column * step, _CARDS_TOP + row * (_CARD_HIGH + _GAP)
        places.append(Box(left, top, left + wide, top + _CARD_HIGH))
    return places
