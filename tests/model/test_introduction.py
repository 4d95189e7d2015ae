"""The halves of an address space, against what the CPU and a running kernel do."""

from __future__ import annotations

import platform
import subprocess
import sys
from itertools import pairwise

import pytest

from mmkit.arch import ARM64, PRESETS, TOY, X86, X86_64, X86_64_LA57
from mmkit.model.introduction import half_of, halves, user_access


@pytest.mark.parametrize("arch", PRESETS.values(), ids=lambda arch: arch.name)
def test_halves_cover_every_address_once(arch):
    parts = halves(arch)
    assert parts[0].start == 0
    assert all(low.end == high.start for low, high in pairwise(parts))
    assert parts[-1].end == 1 << (64 if arch.virt_bits > 32 else arch.virt_bits)
    assert [part.owner for part in parts if part.owner != "nobody"] == ["user", "kernel"]


@pytest.mark.parametrize("arch", [X86_64, X86_64_LA57], ids=lambda arch: arch.name)
def test_the_gap_is_what_is_not_canonical(arch):
    def canonical(addr: int) -> bool:
        return addr >> (arch.virt_bits - 1) in (0, (1 << (65 - arch.virt_bits)) - 1)

    for half in halves(arch):
        for addr in (half.start, half.end - 1):
            assert canonical(addr) == (half.owner != "nobody")


def test_the_direct_map_is_in_the_kernel_half():
    for arch in (X86, X86_64, X86_64_LA57, TOY):
        assert half_of(arch, arch.page_offset).owner == "kernel"
    assert half_of(ARM64, ARM64.page_offset + ARM64.ram_base).owner == "kernel"


@pytest.mark.parametrize("addr", [-1, 1 << 32])
def test_an_address_must_fit(addr):
    with pytest.raises(ValueError, match=r"is no address of 32-bit x86.*32 bits"):
        half_of(X86, addr)


def test_the_sentence_names_the_half():
    assert "kernel half" in user_access(X86_64, X86_64.page_offset)
    assert "not canonical" in user_access(X86_64, 1 << 50)
    assert "user half" in user_access(X86_64_LA57, 1 << 50)


@pytest.mark.skipif(
    not sys.platform.startswith("linux") or platform.machine() != "x86_64", reason="needs Linux on x86-64"
)
@pytest.mark.parametrize("addr", [X86_64.page_offset, 1 << 62])
def test_the_running_kernel_sends_sigsegv(addr):
    code = f"import ctypes; ctypes.string_at({addr}, 1)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == -11
