"""Traces of the addresses that a program used, recorded by valgrind; README.md says where each comes from.

>>> address_trace()
<Lackey: 604821 accesses>

Nothing is read before it is asked for.
"""

from __future__ import annotations

import gzip
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from mmkit.proc.lackey import Lackey

_FILE = "trace.lackey.gz"
# What the program of "lackey-matrix" prints: where its matrix is, and its table.
_MATRIX, _MATRIX_BYTES, _TABLE, _TABLE_BYTES = 0x528000, 128 << 12, 0x4A8000, 1 << 19


def address_traces() -> tuple[str, ...]:
    """Return the names of the address traces that mmkit carries, sorted."""
    folders = [folder for folder in files("mmkit.data").iterdir() if folder.joinpath(_FILE).is_file()]
    return tuple(sorted(folder.name for folder in folders))


@cache
def address_trace(name: str = "lackey-matrix") -> Lackey:
    """Return the address trace of that name. Raises ValueError, with all names, if there is none."""
    from mmkit.proc import lackey

    if name not in address_traces():
        raise ValueError(f"no address trace {name!r}: choose one of {', '.join(address_traces())}")
    return lackey.parse(gzip.decompress(files("mmkit.data").joinpath(name, _FILE).read_bytes()))


class MatrixWalks(NamedTuple):
    """Addresses of the data that the program of ``lackey-matrix`` used, in its order, part by part."""

    rows: NDArray[np.uint64]
    """A matrix of 128 rows of a page each, read row by row, 8 bytes at a time."""
    columns: NDArray[np.uint64]
    """The same, read column by column: each access is in another page than the one before."""
    table: NDArray[np.uint64]
    """A hash table of 128 pages, in which 6000 keys are looked up and counted."""


@cache
def matrix_walks() -> MatrixWalks:
    """Return the three parts of the trace ``lackey-matrix``, without fetches and what else the program does."""
    used = address_trace("lackey-matrix").only("LSM").addresses
    matrix = used[(used >= _MATRIX) & (used < _MATRIX + _MATRIX_BYTES)]
    table = used[(used >= _TABLE) & (used < _TABLE + _TABLE_BYTES)]
    half = _MATRIX_BYTES // 8
    return MatrixWalks(matrix[:half], matrix[half:], table)
