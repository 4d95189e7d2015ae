"""Paging-structure caches: upper entries of the page tables, remembered so that a walk can start further down.

Models: the PML4, PDPTE and PDE caches of the Intel SDM volume 3A, 4.10.3 "Paging-Structure Caches" (AMD: page directory
cache, Arm: walk cache). Leaves out: that a CPU may have one array for all levels; entries of the last level, which
are what the TLB is for.

A walk asks for the lowest entry that is known, and reads what is below it from memory; what it read is then kept.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mmkit.arch import X86_64, Arch, get_arch
from mmkit.model.tlb.simulate import simulate
from mmkit.model.tlbstate import TlbGeometry, WalkCacheState, WalkEntry
from mmkit.model.tlbtrace import WalkCacheHit
from mmkit.model.trace import Trace


class WalkCache:
    """Caches for the levels above the last, each fully associative with LRU replacement.

    ``entries`` are their sizes, from the level right above the last upwards; levels for which there is none, or 0, are
    read from memory each time. Raises ValueError for more sizes than levels, or negative ones.

    >>> cache = WalkCache("X86_64", (16, 4))
    >>> cache.insert(WalkEntry(0x40000000, 21, 0x5000))
    >>> cache.lookup(0x40012345)
    WalkEntry(virt_addr=1073741824, shift=21, table_addr=20480, asid=0, writable=True, user=True, executable=True)
    """

    def __init__(
        self, arch: Arch | str = X86_64, entries: tuple[int, ...] = (16, 4, 4), trace: Trace | None = None
    ) -> None:
        self.arch, self.trace = get_arch(arch), trace
        upper = self.arch.levels[-2::-1]
        if len(entries) > len(upper) or any(size < 0 for size in entries):
            raise ValueError(f"{self.arch.name} has {len(upper)} levels above the last: no walk cache {entries!r}")
        self._levels = list(zip(upper, entries, strict=False))
        self._held: dict[int, OrderedDict[tuple[int, int], WalkEntry]] = {
            level.shift: OrderedDict() for level, _ in self._levels
        }

    def lookup(self, virt_addr: int, asid: int = 0, below: int = 0) -> WalkEntry | None:
        """Return the lowest entry known for an address, which counts as its use; None: the walk starts at the root.

        ``below`` is the shift of the leaf if it is known to be a large page: only entries above it are of use.
        """
        for depth, (level, _) in enumerate(self._levels):
            if level.shift <= below:
                continue
            key = (virt_addr >> level.shift, asid)
            entry = self._held[level.shift].get(key)
            if entry is not None:
                self._held[level.shift].move_to_end(key)
                if self.trace is not None:
                    skipped = len(self.arch.levels) - 1 - depth
                    self.trace.emit(WalkCacheHit(virt_addr, asid, level.name, skipped))
                return entry
        return None

    def insert(self, entry: WalkEntry) -> None:
        """Keep an entry that a walk has read; those of levels without a cache are let go."""
        for level, size in self._levels:
            if level.shift == entry.shift and size:
                held = self._held[entry.shift]
                key = (entry.virt_addr >> entry.shift, entry.asid)
                held[key] = entry
                held.move_to_end(key)
                if len(held) > size:
                    held.popitem(last=False)

    def walk_refs(self, virt_addr: int, asid: int = 0, shift: int | None = None, tables: Sequence[int] = ()) -> int:
        """Return how many entries a walk reads from memory, and keep those above its leaf, a page of 2**shift bytes.

        ``tables`` are physical addresses, the root's first; without any, where patterns of accesses are played without
        page tables, all are taken to be at address 0. Raises ValueError for a size of page that there is not.
        """
        levels = self.arch.levels
        leaf = len(levels) - 1 if shift is None else self._depth(shift)
        known = self.lookup(virt_addr, asid, levels[leaf].shift)
        first = 0 if known is None else self._depth(known.shift) + 1
        for depth, level in enumerate(levels[first:leaf], first):
            table = tables[depth + 1] if tables else 0
            self.insert(WalkEntry(virt_addr >> level.shift << level.shift, level.shift, table, asid))
        return leaf + 1 - first

    def _depth(self, shift: int) -> int:
        shifts = [level.shift for level in self.arch.levels]
        if shift not in shifts:
            raise ValueError(f"{self.arch.name} has no pages of 2**{shift} bytes: its levels are 2**{shifts}")
        return shifts.index(shift)

    def flush(self, keep_global: bool = False) -> int:
        """Throw everything away (these caches know no global entries); returns how many entries that was."""
        return self._drop(None)

    def flush_asid(self, asid: int) -> int:
        """Throw away what belongs to one address space; returns how many entries that was."""
        return self._drop(asid)

    def invlpg(self, virt_addr: int, asid: int = 0) -> int:
        """Throw away all of an address space, whatever the address, as INVLPG does (SDM volume 3A, 4.10.4.1)."""
        return self._drop(asid)

    def _drop(self, asid: int | None) -> int:
        count = 0
        for held in self._held.values():
            for key in [key for key in held if asid is None or key[1] == asid]:
                del held[key]
                count += 1
        return count

    def snapshot(self) -> WalkCacheState:
        """Return the state as it is now, the level nearest to the root first."""
        upward = self._levels[::-1]
        held = tuple(tuple(reversed(self._held[level.shift].values())) for level, _ in upward)
        return WalkCacheState(tuple(level.name for level, _ in upward), tuple(size for _, size in upward), held)

    def simulate(
        self,
        virt_addrs: NDArray[np.uint64],
        *,
        asids: NDArray[np.int64] | int = 0,
        shifts: NDArray[np.int64] | int = 12,
    ) -> NDArray[np.uint8]:
        """Return how many entries each walk of a sequence reads, if the caches are empty at first.

        Equal to a loop of ``walk_refs``, and much faster.
        """
        addresses = np.asarray(virt_addrs, np.uint64)
        spaces, sizes = np.broadcast_to(asids, addresses.shape), np.broadcast_to(shifts, addresses.shape)
        refs = np.zeros(len(addresses), np.uint8)
        for size in np.unique(sizes).tolist():
            refs[sizes == size] = self._depth(size) + 1
        open_walks = np.ones(len(addresses), np.bool_)
        for depth, (level, entries) in zip(range(len(self.arch.levels) - 2, -1, -1), self._levels, strict=False):
            asking = np.flatnonzero(open_walks & (sizes < level.shift))
            if not entries or not len(asking):
                continue
            cache = TlbGeometry(entries, entries, (level.shift,))
            hits = asking[simulate(cache, addresses.take(asking), spaces.take(asking), None, False).hits]
            refs[hits] -= np.uint8(depth + 1)
            open_walks[hits] = False
        return refs
