"""The rules of Linux 6.18 on areas, one test each, named after its number: on the model, and on the running kernel.

Rules that a running kernel of another version has otherwise are those of ``mmkit.model.vma.rules``: V1, V2.
"""

from __future__ import annotations

from collections.abc import Iterator
from errno import EACCES, EBADF, EEXIST, EFAULT, EINVAL, ENOMEM, EOPNOTSUPP, EOVERFLOW
from pathlib import Path

import pytest
from rulebench import ANON, FIXED, NONE, PRIVATE, RW, RWX, RX, SHARED, Bench, R
from vmapeers import PAGE, WINDOW, KernelPeer, ModelPeer, needs_linux, running_rules

from mmkit.model import vmaflags as f
from mmkit.model.vma.rules import get_rules

HUGE = 512


@pytest.fixture(params=["model", pytest.param("kernel", marks=needs_linux)])
def bench(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Bench]:
    peer = KernelPeer() if request.param == "kernel" else ModelPeer()
    yield Bench(peer, tmp_path)
    peer.close()


@pytest.fixture
def model(tmp_path: Path) -> Bench:
    return Bench(ModelPeer(), tmp_path)


def rules_of(bench: Bench) -> str:
    """The version whose rules hold for the peer of a bench."""
    return running_rules() if isinstance(bench.peer, KernelPeer) else "6.18"


def modern(bench: Bench, rule: str) -> bool:
    """Say whether a rule that changed over time is in force."""
    return bool(getattr(get_rules(rules_of(bench)), rule))


def test_r01_what_an_area_is_made_of_and_what_only_merging_shows(model: Bench) -> None:
    file = model.file()
    model.map(0, 2, file=file, offset=3)
    model.write(0)
    vma = model.peer.mm.find_vma(WINDOW)
    assert (vma.vm_start, vma.vm_end, vma.vm_pgoff, vma.vm_file) == (WINDOW, WINDOW + 2 * PAGE, 3, file)
    assert (vma.anon_vma, vma.forked, vma.perms) == (1, False, "rw-p")
    model.fork()
    assert (model.peer.mm.find_vma(WINDOW).anon_vma, model.peer.mm.find_vma(WINDOW).forked) == (2, True)


def test_r02_page_offsets(bench: Bench) -> None:
    bench.map(0, 4, R)
    bench.map(8, 4, R, SHARED | FIXED)
    bench.map(16, 4, R, PRIVATE | FIXED, bench.file(), offset=5)
    assert bench.offsets() == [0, 0, 5]
    for page in (1, 9, 17):
        bench.do("mprotect", page, 1, NONE)
    assert bench.offsets() == [0, 0, 0, 0, 1, 2, 5, 6, 7]
    if isinstance(bench.peer, ModelPeer):
        assert bench.peer.mm.find_vma(WINDOW + PAGE).vm_pgoff == (WINDOW + PAGE) >> 12
        bench.clear()
        bench.map(60, 2, flags=PRIVATE | FIXED | f.MAP_GROWSDOWN)
        bench.write(50)
        assert bench.peer.mm.find_vma(WINDOW + 50 * PAGE).vm_pgoff == (WINDOW + 50 * PAGE) >> 12


FLAGS = {
    "rights": ("mprotect", RWX), "dontfork": ("madvise", 10), "dontdump": ("madvise", 16),
    "wipeonfork": ("madvise", 18), "random": ("madvise", 1), "sequential": ("madvise", 2),
    "nohugepage": ("madvise", 15), "hugepage": ("madvise", 14), "locked": ("mlock2", 1),
}  # fmt: skip


@pytest.mark.parametrize("flag", FLAGS)
def test_r03_neighbours_with_another_flag_do_not_merge(bench: Bench, flag: str) -> None:
    name, how = FLAGS[flag]
    bench.map(0, 2)
    bench.do(name, 0, 2, how)
    bench.map(2, 2)
    assert bench.pieces == [(0, 2), (2, 4)]
    bench.do(name, 2, 2, how)
    assert bench.pieces == [(0, 4)]


