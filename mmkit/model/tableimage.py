"""Page tables laid out as arrays, so that many addresses walk through them at once.

Models: the walk of the MMU, one entry a level, for arrays of addresses: what is answered here, and which accessed and
dirty bits are set, is what as many walks one after the other give. Leaves out: TLBs, which change nothing in that.

The tables are first laid out as arrays, one for each level, in which an entry says where in the next level's array its
table is. A walk is then a ``take`` for each level. Entries that lead nowhere lead to table 0, which leads nowhere. For
very many addresses two levels become one, with the index bits of both, where that is not too large.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from mmkit.arch import Arch

Ints = NDArray[np.int64]
Words = NDArray[np.uint64]

CHUNK = 1 << 14
"""Addresses that walk together: few enough for all that belongs to them to stay in the CPU's caches."""
BLOCK = 1 << 10
"""Tables that are laid out together."""
MANY, LARGEST = 1 << 19, 1 << 21
"""After how many addresses levels are joined, and up to how many entries."""
NOWHERE = -(1 << 63)
"""The end of a walk that the entries do not allow; other negative numbers are pages whose bits have to be set first."""
MARKED = 8
"""In the state of a table: every entry on the way to it has its accessed bit. Below it are the rights, as bits."""


class Format(Protocol):
    """What entries mean; numbers and arrays of 64-bit words go through alike. ``depth`` 0 is the root's level."""

    arch: Arch

    @property
    def dirty_bit(self) -> int:
        """What a write sets in a page's entry; 0 if nothing."""

    def accessed_bit(self, depth: int) -> int:
        """Return what an access sets in an entry; 0 if nothing."""

    def present(self, raw: Words, depth: int) -> NDArray[np.bool_]:
        """Say whether there is anything."""

    def reserved(self, raw: Words, depth: int) -> NDArray[np.bool_]:
        """Say whether a bit is set that must not be."""

    def leaf(self, raw: Words, depth: int) -> NDArray[np.bool_]:
        """Say whether it is a page."""

    def address(self, raw: Words, depth: int) -> Words:
        """Return the physical address of the next table, or of the page."""

    def writable(self, raw: Words, depth: int) -> NDArray[np.bool_]:
        """Say whether it lets write."""

    def user(self, raw: Words, depth: int) -> NDArray[np.bool_]:
        """Say whether it lets user code in."""

    def executable(self, raw: Words, depth: int) -> NDArray[np.bool_]:
        """Say whether it lets fetch."""

    def accessed(self, raw: Words, depth: int) -> NDArray[np.bool_]:
        """Say whether its accessed bit is set, or it has none."""

    def dirty(self, raw: Words, depth: int) -> NDArray[np.bool_]:
        """Say whether its dirty bit is set."""


class Tables(Protocol):
    """The pages that hold tables; ``version`` changes whenever a word of them does."""

    version: int

    def words(self, pfn: int) -> NDArray[np.unsignedinteger] | None:
        """Return the words of a page, to read and to write; None if there is no such page."""


class Found(NamedTuple):
    """What became of each address."""

    phys_addrs: Words
    """Where it leads; meaningless for those that follow."""
    nowhere: Ints
    """Indices, ascending, of addresses that the tables do not translate, or not for this access."""
    unmarked: Ints
    """Indices, ascending, of addresses that lead somewhere, but set an accessed or dirty bit that is not set yet."""


class Below(NamedTuple):
    """What the entries of a level lead to, each once; slot 0 of the next level is nothing, then come these."""

    addrs: Ints
    """Physical addresses of tables."""
    states: NDArray[np.uint8]
    """The state on the way to each table."""
    pages: Ints
    """Pages that are entered above the last level: below them all entries lead to them, down to the last level."""


class Step(NamedTuple):
    """One ``take`` of a walk: which bits of the address, with the base of a table, are the index into an array."""

    shift: int
    mask: int
    array: Ints


