"""Inks: what each kind of page looks like, in one palette that does not rely on colour.

Every ink has a face that colour-blind readers tell apart (after Okabe & Ito), and a hatch and a letter beside it.
"""

from __future__ import annotations

from mmkit.model.migratetype import MigrateType
from mmkit.model.slabstate import ObjectState
from mmkit.model.snapshot import FrameUse
from mmkit.record import Record

PAPER = "#ffffff"
TEXT = "#1b1b1b"
MUTED = "#5c5c5c"
LINE = "#b0b0b0"
FAINT = "#e4e4e4"
ALERT = "#a50f15"
"""Text that must be seen: a refusal, a failed request. Always beside words or a sign that say so."""


class Ink(Record):
    """How one category is drawn: fill, the marks hatched over it, the letter on it and the colour of that letter."""

    name: str
    letter: str
    face: str
    mark: str
    hatch: str = ""
    """"/" and "\\\\" lines, "." dots, "x" crosses, "-" bars, "|" posts, "" nothing."""
    text: str = TEXT
    edge: str = MUTED
    """Outline, and the whole of a box too thin for a face."""


USE_INKS: dict[FrameUse, Ink] = {
    FrameUse.HOLE: Ink("hole", "", "#ffffff", "#c9c9c9", "\\", edge="#b0b0b0"),
    FrameUse.FREE: Ink("free", "", "#dfe9d2", "#dfe9d2", edge="#a9bb8f"),
    FrameUse.PER_CPU: Ink("per-CPU list", "c", "#f0e442", "#b9ad10", "."),
    FrameUse.UNMOVABLE: Ink("unmovable", "U", "#d55e00", "#a34700", "/", PAPER, edge="#a34700"),
    FrameUse.MOVABLE: Ink("movable", "M", "#0072b2", "#0072b2", "", PAPER, edge="#004c78"),
    FrameUse.RECLAIMABLE: Ink("reclaimable", "R", "#009e73", "#00704f", ".", PAPER, edge="#00704f"),
    FrameUse.ANON: Ink("anonymous", "A", "#7cc7ee", "#7cc7ee"),
    FrameUse.FILE: Ink("page cache", "F", "#e69f00", "#b57d00", "\\"),
    FrameUse.SLAB: Ink("slab", "S", "#8a2f64", "#5f1c43", "x", PAPER),
    FrameUse.PAGE_TABLE: Ink("page table", "T", "#332288", "#6a5fc0", "|", PAPER),
    FrameUse.RESERVED: Ink("reserved", "K", "#4d4d4d", "#777777", "x", PAPER),
    FrameUse.OTHER: Ink("in use", "o", "#a9a9a9", "#8b8b8b", "-", edge="#7d7d7d"),
    FrameUse.IN_HAND: Ink("in hand", "◆", "#000000", "#000000", "", PAPER),
}
"""What a page frame is used for."""

FREE_INKS: dict[MigrateType, Ink] = {
    MigrateType.UNMOVABLE: Ink("Unmovable", "U", "#fbd5b5", "#e08a4a", "/", edge="#d55e00"),
    MigrateType.MOVABLE: Ink("Movable", "M", "#b9dcf2", "#b9dcf2", edge="#0072b2"),
    MigrateType.RECLAIMABLE: Ink("Reclaimable", "R", "#b5e3d2", "#4fae8c", ".", edge="#009e73"),
    MigrateType.HIGHATOMIC: Ink("HighAtomic", "H", "#f0cfe2", "#c678a4", "x", edge="#a8487f"),
    MigrateType.ISOLATE: Ink("Isolate", "I", "#dcdcdc", "#9c9c9c", "-", edge="#5c5c5c"),
}
"""Free blocks by the list they are on: the colour of the type, light, because nobody uses them."""

LARGE_FREE = Ink("free, in large blocks", "", "#7fb872", "#3f7d34", ".", edge="#3f7d34")
"""Free blocks large enough for what the picture is about, where smaller ones are shown as free."""
CMA = Ink("CMA", "C", "#e6e0f8", "#8f7fd0", "|", edge="#6a5fc0")
UNTOLD = Ink("free", "", "#c4d3dd", "#8fa6b5", "-")
"""Free blocks whose type the source does not tell."""


