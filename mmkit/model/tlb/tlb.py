"""A translation lookaside buffer: the CPU's memory of recent translations, set by set.

Models: a set-associative TLB as in the Intel SDM volume 3A, 4.10 "Caching Translation Information" (tags with PCID,
global pages, what INVLPG and loads of CR3 throw away); arch/x86/mm/tlb.c (Linux 6.18) is who asks for the flushes.
Leaves out: hashed set indices, entries that cover several neighbouring pages, flushes that other CPUs ask for.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from mmkit.errors import InvariantError
from mmkit.model.snapshot import MODEL, Source
from mmkit.model.tlb.policy import make_order
from mmkit.model.tlbstate import LRU, AccessCost, TlbEntry, TlbGeometry, TlbSetState, TlbState
from mmkit.model.tlbtrace import TlbFill, TlbFlush, TlbHit, TlbMiss
from mmkit.model.trace import Trace

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from mmkit.model.tlb.simulate import Simulation

GLOBAL = -1
"""Stands in a key for the address space of a translation that is valid in all of them."""
Key = tuple[int, int, int]
"""Page number, page shift, address space."""


class Tlb:
    """A TLB of ``entries`` translations in sets of ``ways`` (None: fully associative, one set of all).

    It holds pages of 2**shift bytes for each of ``shifts``, replaces by ``policy`` ("lru", "plru"). ``level``,
    ``serves`` and ``name`` say which of a CPU's TLBs it is.

    Raises ValueError or TypeError for a geometry that cannot be.

    >>> tlb = Tlb(4, ways=2)
    >>> [tlb.access(page << 12) for page in (0, 2, 4, 0)]
    [False, False, False, False]
    >>> tlb.access(0), tlb.hits, tlb.misses, tlb.geometry.reach_bytes
    (True, 1, 4, 16384)
    """

    def __init__(
        self,
        entries: int = 64,
        ways: int | None = None,
        *,
        shifts: tuple[int, ...] = (12,),
        policy: str = LRU,
        level: int = 1,
        serves: str = "id",
        name: str = "TLB",
        trace: Trace | None = None,
    ) -> None:
        made = TlbGeometry(entries, entries if ways is None else ways, tuple(shifts), policy, level, serves, name)
        self._set_up(checked(made), trace)

    @classmethod
    def of(cls, geometry: TlbGeometry, trace: Trace | None = None) -> Tlb:
        """Return an empty TLB of that geometry; errors as of the class."""
        made = cls.__new__(cls)
        made._set_up(checked(geometry), trace)
        return made

    def _set_up(self, geometry: TlbGeometry, trace: Trace | None) -> None:
        self.geometry, self.trace = geometry, trace
        self.hits = self.misses = self.walks = self.walk_refs = 0
        self._ways: list[list[TlbEntry | None]] = [[None] * geometry.ways for _ in range(geometry.sets)]
        self._orders = [make_order(geometry.policy, geometry.ways) for _ in range(geometry.sets)]
        self._where: dict[Key, tuple[int, int]] = {}
        self._globals = self._pieces = 0
        """How many entries hold everywhere, and how many are a part of a larger page."""

    def __repr__(self) -> str:
        return f"<Tlb {self.geometry.name}: {len(self)} of {self.geometry.entries} entries, {self.geometry.ways} ways>"

    def __len__(self) -> int:
        return len(self._where)

    # -- use ----------------------------------------------------------------------------------------------------------

    def lookup(self, virt_addr: int, asid: int = 0, access: str = "r") -> TlbEntry | None:
        """Return the translation for an address in an address space, which counts as its use; None if there is none.

        ``access`` ("r", "w", "x") is for those who have several TLBs; one does not care.
        """
        where = self._where
        for shift in self.geometry.shifts:
            at = where.get((virt_addr >> shift, shift, asid))
            if at is None and self._globals:
                at = where.get((virt_addr >> shift, shift, GLOBAL))
            if at is not None:
                self.hits += 1
                self._orders[at[0]].touch(at[1])
                if self.trace is not None:
                    self.trace.emit(TlbHit(self.geometry.name, virt_addr, asid, *at))
                return self._ways[at[0]][at[1]]
        self.misses += 1
        if self.trace is not None:
            self.trace.emit(TlbMiss(self.geometry.name, virt_addr, asid, self.geometry.set_of(virt_addr)))
        return None

    def insert(self, entry: TlbEntry, access: str = "r", virt_addr: int | None = None) -> TlbEntry | None:
        """Keep a translation, as the set's most recent; returns the one that had to go for it, if any.

        One that is there already for the same page and address space is replaced. Of a page of a size that this TLB
        does not hold the piece around ``virt_addr`` is kept, if it holds a smaller size. Raises ValueError for such a
        page without ``virt_addr``, and for addresses that are no multiple of its size; nothing has changed then.
        """
        if virt_addr is not None and entry.shift not in self.geometry.shifts:
            smaller = [shift for shift in self.geometry.shifts if shift < entry.shift]
            if not smaller:
                return None
            entry = entry.piece(virt_addr, smaller[-1])
        key = self._key(entry)
        at = self._where.get(key)
        evicted = None
        if at is None:
            at = self._room(key[0] % self.geometry.sets)
            evicted = self._ways[at[0]][at[1]]
            if evicted is not None:
                self._forget(evicted)
            self._where[key] = at
            self._globals += entry.glob
            self._pieces += bool(entry.page_shift)
        else:
            self._pieces += bool(entry.page_shift) - self._is_piece(at)
        self._ways[at[0]][at[1]] = entry
        self._orders[at[0]].touch(at[1])
        if self.trace is not None:
            self.trace.emit(TlbFill(self.geometry.name, entry, *at, evicted))
        return evicted

    def access(self, virt_addr: int, asid: int = 0, shift: int | None = None) -> bool:
        """Look an address up and, if it is not there, keep a translation of its page to itself; says whether it hit.

        What patterns of accesses need to be played, without page tables. The page has 2**shift bytes, else as few as
        this TLB holds.
        """
        if self.lookup(virt_addr, asid) is not None:
            return True
        shift = self.geometry.shifts[0] if shift is None else shift
        page = virt_addr >> shift << shift
        self.walks += 1
        self.insert(TlbEntry(page, page, shift, asid))
        return False

    def walked(self, virt_addr: int, asid: int, shift: int, tables: Sequence[int]) -> None:
        """Count what a walk to a page of 2**shift bytes read: an entry of each of ``tables`` (physical addresses)."""
        self.walks += 1
        self.walk_refs += len(tables)

    @property
    def cost(self) -> AccessCost:
        """What the accesses so far cost."""
        return AccessCost(self.hits + self.misses, self.walks, self.walk_refs)

    # -- throw away ---------------------------------------------------------------------------------------------------

    def flush(self, keep_global: bool = False) -> int:
        """Throw all entries away, or all but the global ones (loading CR3 without PCIDs does so); returns how many."""
        return self._drop("flush", lambda entry: not (keep_global and entry.glob))

    def flush_asid(self, asid: int) -> int:
        """Throw away what belongs to one address space; global entries stay. Returns how many entries that was."""
        return self._drop("asid", lambda entry: entry.asid == asid and not entry.glob)

    def invlpg(self, virt_addr: int, asid: int = 0) -> int:
        """Throw away what translates an address, in one address space or globally; returns how many entries it was.

        All pieces of a large page go (SDM volume 3A, 4.10.4.1).
        """
        if self._globals or self._pieces:
            return self._drop("invlpg", lambda entry: entry.is_of(virt_addr) and (entry.glob or entry.asid == asid))
        places = [self._where.get((virt_addr >> shift, shift, asid)) for shift in self.geometry.shifts]
        entries = [self._ways[place[0]][place[1]] for place in places if place]
        return self._take_out("invlpg", [entry for entry in entries if entry])

    def _drop(self, reason: str, goes: Callable[[TlbEntry], bool]) -> int:
        return self._take_out(reason, [entry for ways in self._ways for entry in ways if entry and goes(entry)])

    def _take_out(self, reason: str, found: list[TlbEntry]) -> int:
        for entry in found:
            set_index, way = self._forget(entry)
            self._ways[set_index][way] = None
        if self.trace is not None:
            self.trace.emit(TlbFlush(self.geometry.name, reason, len(found)))
        return len(found)

    # -- look at ------------------------------------------------------------------------------------------------------

    def snapshot(self, source: Source = MODEL) -> TlbState:
        """Return the state as it is now."""
        pairs = zip(self._ways, self._orders, strict=True)
        sets = tuple(
            TlbSetState(
                tuple(ways),
                tuple(age if entry is not None else None for entry, age in zip(ways, order.ages(), strict=True)),
                order.bits(),
                ways.index(None) if None in ways else order.victim(),
            )
            for ways, order in pairs
        )
        return TlbState(self.geometry, sets, self.hits, self.misses, source)

    def check(self) -> None:
        """Raise InvariantError if an entry is where no lookup finds it, or twice."""
        found: dict[Key, tuple[int, int]] = {}
        for number, ways in enumerate(self._ways):
            for way, entry in enumerate(ways):
                if entry is not None:
                    key = self._key(entry)
                    if key in found or key[0] % self.geometry.sets != number:
                        raise InvariantError(f"entry {entry} is in set {number}: in the wrong one, or twice")
                    found[key] = (number, way)
        if found != self._where or self._globals != sum(key[2] == GLOBAL for key in found):
            raise InvariantError("the index of entries does not say where they are")
        if self._pieces != sum(map(self._is_piece, found.values())):
            raise InvariantError(f"{self._pieces} entries are counted as parts of larger pages, and others are")

    def simulate(
        self,
        virt_addrs: NDArray[np.uint64],
        *,
        asids: NDArray[np.integer] | int = 0,
        shift: NDArray[np.integer] | int | None = None,
        flush_on_switch: bool = False,
    ) -> Simulation:
        """Return, access by access, what would hit and miss in a TLB of this geometry that is empty at first.

        ``virt_addrs`` is an array of addresses, in the order of the accesses. ``asids`` and ``shift`` (pages of
        2**shift bytes, else the smallest) are one for all or one for each. With ``flush_on_switch`` the TLB is emptied
        whenever the address space changes. What this TLB holds plays no part and stays. Equal to a loop of ``access``,
        and much faster. Raises TypeError or ValueError for what are no such arrays.
        """
        from mmkit.model.tlb.simulate import simulate

        return simulate(self.geometry, virt_addrs, asids, shift, flush_on_switch)

    # -- inside -------------------------------------------------------------------------------------------------------

    def _key(self, entry: TlbEntry) -> Key:
        if entry.shift not in self.geometry.shifts:
            sizes = ", ".join(f"2**{shift}" for shift in self.geometry.shifts)
            raise ValueError(f"{self.geometry.name} holds pages of {sizes} bytes, not of 2**{entry.shift}")
        if (entry.virt_addr | entry.phys_addr) & ((1 << entry.shift) - 1):
            raise ValueError(f"{entry.virt_addr:#x} -> {entry.phys_addr:#x} is no page of 2**{entry.shift} bytes")
        return entry.virt_addr >> entry.shift, entry.shift, GLOBAL if entry.glob else entry.asid

    def _is_piece(self, at: tuple[int, int]) -> bool:
        entry = self._ways[at[0]][at[1]]
        return entry is not None and bool(entry.page_shift)

    def _room(self, set_index: int) -> tuple[int, int]:
        ways = self._ways[set_index]
        return set_index, ways.index(None) if None in ways else self._orders[set_index].victim()

    def _forget(self, entry: TlbEntry) -> tuple[int, int]:
        self._globals -= entry.glob
        self._pieces -= bool(entry.page_shift)
        return self._where.pop(self._key(entry))


def checked(geometry: TlbGeometry) -> TlbGeometry:
    """Return the geometry. Raises TypeError or ValueError, with the value, for one that cannot be."""
    entries, ways, shifts = geometry.entries, geometry.ways, geometry.shifts
    for what, value in (("entries", entries), ("ways", ways)):
        if not isinstance(value, int) or isinstance(value, bool):
            raise TypeError(f"{what} of a TLB are a whole number, not {value!r}")
        if value < 1:
            raise ValueError(f"a TLB has at least one of {what}, not {value}")
    if entries % ways or (entries // ways) & (entries // ways - 1):
        raise ValueError(f"{entries} entries of {ways} ways make no power of two of sets: address bits choose the set")
    if not shifts or sorted(set(shifts)) != list(shifts) or not 0 < shifts[0] <= shifts[-1] < 64:
        raise ValueError(f"page sizes are ascending powers of two such as (12, 21), not {shifts!r}")
    if geometry.level not in (1, 2) or geometry.serves not in ("i", "d", "id"):
        raise ValueError(f"a TLB of level {geometry.level} for {geometry.serves!r}: there are 1 and 2, 'i', 'd', 'id'")
    make_order(geometry.policy, ways)
    return geometry
