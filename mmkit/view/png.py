"""PNG files of drawn pictures: one fixed palette, and strips that are kept while they do not change.

The palette is fixed, so equal pictures are equal bytes. Each strip of rows is deflated by itself (a stream may be
cut at a full flush), and only the columns that changed are looked up in the palette, so a picture in which little
moved costs little to encode.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mmkit.view import ink

_LEVEL = 5
_STRIP_ROWS = 24
_RAMP = (0.25, 0.5, 0.75)


def rgb(colour: str) -> tuple[int, int, int]:
    """Return "#rrggbb" as three numbers from 0 to 255."""
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)


@cache
def palette() -> NDArray[np.uint8]:
    """All colours that pictures are made of, (n <= 256, 3): faces, marks, and the ramps of smooth text and lines."""
    plain = [ink.PAPER, ink.TEXT, ink.MUTED, ink.LINE, ink.FAINT, ink.ALERT]
    colours = [rgb(c) for c in plain]
    pairs = [(ink.PAPER, c) for c in plain[1:]]
    for one in ink.INKS:
        colours += [rgb(one.face), rgb(one.mark), rgb(one.edge)]
        pairs.append((one.face, one.text))
    for below, above in pairs:
        a, b = rgb(below), rgb(above)
        colours += [tuple(round(p + (q - p) * t) for p, q in zip(a, b, strict=True)) for t in _RAMP]  # type: ignore[misc]
    return np.array(list(dict.fromkeys(colours))[:256], dtype=np.uint8)


class _Nearest:
    """Palette index of each colour of 5, 6 and 5 bits: worked out for a colour when it is first seen."""

    def __init__(self) -> None:
        self.table = np.full(1 << 16, -1, dtype=np.int16)
        own = palette().astype(np.int64)
        codes = (own[:, 0] >> 3) | (own[:, 1] >> 2 << 5) | (own[:, 2] >> 3 << 11)
        # Reversed, so that of two palette colours with one code the earlier, more important one wins.
        self.table[codes[::-1]] = np.arange(len(own))[::-1]

    def __call__(self, codes: NDArray[Any]) -> NDArray[np.uint8]:
        """Return the index of the nearest colour of the palette for each code."""
        found = self.table.take(codes)
        if found.min() < 0:
            self._learn(np.unique(codes[found < 0]))
            found = self.table.take(codes)
        return found.astype(np.uint8)

    def _learn(self, codes: NDArray[Any]) -> None:
        levels = np.stack([(codes & 31) * 255 / 31, (codes >> 5 & 63) * 255 / 63, (codes >> 11) * 255 / 31], axis=1)
        away = ((levels[:, None, :] - palette()[None, :, :]) ** 2).sum(axis=2)
        self.table[codes] = away.argmin(axis=1)


_nearest = cache(_Nearest)


def to_indices(pixels: NDArray[np.uint32]) -> NDArray[np.uint8]:
    """Return the palette index of each pixel; a pixel is a word of four bytes, red first."""
    return _nearest()((pixels >> 3 & 0x1F) | (pixels >> 5 & 0x7E0) | (pixels >> 8 & 0xF800))


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _adler32_of_both(first: int, second: int, second_length: int) -> int:
    """Checksum of two texts one after the other, from their checksums."""
    base = 65521
    low = (first & 0xFFFF) + (second & 0xFFFF) - 1
    high = (first >> 16) + (second >> 16) + second_length * ((first & 0xFFFF) - 1)
    return high % base << 16 | low % base


class Strip(NamedTuple):
    """Some rows of a picture, deflated."""

    data: bytes
    adler32: int
    length: int
    """Bytes before they were deflated."""


class PngWriter:
    """Encodes the successive states of one picture, deflating only the strips that changed."""

    def __init__(self) -> None:
        self._seen = np.zeros((0, 0), dtype=np.uint32)
        self._rows = np.zeros((0, 0), dtype=np.uint8)
        self._strips: list[Strip] = []

    def encode(self, rgba: NDArray[np.uint8]) -> bytes:
        """Return the PNG file of an opaque picture, uint8 of shape (rows, columns, 4)."""
        self._take(rgba)
        return _file(rgba.shape[1], self._strips)

    def _take(self, rgba: NDArray[np.uint8]) -> None:
        """Deflate the strips that are not as they were."""
        pixels = np.ascontiguousarray(rgba).view("<u4")[..., 0]
        if self._seen.shape != pixels.shape:
            self._start(pixels)
            return
        for number, top in enumerate(range(0, len(pixels), _STRIP_ROWS)):
            strip = slice(top, top + _STRIP_ROWS)
            columns = np.flatnonzero((pixels[strip] != self._seen[strip]).any(axis=0))
            if len(columns):
                self._keep(pixels, strip, int(columns[0]), int(columns[-1]) + 1)
                self._strips[number] = self._deflate(strip)

    def _start(self, pixels: NDArray[np.uint32]) -> None:
        rows, columns = pixels.shape
        self._seen = np.empty_like(pixels)
        # Each row as PNG has it: a byte that says how it is filtered, 0 for not at all, and the colours.
        self._rows = np.zeros((rows, columns + 1), dtype=np.uint8)
        self._keep(pixels, slice(0, rows), 0, columns)
        self._strips = [self._deflate(slice(top, top + _STRIP_ROWS)) for top in range(0, rows, _STRIP_ROWS)]

    def _keep(self, pixels: NDArray[np.uint32], rows: slice, left: int, right: int) -> None:
        part = pixels[rows, left:right]
        self._seen[rows, left:right] = part
        self._rows[rows, left + 1 : right + 1] = to_indices(part)

    def _deflate(self, strip: slice) -> Strip:
        rows, packer = self._rows[strip], zlib.compressobj(_LEVEL, zlib.DEFLATED, -15)
        return Strip(packer.compress(rows) + packer.flush(zlib.Z_FULL_FLUSH), zlib.adler32(rows), rows.size)


def _file(columns: int, strips: Sequence[Strip]) -> bytes:
    """Return the PNG file of some strips, one below the other."""
    check, length = 1, 0
    for strip in strips:
        check, length = _adler32_of_both(check, strip.adler32, strip.length), length + strip.length
    body = b"".join((b"\x78\x5e", *(strip.data for strip in strips), b"\x03\x00", struct.pack(">I", check)))
    header = struct.pack(">IIBBBBB", columns, length // (columns + 1), 8, 3, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"PLTE", palette().tobytes()), (b"IDAT", body), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, data) for kind, data in chunks)
