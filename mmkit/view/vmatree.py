"""The same areas as a list, a red-black tree and a maple tree, and the steps of a search for an address in each."""

from __future__ import annotations

from collections.abc import Sequence

from mmkit.model.snapshot import FrameUse
from mmkit.model.vmastate import TreeNode, TreeState
from mmkit.view import ink
from mmkit.view.artist import Box, Boxes
from mmkit.view.ink import Ink
from mmkit.view.parts import Entry, Legend, plural, segments
from mmkit.view.picture import MARGIN, Picture, fit

TITLES = {"list": "List", "rbtree": "Red-black tree", "maple": "Maple tree"}
MOST_LEVELS, MOST_IN_ROW, MOST_SLOTS = 7, 34, 40
_LEFT, _RIGHT = 24, 876
_HEAD, _LIST_TALL, _LEVEL, _NODE = 40, 56, 40, 22
_HEIGHTS = {"list": 108, "rbtree": 60 + MOST_LEVELS * _LEVEL, "maple": 190}
_POOL = 90


def alt_tree(tree: TreeState) -> str:
    """Say in words what the structure is, and how the search went."""
    size = f"{TITLES[tree.kind]} of {plural(len(tree.mm.vmas), 'area')}, {plural(len(tree.nodes), 'node')}"
    if tree.addr is None:
        return f"{size}."
    effort = f"{plural(len(tree.visits), 'node')}, makes {plural(tree.comparisons, 'comparison')}"
    if not tree.over:
        return f"{size}: find_vma(0x{tree.addr:x}) so far looks at {effort}, and goes on."
    end = "no area" if tree.found is None else f"area {tree.found} at 0x{tree.mm.vmas[tree.found].start:x}"
    return f"{size}: find_vma(0x{tree.addr:x}) looks at {effort}, and finds {end}."


def alt_lookup(trees: Sequence[TreeState]) -> str:
    """Say in words how the searches in several structures went."""
    return f"{' '.join(map(alt_tree, trees))} Areas are numbered from the lowest address. ({trees[0].mm.source})"


