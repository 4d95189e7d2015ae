"""A page in words: values as the pictures write them, and the sentences of captions and alt texts."""

from __future__ import annotations

from collections.abc import Callable

from mmkit.model.pageflags import BitField, MappingKind, PageFlags
from mmkit.model.snapshot import PageSnapshot
from mmkit.view.artist import text_width
from mmkit.view.parts import listed
from mmkit.view.picture import fit

# What the bits that have several names mean on a page of that kind.
_ON_ANON = {PageFlags.owner_2: "anon_exclusive", PageFlags.owner_priv_1: "swapcache"}
_ON_FILE = {PageFlags.owner_2: "mappedtodisk", PageFlags.owner_priv_1: "checked"}
HERE: dict[MappingKind, dict[PageFlags, str]] = {
    MappingKind.ANON: _ON_ANON, MappingKind.KSM: _ON_ANON, MappingKind.FILE: _ON_FILE,
}  # fmt: skip
KIND_WORDS = {
    MappingKind.NONE: "no mapping", MappingKind.FILE: "00: file-backed", MappingKind.ANON: "01: anonymous",
    MappingKind.KSM: "11: merged",
}  # fmt: skip
NOT_TOLD = "not told"


def word(value: int, bits: int) -> str:
    """Return a word in hexadecimal with all its digits."""
    return f"0x{value:0{bits // 4}x}"


def flag_name(flag: PageFlags, kind: MappingKind) -> str:
    """Return the name of a flag, with what it means on a page of that kind if that is another."""
    here = HERE.get(kind, {}).get(flag)
    return f"{flag.name} (here: {here})" if here else str(flag.name)


def field_words(snapshot: PageSnapshot, field: BitField) -> str:
    """Say what the number in a field of the flags word is."""
    value = field.get(snapshot.flags_word)
    if field.name == "zone":
        return f"zone {value}: {snapshot.zone}"
    if field.name == "last_cpupid":
        return f"last_cpupid: {'nobody' if value == field.max else hex(value)}"
    return f"{field.name} {value}"


def set_words(snapshot: PageSnapshot) -> str:
    """List the flags that are set."""
    names = [flag_name(flag, snapshot.kind) for flag in PageFlags if flag in snapshot.flags]
    return f"Set: {listed(names)}." if names else "No flag is set."


def change_words(snapshot: PageSnapshot, before: PageSnapshot) -> str:
    """Say which flags have changed, and what they say; nothing if none has."""
    changed = [flag for flag in PageFlags if flag in snapshot.flags ^ before.flags]
    if not changed:
        return ""
    told = [f"{flag.name} {'set' if flag in snapshot.flags else 'cleared'}" for flag in changed]
    what = f" ({changed[0].what})" if len(changed) == 1 else ""
    return f"Changed: {listed(told)}{what}."


def flags_lines(snapshot: PageSnapshot, before: PageSnapshot, width: float) -> list[str]:
    """The two lines under the flags."""
    changed, nr_set = change_words(snapshot, before), snapshot.flags.value.bit_count()
    few = set_words(snapshot)
    line = few if text_width(few, 12) <= width else f"Set: {nr_set} of the {len(PageFlags)} flags."
    return [line, fit(changed, width, 12) if changed else ""]


def pointer_words(snapshot: PageSnapshot) -> tuple[str, str]:
    """What the upper bits of ``mapping`` lead to, and what its two low bits say."""
    if snapshot.mapping is None:
        return "used for something else on such a page", ""
    if not snapshot.mapping:
        return "leads nowhere", KIND_WORDS[MappingKind.NONE]
    if snapshot.kind is MappingKind.FILE:
        return f"address of a struct {snapshot.kind.value}", KIND_WORDS[snapshot.kind]
    address = word(snapshot.mapping & ~3, snapshot.layout.word_bits)
    return f"without the low bits {address}: a struct {snapshot.kind.value}", KIND_WORDS[snapshot.kind]


def mapping_lines(snapshot: PageSnapshot) -> list[str]:
    """Two sentences: what the page belongs to, and where in it."""
    if snapshot.mapping is None or snapshot.index is None:
        return ["mapping, index and private hold something else on a page of this type.", ""]
    if snapshot.kind is MappingKind.NONE:
        left_over = f" {snapshot.index:#x} is left over from its last use." if snapshot.index else ""
        return ["The page belongs to no file and to no anonymous memory.", f"index means nothing then.{left_over}"]
    if snapshot.kind is MappingKind.FILE:
        start = snapshot.index * 4096
        what = "The lowest bit is 0: the page is a file's, and mapping is the address of its address_space."
        return [what, f"index {snapshot.index:,}: the page holds the file from byte {start:,} on."]
    where = f"index {snapshot.index:#x}: the number of its virtual page, at {snapshot.index << 12:#x}."
    if snapshot.kind is MappingKind.KSM:
        return ["Both low bits are 1: the page is anonymous and was merged with equal ones.", where]
    return ["The lowest bit is 1: the page is anonymous, and the pointer without it leads to its anon_vma.", where]


