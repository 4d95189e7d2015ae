"""Runs the benchmarks, each in a process of its own: python benchmarks [NAME...]."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
NOT_ONE = {"__main__", "ratio"}


def main(names: list[str]) -> int:
    """Run those named, or all that state a claim; returns how many did not keep their goals."""
    every = [
        path.stem for path in sorted(HERE.glob("*.py")) if path.stem not in NOT_ONE and "def main(" in path.read_text()
    ]
    missed = 0
    for name in names or every:
        print(f"== {name}", flush=True)
        missed += subprocess.run([sys.executable, str(HERE / f"{name}.py")], cwd=HERE).returncode != 0
    return missed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
