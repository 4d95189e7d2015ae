"""mremap(): an area grows, shrinks or moves.

Models: mm/mremap.c (Linux 6.18), do_mremap(), remap_move(), move_vma(); mm/vma.c, copy_vma(); the order of the checks
of 6.1 where that is asked for. Leaves out: huge pages, userfaultfd, mseal.
"""

from __future__ import annotations

from errno import EFAULT, EINVAL, ENOMEM
from typing import TYPE_CHECKING

from mmkit.errors import MmError
from mmkit.model import vmaflags as f
from mmkit.model.vma.area import Vma
from mmkit.model.vma.fault import populate
from mmkit.model.vma.merge import Piece, insert, merge_new
from mmkit.model.vma.munmap import do_munmap, unmap_range
from mmkit.model.vma.placement import get_unmapped_area

if TYPE_CHECKING:
    from mmkit.model.vma.mm import MmStruct

_KNOWN = f.MREMAP_MAYMOVE | f.MREMAP_FIXED | f.MREMAP_DONTUNMAP
_NEW_ADDR = f.MREMAP_FIXED | f.MREMAP_DONTUNMAP


class Move:
    """What is asked for (struct vma_remap_struct): lengths are whole pages already."""

    def __init__(self, addr: int, old_len: int, new_len: int, flags: int, new_addr: int) -> None:
        self.addr, self.old_len, self.new_len, self.flags, self.new_addr = addr, old_len, new_len, flags, new_addr
        self.populate = 0

    @property
    def overlaps(self) -> bool:
        """Whether the target overlaps the source."""
        return self.new_addr < self.addr + self.old_len and self.addr < self.new_addr + self.new_len


def do_mremap(mm: MmStruct, addr: int, old_len: int, new_len: int, flags: int, new_addr: int) -> int:
    """Return where the memory is then. Raises MmError as mremap(2)."""
    move = Move(addr, mm.round_up(old_len), mm.round_up(new_len), flags, new_addr)
    _check_arguments(mm, move)
    if mm.rules.remap_many and flags & f.MREMAP_FIXED and move.old_len == move.new_len:
        found = _move_each(mm, move)
    else:
        vma = _lookup(mm, addr)
        if not flags & _NEW_ADDR:
            found = _resize(mm, move, vma)
        elif mm.rules.remap_many:
            _check_area(mm, move, vma)
            found = _move_to(mm, move)
        else:
            _check_target(mm, move)
            found = _move_to(mm, move)
    if move.populate:
        populate(mm, found + move.new_len - move.populate, found + move.new_len, ignore_errors=True)
    return found


def _check_arguments(mm: MmStruct, move: Move) -> None:
    if move.flags & ~_KNOWN:
        raise MmError(EINVAL, f"flags {move.flags:#x} are not known: MAYMOVE 1, FIXED 2, DONTUNMAP 4")
    if move.flags & _NEW_ADDR and not move.flags & f.MREMAP_MAYMOVE:
        raise MmError(EINVAL, "MREMAP_FIXED and MREMAP_DONTUNMAP are moves: MREMAP_MAYMOVE has to go with them")
    if move.flags & f.MREMAP_DONTUNMAP and move.old_len != move.new_len:
        raise MmError(EINVAL, "MREMAP_DONTUNMAP keeps the size: both lengths have to be equal")
    if move.addr & 0xFFF:
        raise MmError(EINVAL, f"{move.addr:#x} is not the start of a page: a multiple of 4096 would be")
    if not move.new_len:
        raise MmError(EINVAL, "a new length of 0 bytes: munmap() is for that")
    if mm.rules.remap_many:
        if move.new_len > mm.task_size:
            raise MmError(EINVAL, f"{move.new_len:#x} bytes are more than the {mm.task_size:#x} that a process has")
        if move.flags & _NEW_ADDR:
            _check_target(mm, move)


def _check_target(mm: MmStruct, move: Move) -> None:
    if move.new_len > mm.task_size or move.new_addr > mm.task_size - move.new_len:
        raise MmError(EINVAL, f"the target {move.new_addr:#x} ends above {mm.task_size:#x}, the end of user space")
    if move.new_addr & 0xFFF:
        raise MmError(EINVAL, f"the target {move.new_addr:#x} is not the start of a page: a multiple of 4096 would be")
    if move.overlaps:
        raise MmError(EINVAL, "old and new place overlap")
    spare = 3 if mm.rules.remap_many else 5
    if mm.map_count >= mm.max_map_count - spare:
        raise MmError(ENOMEM, f"a move needs room for {spare + 1} areas more (vm.max_map_count is {mm.max_map_count})")


