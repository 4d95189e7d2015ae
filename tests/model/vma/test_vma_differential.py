"""The model beside the running kernel: 10,000 seeded calls, compared after every one (differential.py says how)."""

from __future__ import annotations

from pathlib import Path

import pytest
from differential import CALLS_OF_A_SEED, Difference, Pair, run
from vmapeers import WINDOW, needs_linux

SEEDS = range(11)
"""A few calls of each thousand are left out, since they would take from the child what it needs itself."""


@needs_linux
@pytest.mark.parametrize("seed", SEEDS)
def test_model_and_running_kernel_agree_after_every_call(seed: int, tmp_path: Path) -> None:
    done = run(seed, CALLS_OF_A_SEED, tmp_path)
    assert done > 0.92 * CALLS_OF_A_SEED


@needs_linux
def test_a_difference_would_be_seen(tmp_path: Path) -> None:
    pair = Pair(tmp_path)
    pair.compare(thorough=True)
    pair.do("model", ("mmap", WINDOW, 4096, 1, 0x32, -1, 0))
    with pytest.raises(Difference, match=r"only model: 100000000-100001000 r--p"):
        pair.compare(thorough=False)
    pair.do("kernel", ("mmap", WINDOW, 4096, 1, 0x32, -1, 0))
    pair.compare(thorough=True)
    pair.do("model", ("mlock", WINDOW, 4096))
    with pytest.raises(Difference, match="lo"):
        pair.compare(thorough=True)
    pair.kernel.close()