def test_r03_the_object_and_the_offsets_have_to_fit(bench: Bench) -> None:
    file = bench.file()
    other = bench.again()
    bench.map(0, 2, R, file=file, offset=0)
    bench.map(2, 2, R, file=file, offset=2)
    assert bench.pieces == [(0, 4)]
    bench.map(4, 2, R, file=other, offset=4)
    bench.map(6, 2, R, file=other, offset=7)
    assert bench.pieces == [(0, 4), (4, 6), (6, 8)]
    bench.map(20, 2, RW, SHARED | FIXED)
    bench.map(22, 2, RW, SHARED | FIXED)
    assert bench.pieces[3:] == [(20, 22), (22, 24)]
    bench.map(30, 2, R, PRIVATE | FIXED | f.MAP_NORESERVE)
    bench.map(32, 2, R)
    assert bench.pieces[5:] == [(30, 32), (32, 34)]


def apart(bench: Bench) -> None:
    """Two neighbours with an anon_vma each: written while something lay between that keeps them from sharing one."""
    bench.map(0, 2)
    bench.map(4, 2)
    bench.write(0, 4)


def test_r04_anon_vmas_fit_if_one_side_has_none(bench: Bench) -> None:
    bench.map(0, 2)
    bench.write(0)
    bench.map(2, 2)
    assert bench.pieces == [(0, 4)]
    bench.clear()
    bench.map(2, 2)
    bench.write(2)
    bench.map(0, 2)
    assert bench.pieces == [(0, 4)]
    bench.clear()
    bench.map(0, 2, R)
    bench.map(2, 2)
    bench.write(2)
    bench.do("mprotect", 0, 2, RW)
    assert bench.pieces == [(0, 4)]


def test_r05_between_two_with_anon_vmas_of_their_own_only_the_left_one_takes_it(bench: Bench) -> None:
    apart(bench)
    bench.map(2, 2)
    assert bench.pieces == ([(0, 4), (4, 6)] if modern(bench, "new_between_asks_both") else [(0, 2), (2, 6)])


def test_r06_who_survives_takes_the_anon_vma_over(model: Bench) -> None:
    model.map(4, 2)
    model.write(4)
    model.map(0, 2)
    below, above = model.peer.mm.vmas
    model.map(2, 2)
    assert model.peer.mm.vmas == (below,)
    assert (below.anon_vma, below.forked) == (1, False)
    model.clear()
    model.map(4, 2)
    (above,) = model.peer.mm.vmas
    model.map(2, 2)
    assert model.peer.mm.vmas == (above,)
    assert above.vm_start == WINDOW + 2 * PAGE


WAYS_TO_AN_ANON_VMA = {
    "write": (lambda b: b.write(0), True), "read": (lambda b: b.read(0), False),
    "mlock": (lambda b: b.do("mlock", 0, 1), True),
    "written, then dropped": (lambda b: (b.write(0), b.do("madvise", 0, 2, 4)), True),
    "written, read-only and back": (
        lambda b: (b.write(0), b.do("mprotect", 0, 2, R), b.do("mprotect", 0, 2, RW)), True,
    ),
}  # fmt: skip


@pytest.mark.parametrize("way", WAYS_TO_AN_ANON_VMA)
def test_r07_what_attaches_an_anon_vma(bench: Bench, way: str) -> None:
    do, attached = WAYS_TO_AN_ANON_VMA[way]
    bench.map(0, 2)
    do(bench)
    bench.do("munlock", 0, 2)
    bench.map(4, 2)
    bench.write(4)
    bench.map(2, 2)
    assert bench.pieces == ([(0, 4), (4, 6)] if attached else [(0, 6)])


def test_r07_populating_attaches_and_shared_memory_never_has_one(bench: Bench) -> None:
    bench.map(0, 2, flags=PRIVATE | FIXED | f.MAP_POPULATE)
    bench.map(4, 2)
    bench.write(4)
    bench.map(2, 2)
    assert bench.pieces == [(0, 4), (4, 6)]
    file = bench.file()
    bench.clear()
    bench.map(0, 2, RW, SHARED | FIXED, file, 0)
    bench.map(4, 2, RW, SHARED | FIXED, file, 4)
    bench.write(0, 4)
    bench.map(2, 2, RW, SHARED | FIXED, file, 2)
    assert bench.pieces == [(0, 6)]


