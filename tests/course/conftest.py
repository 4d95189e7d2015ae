"""What tests of problems have in common."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import pytest

from mmkit.course import Problem


@pytest.fixture
def solved() -> Callable[[type[Problem], Iterable[int], Callable[[str], Any]], list[Any]]:
    """Solve the problems of these seeds from their texts alone, without the title; returns the answers."""

    def solve_all(kind: type[Problem], seeds: Iterable[int], solve: Callable[[str], Any]) -> list[Any]:
        answers = []
        for problem in map(kind, seeds):
            answer = solve(problem.question().text.split("\n\n", 1)[1])
            verdict = problem.check(answer)
            assert verdict, (problem, answer, verdict)
            answers.append(answer)
        return answers

    return solve_all
