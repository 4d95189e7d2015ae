"""Problems of the chapter on areas: their answers, worked out here in another way."""

from __future__ import annotations

import re

import pytest

from mmkit.course import vma as areas
from mmkit.course.vma import HowManyAreas, OneOrTwo, WhereDoesItGo
from mmkit.course.vmaprocess import ATTEMPTS, WhatIsRefused, WhatTheChildHas, WhatTheCountersSay

SEEDS = range(60)
ONE, TWO = 1, 2
# What Linux does, story by story.
ENDS = {
    "_alike": ONE, "_one_written": ONE, "_between": TWO, "_between_unwritten": ONE, "_made_alike": ONE,
    "_written_side_by_side": ONE, "_accounted": TWO, "_not_accounted": ONE, "_shared": TWO, "_file": ONE,
    "_file_gap": TWO, "_file_reopened": TWO, "_healed": ONE, "_no_fork": TWO,
}  # fmt: skip


def solved(kind, solve):
    """``solve`` gets the text of a question, and answers as a reader would."""
    for seed in SEEDS:
        problem = kind(seed)
        assert problem.check(solve(problem.question().text.split("\n\n", 1)[1])).right is True, seed


def calls(text):
    """Each step of the question: its call, its pages, and the rest of its words."""
    found = []
    for line in re.findall(r"^\d+\. (.*)$", text, re.MULTILINE):
        call, first, last, rest = re.fullmatch(
            r"`?([\w()]+)`?(?: to)? pages? (\d+)(?: to (\d+))?:? ?(.*)", line
        ).groups()
        found.append((call, range(int(first), int(last or first) + 1), rest))
    return found


@pytest.mark.parametrize("story", areas.STORIES, ids=lambda story: story.__name__)
@pytest.mark.parametrize("sizes", [(2, 2), (3, 5), (6, 4)])
def test_one_or_two_story_by_story(story, sizes):
    assert OneOrTwo().answer(story(*sizes)) == ENDS[story.__name__]


def test_every_story_is_told_for_some_seed():
    told = {re.search(r"\n\n([A-Z].*)\n\nAnswer", OneOrTwo().solution(seed).text)[1] for seed in range(200)}
    assert told == {story(2, 2).why for story in areas.STORIES}


def test_pieces_by_a_row_of_letters():
    def solve(text):
        row = ["."] * 16
        for call, pages, rest in calls(text):
            for page in pages:
                row[page] = "." if call == "munmap" else "r" if rest.startswith("read only") else "w"
        return len(re.findall(r"w+|r+", "".join(row)))

    solved(HowManyAreas, solve)


def test_pieces_are_shown_row_by_row():
    text = HowManyAreas(3).solution().text
    last = re.findall(r"^    ([wr.]{16})$", text, re.MULTILINE)[-1]
    assert str(len(re.findall(r"w+|r+", last))) == text.rpartition("Answer: ")[2]


def test_where_it_goes_page_by_page_from_the_top():
    def solve(text):
        free = set(range(16, 0x200))
        for first, last in re.findall(r"^- pages (\w+) to (\w+)", text, re.MULTILINE):
            free -= set(range(int(first, 16), int(last, 16) + 1))
        wanted = int(re.search(r"asks for (\d+) page", text)[1])
        start = 0x200 - wanted
        while not free >= set(range(start, start + wanted)):
            start -= 1
        return hex(start)

    solved(WhereDoesItGo, solve)


def test_the_lower_end_of_a_gap_is_told_from_the_upper():
    told = []
    for seed in SEEDS:
        problem = WhereDoesItGo(seed)
        ends = [
            int(last, 16) + 1 for last in re.findall(r"^- pages \w+ to (\w+)", problem.question().text, re.MULTILINE)
        ]
        told += [problem.check(end).why for end in ends]
    assert any("lower end" in why for why in told)
    assert any("hint" in why for why in told)


def test_refusals_as_the_manual_pages_have_them():
    refused = {
        "EINVAL": (", 0 bytes", "neither", "MAP_FIXED, at page 4 and 100", "mprotect, page 4 and 100", "DONTNEED"),
        "EEXIST": ("NOREPLACE",),
        "EACCES": ("MAP_SHARED, read and write",),
        "ENOMEM": ("mprotect, pages 6 to 12", "to 12 pages"),
        "EFAULT": ("mremap, pages 40",),
    }

    def solve(text):
        call = text.rpartition("\n\n")[2].replace("no MAP_FIXED", "a hint")
        return next((name for name, signs in refused.items() if any(sign in call for sign in signs)), "ok")

    solved(WhatIsRefused, solve)
    assert {next(n for n in (*refused, "ok") if WhatIsRefused(seed).check(n)) for seed in SEEDS} == {*refused, "ok"}


@pytest.mark.parametrize("attempt", ATTEMPTS, ids=lambda attempt: attempt.text)
def test_no_two_names_are_right(attempt):
    problem = WhatIsRefused()
    problem._state = attempt
    assert sum(bool(problem.check(name)) for name in ("ok", "EINVAL", "ENOMEM", "EEXIST", "EACCES", "EFAULT")) == 1


def played(text):
    """The pages, each with what is known of it: what it is, whether it is locked, touched, and of which call."""
    memory = {}
    for number, (call, pages, rest) in enumerate(calls(text)):
        for page in pages:
            if call == "mmap":
                memory[page] = {"words": rest, "locked": False, "touched": "", "call": number, "kept": True}
            elif call == "munmap":
                memory.pop(page, None)
            elif call == "mlock":
                memory[page] |= {"locked": True, "touched": "write"}
            elif call == "write":
                memory[page]["touched"] = call
            elif call == "read":
                # A read fault of a file maps up to 16 pages around it: here, all that there are.
                for other in memory.values():
                    other["touched"] = other["touched"] or ("read" if other["call"] == memory[page]["call"] else "")
            else:
                memory[page]["kept"] = False
    return memory


def test_counters_page_by_page():
    counted = {
        "VmSize": lambda page: True,
        "VmData": lambda page: "write" in page["words"] and "private" in page["words"],
        "VmLck": lambda page: page["locked"],
        "VmRSS": lambda page: page["touched"],
    }

    def solve(text):
        memory = played(text.rpartition("What does")[0])
        return 4 * sum(1 for page in memory.values() if counted[re.search(r"as `(\w+)`", text)[1]](page))

    solved(WhatTheCountersSay, solve)


def test_the_child_page_by_page():
    def solve(text):
        memory = played(text.partition("Then it forks")[0])
        kept = {page: what for page, what in memory.items() if what["kept"]}
        if "locked" in text.rpartition("How many")[2]:
            return 0
        if "areas" in text.rpartition("How many")[2]:
            # Locked or not is what cuts an area of the parent in two.
            return len({(what["call"], what["locked"]) for what in kept.values()})
        return sum(1 for what in kept.values() if what["touched"] == "write" and "private" in what["words"])

    solved(WhatTheChildHas, solve)


@pytest.mark.parametrize(("kind", "answer"), [(OneOrTwo, "both"), (WhatIsRefused, "EPERM"), (WhereDoesItGo, "")])
def test_what_cannot_be_read_is_not_wrong(kind, answer):
    assert kind(1).check(answer).right is None
