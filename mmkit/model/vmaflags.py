"""The bits of ``vm_flags`` and the arguments of the calls that make and change virtual memory areas.

Models: include/linux/mm.h (VM_*), fs/proc/task_mmu.c (show_smap_vma_flags()), include/uapi/asm-generic/mman.h and
mman-common.h (PROT_*, MAP_*, MADV_*, MREMAP_*, MLOCK_*), Linux 6.18 on x86-64. Leaves out: protection keys, shadow
stacks, userfaultfd, and the numbers of other architectures.
"""

from __future__ import annotations

PROT_NONE, PROT_READ, PROT_WRITE, PROT_EXEC, PROT_SEM = 0, 1, 2, 4, 8
PROT_GROWSDOWN, PROT_GROWSUP = 0x0100_0000, 0x0200_0000

MAP_SHARED, MAP_PRIVATE, MAP_SHARED_VALIDATE = 1, 2, 3
MAP_FIXED, MAP_ANONYMOUS, MAP_GROWSDOWN = 0x10, 0x20, 0x100
MAP_DENYWRITE, MAP_EXECUTABLE, MAP_LOCKED, MAP_NORESERVE = 0x800, 0x1000, 0x2000, 0x4000
MAP_POPULATE, MAP_NONBLOCK, MAP_STACK, MAP_HUGETLB = 0x8000, 0x1_0000, 0x2_0000, 0x4_0000
MAP_SYNC, MAP_FIXED_NOREPLACE = 0x8_0000, 0x10_0000

MREMAP_MAYMOVE, MREMAP_FIXED, MREMAP_DONTUNMAP = 1, 2, 4
MLOCK_ONFAULT = 1

MADV_NORMAL, MADV_RANDOM, MADV_SEQUENTIAL, MADV_WILLNEED, MADV_DONTNEED, MADV_FREE = 0, 1, 2, 3, 4, 8
MADV_REMOVE, MADV_DONTFORK, MADV_DOFORK, MADV_MERGEABLE, MADV_UNMERGEABLE = 9, 10, 11, 12, 13
MADV_HUGEPAGE, MADV_NOHUGEPAGE, MADV_DONTDUMP, MADV_DODUMP, MADV_WIPEONFORK, MADV_KEEPONFORK = 14, 15, 16, 17, 18, 19
MADV_COLD, MADV_PAGEOUT, MADV_POPULATE_READ, MADV_POPULATE_WRITE, MADV_DONTNEED_LOCKED, MADV_COLLAPSE = range(20, 26)

VM_READ, VM_WRITE, VM_EXEC, VM_SHARED = 1, 2, 4, 8
VM_MAYREAD, VM_MAYWRITE, VM_MAYEXEC, VM_MAYSHARE = 0x10, 0x20, 0x40, 0x80
VM_GROWSDOWN, VM_PFNMAP, VM_LOCKED, VM_IO = 0x100, 0x400, 0x2000, 0x4000
VM_SEQ_READ, VM_RAND_READ, VM_DONTCOPY, VM_DONTEXPAND = 0x8000, 0x1_0000, 0x2_0000, 0x4_0000
VM_LOCKONFAULT, VM_ACCOUNT, VM_NORESERVE, VM_HUGETLB = 0x8_0000, 0x10_0000, 0x20_0000, 0x40_0000
VM_WIPEONFORK, VM_DONTDUMP, VM_SOFTDIRTY, VM_MIXEDMAP = 0x200_0000, 0x400_0000, 0x800_0000, 0x1000_0000
VM_HUGEPAGE, VM_NOHUGEPAGE, VM_MERGEABLE = 0x2000_0000, 0x4000_0000, 0x8000_0000

VM_ACCESS_FLAGS = VM_READ | VM_WRITE | VM_EXEC
VM_SPECIAL = VM_IO | VM_DONTEXPAND | VM_PFNMAP | VM_MIXEDMAP
"""Areas with one of these never merge."""
VM_STACK_FLAGS = VM_READ | VM_WRITE | VM_MAYREAD | VM_MAYWRITE | VM_MAYEXEC | VM_GROWSDOWN | VM_ACCOUNT

LETTERS = {
    VM_READ: "rd", VM_WRITE: "wr", VM_EXEC: "ex", VM_SHARED: "sh",
    VM_MAYREAD: "mr", VM_MAYWRITE: "mw", VM_MAYEXEC: "me", VM_MAYSHARE: "ms",
    VM_GROWSDOWN: "gd", VM_PFNMAP: "pf", VM_LOCKED: "lo", VM_IO: "io",
    VM_SEQ_READ: "sr", VM_RAND_READ: "rr", VM_DONTCOPY: "dc", VM_DONTEXPAND: "de",
    VM_LOCKONFAULT: "lf", VM_ACCOUNT: "ac", VM_NORESERVE: "nr", VM_HUGETLB: "ht",
    VM_WIPEONFORK: "wf", VM_DONTDUMP: "dd", VM_SOFTDIRTY: "sd", VM_MIXEDMAP: "mm",
    VM_HUGEPAGE: "hg", VM_NOHUGEPAGE: "nh", VM_MERGEABLE: "mg",
}  # fmt: skip
"""The two letters of each flag on the VmFlags line of ``/proc/PID/smaps``, in the order of the line."""
_BITS = {letters: bit for bit, letters in LETTERS.items()}


def flag_letters(vm_flags: int) -> str:
    """Return the VmFlags line of ``/proc/PID/smaps`` for ``vm_flags``.

    >>> flag_letters(VM_STACK_FLAGS)
    'rd wr mr mw me gd ac'
    """
    return " ".join(letters for bit, letters in LETTERS.items() if vm_flags & bit)


def parse_flag_letters(text: str) -> int:
    """Return the flags that a VmFlags line names. Raises ValueError for letters that stand for none of them.

    >>> parse_flag_letters("rd wr mr mw me gd ac") == VM_STACK_FLAGS
    True
    """
    found = 0
    for letters in text.split():
        if letters not in _BITS:
            raise ValueError(f"no flag is written {letters!r}: the letters are {' '.join(_BITS)}")
        found |= _BITS[letters]
    return found


def perms_of(vm_flags: int) -> str:
    """Return the permissions as in ``/proc/PID/maps``: "rw-p"; the last letter is "s" if writes may be shared."""
    read, write, execute = vm_flags & VM_READ, vm_flags & VM_WRITE, vm_flags & VM_EXEC
    kind = "s" if vm_flags & VM_MAYSHARE else "p"
    return f"{'r' if read else '-'}{'w' if write else '-'}{'x' if execute else '-'}{kind}"