OBJECT_INKS: dict[ObjectState, Ink] = {
    ObjectState.FREE: Ink("free, on its slab's list", "", "#dfe9d2", "#a9bb8f", "/", edge="#6f8a4f"),
    ObjectState.CPU_FREE: Ink("free, on the CPU's list", "c", "#f0e442", "#b9ad10", ".", edge="#8f8600"),
    ObjectState.ALLOCATED: Ink("in use", "", "#8a2f64", "#5f1c43", "", PAPER, edge="#5f1c43"),
    ObjectState.DAMAGED: Ink("damaged", "!", "#000000", "#a50f15", "x", PAPER, edge="#a50f15"),
}
"""What an object of a slab is."""
NO_OBJECT = Ink("in no object", "", "#f4f4f4", "#9c9c9c", "x", edge=LINE)
"""The rest of a slab, in which no object fits."""
RED_ZONE = Ink("red zone", "", "#f3d6a2", "#e0b872", "/", edge="#8a6414")
USERS = Ink("the object", "", "#cbe6c4", "#cbe6c4", "", edge="#3f7d34")
NOTES = Ink("free pointer and notes", "", "#d8cbee", "#bba9e0", "|", edge="#6a5fc0")
PADDING = Ink("padding", "", "#f4f4f4", "#d2d2d2", "\\", edge=LINE)
"""Bytes of an object by what debugging uses them for."""


def ink_of_title(title: str) -> Ink:
    """Return the ink of free blocks of the migrate type that ``/proc/pagetypeinfo`` calls so."""
    return next((one for one in (*FREE_INKS.values(), CMA) if one.name == title), UNTOLD)


IN_HAND = USE_INKS[FrameUse.IN_HAND]
SET_BIT = Ink("set", "1", "#1f4e79", "#1f4e79", "", PAPER)
CLEAR_BIT = Ink("clear", "0", "#f4f4f4", "#f4f4f4", "", MUTED)
FIELD = Ink("field", "", "#fff3cf", "#e2c56a", "/")
"""Bits that are a number or an address together."""
WATER = Ink("free", "", "#a6cde8", "#a6cde8", edge="#2b6ea3")
KEPT = Ink("kept back", "", "#f3d6a2", "#c99634", "/", edge="#8a6414")
"""Pages that a request may not touch: watermark and protection."""

ZONE_INKS: dict[str, Ink] = {
    "DMA": Ink("DMA", "", "#d8cbee", "#8f7fd0", "/", edge="#6a5fc0"),
    "DMA32": Ink("DMA32", "", "#c3ddf0", "#c3ddf0", edge="#2b6ea3"),
    "Normal": Ink("Normal", "", "#cbe6c4", "#7fb872", ".", edge="#3f7d34"),
    "HighMem": Ink("HighMem", "", "#fbdcb4", "#dba45a", "\\", edge="#a86a1c"),
    "Movable": Ink("Movable", "", "#f7cfd6", "#cf8895", "|", edge="#a34a5c"),
    "Device": Ink("Device", "", "#d2d2d2", "#9a9a9a", "x", edge="#5c5c5c"),
}
"""Zones, where several stand side by side."""

RULE = Ink("rule", "", TEXT, TEXT)
"""Ticks and edges."""
MARK = Ink("mark", "", "#ffe58a", "#ffe58a", edge="#b58900")
"""Ground of a digit to look at."""
GHOST = Ink("gone", "", PAPER, PAPER, text=MUTED, edge=LINE)
"""A block that has become another."""
TAG = Ink("tag", "", PAPER, PAPER, edge=TEXT)
"""Ground of a text beside what it names."""

