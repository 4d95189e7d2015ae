"""The way of one block: split down to the order wanted, or merged up as far as buddies are free, level by level."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from mmkit.model import trace
from mmkit.model.migratetype import MigrateType
from mmkit.model.snapshot import BuddySnapshot
from mmkit.view import ink
from mmkit.view.artist import Box, Boxes, Label, text_width
from mmkit.view.blocks import USED_INKS
from mmkit.view.cells import Letters
from mmkit.view.ink import Ink
from mmkit.view.parts import Ruler, listed, pages_size, wrapped, write_lines
from mmkit.view.picture import MARGIN, Picture
from mmkit.view.words import in_words

Step = tuple[trace.Event, BuddySnapshot]
_LEFT, _RIGHT, _TOP = 104, 600, 92
_HEX, _BITS, _SAYS = 684, 694, 790
_DIGIT = text_width("0", 10.5, mono=True)


@dataclass
class Rung:
    """One order of the ladder: the blocks seen there and how they look now, and the two buddies."""

    blocks: dict[int, Ink] = field(default_factory=dict)
    pair: tuple[int, int] | None = None


def climb(steps: Sequence[Step]) -> dict[int, Rung]:
    """Return what each order has seen after these steps."""
    rungs: dict[int, Rung] = {}

    def show(order: int, pfn: int, look: Ink) -> None:
        rungs.setdefault(order, Rung()).blocks[pfn] = look

    for event, _ in steps:
        match event:
            case trace.Take(pfn, order, _):
                show(order, pfn, ink.IN_HAND)
            case trace.Split(pfn, order, buddy_pfn, migratetype):
                show(order, pfn, ink.GHOST)
                show(order - 1, pfn, ink.IN_HAND)
                show(order - 1, buddy_pfn, ink.FREE_INKS[MigrateType(migratetype)])
                rungs[order - 1].pair = pfn, buddy_pfn
            case trace.Merge(pfn, order, buddy_pfn):
                show(order, pfn, ink.GHOST)
                show(order, buddy_pfn, ink.GHOST)
                show(order + 1, min(pfn, buddy_pfn), ink.IN_HAND)
                rungs[order].pair = pfn, buddy_pfn
            case trace.MmPageFree(pfn, order):
                show(order, pfn, ink.IN_HAND)
            case trace.Put(pfn, order, migratetype, _):
                show(order, pfn, ink.FREE_INKS[MigrateType(migratetype)])
            case trace.MmPageAlloc(int(pfn), order, _, migratetype):
                show(order, pfn, USED_INKS[MigrateType(migratetype)])
    return rungs


def alt_split_merge(steps: Sequence[Step], index: int) -> str:
    """Say what the step does, and which buddies have been put back or merged by then."""
    event, snapshot = steps[index]
    index = range(len(steps))[index]
    done = [one for one, _ in steps[: index + 1]]
    back = [f"0x{one.buddy_pfn:x} (order {one.order - 1})" for one in done if isinstance(one, trace.Split)]
    merged = [f"0x{one.buddy_pfn:x} (order {one.order})" for one in done if isinstance(one, trace.Merge)]
    so_far = [f"{what} {listed(which)}" for what, which in (("put back", back), ("merged with", merged)) if which]
    told = f" So far {'; '.join(so_far)}." if so_far else ""
    return f"Step {index + 1} of {len(steps)}: {in_words(event)}{told} ({snapshot.source})"


class SplitMerge(Picture):
    """The split or the merge of one block as a ladder of orders, drawn to scale at their addresses.

    ``steps`` are the events of one ``alloc`` or ``free`` with the snapshot at each; ``index`` is the step shown. On the
    right, buddies are compared bit by bit: their page frame numbers differ in the bit of their order alone.

    Raises ValueError if there are no steps, IndexError for a step that is none of them.
    """

    def __init__(self, steps: Sequence[Step], index: int = -1) -> None:
        if not steps:
            raise ValueError("a ladder needs the steps of an allocation or a free: there are none")
        whole = climb(steps)
        if not whole:
            raise ValueError("none of these steps is about a block: give those of an allocation or a free")
        self.steps, self.orders = list(steps), range(max(whole), min(whole) - 1, -1)
        self._row = max(30.0, min(44.0, 300 / len(self.orders)))
        bottom = _TOP + self._row * len(self.orders)
        super().__init__(height=bottom + 44)
        first = min(pfn for rung in whole.values() for pfn in rung.blocks)
        self.span = first >> max(whole) << max(whole), (first >> max(whole)) + 1 << max(whole)
        self._badge = self.badge(steps[0][1].source)
        self._heading = self.text(MARGIN, 22, "", 14, live=True, bold=True)
        self.caption = [self.text(MARGIN, 44 + 17 * line, "", 12.5, live=True) for line in range(2)]
        self._draw_fixed()
        self.boxes = self.live(Boxes((_LEFT - 1, _TOP, _RIGHT + 1, bottom)))
        self.bit_boxes = self.live(Boxes((_BITS - 4, _TOP, _SAYS, bottom)))
        self.letters = self.live(Letters(10.5))
        ys = [self._y(order) for order in self.orders]
        self._hexes = [self._digits(_HEX, y + dy, "right") for y in ys for dy in (-3, 11)]
        self._bits = [self._digits(_BITS, y + dy, "left") for y in ys for dy in (-3, 11)]
        self._says = [self.text(_SAYS, y, "", 10.5, live=True, va="center") for y in ys]
        Ruler(self, _LEFT, _RIGHT, bottom + 4, most=7).set(*self.span)
        self.go(index)

    def _digits(self, x: float, y: float, ha: str) -> Label:
        return self.text(x, y, "", 10.5, live=True, ha=ha, mono=True)

    def _draw_fixed(self) -> None:
        self.note(MARGIN, _TOP - 8, "order")
        self.note(_LEFT, _TOP - 8, "the block and its buddies, to scale; white: no longer there")
        self.note(_BITS, _TOP - 8, "page frame numbers, bit by bit")
        for order in self.orders:
            y = self._y(order)
            self.text(MARGIN + 20, y, str(order), 12, ha="right", va="center", bold=True)
            self.note(_LEFT - 8, y, pages_size(1 << order), ha="right", va="center")

    def _y(self, order: int) -> float:
        return _TOP + (self.orders.start - order + 0.5) * self._row

    def go(self, index: int) -> None:
        """Show step ``index``."""
        self.index = range(len(self.steps))[index]
        event, snapshot = self.steps[self.index]
        self.alt = alt_split_merge(self.steps, self.index)
        self._badge.set(str(snapshot.source))
        zone = f"zone {snapshot.zone}, " if snapshot.zone else ""
        self._heading.set(f"Level by level: {zone}step {self.index + 1} of {len(self.steps)}")
        write_lines(self.caption, wrapped(in_words(event), self.width - 2 * MARGIN, 12.5))
        rungs = climb(self.steps[: self.index + 1])
        self._draw_blocks(rungs)
        self._draw_bits(rungs)
        self.touch()

    def update(self, steps: Sequence[Step], index: int = -1) -> None:
        """Show a step of the same operation."""
        self.steps = list(steps)
        self.go(index)

    def _draw_blocks(self, rungs: dict[int, Rung]) -> None:
        boxes, inks, letters = [], [], []
        for order, rung in rungs.items():
            for pfn, look in rung.blocks.items():
                left, right = self._x(pfn), max(self._x(pfn) + 2, self._x(pfn + (1 << order)))
                boxes.append(Box(left, self._y(order) - 11, right, self._y(order) + 11))
                inks.append(look)
            letters += self._names(order, rung)
        self.boxes.put(boxes, inks)
        self.letters.put(letters)

    def _x(self, pfn: int) -> float:
        return _LEFT + (_RIGHT - _LEFT) * (pfn - self.span[0]) / (self.span[1] - self.span[0])

    def _names(self, order: int, rung: Rung) -> list[tuple[float, float, str, str]]:
        """Names of the blocks of a rung: on them where they fit, else side by side after the last of them."""
        wide = self._x(self.span[0] + (1 << order)) - _LEFT
        names = {pfn: f"{look.letter} 0x{pfn:x}".strip() for pfn, look in sorted(rung.blocks.items())}
        y = self._y(order)
        if max(text_width(name, 10.5) for name in names.values()) + 6 < wide:
            return [(self._x(pfn) + wide / 2, y, name, rung.blocks[pfn].text) for pfn, name in names.items()]
        text = "   ".join(names.values())
        room, x = text_width(text, 10.5), max(self._x(pfn) for pfn in names) + wide + 8
        if x + room > _RIGHT:
            x = min(self._x(pfn) for pfn in names) - 8 - room
        return [(x + room / 2, y, text, ink.TEXT)]

    def _draw_bits(self, rungs: dict[int, Rung]) -> None:
        boxes = []
        top = self.orders.start
        for row, order in enumerate(self.orders):
            pair = rungs[order].pair if order in rungs else None
            for line in range(2):
                number = f"{pair[line] & (2 << top) - 1:0{top + 1}b}" if pair else ""
                self._hexes[2 * row + line].set(f"0x{pair[line]:x}" if pair else "")
                self._bits[2 * row + line].set(number)
            self._says[row].set(f"bit {order} differs" if pair else "")
            if pair:
                x, y = _BITS + (top - order) * _DIGIT, self._y(order)
                boxes.append(Box(x - 1.5, y - 13, x + _DIGIT + 1.5, y + 14))
        self.bit_boxes.put(boxes, [ink.MARK] * len(boxes))
