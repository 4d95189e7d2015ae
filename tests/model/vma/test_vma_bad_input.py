"""Every call with addresses, lengths and flags that make no sense: Linux's errno, in words, nothing changed.

On Linux the running kernel gets each of these calls too, and says which errno is right.
"""

from __future__ import annotations

from collections.abc import Iterator
from errno import ENOMEM
from itertools import product
from pathlib import Path

import pytest
from differential import Pair
from vmapeers import MASK, PAGE, WINDOW, needs_linux
from vmasequences import Call

from mmkit.errors import FatalSignal, MmError
from mmkit.model import vmaflags as f
from mmkit.model.vma import File, MmStruct, OpenFile

ADDRESSES = {
    "mapped": WINDOW, "not aligned": WINDOW + 1, "up to a hole": WINDOW + 7 * PAGE, "a hole": WINDOW + 8 * PAGE,
    "zero": 0, "one": 1, "below mmap_min_addr": PAGE, "minus one": -1, "minus a page": -PAGE,
    "the last page": (1 << 47) - 2 * PAGE, "the guard page": (1 << 47) - PAGE, "not canonical": 1 << 47,
    "not canonical either": MASK >> 1 & -PAGE, "sign bit": 1 << 63, "the kernel's half": 0xFFFF_8000_0000_0000,
}  # fmt: skip
LENGTHS = {
    "a page": PAGE, "into the hole": 12 * PAGE, "zero": 0, "a byte": 1, "more than a page": PAGE + 1, "minus one": -1,
    "minus a page": -PAGE, "minus a page, plus one": 1 - PAGE, "all of user space": (1 << 47) - PAGE,
    "as many as there are": 1 << 47, "sign bit": 1 << 63, "wraps to the start": MASK + 1 - WINDOW,
}  # fmt: skip
ANON = f.MAP_PRIVATE | f.MAP_ANONYMOUS
MAPPINGS = [
    (prot, flags, file, offset)
    for prot, flags, file, offset in (
        (1, ANON, -1, 0), (1, ANON | f.MAP_FIXED, -1, 0), (1, ANON | f.MAP_FIXED_NOREPLACE, -1, 0), (1, ANON, -1, 1),
        (1, f.MAP_ANONYMOUS, -1, 0), (1, ANON | f.MAP_SHARED | f.MAP_FIXED, -1, 0), (1, f.MAP_PRIVATE, -1, 0),
        (1, f.MAP_SHARED, 0, -PAGE), (1, f.MAP_PRIVATE | f.MAP_FIXED, 0, (1 << 63) - PAGE),
        (3, f.MAP_SHARED | f.MAP_FIXED, 2, 0), (1, f.MAP_PRIVATE, 3, 0), (-1, ANON | f.MAP_FIXED_NOREPLACE, -1, 0),
        (1, f.MAP_SHARED_VALIDATE | 1 << 27, 0, 0), (1, f.MAP_SHARED | f.MAP_GROWSDOWN, 0, 0),
        (1, ANON | f.MAP_SHARED | f.MAP_GROWSDOWN, -1, 0),
    )
]  # fmt: skip


def calls() -> Iterator[Call]:
    """Every call with every odd address and length."""
    for addr, length in product(ADDRESSES.values(), LENGTHS.values()):
        yield "munmap", addr, length
        yield from (("mprotect", addr, length, prot) for prot in (1, 16, -1, f.PROT_GROWSDOWN | 1, f.PROT_GROWSUP | 1))
        yield from (("madvise", addr, length, advice) for advice in (f.MADV_DONTNEED, f.MADV_DONTFORK, 5, 999, -1))
        yield from (("mlock2", addr, length, flags) for flags in (0, 1, 2, -1))
        yield "munlock", addr, length
        yield from (("mremap", addr, length, new, 1, 0) for new in (PAGE, 0, -1, 1 << 47))
        yield from (("mremap", addr, PAGE, PAGE, flags, length) for flags in (2, 3, 5, 8, -1))
    for addr, length, (prot, flags, file, offset) in product(ADDRESSES.values(), LENGTHS.values(), MAPPINGS):
        yield "mmap", addr, length, prot, flags, file, offset
    for addr in ADDRESSES.values():
        yield from (("touch", addr, write) for write in (False, True))


