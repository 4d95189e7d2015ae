"""The process whose address space the kernel changes: reads a call a line, carries it out, answers with its maps.

Started by vmapeers.py with few modules, no address space randomisation (where that is allowed), an 8 MiB stack limit,
no huge pages and, unless told "privileged", no capabilities. A line is the number of a system call and its arguments,
or a letter:

    R W address     touch it through write(2) or read(2), which fault as an access of the program's own does, but answer
                    EFAULT instead of killing it
    X               fork, and go on in the child
    O path mode     open a file; M name pages: make one of shared memory; all answer with the number
    L which limit   set a limit (RLIMIT_*)
    N times step call arguments    make a call again and again, its first argument growing by step
    S T D           answer with smaps, status, stat in place of maps
    Q               end
"""

import ctypes
import gc
import os
import resource
import sys

STACK, NO_RANDOM, MASK = 8 << 20, 0x0040000, (1 << 64) - 1
NR_READ, NR_WRITE, NR_CAPSET, NR_PRCTL = 0, 1, 126, 157
CAPABILITIES_V3, PR_SET_THP_DISABLE = 0x20080522, 41
REPORTS = {b"S": "smaps", b"T": "status", b"D": "stat"}


def slurp(fd):
    os.lseek(fd, 0, 0)
    parts = []
    while block := os.read(fd, 1 << 16):
        parts.append(block)
    return b"".join(parts)


def signed(word):
    word = int(word) & MASK
    return word - (1 << 64) if word >> 63 else word


class Child:
    """Carries out one line after another."""

    def __init__(self):
        libc = ctypes.CDLL(None, use_errno=True)
        self.syscall = libc.syscall
        self.syscall.restype, self.syscall.argtypes = ctypes.c_long, [ctypes.c_long] * 7
        self.zero = os.open("/dev/zero", os.O_RDONLY)
        self.drain, self.sink = os.pipe()
        self.call(NR_PRCTL, PR_SET_THP_DISABLE, 1)
        if "privileged" not in sys.argv:
            header = (ctypes.c_uint32 * 2)(CAPABILITIES_V3, 0)
            none = (ctypes.c_uint32 * 6)()
            assert self.call(NR_CAPSET, ctypes.addressof(header), ctypes.addressof(none)) == (0, 0)
        self.look()
        # From here on the interpreter asks for no memory of its own: what the heap may need is in it already.
        gc.collect()
        gc.disable()
        libc.mallopt(-1, 1 << 30)
        libc.mallopt(-2, 1 << 20)
        reserve = [bytearray(100_000) for _ in range(60)]
        del reserve

    def look(self):
        """Open the files that say what this process's memory is."""
        self.files = {what: os.open(f"/proc/self/{name}", os.O_RDONLY) for what, name in REPORTS.items()}
        self.maps = os.open("/proc/self/maps", os.O_RDONLY)

    def call(self, *words):
        """Make a system call; returns its value and errno."""
        value = self.syscall(*[signed(word) for word in words], *[0] * (7 - len(words)))
        return value, ctypes.get_errno() if value == -1 else 0

    def do(self, what, words):
        """Carry out a line that changes something; returns its value and errno."""
        if what == b"R":
            result = self.call(NR_WRITE, self.sink, words[0], 1)
            if result[0] == 1:
                os.read(self.drain, 1)
            return result
        if what == b"W":
            return self.call(NR_READ, self.zero, words[0], 1)
        if what == b"X":
            if pid := os.fork():
                os.waitpid(pid, 0)
                os._exit(0)
            self.look()
            return 0, 0
        if what == b"N":
            times, step, number, first, *rest = map(int, words)
            for at in range(first, first + times * step, step):
                result = self.call(number, at, *rest)
                if result[1]:
                    break
            return result
        return self.set_up(what, words) if what in b"OML" else self.call(what, *words)

    def set_up(self, what, words):
        """Carry out a line that makes something to work with."""
        if what == b"O":
            return os.open(words[0], int(words[1])), 0
        if what == b"M":
            made = os.memfd_create(words[0].decode())
            os.ftruncate(made, int(words[1]) << 12)
            return made, 0
        which, limit = map(int, words)
        resource.setrlimit(which, (limit, resource.getrlimit(which)[1]))
        return 0, 0


def main():
    if "go" not in sys.argv:
        ctypes.CDLL(None).personality(NO_RANDOM)
        resource.setrlimit(resource.RLIMIT_STACK, (STACK, resource.getrlimit(resource.RLIMIT_STACK)[1]))
        os.execv(sys.executable, [sys.executable, "-S", "-E", *sys.argv, "go"])
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    child, out = Child(), sys.stdout.buffer
    for line in sys.stdin.buffer:
        what, *words = line.split()
        if what == b"Q":
            break
        report = child.files.get(what)
        result = (0, 0) if report else child.do(what, words)
        text = slurp(report or child.maps)
        out.write(b"%d %d %d\n" % (*result, len(text)) + text)
        out.flush()


if __name__ == "__main__":
    main()
