"""Programs that the VMA lab and chapter 07 load: two files of Debian 12 (amd64), as their own headers describe them."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from mmkit.errors import LiveError
from mmkit.model import vmaflags as f
from mmkit.model.vma import File, MmStruct
from mmkit.model.vma.elf import (
    ET_DYN,
    ET_EXEC,
    PF_R,
    PF_W,
    PF_X,
    PT_GNU_STACK,
    PT_INTERP,
    PT_LOAD,
    Elf,
    Segment,
    parse_elf,
)
from mmkit.model.vma.load import Program, execute
from mmkit.proc import addrspace, maps

PT_GNU_RELRO = 0x6474E552
"""What may be made read-only once the program is loaded."""
DEVICE = (8, 1)
_R, _RX, _RW = PF_R, PF_R | PF_X, PF_R | PF_W


def _elf(kind: int, entry: int, rows: list[tuple[int, int, int, int, int, int]], interpreter: str = "") -> Elf:
    segments = tuple(Segment(*row, 0x1000) for row in rows)
    return Elf(64, kind, entry, 64, (*segments, Segment(PT_GNU_STACK, _RW, 0, 0, 0, 0, 16)), interpreter)


PYTHON_ELF = _elf(ET_EXEC, 0x627BB0, [
    (PT_INTERP, _R, 0x318, 0x400318, 0x1C, 0x1C),
    (PT_LOAD, _R, 0x0, 0x400000, 0x1E3E8, 0x1E3E8),
    (PT_LOAD, _RX, 0x1F000, 0x41F000, 0x2B2289, 0x2B2289),
    (PT_LOAD, _R, 0x2D2000, 0x6D2000, 0x272968, 0x272968),
    (PT_LOAD, _RW, 0x544DC8, 0x945DC8, 0x13E4B0, 0x1832F0),
    (PT_GNU_RELRO, _R, 0x544DC8, 0x945DC8, 0x238, 0x238),
], "/lib64/ld-linux-x86-64.so.2")  # fmt: skip
"""Debian's /usr/bin/python3.11, which wants to lie at fixed addresses."""
LOADER_ELF = _elf(ET_DYN, 0x1AB70, [
    (PT_LOAD, _R, 0x0, 0x0, 0xD58, 0xD58),
    (PT_LOAD, _RX, 0x1000, 0x1000, 0x25111, 0x25111),
    (PT_LOAD, _R, 0x27000, 0x27000, 0x9C7C, 0x9C7C),
    (PT_LOAD, _RW, 0x31900, 0x31900, 0x2810, 0x29D8),
    (PT_GNU_RELRO, _R, 0x31900, 0x31900, 0x1700, 0x1700),
])  # fmt: skip
"""The program that loads other programs' libraries: ld-linux-x86-64.so.2."""


LIBC_PARTS = (
    # pages of the file from, bytes, rights
    (0x26000, 0x156000, f.PROT_READ | f.PROT_EXEC), (0x17C000, 0x53000, f.PROT_READ),
    (0x1CF000, 0x6000, f.PROT_READ | f.PROT_WRITE),
)  # fmt: skip
LIBC_SPAN, LIBC_DATA, LIBC_ZEROS, LIBC_RELRO = 0x1E2000, 0x1CF000, 0x1D5000, 0x4000
HEAP_BYTES = 0x8B000
"""How far python moves the end of its heap before the first line of a program runs."""
RECORDED_LINES = """\
00400000-0041f000 r--p 00000000 fe:00 260811                             /usr/bin/python3.11
0041f000-006d2000 r-xp 0001f000 fe:00 260811                             /usr/bin/python3.11
006d2000-00945000 r--p 002d2000 fe:00 260811                             /usr/bin/python3.11
00945000-00946000 r--p 00544000 fe:00 260811                             /usr/bin/python3.11
00946000-00a85000 rw-p 00545000 fe:00 260811                             /usr/bin/python3.11
"""
"""What Linux 6.18.44 showed of that program at work."""
Line = tuple[int, int, str, int]
"""Of an area: start and end, counted from the program's first byte, permissions, offset in the file."""