def test_r07_a_stack_that_grows_gets_one_even_by_a_read(model: Bench) -> None:
    model.map(100, 2, flags=PRIVATE | FIXED | f.MAP_GROWSDOWN)
    model.read(99)
    assert model.peer.mm.find_vma(WINDOW + 99 * PAGE).anon_vma == 1


def test_r08_neighbours_that_differ_in_rights_only_share_one(bench: Bench) -> None:
    bench.map(0, 4)
    bench.do("mprotect", 2, 2, RWX)
    bench.write(0, 2)
    bench.do("mprotect", 2, 2, RW)
    assert bench.pieces == [(0, 4)]
    bench.clear()
    bench.map(0, 4)
    bench.do("madvise", 2, 2, f.MADV_DONTDUMP)
    bench.write(0, 2)
    bench.do("madvise", 2, 2, f.MADV_DODUMP)
    assert bench.pieces == [(0, 2), (2, 4)]


def test_r08_the_next_ones_is_asked_for_first(model: Bench) -> None:
    model.map(0, 6)
    model.do("mprotect", 2, 2, RX)
    model.do("mprotect", 2, 2, RW)
    model.do("munmap", 2, 2)
    model.write(0, 4)
    model.map(2, 2, RWX)
    model.write(2)
    assert [vma.anon_vma for vma in model.peer.mm.vmas] == [1, 2, 2]


def test_r09_unmapping_touching_and_doing_nothing_merge_nothing(bench: Bench) -> None:
    bench.map(0, 4)
    bench.do("madvise", 2, 2, f.MADV_DONTDUMP)
    bench.write(0)
    bench.do("madvise", 2, 2, f.MADV_DODUMP)
    assert bench.pieces == [(0, 4)]
    bench.clear()
    apart(bench)
    bench.map(2, 2)
    bench.do("mprotect", 0, 6, RW)
    bench.do("madvise", 0, 6, 0)
    bench.do("munlock", 0, 6)
    bench.read(3)
    bench.do("munmap", 5, 1)
    assert len(bench.pieces) == 2


def test_r10_a_change_moves_a_boundary_or_splits_in_up_to_three(bench: Bench) -> None:
    bench.map(0, 9)
    bench.do("mprotect", 3, 3, R)
    assert bench.pieces == [(0, 3), (3, 6), (6, 9)]
    bench.do("mprotect", 2, 1, R)
    assert bench.pieces == [(0, 2), (2, 6), (6, 9)]
    bench.do("mprotect", 5, 1, RW)
    assert bench.pieces == [(0, 2), (2, 5), (5, 9)]
    bench.do("mprotect", 3, 1, RW)
    assert bench.pieces == [(0, 2), (2, 3), (3, 4), (4, 5), (5, 9)]
    bench.do("mprotect", 2, 3, RW)
    assert bench.pieces == [(0, 9)]


@pytest.mark.parametrize("right", "urw")
@pytest.mark.parametrize("left", "urw")
def test_r11_new_between_neighbours(bench: Bench, left: str, right: str) -> None:
    bench.map(0, 2)
    bench.map(4, 2)
    for page, how in ((0, left), (4, right)):
        {"u": lambda _: None, "r": bench.read, "w": bench.write}[how](page)
    bench.map(2, 2)
    if modern(bench, "new_between_asks_both"):
        assert bench.pieces == ([(0, 4), (4, 6)] if (left, right) == ("w", "w") else [(0, 6)])
    assert sum(end - start for start, end in bench.pieces) == 6


def test_r12_over_the_middle_of_its_like(bench: Bench) -> None:
    bench.map(0, 6)
    bench.write(0, 2, 3, 5)
    assert bench.pages == [(4, 4)]
    bench.map(2, 2)
    assert (bench.pieces, bench.pages) == ([(0, 6)], [(2, 2)])


