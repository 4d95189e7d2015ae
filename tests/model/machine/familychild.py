"""A process of the running kernel and its children, told line by line what to do; see kernelchild.py for the calls.

Started by kernelfamily.py with "privileged", so that frames can be read. Besides:

    F                   fork; answers with the number of the child, which waits for lines of its own
    > number line       pass a line on to that child, and its answer back
    P address pages     answer with the words of pagemap, in hexadecimal
    R W address         answer with how many minor faults that took, in place of the value

An answer is a line "value errno length" and so many bytes.
"""

import ctypes
import gc
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "vma"))

from kernelchild import NR_READ, NR_WRITE, REPORTS, Child, slurp

NR_GETRUSAGE, MINFLT = 98, 8
CALM = 3


class Member(Child):
    """One process of the family."""

    def __init__(self):
        super().__init__()
        self.usage = (ctypes.c_long * 32)()
        self.usage_at = ctypes.addressof(self.usage)
        self.own = (ctypes.c_char * 64)()
        self.own_at = ctypes.addressof(self.own)
        self.children = []
        self.pagemap = os.open("/proc/self/pagemap", os.O_RDONLY)

    def faults(self):
        self.syscall(NR_GETRUSAGE, 0, self.usage_at, 0, 0, 0, 0)
        return self.usage[MINFLT]

    def access(self, write, addr):
        """Touch a byte; returns errno and how many faults that took."""
        before = self.faults()
        if write:
            error = 0 if self.syscall(NR_READ, self.zero, addr, 1, 0, 0, 0) == 1 else 14
        else:
            error = 0 if self.syscall(NR_WRITE, self.sink, addr, 1, 0, 0, 0) == 1 else 14
        after = self.faults()
        if not write and not error:
            os.read(self.drain, 1)
        return error, after - before

    def touch(self, write, addr):
        """Touch a byte once this process has no faults of its own any more."""
        calm = 0
        while calm < CALM:
            calm = calm + 1 if not self.access(write, self.own_at)[1] else 0
        return self.access(write, addr)

    def answer(self, line):
        """Carry a line out; returns value, errno, text."""
        what, *words = line.split()
        if what == b">":
            index, rest = int(words[0]), line.split(None, 2)[2]
            pid, *pipes = self.children[index]
            answer = self.pass_on(pipes, rest)
            if rest[:1] == b"Q":
                os.waitpid(pid, 0)  # its memory is given back only now
            return answer
        if what in (b"R", b"W"):
            error, faults = self.touch(what == b"W", int(words[0]))
            return faults, error, b""
        if what == b"P":
            words = os.pread(self.pagemap, int(words[1]) * 8, int(words[0]) // 4096 * 8)
            return 0, 0, words.hex().encode()
        if what in REPORTS and what in (b"S", b"T", b"D"):
            return 0, 0, slurp(self.files[what])
        return (*self.do(what, words), b"")

    def pass_on(self, pipes, line):
        write, read = pipes
        os.write(write, line if line.endswith(b"\n") else line + b"\n")
        head = b""
        while not head.endswith(b"\n"):
            head += os.read(read, 1)
        value, errno, length = map(int, head.split())
        text = b""
        while len(text) < length:
            text += os.read(read, length - len(text))
        return value, errno, text

    def fork(self):
        """Fork; returns to both, to the child with True."""
        down, up = os.pipe(), os.pipe()
        if pid := os.fork():
            os.close(down[0])
            os.close(up[1])
            self.children.append((pid, down[1], up[0]))
            return False
        os.close(down[1])
        os.close(up[0])
        self.source, self.target, self.children = os.fdopen(down[0], "rb", buffering=0), up[1], []
        self.look()
        self.pagemap = os.open("/proc/self/pagemap", os.O_RDONLY)
        return True

    def serve(self):
        while line := self.source.readline():
            if line[:1] == b"Q":
                os.write(self.target, b"0 0 0\n")
                return
            if line[:1] == b"F":
                if not self.fork():
                    os.write(self.target, b"%d 0 0\n" % (len(self.children) - 1))
                continue
            value, errno, text = self.answer(line)
            os.write(self.target, b"%d %d %d\n" % (value, errno, len(text)) + text)


def main():
    if "go" not in sys.argv:
        ctypes.CDLL(None).personality(0x0040000)
        os.execv(sys.executable, [sys.executable, "-S", "-E", *sys.argv, "go"])
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    member = Member()
    member.source, member.target = os.fdopen(0, "rb", buffering=0), 1
    member.serve()
    gc.collect()
    os._exit(0)


if __name__ == "__main__":
    main()
