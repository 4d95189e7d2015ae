"""What an area is for, and how neighbours that belong together are drawn as one band."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

from mmkit.model.vmaflags import VM_ACCESS_FLAGS, VM_EXEC, VM_MAYSHARE, VM_WRITE
from mmkit.model.vmastate import MmState, VmaState
from mmkit.record import Record
from mmkit.view.parts import listed, plural

SPECIAL = ("[vdso]", "[vvar]", "[vvar_vclock]", "[vsyscall]", "[uprobes]")


def kind_of(vma: VmaState, below: VmaState | None = None) -> str:
    """Return what an area is for: a key of ``ink.VMA_INKS``; ``below`` is its lower neighbour."""
    if vma.name in ("[stack]", "[heap]"):
        return vma.name[1:-1]
    if vma.name in SPECIAL:
        return "kernel"
    if not vma.flags & VM_ACCESS_FLAGS:
        return "guard"
    if vma.flags & VM_MAYSHARE:
        return "shared"
    if vma.file is None:
        is_bss = below is not None and below.end == vma.start and kind_of(below) == "data"
        return "bss" if is_bss else "anonymous"
    if vma.flags & VM_WRITE:
        return "data"
    return "code" if vma.flags & VM_EXEC else "read-only"


def kinds_of(vmas: Sequence[VmaState]) -> list[str]:
    """Return the kind of each area."""
    return [kind_of(vma, vmas[number - 1] if number else None) for number, vma in enumerate(vmas)]


class Band(Record):
    """Areas that are drawn as one: [first, last] of ``MmState.vmas``."""

    first: int
    last: int
    kind: str
    title: str

    def of(self, mm: MmState) -> tuple[VmaState, ...]:
        """Return its areas."""
        return mm.vmas[self.first : self.last + 1]


def short_name(name: str) -> str:
    """Return a file's name without its folders."""
    deleted = " (deleted)" if name.endswith(" (deleted)") else ""
    return name.removesuffix(" (deleted)").rpartition("/")[2] + deleted if name.startswith("/") else name


def bands(mm: MmState, most: int) -> list[Band]:
    """Return at most ``most`` bands, from low to high: single areas if that is few enough, else neighbours together."""
    vmas, kinds = mm.vmas, kinds_of(mm.vmas)
    groups = [[number] for number in range(len(vmas))]
    near: tuple[Callable[[VmaState, VmaState], bool], ...] = (
        lambda one, other: one.end == other.start and one.file == other.file and one.file is not None,
        lambda one, other: one.end == other.start and one.file is not None and other.file is not None,
        lambda one, other: one.end == other.start,
    )
    for together in near:
        if len(groups) > most:
            groups = _joined(groups, lambda a, b, t=together: t(vmas[a], vmas[b]))  # type: ignore[misc]
    while len(groups) > most:
        gaps = [vmas[b[0]].start - vmas[a[-1]].end for a, b in pairwise(groups)]
        at = gaps.index(min(gaps))
        groups[at : at + 2] = [groups[at] + groups[at + 1]]
    return [_band(vmas, kinds, group) for group in groups]


def _joined(groups: list[list[int]], together: Callable[[int, int], bool]) -> list[list[int]]:
    found: list[list[int]] = []
    for group in groups:
        if found and together(found[-1][-1], group[0]):
            found[-1] = found[-1] + group
        else:
            found.append(group)
    return found


def _band(vmas: Sequence[VmaState], kinds: Sequence[str], group: list[int]) -> Band:
    first, last = group[0], group[-1]
    names = list(dict.fromkeys(short_name(vmas[number].name) for number in group if vmas[number].name))
    if first == last:
        title = names[0] if names else ""
        return Band(first, last, kinds[first], title)
    shown = listed(names[:2]) + (" …" if len(names) > 2 else "") if names else "anonymous"
    own = {kinds[number] for number in group}
    kind = next(one for one in ("stack", "heap", "code", "data", *own) if one in own)
    return Band(first, last, kind, f"{plural(len(group), 'area')}: {shown}")
