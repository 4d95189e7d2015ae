"""The house's own rules: short modules and functions, a docstring for everything public, public names in one place."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import mmkit

ROOT = Path(__file__).parents[1]
FILES = sorted((ROOT / "mmkit").rglob("*.py"))
MODULE_LINES, FUNCTION_LINES = 400, 40
PRESETS = ("X86", "X86_PAE", "X86_64", "X86_64_LA57", "TOY")
PROMISED = {
    *("Arch", *PRESETS, "PageFlags", "Page", "MemMap", "BuddyAllocator", "Gfp", "Zone", "PhysicalMemory", "KmemCache"),
    *(
        "SlabAllocator",
        "Vma",
        "MmStruct",
        "File",
        "PageTable",
        "Tlb",
        "Mmu",
        "PageFault",
        "Machine",
        "Process",
        "Trace",
    ),
}
# Neither is a model of a part of the kernel: the states themselves, and the step events.
NOT_MODELS = {"__init__", "snapshot", "trace"}

Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
each_file = pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))


def definitions(node: ast.AST, public: bool = True) -> Iterator[tuple[Definition, bool]]:
    """Every function and class, and whether readers can reach it from outside."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, Definition):
            reachable = public and not child.name.startswith("_") and not is_setter(child)
            yield child, reachable
            yield from definitions(child, reachable and isinstance(child, ast.ClassDef))
        else:
            yield from definitions(child, public)


def is_setter(node: Definition) -> bool:
    """What a property is for stands at its getter."""
    return any(isinstance(each, ast.Attribute) and each.attr in ("setter", "deleter") for each in node.decorator_list)


@each_file
def test_modules_and_functions_are_short(path: Path) -> None:
    text = path.read_text()
    assert len(text.splitlines()) <= MODULE_LINES
    for node, _ in definitions(ast.parse(text)):
        if not isinstance(node, ast.ClassDef):
            lines = (node.end_lineno or 0) - node.lineno + 1
            assert lines <= FUNCTION_LINES, f"{node.name}: {lines} lines"


@each_file
def test_everything_public_says_what_it_is_for(path: Path) -> None:
    tree = ast.parse(path.read_text())
    assert ast.get_docstring(tree)
    silent = [node.name for node, public in definitions(tree) if public and not ast.get_docstring(node)]
    assert silent == []


@pytest.mark.parametrize("path", sorted((ROOT / "mmkit/model").rglob("*.py")), ids=lambda path: path.stem)
def test_every_model_names_what_it_models_and_leaves_out(path: Path) -> None:
    docstring = ast.get_docstring(ast.parse(path.read_text())) or ""
    if path.stem not in NOT_MODELS:
        assert "Models:" in docstring
        assert "Leaves out:" in docstring


def test_public_names_are_there() -> None:
    assert [name for name in mmkit.__all__ if getattr(mmkit, name, None) is None] == []
    assert set(mmkit.__all__) <= set(dir(mmkit))
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        _ = mmkit.Nothing


def test_promised_names_are_public_as_soon_as_they_exist() -> None:
    trees = [ast.parse(path.read_text()) for path in FILES]
    defined = {node.name for tree in trees for node in tree.body if isinstance(node, ast.ClassDef)}
    exist = PROMISED & (defined | set(PRESETS))
    assert exist - set(mmkit.__all__) == set()
    # One name, one thing: what is public is what its module defines.
    assert {name for name in exist - set(PRESETS) if getattr(mmkit, name).__name__ != name} == set()
