"""``/proc/PID/status`` and ``statm``: how large a process is, in words and in seven numbers.

Models: fs/proc/array.c and task_mmu.c (Linux 6.18), proc_pid_status(), task_mem(), proc_pid_statm(). Leaves out: what
the lines that are not about memory mean; they are kept as they are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mmkit.errors import FormatError
from mmkit.proc.text import Lines, line
from mmkit.record import Record

if TYPE_CHECKING:
    from mmkit.model.vmastate import MmCounters, MmLayout

_ROW = line(r"(\w+):(.*)")
_STATM = line("# # # # # # #")
_SIZES = ("Vm", "Rss", "HugetlbPages")


class Status(Record):
    """The lines of status in their order, each as its name and what stands behind the colon."""

    rows: tuple[tuple[str, str], ...]

    def text(self, name: str) -> str:
        """Return what a line says. Raises KeyError if there is none of that name."""
        return dict(self.rows)[name].strip()

    def kb(self, name: str) -> int:
        """Return a size in kB: "VmSize", "RssAnon". Raises KeyError if there is none of that name."""
        return int(self.text(name).removesuffix(" kB"))


def parse(text: str) -> Status:
    """Return the lines of ``text``. Raises FormatError, with the line, for a text that is damaged."""
    lines = Lines("status", text)
    rows = []
    while not lines.at_end:
        number = lines.number
        match = lines.take(_ROW, "'Name:\\tvalue'")
        if match[1].startswith(_SIZES) and match[2] != _size(match[2].strip().removesuffix(" kB")):
            raise FormatError("status", number, match[0], f"'{match[1]}:\\t       N kB'")
        rows.append((match[1], match[2]))
    return Status(tuple(rows))


def _size(kb: str) -> str:
    return f"\t{kb:>8} kB" if kb.isdigit() else ""


def format(status: Status) -> str:
    """Return the text, byte for byte as the kernel writes it."""
    return "".join(f"{name}:{value}\n" for name, value in status.rows)


class Statm(Record):
    """The seven numbers of statm, in pages; three of them have been 0 or meaningless since 2.6."""

    size: int
    resident: int
    shared: int
    text: int
    lib: int
    data: int
    dirty: int


def parse_statm(text: str) -> Statm:
    """Return the numbers. Raises FormatError for a text that is damaged."""
    lines = Lines("statm", text)
    match = lines.take(_STATM, "seven numbers")
    statm = Statm(*map(int, match.groups()))
    lines.prove(format_statm(statm))
    return statm


def format_statm(statm: Statm) -> str:
    """Return the text, byte for byte as the kernel writes it."""
    return " ".join(str(getattr(statm, name)) for name in Statm.record_fields) + "\n"


def sizes_of(counters: MmCounters, layout: MmLayout) -> dict[str, int]:
    """Return the sizes in kB that status shows for an address space, by name (task_mem())."""
    text = ((layout.end_code + 0xFFF) & ~0xFFF) - (layout.start_code & ~0xFFF)
    text_kb = min(text, counters.exec_vm << 12) >> 10
    pages = {
        "VmSize": counters.total_vm, "VmLck": counters.locked_vm, "VmPin": counters.pinned_vm,
        "VmRSS": counters.anon_rss + counters.file_rss + counters.shmem_rss, "RssAnon": counters.anon_rss,
        "RssFile": counters.file_rss, "RssShmem": counters.shmem_rss, "VmData": counters.data_vm,
        "VmStk": counters.stack_vm,
    }  # fmt: skip
    sizes = {name: count << 2 for name, count in pages.items()}
    return sizes | {"VmExe": text_kb, "VmLib": (counters.exec_vm << 2) - text_kb}


def statm_of(counters: MmCounters, layout: MmLayout) -> Statm:
    """Return the numbers of statm for an address space (task_statm())."""
    text = (((layout.end_code + 0xFFF) & ~0xFFF) - (layout.start_code & ~0xFFF)) >> 12
    shared = counters.file_rss + counters.shmem_rss
    data = counters.data_vm + counters.stack_vm
    return Statm(counters.total_vm, shared + counters.anon_rss, shared, text, 0, data, 0)
