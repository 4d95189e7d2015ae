"""Low memory: how much RAM a 32-bit kernel can map at a constant offset, in the notes and in real kernels.

Models: arch/x86/include/asm/pgtable_32_areas.h (Linux 6.18), MAXMEM; the place of cpu_entry_area is that of Debian's
6.1 kernels, built for 32 CPUs. Leaves out: other splits than 3 GiB of user addresses to 1 GiB of kernel addresses,
``vmalloc=`` on the command line, the 8 MiB that vmalloc leaves unused at its start.
"""

from __future__ import annotations

from itertools import pairwise

from mmkit.arch import GIB, LOWMEM_TEXTBOOK, MIB, Arch
from mmkit.record import Record

VMALLOC_RESERVE = 128 * MIB
"""Kernel addresses kept for vmalloc: 1 GiB less these 128 MiB are the notes' 896 MiB."""
CPU_ENTRY_AREA_BASE = 0xFF40_0000
"""Fixmap and the per-CPU entry areas fill the kernel's addresses from here to the end."""
assert LOWMEM_TEXTBOOK == GIB - VMALLOC_RESERVE


class AddressArea(Record):
    """A part of the kernel's gigabyte: virtual addresses [start_addr, end_addr) and what they are kept for."""

    name: str
    start_addr: int
    end_addr: int
    purpose: str

    @property
    def bytes(self) -> int:
        """Size in bytes."""
        return self.end_addr - self.start_addr


def kernel_gigabyte(arch: Arch) -> tuple[AddressArea, ...]:
    """Return what a 32-bit x86 kernel does with its gigabyte of addresses, in ascending order.

    The first area, "low memory", is the end of the subtraction: what is left is mapped by adding a constant.
    Raises ValueError for an architecture whose kernel maps all of RAM, and so needs no such budget.
    """
    if "HighMem" not in arch.zone_names:
        raise ValueError(f"{arch.title} maps all of RAM by adding a constant: there is no high memory to explain")
    step = 1 << arch.levels[-2].shift  # what one entry above the page tables maps: 4 MiB, with PAE 2 MiB
    ldt = (CPU_ENTRY_AREA_BASE - arch.page_size) // step * step
    pkmap = (ldt - arch.page_size) // step * step
    guard = pkmap - 2 * arch.page_size
    vmalloc = guard - VMALLOC_RESERVE
    edges = (
        ("low memory", arch.page_offset, "RAM at a constant offset"),
        ("vmalloc", vmalloc, "buffers whose pages lie apart, modules, device registers"),
        ("guard", guard, "two pages that fault when something runs over"),
        ("pkmap", pkmap, "windows through which high memory is reached"),
        ("ldt", ldt, "one process's descriptor table, for page-table isolation"),
        (
            "cpu_entry_area and fixmap",
            CPU_ENTRY_AREA_BASE,
            "entry code and stacks of each CPU; addresses fixed at build",
        ),
        ("end", 1 << arch.virt_bits, ""),
    )
    return tuple(AddressArea(name, start, end, purpose) for (name, start, purpose), (_, end, _) in pairwise(edges))


def lowmem_bytes(arch: Arch) -> int:
    """Return how much RAM the kernel maps at a constant offset: 875 MiB on X86, 879 MiB on X86_PAE."""
    return kernel_gigabyte(arch)[0].bytes
