"""Problems of chapter 11: what a malloc costs, what free gives back, and who has to die when nothing is left."""

from __future__ import annotations

import random
from typing import NamedTuple

from mmkit.course.problem import Problem, read_choice
from mmkit.model.machine.life import PAGE, Life
from mmkit.model.machine.oom import ADJ_MIN

_NAMES = "pqr"
_GROUND = (
    "A program has used no heap yet. (A chunk is the block and 8 bytes, rounded up to a multiple of 16; the block "
    "begins 16 bytes into it. The first chunk of the heap, 0x290 bytes, is the library's own.)"
)


def _fill(life: Life, addr: int, size: int) -> None:
    for page in range(addr - addr % PAGE, addr + size, PAGE):
        life.write(max(page, addr), b"x")


class WhatDoesItCost(Problem[int]):
    """A block is allocated and written: how many page faults does that take?"""

    title = "What does it cost?"
    form = "a number of page faults"

    def pose(self, rng: random.Random) -> int:
        """A size, from a few bytes to some dozens of pages, below the threshold or above."""
        return rng.choice((rng.randrange(1, 40) * 100, rng.randrange(5_000, 120_000), rng.randrange(140_000, 300_000)))

    def ask(self, state: int) -> str:
        """The call."""
        return (
            f"{_GROUND} It calls `malloc({state})` and writes every byte of the block. How many page faults does that "
            "take, malloc's own included?"
        )

    def answer(self, state: int) -> int:
        """Do it, and count."""
        life = Life()
        before = life.snapshot().faults
        _fill(life, life.malloc(state), state)
        return life.snapshot().faults - before

    def hints(self, state: int) -> list[str]:
        """Where is it?"""
        return [
            "Is the block in the heap, or does it get pages of its own? Where the heap's top is too small, that begins "
            "at 128 KiB.",
            "One fault for each page that anybody writes to. The library writes at the beginning of the heap, always, "
            "in front of the block, and behind it: the size of what is left there.",
        ]

    def solve(self, state: int) -> str:
        """Page by page."""
        life = Life()
        addr = life.malloc(state)
        if life.library.chunks[addr].mapped:
            pages = (state + 15) // PAGE + 1
            return (
                f"The library makes its heap before anything else: 1 page is written. {state:,} bytes get pages of "
                f"their own. 16 bytes for the header, then the block: the last byte lies in page {pages - 1} of them, "
                f"counted from 0. That is 1 + {pages}."
            )
        top = life.library.top + 8 - life.library.start
        return (
            f"The block begins at 0x2a0 of the heap. Behind it the library writes how large the top is, at 0x{top:x}: "
            f"page {top // PAGE}, counted from 0. All pages up to there are written, each faults once."
        )


class Blocks(NamedTuple):
    """Blocks in the order of their allocation, and in which they are freed (by number)."""

    sizes: tuple[int, ...]
    freed: tuple[int, ...]


class WhatComesBack(Problem[Blocks]):
    """Blocks are written and some are freed: how many pages does the kernel get back?"""

    title = "What comes back?"
    form = "a number of pages"

    def pose(self, rng: random.Random) -> Blocks:
        """Three blocks, in the heap, which need not grow for them, or with pages of their own."""
        sizes = tuple(rng.choice((10_000, 20_000, 30_000, 150_000, 200_000, 300_000, 500_000)) for _ in range(3))
        return Blocks(sizes, tuple(rng.sample(range(3), 2)))

    def ask(self, state: Blocks) -> str:
        """The calls."""
        calls = [f"{name} = malloc({size});" for name, size in zip(_NAMES, state.sizes, strict=True)]
        told = "\n".join([*calls, *(f"free({_NAMES[number]});" for number in state.freed)])
        return (
            f"{_GROUND} It writes every byte of each of these blocks as soon as it has it, then frees two:\n\n"
            f"```c\n{told}\n```\n\nBy how many pages does its Rss fall with the two calls of free?"
        )

    def answer(self, state: Blocks) -> int:
        """Do it, and compare."""
        return sum(fell for _, _, fell in _freed(state))

    def hints(self, state: Blocks) -> list[str]:
        """Which are where?"""
        return [
            "Blocks with pages of their own go back whole, at once. How many pages does each have, with its header?",
            "Of the heap, free gives back what the top has over 128 KiB, in whole pages. It begins with 132 KiB.",
        ]

    def solve(self, state: Blocks) -> str:
        """Block by block."""
        told = []
        for number, mapped, fell in _freed(state):
            where = "has pages of its own, and all go" if mapped else "lies in the heap, which stays as it is"
            told.append(f"- `{_NAMES[number]}` {where}: {fell} pages.")
        return "\n".join(told)


