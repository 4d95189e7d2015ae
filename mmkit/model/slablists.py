"""The slabs of a cache, and the lists that they are on: each CPU's slab and partial slabs, the node's partial slabs.

Models: mm/slub.c (Linux 6.18), struct kmem_cache_cpu, struct kmem_cache_node; ___slab_alloc() from new_slab on,
get_partial_node(), put_cpu_partial(), __put_partials(), allocate_slab(), discard_slab(), deactivate_slab(),
__kmem_cache_do_shrink(), shuffle_freelist(). Leaves out: as :mod:`mmkit.model.slab`.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Iterable
from random import Random
from typing import TYPE_CHECKING

from mmkit.errors import OutOfMemory
from mmkit.model.gfp import Gfp
from mmkit.model.memory import PhysicalMemory
from mmkit.model.page import Page
from mmkit.model.pageflags import PageType
from mmkit.model.slabgeometry import get_order
from mmkit.model.slabstate import ObjectState, Place, SlabFlags, SlabGeometry, SlabSnapshot
from mmkit.model.slabtrace import SlabDiscard, SlabMove, SlabNew
from mmkit.model.trace import Trace

if TYPE_CHECKING:
    from mmkit.model.slab import KmemCache
    from mmkit.model.slabdebug import SlabDebug

CPU, CPU_PARTIAL, NODE, FULL = Place
SHRINK_PROMOTE_MAX = 32
"""Shrinking sorts slabs with up to so many free objects: the fullest come first."""
PASSED_ON = (
    Gfp.RECLAIM | Gfp.HIGH | Gfp.IO | Gfp.FS | Gfp.NOWARN | Gfp.RETRY_MAYFAIL | Gfp.NOFAIL | Gfp.NORETRY
    | Gfp.MEMALLOC | Gfp.NOMEMALLOC | Gfp.HARDWALL | Gfp.THISNODE
)  # fmt: skip
"""What of a request's flags goes for the pages of a new slab too: how hard to look for them, not from which zone."""


class Slab:
    """One slab: a block of pages cut into objects. ``freelist`` has addresses of free objects, the head last."""

    __slots__ = ("address", "cpu", "freelist", "objects", "order", "page", "place")

    def __init__(self, page: Page, order: int, objects: int, address: int) -> None:
        self.page, self.order, self.objects, self.address = page, order, objects, address
        self.freelist: list[int] = []
        self.place = CPU
        self.cpu: int | None = None

    @property
    def pfn(self) -> int:
        """Its first page."""
        return self.page.pfn

    def __repr__(self) -> str:
        free = f"{len(self.freelist)} of {self.objects} objects on its list"
        return f"<Slab at pfn {self.pfn:#x}: {free}, {self.place.name}>"


class Cpu:
    """What one CPU has of a cache: its slab, the list it takes objects from (head last), and its partial slabs."""

    __slots__ = ("freelist", "partial", "slab")

    def __init__(self) -> None:
        self.slab: Slab | None = None
        self.freelist: list[int] = []
        self.partial: deque[Slab] = deque()
        """Head first."""


