"""Frames: the bytes of memory, page by page, and who holds each page.

Models: include/linux/highmem.h (Linux 6.18), clear_highpage(), copy_user_highpage(); mm/rmap.c as far as it counts.
Leaves out: bytes of what the kernel keeps for itself; they are not there.
"""

from __future__ import annotations

from mmkit.model.gfp import Gfp
from mmkit.model.machine.lru import Lru
from mmkit.model.memory import PhysicalMemory
from mmkit.model.page import Page
from mmkit.model.pageflags import PageFlags

PAGE = 4096
_ANON_VMAS, _ADDRESS_SPACES, _ADDRESS_SPACE = 16 << 20, 32 << 20, 0x100
"""Where in low memory anon_vmas and address_spaces would be, one after the other; only that they differ matters."""


class Frames:
    """What the pages of a machine hold; a page that nobody wrote to is zeros, and takes no room here."""

    def __init__(self, memory: PhysicalMemory) -> None:
        self.memory = memory
        # Asked for once: each asking marks all free blocks, and pages in use need no such marks.
        self._mem_map = memory.mem_map
        self._bytes: dict[int, bytearray] = {}
        self.lru = Lru()
        self.zero = memory.alloc_pages(Gfp.GFP_KERNEL, 0)
        self.zero.set_flags(PageFlags.reserved)

    def anon_vma(self, number: int) -> int:
        """Return the kernel's address of an anon_vma."""
        return self._mem_map.arch.page_offset + _ANON_VMAS + 0x80 * number

    def address_space(self, number: int) -> int:
        """Return the kernel's address of a file's address_space."""
        return self._mem_map.arch.page_offset + _ADDRESS_SPACES + _ADDRESS_SPACE * number

    def file_number(self, page: Page) -> int:
        """Return of which file's address_space a page is: what :meth:`address_space` was given."""
        return (page.mapping - self.address_space(0)) // _ADDRESS_SPACE

    def new(self) -> Page:
        """Return a page for a process, all zeros. Raises OutOfMemory."""
        return self.memory.alloc_pages(Gfp.GFP_HIGHUSER_MOVABLE, 0)

    def copy(self, pfn: int) -> Page:
        """Return a new page with the same bytes. Raises OutOfMemory."""
        page = self.new()
        if pfn in self._bytes:
            self._bytes[page.pfn] = bytearray(self._bytes[pfn])
        return page

    def page(self, pfn: int) -> Page:
        """Return the ``struct page`` of a frame."""
        return self._mem_map[pfn]

    def put(self, page: Page) -> bool:
        """Drop a reference; with the last one the page is free. Returns whether it is."""
        if page.refcount > 1:
            page.put()
            return False
        self._bytes.pop(page.pfn, None)
        self.lru.drop(page.pfn)
        self.memory.free_pages(page, 0)
        return True

    def read(self, phys_addr: int, count: int) -> bytes:
        """Return bytes of one page."""
        held, at = self._bytes.get(phys_addr // PAGE), phys_addr % PAGE
        return bytes(held[at : at + count]) if held is not None else bytes(count)

    def write(self, phys_addr: int, data: bytes) -> None:
        """Set bytes of one page."""
        at = phys_addr % PAGE
        self._bytes.setdefault(phys_addr // PAGE, bytearray(PAGE))[at : at + len(data)] = data

    def fill(self, pfn: int, data: bytes) -> None:
        """Set the first bytes of a page; the rest is zeros."""
        if data.rstrip(b"\0"):
            self._bytes[pfn] = bytearray(data.ljust(PAGE, b"\0"))

    @property
    def written(self) -> frozenset[int]:
        """Frames that hold something else than zeros."""
        return frozenset(self._bytes)
