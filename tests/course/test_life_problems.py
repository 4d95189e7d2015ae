"""Problems of chapter 11: solved from their text alone, by arithmetic and not by the model."""

from __future__ import annotations

import re

from mmkit.course.life import WhatComesBack, WhatDoesItCost, WhoIsKilled

SEEDS = range(1, 40)
PAGE = 4096


def chunk(size):
    return max((size + 8 + 15) // 16 * 16, 32)


def own_pages(size):
    """How many pages a block of its own needs; 0 if it is in the heap."""
    return -(-(chunk(size) + 8) // PAGE) if size >= 140_000 else 0


def test_costs_by_page_numbers(solved):
    def solve(text):
        size = int(re.search(r"malloc\((\d+)\)", text)[1])
        if own_pages(size):
            return 1 + (16 + size - 1) // PAGE + 1
        return (0x290 + chunk(size) + 15) // PAGE + 1

    answers = solved(WhatDoesItCost, SEEDS, solve)
    assert min(answers) == 1
    assert max(answers) > 50


def test_what_comes_back_is_what_has_its_own_pages(solved):
    def solve(text):
        sizes = dict(re.findall(r"(\w) = malloc\((\d+)\)", text))
        return sum(own_pages(int(sizes[name])) for name in re.findall(r"free\((\w)\)", text))

    assert len(set(solved(WhatComesBack, SEEDS, solve))) > 6


def test_who_is_killed_by_adding_up_a_table(solved):
    def solve(text):
        total = int(re.search(r"has ([\d,]+) pages", text)[1].replace(",", ""))
        best = (-1, "")
        for row in re.findall(r"^\| ([a-d]) \|(.*)\|$", text, re.MULTILINE):
            rss, swap, tables, adj = (int(one.replace(",", "")) for one in row[1].split("|"))
            if adj != -1000:
                best = max(best, (rss + swap + tables + adj * (total // 1000), row[0]))
        return best[1]

    assert set(solved(WhoIsKilled, SEEDS, solve)) == set("abcd")
