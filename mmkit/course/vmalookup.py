"""Problems of chapter 07: which area find_vma finds, how many it looks at, and whether an access lets a stack grow."""

from __future__ import annotations

import random
from typing import NamedTuple

from mmkit.course.problem import Problem
from mmkit.course.vmascript import NONE, PAGE, READ, RW, WINDOW, Step, pages, play
from mmkit.errors import FatalSignal
from mmkit.model.vma import MmStruct
from mmkit.model.vma.lookup import lookup
from mmkit.model.vmaflags import MAP_ANONYMOUS, MAP_FIXED, MAP_GROWSDOWN, MAP_PRIVATE
from mmkit.model.vmastate import MmState, TreeState


class Search(NamedTuple):
    """Areas as (first page, pages), and the page that is looked for."""

    areas: tuple[tuple[int, int], ...]
    page: int


def _areas(rng: random.Random, count: int) -> tuple[tuple[int, int], ...]:
    areas, first = [], rng.randrange(2, 6)
    for _ in range(count):
        size = rng.randrange(1, 6)
        areas.append((first, size))
        first += size + rng.choice((1, 1, 2, 3))
    return tuple(areas)


def _state(search: Search) -> MmState:
    return play([Step("mmap", first, size, READ) for first, size in search.areas]).snapshot()


def _list(areas: tuple[tuple[int, int], ...]) -> str:
    return "\n".join(f"{number}. {pages(first, size)}" for number, (first, size) in enumerate(areas, 1))


class FindVma(Problem[Search]):
    """What does find_vma return?"""

    title = "What does find_vma find?"
    form = "the number of an area, or 0 for none"

    def pose(self, rng: random.Random) -> Search:
        """A few areas; a page in one of them, in a gap, or above all."""
        areas = _areas(rng, rng.randrange(4, 7))
        first, size = rng.choice(areas)
        return Search(areas, rng.choice((first, first + size - 1, first + size, areas[-1][0] + areas[-1][1] + 1)))

    def ask(self, state: Search) -> str:
        """The areas, and the page."""
        return (
            f"An address space has these areas:\n\n{_list(state.areas)}\n\nWhich of them does `find_vma` return for an "
            f"address in page {state.page}? (0: none.)"
        )

    def answer(self, state: Search) -> int:
        """Ask the model."""
        mm = _state(state)
        found = mm.find_vma(WINDOW + state.page * PAGE)
        return mm.vmas.index(found) + 1 if found else 0

    def hints(self, state: Search) -> list[str]:
        """The definition."""
        return ["`find_vma` returns the first area that ends above the address.", "The address need not be inside it."]

    def solve(self, state: Search) -> str:
        """Which end is above?"""
        number = self.answer(state)
        if not number:
            return f"The last area ends before page {state.page}: there is none that ends above."
        first, size = state.areas[number - 1]
        inside = "is in it" if first <= state.page else "lies in the gap before it"
        return f"{pages(first, size).capitalize()} are the first that end above page {state.page}, which {inside}."

    def explain(self, state: Search, given: int) -> str:
        """None, although the address is in a gap?"""
        if given == 0:
            return "There is an area that ends above the address; that it begins above it too does not matter."
        return f"{given} is not it; hint(1) helps."


