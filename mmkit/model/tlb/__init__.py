"""Translation lookaside buffers: single ones, those of real CPUs, and what keeps walks short."""

from mmkit.model.tlb.hierarchy import HierarchyRun, TlbHierarchy
from mmkit.model.tlb.presets import CPU_TLBS, cpu_tlbs
from mmkit.model.tlb.simulate import Simulation
from mmkit.model.tlb.tlb import Tlb
from mmkit.model.tlb.walkcache import WalkCache

__all__ = ["CPU_TLBS", "HierarchyRun", "Simulation", "Tlb", "TlbHierarchy", "WalkCache", "cpu_tlbs"]
