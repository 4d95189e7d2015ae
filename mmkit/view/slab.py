"""The picture of a slab cache: the cache, its slabs list by list, their pages, and the objects in them."""

from __future__ import annotations

from collections.abc import Sequence

from mmkit.model import slabtrace
from mmkit.model.slabstate import CacheSnapshot, ObjectState, Place, SlabGeometry, SlabSnapshot
from mmkit.model.trace import Event
from mmkit.view import ink
from mmkit.view.artist import Box, Boxes
from mmkit.view.cells import Letters
from mmkit.view.ink import Ink
from mmkit.view.parts import Entry, legend_row, listed, outline_of, plural, wrapped, write_lines
from mmkit.view.picture import MARGIN, Picture
from mmkit.view.slabwords import slab_in_words

MOST_ROWS, LEAST_ROWS = 8, 3
_CACHE_RIGHT, _LABEL, _LEFT, _RIGHT = 150, 172, 292, 888
_TOP, _ROW = 128, 46
_TAIL = Ink("in no object", "", "#f4f4f4", "#9c9c9c", "x", edge=ink.LINE)
_WHERE = {
    Place.CPU: "CPU {0}", Place.CPU_PARTIAL: "CPU {0}, partial", Place.NODE: "node, partial", Place.FULL: "on no list",
}  # fmt: skip


def alt_slab(cache: CacheSnapshot, event: Event | None = None) -> str:
    """Say what has just happened, how the cache is laid out, and what is on which list."""
    geometry = cache.geometry
    by_place = [(place, [slab for slab in cache.slabs if slab.place is place]) for place in Place]
    lists = [_list_in_words(place, slabs) for place, slabs in by_place if slabs]
    words = slab_in_words(event) if event is not None else ""
    damaged = sum(slab.objects.count(ObjectState.DAMAGED) for slab in cache.slabs)
    return (
        f"{words} Cache {geometry.name}: objects of {plural(geometry.object_size, 'byte')}, {geometry.size:,} from one "
        f"to the next, {geometry.objs_per_slab} in a slab of {plural(1 << geometry.order, 'page')}. "
        f"{cache.active_objs:,} of {cache.num_objs:,} objects in {plural(len(cache.slabs), 'slab')} in use"
        f"{': ' + listed(lists) if lists else ''}.{f' {damaged} damaged.' if damaged else ''} ({cache.source})"
    ).strip()


def _list_in_words(place: Place, slabs: Sequence[SlabSnapshot]) -> str:
    used = f"{sum(slab.inuse for slab in slabs):,} objects in use"
    where = {
        Place.CPU: "of a CPU's own", Place.CPU_PARTIAL: "on CPUs' partial lists",
        Place.NODE: "on the node's partial list", Place.FULL: "full, on no list",
    }[place]  # fmt: skip
    return f"{len(slabs):,} {where} ({used})"


def choose_rows(slabs: Sequence[SlabSnapshot], touched: int | None, most: int = MOST_ROWS) -> list[SlabSnapshot]:
    """Return at most ``most`` slabs to draw one by one: the first of every list, and the one that was touched."""
    lists = [[slab for slab in slabs if slab.place is place] for place in Place]
    counts = [0] * len(lists)
    while sum(counts) < min(most, len(slabs)):
        for number, each in enumerate(lists):
            if counts[number] < len(each) and sum(counts) < most:
                counts[number] += 1
    rows = [slab for each, count in zip(lists, counts, strict=True) for slab in each[:count]]
    wanted = next((slab for slab in slabs if slab.pfn == touched), None)
    if wanted is not None and wanted not in rows:
        at = max(i for i, slab in enumerate(rows) if slab.place is wanted.place)
        rows[at] = wanted
    return rows


