"""A slab cache: objects of one size, handed out from slabs of pages, by lists that each CPU has for itself.

Models: mm/slub.c (Linux 6.18), slab_alloc_node(), ___slab_alloc(), do_slab_free(), __slab_free(); what moves slabs from
list to list is in ``slablists``, what debugging does in ``slabdebug``. Leaves out: sheaves, which 6.18 puts before two
of its caches; nodes (all memory is one); bulk calls; races between CPUs, so that nothing has to be tried again.

*Take*: from the CPU's own list; else all that is free in the CPU's slab becomes its list; else the next slab of its
partial list becomes its slab; else one of the node's, and a few more for the partial list; else a new slab is made.
*Give back*: to the CPU's list if the object is from the CPU's slab. Else to its slab: a slab that was full goes to the
partial list of the CPU that freed; one that has become empty gives its pages back if the node has enough partial slabs.
"""

from __future__ import annotations

from collections.abc import Callable

from mmkit.errors import BadFree, OutOfMemory
from mmkit.model.gfp import Gfp
from mmkit.model.memory import PhysicalMemory
from mmkit.model.slabcheck import check_cache, freeze_cache
from mmkit.model.slabdebug import SlabDebug
from mmkit.model.slabgeometry import DEBUG_FLAGS, geometry
from mmkit.model.slablists import FULL, NODE, Cpu, Slab, SlabLists
from mmkit.model.slabstate import CacheSnapshot, SlabFlags
from mmkit.model.slabtrace import KmemCacheAlloc, KmemCacheFree, SlabReport
from mmkit.model.snapshot import MODEL, Source
from mmkit.model.trace import Trace

__all__ = ["Cpu", "KmemCache", "Slab", "SlabFlags"]


