"""The rows of the picture of a slab cache: which slabs are drawn one by one, where, and what is said of the rest."""

from __future__ import annotations

from collections.abc import Sequence

from mmkit.model import slabtrace
from mmkit.model.slabstate import CacheSnapshot, Place, SlabFlags, SlabGeometry, SlabSnapshot
from mmkit.model.trace import Event
from mmkit.record import Record
from mmkit.view.artist import Box
from mmkit.view.parts import plural

LEFT, RIGHT = 292, 888
GAP, BAR, LINE, FOLD = 20, 26, 13, 20
_PER_LINE = 130
_MOST = {1: 8, 2: 6, 3: 5, 4: 4}


class Row(Record):
    """A slab, or what is left of a list, drawn from ``top`` on; all in CSS pixels."""

    place: Place
    top: float
    slab: SlabSnapshot | None
    words: str = ""
    """What is said of slabs that are not drawn."""


class Ruling(Record):
    """How the bytes of a slab become a bar: of several lines if its objects are too many for one."""

    geometry: SlabGeometry
    lines: int

    @property
    def bar(self) -> float:
        """Height of a slab."""
        return BAR if self.lines == 1 else self.lines * LINE

    @property
    def most(self) -> int:
        """How many slabs are drawn one by one."""
        return _MOST[self.lines]

    @property
    def height(self) -> float:
        """Height of all rows at most."""
        return self.most * (self.bar + GAP) + len(Place) * FOLD

    def boxes(self, start: int, end: int, top: float) -> list[Box]:
        """Return where the bytes [start, end) of a slab are: in two boxes if a line ends between them."""
        each, tall, found = self.geometry.slab_bytes / self.lines, self.bar / self.lines, []
        for line in range(self.lines):
            low, high = max(start, line * each), min(end, (line + 1) * each)
            if low < high:
                y, wide = top + line * tall, (RIGHT - LEFT) / each
                found.append(Box(LEFT + (low - line * each) * wide, y, LEFT + (high - line * each) * wide, y + tall))
        return found

    def posts(self, slab_bytes: int, top: float) -> list[Box]:
        """Return the lines between the pages of a slab, each a box without width."""
        page = self.geometry.page_size
        starts = [self.boxes(start, start + page, top)[0] for start in range(0, slab_bytes, page)]
        last = self.boxes(0, slab_bytes, top)[-1]
        edges = [box._replace(right=box.left) for box in starts] + [last._replace(left=last.right)]
        return [box._replace(top=box.top - 4, bottom=box.bottom + 4) for box in edges]


def ruling(geometry: SlabGeometry) -> Ruling:
    """Return in how many lines a slab is drawn."""
    return Ruling(geometry, min(4, -(-geometry.objs_per_slab // _PER_LINE)))


def place_name(slab: SlabSnapshot, flags: SlabFlags) -> str:
    """Return the name of the list that a slab is on."""
    return {
        Place.CPU: f"CPU {slab.cpu}'s slab", Place.CPU_PARTIAL: f"CPU {slab.cpu}, partial",
        Place.NODE: "node, partial",
        Place.FULL: "node, full" if flags & SlabFlags.STORE_USER else "on no list",
    }[slab.place]  # fmt: skip


def choose_rows(slabs: Sequence[SlabSnapshot], touched: int | None, most: int) -> list[list[SlabSnapshot]]:
    """Return at most ``most`` slabs, list by list: the first of every list, and the one that was touched."""
    lists = [[slab for slab in slabs if slab.place is place] for place in Place]
    counts = [0] * len(lists)
    while sum(counts) < min(most, len(slabs)):
        for number, each in enumerate(lists):
            if counts[number] < len(each) and sum(counts) < most:
                counts[number] += 1
    rows = [each[:count] for each, count in zip(lists, counts, strict=True)]
    wanted = next((slab for slab in slabs if slab.pfn == touched), None)
    if wanted is not None and wanted not in rows[wanted.place]:
        rows[wanted.place][-1] = wanted
    return rows


def rows_of(slabs: Sequence[SlabSnapshot], touched: int | None, rule: Ruling, top: float) -> list[Row]:
    """Return the rows from ``top`` on."""
    rows: list[Row] = []
    for place, shown in zip(Place, choose_rows(slabs, touched, rule.most), strict=True):
        for slab in shown:
            rows.append(Row(place, top, slab))
            top += rule.bar + GAP
        rest = [slab for slab in slabs if slab.place is place and slab not in shown]
        if rest:
            used = f"{plural(sum(slab.inuse for slab in rest), 'object')} in use"
            rows.append(Row(place, top - 4, None, f"and {len(rest):,} more, {used}"))
            top += FOLD
    return rows


def touched_by(event: Event | None, cache: CacheSnapshot) -> tuple[int | None, int | None]:
    """Return the address of the object and the first page of the slab that an event is about, where it is."""
    match event:
        case slabtrace.SlabNew(pfn=pfn) | slabtrace.SlabMove(pfn=pfn) | slabtrace.SlabDiscard(pfn=pfn):
            return None, pfn
        case (
            slabtrace.KmemCacheAlloc(ptr=int(ptr)) | slabtrace.KmemCacheFree(ptr=ptr) | slabtrace.SlabReport(ptr=ptr)
            | slabtrace.Kmalloc(ptr=int(ptr)) | slabtrace.Kfree(ptr=ptr)
        ):  # fmt: skip
            inside = (s.pfn for s in cache.slabs if 0 <= ptr - s.address < cache.geometry.bytes_of(len(s.objects)))
            return ptr, next(inside, None)
    return None, None
