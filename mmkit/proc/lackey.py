"""Address traces of valgrind's lackey (``--tool=lackey --trace-mem=yes``): every access of a program, a line each.

Models: valgrind 3.19, lackey/lk_main.c, trace_instr() and its like: ``I  004016e0,2``, `` L 1fff000770,8``, with the
address in hexadecimal, bytes in decimal. Leaves out: what the counts at the end say; they are kept as remarks.

A trace has millions of lines, so they are read with arrays: eight digits at a time, in one 64-bit word.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mmkit.errors import FormatError
from mmkit.record import Record, field

FETCH, LOAD, STORE, MODIFY = b"ILSM"
"""Kinds of access: an instruction is fetched, data are read, written, or read and written (``addl $1, x``)."""
CHUNK = 1 << 19
"""Bytes that are read at a time: few enough to stay in the CPU's caches."""
PAD = 16
_LINE = re.compile(rb"(?:I  | L | S | M )(?:[0-9a-f]{8}|[1-9a-f][0-9a-f]{8,15}),[1-9][0-9]{0,3}")
_EXPECTED = "'I  address,bytes', ' L address,bytes', ' S ...' or ' M ...', or a remark that starts with '=='"

Bytes = NDArray[np.uint8]
Words = NDArray[np.uint64]
Ints = NDArray[np.int64]


class Lackey(Record):
    """A trace: three arrays with an element for each access, in the program's order."""

    addresses: Words = field(repr=False)
    """Virtual address of the first byte."""
    sizes: NDArray[np.uint16] = field(repr=False)
    """Bytes."""
    kinds: Bytes = field(repr=False)
    """``FETCH``, ``LOAD``, ``STORE`` or ``MODIFY``: the letter's code."""
    remarks: tuple[tuple[int, str], ...] = field(default=(), repr=False)
    """What valgrind says besides, each with the number of accesses before it."""

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Lackey):
            return NotImplemented
        pairs = ((self.addresses, other.addresses), (self.sizes, other.sizes), (self.kinds, other.kinds))
        return self.remarks == other.remarks and all(np.array_equal(a, b) for a, b in pairs)

    def __repr__(self) -> str:
        return f"<Lackey: {len(self)} accesses>"

    __hash__ = None  # type: ignore[assignment]

    def __len__(self) -> int:
        return len(self.addresses)

    @property
    def fetches(self) -> NDArray[np.bool_]:
        """Which accesses are instruction fetches."""
        return np.equal(self.kinds, FETCH)

    def only(self, letters: str) -> Lackey:
        """Return the accesses of these kinds, without remarks: ``only("LSM")`` is all that is no fetch."""
        chosen = np.isin(self.kinds, np.frombuffer(letters.encode(), np.uint8))
        return Lackey(self.addresses[chosen], self.sizes[chosen], self.kinds[chosen])


class _Part(NamedTuple):
    addresses: Words
    sizes: NDArray[np.uint16]
    kinds: Bytes


def parse(text: str | bytes) -> Lackey:
    r"""Return the accesses of a trace. Raises FormatError, with the line, for a text that is damaged.

    >>> trace = parse("I  004016e0,2\n L 1fff000770,8\n")
    >>> [hex(address) for address in trace.addresses.tolist()], trace.sizes.tolist(), bytes(trace.kinds)
    (['0x4016e0', '0x1fff000770'], [2, 8], b'IL')
    """
    raw = _ascii(text)
    if raw and not raw.endswith(b"\n"):
        last = raw[raw.rfind(b"\n") + 1 :].decode("latin-1")
        raise FormatError("lackey", raw.count(b"\n") + 1, last, "a line that ends with a newline")
    parts, remarks, line_no, count = [], [], 1, 0
    for start, end in _pieces(raw):
        if raw.startswith(b"==", start):
            remarks.append((count, raw[start : end - 1].decode("latin-1")))
            line_no += 1
        else:
            parts.append(_read(raw[start:end], line_no))
            line_no += len(parts[-1].kinds)
            count += len(parts[-1].kinds)
    if not parts:
        return Lackey(np.empty(0, np.uint64), np.empty(0, np.uint16), np.empty(0, np.uint8), tuple(remarks))
    addresses, sizes, kinds = (np.concatenate(each) for each in zip(*parts, strict=True))
    return Lackey(addresses, sizes, kinds, tuple(remarks))


