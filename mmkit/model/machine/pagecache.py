"""The page cache: pages of files that are in memory, and the disk behind them.

Models: mm/filemap.c (Linux 6.18), filemap_add_folio(), filemap_fault(); mm/shmem.c, shmem_get_folio(). Leaves out:
read-ahead, folios of several pages, writing back before reclaim asks for it.
"""

from __future__ import annotations

from collections import Counter

from mmkit.errors import FatalSignal
from mmkit.model.machine.frames import PAGE, Frames
from mmkit.model.machine.workingset import Workingset
from mmkit.model.page import Page
from mmkit.model.pageflags import PageFlags
from mmkit.model.vma.area import File


class PageCache:
    """Pages by file and number. What a file's pages hold before anybody wrote to them is on its disk."""

    def __init__(self, frames: Frames, workingset: Workingset) -> None:
        self.frames, self.workingset = frames, workingset
        self._pages: dict[tuple[int, int], Page] = {}
        self._files: dict[int, File] = {}
        self._numbers: dict[int, int] = {}
        self._areas: Counter[int] = Counter()
        self._disk: dict[int, bytes] = {}
        self._next = 0

    def __len__(self) -> int:
        return len(self._pages)

    def add_file(self, file: File, content: bytes) -> None:
        """Let a file have this content, on the disk."""
        self._disk[self._number(file)] = content

    def _number(self, file: File) -> int:
        number = self._numbers.get(id(file))
        if number is None:
            number = self._numbers[id(file)] = self._next
            self._files[number] = file
            self._next += 1
        return number

    def find(self, file: File, index: int) -> Page | None:
        """Return a page if it is in memory."""
        return self._pages.get((self._number(file), index))

    def get(self, file: File, index: int) -> tuple[Page, bool]:
        """Return a page, and whether it had to be read from the disk (a major fault).

        Raises FatalSignal SIGBUS for a page that the file does not have, OutOfMemory.
        """
        if index >= file.pages:
            raise FatalSignal("SIGBUS", "BUS_ADRERR", 0, f"page {index} lies beyond the end of {file.name}")
        number = self._number(file)
        page = self._pages.get((number, index))
        if page is not None:
            return page, False
        major = not file.has(index) and file.kind == "ext4"
        return self._bring_in(file, number, index), major

    def _bring_in(self, file: File, number: int, index: int) -> Page:
        page = self.frames.new()
        page.set_file(self.frames.address_space(number), index)
        page.set_flags(PageFlags.uptodate | (PageFlags.swapbacked if file.kind != "ext4" else PageFlags(0)))
        # The allocator's reference was ours while nobody else had one; the cache's own stays.
        page.put()
        self.frames.fill(page.pfn, self._disk.get(number, b"")[index * PAGE : (index + 1) * PAGE])
        file.fill(index)
        self._pages[number, index] = page
        self.workingset.add((number, index), page)
        return page

    def drop(self, file: File, first: int, last: int) -> None:
        """Take pages out that nobody maps; what was not written back is lost (MADV_REMOVE, truncate())."""
        number = self._number(file)
        for key in [key for key in self._pages if key[0] == number and first <= key[1] < last]:
            page = self._pages.pop(key)
            page.clear_flags(PageFlags.dirty)
            self._let_go(page)
        for key in [key for key in self.workingset.shadows if key[0] == number and first <= key[1] < last]:
            self.workingset.forget(key)
        file.punch(first, last)

    def evict(self, page: Page) -> None:
        """Drop a page that is clean and that nobody maps: the disk has it (__remove_mapping())."""
        number, index = self.frames.file_number(page), page.index
        self.workingset.evicted((number, index), page)
        del self._pages[number, index]
        self._files[number].punch(index, index + 1)
        self._let_go(page)

    def write_back(self, page: Page) -> None:
        """Let the disk have what a page holds; it is clean then."""
        number, index = self.frames.file_number(page), page.index
        disk = bytearray(self._disk.get(number, b"").ljust((index + 1) * PAGE, b"\0"))
        disk[index * PAGE : (index + 1) * PAGE] = self.frames.read(page.pfn * PAGE, PAGE)
        self._disk[number] = bytes(disk)
        page.clear_flags(PageFlags.dirty)

    def _let_go(self, page: Page) -> None:
        page.get()
        page.clear_file()
        self.frames.put(page)

    def enter(self, file: File) -> None:
        """One more area maps a file."""
        self._areas[self._number(file)] += 1

    def leave(self, file: File) -> None:
        """One area less maps a file; if no name leads to it, it goes with the last one (evict_inode())."""
        number = self._number(file)
        self._areas[number] -= 1
        if self._areas[number]:
            return
        del self._areas[number]
        if not file.nlink:
            self.drop(file, 0, file.pages)
            del self._files[number], self._numbers[id(file)]
            self._disk.pop(number, None)

    def items(self) -> tuple[tuple[str, int, Page], ...]:
        """Return all pages: the file's name, the number, the page."""
        return tuple((self._files[number].name, index, page) for (number, index), page in self._pages.items())
