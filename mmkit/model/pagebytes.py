"""The bytes of ``struct page``: where each field lies, then and now, and pages read from raw memory.

Models: include/linux/mm_types.h struct page (Linux 6.18), as /sys/kernel/btf/vmlinux describes it, and the struct of
Linux 2.6 that textbooks print. Leaves out: what the words between flags and _mapcount hold in slabs, page tables and
other pages that are no process's memory.
"""

from __future__ import annotations

from dataclasses import dataclass

from mmkit.arch import X86_64, Arch
from mmkit.model.pageflags import FlagsLayout, PageType, flags_layout, page_type_of
from mmkit.model.snapshot import PageSnapshot, Source

VMEMMAP_ADDR = 0xFFFF_EA00_0000_0000
"""Where x86-64 with four levels keeps the memory map: ``struct page`` number pfn is at this address plus 64 * pfn."""


@dataclass(frozen=True, slots=True)
class Member:
    """A field of ``struct page``: its C declaration, and where it lies, in bytes."""

    name: str
    declaration: str
    offset: int
    size: int


def _members(word: int, *fields: tuple[str, str, int]) -> tuple[Member, ...]:
    found, offset = [], 0
    for name, declaration, size in fields:
        found.append(Member(name, declaration, offset, size or word))
        offset += size or word
    return tuple(found)


def struct_page_now(word_bytes: int = 8) -> tuple[Member, ...]:
    """Return the fields of Linux 6.18 for words of ``word_bytes``: 64 bytes on 64 bits, 32 on 32 bits."""
    memcg = (("memcg_data", "unsigned long memcg_data", 0),) if word_bytes == 8 else ()
    return _members(
        word_bytes,
        ("flags", "memdesc_flags_t flags", 0),
        ("lru", "struct list_head lru", 2 * word_bytes),
        ("mapping", "struct address_space *mapping", 0),
        ("index", "pgoff_t __folio_index", 0),
        ("private", "unsigned long private", 0),
        ("_mapcount", "atomic_t _mapcount, or page_type", 4),
        ("_refcount", "atomic_t _refcount", 4),
        *memcg,
    )


def struct_page_then(word_bytes: int = 8) -> tuple[Member, ...]:
    """Return the fields as the notes and the textbooks have them (Linux 2.6); ``virtual`` only where needed."""
    return _members(
        word_bytes,
        ("flags", "unsigned long flags", 0),
        ("_count", "atomic_t _count", 4),
        ("_mapcount", "atomic_t _mapcount", 4),
        ("private", "unsigned long private", 0),
        ("mapping", "struct address_space *mapping", 0),
        ("index", "pgoff_t index", 0),
        ("lru", "struct list_head lru", 2 * word_bytes),
        ("virtual", "void *virtual", 0),
    )


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