class SlabLists:
    """The state that :class:`mmkit.model.slab.KmemCache` works on; see there for the arguments."""

    def __init__(
        self,
        geometry: SlabGeometry,
        memory: PhysicalMemory,
        nr_cpus: int,
        ctor: Callable[[int], object] | None,
        seed: int | None,
        trace: Trace | None,
        pages: dict[int, KmemCache] | None = None,
    ) -> None:
        self.geometry, self.memory, self.nr_cpus = geometry, memory, nr_cpus
        self.ctor, self.trace = ctor, trace
        self.name = geometry.name
        self.cpus = {cpu: Cpu() for cpu in range(nr_cpus)}
        """By number: a dict, so that -1 is nobody."""
        self.partial: OrderedDict[Slab, None] = OrderedDict()
        """The node's partial slabs, head first."""
        self.slabs: dict[int, Slab] = {}
        """All slabs, by their first page."""
        self.pages: dict[int, KmemCache] = {} if pages is None else pages
        """Whose slab a page belongs to: a page knows it in the kernel. Caches of one allocator share it."""
        self.debug: SlabDebug | None = None
        self.sequence = _sequence(geometry.objs_per_slab, seed)
        self._gfp = _gfp_of(geometry.flags)
        self._rng = Random(seed) if seed is not None else None

    def _refill(self, mine: Cpu, cpu: int, gfp: int | str) -> list[int]:
        """Give the CPU a slab whose free objects are its list, and return that list."""
        slab = mine.slab
        if slab is None or not slab.freelist:
            if slab is not None:
                mine.slab, slab.place, slab.cpu = None, FULL, None
                if self.trace is not None:
                    self._tell_move(slab, CPU)
            slab = mine.partial.popleft() if mine.partial else self._node_or_new_slab(gfp, cpu)
            mine.slab, old, slab.place, slab.cpu = slab, slab.place, CPU, cpu
            if self.trace is not None:
                self._tell_move(slab, old)
            if old is NODE:
                self._take_more(mine, cpu)
        mine.freelist, slab.freelist = slab.freelist, mine.freelist  # which is empty
        return mine.freelist

    def _node_or_new_slab(self, gfp: int | str, cpu: int) -> Slab:
        if self.partial:
            return self.partial.popitem(last=False)[0]
        return self._new_slab(gfp, cpu)

    def _take_more(self, mine: Cpu, cpu: int) -> None:
        """A CPU that has come for a slab of the node takes some more on the way, half of what it may have."""
        most, partial = self.geometry.cpu_partial_slabs, self.partial
        for _ in range(min(most // 2 + 1 if most else 0, len(partial))):
            slab, _ = partial.popitem(last=False)
            mine.partial.appendleft(slab)
            slab.place, slab.cpu = CPU_PARTIAL, cpu
            if self.trace is not None:
                self._tell_move(slab, NODE)

    def _put_cpu_partial(self, mine: Cpu, cpu: int, slab: Slab) -> None:
        """Put a slab that was full at the head of the CPU's partial list; if there are too many, all others leave."""
        partial = mine.partial
        if len(partial) < self.geometry.cpu_partial_slabs:
            partial.appendleft(slab)
            slab.place, slab.cpu = CPU_PARTIAL, cpu
            if self.trace is not None:
                self._tell_move(slab, FULL)
            return
        mine.partial = deque([slab])
        self._move(slab, CPU_PARTIAL, cpu)
        self._put_partials(partial, cpu)

    def _put_partials(self, slabs: Iterable[Slab], cpu: int) -> None:
        """Put a CPU's slabs at the tail of the node's list; then those go that it has no use for, the last first."""
        partial, min_partial, unwanted = self.partial, self.geometry.min_partial, []
        for slab in slabs:
            if len(slab.freelist) == slab.objects and len(partial) >= min_partial:
                unwanted.append(slab)
                continue
            partial[slab] = None
            slab.place, slab.cpu = NODE, None
            if self.trace is not None:
                self._tell_move(slab, CPU_PARTIAL)
        for slab in reversed(unwanted):
            self._discard(slab, cpu)

    def _add_partial(self, slab: Slab, head: bool = False) -> None:
        self.partial[slab] = None
        if head:
            self.partial.move_to_end(slab, last=False)
        self._move(slab, NODE, None)

    # -- slabs come and go --------------------------------------------------------------------------------------------

    def _new_slab(self, gfp: int | str, cpu: int) -> Slab:
        """Make a slab of the preferred order or, when memory is short, of the smallest that holds an object."""
        page, order = self._pages(gfp, cpu)
        page.set_type(PageType.slab)
        address = page.virtual
        assert address is not None  # slabs never come from high memory
        slab = Slab(page, order, (self.geometry.page_size << order) // self.geometry.size, address)
        slab.freelist = [address + self.geometry.start_of(i) for i in reversed(self._order_of(slab))]
        self._known(slab)
        for object_address in reversed(slab.freelist) if self.ctor else ():
            self.ctor(object_address)  # type: ignore[misc]
        if self.debug is not None:
            self.debug.new_slab(slab)
        if self.trace is not None:
            self.trace.emit(SlabNew(slab.pfn, self.name, order, slab.objects))
        return slab

    def _pages(self, gfp: int | str, cpu: int) -> tuple[Page, int]:
        """allocate_slab(): as long as less would do, nobody is to sleep, complain or use up reserves for more."""
        flags = (Gfp.parse(gfp) if isinstance(gfp, str) else Gfp(gfp)) & PASSED_ON | self._gfp
        order, least = self.geometry.order, get_order(self.geometry.size, self.geometry.page_size)
        first_try = (flags | Gfp.NOWARN | Gfp.NORETRY) & ~Gfp.NOFAIL
        if order > least and flags & Gfp.DIRECT_RECLAIM:
            first_try = (first_try | Gfp.NOMEMALLOC) & ~Gfp.RECLAIM
        try:
            return self.memory.alloc_pages(first_try, order, self._page_cpu(cpu)), order
        except OutOfMemory:
            return self.memory.alloc_pages(flags, least, self._page_cpu(cpu)), least

    def _page_cpu(self, cpu: int) -> int:
        """Whose lists of free pages a CPU uses: its own, if memory knows of so many CPUs."""
        return cpu if cpu < self.memory.settings.nr_cpus else 0

    def restore(self, state: SlabSnapshot) -> dict[int, Slab]:
        """Make the slab of a snapshot, on its list, behind those made before; return its objects in use.

        Raises ValueError if the pages there are no slab.
        """
        page, geometry = self.memory.mem_map[state.pfn], self.geometry
        if not page.is_slab or page.virtual != state.address:
            raise ValueError(f"page {state.pfn} of the memory is no slab: take the snapshots of both at one moment")
        whole = len(state.objects) == geometry.objs_per_slab
        order = geometry.order if whole else get_order(geometry.size, geometry.page_size)
        slab = self._known(Slab(page, order, len(state.objects), state.address))
        slab.place, slab.cpu = state.place, state.cpu
        addresses = [state.address + geometry.start_of(index) for index in range(slab.objects)]
        slab.freelist = [addresses[index] for index in reversed(state.freelist)]
        if state.place is CPU and state.cpu is not None:
            mine = self.cpus[state.cpu]
            mine.slab, mine.freelist = slab, [addresses[index] for index in reversed(state.cpu_freelist)]
        elif state.place is CPU_PARTIAL and state.cpu is not None:
            self.cpus[state.cpu].partial.append(slab)
        elif state.place is NODE:
            self.partial[slab] = None
        return {addresses[i]: slab for i, each in enumerate(state.objects) if each == ObjectState.ALLOCATED}

    def _known(self, slab: Slab) -> Slab:
        self.slabs[slab.pfn] = slab
        for pfn in range(slab.pfn, slab.pfn + (1 << slab.order)):
            self.pages[pfn] = self  # type: ignore[assignment]
        return slab

    def _order_of(self, slab: Slab) -> list[int]:
        """In which order the objects of a new slab are to be handed out."""
        if self._rng is None:
            return list(range(slab.objects))
        start = self._rng.randrange(len(self.sequence))
        turned = self.sequence[start:] + self.sequence[:start]
        return [index for index in turned if index < slab.objects]

    def _discard(self, slab: Slab, cpu: int) -> None:
        del self.slabs[slab.pfn]
        for pfn in range(slab.pfn, slab.pfn + (1 << slab.order)):
            del self.pages[pfn]
        if self.debug is not None:
            self.debug.discard(slab)
        slab.page.clear_type()
        if self.trace is not None:
            self.trace.emit(SlabDiscard(slab.pfn, self.name, slab.order))
        self.memory.free_pages(slab.page, slab.order, self._page_cpu(cpu))

    def _move(self, slab: Slab, place: Place, cpu: int | None) -> None:
        old, slab.place, slab.cpu = slab.place, place, cpu
        if self.trace is not None:
            self._tell_move(slab, old)

    def _tell_move(self, slab: Slab, old: Place) -> None:
        assert self.trace is not None
        inuse = slab.objects - len(slab.freelist)
        self.trace.emit(SlabMove(slab.pfn, self.name, old, slab.place, slab.cpu, inuse))

    def flush(self, cpu: int | None = None) -> None:
        """Take slab and partial slabs away from a CPU, or from all: what is free in them goes back to the slabs."""
        if cpu is not None and cpu not in range(self.nr_cpus):
            raise self._no_cpu(cpu)
        for number in self.cpus if cpu is None else [cpu]:
            mine = self.cpus[number]
            slab, mine.slab = mine.slab, None
            if slab is not None:
                self._deactivate(slab, mine, number)
            partial, mine.partial = mine.partial, deque()
            self._put_partials(partial, number)

    def _deactivate(self, slab: Slab, mine: Cpu, cpu: int) -> None:
        head = not slab.freelist  # only what the CPU itself has freed lately: still in its hardware cache
        slab.freelist, mine.freelist = slab.freelist + mine.freelist, []
        if len(slab.freelist) == slab.objects and len(self.partial) >= self.geometry.min_partial:
            self._discard(slab, cpu)
        elif slab.freelist:
            self._add_partial(slab, head)
        else:
            self._move(slab, FULL, None)

    def shrink(self) -> int:
        """Give back all empty slabs, and put the fullest of the others first; return how many were given back.

        The kernel does it when ``/sys/kernel/slab/NAME/shrink`` is written, or a cache is about to be destroyed.
        """
        before = len(self.slabs)
        self.flush()
        last_first = list(reversed(self.partial))  # each is moved to the head of where it goes
        empty = [slab for slab in last_first if len(slab.freelist) == slab.objects]
        few = [slab for slab in last_first if len(slab.freelist) <= min(SHRINK_PROMOTE_MAX, slab.objects - 1)]
        gone = {*empty, *few}
        rest = [slab for slab in self.partial if slab not in gone]
        self.partial = OrderedDict.fromkeys([*sorted(few, key=lambda slab: len(slab.freelist)), *rest])
        for slab in empty:
            self._discard(slab, 0)
        return before - len(self.slabs)

    def _no_cpu(self, cpu: object) -> ValueError:
        return ValueError(f"cache {self.name} is used by CPUs 0 to {self.nr_cpus - 1}, not {cpu!r}")


def _gfp_of(flags: SlabFlags) -> Gfp:
    found = Gfp.COMP | Gfp.RECLAIMABLE if flags & SlabFlags.RECLAIM_ACCOUNT else Gfp.COMP
    return found | (Gfp.DMA if flags & SlabFlags.CACHE_DMA else Gfp(0))


def _sequence(objects: int, seed: int | None) -> list[int]:
    """init_cache_random_seq(): one shuffled order, which every new slab enters at a place of its own."""
    sequence = list(range(objects))
    if seed is not None:
        Random(f"slab {seed}").shuffle(sequence)
    return sequence
