"""The model beside a dictionary of pages, driven by Hypothesis: same pages, rights and counters; all rules hold."""

from __future__ import annotations

from copy import deepcopy

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from naive_mm import NaiveMm, Page

from mmkit.errors import FatalSignal, MmError
from mmkit.model import vmaflags as f
from mmkit.model.vma import File, MmStruct

PAGE, BASE, PAGES = 4096, 0x1000_0000, 24
pages, lengths = st.integers(0, PAGES - 1), st.integers(1, 8)
prots = st.sampled_from([0, 1, 3, 5, 7])
ADVICE = (f.MADV_DONTFORK, f.MADV_DOFORK, f.MADV_DONTDUMP, f.MADV_DODUMP, f.MADV_RANDOM, f.MADV_NORMAL)


class AddressSpaces(RuleBasedStateMachine):
    """Every call is made on both."""

    @initialize()
    def start(self) -> None:
        self.mm, self.naive = MmStruct(), NaiveMm()
        self.files = [File("/one", 40 * PAGE).open("rw"), File("/two", 40 * PAGE).open("r")]
        self.mm.start_brk = self.mm.end_brk = BASE + 100 * PAGE
        self.heap = 0

    def addr(self, page: int) -> int:
        return BASE + page * PAGE

    def refused(self, call, *arguments) -> int:
        try:
            call(*arguments)
        except MmError as error:
            return error.errno or 0
        return 0

    @rule(page=pages, length=lengths, prot=prots, kind=st.sampled_from(["private", "shared", "file", "read-only file"]),
          offset=st.integers(0, 20), replace=st.booleans())  # fmt: skip
    def mmap(self, page: int, length: int, prot: int, kind: str, offset: int, replace: bool) -> None:
        file = {"file": self.files[0], "read-only file": self.files[1]}.get(kind)
        flags = (f.MAP_PRIVATE if kind != "shared" else f.MAP_SHARED) | (0 if file else f.MAP_ANONYMOUS)
        flags |= f.MAP_FIXED if replace else f.MAP_FIXED_NOREPLACE
        arguments = self.addr(page), length * PAGE, prot, flags, file, offset * PAGE if file else 0
        taken = any(number in self.naive.pages for number in range(page, page + length))
        errno = self.refused(self.mm.mmap, *arguments)
        assert errno == (17 if taken and not replace else 0)
        if not errno:
            at = offset if file else 0 if kind == "shared" else (BASE >> 12) + page
            number = {"file": 0, "read-only file": 1}.get(kind)
            self.naive.map(page, page + length, Page(prot, kind == "shared", number, at, False))

    @rule(page=pages, length=lengths)
    def munmap(self, page: int, length: int) -> None:
        self.mm.munmap(self.addr(page), length * PAGE)
        self.naive.drop(page, page + length)

    @rule(page=pages, length=lengths, prot=prots)
    def mprotect(self, page: int, length: int, prot: int) -> None:
        errno = self.refused(self.mm.mprotect, self.addr(page), length * PAGE, prot)
        assert (errno == 0) == self.naive.protect(page, page + length, prot)

    @rule(page=pages, length=lengths, lock=st.booleans())
    def mlock(self, page: int, length: int, lock: bool) -> None:
        call = (lambda addr, size: self.mm.mlock2(addr, size, f.MLOCK_ONFAULT)) if lock else self.mm.munlock
        errno = self.refused(call, self.addr(page), length * PAGE)
        assert (errno == 0) == self.naive.lock(page, page + length, lock)

    @rule(page=pages, length=lengths, advice=st.sampled_from(ADVICE))
    def advise(self, page: int, length: int, advice: int) -> None:
        errno = self.refused(self.mm.madvise, self.addr(page), length * PAGE, advice)
        assert (errno == 12) == (self.naive.until_hole(page, page + length) < page + length)

    @rule(page=pages, length=lengths)
    def forget(self, page: int, length: int) -> None:
        reach = range(page, page + length)
        locked = [n for n in reach if n in self.naive.pages and self.naive.pages[n].locked]
        self.refused(self.mm.madvise, self.addr(page), length * PAGE, f.MADV_DONTNEED)
        stop = min(locked, default=page + length)
        self.naive.resident -= set(range(page, stop))

    @rule(page=pages, length=lengths, to=pages)
    def move(self, page: int, length: int, to: int) -> None:
        size = length * PAGE
        flags = f.MREMAP_MAYMOVE | f.MREMAP_FIXED
        errno = self.refused(self.mm.mremap, self.addr(page), size, size, flags, self.addr(to))
        overlap = to < page + length and page < to + length
        assert (errno != 0) == (overlap or page not in self.naive.pages)
        if not errno:
            # Areas move one after the other, each on what was there before; holes leave what is there alone.
            for number in range(page, page + length):
                if number in self.naive.pages:
                    self.naive.move(number, number + 1, to + number - page)

    @rule(page=pages, write=st.booleans())
    def touch(self, page: int, write: bool) -> None:
        try:
            self.mm.touch(self.addr(page), write)
            allowed = True
        except FatalSignal as signal:
            if signal.signal == "SIGBUS":
                return
            allowed = False
        assert allowed == self.naive.touch(page, write)

    @rule(page=st.integers(0, 6))
    def brk(self, page: int) -> None:
        wanted = self.mm.start_brk + page * PAGE
        assert self.mm.brk(wanted) == wanted
        self.heap = page

    @rule()
    def fork(self) -> None:
        before = self.mm.snapshot()
        child = self.mm.fork()
        assert self.mm.snapshot() == before
        child.check()
        assert child.locked_vm == 0
        gone = [vma for vma in self.mm.vmas if vma.vm_flags & f.VM_DONTCOPY]
        assert child.total_vm == self.mm.total_vm - sum(vma.pages for vma in gone)

    @rule()
    def go_back_to_a_state(self) -> None:
        state = self.mm.snapshot()
        again = MmStruct.from_snapshot(state)
        assert again.snapshot() == state
        assert again.maps() == self.mm.maps()
        self.mm = again
        self.files = [next((o for o in again.ids.files if o.file is one.file), one) for one in self.files]

    @invariant()
    def the_same_pages(self) -> None:
        if not hasattr(self, "mm"):
            return
        self.mm.check()
        found = {}
        for vma in self.mm.vmas:
            for addr in range(vma.vm_start, vma.vm_end, PAGE):
                if addr < self.mm.start_brk:
                    at = None if vma.vm_flags & f.VM_SHARED or not vma.vm_file else vma.pgoff_at(addr)
                    found[(addr - BASE) // PAGE] = (
                        vma.vm_flags & 7, bool(vma.vm_flags & f.VM_MAYSHARE), bool(vma.vm_flags & f.VM_LOCKED), at,
                    )  # fmt: skip
        assert found == {
            number: (page.prot, page.shared, page.locked, page.at if page.file is not None else None)
            for number, page in self.naive.pages.items()
        }

    @invariant()
    def the_same_counters(self) -> None:
        if hasattr(self, "mm"):
            for name, count in self.naive.counters().items():
                heap = self.heap if name in ("total_vm", "data_vm") else 0
                assert (name, getattr(self.mm, name)) == (name, count + heap)

    @invariant()
    def what_was_touched_is_resident(self) -> None:
        if hasattr(self, "mm"):
            assert all(self.mm.resident.kind((BASE >> 12) + page) for page in self.naive.resident)


TestAddressSpaces = AddressSpaces.TestCase
TestAddressSpaces.settings = settings(max_examples=60, stateful_step_count=40)


def test_the_twin_would_notice_a_difference() -> None:
    machine = AddressSpaces()
    machine.start()
    machine.mmap(0, 4, 3, "private", 0, True)
    machine.the_same_pages()
    other = deepcopy(machine.naive.pages)
    machine.mm.vmas[0].vm_flags &= ~f.VM_WRITE
    assert machine.naive.pages == other
    try:
        machine.the_same_pages()
    except AssertionError:
        return
    raise AssertionError("a page that may be written here and not there went unnoticed")
