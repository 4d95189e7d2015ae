"""Problems of the slab chapter: their answers, worked out here in another way."""

from __future__ import annotations

import re

import pytest

from mmkit.course.slab import ChooseOrder, KmallocGives, WasteInSlab, WhichNext, WhoFindsIt

SEEDS = range(40)


def test_waste_at_the_end_by_laying_objects_down_one_by_one(solved):
    def solve(text):
        size, pages = map(int, re.search(r"of (\d+) bytes.*slabs of (\d+) page", text).groups())
        end = 0
        while end + size <= pages * 4096:
            end += size
        return hex(pages * 4096 - end)

    solved(WasteInSlab, SEEDS, solve)


def test_the_order_by_the_rule_in_the_question(solved):
    def solve(text):
        size, cpus = map(int, re.search(r"of (\d+) bytes, on a machine with (\d+) CPUs", text).groups())
        least = min(4 * (len(f"{cpus:b}") + 1), 32768 // size)
        large = [order for order in range(4) if (4096 << order) // size >= least]
        for share in (16, 8, 4, 2):
            for order in large:
                if (4096 << order) % size <= (4096 << order) // share:
                    return order
        raise AssertionError(text)

    solved(ChooseOrder, SEEDS, solve)


def test_the_next_object_from_a_stack(solved):
    def solve(text):
        taken = int(re.search(r"takes (\d+) objects", text)[1])
        freed = [int(n) for n in re.findall(r"\d+", re.search(r"gives back ([^.]*)\.", text)[1])]
        stack = [*range(100, taken, -1), *freed]
        return [stack.pop(), stack.pop()][1]

    solved(WhichNext, SEEDS, solve)


def test_the_first_of_two_is_told_from_the_second():
    problem = WhichNext(3)
    last = int(re.findall(r"\d+", re.search(r"gives back ([^.]*)\.", str(problem))[1])[-1])
    assert "the first of the two" in problem.check(last).why


def test_kmalloc_gives_the_smallest_class(solved):
    def solve(text):
        size = int(re.search(r"kmalloc\((\d+)\)", text)[1])
        powers = next(1 << k for k in range(3, 14) if 1 << k >= size)
        return min(odd for odd in (powers, 96, 192) if odd >= size)

    solved(KmallocGives, SEEDS, solve)


def test_who_finds_it_by_what_is_written(solved):
    def solve(text):
        if "writes" not in text.split("Which part")[0]:
            return "F"
        return "p" if "gives it back" in text else "Z"

    solved(WhoFindsIt, SEEDS, solve)


def test_every_detective_but_the_witness_is_right_for_some_seed():
    assert {next(c for c in "ZPF" if WhoFindsIt(seed).check(c)) for seed in SEEDS} == set("ZPF")
    assert not any(WhoFindsIt(seed).check("U") for seed in SEEDS)


@pytest.mark.parametrize(("kind", "answer"), [(ChooseOrder, "two"), (WhoFindsIt, "Q"), (WasteInSlab, "")])
def test_what_cannot_be_read_is_not_wrong(kind, answer):
    assert kind(1).check(answer).right is None
