"""Side-by-side timing: candidates run interleaved in rotating order, CPU time, medians of per-round ratios.

Nanoseconds compare within one run only; ratios travel. So a benchmark states ratios.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True)
class Timing:
    """CPU seconds of every candidate, one number a round."""

    seconds: Mapping[str, list[float]]

    def median(self, name: str) -> float:
        """Median seconds of a candidate."""
        return median(self.seconds[name])

    def ratio(self, name: str, to: str) -> float:
        """Median over the rounds of (seconds of ``name``) / (seconds of ``to``)."""
        return median(a / b for a, b in zip(self.seconds[name], self.seconds[to], strict=True))


def compare(
    candidates: Mapping[str, Callable[[], object]], rounds: int = 7, clock: Callable[[], float] = time.process_time
) -> Timing:
    """Time each candidate once a round, in an order that rotates, with the garbage collector off while timing."""
    names = list(candidates)
    seconds: dict[str, list[float]] = {name: [] for name in names}
    for number in range(rounds):
        for shift in range(len(names)):
            name = names[(number + shift) % len(names)]
            gc.collect()
            gc.disable()
            start = clock()
            candidates[name]()
            seconds[name].append(clock() - start)
            gc.enable()
    return Timing(seconds)


def report(claim: str, value: float, goal: float, at_most: bool = True) -> bool:
    """Print one line that states a claim, the figure and the goal; returns whether it holds."""
    holds = value <= goal if at_most else value >= goal
    print(f"{'ok  ' if holds else 'MISS'} {claim}: {value:.2f} (goal {'at most' if at_most else 'at least'} {goal:g})")
    return holds
