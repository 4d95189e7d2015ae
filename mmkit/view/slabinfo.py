"""The caches of a machine, ranked by the memory that they hold or waste."""

from __future__ import annotations

from collections.abc import Sequence

from mmkit.model.slabstate import ObjectState, SlabInfo, SlabInfoLine
from mmkit.record import replace
from mmkit.units import format_size
from mmkit.view import ink
from mmkit.view.artist import Boxes
from mmkit.view.parts import Entry, Legend, listed, plural
from mmkit.view.picture import MARGIN, Picture, fit

PAGE_SIZE = 4096
MOST = 15
RANKINGS = ("memory", "waste")
IN_USE = replace(ink.OBJECT_INKS[ObjectState.ALLOCATED], name="objects in use")
FREE = replace(ink.OBJECT_INKS[ObjectState.FREE], name="free objects")
TAIL = ink.NO_OBJECT
_NAME, _LEFT, _RIGHT, _TOP, _ROW = 190, 200, 700, 82, 19


def held_bytes(line: SlabInfoLine, page_size: int = PAGE_SIZE) -> int:
    """Bytes of all slabs of a cache."""
    return line.pages * page_size


def free_bytes(line: SlabInfoLine) -> int:
    """Bytes of objects that are free on the node's lists: those that CPUs have count as in use."""
    return (line.num_objs - line.active_objs) * line.objsize


def wasted_bytes(line: SlabInfoLine, page_size: int = PAGE_SIZE) -> int:
    """Bytes of slabs that no object in use has: free objects, and what lies behind the last object of each slab."""
    return held_bytes(line, page_size) - line.active_objs * line.objsize


def ranked(info: SlabInfo, by: str = "memory") -> list[SlabInfoLine]:
    """Return the caches that have slabs, the largest first. Raises ValueError for a ranking that there is not."""
    if by not in RANKINGS:
        raise ValueError(f"caches are ranked by {' or '.join(RANKINGS)}, not by {by!r}")
    key = held_bytes if by == "memory" else wasted_bytes
    return sorted((line for line in info.lines if line.num_slabs), key=lambda line: (-key(line), line.name))


def alt_slab_ranking(info: SlabInfo, by: str = "memory") -> str:
    """Say how much memory all caches hold, and which hold or waste most."""
    lines = ranked(info, by)
    total, wasted = sum(map(held_bytes, lines)), sum(map(wasted_bytes, lines))
    size = held_bytes if by == "memory" else wasted_bytes
    largest = [f"{line.name} {format_size(size(line))} ({_used(line)} of its objects in use)" for line in lines[:3]]
    top = listed(largest or [""])
    what = "hold" if by == "memory" else "waste"
    return (
        f"{plural(len(lines), 'slab cache')} with slabs hold {format_size(total)}, of which {format_size(wasted)} are "
        f"in no object in use.{f' Those that {what} most: {top}.' if lines else ''} ({info.source})"
    )


def _used(line: SlabInfoLine) -> str:
    return f"{line.active_objs / line.num_objs:.0%}" if line.num_objs else "none"


class SlabRanking(Picture):
    """The caches that hold (or, ``by="waste"``, waste) most memory, each a bar: objects in use, free, and the rest."""

    def __init__(self, info: SlabInfo, by: str = "memory") -> None:
        super().__init__(height=_TOP + (MOST + 1) * _ROW + 44)
        self._badge = self.badge(info.source)
        self._heading = self.text(MARGIN, 24, "", 14, live=True, bold=True)
        self._more = self.note(MARGIN, 46, live=True)
        self._draw_fixed()
        self.bars = self.live(Boxes((_LEFT, _TOP, _RIGHT, _TOP + (MOST + 1) * _ROW)))
        ys = [_TOP + (row + 0.5) * _ROW for row in range(MOST + 1)]
        self._names = [self.text(_NAME, y, "", 11, live=True, ha="right", va="center", mono=True) for y in ys]
        self._sizes = [self.text(_RIGHT + 78, y, "", 11, live=True, ha="right", va="center", bold=True) for y in ys]
        self._notes = [self.note(_RIGHT + 90, y, live=True, va="center") for y in ys]
        self.update(info, by)

    def _draw_fixed(self) -> None:
        self.note(_NAME, _TOP - 8, "cache", ha="right")
        self.note(_RIGHT + 90, _TOP - 8, "in use")
        self._title = self.note(_LEFT, _TOP - 8, live=True)
        y = self.height - 24
        self._legend = Legend(self, (MARGIN, y, 460, y + 19), 3, columns=3)

    def update(self, info: SlabInfo, by: str = "memory") -> None:
        """Show another state, or another ranking."""
        lines = ranked(info, by)
        self.alt = alt_slab_ranking(info, by)
        self._badge.set(str(info.source))
        total = sum(map(held_bytes if by == "memory" else wasted_bytes, lines))
        what = "memory that they hold" if by == "memory" else "memory that no object in use has"
        self._heading.set(self.heading_fit(f"Slab caches by the {what}: {format_size(total)} in all", info.source))
        rest = lines[MOST:]
        shown = f"the {min(MOST, len(lines))} largest of {plural(len(lines), 'cache')} that have slabs"
        self._more.set(f"{shown}; free objects that CPUs have at hand count as in use")
        self._title.set("bytes of its slabs" if by == "memory" else "bytes of its slabs that are in no object in use")
        looks = (IN_USE, FREE, TAIL) if by == "memory" else (FREE, TAIL)
        self._legend.set([Entry(one, one.name) for one in looks])
        self._draw_rows(lines[:MOST], rest, by)
        self.touch()

    def _draw_rows(self, shown: Sequence[SlabInfoLine], rest: Sequence[SlabInfoLine], by: str) -> None:
        sums = [(line.name, _parts([line]), _used(line)) for line in shown]
        if rest:
            active, objects = sum(line.active_objs for line in rest), sum(line.num_objs for line in rest)
            sums.append((f"{len(rest)} others", _parts(rest), f"{active / objects:.0%}" if objects else ""))
        skip = 0 if by == "memory" else 1
        largest = max((sum(parts[skip:]) for _, parts, _ in sums), default=1) or 1
        boxes, inks = [], []
        for row in range(MOST + 1):
            name, parts, used = sums[row] if row < len(sums) else ("", (0, 0, 0), "")
            x, top = float(_LEFT), _TOP + row * _ROW + 2
            for size, one in list(zip(parts, (IN_USE, FREE, TAIL), strict=True))[skip:]:
                wide = (_RIGHT - _LEFT) * size / largest
                if size:
                    boxes.append((x, top, x + wide, top + _ROW - 4))
                    inks.append(one)
                x += wide
            self._names[row].set(fit(name, _NAME - MARGIN, 11))
            self._sizes[row].set(format_size(sum(parts[skip:])) if name else "")
            self._notes[row].set(used)
        self.bars.put(boxes, inks)


def _parts(lines: Sequence[SlabInfoLine]) -> tuple[int, int, int]:
    """Bytes in use, in free objects, and in no object."""
    free = sum(map(free_bytes, lines))
    return (
        sum(line.active_objs * line.objsize for line in lines), free, sum(map(wasted_bytes, lines)) - free,
    )  # fmt: skip
