"""Run notebooks and write their outputs, ready to commit.

    python .ci/outputs.py [NOTEBOOK...]     all of notebooks/ unless named

What would change from run to run, or has no place in a repository, is left out: widget state and widget model ids (a
preview then shows the picture beside them), timing, trust marks, the patch version of Python. Running it twice leaves
no difference.
"""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

NOTEBOOKS = Path(__file__).parents[1] / "notebooks"
WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"
METADATA = {
    "kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}


def execute(path: Path) -> nbformat.NotebookNode:
    """Run a notebook from top to bottom in a fresh kernel, in its own folder, and return it with its outputs."""
    notebook = nbformat.read(path, as_version=4)
    client = NotebookClient(
        notebook,
        timeout=120,
        kernel_name="python3",
        store_widget_state=False,
        resources={"metadata": {"path": str(path.parent)}},
    )
    return client.execute()


def clean_output(output: Any) -> Any:
    """An output without what is random: widget model ids, and the paths and addresses in a traceback."""
    data = output.get("data", {})
    if WIDGET_VIEW in data and len(data) > 1:
        del data[WIDGET_VIEW]
    if output["output_type"] == "error":
        output["traceback"] = [f"{output['ename']}: {output['evalue']}"]
    return output


def merge_streams(outputs: list[Any]) -> list[Any]:
    """Join texts that a cell wrote to the same stream in several messages: how many there are is chance."""
    merged: list[Any] = []
    for output in outputs:
        last = merged[-1] if merged else None
        if last and output["output_type"] == "stream" and last.get("name") == output["name"]:
            last["text"] += output["text"]
        else:
            merged.append(output)
    return merged


def clean(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """The notebook with nothing in it that changes from run to run; cells keep their ids and tags, no more."""
    notebook["metadata"] = nbformat.from_dict(METADATA)
    notebook["nbformat"], notebook["nbformat_minor"] = 4, 5
    seen: set[str] = set()
    for number, cell in enumerate(notebook["cells"]):
        if not cell.get("id") or cell["id"] in seen:
            cell["id"] = f"cell-{number:02d}-added"
        seen.add(cell["id"])
        tags = cell["metadata"].get("tags")
        cell["metadata"] = nbformat.from_dict({"tags": tags} if tags else {})
        if cell["cell_type"] == "code":
            cell["outputs"] = [clean_output(output) for output in merge_streams(cell["outputs"])]
    return notebook


def write_outputs(path: Path) -> str:
    """Run one notebook and write it back; returns what went wrong, in words, or nothing."""
    before = path.read_text()
    try:
        notebook = clean(execute(path))
    except CellExecutionError as error:
        return f"{path.name}: {error}"
    after = nbformat.writes(notebook, version=4) + "\n"
    path.write_text(after)
    print(f"{path.name}: {'written' if after != before else 'as it was'}", flush=True)
    return ""


def main(names: list[str]) -> int:
    """Run the notebooks, two at a time."""
    paths = [Path(name).resolve() for name in names] or sorted(NOTEBOOKS.glob("*.ipynb"))
    with ThreadPoolExecutor(2) as pool:
        errors = [error for error in pool.map(write_outputs, paths) if error]
    print("\n".join(errors), end="\n" if errors else "", file=sys.stderr)
    return 1 if errors else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
