"""The two halves of an address space: who may use which virtual addresses.

Models: Documentation/arch/x86/x86_64/mm.rst and arch/x86/include/asm/page_64_types.h (Linux 6.18), TASK_SIZE_MAX.
Leaves out: the page below the top of the user half, which x86-64 keeps empty, and linear address masking.
"""

from __future__ import annotations

from mmkit.arch import Arch
from mmkit.record import Record
from mmkit.units import format_address


class Half(Record):
    """A range [start, end) of virtual addresses and who it belongs to: "user", "kernel" or, between them, "nobody"."""

    owner: str
    start: int
    end: int

    def __contains__(self, addr: object) -> bool:
        return isinstance(addr, int) and self.start <= addr < self.end


def halves(arch: Arch) -> tuple[Half, ...]:
    """Return the parts of ``arch``'s virtual address space in ascending order: user, (nobody,) kernel.

    On 32 bits all addresses are used, 3 GiB by the user and 1 GiB by the kernel. On 64 bits the hardware accepts only
    *canonical* addresses, whose unused upper bits all equal the highest used one; between the two halves lies a gap.

    >>> from mmkit.arch import X86
    >>> [(half.owner, hex(half.start)) for half in halves(X86)]
    [('user', '0x0'), ('kernel', '0xc0000000')]
    """
    word_bits = 64 if arch.virt_bits > 32 else arch.virt_bits
    top = 1 << word_bits
    if word_bits < 64:
        return Half("user", 0, arch.page_offset), Half("kernel", arch.page_offset, top)
    # Arm picks the half by the bits above virt_bits, x86 by sign extension, which costs it one bit.
    user_end = 1 << (arch.virt_bits if arch.name == "ARM64" else arch.virt_bits - 1)
    return Half("user", 0, user_end), Half("nobody", user_end, top - user_end), Half("kernel", top - user_end, top)


def half_of(arch: Arch, addr: int) -> Half:
    """Return the part that ``addr`` lies in. Raises ValueError for an address that the architecture cannot express."""
    for half in halves(arch):
        if addr in half:
            return half
    bits = 64 if arch.virt_bits > 32 else arch.virt_bits
    raise ValueError(f"{hex(addr)} is no address of {arch.title}: it must fit in {bits} bits")


def user_access(arch: Arch, addr: int) -> str:
    """Say in a sentence what happens when a program, in user mode, touches ``addr``."""
    half = half_of(arch, addr)
    written = format_address(addr, 64 if arch.virt_bits > 32 else arch.virt_bits)
    return f"{written} is in {_WHERE[half.owner]}: {_OUTCOME[half.owner]}"


_WHERE = {"user": "the user half", "kernel": "the kernel half", "nobody": "the gap between the halves"}
_OUTCOME = {
    "user": "the access works if the program has a mapping there that allows it, else the kernel sends SIGSEGV.",
    "kernel": "the MMU refuses it, whatever is there (page fault), and the kernel sends SIGSEGV.",
    "nobody": "the address is not canonical, the CPU does not even look for a page (general protection fault), "
    "and the kernel sends SIGSEGV.",
}
