"""Problems of chapter 04: buddies, splits, merges, and what is left."""

from __future__ import annotations

import random
from typing import NamedTuple

from mmkit.course.problem import Problem, read_numbers
from mmkit.model.buddy import BuddyAllocator


class Block(NamedTuple):
    """A block of 2^order pages that starts at page ``pfn``."""

    pfn: int
    order: int


class Script(NamedTuple):
    """Blocks taken in turn from ``nr_pages`` free pages, and which of them (by position) are given back."""

    nr_pages: int
    orders: tuple[int, ...]
    freed: tuple[int, ...]


def pages(order: int) -> str:
    """Write the size of a block: "1 page", "8 pages"."""
    return "1 page" if order == 0 else f"{1 << order} pages"


def run(script: Script) -> tuple[BuddyAllocator, list[int]]:
    """Play ``script`` on a fresh allocator; return it and the first page of each block that was taken."""
    buddy = BuddyAllocator(script.nr_pages)
    pfns = [buddy.alloc(order) for order in script.orders]
    for position in script.freed:
        buddy.free(pfns[position], script.orders[position])
    return buddy, pfns


def tell(script: Script) -> str:
    """Write a script as a reader would follow it."""
    _, pfns = run(script)
    taken = [f"{pages(order)} (order {order}), got page {pfn}" for order, pfn in zip(script.orders, pfns, strict=True)]
    lines = [f"{number}. take {what}" for number, what in enumerate(taken, 1)]
    lines += [f"{len(taken) + n}. give back the block at page {pfns[p]}" for n, p in enumerate(script.freed, 1)]
    return f"All {script.nr_pages} pages are free, as one block. Then, in turn:\n\n" + "\n".join(lines)


class BuddyOf(Problem[Block]):
    """Which block is the only one that this one may merge with?"""

    title = "Who is its buddy?"

    def pose(self, rng: random.Random) -> Block:
        """Pick a block that is aligned, as all are."""
        order = rng.randrange(8)
        return Block(rng.randrange(1 << (12 - order)) << order, order)

    def ask(self, state: Block) -> str:
        """Name the block."""
        size = pages(state.order)
        return f"A block of {size} (order {state.order}) starts at page {state.pfn}. Where does its buddy start?"

    def answer(self, state: Block) -> int:
        """Flip the bit of the order."""
        return state.pfn ^ (1 << state.order)

    def hints(self, state: Block) -> list[str]:
        """From the picture to the bit."""
        size = 1 << state.order
        return [
            f"The two buddies together are a block of {2 * size} pages, which starts at a multiple of {2 * size}.",
            f"Is {state.pfn} a multiple of {2 * size}? Then it is the lower of the two.",
        ]

    def solve(self, state: Block) -> str:
        """The exclusive or."""
        return f"{state.pfn} ^ (1 << {state.order}) = {state.pfn:#b} ^ {1 << state.order:#b} = {self.answer(state):#b}."

    def explain(self, state: Block, given: int) -> str:
        """Is it a neighbour at least?"""
        if abs(given - state.pfn) == 1 << state.order:
            return f"{given} is a neighbour, but the two together would not start at a multiple of their size."
        return f"{given} is not even a neighbour: the blocks would not touch."


class SplitPath(Problem[Block]):
    """Which blocks are put back when a large block is cut for a small request?"""

    title = "What goes back?"
    form = "the orders that get a free block, such as 9,8 (or none)"

    def pose(self, rng: random.Random) -> Block:
        """The order found, in place of a pfn, and the order wanted."""
        wanted = rng.randrange(8)
        return Block(rng.randrange(wanted, 11), wanted)

    def ask(self, state: Block) -> str:
        """Say what is free and what is wanted."""
        return (
            f"Wanted: {pages(state.order)} (order {state.order}). All lists are empty but that of order "
            f"{state.pfn}, which holds one block. Which orders have a free block afterwards?"
        )

    def answer(self, state: Block) -> tuple[int, ...]:
        """Let the model cut it."""
        buddy, _ = run(Script(1 << state.pfn, (state.order,), ()))
        return tuple(order for order, count in enumerate(buddy.counts()) if count)[::-1]

    def read(self, answer: object) -> tuple[int, ...]:
        """Numbers in any order, or "none"."""
        if isinstance(answer, str) and answer.strip().casefold() == "none":
            return ()
        return tuple(sorted(read_numbers(answer), reverse=True))

    def show(self, answer: tuple[int, ...]) -> str:
        """From the largest."""
        return ",".join(map(str, answer)) or "none"

    def hints(self, state: Block) -> list[str]:
        """Halve it."""
        return [
            "Each cut makes two halves: one is cut further, the other goes onto a list.",
            "How often must you halve?",
        ]

    def solve(self, state: Block) -> str:
        """Cut by cut."""
        cuts = [
            f"order {order}: one half, {pages(order - 1)}, goes back" for order in range(state.pfn, state.order, -1)
        ]
        return "; ".join(cuts) + "." if cuts else "The block fits exactly: nothing is cut, nothing goes back."


def _script(rng: random.Random) -> Script:
    orders = tuple(rng.randrange(4) for _ in range(rng.randrange(3, 6)))
    freed = tuple(rng.sample(range(len(orders)), rng.randrange(1, len(orders))))
    return Script(64, orders, freed)


class LargestBlock(Problem[Script]):
    """What is the largest request that can still be met?"""

    title = "How much in one piece?"

    def pose(self, rng: random.Random) -> Script:
        """A few blocks taken, some given back."""
        return _script(rng)

    def ask(self, state: Script) -> str:
        """The script, and the question."""
        return f"{tell(state)}\n\nWhat is the order of the largest block that can be had now?"

    def answer(self, state: Script) -> int:
        """The highest list that is not empty."""
        counts = run(state)[0].counts()
        return max(order for order, count in enumerate(counts) if count)

    def hints(self, state: Script) -> list[str]:
        """Draw it."""
        return ["Draw 64 boxes and mark those that are taken.", "A block of order 5 is the pages 0 to 31, or 32 to 63."]

    def solve(self, state: Script) -> str:
        """List the free blocks."""
        buddy, _ = run(state)
        blocks = [f"order {order}: {buddy.free_blocks(order)}" for order, count in enumerate(buddy.counts()) if count]
        return "Free blocks, by their first page: " + "; ".join(blocks) + "."


class MergeEnd(Problem[Script]):
    """How far does a block grow when it is given back?"""

    title = "How far does it merge?"

    def pose(self, rng: random.Random) -> Script:
        """As above; the last block given back is the one asked about."""
        return _script(rng)

    def ask(self, state: Script) -> str:
        """The script, and the question."""
        return f"{tell(state)}\n\nOf which order is the free block that holds the pages of the last step?"

    def answer(self, state: Script) -> int:
        """The free block that contains the freed page."""
        buddy, pfns = run(state)
        last = pfns[state.freed[-1]]
        return next(
            order for order in range(11) for pfn in buddy.free_blocks(order) if pfn <= last < pfn + (1 << order)
        )  # fmt: skip

    def hints(self, state: Script) -> list[str]:
        """One order at a time."""
        return [
            "Is the buddy free, and in one piece? Then ask the same of the block that the two make.",
            "Free pages beside it do not count unless they are the whole buddy.",
        ]

    def solve(self, state: Script) -> str:
        """List the free blocks."""
        buddy, pfns = run(state)
        blocks = [f"order {order}: {buddy.free_blocks(order)}" for order, count in enumerate(buddy.counts()) if count]
        return f"Page {pfns[state.freed[-1]]} is now in one of these, by first page: " + "; ".join(blocks) + "."
