"""A process stopped right after execve(), before its first instruction: what the kernel alone has laid out."""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import sys
from pathlib import Path

from mmkit.model.vma import File
from mmkit.model.vma.elf import parse_elf
from mmkit.model.vma.load import Program

STACK = 8 << 20
FILES = ("maps", "smaps", "status", "statm", "stat")
_CHILD = """
import ctypes, os, resource, sys
libc = ctypes.CDLL(None)
resource.setrlimit(resource.RLIMIT_STACK, (int(sys.argv[2]), resource.getrlimit(resource.RLIMIT_STACK)[1]))
if sys.argv[1] == "fixed":
    libc.personality(0x0040000)
libc.ptrace(0, 0, 0, 0)
os.execve(sys.argv[3], sys.argv[3:], {"A": "1", "PATH": "/bin"})
"""
ENV = ("A=1", "PATH=/bin")


def texts_after_exec(path: str, *arguments: str, randomised: bool = False, stack: int = STACK) -> dict[str, str]:
    """Return the files in /proc of a process that was stopped at the first instruction of ``path``."""
    how = "random" if randomised else "fixed"
    started = [sys.executable, "-S", "-E", "-c", _CHILD, how, str(stack), path, *arguments]
    pid = os.posix_spawn(sys.executable, started, {})
    os.waitpid(pid, 0)
    try:
        return {name: Path(f"/proc/{pid}/{name}").read_text() for name in FILES}
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def read_program(path: str) -> Program:
    """Return a file as the loader wants it."""
    found = os.stat(path)
    device = os.major(found.st_dev), os.minor(found.st_dev)
    file = File(path, found.st_size, device=device, inode=found.st_ino)
    return Program(file, parse_elf(Path(path).read_bytes()))


def interpreter_of(program: Program) -> Program | None:
    """Return the program that loads its libraries."""
    return read_program(os.path.realpath(program.elf.interpreter)) if program.elf.interpreter else None


def errno_of_exec(path: str, argv: list[str], stack: int) -> int:
    """Return the error that execve() has for these arguments, 0 if it has none; the program itself does not run."""
    pid = os.fork()
    if not pid:
        try:
            resource.setrlimit(resource.RLIMIT_STACK, (stack, resource.getrlimit(resource.RLIMIT_STACK)[1]))
            ctypes.CDLL(None).ptrace(0, 0, 0, 0)
            os.execve(path, argv, dict(word.split("=") for word in ENV))
        except OSError as error:
            os._exit(error.errno or 255)
        os._exit(255)
    _, how = os.waitpid(pid, 0)
    if os.WIFSTOPPED(how):
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        return 0
    return os.waitstatus_to_exitcode(how)
