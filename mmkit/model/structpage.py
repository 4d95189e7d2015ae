"""Where each field of ``struct page`` lies, now and then.

Models: include/linux/mm_types.h struct page (Linux 6.18), as /sys/kernel/btf/vmlinux describes it, and the struct of
Linux 2.6 that textbooks print. Leaves out: the other uses of the words between flags and _mapcount.
"""

from __future__ import annotations

from mmkit.record import Record


class Member(Record):
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
