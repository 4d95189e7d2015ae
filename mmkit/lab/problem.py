"""The problem lab: a question, a box for the answer, and buttons for check, hint, solution and another question."""

from __future__ import annotations

from typing import Any

import ipywidgets as widgets
import mistune

from mmkit.course.problem import Problem

_MARKDOWN = mistune.create_markdown()
_WIDE = widgets.Layout(width="28em")


class ProblemLab(widgets.VBox):
    """Shows a problem and lets the reader answer it; Enter in the box checks.

    The methods ``check``, ``hint``, ``solution`` and ``another`` do what the buttons do; ``question_box``,
    ``answer_box`` and ``verdict_box`` are the parts that are read and written.
    """

    def __init__(self, problem: Problem[Any]) -> None:
        self.problem = problem
        self._hints_shown = 0
        self.question_box = widgets.HTML()
        self.answer_box = widgets.Text(description="Answer", placeholder=problem.form, layout=_WIDE)
        self.check_button = _button("Check", "Compare the answer", "primary")
        self.hint_button = _button("Hint", "Show the next hint")
        self.solution_button = _button("Solution", "Show the way to the answer")
        self.another_button = _button("Another", "Pose another question of this kind")
        self.verdict_box = widgets.HTML()
        buttons = (self.check_button, self.hint_button, self.solution_button, self.another_button)
        super().__init__((self.question_box, widgets.HBox((self.answer_box, *buttons)), self.verdict_box))
        self._connect()
        self._pose()

    def _connect(self) -> None:
        self.check_button.on_click(lambda _: self.check())
        self.hint_button.on_click(lambda _: self.hint())
        self.solution_button.on_click(lambda _: self.solution())
        self.another_button.on_click(lambda _: self.another())
        # on_submit warns that it is deprecated; Text's own message is what Enter sends.
        self.answer_box.on_msg(lambda _, content, __: self.check() if content.get("event") == "submit" else None)

    def _pose(self) -> None:
        self.question_box.value = _html(self.problem.question().text)
        self.answer_box.value, self.verdict_box.value, self._hints_shown = "", _status(""), 0

    def check(self, answer: object = None) -> None:
        """Check ``answer``, or what stands in the box."""
        if answer is not None:
            self.answer_box.value = str(answer)
        verdict = self.problem.check(self.answer_box.value)
        mark = {True: "✔ ", False: "✘ ", None: ""}[verdict.right]
        self._say(mark + repr(verdict))

    def hint(self) -> None:
        """Show the next hint; after the last one, the last again."""
        self._hints_shown = min(self._hints_shown + 1, self.problem.nr_hints)
        self._say(self.problem.hint(self._hints_shown).text)

    def solution(self) -> None:
        """Show the worked answer."""
        self._say(self.problem.solution().text)

    def another(self) -> None:
        """Pose the question of the next seed."""
        self.problem.question(self.problem.seed + 1)
        self._pose()

    def _say(self, markdown: str) -> None:
        self.verdict_box.value = _status(_html(markdown))

    def _repr_mimebundle_(self, **kwargs: Any) -> dict[str, Any]:
        bundle: dict[str, Any] = super()._repr_mimebundle_(**kwargs) or {}
        # A page without a kernel shows the question; the answer box needs one.
        return bundle | {"text/plain": repr(self), "text/html": self.question_box.value}

    def __repr__(self) -> str:
        return f"ProblemLab: {self.problem.question().text}"


def _button(text: str, tooltip: str, style: str = "") -> widgets.Button:
    return widgets.Button(description=text, tooltip=tooltip, button_style=style, layout=widgets.Layout(width="auto"))


def _html(markdown: str) -> str:
    return str(_MARKDOWN(markdown)).strip()


def _status(html: str) -> str:
    return f'<div role="status" aria-live="polite" style="min-height:1.5em">{html}</div>'
