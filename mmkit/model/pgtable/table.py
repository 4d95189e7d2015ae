"""PageTable: a tree of tables in pages taken from memory; entries are made, changed and taken away.

Models: include/linux/pgtable.h and mm/memory.c (Linux 6.18), __pte_alloc() and its like, free_pgtables(); entries are
those of the architecture. Leaves out: locks, the kernel's half, tables shared between processes.
"""

from __future__ import annotations

from collections.abc import Iterator

from mmkit.arch import Arch, get_arch
from mmkit.errors import InvariantError
from mmkit.model.gfp import Gfp
from mmkit.model.memory import PhysicalMemory
from mmkit.model.page import Page
from mmkit.model.pgstate import PageTableState, PteFlags, TableState, Walk
from mmkit.model.pgtable.formats import format_of
from mmkit.model.pgtable.walk import Format, walk
from mmkit.model.pgtable.words import TableWords
from mmkit.model.pgtrace import PtEntrySet, PtTableFree, PtTableNew
from mmkit.model.snapshot import MODEL, Source
from mmkit.model.trace import Trace

_ALL = PteFlags.WRITE | PteFlags.USER | PteFlags.EXEC


class PageTable:
    """The tables of one address space; ``cr3`` is the physical address of the root, in bytes.

    >>> from mmkit import PhysicalMemory
    >>> table = PageTable("X86_64", PhysicalMemory("X86_64", "64MiB"))
    >>> table.map(0x7f0000001000, pfn=0x123)
    >>> hex(table.walk(0x7f0000001abc).phys_addr), table.nr_tables
    ('0x123abc', 4)
    """

    def __init__(
        self, arch: Arch | str, memory: PhysicalMemory, words: TableWords | None = None, trace: Trace | None = None,
        **settings: bool,
    ) -> None:  # fmt: skip
        self.arch, self.memory, self.trace = get_arch(arch), memory, trace
        self.format = format_of(self.arch, **settings)
        self.words = TableWords(self.arch.entry_bytes, self.arch.page_shift) if words is None else words
        self._pages: dict[int, Page] = {}
        self._emptied = False
        self.cr3 = self._new_table(0)

    @property
    def root_addr(self) -> int:
        """Physical address of the root table."""
        return self.cr3

    @property
    def nr_tables(self) -> int:
        """How many pages its tables take."""
        return len(self._pages)

    def _new_table(self, depth: int) -> int:
        page = self.memory.alloc_pages(Gfp.GFP_KERNEL, 0)
        self._pages[page.pfn] = page
        self.words.add(page.pfn)
        addr: int = page.pfn << self.arch.page_shift
        if self.trace is not None:
            self.trace.emit(PtTableNew(addr, self.arch.levels[depth].name))
        return addr

    def _free_table(self, addr: int, depth: int = 0) -> None:
        pfn = addr >> self.arch.page_shift
        self.words.drop(pfn)
        self.memory.free_pages(self._pages.pop(pfn), 0)
        if self.trace is not None:
            self.trace.emit(PtTableFree(addr, self.arch.levels[depth].name))

    def _write(self, entry_addr: int, raw: int, depth: int) -> None:
        old = self.words.read(entry_addr) or 0
        self.words.write(entry_addr, raw)
        if self.trace is not None:
            level = self.arch.levels[depth]
            index = (entry_addr & self.arch.page_size - 1) // self.arch.entry_bytes & (1 << level.bits) - 1
            self.trace.emit(PtEntrySet(entry_addr, level.name, index, old, raw))

    def map(self, virt_addr: int, pfn: int, flags: PteFlags = _ALL, level: int = 0) -> None:
        """Let the page at ``virt_addr`` be frame ``pfn``; ``level`` 0 is a page of 4 KiB, 1 and 2 are larger ones.

        Tables are made as needed. Raises ValueError, in words, if that cannot be, OutOfMemory if there is no page for a
        table; nothing has changed then.
        """
        depth = self.check_map(virt_addr, pfn, level)
        table = self._make_tables(virt_addr, depth)
        self._write(self._entry_addr(table, virt_addr, depth), self.format.page(pfn << 12, flags, depth), depth)

    def _make_tables(self, virt_addr: int, depth: int) -> int:
        """Return the table at ``depth`` for an address; those that are missing are made."""
        table, made = self.cr3, []
        try:
            for above in range(depth):
                entry_addr = self._entry_addr(table, virt_addr, above)
                raw = self.words.read(entry_addr) or 0
                if not raw:
                    made.append((entry_addr, self._new_table(above + 1)))
                    raw = self.format.table(made[-1][1], above)
                    self._write(entry_addr, raw, above)
                table = int(self.format.address(raw, above))
        except MemoryError:
            for above, (entry_addr, new) in reversed(list(enumerate(made, depth - len(made)))):
                self._write(entry_addr, 0, above)
                self._free_table(new, above + 1)
            raise
        return table

    def _entry_addr(self, table: int, virt_addr: int, depth: int) -> int:
        level = self.arch.levels[depth]
        return table + (virt_addr >> level.shift & (1 << level.bits) - 1) * self.arch.entry_bytes

    def check_map(self, virt_addr: int, pfn: int, level: int = 0) -> int:
        """Return the depth at which such a page is entered. Raises ValueError, in words, if it cannot be mapped."""
        self._check_address(virt_addr)
        depth = self.format.last - level
        if level and depth not in self.format.large_depths:
            raise ValueError(f"{self.arch.name} has no pages at level {level}: level 0 always is one")
        size = 1 << self.arch.levels[depth].shift
        if virt_addr % size:
            raise ValueError(f"a page of {size:#x} bytes begins at a multiple of that, not at {virt_addr:#x}")
        if (pfn << self.arch.page_shift) % size:
            raise ValueError(f"a page of {size:#x} bytes lies in frames from a multiple of that on, not from {pfn:#x}")
        if pfn < 0 or pfn << self.arch.page_shift >= 1 << self.arch.phys_bits:
            raise ValueError(f"pfn {pfn:#x} is beyond the {self.arch.phys_bits} bits of a physical address")
        self._check_free(virt_addr, depth)
        return depth

    def _check_free(self, virt_addr: int, depth: int) -> None:
        found = self.walk(virt_addr)
        last = found.steps[min(len(found.steps) - 1, depth)]
        if found.end == "page" and len(found.steps) - 1 <= depth:
            raise ValueError(f"{virt_addr:#x} is mapped already, by a page of {1 << found.page_shift:#x} bytes")
        if len(found.steps) - 1 >= depth and last.raw:
            raise ValueError(f"pages below {virt_addr:#x} are mapped already: a larger one cannot take their place")

    def _check_address(self, virt_addr: int) -> None:
        if not 0 <= virt_addr < 1 << 8 * self.arch.word_bytes or not is_canonical(self.arch, virt_addr):
            raise ValueError(
                f"{virt_addr:#x} is no virtual address of {self.arch.name}: they have {self.arch.virt_bits} bits"
            )

    def entry(self, virt_addr: int) -> int:
        """Return the entry of the last level for an address; 0 if there is none, or no table for it."""
        at = self._last_entry_addr(virt_addr)
        return self.words.read(at) or 0 if at is not None else 0

    def set_entry(self, virt_addr: int, raw: int, make: bool = False) -> None:
        """Write the entry of the last level as it is, with ``make`` also where its tables have to be made first.

        Raises ValueError, if there are none and none are to be made, and what :meth:`map` does.
        """
        at = self._last_entry_addr(virt_addr)
        if at is None and make:
            self.check_map(virt_addr, int(self.format.address(raw, self.format.last)) >> self.arch.page_shift)
            at = self._entry_addr(self._make_tables(virt_addr, self.format.last), virt_addr, self.format.last)
        if at is None:
            raise ValueError(f"there is no table for {virt_addr:#x}")
        self._emptied |= not raw
        self._write(at, raw, self.format.last)

    def _last_entry_addr(self, virt_addr: int) -> int | None:
        """Return where the entry of the last level is; None if there is no table for it."""
        last, table = self.format.last, self.cr3
        for depth in range(last):
            raw = self.words.read(self._entry_addr(table, virt_addr, depth))
            if not raw or self.format.leaf(raw, depth):
                return None
            table = int(self.format.address(raw, depth))
        return self._entry_addr(table, virt_addr, last)

    # -- tables that stay when they are empty, as a process's do -------------------------------------------------------

    def make(self, virt_addr: int, depth: int | None = None) -> None:
        """Make the tables for an address that are missing, down to the last one or to ``depth`` (__pte_alloc()).

        Raises OutOfMemory; nothing has changed then.
        """
        self._emptied = True
        self._make_tables(virt_addr, self.format.last if depth is None else depth)

    def tables(self, start: int, end: int) -> list[tuple[int, int, int, int]]:
        """Return the tables for [start, end) without the root, lower ones first.

        Of each: its depth, the first address that it is for, where it is, and where the entry is that leads to it.
        """
        return list(self._below(self.cr3, 0, 0, start, end))

    def _below(self, table: int, depth: int, low: int, start: int, end: int) -> Iterator[tuple[int, int, int, int]]:
        level, words = self.arch.levels[depth], self.words.words(table >> self.arch.page_shift)
        if depth == self.format.last or words is None:
            return
        at = (table & self.arch.page_size - 1) // self.arch.entry_bytes
        first, last = max(start - low, 0) >> level.shift, min(end - 1 - low >> level.shift, (1 << level.bits) - 1)
        for index in (words[at + first : at + last + 1].nonzero()[0] + first).tolist():
            raw, base = int(words[at + index]), low + (index << level.shift)
            if not self.format.leaf(raw, depth):
                below = int(self.format.address(raw, depth))
                yield from self._below(below, depth + 1, base, start, end)
                yield depth + 1, base, below, table + index * self.arch.entry_bytes

    def span(self, depth: int) -> int:
        """Return for how many bytes of addresses a table at ``depth`` is."""
        level = self.arch.levels[depth]
        return 1 << level.shift + level.bits

    def free_range(self, start: int, end: int, floor: int, ceiling: int) -> None:
        """Free the tables for [start, end) that are for nothing below ``floor`` or from ``ceiling`` on.

        Their pages are gone already (free_pgd_range()).
        """
        for depth, base, addr, entry_addr in self.tables(start, end):
            if floor <= base and base + self.span(depth) <= ceiling:
                self._write(entry_addr, 0, depth - 1)
                self._free_table(addr, depth)

    def free_empty(self, start: int, end: int) -> None:
        """Free the tables of the last level that are for a part of [start, end) only, if they are empty."""
        for depth, base, addr, entry_addr in self.tables(start, end):
            words = self.words.words(addr >> self.arch.page_shift)
            inside = start <= base and base + self.span(depth) <= end
            if depth == self.format.last and inside and words is not None and not words.any():
                self._write(entry_addr, 0, depth - 1)
                self._free_table(addr, depth)

    def move_table(self, old: int, new: int) -> None:
        """Let the last level's table for ``old`` be that for ``new``, whose tables above are there (move_normal_pmd()).

        Both are first addresses of such a table.
        """
        above = self.format.last - 1
        at, to = (self._entry_addr(self._make_tables(addr, above), addr, above) for addr in (old, new))
        raw = self.words.read(at) or 0
        self._write(at, 0, above)
        self._write(to, raw, above)

    # -- tables that go when they are empty ---------------------------------------------------------------------------

    def unmap(self, virt_addr: int) -> None:
        """Take away the page at ``virt_addr``, and tables that are empty then. Raises ValueError if none is there."""
        found = self._mapped(virt_addr)
        self._write(found.steps[-1].entry_addr, 0, found.steps[-1].depth)
        for step, above in zip(found.steps[:0:-1], found.steps[-2::-1], strict=True):
            words = self.words.words(step.table_addr >> self.arch.page_shift)
            if words is None or words.any():
                break
            self._write(above.entry_addr, 0, above.depth)
            self._free_table(step.table_addr, step.depth)

    def protect(self, virt_addr: int, flags: PteFlags) -> None:
        """Give the page at ``virt_addr`` other rights. Raises ValueError if none is there."""
        step = self._mapped(virt_addr).steps[-1]
        assert step.target_addr is not None
        kept = step.raw & (self.format.accessed_bit(step.depth) | self.format.dirty_bit)
        self._write(step.entry_addr, self.format.page(step.target_addr, flags, step.depth) | kept, step.depth)

    def _mapped(self, virt_addr: int) -> Walk:
        self._check_address(virt_addr)
        found = self.walk(virt_addr)
        if found.end != "page":
            raise ValueError(f"no page is mapped at {virt_addr:#x}")
        return found

    def walk(self, virt_addr: int) -> Walk:
        """Follow the tables for ``virt_addr``."""
        return walk(self.words, self.cr3, self.format, virt_addr)

    def free(self) -> None:
        """Give all tables back. It cannot be used any more."""
        for pfn in list(self._pages):
            self._free_table(pfn << self.arch.page_shift)

    def snapshot(self, source: Source = MODEL) -> PageTableState:
        """Return the frozen state."""
        return snapshot(self.words, self.cr3, self.format, source)

    def check(self) -> None:
        """Raise InvariantError, with the name of the rule, if something is not as it has to be."""
        state = self.snapshot()
        reached = [table.addr for table in state.tables]
        if len(set(reached)) != len(reached):
            raise InvariantError("each table once: two entries lead to one table")
        if {addr >> self.arch.page_shift for addr in reached} != set(self._pages):
            raise InvariantError("all tables are reached: pages were taken for tables that no entry leads to")
        for table in state.tables[1:]:
            if not table.entries and not self._emptied:
                raise InvariantError(f"no empty table: the one at {table.addr:#x} is")
        for table in state.tables:
            for index, raw in table.entries:
                if table.depth == self.format.last and not self.format.present(raw, table.depth):
                    continue  # What an entry that is not present says is the kernel's own affair: a place in swap.
                if not self.format.present(raw, table.depth) or self.format.reserved(raw, table.depth):
                    raise InvariantError(f"entries are as they may be: entry {index} at {table.addr:#x} is {raw:#x}")