class Stage:
    """Model and kernel with the same few areas; whatever a call did is undone before the next."""

    def __init__(self, folder: Path) -> None:
        self.pair = Pair(folder)
        self.set_up()
        self.before = self.pair.model.maps()

    def set_up(self) -> None:
        for who in ("kernel", "model"):
            for call in (
                ("munmap", WINDOW, 64 * PAGE), ("mmap", WINDOW, 8 * PAGE, 3, ANON | f.MAP_FIXED, -1, 0),
                ("touch", WINDOW, True), ("mmap", WINDOW + 16 * PAGE, 4 * PAGE, 1, ANON | f.MAP_FIXED, -1, 0),
                ("mmap", WINDOW + 24 * PAGE, 4 * PAGE, 3, f.MAP_SHARED | f.MAP_FIXED, 0, 0),
            ):  # fmt: skip
                assert self.pair.do(who, call)[1] == 0

    def undo(self, call: Call, found: int) -> None:
        """Unmap what a call made, at ``found``, and put back what it changed."""
        name, _, *rest = call
        if found and name in ("mmap", "mremap"):
            length = rest[0] if name == "mmap" else rest[1]
            for who in ("kernel", "model"):
                self.pair.do(who, ("munmap", found, length))
        self.set_up()
        self.pair.compare(thorough=False)
        assert self.pair.model.maps() == self.before


@needs_linux
def test_the_running_kernel_answers_the_same(tmp_path: Path) -> None:
    stage, errors = Stage(tmp_path), 0
    pair = stage.pair
    for call in calls():
        if not pair.spares(call):
            continue
        kernel, model = pair.do("kernel", call), pair.do("model", call)
        assert (call, kernel) == (call, model)
        pair.compare(thorough=False)
        errors += bool(model[1])
        if not model[1] or model[1] == ENOMEM:
            stage.undo(call, model[0])
    pair.compare(thorough=True)
    assert errors > 3000
    pair.kernel.close()


@needs_linux
def test_the_running_kernel_leaves_the_heap_where_it_is_too(tmp_path: Path) -> None:
    pair = Pair(tmp_path)
    for addr in ADDRESSES.values():
        call = "brk", addr - pair.heap
        assert (call, pair.do("kernel", call)) == (call, pair.do("model", call)) == (call, (pair.heap, 0))
    pair.compare(thorough=True)
    pair.kernel.close()


PARTLY = {("mprotect", ENOMEM), ("madvise", ENOMEM), ("mlock2", ENOMEM), ("munlock", ENOMEM)}
"""What may have been done before it failed: up to a hole, or beyond it."""


def stage() -> tuple[MmStruct, list[OpenFile]]:
    """The same few areas as above, without a kernel beside it."""
    mm, file = MmStruct(), File("/forty", 40 * PAGE)
    files = [file.open("rw"), file.open("rw"), file.open("r"), file.open("w")]
    mm.mmap(WINDOW, 8 * PAGE, 3, ANON | f.MAP_FIXED)
    mm.touch(WINDOW, True)
    mm.mmap(WINDOW + 16 * PAGE, 4 * PAGE, 1, ANON | f.MAP_FIXED)
    mm.mmap(WINDOW + 24 * PAGE, 4 * PAGE, 3, f.MAP_SHARED | f.MAP_FIXED, files[0])
    return mm, files


def refusal(mm: MmStruct, name: str, *arguments: object) -> MmError | FatalSignal | None:
    """The error that a call ends with."""
    try:
        getattr(mm, name)(*arguments)
    except (MmError, FatalSignal) as error:
        return error
    return None


def test_an_error_says_why_in_words_and_nothing_has_changed() -> None:
    (mm, files), errors = stage(), 0
    before = mm.snapshot()
    for name, *arguments in calls():
        if name == "mmap":
            *arguments, number, offset = arguments
            arguments += [files[number] if number >= 0 else None, offset]
        error = refusal(mm, name, *arguments)
        if error:
            errors += 1
            assert len(str(error).split(": ", 1)[1].split()) >= 4
            if (name, getattr(error, "errno", None)) not in PARTLY:
                assert (mm.snapshot(), name, arguments) == (before, name, arguments)
        if mm.snapshot() != before:
            mm.check()
            mm, files = stage()
            before = mm.snapshot()
    assert errors > 4000


