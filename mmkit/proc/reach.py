"""What translation costs on the CPU that this runs on: measured, not modelled.

Times are the best of some rounds, all that is compared runs in turn. A virtual machine has a second set of tables
below its own, so that its walks cost more, and its large pages help less.
"""

from __future__ import annotations

import contextlib
import mmap
import platform
import re
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mmkit.errors import FormatError
from mmkit.model.snapshot import Source
from mmkit.model.tlbstate import MatrixTiming, ReachTiming, TranslationTiming

PAGE, LINE = 4096, 64
STRIDE = PAGE + LINE
"""From one line to the next: in every page another line, or they would all want the same few places in the caches."""
READS = 1 << 16
"""Reads that are timed together."""


def measure_matrix(size: int = 1024, rounds: int = 9) -> MatrixTiming:
    """Return how long it takes to read a square matrix by rows and by columns: caches and TLB suffer together.

    A row is ``size`` times 8 bytes, two pages if it is 1024: by columns each number is in other pages than the one
    before. If that is a power of two, the numbers of a column also want the same few sets of a cache; so a matrix with
    a cache line more in each row is read by columns as well. Each time one call reads all numbers, in an order that is
    made before. Takes some hundredths of a second a round. Raises ValueError for a size or rounds below 1.
    """
    _positive(size=size, rounds=rounds)
    room = np.empty(size * size, np.uint64)

    def read(row_bytes: int, by_columns: bool) -> Callable[[], object]:
        memory = _memory(size * row_bytes, "small")
        index = matrix_order(size, row_bytes // 8, by_columns)
        return lambda: memory.take(index, out=room, mode="clip")

    row = size * 8
    times = _best((read(row, False), read(row, True), read(row + LINE, True)), rounds)
    return MatrixTiming(size, *(seconds / size**2 * 1e9 for seconds in times))


def matrix_order(size: int, row: int, by_columns: bool) -> NDArray[np.int64]:
    """Return where the numbers of a square matrix are, in the order of their use; its rows begin every ``row`` numbers.

    >>> matrix_order(2, 10, by_columns=True).tolist()
    [0, 10, 1, 11]
    """
    places = np.arange(size)[:, None] * row + np.arange(size)
    return np.ascontiguousarray(places.T if by_columns else places).ravel()


def measure_reach(
    pages: Sequence[int] = (16, 64, 256, 1024, 2048, 4096, 8192, 16384), rounds: int = 5
) -> tuple[ReachTiming, ...]:
    """Return, for each number of pages, how long it takes to read a line in each, beside as many lines in a row.

    Where the first becomes slower and the second does not, the pages are more than a TLB has entries. Takes some
    thousandths of a second a round for each. Raises ValueError for numbers below 1.
    """
    return tuple(_reach(count, rounds) for count in pages)


def _reach(pages: int, rounds: int) -> ReachTiming:
    _positive(pages=pages, rounds=rounds)
    order = np.resize(np.random.default_rng(pages).permutation(pages), READS)
    room = np.empty(READS, np.uint64)
    small, large = (_memory(pages * STRIDE, kind) for kind in ("small", "large"))

    def read(memory: NDArray[np.uint64], stride: int) -> Callable[[], object]:
        index = order * (stride // 8)
        return lambda: memory.take(index, out=room, mode="clip")

    together, apart, in_large = _best((read(small, LINE), read(small, STRIDE), read(large, STRIDE)), rounds)
    can_ask = hasattr(mmap, "MADV_HUGEPAGE")
    return ReachTiming(pages, together / READS * 1e9, apart / READS * 1e9, in_large / READS * 1e9 if can_ask else None)


def _memory(nr_bytes: int, kind: str) -> NDArray[np.uint64]:
    """Return memory that is all touched, in "small" pages or, if there are any, in "large" ones."""
    flags = {"flags": mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS} if hasattr(mmap, "MAP_ANONYMOUS") else {}
    # Large pages start at multiples of their size: so much more is taken that there are some.
    memory = mmap.mmap(-1, nr_bytes + (4 << 20), **flags)
    advice = getattr(mmap, "MADV_HUGEPAGE" if kind == "large" else "MADV_NOHUGEPAGE", None)
    if advice is not None:
        with contextlib.suppress(OSError):  # a kernel that is built without large pages has small ones
            memory.madvise(advice)
    found = np.frombuffer(memory, np.uint64)
    found[:] = 1
    return found


def _best(candidates: Sequence[Callable[[], object]], rounds: int) -> list[float]:
    """Return the least seconds of each, all of them run in turn."""
    best = [float("inf")] * len(candidates)
    for _ in range(rounds):
        for index, candidate in enumerate(candidates):
            start = time.perf_counter()
            candidate()
            best[index] = min(best[index], time.perf_counter() - start)
    return best


def _positive(**values: int) -> None:
    for name, value in values.items():
        if value < 1:
            raise ValueError(f"{name} has to be at least 1, not {value}")


def measure(
    sizes: Sequence[int] = (256, 512, 1024, 2048), pages: Sequence[int] = (16, 64, 256, 1024, 2048, 4096, 8192, 16384)
) -> TranslationTiming:
    """Return what translation costs on this CPU: matrices of ``sizes``, lines in so many ``pages``. Takes seconds."""
    source = Source("live", platform.release() if platform.system() == "Linux" else None)
    matrices = tuple(measure_matrix(size) for size in sizes)
    return TranslationTiming(cpu_name(), matrices, measure_reach(pages), source)


def cpu_name() -> str:
    """Return what this CPU calls itself."""
    try:
        found = re.search(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(), re.M)
    except OSError:
        found = None
    return found[1].strip() if found else platform.processor() or platform.machine() or "this CPU"


def format(timing: TranslationTiming) -> str:
    """Return a measurement as text: a line for the CPU, one for each matrix, one for each number of pages."""
    lines = [f"cpu\t{timing.cpu}"]
    for each in timing.matrices:
        lines.append(f"matrix\t{each.size}\t{each.row_ns:.4f}\t{each.column_ns:.4f}\t{each.padded_ns:.4f}")
    for one in timing.reach:
        large = "-" if one.large_ns is None else f"{one.large_ns:.4f}"
        lines.append(f"reach\t{one.pages}\t{one.together_ns:.4f}\t{one.apart_ns:.4f}\t{large}")
    return "\n".join(lines) + "\n"


def parse(text: str, source: Source) -> TranslationTiming:
    """Return the measurement of such a text. Raises FormatError, with the line, for one that is damaged."""
    cpu, matrices, reach = "", [], []
    for number, line in enumerate(text.splitlines(), 1):
        kind, *rest = line.split("\t")
        try:
            if kind == "cpu":
                (cpu,) = rest
            elif kind == "matrix":
                size, *times = rest
                matrices.append(MatrixTiming(int(size), *map(float, times)))
            else:
                pages, together, apart, large = rest
                last = None if large == "-" else float(large)
                reach.append(ReachTiming(int(pages), float(together), float(apart), last))
        except (ValueError, TypeError):
            raise FormatError("translation", number, line, "cpu, matrix or reach, and its numbers") from None
    return TranslationTiming(cpu, tuple(matrices), tuple(reach), source)
