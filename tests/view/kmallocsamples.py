"""Requests of kmalloc to draw, and pictures of them."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

from mmkit.data import recording
from mmkit.data.events import KmallocAlloc
from mmkit.model.kmallocsize import SIZES
from mmkit.view.kmallocwaste import KmallocWaste
from mmkit.view.picture import Picture

ARM = (128, 256, 512, 1024, 2048, 4096, 8192)
"""The classes where no two objects may share 128 bytes."""


@cache
def recorded_rows() -> tuple[KmallocAlloc, ...]:
    """Every kmalloc of a recorded kernel."""
    return tuple(row for row in recording("trace-slab-6.1").events() if isinstance(row, KmallocAlloc))


def recorded_requests() -> list[int]:
    """Bytes that they asked for."""
    return [row.bytes_req for row in recorded_rows()]


KMALLOC_PICTURES: dict[str, Callable[[], Picture]] = {
    "kmalloc classes": lambda: KmallocWaste(SIZES),
    "kmalloc Arm": lambda: KmallocWaste(ARM),
    "kmalloc recorded": lambda: KmallocWaste(SIZES, recorded_requests(), recording("trace-slab-6.1").slabinfo.source),
    "kmalloc one": lambda: KmallocWaste(SIZES, [100]),
    "kmalloc every size": lambda: KmallocWaste(SIZES, [8] * 123_456 + list(range(1, 70_000)) * 3),
    "kmalloc large only": lambda: KmallocWaste(SIZES, [1 << 20, 40_000]),
}  # fmt: skip
