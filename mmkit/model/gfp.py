"""GFP flags: how a caller of ``alloc_pages`` says which memory it wants and what may be done to get it.

Models: include/linux/gfp_types.h and gfp.h (Linux 6.18), gfp_zone(), gfp_migratetype(); the text is that of
include/trace/events/mmflags.h. Leaves out: bits that exist only with KASAN or lockdep; what the bits about reclaim
lead to (the models reclaim nothing), except for how deep each request may dig into the reserves.
"""

from __future__ import annotations

from enum import EnumType, IntFlag

from mmkit.arch import X86_64, Arch
from mmkit.model.migratetype import MigrateType


class _GfpType(EnumType):
    def __getattr__(cls, name: str) -> Gfp:
        # The kernel's own spelling, Gfp.__GFP_ZERO; inside a class Python turns it into Gfp._ThatClass__GFP_ZERO.
        bit = name[name.rfind("__GFP_") + 6 :] if "__GFP_" in name else ""
        members: dict[str, Gfp] = cls.__members__  # type: ignore[assignment]
        if bit not in members:
            raise AttributeError(f"Gfp has no flag {name!r}")
        return members[bit]


class Gfp(IntFlag, metaclass=_GfpType):
    """A request's flags, with the bit values of Linux 6.18.

    Single bits go by the kernel's name without ``__GFP_`` (``Gfp.ZERO``; ``Gfp.__GFP_ZERO`` works too), combinations by
    their full name. ``str()`` is what ftrace prints, ``Gfp.parse()`` reads it.

    >>> hex(Gfp.GFP_KERNEL)
    '0xcc0'
    >>> print(Gfp.GFP_KERNEL | Gfp.ZERO)
    GFP_KERNEL|__GFP_ZERO
    """

    DMA = 1 << 0
    HIGHMEM = 1 << 1
    DMA32 = 1 << 2
    MOVABLE = 1 << 3
    RECLAIMABLE = 1 << 4
    HIGH = 1 << 5
    IO = 1 << 6
    FS = 1 << 7
    ZERO = 1 << 8
    DIRECT_RECLAIM = 1 << 10
    KSWAPD_RECLAIM = 1 << 11
    WRITE = 1 << 12
    NOWARN = 1 << 13
    RETRY_MAYFAIL = 1 << 14
    NOFAIL = 1 << 15
    NORETRY = 1 << 16
    MEMALLOC = 1 << 17
    COMP = 1 << 18
    NOMEMALLOC = 1 << 19
    HARDWALL = 1 << 20
    THISNODE = 1 << 21
    ACCOUNT = 1 << 22
    ZEROTAGS = 1 << 23
    NO_OBJ_EXT = 1 << 24
    RECLAIM = DIRECT_RECLAIM | KSWAPD_RECLAIM

    GFP_ATOMIC = HIGH | KSWAPD_RECLAIM
    GFP_NOWAIT = KSWAPD_RECLAIM | NOWARN
    GFP_NOIO = RECLAIM
    GFP_NOFS = RECLAIM | IO
    GFP_KERNEL = RECLAIM | IO | FS
    GFP_KERNEL_ACCOUNT = GFP_KERNEL | ACCOUNT
    GFP_USER = GFP_KERNEL | HARDWALL
    GFP_HIGHUSER = GFP_USER | HIGHMEM
    GFP_HIGHUSER_MOVABLE = GFP_HIGHUSER | MOVABLE
    GFP_TRANSHUGE_LIGHT = (GFP_HIGHUSER_MOVABLE | COMP | NOMEMALLOC | NOWARN) & ~RECLAIM
    GFP_TRANSHUGE = GFP_TRANSHUGE_LIGHT | DIRECT_RECLAIM
    GFP_DMA = DMA
    GFP_DMA32 = DMA32

    @classmethod
    def parse(cls, text: str) -> Gfp:
        """Return the flags written in ``text``: names and hexadecimal numbers joined by ``|``, or "none".

        >>> Gfp.parse("GFP_ATOMIC|__GFP_COMP") == Gfp.GFP_ATOMIC | Gfp.COMP
        True

        Raises ValueError for a name that is no flag.
        """
        flags = cls(0)
        for word in text.split("|"):
            flags |= cls._parse_word(word.strip())
        return flags

    @classmethod
    def _parse_word(cls, word: str) -> Gfp:
        name = word.removeprefix("__GFP_")
        if word.startswith(("GFP_", "__GFP_")) and name in cls.__members__:
            return cls.__members__[name]
        if word == "none":
            return cls(0)
        try:
            return cls(int(word, 16))
        except ValueError:
            raise ValueError(f"{word!r} is not a gfp flag: write names such as 'GFP_KERNEL|__GFP_ZERO'") from None

    def __str__(self) -> str:
        words, rest = [], int(self)
        for name, flags in PRINT_ORDER:
            if rest & flags == flags:
                words.append(name)
                rest &= ~flags
        if rest:
            words.append(f"{rest:#x}")
        return "|".join(words) or "none"


