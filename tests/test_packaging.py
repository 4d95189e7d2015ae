"""What `pip install .` installs is whole, typed and works anywhere; conda users get the same packages."""

from __future__ import annotations

import doctest
import re
import shutil
import subprocess
import sys
import tomllib
from email.parser import Parser
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest

ROOT = Path(__file__).parents[1]
CONDA_NAMES = {"matplotlib-base": "matplotlib"}
GOES_ALONG = ("pyproject.toml", "README.md", "LICENSE")
TRY_OUT = """
import sys, pathlib, mmkit
assert pathlib.Path(mmkit.__file__).is_relative_to(sys.argv[1]), mmkit.__file__
for name in mmkit.__all__:
    getattr(mmkit, name)
import mmkit.course, mmkit.data, mmkit.lab, mmkit.model, mmkit.proc, mmkit.view
print(mmkit.__version__)
"""


def project() -> dict[str, Any]:
    """The [project] table of pyproject.toml."""
    return dict(tomllib.loads((ROOT / "pyproject.toml").read_text())["project"])


def split(requirement: str) -> tuple[str, frozenset[str]]:
    """A requirement as its name and its set of bounds."""
    name, bounds = re.fullmatch(r"([A-Za-z0-9_.-]+?)((?:[<>=!~].*)?)", requirement.replace(" ", "")).groups()  # type: ignore[union-attr]
    return CONDA_NAMES.get(name, name), frozenset(filter(None, bounds.split(",")))


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> ZipFile:
    """The wheel that pip would build, built from a copy so that the checkout stays clean."""
    copy, out = tmp_path_factory.mktemp("copy"), tmp_path_factory.mktemp("wheel")
    shutil.copytree(ROOT / "mmkit", copy / "mmkit", ignore=shutil.ignore_patterns("__pycache__"))
    for name in GOES_ALONG:
        shutil.copy(ROOT / name, copy)
    build = f"from setuptools import build_meta; build_meta.build_wheel({str(out)!r})"
    subprocess.run([sys.executable, "-c", build], cwd=copy, check=True, capture_output=True)
    (path,) = out.glob("*.whl")
    return ZipFile(path)


def test_the_wheel_holds_every_file_of_the_package(wheel: ZipFile) -> None:
    """Code, the mark that it is typed, and all recordings with their origin."""
    files = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "mmkit").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    packed = {name for name in wheel.namelist() if ".dist-info/" not in name}
    assert {"mmkit/py.typed", "mmkit/data/README.md"} <= packed
    assert packed == files


def test_the_wheel_asks_for_what_pyproject_says(wheel: ZipFile) -> None:
    (name,) = [name for name in wheel.namelist() if name.endswith(".dist-info/METADATA")]
    metadata = Parser().parsestr(wheel.read(name).decode())
    required = [each for each in metadata.get_all("Requires-Dist", []) if "extra ==" not in each]
    assert {split(each) for each in required} == {split(each) for each in project()["dependencies"]}
    assert metadata["Requires-Python"] == project()["requires-python"]
    assert metadata["License-Expression"] == project()["license"]


def test_it_works_outside_the_checkout(wheel: ZipFile, tmp_path: Path) -> None:
    """From another folder, with nothing of the checkout in reach, every public name loads."""
    site, elsewhere = tmp_path / "site", tmp_path / "elsewhere"
    elsewhere.mkdir()
    wheel.extractall(site)
    command = [sys.executable, "-P", "-c", TRY_OUT, str(site)]
    done = subprocess.run(command, cwd=elsewhere, env={"PYTHONPATH": str(site)}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == project()["version"]


def test_the_version_is_said_once() -> None:
    import mmkit

    assert mmkit.__version__ == project()["version"]


def test_conda_users_get_the_same_packages() -> None:
    """environment.yml has the dependencies of pyproject.toml, with the same bounds, and the same Python."""
    listed = re.findall(r"^  - ([a-z][^:\s]*)$", (ROOT / "environment.yml").read_text(), re.MULTILINE)
    conda = {split(each) for each in listed} - {("pip", frozenset()), ("conda-forge", frozenset())}
    python = ("python", frozenset({project()["requires-python"]}))
    assert conda == {split(each) for each in project()["dependencies"]} | {python}


def test_what_the_readme_shows_happens() -> None:
    """The README's Python runs, and every file that it names is there."""
    text = (ROOT / "README.md").read_text()
    examples = doctest.DocTestParser().get_doctest(text.replace("```", ""), {}, "README.md", "README.md", 0)
    assert doctest.DocTestRunner().run(examples) == doctest.TestResults(failed=0, attempted=len(examples.examples))
    assert examples.examples
    named = re.findall(r"\]\(([^):#]+)\)", text)
    assert [name for name in named if not (ROOT / name).exists()] == []
    pictures = re.findall(r"!\[([^\]]*)\]", text)
    assert pictures
    assert all(words.strip() for words in pictures)
