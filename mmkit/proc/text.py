"""Reading a text of the kernel line by line, so that damage is always noticed and named.

Two parts make the parsers short and strict at once: ``Lines`` finds the values, forgiving about spacing, and
``Lines.prove`` compares the text with what those values look like when they are written again.
"""

from __future__ import annotations

import re
from itertools import zip_longest

from mmkit.errors import FormatError
from mmkit.model.snapshot import Source

RECORDING = Source("recording")
END = "(end of text)"

Pattern = re.Pattern[str]


def line(pattern: str) -> Pattern:
    """Return ``pattern`` compiled: a space stands for one or more, ``#`` for a number of up to 20 digits."""
    return re.compile(pattern.replace(" ", " +").replace("#", "([0-9]{1,20})"), re.ASCII)


class Lines:
    """The lines of a text, taken one after the other; ``kind`` is the file's name for messages.

    >>> lines = Lines("buddyinfo", "Node 0\\n")
    >>> lines.take(line("Node #"), "'Node N'")[1]
    '0'
    >>> lines.at_end
    True
    """

    def __init__(self, kind: str, text: str) -> None:
        if not isinstance(text, str):
            raise TypeError(f"the content of {kind} is text, not {type(text).__name__}")
        self.kind, self.text = kind, text
        *self._lines, last = text.split("\n")
        self._next = 0
        if last:
            raise FormatError(kind, len(self._lines) + 1, last, "a newline at the end")

    @property
    def at_end(self) -> bool:
        """Whether all lines have been taken."""
        return self._next == len(self._lines)

    @property
    def number(self) -> int:
        """Number of the next line, from 1."""
        return self._next + 1

    def take(self, pattern: Pattern, expected: str) -> re.Match[str]:
        """Return the match of the next line, which must be ``expected`` (words for the message)."""
        match = self.take_if(pattern)
        if match is None:
            raise self.error(expected)
        return match

    def take_if(self, pattern: Pattern) -> re.Match[str] | None:
        """Return the match of the next line, and go on to the one after, if there is a match."""
        match = None if self.at_end else pattern.fullmatch(self._lines[self._next])
        self._next += match is not None
        return match

    def error(self, expected: str, taken: bool = False) -> FormatError:
        """Return the error that the next line (or the one ``taken`` last) is not ``expected``."""
        index = self._next - taken
        found = self._lines[index] if index < len(self._lines) else END
        return FormatError(self.kind, index + 1, found, expected)

    def prove(self, written: str) -> None:
        """Raise FormatError at the first line in which the text differs from ``written``: nothing may get lost."""
        if written == self.text:
            return
        pairs = zip_longest(self._lines, written.split("\n")[:-1], fillvalue=END)
        for number, (found, expected) in enumerate(pairs, 1):
            if found != expected:
                raise FormatError(self.kind, number, found, repr(expected))


def numbers(text: str) -> tuple[int, ...]:
    """Return the numbers of a line's repeated part."""
    return tuple(map(int, text.split()))
