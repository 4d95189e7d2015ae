"""How full the slabs of a cache are: one cell for each object, slab by slab, list by list."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mmkit.model.slabstate import CacheSnapshot, ObjectState, Place, SlabFlags, SlabSnapshot
from mmkit.view import ink
from mmkit.view.cells import NOTHING, Cells
from mmkit.view.parts import Entry, legend_row, listed, plural
from mmkit.view.picture import MARGIN, Picture

_LEFT, _TOP, _WIDE, _HIGH = 12, 90, 876, 330
_LARGEST, _NAME_ROWS, _LEAST = 13, 18, 100
_LISTS = {
    Place.CPU: "CPU slabs", Place.CPU_PARTIAL: "CPUs' partial slabs", Place.NODE: "node's partial slabs",
    Place.FULL: "full, on no list",
}  # fmt: skip


def list_names(flags: SlabFlags) -> dict[Place, str]:
    """Return what lists of slabs are called; a cache that notes its users keeps a list of full ones too."""
    return _LISTS | ({Place.FULL: "full slabs"} if flags & SlabFlags.STORE_USER else {})


def alt_slab_fill(cache: CacheSnapshot) -> str:
    """Say how many objects of how many slabs are in use, list by list, and how full partial slabs are."""
    lists = []
    for place, name in list_names(cache.geometry.flags).items():
        slabs = [slab for slab in cache.slabs if slab.place is place]
        if slabs:
            objects = sum(len(slab.objects) for slab in slabs)
            lists.append(f"{name} {len(slabs):,}, {sum(slab.inuse for slab in slabs) / objects:.0%} in use")
    empty = sum(slab.inuse == 0 for slab in cache.slabs)
    damaged = _damaged(cache)
    return (
        f"Cache {cache.geometry.name}, an object a cell: {cache.active_objs:,} of {plural(cache.num_objs, 'object')} "
        f"in {plural(len(cache.slabs), 'slab')} in use; {listed(lists or ['no slab'])}; {empty:,} empty"
        f"{f'; {damaged:,} damaged' if damaged else ''}. ({cache.source})"
    )


def _damaged(cache: CacheSnapshot) -> int:
    return sum(slab.objects.count(ObjectState.DAMAGED) for slab in cache.slabs)


class Shelf:
    """Where slabs go: ``columns`` of them beside each other, each ``wide`` cells of ``cell`` CSS pixels."""

    def __init__(self, counts: Sequence[int], objects: int) -> None:
        self.objects = objects
        best = (0.0, 1, 1)
        for wide in sorted({min(objects, w) for w in (4, 8, 12, 16, 21, 24, 32, 42, 64, 128, 256, 438)}):
            best = max(best, self._fit(counts, wide))
        self.cell, self.wide, self.columns = best[0], best[1], best[2]
        self.tall = -(-objects // self.wide)

    def _fit(self, counts: Sequence[int], wide: int) -> tuple[float, int, int]:
        """The largest cell (in half CSS pixels) with which all slabs fit, ``wide`` cells a slab."""
        tall = -(-self.objects // wide)
        for half in range(2 * _LARGEST, 0, -1):
            cell = half / 2
            columns = int(_WIDE // ((wide + 1) * cell))
            if columns < 1:
                continue
            rows = sum(-(-count // columns) for count in counts)
            if rows * (tall + 1) * cell + _NAME_ROWS * sum(count > 0 for count in counts) <= _HIGH:
                return cell, wide, columns
        return 0.0, wide, 1


class SlabFill(Picture):
    """All slabs of a cache at once, from one to hundreds: an object is a cell, marked by its state.

    When not even cells of half a pixel fit, only the first slabs of each list are drawn, and it is said how many. The
    picture grows when it has to, and stays so.
    """

    def __init__(self, cache: CacheSnapshot) -> None:
        super().__init__(height=_TOP + _LEAST)
        self._badge = self.badge(cache.source)
        self._heading = self.text(MARGIN, 24, "", 14, live=True, bold=True)
        self._note = self.note(MARGIN, 46, live=True)
        self.cells = [self.live(Cells(ink.OBJECT_INKS)) for _ in Place]
        self.names = [self.text(_LEFT, 0, "", 11, live=True, bold=True) for _ in Place]
        entries = [Entry(one, one.name) for one in reversed(ink.OBJECT_INKS.values())]
        legend_row(self, 70, [("an object is a cell:", entries)])
        self._values: list[NDArray[np.uint8] | None] = [None] * len(Place)
        self.update(cache)

    def update(self, cache: CacheSnapshot) -> None:
        """Show another state."""
        self.alt = alt_slab_fill(cache)
        self._badge.set(str(cache.source))
        text = f"Cache {cache.geometry.name}: {cache.active_objs:,} of {plural(cache.num_objs, 'object')} in use"
        self._heading.set(self.heading_fit(text, cache.source))
        lists = [[slab for slab in cache.slabs if slab.place is place] for place in Place]
        objects = max((len(slab.objects) for slab in cache.slabs), default=cache.geometry.objs_per_slab)
        lists, left = _first_ones(lists, objects)
        shelf = Shelf([len(slabs) for slabs in lists], objects)
        more = f"; the first {sum(map(len, lists)):,} slabs are drawn" if left else ""
        more += f"; {_damaged(cache):,} damaged" if _damaged(cache) else ""
        self._note.set(f"{plural(len(cache.slabs), 'slab')} of {plural(objects, 'object')}{more}")
        names = list(list_names(cache.geometry.flags).values())
        self.resize(max(self.height, self._draw(lists, names, shelf) + 12))
        self.touch()

    def _draw(self, lists: Sequence[Sequence[SlabSnapshot]], names: Sequence[str], shelf: Shelf) -> float:
        """Draw list by list; returns where the last one ends."""
        y = float(_TOP)
        for number, (slabs, name) in enumerate(zip(lists, names, strict=True)):
            used = (
                f"{sum(slab.inuse for slab in slabs):,} of {sum(len(slab.objects) for slab in slabs):,} objects in use"
            )
            self.names[number].set(f"{name}: {len(slabs):,}, {used}" if slabs else "", y=y + 10)
            self.cells[number].set_visible(bool(slabs))
            if slabs:
                values = _values(slabs, shelf)
                top = y + _NAME_ROWS - 2
                box = (_LEFT, top, _LEFT + values.shape[1] * shelf.cell, top + values.shape[0] * shelf.cell)
                self.cells[number].put(values, box, self._changed_rows(number, values))
                self._values[number] = values
                y = top + values.shape[0] * shelf.cell + 2
        return y

    def _changed_rows(self, number: int, values: NDArray[np.uint8]) -> tuple[int, int] | None:
        old = self._values[number]
        if old is None or old.shape != values.shape:
            return None
        rows = np.flatnonzero((old != values).any(axis=1))
        return (int(rows[0]), int(rows[-1])) if len(rows) else (0, 0)


def _first_ones(lists: list[list[SlabSnapshot]], objects: int) -> tuple[list[list[SlabSnapshot]], bool]:
    """Cut the longest lists in half until all that is left can be drawn."""
    left = False
    while Shelf([len(slabs) for slabs in lists], objects).cell == 0:
        longest = max(lists, key=len)
        lists = [slabs[: len(slabs) // 2] if slabs is longest else slabs for slabs in lists]
        left = True
    return lists, left


def _values(slabs: Sequence[SlabSnapshot], shelf: Shelf) -> NDArray[np.uint8]:
    """The cells of one list: slabs beside each other and below each other, with a cell between them."""
    rows = -(-len(slabs) // shelf.columns)
    columns = min(len(slabs), shelf.columns)
    whole = np.full((rows, columns, shelf.tall * shelf.wide), NOTHING, np.uint8)
    flat = whole.reshape(rows * columns, -1)
    text = b"".join(slab.objects.ljust(shelf.objects, bytes([NOTHING])) for slab in slabs)
    flat[: len(slabs), : shelf.objects] = np.frombuffer(text, np.uint8).reshape(len(slabs), shelf.objects)
    spaced = np.full((rows, shelf.tall + 1, columns, shelf.wide + 1), NOTHING, np.uint8)
    spaced[:, :-1, :, :-1] = whole.reshape(rows, columns, shelf.tall, shelf.wide).transpose(0, 2, 1, 3)
    return spaced.reshape(rows * (shelf.tall + 1), columns * (shelf.wide + 1))