USED = Ink("in use", "o", "#a9a9a9", "#8b8b8b", "-", edge="#7d7d7d")
"""In use, by whomever."""
VACANT = Ink("free", "", "#f4f4f4", "#f4f4f4", edge=LINE)
"""Free pages on a map that is about those in use."""
WASTED = Ink("given, not asked for", "w", "#ffe58a", "#b58900", "x", edge="#b58900")
"""The rest of a block of which less was asked for."""
LARGEST = Ink("largest block", "", "#0072b2", "#004c78", "|", PAPER, edge="#004c78")
WHY = Ink("why it fails", "", "#e6e0f8", "#8f7fd0", "\\", edge="#6a5fc0")
"""The fragmentation index."""
PIECES: tuple[Ink, ...] = (
    Ink("in small pieces", "", "#fbd5b5", "#e08a4a", "/", edge="#d55e00"),
    Ink("in middling pieces", "", "#f0e442", "#b9ad10", ".", edge="#8f8600"),
    Ink("in large pieces", "", "#b9dcf2", "#7cc7ee", "\\", edge="#0072b2"),
    Ink("in huge pieces", "", "#0072b2", "#0072b2", "", PAPER, edge="#004c78"),
)
"""Free memory by the size of its blocks."""
REFUSED = Ink("refused", "!", ALERT, ALERT, "", PAPER, edge=ALERT)
MIXED = Ink("of mixed types", "", "#8f7fd0", "#6a5fc0", "/", edge="#6a5fc0")
TAKEN_OFF = Ink("to be moved", "m", "#000000", "#000000", "", PAPER)
ROOM = Ink("room for them", "r", "#f0e442", "#b9ad10", ".", edge="#8f8600")
MOVED = Ink("moved here", "n", "#7cc7ee", "#0072b2", "|", edge="#004c78")
STUCK = Ink("movable, but stays", "!", "#a50f15", "#e08a4a", "\\", PAPER, edge="#a50f15")

VMA_INKS: dict[str, Ink] = {
    "code": Ink("code", "X", "#b9dcf2", "#6ba8cf", "/", edge="#0072b2"),
    "read-only": Ink("read-only data", "R", "#dff0fa", "#dff0fa", edge="#2b6ea3"),
    "data": Ink("data", "D", "#f9d9a8", "#d99a3c", "\\", edge="#a86a1c"),
    "bss": Ink("zeros (BSS)", "B", "#fdf0d5", "#e2b567", ".", edge="#a86a1c"),
    "heap": Ink("heap", "H", "#d55e00", "#a34700", "/", PAPER, edge="#a34700"),
    "anonymous": Ink("anonymous", "A", "#b5e3d2", "#b5e3d2", edge="#00704f"),
    "shared": Ink("shared", "=", "#f7cfd6", "#cf8895", "|", edge="#a34a5c"),
    "file": Ink("file, private", "F", "#f0e442", "#b9ad10", "\\", edge="#8f8600"),
    "stack": Ink("stack", "S", "#8a2f64", "#5f1c43", "", PAPER, edge="#5f1c43"),
    "kernel": Ink("the kernel's", "K", "#d2d2d2", "#9a9a9a", "x", edge="#5c5c5c"),
    "guard": Ink("no rights", "-", "#f4f4f4", "#9c9c9c", "x", edge="#7d7d7d"),
}
"""Virtual memory areas by what they are for."""
WRITTEN = Ink("own page", "w", "#1f4e79", "#1f4e79", "", PAPER, edge="#0d2c48")
FILE_PAGE = Ink("page of a file", "f", "#8f8600", "#b9ad10", ".", PAPER, edge="#5f5900")
ZERO_PAGE = Ink("zero page", "z", "#ffffff", "#ffffff", "", edge=MUTED)
"""Pages of an area that are in memory."""
RED_NODE = Ink("red node", "r", "#fbd5d0", "#fbd5d0", edge="#a50f15")
BLACK_NODE = Ink("black node", "b", "#d9d9d9", "#d9d9d9", edge="#000000")
ON_PATH = Ink("looked at", "", "#ffe58a", "#ffe58a", edge="#b58900")
FOUND = Ink("found", "", "#009e73", "#009e73", "", PAPER, edge="#00513b")

