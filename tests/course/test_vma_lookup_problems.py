"""Problems of finding an address, and of the stack: their answers, worked out here in another way."""

from __future__ import annotations

import re

import pytest

from mmkit.course.vmalookup import FindVma, HowFarItGrows, HowManyNodes

SEEDS = range(80)


def solved(kind, solve):
    """``solve`` gets the text of a question, and answers as a reader would; returns all answers."""
    answers = []
    for seed in SEEDS:
        problem = kind(seed)
        answers.append(solve(problem.question().text.split("\n\n", 1)[1]))
        assert problem.check(answers[-1]).right is True, seed
    return answers


def areas(text):
    """The areas of the question, first page and last."""
    found = re.findall(r"^\d+\. pages? (\d+)(?: to (\d+))?$", text, re.MULTILINE)
    return [(int(first), int(last or first)) for first, last in found]


def test_find_vma_by_counting_those_that_end_before():
    def solve(text):
        page = int(re.search(r"address in page (\d+)", text)[1])
        before = sum(1 for _, last in areas(text) if last < page)
        return (before + 1) % (len(areas(text)) + 1)

    answers = solved(FindVma, solve)
    assert 0 in answers


def test_an_address_in_a_gap_is_no_reason_for_none():
    told = {problem.check(0).why for problem in map(FindVma, SEEDS) if problem.check(0).right is False}
    assert any("does not matter" in why for why in told)


def tree(text):
    """The tree of the question: of each area, its children to the left and to the right."""
    children, path = {}, []
    for indent, side, number in re.findall(r"^( *)- (root|left|right): (\d+)$", text, re.MULTILINE):
        depth = len(indent) // 2
        path[depth:] = [int(number)]
        children[int(number)] = {}
        if side != "root":
            children[path[depth - 1]][side] = int(number)
    return path[0], children


def test_nodes_by_walking_down_the_tree_that_is_written_there():
    def solve(text):
        page = int(re.search(r"address in page (\d+)", text)[1])
        at, children = tree(text)
        spans, looked = areas(text), 1
        assert sorted(children) == list(range(1, len(spans) + 1))
        while not spans[at - 1][0] <= page <= spans[at - 1][1]:
            at = children[at]["right" if page > spans[at - 1][1] else "left"]
            looked += 1
        return looked

    answers = solved(HowManyNodes, solve)
    assert max(answers) <= 2 * 5


def test_the_number_of_a_list_is_told_apart():
    told = [problem.check(number).why for problem in map(HowManyNodes, SEEDS) for number in range(1, 16)]
    assert any("in a list" in why for why in told)


def test_growth_by_the_two_bounds():
    def solve(text):
        numbers = [int(number) for number in re.findall(r"\d+", text)]
        first, last, limit, below, guard, page = numbers[:6]
        if page >= first:
            return last - first + 1
        allowed = last - page + 1 <= limit and ("PROT_NONE" in text or page - below - 1 >= guard)
        return last - page + 1 if allowed else 0

    answers = solved(HowFarItGrows, solve)
    assert 0.2 < answers.count(0) / len(answers) < 0.8


@pytest.mark.parametrize("kind", [FindVma, HowManyNodes, HowFarItGrows])
def test_what_cannot_be_read_is_not_wrong(kind):
    assert kind(1).check("the second").right is None
    assert kind(1).check("").right is None
