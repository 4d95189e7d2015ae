"""Splitting and merging: the rules by which pieces of memory become one area, or several.

Models: mm/vma.c (Linux 6.18): is_mergeable_vma(), is_mergeable_anon_vma(), vma_merge_new_range(),
vma_merge_existing_range(), vma_modify(), __split_vma(); mm/mmap.c of 6.1 where its rules differ. Leaves out: policies,
userfaultfd, names of anonymous memory, huge pages, and drivers with a close hook.
"""

from __future__ import annotations

from errno import ENOMEM
from typing import TYPE_CHECKING

from mmkit.errors import MmError
from mmkit.model.vma.area import OpenFile, Vma
from mmkit.model.vmaflags import VM_SOFTDIRTY, VM_SPECIAL, perms_of
from mmkit.model.vmatrace import VmaInsert, VmaMerge, VmaRemove, VmaResize, VmaSplit

if TYPE_CHECKING:
    from mmkit.model.vma.mm import MmStruct


class Piece:
    """Memory that looks for neighbours (struct vma_merge_struct): [start, end), and what it would be as an area."""

    __slots__ = ("anon_vma", "copied_from", "end", "file", "flags", "middle", "pgoff", "start")

    def __init__(
        self, start: int, end: int, flags: int, pgoff: int, file: OpenFile | None = None, middle: Vma | None = None,
        copied_from: Vma | None = None,
    ) -> None:  # fmt: skip
        self.start, self.end, self.flags, self.pgoff, self.file = start, end, flags, pgoff, file
        self.middle, self.copied_from = middle, copied_from
        source = middle or copied_from
        self.anon_vma = source.anon_vma if source else None


def anon_vmas_fit(mm: MmStruct, piece: Piece, target: Vma) -> bool:
    """Say whether the pages of ``piece`` and ``target`` may be found through one anon_vma."""
    if not mm.rules.unfaulted_takes_anon_vma:
        lonely = target.anon_vma is not None and not target.forked
        either_none = target.anon_vma is None or piece.anon_vma is None
        return (either_none and lonely) or target.anon_vma == piece.anon_vma
    if target.anon_vma is None and piece.anon_vma is not None:
        source = piece.middle or piece.copied_from
        return source is None or not source.forked
    if target.anon_vma is not None and piece.anon_vma is None:
        return not target.forked
    return target.anon_vma == piece.anon_vma


def _same_kind(piece: Piece, target: Vma) -> bool:
    return not (target.vm_flags ^ piece.flags) & ~VM_SOFTDIRTY and target.vm_file is piece.file and not target.name


def fits_after(mm: MmStruct, piece: Piece, prev: Vma | None) -> bool:
    """Say whether ``piece`` can become the upper end of ``prev``."""
    return (
        prev is not None
        and prev.vm_end == piece.start
        and _same_kind(piece, prev)
        and prev.vm_pgoff + prev.pages == piece.pgoff
        and anon_vmas_fit(mm, piece, prev)
    )


def fits_before(mm: MmStruct, piece: Piece, next_: Vma | None) -> bool:
    """Say whether ``piece`` can become the lower end of ``next_``."""
    return (
        next_ is not None
        and next_.vm_start == piece.end
        and _same_kind(piece, next_)
        and next_.vm_pgoff == piece.pgoff + ((piece.end - piece.start) >> 12)
        and anon_vmas_fit(mm, piece, next_)
    )


def each_other(prev: Vma, next_: Vma) -> bool:
    """Say whether both neighbours can become one: not if each has an anon_vma of its own."""
    return prev.anon_vma is None or next_.anon_vma is None or prev.anon_vma == next_.anon_vma


def _inherit(target: Vma, source: Vma | None) -> None:
    if source is not None and target.anon_vma is None and source.anon_vma is not None:
        target.anon_vma, target.forked = source.anon_vma, source.forked


def _grow(mm: MmStruct, target: Vma, start: int, end: int, swallowed: int) -> Vma:
    old_start, old_end = target.vm_start, target.vm_end
    mm.index.set_range(target, start, end)
    if start < old_start:
        target.vm_pgoff -= (old_start - start) >> 12
    mm.tell(VmaMerge, start, end, swallowed) if swallowed else mm.tell(VmaResize, old_start, old_end, start, end)
    return target


def drop(mm: MmStruct, vma: Vma) -> None:
    """Take an area off the list; its neighbour grows into its room."""
    mm.index.remove(vma, filled=True)