class HowManyNodes(Problem[Search]):
    """How many nodes of the red-black tree does find_vma look at?"""

    title = "How many are looked at?"
    form = "a number of areas"

    def pose(self, rng: random.Random) -> Search:
        """Seven to fifteen areas, and a page in one of them."""
        areas = _areas(rng, rng.randrange(7, 16))
        first, size = rng.choice(areas)
        return Search(areas, first + rng.randrange(size))

    def _tree(self, state: Search) -> TreeState:
        return lookup(_state(state), "rbtree", WINDOW + state.page * PAGE)

    def _drawn(self, state: Search) -> str:
        tree, lines = self._tree(state), []

        def draw(at: int, depth: int, side: str) -> None:
            lines.append(f"{'  ' * depth}- {side}{tree.nodes[at].vmas[0] + 1}")
            for child, where in zip(tree.nodes[at].children, ("left: ", "right: "), strict=True):
                if child >= 0:
                    draw(child, depth + 1, where)

        draw(0, 0, "root: ")
        return "\n".join(lines)

    def ask(self, state: Search) -> str:
        """The areas, their tree, and the page."""
        return (
            f"An address space has these areas:\n\n{_list(state.areas)}\n\nThey are the nodes of a red-black tree:\n\n"
            f"{self._drawn(state)}\n\nAt how many areas does `find_vma` look, in the tree, to find an address in page "
            f"{state.page}?"
        )

    def answer(self, state: Search) -> int:
        """Ask the model."""
        return len(self._tree(state).visits)

    def hints(self, state: Search) -> list[str]:
        """How the search goes."""
        return [
            "At each area: does it end at or below the address? Then go right. Does it begin above the address? Go "
            "left, and remember it. Otherwise it is found.",
            f"The search begins at area {self._tree(state).nodes[0].vmas[0] + 1}.",
        ]

    def solve(self, state: Search) -> str:
        """The way."""
        tree = self._tree(state)
        way = ", ".join(str(tree.nodes[visit.node].vmas[0] + 1) for visit in tree.visits)
        return f"It looks at the areas {way}. (In a list it would look at {(tree.found or 0) + 1}.)"

    def explain(self, state: Search, given: int) -> str:
        """The list's number?"""
        if given == (self._tree(state).found or 0) + 1:
            return "So many it would look at in a list, from the first on."
        return f"{given} is not it; hint(1) helps."


class Deep(NamedTuple):
    """A stack, the area below it, its limit, and the page that is read: all in pages."""

    start: int
    size: int
    below: int
    """Last page of the area below."""
    readable: bool
    limit: int
    page: int


GUARD = 256


class HowFarItGrows(Problem[Deep]):
    """Does the stack grow, or does the program die?"""

    title = "Does it grow?"
    form = "the number of pages that the stack has then, or 0 if the program dies"

    def pose(self, rng: random.Random) -> Deep:
        """An access near one of the two bounds."""
        start, size, limit = 4096, rng.choice((4, 8, 33)), rng.choice((512, 1024, 2048))
        far = start + size - limit
        below = far - GUARD + rng.choice((-200, 40, 90))
        near = rng.choice((far, below + 1 + GUARD, start - 20)) + rng.choice((-2, -1, 0, 1))
        return Deep(start, size, below, rng.random() < 0.75, limit, near)

    def ask(self, state: Deep) -> str:
        """All the numbers."""
        rights = "can be read" if state.readable else "has no rights at all (PROT_NONE)"
        return (
            f"A stack has pages {state.start} to {state.start + state.size - 1}, and may have {state.limit} pages "
            f"(`ulimit -s`). The next area below ends with page {state.below}, and {rights}. The guard gap is {GUARD} "
            f"pages. The program reads a byte in page {state.page}. How many pages has the stack then? (0: it dies of "
            "SIGSEGV.)"
        )

    def answer(self, state: Deep) -> int:
        """Let it happen."""
        flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED
        mm = MmStruct(stack_limit=state.limit * PAGE)
        stack, last = WINDOW + state.start * PAGE, WINDOW + state.below * PAGE
        mm.mmap(stack, state.size * PAGE, RW, flags | MAP_GROWSDOWN)
        mm.mmap(last - PAGE, 2 * PAGE, READ if state.readable else NONE, flags)
        try:
            mm.touch(WINDOW + state.page * PAGE)
        except FatalSignal:
            return 0
        return mm.vmas[-1].pages

    def hints(self, state: Deep) -> list[str]:
        """The two bounds."""
        return [
            "The stack grows down to the page that is touched, however far that is, if two things allow it.",
            f"It may not be larger than {state.limit} pages, and {GUARD} pages have to stay free above the area below, "
            "unless that area cannot be accessed at all.",
        ]

    def solve(self, state: Deep) -> str:
        """Both reckoned out."""
        size, gap = state.start + state.size - state.page, state.page - state.below - 1
        return (
            f"It would have {size} pages, of {state.limit} that it may have. {gap} pages would be free below it; "
            + (f"{GUARD} have to be." if state.readable else "the area below has no rights, so that does not matter.")
        )
