"""The labs: a model, a picture and a timeline that the reader operates. Loaded on first use."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mmkit.lab.buddy import BuddyLab
    from mmkit.lab.introduction import IntroductionLab
    from mmkit.lab.machine import MachineLab
    from mmkit.lab.page import PageLab
    from mmkit.lab.problem import ProblemLab
    from mmkit.lab.zone import ZoneLab

_HOMES = {
    "BuddyLab": "mmkit.lab.buddy",
    "IntroductionLab": "mmkit.lab.introduction",
    "MachineLab": "mmkit.lab.machine",
    "PageLab": "mmkit.lab.page",
    "ProblemLab": "mmkit.lab.problem",
    "ZoneLab": "mmkit.lab.zone",
}

__all__ = ["BuddyLab", "IntroductionLab", "MachineLab", "PageLab", "ProblemLab", "ZoneLab"]


def __getattr__(name: str) -> Any:
    try:
        return getattr(import_module(_HOMES[name]), name)
    except KeyError:
        raise AttributeError(f"module 'mmkit.lab' has no attribute {name!r}") from None
