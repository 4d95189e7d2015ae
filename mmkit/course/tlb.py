"""Problems of chapter 09: misses counted, error codes, reach, and what a flush leaves."""

from __future__ import annotations

import random
from typing import Any, NamedTuple

from mmkit.course.problem import Problem
from mmkit.errors import MmkitError
from mmkit.model.memory import PhysicalMemory
from mmkit.model.mmu import Mmu, PageFault
from mmkit.model.pgstate import PteFlags
from mmkit.model.pgtable import PageTable
from mmkit.model.tlb import Tlb
from mmkit.model.tlbstate import TlbEntry
from mmkit.view.parts import listed

_ADDR = 0x40_0000
_SIZES = {12: "4 KiB", 21: "2 MiB"}


class Accesses(NamedTuple):
    """Pages in the order of their use, and the TLB."""

    pages: tuple[int, ...]
    entries: int
    ways: int


class HowManyMisses(Problem[Accesses]):
    """How many accesses miss?"""

    title = "How many misses?"
    form = "a number of accesses"

    def pose(self, rng: random.Random) -> Accesses:
        """A dozen accesses to a few pages, and a TLB of two or four entries."""
        entries, ways = rng.choice(((2, 2), (4, 2), (4, 4)))
        few = rng.sample(range(0x10, 0x20), entries + 1)
        return Accesses(tuple(rng.choice(few) for _ in range(12)), entries, ways)

    @staticmethod
    def play(state: Accesses) -> list[bool]:
        """Return which accesses hit."""
        tlb = Tlb(state.entries, state.ways)
        return [bool(tlb.access(page << 12)) for page in state.pages]

    def ask(self, state: Accesses) -> str:
        """The accesses."""
        sets = state.entries // state.ways
        where = (
            "any page in any entry" if sets == 1 else f"{sets} sets of {state.ways}; the lowest bit of the page number"
        )
        where += "" if sets == 1 else " chooses the set"
        pages = ", ".join(f"0x{page:x}" for page in state.pages)
        return (
            f"A TLB of {state.entries} entries ({where}; least recently used goes) is empty. A program accesses pages "
            f"{pages}, in this order. How many of the {len(state.pages)} accesses miss?"
        )

    def answer(self, state: Accesses) -> int:
        """Play them."""
        return self.play(state).count(False)

    def hints(self, state: Accesses) -> list[str]:
        """The first use always misses."""
        return [
            f"The first use of each page misses: that makes {len(set(state.pages))}.",
            "Keep a list for each set, the most recent page first; what falls off its end misses when it comes again.",
        ]

    def solve(self, state: Accesses) -> str:
        """Access by access."""
        hits = self.play(state)
        told = [f"0x{page:x} {'hit' if hit else '**miss**'}" for page, hit in zip(state.pages, hits, strict=True)]
        return ", ".join(told) + "."

    def explain(self, state: Accesses, given: int) -> str:
        """Only the first uses?"""
        if given == len(set(state.pages)):
            return "Those are the first uses; some pages were driven out and came again."
        return f"{given} is not it; hint(1) helps."


class Access(NamedTuple):
    """A page's rights, whether there is one, and an access to it."""

    mapped: bool
    flags: int
    how: str
    user: bool


class WhichErrorCode(Problem[Access]):
    """What does the processor push?"""

    title = "Which error code?"
    form = "the error code, such as 0x7, or none if there is no fault"

    def pose(self, rng: random.Random) -> Access:
        """Some rights, some access."""
        return Access(rng.random() < 0.75, rng.randrange(8), rng.choice("rwx"), rng.random() < 0.75)

    @staticmethod
    def _fault(state: Access) -> PageFault | None:
        table = PageTable("X86_64", PhysicalMemory("X86_64", "64MiB"))
        if state.mapped:
            table.map(_ADDR, 0x100, PteFlags(state.flags))
        mmu = Mmu("X86_64", table.words)
        mmu.cr3 = table.cr3
        try:
            mmu.translate(_ADDR, state.how, state.user)
        except PageFault as fault:
            return fault
        except MmkitError as error:
            raise AssertionError(error) from error
        return None

    def ask(self, state: Access) -> str:
        """The page and the access."""
        rights = ((PteFlags.WRITE, "written"), (PteFlags.EXEC, "executed"))
        may = listed(["read", *(name for flag, name in rights if state.flags & flag)])
        forbidden = " or ".join(name for flag, name in rights if not state.flags & flag)
        whose = "that user code may use" if state.flags & PteFlags.USER else "of the kernel's own"
        page = f"a page {whose}: it may be {may}{forbidden and f', not {forbidden}'}"
        page = page if state.mapped else "nothing (the entry is zero)"
        does = {"r": "reads", "w": "writes", "x": "fetches an instruction"}[state.how]
        who = "User code" if state.user else "The kernel"
        return (
            f"At `0x{_ADDR:x}` there is {page}. {who} {does} there, on x86-64 with CR0.WP set, without SMEP and SMAP. "
            "Which error code does the processor push? (P 1, W 2, U 4, RSVD 8, I 16; *none* if there is no fault.)"
        )

    def answer(self, state: Access) -> int | None:
        """Ask the MMU."""
        fault = self._fault(state)
        return fault.error_code if fault else None

    def read(self, answer: object) -> int | None:
        """A number, or none."""
        if isinstance(answer, str) and answer.strip().casefold().rstrip(".") in ("none", "no fault"):
            return None
        return super().read(answer)  # type: ignore[no-any-return]

    def show(self, answer: Any) -> str:
        """In hexadecimal."""
        return "none" if answer is None else f"0x{answer:x}"

    def hints(self, state: Access) -> list[str]:
        """Is there a page? Is it allowed?"""
        return [
            "P is set if a page was there and the access was not allowed, clear if there was none.",
            "W says that it was a write, U that it was user code, I that it was a fetch: they describe the access, not "
            "the page.",
        ]

    def solve(self, state: Access) -> str:
        """What the MMU says."""
        fault = self._fault(state)
        return f"{str(fault)[:1].upper()}{str(fault)[1:]}." if fault else "The page allows it: there is no fault."

    def explain(self, state: Access, given: int | None) -> str:
        """Fault or not?"""
        right = self.answer(state)
        if given is None or right is None:
            return "There is a fault." if given is None else "There is no fault: the page allows it."
        return f"{self.show(given)} is not it; compare it bit by bit, hint(2) helps."


