"""An address space as ``/proc`` shows it: maps or smaps, status and stat of one process, as one frozen state.

Models: nothing; it puts together what fs/proc/task_mmu.c and array.c (Linux 6.18) write. Leaves out: what the kernel
does not show: anon_vmas, page offsets of anonymous memory, which openings of a file are the same.
"""

from __future__ import annotations

from mmkit.errors import FormatError, LiveError
from mmkit.model.snapshot import Source
from mmkit.model.vmaflags import (
    LETTERS,
    VM_EXEC,
    VM_GROWSDOWN,
    VM_LOCKED,
    VM_MAYSHARE,
    VM_READ,
    VM_SHARED,
    VM_WRITE,
    parse_flag_letters,
)
from mmkit.model.vmastate import MmCounters, MmLayout, MmState, VmaState
from mmkit.proc import live as kernel
from mmkit.proc import maps, smaps, status
from mmkit.proc.maps import Mapping
from mmkit.proc.status import Status

_GATE = "[vsyscall]"
"""Shown for every process, and in no process's address space."""
_RIGHTS = {"r": VM_READ, "w": VM_WRITE, "x": VM_EXEC, "s": VM_SHARED | VM_MAYSHARE}
_STAT = {
    "start_code": 26, "end_code": 27, "start_stack": 28, "start_data": 45, "end_data": 46, "start_brk": 47,
    "arg_start": 48, "arg_end": 49, "env_start": 50, "env_end": 51,
}  # fmt: skip
"""Which field of stat, counted from 1, holds which address."""


def address_space(
    maps_text: str, *, smaps_text: str = "", status_text: str = "", stat_text: str = "", source: Source
) -> MmState:
    """Return the state of the process that these texts are of; with ``smaps_text``, flags and resident pages are known.

    Raises FormatError, with the line, for a text that is damaged.
    """
    if smaps_text:
        areas = smaps.parse(smaps_text)
        vmas = [_vma(area.mapping, _known(area.letters), dict(area.sizes)) for area in areas]
    else:
        vmas = [_vma(mapping, _flags(mapping), {}) for mapping in maps.parse(maps_text)]
    vmas = _numbered([vma for vma in vmas if vma.name != _GATE])
    known = status.parse(status_text) if status_text else None
    name = known.text("Name") if known else ""
    return MmState(name, tuple(vmas), _counters(vmas, known), _layout(vmas, stat_text), 1, source)


def _known(letters: str) -> int:
    """Return the flags that are known by name; a kernel with other options may have more."""
    return parse_flag_letters(" ".join(word for word in letters.split() if word in LETTERS.values()))


def _flags(mapping: Mapping) -> int:
    flags = 0
    for letter in mapping.perms:
        flags |= _RIGHTS.get(letter, 0)
    return flags | (VM_GROWSDOWN if mapping.name == "[stack]" else 0)


def _vma(mapping: Mapping, flags: int, sizes: dict[str, int]) -> VmaState:
    anon = sizes.get("Anonymous", 0) >> 2
    device = mapping.major, mapping.minor
    return VmaState(
        mapping.start, mapping.end, flags, mapping.offset >> 12, mapping.name, mapping.inode or None, None, False,
        anon, (sizes.get("Rss", 0) >> 2) - anon, 0, device, mapping.inode,
    )  # fmt: skip


def _numbered(vmas: list[VmaState]) -> list[VmaState]:
    """Number files in order of appearance; whether two areas share an opening of theirs is not known."""
    files = list(dict.fromkeys((vma.device, vma.inode) for vma in vmas if vma.inode))
    numbered = {file: number for number, file in enumerate(files, 1)}
    return [vma.__replace__(file=numbered.get((vma.device, vma.inode))) for vma in vmas]


def _counters(vmas: list[VmaState], known: Status | None) -> MmCounters:
    pages = {"exec": 0, "stack": 0, "data": 0, "locked": 0}
    for vma in vmas:
        if vma.flags & (VM_EXEC | VM_WRITE | VM_GROWSDOWN) == VM_EXEC:
            pages["exec"] += vma.pages
        elif vma.flags & VM_GROWSDOWN:
            pages["stack"] += vma.pages
        elif vma.flags & (VM_WRITE | VM_SHARED) == VM_WRITE:
            pages["data"] += vma.pages
        pages["locked"] += vma.pages * bool(vma.flags & VM_LOCKED)
    sizes = {name: known.kb(name) >> 2 for name in ("VmPin", "RssAnon", "RssFile", "RssShmem")} if known else {}
    return MmCounters(
        sum(vma.pages for vma in vmas), pages["locked"], sizes.get("VmPin", 0), pages["data"], pages["exec"],
        pages["stack"], len(vmas), sizes.get("RssAnon", sum(vma.anon_pages for vma in vmas)),
        sizes.get("RssFile", sum(vma.file_pages for vma in vmas)), sizes.get("RssShmem", 0),
    )  # fmt: skip


def _layout(vmas: list[VmaState], stat_text: str) -> MmLayout:
    top = max((vma.end for vma in vmas), default=0)
    task_size = next(size for size in (0xC000_0000, (1 << 47) - 4096, 1 << 48, 1 << 57) if top <= size)
    words = stat_text.rpartition(")")[2].split() if stat_text else []
    if stat_text and len(words) < max(_STAT.values()) - 2:
        raise FormatError("stat", 1, stat_text.rstrip("\n"), f"{max(_STAT.values())} fields at least")
    known = {name: int(words[field - 3]) if words else 0 for name, field in _STAT.items()}
    heap = next((vma for vma in vmas if vma.name == "[heap]"), None)
    known["start_brk"] = known["start_brk"] or (heap.start if heap else 0)
    return MmLayout(task_size=task_size, mmap_base=0, brk=heap.end if heap else 0, **known)


def live(pid: int | str = "self") -> MmState:
    """Return the state of a running process, this one if not told otherwise. Raises LiveError, in words."""
    folder = kernel.PROC / str(pid)
    try:
        texts = {name: (folder / name).read_text() for name in ("smaps", "status", "stat")}
    except (OSError, UnicodeDecodeError) as error:
        raise LiveError(f"{folder} cannot be read here: {error}") from None
    return address_space(
        "", smaps_text=texts["smaps"], status_text=texts["status"], stat_text=texts["stat"],
        source=kernel.source(),
    )  # fmt: skip
