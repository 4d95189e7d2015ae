"""The TLBs of real CPUs, as their makers or the CPUs themselves describe them.

Models: the documents named in each preset's ``source``. Leaves out: how set indices are hashed and which replacement
is used, where that is not published (LRU stands for it then); sharing between the threads of a core.
"""

from __future__ import annotations

from mmkit.model.tlbstate import PLRU, CpuTlbs, TlbGeometry

KIB4, MIB2, MIB4, GIB1 = 12, 21, 22, 30
_NO_SIZES = "the sizes of the walk caches are not published: one of 16 entries and two of 4 stand for them"


def _array(entries: int, ways: int, shifts: tuple[int, ...], level: int, serves: str, name: str) -> TlbGeometry:
    return TlbGeometry(entries, ways, shifts, level=level, serves=serves, name=name)


I486 = CpuTlbs(
    "I486", "Intel486, 1989",
    (TlbGeometry(32, 4, (KIB4,), PLRU, name="TLB"),),
    (),
    "Embedded Intel486 Processor Hardware Reference Manual, figure 3-7: eight sets of four ways, pseudo-LRU",
)  # fmt: skip
SKYLAKE = CpuTlbs(
    "SKYLAKE", "Intel Skylake, 2015",
    (
        _array(128, 8, (KIB4,), 1, "i", "ITLB 4K"), _array(8, 8, (MIB2,), 1, "i", "ITLB 2M"),
        _array(64, 4, (KIB4,), 1, "d", "DTLB 4K"), _array(32, 4, (MIB2,), 1, "d", "DTLB 2M"),
        _array(4, 4, (GIB1,), 1, "d", "DTLB 1G"),
        _array(1536, 12, (KIB4, MIB2), 2, "id", "STLB 4K, 2M"), _array(16, 4, (GIB1,), 2, "id", "STLB 1G"),
    ),
    (16, 4, 4),
    "Intel 64 and IA-32 Architectures Optimization Reference Manual (248966-045), table 2-15",
    _NO_SIZES,
)  # fmt: skip
JAGUAR = CpuTlbs(
    "JAGUAR", "AMD family 16h, 2013",
    (
        _array(32, 32, (KIB4,), 1, "i", "L1 ITLB 4K"), _array(8, 8, (MIB2,), 1, "i", "L1 ITLB 2M"),
        _array(40, 40, (KIB4,), 1, "d", "L1 DTLB 4K"), _array(8, 8, (MIB2,), 1, "d", "L1 DTLB 2M"),
        _array(512, 4, (KIB4,), 2, "i", "L2 ITLB 4K"),
        _array(512, 4, (KIB4,), 2, "d", "L2 DTLB 4K"), _array(256, 2, (MIB2,), 2, "d", "L2 DTLB 2M"),
    ),
    (16,),
    "Software Optimization Guide for AMD Family 16h Processors (52128 rev. 1.1), 2.6 Memory Address Translation",
)  # fmt: skip
ZEN4 = CpuTlbs(
    "ZEN4", "AMD Zen 4, 2022",
    (
        _array(64, 64, (KIB4, MIB2, GIB1), 1, "i", "L1 ITLB"), _array(72, 72, (KIB4, MIB2, GIB1), 1, "d", "L1 DTLB"),
        _array(512, 8, (KIB4, MIB2), 2, "i", "L2 ITLB"), _array(3072, 24, (KIB4, MIB2), 2, "d", "L2 DTLB"),
    ),
    (16, 4, 4),
    "CPUID 8000_0005 EBX ff48ff40, 8000_0006 EBX 6c004200 of an AMD EPYC, family 25, model 17, stepping 1",
    "CPUID has no code for 24 ways, the L2 DTLB is skewed: 24 ways make its 3072 entries a power of two of sets, as 8 "
    "do those of the L2 ITLB; " + _NO_SIZES,
)  # fmt: skip
CORTEX_A76 = CpuTlbs(
    "CORTEX_A76", "Arm Cortex-A76, 2018",
    (
        _array(48, 48, (KIB4, MIB2), 1, "i", "L1 ITLB"), _array(48, 48, (KIB4, MIB2), 1, "d", "L1 DTLB"),
        _array(1280, 5, (KIB4, MIB2, GIB1), 2, "id", "L2 TLB"),
    ),
    (16, 4, 4),
    "Arm Cortex-A76 Core Technical Reference Manual, A5.2 TLB organization",
    "the upper entries are kept in the L2 TLB itself; one walk cache of 16 entries and two of 4 stand for that",
)  # fmt: skip
U74 = CpuTlbs(
    "U74", "SiFive U74 (RISC-V), 2018",
    (
        _array(40, 40, (KIB4, MIB2, GIB1), 1, "i", "ITLB"), _array(40, 40, (KIB4, MIB2, GIB1), 1, "d", "DTLB"),
    ),
    (),
    "arch/riscv/boot/dts/sifive/fu740-c000.dtsi (Linux 6.18): i-tlb-size and d-tlb-size 40, one set each",
    "what lies behind the first level is not in that file, and left out",
)  # fmt: skip

CPU_TLBS: dict[str, CpuTlbs] = {cpu.name: cpu for cpu in (I486, JAGUAR, SKYLAKE, CORTEX_A76, U74, ZEN4)}


def cpu_tlbs(cpu: CpuTlbs | str) -> CpuTlbs:
    """Return the preset of that name (or ``cpu`` itself). Raises ValueError for a name that is none of them."""
    if isinstance(cpu, CpuTlbs):
        return cpu
    try:
        return CPU_TLBS[cpu]
    except (KeyError, TypeError):
        raise ValueError(f"unknown CPU {cpu!r}: choose one of {', '.join(CPU_TLBS)}") from None