class Reach(NamedTuple):
    """A TLB and its pages."""

    entries: int
    shift: int


class DoesItReach(Problem[Reach]):
    """How much memory does a TLB cover?"""

    title = "How far does it reach?"
    form = "a number of KiB"

    def pose(self, rng: random.Random) -> Reach:
        """A size that is built."""
        return Reach(rng.choice((32, 40, 64, 72, 512, 1536)), rng.choice((12, 21)))

    def ask(self, state: Reach) -> str:
        """How many KiB?"""
        return (
            f"A TLB has {state.entries:,} entries, each for a page of {_SIZES[state.shift]}. How many KiB of memory "
            "does it cover, when it is full?"
        )

    def answer(self, state: Reach) -> int:
        """Entries times page."""
        return Tlb(state.entries, shifts=(state.shift,)).geometry.reach(state.shift) >> 10

    def hints(self, state: Reach) -> list[str]:
        """Multiply."""
        return ["Every entry translates one page.", f"A page of {_SIZES[state.shift]} has {1 << state.shift - 10} KiB."]

    def solve(self, state: Reach) -> str:
        """Multiply."""
        return f"{state.entries:,} × {1 << state.shift - 10:,} KiB = {self.answer(state):,} KiB."


class Flush(NamedTuple):
    """Entries as (page, address space or None without PCIDs, global), and what is done."""

    entries: tuple[tuple[int, int | None, bool], ...]
    what: str
    page: int
    asid: int | None


_DONE = {
    "flush": "The processor was not told to use PCIDs. CR3 is loaded.",
    "asid": "CR3 is loaded with PCID {asid}, and bit 63 clear.",
    "invlpg": "With PCID {asid} running, `invlpg` is executed for page 0x{page:x}.",
    "keep": "CR3 is loaded with PCID {asid}, and bit 63 set.",
}


class WhatIsLeft(Problem[Flush]):
    """How many translations survive?"""

    title = "What is left in the TLB?"
    form = "a number of translations"

    def pose(self, rng: random.Random) -> Flush:
        """Some translations, of two processes if there are PCIDs, one or two of them global."""
        what = rng.choice(tuple(_DONE))
        asids = (None,) if what == "flush" else (1, 2)
        pages = rng.sample(range(0x400, 0x410), 4)
        own = {(rng.choice(pages), rng.choice(asids), False) for _ in range(6)}
        shared = {(0xF00 + number, asids[0], True) for number in range(rng.choice((1, 2)))}
        entries = sorted(own | shared)
        page, asid, _ = rng.choice(entries)
        return Flush(tuple(entries), what, page, asid)

    def ask(self, state: Flush) -> str:
        """The entries."""
        rows = [["page", "PCID", "global"], ["---"] * 3]
        rows += [[f"0x{page:x}", str(asid), "yes" if glob else "no"] for page, asid, glob in state.entries]
        if state.what == "flush":
            rows = [[page, glob] for page, _, glob in rows]
        table = "\n".join(f"| {' | '.join(row)} |" for row in rows)
        done = _DONE[state.what].format(page=state.page, asid=state.asid)
        return f"A TLB holds:\n\n{table}\n\n{done} How many translations are left?"

    def answer(self, state: Flush) -> int:
        """Do it."""
        tlb = Tlb(16)
        for page, asid, glob in state.entries:
            tlb.insert(TlbEntry(page << 12, page << 12, asid=asid or 0, glob=glob))
        if state.what == "flush":
            tlb.flush(keep_global=True)
        elif state.what == "asid":
            tlb.flush_asid(state.asid or 0)
        elif state.what == "invlpg":
            tlb.invlpg(state.page << 12, state.asid or 0)
        return len(tlb)

    def hints(self, state: Flush) -> list[str]:
        """What goes?"""
        return [
            "Global translations survive every load of CR3, but not an `invlpg` of their page.",
            "With PCIDs a load of CR3 throws away what belongs to the PCID it loads, unless bit 63 says not to; "
            "without them it throws away all that is not global.",
        ]

    def solve(self, state: Flush) -> str:
        """What goes."""
        rule = {
            "flush": "all but the global ones", "asid": f"those of PCID {state.asid} that are not global",
            "invlpg": f"page 0x{state.page:x}, if it is PCID {state.asid}'s or global", "keep": "none",
        }[state.what]  # fmt: skip
        return f"Thrown away: {rule}. That leaves {self.answer(state)} of {len(state.entries)}."