def is_canonical(arch: Arch, virt_addr: int) -> bool:
    """Say whether the bits above the highest that is translated are all like it; on arm64, whether they are all alike.

    arm64's tell which of two roots is meant, TTBR0 or TTBR1.
    """
    if arch.name.startswith("ARM"):
        return virt_addr >> arch.virt_bits in (0, (1 << 64 - arch.virt_bits) - 1)
    if arch.word_bytes == 4:
        return virt_addr < 1 << arch.virt_bits
    top = virt_addr >> arch.virt_bits - 1
    return top in (0, (1 << 8 * arch.word_bytes - arch.virt_bits + 1) - 1)


def snapshot(words: TableWords, root_addr: int, fmt: Format, source: Source = MODEL) -> PageTableState:
    """Return the frozen state of all tables that are reached from the root, level by level.

    Raises InvariantError for a table that is not in memory, and for tables that lead to each other without end.
    """
    arch, found, mapped = fmt.arch, [], 0
    queue = [(0, root_addr, 0)]
    for number, (depth, addr, virt_addr) in enumerate(queue):
        page = words.words(addr >> arch.page_shift)
        if page is None or number > 1 << 20:
            raise InvariantError(f"tables are in memory: no page holds the one at {addr:#x}")
        level, children, pages = arch.levels[depth], [], []
        # PAE's root is 32 bytes anywhere in a page.
        start = (addr & arch.page_size - 1) // arch.entry_bytes
        entries = page[start : start + (1 << level.bits)]
        used = [(int(index), int(entries[index])) for index in entries.nonzero()[0]]
        for index, raw in used:
            if not fmt.present(raw, depth) or fmt.reserved(raw, depth):
                continue
            if fmt.leaf(raw, depth):
                mapped += 1 << level.shift
                pages.append((index, int(fmt.address(raw, depth)), _letters(fmt, raw, depth)))
            elif depth < fmt.last:
                children.append((index, len(queue)))
                queue.append((depth + 1, int(fmt.address(raw, depth)), virt_addr | index << level.shift))
        found.append(TableState(depth, addr, virt_addr, tuple(used), tuple(children), tuple(pages)))
    return PageTableState(arch.name, root_addr, tuple(found), mapped, source)


def _letters(fmt: Format, raw: int, depth: int) -> str:
    known = (
        ("W", fmt.writable(raw, depth)), ("X", fmt.executable(raw, depth)), ("U", fmt.user(raw, depth)),
        ("A", fmt.accessed_bit(depth) and fmt.accessed(raw, depth)), ("D", fmt.dirty_bit and fmt.dirty(raw, depth)),
    )  # fmt: skip
    return "R" + "".join(letter for letter, is_set in known if is_set)
