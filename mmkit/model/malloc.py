"""Malloc: what the C library does between a program and the kernel.

Models: glibc 2.36, malloc/malloc.c, _int_malloc(), sysmalloc(), _int_free(), malloc_consolidate(), systrim(),
tcache_init(), with what it writes into the program's memory: headers, and the links of free chunks.
Leaves out: arenas of threads, realloc and memalign, the footers of chunks.
"""

from __future__ import annotations

from mmkit.errors import MmError
from mmkit.model.machine.process import Process
from mmkit.model.mallocbins import FAST_MOST, SMALL_MOST, Bins
from mmkit.model.malloctrace import ChunkHeader, ChunkLinks, LibraryCall, LibraryReturn, SystemCall
from mmkit.model.trace import Event
from mmkit.record import Record

PAGE = 4096
ALIGN, HEADER, MIN_SIZE = 16, 16, 32
"""Bytes: chunks are multiples of 16, the program's part begins 16 behind the chunk, the smallest is 32."""
TCACHE_STRUCT, TCACHE_MOST, TCACHE_COUNT = 0x290, 0x410, 7
"""The thread's cache is a chunk of its own; it keeps up to 7 chunks of each size up to 0x410 bytes."""
TOP_PAD = 128 << 10
"""So much more than is needed is asked for (M_TOP_PAD)."""
MMAP_THRESHOLD, MMAP_THRESHOLD_MAX = 128 << 10, 32 << 20
CONSOLIDATE = 64 << 10
"""A free chunk of that size lets small ones be joined, and the top be looked at (FASTBIN_CONSOLIDATION_THRESHOLD)."""
MOST = (1 << 63) - 1


class Chunk(Record):
    """A block that is in use: where its header's chunk begins, its whole size in bytes, and whether mmap made it."""

    addr: int
    size: int
    mapped: bool


