"""Events of malloc: what the C library asks of the kernel, and what it writes in front of each block.

Models: the calls that strace(1) shows, and the chunk headers of glibc 2.36 (malloc/malloc.c). Leaves out: its bins.
"""

from __future__ import annotations

from typing import ClassVar

from mmkit.model.trace import Event


class LibraryCall(Event):
    """The program calls the C library: "malloc(100000)"."""

    name: ClassVar[str] = "library_call"
    call: str


class SystemCall(Event):
    """The library calls the kernel: "brk(0x1f021000)"."""

    name: ClassVar[str] = "sys_enter"
    call: str


class ChunkHeader(Event):
    """The library writes how many bytes a chunk has, 8 bytes in front of what the program gets; ``what`` it is."""

    name: ClassVar[str] = "chunk_header"
    addr: int
    size: int
    what: str


class ChunkLinks(Event):
    """The library writes pointers into a free chunk, where the block was: to others on the same list."""

    name: ClassVar[str] = "chunk_links"
    addr: int


class LibraryReturn(Event):
    """The library returns to the program: "0x1f0002a0"."""

    name: ClassVar[str] = "library_return"
    call: str
    value: str