LEVEL_INKS: dict[str, tuple[Ink, Ink]] = {
    "pgd": (Ink("pgd", "0", "#d9e8f5", "#d9e8f5", edge="#004c78"), Ink("pgd", "1", "#0b5a91", "#0b5a91", "", PAPER)),
    "p4d": (Ink("p4d", "0", "#f7dfe8", "#f7dfe8", edge="#8a2f64"), Ink("p4d", "1", "#8a2f64", "#8a2f64", "", PAPER)),
    "pud": (Ink("pud", "0", "#d5efe4", "#d5efe4", edge="#00513b"), Ink("pud", "1", "#00664a", "#00664a", "", PAPER)),
    "pmd": (Ink("pmd", "0", "#fbe3d0", "#fbe3d0", edge="#8a3d00"), Ink("pmd", "1", "#a34700", "#a34700", "", PAPER)),
    "pte": (Ink("pte", "0", "#e4def5", "#e4def5", edge="#332288"), Ink("pte", "1", "#4a37a8", "#4a37a8", "", PAPER)),
    "offset": (Ink("offset", "0", "#ececec", "#ececec", edge="#3a3a3a"),
               Ink("offset", "1", "#4d4d4d", "#4d4d4d", "", PAPER)),
}  # fmt: skip
"""Bits of an address, clear and set, by what they are the index of."""

TLB_INKS: dict[str, Ink] = {
    "empty": Ink("empty", "", "#f4f4f4", "#f4f4f4", edge=LINE),
    "kept": Ink("a translation", "", "#b9dcf2", "#b9dcf2", edge="#0072b2"),
    "other": Ink("another process's", "", "#e4def5", "#8f7fd0", "/", edge="#4a37a8"),
    "hit": Ink("found just now", "", "#009e73", "#009e73", "", PAPER, edge="#00513b"),
    "filled": Ink("filled just now", "", "#e69f00", "#b57d00", "\\", edge="#8a5a00"),
}
"""Entries of a TLB."""
HIT = Ink("hit", "h", "#d5efe4", "#d5efe4", edge="#00513b")
MISS = Ink("miss", "M", "#a34700", "#a34700", "", PAPER, edge="#5f2a00")
HEAT: dict[str, tuple[Ink, Ink, Ink]] = {
    "hits": (Ink("few", "", "#b9dcf2", "#b9dcf2"), Ink("more", "", "#5aa5d6", "#5aa5d6"),
             Ink("many", "", "#0b5a91", "#0b5a91", "", PAPER)),
    "misses": (Ink("few", "", "#f9c79a", "#d5761f", "/"), Ink("more", "", "#e07b2f", "#a34700", "/"),
               Ink("many", "", "#a34700", "#5f2a00", "/", PAPER)),
}  # fmt: skip
"""How often a page was used: when every access hit, and when some missed."""

OWNER_INKS: tuple[Ink, ...] = (
    Ink("the first process", "A", "#b9dcf2", "#b9dcf2", edge="#0072b2"),
    Ink("the second process", "B", "#f9c79a", "#f9c79a", edge="#a34700"),
    Ink("the third process", "C", "#b5e3d2", "#b5e3d2", edge="#00704f"),
    Ink("the fourth process", "D", "#f0cfe2", "#f0cfe2", edge="#a8487f"),
    Ink("the fifth process", "E", "#e4def5", "#e4def5", edge="#4a37a8"),
)
"""Whose a page is, where a letter before its number says it as well."""
OF_FILE = Ink("of the file", "f", "#f0e442", "#f0e442", edge="#8f8600")

INKS: tuple[Ink, ...] = (
    *USE_INKS.values(), *FREE_INKS.values(), *OBJECT_INKS.values(), *ZONE_INKS.values(),
    NO_OBJECT, RED_ZONE, USERS, NOTES, PADDING, LARGE_FREE, CMA, UNTOLD, SET_BIT, CLEAR_BIT, FIELD, WATER, KEPT,
    USED, VACANT, WASTED, LARGEST, WHY, *PIECES, REFUSED, MIXED, TAKEN_OFF, ROOM, MOVED, STUCK,
    *VMA_INKS.values(), WRITTEN, FILE_PAGE, ZERO_PAGE, RED_NODE, BLACK_NODE, ON_PATH, FOUND, RULE, GHOST, TAG, MARK,
    *(one for pair in LEVEL_INKS.values() for one in pair), *TLB_INKS.values(), HIT, MISS,
    *(one for ramp in HEAT.values() for one in ramp), *OWNER_INKS, OF_FILE,
)  # fmt: skip
"""All of them: what the palette of the PNG files is made for."""
