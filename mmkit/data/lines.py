"""Reading the compressed texts of the recordings, line by line, with damage reported by line number."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

from mmkit.errors import FormatError
from mmkit.model.snapshot import Source


def names_of_recordings() -> list[str]:
    """Return the names of the recordings that mmkit carries, sorted."""
    return sorted(folder.name for folder in files("mmkit.data").iterdir() if folder.joinpath("uname").is_file())


def folder_of(recording: str | Path) -> Traversable | Path:
    """Return the folder of a recording: one that mmkit carries, by its name, or any other as a ``Path``.

    Raises ValueError for a name that mmkit does not carry.
    """
    if isinstance(recording, Path):
        return recording
    names = names_of_recordings()
    if recording not in names:
        raise ValueError(f"no recording {recording!r}: choose one of {', '.join(names)}")
    return files("mmkit.data").joinpath(recording)


def release_of(recording: str | Path) -> str:
    """Return the release of the kernel that wrote a recording, such as "6.1.0-50-amd64"."""
    text = folder_of(recording).joinpath("uname").read_text(encoding="utf-8")
    # The host's name is left out in one of them, so the release is the first word that is a version.
    for word in text.split():
        if word[0].isdigit() and "." in word:
            return word
    raise FormatError("uname", 1, text.rstrip("\n"), "'Linux host release ...'")


def source_of(recording: str | Path, note: str) -> Source:
    """Return the Source of what is read from a recording."""
    name = recording.name if isinstance(recording, Path) else recording
    return Source("recording", release_of(recording), f"{name}, {note}")


def read_lines(recording: str | Path, name: str) -> Iterator[tuple[int, str]]:
    """Yield (line number, line) of the compressed text ``name``; lines that start with "#" are comments, left out.

    Raises FormatError at the line at which the file turns out to be damaged or cut off, FileNotFoundError without it.
    """
    line_no = 0
    with folder_of(recording).joinpath(name).open("rb") as raw, gzip.open(raw, "rt", encoding="ascii") as text:
        try:
            for line_no, line in enumerate(text, 1):
                if not line.endswith("\n"):
                    raise FormatError(name, line_no, line, "a line that is complete")
                if not line.startswith("#"):
                    yield line_no, line[:-1]
        except (EOFError, zlib.error, gzip.BadGzipFile, UnicodeDecodeError) as error:
            raise FormatError(name, line_no + 1, "", f"more of the compressed text ({error})") from error
