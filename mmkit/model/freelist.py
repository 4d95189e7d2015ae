"""Free lists: the first pages of all free blocks, one list per order and migrate type, in the kernel's order.

Models: struct free_area of include/linux/mmzone.h; __add_to_free_list(), move_to_free_list(),
__del_page_from_free_list() of mm/page_alloc.c (Linux 6.18). Leaves out: nr_free, which is the length of the lists.

The kernel links the blocks through their struct pages: head, tail and middle cost the same. A Python dict does that
too, except for one thing: it takes in at one end only. So a list is two dicts. Its *head part* has the head of the
list last (``popitem`` takes it), its *tail part* has the tail last (a block put at the tail goes there). When the head
part runs dry, the tail part becomes the head part, turned round: each block moves at most once.
"""

from __future__ import annotations

from mmkit.model.migratetype import NR_MIGRATETYPES, MigrateType

Blocks = dict[int, None]
"""First pfns of free blocks, in order."""

Halves = tuple[tuple[int, Blocks, int], ...]
"""What is put back when a block is split: (pages, head part of the list, order) of every upper half, largest first."""

Request = tuple[Blocks, Blocks, int, Halves, "Request | None"]
"""One order at which a request may find a block: head part, tail part, the byte that marks the block as allocated,
the upper halves to put back, and the next larger order."""


Row = tuple[list[Blocks], list[Blocks], MigrateType]
"""The lists of one migrate type: head parts and tail parts by order, and the type."""


class FreeLists:
    """The free lists of one zone: ``heads[migratetype][order]`` and ``tails[migratetype][order]``."""

    def __init__(self, max_order: int) -> None:
        self.max_order = max_order
        self.heads: list[list[Blocks]] = [[{} for _ in range(max_order + 1)] for _ in range(NR_MIGRATETYPES)]
        self.tails: list[list[Blocks]] = [[{} for _ in range(max_order + 1)] for _ in range(NR_MIGRATETYPES)]
        self.rows: list[Row] = list(zip(self.heads, self.tails, MigrateType, strict=True))

    def pfns(self, migratetype: int, order: int) -> list[int]:
        """Return the first pfns of a list's blocks, head first."""
        return [*reversed(self.heads[migratetype][order]), *self.tails[migratetype][order]]

    def length(self, migratetype: int, order: int) -> int:
        """Return how many blocks are on a list."""
        return len(self.heads[migratetype][order]) + len(self.tails[migratetype][order])

    def all_pfns(self) -> tuple[tuple[tuple[int, ...], ...], ...]:
        """Return all lists as snapshots keep them: by order, then by migrate type."""
        orders, kinds = range(self.max_order + 1), range(NR_MIGRATETYPES)
        return tuple(tuple(tuple(self.pfns(kind, order)) for kind in kinds) for order in orders)

    def load(self, all_pfns: tuple[tuple[tuple[int, ...], ...], ...]) -> None:
        """Replace all lists by those of a snapshot."""
        for order, lists in enumerate(all_pfns):
            for kind, pfns in enumerate(lists):
                self.heads[kind][order].clear()
                self.tails[kind][order].clear()
                self.heads[kind][order].update(dict.fromkeys(reversed(pfns)))

    def counts(self) -> tuple[int, ...]:
        """Return how many blocks of each order are on the lists of all types together."""
        rows = zip(*self.heads, *self.tails, strict=True)
        return tuple(sum(map(len, row)) for row in rows)

    def first(self, migratetype: int, order: int) -> int:
        """Return the block at the head of a list that is not empty."""
        heads, tails = self.heads[migratetype][order], self.tails[migratetype][order]
        while tails and not heads:
            turn_round(heads, tails)
        return next(reversed(heads))

    def push(self, pfn: int, migratetype: int, order: int) -> None:
        """Put a block at the head of a list."""
        self.heads[migratetype][order][pfn] = None

    def append(self, pfn: int, migratetype: int, order: int) -> None:
        """Put a block at the tail of a list."""
        self.tails[migratetype][order][pfn] = None

    def remove(self, pfn: int, order: int) -> int:
        """Take a block off the list that it is on, and return that list's migrate type."""
        for migratetype in range(NR_MIGRATETYPES):
            for blocks in (self.heads[migratetype][order], self.tails[migratetype][order]):
                if pfn in blocks:
                    del blocks[pfn]
                    return migratetype
        raise KeyError(f"no free block of order {order} starts at pfn {pfn}")

    def move_to_tail(self, pfn: int, order: int, migratetype: int) -> None:
        """Move a block from the list that it is on to the tail of another type's."""
        self.remove(pfn, order)
        self.append(pfn, migratetype, order)

    def requests(self, migratetype: int) -> dict[int, Request]:
        """Return, for every order, where a request for that order and migrate type looks: the smallest first.

        All of it is fixed when the lists are made, so that an allocation has nothing left to work out.
        """
        heads, tails = self.heads[migratetype], self.tails[migratetype]
        halves = tuple((1 << order, heads[order], order) for order in reversed(range(self.max_order)))
        found: dict[int, Request] = {}
        for wanted in range(self.max_order + 1):
            taken = 0x80 | migratetype << 4 | wanted
            request: Request | None = None
            for order in range(self.max_order, wanted - 1, -1):
                put_back = halves[self.max_order - order : self.max_order - wanted]
                request = (heads[order], tails[order], taken, put_back, request)
            assert request
            found[wanted] = request
        return found


def turn_round(heads: Blocks, tails: Blocks) -> None:
    """Make the tail part of a list, whose head part has run dry, its head part."""
    while tails:
        heads[tails.popitem()[0]] = None
