"""Compaction page by page, as one would write it down first: which blocks move where. No trace, no steps, no speed."""

from __future__ import annotations

MOVABLE = 1
CLUSTER = 32


class NaiveCompaction:
    """Foretells the moves of compaction to the end, from the snapshot of an allocator."""

    def __init__(self, snapshot):
        self.old = snapshot.kernel == "6.1"
        self.start, self.end, self.order = (
            snapshot.start_pfn,
            snapshot.start_pfn + snapshot.nr_pages,
            snapshot.max_order,
        )
        self.size = 1 << snapshot.pageblock_order
        self.kinds = snapshot.pageblocks
        self.holes = {pfn for start, end in snapshot.holes for pfn in range(start, end)}
        self.free = {pfn: order for order, lists in enumerate(snapshot.free_lists) for pfns in lists for pfn in pfns}
        self.used = {pfn: (order, kind) for pfn, order, kind in snapshot.allocated_blocks}
        self.migrate, self.room_at, self.last = self.start, self.block(self.end - 1), None
        self.room = []  # (pfn, order), the first one that fits is taken
        self.moves = []

    def block(self, pfn):
        return pfn // self.size * self.size

    def missing(self, start):
        """Whether a pageblock has no memory at all."""
        return all(pfn in self.holes or not self.start <= pfn < self.end for pfn in range(start, start + self.size))

    def foretell(self):
        while self.room_at // self.size > self.migrate // self.size:
            batch = self.collect()
            if batch:
                self.last = self.block(self.migrate - 1)
            if not self.move(batch):
                break
        return self.moves

    def collect(self):
        """Blocks to move from one pageblock."""
        whole = self.last == self.block(self.migrate)
        while self.block(self.migrate) + self.size <= self.room_at:
            end = self.block(self.migrate) + self.size
            first = self.used.get(end - self.size)
            if self.missing(end - self.size) or (first and 1 << first[0] >= self.size):
                self.migrate = end
                continue
            batch = []
            for pfn in range(self.migrate, end):
                self.migrate = end
                if pfn in self.used and self.may_move(*self.used[pfn]):
                    batch.append(pfn)
                    if self.pages(batch) >= CLUSTER and not whole:
                        self.migrate = pfn + (1 << self.used[pfn][0])
                        break
            return batch
        return []

    def may_move(self, order, kind):
        return kind == MOVABLE and 1 << order < self.size and not (self.old and order)

    def pages(self, batch):
        return sum(1 << self.used[pfn][0] for pfn in batch)

    def move(self, batch):
        """Move a batch, highest block first; False if compaction is over because nothing has room."""
        taken = self.pages(batch)
        while batch:
            order, _ = self.used[batch[-1]]
            if not self.fits(order):
                self.find_room(taken if self.old else self.pages(batch))
            pfn = batch.pop()
            if self.fits(order):
                new = self.take(order)
                self.moves.append((pfn, new, order))
                self.used[new] = self.used.pop(pfn)
            elif order == 0:
                return self.room_at // self.size <= self.migrate // self.size
        return True

    def fits(self, order):
        return any(size >= order for _, size in self.room)

    def take(self, order):
        smallest = min(size for _, size in self.room if size >= order)
        i = next(i for i, (_, size) in enumerate(self.room) if size == smallest)
        pfn, size = self.room.pop(i)
        while size > order:
            size -= 1
            self.room.insert(0, (pfn + (1 << size), size))
        return pfn

    def find_room(self, wanted):
        stride = 1
        while self.block(self.room_at) >= self.block(self.migrate) + self.size:
            start = self.block(self.room_at)
            end = min(start + self.size, self.end)
            whole = start in self.free and 1 << self.free[start] >= self.size
            if self.missing(start) or whole or self.kinds[(start - self.block(self.start)) // self.size] != MOVABLE:
                self.room_at = start - self.size
                continue
            pfn, before = self.room_at, len(self.room)
            while pfn < end:
                pfn += self.look_at(pfn) - 1
                if self.enough(wanted) and len(self.room) > before:
                    pfn += 1
                    break
                pfn += stride
            self.room_at = pfn if pfn < end else start - self.size
            if self.enough(wanted):
                return
            stride = 1 if len(self.room) > before else min(CLUSTER, 2 * stride)

    def enough(self, wanted):
        return sum(1 << order for _, order in self.room) >= wanted

    def look_at(self, pfn):
        """Take what is free at a page; return how many pages the scanner steps over."""
        if pfn in self.free:
            order = self.free.pop(pfn)
            if self.old:
                self.room[:0] = [(page, 0) for page in reversed(range(pfn, pfn + (1 << order)))]
            else:
                self.room.append((pfn, order))
            return 1 << order
        return 1 << self.used[pfn][0] if pfn in self.used else 1
