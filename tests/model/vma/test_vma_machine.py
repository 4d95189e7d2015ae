"""The model beside a dictionary of pages, driven by Hypothesis: after every call the same pages and counters."""

from __future__ import annotations

from collections.abc import Callable
from errno import EFAULT
from random import Random

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from naive_mm import NaiveMm, Object, Page, Refused

from mmkit.errors import FatalSignal, MmError
from mmkit.model import vmaflags as f
from mmkit.model.vma import File, MmStruct, Vma

PAGE, FIRST, PAGES, BASE, HEAP, GUARD = 4096, 0x1000, 56, 44, 24, 2
"""The window: 56 pages from 0x1000000 on. Mappings without a place go below its page 44; the heap begins at page 24."""
MAYMOVE, FIXED, DONTUNMAP = f.MREMAP_MAYMOVE, f.MREMAP_FIXED, f.MREMAP_DONTUNMAP
ADVICE = (
    f.MADV_NORMAL, f.MADV_RANDOM, f.MADV_DONTNEED, f.MADV_FREE, f.MADV_REMOVE, f.MADV_DONTFORK, f.MADV_DOFORK,
    f.MADV_DONTDUMP, f.MADV_WIPEONFORK, f.MADV_KEEPONFORK, f.MADV_POPULATE_READ, f.MADV_POPULATE_WRITE,
    f.MADV_DONTNEED_LOCKED,
)  # fmt: skip
pages, lengths = st.integers(0, PAGES - 1), st.integers(1, 8)
prots = st.sampled_from([0, 1, 2, 3, 3, 5, 7])


