"""The kernel's own objects: each takes memory from the machine, out of the slab cache of its kind.

Models: the caches that kernel/fork.c and mm/vma.c (Linux 6.18) allocate from, with the sizes of an x86-64 kernel.
Leaves out: what stands in the objects, which is the models' own; anon_vmas, nodes of maple trees, files, inodes and
kernel stacks, which take no memory here.
"""

from __future__ import annotations

from mmkit.model.machine.pagecache import PageCache
from mmkit.model.memory import PhysicalMemory
from mmkit.model.slab import KmemCache
from mmkit.model.slabstate import SlabFlags
from mmkit.model.vma.area import Vma
from mmkit.model.vma.index import VmaIndex

SIZES = {"vm_area_struct": 192, "mm_struct": 1600, "task_struct": 5824}
"""Bytes of an object, as ``/proc/slabinfo`` of a 6.18 kernel says."""


class KernelObjects:
    """Slab caches by name, made when they are first used."""

    def __init__(self, memory: PhysicalMemory, nr_cpus: int) -> None:
        self.memory, self.nr_cpus = memory, nr_cpus
        self.caches: dict[str, KmemCache] = {}
        self.in_use: dict[str, set[int]] = {name: set() for name in SIZES}

    def alloc(self, name: str) -> int:
        """Return the address of a new object. Raises OutOfMemory."""
        if name not in self.caches:
            self.caches[name] = KmemCache(
                name, SIZES[name], memory=self.memory, flags=SlabFlags(0), nr_cpus=self.nr_cpus,
                trace=self.memory.trace,
            )  # fmt: skip
        addr = self.caches[name].alloc()
        self.in_use[name].add(addr)
        return addr

    def free(self, name: str, addr: int) -> None:
        """Give an object back."""
        self.in_use[name].remove(addr)
        self.caches[name].free(addr)

    def shrink(self) -> None:
        """Give back the pages of slabs in which nothing is in use."""
        for cache in self.caches.values():
            cache.shrink()


class CountedIndex(VmaIndex):
    """Areas, each of which has its ``vm_area_struct`` in the machine's memory, and is counted by its file."""

    def __init__(self, objects: KernelObjects, page_cache: PageCache) -> None:
        super().__init__()
        self.objects, self.page_cache = objects, page_cache
        self.addresses: dict[int, int] = {}
        self.removed: list[Vma] = []

    def insert(self, vma: Vma) -> None:
        """File a new area. Raises OutOfMemory; nothing has changed then."""
        self._enter(vma)
        super().insert(vma)

    def split(self, vma: Vma, upper: Vma) -> None:
        """Let ``vma`` end where ``upper``, which is new, starts. Raises OutOfMemory; nothing has changed then."""
        self._enter(upper)
        super().split(vma, upper)

    def remove(self, vma: Vma, filled: bool = False) -> None:
        """Take an area out; unless others fill its room, its object stays until :meth:`free_removed`."""
        super().remove(vma, filled)
        self.removed.append(vma)
        if filled:
            self.free_removed()

    def free_removed(self) -> None:
        """Give the objects of areas back that were taken out; their pages are gone by now (remove_vma())."""
        for vma in self.removed:
            self.objects.free("vm_area_struct", self.addresses.pop(id(vma)))
            if vma.vm_file is not None:
                self.page_cache.leave(vma.vm_file.file)
        self.removed.clear()

    def _enter(self, vma: Vma) -> None:
        self.addresses[id(vma)] = self.objects.alloc("vm_area_struct")
        if vma.vm_file is not None:
            self.page_cache.enter(vma.vm_file.file)
