"""Problems of chapter 02: counts, flags, and whose page it is."""

from __future__ import annotations

import random
from typing import NamedTuple

from mmkit.course.problem import Problem, read_choice
from mmkit.model.page import MemMap, Page
from mmkit.model.pageflags import MappingKind, PageFlags, mapping_kind

_FLAGS = tuple(PageFlags)


class DecodeFlags(Problem[int]):
    """Which flags does a number stand for?"""

    title = "Which flags are set?"
    form = "their names, such as locked dirty (or none)"

    def pose(self, rng: random.Random) -> int:
        """Two to four flags, of those among the lowest nine."""
        return sum(int(flag) for flag in rng.sample(_FLAGS[:9], rng.randrange(2, 5)))

    def ask(self, state: int) -> str:
        """The number, and what each bit means."""
        bits = ", ".join(f"{flag.bit} {flag.name}" for flag in _FLAGS[:9])
        return f"The flags of a page are `{state:#x}`. Which of these bits are set: {bits}?"

    def answer(self, state: int) -> tuple[str, ...]:
        """Names, lowest bit first."""
        return PageFlags(state).names

    def read(self, answer: object) -> tuple[str, ...]:
        """Names in any order, with or without PG_."""
        words = answer.replace(",", " ").split() if isinstance(answer, str) else list(answer)  # type: ignore[call-overload]
        names = {str(word).removeprefix("PG_") for word in words} - {"none"}
        if unknown := names - set(PageFlags.__members__):
            raise ValueError(f"{', '.join(sorted(unknown))}: no such flag")
        return PageFlags(sum({int(PageFlags[name]) for name in names})).names

    def show(self, answer: tuple[str, ...]) -> str:
        """Names with spaces."""
        return " ".join(answer) or "none"

    def hints(self, state: int) -> list[str]:
        """Binary."""
        return ["Each hexadecimal digit is four bits: 1, 2, 4 and 8.", f"In binary it is `{state:#b}`."]

    def solve(self, state: int) -> str:
        """Bit by bit."""
        lines = [f"- bit {flag.bit} (`{int(flag):#x}`): {flag.name}, {flag.what}" for flag in _FLAGS if flag & state]
        return "\n".join(lines)


class Steps(NamedTuple):
    """What is done to a page that was just handed out, in turn."""

    deeds: tuple[str, ...]


def _play(steps: Steps) -> Page:
    page = MemMap(1)[0]
    page.set_refcounted()
    for deed in steps.deeds:
        if deed == "map":
            page.get()
            page.map()
        elif deed == "unmap":
            page.unmap()
            page.put()
        elif deed == "get":
            page.get()
        else:
            page.put()
    return page


_WORDS = {
    "get": "a part of the kernel takes a reference",
    "put": "a reference that was taken is put back",
    "map": "the page is entered in one more page table (with the reference that goes with it)",
    "unmap": "one of these entries is removed (and its reference put)",
}


def _deeds(rng: random.Random) -> Steps:
    deeds: list[str] = []
    taken, mapped = 0, 0
    for _ in range(rng.randrange(4, 8)):
        choices = ["get", "map"] + ["put"] * (taken > 0) + ["unmap"] * (mapped > 0)
        deed = rng.choice(choices)
        taken += (deed == "get") - (deed == "put")
        mapped += (deed == "map") - (deed == "unmap")
        deeds.append(deed)
    return Steps(tuple(deeds))