def _lookup(mm: MmStruct, addr: int) -> Vma:
    vma = mm.index.find(addr)
    if vma is None or vma.vm_start > addr:
        raise MmError(EFAULT, f"nothing is mapped at {addr:#x}")
    return vma


def _check_area(mm: MmStruct, move: Move, vma: Vma) -> None:
    """Check what depends on the area at the old address (check_prep_vma())."""
    if not move.old_len and not vma.vm_flags & (f.VM_SHARED | f.VM_MAYSHARE):
        raise MmError(EINVAL, "an old length of 0 bytes duplicates a mapping; only a shared one can be")
    if move.flags & f.MREMAP_DONTUNMAP and vma.vm_flags & (f.VM_DONTEXPAND | f.VM_PFNMAP):
        raise MmError(EINVAL, f"{vma.name} cannot be moved like that")
    old_len = min(move.old_len, move.new_len)
    if old_len > vma.vm_end - move.addr:
        raise MmError(EFAULT, f"[{move.addr:#x}, {move.addr + old_len:#x}) reaches over the end of its area")
    if move.new_len == move.old_len:
        return
    pgoff = vma.pgoff_at(move.addr)
    if pgoff + (move.new_len >> 12) > mm.word:
        raise MmError(EINVAL, "the new length reaches beyond the largest file")
    if vma.vm_flags & (f.VM_DONTEXPAND | f.VM_PFNMAP):
        raise MmError(EFAULT, f"{vma.name} cannot grow")
    if move.new_len > move.old_len:
        if vma.vm_flags & f.VM_LOCKED:
            move.populate = move.new_len - move.old_len
        mm.limit_locked(vma.vm_flags, move.new_len - move.old_len)
        mm.limit_space(vma.vm_flags, move.new_len - move.old_len)


def _resize(mm: MmStruct, move: Move, vma: Vma) -> int:
    if move.new_len < move.old_len:
        do_munmap(mm, move.addr + move.new_len, move.old_len - move.new_len)
    if move.new_len <= move.old_len:
        return move.addr
    _check_area(mm, move, vma)
    grow = move.new_len - move.old_len
    if vma.vm_end - move.addr == move.old_len and _is_free(mm, vma.vm_end, vma.vm_end + grow):
        piece = Piece(vma.vm_end, vma.vm_end + grow, vma.vm_flags, vma.vm_pgoff + vma.pages, vma.vm_file)
        piece.anon_vma = vma.anon_vma
        _extend(mm, vma, piece)
        mm.account(vma.vm_flags, grow >> 12)
        mm.locked_vm += (grow >> 12) * bool(vma.vm_flags & f.VM_LOCKED)
        return move.addr
    if not move.flags & f.MREMAP_MAYMOVE:
        raise MmError(ENOMEM, "it cannot grow where it is, and MREMAP_MAYMOVE was not given")
    if mm.map_count >= mm.max_map_count - 3:
        raise MmError(ENOMEM, f"a move needs room for 4 areas more (vm.max_map_count is {mm.max_map_count})")
    move.new_addr = _new_address(mm, move, vma, 0, 0)
    return _move(mm, move, vma)


def _extend(mm: MmStruct, vma: Vma, piece: Piece) -> None:
    merged = merge_new(mm, piece, vma, mm.index.next(vma))
    assert merged is not None, "an area always fits its own end"


def _is_free(mm: MmStruct, start: int, end: int) -> bool:
    return end <= mm.task_size and not mm.index.overlapping(start, end)


def _new_address(mm: MmStruct, move: Move, vma: Vma, hint: int, flags: int) -> int:
    if vma.vm_flags & f.VM_MAYSHARE:
        flags |= f.MAP_SHARED
    return get_unmapped_area(mm, hint, move.new_len, flags, vma.vm_file, vma.pgoff_at(move.addr) << 12)


