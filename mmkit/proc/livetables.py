"""Page tables of the running kernel, seen from outside: how many a touch costs, and which frames stand behind pages.

Models: nothing; reads VmPTE of ``/proc/PID/status`` (mm_pgtables_bytes, fs/proc/task_mmu.c, Linux 6.18) and
``/proc/PID/pagemap``. The touches are made by a process of their own, so that nothing else of it comes in between.
"""

from __future__ import annotations

import mmap
import os
import platform
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from mmkit.errors import FormatError, LiveError
from mmkit.proc import pagemap

_TOUCH = """
import ctypes, re, sys
libc = ctypes.CDLL(None, use_errno=True)
libc.mmap.restype = ctypes.c_void_p
libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t] + [ctypes.c_int] * 3 + [ctypes.c_long]
libc.madvise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
def tables():
    with open("/proc/self/status") as status:
        return int(re.search(r"VmPTE:\\s+(\\d+)", status.read())[1])
addresses = [int(word, 16) for word in sys.argv[1:]]
grown, last = [0] * len(addresses), tables()
tables()
for number, addr in enumerate(addresses):
    if libc.mmap(addr, 4096, 3, 0x100022, -1, 0) != addr:
        sys.exit(f"0x{addr:x} cannot be mapped")
    libc.madvise(addr, 4096, 15)
    last = tables()
    ctypes.memset(addr, 1, 1)
    grown[number] = tables() - last
print(*grown)
"""
"""Maps a page at each address (MAP_FIXED_NOREPLACE), with small pages (MADV_NOHUGEPAGE), and touches it."""


def table_growth(addresses: Sequence[int]) -> tuple[int, ...]:
    """Return how many page tables each first touch of a page cost a process, one after the other.

    Raises LiveError where that cannot be seen: no Linux, other pages than of 4 KiB, an address that is taken.
    """
    if not sys.platform.startswith("linux"):
        raise LiveError(f"/proc/self/status is a file of Linux; this machine runs {platform.system() or sys.platform}")
    if mmap.PAGESIZE != 4096 or platform.machine() not in ("x86_64", "aarch64"):
        raise LiveError(f"this {platform.machine()} machine has pages of {mmap.PAGESIZE} bytes, or other levels")
    words = [f"{addr:x}" for addr in addresses]
    done = subprocess.run([sys.executable, "-c", _TOUCH, *words], capture_output=True, text=True, check=False)
    if done.returncode:
        raise LiveError(f"the touches could not be made: {done.stderr.strip().splitlines()[-1]}")
    return tuple(int(kib) // 4 for kib in done.stdout.split())


def format_growth(addresses: Sequence[int], grown: Sequence[int]) -> str:
    """Return what was seen as text, a line for each touch."""
    return "".join(f"{addr:x}\t{count}\n" for addr, count in zip(addresses, grown, strict=True))


def parse_growth(text: str) -> dict[int, int]:
    """Return {address: tables} of such a text, in its order. Raises FormatError, with the line, for a damaged one."""
    found = {}
    for number, line in enumerate(text.splitlines(), 1):
        try:
            addr, count = line.split("\t")
            found[int(addr, 16)] = int(count)
        except ValueError:
            raise FormatError("page table growth", number, line, "an address, a tab, and how many tables") from None
    return found


def shared_frames(nr_pages: int = 8) -> tuple[tuple[int, int], ...]:
    """Return (address, frame) of pages of this process that are mapped twice: first all of one mapping, then the other.

    Raises LiveError where the kernel does not show frames: no Linux, or not root.
    """
    if not hasattr(os, "memfd_create"):
        raise LiveError(f"frames are shown by Linux only; this machine runs {platform.system() or sys.platform}")
    fd = os.memfd_create("mmkit")
    try:
        os.ftruncate(fd, nr_pages * mmap.PAGESIZE)
        twice = [mmap.mmap(fd, nr_pages * mmap.PAGESIZE) for _ in range(2)]
        found = [_frames(each, nr_pages) for each in twice]
    finally:
        os.close(fd)
    if not all(pfn for _, pfn in found[0]):
        raise LiveError("/proc/self/pagemap shows frames to root only")
    return (*found[0], *found[1])


def _frames(memory: mmap.mmap, nr_pages: int) -> list[tuple[int, int]]:
    import ctypes

    start = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    for page in range(nr_pages):
        memory[page * mmap.PAGESIZE] = page + 1
    if not Path("/proc/self/pagemap").exists():
        raise LiveError("/proc/self/pagemap does not exist: the kernel was built without it")
    return [
        (addr, pagemap.read_entry(addr, page_size=mmap.PAGESIZE).pfn or 0)
        for addr in range(start, start + nr_pages * mmap.PAGESIZE, mmap.PAGESIZE)
    ]
