"""Imports point one way only.

``notebooks -> course, lab -> view -> model -> arch, units, errors, record`` and ``data -> proc -> model``.
"""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
BASE = {"arch", "units", "errors", "record"}
MAY_IMPORT = {
    "record": set(),
    "arch": {"record"},
    "units": set(),
    "errors": set(),
    "model": BASE,
    "proc": BASE | {"model"},
    "data": BASE | {"model", "proc"},
    "view": BASE | {"model"},
    "course": BASE | {"model", "proc", "data", "view"},
    "lab": BASE | {"model", "proc", "data", "view", "course"},
}
# Of the models a view knows the frozen states and the names of things, nothing that changes.
VIEW_KNOWS = {
    "snapshot",
    "slabstate",
    "fragstate",
    "slabtrace",
    "compacttrace",
    "migratetype",
    "pageflags",
    "machinestate",
    "lifestate",
    "malloctrace",
    "machinetrace",
    "pgstate",
    "pgtrace",
    "pressuretrace",
    "reclaimstate",
    "reclaimtrace",
    "structpage",
    "gfp",
    "tlbstate",
    "tlbtrace",
    "trace",
    "vmaflags",
    "vmastate",
    "vmatext",
    "vmatrace",
}
# They flicker, lose updates, break the comparison of outputs, die in exported pages; pyplot also leaks figures.
FORBIDDEN = {"pyplot", "pylab", "Output", "interact", "interactive", "interact_manual", "clear_output"}

FILES = sorted(path for path in (ROOT / "mmkit").rglob("*.py") if path.parent != ROOT / "mmkit" or path.stem in BASE)


def layer_of(path: Path) -> str:
    return path.relative_to(ROOT / "mmkit").with_suffix("").parts[0]


def imports_of(tree: ast.AST) -> set[str]:
    """Full names of all that is imported, anywhere in the module: "mmkit.model.snapshot.Source"."""
    found = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            assert not node.level, f"line {node.lineno}: imports name the module in full"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_point_one_way(path: Path) -> None:
    imports = imports_of(ast.parse(path.read_text()))
    layer = layer_of(path)
    others = {name.split(".")[1] for name in imports if name.startswith("mmkit.")} - {layer}
    assert others <= MAY_IMPORT[layer]
    if layer == "view":
        models = {name.split(".")[2] for name in imports if name.startswith("mmkit.model.")}
        assert models <= VIEW_KNOWS
    if layer in BASE | {"model"}:
        heavy = {"matplotlib", "ipywidgets", "IPython", "traitlets"}
        assert not heavy & {name.split(".")[0] for name in imports}


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_nothing_that_flickers_leaks_or_prints(path: Path) -> None:
    tree = ast.parse(path.read_text())
    names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    names |= {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    names |= {part for name in imports_of(tree) for part in name.split(".")}
    assert not names & FORBIDDEN
    if layer_of(path) == "model":
        assert not names & {"print", "input", "open"}
        assert not [node for node in ast.walk(tree) if isinstance(node, ast.Global)]


def test_notebooks_import_nothing_that_flickers() -> None:
    for path in (ROOT / "notebooks").glob("*.ipynb"):
        cells = json.loads(path.read_text())["cells"]
        code = "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")
        assert not set(re.findall(r"\w+", code)) & FORBIDDEN, path


def test_the_rules_would_be_noticed_if_broken() -> None:
    tree = ast.parse("from mmkit.view.buddy import FreeLists\nimport matplotlib.pyplot as plt\n")
    assert imports_of(tree) == {"mmkit.view.buddy.FreeLists", "matplotlib.pyplot"}
    assert "view" not in MAY_IMPORT["model"] | MAY_IMPORT["proc"] | MAY_IMPORT["data"]
    assert "lab" not in set().union(*MAY_IMPORT.values())
