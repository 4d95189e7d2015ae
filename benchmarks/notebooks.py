"""What checking the notebooks costs: strict nbval, against starting and stopping as many kernels that run nothing."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

from jupyter_client.manager import KernelManager
from ratio import compare, report

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
ROUNDS = 5


def run_nbval() -> None:
    """All notebooks, one after the other, in one pytest."""
    options = [
        "--nbval",
        "--nbval-current-env",
        "--nbval-sanitize-with=tests/nbval.cfg",
        "-q",
        "-p",
        "no:cacheprovider",
    ]
    command = [sys.executable, "-m", "pytest", *options, *map(str, NOTEBOOKS)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)


def run_empty_kernels() -> None:
    """As many kernels, one after the other: start, wait until each answers, stop."""
    for _ in NOTEBOOKS:
        manager = KernelManager()
        manager.start_kernel()
        client = manager.blocking_client()
        client.start_channels()
        client.wait_for_ready(timeout=60)
        client.stop_channels()
        manager.shutdown_kernel()


def main() -> bool:
    """Measure and report."""
    candidates = {"notebooks": run_nbval, "kernels": run_empty_kernels}
    timing = compare(candidates, rounds=ROUNDS, clock=time.perf_counter)
    ratio = timing.ratio("notebooks", to="kernels")
    return report(f"{len(NOTEBOOKS)} notebooks under strict nbval, to as many empty kernels", ratio, 4)


if __name__ == "__main__":
    sys.exit(not main())
