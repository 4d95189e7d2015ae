"""Slab geometry: how large an object becomes, how large a slab is, and how many objects fit.

Models: calculate_alignment() of mm/slab_common.c; calculate_sizes(), calculate_order(), calc_slab_order(),
set_cpu_partial(), set_min_partial() of mm/slub.c (Linux 6.18), and with ``kernel="6.1"`` the older calculate_order(),
which ruled until 6.7. Leaves out: KASAN, slub_min_order and its relatives on the command line, CONFIG_SLUB_TINY; of
older kernels the smaller cpu_partial (before 5.16) and the larger notes on users (before 5.18).

An object is rounded up to whole words. A free object holds the address of the next free one: in its middle, where an
overrun of a neighbour is least likely to reach it, or behind it if its content must survive the free. Then SLUB looks
for the smallest slab that holds enough objects and wastes little.
"""

from __future__ import annotations

from mmkit.model.slabstate import SlabFlags, SlabGeometry, track_bytes

CACHE_LINE = 64
MIN_ALIGN = 8
"""ARCH_SLAB_MINALIGN: that of the largest number, on machines of 32 bits too."""
MAX_SLAB_ORDER, MAX_PAGE_ORDER = 3, 10
MAX_OBJS_PER_SLAB = 32_767
MIN_PARTIAL, MAX_PARTIAL = 5, 10
MAX_OBJECT_SIZE = 4096 << MAX_PAGE_ORDER
DEBUG_FLAGS = SlabFlags.CONSISTENCY_CHECKS | SlabFlags.RED_ZONE | SlabFlags.POISON | SlabFlags.STORE_USER
KERNELS = ("6.18", "6.1")

FREEPTR_OFFSETS = {"vm_area_struct": 0, "filp": 144, "bfilp": 184}
"""Caches of 6.18 whose objects outlive their free and have a place for the free pointer inside: where ``vm_freeptr``,
``f_freeptr`` and ``bf_freeptr`` lie in their structs, on x86-64."""

_CPU_PARTIAL = ((4096, 6), (1024, 24), (256, 52), (0, 120))
"""Free objects that a CPU keeps in partial slabs, by the size from which it holds (a page: 4096)."""


def align_up(number: int, step: int) -> int:
    """Return the smallest multiple of ``step`` (a power of two) that is not below ``number``."""
    return number + step - 1 & -step


