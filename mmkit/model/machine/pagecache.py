"""The page cache: pages of files that are in memory, and the disk behind them.

Models: mm/filemap.c (Linux 6.18), filemap_add_folio(), filemap_fault(); mm/shmem.c, shmem_get_folio(). Leaves out:
read-ahead, folios of several pages, writing back before reclaim asks for it.
"""

from __future__ import annotations

from mmkit.errors import FatalSignal
from mmkit.model.machine.frames import PAGE, Frames
from mmkit.model.page import Page
from mmkit.model.pageflags import PageFlags
from mmkit.model.vma.area import File


class PageCache:
    """Pages by file and number. What a file's pages hold before anybody wrote to them is on its disk."""

    def __init__(self, frames: Frames) -> None:
        self.frames = frames
        self._pages: dict[tuple[int, int], Page] = {}
        self._files: list[File] = []
        self._disk: dict[int, bytes] = {}

    def __len__(self) -> int:
        return len(self._pages)

    def add_file(self, file: File, content: bytes) -> None:
        """Let a file have this content, on the disk."""
        self._disk[self._number(file)] = content

    def _number(self, file: File) -> int:
        for number, known in enumerate(self._files):
            if known is file:
                return number
        self._files.append(file)
        return len(self._files) - 1

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
        self.frames.lru.add(page)
        return page

    def drop(self, file: File, first: int, last: int) -> None:
        """Take pages out that nobody maps; what was not written back is lost (MADV_REMOVE, truncate())."""
        number = self._number(file)
        for key in [key for key in self._pages if key[0] == number and first <= key[1] < last]:
            page = self._pages.pop(key)
            page.clear_flags(PageFlags.dirty)
            self._let_go(page)
        file.punch(first, last)

    def evict(self, page: Page) -> None:
        """Drop a page that is clean and that nobody maps: the disk has it (__remove_mapping())."""
        number, index = self.frames.file_number(page), page.index
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

    def close(self, file: File) -> None:
        """Forget a file with all its pages, such as shared memory that nobody has any more."""
        self.drop(file, 0, 1 << 62)

    def items(self) -> tuple[tuple[str, int, Page], ...]:
        """Return all pages: the file's name, the number, the page."""
        return tuple((self._files[number].name, index, page) for (number, index), page in self._pages.items())