@pytest.mark.parametrize("wrong", [1 << 64, 1 << 80, -(1 << 63) - 1])
def test_what_no_word_can_hold_is_a_value_error(wrong: int) -> None:
    mm, _ = stage()
    before = mm.snapshot()
    for call in (
        lambda: mm.mmap(wrong, PAGE, 1, ANON), lambda: mm.munmap(WINDOW, wrong), lambda: mm.brk(wrong),
        lambda: mm.mprotect(wrong, PAGE, 1), lambda: mm.mremap(WINDOW, PAGE, PAGE, 3, wrong),
        lambda: mm.madvise(WINDOW, wrong, 4), lambda: mm.mlock(wrong, PAGE), lambda: mm.touch(wrong),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=f"{wrong:#x} does not fit into a word of 64 bits"):
            call()
    assert mm.snapshot() == before
    with pytest.raises(ValueError, match="0x100000000 does not fit into a word of 32 bits"):
        MmStruct("X86").munmap(1 << 32, PAGE)


@pytest.mark.parametrize(("addr", "code", "told"), [
    (0, "SEGV_MAPERR", 0), (1, "SEGV_MAPERR", 1), (-1, "SEGV_MAPERR", MASK), (1 << 47, "SI_KERNEL", 0),
    (1 << 63, "SI_KERNEL", 0), (0xFFFF_7FFF_FFFF_F000, "SI_KERNEL", 0), (0xFFFF_8000_0000_0000, "SEGV_MAPERR", None),
    ((1 << 47) - PAGE, "SEGV_MAPERR", None), (WINDOW + 8 * PAGE + 77, "SEGV_MAPERR", None),
    (WINDOW + 30 * PAGE + 77, "SEGV_ACCERR", None),
])  # fmt: skip
def test_a_bad_access_is_told_as_the_kernel_tells_it(addr: int, code: str, told: int | None) -> None:
    """si_code and si_addr of each were seen in a handler of SIGSEGV on Linux 6.18."""
    mm, _ = stage()
    mm.mmap(WINDOW + 30 * PAGE, PAGE, 0, ANON | f.MAP_FIXED)
    before = mm.snapshot()
    with pytest.raises(FatalSignal) as caught:
        mm.touch(addr)
    assert (caught.value.signal, caught.value.code) == ("SIGSEGV", code)
    assert caught.value.addr == (addr if told is None else told)
    assert mm.snapshot() == before


def test_a_bus_error_and_a_stack_that_may_not_grow_name_the_very_byte() -> None:
    mm, _ = stage()
    mm.mmap(WINDOW, 4 * PAGE, 3, f.MAP_SHARED | f.MAP_FIXED, File("/short", PAGE).open("rw"))
    with pytest.raises(FatalSignal, match="the page lies beyond the end of /short") as caught:
        mm.touch(WINDOW + PAGE + 77, write=True)
    assert (caught.value.signal, caught.value.code, caught.value.addr) == ("SIGBUS", "BUS_ADRERR", WINDOW + PAGE + 77)
    mm.mmap(WINDOW + 40 * PAGE, PAGE, 3, ANON | f.MAP_FIXED | f.MAP_GROWSDOWN)
    with pytest.raises(FatalSignal, match="closer than 256 pages") as caught:
        mm.touch(WINDOW + 39 * PAGE + 77, write=True)
    assert (caught.value.code, caught.value.addr) == ("SEGV_MAPERR", WINDOW + 39 * PAGE + 77)


def test_a_fixed_address_among_the_last_is_taken_for_an_error() -> None:
    """mmap() hands back what the search answers, and that checks no fixed address: -12 reads as ENOMEM."""
    mm, _ = stage()
    for number in (1, 12, 17, 4095):
        with pytest.raises(MmError, match=r"takes 0x.* for the number of an error") as caught:
            mm.mmap(-number, PAGE, 1, ANON | f.MAP_FIXED)
        assert caught.value.errno == number
    with pytest.raises(MmError, match="ENOMEM"):
        mm.mmap(-4096, PAGE, 1, ANON | f.MAP_FIXED)
