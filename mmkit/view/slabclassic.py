"""A cache as textbooks have it, with lists of full, partial and empty slabs, beside the lists that SLUB keeps."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from mmkit.model.slabstate import CacheSnapshot, ObjectState, Place, SlabFlags, SlabSnapshot
from mmkit.view import ink
from mmkit.view.artist import Box, Boxes, Label
from mmkit.view.ink import Ink
from mmkit.view.parts import Entry, legend_row, listed, plural
from mmkit.view.picture import MARGIN, Picture

THEN = ("full", "partial", "empty")
NOW = {
    Place.CPU: "CPU slabs", Place.CPU_PARTIAL: "CPUs' partial slabs", Place.NODE: "the node's partial slabs",
    Place.FULL: "full, on no list",
}  # fmt: skip
_COLUMNS, _LEFT, _HALF, _TOP = 6, 12, 450, 100
_SLAB, _GAP, _HIGH, _LANE, _EMPTY = 52, 8, 30, 82, 26
_MOST = _COLUMNS * (len(THEN) + len(NOW))
_USED, _FREE, _AT_HAND = (ink.OBJECT_INKS[state] for state in (
    ObjectState.ALLOCATED, ObjectState.FREE, ObjectState.CPU_FREE))  # fmt: skip

Lane = tuple[str, Sequence[SlabSnapshot]]


def then_of(slab: SlabSnapshot) -> str:
    """Return the textbook's list that a slab would be on."""
    if slab.inuse == len(slab.objects):
        return "full"
    return "partial" if slab.inuse else "empty"


def lanes_of(cache: CacheSnapshot) -> tuple[list[Lane], list[Lane]]:
    """Return the lists then, and the lists now, each with its name and its slabs."""
    noted = cache.geometry.flags & SlabFlags.STORE_USER  # then even SLUB lists full slabs
    names = NOW | ({Place.FULL: "full slabs"} if noted else {})
    then: list[Lane] = [(name, [slab for slab in cache.slabs if then_of(slab) == name]) for name in THEN]
    now: list[Lane] = [(name, [slab for slab in cache.slabs if slab.place is place]) for place, name in names.items()]
    return then, now


def alt_classic_slabs(cache: CacheSnapshot) -> str:
    """Say how many slabs each list has, then and now."""
    then, now = lanes_of(cache)
    noted = cache.geometry.flags & SlabFlags.STORE_USER
    own = "as a CPU's own" if len(now[0][1]) == 1 else "as CPUs' own"
    places = (own, "on CPUs' partial lists", "on the node's partial list", "full" if noted else "on no list")
    lists = [f"{len(slabs):,} {place}" for (_, slabs), place in zip(now, places, strict=True)]
    return (
        f"Cache {cache.geometry.name}, {plural(len(cache.slabs), 'slab')} with {cache.active_objs:,} of "
        f"{cache.num_objs:,} objects in use. Then: "
        f"{listed([f'{len(slabs):,} {name}' for name, slabs in then])}. Now, in SLUB: {listed(lists)}. ({cache.source})"
    )


class ClassicSlabs(Picture):
    """Left, the three lists of the textbooks; right, where SLUB has the same slabs. A slab is a box, filled as far.

    The picture grows when it has to, and stays so.
    """

    def __init__(self, cache: CacheSnapshot) -> None:
        super().__init__(height=_TOP + 160)
        self._badge = self.badge(cache.source)
        self._heading = self.text(MARGIN, 24, "", 14, live=True, bold=True)
        self.boxes = self.live(Boxes((0, _TOP - 4, self.width, _TOP + len(NOW) * _LANE)))
        self.rule = self.line([], [], ink.LINE, live=True)
        self.names = [self.text(0, 0, "", 11.5, live=True) for _ in range(len(THEN) + len(NOW))]
        self.more = [self.note(0, 0, live=True) for _ in self.names]
        self.labels_of_slabs = [
            [self.note(0, 0, live=True, ha="center") for _ in range(_MOST)] for _ in ("pfn", "objects")
        ]
        self.text(_LEFT, _TOP - 14, "Then: as textbooks have it", 12.5, bold=True)
        self.text(_HALF + _LEFT, _TOP - 14, "Now: as SLUB keeps them", 12.5, bold=True)
        looks = [Entry(_USED, "objects in use"), Entry(_FREE, "free"), Entry(_AT_HAND, "free, on a CPU's list")]
        legend_row(self, 52, [("a box is a slab, filled as far:", looks)])
        self.update(cache)

    def update(self, cache: CacheSnapshot) -> None:
        """Show another state."""
        self.alt = alt_classic_slabs(cache)
        self._badge.set(str(cache.source))
        text = f"Cache {cache.geometry.name}: {plural(len(cache.slabs), 'slab')}, {cache.active_objs:,} objects in use"
        self._heading.set(self.heading_fit(text, cache.source))
        self._boxes: list[Box] = []
        self._inks: list[Ink] = []
        for label in (*self.names, *self.more, *self.labels_of_slabs[0], *self.labels_of_slabs[1]):
            label.set("")
        names, slabs = iter(zip(self.names, self.more, strict=True)), iter(zip(*self.labels_of_slabs, strict=True))
        bottom = 0.0
        for side, lanes, now in zip((0, _HALF), lanes_of(cache), (False, True), strict=True):
            y = float(_TOP)
            for lane in lanes:
                self._draw_lane(side + _LEFT, y, lane, now, next(names), slabs)
                y += _LANE if lane[1] else _EMPTY
            bottom = max(bottom, y)
        self.resize(max(self.height, bottom + 8))
        self.rule.set_data([_HALF - 6] * 2, [_TOP - 28, self.height - 10])
        self.boxes.put(self._boxes, self._inks)
        self.touch()

    def _draw_lane(
        self, left: float, y: float, lane: Lane, now: bool, labels: tuple[Label, Label],
        free_labels: Iterator[tuple[Label, ...]],
    ) -> None:  # fmt: skip
        (name, slabs), top = lane, y + 16
        labels[0].set(f"{name}: {len(slabs):,}", x=left, y=y + 10)
        if len(slabs) > _COLUMNS:
            x = left + _COLUMNS * (_SLAB + _GAP)
            labels[1].set(f"… {len(slabs) - _COLUMNS:,} more", x=x, y=top + _HIGH / 2 + 4)
        for column, slab in enumerate(slabs[:_COLUMNS]):
            x = left + column * (_SLAB + _GAP)
            self._draw_slab(Box(x, top, x + _SLAB, top + _HIGH), slab, now)
            pfn, objects = next(free_labels)
            pfn.set(f"0x{slab.pfn:x}", x=x + _SLAB / 2, y=top + _HIGH + 12)
            objects.set(f"{slab.inuse}/{len(slab.objects)}", x=x + _SLAB / 2, y=top + _HIGH + 25)

    def _draw_slab(self, box: Box, slab: SlabSnapshot, now: bool) -> None:
        """Fill a box as far as objects are in use; now, also with those that its CPU has at hand."""
        x = box.left
        at_hand = len(slab.cpu_freelist) if now else 0
        free = len(slab.objects) - slab.inuse - at_hand
        for count, one in ((slab.inuse, _USED), (at_hand, _AT_HAND), (free, _FREE)):
            wide = _SLAB * count / max(1, len(slab.objects))
            if count:
                self._boxes.append(box._replace(left=x, right=x + wide))
                self._inks.append(one)
            x += wide
