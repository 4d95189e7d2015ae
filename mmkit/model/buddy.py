"""The buddy system: physical memory in blocks of 2^order pages, split to fit and merged when free.

Models: mm/page_alloc.c (Linux 6.18), __rmqueue(), __rmqueue_smallest(), expand(), __free_one_page(),
buddy_merge_likely(), split_large_buddy(), split_page(); with ``kernel="6.1"`` what differs there. Leaves out: guard and
poisoned pages, shuffling, compaction's capture of freed pages, the CMA type.

*Take* a block: the head of the list of its order, else of the next larger one that has a block, which is split: each
upper half goes to the head of its list, the lower half is split on. *Give* it back: while its buddy, at
``pfn ^ (1 << order)``, is free as a whole, merge with it; then to the head of the list, or to the tail if the merged
block looks likely to merge again soon. Both cost a step per order, however large the memory is.
"""

from __future__ import annotations

from mmkit.errors import BadFree, OutOfMemory
from mmkit.model.badfree import enclosing_block, why_not_freed
from mmkit.model.fallback import Fallback, fall_back_6_1, fall_back_6_18
from mmkit.model.framemap import frame_map
from mmkit.model.freearea import FreeArea
from mmkit.model.freelist import Row, turn_round
from mmkit.model.migratetype import NR_MIGRATETYPES, MigrateType
from mmkit.model.pageblock import INSIDE, UNKNOWN
from mmkit.model.trace import Event, Merge, MmPageAlloc, MmPageAllocExtfrag, MmPageFree, Put, Split, Take

NEVER = float("nan")
"""Equal to no order."""

FreeEntry = tuple[float, int, int, int]

__all__ = ["BuddyAllocator", "MigrateType", "frame_map"]


