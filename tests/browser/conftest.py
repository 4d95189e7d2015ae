"""One JupyterLab and one Chromium for all browser tests; each test opens its own notebook in them."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.browser.chromium import Chromium, find_chromium
from tests.browser.notebook import Notebook, write_notebook
from tests.browser.server import JupyterLab

if TYPE_CHECKING:
    from tests.browser.lab_page import LabPage

pytest.register_assert_rewrite("tests.browser.lab_page")

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Where there is no Chromium these tests cannot be run; where CI says that it tests, they have to be."""
    if find_chromium() is None and not os.environ.get("CI"):
        for item in items:
            if Path(__file__).parent in item.path.parents:
                item.add_marker(pytest.mark.skip(reason="there is no Chromium here, nor in $CHROMIUM"))


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[JupyterLab]:
    """A JupyterLab on a copy of notebooks/, so that nothing can be written into the checkout."""
    root = tmp_path_factory.mktemp("root")
    for path in NOTEBOOKS.glob("*.ipynb"):
        shutil.copy(path, root)
    with JupyterLab(root) as server:
        yield server


@pytest.fixture(scope="session")
def chromium() -> Iterator[Chromium]:
    """A headless Chromium."""
    with Chromium() as browser:
        yield browser


@pytest.fixture(scope="session")
def open_notebook(lab: JupyterLab, chromium: Chromium) -> Callable[[str], Notebook]:
    """A function that opens a notebook of JupyterLab's folder in the one page that all tests share."""
    page, errors = chromium.page()
    return lambda path: Notebook(page, errors, lab, path)


@pytest.fixture
def run_code(lab: JupyterLab, open_notebook: Callable[[str], Notebook]) -> Iterator[Callable[..., Notebook]]:
    """A function that puts cells of code into a notebook, opens it and runs it."""
    opened: list[Notebook] = []

    def run(*cells: str) -> Notebook:
        path = f"made-{len(list(lab.root.iterdir()))}.ipynb"
        write_notebook(lab.root / path, *cells)
        opened.append(open_notebook(path))
        opened[-1].run_all()
        return opened[-1]

    yield run
    for notebook in opened:
        notebook.close()


@pytest.fixture
def show(run_code: Callable[..., Notebook]) -> Callable[[str], LabPage]:
    """A function that shows a lab, given as code, and returns it."""

    from tests.browser.lab_page import LabPage  # not before pytest rewrites its assertions

    def open_lab(code: str) -> LabPage:
        name = code.partition("(")[0]
        return LabPage(run_code(f"from mmkit.lab import {name}\n{code}"))

    return open_lab
