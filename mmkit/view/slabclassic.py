"""A cache as textbooks have it, with lists of full, partial and empty slabs, beside the lists that SLUB keeps."""

from __future__ import annotations

from collections.abc import Sequence

from mmkit.model.slabstate import CacheSnapshot, ObjectState, Place, SlabSnapshot
from mmkit.view import ink
from mmkit.view.artist import Boxes
from mmkit.view.ink import Ink
from mmkit.view.parts import Entry, legend_row, listed, plural
from mmkit.view.picture import MARGIN, Picture

THEN = ("full", "partial", "empty")
NOW = {
    Place.CPU: "CPU slabs", Place.CPU_PARTIAL: "CPUs' partial slabs", Place.NODE: "the node's partial slabs",
    Place.FULL: "on no list",
}  # fmt: skip
_COLUMNS, _LEFT, _HALF, _TOP = 6, 12, 450, 84
_SLAB, _GAP, _HIGH, _LANE = 52, 8, 34, 74


def then_of(slab: SlabSnapshot) -> str:
    """Return the textbook's list that a slab would be on."""
    if slab.inuse == len(slab.objects):
        return "full"
    return "partial" if slab.inuse else "empty"


def alt_classic_slabs(cache: CacheSnapshot) -> str:
    """Say how many slabs each list has, then and now."""
    then = [f"{sum(then_of(slab) == name for slab in cache.slabs):,} {name}" for name in THEN]
    places = ("as a CPU's own", "on CPUs' partial lists", "on the node's partial list", "on no list")
    now = [
        f"{sum(slab.place is place for slab in cache.slabs):,} {words}"
        for place, words in zip(NOW, places, strict=True)
    ]
    return (
        f"Cache {cache.geometry.name}, {plural(len(cache.slabs), 'slab')} with {cache.active_objs:,} of "
        f"{cache.num_objs:,} objects in use. Then: {listed(then)}. Now, in SLUB: {listed(now)}. ({cache.source})"
    )


class ClassicSlabs(Picture):
    """Left, the three lists of the textbooks; right, where SLUB has the same slabs. A slab is a box, filled as far."""

    def __init__(self, cache: CacheSnapshot) -> None:
        super().__init__(height=_TOP + 4 * _LANE + 40)
        self._badge = self.badge(cache.source)
        self._heading = self.text(MARGIN, 24, "", 14, live=True, bold=True)
        bottom = self.height - 36
        self.boxes = self.live(Boxes((0, _TOP - 4, self.width, bottom)))
        self._names = {
            side: [self.text(x, _TOP + lane * _LANE + 4, "", 11.5, live=True) for lane in range(4)]
            for side, x in (("then", _LEFT), ("now", _HALF + _LEFT))
        }
        self._more = {
            side: [self.note(x, _TOP + lane * _LANE + 32, live=True) for lane in range(4)]
            for side, x in (("then", self._x(0, _COLUMNS)), ("now", self._x(_HALF, _COLUMNS)))
        }
        self._pfns = [self.note(0, 0, live=True, ha="center") for _ in range(8 * _COLUMNS)]
        self._draw_fixed()
        self.update(cache)

    @staticmethod
    def _x(side: float, column: int) -> float:
        return side + _LEFT + column * (_SLAB + _GAP)

    def _draw_fixed(self) -> None:
        self.text(_LEFT, _TOP - 22, "Then: as textbooks have it", 12.5, bold=True)
        self.text(_HALF + _LEFT, _TOP - 22, "Now: as SLUB keeps them", 12.5, bold=True)
        self.line([_HALF - 6] * 2, [_TOP - 34, self.height - 40], ink.LINE)
        inks = [ink.OBJECT_INKS[ObjectState.ALLOCATED], ink.OBJECT_INKS[ObjectState.FREE]]
        legend = [Entry(inks[0], "objects in use"), Entry(inks[1], "free objects"),]  # fmt: skip
        legend_row(self, self.height - 14, [("a box is a slab:", legend)])

    def update(self, cache: CacheSnapshot) -> None:
        """Show another state."""
        self.alt = alt_classic_slabs(cache)
        self._badge.set(str(cache.source))
        text = f"Cache {cache.geometry.name}: {plural(len(cache.slabs), 'slab')}, {cache.active_objs:,} objects in use"
        self._heading.set(self.heading_fit(text, cache.source))
        then = [(name, [slab for slab in cache.slabs if then_of(slab) == name]) for name in THEN]
        now = [(name, [slab for slab in cache.slabs if slab.place is place]) for place, name in NOW.items()]
        boxes: list[tuple[float, float, float, float]] = []
        inks: list[Ink] = []
        for label in self._pfns:
            label.set("")
        self._free_labels = iter(self._pfns)
        for side, x, lanes in (("then", 0, [*then, ("", [])]), ("now", _HALF, now)):
            for lane, (name, slabs) in enumerate(lanes):
                self._names[side][lane].set(f"{name}: {len(slabs):,}" if name else "")
                self._more[side][lane].set(f"and {len(slabs) - _COLUMNS:,} more" if len(slabs) > _COLUMNS else "")
                self._draw_lane(x, lane, slabs[:_COLUMNS], boxes, inks)
        self.boxes.put(boxes, inks)
        self.touch()

    def _draw_lane(
        self, side: float, lane: int, slabs: Sequence[SlabSnapshot], boxes: list[tuple[float, float, float, float]],
        inks: list[Ink],
    ) -> None:  # fmt: skip
        top = _TOP + lane * _LANE + 10
        for column, slab in enumerate(slabs):
            x = self._x(side, column)
            used = x + _SLAB * slab.inuse / max(1, len(slab.objects))
            boxes += [(x, top, x + _SLAB, top + _HIGH), (x, top, used, top + _HIGH)]
            inks += [ink.OBJECT_INKS[ObjectState.FREE], ink.OBJECT_INKS[ObjectState.ALLOCATED]]
            if slab.inuse == 0:
                del boxes[-1], inks[-1]
            next(self._free_labels).set(f"{slab.inuse}/{len(slab.objects)}", x=x + _SLAB / 2, y=top + _HIGH + 13)
