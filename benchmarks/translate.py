"""Translating many addresses at once, against fancy indexing, a loop over the levels, and a bare ``take``.

python benchmarks/translate.py

10^7 addresses of three kinds in four-level tables: *hot* (16 Ki pages), *real* (the data of a recorded program, over
and over) and *wide* (4 Mi pages, tables of 32 MiB). A bare ``take`` looks page numbers up that are made already, in one
flat table of frames: less than that cannot be done. What all of them find is compared before anything is timed.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from ratio import compare, report

from mmkit.data import address_trace
from mmkit.model.mmu import Mmu
from mmkit.model.pgtable.words import TableWords
from mmkit.model.translate import Translator

Words = NDArray[np.uint64]
SHIFTS = (39, 30, 21, 12)
N, LOOP_N, SINGLE_N, ROUNDS = 10**7, 10**5, 10**4, 5
START, RIGHTS = 0x7F00_0000_0000, 0x67
"""Present, writable, user, accessed, dirty."""


class Tables:
    """Four-level tables that map some pages to frames in random order, and the same for those who compete."""

    def __init__(self, pages: Words) -> None:
        rng = np.random.default_rng(1)
        self.pages = np.unique(pages)
        self.frames = rng.permutation(len(self.pages)).astype(np.uint64) + np.uint64(1 << 20)
        self.words = TableWords(8)
        self.mmu = Mmu("X86_64", self.words)
        self.mmu.cr3 = self._add() << 12
        self.levels = self._fill()
        self.translator = Translator(self.words, self.mmu.format)

    def _add(self) -> int:
        self.words.add(len(self.words) + 1)
        return len(self.words)

    def _fill(self) -> list[Words]:
        """Write the entries; returns for each level an array of tables, with numbers of the next ones, or of frames."""
        above, levels = np.zeros(len(self.pages), np.int64), []
        pfns = np.array([self.mmu.cr3 >> 12])
        for shift in SHIFTS:
            index = (self.pages >> np.uint64(shift - 12)).astype(np.int64) & 511
            there, number = np.unique(above << 9 | index, return_inverse=True)
            last = shift == SHIFTS[-1]
            values = self.frames if last else np.arange(len(there), dtype=np.uint64)
            targets = self.frames if last else np.array([self._add() for _ in there], np.uint64)
            made = np.zeros((len(pfns), 512), np.uint64)
            made[there >> 9, there & 511] = values
            levels.append(made)
            for table, pfn in enumerate(pfns.tolist()):
                mine = (
                    there >> 9 == table
                    if len(pfns) < 64
                    else slice(*np.searchsorted(there, (table << 9, table + 1 << 9)))
                )
                self.words.words(pfn)[there[mine] & 511] = targets[mine] << np.uint64(12) | np.uint64(RIGHTS)
            above, pfns = number, targets.astype(np.int64)
        self.words.version += 1
        return levels

    def translate_many(self, addresses: Words, out: Words | None = None) -> Words:
        """As ``Mmu.translate_many`` does for a user's reads."""
        allowed = self.mmu.allows("r", True)
        return self.translator.translate(
            self.mmu.root_addr, addresses, self.mmu.translate, allowed=allowed, write=False, out=out
        )

    def fancy(self, addresses: Words) -> Words:
        """As one writes it first with numpy: an array of tables for each level, indexed by table and entry."""
        pgd, pud, pmd, pte = self.levels
        table = pgd[0, (addresses >> 39) & 511]
        table = pud[table, (addresses >> 30) & 511]
        table = pmd[table, (addresses >> 21) & 511]
        return pte[table, (addresses >> 12) & 511] << 12 | addresses & 4095

    def loop(self, addresses: list[int]) -> list[int]:
        """As one writes it first in Python: level by level, in the same memory."""
        read, found = self.words.read, []
        for address in addresses:
            table = self.mmu.root_addr
            for shift in SHIFTS:
                entry = read(table + (address >> shift & 511) * 8)
                if not entry & 1:
                    raise ValueError(address)
                table = entry & 0xF_FFFF_FFFF_F000
            found.append(table | address & 4095)
        return found