class BuddyAllocator(FreeArea):
    """The page allocator of one zone: pages [start_pfn, start_pfn + nr_pages), less the ``holes`` [start, end) in them.

    At the start all memory is free, in the largest aligned blocks, each at the tail of its list, the lowest first:
    so Linux gives it to the lists at boot. All pageblocks are of ``migratetype``. Blocks go up to ``max_order``;
    ``pageblock_order`` is capped by it. ``kernel`` is "6.18" or "6.1": whose rules decide on fallbacks.

    With a ``trace`` every step is told, and ``snapshot()`` may be called at each. ``announce=False`` is for an owner
    that says ``mm_page_alloc`` and ``mm_page_free`` itself.

    Raises ValueError or TypeError for arguments that make no sense.

    >>> buddy = BuddyAllocator(1024)
    >>> buddy.alloc(8)
    0
    >>> buddy.counts()
    (0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 0)
    >>> buddy.free(0, 8)
    >>> buddy.free_blocks(10)
    [0]
    """

    def _lay_out(self, migratetype: int) -> None:
        super()._lay_out(migratetype)
        self._fell: Fallback | None = None
        # Tables that spare alloc and free their arithmetic: where to look, and what a free of each order needs.
        kinds = [kind for kind in MigrateType if kind != MigrateType.ISOLATE]
        self._requests = {int(kind): self.lists.requests(kind) for kind in kinds}
        self._frees = [self._free_entry(code) for code in range(256)]
        self._rows, self._shift = self.blocks.rows, self.pageblock_order

    def _free_entry(self, code: int) -> FreeEntry:
        """Return what a free of a block must know, by the state of its first page.

        That is the order that it must be freed with, its pages, twice as many, and the order at which it may merge on
        after the next merge (-1, which no page has, if there is none).
        """
        order = code & 0x0F
        if not 0x80 <= code < UNKNOWN or order > self.max_order:
            return NEVER, 0, 0, -1
        known = NEVER if self._in_pieces(order) else order
        if order < self.max_order - 1:
            return known, 1 << order, 2 << order, order + 1
        return known, 1 << order if order < self.max_order else 0, 0, -1

    def _in_pieces(self, order: int) -> bool:
        # split_large_buddy(), since 6.10: the pageblocks of a block may be of different types.
        return self.kernel != "6.1" and order > self.pageblock_order

    # -- take ---------------------------------------------------------------------------------------------------------

    def alloc(self, order: int, migratetype: int = MigrateType.MOVABLE, nofragment: bool = False) -> int:
        """Take a block of ``1 << order`` pages and return its first pfn.

        ``nofragment`` forbids a fallback that would mix types within a pageblock (the kernel's ALLOC_NOFRAGMENT).

        Raises OutOfMemory if no list has a block, ValueError or TypeError for an order or a type that there is not.
        """
        try:
            heads, tails, taken, halves, larger = self._requests[migratetype][order]
        except (KeyError, TypeError):
            raise self._refusal(order, migratetype) from None
        while not heads:
            if tails:
                turn_round(heads, tails)
            elif larger is not None:
                heads, tails, _, halves, larger = larger
            else:
                fell = self._fall_back(order, migratetype, nofragment)
                heads, tails, _, halves, larger = self._requests[fell.listed][order]
        pfn, _ = heads.popitem()
        self._free_pages = None
        if self.trace is not None:
            return self._split_aloud(pfn, order + len(halves), order, MigrateType(migratetype))
        state = self.state
        if halves:
            for size, heads, half_order in halves:
                half = pfn + size
                heads[half] = None
                state[half] = half_order
        state[pfn] = taken
        return pfn

    def _refusal(self, order: int, migratetype: int) -> Exception:
        if not isinstance(order, int) or not isinstance(migratetype, int):
            return TypeError(f"order and migratetype are whole numbers, not {order!r} and {migratetype!r}")
        if order not in range(self.max_order + 1):
            return ValueError(f"order is {order}, must be one of 0 to {self.max_order}")
        if migratetype == MigrateType.ISOLATE:
            return ValueError("migratetype is Isolate: its blocks are kept from being allocated")
        return ValueError(f"migratetype is {migratetype}, must be one of 0 to {NR_MIGRATETYPES - 2}")

    def _fall_back(self, order: int, migratetype: int, nofragment: bool) -> Fallback:
        """Return what other lists had; those of ``listed`` have a block now. Raises OutOfMemory if there is none."""
        rule = fall_back_6_1 if self.kernel == "6.1" else fall_back_6_18
        found = rule(self, order, migratetype, nofragment)
        if found is None:
            self._announce(MmPageAlloc(None, order, 0, MigrateType(migratetype)))
            pages = f"{1 << order} pages in one block (order {order})" if order else "a page"
            left = f"{self.free_pages} of {self.nr_pages} pages are free, none of them so large a block"
            left = left if self.free_pages else "no page is free"
            raise OutOfMemory(f"no {MigrateType(migratetype).title} memory for {pages}: {left}")
        if self.trace is not None:
            self._fell = found
            if self.kernel == "6.1":  # 6.18 tells it once it has the page
                self._tell_fallback(found.pfn, order, MigrateType(migratetype))
        return found

    def claims_pageblock(self, pfn: int, migratetype: int, free_pages: int, alike_pages: int) -> bool:
        """Say whether a fallback makes the pageblock of ``pfn`` one of ``migratetype``: if half of it is free or alike.

        A replay of a recorded kernel, which knew better which pages are alike, overrides this.
        """
        return free_pages + alike_pages >= 1 << self.pageblock_order >> 1

    # -- give ---------------------------------------------------------------------------------------------------------

    def free(self, pfn: int, order: int, migratetype: int | None = None) -> None:
        """Give back the block of ``1 << order`` pages at ``pfn``.

        ``migratetype`` is the list to give it to, for ``kernel="6.1"``, where a page on a per-CPU list remembers it;
        otherwise, and by default, that of its pageblock.

        Raises BadFree for what is not allocated, or not so, ValueError or TypeError for an order that there is not.
        """
        state = self.state
        try:
            known, size, double, next_order = self._frees[state[pfn]]
        except (IndexError, TypeError):
            known = NEVER
        if known != order or pfn < 0:
            self._free_otherwise(pfn, order, migratetype)
            return
        row = self._rows[pfn >> self._shift] if migratetype is None else self._given_row(pfn, migratetype)
        self._free_pages = None
        if self.trace is not None:
            self._free_aloud(pfn, order, row)
            return
        buddy = pfn ^ size
        if state[buddy] == order:
            pfn, order = self._merge(pfn, order, row)
            _, size, double, next_order = self._frees[0x80 | order]
            buddy = pfn ^ size
        heads, tails, _ = row
        state[pfn] = order
        if state[(pfn & buddy) ^ double] != next_order:
            heads[order][pfn] = None
        else:  # buddy_merge_likely()
            tails[order][pfn] = None

    def _merge(self, pfn: int, order: int, row: Row) -> tuple[int, int]:
        """Merge the block in hand with its buddies as far as they are free, and return what became of it."""
        state, trace, pageblock_order = self.state, self.trace, self.pageblock_order
        heads, tails, kind = row
        size = 1 << order
        while order < pageblock_order and state[buddy := pfn ^ size] == order:
            if buddy in heads[order]:
                del heads[order][buddy]
            elif buddy in tails[order]:
                del tails[order][buddy]
            else:  # 6.1 keeps blocks on lists of other types than their pageblock's
                self.lists.remove(buddy, order)
            state[pfn | size] = INSIDE
            if trace is not None:
                self._tell(Merge(pfn, order, buddy), pfn & buddy, order + 1)
            pfn &= buddy
            order += 1
            size += size
        return (pfn, order) if order < pageblock_order else self._merge_pageblocks(pfn, order, kind)

    def _merge_pageblocks(self, pfn: int, order: int, kind: int) -> tuple[int, int]:
        """Merge on with whole pageblocks: not if one of two types is kept apart, and the other takes on this type."""
        while order < self.max_order:
            buddy = pfn ^ 1 << order
            other = self.blocks.type_of(buddy)
            kept_apart = other != kind and max(other, kind) > MigrateType.RECLAIMABLE
            if self.state[buddy] != order or kept_apart:
                break
            self.lists.remove(buddy, order)
            if self.kernel != "6.1":
                self.blocks.change(buddy, order, kind)
            self.state[pfn | buddy] = INSIDE
            if self.trace is not None:
                self._tell(Merge(pfn, order, buddy), pfn & buddy, order + 1)
            pfn &= buddy
            order += 1
        return pfn, order

    def _given_row(self, pfn: int, migratetype: int) -> Row:
        """Return the lists that a free goes to if its caller names a type; 6.18 looks at the pageblock all the same."""
        if migratetype not in range(NR_MIGRATETYPES):
            raise ValueError(f"migratetype is {migratetype!r}, must be one of 0 to {NR_MIGRATETYPES - 1}")
        return self.lists.rows[migratetype] if self.kernel == "6.1" else self._rows[pfn >> self._shift]

    def _free_otherwise(self, pfn: int, order: int, migratetype: int | None) -> None:
        """Free a block in use since before the model looked, or one that is freed pageblock by pageblock."""
        wrong = why_not_freed(self, pfn, order)
        if wrong:
            raise wrong
        if migratetype is not None:
            self._given_row(pfn, migratetype)
        kind = self.blocks.type_of(pfn) if self.state[pfn] == UNKNOWN else self.state[pfn] >> 4 & 7
        self._mark_allocated(pfn, order, kind, order)
        if not self._in_pieces(order):
            self.free(pfn, order, migratetype)
            return
        if self.trace is not None:
            self.state[pfn] = INSIDE
            self._in_hand = pfn, order
            self._announce(MmPageFree(pfn, order))
            self._in_hand = None
        self._mark_allocated(pfn, order, kind, self._shift)
        self._free_quietly(pfn, order, migratetype)

    def _free_quietly(self, pfn: int, order: int, migratetype: int | None = None) -> None:
        """Give back, one after the other, the pageblocks that an allocated block consists of."""
        announce, self.announce = self.announce, False
        try:
            for piece in range(pfn, pfn + (1 << order), 1 << self._shift):
                self.free(piece, self._shift, migratetype)
        finally:
            self.announce = announce

    def compact(self, order: int = -1) -> int:
        """Move Movable blocks together until one of ``order`` is free, or (-1) as far as it goes; return pages moved.

        Whoever holds blocks must learn where they are now: :class:`mmkit.model.compaction.Compaction` tells that, and
        goes step by step. Raises ValueError or TypeError for an order that there is not.
        """
        from mmkit.model.compaction import Compaction

        return Compaction(self, order=order).run()

    # -- pageblocks and pieces ----------------------------------------------------------------------------------------

    def split_page(self, pfn: int, order: int, new_order: int = 0) -> None:
        """Turn an allocated block into blocks of ``new_order``, each of which is freed on its own.

        Raises BadFree if no such block is allocated, ValueError for a ``new_order`` that is not smaller.
        """
        wrong = why_not_freed(self, pfn, order)
        if wrong:
            raise wrong
        if new_order not in range(order):
            raise ValueError(f"new_order is {new_order!r}, must be at least 0 and below {order}")
        if self.state[pfn] != UNKNOWN:
            self._mark_allocated(pfn, order, self.state[pfn] >> 4 & 7, new_order)

    def set_allocated_type(self, pfn: int, migratetype: int) -> None:
        """Note that an allocated block is used for pages of ``migratetype``, whatever list it was taken from.

        Raises BadFree if no block of known order is allocated there, ValueError for a type that there is not.
        """
        order = self.allocated_order(pfn)
        if order is None:
            raise BadFree(f"no block is allocated at page {pfn!r}")
        if migratetype not in range(NR_MIGRATETYPES - 1):
            raise ValueError(f"migratetype is {migratetype!r}, must be one of 0 to {NR_MIGRATETYPES - 2}")
        self.state[pfn] = 0x80 | migratetype << 4 | order

    def _mark_allocated(self, pfn: int, order: int, kind: int, new_order: int) -> None:
        """Mark the pages of a block as allocated blocks of ``new_order``."""
        size = 1 << new_order
        piece = bytes([0x80 | kind << 4 | new_order]) + bytes([INSIDE]) * (size - 1)
        self.state[pfn : pfn + (1 << order)] = piece * (1 << order - new_order)

    def set_pageblock_type(self, pfn: int, migratetype: int) -> None:
        """Change the type of the pageblock that ``pfn`` lies in; its free blocks move to the tails of the new lists.

        A free block larger than a pageblock changes as a whole, unless one of the types is kept apart (HighAtomic,
        Isolate): then it is split. Raises ValueError outside the zone and for a type that there is not.
        """
        self.check_inside(pfn)
        if migratetype not in range(NR_MIGRATETYPES):
            raise ValueError(f"migratetype is {migratetype!r}, must be one of 0 to {NR_MIGRATETYPES - 1}")
        start, end = self.blocks.bounds(pfn)
        first, code = enclosing_block(self, max(start, self.start_pfn))
        if first is None or code & 0x80 or code < self._shift:
            self.blocks.move_free(max(start, self.start_pfn), min(end, self.end_pfn), migratetype)
            self.blocks.change(pfn, 0, migratetype)
        elif max(self.blocks.type_of(pfn), migratetype) <= MigrateType.RECLAIMABLE:
            self.lists.move_to_tail(first, code, migratetype)
            self.blocks.change(first, code, migratetype)
        else:
            self.lists.remove(first, code)
            self.blocks.change(pfn, 0, migratetype)
            self._mark_allocated(first, code, MigrateType.MOVABLE, self._shift)
            trace, self.trace = self.trace, None
            self._free_quietly(first, code)
            self.trace = trace

    # -- the same, told step by step ----------------------------------------------------------------------------------

    def _split_aloud(self, pfn: int, found_order: int, order: int, migratetype: MigrateType) -> int:
        """What ``alloc`` does with a block that it has found, and the words for it."""
        listed = MigrateType(self._fell.listed) if self._fell else migratetype
        self._tell(Take(pfn, found_order, listed), pfn, found_order)
        for half_order in range(found_order - 1, order - 1, -1):
            half = pfn + (1 << half_order)
            self.lists.push(half, listed, half_order)
            self.state[half] = half_order
            self._tell(Split(pfn, half_order + 1, half, listed), pfn, half_order)
        self.state[pfn] = 0x80 | migratetype << 4 | order
        self._in_hand = None
        if self.kernel != "6.1":
            self._tell_fallback(pfn, order, migratetype)
        self._fell = None
        self._announce(MmPageAlloc(pfn, order, 0, migratetype))
        return pfn

    def _free_aloud(self, pfn: int, order: int, row: Row) -> None:
        """What ``free`` does with a block that may be freed, and the words for it."""
        self.state[pfn] = INSIDE
        self._in_hand = pfn, order
        self._announce(MmPageFree(pfn, order))
        pfn, order = self._merge(pfn, order, row)
        _, size, double, next_order = self._frees[0x80 | order]
        likely = self.state[(pfn & ~size) ^ double] == next_order
        self.state[pfn] = order
        put = self.lists.append if likely else self.lists.push
        put(pfn, row[2], order)
        self._in_hand = None
        self._emit(Put(pfn, order, row[2], likely))

    def _tell(self, event: Event, pfn: int, order: int) -> None:
        """Tell a step after which the block at ``pfn`` is in hand."""
        self.state[pfn] = INSIDE
        self._in_hand = pfn, order
        self._emit(event)

    def _tell_fallback(self, pfn: int, order: int, migratetype: MigrateType) -> None:
        if self._fell:
            claimed = self.blocks.type_of(pfn) == migratetype
            kinds = migratetype, MigrateType(self._fell.migratetype)
            self._emit(MmPageAllocExtfrag(pfn, order, self._fell.order, *kinds, claimed))

    def _announce(self, event: MmPageAlloc | MmPageFree) -> None:
        if self.announce:
            self._emit(event)

    def _emit(self, event: Event) -> None:
        if self.trace is not None:
            self.trace.emit(event)
