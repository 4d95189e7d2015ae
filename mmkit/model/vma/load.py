"""execve(): an address space is laid out for a program.

Models: fs/binfmt_elf.c (Linux 6.18), load_elf_binary(), elf_load(), load_elf_interp(), create_elf_tables(); fs/exec.c,
setup_arg_pages(); arch/x86/mm/mmap.c and arch/x86/entry/vdso/vma.c. Leaves out: notes and properties of ELF files, what
is written onto the stack but its size, other architectures than x86-64.
"""

from __future__ import annotations

from collections.abc import Sequence
from errno import E2BIG, EFAULT, EINVAL
from random import Random
from typing import NamedTuple

from mmkit.errors import FatalSignal, MmError
from mmkit.model import vmaflags as f
from mmkit.model.vma.area import File, OpenFile, Vma
from mmkit.model.vma.brk import map_anonymous
from mmkit.model.vma.elf import EM_X86_64, ET_DYN, PF_X, Elf, Segment
from mmkit.model.vma.merge import insert
from mmkit.model.vma.mm import MmStruct
from mmkit.model.vma.munmap import unmap_range
from mmkit.model.vma.placement import get_unmapped_area

STACK_ROOM = 128 << 10
"""So much larger than what stands on it the stack is made."""
MAX_ARG_STRLEN = 128 << 10
"""Bytes that one argument may have, the zero that ends it included."""
AUXILIARY = 23
"""Entries of the auxiliary vector of 6.18 on x86-64, the one that ends it included."""
_PLATFORM = b"x86_64\0"
MMAP_BITS, STACK_BITS, STACK_JITTER = 28, 22, 8192
"""Randomness: pages of mmap and of programs, pages of the stack, bytes within it."""
BRK_RANGE = 1 << 30
_VDSO = f.VM_READ | f.VM_EXEC | f.VM_MAYREAD | f.VM_MAYWRITE | f.VM_MAYEXEC | f.VM_DONTEXPAND
_VVAR = f.VM_READ | f.VM_MAYREAD | f.VM_IO | f.VM_DONTEXPAND | f.VM_DONTDUMP | f.VM_PFNMAP
SPECIAL = (("[vvar]", 4, _VVAR), ("[vvar_vclock]", 2, _VVAR), ("[vdso]", 2, _VDSO))
"""What the kernel maps of itself: name, pages, flags, from low to high."""


class Program(NamedTuple):
    """An ELF file and what stands in it."""

    file: File
    elf: Elf


def execute(
    mm: MmStruct, program: Program, interpreter: Program | None = None, *, argv: Sequence[str] = (),
    env: Sequence[str] = (), path: str = "", seed: int | None = None,
) -> MmStruct:  # fmt: skip
    """Lay out ``mm``, which has no areas yet, for a program; returns it.

    ``interpreter`` is the file that the program names as the loader of its libraries, ``path`` what execve() was given.
    Without a ``seed`` addresses are those of a process whose addresses are not randomised. Raises ValueError if
    the two files do not go together or are of another word size, MmError if they cannot be mapped, or E2BIG if
    arguments and environment are too long.
    """
    if bool(program.elf.interpreter) != (interpreter is not None):
        raise ValueError(f"the program wants the interpreter {program.elf.interpreter!r}, and got {interpreter!r}")
    for each in filter(None, (program, interpreter)):
        _check_machine(mm, each)
    if mm.map_count:
        raise ValueError(f"a program needs an empty address space, and this one has {mm.map_count} areas")
    _limit_strings(mm, [path or program.file.name], argv, env)
    random = Random(seed) if seed is not None else None
    mm.name = (path or program.file.name).rpartition("/")[2][:15]
    _choose_mmap_base(mm, random)
    strings = _make_stack(mm, program, argv, env, path or program.file.name, random)
    bias = _load_program(mm, program, interpreter, random)
    _set_layout(mm, program.elf, bias)
    _place_heap(mm, program.elf, interpreter, random)
    if interpreter:
        _load_anywhere(mm, interpreter)
    _map_special(mm)
    _make_tables(mm, strings, len(argv), len(env), random)
    return mm


