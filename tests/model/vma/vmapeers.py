"""Two address spaces to operate in the same way: a child process of the running kernel, and the model of it."""

from __future__ import annotations

import os
import platform
import re
import resource
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from mmkit.errors import FatalSignal, MmError
from mmkit.model.vma import File, MmStruct, OpenFile, Vma
from mmkit.model.vmaflags import flag_letters, parse_flag_letters

PAGE, MASK = 4096, (1 << 64) - 1
WINDOW, WINDOW_PAGES = 0x1_0000_0000, 160
"""Addresses that nobody but the tests uses; they hold no whole 2 MiB that a huge page could fill."""
NUMBERS = {
    "mmap": 9, "mprotect": 10, "munmap": 11, "brk": 12, "mremap": 25, "madvise": 28, "mlock": 149, "munlock": 150,
    "mlock2": 325,
}  # fmt: skip
LAYOUT = {"start_code": 26, "end_code": 27, "start_stack": 28, "start_data": 45, "end_data": 46, "start_brk": 47}
"""Fields of ``/proc/PID/stat``."""
LSM_MMAP_MIN_ADDR = 65536
"""What kernels for x86 are built with (CONFIG_LSM_MMAP_MIN_ADDR)."""
SPECIAL = ("[vdso]", "[vvar]", "[vvar_vclock]")
_HEAD = re.compile(r"([0-9a-f]+)-([0-9a-f]+) (\S+) ([0-9a-f]+) ([0-9a-f]+):([0-9a-f]+) (\d+) *(.*)")
_SHARED_INODE = re.compile(r"00:01 \d+ +")


def running() -> tuple[int, ...]:
    """Return the first two numbers of the running kernel's release."""
    return tuple(int(number) for number in re.findall(r"\d+", platform.release())[:2])


needs_linux = pytest.mark.skipif(
    sys.platform != "linux" or platform.machine() != "x86_64" or running() < (6, 1),
    reason="needs a running Linux kernel on x86-64, 6.1 or newer, whose rules the model knows",
)


class Area(NamedTuple):
    """What smaps says of one area; sizes in pages."""

    start: int
    end: int
    perms: str
    offset: int
    device: tuple[int, int]
    inode: int
    name: str
    rss: int
    anon: int
    letters: str


def running_rules() -> str:
    """Return the version of the running kernel as the model's rules want it."""
    return ".".join(map(str, running()))


def plain(text: str) -> list[str]:
    """Return the lines of maps without what no model can know: the inode of each shared memory object."""
    return [_SHARED_INODE.sub("00:01 0 ", line) for line in text.splitlines() if not line.endswith("[vsyscall]")]


