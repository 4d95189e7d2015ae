"""The contract of every problem, on a small one made here and on all that the course has."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import random

import pytest

import mmkit.course
from mmkit.course import Problem, Verdict, read_choice
from mmkit.course.introduction import PageAndOffset
from mmkit.course.page import CountBoth


class Double(Problem[int]):
    title = "Twice"

    def pose(self, rng: random.Random) -> int:
        return rng.randrange(1000)

    def ask(self, state: int) -> str:
        return f"What is twice {state}?"

    def answer(self, state: int) -> int:
        return 2 * state

    def hints(self, state: int) -> list[str]:
        return ["add it to itself"]

    def solve(self, state: int) -> str:
        return f"{state} + {state}"


def kinds() -> list[type[Problem]]:
    found = []
    for info in pkgutil.iter_modules(mmkit.course.__path__):
        module = importlib.import_module(f"mmkit.course.{info.name}")
        found += [
            kind
            for _, kind in inspect.getmembers(module, inspect.isclass)
            if issubclass(kind, Problem) and not inspect.isabstract(kind) and kind.__module__ == module.__name__
        ]
    return found


def test_nothing_attempted_is_not_wrong():
    problem = Double(3)
    for nothing in (None, "", "  "):
        assert problem.check(nothing).right is None
    assert problem.check("many").right is None
    assert "'many'" in problem.check("many").why


def test_two_numbers_are_read_however_they_are_parted():
    for problem in (PageAndOffset(1), CountBoth(2)):
        right = problem.answer(problem.pose(random.Random(problem.seed)))
        first, second = problem.show(right).split(",")
        for text in (f"{first},{second}", f"{first} {second}", f" ({first}, {second}) "):
            assert problem.check(text).right is True, text
        assert problem.check(right).right is True
        assert problem.check(f"{first},{second},1").right is None
        assert problem.check(first).right is None
        assert problem.check("a,b").right is None


def test_right_and_wrong():
    problem = Double(3)
    right = problem.answer(problem.pose(random.Random(3)))
    assert problem.check(right).right is True
    assert problem.check(hex(right)).right is True
    wrong = problem.check(right + 1)
    assert wrong.right is False
    assert not wrong
    assert str(right) not in wrong.why


def test_solution_of_another_seed_leaves_the_question():
    problem = Double(3)
    before = problem.question()
    problem.solution(4)
    assert problem.question() == before


def test_hints_are_counted_from_one():
    with pytest.raises(ValueError, match="there is no hint 2"):
        Double().hint(2)


def test_a_seed_is_an_int():
    problem = Double(3)
    with pytest.raises(TypeError, match="'x'"):
        problem.question("x")  # type: ignore[arg-type]
    assert problem.seed == 3


def test_choices_by_letter_or_text():
    assert read_choice("B)", {"a": "yes", "b": "no"}) == "b"
    assert read_choice("Yes", {"a": "yes", "b": "no"}) == "a"
    with pytest.raises(ValueError, match="'c'"):
        read_choice("c", {"a": "yes", "b": "no"})


def test_the_course_has_problems():
    assert kinds()


@pytest.mark.parametrize("kind", kinds(), ids=lambda kind: kind.__qualname__)
def test_every_problem_keeps_the_contract(kind: type[Problem]):
    questions = set()
    for seed in range(1, 21):
        problem = kind(seed)
        assert problem.question() == kind(seed).question()
        questions.add(problem.question().text.replace(f"seed {seed}", ""))
        right = problem.show(problem.answer(problem._state))
        assert problem.check(right) == Verdict(True, problem.praise(problem._state))
        assert right in problem.solution().text
        assert problem.check(None).right is None
        assert problem.nr_hints >= 1
        assert all(problem.hint(n).text for n in range(1, problem.nr_hints + 1))
    assert len(questions) > 3, "seeds hardly change the question"
