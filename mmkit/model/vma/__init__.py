"""Virtual memory areas: an address space that behaves as the kernel's does."""

from mmkit.model.vma.area import File, OpenFile, Vma
from mmkit.model.vma.mm import MmStruct

__all__ = ["File", "MmStruct", "OpenFile", "Vma"]
