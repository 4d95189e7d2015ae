"""Every notebook, opened in a real JupyterLab as a reader opens it: whole before it is run, and whole after."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.browser.conftest import NOTEBOOKS
from tests.browser.notebook import Notebook

CHAPTERS = sorted(path.name for path in NOTEBOOKS.glob("*.ipynb"))


@pytest.mark.parametrize("name", CHAPTERS)
def test_a_chapter_shows_and_runs(open_notebook: Callable[[str], Notebook], name: str) -> None:
    """The committed outputs show their pictures; all cells run; no error, no broken widget or picture, no complaint."""
    notebook = open_notebook(name)
    try:
        notebook.settle()
        assert [problem for problem in notebook.problems() if "did not run" not in problem] == []
        notebook.run_all()
        assert notebook.problems() == []
    finally:
        notebook.close()
