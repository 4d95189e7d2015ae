"""How many page faults touches take on the running kernel: made by a process of its own, and counted by the kernel.

Models: nothing; reads ``ru_minflt`` of getrusage(2). The process touches a page that it has until that takes no fault
any more, so that faults of its own do not count among those that were asked for.
"""

from __future__ import annotations

import platform
import subprocess
import sys
from collections.abc import Sequence
from typing import NamedTuple

from mmkit.errors import FormatError, LiveError


class Touch(NamedTuple):
    """One access: by whom (0: the parent, 1: its child), how ("r", "w"), and to which of the pages.

    ``fork`` and ``drop`` (MADV_DONTNEED of the page) may stand in place of "r" and "w".
    """

    who: int
    how: str
    page: int

    @property
    def words(self) -> str:
        """It in words."""
        who = ("parent", "child")[self.who]
        does = {"r": f"reads page {self.page}", "w": f"writes page {self.page}", "fork": "forks",
                "drop": f"throws page {self.page} away"}[self.how]  # fmt: skip
        return f"{who} {does}"


_TRIES = 5
_CHILD = """
import ctypes, os, sys, tempfile
libc = ctypes.CDLL(None, use_errno=True)
libc.mmap.restype = ctypes.c_void_p
libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t] + [ctypes.c_int] * 3 + [ctypes.c_long]
libc.madvise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
for call in (libc.memset, libc.memcmp):
    call.restype = None
libc.memset.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t]
libc.memcmp.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t]
libc.prctl(41, 1, 0, 0, 0)
BASE, PAGE = 0x10_0000_0000, 4096
made = tempfile.TemporaryFile(buffering=0)
for page in range(4):
    made.write(b"x" * PAGE)
os.fsync(made.fileno())
os.pread(made.fileno(), 4 * PAGE, 0)
libc.mmap(BASE, 4 * PAGE, 3, 0x100022, -1, 0)
libc.mmap(BASE + 4 * PAGE, 4 * PAGE, 3, 0x100002, made.fileno(), 0)
usage = (ctypes.c_long * 32)()
own = ctypes.create_string_buffer(8)
def faults():
    libc.getrusage(0, ctypes.byref(usage))
    return usage[8]
def access(how, addr):
    before = faults()
    # Neither makes an object: that would write to the interpreter's memory, which a child shares.
    if how == "w":
        libc.memset(addr, 65, 1)
    else:
        libc.memcmp(addr, addr, 1)
    return faults() - before
def touch(how, page):
    calm = 0
    while calm < 3:
        calm = 0 if access(how, ctypes.addressof(own)) else calm + 1
    return access(how, BASE + page * PAGE)
def do(how, page):
    if how == "drop":
        libc.madvise(BASE + page * PAGE, PAGE, 4)
        return 0
    return touch(how, page)
steps = [word.split(",") for word in sys.argv[1:]]
pipes, child = (os.pipe(), os.pipe()), None
def serve():
    while word := os.read(pipes[0][0], 16):
        how, page = word.decode().split()
        os.write(pipes[1][1], b"%d" % do(how, int(page)))
    os._exit(0)
for who, how, page in steps:
    if how == "fork":
        child = os.fork()
        if not child:
            os.close(pipes[0][1])
            serve()
        print(0)
    elif who == "0":
        print(do(how, int(page)))
    else:
        os.write(pipes[0][1], f"{how} {page}".encode())
        print(int(os.read(pipes[1][0], 16)))
"""
"""Pages 0 to 3 are anonymous, 4 to 7 a file's, private."""


def measure(touches: Sequence[Touch]) -> tuple[int, ...]:
    """Return how many minor faults each touch took. Raises LiveError where it cannot be seen.

    A page that the kernel has locked at that moment, to write it, is not mapped with others around; so only what two
    processes in a row agree on counts.
    """
    if not sys.platform.startswith("linux") or platform.machine() not in ("x86_64", "aarch64"):
        raise LiveError(
            f"these faults are Linux's on x86-64 and arm64; this is {platform.system()} {platform.machine()}"
        )
    words = [f"{touch.who},{touch.how},{touch.page}" for touch in touches]
    seen = _run(words)
    for _ in range(_TRIES):
        before, seen = seen, _run(words)
        if seen == before:
            return seen
    raise LiveError(f"no two of {_TRIES + 1} processes took the same faults: something else is at work")


def _run(words: Sequence[str]) -> tuple[int, ...]:
    done = subprocess.run([sys.executable, "-c", _CHILD, *words], capture_output=True, text=True, check=False)
    if done.returncode:
        raise LiveError(f"the touches could not be made: {done.stderr.strip().splitlines()[-1]}")
    return tuple(map(int, done.stdout.split()))


def format_faults(touches: Sequence[Touch], faults: Sequence[int]) -> str:
    """Return what was seen as text, a line for each touch."""
    rows = zip(touches, faults, strict=True)
    return "".join(f"{touch.who}\t{touch.how}\t{touch.page}\t{count}\n" for touch, count in rows)


def parse_faults(text: str) -> tuple[tuple[Touch, int], ...]:
    """Return the touches and their faults. Raises FormatError, with the line, for a damaged text."""
    found = []
    for number, line in enumerate(text.splitlines(), 1):
        try:
            who, how, page, count = line.split("\t")
            found.append((Touch(int(who), how, int(page)), int(count)))
        except ValueError:
            raise FormatError("page faults", number, line, "who, how, page and how many faults") from None
    return tuple(found)