class KmemCache(SlabLists):
    """A cache of objects of ``object_size`` bytes, whose slabs are pages of ``memory``.

    ``align`` and ``flags`` (SlabFlags) are what its creator asks for, ``ctor(address)`` is called for every object of a
    new slab. ``nr_cpus`` may use it. With a ``seed`` the objects of a new slab are handed out in an order that looks
    random (CONFIG_SLAB_FREELIST_RANDOM), without one in ascending order. ``kernel`` is "6.18" or "6.1".

    With debugging flags there are no CPU lists, and mistakes of users are reported (``reports``) as slub_debug does;
    without them a bad free raises BadFree, and overruns go unnoticed.

    Raises ValueError or TypeError for a size, an alignment or a number of CPUs that cannot be.

    >>> cache = KmemCache("dentry", 192, memory=PhysicalMemory("X86_64", "64MiB"))
    >>> first, second = cache.alloc(), cache.alloc()
    >>> second - first, cache.order, cache.objs_per_slab
    (192, 0, 21)
    >>> cache.free(first)
    >>> cache.alloc() == first
    True
    """

    def __init__(
        self,
        name: str,
        object_size: int,
        *,
        memory: PhysicalMemory,
        align: int = 0,
        flags: SlabFlags | int = 0,
        nr_cpus: int = 1,
        ctor: Callable[[int], object] | None = None,
        seed: int | None = None,
        trace: Trace | None = None,
        kernel: str = "6.18",
        freeptr_offset: int | None = None,
        kmalloc: bool = False,
        source: Source = MODEL,
        pages: dict[int, KmemCache] | None = None,
    ) -> None:
        word = memory.arch.word_bytes
        laid_out = geometry(
            name, object_size, align, flags, nr_cpus=nr_cpus, kernel=kernel, page_size=memory.arch.page_size, word=word,
            has_ctor=ctor is not None, freeptr_offset=freeptr_offset, kmalloc=kmalloc,
        )  # fmt: skip
        super().__init__(laid_out, memory, nr_cpus, ctor, seed, trace, pages)
        self.object_size, self.flags, self.source = object_size, laid_out.flags, source
        self.aliases = [name]
        self.live: dict[int, Slab] = {}
        """Every allocated object and its slab."""
        self.debug = SlabDebug(self, word, kmalloc, kernel) if self.flags & DEBUG_FLAGS else None

    def __repr__(self) -> str:
        return f"<KmemCache {self.name}: {len(self.live)} objects in use, {len(self.slabs)} slabs>"

    # -- what it is ---------------------------------------------------------------------------------------------------

    @property
    def size(self) -> int:
        """Bytes from one object to the next."""
        return self.geometry.size

    @property
    def order(self) -> int:
        """A slab is 2**order pages."""
        return self.geometry.order

    @property
    def objs_per_slab(self) -> int:
        """How many objects a slab has."""
        return self.geometry.objs_per_slab

    @property
    def reports(self) -> list[str]:
        """What debugging has found, in the layout of the kernel's log; empty without debugging."""
        return self.debug.reports if self.debug is not None else []

    # -- take ---------------------------------------------------------------------------------------------------------

    def alloc(self, cpu: int = 0, gfp: int | str = Gfp.GFP_KERNEL) -> int:
        """Return the address of an object that is free until now, taken by ``cpu``.

        Raises OutOfMemory if there is none and no memory for a new slab: then all lists are as they were. ValueError
        for a CPU that there is not.
        """
        try:
            mine = self.cpus[cpu]
        except (KeyError, TypeError):
            raise self._no_cpu(cpu) from None
        free = mine.freelist
        if not free:
            if self.debug is not None:
                return self._alloc_single(cpu, gfp)
            try:
                free = self._refill(mine, cpu, gfp)
            except OutOfMemory:
                self._tell_alloc(None, gfp)
                raise
        address = free.pop()
        self.live[address] = mine.slab  # type: ignore[assignment]
        if self.trace is not None:
            self._tell_alloc(address, gfp)
        return address

    # -- give back ----------------------------------------------------------------------------------------------------

    def free(self, address: int, cpu: int = 0) -> None:
        """Give back the object at ``address``; ``cpu`` does it.

        Raises BadFree for what is no allocated object of this cache (with CONSISTENCY_CHECKS it is reported instead),
        ValueError for a CPU that there is not; nothing has changed then.
        """
        try:
            mine = self.cpus[cpu]
            slab = self.live.pop(address)
        except (KeyError, TypeError):
            if cpu not in range(self.nr_cpus):
                raise self._no_cpu(cpu) from None
            self._refuse(address, cpu)
            return
        if slab is mine.slab:
            mine.freelist.append(address)
            if self.trace is not None:
                self.trace.emit(KmemCacheFree(address, self.name))
        elif self.debug is not None:
            self._free_single(address, slab, cpu)
        else:  # __slab_free()
            if self.trace is not None:
                self.trace.emit(KmemCacheFree(address, self.name))
            free = slab.freelist
            free.append(address)
            place = slab.place
            if place is FULL:
                self._put_cpu_partial(mine, cpu, slab)
            elif place is NODE and len(free) == slab.objects and len(self.partial) >= self.geometry.min_partial:
                del self.partial[slab]
                self._discard(slab, cpu)

    def _refuse(self, address: int, cpu: int) -> None:
        """Answer a free of what is not allocated."""
        checks = self.debug is not None and self.flags & SlabFlags.CONSISTENCY_CHECKS
        if checks and isinstance(address, int) and not isinstance(address, bool):
            assert self.debug is not None
            self.debug.bad_free(address, cpu)
            return
        raise BadFree(self.why_not_freed(address))

    def why_not_freed(self, address: object) -> str:
        """Say in words why ``address`` cannot be freed here."""
        if isinstance(address, bool) or not isinstance(address, int):
            return f"an object is freed by its address, not by {address!r}"
        slab, owner = self.slab_of(address), self.owner_of(address)
        if slab is None and owner is not None:
            return f"{address:#x} lies in a slab of cache {owner.name}, not of {self.name}"
        if slab is None:
            return f"{address:#x} is in no slab of cache {self.name}: it was never allocated from it"
        index, inside = divmod(address - slab.address - self.geometry.red_left_pad, self.size)
        if 0 <= index < slab.objects and not inside:
            return f"object {address:#x} of cache {self.name} is free already"
        if 0 <= index < slab.objects and inside < self.object_size:
            start = slab.address + self.geometry.start_of(index)
            return (
                f"{address:#x} is no object of cache {self.name}: it lies {inside} bytes inside the one at {start:#x}"
            )
        return f"{address:#x} is no object of cache {self.name}: it lies between two, or at the end of the slab"

    def owner_of(self, address: int) -> KmemCache | None:
        """Return the cache in whose slab an address lies: this, or another one of its allocator; None if in none."""
        return self.pages.get(self._pfn_of(address))

    def _pfn_of(self, address: int) -> int:
        arch = self.memory.arch
        return address - arch.page_offset >> arch.page_shift

    def slab_of(self, address: int) -> Slab | None:
        """Return the slab that ``address`` lies in; None if it lies in none of this cache."""
        pfn = self._pfn_of(address)
        if self.pages.get(pfn) is not self:
            return None
        return next(self.slabs[first] for first in range(pfn, -1, -1) if first in self.slabs)

    # -- with debugging -----------------------------------------------------------------------------------------------

    def _alloc_single(self, cpu: int, gfp: int | str) -> int:
        """With debugging each object is taken from the node's first partial slab, or from a new one."""
        assert self.debug is not None
        while True:
            try:
                slab = next(iter(self.partial)) if self.partial else self._new_slab(gfp, cpu)
            except OutOfMemory:
                self._tell_alloc(None, gfp)
                raise
            if slab not in self.partial:
                self._add_partial(slab, head=True)
            address = slab.freelist.pop()
            self._after_single(slab)
            if self.debug.allocated(address, slab, cpu):
                break
            self._give_up(address, slab)
        self.live[address] = slab
        self._tell_alloc(address, gfp)
        return address

    def _free_single(self, address: int, slab: Slab, cpu: int) -> None:
        """free_to_partial_list()."""
        assert self.debug is not None
        if not self.debug.freed(address, slab, cpu):
            self.live[address] = slab  # the kernel does not put back what somebody has damaged
            return
        if self.trace is not None:
            self.trace.emit(KmemCacheFree(address, self.name))
        was_full = not slab.freelist
        slab.freelist.append(address)
        if len(slab.freelist) == slab.objects and len(self.partial) >= self.geometry.min_partial:
            self.partial.pop(slab, None)
            self._discard(slab, cpu)
        elif was_full:
            self._add_partial(slab)

    def _after_single(self, slab: Slab) -> None:
        if not slab.freelist:
            del self.partial[slab]
            self._move(slab, FULL, None)

    def _give_up(self, address: int, slab: Slab) -> None:
        """Mark all free objects of a slab as used: somebody writes into it, and none of them can be trusted."""
        assert self.debug is not None
        self.debug.lost.update([address, *slab.freelist])
        slab.freelist = []
        if slab.place is not FULL:
            self._after_single(slab)

    # -- memory of objects, snapshot and check ------------------------------------------------------------------------

    def read(self, address: int, nr_bytes: int) -> bytes:
        """Return bytes of a slab, as anybody in the kernel can who has an address. Needs a debugging flag.

        Raises ValueError outside the slabs of this cache, or if it keeps no bytes.
        """
        return self._memory_of_objects().read(address, nr_bytes)

    def write(self, address: int, data: bytes) -> None:
        """Write bytes into a slab, right or wrong: nobody in the kernel checks it. Arguments as of ``read``."""
        self._memory_of_objects().write(address, data)

    def _memory_of_objects(self) -> SlabDebug:
        if self.debug is None:
            raise ValueError(
                f"cache {self.name} keeps no bytes: make it with a debugging flag, such as SlabFlags.POISON"
            )
        return self.debug

    def validate(self) -> list[str]:
        """Look at every object for damage, as a write to ``/sys/kernel/slab/NAME/validate`` does; return reports."""
        return self._memory_of_objects().validate()

    def snapshot(self) -> CacheSnapshot:
        """Return the whole state."""
        return freeze_cache(self)

    @classmethod
    def from_snapshot(
        cls, snapshot: CacheSnapshot, *, memory: PhysicalMemory, seed: int | None = None, trace: Trace | None = None
    ) -> KmemCache:
        """Return a cache that goes on as the one the snapshot was taken of; ``memory`` is that of the same moment.

        New slabs follow ``seed`` from its beginning. Raises ValueError for a cache that is debugged (a snapshot does
        not have its bytes), or if ``memory`` has no slabs there.
        """
        geometry = snapshot.geometry
        if geometry.flags & DEBUG_FLAGS:
            raise ValueError(f"cache {geometry.name} is debugged: its snapshot lacks the bytes to go on from")
        cache = cls.__new__(cls)
        SlabLists.__init__(cache, geometry, memory, snapshot.nr_cpus, None, seed, trace)
        cache.object_size, cache.flags, cache.source = geometry.object_size, geometry.flags, snapshot.source
        cache.aliases, cache.live = [geometry.name, *snapshot.aliases], {}
        for state in snapshot.slabs:
            cache.live.update(cache.restore(state))
        return cache

    def check(self) -> None:
        """Raise InvariantError, naming the rule, unless lists, slabs and pages agree with each other."""
        check_cache(self)

    def _tell_alloc(self, address: int | None, gfp: int | str) -> None:
        if self.trace is None:
            return
        mask = int(Gfp.parse(gfp)) if isinstance(gfp, str) else int(gfp)
        self.trace.emit(KmemCacheAlloc(address, self.name, self.object_size, self.size, mask))

    def tell_report(self, address: int, what: str, report: str) -> None:
        """Tell listeners what debugging has found."""
        if self.trace is not None:
            self.trace.emit(SlabReport(address, self.name, what, report))
