"""Many addresses at once: whatever readers give, as an array of 64-bit words.

Models: nothing of the kernel's. Leaves out: which addresses an architecture has; that is for those who use them.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray


def address_array(addrs: ArrayLike) -> NDArray[np.uint64]:
    """Return addresses as an array of unsigned 64-bit words, the same one if it is that already.

    Raises TypeError for what are no whole numbers, ValueError for negative ones, too large ones and other shapes.

    >>> address_array([0x1000, 0xffff888000000000]).tolist() == [0x1000, 0xffff888000000000]
    True
    """
    found = np.asarray(addrs)
    if found.ndim != 1:
        raise ValueError(f"addresses come as an array of one dimension, not of {found.ndim}")
    if not len(found):
        return np.empty(0, np.uint64)
    if isinstance(addrs, list | tuple) and found.dtype.kind in "fO" and all(type(each) is int for each in addrs):
        # numpy makes floats of a list that has both small and very large numbers.
        low, high = min(addrs), max(addrs)
        if low < 0 or high >= 1 << 64:
            raise ValueError(f"addresses are from 0 to 2**64 - 1, not {low if low < 0 else high}")
        return np.array(addrs, np.uint64)
    if found.dtype.kind not in "ui":
        raise TypeError(f"addresses are whole numbers, not {found.dtype}")
    if found.dtype.kind == "i" and found.min() < 0:
        raise ValueError(f"addresses are from 0 to 2**64 - 1, not {found.min()}")
    return found.astype(np.uint64, copy=False)
