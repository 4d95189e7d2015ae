"""Many addresses through page tables at once, as an MMU translates them.

Models: the walk of the MMU for arrays of addresses: what is answered, which accessed and dirty bits are set, and what
is raised is what as many walks one after the other give. Leaves out: TLBs, which change nothing in that.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike

from mmkit.model.addressarray import address_array
from mmkit.model.tableimage import Format, TableImage, Tables, Words

FEW = 32
"""Addresses that are not worth arrays."""


class Translator:
    """Translates arrays of addresses for an MMU, and keeps the layout of tables for as long as they do not change."""

    def __init__(self, tables: Tables, fmt: Format) -> None:
        self.tables, self.format = tables, fmt
        self._images: dict[tuple[object, ...], TableImage] = {}

    def image(self, root_addr: int, allowed: tuple[bool, ...], write: bool, marks: bool = True) -> TableImage:
        """Return the tables below a root as they are now; arguments as of TableImage."""
        key = (root_addr, allowed, write, marks)
        found = self._images.get(key)
        if found is None or found.version != self.tables.version:
            self._images = {key: each for key, each in self._images.items() if each.version == self.tables.version}
            found = self._images[key] = TableImage(self.tables, root_addr, self.format, *key[1:])
        return found

    def translate(
        self,
        root_addr: int,
        virt_addrs: ArrayLike,
        one: Callable[[int], int],
        *,
        allowed: tuple[bool, ...],
        write: bool,
        marks: bool = True,
        out: Words | None = None,
    ) -> Words:
        """Return the physical address for each virtual one, as many calls of ``one`` would, with all they change.

        ``one`` translates a single address: it is asked about those that the tables do not translate, in order, and is
        expected to raise. Raises what it raises; what the accesses before that one change has changed then. ``out`` is
        an array of as many unsigned 64-bit words for the result, if it is not to be a new one.
        """
        addresses = address_array(virt_addrs)
        if out is not None and (out.dtype != np.uint64 or out.shape != addresses.shape or not out.flags.c_contiguous):
            raise ValueError(f"out is an array of {len(addresses)} uint64, not of {out.shape} {out.dtype}")
        if len(addresses) < FEW:
            few = np.array([one(each) for each in addresses.tolist()], np.uint64)
            return few if out is None else np.positive(few, out=out)
        image = self.image(root_addr, allowed, write, marks)
        phys_addrs, nowhere, unmarked = image.walk(addresses, out)
        for index in nowhere.tolist():
            before = np.searchsorted(unmarked, index)
            image.mark(addresses.take(unmarked[:before]))
            unmarked = unmarked[before:]
            phys_addrs[index] = one(int(addresses[index]))
        image.mark(addresses.take(unmarked))
        return phys_addrs
