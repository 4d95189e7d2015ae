"""Where kernels differ: the rules that changed between the versions a recording may come from.

Models: mm/mmap.c of 6.1, mm/vma.c, mm/mprotect.c, mm/mremap.c and fs/proc of 6.18. Leaves out: what is older than 6.1.
"""

from __future__ import annotations

from mmkit.record import Record


class Rules(Record):
    """What one version of the kernel does; the defaults are those of 6.18."""

    kernel: str = "6.18"
    unfaulted_takes_anon_vma: bool = True
    """An area without anon_vma may merge with one that has one, and takes it over (6.16)."""
    new_between_asks_both: bool = True
    """A new mapping between two areas is held against the lower one by itself, not with the upper one's anon_vma."""
    unaccounts_unfaulted: bool = True
    """mprotect takes VM_ACCOUNT off anonymous memory that becomes read-only unwritten (6.7)."""
    remap_many: bool = True
    """mremap to a fixed address may move several areas at once, and checks all before it unmaps (6.17)."""
    heap_touches: bool = False
    """An area that only touches the heap's bounds is called [heap] too (until 6.5)."""
    aligns_anonymous: bool = True
    """Anonymous mappings of whole 2 MiB are placed at multiples of 2 MiB (6.7)."""
    frees_empty_tables: bool = True
    """MADV_DONTNEED over whole 2 MiB frees their page table, too (6.14, x86-64)."""
    stack_no_huge: bool = True
    """MAP_STACK sets VM_NOHUGEPAGE (6.7)."""


_SINCE = {
    "unfaulted_takes_anon_vma": (6, 16), "unaccounts_unfaulted": (6, 7), "remap_many": (6, 17),
    "aligns_anonymous": (6, 7), "stack_no_huge": (6, 7), "frees_empty_tables": (6, 14),
}  # fmt: skip
_OLDEST, _NEWEST = (6, 1), (6, 18)


def get_rules(kernel: str) -> Rules:
    """Return the rules of a version, "6.1" to "6.18" (newer ones count as that). Raises ValueError for another.

    6.1 and 6.18 were held against kernels; in between, the versions in which rules changed are those of the source.
    """
    try:
        major, minor = map(int, kernel.split("."))
    except ValueError:
        raise ValueError(f"a version of the kernel is written like '6.18', not {kernel!r}") from None
    version = major, minor
    if version < _OLDEST:
        raise ValueError(f"the rules of kernel {kernel} are not known: those from 6.1 on are")
    values = {name: version >= since for name, since in _SINCE.items()}
    return Rules(
        kernel if version <= _NEWEST else "6.18",
        new_between_asks_both=version >= (6, 12), heap_touches=version < (6, 6), **values,
    )  # fmt: skip
