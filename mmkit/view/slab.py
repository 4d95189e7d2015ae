"""The picture of a slab cache: the cache, its slabs list by list, their pages, and the objects in them."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from math import inf

from mmkit.model.slabstate import CacheSnapshot, ObjectState, Place, SlabFlags, SlabSnapshot
from mmkit.model.trace import Event
from mmkit.view import ink
from mmkit.view.artist import Box, Boxes, text_width
from mmkit.view.cells import Letters
from mmkit.view.ink import Ink
from mmkit.view.parts import Entry, legend_row, listed, outline_of, plural, segments, wrapped, write_lines
from mmkit.view.picture import MARGIN, Picture, fit
from mmkit.view.slabrows import BAR, GAP, LEFT, Row, Ruling, place_name, rows_of, ruling, touched_by
from mmkit.view.words import in_words

_CACHE_RIGHT, _LABEL = 158, 178
_TOP, _FOOT, _LEAST = 126, 14, 3
_MOST_LABELS = 12
_KEY = "pages (between the posts) and objects, to scale"

Mark = tuple[float, float, str, str]


def alt_slab(cache: CacheSnapshot, event: Event | None = None) -> str:
    """Say what has just happened, how the cache is laid out, and what is on which list."""
    geometry = cache.geometry
    damaged = sum(slab.objects.count(ObjectState.DAMAGED) for slab in cache.slabs)
    return (
        f"{in_words(event)} Cache {geometry.name}: objects of {plural(geometry.object_size, 'byte')}, "
        f"{geometry.size:,} from one to the next, {geometry.objs_per_slab} in a slab of "
        f"{plural(1 << geometry.order, 'page')}. "
        f"{cache.active_objs:,} of {cache.num_objs:,} objects in {plural(len(cache.slabs), 'slab')} in use"
        f"{': ' * bool(cache.slabs)}{_lists_in_words(cache)}.{f' {damaged:,} damaged.' if damaged else ''} "
        f"({cache.source})"
    ).strip()


def _lists_in_words(cache: CacheSnapshot) -> str:
    by_place = [(place, [slab for slab in cache.slabs if slab.place is place]) for place in Place]
    return listed([_list_in_words(place, slabs, cache.geometry.flags) for place, slabs in by_place if slabs] or [""])


def _list_in_words(place: Place, slabs: Sequence[SlabSnapshot], flags: SlabFlags) -> str:
    used = f"{plural(sum(slab.inuse for slab in slabs), 'object')} in use"
    where = {
        Place.CPU: "as a CPU's own" if len(slabs) == 1 else "as CPUs' own",
        Place.CPU_PARTIAL: "on CPUs' partial lists", Place.NODE: "on the node's partial list",
        Place.FULL: "on its list of full ones" if flags & SlabFlags.STORE_USER else "full, on no list",
    }[place]  # fmt: skip
    return f"{len(slabs):,} {where} ({used})"


class SlabPicture(Picture):
    """A cache and its slabs: a row for each of the first slabs of every list, with its pages and its objects to scale.

    ``event`` is the step that led to the snapshot: its words stand on top, and what it touched is outlined. Numbers on
    free objects say in which order they will be handed out. The picture grows when it has to, and stays so.
    """

    def __init__(self, cache: CacheSnapshot, event: Event | None = None) -> None:
        super().__init__(height=_TOP + _LEAST * (BAR + GAP) + _FOOT)
        self._badge = self.badge(cache.source)
        self._heading = self.text(MARGIN, 24, "", 14, live=True, bold=True)
        self.caption = [self.text(MARGIN, 46 + 17 * line, "", 12.5, live=True) for line in range(2)]
        self.boxes = self.live(Boxes((0, _TOP - 8, self.width, _TOP + 600)))
        self.letters = self.live(Letters(10))
        self.links = self.line([], [], ink.LINE, 1, live=True)
        self.pages = self.line([], [], ink.TEXT, 1, live=True, zorder=3)
        self.outline = self.line([], [], ink.TEXT, 2.6, live=True, zorder=6)
        self.places = [self.text(_LABEL, 0, "", 11, live=True, bold=True) for _ in range(_MOST_LABELS)]
        self.notes = [self.note(_LABEL, 0, live=True) for _ in range(_MOST_LABELS)]
        self.sizes = [self.text(MARGIN + 8, _TOP + 20 + 17 * i, "", 11, live=True, bold=i == 0) for i in range(7)]
        self._draw_fixed()
        self.update(cache, event)

    def _draw_fixed(self) -> None:
        self.note(MARGIN, _TOP - 10, "cache")
        self.note(_LABEL, _TOP - 10, "slabs, list by list")
        self._key = self.note(LEFT, _TOP - 10, "", live=True)
        entries = [Entry(one, one.name) for one in (*reversed(ink.OBJECT_INKS.values()), ink.NO_OBJECT)]
        legend_row(self, 90, [("", entries)])

    def update(self, cache: CacheSnapshot, event: Event | None = None) -> None:
        """Show another state, and the step that led to it."""
        self.cache, self.alt, rule = cache, alt_slab(cache, event), ruling(cache.geometry)
        self._badge.set(str(cache.source))
        text = f"Cache {cache.geometry.name}: {cache.active_objs:,} of {plural(cache.num_objs, 'object')} in use"
        self._heading.set(self.heading_fit(text, cache.source))
        slabs = f"{plural(len(cache.slabs), 'slab')}{': ' * bool(cache.slabs)}{_lists_in_words(cache)}."
        write_lines(self.caption, wrapped(in_words(event) or slabs, self.width - 2 * MARGIN, 12.5))
        address, pfn = touched_by(event, cache)
        self.rows = rows_of(cache.slabs, pfn, rule, _TOP + 6)
        bottom = max([row.top + (rule.bar + 12 if row.slab else 16) for row in self.rows], default=0)
        self.resize(max(self.height, bottom + _FOOT))
        self._draw_cache()
        self._draw_labels()
        self._draw_rows(rule)
        self._draw_outline(rule, address, pfn)
        self.touch()

    def _draw_cache(self) -> None:
        geometry, others = self.cache.geometry, len(self.cache.aliases)
        lines = [
            fit(geometry.name, _CACHE_RIGHT - MARGIN - 16, 11, bold=True), f"object_size {geometry.object_size:,} B",
            f"size {geometry.size:,} B", f"order {geometry.order}: {plural(1 << geometry.order, 'page')}",
            f"{plural(geometry.objs_per_slab, 'object')} a slab", plural(len(self.cache.slabs), "slab"),
            f"{plural(others, 'other name')}" if others else "",
        ]  # fmt: skip
        write_lines(self.sizes, lines)
        x, top = _LABEL - 12, _TOP + 18
        ys = [row.top + 12 for row in self.rows if row.slab]
        parts = [[(_CACHE_RIGHT, top), (x, top), (x, y), (_LABEL - 4, y)] for y in ys]
        self.links.set_data(*segments(parts))

    def _draw_labels(self) -> None:
        for label in (*self.places, *self.notes):
            label.set("")
        for row, place, note in zip(self.rows, self.places, self.notes, strict=False):
            if row.slab is None:
                note.set(row.words, y=row.top + 8)
            else:
                place.set(place_name(row.slab, self.cache.geometry.flags), y=row.top + 9)
                used = f"pfn 0x{row.slab.pfn:x}: {row.slab.inuse}/{len(row.slab.objects)}"
                note.set(used, y=row.top + 23)

    def _draw_rows(self, rule: Ruling) -> None:
        boxes = [Box(MARGIN, _TOP + 2, _CACHE_RIGHT, _TOP + (130 if self.cache.aliases else 113))]
        inks, marks, posts = [ink.TAG], list[Mark](), list[Box]()
        for row in self.rows:
            if row.slab is None:
                continue
            held = rule.geometry.bytes_of(len(row.slab.objects))
            edges, tail = rule.posts(held, row.top), rule.boxes(0, held, row.top)
            found, looks, letters = _objects(rule, row, edges)
            boxes, inks = [*boxes, *tail, *found], [*inks, *[ink.NO_OBJECT] * len(tail), *looks]
            marks, posts = marks + letters, posts + edges
        self.boxes.put(boxes, inks)
        self.letters.put(marks)
        told = any(mark[2].isdigit() for mark in marks)  # small objects have no room for a number
        self._key.set(_KEY + ("; numbers: which is handed out next" if told else ""))
        self.pages.set_data(*segments([[(box.left, box.top), (box.left, box.bottom)] for box in posts]))

    def _draw_outline(self, rule: Ruling, address: int | None, pfn: int | None) -> None:
        row = next((row for row in self.rows if row.slab and row.slab.pfn == pfn), None)
        if row is None or row.slab is None:
            self.outline.set_data([], [])
            return
        whole = rule.boxes(0, rule.geometry.bytes_of(len(row.slab.objects)), row.top)
        box = whole[0]._replace(bottom=whole[-1].bottom)
        if address is not None:
            start = (address - row.slab.address) // rule.geometry.size * rule.geometry.size
            box = rule.boxes(start, start + rule.geometry.size, row.top)[0]
        self.outline.set_data(*outline_of(box))


def _objects(rule: Ruling, row: Row, posts: Sequence[Box]) -> tuple[list[Box], list[Ink], list[Mark]]:
    """Boxes, inks and marks of the objects of a slab."""
    slab, size = row.slab, rule.geometry.size
    assert slab is not None
    turn = {index: str(i + 1) for i, index in enumerate((*slab.cpu_freelist, *slab.freelist))}
    boxes, inks, marks = list[Box](), list[Ink](), list[Mark]()
    for index, state in enumerate(slab.objects):
        look = ink.OBJECT_INKS[ObjectState(state)]
        found = rule.boxes(index * size, (index + 1) * size, row.top)
        boxes.extend(found)
        inks.extend([look] * len(found))
        text = look.letter if state == ObjectState.DAMAGED else turn.get(index, look.letter)
        place = _clear(found[0], text_width(text, 10), posts) if text else None
        if place is not None:
            marks.append((place, (found[0].top + found[0].bottom) / 2, text, look.text))
    return boxes, inks, marks


def _clear(box: Box, wide: float, posts: Sequence[Box]) -> float | None:
    """Return where in a box a text of that width stands clear of its edges and of posts; None if nowhere."""
    inside = sorted(post.left for post in posts if box.left < post.left < box.right and post.top < box.bottom)
    edges = [box.left, *inside, box.right]
    room, middle = max(((b - a, (a + b) / 2) for a, b in pairwise(edges)), default=(-inf, 0.0))
    return middle if room > wide + 4 else None
