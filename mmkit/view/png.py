"""PNG files of drawn pictures: one fixed palette, and strips that are kept while they do not change.

The palette is fixed, so equal pictures are equal bytes. Each strip of rows is deflated by itself (a stream may be
cut at a full flush), so a picture in which little moved costs little to encode.
"""

from __future__ import annotations

import struct
import zlib
from functools import cache
from typing import Any

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


def to_indices(rgba: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the palette index of each pixel of a picture of shape (rows, columns, 4)."""
    pixels = np.ascontiguousarray(rgba).view("<u4")[..., 0]
    return _nearest()((pixels >> 3 & 0x1F) | (pixels >> 5 & 0x7E0) | (pixels >> 8 & 0xF800))


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _adler32_of_both(first: int, second: int, second_length: int) -> int:
    """Checksum of two texts one after the other, from their checksums."""
    base = 65521
    low = (first & 0xFFFF) + (second & 0xFFFF) - 1
    high = (first >> 16) + (second >> 16) + second_length * ((first & 0xFFFF) - 1)
    return high % base << 16 | low % base


class PngWriter:
    """Encodes the successive states of one picture, deflating only the strips that changed."""

    def __init__(self) -> None:
        self._seen: NDArray[np.uint8] | None = None
        self._strips: dict[int, tuple[bytes, int, int]] = {}

    def encode(self, rgba: NDArray[np.uint8]) -> bytes:
        """Return the PNG file of an opaque picture, uint8 of shape (rows, columns, 4)."""
        rows, columns = rgba.shape[:2]
        if self._seen is None or self._seen.shape != rgba.shape:
            self._seen, self._strips = np.zeros_like(rgba), {}
        body, check = [b"\x78\x5e"], 1
        for top in range(0, rows, _STRIP_ROWS):
            data, adler, length = self._strip(rgba, top)
            body.append(data)
            check = _adler32_of_both(check, adler, length)
        body.append(b"\x03\x00" + struct.pack(">I", check))
        header = struct.pack(">IIBBBBB", columns, rows, 8, 3, 0, 0, 0)
        return b"\x89PNG\r\n\x1a\n" + b"".join(
            _chunk(kind, data)
            for kind, data in (
                (b"IHDR", header), (b"PLTE", palette().tobytes()), (b"IDAT", b"".join(body)), (b"IEND", b"")
            )
        )  # fmt: skip

    def _strip(self, rgba: NDArray[np.uint8], top: int) -> tuple[bytes, int, int]:
        assert self._seen is not None
        new, old = rgba[top : top + _STRIP_ROWS], self._seen[top : top + _STRIP_ROWS]
        if top not in self._strips or not np.array_equal(new.view(np.uint32), old.view(np.uint32)):
            old[:] = new
            self._strips[top] = _deflate(to_indices(new))
        return self._strips[top]


def _deflate(indices: NDArray[np.uint8]) -> tuple[bytes, int, int]:
    rows, columns = indices.shape
    raw = np.zeros((rows, columns + 1), dtype=np.uint8)
    raw[:, 1:] = indices
    text = raw.tobytes()
    packer = zlib.compressobj(_LEVEL, zlib.DEFLATED, -15)
    return packer.compress(text) + packer.flush(zlib.Z_FULL_FLUSH), zlib.adler32(text), len(text)