def _freed(state: Blocks) -> list[tuple[int, bool, int]]:
    """Return of each block that is freed its number, whether it had pages of its own, and by how much Rss fell."""
    life, blocks, found = Life(), [], []
    for size in state.sizes:
        blocks.append(life.malloc(size))
        _fill(life, blocks[-1], size)
    for number in state.freed:
        mapped, before = life.library.chunks[blocks[number]].mapped, life.snapshot().rss
        life.free(blocks[number])
        found.append((number, mapped, before - life.snapshot().rss))
    return found


class Candidate(NamedTuple):
    """A process that may have to die; memory in pages."""

    rss: int
    swap: int
    tables: int
    adj: int


class Crowd(NamedTuple):
    """All of them, and how many pages of memory and swap there are."""

    total: int
    candidates: tuple[Candidate, ...]


class WhoIsKilled(Problem[Crowd]):
    """Out of memory: whom does the kernel kill?"""

    title = "Who is killed?"
    form = "a letter"

    def pose(self, rng: random.Random) -> Crowd:
        """Four processes, no two with the same points."""
        total = rng.choice((4000, 16_000, 64_000))
        while True:
            crowd = Crowd(total, tuple(self._one(rng, total) for _ in range(4)))
            if len({self._points(crowd, one) for one in crowd.candidates}) == 4:
                return crowd

    @staticmethod
    def _one(rng: random.Random, total: int) -> Candidate:
        return Candidate(
            rng.randrange(total // 50, total // 3), rng.choice((0, 0, rng.randrange(total // 10))),
            rng.randrange(3, 30), rng.choice((0, 0, 0, -200, -500, 100, 300, ADJ_MIN)),
        )  # fmt: skip

    @staticmethod
    def _points(crowd: Crowd, one: Candidate) -> int | None:
        if one.adj == ADJ_MIN:
            return None
        return one.rss + one.swap + one.tables + one.adj * (crowd.total // 1000)

    def ask(self, state: Crowd) -> str:
        """A table."""
        rows = "\n".join(
            f"| {letter} | {one.rss:,} | {one.swap:,} | {one.tables} | {one.adj} |"
            for letter, one in zip("abcd", state.candidates, strict=True)
        )
        return (
            f"A machine has {state.total:,} pages of memory and swap together, and none is left. Which process does "
            "the kernel kill?\n\n| process | resident pages | pages in swap | pages of tables | `oom_score_adj` |\n"
            f"|---|---|---|---|---|\n{rows}"
        )

    def answer(self, state: Crowd) -> str:
        """The one with the most points."""
        scored = [(self._points(state, one), letter) for one, letter in zip(state.candidates, "abcd", strict=True)]
        return max((points, letter) for points, letter in scored if points is not None)[1]

    def read(self, answer: object) -> str:
        """A letter."""
        return read_choice(answer, {letter: f"process {letter}" for letter in "abcd"})

    def hints(self, state: Crowd) -> list[str]:
        """What counts?"""
        return [
            "Resident pages, pages in swap and pages of tables count alike. -1000 means never.",
            f"A unit of oom_score_adj is a thousandth of all memory and swap: here {state.total // 1000} pages.",
        ]

    def solve(self, state: Crowd) -> str:
        """Sum by sum."""
        told = []
        for letter, one in zip("abcd", state.candidates, strict=True):
            points = self._points(state, one)
            if points is None:
                told.append(f"- {letter}: never")
                continue
            adjust = f" {'-' if one.adj < 0 else '+'} {abs(one.adj)} · {state.total // 1000}" if one.adj else ""
            told.append(f"- {letter}: {one.rss:,} + {one.swap:,} + {one.tables}{adjust} = {points:,}")
        return "\n".join(told)