def merge_new(mm: MmStruct, piece: Piece, prev: Vma | None, next_: Vma | None, only_prev: bool = False) -> Vma | None:
    """Let new memory become a part of its neighbours; returns the area that took it in, None if there is none."""
    if piece.flags & VM_SPECIAL:
        return None
    right = not only_prev and fits_before(mm, piece, next_)
    if right and not mm.rules.new_between_asks_both and piece.copied_from is None and next_ is not None:
        piece.anon_vma = next_.anon_vma
        left = fits_after(mm, piece, prev)
    else:
        left = fits_after(mm, piece, prev)
        if left and right and prev is not None and next_ is not None and not each_other(prev, next_):
            right = False
    if left and prev is not None:
        end = piece.end
        if right and next_ is not None:
            end = next_.vm_end
            drop(mm, next_)
            _inherit(prev, next_)
        _inherit(prev, piece.copied_from)
        return _grow(mm, prev, prev.vm_start, end, int(right))
    if right and next_ is not None:
        _inherit(next_, piece.copied_from)
        return _grow(mm, next_, piece.start, next_.vm_end, 0)
    return None


def _merge_existing(mm: MmStruct, piece: Piece) -> Vma | None:
    """Let a part of an area, with its flags to be, become a part of its neighbours (vma_merge_existing_range())."""
    middle = piece.middle
    assert middle is not None
    at_left, at_right = piece.start == middle.vm_start, piece.end == middle.vm_end
    if piece.flags & VM_SPECIAL or not (at_left or at_right):
        return None
    prev = mm.index.prev(middle) if at_left else None
    next_ = mm.index.next(middle) if at_right else None
    left, right = fits_after(mm, piece, prev), fits_before(mm, piece, next_)
    if left and right and prev is not None and next_ is not None and not each_other(prev, next_):
        right = False
    whole = at_left and at_right
    if left and prev is not None:
        return _extend_prev(mm, prev, middle, next_ if right else None, piece, whole)
    if right and next_ is not None:
        _inherit(next_, middle)
        if whole:
            drop(mm, middle)
        else:
            mm.index.set_range(middle, middle.vm_start, piece.start, filled=True)
        return _grow(mm, next_, piece.start, next_.vm_end, 1)
    return None


def _extend_prev(mm: MmStruct, prev: Vma, middle: Vma, next_: Vma | None, piece: Piece, whole: bool) -> Vma:
    _inherit(prev, next_ if next_ is not None and next_.anon_vma is not None else middle)
    if whole:
        drop(mm, middle)
    else:
        middle.vm_pgoff = middle.pgoff_at(piece.end)
        mm.index.set_range(middle, piece.end, middle.vm_end, filled=True)
    if next_ is not None:
        drop(mm, next_)
    return _grow(mm, prev, prev.vm_start, next_.vm_end if next_ is not None else piece.end, 1 + (next_ is not None))


def split(mm: MmStruct, vma: Vma, addr: int, limited: bool = True) -> tuple[Vma, Vma]:
    """Cut an area in two at ``addr``; returns both. Raises MmError ENOMEM if there are too many areas already."""
    if limited and mm.map_count >= mm.max_map_count:
        raise MmError(ENOMEM, f"{mm.map_count} areas are as many as the process may have (vm.max_map_count)")
    upper, start, end = vma.copy(), vma.vm_start, vma.vm_end
    upper.vm_pgoff = vma.pgoff_at(addr)
    upper.vm_start = addr
    mm.index.split(vma, upper)
    mm.tell(VmaSplit, start, addr, end)
    return vma, upper


def modify(mm: MmStruct, vma: Vma, start: int, end: int, flags: int) -> Vma:
    """Make [start, end) of ``vma`` an area of its own with ``flags``, or a part of neighbours that are so already.

    Returns the area that [start, end) belongs to then; its flags are set by the caller (vma_modify()).
    """
    merged = _merge_existing(mm, Piece(start, end, flags, vma.pgoff_at(start), vma.vm_file, middle=vma))
    if merged is not None:
        return merged
    if vma.vm_start < start:
        vma = split(mm, vma, start)[1]
    if vma.vm_end > end:
        vma = split(mm, vma, end)[0]
    return vma


def insert(mm: MmStruct, vma: Vma) -> Vma:
    """Put a new area on the list."""
    mm.index.insert(vma)
    mm.tell(VmaInsert, vma.vm_start, vma.vm_end, perms_of(vma.vm_flags))
    return vma


def remove(mm: MmStruct, vma: Vma) -> None:
    """Take an area and its memory away."""
    mm.index.remove(vma)
    mm.tell(VmaRemove, vma.vm_start, vma.vm_end, perms_of(vma.vm_flags))
