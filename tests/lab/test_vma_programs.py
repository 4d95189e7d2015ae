"""The programs of the VMA lab: what their headers make of an address space, and what this Python's do."""

from __future__ import annotations

import pytest

from mmkit.errors import LiveError
from mmkit.lab import vmaprograms
from mmkit.lab.vmaprograms import PYTHON_ELF, RECORDED_LINES, load, predicted, this_python, work
from mmkit.model.vma import MmStruct
from mmkit.proc import addrspace, maps

# What Linux 6.18.44 showed of `setarch -R /usr/bin/python3` on Debian 12, of those lines that do not depend on it.
LIBC = """\
26000 r--p 00000000
156000 r-xp 00026000
53000 r--p 0017c000
4000 r--p 001cf000
2000 rw-p 001d3000
"""


def test_this_python_lies_as_the_model_says():
    elf, lines = this_python()
    assert len(lines) >= 3
    assert predicted(elf) == lines


@pytest.mark.parametrize("error", [LiveError("no /proc"), OSError("no such file")])
def test_elsewhere_a_recorded_one_does(monkeypatch, error):
    def refuse():
        raise error

    monkeypatch.setattr(addrspace, "live", refuse)
    elf, lines = this_python()
    assert elf is PYTHON_ELF
    assert len(lines) == RECORDED_LINES.count("\n") == 5
    assert predicted(elf) == lines


def test_a_file_that_is_no_elf_file(monkeypatch):
    monkeypatch.setattr(vmaprograms.sys, "executable", __file__)
    assert this_python()[0] is PYTHON_ELF


def test_python_at_work_has_some_of_all_code_in_memory():
    code = [vma for vma in work(load(MmStruct())).snapshot().vmas if "x" in vma.perms and vma.file is not None]
    assert len(code) == 3
    assert all(0 < vma.file_pages < vma.pages for vma in code)


def test_python_at_work_has_the_lines_that_linux_showed():
    mm = work(load(MmStruct()))
    mm.check()
    lines = maps.parse(mm.maps())
    program = [line for line in lines if line.name.endswith("python3.11")]
    recorded = maps.parse(RECORDED_LINES)
    assert [(line.start, line.end, line.perms, line.offset) for line in program] == [
        (line.start, line.end, line.perms, line.offset) for line in recorded
    ]
    libc = [line for line in lines if line.name.endswith("libc.so.6")]
    assert "".join(f"{line.end - line.start:x} {line.perms} {line.offset:08x}\n" for line in libc) == LIBC
    heap = next(line for line in lines if line.name == "[heap]")
    assert (heap.start, heap.end) == (0xACA000, 0xB55000)


def test_seeds_put_it_elsewhere():
    starts = {load(MmStruct(), seed).start_stack for seed in range(5)}
    assert len(starts) == 5
    assert load(MmStruct(), 3).maps() == load(MmStruct(), 3).maps()
