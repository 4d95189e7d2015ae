"""The size classes of ``kmalloc``, and when two caches become one.

Models: kmalloc_info[], kmalloc_slab(), new_kmalloc_cache(), slab_unmergeable(), find_mergeable() of mm/slab_common.c;
create_unique_id() of mm/slub.c (Linux 6.18). Leaves out: separate buckets for some callers (memdup_user, msg_msg) and
random ones (CONFIG_RANDOM_KMALLOC_CACHES).
"""

from __future__ import annotations

from collections.abc import Iterable

from mmkit.model.gfp import Gfp
from mmkit.model.slabgeometry import DEBUG_FLAGS, align_up, alignment
from mmkit.model.slabstate import SlabFlags, SlabGeometry

SIZES = (8, 16, 32, 64, 96, 128, 192, 256, 512, 1024, 2048, 4096, 8192)
"""Bytes of the classes; two of them are no powers of two, since so many requests are a little above 64 and 128."""
ZERO_SIZE_PTR = 16
"""What kmalloc(0) returns: an address that faults when used, and that kfree() takes."""
KINDS = {"": SlabFlags(0), "rcl-": SlabFlags.RECLAIM_ACCOUNT, "cg-": SlabFlags.ACCOUNT, "dma-": SlabFlags.CACHE_DMA}
"""Kinds of kmalloc caches by what their names have before the size, and the flags of each."""
BOOT_CACHES = ("kmem_cache", "kmem_cache_node")
"""The caches of what caches are made of: made before all others, and never merged."""
NEVER_MERGE = DEBUG_FLAGS & ~SlabFlags.CONSISTENCY_CHECKS | SlabFlags.TYPESAFE_BY_RCU | SlabFlags.NO_MERGE
"""Consistency checks change nothing in the objects, so that such caches merge with others, up to 6.18."""
MERGE_SAME = SlabFlags.RECLAIM_ACCOUNT | SlabFlags.CACHE_DMA | SlabFlags.ACCOUNT


def kmalloc_size(nr_bytes: int, smallest: int = 8) -> int | None:
    """Return the class that serves so many bytes; None if whole pages do.

    ``smallest`` is 64 or 128 on Arm, where an object must not share a cache line with another that a device writes to.
    Classes are multiples of it: with 64 there is no 96, with 128 no 192 either.

    >>> [kmalloc_size(n) for n in (1, 65, 96, 97, 8192, 8193)]
    [8, 96, 96, 128, 8192, None]
    """
    return next((size for size in SIZES if size >= nr_bytes and size % smallest == 0), None)


def kmalloc_align(size: int, kernel: str = "6.18", smallest: int = 8) -> int:
    """Return the alignment of a class: the largest power of two that divides its size.

    Before 6.12 a size that is no power of two was aligned to the ``smallest`` class only.
    """
    power = size & -size
    return power if power == size or kernel != "6.1" else smallest


def kmalloc_kind(gfp: int) -> str:
    """Return which kind of kmalloc cache serves a request with these flags: a key of KINDS."""
    if gfp & Gfp.DMA:
        return "dma-"
    if gfp & Gfp.RECLAIMABLE:
        return "rcl-"
    return "cg-" if gfp & Gfp.ACCOUNT else ""


def kmalloc_name(size: int, kind: str = "") -> str:
    """Return the name of a kmalloc cache.

    >>> kmalloc_name(64), kmalloc_name(2048, "cg-"), kmalloc_name(8, "dma-")
    ('kmalloc-64', 'kmalloc-cg-2k', 'dma-kmalloc-8')
    """
    number = f"{size >> 10}k" if size >= 1024 else str(size)
    return f"dma-kmalloc-{number}" if kind == "dma-" else f"kmalloc-{kind}{number}"


def unmergeable(geometry: SlabGeometry, usersize: int = 0) -> bool:
    """Say whether a cache must stay alone: it is debugged, has a constructor, or users may copy from it."""
    alone = geometry.has_ctor or usersize > 0 or geometry.name in BOOT_CACHES
    return alone or bool(geometry.flags & NEVER_MERGE)


def find_mergeable(
    object_size: int, align: int, flags: SlabFlags, caches: Iterable[SlabGeometry], word: int = 8
) -> SlabGeometry | None:
    """Return the first of ``caches`` (those that may merge) that serves a new cache as well; None if there is none.

    Its objects take as many bytes, and it is reclaimed and accounted in the same way. The kernel would let it be less
    than a word larger, and then asks whether its alignment suits: but all sizes are multiples of 8.
    """
    align = alignment(object_size, align, flags, word)
    size = align_up(align_up(object_size, word), align)
    for geometry in caches:
        same = flags & MERGE_SAME == geometry.flags & MERGE_SAME
        if same and geometry.size == size:
            return geometry
    return None


def unique_id(geometry: SlabGeometry) -> str:
    """Return the name in ``/sys/kernel/slab`` that merged caches share.

    >>> from mmkit.model.slabgeometry import geometry
    >>> unique_id(geometry("dentry", 192, flags=SlabFlags.RECLAIM_ACCOUNT | SlabFlags.ACCOUNT))
    ':aA-0000192'
    """
    flags = geometry.flags
    letters = "".join(
        letter
        for flag, letter in (
            (SlabFlags.CACHE_DMA, "d"), (SlabFlags.RECLAIM_ACCOUNT, "a"), (SlabFlags.CONSISTENCY_CHECKS, "F"),
            (SlabFlags.ACCOUNT, "A"),
        )
        if flags & flag
    )  # fmt: skip
    return f":{letters}{'-' if letters else ''}{geometry.size:07d}"
