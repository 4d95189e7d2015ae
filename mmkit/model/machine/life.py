"""Life: one process of a small machine that allocates, writes and frees, watched in every structure at every step.

Models: a program of its own code, data and stack on Linux 6.18 with glibc 2.36, its per-CPU lists just drained.
Leaves out: the kernel's other processors and processes, the dynamic linker; of a refill only the first page is told.
"""

from __future__ import annotations

from collections.abc import Callable

from mmkit.model import malloctrace, pgtrace, slabtrace, tlbtrace, vmatrace
from mmkit.model import trace as kmem
from mmkit.model import vmaflags as f
from mmkit.model.lifestate import AreaLine, BlockState, FrameLine, LifeState
from mmkit.model.machine.machine import Machine
from mmkit.model.machine.process import Process
from mmkit.model.machinetrace import AnonVmaNew, AreaFound, ClearPage, FaultDone
from mmkit.model.malloc import Malloc
from mmkit.model.migratetype import MigrateType
from mmkit.model.page import Page
from mmkit.model.pcp import list_index
from mmkit.model.snapshot import MODEL
from mmkit.model.trace import Event, Trace
from mmkit.model.vma.area import OpenFile
from mmkit.model.zone import Zone

HEAP, PAGE = 0x1F00_0000, 4096
_MOVABLE_LIST = list_index(0, MigrateType.MOVABLE)
_REFILL = (kmem.Take, kmem.Split, kmem.MmPageAllocZoneLocked, kmem.MmPageAllocExtfrag)
_FOCUS: dict[type[Event], str] = {
    malloctrace.LibraryCall: "program", malloctrace.SystemCall: "program", malloctrace.ChunkHeader: "program",
    malloctrace.ChunkLinks: "program", malloctrace.LibraryReturn: "program", vmatrace.VmUnmappedArea: "area",
    vmatrace.VmaInsert: "area", vmatrace.VmaResize: "area", vmatrace.VmaMerge: "area", vmatrace.VmaRemove: "area",
    vmatrace.Zap: "area", slabtrace.KmemCacheAlloc: "slab", slabtrace.KmemCacheFree: "slab", tlbtrace.TlbMiss: "tlb",
    tlbtrace.TlbHit: "tlb", tlbtrace.TlbFill: "tlb", tlbtrace.TlbFlush: "tlb", pgtrace.PageFaultUser: "program",
    kmem.Take: "buddy", kmem.Split: "buddy", kmem.MmPageAllocZoneLocked: "pcp", kmem.MmPageAlloc: "frame",
    kmem.MmPageFree: "pcp", ClearPage: "frame", FaultDone: "program", AreaFound: "area", AnonVmaNew: "area",
}  # fmt: skip


