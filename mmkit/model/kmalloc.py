"""``kmalloc``: memory of any size, from caches of a few sizes; and the list of all caches of a machine.

Models: __do_kmalloc_node(), ___kmalloc_large_node(), kfree() of mm/slub.c; __kmem_cache_create_args(), ksize() of
mm/slab_common.c; get_slabinfo() (Linux 6.18). Leaves out: kvmalloc, krealloc, caches per memory cgroup.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import count

from mmkit.errors import BadFree, InvariantError, OutOfMemory
from mmkit.model.gfp import Gfp, check_gfp
from mmkit.model.kmallocsize import (
    KINDS,
    SIZES,
    ZERO_SIZE_PTR,
    find_mergeable,
    kmalloc_align,
    kmalloc_kind,
    kmalloc_name,
    unique_id,
    unmergeable,
)  # fmt: skip
from mmkit.model.memory import PhysicalMemory
from mmkit.model.page import Page
from mmkit.model.pageflags import PageType
from mmkit.model.slab import KmemCache
from mmkit.model.slabgeometry import geometry, get_order
from mmkit.model.slabstate import Place, SlabFlags, SlabInfo, SlabInfoLine
from mmkit.model.slabtrace import Kfree, Kmalloc
from mmkit.model.snapshot import MODEL, Source
from mmkit.model.trace import Trace
from mmkit.record import replace
from mmkit.units import format_size

GFP_KERNEL = Gfp.GFP_KERNEL


class SlabAllocator:
    """All slab caches of a machine: those of ``kmalloc``, and those that are created by name.

    ``debug`` flags are those of all caches, as ``slub_debug=`` on the kernel's command line; other arguments as of
    KmemCache.

    >>> slabs = SlabAllocator(PhysicalMemory("X86_64", "64MiB"))
    >>> address = slabs.kmalloc(100)
    >>> slabs.ksize(address), slabs.cache_of(address).name
    (128, 'kmalloc-128')
    >>> slabs.kfree(address)
    """

    def __init__(
        self,
        memory: PhysicalMemory,
        nr_cpus: int = 1,
        *,
        seed: int | None = None,
        trace: Trace | None = None,
        kernel: str = "6.18",
        debug: SlabFlags | int = 0,
        source: Source = MODEL,
    ) -> None:
        self.memory, self.nr_cpus, self.trace, self.kernel, self.source = memory, nr_cpus, trace, kernel, source
        self.debug = SlabFlags(debug)
        self._seeds = count(seed) if seed is not None else None
        self.caches: list[KmemCache] = []
        """All caches, in the order in which they were made."""
        self._usersizes: dict[str, int] = {}
        self._pages: dict[int, KmemCache] = {}
        self._page_offset, self._page_shift = memory.arch.page_offset, memory.arch.page_shift
        self._large: dict[int, tuple[Page, int]] = {}
        """Blocks of pages that kmalloc gave, and their orders, by address."""
        self._classes: dict[str, list[KmemCache | None]] = {}
        for size in SIZES:
            self._kmalloc_cache("", size)
        self._normal = self._classes[""]

    def __repr__(self) -> str:
        return f"<SlabAllocator: {len(self.caches)} caches, {sum(len(cache.slabs) for cache in self.caches)} slabs>"

    # -- caches -------------------------------------------------------------------------------------------------------

    def create(
        self,
        name: str,
        object_size: int,
        *,
        align: int = 0,
        flags: SlabFlags | int = 0,
        ctor: Callable[[int], object] | None = None,
        usersize: int = 0,
    ) -> KmemCache:
        """Return a cache for objects of that size: a new one, or one that serves them already and gets another name.

        ``usersize``: bytes of an object that may be copied to and from user space. Raises ValueError or TypeError as
        KmemCache does, ValueError for a name that is taken.
        """
        if any(name in cache.aliases for cache in self.caches):
            raise ValueError(f"there is a cache {name!r} already")
        flags = SlabFlags(flags) | self.debug
        made = geometry(
            name, object_size, align, flags, nr_cpus=self.nr_cpus, kernel=self.kernel, has_ctor=ctor is not None,
            page_size=self.memory.arch.page_size, word=self.memory.arch.word_bytes,
        )  # fmt: skip
        if not unmergeable(made, usersize):
            known = [cache for cache in reversed(self.caches) if self._may_merge(cache)]
            found = find_mergeable(
                object_size, align, flags, [cache.geometry for cache in known], self.memory.arch.word_bytes
            )
            if found is not None:
                return self._alias(next(cache for cache in known if cache.geometry is found), name, object_size)
        return self._add(name, object_size, align, flags, ctor, usersize)

    def _may_merge(self, cache: KmemCache) -> bool:
        return not unmergeable(cache.geometry, self._usersizes[cache.name])

    @staticmethod
    def _alias(cache: KmemCache, name: str, object_size: int) -> KmemCache:
        cache.aliases.append(name)
        if object_size > cache.object_size:
            cache.object_size = object_size
            cache.geometry = replace(cache.geometry, object_size=object_size)
        return cache

    def _add(
        self, name: str, object_size: int, align: int, flags: SlabFlags, ctor: Callable[[int], object] | None,
        usersize: int,
    ) -> KmemCache:  # fmt: skip
        cache = KmemCache(
            name, object_size, memory=self.memory, align=align, flags=flags, nr_cpus=self.nr_cpus, ctor=ctor,
            seed=next(self._seeds) if self._seeds is not None else None, trace=self.trace, kernel=self.kernel,
            kmalloc="kmalloc-" in name, source=self.source, pages=self._pages,
        )  # fmt: skip
        self.caches.append(cache)
        self._usersizes[name] = usersize
        return cache

    def _kmalloc_cache(self, kind: str, nr_bytes: int) -> KmemCache:
        """Return the kmalloc cache for so many bytes, at most SIZES[-1]; those of rare kinds are made when needed.

        ``_classes`` has for each kind the cache of every size in steps of eight bytes: size_index[].
        """
        size = next(size for size in SIZES if size >= nr_bytes)
        by_size = self._classes.setdefault(kind, [None] * (SIZES[-1] // 8 + 1))
        found = by_size[size >> 3]
        if found is None:
            align = kmalloc_align(size, self.kernel)
            flags = KINDS[kind] | self.debug
            found = self._add(kmalloc_name(size, kind), size, align, flags, None, size)
            smaller = max((other for other in SIZES if other < size), default=0)
            by_size[(smaller >> 3) + 1 : (size >> 3) + 1] = [found] * (size - smaller >> 3)
        return found

    def cache(self, name: str) -> KmemCache:
        """Return the cache of that name, or that it is another name of. Raises ValueError if there is none."""
        for cache in self.caches:
            if name in cache.aliases:
                return cache
        raise ValueError(f"there is no cache {name!r}")

    @property
    def shared_ids(self) -> dict[str, tuple[str, ...]]:
        """What ``/sys/kernel/slab`` calls caches that could be merged, with all their names."""
        return {unique_id(cache.geometry): tuple(cache.aliases) for cache in self.caches if self._may_merge(cache)}

    # -- kmalloc ------------------------------------------------------------------------------------------------------

    def kmalloc(self, nr_bytes: int, gfp: int | str = GFP_KERNEL, cpu: int = 0) -> int:
        """Return the address of at least so many bytes, from the smallest cache that holds them, or of whole pages.

        For 0 bytes it is ZERO_SIZE_PTR. Raises OutOfMemory if there is no memory, or for more than the largest block;
        ValueError or TypeError for a number below 0, flags that contradict themselves, a CPU that there is not.
        """
        by_size = self._normal if gfp is GFP_KERNEL else None
        if by_size is None or nr_bytes.__class__ is not int or not 0 < nr_bytes <= SIZES[-1]:
            return self._kmalloc_otherwise(nr_bytes, gfp, cpu)
        cache = by_size[nr_bytes + 7 >> 3]
        address = cache.alloc(cpu, gfp)  # type: ignore[union-attr]
        if self.trace is not None:
            self.trace.emit(Kmalloc(address, cache.name, nr_bytes, cache.size, int(gfp)))  # type: ignore[union-attr]
        return address

    def _kmalloc_otherwise(self, nr_bytes: int, gfp: int | str, cpu: int) -> int:
        if isinstance(nr_bytes, bool) or not isinstance(nr_bytes, int):
            raise TypeError(f"kmalloc takes a number of bytes, not {nr_bytes!r}")
        if nr_bytes < 0:
            raise ValueError(f"kmalloc takes a number of bytes from 0 up, not {nr_bytes}")
        flags = check_gfp(gfp)
        if nr_bytes == 0:
            return ZERO_SIZE_PTR
        cache = self._kmalloc_cache(kmalloc_kind(flags), nr_bytes) if nr_bytes <= SIZES[-1] else None
        address = self._large_kmalloc(nr_bytes, flags, cpu) if cache is None else cache.alloc(cpu, flags)
        if self.trace is not None:
            name, given = (cache.name, cache.size) if cache is not None else ("", self.ksize(address))
            self.trace.emit(Kmalloc(address, name, nr_bytes, given, int(flags)))
        return address

    def _large_kmalloc(self, nr_bytes: int, flags: Gfp, cpu: int) -> int:
        order = get_order(nr_bytes, self.memory.arch.page_size)
        if order > self.memory.arch.max_order:
            largest = format_size(self.memory.arch.page_size << self.memory.arch.max_order)
            raise OutOfMemory(f"kmalloc of {nr_bytes:,} bytes: no block is larger than {largest}")
        page_cpu = cpu if cpu < self.memory.settings.nr_cpus else 0
        page = self.memory.alloc_pages((flags | Gfp.COMP) & ~Gfp.HIGHMEM, order, page_cpu)
        page.set_type(PageType.large_kmalloc)
        address = page.virtual
        assert address is not None
        self._large[address] = page, order
        return address

    def kfree(self, address: int, cpu: int = 0) -> None:
        """Give back what ``kmalloc`` returned, or an object of any cache; 0 (NULL) and ZERO_SIZE_PTR do nothing.

        Raises BadFree for any other address, and for what is free already.
        """
        try:
            cache = self._pages.get(address - self._page_offset >> self._page_shift)
        except TypeError:
            cache = None
        if cache is not None:
            if self.trace is not None and address in cache.live:
                self.trace.emit(Kfree(address))
            cache.free(address, cpu)
        elif isinstance(address, bool) or address not in (0, ZERO_SIZE_PTR):
            self._kfree_large(address, cpu)

    def _kfree_large(self, address: int, cpu: int) -> None:
        if not isinstance(address, int) or address not in self._large:
            raise BadFree(f"{address!r} is in no slab and in no block of pages that kmalloc gave: it cannot be freed")
        if self.trace is not None:
            self.trace.emit(Kfree(address))
        page, order = self._large.pop(address)
        page.clear_type()
        self.memory.free_pages(page, order, cpu if cpu < self.memory.settings.nr_cpus else 0)

    def cache_of(self, address: int) -> KmemCache | None:
        """Return the cache that an address belongs to, as its page tells; None if it lies in no slab."""
        if isinstance(address, bool) or not isinstance(address, int):
            return None
        return self._pages.get(address - self._page_offset >> self._page_shift)

    def ksize(self, address: int) -> int:
        """Return how many bytes may really be used at an address that kmalloc returned. Raises BadFree for others."""
        if address == ZERO_SIZE_PTR:
            return 0
        cache = self.cache_of(address)
        if cache is not None and address in cache.live:
            return _usable(cache)
        if address not in self._large:
            raise BadFree(f"{address!r} is not an address that kmalloc returned")
        return self.memory.arch.page_size << self._large[address][1]

    # -- what it says -------------------------------------------------------------------------------------------------

    def slabinfo(self) -> SlabInfo:
        """Return what ``/proc/slabinfo`` would say: the newest cache first, objects on CPU lists counted as active."""
        return SlabInfo(self.source, tuple(_line(cache) for cache in reversed(self.caches)))

    def check(self) -> None:
        """Raise InvariantError, naming the rule, unless every cache is in order and knows what kmalloc gave."""
        for cache in self.caches:
            cache.check()
        for address, (page, _) in self._large.items():
            if page.page_type is not PageType.large_kmalloc:
                raise InvariantError(f"pages that kmalloc gave say so, but not those at {address:#x}")
        known = {
            pfn: cache
            for cache in self.caches
            for slab in cache.slabs.values()
            for pfn in range(slab.pfn, slab.pfn + (1 << slab.order))
        }
        if known != self._pages:
            raise InvariantError("every page of a slab, and no other, knows its cache, but not all do")


def _usable(cache: KmemCache) -> int:
    """slab_ksize(): debugging and what outlives its free need the padding for themselves."""
    if cache.flags & (SlabFlags.RED_ZONE | SlabFlags.POISON):
        return cache.object_size
    return cache.geometry.inuse if cache.flags & (SlabFlags.STORE_USER | SlabFlags.TYPESAFE_BY_RCU) else cache.size


def _line(cache: KmemCache) -> SlabInfoLine:
    slabs = cache.slabs.values()
    objects = sum(slab.objects for slab in slabs)
    free = sum(len(slab.freelist) for slab in slabs if slab.place is Place.NODE)
    return SlabInfoLine(
        cache.name, objects - free, objects, cache.size, cache.objs_per_slab, 1 << cache.order,
        active_slabs=len(slabs), num_slabs=len(slabs),
    )  # fmt: skip
