"""Recorded page frames: what ``/proc/kpageflags`` says of a frame, and the raw ``struct page`` the kernel keeps for it.

The format is ours, one frame a line, numbers in hexadecimal, separated by tabs: pfn, kpageflags word, then the 64 bytes
of ``struct page`` as eight words. Lines before that start with "#" are remarks; "# Linux RELEASE" tells the kernel.
"""

from __future__ import annotations

import re
import struct

from mmkit.errors import FormatError
from mmkit.model.pagebytes import page_from_bytes
from mmkit.model.snapshot import PageSnapshot, Source
from mmkit.proc.text import RECORDING
from mmkit.record import Record, replace

_LINE = re.compile(r"[0-9a-f]{1,16}(\t[0-9a-f]{1,16}){9}")


class PageFrame(Record):
    """One recorded frame."""

    pfn: int
    kpageflags: int
    words: tuple[int, ...]
    """The 64 bytes of ``struct page``, as eight words."""
    source: Source = RECORDING

    @property
    def page(self) -> PageSnapshot:
        """The ``struct page``, field by field."""
        return page_from_bytes(self.pfn, struct.pack("<8Q", *self.words), self.source)


class PageFrames(Record):
    """A file of recorded frames, in the order of the file."""

    remarks: tuple[str, ...]
    frames: tuple[PageFrame, ...]


def parse(text: str, source: Source = RECORDING) -> PageFrames:
    """Read recorded frames. Raises FormatError, naming the line, if the text is damaged."""
    *lines, rest = text.split("\n")
    if rest:
        raise FormatError("struct_pages", len(lines) + 1, rest, "a newline at the end")
    remarks: list[str] = []
    frames: list[PageFrame] = []
    for line_no, line in enumerate(lines, 1):
        if line.startswith("#") and not frames:
            remarks.append(line)
            kernel = re.match(r"# Linux (\S+)", line)
            source = replace(source, kernel=kernel[1]) if kernel else source
        elif _LINE.fullmatch(line):
            pfn, kpageflags, *words = (int(word, 16) for word in line.split("\t"))
            frames.append(PageFrame(pfn, kpageflags, tuple(words), source))
        else:
            raise FormatError("struct_pages", line_no, line, "ten hexadecimal numbers separated by tabs")
    return PageFrames(tuple(remarks), tuple(frames))


def format(frames: PageFrames) -> str:
    """Write recorded frames; ``format(parse(text)) == text``."""
    rows = ["\t".join(f"{word:x}" for word in (f.pfn, f.kpageflags, *f.words)) for f in frames.frames]
    return "".join(f"{line}\n" for line in (*frames.remarks, *rows))
