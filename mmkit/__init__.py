"""mmkit: learn Linux memory management by operating it.

The public names are loaded on first use, so that ``import mmkit`` costs next to nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mmkit.arch import ARM64, SV39, SV48, TOY, X86, X86_64, X86_64_LA57, X86_PAE, Arch
    from mmkit.model.buddy import BuddyAllocator
    from mmkit.model.gfp import Gfp
    from mmkit.model.kmalloc import SlabAllocator
    from mmkit.model.machine import Machine, Process
    from mmkit.model.memory import PhysicalMemory
    from mmkit.model.migratetype import MigrateType
    from mmkit.model.mmu import Mmu, PageFault
    from mmkit.model.page import MemMap, Page
    from mmkit.model.pageflags import PageFlags
    from mmkit.model.pgstate import PteFlags
    from mmkit.model.pgtable import PageTable
    from mmkit.model.slab import KmemCache
    from mmkit.model.tlb import Tlb, TlbHierarchy
    from mmkit.model.trace import Trace
    from mmkit.model.vma import File, MmStruct, Vma
    from mmkit.model.zone import Zone

_HOMES = {
    "mmkit.arch": ("ARM64", "SV39", "SV48", "TOY", "X86", "X86_64", "X86_64_LA57", "X86_PAE", "Arch"),
    "mmkit.model.buddy": ("BuddyAllocator",),
    "mmkit.model.gfp": ("Gfp",),
    "mmkit.model.kmalloc": ("SlabAllocator",),
    "mmkit.model.machine": ("Machine", "Process"),
    "mmkit.model.memory": ("PhysicalMemory",),
    "mmkit.model.migratetype": ("MigrateType",),
    "mmkit.model.mmu": ("Mmu", "PageFault"),
    "mmkit.model.page": ("MemMap", "Page"),
    "mmkit.model.pageflags": ("PageFlags",),
    "mmkit.model.pgstate": ("PteFlags",),
    "mmkit.model.pgtable": ("PageTable",),
    "mmkit.model.slab": ("KmemCache",),
    "mmkit.model.tlb": ("Tlb", "TlbHierarchy"),
    "mmkit.model.trace": ("Trace",),
    "mmkit.model.vma": ("File", "MmStruct", "Vma"),
    "mmkit.model.zone": ("Zone",),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "ARM64",
    "SV39",
    "SV48",
    "TOY",
    "X86",
    "X86_64",
    "X86_64_LA57",
    "X86_PAE",
    "Arch",
    "BuddyAllocator",
    "File",
    "Gfp",
    "KmemCache",
    "Machine",
    "MemMap",
    "MigrateType",
    "MmStruct",
    "Mmu",
    "Page",
    "PageFault",
    "PageFlags",
    "PageTable",
    "PhysicalMemory",
    "Process",
    "PteFlags",
    "SlabAllocator",
    "Tlb",
    "TlbHierarchy",
    "Trace",
    "Vma",
    "Zone",
]
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    try:
        value = getattr(import_module(_HOME_OF[name]), name)
    except KeyError:
        raise AttributeError(f"module 'mmkit' has no attribute {name!r}") from None
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(set(globals()) | set(_HOME_OF))
