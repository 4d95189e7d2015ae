"""The fill of 500 slabs of 32 objects, updated in place, against drawing it anew with a matplotlib patch per object.

python benchmarks/slabpicture.py

All candidates make the same content at the same size, up to the bytes of a PNG file: the same cells in the same places
and colours, the same texts.
"""

from __future__ import annotations

import io
import random

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import PatchCollection
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from ratio import compare, report

from mmkit.model.memory import PhysicalMemory
from mmkit.model.slab import KmemCache
from mmkit.model.slabstate import CacheSnapshot, ObjectState
from mmkit.view import ink
from mmkit.view.cells import NOTHING
from mmkit.view.slabfill import SlabFill

SLABS, OBJECTS, SIZE = 500, 32, 128
STEP = 64
"""Objects that are taken or given back between two pictures."""


def states() -> list[CacheSnapshot]:
    """A cache of 500 slabs, three in five objects in use; and the same after a few more were given back."""
    made, rng = KmemCache("dentry", SIZE, memory=PhysicalMemory("X86_64", "64MiB"), nr_cpus=2), random.Random(1)
    taken = [made.alloc(i * 2 // (SLABS * OBJECTS)) for i in range(SLABS * OBJECTS)]
    rng.shuffle(taken)
    found = []
    for count in (len(taken) * 2 // 5, STEP):
        for _ in range(count):
            made.free(taken.pop(), rng.randrange(2))
        found.append(made.snapshot())
    assert all(len(cache.slabs) == SLABS for cache in found)
    return found


def rectangles(picture: SlabFill) -> list[tuple[float, float, float, str]]:
    """Left, top, size and colour of every object."""
    found = []
    for cells in picture.cells:
        if cells.get_visible():
            size = (cells.box.right - cells.box.left) / cells.values.shape[1]
            for row, column in np.argwhere(cells.values != NOTHING):
                face = ink.OBJECT_INKS[ObjectState(cells.values[row, column])].face
                found.append((cells.box.left + column * size, cells.box.top + row * size, size - 0.5, face))
    return found


class Plain:
    """The same picture by matplotlib's own means; ``together`` puts the patches into one collection."""

    def __init__(self, model: SlabFill, together: bool = False) -> None:
        self.model, self.together = model, together
        self.pixels = np.zeros(0)

    def draw(self) -> bytes:
        """Draw all of it anew."""
        model = self.model
        figure = Figure(figsize=(model.width / 100, model.height / 100), dpi=200)
        canvas = FigureCanvasAgg(figure)
        axes = figure.add_axes((0, 0, 1, 1))
        axes.set_axis_off()
        axes.set(xlim=(0, model.width), ylim=(model.height, 0))
        patches = [Rectangle((x, y), size, size, facecolor=face, linewidth=0) for x, y, size, face in self.shapes]
        if self.together:
            axes.add_collection(PatchCollection(patches, match_original=True))
        else:
            for patch in patches:
                axes.add_patch(patch)
        for label in model.labels:
            axes.text(label.x, label.y, label.text, fontsize=label.size * 0.72)
        out = io.BytesIO()
        canvas.print_png(out)
        self.pixels = np.asarray(canvas.buffer_rgba())
        return out.getvalue()

    def prepare(self) -> None:
        """Look up places and colours: that is not what is timed."""
        self.shapes = rectangles(self.model)


def same_cells(picture: SlabFill, plain: Plain) -> None:
    """Raise AssertionError unless both have every object in the same colour at the same place."""
    ours = picture.pixels()
    for x, y, size, _ in plain.shapes:
        row, column = int((y + size / 2) * 2), int((x + size / 2) * 2)
        assert (ours[row, column] == plain.pixels[row, column]).all(), (x, y)


def main() -> bool:
    """Print what holds."""
    first, second = states()
    picture, turns = SlabFill(first), [first, second]
    anew, together = Plain(SlabFill(second)), Plain(SlabFill(second), together=True)
    for plain in (anew, together):
        plain.prepare()
        plain.draw()

    def turn() -> CacheSnapshot:
        turns.reverse()
        return turns[0]

    def update() -> bytes:
        picture.update(turn())
        return picture.png()

    candidates = {
        "in place": update,
        "patches": anew.draw,
        "collection": together.draw,
    }
    for make in candidates.values():
        make()
    timing = compare(candidates, rounds=7)
    # What was fast must be right: updated, it is the one that is made anew, and the one that matplotlib makes.
    picture.update(second)
    assert picture.png() == SlabFill(second).png()
    same_cells(picture, anew)
    same_cells(picture, together)
    holds = [
        report(
            f"{SLABS} slabs of {OBJECTS} objects, a patch per object drawn anew / updated in place",
            timing.ratio("patches", "in place"), 8, at_most=False,
        ),
        report(
            "the same with all patches in one collection / updated in place",
            timing.ratio("collection", "in place"), 8, at_most=False,
        ),
    ]  # fmt: skip
    print(f"     in this run, CPU ms: {', '.join(f'{name} {timing.median(name) * 1e3:.1f}' for name in candidates)}")
    return all(holds)


if __name__ == "__main__":
    raise SystemExit(not main())
