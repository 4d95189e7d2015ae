"""The resident pages of an address space on a machine: entries of page tables, and the frames behind them.

Models: mm/memory.c (Linux 6.18), zap_pte_range(), copy_present_ptes(); mm/mprotect.c, change_pte_range(),
can_change_pte_writable(); mm/mremap.c, move_ptes(). Leaves out: huge pages, batches of flushes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mmkit.model import vmaflags as f
from mmkit.model.machine.lru import ACTIVE_ANON, ACTIVE_FILE, INACTIVE_FILE, Lru
from mmkit.model.machine.swap import entry_of
from mmkit.model.machine.workingset import SLOT
from mmkit.model.page import Page
from mmkit.model.pageflags import PageFlags
from mmkit.model.pgstate import PteFlags
from mmkit.model.vma.area import Vma
from mmkit.model.vma.resident import ANON, FILE, SHMEM, ZERO, ResidentPages

if TYPE_CHECKING:
    from mmkit.model.machine.space import MachineMm


class PtePages(ResidentPages):
    """Kinds of pages, as everybody wants to know them, kept together with entries and frames."""

    def __init__(self, space: MachineMm) -> None:
        super().__init__()
        self.space = space
        self.swapped: dict[int, int] = {}
        """Slots of pages that are in swap, by page number."""
        table = space.table
        self.last = table.format.last
        self.young, self.dirty = table.format.accessed_bit(self.last), table.format.dirty_bit

    # -- one entry ----------------------------------------------------------------------------------------------------

    def raw(self, page: int) -> int:
        """Return the entry of a page; 0 if it is not there."""
        return self.space.table.entry(page << 12) if self.kind(page) else 0

    def writable(self, page: int) -> bool:
        """Say whether the entry lets write."""
        return bool(self.space.table.format.writable(self.raw(page), self.last))

    def pfn(self, page: int) -> int:
        """Return the frame of a page that is there."""
        return int(self.space.table.format.address(self.raw(page), self.last)) >> 12

    def struct_page(self, page: int) -> Page:
        """Return the ``struct page`` behind a page that is there."""
        return self.space.machine.frames.page(self.pfn(page))

    def set(self, page: int, raw: int) -> None:
        """Write an entry, and let no TLB keep the old one."""
        self.space.table.set_entry(page << 12, raw)
        self.space.machine.flush_page(self.space, page << 12)

    def make(self, vma: Vma, pfn: int, writable: bool, dirty: bool = False) -> int:
        """Return an entry for a frame in an area: its rights, and young."""
        flags = PteFlags.USER if vma.vm_flags & f.VM_ACCESS_FLAGS else PteFlags(0)
        flags |= PteFlags.WRITE if writable else PteFlags(0)
        flags |= PteFlags.EXEC if vma.vm_flags & f.VM_EXEC else PteFlags(0)
        raw = self.space.table.format.page(pfn << 12, flags, self.last)
        return raw | self.young | (self.dirty if dirty else 0)

    def map(self, page: int, kind: str, raw: int, struct: Page | None) -> None:
        """Map a page; ``struct`` has a reference for it already, or is None for the zero page.

        Raises OutOfMemory if a table cannot be made; the reference is dropped then, and nothing has changed.
        """
        if self.kind(page):
            self._let_go(page)
        # The entry first: its table may need a page that there is not.
        try:
            self.space.table.set_entry(page << 12, raw, make=True)
        except MemoryError:
            if struct is not None:
                self.space.machine.frames.put(struct)
            raise
        if struct is not None:
            struct.map()
            self.space.machine.rmap[struct.pfn].append((self.space, page))
        self.put(page, kind)
        self.space.machine.flush_page(self.space, page << 12)

    def _let_go(self, page: int) -> None:
        """Make an entry empty, and drop what it held: no TLB may know a frame any more when that is free."""
        kind, raw, fmt = self.kind(page), self.raw(page), self.space.table.format
        struct = self._take_out(page, 0)
        if kind == ZERO:
            return
        if kind in (FILE, SHMEM):
            if fmt.dirty(raw, self.last):
                struct.set_flags(PageFlags.dirty)
            if fmt.accessed(raw, self.last):
                mark_accessed(struct, self.space.machine.lru)
        self.drop_mapping(page, struct)

    def _take_out(self, page: int, entry: int) -> Page:
        """Write an entry in place of one that leads to a frame, whose ``struct page`` is returned."""
        struct = self.struct_page(page)
        self.set(page, entry)
        self.forget(page)
        return struct

    def drop_mapping(self, page: int, struct: Page) -> None:
        """One entry less leads to a frame; with the last owner it is free."""
        users = self.space.machine.rmap[struct.pfn]
        users.remove((self.space, page))
        if not users:
            del self.space.machine.rmap[struct.pfn]
        struct.unmap()
        if not struct.mappings:
            self.space.machine.free_swap(struct)
        if struct.flags & PageFlags.unevictable and struct.refcount > 1:
            self.space.machine.settle(struct)
        self.space.machine.frames.put(struct)

    # -- ranges -------------------------------------------------------------------------------------------------------

    def zap(self, start: int, end: int, own: bool = True) -> int:
        """Drop the pages of [start, end); see ResidentPages."""
        gone = [page for page, kind in self.within(start, end) if own or kind != ANON]
        for page in gone:
            self._let_go(page)
        if own:
            self._drop_swapped(start, end)
        return len(gone)

    def in_swap(self, start: int, end: int) -> list[tuple[int, int]]:
        """Return pages of [start, end) that are in swap, with their slots."""
        return [(page, slot) for page, slot in self.swapped.items() if start >> 12 <= page < end >> 12]

    def _drop_swapped(self, start: int, end: int) -> None:
        for page, slot in self.in_swap(start, end):
            self.space.table.set_entry(page << 12, 0)
            self.leave_swap(page, slot)

    def leave_swap(self, page: int, slot: int) -> None:
        """An entry leads to its slot no more; with the last, a page that only the cache has goes, too."""
        del self.swapped[page]
        machine = self.space.machine
        machine.swap.put(slot)
        cached = machine.swap.cache.get(slot)
        if cached is not None and (not cached.mappings or machine.swap.full):
            machine.free_swap(cached)
        if not machine.swap.users(slot) and slot not in machine.swap.cache:
            machine.workingset.forget((SLOT, slot))

    def to_swap(self, page: int, slot: int) -> None:
        """Let an entry lead to a slot in place of its frame (try_to_unmap_one())."""
        exclusive = bool(self.struct_page(page).flags & PageFlags.anon_exclusive)
        struct = self._take_out(page, entry_of(slot, exclusive))
        self.swapped[page] = slot
        self.space.machine.swap.share(slot)
        self.drop_mapping(page, struct)

    def unmap_reclaimed(self, page: int) -> None:
        """Make an entry empty."""
        self.drop_mapping(page, self._take_out(page, 0))

    def move(self, old: int, new: int, length: int) -> None:
        """Move the entries of [old, old + length) to ``new``: frames stay, and nothing faults.

        Raises OutOfMemory if there is no memory for a table; no entry has moved then.
        """
        delta, whole, table = new - old, self._make_room(old, new, length), self.space.table
        for base in whole:
            table.move_table(base, base + delta)
        span = table.span(self.last)
        for page, kind in list(self.within(old, old + length)):
            self._move_entry(page, delta >> 12, page - page % (span >> 12) << 12 in whole)
            self.forget(page)
            self.put(page + (delta >> 12), kind)
            if kind != ZERO:
                users = self.space.machine.rmap[self.pfn(page + (delta >> 12))]
                users[users.index((self.space, page))] = self.space, page + (delta >> 12)
        for page, slot in self.in_swap(old, old + length):
            self._move_entry(page, delta >> 12, page - page % (span >> 12) << 12 in whole)
            del self.swapped[page]
            self.swapped[page + (delta >> 12)] = slot

    def _make_room(self, old: int, new: int, length: int) -> list[int]:
        """Make the tables that the new place needs; returns where those begin that can be moved whole.

        Raises OutOfMemory (move_page_tables()).
        """
        table, delta, whole = self.space.table, new - old, list[int]()
        taken = {base for depth, base, _, _ in table.tables(new, new + length) if depth == self.last}
        for depth, base, _, _ in table.tables(old, old + length):
            low, high = max(base, old), min(base + table.span(depth), old + length)
            covered = depth == self.last and high - low == table.span(depth) and not delta % table.span(depth)
            if covered and base + delta not in taken:
                whole.append(base)
                table.make(base + delta, depth - 1)
            elif depth >= self.last - 1:
                for addr in (low, high - 1):
                    table.make(addr + delta, depth if depth == self.last else depth - 1)
        return whole

    def _move_entry(self, page: int, pages: int, moved: bool) -> None:
        """Move an entry, unless its whole table was."""
        table = self.space.table
        if not moved:
            table.set_entry(page + pages << 12, table.entry(page << 12))
            table.set_entry(page << 12, 0)
        self.space.machine.flush_page(self.space, page << 12)

    def copy_to(self, child: MachineMm, vma: Vma) -> None:
        """Give a child what an area has: own pages are shared from now on, and write-protected on both sides."""
        pages, fmt = child.pages, self.space.table.format
        may_write = vma.vm_flags & (f.VM_SHARED | f.VM_MAYWRITE) == f.VM_MAYWRITE
        for depth, base, _, _ in self.space.table.tables(vma.vm_start, vma.vm_end):
            child.table.make(max(base, vma.vm_start), depth)
        for page, kind in list(self.within(vma.vm_start, vma.vm_end)):
            raw = self.raw(page)
            if may_write and fmt.writable(raw, self.last):
                raw = protected(fmt, raw)
                self.set(page, raw)
            struct = None
            if kind != ZERO:
                struct = self.struct_page(page)
                struct.get()
                if kind == ANON:
                    struct.clear_flags(PageFlags.anon_exclusive)
            pages.map(page, kind, raw & ~self.young, struct)
        for page, slot in self.in_swap(vma.vm_start, vma.vm_end):
            for table in (self.space.table, child.table):
                table.set_entry(page << 12, entry_of(slot, exclusive=False), make=True)
            self.space.machine.swap.share(slot)
            pages.swapped[page] = slot

    def change_protection(self, vma: Vma, start: int, end: int) -> None:
        """Give the entries of [start, end) the rights that the area has now."""
        for page, kind in list(self.within(start, end)):
            raw = self.raw(page)
            kept = raw & (self.young | self.dirty)
            made = self.make(vma, self.pfn(page), self._may_write(vma, page, kind, raw)) & ~(self.young | self.dirty)
            if made | kept != raw:
                self.set(page, made | kept)

    def _may_write(self, vma: Vma, page: int, kind: str, raw: int) -> bool:
        """Say whether an entry may let write at once, without a fault (can_change_pte_writable())."""
        if not vma.vm_flags & f.VM_WRITE or kind == ZERO:
            return False
        if vma.vm_flags & f.VM_SHARED:
            return kind == SHMEM or bool(self.space.table.format.dirty(raw, self.last))
        return kind == ANON and bool(self.struct_page(page).flags & PageFlags.anon_exclusive)

    def lazy_free(self, start: int, end: int) -> None:
        """Let own pages be clean and old: they may be dropped when memory is short.

        A page that is marked dirty itself is left alone if others have it, too (madvise_free_pte_range()).
        """
        for page, kind in list(self.within(start, end)):
            struct = self.struct_page(page)
            if kind != ANON or (struct.flags & PageFlags.dirty and struct.mappings > 1):
                continue
            if (slot := self.space.machine.swap.slot_of(struct)) and self.space.machine.swap.users(slot):
                continue
            self.set(page, self.raw(page) & ~(self.young | self.dirty))
            if struct.flags & PageFlags.unevictable:
                continue
            self.space.machine.free_swap(struct)
            struct.clear_flags(PageFlags.swapbacked | PageFlags.dirty | PageFlags.referenced)
            self.space.machine.lru.add(struct, INACTIVE_FILE)
        self._drop_swapped(start, end)


def mark_accessed(struct: Page, lru: Lru) -> None:
    """Note that a page was used: the second time it becomes active (folio_mark_accessed()).

    The kernel makes it so a little later, in batches.
    """
    if not struct.flags & PageFlags.referenced:
        struct.set_flags(PageFlags.referenced)
    elif not struct.flags & (PageFlags.active | PageFlags.unevictable):
        lru.add(struct, ACTIVE_ANON if struct.flags & PageFlags.swapbacked else ACTIVE_FILE)
        struct.clear_flags(PageFlags.referenced)
        lru.nonresident_age += 1


def protected(fmt: object, raw: int) -> int:
    """Return an entry without the right to write (x86's)."""
    return raw & ~2
