"""A naive address space: a dictionary from page to what is there. It knows nothing of areas, splitting or merging.

All numbers are pages. A call raises ``Refused`` with Linux's errno, having done what Linux does before it fails.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from errno import EACCES, EEXIST, EFAULT, EINVAL, ENOMEM
from typing import NamedTuple

from mmkit.model import vmaflags as f

READ, WRITE = f.PROT_READ, f.PROT_WRITE
LEGACY, END = ((1 << 47) - 4096) // 3 + 4095 >> 12, (1 << 47) - 4096 >> 12

LIMIT = 2048
"""Pages of RLIMIT_STACK, 8 MiB."""


class Refused(Exception):
    """A call fails, or (``errno`` None) an access kills."""

    def __init__(self, errno: int | None) -> None:
        self.errno = errno


class Object:
    """What may be behind pages: an opened file, or shared memory; ``inode`` is what several openings have in common."""

    def __init__(self, size: int, mode: str = "rw", inode: object = None) -> None:
        self.size, self.readable, self.writable, self.inode = size, "r" in mode, "w" in mode, inode or self


class Page(NamedTuple):
    """What one page is."""

    prot: int
    object: Object | None = None
    at: int = 0
    """Page of the object."""
    shared: bool = False
    locked: bool = False
    on_fault: bool = False
    """Locked, but made resident only when it is touched."""
    grows: bool = False
    not_forked: bool = False
    wiped: bool = False

    @property
    def may_write(self) -> bool:
        """Whether it can ever be made writable."""
        return not self.shared or self.object is None or self.object.writable

    @property
    def there(self) -> bool:
        """Whether it lies inside its object."""
        return self.object is None or self.at < self.object.size


class NaiveMm:
    """Pages by number; ``own`` are those that are resident and nobody else's, ``seen`` others that were touched."""

    def __init__(self, low: int, base: int, guard: int, heap: int) -> None:
        self.low, self.base, self.guard = low, base, guard
        self.pages: dict[int, Page] = {}
        self.own: set[int] = set()
        self.seen: set[int] = set()
        self.heap = self.heap_end = heap

    # What is where.

    def above(self, at: int) -> int | None:
        """The first page from ``at`` on that is mapped."""
        return min((page for page in self.pages if page >= at), default=None)

    def is_free(self, first: int, last: int) -> bool:
        """Whether nothing is mapped in [first, last)."""
        return not any(page in self.pages for page in range(first, last))

    def room_above(self, at: int) -> int:
        """Where the room above ``at`` ends: at the next page, or the guard gap below it if it is a stack."""
        above = self.above(at)
        if above is None:
            return END
        return above - self.guard if self.pages[above].grows else above

    def place(self, length: int, hint: int = 0) -> int:
        """Where a mapping goes: the hint if it is free, else the top of the highest gap, else the lowest one."""
        if hint and self.is_free(hint, hint + length) and hint + length <= self.room_above(hint + length):
            return hint
        high = self.base
        for first in range(self.base - length, self.low - 1, -1):
            if first + length <= high and self.is_free(first, first + length):
                high = min(high, self.room_above(first + length))
                if first + length <= high:
                    return first
        first = LEGACY
        while not self.is_free(first, first + length) or self.room_above(first + length) < first + length:
            first += 1
        return first

    # What calls do.

    def drop(self, first: int, last: int) -> None:
        """Unmap pages."""
        for page in range(first, last):
            self.pages.pop(page, None)
            self.forget(page)

    def forget(self, page: int, own: bool = True) -> None:
        """A page is resident no more."""
        self.seen.discard(page)
        if own:
            self.own.discard(page)

    def mmap(self, first: int, length: int, page: Page, fixed: bool, replace: bool, populate: bool) -> int:
        """Map pages afresh; ``page.at`` is of the first one."""
        if not fixed:
            first = self.place(length, first and max(first, self.low))
        elif not replace and not self.is_free(first, first + length):
            raise Refused(EEXIST)
        elif first < self.low:
            raise Refused(1)
        if page.object and ((page.shared and page.prot & WRITE and not page.may_write) or not page.object.readable):
            raise Refused(EACCES)
        self.drop(first, first + length)
        for number in range(length):
            self.pages[first + number] = page._replace(at=page.at + number)
        if populate or page.locked:
            self.populate(first, first + length)
        return first

    def populate(self, first: int, last: int) -> bool:
        """Make pages resident up to one that cannot be; says whether all could."""
        for number in range(first, last):
            page = self.pages[number]
            if page.on_fault:
                continue
            if not page.prot or not page.there:
                return False
            self.fault(number, bool(page.prot & WRITE) and not page.shared)
        return True

    def fault(self, number: int, write: bool) -> None:
        """Make a page resident."""
        if write and not self.pages[number].shared:
            self.own.add(number)
            self.seen.discard(number)
        elif number not in self.own:
            self.seen.add(number)

    def until_hole(self, first: int, last: int) -> Iterator[tuple[int, Page]]:
        """Pages from ``first`` on. Raises Refused ENOMEM at one that is not mapped."""
        for number in range(first, last):
            if number not in self.pages:
                raise Refused(ENOMEM)
            yield number, self.pages[number]

    def mprotect(self, first: int, last: int, prot: int) -> None:
        """Change rights page by page."""
        for number, page in self.until_hole(first, last):
            if prot & WRITE and not page.may_write:
                raise Refused(EACCES)
            self.pages[number] = page._replace(prot=prot)
            if page.locked and not page.shared and not page.prot & WRITE and prot & WRITE and page.there:
                self.populate(number, number + 1)

    def mlock(self, first: int, last: int, locked: bool, on_fault: bool = False) -> None:
        """Lock or unlock pages."""
        for number, page in self.until_hole(first, last):
            self.pages[number] = page._replace(locked=locked, on_fault=on_fault)
        if locked and not self.populate(first, last):
            raise Refused(ENOMEM)

    def over_holes(self, first: int, last: int, one: Callable[[int, Page], Page | None]) -> None:
        """Give advice page by page. Raises Refused ENOMEM at the end if there were holes."""
        for number in range(first, last):
            if number in self.pages:
                self.pages[number] = one(number, self.pages[number]) or self.pages[number]
        if not all(number in self.pages for number in range(first, last)):
            raise Refused(ENOMEM)

    def madvise(self, first: int, last: int, advice: int) -> None:
        """Give advice."""
        if advice in (f.MADV_POPULATE_READ, f.MADV_POPULATE_WRITE):
            self._populate(first, last, advice == f.MADV_POPULATE_WRITE)
        else:
            self.over_holes(first, last, lambda number, page: self._advise(number, page, advice))

    def _advise(self, number: int, page: Page, advice: int) -> Page | None:
        if advice in (f.MADV_DONTNEED, f.MADV_FREE, f.MADV_REMOVE) and page.locked:
            raise Refused(EINVAL)
        if advice in (f.MADV_FREE, f.MADV_WIPEONFORK) and page.object:
            raise Refused(EINVAL)
        if advice == f.MADV_REMOVE:
            self._remove(page)
        if advice in (f.MADV_DONTNEED, f.MADV_DONTNEED_LOCKED):
            self.forget(number)
        return {
            f.MADV_DONTFORK: page._replace(not_forked=True), f.MADV_DOFORK: page._replace(not_forked=False),
            f.MADV_WIPEONFORK: page._replace(wiped=True), f.MADV_KEEPONFORK: page._replace(wiped=False),
        }.get(advice)  # fmt: skip

    def _remove(self, page: Page) -> None:
        if page.object is None:
            raise Refused(EINVAL)
        if not page.shared or not page.object.writable:
            raise Refused(EACCES)
        for number, other in self.pages.items():
            if other.object and other.object.inode is page.object.inode and other.at == page.at:
                self.forget(number, own=False)

    def _populate(self, first: int, last: int, write: bool) -> None:
        for number, page in self.until_hole(first, last):
            if not page.prot & (WRITE if write else READ):
                raise Refused(EINVAL)
            if not page.there:
                raise Refused(EFAULT)
            self.fault(number, write)

    def mremap(self, first: int, old: int, new: int, flags: int, to: int) -> int:
        """Resize or move pages that are, if they have to be, of one area: the caller knows."""
        if flags & (f.MREMAP_FIXED | f.MREMAP_DONTUNMAP) and to < first + old and first < to + new:
            raise Refused(EINVAL)
        if first not in self.pages:
            raise Refused(EFAULT)
        if not old:
            return self._duplicate(first, new, flags, to)
        if not flags & (f.MREMAP_FIXED | f.MREMAP_DONTUNMAP):
            if new <= old:
                self.drop(first + new, first + old)
                return first
            if self.is_free(first + old, first + new):
                return self._move(first, old, new, first)
            if not flags & f.MREMAP_MAYMOVE:
                raise Refused(ENOMEM)
        if flags & f.MREMAP_FIXED:
            self._make_room(first, old, to, new)
            self.drop(first + new, first + old)
        else:
            to = self.place(new, max(to, self.low) if to else 0)
        return self._move(first, min(old, new), new, to, bool(flags & f.MREMAP_DONTUNMAP))

    def _duplicate(self, first: int, new: int, flags: int, to: int) -> int:
        """Map more of what is shared."""
        page = self.pages[first]
        if not page.shared:
            raise Refused(EINVAL)
        if not flags & f.MREMAP_MAYMOVE:
            raise Refused(ENOMEM)
        if flags & f.MREMAP_FIXED:
            self.drop(to, to + new)
            if first not in self.pages:
                raise Refused(EFAULT)
        else:
            to = self.place(new)
        self.pages |= {to + number: page._replace(at=page.at + number) for number in range(new)}
        if page.locked:
            self.populate(to, to + new)
        return to

    def _make_room(self, first: int, old: int, to: int, new: int) -> None:
        """What moves goes over what was there; the holes of a range that keeps its size do not."""
        for number in range(new):
            if old != new or first + number in self.pages:
                self.drop(to + number, to + number + 1)

    def _move(self, first: int, old: int, new: int, to: int, stay: bool = False) -> int:
        taken = [(n, self.pages.get(first + n), first + n in self.own, first + n in self.seen) for n in range(old)]
        for number, page, *_ in taken:
            if page:
                self.drop(first + number, first + number + 1)
                if stay:
                    self.pages[first + number] = page._replace(locked=False, on_fault=False)
        for number, page, own, seen in taken:
            if page:
                self.pages[to + number] = page
                self.own |= {to + number} if own else set()
                self.seen |= {to + number} if seen else set()
        last = self.pages[to + old - 1] if new > old else None
        for number in range(old, new):
            assert last
            self.pages[to + number] = last._replace(at=last.at + number - old + 1)
        if last and last.locked:
            self.populate(to + old, to + new)
        return to

    def brk(self, end: int) -> int:
        """Move the end of the heap; returns where it is then."""
        if self.heap <= end < self.heap_end and not self.is_free(end, self.heap_end):
            self.drop(end, self.heap_end)
            self.heap_end = end
        if end > self.heap_end and self.is_free(self.heap_end, end) and end + 1 <= self.room_above(self.heap_end):
            self.pages |= dict.fromkeys(range(self.heap_end, end), Page(READ | WRITE))
            self.heap_end = end
        return self.heap_end

    def touch(self, number: int, write: bool) -> None:
        """Access a page; a stack may grow. Raises Refused."""
        if number not in self.pages:
            self._grow(number)
        page = self.pages[number]
        if not page.prot & (WRITE if write else 7) or not page.there:
            raise Refused(None)
        self.fault(number, write)

    def _grow(self, number: int) -> None:
        above, below = self.above(number), max((page for page in self.pages if page < number), default=None)
        if above is None or not self.pages[above].grows or number < self.low or above - number >= LIMIT:
            raise Refused(None)
        kept = below is not None and self.pages[below].prot and not self.pages[below].grows
        if kept and below is not None and number - below - 1 < self.guard:
            raise Refused(None)
        self.pages |= dict.fromkeys(range(number, above), self.pages[above])

    def fork(self) -> NaiveMm:
        """What a child has."""
        child = NaiveMm(self.low, self.base, self.guard, self.heap)
        child.heap_end = self.heap_end
        child.pages = {
            number: page._replace(locked=False, on_fault=False)
            for number, page in self.pages.items()
            if not page.not_forked
        }
        child.own = {number for number in self.own if number in child.pages and not child.pages[number].wiped}
        return child

    def counters(self) -> dict[str, int]:
        """The counters of a ``mm_struct``, page by page."""
        pages = self.pages.values()
        run = [page for page in pages if page.prot & (f.PROT_EXEC | WRITE) == f.PROT_EXEC and not page.grows]
        data = [page for page in pages if page.prot & WRITE and not page.shared and not page.grows]
        return {
            "total_vm": len(pages), "locked_vm": sum(page.locked for page in pages), "pinned_vm": 0,
            "exec_vm": len(run), "data_vm": len(data), "anon_rss": len(self.own),
            "stack_vm": sum(page.grows for page in pages),
        }  # fmt: skip
