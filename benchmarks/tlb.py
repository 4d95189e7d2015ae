"""Simulating a TLB over whole traces against a plain loop: a list for each set, the most recent first.

python benchmarks/tlb.py

Traces: *real* (every access of a program that walks a matrix by rows and by columns and fills a hash table, recorded by
valgrind: with instruction fetches, and its data alone), and two without locality to use, *zipf* (4096 pages, a few of
them much wanted) and *uniform* (1024 pages). Hits and misses of every access are compared before anything is timed.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from ratio import compare, report

from mmkit.data import address_trace
from mmkit.model.tlb import Tlb, TlbHierarchy

Pages = NDArray[np.uint64]
GEOMETRIES = {"16 sets of 4": (64, 4), "128 sets of 12": (1536, 12)}
LENGTH, ROUNDS = 400_000, 7


def plain(pages: list[int], sets: int, ways: int) -> bytearray:
    """A good plain loop: what was asked for last in a set is looked at first."""
    held: list[list[int]] = [[] for _ in range(sets)]
    hits, mask = bytearray(len(pages)), sets - 1
    for index, page in enumerate(pages):
        entries = held[page & mask]
        if entries and entries[0] == page:
            hits[index] = 1
        elif page in entries:
            entries.remove(page)
            entries.insert(0, page)
            hits[index] = 1
        else:
            entries.insert(0, page)
            if len(entries) > ways:
                entries.pop()
    return hits


def traces() -> dict[str, Pages]:
    """Addresses, by the name of the trace."""
    rng = np.random.default_rng(1)
    weights = 1 / np.arange(1, 4097) ** 0.9
    zipf = rng.permutation(4096)[rng.choice(4096, LENGTH, p=weights / weights.sum())]
    real = address_trace()
    made = {"zipf": zipf, "uniform": rng.integers(0, 1024, LENGTH)}
    return {
        "real": real.addresses,
        "real, data": real.only("LSM").addresses,
        **{name: pages.astype(np.uint64) << np.uint64(12) for name, pages in made.items()},
    }


def race(addresses: Pages, entries: int, ways: int) -> tuple[float, float]:
    """Times as fast as the plain loop, nanoseconds an access; the loop starts with a list of page numbers ready."""
    tlb, pages = Tlb(entries, ways), (addresses >> np.uint64(12)).tolist()
    sets = tlb.geometry.sets
    assert np.array_equal(tlb.simulate(addresses).hits, np.frombuffer(plain(pages, sets, ways), np.bool_))
    timing = compare(
        {"mmkit": lambda: tlb.simulate(addresses), "plain": lambda: plain(pages, sets, ways)},
        ROUNDS,
    )
    return timing.ratio("plain", "mmkit"), timing.median("mmkit") / len(pages) * 1e9


def race_steps() -> float:
    """Times as fast as the step model, a CPU's two levels and walk caches, on a piece of the real trace."""
    trace = address_trace()
    addresses, fetches = trace.addresses[:40_000], trace.fetches[:40_000]
    accesses = [(address, "x" if fetch else "r") for address, fetch in zip(addresses.tolist(), fetches, strict=True)]

    def steps() -> list[int]:
        cpu = TlbHierarchy("SKYLAKE")
        return [cpu.access(address, access=access) for address, access in accesses]

    assert TlbHierarchy("SKYLAKE").simulate(addresses, fetch=fetches).level.tolist() == steps()
    timing = compare({"mmkit": lambda: TlbHierarchy("SKYLAKE").simulate(addresses, fetch=fetches), "steps": steps}, 3)
    return timing.ratio("steps", "mmkit")


def main() -> bool:
    """Print the figures; returns whether all goals are met."""
    holds = True
    for name, addresses in traces().items():
        goal = 6 if name.startswith("real") else 1.5
        for words, (entries, ways) in GEOMETRIES.items():
            gain, cost = race(addresses, entries, ways)
            claim = f"{name}, {words} ({cost:.1f} ns an access): plain loop / simulate"
            holds &= report(claim, gain, goal, at_most=False)
    print(f"     two levels and walk caches, step by step / simulate: {race_steps():.0f}")
    return holds


if __name__ == "__main__":
    raise SystemExit(not main())