def parse_smaps(text: str) -> list[Area]:
    """Return the areas of ``/proc/PID/smaps``, vsyscall left out: it belongs to nobody."""
    found: list[tuple[re.Match[str], dict[str, str]]] = []
    for line in text.splitlines():
        if head := _HEAD.fullmatch(line):
            found.append((head, {}))
        else:
            key, _, value = line.partition(":")
            found[-1][1][key] = value.strip()
    return [
        Area(
            int(head[1], 16), int(head[2], 16), head[3], int(head[4], 16), (int(head[5], 16), int(head[6], 16)),
            int(head[7]), head[8], *(int(kept[key].split()[0]) // 4 for key in ("Rss", "Anonymous")), kept["VmFlags"],
        )
        for head, kept in found
        if head[8] != "[vsyscall]"
    ]  # fmt: skip


class KernelPeer:
    """A child process; errors come as the exceptions that the model raises.

    It has no capabilities, so that root's tests see what everybody's see, unless it is to keep what there are.
    """

    def __init__(self, privileged: bool = False) -> None:
        child = str(Path(__file__).with_name("kernelchild.py"))
        self.process = subprocess.Popen(
            [sys.executable, "-S", "-E", child, *["privileged"] * privileged],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )  # fmt: skip
        self.privileged = privileged and os.geteuid() == 0
        self.text = self.report = ""
        self.files: dict[OpenFile, int] = {}
        self.ask(f"{NUMBERS['munmap']} {WINDOW} {PAGE}")

    def ask(self, line: str) -> tuple[int, int]:
        """Send a line; returns the value and errno."""
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.write(line.encode() + b"\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline().split()
        assert len(answer) == 3, f"the child process is gone after {line!r}"
        text = self.process.stdout.read(int(answer[2])).decode()
        if line in ("S", "T", "D"):
            self.report = text
        else:
            self.text = text
        return int(answer[0]), int(answer[1])

    def close(self) -> None:
        """End the child."""
        assert self.process.stdin
        self.process.stdin.write(b"Q\n")
        self.process.stdin.close()
        self.process.wait()

    def open(self, file: File, mode: str) -> OpenFile:
        """Open a file in the child, too."""
        opened = file.open(mode)
        self.files[opened] = self.ask(f"O {file.name} {('r', 'w', 'rw').index(mode)}")[0]
        return opened

    def share(self, name: str, pages: int) -> tuple[File, OpenFile]:
        """Make a file of shared memory (memfd_create())."""
        file = File(f"/memfd:{name} (deleted)", pages * PAGE, kind="tmpfs", device=(0, 1), inode=0)
        opened = file.open("rw")
        self.files[opened] = self.ask(f"M {name} {pages}")[0]
        return file, opened

    def limit(self, which: int, value: int) -> None:
        """Set a limit (RLIMIT_*), in bytes."""
        assert not self.ask(f"L {which} {value}")[1]

    def call(self, name: str, *arguments: int) -> int:
        """Make a system call. Raises MmError with the kernel's errno."""
        value, errno = self.ask(" ".join(map(str, (NUMBERS[name], *arguments))))
        if errno:
            raise MmError(errno, "says the kernel")
        return value & MASK

    def mmap(self, addr: int, length: int, prot: int, flags: int, file: OpenFile | None = None, offset: int = 0) -> int:
        """Map memory."""
        return self.call("mmap", addr, length, prot, flags, self.files[file] if file else -1, offset)

    def touch(self, addr: int, write: bool = False) -> None:
        """Touch one byte. Raises FatalSignal where the kernel answers EFAULT."""
        if self.ask(f"{'W' if write else 'R'} {addr}")[1]:
            raise FatalSignal("SIGSEGV", "SEGV_MAPERR", addr, "says the kernel")

    def fork(self) -> KernelPeer:
        """Go on in a child of the child."""
        self.ask("X")
        return self

    def maps(self) -> list[str]:
        """Return the lines of maps after the last call."""
        return plain(self.text)

    def areas(self) -> list[Area]:
        """Return all areas with their pages."""
        self.ask("S")
        return parse_smaps(self.report)

    def status(self) -> dict[str, int]:
        """Return the sizes in status, in pages."""
        self.ask("T")
        rows = (line.split() for line in self.report.splitlines() if line.startswith(("Vm", "Rss")))
        return {row[0][:-1]: int(row[1]) // 4 for row in rows}


class ModelPeer:
    """The model, operated in the same way; it can start from what a child process has."""

    def __init__(self, kernel: KernelPeer | None = None, version: str = "6.18") -> None:
        root = kernel is not None and kernel.privileged
        limit = resource.getrlimit(resource.RLIMIT_MEMLOCK)[0]
        self.mm = MmStruct(
            "X86_64", kernel=version, privileged=root, memlock_limit=None if root or limit == -1 else limit
        )
        if kernel:
            areas = kernel.areas()
            self.mm.soft_dirty = any("sd" in area.letters for area in areas)
            self._take_over(areas)
            self._lay_out(kernel)
            self.mm.end_brk = kernel.call("brk", 0)
            self.mm.dac_mmap_min_addr = int(Path("/proc/sys/vm/mmap_min_addr").read_text())
            self.mm.mmap_min_addr = max(self.mm.dac_mmap_min_addr, LSM_MMAP_MIN_ADDR)
            self.mm.max_map_count = int(Path("/proc/sys/vm/max_map_count").read_text())

    def _lay_out(self, kernel: KernelPeer) -> None:
        kernel.ask("D")
        # From the third field on, after the name in parentheses, which may hold blanks: proc(5) counts from 1.
        fields = kernel.report.rpartition(")")[2].split()
        for name, number in LAYOUT.items():
            setattr(self.mm, name, int(fields[number - 3]))

    def _take_over(self, areas: list[Area]) -> None:
        files: dict[str, OpenFile] = {}
        for area in areas:
            file = None
            if area.name.startswith("/"):
                made = File(area.name, 1 << 40, kind="ramfs", device=area.device, inode=area.inode)
                file = files.setdefault(area.name, made.open("r"))
            special = area.name if area.name in SPECIAL else ""
            pgoff = area.offset >> 12 if file else 0 if special else area.start >> 12
            vma = Vma(area.start, area.end, parse_flag_letters(area.letters), pgoff, file, special)
            vma.anon_vma = self.mm.ids.new_anon_vma() if area.anon else None
            self.mm.index.insert(vma)
            self.mm.account(vma.vm_flags, vma.pages)
        tops = [area.end for area in areas if area.name != "[stack]" and area.end <= self.mm.mmap_base]
        if not any(area.end == self.mm.mmap_base for area in areas) and len(tops) < len(areas) - 1:
            self.mm.mmap_base = max(area.end for area in areas if area.name.startswith("/"))

    def close(self) -> None:
        """End it."""
        self.mm.put()

    def open(self, file: File, mode: str) -> OpenFile:
        """Open a file."""
        return file.open(mode)

    def call(self, name: str, *arguments: int) -> int:
        """Make a system call. Raises MmError."""
        return getattr(self.mm, name)(*(argument & MASK for argument in arguments)) or 0

    def mmap(self, addr: int, length: int, prot: int, flags: int, file: OpenFile | None = None, offset: int = 0) -> int:
        """Map memory."""
        return self.mm.mmap(addr & MASK, length & MASK, prot, flags, file, offset & MASK)

    def touch(self, addr: int, write: bool = False) -> None:
        """Touch one byte. Raises FatalSignal."""
        self.mm.touch(addr & MASK, write)

    def fork(self) -> ModelPeer:
        """Go on in the child."""
        self.mm = self.mm.fork()
        return self

    def maps(self) -> list[str]:
        """Return the lines of maps."""
        return plain(self.mm.maps())

    def areas(self) -> list[Area]:
        """Return all areas with their pages."""
        state = self.mm.snapshot()
        return [
            Area(
                vma.start, vma.end, vma.perms, 0, vma.device, vma.inode, vma.name, vma.rss, vma.anon_pages,
                flag_letters(vma.flags),
            )
            for vma in state.vmas
        ]  # fmt: skip

    def status(self) -> dict[str, int]:
        """Return the sizes that status shows, in pages."""
        mm = self.mm
        return {"VmSize": mm.total_vm, "VmLck": mm.locked_vm, "VmPin": mm.pinned_vm, "VmData": mm.data_vm,
                "VmStk": mm.stack_vm}  # fmt: skip


def in_window(areas: list[Area]) -> list[Area]:
    """Return those that lie in the window of the tests."""
    return [area for area in areas if WINDOW <= area.start < WINDOW + WINDOW_PAGES * PAGE]


def write_file(path: Path, pages: int, more: int = 0) -> File:
    """Write a file page by page, so that each page is a folio of its own, and return what the model knows of it."""
    with path.open("wb", buffering=0) as made:
        for _ in range(pages):
            made.write(b"x" * PAGE)
        made.write(b"x" * more)
    found = path.stat()
    device = os.major(found.st_dev), os.minor(found.st_dev)
    return File(str(path), pages * PAGE + more, kind=file_system(path), device=device, inode=found.st_ino)


def file_system(path: Path) -> str:
    """Return the kind of file system that ``path`` is on, as far as it matters where files are mapped."""
    rows = [line.split() for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    mounts = {row[4]: row[row.index("-") + 1] for row in rows}
    kind = next(mounts[str(up)] for up in path.resolve().parents if str(up) in mounts)
    return {"ext4": "ext4", "xfs": "ext4", "btrfs": "ext4", "tmpfs": "tmpfs"}.get(kind, "ext4")