def test_r13_errors_of_mmap(bench: Bench) -> None:
    bench.map(4, 1)

    def errno(
        addr: float = 0,
        pages: float = 1,
        prot: int = R,
        flags: int = PRIVATE | ANON,
        file: object = None,
        offset: int = 0,
    ) -> int:
        try:
            bench.peer.mmap(int(WINDOW + addr * PAGE), int(pages * PAGE), prot, flags, file, offset)
        except OSError as error:
            return error.errno or 0
        return 0

    file, reader, writer = bench.file(), bench.again("r"), bench.again("w")
    assert errno(offset=1) == EINVAL
    assert errno(flags=PRIVATE) == EBADF
    assert errno(pages=0) == EINVAL
    assert errno(pages=-1 / PAGE) == ENOMEM
    assert errno(flags=PRIVATE, file=file, offset=-PAGE, pages=2) == EOVERFLOW
    assert errno(pages=1 << 36) == ENOMEM
    assert errno(addr=1 << 36, flags=PRIVATE | ANON | FIXED) == ENOMEM
    assert errno(addr=0.5, flags=PRIVATE | ANON | FIXED) == EINVAL
    assert errno(addr=3, pages=2, flags=PRIVATE | ANON | f.MAP_FIXED_NOREPLACE) == EEXIST
    assert errno(flags=ANON) == EINVAL
    assert errno(flags=ANON | 3) == EINVAL
    assert errno(flags=3 | 1 << 25, file=file) == EOPNOTSUPP
    assert errno(flags=SHARED | 1 << 25, file=file) == 0
    assert errno(flags=SHARED, prot=RW, file=reader) == EACCES
    assert errno(flags=PRIVATE, file=writer) == EACCES
    assert errno(flags=PRIVATE | f.MAP_GROWSDOWN, file=file) == EINVAL
    assert errno(flags=SHARED | ANON | f.MAP_GROWSDOWN) == EINVAL
    assert bench.errno("map", 4, 1, R, ANON | FIXED) == EINVAL
    assert (4, 5) in bench.pieces, "what was mapped there is unmapped only after all these checks"
    assert errno(prot=R | 16) == 0


def test_r14_lengths_round_up_hints_down(bench: Bench) -> None:
    assert bench.peer.mmap(WINDOW + 5 * PAGE + 123, 1, R, PRIVATE | ANON) == WINDOW + 5 * PAGE
    assert bench.peer.mmap(WINDOW + 9 * PAGE, PAGE + 1, R, PRIVATE | ANON, None, 7 * PAGE) == WINDOW + 9 * PAGE
    assert bench.pieces == [(5, 6), (9, 11)]
    assert bench.offsets() == [0, 0]


def test_r15_shared_memory_of_a_file_open_for_reading(bench: Bench) -> None:
    bench.map(0, 2, R, SHARED | FIXED, bench.file(mode="r"))
    assert bench.perms == ["r--s"]
    assert bench.letters == ["rd mr me ms"]
    assert bench.errno("do", "mprotect", 0, 2, RW) == EACCES


def test_r16_what_is_accounted(bench: Bench) -> None:
    bench.map(0, 1, RW)
    bench.map(2, 1, R)
    bench.map(4, 1, RW, SHARED | FIXED)
    bench.map(6, 1, RW, PRIVATE | FIXED | f.MAP_NORESERVE)
    bench.map(8, 1, R, PRIVATE | FIXED | f.MAP_NORESERVE)
    assert [("ac" in line, "nr" in line) for line in bench.letters] == [
        (True, False), (False, False), (False, False), (False, True), (False, True),
    ]  # fmt: skip


def test_r17_beyond_the_end(bench: Bench) -> None:
    bench.map(0, 6, RW, PRIVATE | FIXED, bench.file(pages=2, more=1))
    bench.write(2)
    assert [bench.refuses(page, write) for page in (3, 5) for write in (False, True)] == [True] * 4
    bench.map(20, 2, RW, SHARED | FIXED)
    bench.write(20)
    assert bench.move(20, 2, 4) == 20
    assert [bench.refuses(page) for page in (21, 22, 23)] == [False, True, True]


