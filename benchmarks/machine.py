"""What a machine's operations cost, each, as the machine grows from 64 MiB to 64 GiB.

Figures are costs of one operation: a touch that faults, a page that fork copies, a read through a warm TLB. They
must not grow with the machine.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from ratio import report

from mmkit import Machine

PAGE = 4096
SIZES = ("64MiB", "1GiB", "64GiB")
FAULTS, READS = 10_000, 100_000


def costs(ram: str) -> dict[str, float]:
    """Return microseconds for one of each operation on a machine of that size."""
    machine = Machine("X86_64", ram)
    process = machine.spawn()
    at = process.mmap(FAULTS * PAGE)
    begun = time.perf_counter()
    for page in range(FAULTS):
        process.touch(at + page * PAGE, True)
    faulted = time.perf_counter()
    child = process.fork()
    forked = time.perf_counter()
    for _ in range(READS):
        process.read(at, 1)
    read = time.perf_counter()
    child.exit()
    return {
        "a fault": (faulted - begun) / FAULTS * 1e6,
        "a page of a fork": (forked - faulted) / FAULTS * 1e6,
        "a read": (read - forked) / READS * 1e6,
    }


def main() -> bool:
    """Print the figures; returns whether they are flat."""
    found = {ram: costs(ram) for ram in SIZES}
    holds = True
    for name in found[SIZES[0]]:
        words = ", ".join(f"{ram} {found[ram][name]:.1f} us" for ram in SIZES)
        growth = max(each[name] for each in found.values()) / found[SIZES[0]][name]
        holds &= report(f"growth of {name} ({words})", growth, 1.3)
    return holds


if __name__ == "__main__":
    raise SystemExit(not main())
