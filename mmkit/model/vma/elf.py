"""ELF: what a program's file says about where its parts belong.

Models: include/uapi/linux/elf.h (Linux 6.18), the header and the program headers, of 32 and 64 bits, little endian.
Leaves out: sections, symbols, notes, big endian.
"""

from __future__ import annotations

import struct

from mmkit.record import Record

PT_LOAD, PT_INTERP, PT_GNU_STACK = 1, 3, 0x6474E551
PF_X, PF_W, PF_R = 1, 2, 4
ET_EXEC, ET_DYN = 2, 3
EM_X86_64 = 62
_HEADERS = {1: ("<HHIIIIIHHHHHH", "<IIIIIIII"), 2: ("<HHIQQQIHHHHHH", "<IIQQQQQQ")}
_IDENT = 16


class Segment(Record):
    """A program header: ``file_bytes`` from ``offset`` on belong at ``addr``, followed by zeros up to ``mem_bytes``."""

    kind: int
    flags: int
    """PF_R, PF_W, PF_X."""
    offset: int
    addr: int
    file_bytes: int
    mem_bytes: int
    align: int

    @property
    def prot(self) -> int:
        """The rights as mmap() takes them."""
        return (self.flags & PF_R) >> 2 | self.flags & PF_W | (self.flags & PF_X) << 2


class Elf(Record):
    """The parts of an ELF file that the kernel looks at."""

    bits: int
    kind: int
    """ET_EXEC: its addresses are fixed; ET_DYN: they are counted from wherever it is put."""
    entry: int
    phoff: int
    segments: tuple[Segment, ...]
    interpreter: str
    """Path of the program that loads its libraries; empty for a static one."""
    machine: int = EM_X86_64
    """For which processor it is: 62 is x86-64, 183 is arm64."""

    @property
    def loads(self) -> tuple[Segment, ...]:
        """The segments that are mapped."""
        return tuple(segment for segment in self.segments if segment.kind == PT_LOAD)

    @property
    def executable_stack(self) -> bool:
        """Whether it asks for a stack that may be executed (on x86-64 only who says so gets it)."""
        return any(segment.kind == PT_GNU_STACK and segment.flags & PF_X for segment in self.segments)

    @property
    def alignment(self) -> int:
        """The largest alignment of its segments, in bytes; what is no power of two is passed over."""
        return max((load.align for load in self.loads if load.align & (load.align - 1) == 0), default=0)

    @property
    def span(self) -> int:
        """Bytes from the page of its first segment to the end of its last (total_mapping_size())."""
        return max(load.addr + load.mem_bytes for load in self.loads) - (self.loads[0].addr & ~0xFFF)


def parse_elf(data: bytes) -> Elf:
    """Return what ``data``, the beginning of a file, says. Raises ValueError, in words, for what is no such file."""
    if data[:4] != b"\x7fELF":
        raise ValueError(f"an ELF file begins with \\x7fELF, not with {data[:4]!r}")
    if data[4:6] not in (b"\1\1", b"\2\1"):
        raise ValueError(f"only little-endian ELF files of 32 or 64 bits are read, not class and data {data[4:6]!r}")
    header, row = _HEADERS[data[4]]
    try:
        kind, machine, _, entry, phoff, _, _, _, size, count, *_ = struct.unpack_from(header, data, _IDENT)
        rows = [struct.unpack_from(row, data, phoff + number * size) for number in range(count)]
    except (struct.error, OverflowError) as error:
        raise ValueError(f"the ELF file ends within its headers: {error}") from None
    segments = tuple(_segment(row, data[4]) for row in rows)
    _check(kind, segments)
    return Elf(32 * data[4], kind, entry, phoff, segments, _interpreter(data, segments), machine)


def _segment(row: tuple[int, ...], size: int) -> Segment:
    if size == 2:
        kind, flags, offset, addr, _, file_bytes, mem_bytes, align = row
    else:
        kind, offset, addr, _, file_bytes, mem_bytes, flags, align = row
    return Segment(kind, flags, offset, addr, file_bytes, mem_bytes, align)


def _check(kind: int, segments: tuple[Segment, ...]) -> None:
    if kind not in (ET_EXEC, ET_DYN):
        raise ValueError(f"a program is of type ET_EXEC 2 or ET_DYN 3, not {kind}")
    loads = [segment for segment in segments if segment.kind == PT_LOAD]
    if not loads:
        raise ValueError("the ELF file has no segment to load")
    for load in loads:
        if load.file_bytes > load.mem_bytes or (load.offset - load.addr) % 4096:
            raise ValueError(f"a segment cannot be mapped: {load}")


def _interpreter(data: bytes, segments: tuple[Segment, ...]) -> str:
    for segment in segments:
        if segment.kind == PT_INTERP:
            path = data[segment.offset : segment.offset + segment.file_bytes]
            if not path.endswith(b"\0"):
                raise ValueError(f"the path of the interpreter does not end: {path!r}")
            return path.partition(b"\0")[0].decode(errors="surrogateescape")
    return ""
