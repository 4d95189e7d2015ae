"""What a machine's operations cost, each, as the machine grows from 64 MiB to 64 GiB; and a fork of 1 GiB.

python benchmarks/machine.py

Figures are costs of one operation: a page fault (a write to a fresh anonymous page, 100,000 of them), a page that fork
copies, a read of one byte through a warm TLB (a million of them, of 16 pages in turn). They must not grow with the
machine, nor a page of a fork with the process. CPU time, with the garbage collector off while timing. A page is written
by touch(): its entry is dirty, and its byte stays 0, so that 1 GiB of the machine's is not 1 GiB of ours.
"""

from __future__ import annotations

import gc
import sys
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from ratio import report

from mmkit import Machine
from mmkit.model.machine.process import Process

PAGE = 4096
AT_ONCE = {"64MiB": 8_000, "1GiB": 100_000, "16GiB": 100_000, "64GiB": 100_000}
"""Machines, and how many pages are faulted in before they are unmapped: all, or as many as fit."""
FAULTS, FORKED, READS, HOT = 100_000, 8_000, 1_000_000, 16
LARGE, LARGE_PAGES = "4GiB", 1 << 18
FLAT = 1.3


def seconds(do: Callable[[], object]) -> float:
    """Return the CPU seconds that something takes, without collections of garbage."""
    gc.collect()
    gc.disable()
    begun = time.process_time()
    do()
    taken = time.process_time() - begun
    gc.enable()
    return taken


def write_pages(process: Process, at: int, pages: int) -> None:
    """Write to each page, one after the other."""
    for addr in range(at, at + pages * PAGE, PAGE):
        process.touch(addr, True)


def fault_seconds(process: Process, at_once: int) -> float:
    """Return what all faults took; mapping and unmapping is not counted."""
    taken, left, before = 0.0, FAULTS, process.mm.min_flt
    while left:
        pages = min(left, at_once)
        at = process.mmap(pages * PAGE)
        taken += seconds(lambda at=at, pages=pages: write_pages(process, at, pages))
        process.mm.munmap(at, pages * PAGE)
        left -= pages
    assert process.mm.min_flt - before == FAULTS
    return taken


def fork_seconds(process: Process, pages: int) -> float:
    """Return what a fork takes that copies so many entries; the child is gone then."""
    assert process.mm.anon_rss == pages
    taken = seconds(process.fork)
    child = process.machine.processes[max(process.machine.processes)]
    assert child.mm.anon_rss == pages
    child.exit()
    return taken


def read_seconds(process: Process, at: int) -> float:
    """Return what reads of one byte take, of a few pages in turn, all of which the TLB knows."""
    addrs, tlb = [at + page * PAGE for page in range(HOT)], process.machine.cpus[0].tlb
    for addr in addrs:
        process.read(addr)

    def reads() -> None:
        for _ in range(READS // HOT):
            for addr in addrs:
                process.read(addr, 1)

    misses = tlb.misses
    taken = seconds(reads)
    assert tlb.misses == misses
    return taken


def costs(ram: str) -> dict[str, float]:
    """Return microseconds for one of each operation on a machine of that size."""
    process = Machine("X86_64", ram).spawn()
    faults = fault_seconds(process, AT_ONCE[ram])
    at = process.mmap(FORKED * PAGE)
    write_pages(process, at, FORKED)
    return {
        "a fault": faults / FAULTS * 1e6,
        "a page of a fork": fork_seconds(process, FORKED) / FORKED * 1e6,
        "a read": read_seconds(process, at) / READS * 1e6,
    }


def large_fork() -> float:
    """Print what it takes to write 1 GiB and to fork then; returns microseconds a page of the fork."""
    process = Machine("X86_64", LARGE).spawn()
    at = process.mmap(LARGE_PAGES * PAGE)
    written = seconds(lambda: write_pages(process, at, LARGE_PAGES))
    forked = fork_seconds(process, LARGE_PAGES)
    for what, taken in (("writing them", written), ("the fork", forked)):
        print(f"     {LARGE_PAGES:,} pages on {LARGE}: {what} {taken:.1f} s, {taken / LARGE_PAGES * 1e6:.1f} us a page")
    return forked / LARGE_PAGES * 1e6


def main() -> bool:
    """Print the figures; returns whether they are flat."""
    found = {ram: costs(ram) for ram in AT_ONCE}
    first, holds = found["64MiB"], True
    for name, count in (("a fault", FAULTS), ("a page of a fork", FORKED), ("a read", READS)):
        words = ", ".join(f"{ram} {each[name]:.1f} us" for ram, each in found.items())
        growth = max(each[name] for each in found.values()) / first[name]
        holds &= report(f"growth of {name}, {count:,} each time ({words})", growth, FLAT)
    growth = large_fork() / found["1GiB"]["a page of a fork"]
    return holds & report(f"growth of a page of a fork, {LARGE_PAGES:,} pages / {FORKED:,}", growth, FLAT)


if __name__ == "__main__":
    raise SystemExit(not main())
