"""The model beside the running kernel: the same calls, compared after every one.

Compared are the result or errno of each call and every line of ``/proc/PID/maps``; now and then the flags of all areas
and the resident pages of those in the window too, and the sizes in ``/proc/PID/status``. By hand, for long runs::

    .venv/bin/python tests/model/vma/differential.py --operations 1000000 --seed 1000

It stops at the first difference, says which, and how to see it again.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from itertools import islice
from pathlib import Path

if __name__ == "__main__":
    sys.path[:0] = [str(Path(__file__).parents[3]), str(Path(__file__).parent)]

from vmapeers import PAGE, WINDOW, WINDOW_PAGES, KernelPeer, ModelPeer, in_window, running_rules, write_file
from vmasequences import Call, Sequence

from mmkit.errors import FatalSignal, MmError
from mmkit.model import vmaflags as f

EVERY = 50
CALLS_OF_A_SEED = 1000
MODES = ((0, "rw"), (0, "rw"), (1, "r"), (0, "w"), (0, "r"))
STACK_ROOM = 8 << 20


class Difference(AssertionError):
    """What the kernel and the model disagree about."""


class Pair:
    """A child of the kernel and its model."""

    def __init__(self, folder: Path) -> None:
        self.kernel = KernelPeer()
        files = [write_file(folder / "forty", 40), write_file(folder / "eight-and-a-bit", 8, more=100)]
        opened = [(files[number], mode) for number, mode in MODES]
        self.model = ModelPeer(self.kernel, running_rules())
        self.files = {"kernel": [self.kernel.open(*one) for one in opened],
                      "model": [self.model.open(*one) for one in opened]}  # fmt: skip
        self.heap = self.kernel.call("brk", 0)
        areas = self.kernel.areas()
        stack = next(area for area in areas if area.name == "[stack]")
        self.taboo = [(area.start, area.end) for area in areas] + [(stack.start - STACK_ROOM, stack.end)]

    def spares(self, call: Call) -> bool:
        """Say whether a call leaves alone what the child itself needs."""
        name, *rest = call
        if name in ("brk", "fork"):
            return True
        ranges = [(rest[0], rest[1] if name != "touch" else 1)]
        if name == "mmap" and not rest[3] & f.MAP_FIXED:
            return True
        if name == "mremap":
            ranges += [(rest[0], rest[2])] + [(rest[4], rest[2])] * bool(rest[3] & f.MREMAP_FIXED)
        return not any(self._hits(addr & (1 << 64) - 1, length & (1 << 64) - 1) for addr, length in ranges)

    def _hits(self, addr: int, length: int) -> bool:
        end = addr + ((length + PAGE - 1) & -PAGE)
        return any(start < end and addr < stop for start, stop in self.taboo)

    def do(self, who: str, call: Call) -> tuple[int, int]:
        """Make a call in one of them; returns its value and errno."""
        peer, (name, *rest) = getattr(self, who), call
        try:
            if name == "mmap":
                *rest, number, offset = rest
                return peer.mmap(*rest, self.files[who][number] if number >= 0 else None, offset), 0
            if name == "brk":
                return peer.call("brk", self.heap + rest[0]), 0
            if name in ("touch", "fork"):
                getattr(peer, name)(*rest)
                return 0, 0
            return peer.call(name, *rest), 0
        except MmError as error:
            return 0, error.errno or 0
        except FatalSignal:
            return 0, 14

    def compare(self, thorough: bool) -> None:
        """Raise Difference if the two are not alike."""
        kernel, model = self.kernel.maps(), self.model.maps()
        if kernel != model:
            raise Difference(_only("kernel", kernel, model) + _only("model", model, kernel))
        if not thorough:
            return
        theirs, ours = self.kernel.areas(), self.model.areas()
        flags = [(area.start, area.letters) for area in theirs], [(area.start, area.letters) for area in ours]
        pages = [[(a.start, a.rss, a.anon) for a in in_window(areas)] for areas in (theirs, ours)]
        for one, other in (flags, pages):
            if one != other:
                raise Difference(_only("kernel", one, other) + _only("model", other, one))
        status = self.kernel.status()
        for name, size in self.model.status().items():
            if status[name] != size:
                raise Difference(f"{name}: kernel {status[name]} pages, model {size}")
        self.model.mm.check()


def _only(who: str, ones: list, others: list) -> str:
    return "".join(f"\n  only {who}: {one}" for one in [one for one in ones if one not in others][:6])


def run(seed: int, count: int, folder: Path) -> int:
    """Let both make the first ``count`` calls of a seed; returns how many were made. Raises Difference."""
    pair, done = Pair(folder), 0
    sequence = Sequence(seed, len(MODES))
    for step, call in enumerate(islice(sequence, count)):
        if not pair.spares(call):
            continue
        kernel, model = pair.do("kernel", call), pair.do("model", call)
        done += 1
        try:
            if kernel != model:
                raise Difference(f"\n  kernel {kernel[0]:#x}, errno {kernel[1]}; model {model[0]:#x}, errno {model[1]}")
            pair.compare(thorough=not step % EVERY)
        except AssertionError as error:
            again = f"--seed {seed} --operations {step + 1}"
            raise Difference(f"seed {seed}, step {step}, {call}: {error}\n  again with {again}") from None
        if call[0] in ("mmap", "mremap") and not kernel[1] and not 0 <= kernel[0] - WINDOW < WINDOW_PAGES * PAGE:
            sequence.elsewhere = [*sequence.elsewhere[-5:], kernel[0]]
    pair.kernel.close()
    return done


def main() -> None:
    """Run as many calls as asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--operations", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    begun, done, seed = time.monotonic(), 0, asked.seed
    left = asked.operations
    while left > 0:
        with tempfile.TemporaryDirectory() as folder:
            done += run(seed, min(CALLS_OF_A_SEED, left), Path(folder))
        left, seed = left - CALLS_OF_A_SEED, seed + 1
    print(f"{done:,} calls of seeds {asked.seed} to {seed - 1}: no difference, {time.monotonic() - begun:.0f} s")


if __name__ == "__main__":
    main()
