"""What the menus of the VMA lab offer: rights, kinds of memory, places, advice; and the addresses worth choosing."""

from __future__ import annotations

from collections.abc import Mapping

from mmkit.model import vmaflags as f
from mmkit.model.vmastate import MmState, VmaState
from mmkit.record import Record
from mmkit.units import parse_address, parse_size
from mmkit.view.parts import plural
from mmkit.view.vmachange import MOST_PAGES, window_of

PAGE = 4096
PROTS = {"rw-": 3, "r--": 1, "r-x": 5, "rwx": 7, "---": 0, "-w-": 2, "--x": 4}
"""PROT_READ, PROT_WRITE and PROT_EXEC, as ``/proc/PID/maps`` writes them."""
SHARING = {"private": f.MAP_PRIVATE, "shared": f.MAP_SHARED}
ANONYMOUS = "anonymous"
PLACES = {
    "anywhere": None, "near Address (a hint)": 0, "at Address (MAP_FIXED)": f.MAP_FIXED,
    "at Address, replace nothing": f.MAP_FIXED_NOREPLACE,
}  # fmt: skip
"""Where mmap puts the new area; None ignores the address."""
EXTRAS = {
    "nothing": 0, "MAP_POPULATE": f.MAP_POPULATE, "MAP_LOCKED": f.MAP_LOCKED, "MAP_NORESERVE": f.MAP_NORESERVE,
    "MAP_GROWSDOWN": f.MAP_GROWSDOWN,
}  # fmt: skip
_ADVICE = (
    "DONTNEED", "FREE", "WILLNEED", "POPULATE_READ", "POPULATE_WRITE", "DONTFORK", "DOFORK", "WIPEONFORK", "KEEPONFORK",
    "DONTDUMP", "DODUMP", "HUGEPAGE", "NOHUGEPAGE", "RANDOM", "SEQUENTIAL", "NORMAL", "COLD", "REMOVE",
    "DONTNEED_LOCKED",
)  # fmt: skip
ADVICE: dict[str, int] = {f"MADV_{name}": getattr(f, f"MADV_{name}") for name in _ADVICE}
_FIXED = f.MREMAP_MAYMOVE | f.MREMAP_FIXED
REMAPS = {
    "may move": f.MREMAP_MAYMOVE, "in place only": 0, "to New address (MREMAP_FIXED)": _FIXED,
    "may move, the old area stays": f.MREMAP_MAYMOVE | f.MREMAP_DONTUNMAP,
}  # fmt: skip
WORD = 1 << 64
_MOST_PLACES = 150
_MARGIN, _LEAST_PAGES = 4, 24


class Request(Record):
    """What mmap is asked for: numbers in bytes, the rest as the menus name it."""

    addr: int = 0
    length: int = 4 * PAGE
    prot: str = "rw-"
    sharing: str = "private"
    memory: str = ANONYMOUS
    """ANONYMOUS, "FILE, opened anew (MODE)" or "open file NUMBER"."""
    offset: int = 0
    place: str = "anywhere"
    extra: str = "nothing"

    @property
    def title(self) -> str:
        """The call in words, for the timeline."""
        near = self.place.partition(" ")[0]
        where = f", {near} {self.addr:#x}" if near in ("near", "at") else ""
        offset = f" from {self.offset:#x} on" if self.memory != ANONYMOUS else ""
        more = f", {self.extra}" if self.extra != "nothing" else ""
        only = " if it is free" if self.place.endswith("nothing") else ""
        return f"mmap {size_words(self.length)}, {self.prot}, {self.sharing}, {self.memory}{offset}{where}{only}{more}"

    @property
    def flags(self) -> int:
        """The MAP_* bits."""
        anonymous = f.MAP_ANONYMOUS if self.memory == ANONYMOUS else 0
        return SHARING[self.sharing] | anonymous | (PLACES[self.place] or 0) | EXTRAS[self.extra]


def choice(menu: Mapping[str, object], name: str, what: str) -> None:
    """Raise ValueError if ``menu`` does not offer that."""
    if not isinstance(name, str) or name not in menu:
        raise ValueError(f"there is no {what} {name!r}: choose one of {', '.join(map(repr, menu))}")


def name_of(vma: VmaState) -> str:
    """Return what to call an area in a few words: "rw-p [heap]"."""
    return f"{vma.perms} {vma.name.rpartition('/')[2]}".rstrip()


def parse_length(length: int | str) -> int:
    """Return bytes, given as a number or as text: "4 pages", "1 page", "64 KiB", "0x2000".

    Raises ValueError for text that is no size or more than a word holds, TypeError for other things.
    """
    text = length.strip() if isinstance(length, str) else length
    if isinstance(text, str) and text.lower().startswith("0x"):
        found = parse_address(text)
    else:
        found = parse_size(f"{text}s" if isinstance(text, str) and text.endswith("page") else text)
    if found >= WORD:
        raise ValueError(f"{found:#x} bytes are no length: that has more than 64 bits")
    return found


def size_words(length: int) -> str:
    """Return "4 pages", or how many bytes if they are no whole pages."""
    return plural(length // PAGE, "page") if length and length % PAGE == 0 else plural(length, "byte")


def first_address(mm: MmState) -> int:
    """Return an address to begin with: of the first area that can be written."""
    return next((vma.start for vma in mm.vmas if vma.perms.startswith("rw")), 0x1000_0000)


def places(mm: MmState) -> dict[str, int]:
    """Return the addresses that the menu offers, by what they are: start, middle and end of every area, and gaps."""
    starts, ends = {vma.start for vma in mm.vmas}, {vma.end for vma in mm.vmas}
    found: list[tuple[int, str]] = []
    for vma in mm.vmas:
        spots = [(vma.start, "start of")]
        spots += [(vma.start + vma.pages // 2 * PAGE, "middle of")] * (vma.pages > 2)
        spots += [(vma.end - PAGE, "last page of")] * (vma.pages > 1)
        spots += [(vma.end, "behind")] * (vma.end not in starts and vma.end < mm.layout.task_size)
        spots += [(vma.start - PAGE, "page below")] * (vma.start not in ends and vma.start > 0)
        found += [(addr, f"{addr:#x} {where} {name_of(vma)}") for addr, where in spots]
    if not found:
        return {"0x10000000 nothing is mapped": 0x1000_0000}
    return {words: addr for addr, words in sorted(found)[-_MOST_PLACES:]}


def window(mm: MmState, before: MmState | None, stretch: tuple[int, int] | None) -> tuple[int, int]:
    """Return the stretch of addresses, of at most MOST_PAGES pages, that shows best what a call has changed.

    All of what changed, if there is room for it, else what the call was about; with some of the neighbourhood.
    """
    start, end = window_of(mm, before)
    if stretch is None:
        return start, end
    changed = set(mm.vmas) ^ set(before.vmas if before else mm.vmas)
    low = min([stretch[0], *(vma.start for vma in changed)])
    high = max([stretch[1], *(vma.end for vma in changed)])
    if high - low > (MOST_PAGES - 2 * _MARGIN) * PAGE:
        low, high = stretch[0], min(stretch[1], stretch[0] + (MOST_PAGES - 2 * _MARGIN) * PAGE)
    low, high = max(low - _MARGIN * PAGE, 0), high + _MARGIN * PAGE
    for vma in mm.vmas:  # An area that begins or ends only just outside is shown whole.
        low = vma.start if vma.start < low < vma.end and high - vma.start <= MOST_PAGES * PAGE else low
        high = vma.end if vma.start < high < vma.end and vma.end - low <= MOST_PAGES * PAGE else high
    return low, max(high, low + _LEAST_PAGES * PAGE)