def kinds() -> dict[str, tuple[Words, Words]]:
    """All pages that are mapped, and addresses to translate."""
    rng = np.random.default_rng(2)
    real = address_trace().only("LSM").addresses
    made = {"real": (real >> np.uint64(12), np.resize(real, N))}
    for name, count in (("hot", 1 << 14), ("wide", 1 << 22)):
        pages = np.uint64(START >> 12) + np.arange(count, dtype=np.uint64)
        addresses = np.uint64(START) + rng.integers(0, count << 12, N).astype(np.uint64)
        made[name] = pages, addresses
    return made


def bare(tables: Tables, addresses: Words) -> Callable[[], object]:
    """One take of frames that stand in a flat table."""
    frames = tables.frames.astype(np.int64)
    index = np.searchsorted(tables.pages, addresses >> np.uint64(12))
    out = np.empty(len(index), np.int64)
    return lambda: frames.take(index, out=out, mode="clip")


def race(name: str, pages: Words, addresses: Words) -> bool:
    """Print the figures for one kind of addresses."""
    tables = Tables(pages)
    few = addresses[:LOOP_N].tolist()
    found = tables.translate_many(addresses)
    assert np.array_equal(found, tables.fancy(addresses))
    assert found[:LOOP_N].tolist() == tables.loop(few)
    assert found[:100].tolist() == [tables.mmu.translate(address) for address in few[:100]]
    timing = compare(
        {
            "mmkit": lambda: tables.translate_many(addresses),
            "fancy": lambda: tables.fancy(addresses),
            "loop": lambda: tables.loop(few),
            "take": bare(tables, addresses),
        },
        ROUNDS,
    )
    loop, cost = timing.ratio("loop", "mmkit") * N / LOOP_N, timing.median("mmkit") / N * 1e9
    fancy, take = timing.ratio("fancy", "mmkit"), timing.ratio("mmkit", "take")
    if name == "wide":
        # Memory itself is what both wait for there.
        print(f"     wide ({cost:.1f} ns an address): fancy indexing / translate_many: {fancy:.2f}")
        holds = True
    else:
        holds = report(f"{name} ({cost:.1f} ns an address): fancy indexing / translate_many", fancy, 6, at_most=False)
    holds &= report(f"{name}: a loop over the levels / translate_many", loop, 40, at_most=False)
    return holds & report(f"{name}: translate_many / one bare take", take, 10)


def scaling() -> bool:
    """Print how the cost of an address grows from 10^6 of them to 10^8.

    The results go into an array that is there: what fresh memory costs is the kernel's affair, and grows.
    """
    pages, addresses = kinds()["hot"]
    tables = Tables(pages)
    many = np.tile(addresses, 10)
    out = np.zeros_like(many)
    sizes = {"10^6": 10**6, "10^7": 10**7, "10^8": 10**8}
    candidates = {name: lambda n=n: tables.translate_many(many[:n], out[:n]) for name, n in sizes.items()}
    timing = compare({**candidates, "fresh": lambda: tables.translate_many(many)}, 3)
    costs = {name: timing.median(name) / n * 1e9 for name, n in {**sizes, "fresh": 10**8}.items()}
    words = ", ".join(f"{name} {costs[name]:.1f} ns" for name in sizes)
    print(f"     10^8 addresses into fresh memory: {costs['fresh']:.1f} ns each")
    return report(
        f"growth of the cost of an address ({words})", max(costs[each] for each in sizes) / costs["10^6"], 1.3
    )


def single() -> bool:
    """Print what one address costs: by its own fast path, and by the walk that explains every step."""
    pages, addresses = kinds()["hot"]
    mmu = Tables(pages).mmu
    few = addresses[:SINGLE_N].tolist()
    assert [mmu.translate(each) for each in few] == [mmu.walk(each).phys_addr for each in few]
    timing = compare(
        {"translate": lambda: [mmu.translate(each) for each in few], "walk": lambda: [mmu.walk(each) for each in few]},
        ROUNDS,
    )
    cost = timing.median("translate") / SINGLE_N * 1e6
    return report(f"one address ({cost:.1f} µs): walk / translate", timing.ratio("walk", "translate"), 8, at_most=False)


def main() -> bool:
    """Print the figures; returns whether all goals are met."""
    holds = single()
    for name, (pages, addresses) in kinds().items():
        holds &= race(name, pages, addresses)
    return holds & scaling()


if __name__ == "__main__":
    raise SystemExit(not main())
