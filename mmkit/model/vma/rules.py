"""Where kernels differ: the rules that changed between the versions a recording may come from.

Models: mm/mmap.c of Linux 6.1, mm/vma.c, mm/mprotect.c, mm/mremap.c and fs/proc of Linux 6.18. Leaves out: versions
for which no recording is at hand.
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
    stack_no_huge: bool = True
    """MAP_STACK sets VM_NOHUGEPAGE (6.7)."""


RULES = {
    "6.18": Rules(),
    "6.1": Rules(
        kernel="6.1", unfaulted_takes_anon_vma=False, new_between_asks_both=False, unaccounts_unfaulted=False,
        remap_many=False, heap_touches=True, aligns_anonymous=False, stack_no_huge=False,
    ),
}  # fmt: skip


def get_rules(kernel: str) -> Rules:
    """Return the rules of a version. Raises ValueError for one that is not known."""
    if kernel not in RULES:
        raise ValueError(f"the rules of kernel {kernel!r} are not known: choose one of {', '.join(RULES)}")
    return RULES[kernel]
