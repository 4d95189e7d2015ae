"""Problems of chapter 02: counts, flags, and whose page it is."""

from __future__ import annotations

import random
from typing import NamedTuple

from mmkit.arch import X86_64
from mmkit.course.problem import Problem, read_choice, read_numbers
from mmkit.errors import BadFree
from mmkit.model.page import MemMap, Page
from mmkit.model.pageflags import MappingKind, PageFlags, flags_layout, mapping_kind

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
        refcount, mapcount = read_numbers(answer)
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
        bits = "00 means a file, 01 anonymous, 11 anonymous and merged (KSM)"
        return f"The two lowest bits are {state & 3:02b} ({bits}); the pointer without them is `{state & ~3:#x}`."


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


class Word(NamedTuple):
    """A whole flags word of a machine with nodes: zone by index, node, flag bits."""

    zone: int
    node: int
    flags: int

    @property
    def value(self) -> int:
        """The word as it stands in memory."""
        return flags_layout(X86_64).pack(self.flags, self.zone, self.node)


class ZoneAndNode(Problem[Word]):
    """Read zone and node out of a flags word."""

    title = "Where does the page lie?"
    form = "zone and node, such as DMA32,0"

    def pose(self, rng: random.Random) -> Word:
        """A page of a machine with four nodes; only the first has low memory."""
        node = rng.randrange(4)
        zone = rng.randrange(3) if node == 0 else 2
        return Word(zone, node, sum(int(flag) for flag in rng.sample(_FLAGS[:9], 2)))

    def ask(self, state: Word) -> str:
        """The word, and where the numbers are in it."""
        node, zone, _ = flags_layout(X86_64).fields
        names = ", ".join(f"{number} {name}" for number, name in enumerate(X86_64.zone_names))
        return (
            f"The flags word of a page is `{state.value:#018x}`. Its node is in bits {node.shift} to "
            f"{node.shift + node.width - 1}, its zone in bits {zone.shift} to {zone.shift + zone.width - 1} "
            f"({names}). In which zone and on which node does the page lie?"
        )

    def answer(self, state: Word) -> tuple[str, int]:
        """Let a page of that word tell."""
        mem_map = MemMap(1)
        mem_map.set_zone(X86_64.zone_names[state.zone], 0, 1, state.node)
        return mem_map[0].zone, mem_map[0].node

    def read(self, answer: object) -> tuple[str, int]:
        """A name and a number, or two numbers."""
        zone, node = answer.split(",") if isinstance(answer, str) else list(answer)  # type: ignore[call-overload]
        choices = {str(number): name for number, name in enumerate(X86_64.zone_names)}
        return choices[read_choice(zone, choices)], int(node)

    def show(self, answer: tuple[str, int]) -> str:
        """With a comma."""
        return f"{answer[0]},{answer[1]}"

    def explain(self, state: Word, given: tuple[str, int]) -> str:
        """Which half is right."""
        zone, node = self.answer(state)
        right = "the zone" if given[0] == zone else "the node" if given[1] == node else "neither number"
        return f"{right.capitalize()} is right; hint(2) shows the bits."

    def hints(self, state: Word) -> list[str]:
        """The top bits."""
        top = f"{state.value >> 51:013b}"
        return [
            "Shift the word right by 51: the zone is what is left in the lowest three bits.",
            f"The 13 highest bits are {top[:10]} {top[10:]}: node, then zone.",
        ]

    def solve(self, state: Word) -> str:
        """Shift and mask."""
        return (
            f"- node: `{state.value:#x} >> 54` is {state.node}\n"
            f"- zone: `({state.value:#x} >> 51) & 7` is {state.zone}, {X86_64.zone_names[state.zone]}"
        )


class Plight(NamedTuple):
    """A page in use: whose it is, entries, references beyond those, flag bits."""

    kind: str
    mappings: int
    loose: int
    flags: int


_OUTCOMES = {
    "a": "The count goes down, and the page stays in use.",
    "b": "The page is freed.",
    "c": "A mistake: every reference belongs to a page table entry or to the page cache, which must let go first.",
    "d": "A mistake: it would be the last one, and a flag says that somebody still works on the page.",
}


def _page_in(state: Plight) -> Page:
    page = MemMap(1)[0]
    page.set_refcounted()
    if state.kind == "file":
        page.set_file(0xFFFF_8880_0012_3450, 5)
    elif state.kind == "anonymous":
        page.set_anon(0xFFFF_8880_0012_3450, 5)
    for _ in range(state.mappings):
        page.get()
        page.map()
    for _ in range(state.loose):
        page.get()
    page.set_flags(PageFlags(state.flags))
    if page.refcount > page.holders and page.refcount > 1:
        page.put()  # the allocator's own
    return page


class WhatDoesPutDo(Problem[Plight]):
    """Foresee what the last, or not the last, put of a reference does."""

    title = "What does put do?"
    form = "a, b, c or d"

    def pose(self, rng: random.Random) -> Plight:
        """Each outcome is about as likely."""
        kind, flag = rng.choice(("file", "anonymous", "plain")), rng.choice((0, PageFlags.locked, PageFlags.writeback))
        mappings = rng.randrange(3) if kind != "plain" else 0
        return Plight(kind, mappings, rng.randrange(2), int(rng.choice((flag, PageFlags.dirty))))

    def ask(self, state: Plight) -> str:
        """The state of the page and the choices."""
        page = _page_in(state)
        whose = {
            "file": "It is in the page cache of a file.",
            "anonymous": "It is anonymous.",
            "plain": "Its mapping is 0.",
        }
        names = ", ".join(page.flags.names) or "none"
        choices = "\n".join(f"- **{letter}** {text}" for letter, text in _OUTCOMES.items())
        return (
            f"A page has `_refcount` {page.refcount} and `_mapcount` {page.mapcount}. {whose[state.kind]} "
            f"Flags set: {names}. Somebody calls `put`. What happens, or should?\n\n{choices}"
        )

    def answer(self, state: Plight) -> str:
        """Do it."""
        page = _page_in(state)
        try:
            return "b" if page.put() else "a"
        except BadFree:
            return "c" if page.refcount <= page.holders else "d"

    def read(self, answer: object) -> str:
        """A letter."""
        return read_choice(answer, _OUTCOMES)

    def hints(self, state: Plight) -> list[str]:
        """Who holds what."""
        return [
            "Every page table entry holds a reference; so does the page cache. How many are left for others?",
            "The last reference may go only if no flag such as locked or writeback is set.",
        ]

    def solve(self, state: Plight) -> str:
        """Count the holders; say what the model says."""
        page = _page_in(state)
        held = f"{page.refcount} references, {page.holders} of them held by entries and cache. "
        try:
            freed = page.put()
        except BadFree as refusal:
            return f"{held}Refused: {refusal}"
        return held + ("It was the last one." if freed else f"One goes, {page.refcount} stay.")
