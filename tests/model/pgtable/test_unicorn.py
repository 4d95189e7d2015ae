"""The MMU beside an independent processor, Unicorn: the same tables, the same accesses, the same outcome.

Physical address, fault or not, error code, CR2, and what was marked accessed and dirty in every entry of a walk that
succeeds (rule R52: on one that faults, processors differ). By hand, for long runs::

    .venv/bin/python tests/model/pgtable/test_unicorn.py --accesses 1000000
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from random import Random

if __name__ == "__main__":
    sys.path[:0] = [str(Path(__file__).parents[3]), str(Path(__file__).parent)]

import pytest
from emulator import CODE_IN_PAGE, Emulator, Outcome

from mmkit import Mmu, PageFault, PageTable, PhysicalMemory
from mmkit.model.mmu import GeneralProtection
from mmkit.model.pgstate import PteFlags

RAM, TAGGED = 16 << 20, 8 << 20
"""Bytes of memory; from TAGGED on, no frame holds a table, and each says where it is."""
MODES = ("X86", "X86_PAE", "X86_64", "X86_64_LA57")
ACCESSES, OF_ONE_SPACE, PAGES = 2_000, 100, 40
PHYS_BITS = 40
"""Of Unicorn's processor."""
FLIPS = (0, 1, 2, 1, 2, 63, 51, 45, 7, 13)
"""Bits that are flipped in entries: present, rights, no-execute, reserved ones, large."""


class Space:
    """A random address space, an MMU and a processor that use it."""

    def __init__(self, arch: str, random: Random) -> None:
        self.random = random
        self.table = PageTable(arch, PhysicalMemory(arch, RAM, pcp=False))
        self.table.format.phys_bits = PHYS_BITS
        pae = arch != "X86"
        bits = {name: random.random() < 0.5 for name in ("wp", "smep", "smap")}
        if self.table.arch.virt_bits == 32:
            bits["smep"] = bits["smap"] = False
        bits["nxe"] = pae and random.random() < 0.8
        self.table.format.nxe = bits["nxe"]
        self.processor = Emulator(self.table, RAM, **bits)
        self.mmu = Mmu(arch, self.table.words, phys_bits=PHYS_BITS if pae else None, **bits)
        self.mmu.cr3 = self.table.cr3
        self.pages = [self._map(number) for number in range(PAGES)]
        for _ in range(random.randrange(12)):
            self._flip()

    def _map(self, number: int) -> int:
        addr = self.random.randrange(64) << 12 | self.random.randrange(6) << 22
        flags = PteFlags(self.random.randrange(8) | PteFlags.USER * (self.random.random() < 0.5))
        try:
            if not number % 8:
                size = self.table.arch.levels[-2].shift
                addr = (20 + number) << size
                self.table.map(addr, self.random.randrange(TAGGED >> size, RAM >> size) << size - 12, flags, level=1)
            else:
                self.table.map(addr, self.random.randrange(TAGGED >> 12, RAM >> 12), flags)
        except ValueError:
            pass
        return addr

    def _flip(self) -> None:
        step = self.random.choice(self.table.walk(self.random.choice(self.pages)).steps)
        bit = self.random.choice([bit for bit in FLIPS if bit < 8 * self.table.arch.entry_bytes])
        # An entry that leads to another table might lead to those that the processor's own code is found through.
        if step.kind == "page" or (step.kind == "table" and bit != 13):
            self.table.words.write(step.entry_addr, step.raw ^ 1 << bit)

    def address(self, access: str) -> int:
        """An address in one of the pages, or near it."""
        page = self.random.choice(self.pages) + (self.random.randrange(-1, 3) << 12) * (self.random.random() < 0.2)
        offset = CODE_IN_PAGE if access == "x" else self.random.randrange(0, CODE_IN_PAGE, 4)
        return max(page, 0) | offset

    def ours(self, addr: int, access: str, user: bool) -> Outcome:
        """What the model says."""
        try:
            return Outcome(self.mmu.translate(addr, access, user), None, None)
        except PageFault as fault:
            return Outcome(None, fault.error_code, fault.addr)
        except GeneralProtection:
            return Outcome(None, None, None)

    def compare(self) -> None:
        """Make one random access on both. Raises AssertionError if they are not alike."""
        access, user = self.random.choice("rwx"), self.random.random() < 0.6
        addr = self.address(access)
        before = self.mmu.walk(addr)
        # A table's entry that was made a large page's leads to frames that do not say where they are.
        if before.phys_addr is not None and not TAGGED <= before.phys_addr < RAM:
            return
        if any(step.kind == "outside" for step in before.steps):
            return
        theirs = self.processor.access(addr, access, user, lambda: before.phys_addr)
        ours = self.ours(addr, access, user)
        mode = f"{self.table.arch.name} wp={self.mmu.wp} nxe={self.mmu.nxe} smep={self.mmu.smep} smap={self.mmu.smap}"
        steps = " ".join(f"{step.level}:{step.raw:#x}:{step.kind}" for step in before.steps)
        what = f"{mode} {addr:#x} {access} {'user' if user else 'kernel'} {steps}: model {ours}, processor {theirs}"
        assert ours == theirs, what
        if ours.phys_addr is not None:
            for step in self.mmu.walk(addr).steps:
                left = self.processor.entry(step.entry_addr)
                assert hex(step.raw) == hex(left), what
                self.processor.copied.pop(step.table_addr >> 12, None)
        else:
            for step in before.steps:
                self.processor.copied.pop(step.table_addr >> 12, None)


def run(arch: str, accesses: int, seed: int) -> int:
    """Compare that many accesses; returns how many."""
    random = Random(f"{arch} {seed}")
    done = 0
    while done < accesses:
        space = Space(arch, random)
        for _ in range(min(OF_ONE_SPACE, accesses - done)):
            space.compare()
            done += 1
    return done


@pytest.mark.parametrize("arch", MODES)
def test_model_and_processor_agree(arch: str) -> None:
    assert run(arch, ACCESSES, seed=1) == ACCESSES


def test_both_answers_are_there_to_be_compared() -> None:
    random = Random(3)
    outcomes = []
    for _ in range(10):
        space = Space("X86_64", random)
        for _ in range(40):
            access, user = random.choice("rwx"), random.random() < 0.5
            outcomes.append(space.ours(space.address(access), access, user))
    codes = {outcome.error_code for outcome in outcomes}
    assert len(codes) > 10
    assert sum(outcome.phys_addr is not None for outcome in outcomes) > 50


def main() -> None:
    """Compare as many accesses as asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--accesses", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    for arch in MODES:
        print(f"{arch}: {run(arch, asked.accesses, asked.seed):,} accesses, no difference", flush=True)


if __name__ == "__main__":
    main()
