"""``/proc/PID/pagemap``: for every virtual page of a process, which frame holds it.

Models: fs/proc/task_mmu.c (Linux 6.18), pagemap_read(). Leaves out: the userfaultfd and guard bits.
"""

from __future__ import annotations

from pathlib import Path

from mmkit.errors import FormatError
from mmkit.record import Record

PRESENT, SWAPPED, FILE_OR_SHARED, EXCLUSIVE, SOFT_DIRTY = (1 << bit for bit in (63, 62, 61, 56, 55))
PFN_MASK = (1 << 55) - 1


class PagemapEntry(Record):
    """One 64-bit word of pagemap, as the kernel packs it."""

    raw: int

    @property
    def present(self) -> bool:
        """Whether the page is in memory."""
        return bool(self.raw & PRESENT)

    @property
    def pfn(self) -> int | None:
        """Frame number; None if the page is not present, 0 if the kernel hides it (readers without privilege)."""
        return self.raw & PFN_MASK if self.present else None

    @property
    def file_or_shared(self) -> bool:
        """Whether it is a page of a file or of shared memory, rather than private anonymous memory."""
        return bool(self.raw & FILE_OR_SHARED)


def parse_listing(text: str, page_size: int = 4096) -> dict[int, PagemapEntry]:
    """Return {virtual address of a page: entry} from a listing of "address entry" lines in hexadecimal.

    Lines that start with "#" name the mapping that follows. Raises FormatError for any other line.
    """
    entries = {}
    for number, line in enumerate(text.splitlines(), 1):
        if line.startswith("#"):
            continue
        try:
            addr, raw = (int(part, 16) for part in line.split("\t"))
        except ValueError:
            raise FormatError("pagemap listing", number, line, "an address, a tab and an entry") from None
        if addr % page_size:
            raise FormatError("pagemap listing", number, line, f"an address that is a multiple of {page_size}")
        entries[addr] = PagemapEntry(raw)
    return entries


def read_entry(addr: int, pid: int | str = "self", page_size: int = 4096) -> PagemapEntry:
    """Return the running kernel's entry for the page that holds ``addr``. Raises OSError where there is no pagemap."""
    with Path(f"/proc/{pid}/pagemap").open("rb") as file:
        file.seek(addr // page_size * 8)
        return PagemapEntry(int.from_bytes(file.read(8), "little"))