class CountBoth(Problem[Steps]):
    """Follow the two counts of a page."""

    title = "What do the counts say?"
    form = "two numbers, _refcount,_mapcount, such as 3,-1"

    def pose(self, rng: random.Random) -> Steps:
        """A few deeds that make sense in turn."""
        return _deeds(rng)

    def ask(self, state: Steps) -> str:
        """The deeds, in words."""
        lines = "\n".join(f"{number}. {_WORDS[deed]}" for number, deed in enumerate(state.deeds, 1))
        return f"The allocator hands out a page. Then:\n\n{lines}\n\nWhat are `_refcount` and `_mapcount` in the end?"

    def answer(self, state: Steps) -> tuple[int, int]:
        """Let the model do it."""
        page = _play(state)
        return page.refcount, page.mapcount

    def read(self, answer: object) -> tuple[int, int]:
        """Two numbers."""
        parts = answer.split(",") if isinstance(answer, str) else list(answer)  # type: ignore[call-overload]
        refcount, mapcount = (int(part) for part in parts)
        return refcount, mapcount

    def show(self, answer: tuple[int, int]) -> str:
        """With a comma."""
        return f"{answer[0]},{answer[1]}"

    def hints(self, state: Steps) -> list[str]:
        """Where they start."""
        return ["Handed out, a page has `_refcount` 1 and `_mapcount` -1.", "An entry counts in both."]

    def solve(self, state: Steps) -> str:
        """After every deed."""
        counts = [self.show(self.answer(Steps(state.deeds[: n + 1]))) for n in range(len(state.deeds))]
        return "After each step: " + "; ".join(
            f"{deed} {count}" for deed, count in zip(state.deeds, counts, strict=True)
        )


_KINDS = {"a": "a page of a file", "b": "an anonymous page", "c": "an anonymous page merged with equal ones (KSM)"}
_KIND_LETTERS = {MappingKind.FILE: "a", MappingKind.ANON: "b", MappingKind.KSM: "c"}


class WhosePage(Problem[int]):
    """Read the low bits of ``mapping``."""

    title = "Whose page is it?"
    form = "a, b or c"

    def pose(self, rng: random.Random) -> int:
        """A pointer as it may stand in ``mapping``."""
        return 0xFFFF_8880_0000_0000 + (rng.randrange(1 << 28) << 3) + rng.choice((0, 1, 3))

    def ask(self, state: int) -> str:
        """The pointer and the choices."""
        choices = "\n".join(f"- **{letter}** {text}" for letter, text in _KINDS.items())
        return f"The field `mapping` of a page holds `{state:#x}`. What is it?\n\n{choices}"

    def answer(self, state: int) -> str:
        """As the kernel tells."""
        return _KIND_LETTERS[mapping_kind(state)]

    def read(self, answer: object) -> str:
        """A letter."""
        return read_choice(answer, _KINDS)

    def hints(self, state: int) -> list[str]:
        """The last digit."""
        last = state & 0xF
        return ["Only the two lowest bits matter.", f"The last hexadecimal digit is {last:x}, in binary {last:04b}."]

    def solve(self, state: int) -> str:
        """Cut the bits off."""
        return f"The two lowest bits are {state & 3:02b}; the pointer without them is `{state & ~3:#x}`."


class ThenAndNow(Problem[tuple[str, int]]):
    """Translate between the textbook's count and today's."""

    title = "The count, then and now"

    def pose(self, rng: random.Random) -> tuple[str, int]:
        """Which of the two is given, and its value."""
        return rng.choice((("_count", rng.randrange(-1, 40)), ("_refcount", rng.randrange(40))))

    def ask(self, state: tuple[str, int]) -> str:
        """The value given and the one wanted."""
        if state[0] == "_count":
            return (
                f"An old text, where -1 means free, says that `_count` is {state[1]}. What would `_refcount` be today?"
            )
        return f"`_refcount` is {state[1]}. What would `_count` be in an old text, where -1 means free?"

    def answer(self, state: tuple[str, int]) -> int:
        """Let the model show both views."""
        page = MemMap(1)[0]
        users = state[1] + (state[0] == "_count")
        if users:
            page.set_refcounted()
        for _ in range(users - 1):
            page.get()
        return page.refcount if state[0] == "_count" else page.count_then

    def hints(self, state: tuple[str, int]) -> list[str]:
        """A free page."""
        return ["What do the two say of a free page? The difference is always the same."]

    def solve(self, state: tuple[str, int]) -> str:
        """Add or subtract one."""
        return "`_count` was `_refcount` less one: -1 and 0 both mean free."