_COMPOSITES = (
    "GFP_TRANSHUGE", "GFP_TRANSHUGE_LIGHT", "GFP_HIGHUSER_MOVABLE", "GFP_HIGHUSER", "GFP_USER", "GFP_KERNEL_ACCOUNT",
    "GFP_KERNEL", "GFP_NOFS", "GFP_ATOMIC", "GFP_NOIO", "GFP_NOWAIT", "GFP_DMA", "GFP_DMA32",
)  # fmt: skip
PRINT_ORDER: tuple[tuple[str, int], ...] = (
    *((name, int(Gfp[name])) for name in _COMPOSITES),
    ("__GFP_RECLAIM", int(Gfp.RECLAIM)),
    *((f"__GFP_{flag.name}", int(flag)) for flag in Gfp),
)
"""Names and values in the order in which the kernel takes them out of a mask that it prints."""

_ALL_BITS = int(sum(Gfp))
_ZONE_BITS = Gfp.DMA | Gfp.HIGHMEM | Gfp.DMA32
_CONFLICTS = (
    (Gfp.DMA | Gfp.HIGHMEM, "the lowest memory is never high memory"),
    (Gfp.DMA | Gfp.DMA32, "they name two different zones"),
    (Gfp.DMA32 | Gfp.HIGHMEM, "they name two different zones"),
    (Gfp.MOVABLE | Gfp.RECLAIMABLE, "a page is either moved or given up, never both"),
)


def check_gfp(gfp: int | str) -> Gfp:
    """Return ``gfp`` (flags, a number, or text as ftrace prints it) as Gfp if it does not contradict itself.

    Contradictions are those of the kernel's GFP_ZONE_BAD table and of the WARN_ONs in gfp_migratetype() and
    __alloc_pages_slowpath(). Raises ValueError, in words, for those and for unknown bits; TypeError for other things.
    """
    if isinstance(gfp, str):
        gfp = Gfp.parse(gfp)
    if isinstance(gfp, bool) or not isinstance(gfp, int):
        raise TypeError(f"gfp flags are Gfp values, a number or text such as 'GFP_KERNEL', not {gfp!r}")
    if gfp & ~_ALL_BITS:
        raise ValueError(f"gfp mask {gfp:#x} has bits that Linux 6.18 does not know: {gfp & ~_ALL_BITS:#x}")
    flags = Gfp(gfp)
    for pair, why in _CONFLICTS:
        if flags & pair == pair:
            names = " with ".join(f"__GFP_{flag.name}" for flag in pair)
            raise ValueError(f"gfp mask {flags} contradicts itself: {names}; {why}")
    if flags & Gfp.NOFAIL and not flags & Gfp.DIRECT_RECLAIM:
        raise ValueError(
            f"gfp mask {flags} contradicts itself: __GFP_NOFAIL without __GFP_DIRECT_RECLAIM; "
            "a request that must not fail has to be allowed to wait"
        )
    return flags


def gfp_zone(gfp: int | str, arch: Arch = X86_64) -> str:
    """Return the name of the highest zone that a request may be served from.

    A zone that the architecture does not have is replaced by Normal, so ``__GFP_HIGHMEM`` means Normal on 64 bits.

    >>> gfp_zone(Gfp.GFP_KERNEL), gfp_zone(Gfp.GFP_HIGHUSER), gfp_zone(Gfp.GFP_HIGHUSER_MOVABLE)
    ('Normal', 'Normal', 'Movable')

    Raises ValueError for a mask that contradicts itself.
    """
    flags = check_gfp(gfp)
    wanted = {Gfp.DMA: "DMA", Gfp.HIGHMEM: "HighMem", Gfp.DMA32: "DMA32"}.get(flags & _ZONE_BITS, "Normal")
    if flags & Gfp.HIGHMEM and flags & Gfp.MOVABLE:
        wanted = "Movable"
    return wanted if wanted in arch.zone_names else "Normal"


def gfp_migratetype(gfp: int | str) -> MigrateType:
    """Return the migrate type that a request asks for: two bits of the mask are it.

    >>> gfp_migratetype(Gfp.GFP_HIGHUSER_MOVABLE)
    <MigrateType.MOVABLE: 1>
    """
    return MigrateType((check_gfp(gfp) & (Gfp.MOVABLE | Gfp.RECLAIMABLE)) >> 3)