class Malloc:
    """malloc() and free() of one process; what it writes goes through the process's page tables, and may fault."""

    def __init__(self, process: Process) -> None:
        self.process = process
        self.start = self.end = self.top = 0
        """The heap, [start, end), and the chunk at its end that all others are cut from; 0 before the first call."""
        self.mmap_threshold, self.trim_threshold = MMAP_THRESHOLD, 128 << 10
        self.chunks: dict[int, Chunk] = {}
        """Blocks in use, by the address that the program was given."""
        self.bins = Bins()
        self._cached: dict[int, list[int]] = {}

    @property
    def top_size(self) -> int:
        """Bytes of the top chunk."""
        return self.end - self.top

    # -- malloc -------------------------------------------------------------------------------------------------------

    def malloc(self, size: int) -> int:
        """Return the address of ``size`` bytes, a multiple of 16; 0 (NULL) if the kernel gives none.

        Raises ValueError for a size that is none.
        """
        if type(size) is not int or not 0 <= size <= MOST:
            raise ValueError(f"malloc takes 0 to 2**63 - 1 bytes, not {size!r}")
        call = f"malloc({size})"
        self._tell(LibraryCall(call))
        if not self.end and not self._begin():
            return self._return(call, 0)
        need = max((size + 8 + ALIGN - 1) // ALIGN * ALIGN, MIN_SIZE)
        return self._return(call, self._cached_one(need) or self._kept_one(need) or self._new_one(need))

    def _cached_one(self, need: int) -> int:
        """Return a block from the thread's cache; 0 if it has none of that size."""
        if not self._cached.get(need):
            return 0
        addr = self._cached[need].pop()
        self.process.write(addr + HEADER + 8, bytes(8))
        return self._use(addr, need)

    def _kept_one(self, need: int) -> int:
        """Return a block of a chunk that was free; 0 if none is large enough."""
        addr = self.bins.take_fast(need) if need <= FAST_MOST else None
        if addr is not None:
            while self._room_in_cache(need) and (other := self.bins.take_fast(need)) is not None:
                self._cache(other, need)
            return self._use(addr, need)
        if need <= SMALL_MOST and (addr := self.bins.exact(need)) is not None:
            self.bins.take(addr)
            while self._room_in_cache(need) and (other := self.bins.exact(need)) is not None:
                self.bins.take(other)
                self._cache(other, need)
            return self._use(addr, need)
        if need > SMALL_MOST:
            self._consolidate()
        return self._sort_and_search(need)

    def _sort_and_search(self, need: int) -> int:
        """Look through what came back since the last time, sorting it, then for the smallest that is large enough."""
        bins, found = self.bins, False
        while bins.unsorted:
            addr = bins.unsorted[-1]
            size = bins.size[addr]
            last = len(bins.unsorted) == 1 and addr == bins.last_remainder
            if need <= SMALL_MOST and last and size > need + MIN_SIZE:
                return self._split(addr, need)
            if size != need:
                bins.sort(addr)
                continue
            bins.take(addr)
            if not self._room_in_cache(need):
                return self._use(addr, need)
            self._cache(addr, need)
            found = True
        if found:
            return self._cached_one(need)
        best = bins.best(need)
        return self._split(best, need) if best is not None else 0

    def _split(self, addr: int, need: int) -> int:
        """Take a free chunk, and keep what is more than needed of it."""
        size = self.bins.take(addr)
        if size - need < MIN_SIZE:
            return self._use(addr, size)
        self._write_header(addr, need, "the block")
        rest, left = addr + need, size - need
        self._write_header(rest, left, "what is left of a free chunk")
        self._keep(rest, left)
        if need <= SMALL_MOST:
            self.bins.last_remainder = rest
        return self._use(addr, need)

    def _new_one(self, need: int) -> int:
        """Return a block of the top, or of new pages; 0 if the kernel gives none."""
        if self.top_size < need + MIN_SIZE and self.bins.has_fast:
            self._consolidate()
            if addr := self._sort_and_search(need):
                return addr
        if self.top_size < need + MIN_SIZE:
            if need >= self.mmap_threshold:
                return self._map(need)
            if not self._grow(need):
                return 0
        return self._cut(need, "the block")

    def _use(self, addr: int, size: int) -> int:
        self.chunks[addr + HEADER] = Chunk(addr, size, False)
        return addr + HEADER

    # -- what the kernel gives ----------------------------------------------------------------------------------------

    def _begin(self) -> bool:
        """Ask where the heap is, make it, and cut the thread's cache from it (tcache_init())."""
        self._tell(SystemCall("brk(NULL)"))
        self.start = self.end = self.top = self.process.mm.brk(0)
        if not self._grow(TCACHE_STRUCT):
            self.start = self.end = self.top = 0
            return False
        addr = self._cut(TCACHE_STRUCT, "the library's own cache")
        del self.chunks[addr]
        self.process.write(addr, bytes(TCACHE_STRUCT - HEADER))
        return True

    def _grow(self, need: int) -> bool:
        """Move the end of the heap up, by what is needed and 128 KiB more, in whole pages (sysmalloc())."""
        more = need + TOP_PAD + MIN_SIZE - self.top_size
        end = self.end + (more + PAGE - 1) // PAGE * PAGE
        self._tell(SystemCall(f"brk(0x{end:x})"))
        if self.process.mm.brk(end) != end:
            return False
        self.end = end
        self._write_header(self.top, self.top_size, "the top chunk")
        return True

    def _cut(self, need: int, what: str) -> int:
        addr = self.top
        self.top += need
        self._write_header(addr, need, what)
        self._write_header(self.top, self.top_size, "the top chunk")
        return self._use(addr, need)

    def _map(self, need: int) -> int:
        """Let the kernel map pages for this block alone (sysmalloc_mmap())."""
        size = (need + 8 + PAGE - 1) // PAGE * PAGE
        self._tell(SystemCall(f"mmap(NULL, {size}, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0)"))
        try:
            addr = self.process.mmap(size)
        except MmError:
            return 0
        self._write_header(addr, size, "the block")
        self.chunks[addr + HEADER] = Chunk(addr, size, True)
        return addr + HEADER

    # -- free ---------------------------------------------------------------------------------------------------------

    def free(self, addr: int) -> None:
        """Take a block back. Raises ValueError if malloc() did not return it; glibc ends the program then."""
        if addr not in self.chunks:
            raise ValueError(f"free(): invalid pointer: 0x{addr:x} is no block that is in use")
        call = f"free(0x{addr:x})"
        self._tell(LibraryCall(call))
        chunk = self.chunks.pop(addr)
        if chunk.mapped:
            self._unmap(chunk)
        elif self._room_in_cache(chunk.size):
            self._cache(chunk.addr, chunk.size)
        elif chunk.size <= FAST_MOST:
            self._write_links(chunk.addr, 8)
            self.bins.put_fast(chunk.addr, chunk.size)
        elif self._join(chunk.addr, chunk.size) >= CONSOLIDATE:
            self._consolidate()
            if self.top_size >= self.trim_threshold:
                self._trim()
        self._tell(LibraryReturn(call, ""))

    def _room_in_cache(self, size: int) -> bool:
        return size <= TCACHE_MOST and len(self._cached.setdefault(size, [])) < TCACHE_COUNT

    def _cache(self, addr: int, size: int) -> None:
        self._write_links(addr, 16)
        self._cached[size].append(addr)

    def _join(self, addr: int, size: int) -> int:
        """Let a chunk grow together with free neighbours, or with the top; returns how large it is then."""
        below, joined = self.bins.before(addr), False
        if below is not None:
            size, addr, joined = size + self.bins.take(below), below, True
        if addr + size == self.top:
            self.top = addr
            self._write_header(self.top, self.top_size, "the top chunk")
            return self.top_size
        if addr + size in self.bins.size:
            size, joined = size + self.bins.take(addr + size), True
        if joined:
            self._write_header(addr, size, "free chunks that have grown together")
        self._keep(addr, size)
        return size

    def _keep(self, addr: int, size: int) -> None:
        self.bins.put(addr, size)
        self._write_links(addr, 16 if size <= SMALL_MOST else 32)

    def _consolidate(self) -> None:
        """Let the small chunks that were left alone grow together (malloc_consolidate())."""
        for addr, size in list(self.bins.empty_fast()):
            self._join(addr, size)

    def _unmap(self, chunk: Chunk) -> None:
        """Give the pages back, and let blocks of that size come from the heap from now on."""
        if MMAP_THRESHOLD_MAX >= chunk.size > self.mmap_threshold:
            self.mmap_threshold, self.trim_threshold = chunk.size, 2 * chunk.size
        self._tell(SystemCall(f"munmap(0x{chunk.addr:x}, {chunk.size})"))
        self.process.mm.munmap(chunk.addr, chunk.size)

    def _trim(self) -> None:
        """Give back whole pages of the top, but keep 128 KiB (systrim())."""
        extra = (self.top_size - MIN_SIZE - 1 - TOP_PAD) // PAGE * PAGE
        if extra <= 0:
            return
        self._tell(SystemCall(f"brk(0x{self.end - extra:x})"))
        if self.process.mm.brk(self.end - extra) == self.end - extra:
            self.end -= extra
            self._write_header(self.top, self.top_size, "the top chunk")

    # -- what it writes -----------------------------------------------------------------------------------------------

    def _write_header(self, addr: int, size: int, what: str) -> None:
        self._tell(ChunkHeader(addr + 8, size, what))
        # The lowest bit says that the chunk before is in use.
        self.process.write(addr + 8, (size | 1).to_bytes(8, "little"))

    def _write_links(self, addr: int, count: int) -> None:
        """Write where the next and the one before of a list are, into a chunk that is free: where its block was."""
        self._tell(ChunkLinks(addr + HEADER))
        self.process.write(addr + HEADER, bytes(count))

    def _tell(self, event: Event) -> None:
        if self.process.machine.trace is not None:
            self.process.machine.trace.emit(event)

    def _return(self, call: str, addr: int) -> int:
        self._tell(LibraryReturn(call, f"0x{addr:x}" if addr else "NULL"))
        return addr
