"""Problems of the page chapter: their answers, worked out here in another way."""

import re

import pytest

from mmkit.course.page import CountBoth, DecodeFlags, ThenAndNow, WhatDoesPutDo, WhosePage, ZoneAndNode

SEEDS = range(40)


def numbers(text):
    return [int(number, 0) for number in re.findall(r"0x[0-9a-f]+|-?\b\d+", text)]


def verdicts(kind, solve):
    """``solve`` gets the text of a question, and answers as a reader would."""
    for seed in SEEDS:
        problem = kind(seed)
        assert problem.check(solve(problem.question().text.split("\n\n", 1)[1])).right is True, seed


def test_flags_decoded_from_the_list_in_the_question():
    def solve(text):
        word = int(re.search(r"`(0x[0-9a-f]+)`", text)[1], 16)
        return " ".join(f"PG_{name}" for bit, name in re.findall(r"(\d+) ([a-z]\w+)", text) if word >> int(bit) & 1)

    verdicts(DecodeFlags, solve)


def test_counts_added_up_from_the_sentences():
    def solve(text):
        added = {"a part of the kernel takes": (1, 0), "a reference that": (-1, 0), "the page is entered": (1, 1),
                 "one of these": (-1, -1)}  # fmt: skip
        steps = [
            next(d for start, d in added.items() if start in line) for line in text.splitlines() if line[:1].isdigit()
        ]
        return f"{1 + sum(refs for refs, _ in steps)},{-1 + sum(maps for _, maps in steps)}"

    verdicts(CountBoth, solve)


def test_whose_page_by_the_last_two_bits():
    verdicts(WhosePage, lambda text: "ab?c"[numbers(text)[0] & 3])


def test_one_more_or_one_less():
    verdicts(ThenAndNow, lambda text: numbers(text)[-1 if "An old" in text else 0] + (1 if "An old" in text else -1))


def test_zone_and_node_cut_out_of_the_digits():
    def solve(text):
        bits = f"{int(re.search(r'0x[0-9a-f]{16}', text)[0], 16):064b}"
        names = dict(re.findall(r"(\d) ([A-Z]\w+)", text))
        return f"{names[str(int(bits[10:13], 2))]},{int(bits[:10], 2)}"

    verdicts(ZoneAndNode, solve)


def test_half_right_says_which_half():
    problem = next(ZoneAndNode(seed) for seed in SEEDS if ZoneAndNode(seed).check("Normal,3"))
    assert "The zone is right" in problem.check("Normal,1").why
    assert "The node is right" in problem.check("DMA,3").why
    assert "Neither number is right" in problem.check("DMA,0").why
    assert problem.check("2,3").right is True
    assert problem.check("HighMem,3").right is None


def test_what_put_does_by_counting_holders():
    def solve(text):
        refcount, mapcount = map(int, re.search(r"`_refcount` (\d+) and `_mapcount` (-?\d+)", text).groups())
        held = mapcount + 1 + ("page cache of a file" in text)
        stop = re.search(r"Flags set:[^.]*(locked|writeback)", text)
        return "c" if refcount == held else "a" if refcount > 1 else "d" if stop else "b"

    verdicts(WhatDoesPutDo, solve)


@pytest.mark.parametrize("kind", [WhatDoesPutDo, WhosePage])
def test_every_choice_is_right_for_some_seed(kind):
    choices = {"a", "b", "c"} | ({"d"} if kind is WhatDoesPutDo else set())
    assert {next(c for c in choices if kind(seed).check(c)) for seed in SEEDS} == choices


@pytest.mark.parametrize(
    ("kind", "answer"), [(DecodeFlags, "locked brown"), (CountBoth, "3"), (WhosePage, "z"), (ZoneAndNode, "Normal")]
)
def test_what_cannot_be_read_is_not_wrong(kind, answer):
    assert kind(1).check(answer).right is None
