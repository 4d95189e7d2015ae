"""A problem: a question made from a seed, a check of the reader's answer, hints, and a worked solution.

One seed, one problem: the same seed always poses the same question, another seed another one of its kind. The right
answer is computed by the chapter's model when the question is posed, so that problem and model cannot disagree.
"""

from __future__ import annotations

import random
from abc import ABC, abstractmethod
from typing import Any, Generic, TypeVar

from mmkit.record import Record

State = TypeVar("State")


class Words(Record):
    """Text that a notebook shows as Markdown and a terminal as it is."""

    text: str

    def __repr__(self) -> str:
        return self.text

    def _repr_markdown_(self) -> str:
        return self.text


class Verdict(Record):
    """What the check says. ``right`` is None when nothing was attempted, which is not the same as wrong."""

    right: bool | None
    why: str

    def __repr__(self) -> str:
        opening = {True: "Right.", False: "Not yet.", None: "Not attempted."}[self.right]
        return f"{opening} {self.why}".strip()

    def __bool__(self) -> bool:
        return self.right is True


class Problem(ABC, Generic[State]):
    """Base of all problems; ``State`` is what a seed is turned into.

    A kind of problem says how to ``pose`` it, how to ``ask`` it in words, what its ``answer`` is, how to ``read`` what
    a reader typed, how to ``explain`` a wrong answer, hint and solve. In a notebook the object shows its question.
    """

    title = "Problem"

    def __init__(self, seed: int = 1) -> None:
        self.question(seed)

    def question(self, seed: int | None = None) -> Words:
        """Pose the question of that seed (None: the present one) and return it in words."""
        if seed is not None:
            if isinstance(seed, bool) or not isinstance(seed, int):
                raise TypeError(f"a seed is an int, not {seed!r}")
            self.seed, self._state = seed, self.pose(random.Random(seed))
        return Words(f"**{self.title}** (seed {self.seed})\n\n{self.ask(self._state)}")

    def check(self, answer: object = None) -> Verdict:
        """Compare ``answer``, a value or text as typed, with the right one and say what is amiss.

        An empty answer is "not attempted". Text that cannot be read as an answer is not wrong either: the verdict then
        says what to type.
        """
        if answer is None or (isinstance(answer, str) and not answer.strip()):
            return Verdict(None, f"Answer with {self.form}.")
        try:
            given = self.read(answer)
        except (ValueError, TypeError):
            return Verdict(None, f"{answer!r} cannot be read as an answer: answer with {self.form}.")
        if given == self.answer(self._state):
            return Verdict(True, self.praise(self._state))
        return Verdict(False, self.explain(self._state, given))

    def hint(self, n: int = 1) -> Words:
        """Return hint ``n``, from 1. Raises ValueError if there is no such hint."""
        hints = self.hints(self._state)
        if not 1 <= n <= len(hints):
            raise ValueError(f"there is no hint {n}: this problem has hints 1 to {len(hints)}")
        return Words(f"Hint {n} of {len(hints)}: {hints[n - 1]}")

    def solution(self, seed: int | None = None) -> Words:
        """Return the worked answer of that seed (None: the present one), leaving the present question as it is."""
        state = self._state if seed is None else self.pose(random.Random(seed))
        return Words(f"{self.solve(state)}\n\nAnswer: {self.show(self.answer(state))}")

    @property
    def nr_hints(self) -> int:
        """How many hints there are."""
        return len(self.hints(self._state))

    form = "a number"
    """How an answer is written, for the message that asks for one."""

    @abstractmethod
    def pose(self, rng: random.Random) -> State:
        """Make the question's data, from ``rng`` alone."""

    @abstractmethod
    def ask(self, state: State) -> str:
        """The question in Markdown."""

    @abstractmethod
    def answer(self, state: State) -> Any:
        """The right answer, computed."""

    @abstractmethod
    def hints(self, state: State) -> list[str]:
        """Hints, from gentle to nearly everything."""

    @abstractmethod
    def solve(self, state: State) -> str:
        """The way to the answer, step by step, in Markdown."""

    def read(self, answer: object) -> Any:
        """Turn what the reader gave into a comparable value; here: a whole number, decimal or 0x... ."""
        if isinstance(answer, str):
            return int(answer.strip().replace(",", ""), 0)
        if isinstance(answer, bool) or not hasattr(answer, "__index__"):
            raise TypeError(f"{answer!r} is no whole number")
        return int(answer)

    def show(self, answer: Any) -> str:
        """The answer as text, written as a reader would type it."""
        return str(answer)

    def praise(self, state: State) -> str:
        """What to add to "Right."; the reason is often worth a sentence."""
        return ""

    def explain(self, state: State, given: Any) -> str:
        """Why ``given`` is not the answer, without giving the answer away."""
        return f"{self.show(given)} is not it. A hint may help."

    def __repr__(self) -> str:
        return f"{type(self).__name__}(seed={self.seed})\n{self.question().text}"

    def _repr_markdown_(self) -> str:
        return self.question().text


def read_choice(answer: object, choices: dict[str, str]) -> str:
    """Return the choice that ``answer`` names, by its letter or its text, whatever the case.

    ``choices`` maps letters to texts. Raises ValueError if it names none.
    """
    given = str(answer).strip().rstrip(".)").casefold()
    for letter, text in choices.items():
        if given in (letter.casefold(), text.casefold()):
            return letter
    raise ValueError(f"{answer!r} is none of {', '.join(choices)}")


def read_numbers(answer: object) -> tuple[int, ...]:
    """Return the whole numbers in ``answer``: a sequence, or text with commas or spaces, such as "0x12, 345".

    Raises ValueError for text that holds anything else.
    """
    parts = answer.strip(" ()[]").replace(",", " ").split() if isinstance(answer, str) else answer
    return tuple(int(part, 0) if isinstance(part, str) else int(part) for part in parts)  # type: ignore[attr-defined]
