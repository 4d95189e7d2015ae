"""Physical memory drawn: the whole map, a part of it, and the steps of a lab, against matplotlib's own way.

All candidates make the same content at the same size, up to the bytes of a PNG file: a map of 4 Mi page states.
"""

from __future__ import annotations

import io

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import BoundaryNorm, ListedColormap
from matplotlib.figure import Figure
from numpy.typing import NDArray
from ratio import compare, report

from mmkit.model.snapshot import MODEL, BuddySnapshot, FrameMap, FrameUse
from mmkit.model.trace import Split
from mmkit.view import ink
from mmkit.view.buddy import BuddyPicture
from mmkit.view.frames import FrameMapPicture

FRAMES = 4 << 20
CHANGED = 4096


def page_states(seed: int) -> NDArray[np.uint8]:
    """Runs of up to 2^k pages of one use, as memory looks after a while."""
    random = np.random.default_rng(seed)
    lengths = 1 << random.integers(0, 11, size=FRAMES // 64)
    uses = np.repeat(random.choice(list(FrameUse), size=len(lengths)), lengths)
    return uses[:FRAMES].astype(np.uint8)


class Plain:
    """The same map by matplotlib's own means: one persistent figure, the whole array handed to ``imshow``."""

    def __init__(self, uses: NDArray[np.uint8]) -> None:
        self.figure = Figure(figsize=(9, 3.44), dpi=200)
        self.canvas = FigureCanvasAgg(self.figure)
        axes = self.figure.add_axes((0.15, 0.05, 0.57, 0.8))
        colours = ListedColormap([one.face for one in ink.USE_INKS.values()])
        norm = BoundaryNorm(np.arange(len(FrameUse) + 1) - 0.5, len(FrameUse))
        self.image = axes.imshow(
            uses.reshape(1024, -1), cmap=colours, norm=norm, aspect="auto", interpolation="nearest"
        )
        axes.set_title("Physical memory, frame by frame", loc="left")

    def draw(self, uses: NDArray[np.uint8]) -> bytes:
        """Hand over the whole array anew."""
        self.image.set_data(uses.reshape(1024, -1))
        out = io.BytesIO()
        self.canvas.print_png(out)
        return out.getvalue()


def main() -> bool:
    """Print what holds."""
    first, second = page_states(1), page_states(2)
    part = first.copy()
    part[FRAMES // 2 : FRAMES // 2 + CHANGED] = FrameUse.SLAB
    maps = {name: FrameMap(MODEL, 0, uses.tobytes()) for name, uses in (("a", first), ("b", second), ("c", part))}
    plain, whole, dirty = Plain(first), FrameMapPicture(maps["a"]), FrameMapPicture(maps["a"])
    turns = {"plain": [first, second], "whole": [maps["a"], maps["b"]], "part": [maps["a"], maps["c"]]}

    def turn(name: str) -> object:
        turns[name].reverse()
        return turns[name][0]

    def update(picture: FrameMapPicture, name: str) -> bytes:
        picture.update(turn(name))  # type: ignore[arg-type]
        return picture.png()

    candidates = {
        "plain": lambda: plain.draw(turn("plain")),  # type: ignore[arg-type]
        "whole": lambda: update(whole, "whole"),
        "part": lambda: update(dirty, "part"),
    }
    for make in candidates.values():
        make()
    timing = compare(candidates, rounds=15)
    # What was fast must be right: a picture that was updated is the one that is made anew.
    assert dirty.png() == FrameMapPicture(turns["part"][0]).png()  # type: ignore[arg-type]
    holds = [
        report(
            "4 Mi page states to a picture, matplotlib's own way against mmkit's",
            timing.ratio("plain", "whole"),
            4,
            False,
        ),
        report(
            "the same after 4,096 of them changed, the whole against the part", timing.ratio("whole", "part"), 3, False
        ),
    ]
    print(f"     in this run, CPU ms: {', '.join(f'{name} {timing.median(name) * 1e3:.1f}' for name in candidates)}")
    return all([*holds, steps()])


def steps() -> bool:
    """Time a step of the buddy lab against one line of text that matplotlib lays out and draws anew."""
    lists = [[()] * 5 for _ in range(11)]
    lists[9][1], lists[8][1] = (512,), (256,)
    blocks = bytes([1, 1])
    free = tuple(map(tuple, lists))
    snapshots = [
        BuddySnapshot(MODEL, 0, "Normal", 0, 1024, 10, 9, free, blocks, bytes(1024), (), hand)
        for hand in ((0, 8), None)
    ]
    picture = BuddyPicture(snapshots[0])
    figure = Figure(figsize=(picture.width / 100, picture.height / 100), dpi=200)
    canvas = FigureCanvasAgg(figure)
    for text in picture.labels:
        figure.text(text.x / picture.width, 1 - text.y / picture.height, text.text, fontsize=text.size * 0.72)

    def step() -> bytes:
        snapshots.reverse()
        picture.update(snapshots[0], Split(0, 9, 256, 1))
        return picture.png()

    def anew() -> bytes:
        out = io.BytesIO()
        canvas.print_png(out)
        return out.getvalue()

    timing = compare({"step": step, "anew": anew}, rounds=15)
    held = report("a step of the buddy picture, its texts alone drawn anew by matplotlib against all of it",
                  timing.ratio("anew", "step"), 3, at_most=False)  # fmt: skip
    print(f"     in this run, CPU ms: step {timing.median('step') * 1e3:.1f}, anew {timing.median('anew') * 1e3:.1f}")
    return held


if __name__ == "__main__":
    raise SystemExit(not main())