class AddressSpaces(RuleBasedStateMachine):
    """Every call is made on both."""

    def __init__(self) -> None:
        super().__init__()
        self.naive = NaiveMm(FIRST, FIRST + BASE, GUARD, FIRST + HEAP)
        mm = MmStruct(mmap_base=(FIRST + BASE) * PAGE)
        mm.start_brk = mm.end_brk = (FIRST + HEAP) * PAGE
        self.use(mm)
        twenty, five = File("/twenty", 20 * PAGE), File("/five", 5 * PAGE)
        opened = [(twenty, "rw"), (twenty, "r"), (five, "rw"), (five, "w")]
        self.files = [file.open(mode) for file, mode in opened]
        self.objects = [Object(file.pages, mode, inode=file) for file, mode in opened]

    def use(self, mm: MmStruct) -> None:
        """Go on with an address space; there is a small guard gap, and nothing below the window."""
        self.mm = mm
        mm.stack_guard_gap, mm.mmap_min_addr, mm.dac_mmap_min_addr = GUARD * PAGE, FIRST * PAGE, FIRST * PAGE

    def both(self, model: Callable[[], object], naive: Callable[[], object]) -> None:
        """Make a call on both; the answers, or the errors, are the same."""
        answers = []
        for call in (model, naive):
            try:
                found = call()
                answers.append(("returns", found))
            except (MmError, Refused) as error:
                answers.append(("fails", error.errno))
            except FatalSignal:
                answers.append(("fails", None))
        kind, found = answers[0]
        assert (kind, found >> 12 if kind == "returns" and found else found) == answers[1]

    def mapped(self, where: int, length: int, prot: int, flags: int, number: int | None, offset: int) -> None:
        file = None if number is None else self.files[number]
        shared, populate = bool(flags & f.MAP_SHARED), bool(flags & f.MAP_POPULATE)
        thing = self.objects[number] if number is not None else Object(length) if shared else None
        page = Page(
            prot, thing, offset, shared, bool(flags & f.MAP_LOCKED), grows=bool(flags & f.MAP_GROWSDOWN)
        )  # fmt: skip
        fixed, replace = bool(flags & (f.MAP_FIXED | f.MAP_FIXED_NOREPLACE)), bool(flags & f.MAP_FIXED)
        flags |= 0 if file else f.MAP_ANONYMOUS
        self.both(
            lambda: self.mm.mmap(where * PAGE, length * PAGE, prot, flags, file, offset * PAGE),
            lambda: self.naive.mmap(where, length, page, fixed, replace, populate),
        )

    how = st.sampled_from([f.MAP_FIXED, f.MAP_FIXED, f.MAP_FIXED_NOREPLACE, 0])
    kinds = st.sampled_from([f.MAP_PRIVATE, f.MAP_SHARED])
    more = st.sampled_from([0, 0, 0, f.MAP_POPULATE, f.MAP_LOCKED])

    @initialize(seed=st.integers(0, 999), stretches=st.integers(0, 30))
    def fill(self, seed: int, stretches: int) -> None:
        """Begin with calls of a seed, mostly mappings: in an empty window hardly anything can be done."""
        rng = Random(seed)
        for _ in range(stretches):
            random_call(self, rng, mappings=12)

    @rule(page=pages, length=lengths, prot=prots, how=how, more=more)
    def mmap(self, page: int, length: int, prot: int, how: int, more: int) -> None:
        self.mapped(FIRST + page, length, prot, f.MAP_PRIVATE | how | more, None, 0)

    @rule(length=lengths, prot=prots, kind=kinds)
    def mmap_anywhere(self, length: int, prot: int, kind: int) -> None:
        self.mapped(0, length, prot, kind, None, 0)

    @rule(page=pages, length=lengths, how=how)
    def mmap_stack(self, page: int, length: int, how: int) -> None:
        self.mapped(FIRST + page, length, 3, f.MAP_PRIVATE | f.MAP_GROWSDOWN | how, None, 0)

    @rule(page=pages, length=lengths, prot=prots, how=how, more=more)
    def mmap_shared(self, page: int, length: int, prot: int, how: int, more: int) -> None:
        self.mapped(FIRST + page, length, prot, f.MAP_SHARED | how | more, None, 0)

    @rule(page=pages, length=lengths, prot=prots, how=how, more=more, number=st.integers(0, 3), kind=kinds,
          offset=st.one_of(st.none(), st.integers(0, 20)))  # fmt: skip
    def mmap_file(
        self, page: int, length: int, prot: int, how: int, more: int, number: int, kind: int, offset: int | None
    ) -> None:
        self.mapped(FIRST + page, length, prot, kind | how | more, number, page % 20 if offset is None else offset)

    @rule(page=pages, length=lengths)
    def munmap(self, page: int, length: int) -> None:
        self.both(
            lambda: self.mm.munmap((FIRST + page) * PAGE, length * PAGE),
            lambda: self.naive.drop(FIRST + page, FIRST + page + length),
        )

    @rule(page=pages, length=lengths, prot=prots)
    def mprotect(self, page: int, length: int, prot: int) -> None:
        self.both(
            lambda: self.mm.mprotect((FIRST + page) * PAGE, length * PAGE, prot),
            lambda: self.naive.mprotect(FIRST + page, FIRST + page + length, prot),
        )

    @rule(page=pages, length=lengths, how=st.sampled_from(["mlock", "on fault", "munlock"]))
    def mlock(self, page: int, length: int, how: str) -> None:
        addr, size = (FIRST + page) * PAGE, length * PAGE
        call = {
            "mlock": lambda: self.mm.mlock(addr, size), "munlock": lambda: self.mm.munlock(addr, size),
            "on fault": lambda: self.mm.mlock2(addr, size, f.MLOCK_ONFAULT),
        }[how]  # fmt: skip
        first, locked = FIRST + page, how != "munlock"
        self.both(call, lambda: self.naive.mlock(first, first + length, locked, how == "on fault"))

    @rule(page=pages, length=lengths, advice=st.sampled_from(ADVICE))
    def madvise(self, page: int, length: int, advice: int) -> None:
        self.both(
            lambda: self.mm.madvise((FIRST + page) * PAGE, length * PAGE, advice),
            lambda: self.naive.madvise(FIRST + page, FIRST + page + length, advice),
        )

    moves = st.sampled_from([0, MAYMOVE, MAYMOVE, MAYMOVE | FIXED, MAYMOVE | FIXED, MAYMOVE | DONTUNMAP])

    @rule(page=pages, old=st.integers(0, 8), new=st.one_of(st.none(), lengths), to=pages, flags=moves)
    def mremap(self, page: int, old: int, new: int | None, to: int, flags: int) -> None:
        first, new, to = FIRST + page, new or old, FIRST + to if flags & (FIXED | DONTUNMAP) else 0
        there = [self.naive.pages.get(number) for number in range(first, first + old)]
        if not new or (flags & DONTUNMAP and (old != new or any(one and one.locked for one in there))):
            return
        overlap = bool(flags & (FIXED | DONTUNMAP)) and to < first + old and first < to + new
        of_one = old and (new > old or (flags & FIXED and new < old) or flags & DONTUNMAP)
        if not overlap and first in self.naive.pages and of_one:
            before = self.mm.snapshot()
            copy = MmStruct.from_snapshot(before)
            self.use(copy)
            try:
                copy.mremap(first * PAGE, old * PAGE, new * PAGE, flags, to * PAGE)
            except MmError as error:
                # Only the areas know whether pages that are alike are of one.
                if error.errno == EFAULT:
                    assert copy.snapshot() == before
                    return
            self.use(MmStruct.from_snapshot(before))
            assert self.may_be_one(there[: min(old, new)])
        self.both(
            lambda: self.mm.mremap(first * PAGE, old * PAGE, new * PAGE, flags, to * PAGE),
            lambda: self.naive.mremap(first, old, new, flags, to),
        )

    @staticmethod
    def may_be_one(there: list[Page | None]) -> bool:
        """Say whether pages can be of one area."""
        plain = [page and page._replace(at=page.at - number if page.object else 0) for number, page in enumerate(there)]
        return None not in plain and all(page == plain[0] for page in plain)

    @rule(page=pages, write=st.booleans())
    def touch(self, page: int, write: bool) -> None:
        self.both(
            lambda: self.mm.touch((FIRST + page) * PAGE + 77, write) and 0,
            lambda: self.naive.touch(FIRST + page, write) or 0,
        )

    @rule(page=st.integers(-2, 12))
    def brk(self, page: int) -> None:
        end = FIRST + HEAP + page
        self.both(lambda: self.mm.brk(end * PAGE), lambda: self.naive.brk(end))

    @rule(go_on=st.booleans())
    def fork(self, go_on: bool) -> None:
        before, parent, naive = self.mm.snapshot(), self.mm, self.naive
        self.naive = naive.fork()
        self.use(parent.fork())
        for check in CHECKS:
            check(self)
        assert parent.snapshot().vmas == before.vmas
        if not go_on:
            self.mm, self.naive = parent, naive

    @rule()
    def go_back_to_a_state(self) -> None:
        state = self.mm.snapshot()
        again = MmStruct.from_snapshot(state)
        assert again.snapshot() == state
        assert again.maps() == self.mm.maps()
        self.use(again)

    def vma_pages(self) -> dict[int, Vma]:
        return {
            number: vma for vma in self.mm.vmas for number in range(vma.vm_start // PAGE, vma.vm_end // PAGE)
        }  # fmt: skip

    @invariant()
    def the_same_pages(self) -> None:
        self.mm.check()
        found, things = {}, {}
        for number, vma in self.vma_pages().items():
            thing = self.naive.pages[number].object if number in self.naive.pages else None
            # Whatever the model has behind a page stands for one thing of the twin, and for no other.
            assert things.setdefault(vma.vm_file, thing) is thing
            flags = vma.vm_flags
            bits = (f.VM_MAYSHARE, f.VM_LOCKED, f.VM_LOCKONFAULT, f.VM_GROWSDOWN, f.VM_DONTCOPY, f.VM_WIPEONFORK)
            at = vma.pgoff_at(number * PAGE) if thing else 0
            found[number] = Page(flags & 7, thing, at, *(bool(flags & bit) for bit in bits))
        assert found == {
            number: page if page.object else page._replace(at=0) for number, page in self.naive.pages.items()
        }
        assert len({id(thing) for thing in things.values()}) == len(things)

    @invariant()
    def the_text_says_so(self) -> None:
        seen = {}
        for line in self.mm.maps().splitlines():
            (start, end), perms = (int(edge, 16) // PAGE for edge in line.split()[0].split("-")), line.split()[1]
            seen |= dict.fromkeys(range(start, end), perms)
        assert seen == {
            number: "".join(letter if page.prot & bit else "-" for letter, bit in zip("rwx", (1, 2, 4), strict=True))
            + ("s" if page.shared else "p")
            for number, page in self.naive.pages.items()
        }

    @invariant()
    def the_same_counters(self) -> None:
        assert {name: getattr(self.mm, name) for name in self.naive.counters()} == self.naive.counters()
        numbers = sorted(self.naive.pages)
        runs = sum(
            not (before == number - 1 and self.may_be_one([self.naive.pages[before], self.naive.pages[number]]))
            for before, number in zip([-1, *numbers], numbers, strict=False)
        )
        assert runs <= self.mm.map_count <= len(numbers)

    @invariant()
    def the_same_are_resident(self) -> None:
        kinds = dict(self.mm.resident.items())
        assert {number for number, kind in kinds.items() if kind == "a"} == self.naive.own
        assert self.naive.seen <= kinds.keys()
        for number in kinds.keys() - self.naive.own - self.naive.seen:
            # What a read of a page nearby brought in, or what a child has from its parent.
            assert self.naive.pages[number].object is None or self.naive.pages[number].there
        assert len(kinds) == sum(map(self.mm.resident.count, "zfsa"))


def random_call(machine: AddressSpaces, rng: Random, mappings: int = 4) -> None:
    """Make one call, with ``mappings`` times as great a chance of one that maps something as of another."""
    page, length, prot = rng.randrange(PAGES), rng.randint(1, 8), rng.choice((0, 1, 2, 3, 3, 3, 5, 7))
    how, more = rng.choice((f.MAP_FIXED, f.MAP_FIXED, 0, f.MAP_FIXED_NOREPLACE)), rng.choice((0, 0, 0, 0x2000, 0x8000))
    kind, offset = rng.choice((f.MAP_SHARED, f.MAP_PRIVATE, f.MAP_PRIVATE)), rng.choice((None, 0, 3, 17))
    moves = 0, MAYMOVE, MAYMOVE | FIXED, MAYMOVE | FIXED, MAYMOVE | DONTUNMAP
    calls = {
        lambda: machine.mmap(page, length, prot, how, more): mappings,
        lambda: machine.mmap_anywhere(length, prot, kind): 1,
        lambda: machine.mmap_stack(page, length, how): 1,
        lambda: machine.mmap_shared(page, length, prot, how, more): mappings / 4,
        lambda: machine.mmap_file(page, length, prot, how, more, rng.randrange(4), kind, offset): mappings,
        lambda: machine.munmap(page, rng.randint(1, 6)): 4,
        lambda: machine.mprotect(page, length, prot): 2,
        lambda: machine.mlock(page, length, rng.choice(("mlock", "on fault", "munlock", "munlock"))): 1,
        lambda: machine.madvise(page, length, rng.choice((*ADVICE, f.MADV_REMOVE, f.MADV_REMOVE))): 3,
        lambda: machine.mremap(
            page, rng.randrange(6), rng.choice((None, length)), rng.randrange(PAGES), rng.choice(moves)
        ): 3,
        lambda: machine.touch(page, rng.random() < 0.6): 4,
        lambda: machine.brk(rng.randint(-2, 12)): 2,
        lambda: machine.fork(rng.random() < 0.3): 0.2,
        lambda: machine.go_back_to_a_state(): 0.2,
    }
    rng.choices(list(calls), list(calls.values()))[0]()


TestAddressSpaces = AddressSpaces.TestCase
CHECKS = (
    AddressSpaces.the_same_pages, AddressSpaces.the_text_says_so, AddressSpaces.the_same_counters,
    AddressSpaces.the_same_are_resident,
)  # fmt: skip
TestAddressSpaces.settings = settings(max_examples=60, stateful_step_count=40)


@pytest.mark.parametrize("seed", range(6))
def test_thousands_of_calls_that_mostly_hit_something(seed: int) -> None:
    machine, rng = AddressSpaces(), Random(seed)
    for _ in range(1000):
        random_call(machine, rng)
        for check in CHECKS:
            check(machine)


def test_the_twin_would_notice_a_difference() -> None:
    machine = AddressSpaces()
    machine.mmap(0, 4, 3, f.MAP_FIXED, 0)
    machine.touch(1, True)
    for check in CHECKS:
        check(machine)
    machine.mm.vmas[0].vm_flags &= ~f.VM_WRITE
    machine.mm.data_vm = 0
    machine.mm.resident.zap(0, 1 << 40)
    for check in CHECKS:
        with pytest.raises(AssertionError):
            check(machine)
