"""The line of one area in ``/proc/PID/maps``.

Models: fs/proc/task_mmu.c (Linux 6.18), show_vma_header_prefix() and show_map_vma(). Leaves out: the escapes in names.
"""

from __future__ import annotations

NAME_COLUMN = {8: 73, 4: 49}
"""Where names begin, by the bytes of a pointer."""


def format_line(
    start: int, end: int, perms: str, offset: int, major: int, minor: int, inode: int, name: str, column: int = 73
) -> str:
    """Return the line, without its newline, byte for byte as the kernel writes it.

    >>> format_line(0x1018000, 0x1019000, "rw-p", 0x16000, 0, 2, 28, "/bin/memcap")
    '01018000-01019000 rw-p 00016000 00:02 28                                 /bin/memcap'
    """
    head = f"{start:08x}-{end:08x} {perms} {offset:08x} {major:02x}:{minor:02x} {inode} "
    return head.ljust(column) + name if name else head