def _check_machine(mm: MmStruct, program: Program) -> None:
    name, elf = program.file.name, program.elf
    if elf.bits != 64 or mm.arch.word_bytes != 8:
        raise ValueError(
            f"only 64-bit programs in 64-bit address spaces are laid out: {name} has {elf.bits} bits, "
            f"{mm.arch.name} {8 * mm.arch.word_bytes}"
        )
    if elf.machine != EM_X86_64:
        raise ValueError(f"only programs for x86-64 (machine {EM_X86_64}) are laid out: {name} is for {elf.machine}")


def _limit_strings(mm: MmStruct, path: Sequence[str], argv: Sequence[str], env: Sequence[str]) -> None:
    """Refuse what is more than a quarter of the stack, between 128 KiB and 6 MiB (bprm_stack_limits())."""
    lengths = [len(word.encode()) + 1 for word in (*path, *argv, *env)]
    if max(lengths) > MAX_ARG_STRLEN:
        raise MmError(E2BIG, f"a string of {max(lengths)} bytes: {MAX_ARG_STRLEN} are allowed")
    limit = max(min(6 << 20, mm.stack_limit // 4), MAX_ARG_STRLEN)
    size = sum(lengths) + mm.arch.word_bytes * (max(len(argv), 1) + len(env))
    if size > limit:
        raise MmError(E2BIG, f"arguments and environment take {size} bytes of the {limit} that they may")


def _pages(random: Random | None, bits: int) -> int:
    return random.getrandbits(bits) << 12 if random else 0


def _choose_mmap_base(mm: MmStruct, random: Random | None) -> None:
    spread = ((1 << STACK_BITS) - 1) << 12 if random else 0
    mm.mmap_base = mm.base_below(mm.stack_limit + spread + mm.stack_guard_gap) - _pages(random, MMAP_BITS)


def _make_stack(
    mm: MmStruct, program: Program, argv: Sequence[str], env: Sequence[str], path: str, random: Random | None
) -> int:
    """Make the stack and put the strings at its top (setup_arg_pages()); returns where they begin."""
    top = mm.task_size - _pages(random, STACK_BITS)
    shift = random.randrange(STACK_JITTER) & ~0xF if random else 0
    top = (top - shift + 0xFFF) & ~0xFFF
    at = top - mm.arch.word_bytes
    bounds = [at]
    for words in ([path], env, argv):
        at -= sum(len(word.encode()) + 1 for word in words)
        bounds.append(at)
    _, _, mm.env_start, mm.arg_start = bounds
    mm.env_end, mm.arg_end = bounds[1], bounds[2]
    used = top - (at & ~0xFFF)
    start = top - min(used + STACK_ROOM, mm.stack_limit & ~0xFFF)
    flags = f.VM_STACK_FLAGS | (f.VM_EXEC if program.elf.executable_stack else 0)
    vma = insert(mm, Vma(start, top, flags, (mm.task_size - (top - start)) >> 12))
    mm.account(flags, vma.pages)
    mm.start_stack = at
    for page in range(at & ~0xFFF, top, 4096):
        mm.touch(page, write=True)
    return at


def _load_program(mm: MmStruct, program: Program, interpreter: Program | None, random: Random | None) -> int:
    if program.elf.kind == ET_DYN and interpreter is None:
        return _load_anywhere(mm, program)
    bias = 0
    if program.elf.kind == ET_DYN:
        # Two thirds of the way up: far from the heap of a program with fixed addresses, and from the mappings.
        bias = (mm.task_size // 3 * 2 + _pages(random, MMAP_BITS)) & -max(program.elf.alignment, 4096)
        bias -= program.elf.loads[0].addr & ~0xFFF
    _map_segments(mm, program, bias, f.MAP_FIXED_NOREPLACE)
    return bias


def _load_anywhere(mm: MmStruct, program: Program) -> int:
    """Load a file wherever there is room; returns how far its addresses are shifted."""
    first, align = program.elf.loads[0].addr & ~0xFFF, program.elf.alignment
    length = mm.round_up(program.elf.span)
    if align > 4096:
        at = get_unmapped_area(mm, 0, length + align, 0, OpenFile(program.file, "r"), 0)
        at = -(-at // align) * align
    else:
        at = get_unmapped_area(mm, 0, length, 0, OpenFile(program.file, "r"), program.elf.loads[0].offset & ~0xFFF)
    _map_segments(mm, program, at - first, f.MAP_FIXED_NOREPLACE)
    return at - first


def _map_segments(mm: MmStruct, program: Program, bias: int, how: int) -> None:
    opened = OpenFile(program.file, "r")
    for segment in program.elf.loads:
        _map_segment(mm, segment, bias, opened, f.MAP_PRIVATE | how)
        how = f.MAP_FIXED  # The room for all of them was found free with the first.


def _map_segment(mm: MmStruct, segment: Segment, bias: int, opened: OpenFile, flags: int) -> None:
    start = bias + segment.addr
    zeros, end = start + segment.file_bytes, start + segment.mem_bytes
    if end > mm.task_size:
        raise MmError(
            EINVAL, f"a segment of [{start:#x}, {end:#x}) ends above {mm.task_size:#x}, where user space ends"
        )
    if segment.file_bytes:
        page = start & ~0xFFF
        mm.mmap(page, zeros - page, segment.prot, flags, opened, segment.offset - segment.addr % 4096)
        if end > zeros and zeros & 0xFFF and segment.prot & f.PROT_WRITE:
            _pad_zero(mm, zeros)
    low, high = mm.round_up(zeros), mm.round_up(end)
    if high > low and end > zeros:
        execute_too = f.VM_EXEC if segment.flags & PF_X else 0
        unmap_range(mm, low, high)
        map_anonymous(mm, low, high, execute_too, mm.index.before(low))


def _pad_zero(mm: MmStruct, zeros: int) -> None:
    """Write the zeros that follow the file's bytes on their last page (padzero())."""
    try:
        mm.touch(zeros, write=True)
    except FatalSignal as error:
        raise MmError(EFAULT, f"the zeros behind a segment cannot be written: {error}") from None


def _set_layout(mm: MmStruct, elf: Elf, bias: int) -> None:
    codes = [load for load in elf.loads if load.flags & PF_X]
    mm.start_code = bias + min((load.addr for load in codes), default=0)
    mm.end_code = bias + max((load.addr + load.file_bytes for load in codes), default=0)
    mm.start_data = bias + max(load.addr for load in elf.loads)
    mm.end_data = bias + max(load.addr + load.file_bytes for load in elf.loads)
    mm.start_brk = mm.end_brk = mm.round_up(bias + max(load.addr + load.mem_bytes for load in elf.loads))


def _place_heap(mm: MmStruct, elf: Elf, interpreter: Program | None, random: Random | None) -> None:
    if elf.kind == ET_DYN and interpreter is None:
        mm.start_brk = mm.round_up(mm.task_size // 3 * 2)
    elif random:
        mm.start_brk += 4096
    if random:
        mm.start_brk += random.randrange(BRK_RANGE >> 12) << 12
    mm.end_brk = mm.start_brk


def _map_special(mm: MmStruct) -> None:
    at = get_unmapped_area(mm, 0, sum(pages for _, pages, _ in SPECIAL) << 12, 0)
    for name, pages, flags in SPECIAL:
        insert(mm, Vma(at, at + (pages << 12), flags, 0, name=name))
        mm.account(flags, pages)
        at += pages << 12


def _make_tables(mm: MmStruct, at: int, argc: int, envc: int, random: Random | None) -> None:
    """Put what the program finds on its stack below the strings (create_elf_tables())."""
    at = (at - (random.randrange(STACK_JITTER) if random else 0)) & ~0xF
    at -= len(_PLATFORM)
    at -= 16
    words = argc + 1 + envc + 1 + 1 + 2 * AUXILIARY
    mm.start_stack = (at - words * mm.arch.word_bytes) & ~0xF
    mm.touch(mm.start_stack, write=True)
