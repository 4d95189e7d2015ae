"""A naive address space: a dictionary from page to what is there. It knows nothing of areas, splitting or merging."""

from __future__ import annotations

from typing import NamedTuple

from mmkit.model import vmaflags as f


class Page(NamedTuple):
    """What one page is: rights, whether shared, which file and page of it, whether locked."""

    prot: int
    shared: bool
    file: int | None
    at: int
    locked: bool
    may_write: bool = True


class NaiveMm:
    """Pages by number; a call either does all of it, or raises ``OSError`` with the errno and says what it did."""

    def __init__(self) -> None:
        self.pages: dict[int, Page] = {}
        self.resident: set[int] = set()
        self.heap = (0, 0)

    def drop(self, first: int, last: int) -> None:
        """Unmap pages."""
        for page in range(first, last):
            self.pages.pop(page, None)
            self.resident.discard(page)

    def map(self, first: int, last: int, page: Page) -> None:
        """Map pages afresh; ``page.at`` is of the first one."""
        self.drop(first, last)
        for number in range(first, last):
            self.pages[number] = page._replace(at=page.at + number - first)

    def until_hole(self, first: int, last: int) -> int:
        """The first page from ``first`` on that is not mapped, at most ``last``."""
        while first < last and first in self.pages:
            first += 1
        return first

    def protect(self, first: int, last: int, prot: int) -> bool:
        """Change rights page by page up to a hole or a page that may not have them; says whether all changed."""
        for number in range(first, last):
            page = self.pages.get(number)
            if page is None or (prot & f.PROT_WRITE and not page.may_write):
                return False
            self.pages[number] = page._replace(prot=prot)
        return True

    def lock(self, first: int, last: int, locked: bool) -> bool:
        """Lock or unlock pages up to a hole; says whether there was none."""
        stop = self.until_hole(first, last)
        for number in range(first, stop):
            self.pages[number] = self.pages[number]._replace(locked=locked)
        return stop == last

    def touch(self, number: int, write: bool) -> bool:
        """Access a page; says whether that is allowed."""
        page = self.pages.get(number)
        if page is None or not page.prot & (f.PROT_WRITE if write else 7):
            return False
        self.resident.add(number)
        return True

    def move(self, first: int, last: int, to: int) -> None:
        """Move pages with all they have."""
        taken = {number: self.pages.pop(number) for number in range(first, last) if number in self.pages}
        there = {number for number in self.resident if first <= number < last}
        self.resident -= there
        self.drop(to, to + last - first)
        self.pages |= {number - first + to: page for number, page in taken.items()}
        self.resident |= {number - first + to for number in there}

    def counters(self) -> dict[str, int]:
        """The counters, page by page."""
        pages = self.pages.values()
        return {
            "total_vm": len(pages), "locked_vm": sum(page.locked for page in pages),
            "exec_vm": sum(page.prot & 6 == f.PROT_EXEC for page in pages),
            "data_vm": sum(bool(page.prot & f.PROT_WRITE) and not page.shared for page in pages),
        }  # fmt: skip