def _ascii(text: str | bytes) -> bytes:
    if isinstance(text, bytes):
        return text
    if not isinstance(text, str):
        raise TypeError(f"the content of a lackey trace is text or bytes, not {type(text).__name__}")
    try:
        return text.encode("latin-1")
    except UnicodeEncodeError as error:
        number = text.count("\n", 0, error.start)
        raise FormatError("lackey", number + 1, text.split("\n")[number], _EXPECTED) from None


def _pieces(raw: bytes) -> Iterator[tuple[int, int]]:
    """Yield where each remark starts and ends, and each run of other lines, no longer than what is read at a time."""
    start, length = 0, len(raw)
    remark = 0 if raw.startswith(b"==") else raw.find(b"\n==") + 1 or length
    while start < length:
        if start == remark:
            end = raw.index(b"\n", start) + 1
            remark = end if raw.startswith(b"==", end) else raw.find(b"\n==", end) + 1 or length
        elif remark - start <= CHUNK:
            end = remark
        else:
            end = raw.rfind(b"\n", start, start + CHUNK) + 1 or raw.index(b"\n", start) + 1
        yield start, end
        start = end


def _read(raw: bytes, line_no: int) -> _Part:
    """Read whole lines that hold an access each."""
    buffer = np.frombuffer(bytes(PAD) + raw + bytes(-len(raw) % 8 + 8), np.uint8)
    ends = np.flatnonzero(buffer == ord("\n"))
    commas = np.flatnonzero(buffer == ord(","))
    starts = np.empty_like(ends)
    starts[:1], starts[1:] = PAD, ends[:-1] + 1
    if len(commas) == len(ends) and (starts < commas).all() and (commas < ends).all():
        kinds, kinds_fine = _letters(buffer, starts)
        addresses, addresses_fine = _hexadecimal(buffer, starts + 3, commas)
        sizes, sizes_fine = _decimal(buffer, commas + 1, ends)
        if kinds_fine and addresses_fine and sizes_fine:
            return _Part(addresses, sizes, kinds)
    for number, line in enumerate(raw.split(b"\n")[:-1], line_no):
        if not _LINE.fullmatch(line):
            raise FormatError("lackey", number, line.decode("latin-1"), _EXPECTED)
    raise AssertionError("arrays refuse what no line is to blame for")


def _letters(buffer: Bytes, starts: Ints) -> tuple[Bytes, bool]:
    """Return the letter of each line, and whether all lines start as they must."""
    first, second, third = buffer.take(starts), buffer.take(starts + 1), buffer.take(starts + 2)
    letters = np.maximum(first, second)
    known = np.zeros(256, np.bool_)
    known[[FETCH, LOAD, STORE, MODIFY]] = True
    spaces = np.minimum(first, second) | third
    in_place = np.equal(first, letters) == np.equal(letters, FETCH)
    return letters, bool((spaces == ord(" ")).all() and in_place.all() and known.take(letters).all())


def _hexadecimal(buffer: Bytes, starts: Ints, ends: Ints) -> tuple[Words, bool]:
    """Return numbers of 8 to 16 digits, and whether all are such and written as lackey writes them."""
    digits = ends - starts
    low, fine = _eight(_word_at(buffer, ends - 8))
    if not fine or digits.min() < 8 or digits.max() > 16:
        return low, False
    long = np.flatnonzero(digits > 8)
    if len(long):
        digits = digits.take(long)
        word, empty = _word_at(buffer, ends.take(long) - 16), ((16 - digits) * 8).astype(np.uint64)
        zeros = np.uint64(0x3030303030303030)
        word = (word >> empty) << empty | ~(~np.uint64(0) << empty) & zeros
        high, fine = _eight(word)
        top = high >> (4 * (digits - 9)).astype(np.uint64)
        fine = fine and bool((top > 0).all())
        low[long] |= high << np.uint64(32)
    return low, fine


