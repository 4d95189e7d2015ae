"""The labs: a model, a picture and a timeline that the reader operates. Loaded on first use."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mmkit.lab.address import AddressLab
    from mmkit.lab.addressspace import AddressSpaceLab
    from mmkit.lab.buddy import BuddyLab
    from mmkit.lab.fault import FaultLab
    from mmkit.lab.fragmentation import FragmentationLab
    from mmkit.lab.introduction import IntroductionLab
    from mmkit.lab.life import LifeLab
    from mmkit.lab.machine import MachineLab
    from mmkit.lab.measure import MeasureLab
    from mmkit.lab.page import PageLab
    from mmkit.lab.pagetable import PageTableLab
    from mmkit.lab.problem import ProblemLab
    from mmkit.lab.reclaim import ReclaimLab
    from mmkit.lab.slab import SlabLab
    from mmkit.lab.slabinfo import SlabInfoLab
    from mmkit.lab.tlb import TlbLab
    from mmkit.lab.translation import TranslationLab
    from mmkit.lab.vma import VmaLab
    from mmkit.lab.zone import ZoneLab

_HOMES = {
    "AddressLab": "mmkit.lab.address",
    "AddressSpaceLab": "mmkit.lab.addressspace",
    "BuddyLab": "mmkit.lab.buddy",
    "FaultLab": "mmkit.lab.fault",
    "FragmentationLab": "mmkit.lab.fragmentation",
    "IntroductionLab": "mmkit.lab.introduction",
    "LifeLab": "mmkit.lab.life",
    "MachineLab": "mmkit.lab.machine",
    "MeasureLab": "mmkit.lab.measure",
    "PageLab": "mmkit.lab.page",
    "PageTableLab": "mmkit.lab.pagetable",
    "ProblemLab": "mmkit.lab.problem",
    "ReclaimLab": "mmkit.lab.reclaim",
    "SlabInfoLab": "mmkit.lab.slabinfo",
    "SlabLab": "mmkit.lab.slab",
    "TlbLab": "mmkit.lab.tlb",
    "TranslationLab": "mmkit.lab.translation",
    "VmaLab": "mmkit.lab.vma",
    "ZoneLab": "mmkit.lab.zone",
}

__all__ = [
    "AddressLab",
    "AddressSpaceLab",
    "BuddyLab",
    "FaultLab",
    "FragmentationLab",
    "IntroductionLab",
    "LifeLab",
    "MachineLab",
    "MeasureLab",
    "PageLab",
    "PageTableLab",
    "ProblemLab",
    "ReclaimLab",
    "SlabInfoLab",
    "SlabLab",
    "TlbLab",
    "TranslationLab",
    "VmaLab",
    "ZoneLab",
]


def __getattr__(name: str) -> Any:
    try:
        return getattr(import_module(_HOMES[name]), name)
    except KeyError:
        raise AttributeError(f"module 'mmkit.lab' has no attribute {name!r}") from None