def _move_to(mm: MmStruct, move: Move) -> int:
    """Move to a given or, with DONTUNMAP alone, a hinted address (mremap_to())."""
    if move.flags & f.MREMAP_FIXED:
        do_munmap(mm, move.new_addr, move.new_len)
    if not mm.rules.remap_many and move.old_len > move.new_len:
        do_munmap(mm, move.addr + move.new_len, move.old_len - move.new_len)
        move.old_len = move.new_len
    vma = _lookup(mm, move.addr)
    if not mm.rules.remap_many:
        _check_area(mm, move, vma)
    if move.old_len > move.new_len:
        do_munmap(mm, move.addr + move.new_len, move.old_len - move.new_len)
        move.old_len = move.new_len
        vma = _lookup(mm, move.addr)
    if move.flags & f.MREMAP_DONTUNMAP:
        mm.limit_space(vma.vm_flags, move.old_len)
    flags = f.MAP_FIXED if move.flags & f.MREMAP_FIXED else 0
    move.new_addr = _new_address(mm, move, vma, move.new_addr, flags)
    return _move(mm, move, vma)


def _move_each(mm: MmStruct, move: Move) -> int:
    """Move all areas of a range, keeping the holes between them (remap_move())."""
    start, end, target = move.addr, move.addr + move.old_len, move.new_addr
    at, found, last_end = start, None, 0
    while at < end:
        vma = mm.index.find(at)
        if vma is None or vma.vm_start >= end:
            break
        if found is None and vma.vm_start > start:
            break
        addr, stop = max(vma.vm_start, start), min(vma.vm_end, end)
        target += vma.vm_start - last_end if found is not None else 0
        last_end = vma.vm_end
        one = Move(addr, stop - addr, stop - addr, move.flags, target)
        _check_area(mm, one, vma)
        moved = _move_to(mm, one)
        found = moved if found is None else found
        target, at = moved + one.new_len, stop
    if found is None:
        raise MmError(EFAULT, f"nothing is mapped at {start:#x}")
    return found


def _move_pages(mm: MmStruct, move: Move) -> None:
    """Move the pages; if there is no memory for their tables, they stay, and the new area goes again."""
    try:
        mm.resident.move(move.addr, move.new_addr, move.old_len)
    except MemoryError:
        unmap_range(mm, move.new_addr, move.new_addr + move.new_len)
        raise


def _move(mm: MmStruct, move: Move, vma: Vma) -> int:
    """Copy the area to its new place, move its pages, unmap the old one (move_vma())."""
    if mm.map_count >= mm.max_map_count - 3:
        raise MmError(ENOMEM, f"a move needs room for 4 areas more (vm.max_map_count is {mm.max_map_count})")
    flags = vma.vm_flags
    new, vma = _copy_area(mm, move, vma)
    mm.account(flags, move.new_len >> 12)
    if flags & f.VM_LOCKED:
        mm.locked_vm += move.new_len >> 12
    if move.old_len:
        _move_pages(mm, move)
    if move.flags & f.MREMAP_DONTUNMAP:
        _leave(mm, move, vma, new)
    elif move.old_len:
        unmap_range(mm, move.addr, move.addr + move.old_len)
    return move.new_addr


def _copy_area(mm: MmStruct, move: Move, vma: Vma) -> tuple[Vma, Vma]:
    """Return the area at the new place, and the one at the old place, which merging may have changed."""
    start, end, pgoff = move.new_addr, move.new_addr + move.new_len, vma.pgoff_at(move.addr)
    if vma.is_anonymous and vma.anon_vma is None:
        pgoff = start >> 12
    piece = Piece(start, end, vma.vm_flags, pgoff, vma.vm_file, copied_from=vma)
    new = None if vma.name else merge_new(mm, piece, mm.index.before(start), mm.index.find(start))
    if new is not None:
        return new, _lookup(mm, move.addr)
    new = vma.copy()
    new.vm_start, new.vm_end, new.vm_pgoff = start, end, pgoff
    return insert(mm, new), vma


def _leave(mm: MmStruct, move: Move, vma: Vma, new: Vma) -> None:
    """Leave the old area where it was, without its pages (dontunmap_complete())."""
    if vma.vm_flags & f.VM_LOCKED:
        mm.locked_left += vma.pages
    vma.vm_flags &= ~(f.VM_LOCKED | f.VM_LOCKONFAULT)
    if new is not vma and move.addr == vma.vm_start and move.addr + move.old_len == vma.vm_end:
        vma.anon_vma, vma.forked = None, False
