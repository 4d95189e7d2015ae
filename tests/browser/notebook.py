"""One notebook in a running JupyterLab page: open it, run it, ask what a reader would see as broken."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import nbformat
from playwright.sync_api import Locator, Page

from tests.browser.server import JupyterLab

JAVASCRIPT = (Path(__file__).parent / "notebook.js").read_text()
PATIENCE_S = 120


class Notebook:
    """A notebook that is open in ``page``; its kernel is ready, its cells have not been run."""

    def __init__(self, page: Page, errors: list[str], lab: JupyterLab, path: str) -> None:
        """Open ``path``: the first one loads JupyterLab, later ones open in the JupyterLab that is there."""
        self.page, self.path, self._errors = page, path, errors
        errors.clear()
        if page.url.startswith(lab.url):
            page.evaluate("path => mmkitTest.open(path)", path)
        else:
            page.goto(lab.address(path))
            page.wait_for_function("window.jupyterapp", timeout=PATIENCE_S * 1000)
            page.evaluate(JAVASCRIPT)
        self._wait("the kernel to be ready", lambda state: state["kernel"] == "idle" and state["connected"])
        page.evaluate("mmkitTest.listen()")

    def state(self) -> dict[str, Any] | None:
        """What JupyterLab's own model of the notebook holds: the kernel's status, and each code cell's outputs."""
        return self.page.evaluate("mmkitTest.state()")  # type: ignore[no-any-return]

    def run_all(self) -> None:
        """Run > Run All Cells, through the menu, and wait until the kernel is idle and the widgets are there."""
        self.page.click(".lm-MenuBar-itemLabel:text-is('Run')")
        self.page.click(".lm-Menu-itemLabel:text-is('Run All Cells')")
        self._wait("all cells to have run", self._has_run)
        self.settle()

    def settle(self) -> None:
        """Wait until the kernel has nothing to do and the page has stopped changing."""
        self.page.evaluate("mmkitTest.settled()")

    def problems(self) -> list[str]:
        """Everything that a reader would see as broken, in words; errors in callbacks and in the console too."""
        state = self.state() or {"cells": []}
        found = [problem for number, cell in enumerate(state["cells"]) for problem in cell_problems(number, cell)]
        found += self.page.evaluate("mmkitTest.broken()")
        found += [f"callback: {text}" for text in self.page.evaluate("mmkitTest.heard")]
        return found + [f"console: {text}" for text in self._errors]

    def close(self) -> None:
        """Shut the kernel down and close the notebook without saving."""
        self.page.evaluate("mmkitTest.close()")

    def cell(self, number: int) -> Locator:
        """The output area of a cell, counted from 0."""
        return self.page.locator(".jp-Notebook:visible .jp-Cell").nth(number).locator(".jp-Cell-outputArea")

    @staticmethod
    def _has_run(state: dict[str, Any]) -> bool:
        ran = all(cell["count"] for cell in state["cells"] if cell["source"])
        failed = any(output["type"] == "error" for cell in state["cells"] for output in cell["outputs"])
        return state["kernel"] == "idle" and (ran or failed)

    def _wait(self, what: str, done: Any) -> None:
        end = time.monotonic() + PATIENCE_S
        while not ((state := self.state()) and done(state)):
            if time.monotonic() > end:
                raise TimeoutError(f"{self.path}: waited in vain for {what}; {state}")
            self.page.wait_for_timeout(50)


def write_notebook(path: Path, *cells: str) -> None:
    """Write a notebook that has these cells of code."""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    # Without it JupyterLab asks which kernel to start.
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3 (ipykernel)"}
    nbformat.write(notebook, path)


def cell_problems(number: int, cell: dict[str, Any]) -> list[str]:
    """What is wrong with one code cell; a cell tagged raises-exception may, and must, fail."""
    kinds = [output["type"] for output in cell["outputs"]]
    if "raises-exception" in cell["tags"]:
        return [] if "error" in kinds else [f"code cell {number} was meant to fail and did not"]
    found = [f"code cell {number} did not run"] if cell["source"] and not cell["count"] else []
    for output in cell["outputs"]:
        if output["type"] == "error":
            found.append(f"code cell {number}: {output['error']}")
        if output["name"] == "stderr":
            found.append(f"code cell {number} wrote to stderr: {output['text']}")
    return found
