"""What may be moved out of the way, and how: the blocks of an allocator, or the pages of a memory map.

Models: the tests of isolate_migratepages_block() of mm/compaction.c; skip_isolation_on_order(); of mm/migrate.c (Linux
6.18) folio_expected_ref_count(), __folio_migrate_mapping(), folio_migrate_flags(), remove_migration_ptes();
__isolate_free_page() of mm/page_alloc.c. Leaves out: waiting for locked pages and for writing to end, splitting of
large folios, balloon and zsmalloc pages, which move without being on an LRU list.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mmkit.model.migratetype import MigrateType
from mmkit.model.pageblock import UNKNOWN
from mmkit.model.pageflags import MappingKind, PageFlags

if TYPE_CHECKING:
    from mmkit.model.buddy import BuddyAllocator
    from mmkit.model.page import MemMap, Page
    from mmkit.model.pagekeeper import PageKeeper
    from mmkit.model.zone import Zone

COSTLY_ORDER = 3
"""PAGE_ALLOC_COSTLY_ORDER: larger blocks are asked for by those who can do without."""


class Movables:
    """The blocks of an allocator of which nothing else is known: those allocated as Movable can be moved.

    ``order`` is that of the block that compaction is to make, -1 for as large ones as possible.
    """

    def __init__(self, buddy: BuddyAllocator, order: int) -> None:
        self.buddy = buddy
        self.order = order
        self.reasons: list[str | None] = [self._reason(code) for code in range(256)]
        """By the state of a block's first page, why it is not even tried ("": it is; None: ask ``why_not``)."""

    def _reason(self, code: int) -> str | None:
        kind, order = code >> 4 & 7, code & 0x0F
        if order and self.buddy.kernel == "6.1":
            return f"a block of order {order}, and Linux 6.1 moves single pages only"
        if order >= self.buddy.pageblock_order:
            return f"a block of order {order}, which fills its pageblock"
        if 0 <= self.order <= order:
            return f"a block of order {order}, as large as the wanted one"
        return self._reason_of_kind(kind) if code != UNKNOWN else "in use since before the model looked"

    def _reason_of_kind(self, kind: int) -> str | None:
        return "" if kind == MigrateType.MOVABLE else f"allocated as {_title(kind)}"

    def why_not(self, pfn: int) -> str:
        """Say why the migrate scanner leaves a block alone; empty if it takes it off to be moved."""
        return ""

    def why_stuck(self, pfn: int) -> str:
        """Say why a block that was taken off cannot be moved after all; empty if it can."""
        return ""

    def would_succeed(self) -> bool:
        """Say whether there is such a block already."""
        return self.buddy.has_block(self.order)

    def enough_free(self) -> bool:
        """Say whether there is enough free memory to move things about: twice the size of the wanted block."""
        return self.buddy.free_pages > 2 << self.order

    def take(self, pfn: int) -> int | None:
        """Take a free block off its list as room, and return its order; None if too little would stay free."""
        return self.buddy.take_free_block(pfn)

    def move(self, old_pfn: int, new_pfn: int, order: int) -> None:
        """Make the block at ``new_pfn`` what the one at ``old_pfn`` was, and free that."""
        self.buddy.state[new_pfn] = self.buddy.state[old_pfn]
        self.give(old_pfn, order)

    def give(self, pfn: int, order: int) -> None:
        """Free a block."""
        self.buddy.free(pfn, order)

    def flush(self) -> None:
        """Let what has been freed reach the buddy lists."""


class MovablePages(Movables):
    """The blocks of an allocator, of whose first pages a memory map tells what they are used for."""

    def __init__(self, buddy: BuddyAllocator, order: int, mem_map: MemMap) -> None:
        self.mem_map = mem_map
        super().__init__(buddy, order)

    def _reason_of_kind(self, kind: int) -> str | None:
        return None

    def why_not(self, pfn: int) -> str:
        """Say why the migrate scanner leaves a page alone: only pages of processes and files are on LRU lists."""
        page = self.mem_map[pfn]
        if not page.refcount:
            return "free, on a per-CPU list"
        if page.page_type is not None:
            return f"a page of type {page.page_type.name}: the kernel knows its address"
        # A page that belongs to a mapping gets to its LRU list in batches, which compaction empties first.
        if not (page.flags & PageFlags.lru or page.mapping):
            return "on no LRU list: the kernel's own"
        if page.mapping_kind is not MappingKind.FILE and page.refcount > page.mappings:
            return pinned(page)
        return ""

    def why_stuck(self, pfn: int) -> str:
        """Say why a page cannot be moved: it is locked, being written, or somebody holds it who cannot be told."""
        page = self.mem_map[pfn]
        busy = page.flags & (PageFlags.locked | PageFlags.writeback)
        if busy:
            return f"busy: {', '.join(busy.names)}"
        return pinned(page) if page.refcount != expected_references(page) else ""

    def take(self, pfn: int) -> int | None:
        """Take a free block off its list as room: its first page is marked as such no more."""
        if self.mem_map[pfn].is_buddy:
            self.mem_map[pfn].clear_type()
        return super().take(pfn)

    def move(self, old_pfn: int, new_pfn: int, order: int) -> None:
        """Move a block and its ``struct page``: the new one takes the old one's place in mappings and lists."""
        self.mem_map.move(old_pfn, new_pfn)
        super().move(old_pfn, new_pfn, order)


class ZoneMovables(MovablePages):
    """The pages of a zone of a machine's memory: watermarks hold, and freed blocks go to the CPU's lists first."""

    def __init__(self, zone: Zone, order: int, keeper: PageKeeper, cpu: int) -> None:
        assert zone.buddy
        super().__init__(zone.buddy, order, keeper.mem_map)
        self._zone, self._keeper, self._cpu = zone, keeper, cpu

    def would_succeed(self) -> bool:
        """Say whether a request for such a block would be served now."""
        return self._zone.watermark_ok(self.order, self._mark, self._zone.index)

    def enough_free(self) -> bool:
        """Say whether there is enough free memory, above the mark, to move things about."""
        return self._zone.watermark_ok(0, self._mark + (2 << self.order), self._zone.index)

    @property
    def _mark(self) -> int:
        marks = self._zone.watermarks
        return marks.low if self.order > COSTLY_ORDER else marks.min

    def take(self, pfn: int) -> int | None:
        """Take a free block off its list as room, unless that would leave the zone below its min mark."""
        size = 1 << self.buddy.state[pfn]
        if not self._zone.watermark_ok(0, self._zone.watermarks.min + size, 0):
            return None
        self._zone.free_pages -= size
        self._keeper.use(pfn)
        return super().take(pfn)

    def give(self, pfn: int, order: int) -> None:
        """Free a block as anybody else does."""
        self._zone.give(pfn, order, self._cpu)

    def flush(self) -> None:
        """Drain the lists of the CPU that compacts."""
        self._zone.drain(self._cpu)


def expected_references(page: Page) -> int:
    """Return how many references a page has if only mappings, the page cache and its own buffers hold it."""
    buffers = page.mapping_kind is MappingKind.FILE and PageFlags.private in page.flags
    return page.holders + bool(buffers)


def pinned(page: Page) -> str:
    """Say in words that somebody holds a page who cannot be told that it moves."""
    expected = expected_references(page)
    return f"pinned: refcount {page.refcount}, of which {expected} are of mappings and the page cache"


def _title(kind: int) -> str:
    return MigrateType(kind).title if kind in tuple(MigrateType) else f"type {kind}"