def touched_by(event: Event | None) -> tuple[int | None, int | None]:
    """Return the address of the object and the first page of the slab that an event is about, where it is."""
    match event:
        case slabtrace.KmemCacheAlloc(ptr=ptr) | slabtrace.KmemCacheFree(ptr=ptr) | slabtrace.SlabReport(ptr=ptr):
            return ptr, None
        case slabtrace.SlabNew(pfn=pfn) | slabtrace.SlabMove(pfn=pfn) | slabtrace.SlabDiscard(pfn=pfn):
            return None, pfn
    return None, None


class SlabPicture(Picture):
    """A cache and its slabs: a row for each of the first slabs of every list, with its pages and its objects to scale.

    ``event`` is the step that led to the snapshot: its words stand on top, and what it touched is outlined. Numbers on
    free objects say in which order they will be taken.
    """

    def __init__(self, cache: CacheSnapshot, event: Event | None = None) -> None:
        super().__init__(height=_TOP + LEAST_ROWS * _ROW + 22)
        self._rows = LEAST_ROWS
        self._badge = self.badge(cache.source)
        self._heading = self.text(MARGIN, 24, "", 14, live=True, bold=True)
        self.caption = [self.text(MARGIN, 46 + 17 * line, "", 12.5, live=True) for line in range(2)]
        area = (0, _TOP - 8, self.width, _TOP + MOST_ROWS * _ROW)
        self.boxes = self.live(Boxes(area))
        self.letters = self.live(Letters(10))
        self.links = self.line([], [], ink.LINE, 1, live=True)
        self.pages = self.line([], [], ink.TEXT, 1, live=True, zorder=5)
        self.outline = self.line([], [], ink.TEXT, 2.4, live=True, zorder=6)
        middles = [_TOP + row * _ROW + 22 for row in range(MOST_ROWS)]
        self._places = [self.text(_LABEL, y - 3, "", 11, live=True, bold=True) for y in middles]
        self._pfns = [self.note(_LABEL, y + 11, live=True) for y in middles]
        self._cache = [self.text(MARGIN + 8, _TOP + 22 + 17 * i, "", 11, live=True, bold=i == 0) for i in range(6)]
        self._more = self.note(_LEFT, 0, live=True)
        self._draw_fixed()
        self.update(cache, event)

    def _draw_fixed(self) -> None:
        self.note(MARGIN, _TOP - 12, "cache")
        self.note(_LABEL, _TOP - 12, "slabs")
        self.note(_LEFT, _TOP - 12, "pages (between the posts) and objects, to scale")
        entries = [Entry(one, one.name) for one in (*reversed(ink.OBJECT_INKS.values()), _TAIL)]
        legend_row(self, 88, [("", entries)])

    def update(self, cache: CacheSnapshot, event: Event | None = None) -> None:
        """Show another state, and the step that led to it."""
        self.alt = alt_slab(cache, event)
        self._badge.set(str(cache.source))
        text = f"Cache {cache.geometry.name}: {cache.active_objs:,} of {plural(cache.num_objs, 'object')} in use"
        self._heading.set(self.heading_fit(text, cache.source))
        words = slab_in_words(event) if event is not None else ""
        write_lines(self.caption, wrapped(words, self.width - 2 * MARGIN, 12.5))
        address, pfn = touched_by(event)
        if address is not None:
            size = cache.geometry.slab_bytes
            pfn = next((slab.pfn for slab in cache.slabs if slab.address <= address < slab.address + size), None)
        rows = choose_rows(cache.slabs, pfn)
        self._grow(len(rows))
        self._draw_cache(cache, len(rows))
        self._draw_rows(cache.geometry, rows)
        self._draw_outline(cache.geometry, rows, address, pfn)
        left = len(cache.slabs) - len(rows)
        self._more.set(f"and {plural(left, 'more slab')}" if left else "", y=_TOP + len(rows) * _ROW + 8)
        self.touch()

    def _grow(self, rows: int) -> None:
        """Make room for so many rows; it stays, so that nothing below jumps to and fro."""
        if rows > self._rows:
            self._rows = rows
            self.resize(_TOP + rows * _ROW + 22)

    def _draw_cache(self, cache: CacheSnapshot, rows: int) -> None:
        geometry = cache.geometry
        lines = [
            geometry.name, f"object {geometry.object_size:,} B", f"with all {geometry.size:,} B",
            f"order {geometry.order}", f"{geometry.objs_per_slab} a slab", f"{plural(len(cache.slabs), 'slab')}",
        ]  # fmt: skip
        write_lines(self._cache, lines)
        xs: list[float] = []
        ys: list[float] = []
        for row in range(rows):
            y = _TOP + row * _ROW + 19
            xs += [_CACHE_RIGHT, _LABEL - 12, _LABEL - 12, _LABEL - 4, float("nan")]
            ys += [_TOP + 19, _TOP + 19, y, y, float("nan")]
        self.links.set_data(xs, ys)

    def _draw_rows(self, geometry: SlabGeometry, rows: Sequence[SlabSnapshot]) -> None:
        boxes: list[Box] = [Box(MARGIN, _TOP + 2, _CACHE_RIGHT, _TOP + 114)]
        inks: list[Ink] = [ink.TAG]
        letters: list[tuple[float, float, str, str]] = []
        posts_x: list[float] = []
        posts_y: list[float] = []
        for row in range(MOST_ROWS):
            slab = rows[row] if row < len(rows) else None
            self._places[row].set(_WHERE[slab.place].format(slab.cpu) if slab else "")
            self._pfns[row].set(f"pfn 0x{slab.pfn:x}, {slab.inuse} of {len(slab.objects)}" if slab else "")
            if slab is None:
                continue
            top = _TOP + row * _ROW + 6
            boxes += [Box(_LEFT, top, _RIGHT, top + 26)]
            inks += [_TAIL]
            found, looks, numbers = self._objects(geometry, slab, top)
            boxes, inks, letters = boxes + found, inks + looks, letters + numbers
            pages = 1 << geometry.order
            for page in range(pages + 1):
                x = _LEFT + (_RIGHT - _LEFT) * page / pages
                posts_x += [x, x, float("nan")]
                posts_y += [top - 4, top + 30, float("nan")]
        self.boxes.put(boxes, inks)
        self.letters.put(letters)
        self.pages.set_data(posts_x, posts_y)

    def _x(self, geometry: SlabGeometry, offset: float) -> float:
        return _LEFT + (_RIGHT - _LEFT) * offset / geometry.slab_bytes

    def _objects(
        self, geometry: SlabGeometry, slab: SlabSnapshot, top: float
    ) -> tuple[list[Box], list[Ink], list[tuple[float, float, str, str]]]:
        """Boxes, inks and letters of the objects of a slab."""
        turn = {index: i + 1 for i, index in enumerate(slab.cpu_freelist or slab.freelist)}
        wide = self._x(geometry, geometry.size) - _LEFT
        boxes, inks, letters = [], [], []
        for index, state in enumerate(slab.objects):
            left = self._x(geometry, index * geometry.size)
            look = ink.OBJECT_INKS[ObjectState(state)]
            boxes.append(Box(left, top, left + wide, top + 26))
            inks.append(look)
            text = str(turn[index]) if index in turn else look.letter
            if text and wide > 7 * len(text) + 4:
                letters.append((left + wide / 2, top + 13, text, look.text))
        return boxes, inks, letters

    def _draw_outline(
        self, geometry: SlabGeometry, rows: Sequence[SlabSnapshot], address: int | None, pfn: int | None
    ) -> None:
        row = next((i for i, slab in enumerate(rows) if slab.pfn == pfn), None)
        if row is None:
            self.outline.set_data([], [])
            return
        top = _TOP + row * _ROW + 6
        box = Box(_LEFT, top, _RIGHT, top + 26)
        if address is not None:
            index = (address - rows[row].address) // geometry.size
            left = self._x(geometry, index * geometry.size)
            box = Box(left, top, left + max(2.0, self._x(geometry, geometry.size) - _LEFT), top + 26)
        self.outline.set_data(*outline_of(box))
