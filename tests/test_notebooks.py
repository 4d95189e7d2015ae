"""What every chapter keeps to, read off its file: short cells, predictions, outputs that are there, pictures in words.

That the outputs are true is checked by running the notebooks under strict nbval, which is part of `make test`.
"""

from __future__ import annotations

import ast
import re
import sys
from html.parser import HTMLParser
from importlib.util import module_from_spec, spec_from_file_location
from itertools import pairwise
from pathlib import Path
from statistics import median
from types import ModuleType
from typing import Any

import nbformat
import pytest

ROOT = Path(__file__).parents[1]
CHAPTERS = sorted((ROOT / "notebooks").glob("*.ipynb"))
MOST_LINES, MOST_LINES_OF_AN_ALGORITHM, MEDIAN_LINES, LEAST_PREDICTIONS = 12, 20, 3, 4
IMPORTABLE = {"mmkit", "numpy"} | set(sys.stdlib_module_names)
OF_ONE_MACHINE = re.compile(r"(?:/home|/root|/Users|/work|/tmp)/\w|[A-Z]:\\\\|site-packages")

pytestmark = pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)


def read(path: Path) -> Any:
    """The notebook as its file has it."""
    return nbformat.read(path, as_version=nbformat.NO_CONVERT)


def cells(path: Path, kind: str) -> list[Any]:
    """The cells of one kind that are not empty."""
    return [cell for cell in read(path).cells if cell.cell_type == kind and cell.source.strip()]


def tags(cell: Any) -> list[str]:
    """The tags of a cell."""
    return list(cell.metadata.get("tags", []))


def lines(cell: Any) -> int:
    """How many lines of code a cell has."""
    return len(cell.source.strip().splitlines())


def normaliser() -> ModuleType:
    """The script behind `make outputs`."""
    spec = spec_from_file_location("outputs", ROOT / ".ci" / "outputs.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Images(HTMLParser):
    """Collects the attributes of every image of a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[dict[str, str | None]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "img":
            self.found.append(dict(attrs))


def test_it_is_as_make_outputs_writes_it(path: Path) -> None:
    """No widget state, no model ids, no timing, cell ids that stay, whatever front end the author saved it in."""
    assert normaliser().clean(read(path)) == read(path), "run make outputs"
    assert "widgets" not in read(path).metadata
    ids = [cell.id for cell in read(path).cells]
    assert len(set(ids)) == len(ids)


def test_code_cells_are_short(path: Path) -> None:
    code = cells(path, "code")
    for cell in code:
        limit = MOST_LINES_OF_AN_ALGORITHM if "algorithm" in tags(cell) else MOST_LINES
        assert lines(cell) <= limit, f"{lines(cell)} lines, at most {limit}:\n{cell.source}"
    assert median(lines(cell) for cell in code) <= MEDIAN_LINES


def test_the_reader_predicts_before_running(path: Path) -> None:
    predictions = [cell for cell in cells(path, "markdown") if re.search(r"\bpredict", cell.source, re.IGNORECASE)]
    assert len(predictions) >= LEAST_PREDICTIONS


def test_each_prediction_is_followed_by_something_to_run(path: Path) -> None:
    everything = read(path).cells
    for cell, following in zip(everything, [*everything[1:], None], strict=True):
        if cell.cell_type == "markdown" and "**Predict, then run" in cell.source.rpartition("\n\n")[2]:
            assert following is not None, cell.source
            assert following.cell_type == "code", cell.source


def test_it_was_run_from_top_to_bottom(path: Path) -> None:
    code = cells(path, "code")
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1)), "run make outputs"


def test_what_shows_something_has_its_output(path: Path) -> None:
    for cell in cells(path, "code"):
        last = ast.parse(cell.source).body[-1]
        shows = isinstance(last, ast.Expr) and not isinstance(last.value, ast.Call)
        assert cell.outputs or not shows, f"run make outputs; this cell has none:\n{cell.source}"


def test_nothing_is_exempt_from_comparison(path: Path) -> None:
    for cell in cells(path, "code"):
        assert not re.search(r"#\s*(NBVAL|PYTEST_VALIDATE)", cell.source), cell.source
        assert not [tag for tag in tags(cell) if tag.lower().startswith("nbval")], cell.source


def test_errors_are_meant(path: Path) -> None:
    for cell in cells(path, "code"):
        failed = any(output.output_type == "error" for output in cell.outputs)
        assert failed == ("raises-exception" in tags(cell)), cell.source
        assert not [output for output in cell.outputs if output.get("name") == "stderr"], cell.source


def test_nothing_is_of_one_machine(path: Path) -> None:
    text = re.sub(r"base64,[A-Za-z0-9+/=]+", "", path.read_text())
    assert not OF_ONE_MACHINE.findall(text)


def test_headings_are_in_order(path: Path) -> None:
    prose = "\n".join(re.sub(r"```.*?```", "", cell.source, flags=re.DOTALL) for cell in cells(path, "markdown"))
    levels = [len(marks) for marks in re.findall(r"^(#+) ", prose, re.MULTILINE)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels)), levels


def test_every_picture_says_what_it_shows(path: Path) -> None:
    for cell in cells(path, "markdown"):
        assert not re.search(r"!\[\s*\]", cell.source), cell.source
        assert all((image.get("alt") or "").strip() for image in Images(cell.source).found), cell.source
    for cell in cells(path, "code"):
        for output in cell.outputs:
            html = "".join(output.get("data", {}).get("text/html", ""))
            assert all((image.get("alt") or "").strip() for image in Images(html).found), cell.source
            assert "image/png" not in output.get("data", {}), f"a picture without alt text:\n{cell.source}"


def test_nothing_is_hidden_in_a_helper(path: Path) -> None:
    """What a cell uses comes from mmkit, numpy or Python itself, and notebooks/ holds no code beside the notebooks."""
    for cell in cells(path, "code"):
        for node in ast.walk(ast.parse(cell.source)):
            if isinstance(node, ast.Import | ast.ImportFrom):
                names = [node.module or ""] if isinstance(node, ast.ImportFrom) else [each.name for each in node.names]
                assert {name.partition(".")[0] for name in names} <= IMPORTABLE, cell.source
    beside = [
        file.name for file in path.parent.iterdir() if not file.name.startswith((".", "__")) and file not in CHAPTERS
    ]
    assert beside == []


def test_links_lead_somewhere(path: Path) -> None:
    for cell in cells(path, "markdown"):
        for target in re.findall(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)", cell.source):
            assert (path.parent / target).exists(), target
