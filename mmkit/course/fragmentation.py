"""Problems of chapter 05: what is wasted inside blocks and between them, how it is measured, what compaction does."""

from __future__ import annotations

import random
from typing import NamedTuple

from mmkit.course.problem import Problem, read_choice
from mmkit.model.buddy import BuddyAllocator
from mmkit.model.fragmentation import measure
from mmkit.model.migratetype import MigrateType

PAGE = 4096


class Request(NamedTuple):
    """Bytes asked for, and the order of the block that serves them."""

    size: int
    order: int


class FreeBlocks(NamedTuple):
    """Free blocks by order, and the order of a request."""

    counts: tuple[int, ...]
    order: int


def table(counts: tuple[int, ...]) -> str:
    """Write the counts as a Markdown table, the orders on top."""
    orders = range(len(counts))
    rows = ("order", *map(str, orders)), ("---", *("---" for _ in orders)), ("free blocks", *map(str, counts))
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


class WasteInside(Problem[Request]):
    """How much of the block that a request gets is of no use to it?"""

    title = "Wasted inside"
    form = "a number of bytes"

    def pose(self, rng: random.Random) -> Request:
        """Any size that needs a block of order 1 to 6."""
        order = rng.randrange(1, 7)
        return Request(rng.randrange((PAGE << order - 1) + 1, (PAGE << order) + 1), order)

    def ask(self, state: Request) -> str:
        """Say how much is wanted."""
        return (
            f"A driver needs {state.size:,} bytes in one piece and asks the buddy system. Pages have 4,096 bytes. "
            "How many bytes of the block that it gets are wasted?"
        )

    def answer(self, state: Request) -> int:
        """The block less the request."""
        return (PAGE << state.order) - state.size

    def hints(self, state: Request) -> list[str]:
        """Pages first, then the power of two."""
        pages = -(-state.size // PAGE)
        return [f"How many pages does it take? {pages}.", f"A block has a power of two of pages: {1 << state.order}."]

    def solve(self, state: Request) -> str:
        """Round up twice."""
        pages = -(-state.size // PAGE)
        return (
            f"{state.size:,} bytes are {pages} pages, rounded up; the block has {1 << state.order} pages, "
            f"{PAGE << state.order:,} bytes; {PAGE << state.order:,} - {state.size:,}."
        )

    def explain(self, state: Request, given: int) -> str:
        """Was only one of the two steps taken?"""
        if given == -state.size % PAGE:
            return "That is what is left of the last page; but the buddy system hands out powers of two of pages."
        return f"{given} is not it; hint(1) helps."


class PagesOfNoUse(Problem[FreeBlocks]):
    """How many free pages are of no use to a request of that order?"""

    title = "Free, and of no use"
    form = "a number of pages"

    def pose(self, rng: random.Random) -> FreeBlocks:
        """A few free blocks of the small orders, and a request among them."""
        counts = tuple(rng.randrange(5) for _ in range(6))
        return FreeBlocks((*counts[:2], counts[2] + 1, *counts[3:]), rng.randrange(1, 6))

    def ask(self, state: FreeBlocks) -> str:
        """Show the lists."""
        return (
            f"{table(state.counts)}\n\nHow many of the free pages are of no use to a request of order {state.order}? "
            "(Divided by all free pages, that is the unusable free space index.)"
        )

    def answer(self, state: FreeBlocks) -> int:
        """What is in blocks that are too small."""
        return sum(count << order for order, count in enumerate(state.counts[: state.order]))

    def hints(self, state: FreeBlocks) -> list[str]:
        """Only smaller blocks."""
        return [
            "A larger block can be split: it is of use.",
            f"Add up the pages of all blocks of order 0 to {state.order - 1}; a block of order n has 2^n pages.",
        ]

    def solve(self, state: FreeBlocks) -> str:
        """Add up."""
        parts = " + ".join(f"{count} x {1 << order}" for order, count in enumerate(state.counts[: state.order]))
        share = measure(state.counts).unusable[state.order]
        return f"{parts} = {self.answer(state)} pages; the index is {share:.3f}."

    def explain(self, state: FreeBlocks, given: int) -> str:
        """Blocks or pages?"""
        if given == sum(state.counts[: state.order]):
            return "That is the number of blocks. A block of order n has 2^n pages."
        return f"{given} is not it; hint(1) helps."


_CHOICES = {
    "a": "it does not fail: there is a block",
    "b": "mostly since too little memory is free: the index is 0.5 or below",
    "c": "mostly since what is free lies in pieces: the index is above 0.5",
}


class WhyItFails(Problem[FreeBlocks]):
    """Is it lack of memory or fragmentation?"""

    title = "Why does it fail?"
    form = "a, b or c"

    def pose(self, rng: random.Random) -> FreeBlocks:
        """Two cases of three have no block that is large enough."""
        order = rng.randrange(2, 6)
        counts = [rng.randrange(1, 4) << rng.randrange(4) if k < order else 0 for k in range(7)]
        if rng.randrange(3) == 0:
            counts[rng.randrange(order, 7)] = 1
        elif rng.randrange(2):
            counts = [count if k == 0 else 0 for k, count in enumerate(counts)]
        return FreeBlocks(tuple(counts), order)

    def ask(self, state: FreeBlocks) -> str:
        """The lists, and three answers."""
        choices = "\n".join(f"- **{letter}** {text}" for letter, text in _CHOICES.items())
        return f"{table(state.counts)}\n\nA request of order {state.order} comes. Why does it fail?\n\n{choices}"

    def answer(self, state: FreeBlocks) -> str:
        """By the fragmentation index."""
        index = measure(state.counts).extfrag[state.order]
        return "a" if index == -1 else "b" if index <= 0.5 else "c"

    def read(self, answer: object) -> str:
        """A letter, or its text."""
        return read_choice(answer, _CHOICES)

    def hints(self, state: FreeBlocks) -> list[str]:
        """First look, then reckon."""
        return [
            f"Is there a block of order {state.order} or above?",
            "If not: index = 1 - (1 + free pages / wanted pages) / free blocks. Few large pieces bring it down, "
            "many small ones up; of a single one it may be below 0.",
        ]

    def solve(self, state: FreeBlocks) -> str:
        """The formula with its numbers, or the block that serves."""
        index = measure(state.counts).extfrag[state.order]
        if index == -1:
            order = next(k for k, count in enumerate(state.counts) if k >= state.order and count)
            return f"There is a block of order {order}: the request is met, and the index says so by -1."
        free = sum(count << k for k, count in enumerate(state.counts))
        return f"1 - (1 + {free} / {1 << state.order}) / {sum(state.counts)} = {index:.3f}."


class Pages(NamedTuple):
    """A small memory, a letter a page: "M" movable, "U" unmovable, "." free."""

    text: str


class AfterCompaction(Problem[Pages]):
    """What does memory look like once the two scanners have met?"""

    title = "When the scanners meet"
    form = "a row of letters and dots as long as the memory"

    def pose(self, rng: random.Random) -> Pages:
        """Sixteen pages, a few of them movable, one or two not."""
        pages = ["M"] * rng.randrange(4, 7) + ["U"] * rng.randrange(1, 3)
        pages += ["."] * (16 - len(pages))
        rng.shuffle(pages)
        return Pages("".join(pages))

    def ask(self, state: Pages) -> str:
        """Show the row."""
        return (
            "Sixteen pages, page 0 on the left: M movable, U unmovable, . free.\n\n"
            f"    {state.text}\n\n"
            "The migrate scanner comes from the left and takes movable pages; the free scanner comes from the right "
            "and finds room, the last free page first. They stop when they meet. (A pageblock is a single page here.) "
            "What does the row look like then?"
        )

    def answer(self, state: Pages) -> str:
        """Move the leftmost movable page to the rightmost free one, as long as it lies to the right."""
        pages = list(state.text)
        while "M" in pages and "." in pages:
            source, room = pages.index("M"), len(pages) - 1 - pages[::-1].index(".")
            if source > room:
                break
            pages[source], pages[room] = ".", "M"
        return "".join(pages)

    def read(self, answer: object) -> str:
        """Letters in either case; blanks do not matter."""
        text = "".join(str(answer).upper().split())
        if len(text) != 16 or set(text) - set("MU."):
            raise ValueError("sixteen letters M, U and dots")
        return text

    def hints(self, state: Pages) -> list[str]:
        """One move at a time."""
        first, room = state.text.index("M"), len(state.text) - 1 - state.text[::-1].index(".")
        return ["What is unmovable stays.", f"The first move: from page {first} to page {room}."]

    def solve(self, state: Pages) -> str:
        """Before and after, and what it brought."""
        before, after = largest(state.text), largest(self.answer(state))
        return f"The largest free block was of order {before} before, and is of order {after} after."

    def explain(self, state: Pages, given: str) -> str:
        """Is something lost?"""
        if sorted(given) != sorted(state.text):
            return "Pages are moved, none is lost and none is made: count the letters."
        return "Not that row; hint(1) helps."


def largest(row: str) -> int:
    """Return the order of the largest free block of a row of sixteen pages; -1 if none is free."""
    buddy = BuddyAllocator(16, max_order=4, pageblock_order=4)
    pages = [buddy.alloc(0, MigrateType.MOVABLE) for _ in range(16)]
    for pfn in pages:
        if row[pfn] == ".":
            buddy.free(pfn, 0)
    return max((order for order, count in enumerate(buddy.counts()) if count), default=-1)
