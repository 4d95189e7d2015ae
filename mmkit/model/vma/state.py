"""What an address space looks like from outside: its text in ``/proc``, its frozen state, and the way back from it.

Models: fs/proc/task_mmu.c (Linux 6.18), show_map_vma(), get_vma_name(), smap_gather_stats(). Leaves out: names given
with prctl().
"""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING

from mmkit.model.snapshot import Source
from mmkit.model.vma.area import OpenFile, Vma
from mmkit.model.vma.resident import ANON, FILE, SHMEM, ZERO, ResidentPages
from mmkit.model.vmaflags import VM_LOCKED
from mmkit.model.vmastate import MmBack, MmCounters, MmLayout, MmState, VmaState
from mmkit.model.vmatext import format_line

if TYPE_CHECKING:
    from mmkit.model.trace import Trace
    from mmkit.model.vma.mm import MmStruct

SETTINGS = (
    "name", "stack_limit", "data_limit", "as_limit", "memlock_limit", "max_map_count", "thp", "soft_dirty",
    "privileged", "mmap_base",
)  # fmt: skip


def name_of(mm: MmStruct, vma: Vma) -> str:
    """Return the name that ``/proc/PID/maps`` gives an area."""
    if vma.vm_file is not None:
        return vma.vm_file.file.name
    if vma.name:
        return vma.name
    if mm.rules.heap_touches:
        heap = 0 < mm.start_brk <= vma.vm_end and vma.vm_start <= mm.end_brk
    else:
        heap = vma.vm_start < mm.end_brk and vma.vm_end > mm.start_brk
    if heap:
        return "[heap]"
    return "[stack]" if mm.start_stack and vma.vm_start <= mm.start_stack <= vma.vm_end else ""


def maps_text(mm: MmStruct) -> str:
    """Return the text of ``/proc/PID/maps``."""
    lines = []
    for vma in mm.index:
        file = vma.vm_file.file if vma.vm_file else None
        offset = vma.vm_pgoff << 12 if file else 0
        device, inode = (file.device, file.inode) if file else ((0, 0), 0)
        lines.append(format_line(vma.vm_start, vma.vm_end, vma.perms, offset, *device, inode, name_of(mm, vma)) + "\n")
    return "".join(lines)


def snapshot(mm: MmStruct, source: Source) -> MmState:
    """Return the frozen state of an address space."""
    pages = mm.resident.items()
    numbers = [page for page, _ in pages]
    states = []
    for vma in mm.index:
        kinds = [kind for _, kind in pages[_at(numbers, vma.vm_start) : _at(numbers, vma.vm_end)]]
        states.append(_freeze(mm, vma, "".join(kinds)))
    counters = MmCounters(
        mm.total_vm, mm.locked_vm, mm.pinned_vm, mm.data_vm, mm.exec_vm, mm.stack_vm, mm.map_count,
        mm.anon_rss, mm.file_rss, mm.shmem_rss,
    )  # fmt: skip
    layout = MmLayout(
        mm.task_size, mm.mmap_base, mm.start_code, mm.end_code, mm.start_data, mm.end_data, mm.start_brk, mm.end_brk,
        mm.start_stack, mm.arg_start, mm.arg_end, mm.env_start, mm.env_end,
    )  # fmt: skip
    files = tuple(mm.ids.files)
    back = MmBack(
        mm.arch.name, mm.rules.kernel, tuple(getattr(mm, name) for name in SETTINGS), mm.ids.anon_vmas, files,
        tuple(frozenset(file.file.odd) for file in files), pages, tuple(vma.name for vma in mm.index),
    )  # fmt: skip
    return MmState(mm.name, tuple(states), counters, layout, mm.mm_users, source, back)


def _at(numbers: list[int], addr: int) -> int:
    return bisect_left(numbers, addr >> 12)


def _freeze(mm: MmStruct, vma: Vma, kinds: str) -> VmaState:
    file = vma.vm_file.file if vma.vm_file else None
    return VmaState(
        vma.vm_start, vma.vm_end, vma.vm_flags, vma.vm_pgoff, name_of(mm, vma),
        mm.ids.number(vma.vm_file) if vma.vm_file else None, vma.anon_vma, vma.forked,
        kinds.count(ANON), kinds.count(FILE) + kinds.count(SHMEM), kinds.count(ZERO),
        file.device if file else (0, 0), file.inode if file else 0,
    )  # fmt: skip


def restore(mm: MmStruct, state: MmState) -> None:
    """Put a new address space into the state that ``state`` was taken of; page caches go back too."""
    back = state.back
    assert isinstance(back, MmBack)
    files: list[OpenFile] = list(back.files)
    for file, odd in zip(files, back.odd, strict=True):
        file.file.odd = set(odd)
    mm.ids.anon_vmas, mm.ids.files = back.anon_vmas, files
    for name in MmLayout.record_fields:
        setattr(mm, "end_brk" if name == "brk" else name, getattr(state.layout, name))
    for frozen, name in zip(state.vmas, back.names, strict=True):
        file_of = files[frozen.file - 1] if frozen.file is not None else None
        vma = Vma(frozen.start, frozen.end, frozen.flags, frozen.pgoff, file_of, name)
        vma.anon_vma, vma.forked = frozen.anon_vma, frozen.forked
        mm.index.insert(vma)
        mm.account(vma.vm_flags, vma.pages)
    mm.locked_vm, mm.pinned_vm = state.counters.locked_vm, state.counters.pinned_vm
    locked = sum(vma.pages for vma in mm.index if vma.vm_flags & VM_LOCKED)
    mm.locked_left = mm.locked_vm - locked
    mm.resident = ResidentPages(dict(back.pages))
    mm.mm_users = state.mm_users


def from_snapshot(state: MmState, trace: Trace | None = None) -> MmStruct:
    """Return an address space that goes on from ``state``. Raises ValueError if that was not taken of a model."""
    from mmkit.model.vma.mm import MmStruct

    back = state.back
    if not isinstance(back, MmBack):
        raise ValueError(f"a model goes on from the state of a model, not from one of a {state.source}")
    settings = dict(zip(SETTINGS, back.settings, strict=True))
    mm = MmStruct(back.arch, kernel=back.kernel, trace=trace, **settings)
    restore(mm, state)
    return mm
