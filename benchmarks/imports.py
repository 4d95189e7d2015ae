"""What an import costs: mmkit against an empty interpreter, the models against numpy, which they stand on."""

from __future__ import annotations

import os
import pkgutil
import resource
import subprocess
import sys
from collections.abc import Callable

from ratio import compare, report

import mmkit.model

ROUNDS = 41
# An installed package has its bytecode; a checkout makes it at the first import, unless told not to.
ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


def cpu_of_children() -> float:
    """CPU seconds of the processes that this one has started and seen end."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def interpreter(code: str) -> Callable[[], object]:
    """A Python started afresh to run ``code``."""
    return lambda: subprocess.run([sys.executable, "-c", code], check=True, env=ENVIRONMENT)


def main() -> bool:
    """Measure and report."""
    models = [f"mmkit.model.{each.name}" for each in pkgutil.iter_modules(mmkit.model.__path__)]
    timing = compare(
        {
            "nothing": interpreter("pass"),
            "mmkit": interpreter("import mmkit"),
            "numpy": interpreter("import numpy"),
            "models": interpreter(f"import {', '.join(models)}"),
        },
        rounds=ROUNDS,
        clock=cpu_of_children,
    )
    lean = report("import mmkit, to an empty interpreter", timing.ratio("mmkit", to="nothing"), 1.5)
    light = report(f"import of all {len(models)} models, to import numpy", timing.ratio("models", to="numpy"), 1.3)
    return lean and light


if __name__ == "__main__":
    sys.exit(not main())