def get_order(nr_bytes: int, page_size: int = 4096) -> int:
    """Return the order of the smallest block of pages that holds so many bytes."""
    return (max(nr_bytes - 1, 0) // page_size).bit_length()


def geometry(
    name: str, object_size: int, align: int = 0, flags: SlabFlags | int = 0, *, nr_cpus: int = 1, kernel: str = "6.18",
    page_size: int = 4096, word: int = 8, has_ctor: bool = False, freeptr_offset: int | None = None,
    kmalloc: bool = False, cache_line: int = CACHE_LINE,
) -> SlabGeometry:  # fmt: skip
    """Return how the objects of a cache lie in its slabs.

    ``align`` is what its creator asks for, 0 for no wish; ``word`` the bytes of a pointer; ``nr_cpus`` the CPUs that
    are present, or all that there is room for if only one is. ``freeptr_offset`` is where a cache whose objects outlive
    their free (TYPESAFE_BY_RCU) lets SLUB put its pointer: see FREEPTR_OFFSETS. ``kmalloc``: debugging notes there how
    much was asked for.

    Raises ValueError for a size, an alignment, a number of CPUs or an offset that cannot be, TypeError for no numbers.

    >>> dentry = geometry("dentry", 192, nr_cpus=2)
    >>> dentry.size, dentry.order, dentry.objs_per_slab, dentry.tail_bytes, dentry.offset
    (192, 0, 21, 64, 96)
    """
    flags = SlabFlags(flags)
    largest = page_size << MAX_PAGE_ORDER
    _check(name, object_size, align, nr_cpus, kernel, largest)
    _check_freeptr(name, object_size, flags, freeptr_offset, word)
    align = alignment(object_size, align, flags, word, cache_line)
    # Since 6.2 kmalloc's red zone starts right behind the bytes that were asked for: a pointer might lie in it.
    red_inside = kmalloc and kernel != "6.1" and bool(flags & SlabFlags.STORE_USER)
    inside = _place_inside(object_size, flags, word, has_ctor, freeptr_offset, red_inside)
    offset, inuse, size, red_left_pad = _sizes(object_size, align, flags, word, inside, kmalloc)
    order = slab_order(size, nr_cpus, kernel, page_size)
    if order > MAX_PAGE_ORDER:
        raise ValueError(f"objects of cache {name} take {size} bytes each: no block of pages is larger than {largest}")
    objects = min((page_size << order) // size, MAX_OBJS_PER_SLAB)
    cpu_partial = 0 if flags & DEBUG_FLAGS else _cpu_partial(size, page_size)
    min_partial = min(max((size.bit_length() - 1) // 2, MIN_PARTIAL), MAX_PARTIAL)
    return SlabGeometry(
        name, object_size, size, align, order, objects, offset, inuse, red_left_pad, flags, cpu_partial,
        -(-2 * cpu_partial // objects), min_partial, page_size, has_ctor,
    )  # fmt: skip


def _check(name: str, object_size: int, align: int, nr_cpus: int, kernel: str, largest: int) -> None:
    for what, value in (("object_size", object_size), ("align", align), ("nr_cpus", nr_cpus)):
        if isinstance(value, bool) or not isinstance(value, int):
            raise TypeError(f"{what} of cache {name} is a whole number, not {value!r}")
    if not 1 <= object_size <= largest:
        raise ValueError(f"object_size of cache {name} is {object_size}, must be 1 to {largest} bytes")
    if align < 0 or align & (align - 1):
        raise ValueError(f"align of cache {name} is {align}, must be a power of two (or 0 for no wish)")
    if nr_cpus < 1:
        raise ValueError(f"nr_cpus is {nr_cpus}, must be at least 1")
    if kernel not in KERNELS:
        raise ValueError(f"no rules for kernel {kernel!r}: choose one of {', '.join(KERNELS)}")


def _check_freeptr(name: str, object_size: int, flags: SlabFlags, freeptr_offset: int | None, word: int) -> None:
    if freeptr_offset is None:
        return
    if not flags & SlabFlags.TYPESAFE_BY_RCU:
        raise ValueError(f"freeptr_offset of cache {name} is {freeptr_offset}: only caches TYPESAFE_BY_RCU have one")
    if not 0 <= freeptr_offset < object_size or freeptr_offset % word:
        raise ValueError(
            f"freeptr_offset of cache {name} is {freeptr_offset}, must be a multiple of {word} below {object_size}"
        )


def alignment(object_size: int, align: int = 0, flags: int = 0, word: int = 8, cache_line: int = CACHE_LINE) -> int:
    """Return the alignment of objects: at least 8 and, with HWCACHE_ALIGN, so that few share a cache line.

    >>> alignment(40, flags=SlabFlags.HWCACHE_ALIGN), alignment(30, flags=SlabFlags.HWCACHE_ALIGN), alignment(30)
    (64, 32, 8)
    """
    if flags & SlabFlags.HWCACHE_ALIGN:
        line = cache_line
        while object_size <= line // 2:
            line //= 2
        align = max(align, line)
    return align_up(max(align, MIN_ALIGN), word)


def _place_inside(
    object_size: int, flags: SlabFlags, word: int, has_ctor: bool, freeptr_offset: int | None, red_inside: bool
) -> int | None:
    """Return where in a free object the pointer to the next goes; None if it must lie behind it."""
    too_small = bool(flags & SlabFlags.RED_ZONE) and (object_size < word or red_inside)
    if has_ctor or flags & SlabFlags.POISON or too_small:
        return None
    return freeptr_offset if flags & SlabFlags.TYPESAFE_BY_RCU else object_size // 2 // word * word


def _sizes(
    object_size: int, align: int, flags: SlabFlags, word: int, inside: int | None, kmalloc: bool
) -> tuple[int, int, int, int]:
    """calculate_sizes(): offset of the free pointer, bytes in use, whole size, red zone on the left."""
    size = align_up(object_size, word)
    if flags & SlabFlags.RED_ZONE and size == object_size:
        size += word  # room for a right red zone
    inuse = size
    offset = size if inside is None else inside
    if inside is None:
        size += word
    if flags & SlabFlags.STORE_USER:
        size += 2 * track_bytes(word) + (word if kmalloc else 0)
    red_left_pad = align_up(word, align) if flags & SlabFlags.RED_ZONE else 0
    if flags & SlabFlags.RED_ZONE:
        size += word + red_left_pad
    return offset, inuse, align_up(size, align), red_left_pad


def slab_order(size: int, nr_cpus: int, kernel: str = "6.18", page_size: int = 4096) -> int:
    """Return the order of a slab for objects of ``size`` bytes, metadata included.

    >>> [slab_order(size, nr_cpus=2) for size in (64, 512, 1024, 4096, 51_472)]
    [0, 1, 2, 3, 4]
    """
    wanted = min(4 * (nr_cpus.bit_length() + 1), max((page_size << MAX_SLAB_ORDER) // size, 1))
    order = (_order_6_1 if kernel == "6.1" else _order_6_18)(size, wanted, page_size)
    return order if order <= MAX_SLAB_ORDER else get_order(size, page_size)


def _order_6_18(size: int, wanted: int, page_size: int) -> int:
    """calculate_order(): enough objects always, and as little waste as possible."""
    lowest = get_order(wanted * size, page_size)
    orders = (_calc_slab_order(size, lowest, share, page_size) for share in (16, 8, 4, 2))
    return next((order for order in orders if order <= MAX_SLAB_ORDER), MAX_SLAB_ORDER + 1)


def _order_6_1(size: int, wanted: int, page_size: int) -> int:
    """The same until 6.7: rather fewer objects than more than a quarter wasted."""
    for objects in range(wanted, 1, -1):
        for share in (16, 8, 4):
            order = _calc_slab_order(size, get_order(objects * size, page_size), share, page_size)
            if order <= MAX_SLAB_ORDER:
                return order
    return _calc_slab_order(size, get_order(size, page_size), 1, page_size)


def _calc_slab_order(size: int, lowest: int, share: int, page_size: int) -> int:
    if (page_size << lowest) // size > MAX_OBJS_PER_SLAB:
        return get_order(size * MAX_OBJS_PER_SLAB, page_size) - 1
    for order in range(lowest, MAX_SLAB_ORDER + 1):
        if (page_size << order) % size <= (page_size << order) // share:
            return order
    return MAX_SLAB_ORDER + 1


def _cpu_partial(size: int, page_size: int) -> int:
    return next(objects for least, objects in _CPU_PARTIAL if size >= (page_size if least == 4096 else least))
