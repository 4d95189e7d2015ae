"""Problems of the fragmentation chapter: their answers, worked out here in another way."""

from __future__ import annotations

import re
from fractions import Fraction

import pytest

from mmkit.course.fragmentation import AfterCompaction, PagesOfNoUse, WasteInside, WhyItFails, largest

SEEDS = range(40)


def lists(text):
    """Free blocks by order, and the order asked about, from the question."""
    counts = [int(cell) for cell in re.search(r"free blocks \|(.*)\|", text)[1].split("|")]
    return counts, int(re.search(r"request of order (\d+)", text)[1])


def test_waste_inside_by_doubling_until_it_fits(solved):
    def solve(text):
        size, block = int(re.search(r"needs ([\d,]+) bytes", text)[1].replace(",", "")), 4096
        while block < size:
            block *= 2
        return str(block - size)

    solved(WasteInside, SEEDS, solve)


def test_the_rest_of_the_last_page_is_only_half_of_the_answer():
    told = [
        problem.check(-size % 4096).why
        for problem in map(WasteInside, SEEDS)
        if problem.check(-(size := int(re.search(r"([\d,]+) bytes in", str(problem))[1].replace(",", ""))) % 4096).right
        is False
    ]
    assert told
    assert all("last page" in why for why in told)


def test_pages_of_no_use_counted_page_by_page(solved):
    def solve(text):
        counts, order = lists(text)
        blocks = [1 << k for k, count in enumerate(counts) for _ in range(count)]
        return sum(size for size in blocks if size < 1 << order)

    solved(PagesOfNoUse, SEEDS, solve)


def test_why_it_fails_in_exact_fractions(solved):
    def solve(text):
        counts, order = lists(text)
        if any(counts[order:]):
            return "a"
        free = sum(count << k for k, count in enumerate(counts))
        index = 1 - (1 + Fraction(free, 1 << order)) / sum(counts)
        # The kernel reckons in thousandths and cuts off.
        return "b" if index < Fraction(1, 2) else "c"

    solved(WhyItFails, SEEDS, solve)


def test_every_cause_is_right_for_some_seed():
    assert {next(c for c in "abc" if WhyItFails(seed).check(c)) for seed in SEEDS} == set("abc")


def test_after_compaction_movable_pages_lie_as_high_as_they_can(solved):
    def solve(text):
        row = re.search(r"^    ([MU.]{16})$", text, re.MULTILINE)[1]
        room = [i for i, letter in enumerate(row) if letter != "U"]
        movable = set(room[len(room) - row.count("M") :])
        return "".join("U" if letter == "U" else "M" if i in movable else "." for i, letter in enumerate(row)).lower()

    solved(AfterCompaction, SEEDS, solve)


def test_rows_that_cannot_be_are_not_wrong_and_lost_pages_are_named():
    problem = AfterCompaction(1)
    assert problem.check("MMM").right is None
    assert problem.check("x" * 16).right is None
    assert "none is lost" in problem.check("." * 16).why


@pytest.mark.parametrize(("row", "order"), [("." * 16, 4), ("M" * 16, -1), (".M" * 8, 0), ("M.." + "." * 13, 3)])
def test_largest(row, order):
    assert largest(row) == order
