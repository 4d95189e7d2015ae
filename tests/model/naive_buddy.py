"""The buddy system as plainly as it can be written: Python lists in list order, and a dict that says what each page is.

Slow, and obviously right: everything is searched for, nothing is remembered. Rules B1 to B5 and both kernels' fallback.
"""

from __future__ import annotations

UNMOVABLE, MOVABLE, RECLAIMABLE = range(3)
FALLBACKS = {UNMOVABLE: (2, 1), MOVABLE: (2, 0), RECLAIMABLE: (0, 1)}


class NaiveBuddy:
    def __init__(self, nr_pages, start_pfn, max_order, pageblock_order, holes, kernel, migratetype=MOVABLE):
        self.start, self.end = start_pfn, start_pfn + nr_pages
        self.max_order, self.pageblock_order, self.kernel = max_order, pageblock_order, kernel
        self.memory = set(range(self.start, self.end)) - {pfn for hole in holes for pfn in range(*hole)}
        self.lists = {(order, kind): [] for order in range(max_order + 1) for kind in range(5)}
        self.allocated = {}
        blocks = range(self.start >> pageblock_order, (self.end - 1 >> pageblock_order) + 1)
        self.types = dict.fromkeys(blocks, migratetype)
        for pfn, order in self.maximal_blocks(self.memory):
            self.lists[order, migratetype].append(pfn)

    # -- by brute force -----------------------------------------------------------------------------------------------

    def maximal_blocks(self, pages):
        """Cut a set of pages into maximal aligned blocks: [(pfn, order)], ascending (B4)."""
        found, done = [], set()
        for order in range(self.max_order, -1, -1):
            for pfn in range(0, self.end, 1 << order):
                block = set(range(pfn, pfn + (1 << order)))
                if block <= pages and not block & done:
                    found.append((pfn, order))
                    done |= block
        return sorted(found)

    def free_blocks(self):
        return sorted((pfn, order) for (order, _), pfns in self.lists.items() for pfn in pfns)

    def free_pages(self):
        return {page for pfn, order in self.free_blocks() for page in range(pfn, pfn + (1 << order))}

    def movable_pages(self):
        blocks = [(pfn, order) for pfn, (order, kind) in self.allocated.items() if kind == MOVABLE]
        return {page for pfn, order in blocks for page in range(pfn, pfn + (1 << order))}

    def type_of(self, pfn):
        return self.types[pfn >> self.pageblock_order]

    def is_free(self, pfn, order):
        return any(pfn in self.lists[order, kind] for kind in range(5))

    def remove(self, pfn, order):
        next(pfns for (size, _), pfns in self.lists.items() if size == order and pfn in pfns).remove(pfn)

    def set_types(self, pfn, order, kind):
        for page in range(pfn, pfn + (1 << order)):
            self.types[page >> self.pageblock_order] = kind

    # -- take and give ------------------------------------------------------------------------------------------------

    def alloc(self, order, wanted):
        """Return the first pfn, or None."""
        if not any(self.lists[size, wanted] for size in range(order, self.max_order + 1)):
            fall_back = self.fall_back_6_1 if self.kernel == "6.1" else self.fall_back_6_18
            pfn = fall_back(order, wanted)
            if pfn is not None:
                return pfn
        return self.take(order, wanted, wanted)

    def take(self, order, listed, wanted):
        for size in range(order, self.max_order + 1):
            if self.lists[size, listed]:
                return self.cut(self.lists[size, listed].pop(0), size, order, listed, wanted)
        return None

    def cut(self, pfn, size, order, listed, wanted):
        while size > order:
            size -= 1
            self.lists[size, listed].insert(0, pfn + 2**size)
        self.allocated[pfn] = (order, wanted)
        return pfn

    def free(self, pfn, order):
        _, kind = self.allocated.pop(pfn)
        if self.kernel != "6.1" and order > self.pageblock_order:
            pieces = range(pfn, pfn + 2**order, 2**self.pageblock_order)
            self.allocated |= dict.fromkeys(pieces, (self.pageblock_order, kind))
            for piece in pieces:
                self.free(piece, self.pageblock_order)
            return
        listed = self.type_of(pfn)
        while order < self.max_order and self.is_free(pfn ^ 2**order, order):
            buddy = pfn ^ 2**order
            self.remove(buddy, order)
            if order >= self.pageblock_order and self.kernel != "6.1":
                self.set_types(buddy, order, listed)
            pfn = min(pfn, buddy)
            order += 1
        whole = min(pfn, pfn ^ 2**order)
        if order < self.max_order - 1 and self.is_free(whole ^ 2 ** (order + 1), order + 1):
            self.lists[order, listed].append(pfn)
        else:
            self.lists[order, listed].insert(0, pfn)

    # -- fallback -----------------------------------------------------------------------------------------------------

    def other_type(self, order, wanted):
        return next((kind for kind in FALLBACKS[wanted] if self.lists[order, kind]), None)

    def may_claim(self, order, wanted):
        return order >= self.pageblock_order // 2 or wanted != MOVABLE

    def pageblock(self, pfn):
        first = pfn - pfn % 2**self.pageblock_order
        return range(first, first + 2**self.pageblock_order)

    def half_is_free_or_alike(self, pages, block_type, wanted):
        free = len(self.free_pages() & set(pages))
        movable = len(self.movable_pages() & set(pages))
        others = 2**self.pageblock_order - free - movable if block_type == MOVABLE else 0
        return free + (movable if wanted == MOVABLE else others) >= 2 ** (self.pageblock_order - 1)

    def move_all(self, pages, wanted):
        for pfn, order in self.free_blocks():
            if pfn in pages:
                self.remove(pfn, order)
                self.lists[order, wanted].append(pfn)

    def fall_back_6_18(self, order, wanted):
        for size in range(self.max_order, order - 1, -1):
            if not self.may_claim(size, wanted):
                break
            other = self.other_type(size, wanted)
            if other is None:
                continue
            pfn = self.lists[size, other][0]
            if size >= self.pageblock_order:
                self.remove(pfn, size)
                self.set_types(pfn, size, wanted)
                return self.cut(pfn, size, order, wanted, wanted)
            block = self.pageblock(pfn)
            inside = self.start <= block[0] and block[-1] < self.end
            if inside and self.half_is_free_or_alike(block, other, wanted):
                self.move_all(block, wanted)
                self.set_types(pfn, 0, wanted)
                return self.take(order, wanted, wanted)
        for size in range(order, self.max_order + 1):
            other = self.other_type(size, wanted)
            if other is not None:
                return self.take(order, other, wanted)
        return None

    def fall_back_6_1(self, order, wanted):
        sizes = [size for size in range(order, self.max_order + 1) if self.other_type(size, wanted) is not None]
        if not sizes:
            return None
        size = sizes[-1] if self.may_claim(sizes[-1], wanted) else sizes[0]
        pfn = self.lists[size, self.other_type(size, wanted)][0]
        block = self.pageblock(pfn)
        if size >= self.pageblock_order:
            self.set_types(pfn, size, wanted)
        elif self.may_claim(size, wanted) and block[-1] < self.end:
            pages = [page for page in block if page >= (block[0] if block[0] >= self.start else pfn)]
            change = self.half_is_free_or_alike(pages, self.type_of(pfn), wanted)
            self.move_all(pages, wanted)
            if change:
                self.set_types(pfn, 0, wanted)
            return self.take(order, wanted, wanted)
        self.remove(pfn, size)
        self.lists[size, wanted].append(pfn)
        return self.take(order, wanted, wanted)