def state_words(snapshot: PageSnapshot, textbook: bool = False) -> str:
    """Say in one line what the page is: its counts and what it is used for."""
    count = snapshot.count_then if textbook else snapshot.refcount
    name = "_count" if textbook else "_refcount"
    if snapshot.page_type is not None:
        use = {"buddy": "first of a free block", "table": "a page table"}.get(
            snapshot.page_type.name, f"of type {snapshot.page_type.name}"
        )
    elif snapshot.refcount == 0:
        use = "free"
    else:
        use = {
            MappingKind.NONE: "in use", MappingKind.FILE: "file-backed", MappingKind.ANON: "anonymous",
            MappingKind.KSM: "anonymous, merged",
        }[snapshot.kind]  # fmt: skip
    told = NOT_TOLD if count is None else str(count)
    return f"Page 0x{snapshot.pfn:x}: {use}, {name} {told}, _mapcount {_mapcount(snapshot)}"


def _mapcount(snapshot: PageSnapshot) -> str:
    return NOT_TOLD if snapshot.mapcount is None else str(snapshot.mapcount)


def _hex(value: int | None) -> str:
    return NOT_TOLD if value is None else hex(value)


def _counted(value: int | None) -> str:
    return NOT_TOLD if value is None else str(value)


def _type_or_mapcount(snapshot: PageSnapshot) -> str:
    if snapshot.page_type is not None:
        return f"{snapshot.page_type.name} {snapshot.page_type.value:#x}"
    return _mapcount(snapshot)


def _neighbour(snapshot: PageSnapshot, which: int) -> str:
    if snapshot.lru is None:
        return NOT_TOLD if PageFlags.lru in snapshot.flags or snapshot.mapping is None else "on no list"
    pfn = snapshot.lru[which]
    return "this page" if pfn == snapshot.pfn else f"page {pfn:#x}"


def lru_words(snapshot: PageSnapshot) -> str:
    """Say on what list the page is, and between which pages."""
    if snapshot.lru is None:
        return f"lru {_neighbour(snapshot, 0)}"
    before_pfn, next_pfn = snapshot.lru
    alone = before_pfn == next_pfn == snapshot.pfn
    return "lru alone on its list" if alone else f"lru behind page {before_pfn:#x} and before page {next_pfn:#x}"


_VALUES: dict[str, Callable[[PageSnapshot], str]] = {
    "flags": lambda s: word(s.flags_word, s.layout.word_bits),
    "lru.next": lambda s: f"next: {_neighbour(s, 1)}" if s.lru else _neighbour(s, 1),
    "lru.prev": lambda s: f"prev: {_neighbour(s, 0)}" if s.lru else "",
    "mapping": lambda s: NOT_TOLD if s.mapping is None else word(s.mapping, s.layout.word_bits),
    "index": lambda s: _hex(s.index),
    "private": lambda s: _hex(s.private),
    "_mapcount": _type_or_mapcount,
    "_refcount": lambda s: _counted(s.refcount),
    "_count": lambda s: _counted(s.count_then),
    "virtual": lambda s: "NULL: high memory" if s.virtual is None else word(s.virtual, s.layout.word_bits),
    "memcg_data": lambda s: "not modelled",
}


def field_value(snapshot: PageSnapshot, name: str, then: bool = False) -> str:
    """Return the value of a field as the pictures write it: counts decimal, the rest hexadecimal.

    ``then``: in the textbook's kernel, whose ``_mapcount`` held no page types.
    """
    return _mapcount(snapshot) if then and name == "_mapcount" else _VALUES[name](snapshot)


def virtual_line(snapshot: PageSnapshot) -> str:
    """Say where the kernel sees the page, which today no field of it tells."""
    if snapshot.virtual is None:
        return "High memory: the kernel sees the page only while it maps it (kmap)"
    phys_addr = snapshot.pfn << 12
    offset, bits = snapshot.virtual - phys_addr, snapshot.layout.word_bits
    return f"Today virtual is calculated: {word(offset, bits)} + {phys_addr:#x} = {word(snapshot.virtual, bits)}"