class TableImage:
    """The tables below a root, laid out for one kind of access.

    ``allowed`` says for each of the eight sets of rights (1 writable, 2 user, 4 executable, ANDed over all levels)
    whether they allow the access; a ``write`` needs dirty bits too. Bits that are not set will be; unless ``marks`` is
    False: then the address leads nowhere.
    """

    def __init__(
        self, tables: Tables, root_addr: int, fmt: Format, allowed: tuple[bool, ...], write: bool, marks: bool = True
    ) -> None:
        self.tables, self.format, self.write, self.marks = tables, fmt, write, marks
        self.arch, self.version = fmt.arch, tables.version
        self._allowed = np.array(allowed, np.bool_)
        self._next: list[Ints] = []
        self._addrs: list[Ints] = []
        self._walked = 0
        self.has_large = False
        root = Below(np.array([root_addr]), np.array([7 | MARKED], np.uint8), np.empty(0, np.int64))
        for depth in range(len(self.arch.levels)):
            root = self._lay_out(depth, root)
        levels = zip(self.arch.levels, self._next, strict=True)
        self._steps = [Step(level.shift, (1 << level.bits) - 1, array) for level, array in levels]
        self._first = self._signed(self._steps[0])

    def __repr__(self) -> str:
        return f"<TableImage of {self.arch.name}: {sum((each >= 0).sum() for each in self._addrs)} tables>"

    # -- laying out ---------------------------------------------------------------------------------------------------

    def _lay_out(self, depth: int, here: Below) -> Below:
        """Lay out the tables of a level; returns what is below."""
        blocks = range(0, len(here.addrs), BLOCK)
        decoded = [self._decode(depth, here.addrs[at : at + BLOCK], here.states[at : at + BLOCK]) for at in blocks]
        ends = np.concatenate([each[0] for each in decoded]) if decoded else np.empty(0, np.int64)
        self._addrs.append(np.concatenate(([-1], here.addrs, np.full(len(here.pages), -1))))
        size = 1 << self.arch.levels[depth].bits
        if depth == len(self.arch.levels) - 1:
            self._next.append(np.concatenate((np.full(size, NOWHERE), ends, np.repeat(here.pages, size))))
            return here
        keys = np.concatenate([each[1] for each in decoded]) if decoded else np.empty(0, np.int64)
        is_table, is_page = keys > 0, ends != NOWHERE
        self.has_large |= bool(is_page.any())
        tables, table_slots = np.unique(keys[is_table], return_inverse=True)
        pages, page_slots = np.unique(np.concatenate((here.pages, ends[is_page])), return_inverse=True)
        slots = np.zeros(len(keys), np.int64)
        slots[is_table] = 1 + table_slots
        slots[is_page] = 1 + len(tables) + page_slots[len(here.pages) :]
        through = np.repeat(1 + len(tables) + page_slots[: len(here.pages)], size)
        below = np.concatenate((np.zeros(size, np.int64), slots, through)) << self.arch.levels[depth + 1].bits
        self._next.append(below)
        return Below(tables >> 5, (tables & 15).astype(np.uint8), pages)

    def _decode(self, depth: int, addrs: Ints, states: NDArray[np.uint8]) -> tuple[Ints, Ints]:
        """Return for each entry of some tables the page it leads to, else NOWHERE; and the key of a table, else 0."""
        fmt, level = self.format, self.arch.levels[depth]
        raw = self._gather(addrs, 1 << level.bits)
        state = np.repeat(states, 1 << level.bits)
        state &= (fmt.writable(raw, depth) * np.uint8(1)) | (fmt.user(raw, depth) * np.uint8(2)) | np.uint8(12)
        state &= (
            (fmt.executable(raw, depth) * np.uint8(4)) | (fmt.accessed(raw, depth) * np.uint8(MARKED)) | np.uint8(3)
        )
        there = fmt.present(raw, depth) & ~fmt.reserved(raw, depth)
        leaf = there if depth == len(self.arch.levels) - 1 else there & fmt.leaf(raw, depth)
        target = fmt.address(raw, depth).astype(np.int64)
        keys = np.where(there & ~leaf, target << 5 | 16 | state, 0)
        # A page is its address, with all ones but the highest below it: so both address and size can be read from it.
        pages = target >> level.shift << level.shift | ((1 << level.shift - 1) - 1)
        marked = state & MARKED > 0
        if self.write:
            marked &= fmt.dirty(raw, depth)
        fine = leaf & self._allowed.take(state & 7) & (marked | self.marks)
        return np.where(fine, np.where(marked, pages, ~pages), NOWHERE), keys

    def _gather(self, addrs: Ints, size: int) -> Words:
        """Return the words of tables, one after the other, as 64-bit words; zeros where there is no memory."""
        raw = np.zeros((len(addrs), size), np.uint64)
        for row, addr in zip(raw, addrs.tolist(), strict=True):
            words = self.tables.words(addr >> self.arch.page_shift)
            if words is not None:
                first = (addr & (self.arch.page_size - 1)) // self.arch.entry_bytes
                found = words[first : first + size]
                row[: len(found)] = found
        return raw.reshape(-1)

    def _signed(self, root: Step) -> Step:
        """Return the first step: its array is in the order of signed addresses, with nothing before and behind.

        There an index ends that is cut off at either end, because its address is too wide or not canonical.
        """
        entries = root.array[root.mask + 1 :]
        if self.arch.word_bytes == 8:
            entries = np.roll(entries, len(entries) // 2)
        nothing = root.array[:1]
        return Step(root.shift, root.mask, np.concatenate((nothing, entries, nothing)))

    def _join(self) -> None:
        """Make one step of two, from the last upwards, where there are not too many entries in it."""
        joined: list[Step] = []
        steps, extra = self._steps, 0
        while steps:
            *steps, (shift, mask, array) = steps
            array, extra = array << extra, 0  # the tables below are as much larger if they were joined
            if steps and len(steps[-1].array) * (mask + 1) <= max(LARGEST, 2 * len(array)):
                *steps, above = steps
                array = array.take(above.array[:, None] + np.arange(mask + 1)).reshape(-1)
                mask, extra = (above.mask + 1) * (mask + 1) - 1, (mask + 1).bit_length() - 1
            joined.insert(0, Step(shift, mask, array))
        self._steps, self._first = joined, self._signed(joined[0])

    # -- walking ------------------------------------------------------------------------------------------------------

    def walk(self, virt_addrs: Words, out: Words | None = None) -> Found:
        """Return where each address leads; ``out`` is room for the physical addresses."""
        if self._walked < MANY <= self._walked + len(virt_addrs):
            self._join()
        self._walked += len(virt_addrs)
        found = np.empty(len(virt_addrs), np.int64) if out is None else out.view(np.int64)
        addresses = virt_addrs.view(np.int64)
        nowhere, unmarked = [], []
        room = [np.empty(min(CHUNK, len(addresses)), np.int64) for _ in range(2)]
        for start in range(0, len(addresses), CHUNK):
            chunk, ends = addresses[start : start + CHUNK], found[start : start + CHUNK]
            index, base = (each[: len(chunk)] for each in room)
            self._chunk(chunk, ends, index, base)
            if ends.min() < 0:
                nowhere.append(np.flatnonzero(ends == NOWHERE) + start)
                unmarked.append(np.flatnonzero((ends < 0) & (ends != NOWHERE)) + start)
                ends ^= ends >> 63
            self._offsets(chunk, ends, index, base)
        empty = np.empty(0, np.int64)
        return Found(found.view(np.uint64), np.concatenate([empty, *nowhere]), np.concatenate([empty, *unmarked]))

    def _chunk(self, chunk: Ints, out: Ints, index: Ints, base: Ints) -> None:
        """Walk from step to step; ``index`` and ``base`` are room to work in."""
        first, last = self._first, len(self._steps) - 1
        np.right_shift(chunk, first.shift, out=index)
        index += len(first.array) // 2 if self.arch.word_bytes == 8 else 1
        # Any mode but "clip" makes take() go through a buffer; and it is what sends wild addresses nowhere.
        first.array.take(index, out=base if last else out, mode="clip")
        for number, (shift, mask, array) in enumerate(self._steps[1:], 1):
            np.right_shift(chunk, shift, out=index)
            index &= mask
            index += base
            array.take(index, out=base if number < last else out, mode="clip")

    def _offsets(self, chunk: Ints, out: Ints, room: Ints, spare: Ints) -> None:
        """Put the low bits of each address into the page that was found for it."""
        low: Ints | int = self.arch.page_size - 1
        if self.has_large:
            # The ones at the end of a page's address, and one more: its size less one.
            low = np.bitwise_xor(np.add(out, 1, out=room), out, out=room)
        both = np.bitwise_xor(out, chunk, out=spare)
        both &= low
        out ^= both

    # -- marking ------------------------------------------------------------------------------------------------------

    def mark(self, virt_addrs: Words) -> None:
        """Set in the tables what walks for these addresses set: all of them lead somewhere."""
        if not len(virt_addrs):
            return
        shift = self.arch.page_shift
        pages = np.unique(virt_addrs >> np.uint64(shift)).view(np.int64) << shift
        base = np.full(len(pages), 1 << self.arch.levels[0].bits)
        for depth, (level, table) in enumerate(zip(self.arch.levels, self._next, strict=True)):
            where = base + (pages >> level.shift & (1 << level.bits) - 1)
            used = np.unique(where)
            slots = used >> level.bits
            starts = np.flatnonzero(np.concatenate(([True], slots[1:] != slots[:-1])))
            for part in np.split(used, starts[1:]):
                addr = int(self._addrs[depth][part[0] >> level.bits])
                if addr >= 0:
                    self._mark_table(depth, addr, part & (1 << level.bits) - 1)
            base = table.take(where)
        self.tables.version += 1

    def _mark_table(self, depth: int, addr: int, entries: Ints) -> None:
        words = self.tables.words(addr >> self.arch.page_shift)
        assert words is not None
        index = entries + (addr & (self.arch.page_size - 1)) // self.arch.entry_bytes
        fmt, raw = self.format, words[index].astype(np.uint64)
        bits = np.where(fmt.accessed(raw, depth), 0, fmt.accessed_bit(depth))
        if self.write:
            leaf = np.ones(len(raw), np.bool_) if depth == len(self.arch.levels) - 1 else fmt.leaf(raw, depth)
            bits |= np.where(leaf, fmt.dirty_bit, 0)
        words[index] |= bits.astype(words.dtype)