def python() -> Program:
    """Return Debian's /usr/bin/python3.11."""
    return Program(File("/usr/bin/python3.11", 6_831_736, device=DEVICE, inode=260131), PYTHON_ELF)


def loader() -> Program:
    """Return the program that loads its libraries."""
    file = File("/usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2", 215_000, device=DEVICE, inode=338944)
    return Program(file, LOADER_ELF)


def load(mm: MmStruct, seed: int | None = None) -> MmStruct:
    """Lay out an empty address space for python, as execve() does; without a seed, nothing is randomised."""
    return execute(
        mm, python(), loader(), argv=("python3",), env=("HOME=/home/you",), path="/usr/bin/python3", seed=seed
    )


def work(mm: MmStruct) -> MmStruct:
    """Let a python that was just loaded do what it does first: map the C library, protect, grow its heap.

    Of its code, and of the loader's and the library's, a first page is touched; the file's neighbouring pages come too.
    """
    libc = File("/usr/lib/x86_64-linux-gnu/libc.so.6", 1_926_256, device=DEVICE, inode=339380).open()
    at = mm.mmap(0, LIBC_SPAN, f.PROT_READ, f.MAP_PRIVATE, libc)
    for offset, length, prot in LIBC_PARTS:
        mm.mmap(at + offset, length, prot, f.MAP_PRIVATE | f.MAP_FIXED, libc, offset)
    flags = f.MAP_PRIVATE | f.MAP_FIXED | f.MAP_ANONYMOUS
    mm.mmap(at + LIBC_ZEROS, LIBC_SPAN - LIBC_ZEROS, f.PROT_READ | f.PROT_WRITE, flags)
    mm.touch(at + LIBC_DATA, write=True)
    mm.mprotect(at + LIBC_DATA, LIBC_RELRO, f.PROT_READ)
    protect(mm, PYTHON_ELF, 0)
    for vma in [vma for vma in mm.vmas if vma.vm_file is not None and vma.vm_flags & f.VM_EXEC]:
        mm.touch(vma.vm_start)
    mm.brk(mm.start_brk + HEAP_BYTES)
    for addr in range(mm.start_brk, mm.start_brk + 8 * 4096, 4096):
        mm.touch(addr, write=True)
    return mm


def protect(mm: MmStruct, elf: Elf, bias: int) -> None:
    """Make read-only what a program wants so once it is loaded, whole pages of it."""
    for segment in elf.segments:
        if segment.kind == PT_GNU_RELRO:
            start, end = (bias + segment.addr) & ~0xFFF, (bias + segment.addr + segment.mem_bytes) & ~0xFFF
            mm.touch(start, write=True)
            mm.mprotect(start, end - start, f.PROT_READ)


def predicted(elf: Elf) -> list[Line]:
    """Return which areas of its file a program has once the model has laid it out and it has protected them."""
    file = File("program", max(load.offset + load.file_bytes for load in elf.loads))
    mm = execute(MmStruct(), Program(file, elf), loader() if elf.interpreter else None)
    protect(mm, elf, mm.vmas[0].vm_start - elf.loads[0].addr & ~0xFFF)
    first = mm.vmas[0].vm_start
    return [
        (vma.vm_start - first, vma.vm_end - first, vma.perms, vma.vm_pgoff << 12)
        for vma in mm.vmas
        if vma.vm_file is not None and vma.vm_file.file is file
    ]


def this_python() -> tuple[Elf, list[Line]]:
    """Return what this Python's file says, and which areas of it the kernel shows in this process.

    Where no Linux runs: those of a recorded one.
    """
    path = os.path.realpath(sys.executable)
    try:
        elf = parse_elf(Path(path).read_bytes())
        vmas = [vma for vma in addrspace.live().vmas if vma.name == path]
        first = vmas[0].start
    except (LiveError, ValueError, OSError, IndexError):
        mappings = maps.parse(RECORDED_LINES)
        return PYTHON_ELF, [
            (m.start - mappings[0].start, m.end - mappings[0].start, m.perms, m.offset) for m in mappings
        ]
    return elf, [(vma.start - first, vma.end - first, vma.perms, vma.pgoff << 12) for vma in vmas]
