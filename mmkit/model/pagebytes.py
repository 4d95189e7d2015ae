"""Pages read from raw memory: the bytes of a ``struct page``, turned into a snapshot.

Models: include/linux/mm_types.h struct page (Linux 6.18, x86-64). Leaves out: what the words between flags and
_mapcount hold in slabs, page tables and other pages that are no process's memory.
"""

from __future__ import annotations

from mmkit.arch import X86_64, Arch
from mmkit.model.pageflags import FlagsLayout, PageType, flags_layout, page_type_of
from mmkit.model.snapshot import PageSnapshot, Source
from mmkit.model.structpage import struct_page_now

VMEMMAP_ADDR = 0xFFFF_EA00_0000_0000
"""Where x86-64 with four levels keeps the memory map: ``struct page`` number pfn is at this address plus 64 * pfn."""


def page_from_bytes(pfn: int, raw: bytes, source: Source, arch: Arch = X86_64) -> PageSnapshot:
    """Return the page whose ``struct page``, of Linux 6.18 on 64 bits, is ``raw``.

    Fields that this kind of page uses for something else are None. ``lru`` is None if a neighbour is no page but the
    head of the list. Raises ValueError unless there are 64 bytes.
    """
    if len(raw) != arch.struct_page_bytes or len(raw) != 64:
        raise ValueError(f"{len(raw)} bytes are no struct page of {arch.name}: that has {arch.struct_page_bytes}")
    words = {m.name: int.from_bytes(raw[m.offset : m.offset + m.size], "little") for m in struct_page_now()}
    layout = flags_layout(arch)
    links = (int.from_bytes(raw[8:16], "little"), int.from_bytes(raw[16:24], "little"))
    page_type = page_type_of(words["_mapcount"])
    ours = page_type in (None, PageType.buddy)
    return PageSnapshot(
        source, arch.name, pfn, layout, words["flags"], words["_refcount"], words["_mapcount"],
        words["mapping"] if ours else None, words["index"] if ours else None, words["private"] if ours else None,
        _neighbours(links) if ours else None, _virtual(pfn, arch), _zone_name(words["flags"], layout, arch),
    )  # fmt: skip


def _neighbours(links: tuple[int, int]) -> tuple[int, int] | None:
    """Pfns of the pages before and after; ``links`` are the addresses of the lru fields after and before."""
    pages = [divmod(address - 8 - VMEMMAP_ADDR, 64) for address in links]
    if any(rest or not 0 <= pfn < 1 << 40 for pfn, rest in pages):
        return None
    return pages[1][0], pages[0][0]


def _virtual(pfn: int, arch: Arch) -> int:
    return arch.page_offset + (pfn << arch.page_shift)


def _zone_name(flags_word: int, layout: FlagsLayout, arch: Arch) -> str:
    index = layout.zone.get(flags_word)
    return arch.zone_names[index] if index < len(arch.zones) else f"zone {index}"
