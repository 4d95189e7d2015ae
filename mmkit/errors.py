"""What can go wrong, and what it is called.

::

    MmkitError
    ├── OutOfMemory      (also a MemoryError)     the search for memory found none
    ├── BadFree          (also a ValueError)      freeing what is not allocated, or not so
    ├── MmError          (also an OSError)        a system call fails; .errno is the kernel's
    ├── FatalSignal                              an access for which Linux kills: SIGSEGV or SIGBUS
    ├── FormatError      (also a ValueError)      a text file is damaged; names the line
    ├── LiveError        (also an OSError)        this machine does not offer a file; says why
    └── InvariantError   (also an AssertionError) check() found a broken rule

A bad argument is a plain ValueError or TypeError with the value in its message.
"""

from __future__ import annotations

import errno as codes


class MmkitError(Exception):
    """Base of every error that mmkit defines."""


class OutOfMemory(MmkitError, MemoryError):
    """No memory that satisfies the request: what ``alloc_pages`` answers with NULL."""


class BadFree(MmkitError, ValueError):
    """A free of something that is not allocated, or not allocated in that way; nothing has changed."""


class MmError(MmkitError, OSError):
    """A system call that fails as Linux fails it; ``errno`` is the kernel's, and nothing has changed."""

    def __init__(self, errno: int, why: str) -> None:
        super().__init__(errno, why)

    @property
    def name(self) -> str:
        """Its name in the manual pages, such as "EINVAL"."""
        if self.errno == codes.EOPNOTSUPP:  # Linux has two names for this number.
            return "EOPNOTSUPP"
        return codes.errorcode.get(self.errno or 0, f"errno {self.errno}")

    def __str__(self) -> str:
        return f"{self.name}: {self.strerror}"


class FatalSignal(MmkitError):
    """An access for which Linux kills a process: ``signal`` SIGSEGV or SIGBUS, its ``code``, the address."""

    def __init__(self, signal: str, code: str, addr: int, why: str) -> None:
        self.signal, self.code, self.addr, self.why = signal, code, addr, why
        where = "" if signal == "SIGKILL" else f" at {addr:#x}"
        super().__init__(f"{signal} ({code}){where}: {why}")


class FormatError(MmkitError, ValueError):
    """A text that is not what its format says; the message names file, line and what was expected."""

    def __init__(self, what: str, line_no: int, line: str, expected: str) -> None:
        self.what, self.line_no, self.line, self.expected = what, line_no, line, expected
        super().__init__(f"{what}, line {line_no}: expected {expected}, found {line!r}")


class LiveError(MmkitError, OSError):
    """A file of the running kernel that cannot be read here; the message says why, in words."""


class InvariantError(MmkitError, AssertionError):
    """A rule that must always hold does not; the message names the rule."""
