"""What pictures of traces and of reach are drawn from: when which page was used, and how the share of hits falls.

Models: nothing of its own; hits and misses are those of ``simulate``. Leaves out: several TLBs at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mmkit.model.addressarray import address_array
from mmkit.model.snapshot import MODEL, Source
from mmkit.model.tlb.simulate import simulate
from mmkit.model.tlbstate import HitCurve, TlbGeometry, TraceMap

MOST_ROWS, MOST_COLUMNS = 64, 196


def trace_map(
    title: str, virt_addrs: ArrayLike, geometry: TlbGeometry, *, asids: ArrayLike = 0, shift: int | None = None,
    flush_on_switch: bool = False, source: Source = MODEL,
) -> TraceMap:  # fmt: skip
    """Return where and when a sequence of accesses goes, with what misses in a TLB that is empty at first.

    ``shift`` is the size of its pages as a power of two, else the smallest that the TLB holds.
    """
    addresses = address_array(virt_addrs)
    of = geometry.shifts[0] if shift is None else shift
    hits = simulate(geometry, addresses, asids, of, flush_on_switch).hits
    pages, rank = np.unique(addresses >> np.uint64(of), return_inverse=True)
    nr_rows, nr_columns = min(len(pages), MOST_ROWS), min(len(addresses), MOST_COLUMNS)
    row = rank * nr_rows // max(len(pages), 1)
    column = np.arange(len(addresses)) * nr_columns // max(len(addresses), 1)
    first = [int(-(-number * len(pages) // nr_rows)) for number in range(nr_rows + 1)] if nr_rows else [0]
    rows = tuple((int(pages[low]), int(pages[high - 1])) for low, high in pairwise(first))
    cells = row * nr_columns + column
    size = nr_rows * nr_columns
    return TraceMap(
        title, len(addresses), len(pages), of, rows, _grid(cells, size, nr_columns),
        _grid(cells[~hits], size, nr_columns), int(np.count_nonzero(hits)), source,
    )  # fmt: skip


def _grid(cells: NDArray[np.int64], size: int, nr_columns: int) -> tuple[tuple[int, ...], ...]:
    counts = np.bincount(cells, minlength=size).reshape(-1, nr_columns) if size else np.zeros((0, 1), np.int64)
    return tuple(tuple(row) for row in counts.tolist())


def hit_curve(
    label: str, geometry: TlbGeometry, sizes_bytes: Sequence[int], *, shift: int | None = None, in_turn: bool = False,
    accesses: int = 20_000, seed: int = 1,
) -> HitCurve:  # fmt: skip
    """Return the share of hits for accesses spread over each of these sizes, once the TLB is warm.

    Pages have 2**shift bytes, else the smallest that the TLB holds. Each access is anywhere in them, by ``seed``, or,
    ``in_turn``, in the page after the last one's.

    >>> tlb = TlbGeometry(64, 4)
    >>> hit_curve("64 entries", tlb, [64 << 12, 128 << 12], in_turn=True).points
    ((262144, 1.0), (524288, 0.0))
    """
    of = geometry.shifts[0] if shift is None else shift
    points = []
    for size in sizes_bytes:
        nr_pages = max(1, size >> of)
        if in_turn:
            pages = np.arange(2 * max(accesses, nr_pages)) % nr_pages
        else:
            pages = np.random.default_rng(seed).integers(0, nr_pages, 2 * max(accesses, nr_pages))
        hits = simulate(geometry, pages.astype(np.uint64) << np.uint64(of), 0, of, False).hits
        points.append((size, round(float(hits[len(hits) // 2 :].mean()), 4)))
    return HitCurve(label, geometry.entries << of, tuple(points))