def _word_at(buffer: Bytes, where: Ints) -> Words:
    """Return the eight bytes from each place on as one word, the first byte lowest."""
    words = buffer.view("<u8")
    index, shift = where >> 3, ((where & 7) << 3).astype(np.uint64)
    upper = words.take(index + 1)
    # By 1 and by 63 less: a shift by 64 would not empty a word.
    return words.take(index) >> shift | upper << np.uint64(1) << (np.uint64(63) - shift)


def _eight(word: Words) -> tuple[Words, bool]:
    """Return the numbers that eight hexadecimal digits in each word stand for, and whether all are such digits."""
    ones = np.uint64(0x0101010101010101)
    nibbles = (word & (ones * np.uint64(15))) + ((word >> np.uint64(6)) & ones) * np.uint64(9)
    letters = ((nibbles + ones * np.uint64(6)) >> np.uint64(4)) & ones
    back = nibbles + ones * np.uint64(0x30) + letters * np.uint64(0x27)
    fine = bool((back == word).all()) and not (nibbles & ones * np.uint64(0xF0)).any()  # "g" would come back, as 16
    pairs = (nibbles << np.uint64(4) | nibbles >> np.uint64(8)) & np.uint64(0x00FF00FF00FF00FF)
    fours = (pairs << np.uint64(8) | pairs >> np.uint64(16)) & np.uint64(0x0000FFFF0000FFFF)
    return (fours << np.uint64(16) | fours >> np.uint64(32)) & np.uint64(0xFFFFFFFF), fine


def _decimal(buffer: Bytes, starts: Ints, ends: Ints) -> tuple[NDArray[np.uint16], bool]:
    """Return numbers of up to four digits, and whether all are such and start with no zero."""
    first = buffer.take(starts) - np.uint8(ord("0"))
    values = first.astype(np.uint16)
    lengths = ends - starts
    fine = bool(((first - np.uint8(1)) < 9).all()) and bool(lengths.min() >= 1) and bool(lengths.max() <= 4)
    for place in range(1, int(lengths.max()) if fine else 1):
        longer = np.flatnonzero(lengths > place)
        digit = buffer.take(starts.take(longer) + place) - np.uint8(ord("0"))
        fine = fine and bool((digit < 10).all())
        values[longer] = values[longer] * np.uint16(10) + digit
    return values, fine


def format(trace: Lackey) -> bytes:
    """Return the text of a trace, byte for byte as lackey writes it."""
    parts, done = [], 0
    for before, remark in trace.remarks:
        parts += [_write(trace, done, before), remark.encode("latin-1") + b"\n"]
        done = before
    return b"".join([*parts, _write(trace, done, len(trace))])


def _write(trace: Lackey, start: int, end: int) -> bytes:
    """Write the accesses from ``start`` to ``end``, all lines in columns of one width; what is not used is cut out."""
    written = []
    for begin in range(start, end, CHUNK >> 4):
        piece = slice(begin, min(end, begin + (CHUNK >> 4)))
        addresses, sizes, kinds = trace.addresses[piece], trace.sizes[piece], trace.kinds[piece]
        columns = np.zeros((len(kinds), 25), np.uint8)
        fetch = np.equal(kinds, FETCH)
        columns[:, 0] = np.where(fetch, kinds, ord(" "))
        columns[:, 1] = np.where(fetch, ord(" "), kinds)
        columns[:, 2], columns[:, 19], columns[:, 24] = ord(" "), ord(","), ord("\n")
        letters = np.frombuffer(b"0123456789abcdef", np.uint8)
        for digit in range(16):
            left = addresses >> np.uint64(4 * digit)
            columns[:, 18 - digit] = np.where((digit < 8) | (left > 0), letters.take(left & np.uint64(15)), 0)
        for digit in range(4):
            rest = sizes // np.uint16(10**digit)
            columns[:, 23 - digit] = np.where((digit == 0) | (rest > 0), rest % 10 + ord("0"), 0)
        flat = columns.reshape(-1)
        written.append(flat[flat != 0].tobytes())
    return b"".join(written)
