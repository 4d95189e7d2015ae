"""Problems of chapters 08 and 09: solved from their text alone, by other means than the model's."""

from __future__ import annotations

import re

import pytest

from mmkit.arch import PRESETS
from mmkit.course.pgtable import HowManyTables, TakeApart, WalkByHand
from mmkit.course.tlb import DoesItReach, HowManyMisses, WhatIsLeft, WhichErrorCode

SEEDS = range(1, 60)
KINDS = [TakeApart, WalkByHand, HowManyTables, HowManyMisses, WhichErrorCode, DoesItReach, WhatIsLeft]


def numbers(text):
    return [int(found, 16) for found in re.findall(r"`0x([0-9a-f]+)`", text)]


def test_indices_by_cutting_a_string_of_bits(solved):
    def solve(text):
        arch, level = re.search(r"\((X86\w*)\)", text)[1], re.search(r"of the (\w+) table", text)[1]
        levels = PRESETS[arch].levels
        bits = f"{numbers(text)[0]:0{sum(each.bits for each in levels) + 12}b}"
        for each in levels:
            index, bits = bits[: each.bits], bits[each.bits :]
            if each.name == level:
                return int(index, 2)
        raise AssertionError(text)

    assert len(set(solved(TakeApart, SEEDS, solve))) > 20


def test_walks_by_looking_words_up_in_the_table_that_is_written_there(solved):
    def solve(text):
        words = {int(a, 16): int(w, 16) for a, w in re.findall(r"\| `0x([0-9a-f]+)` \| `0x([0-9a-f]+)` \|", text)}
        cr3, addr = numbers(text)[0], numbers(text)[-1]
        table = words[cr3 + addr // 2**22 * 4] // 4096 * 4096
        return words[table + addr // 4096 % 1024 * 4] // 4096 * 4096 + addr % 4096

    solved(WalkByHand, SEEDS, solve)


def test_tables_by_counting_prefixes(solved):
    def solve(text):
        pages = numbers(text)
        return 1 + sum(len({page // 512**level // 4096 for page in pages}) for level in (1, 2, 3))

    assert len(set(solved(HowManyTables, SEEDS, solve))) > 5


def test_misses_by_a_list_for_each_set(solved):
    def solve(text):
        entries = int(re.search(r"TLB of (\d+)", text)[1])
        sets = int(found[1]) if (found := re.search(r"(\d+) sets of", text)) else 1
        kept = [[] for _ in range(sets)]
        misses = 0
        for page in (int(each, 16) for each in re.findall(r"0x([0-9a-f]+)[,]", text)):
            held = kept[page % sets]
            misses += page not in held
            if page in held:
                held.remove(page)
            held.insert(0, page)
            del held[entries // sets :]
        return misses

    assert len(set(solved(HowManyMisses, SEEDS, solve))) > 3


def test_error_codes_by_the_rules_of_the_manual(solved):
    def solve(text):
        user, there = "User code" in text, "there is a page" in text
        how = "w" if " writes " in text else "x" if " fetches " in text else "r"
        may, forbidden = re.search(r"it may be ([^.]*?)(?:, not ([^.]*))?\.", text).groups() if there else ("", "")
        needs = {"w": "written", "x": "executed"}.get(how, "read")
        assert not there or (needs in may) != (needs in (forbidden or ""))
        assert not there or ("that user code may use" in text) != ("of the kernel's own" in text)
        if there and needs in may and (not user or "that user code may use" in text):
            return "none"
        return there + 2 * (how == "w") + 4 * user + 16 * (how == "x")

    answers = solved(WhichErrorCode, SEEDS, solve)
    assert 0.1 < answers.count("none") / len(answers) < 0.6


def test_reach_by_multiplying(solved):
    def solve(text):
        entries = int(re.search(r"has ([\d,]+) entries", text)[1].replace(",", ""))
        return entries * (2048 if "2 MiB" in text else 4)

    solved(DoesItReach, SEEDS, solve)


def test_what_is_left_by_striking_rows_out(solved):
    def solve(text):
        if "not told to use PCIDs" in text:
            assert "| PCID |" not in text
            return len(re.findall(r"^\| 0x\w+ \| yes \|$", text, re.M))
        rows = [(int(p, 16), int(a), g == "yes") for p, a, g in re.findall(r"\| 0x(\w+) \| (\d) \| (yes|no) \|", text)]
        pcid = int(found[1]) if (found := re.search(r"PCID (\d)", text)) else None
        if "invlpg" in text:
            page = int(re.search(r"page 0x(\w+)\.", text)[1], 16)
            return len([row for row in rows if row[0] != page or (row[1] != pcid and not row[2])])
        if "bit 63 set" in text:
            return len(rows)
        return len([row for row in rows if row[2] or row[1] != pcid])

    assert len(set(solved(WhatIsLeft, SEEDS, solve))) > 3
    for problem in map(WhatIsLeft, SEEDS):
        assert f"leaves {problem.answer(problem._state)} of {len(problem._state.entries)}." in problem.solution().text


@pytest.mark.parametrize("kind", KINDS)
def test_what_cannot_be_read_is_not_wrong(kind):
    assert kind(1).check("the second").right is None
    assert kind(1).check("").right is None


@pytest.mark.parametrize("kind", KINDS)
def test_wrong_answers_are_told_apart_and_hints_do_not_run_out(kind):
    for problem in map(kind, SEEDS):
        verdict = problem.check("12345678")
        assert verdict.right is False
        assert verdict.why
        assert all(problem.hint(number + 1).text for number in range(problem.nr_hints))
        assert f"Answer: {problem.show(problem.answer(problem._state))}" in problem.solution().text


@pytest.mark.parametrize(
    ("kind", "wrong", "told"),
    [
        (WalkByHand, lambda p: p.answer(p._state) & ~0xFFF, "offset is missing"),
        (HowManyTables, lambda p: p.answer(p._state) - 1, "root counts"),
        (WhichErrorCode, lambda p: "none", "There is a fault"),
        (TakeApart, lambda p: p._state.addr & 0xFFF, "That is the offset"),
    ],
)
def test_usual_mistakes_are_named(kind, wrong, told):
    answers = [(problem, wrong(problem)) for problem in map(kind, SEEDS)]
    said = [problem.check(str(given)).why for problem, given in answers if problem.answer(problem._state) != given]
    assert any(told in why for why in said)
