"""What an area is for, and how neighbours that belong together are drawn as one band."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

from mmkit.model.vmaflags import VM_ACCESS_FLAGS, VM_EXEC, VM_MAYSHARE, VM_WRITE
from mmkit.model.vmastate import MmState, VmaState
from mmkit.record import Record
from mmkit.view.parts import listed, plural

SPECIAL = ("[vdso]", "[vvar]", "[vvar_vclock]", "[vsyscall]", "[uprobes]")


def kind_of(vma: VmaState, above_data: bool = False) -> str:
    """Return what an area is for: a key of ``ink.VMA_INKS``; ``above_data``: whether it begins where data ends."""
    if vma.name in ("[stack]", "[heap]"):
        return vma.name[1:-1]
    if vma.name in SPECIAL:
        return "kernel"
    if not vma.flags & VM_ACCESS_FLAGS:
        return "guard"
    if vma.flags & VM_MAYSHARE:
        return "shared"
    if vma.file is None:
        return "bss" if above_data else "anonymous"
    if vma.flags & VM_WRITE:
        return "data"
    return "code" if vma.flags & VM_EXEC else "read-only"


def kinds_of(vmas: Sequence[VmaState]) -> list[str]:
    """Return the kind of each area."""
    kinds: list[str] = []
    end_of_data = -1
    for vma in vmas:
        kinds.append(kind_of(vma, vma.start == end_of_data))
        if kinds[-1] == "data":
            end_of_data = vma.end
    return kinds


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


def bands(mm: MmState, most: int, kinds: Sequence[str] | None = None) -> list[Band]:
    """Return at most ``most`` bands, from low to high: single areas if that is few enough, else neighbours together."""
    vmas = mm.vmas
    kinds = kinds_of(vmas) if kinds is None else kinds
    groups = [[number] for number in range(len(vmas))]
    near: tuple[Callable[[VmaState, VmaState], bool], ...] = (
        lambda one, other: one.end == other.start and one.file == other.file and one.file is not None,
        lambda one, other: one.end == other.start and one.file is not None and other.file is not None,
        lambda one, other: one.end == other.start,
    )
    for together in near:
        if len(groups) > most:
            groups = _joined(groups, lambda a, b, t=together: t(vmas[a], vmas[b]))  # type: ignore[misc]
    if len(groups) > most:
        groups = _cut_at_largest_gaps(vmas, groups, most)
    return [_band(vmas, kinds, group) for group in groups]


def _cut_at_largest_gaps(vmas: Sequence[VmaState], groups: list[list[int]], most: int) -> list[list[int]]:
    gaps = [vmas[high[0]].start - vmas[low[-1]].end for low, high in pairwise(groups)]
    largest = set(sorted(range(len(gaps)), key=lambda at: -gaps[at])[: most - 1])
    found: list[list[int]] = [[]]
    for number, group in enumerate(groups):
        found[-1] += group
        if number in largest:
            found.append([])
    return found


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
