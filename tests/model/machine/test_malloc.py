"""malloc() beside glibc 2.36 on a running kernel: addresses, growth of the heap, and page faults, size by size."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest

from mmkit.data import recording
from mmkit.model.machine import Machine
from mmkit.model.malloc import HEADER, TCACHE_COUNT, Malloc

HEAP = 0x1F00_0000
CALLS = recording("host-6.18").text("malloc-calls").splitlines()
ROWS = [tuple(row.split("\t")) for row in recording("host-6.18").text("malloc").splitlines()]


@pytest.fixture
def library() -> Malloc:
    process = Machine("X86_64", "64MiB").spawn("a.out")
    process.mm.start_brk = process.mm.end_brk = HEAP
    return Malloc(process)


def measured(library, size):
    """The row that mmkit/data/host-6.18/malloc.c prints, of the model."""
    process, row = library.process, [size]

    def faults(do):
        before = process.mm.min_flt + process.mm.maj_flt
        found = do()
        return process.mm.min_flt + process.mm.maj_flt - before, found

    def heap():
        return process.mm.brk(0) - HEAP

    by_malloc, block = faults(lambda: library.malloc(size))
    inside = HEAP <= block < HEAP + heap()
    row += [block - HEAP if inside else f"mmap {block % 4096}", heap(), by_malloc]
    row.append(faults(lambda: process.write(block, b"A"))[0])
    others = range(4096, size, 4096)
    row += [faults(lambda: [process.write(block + at, b"B") for at in others])[0], len(others)]
    library.free(block)
    row.append(heap())
    by_again, again = faults(lambda: library.malloc(size))
    by_again += faults(lambda: process.write(again, b"C"))[0]
    return tuple(map(str, [*row, int(again == block), by_again, heap()]))


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_it_does_what_glibc_does(library, row):
    assert measured(library, int(row[0])) == row
    library.process.machine.check()


def played(library, calls):
    """What mmkit/data/host-6.18/malloc-calls.c prints for these calls, of the model."""
    process, blocks, found = library.process, [], []
    for call in calls:
        before, where = process.mm.min_flt, "-"
        if call.startswith("m"):
            blocks.append(library.malloc(int(call[1:])))
            where = str(blocks[-1] - HEAP) if blocks[-1] - HEAP < 1 << 32 else "mmap"
        else:
            library.free(blocks[int(call[1:])])
        found.append(f"{where}:{process.mm.brk(0) - HEAP}:{process.mm.min_flt - before}")
    return found


@pytest.mark.parametrize("line", CALLS)
def test_any_sequence_of_calls_does_what_glibc_does(library, line):
    """Bins, splits, chunks that grow together, the top that goes back: each place, each end, each fault."""
    calls, found = (part.split() for part in line.split("\t"))
    assert played(library, calls) == found


def test_the_sequences_have_what_matters():
    ends = [[int(one.split(":")[1]) for one in line.split("\t")[1].split()] for line in CALLS]
    assert len(CALLS) == len(set(CALLS)) == 100
    assert sum(any(after < before for before, after in pairwise(each)) for each in ends) > 5, "the heap shrinks"
    assert sum("mmap" in line for line in CALLS) > 10
    assert sum(line.count(" f") for line in CALLS) > 300


def test_the_recording_has_what_matters():
    sizes = [int(row[0]) for row in ROWS]
    assert any("mmap" in row[1] for row in ROWS)
    assert any("mmap" not in row[1] and int(row[0]) > 131_072 for row in ROWS), "the top serves what it can"
    assert len(sizes) == len(set(sizes)) >= 20


def test_what_is_not_right_is_refused_and_changes_nothing(library):
    block = library.malloc(100)
    library.process.write(block, b"kept")
    for size in (-1, 1.5, "10", None, 1 << 63, True):
        with pytest.raises(ValueError, match="malloc takes"):
            library.malloc(size)
    for addr in (block + 1, 0, 12345):
        with pytest.raises(ValueError, match="invalid pointer"):
            library.free(addr)
    assert library.process.read(block, 4) == b"kept"
    library.free(block)
    with pytest.raises(ValueError, match="invalid pointer"):
        library.free(block)


def test_no_memory_is_null(library):
    """The kernel grants no more than the machine has, once it is asked to count."""
    assert library.malloc(1 << 47) == 0
    assert library.malloc(100) != 0
    library.process.machine.check()


def test_the_top_is_given_back_when_it_is_large(library):
    """Below 64 KiB a block leaves the top alone; a large one lets all of it but 128 KiB go."""
    blocks = [library.malloc(100_000) for _ in range(8)]
    end = library.process.mm.brk(0)
    for block in reversed(blocks):
        library.free(block)
    assert library.process.mm.brk(0) < end
    assert library.top_size < (128 << 10) + 2 * 4096
    assert library.process.mm.brk(0) == library.end


def test_blocks_never_overlap_and_keep_what_is_written():
    """Random calls beside a dict of what each block holds."""
    rng = random.Random(3)
    process = Machine("X86_64", "64MiB").spawn("a.out")
    process.mm.start_brk = process.mm.end_brk = HEAP
    library, held = Malloc(process), {}
    for number in range(400):
        if held and rng.random() < 0.45:
            addr = rng.choice(list(held))
            size, byte = held.pop(addr)
            assert process.read(addr, size) == bytes([byte]) * size
            library.free(addr)
        else:
            size = rng.choice((1, 24, 25, 100, 1032, 1033, 5000, 70_000, 140_000))
            addr = library.malloc(size)
            assert addr % 16 == 0
            spans = sorted([(addr, size), *((other, held[other][0]) for other in held)])
            for (left, wide), (right, _) in pairwise(spans):
                assert left + wide <= right - HEADER + 8
            process.write(addr, bytes([number % 251]) * size)
            held[addr] = size, number % 251
    process.machine.check()


def test_the_cache_of_a_thread_keeps_seven(library):
    blocks = [library.malloc(40) for _ in range(TCACHE_COUNT + 3)]
    for block in blocks:
        library.free(block)
    assert [library.malloc(40) for _ in range(TCACHE_COUNT)] == blocks[TCACHE_COUNT - 1 :: -1]
