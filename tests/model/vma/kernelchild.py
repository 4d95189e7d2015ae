"""The process whose address space the kernel changes: reads a call a line, carries it out, answers with its maps.

Started by kernelpeer.py with few modules, no address space randomisation (where that is allowed) and an 8 MiB stack
limit. A line is the number of a system call and its arguments, or a letter: R and W touch an address through write(2)
and read(2), which fault as an access of the program's own does, but answer EFAULT instead of killing it; X forks and
goes on in the child; O opens a file, S and T answer with smaps and status, Q ends it.
"""

import ctypes
import gc
import os
import resource
import sys

STACK, NO_RANDOM, MASK = 8 << 20, 0x0040000, (1 << 64) - 1
NR_READ, NR_WRITE = 0, 1


def slurp(fd):
    os.lseek(fd, 0, 0)
    parts = []
    while block := os.read(fd, 1 << 16):
        parts.append(block)
    return b"".join(parts)


def signed(word):
    word = int(word) & MASK
    return word - (1 << 64) if word >> 63 else word


def main():
    libc = ctypes.CDLL(None, use_errno=True)
    if "go" not in sys.argv:
        libc.personality(NO_RANDOM)
        resource.setrlimit(resource.RLIMIT_STACK, (STACK, resource.getrlimit(resource.RLIMIT_STACK)[1]))
        os.execv(sys.executable, [sys.executable, "-S", "-E", __file__, "go"])
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    syscall = libc.syscall
    syscall.restype, syscall.argtypes = ctypes.c_long, [ctypes.c_long] * 7
    zero = os.open("/dev/zero", os.O_RDONLY)
    drain, sink = os.pipe()
    out = sys.stdout.buffer

    def files():
        return [os.open(f"/proc/self/{name}", os.O_RDONLY) for name in ("maps", "smaps", "status")]

    def answer(result, text):
        out.write(b"%d %d %d\n" % (*result, len(text)) + text)
        out.flush()

    def call(*words):
        value = syscall(*[signed(word) for word in words], *[0] * (7 - len(words)))
        return value, ctypes.get_errno() if value == -1 else 0

    maps, smaps, status = files()
    # From here on the interpreter asks for no memory of its own: what the heap may need is in it already.
    gc.collect()
    gc.disable()
    libc.mallopt(-1, 1 << 30)
    libc.mallopt(-2, 1 << 20)
    reserve = [bytearray(100_000) for _ in range(60)]
    del reserve
    for line in sys.stdin.buffer:
        what, *words = line.split()
        if what == b"Q":
            break
        if what in b"ST":
            answer((0, 0), slurp(smaps if what == b"S" else status))
            continue
        if what == b"O":
            result = os.open(words[0].decode(), int(words[1])), 0
        elif what == b"X":
            if pid := os.fork():
                os.waitpid(pid, 0)
                os._exit(0)
            maps, smaps, status = files()
            result = 0, 0
        elif what == b"R":
            result = call(NR_WRITE, sink, words[0], 1)
            if result[0] == 1:
                os.read(drain, 1)
        elif what == b"W":
            result = call(NR_READ, zero, words[0], 1)
        else:
            result = call(what, *words)
        answer(result, slurp(maps))


if __name__ == "__main__":
    main()
