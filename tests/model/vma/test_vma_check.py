"""check() names the broken rule; bad input gets Linux's errno, in words, and changes nothing."""

from __future__ import annotations

from collections.abc import Callable
from errno import EINVAL, ENOMEM
from pathlib import Path

import pytest
from differential import Pair
from vmapeers import WINDOW, needs_linux

from mmkit.errors import InvariantError, MmError
from mmkit.model import vmaflags as f
from mmkit.model.vma import File, MmStruct

PAGE, BASE = 4096, 0x1000_0000
FIXED = f.MAP_PRIVATE | f.MAP_ANONYMOUS | f.MAP_FIXED


def made() -> MmStruct:
    """Three areas: written memory, a shared one, a locked one."""
    mm = MmStruct()
    mm.mmap(BASE, 4 * PAGE, 3, FIXED)
    mm.touch(BASE, write=True)
    mm.mmap(BASE + 8 * PAGE, 4 * PAGE, 3, f.MAP_SHARED | f.MAP_ANONYMOUS | f.MAP_FIXED)
    mm.mmap(BASE + 16 * PAGE, 4 * PAGE, 1, FIXED)
    mm.mlock(BASE + 16 * PAGE, 4 * PAGE)
    mm.check()
    return mm


def moved(number: int, start: int, end: int) -> Callable[[MmStruct], object]:
    return lambda mm: mm.index.set_range(mm.vmas[number], BASE + start, BASE + end)


def set_of(number: int, **values: object) -> Callable[[MmStruct], object]:
    return lambda mm: [setattr(mm.vmas[number], name, value) for name, value in values.items()]


def counted(name: str) -> Callable[[MmStruct], object]:
    return lambda mm: setattr(mm, name, getattr(mm, name) + 1)


BROKEN: dict[str, Callable[[MmStruct], object]] = {
    "aligned": moved(0, 1, 4 * PAGE),
    "not empty": moved(0, 4 * PAGE, 4 * PAGE),
    "in order, no overlap": moved(1, 2 * PAGE, 12 * PAGE),
    "in user space": moved(2, 16 * PAGE, 1 << 47),
    "map_count": lambda mm: setattr(mm, "max_map_count", 1),
    "shared, no anon_vma": set_of(1, anon_vma=1),
    "forked, anon_vma": set_of(2, forked=True),
    "anon_vma exists": set_of(0, anon_vma=7),
    "total_vm": counted("total_vm"),
    "locked_vm": counted("locked_vm"),
    "data_vm": counted("data_vm"),
    "exec_vm": counted("exec_vm"),
    "stack_vm": counted("stack_vm"),
    "resident pages are mapped": lambda mm: mm.resident.put((BASE >> 12) + 6, "a"),
    "resident pages are counted": lambda mm: mm.resident._counts.update(a=0),
    "own pages have an anon_vma": set_of(0, anon_vma=None),
    "index: each area is filed under its end": set_of(0, vm_end=BASE + 5 * PAGE),
}


@pytest.mark.parametrize("rule", BROKEN)
def test_a_broken_rule_is_named(rule: str) -> None:
    mm = made()
    BROKEN[rule](mm)
    with pytest.raises(InvariantError) as caught:
        mm.check()
    assert str(caught.value).startswith(rule)


KERNEL, NOWHERE, LAST = 0xFFFF_8000_0000_0000, 0x8000_0000_0000, (1 << 64) - PAGE
BAD: dict[str, tuple[str, tuple[int, ...], int]] = {
    "munmap, not aligned": ("munmap", (BASE + 1, PAGE), EINVAL),
    "munmap, nothing": ("munmap", (BASE, 0), EINVAL),
    "munmap, negative": ("munmap", (BASE, (1 << 64) - PAGE), EINVAL),
    "munmap, the kernel's half": ("munmap", (KERNEL, PAGE), EINVAL),
    "munmap, no address at all": ("munmap", (NOWHERE, PAGE), EINVAL),
    "mprotect, not aligned": ("mprotect", (BASE + 1, PAGE, 1), EINVAL),
    "mprotect, wraps": ("mprotect", (BASE, (1 << 64) - PAGE, 1), ENOMEM),
    "mprotect, rights unknown": ("mprotect", (BASE, PAGE, 16), EINVAL),
    "mprotect, the kernel's half": ("mprotect", (KERNEL, PAGE, 1), ENOMEM),
    "madvise, unknown": ("madvise", (BASE, PAGE, 999), EINVAL),
    "madvise, not aligned": ("madvise", (BASE + 1, PAGE, 4), EINVAL),
    "madvise, wraps": ("madvise", (LAST, 2 * PAGE, 4), EINVAL),
    "madvise, the kernel's half": ("madvise", (KERNEL, PAGE, 4), ENOMEM),
    "mlock, nothing there": ("mlock", (BASE + 5 * PAGE, PAGE), ENOMEM),
    "mlock2, flags unknown": ("mlock2", (BASE, PAGE, 6), EINVAL),
    "mremap, flags unknown": ("mremap", (BASE, PAGE, PAGE, 64), EINVAL),
    "mremap, to nothing": ("mremap", (BASE, PAGE, 0), EINVAL),
    "mremap, larger than all": ("mremap", (BASE, PAGE, 1 << 50, 1), EINVAL),
    "mremap, to the kernel's half": ("mremap", (BASE, PAGE, PAGE, 3, KERNEL), EINVAL),
    "mmap, nothing": ("mmap", (0, 0, 1, FIXED), EINVAL),
    "mmap, wraps": ("mmap", (0, (1 << 64) - 1, 1, FIXED), ENOMEM),
    "mmap, not aligned": ("mmap", (BASE + 1, PAGE, 1, FIXED), EINVAL),
    "mmap, the kernel's half": ("mmap", (KERNEL, PAGE, 1, FIXED), ENOMEM),
    "mmap, no address at all": ("mmap", (NOWHERE, PAGE, 1, FIXED), ENOMEM),
    "mmap, neither private nor shared": ("mmap", (0, PAGE, 1, f.MAP_ANONYMOUS), EINVAL),
}


