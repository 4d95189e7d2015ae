"""The kit that the other browser tests stand on sees what is broken, and drives what is not."""

from __future__ import annotations

from collections.abc import Callable

from tests.browser.notebook import Notebook

Run = Callable[..., Notebook]


def test_a_sound_notebook_has_no_problems(run_code: Run) -> None:
    assert run_code("1 + 1", "import ipywidgets\nipywidgets.IntSlider()").problems() == []


def test_an_error_is_seen(run_code: Run) -> None:
    (problem,) = run_code("1 / 0").problems()
    assert "ZeroDivisionError" in problem


def test_an_error_in_a_callback_is_seen(run_code: Run) -> None:
    """Such an error shows in no cell: to the reader the button is just dead."""
    notebook = run_code("import ipywidgets", "b = ipywidgets.Button(description='Go'); b.on_click(lambda _: 1 / 0); b")
    assert notebook.problems() == []
    notebook.page.get_by_role("button", name="Go", exact=True).click()
    notebook.settle()
    assert any("ZeroDivisionError" in problem for problem in notebook.problems())


def test_a_broken_picture_and_one_without_words_are_seen(run_code: Run) -> None:
    problems = run_code(
        "from IPython.display import HTML",
        'HTML(\'<img alt="broken" src="data:image/png;base64,AAAA">\')',
        "HTML('<img src=\"data:image/gif;base64,R0lGODlhAQABAAAAACw=\">')",
    ).problems()
    assert any("did not load: broken" in problem for problem in problems)
    assert any("without alt text" in problem for problem in problems)


def test_a_slider_moves_by_keyboard(run_code: Run) -> None:
    notebook = run_code(
        "import ipywidgets as w",
        "slider, label = w.IntSlider(max=10), w.Label('0')\n"
        "slider.observe(lambda change: setattr(label, 'value', f'at {change.new}'), 'value')\n"
        "w.VBox([slider, label])",
    )
    handle = notebook.page.locator(".jp-Notebook:visible .noUi-handle")
    for _ in range(3):
        handle.press("ArrowRight")
    notebook.settle()
    assert notebook.cell(1).get_by_text("at 3").is_visible()
    assert notebook.problems() == []
