"""The problem lab, operated without a browser."""

from __future__ import annotations

import pytest

from mmkit.course.introduction import CountPages
from mmkit.lab.problem import ProblemLab


@pytest.fixture
def lab() -> ProblemLab:
    return ProblemLab(CountPages(seed=1))


def right_answer(lab: ProblemLab) -> str:
    return lab.problem.solution().text.rsplit("Answer: ", 1)[1]


def test_it_shows_the_question(lab):
    assert "How many pages of 4096 bytes" in lab.question_box.value
    assert "<strong>" in lab.question_box.value
    assert "How many pages of 4096 bytes" in repr(lab)


def test_check_right_wrong_and_empty(lab):
    lab.check_button.click()
    assert "Not attempted." in lab.verdict_box.value
    lab.check("0")
    assert "Not yet." in lab.verdict_box.value
    lab.answer_box.value = right_answer(lab)
    lab.check_button.click()
    assert "Right." in lab.verdict_box.value


def test_enter_checks(lab):
    lab.answer_box.value = right_answer(lab)
    lab.answer_box._handle_custom_msg({"event": "submit"}, [])
    assert "Right." in lab.verdict_box.value


def test_hints_stop_at_the_last(lab):
    for _ in range(lab.problem.nr_hints + 2):
        lab.hint_button.click()
    assert f"Hint {lab.problem.nr_hints} of {lab.problem.nr_hints}" in lab.verdict_box.value


def test_solution_and_another(lab):
    before = lab.question_box.value
    lab.solution_button.click()
    assert right_answer(lab) in lab.verdict_box.value
    lab.another_button.click()
    assert lab.question_box.value != before
    assert "Answer" not in lab.verdict_box.value


def test_without_a_kernel_the_question_remains(lab):
    bundle = lab._repr_mimebundle_()
    data = bundle[0] if isinstance(bundle, tuple) else bundle
    assert "How many pages" in data["text/html"]
    assert "application/vnd.jupyter.widget-view+json" in data