def test_r18_mprotect_stops_where_it_fails(bench: Bench) -> None:
    bench.map(0, 2)
    bench.map(3, 2)
    grow = f.PROT_GROWSDOWN
    for page, pages, prot, errno in (
        (0.5, 1, R, EINVAL), (0, 0, R, 0), (0, -1, R, ENOMEM), (0, 1, 16, EINVAL), (0, 1, R | f.PROT_SEM, 0),
        (0, 1, R | grow | f.PROT_GROWSUP, EINVAL), (2, 1, R, ENOMEM), (0, 1, R | grow, EINVAL),
    ):  # fmt: skip
        assert (page, pages, prot, bench.errno("do", "mprotect", page, pages, prot)) == (page, pages, prot, errno)
    assert bench.errno("do", "mprotect", 0, 5, RX) == ENOMEM
    assert (bench.pieces, bench.perms) == ([(0, 2), (3, 5)], ["r-xp", "rw-p"])
    bench.clear()
    bench.map(0, 2)
    bench.map(2, 2, R, SHARED | FIXED, bench.file(mode="r"))
    assert bench.errno("do", "mprotect", 0, 4, RWX) == EACCES
    assert bench.perms == ["rwxp", "r--s"]
    bench.map(300 // 4, 4, flags=PRIVATE | FIXED | f.MAP_GROWSDOWN)
    bench.do("mprotect", 77, 1, R | grow)
    assert (bench.pieces[2:], bench.perms[2:]) == ([(75, 78), (78, 79)], ["r--p", "rw-p"])


def test_r19_accounting_follows_the_right_to_write(bench: Bench) -> None:
    bench.map(0, 1, R)
    bench.do("mprotect", 0, 1, RW)
    assert bench.letters == ["rd wr mr mw me ac"]
    bench.do("mprotect", 0, 1, R)
    assert bench.letters == ["rd mr mw me" + (" ac" if not modern(bench, "unaccounts_unfaulted") else "")]
    bench.do("mprotect", 0, 1, RW)
    bench.write(0)
    bench.do("mprotect", 0, 1, R)
    bench.map(1, 1, R)
    assert bench.letters == ["rd mr mw me ac", "rd mr mw me"]
    bench.clear()
    bench.map(0, 1, RW, PRIVATE | FIXED, bench.file())
    bench.do("mprotect", 0, 1, R)
    assert bench.letters == ["rd mr mw me ac"]


def test_r20_locked_memory_that_may_be_written_is_copied_at_once(bench: Bench) -> None:
    bench.map(0, 2, R, PRIVATE | FIXED, bench.file())
    bench.do("mlock", 0, 2)
    assert bench.pages == [(2, 0)]
    bench.do("mprotect", 0, 2, RW)
    assert bench.pages == [(2, 2)]


def test_r21_madvise_leaves_out_holes_and_stops_at_errors(bench: Bench) -> None:
    bench.map(0, 2)
    bench.map(4, 2)
    assert bench.errno("do", "madvise", 0, 1, 99) == EINVAL
    assert bench.errno("do", "madvise", 0.5, 1, 0) == EINVAL
    assert bench.errno("do", "madvise", 0, 0, 0) == 0
    assert bench.errno("do", "madvise", 0, 6, f.MADV_DONTDUMP) == ENOMEM
    assert ["dd" in line for line in bench.letters] == [True, True]
    bench.write(0, 1, 4, 5)
    bench.do("mlock", 4, 2)
    assert bench.errno("do", "madvise", 0, 6, f.MADV_DONTNEED) == EINVAL
    assert bench.pages == [(0, 0), (2, 2)]
    bench.map(8, 2, R, PRIVATE | FIXED, bench.file())
    assert [bench.errno("do", "madvise", 8, 1, advice) for advice in (8, 18)] == [EINVAL, EINVAL]


def test_r22_mlock(bench: Bench) -> None:
    bench.map(0, 4)
    bench.do("mlock", 1.5, 1)
    assert bench.pieces == [(0, 1), (1, 3), (3, 4)]
    assert bench.pages == [(0, 0), (2, 2), (0, 0)]
    assert bench.errno("do", "mlock", 0, 6) == ENOMEM
    assert bench.pieces == [(0, 4)]
    assert bench.pages == [(2, 2)], "nothing is populated after an error"
    assert bench.errno("do", "mlock", 5, 1) == ENOMEM
    bench.map(10, 2, NONE)
    assert bench.errno("do", "mlock", 10, 2) == ENOMEM
    bench.map(20, 3, R, PRIVATE | FIXED, bench.file(pages=2))
    assert bench.errno("do", "mlock", 20, 3) == ENOMEM
    bench.map(30, 2, R)
    bench.do("mlock", 30, 2)
    assert bench.pages[1:] == [(0, 0), (2, 0), (0, 0)]
    assert ["lo" in line for line in bench.letters] == [True] * 4
    bench.map(40, 2)
    bench.do("mlock2", 40, 2, f.MLOCK_ONFAULT)
    assert (bench.pages[-1], "lo lf" in bench.letters[-1] or "lf" in bench.letters[-1]) == ((0, 0), True)
    assert bench.errno("do", "mlock2", 40, 2, 2) == EINVAL


def test_r23_munmap(bench: Bench) -> None:
    bench.map(0, 6)
    for page, pages, errno in ((0.5, 1, EINVAL), (0, 0, EINVAL), (1 << 36, 1, EINVAL), (100, 1, 0)):
        assert bench.errno("do", "munmap", page, pages) == errno
    bench.do("munmap", 2, 2)
    assert bench.pieces == [(0, 2), (4, 6)]
    bench.do("munmap", 1, 4)
    assert bench.pieces == [(0, 1), (5, 6)]


def test_r24_errors_of_mremap(bench: Bench) -> None:
    bench.map(0, 4)
    may, fixed, stay = f.MREMAP_MAYMOVE, f.MREMAP_FIXED, f.MREMAP_DONTUNMAP
    for arguments, errno in (
        ((0, 4, 8, 8), EINVAL), ((0.5, 1, 2, may), EINVAL), ((0, 4, 0, may), EINVAL),
        ((0, 4, 4, may | fixed, 20.5), EINVAL),
        ((0, 4, 4, fixed, 20), EINVAL), ((0, 4, 4, stay, 20), EINVAL), ((0, 4, 5, may | stay, 20), EINVAL),
        ((0, 4, 4, may | fixed, 2), EINVAL), ((0, 0, 4, may), EINVAL), ((50, 1, 2, may), EFAULT),
        ((2, 4, 8, may), EFAULT), ((1, 4, 3, may | fixed, 20), 0),
    ):  # fmt: skip
        assert (arguments, bench.errno("move", *arguments)) == (arguments, errno)
    assert bench.pieces == [(0, 1), (20, 23)]


def test_r25_the_same_size_and_less(bench: Bench) -> None:
    bench.map(0, 2)
    assert bench.move(0, 8, 8) == 0
    bench.map(4, 2)
    assert bench.move(0, 8, 1) == 0
    assert bench.pieces == [(0, 1)]


def test_r26_growing_in_place(bench: Bench) -> None:
    bench.map(0, 2)
    bench.map(4, 2)
    assert bench.move(0, 2, 4) == 0
    assert bench.pieces == [(0, 6)]
    assert bench.errno("move", 0, 2, 3) == ENOMEM
    bench.map(6, 1, R)
    assert bench.errno("move", 0, 6, 7) == ENOMEM
    assert not 0 <= bench.move(0, 6, 7, f.MREMAP_MAYMOVE) <= 160


def test_r27_a_move_keeps_the_offset_of_what_was_written(bench: Bench) -> None:
    bench.map(0, 2)
    bench.map(20, 2)
    bench.move(0, 2, 2, 3, to=22)
    assert bench.pieces == [(20, 24)], "unwritten memory is numbered anew, and merges"
    bench.clear()
    bench.map(0, 4)
    bench.write(0, 1, 2, 3)
    bench.map(20, 2)
    bench.move(2, 2, 2, 3, to=22)
    assert bench.pieces == [(0, 2), (20, 22), (22, 24)], "written memory keeps its numbers"
    assert bench.pages == [(2, 2), (0, 0), (2, 2)]
    bench.move(22, 2, 2, 3, to=2)
    assert bench.pieces == [(0, 4), (20, 22)], "and merges again where it came from"


def test_r28_several_areas_move_at_once(bench: Bench) -> None:
    bench.map(0, 2)
    bench.map(3, 2, R)
    if not modern(bench, "remap_many"):
        assert bench.errno("move", 0, 5, 5, 3, to=20) == EFAULT
        return
    assert bench.move(0, 5, 5, 3, to=20) == 20
    assert (bench.pieces, bench.perms) == ([(20, 22), (23, 25)], ["rw-p", "r--p"])
    assert bench.errno("move", 20, 5, 6, 3, to=40) == EFAULT


def test_r29_the_old_area_stays(bench: Bench) -> None:
    bench.map(0, 2)
    bench.do("mlock", 0, 2)
    bench.move(0, 2, 2, 5, to=20)
    assert (bench.pieces, bench.pages) == ([(0, 2), (20, 22)], [(0, 0), (2, 2)])
    assert ["lo" in line for line in bench.letters] == [False, True]
    file = bench.file()
    bench.map(40, 2, RW, SHARED | FIXED, file)
    bench.move(40, 0, 2, 3, to=44)
    assert bench.pieces[2:] == [(40, 42), (44, 46)]


def test_r30_locked_memory_that_grows_is_populated(bench: Bench) -> None:
    bench.map(0, 2)
    bench.do("mlock", 0, 2)
    bench.move(0, 2, 4)
    assert (bench.pieces, bench.pages) == ([(0, 4)], [(4, 4)])


def free_ranges(bench: Bench) -> list[tuple[int, int]]:
    """The gaps of an address space below its mmap base, from its maps."""
    areas = [(area.start, area.end) for area in bench.peer.areas() if area.name != "[stack]"]
    starts = [start for start, _ in areas] + [0x7FFF_F7FF_F000]
    return [
        (end, start) for end, start in zip([0x10000] + [end for _, end in areas], starts, strict=True) if start > end
    ]


def test_r31_a_free_hint_else_the_top_of_the_highest_gap(bench: Bench) -> None:
    assert bench.map(7, 2, R, PRIVATE) == 7
    for pages in (1, 7, 3, 1, 40, 2):
        expected = max(top - pages * PAGE for low, top in free_ranges(bench) if top - low >= pages * PAGE)
        assert bench.peer.mmap(WINDOW + 7 * PAGE, pages * PAGE, RWX, PRIVATE | ANON) == expected


def test_r32_whole_huge_pages_are_aligned(bench: Bench) -> None:
    if not modern(bench, "aligns_anonymous"):
        pytest.skip("kernels before 6.7 do not align anonymous memory")
    addr = bench.peer.mmap(0, HUGE * PAGE, NONE, PRIVATE | ANON)
    assert addr % (HUGE * PAGE) == 0
    addr = bench.peer.mmap(0, HUGE * PAGE + PAGE, NONE, PRIVATE | ANON)
    gaps = free_ranges(bench)
    assert addr % (HUGE * PAGE) or not gaps
    assert bench.peer.mmap(0, HUGE * PAGE, NONE, SHARED | ANON) % (HUGE * PAGE)


def test_r33_nothing_is_placed_right_below_a_stack(bench: Bench) -> None:
    addr = bench.peer.mmap(0, 600 * PAGE, R, PRIVATE | ANON)
    bench.peer.mmap(addr + 500 * PAGE, 100 * PAGE, RW, PRIVATE | ANON | FIXED | f.MAP_GROWSDOWN)
    bench.peer.call("munmap", addr, 500 * PAGE)
    assert bench.peer.mmap(addr + 234 * PAGE, 10 * PAGE, R, PRIVATE | ANON) == addr + 234 * PAGE
    assert bench.peer.mmap(addr + 300 * PAGE, 10 * PAGE, R, PRIVATE | ANON) != addr + 300 * PAGE
    assert bench.peer.mmap(addr + 490 * PAGE, 10 * PAGE, R, PRIVATE | ANON | FIXED) == addr + 490 * PAGE


def test_r34_a_stack_grows_up_to_its_guard_gap(bench: Bench) -> None:
    stack = PRIVATE | FIXED | f.MAP_GROWSDOWN
    base = WINDOW + (4 << 20)

    def place(page: int, pages: int, prot: int, flags: int) -> None:
        bench.peer.mmap(base + page * PAGE, pages * PAGE, prot, flags | ANON)

    def grows(page: int) -> bool:
        return not bench.refuses((base - WINDOW) // PAGE + page, write=True)

    place(1000, 2, RW, stack)
    place(700, 3, RW, PRIVATE | FIXED)
    assert [grows(page) for page in (990, 959, 958, 957)] == [True, True, False, False]
    place(700, 3, NONE, PRIVATE | FIXED)
    assert [grows(page) for page in (958, 703)] == [True, True]
    place(5000, 2, RW, stack)
    assert [grows(page) for page in (5002 - 2048, 5002 - 2049)] == [True, False]


def test_r35_the_heap(bench: Bench) -> None:
    if isinstance(bench.peer, ModelPeer):
        bench.peer.mm.start_brk = bench.peer.mm.end_brk = 0x5000_0000
    end = bench.peer.call("brk", 0)

    def brk(pages: float) -> float:
        return (bench.peer.call("brk", int(end + pages * PAGE)) - end) / PAGE

    assert [brk(2), brk(2.5), brk(1), brk(3)] == [2, 2.5, 1, 3]
    assert bench.peer.call("brk", 1) == end + 3 * PAGE
    bench.peer.mmap(end + 6 * PAGE, PAGE, R, PRIVATE | ANON | FIXED)
    assert [brk(6), brk(5)] == [3, 5], "one page stays free between the heap and what is above it"
    bench.peer.mmap(end + 4 * PAGE, PAGE, R, PRIVATE | ANON | FIXED)
    assert brk(4) == 4
    assert not any(area.start == end + 4 * PAGE for area in bench.peer.areas()), "shrinking unmaps whatever is there"
    bench.peer.call("munmap", end, 4 * PAGE)
    assert brk(0) == 4, "and is refused where nothing is mapped"


def test_r36_what_a_child_does_not_have(bench: Bench) -> None:
    for page in (0, 4, 8, 12):
        bench.map(page, 2)
        bench.write(page)
    bench.do("mlock", 4, 2)
    bench.do("madvise", 8, 2, f.MADV_DONTFORK)
    bench.do("madvise", 12, 2, f.MADV_WIPEONFORK)
    bench.fork()
    assert bench.pieces == [(0, 2), (4, 6), (12, 14)]
    assert bench.pages == [(1, 1), (2, 2), (0, 0)]
    assert not any("lo" in line for line in bench.letters)


def test_r37_what_is_copied(bench: Bench) -> None:
    file = bench.file()
    bench.map(0, 2)
    bench.read(0)
    bench.map(4, 2, RW, SHARED | FIXED, file)
    bench.write(4)
    bench.map(8, 2, R, PRIVATE | FIXED, file)
    bench.do("mlock", 8, 2)
    bench.map(12, 2, RW, PRIVATE | FIXED, file, 2)
    bench.do("madvise", 12, 2, f.MADV_POPULATE_READ)
    bench.write(12)
    assert bench.pages == [(0, 0), (1, 0), (2, 0), (2, 1)]
    bench.fork()
    assert bench.pages == [(0, 0), (0, 0), (0, 0), (2, 1)]


def test_r38_inherited_pieces_do_not_merge(bench: Bench) -> None:
    bench.map(0, 4)
    bench.do("mprotect", 2, 2, RWX)
    bench.write(0, 2)
    bench.map(10, 4)
    bench.write(10)
    bench.fork()
    bench.do("mprotect", 2, 2, RW)
    assert bench.pieces[:2] == [(0, 2), (2, 4)]
    bench.map(14, 2)
    assert bench.pieces[2:] == [(10, 14), (14, 16)]
    bench.do("munmap", 14, 2)
    bench.do("mprotect", 11, 1, R)
    bench.do("mprotect", 11, 1, RW)
    assert bench.pieces[2:] == [(10, 14)]
    bench.move(10, 4, 6)
    assert bench.pieces[2:] == [(10, 16)]