class Life:
    """A process with a malloc; ``told`` is called with every event that is a step, when its state is there."""

    def __init__(self, told: Callable[[Event], None] | None = None) -> None:
        self.relay = Trace()
        self.machine = Machine("X86_64", "64MiB", trace=self.relay)
        self.process = self._start()
        self.library = Malloc(self.process)
        self.sizes: dict[int, int] = {}
        self.addr: int | None = None
        self._frame: int | None = None
        self._taken: int | None = None
        self._in_hand: tuple[int, int] | None = None
        self._running: list[str] = []
        self._held: Event | None = None
        self._focus, self._refilled = "program", False
        self.machine.memory.drain_pages()
        self.relay.clear()
        self.told = told
        self.relay.listen(self._hear)

    def _start(self) -> Process:
        """Start a program whose code and stack have been used."""
        process, rw = self.machine.spawn("a.out"), f.PROT_READ | f.PROT_WRITE
        file, fixed = self.machine.create_file("/usr/bin/a.out", b"\x90" * PAGE * 3), f.MAP_PRIVATE | f.MAP_FIXED
        process.mm.mmap(0x40_0000, 2 * PAGE, f.PROT_READ | f.PROT_EXEC, fixed, OpenFile(file, "r"))
        process.mm.mmap(0x40_2000, PAGE, rw, fixed, OpenFile(file, "r"), 2 * PAGE)
        stack = process.mm.task_size - 0x22_000
        process.mm.mmap(stack, 0x21_000, rw, fixed | f.MAP_ANONYMOUS | f.MAP_GROWSDOWN)
        process.mm.start_brk = process.mm.end_brk = HEAP
        process.touch(0x40_0000)
        for addr in (0x40_2000, *(stack + 0x21_000 - PAGE * page for page in (1, 2, 3, 4))):
            process.touch(addr, write=True)
        return process

    # -- what can be done ---------------------------------------------------------------------------------------------

    def malloc(self, size: int) -> int:
        """Call malloc(); returns the address, or 0. Raises ValueError for a size that is none."""
        addr = self._doing(lambda: self.library.malloc(size))
        if addr:
            self.sizes[addr] = size
        return addr

    def free(self, addr: int) -> None:
        """Call free(). Raises ValueError for an address that malloc() did not return."""
        self._doing(lambda: self.library.free(addr))
        del self.sizes[addr]

    def write(self, addr: int, data: bytes) -> None:
        """Let the program write."""
        self._use(addr, f"write to 0x{addr:x}", lambda: self.process.write(addr, data))

    def read(self, addr: int) -> bytes:
        """Let the program read one byte; returns it."""
        found: list[bytes] = []
        self._use(addr, f"read from 0x{addr:x}", lambda: found.append(self.process.read(addr)))
        return found[0]

    def _use(self, addr: int, what: str, do: Callable[[], None]) -> None:
        self.addr, self._frame, self._running = addr, None, [what]
        self._doing(do)

    def _doing(self, do: Callable[[], int | None]) -> int:
        try:
            return do() or 0
        finally:
            self._tell_held()
            self._running, self._in_hand = [], None
            self._focus = "program"
            self.relay.clear()

    # -- what is told -------------------------------------------------------------------------------------------------

    def _hear(self, event: Event) -> None:
        self._tell_held()
        self._follow(event)
        if isinstance(event, kmem.MmPageFree):
            # Told before the page is on a list: what is to be seen is there with the next event.
            self._held = event
        elif self.is_step(event):
            self._tell(event)

    def _tell_held(self) -> None:
        if self._held is not None:
            event, self._held = self._held, None
            self._tell(event)

    def _tell(self, event: Event) -> None:
        self._focus = event.level if isinstance(event, _OF_LEVELS) else _FOCUS[type(event)]
        if self.told:
            self.told(event)

    def _follow(self, event: Event) -> None:
        """Note what runs, which address and which frame it is about."""
        match event:
            case malloctrace.LibraryCall() | malloctrace.SystemCall():
                self._running = [*self._running[:1], event.call]
                if event.call.startswith("munmap("):
                    self.addr, self._frame = int(event.call[7:].partition(",")[0], 16), None
            case malloctrace.ChunkHeader() | malloctrace.ChunkLinks():
                self._running = self._running[:1]
                self.addr, self._frame = event.addr, None
            case malloctrace.LibraryReturn():
                self._running = self._running[:1]
            case pgtrace.PageFaultUser():
                self._running, self._refilled = [*self._running[:1], "page fault"], False
            case FaultDone():
                self._running, self._taken = self._running[:1], None
            case kmem.Take() | kmem.Split() if event.migratetype == MigrateType.MOVABLE and not self._refilled:
                order = event.order - isinstance(event, kmem.Split)
                self._in_hand = event.pfn, order
            case kmem.MmPageAlloc(migratetype=MigrateType.MOVABLE):
                self._frame = self._taken = event.pfn
                self._in_hand = None
            case kmem.MmPageFree():
                self._frame = event.pfn if self._frame is None else self._frame

    def is_step(self, event: Event) -> bool:
        """Say whether an event is shown: of a refill the first page, of a table its page only."""
        if isinstance(event, _REFILL):
            return self._is_first_page(event)
        if isinstance(event, tlbtrace.TlbHit):
            return not self._in_library
        if isinstance(event, kmem.MmPageAlloc):
            return event.migratetype == MigrateType.MOVABLE
        return isinstance(event, _OF_LEVELS) or (type(event) in _FOCUS and self._is_news(event))

    @property
    def _in_library(self) -> bool:
        return bool(self._running) and self._running[0].startswith(("malloc", "free"))

    def _is_first_page(self, event: Event) -> bool:
        movable = getattr(event, "migratetype", None) == MigrateType.MOVABLE
        if not movable or self._refilled or "page fault" not in self._running:
            return False
        self._refilled = isinstance(event, kmem.MmPageAllocZoneLocked)
        return True

    @staticmethod
    def _is_news(event: Event) -> bool:
        return not isinstance(event, tlbtrace.TlbFlush) or event.pages > 0

    # -- the moment ---------------------------------------------------------------------------------------------------

    @property
    def zone(self) -> Zone:
        """The zone that the process's pages come from."""
        return max((zone for zone in self.machine.memory.zones if zone.buddy), key=lambda zone: zone.end_pfn)

    def snapshot(self) -> LifeState:
        """Return this moment, frozen."""
        mm, zone = self.process.mm, self.zone
        walk = mm.table.walk(self.addr) if self.addr is not None else None
        caches = self.machine.objects.caches["vm_area_struct"].snapshot()
        assert zone.buddy is not None
        return LifeState(
            tuple(self._running), self._focus, self._areas(), self.library.top, mm.end_brk, self._blocks(), self.addr,
            walk, self._in_tlb(), sum(slab.inuse for slab in caches.slabs), caches.num_objs,
            zone.pcp[0].lists[_MOVABLE_LIST], self._orders(zone), self._in_hand,
            zone.buddy.free_pages + zone.pcp_pages, self._frame_line(walk.phys_addr if walk else None),
            mm.rss, mm.table.nr_tables, mm.min_flt + mm.maj_flt, MODEL,
        )  # fmt: skip

    @staticmethod
    def _orders(zone: Zone) -> tuple[int, ...]:
        assert zone.buddy is not None
        lists = zone.buddy.lists
        return tuple(lists.length(MigrateType.MOVABLE, order) for order in range(zone.buddy.max_order + 1))

    def _areas(self) -> tuple[AreaLine, ...]:
        found, mm = [], self.process.mm
        for vma in mm.vmas:
            pages = dict(mm.pages.within(vma.vm_start, vma.vm_end))
            letters = "".join(pages.get(page) or "." for page in range(vma.vm_start >> 12, vma.vm_end >> 12))
            found.append(AreaLine(vma.vm_start, vma.vm_end, vma.perms, self._name(vma.vm_start), letters))
        return tuple(found)

    def _name(self, start: int) -> str:
        if start == HEAP:
            return "heap"
        return {0x40_0000: "code", 0x40_2000: "data"}.get(start, "stack" if start > 0x7FFF_FFF0_0000 else "mmap")

    def _blocks(self) -> tuple[BlockState, ...]:
        return tuple(BlockState(addr, size) for addr, size in self.sizes.items() if addr in self.library.chunks)

    def _in_tlb(self) -> int | None:
        if self.addr is None:
            return None
        page = self.addr >> 12
        sets = self.machine.cpus[0].tlb.snapshot().sets
        found = [entry for each in sets for entry in each.ways if entry and entry.virt_addr >> 12 == page]
        return found[0].phys_addr >> 12 if found else None

    def _frame_line(self, phys_addr: int | None) -> FrameLine | None:
        pfn = phys_addr >> 12 if phys_addr is not None else self._frame
        if pfn is None:
            return None
        page, content = self.machine.frames.page(pfn), self.machine.frames.read(pfn << 12, PAGE)
        first = len(content) - len(content.lstrip(b"\0"))
        return FrameLine(
            pfn, page.refcount, page.mappings, page.mapping, page.index, self._flag_names(page),
            content[first : first + 8].hex(" ") if first < PAGE else "", self._where(page),
        )  # fmt: skip

    @staticmethod
    def _flag_names(page: Page) -> tuple[str, ...]:
        """Names of the flags; of an anonymous page PG_owner_2 is PG_anon_exclusive."""
        names = {"owner_2": "anon_exclusive"} if page.is_anon else {}
        return tuple(names.get(name, name) for name in page.flags.names)

    def _where(self, page: Page) -> str:
        if page.pfn == self.machine.frames.zero.pfn:
            return "the zero page"
        if page.mappings:
            return "mapped"
        return "in hand" if page.refcount or self._taken == page.pfn else self._free_where(page.pfn)

    def _free_where(self, pfn: int) -> str:
        return "on a per-CPU list" if any(pfn == first for first, _ in self.zone.pcp_blocks()) else "free"


_OF_LEVELS = (pgtrace.WalkRead, pgtrace.PtTableNew, pgtrace.PtTableFree, pgtrace.PtEntrySet)