class LookupPicture(Picture):
    """One structure or several, one below the other, each with the nodes that the search looks at in their order."""

    def __init__(self, trees: Sequence[TreeState]) -> None:
        super().__init__(height=_HEAD + sum(_HEIGHTS[tree.kind] for tree in trees) + 30)
        self._title = self.text(MARGIN, MARGIN + 12, "", 14, live=True, bold=True)
        self._badge = self.badge(trees[0].mm.source)
        self._boxes = self.live(Boxes((0, _HEAD, self.width, self.height)))
        self._lines = self.line([], [], live=True)
        self._path = self.line([], [], ink.TEXT, 2, live=True)
        self._labels = [self.text(0, 0, "", 10, live=True, ha="center", va="center") for _ in range(3 * _POOL)]
        self._steps = [self.text(0, 0, "", 10, live=True, ha="center", va="center", bold=True) for _ in range(_POOL)]
        self._heads = [self.text(MARGIN, 0, "", 12, live=True, bold=True) for _ in range(3)]
        self._told = [self.text(MARGIN + 130, 0, "", 11.5, live=True) for _ in range(3)]
        self._notes = [self.note(self.width - MARGIN, 0, "", live=True, ha="right") for _ in range(3)]
        legend = (_LEFT, self.height - 26, self.width - MARGIN, self.height - 7)
        self._legend = Legend(self, legend, 5, 5)
        self.update(trees)

    def update(self, trees: Sequence[TreeState]) -> None:
        """Show another search, or other areas, in the same kinds of structures."""
        self._drawn: list[tuple[Box, Ink]] = []
        self._edges: list[list[tuple[float, float]]] = []
        self._walk: list[list[tuple[float, float]]] = []
        self._used = self._stepped = 0
        top = float(_HEAD)
        for number, head in enumerate(self._heads):
            if number < len(trees):
                self._head(number, trees[number], top)
                {"list": self._draw_list, "rbtree": self._draw_rbtree, "maple": self._draw_maple}[trees[number].kind](
                    trees[number], top + 34
                )
                top += _HEIGHTS[trees[number].kind]
            else:
                for label in (head, self._told[number], self._notes[number]):
                    label.set("")
        for label in (*self._labels[self._used :], *self._steps[self._stepped :]):
            label.set("")
        self._boxes.put(
            [box for box, _ in self._drawn], [one for _, one in self._drawn], [i.edge for _, i in self._drawn]
        )
        self._lines.set_data(*segments(self._edges))
        self._path.set_data(*segments(self._walk))
        self._finish(trees)

    def _finish(self, trees: Sequence[TreeState]) -> None:
        mm, addr = trees[0].mm, trees[0].addr
        self._badge.set(str(mm.source))
        wanted = f": where is 0x{addr:x}?" if addr is not None else ""
        self._title.set(
            self.heading_fit(f"{plural(len(mm.vmas), 'area')} of {mm.name or 'a process'}{wanted}", mm.source)
        )
        looks = [ink.ON_PATH, ink.FOUND]
        looks += [ink.RED_NODE, ink.BLACK_NODE] * any(tree.kind == "rbtree" for tree in trees)
        looks += [ink.USE_INKS[FrameUse.HOLE]] * any(tree.kind == "maple" for tree in trees)
        names = {ink.USE_INKS[FrameUse.HOLE]: "gap"}
        self._legend.set([Entry(one, names.get(one, one.name)) for one in looks])
        self.alt = alt_lookup(trees)
        self.touch()

    def _head(self, number: int, tree: TreeState, top: float) -> None:
        self._heads[number].set(TITLES[tree.kind], y=top + 18)
        told = f"{plural(len(tree.nodes), 'node')}"
        if tree.addr is not None:
            told = f"{plural(len(tree.visits), 'node')} of {len(tree.nodes)} looked at, " + plural(
                tree.comparisons, "comparison"
            )
        self._told[number].set(told, y=top + 18)
        note = tree.visits[-1].words if tree.visits else ""
        self._notes[number].set(fit(note, 420, 10.5), y=top + 18)

    def _write(self, text: str, x: float, y: float, colour: str = ink.TEXT, bold: bool = False) -> None:
        if self._used < len(self._labels) and text:
            self._labels[self._used].set(text, x=x, y=y, colour=colour, bold=bold)
            self._used += 1

    def _step(self, number: int, x: float, y: float) -> None:
        if self._stepped < len(self._steps):
            self._steps[self._stepped].set(f"{number}", x=x, y=y, colour=ink.ALERT)
            self._stepped += 1

    def _box(self, box: Box, look: Ink, text: str, step: int | None = None) -> None:
        self._drawn.append((box, look))
        self._write(text, (box.left + box.right) / 2, (box.top + box.bottom) / 2, look.text)
        if step is not None:
            self._step(step, (box.left + box.right) / 2, box.top - 7)

    def _draw_list(self, tree: TreeState, top: float) -> None:
        count, last = len(tree.nodes), len(tree.visits) - 1
        shown = list(range(count))
        if count > MOST_IN_ROW:
            near = range(max(last - 3, 8), min(last + 4, count))
            shown = sorted({*range(MOST_IN_ROW - 16), *near, *range(count - 4, count)})[:MOST_IN_ROW]
        wide = min(46.0, (_RIGHT - _LEFT) / max(len(shown), 1))
        before = None
        for place, number in enumerate(shown):
            box = Box(_LEFT + place * wide, top + 14, _LEFT + (place + 1) * wide - 7, top + 14 + _NODE)
            found = number == tree.found
            look = ink.FOUND if found else ink.ON_PATH if number <= last else ink.VACANT
            step = number + 1 if number <= last and (number == last or number < 3 or number % 5 == 4) else None
            self._box(box, look, f"{number}", step)
            if before is not None:
                middle = (box.top + box.bottom) / 2
                self._edges.append([(before[1].right, middle), (box.left, middle)])
                if number - before[0] > 1:
                    self._write("…", box.left - 3.5, middle + 14)
            before = (number, box)

    def _draw_rbtree(self, tree: TreeState, top: float) -> None:
        visited = {visit.node: step for step, visit in enumerate(tree.visits, 1)}
        spots: list[tuple[int, int, float, float, tuple[float, float] | None]] = []
        if tree.nodes:
            spots.append((0, 0, _LEFT, _RIGHT, None))
        while spots:
            at, depth, low, high, parent = spots.pop()
            node, x, y = tree.nodes[at], (low + high) / 2, top + 16 + depth * _LEVEL
            if parent:
                (self._walk if at in visited else self._edges).append([parent, (x, y)])
            lean = 0 if parent is None else 1 if parent[0] < x else -1
            self._red_black(tree, node, x, y, visited.get(at), min(high - low, 44), lean)
            for side, child in enumerate(node.children):
                if child < 0:
                    continue
                half = ((low, x), (x, high))[side]
                if depth + 1 < MOST_LEVELS and (half[1] - half[0] >= 15 or child in visited):
                    spots.append((child, depth + 1, *half, (x, y + _NODE)))
                else:
                    self._edges.append([(x, y + _NODE), (x + (side - 0.5) * 8, y + _NODE + 7)])

    def _red_black(
        self, tree: TreeState, node: TreeNode, x: float, y: float, step: int | None, wide: float, lean: int
    ) -> None:
        half = max(min(wide / 2 - 1, 20), 12 if step else 6)
        (number,) = node.vmas
        colour = ink.RED_NODE if node.red else ink.BLACK_NODE
        look = ink.FOUND if number == tree.found else ink.ON_PATH if step else colour
        edge = look if look is colour else Ink("", "", look.face, look.mark, "", look.text, edge=colour.edge)
        letter = colour.letter if half >= 14 else ""
        self._box(Box(x - half, y, x + half, y + _NODE), edge, f"{number}{letter}" if half >= 9 else "")
        if step:
            # On the side away from the line that comes from the parent.
            self._step(step, x + lean * half, y - 7)

    def _draw_maple(self, tree: TreeState, top: float) -> None:
        visited = {visit.node: step for step, visit in enumerate(tree.visits, 1)}
        compared = {visit.node: visit.compared for visit in tree.visits}
        above: dict[int, tuple[float, float]] = {}
        for depth, level in enumerate(_levels(tree.nodes)[-3:]):
            y = top + 14 + depth * 52
            shown, left_out = _fitting(tree, level, visited)
            slots = sum(max(len(tree.nodes[n].slots or tree.nodes[n].children), 1) for n in shown)
            wide = min(30.0, (_RIGHT - _LEFT - 14 * len(shown)) / max(slots, 1))
            x = _LEFT + max(0.0, (_RIGHT - _LEFT - slots * wide - 14 * (len(shown) - 1)) / 2)
            below: dict[int, tuple[float, float]] = {}
            for number in shown:
                node = tree.nodes[number]
                middle = x + len(node.slots or node.children) * wide / 2
                if number in above:
                    (self._walk if number in visited else self._edges).append([above[number], (middle, y)])
                for place, child in enumerate(node.children):
                    below[child] = x + (place + 0.5) * wide, y + _NODE
                x = self._maple_node(tree, node, x, y, wide, visited.get(number), compared.get(number, 0)) + 14
            if left_out:
                self._write(f"… {plural(left_out, 'node')} more", _RIGHT - 40, y + _NODE + 10, ink.MUTED)
            above = below

    def _maple_node(
        self, tree: TreeState, node: TreeNode, x: float, y: float, wide: float, step: int | None, compared: int
    ) -> float:
        slots: Sequence[int | None] = node.slots or node.children
        if step:
            self._step(step, x + 4, y - 7)
        for place, slot in enumerate(slots):
            box = Box(x + place * wide, y, x + (place + 1) * wide - 1, y + _NODE)
            look = ink.ON_PATH if place < compared else ink.VACANT
            text = f"{slot}" if node.slots and slot is not None and wide >= 14 else ""
            if node.slots and slot is None:
                look = ink.USE_INKS[FrameUse.HOLE]
            elif node.slots and slot == tree.found:
                look = ink.FOUND
            elif not node.slots:
                text = "•"
            self._box(box, look, text)
        return x + len(slots) * wide


def _levels(nodes: Sequence[TreeNode]) -> list[list[int]]:
    level, found = ([0] if nodes else []), []
    while level:
        found.append(level)
        level = [child for number in level for child in nodes[number].children]
    return found


def _fitting(tree: TreeState, level: Sequence[int], visited: dict[int, int]) -> tuple[list[int], int]:
    """Return the nodes of a level that there is room for, those that were looked at among them, and how many not."""
    shown: list[int] = []
    room = MOST_SLOTS
    for number in sorted(level, key=lambda one: (one not in visited, one)):
        slots = len(tree.nodes[number].slots or tree.nodes[number].children)
        if slots <= room:
            shown.append(number)
            room -= slots
    return sorted(shown), len(level) - len(shown)
