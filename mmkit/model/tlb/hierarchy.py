"""All TLBs of a CPU: the first level, for fetches and for data, the second behind it, and the walk caches.

Models: a hierarchy as vendors describe it (see ``presets``): a miss in the first level asks the second, a hit there is
copied up, a walk fills both. Leaves out: how many cycles each takes; victim and exclusive arrangements; walks ahead of
need; entries of a first level that go because the second's does.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mmkit.arch import X86_64, Arch, get_arch
from mmkit.model.addressarray import address_array
from mmkit.model.tlb.presets import cpu_tlbs
from mmkit.model.tlb.simulate import simulate
from mmkit.model.tlb.strip import Bools
from mmkit.model.tlb.tlb import Tlb
from mmkit.model.tlb.walkcache import WalkCache
from mmkit.model.tlbstate import AccessCost, CpuTlbs, HierarchyState, TlbEntry
from mmkit.model.trace import Trace


class HierarchyRun(NamedTuple):
    """What became of each access of a trace."""

    level: NDArray[np.uint8]
    """1 or 2: found in a TLB of that level; 0: a walk."""
    walk_refs: NDArray[np.uint8]
    """Entries of page tables that its walk read; 0 without a walk."""

    @property
    def hits(self) -> Bools:
        """Whether any TLB had the translation."""
        return np.greater(self.level, 0)

    @property
    def misses(self) -> Bools:
        """Whether there was a walk."""
        return np.equal(self.level, 0)

    @property
    def cost(self) -> AccessCost:
        """What all accesses cost together."""
        return AccessCost(
            len(self.level), int(np.count_nonzero(self.level == 0)), int(self.walk_refs.sum(dtype=np.int64))
        )


class TlbHierarchy:
    """The TLBs of a CPU, empty at first: a preset's name (``CPU_TLBS``), or any arrangement.

    It has the methods of one TLB. ``arch`` says what the walks behind it are like.

    >>> cpu = TlbHierarchy("SKYLAKE")
    >>> [cpu.access(page << 12) for page in (1, 2, 1)]
    [0, 0, 1]
    >>> cpu.cost.walk_refs, cpu.cost.total
    (5, 8)
    """

    def __init__(self, cpu: CpuTlbs | str, arch: Arch | str = X86_64, trace: Trace | None = None) -> None:
        self.cpu, self.arch, self.trace = cpu_tlbs(cpu), get_arch(arch), trace
        self.tlbs = tuple(Tlb.of(each, trace) for each in sorted(self.cpu.arrays, key=lambda each: each.level))
        self.walk_cache = WalkCache(self.arch, self.cpu.walk_cache[: len(self.arch.levels) - 1], trace)
        self.level_hits = [0, 0]
        self.misses = self.walks = self.walk_refs = 0

    def __repr__(self) -> str:
        return f"<TlbHierarchy {self.cpu.name}: {', '.join(repr(tlb) for tlb in self.tlbs)}>"

    def array(self, level: int, access: str, shift: int) -> tuple[Tlb, int] | None:
        """Return the TLB that keeps pages of 2**shift bytes for "r", "w" or "x", and the size it keeps them as.

        A page that is too large for all of a level is kept in pieces of the largest size there is. None: not kept.
        """
        kind = "i" if access == "x" else "d"
        fit = [
            (size, tlb) for tlb in self.tlbs for size in tlb.geometry.shifts
            if tlb.geometry.level == level and kind in tlb.geometry.serves and size <= shift
        ]  # fmt: skip
        if not fit:
            return None
        size, tlb = max(fit, key=lambda pair: pair[0])
        return tlb, size

    # -- access by access ---------------------------------------------------------------------------------------------

    def lookup(self, virt_addr: int, asid: int = 0, access: str = "r") -> TlbEntry | None:
        """Return the translation for an address, which counts as its use; one of level 2 is copied to level 1."""
        kind = "i" if access == "x" else "d"
        for tlb in self.tlbs:
            entry = tlb.lookup(virt_addr, asid, access) if kind in tlb.geometry.serves else None
            if entry is not None:
                self.level_hits[tlb.geometry.level - 1] += 1
                if tlb.geometry.level == 2:
                    self._keep(1, entry, access, virt_addr)
                return entry
        self.misses += 1
        return None

    def insert(self, entry: TlbEntry, access: str = "r", virt_addr: int | None = None) -> None:
        """Keep what a walk found, in both levels; of a page that is too large, the piece with ``virt_addr`` in it."""
        for level in (1, 2):
            self._keep(level, entry, access, entry.virt_addr if virt_addr is None else virt_addr)

    def _keep(self, level: int, entry: TlbEntry, access: str, virt_addr: int) -> None:
        found = self.array(level, access, entry.shift)
        if found is not None:
            found[0].insert(entry, access, virt_addr)

    def walked(self, virt_addr: int, asid: int, shift: int, tables: Sequence[int]) -> None:
        """Count what a walk to a page of 2**shift bytes reads; ``tables`` are the physical addresses of all on its way.

        It starts below the lowest entry that the walk cache knows, and what it reads above the page is kept there.
        """
        self.walks += 1
        self.walk_refs += self.walk_cache.walk_refs(virt_addr, asid, shift, tables)

    def access(self, virt_addr: int, asid: int = 0, shift: int = 12, access: str = "r") -> int:
        """Play one access to a page of 2**shift bytes, without page tables; returns 1, 2 or 0 (a walk)."""
        first = self.level_hits[0]
        if self.lookup(virt_addr, asid, access) is not None:
            return 1 if self.level_hits[0] > first else 2
        page = virt_addr >> shift << shift
        self.walked(virt_addr, asid, shift, ())
        self.insert(TlbEntry(page, page, shift, asid), access, virt_addr)
        return 0

    @property
    def cost(self) -> AccessCost:
        """What the accesses so far cost."""
        return AccessCost(sum(self.level_hits) + self.misses, self.walks, self.walk_refs)

    @property
    def _parts(self) -> tuple[Tlb | WalkCache, ...]:
        return (*self.tlbs, self.walk_cache)

    def flush(self, keep_global: bool = False) -> int:
        """Throw all entries away, or all but the global ones; returns how many."""
        return sum(each.flush(keep_global) for each in self._parts)

    def flush_asid(self, asid: int) -> int:
        """Throw away what belongs to one address space; global entries stay. Returns how many entries that was."""
        return sum(each.flush_asid(asid) for each in self._parts)

    def invlpg(self, virt_addr: int, asid: int = 0) -> int:
        """Throw away what translates an address, and all of the address space's upper entries; returns how many."""
        return sum(each.invlpg(virt_addr, asid) for each in self._parts)

    def snapshot(self) -> HierarchyState:
        """Return the state as it is now."""
        tlbs, hits = tuple(tlb.snapshot() for tlb in self.tlbs), (self.level_hits[0], self.level_hits[1])
        return HierarchyState(self.cpu, tlbs, self.walk_cache.snapshot(), hits, self.cost)

    def check(self) -> None:
        """Raise InvariantError if a TLB is not in order."""
        for tlb in self.tlbs:
            tlb.check()

    # -- a whole trace ------------------------------------------------------------------------------------------------

    def simulate(
        self, virt_addrs: ArrayLike, *, fetch: ArrayLike = False, asids: ArrayLike = 0, shift: ArrayLike = 12
    ) -> HierarchyRun:
        """Return what becomes of each access if all TLBs are empty at first; what this hierarchy holds plays no part.

        ``fetch`` says which accesses are instruction fetches, ``asids`` whose they are, ``shift`` how large their pages
        are: one for all, or one for each. Pages must be of one size each. Equal to a loop of ``access``, much faster.
        """
        addresses = address_array(virt_addrs)
        shape = addresses.shape
        fetches, spaces, shifts = (np.broadcast_to(each, shape) for each in (fetch, asids, shift))
        level = np.zeros(shape, np.uint8)
        for number in (1, 2):
            asking = np.flatnonzero(level == 0)
            for tlb, sizes, which in self._choose(number, fetches.take(asking), shifts.take(asking)):
                index = asking[which]
                found = simulate(tlb.geometry, addresses.take(index), spaces.take(index), sizes, False)
                level[index[found.hits]] = number
        walks = np.flatnonzero(level == 0)
        refs = np.zeros(shape, np.uint8)
        refs[walks] = self.walk_cache.simulate(
            addresses.take(walks), asids=spaces.take(walks), shifts=shifts.take(walks)
        )
        return HierarchyRun(level, refs)

    def _choose(
        self, level: int, fetches: Bools, shifts: NDArray[np.int64]
    ) -> list[tuple[Tlb, NDArray[np.int64], NDArray[np.int64]]]:
        """Return for each TLB of a level the accesses that ask it, and the page sizes it keeps them as."""
        kept_as = np.zeros(len(shifts), np.int64)
        asked = np.full(len(shifts), -1)
        for fetch, size in {(bool(f), int(s)) for s in np.unique(shifts) for f in (False, True)}:
            found = self.array(level, "x" if fetch else "r", size)
            if found is not None:
                which = (fetches == fetch) & (shifts == size)
                asked[which], kept_as[which] = self.tlbs.index(found[0]), found[1]
        chosen = [(tlb, np.flatnonzero(asked == number)) for number, tlb in enumerate(self.tlbs)]
        return [(tlb, kept_as[index], index) for tlb, index in chosen if len(index)]
