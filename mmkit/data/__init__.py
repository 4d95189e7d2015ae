"""Recordings of real kernels, by name; README.md says where each comes from.

>>> recorded = recording("amd64-4g")
>>> recorded
Recording('amd64-4g', kernel 6.1.0-50-amd64)
>>> [zone.name for zone in recorded.zoneinfo.zones]
['DMA', 'DMA32', 'Normal', 'Movable', 'Device']

Nothing is read before it is asked for.
"""

from __future__ import annotations

from mmkit.data.boot import MemoryRange, Recording, recording, recordings
from mmkit.data.traces import MatrixWalks, address_trace, address_traces, matrix_walks

__all__ = [
    "MatrixWalks",
    "MemoryRange",
    "Recording",
    "address_trace",
    "address_traces",
    "matrix_walks",
    "recording",
    "recordings",
]
