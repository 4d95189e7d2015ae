"""Malloc: what the C library does between a program and the kernel.

Models: glibc 2.36, malloc/malloc.c, _int_malloc(), sysmalloc(), _int_free(), systrim(), tcache_init(), with the
headers that it writes into the program's memory.
Leaves out: bins, which would let a kept chunk be cut up or merged with others than the top; arenas of threads.
"""

from __future__ import annotations

from mmkit.errors import MmError
from mmkit.model.machine.process import Process
from mmkit.model.malloctrace import ChunkHeader, LibraryCall, LibraryReturn, SystemCall
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
"""Freeing a chunk of that size looks whether the top can be given back (FASTBIN_CONSOLIDATION_THRESHOLD)."""
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
        self._kept: dict[int, list[int]] = {}
        self._cached: dict[int, list[int]] = {}

    @property
    def top_size(self) -> int:
        """Bytes of the top chunk."""
        return self.end - self.top

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
        return self._return(call, self._find(need))

    def _find(self, need: int) -> int:
        """Return a block of a chunk of ``need`` bytes, from wherever one can be had."""
        for kept in (self._cached, self._kept):
            if kept.get(need):
                addr = kept[need].pop()
                self.chunks[addr + HEADER] = Chunk(addr, need, False)
                return addr + HEADER
        if self.top_size < need + MIN_SIZE:
            if need >= self.mmap_threshold:
                return self._map(need)
            if not self._grow(need):
                return 0
        return self._cut(need, "the block")

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
        self.chunks[addr + HEADER] = Chunk(addr, need, False)
        return addr + HEADER

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

    def free(self, addr: int) -> None:
        """Take a block back. Raises ValueError if malloc() did not return it; glibc ends the program then."""
        if addr not in self.chunks:
            raise ValueError(f"free(): invalid pointer: 0x{addr:x} is no block that is in use")
        call = f"free(0x{addr:x})"
        self._tell(LibraryCall(call))
        chunk = self.chunks.pop(addr)
        if chunk.mapped:
            self._unmap(chunk)
        elif chunk.size <= TCACHE_MOST and len(self._cached.setdefault(chunk.size, [])) < TCACHE_COUNT:
            self.process.write(addr, bytes(16))
            self._cached[chunk.size].append(chunk.addr)
        elif chunk.addr + chunk.size == self.top:
            self._join_top(chunk)
        else:
            self._kept.setdefault(chunk.size, []).append(chunk.addr)
        self._tell(LibraryReturn(call, ""))

    def _unmap(self, chunk: Chunk) -> None:
        """Give the pages back, and let blocks of that size come from the heap from now on."""
        if MMAP_THRESHOLD_MAX >= chunk.size > self.mmap_threshold:
            self.mmap_threshold, self.trim_threshold = chunk.size, 2 * chunk.size
        self._tell(SystemCall(f"munmap(0x{chunk.addr:x}, {chunk.size})"))
        self.process.mm.munmap(chunk.addr, chunk.size)

    def _join_top(self, chunk: Chunk) -> None:
        self.top = chunk.addr
        self._write_header(self.top, self.top_size, "the top chunk")
        if self.top_size >= CONSOLIDATE and self.top_size >= self.trim_threshold:
            self._trim()

    def _trim(self) -> None:
        """Give back whole pages of the top, but keep 128 KiB (systrim())."""
        extra = (self.top_size - MIN_SIZE - 1 - TOP_PAD) // PAGE * PAGE
        if extra <= 0:
            return
        self._tell(SystemCall(f"brk(0x{self.end - extra:x})"))
        if self.process.mm.brk(self.end - extra) == self.end - extra:
            self.end -= extra
            self._write_header(self.top, self.top_size, "the top chunk")

    def _write_header(self, addr: int, size: int, what: str) -> None:
        self._tell(ChunkHeader(addr + 8, size, what))
        # The lowest bit says that the chunk before is in use.
        self.process.write(addr + 8, (size | 1).to_bytes(8, "little"))

    def _tell(self, event: LibraryCall | SystemCall | ChunkHeader | LibraryReturn) -> None:
        if self.process.machine.trace is not None:
            self.process.machine.trace.emit(event)

    def _return(self, call: str, addr: int) -> int:
        self._tell(LibraryReturn(call, f"0x{addr:x}" if addr else "NULL"))
        return addr