@pytest.mark.parametrize("what", BAD)
def test_bad_input_is_refused_as_linux_refuses_it_and_changes_nothing(what: str) -> None:
    mm = made()
    before = mm.snapshot()
    call, arguments, errno = BAD[what]
    with pytest.raises(MmError) as caught:
        getattr(mm, call)(*arguments)
    assert caught.value.errno == errno
    assert len(str(caught.value).split(": ", 1)[1].split()) >= 5, "the error says in words what is wrong"
    assert mm.snapshot() == before


def test_brk_answers_nonsense_with_where_it_is() -> None:
    mm = made()
    mm.start_brk = mm.end_brk = BASE + 100 * PAGE
    before = mm.snapshot()
    for addr in (0, BASE, KERNEL, (1 << 64) - 1, -1):
        assert mm.brk(addr) == BASE + 100 * PAGE
    assert mm.snapshot() == before


@pytest.mark.parametrize("value", [None, 1.5, "4096", True, b"\0"])
def test_what_is_no_number_is_a_type_error_with_the_value(value: object) -> None:
    mm = made()
    for call in (mm.munmap, mm.mlock, mm.munlock):
        with pytest.raises(TypeError, match="whole number"):
            call(value, PAGE)  # type: ignore[arg-type]
        with pytest.raises(TypeError, match="length is a whole number"):
            call(BASE, value)  # type: ignore[arg-type]


@pytest.mark.parametrize(("make", "words"), [
    (lambda: File("/x", 10, kind="nfs"), "ext4, tmpfs, ramfs, not on 'nfs'"),
    (lambda: File("/x", 10).open("a"), "'r', 'w', 'rw', not as 'a'"),
    (lambda: MmStruct(kernel="4.4"), "kernel 4.4 are not known"),
    (lambda: MmStruct(kernel="new"), "written like '6.18', not 'new'"),
    (lambda: MmStruct("VAX"), "unknown architecture 'VAX'"),
])  # fmt: skip
def test_what_cannot_be_made_is_said_in_words(make: Callable[[], object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        make()


def test_a_limit_on_address_space_data_and_locked_memory() -> None:
    mm = MmStruct(as_limit=8 * PAGE, data_limit=4 * PAGE, memlock_limit=2 * PAGE)
    mm.mmap(BASE, 4 * PAGE, 3, FIXED)
    for arguments, errno in (
        ((BASE + 8 * PAGE, PAGE, 3, FIXED), ENOMEM), ((BASE + 8 * PAGE, 5 * PAGE, 1, FIXED), ENOMEM),
        ((BASE + 8 * PAGE, 3 * PAGE, 1, FIXED | f.MAP_LOCKED), 11),
    ):  # fmt: skip
        with pytest.raises(MmError) as caught:
            mm.mmap(*arguments)
        assert caught.value.errno == errno
    mm.mlock(BASE, 2 * PAGE)
    mm.mlock(BASE, 2 * PAGE)
    with pytest.raises(MmError) as caught:
        mm.mlock(BASE, 3 * PAGE)
    assert caught.value.errno == ENOMEM


@needs_linux
def test_what_was_written_stays_when_its_file_is_punched(tmp_path: Path) -> None:
    pair = Pair(tmp_path)
    private, shared = WINDOW, WINDOW + 16 * PAGE
    for call in (
        ("mmap", private, 8 * PAGE, 3, f.MAP_PRIVATE | f.MAP_FIXED, 0, 0), ("touch", private, True),
        ("touch", private + PAGE, False), ("mmap", shared, 8 * PAGE, 3, f.MAP_SHARED | f.MAP_FIXED, 1, 0),
        ("touch", shared, True), ("madvise", shared, 4 * PAGE, f.MADV_REMOVE),
    ):  # fmt: skip
        assert pair.do("kernel", call) == pair.do("model", call)
        pair.compare(thorough=True)
    assert [(area.rss, area.anon) for area in pair.model.areas() if area.start == private] == [(5, 1)]
    pair.kernel.close()


def test_65_530_areas_and_no_more() -> None:
    mm = MmStruct(max_map_count=100)
    mm.mmap(BASE, 1000 * PAGE, 3, FIXED)
    for page in range(1, 98, 2):
        mm.mprotect(BASE + page * PAGE, PAGE, 1)
    assert mm.map_count == 99
    with pytest.raises(MmError, match=r"100 areas are as many as the process may have \(vm.max_map_count\)"):
        mm.mprotect(BASE + 99 * PAGE, PAGE, 1)
    assert mm.map_count == 100
    with pytest.raises(MmError, match="a hole would make one area more than 100"):
        mm.munmap(BASE + 901 * PAGE, PAGE)
    mm.munmap(BASE, PAGE)
    mm.check()
