"""Traces of valgrind's lackey: what a line by line reading finds, back byte for byte, and damage named."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmkit.data import address_trace, address_traces, matrix_walks
from mmkit.errors import FormatError
from mmkit.proc import lackey
from mmkit.proc.lackey import FETCH, LOAD, MODIFY, STORE, Lackey, format, parse

LINE = re.compile(r"(I  | L | S | M )([0-9a-f]{8,16}),(\d{1,4})")


def line_by_line(text: str) -> tuple[list[int], list[int], str, list[tuple[int, str]]]:
    """Addresses, sizes, letters and remarks, as one would read them first."""
    addresses, sizes, letters, remarks = [], [], "", []
    for line in text.splitlines():
        if line.startswith("=="):
            remarks.append((len(sizes), line))
        else:
            kind, address, size = LINE.fullmatch(line).groups()
            addresses.append(int(address, 16))
            sizes.append(int(size))
            letters += kind.strip()
    return addresses, sizes, letters, remarks


LINES = st.one_of(
    st.builds(
        lambda kind, address, size: f"{kind}{address:08x},{size}",
        st.sampled_from(["I  ", " L ", " S ", " M "]),
        st.one_of(
            st.integers(0, 2**32 - 1), st.integers(0, 2**64 - 1), st.sampled_from([0, 2**32 - 1, 2**32, 2**64 - 1])
        ),
        st.one_of(st.sampled_from([1, 2, 4, 8, 16]), st.integers(1, 9999)),
    ),
    st.sampled_from(["==14==", "==14== total: 43,456", "== I  00000000,1"]),
)


@given(st.lists(LINES), st.sampled_from([1, 20, 60, 1 << 19]))
def test_what_a_reading_line_by_line_finds(lines, chunk):
    kept, lackey.CHUNK = lackey.CHUNK, chunk
    try:
        text = "".join(line + "\n" for line in lines)
        trace = parse(text)
        addresses, sizes, letters, remarks = line_by_line(text)
        assert trace.addresses.tolist() == addresses
        assert trace.sizes.tolist() == sizes
        assert bytes(trace.kinds).decode() == letters
        assert list(trace.remarks) == remarks
        assert (trace.addresses.dtype, trace.sizes.dtype, trace.kinds.dtype) == (np.uint64, np.uint16, np.uint8)
        lackey.CHUNK = max(chunk, 16)
        assert format(trace) == text.encode()
        assert parse(text.encode()) == trace
    finally:
        lackey.CHUNK = kept


@given(st.lists(LINES, min_size=1, max_size=6), st.data())
def test_damage_is_named_or_is_none(lines, data):
    text = "".join(line + "\n" for line in lines)
    at = data.draw(st.integers(0, len(text) - 1))
    change = data.draw(st.sampled_from(["", "0", "f", "F", ",", " ", "\n", "=", "I", "g", "é", "Ω", "\0", "00000000"]))
    damaged = text[:at] + change + text[at + data.draw(st.integers(0, 1)) :]
    error = None
    try:
        trace = parse(damaged)
    except FormatError as caught:
        error = caught
    if error is None:
        assert format(trace).decode("latin-1") == damaged
        assert len(trace) == len(line_by_line(damaged)[0])
    else:
        rows = damaged.split("\n")
        assert error.line == rows[error.line_no - 1]
        assert not lackey._LINE.fullmatch(error.line.encode()) or not damaged.endswith("\n")
        assert all(row.startswith("==") or LINE.fullmatch(row) for row in rows[: error.line_no - 1])


@pytest.mark.parametrize(
    "line",
    [
        "",
        "I 004016e0,2",
        " I 004016e0,2",
        "L  004016e0,2",
        " X 004016e0,2",
        " L 4016e0,2",
        " L 04016E00,2",
        " L 0004016e0,2",
        " L 11fff000770000000,8",
        " L g0000000,4",
        " L 0000000o,4",
        " L 004016e0,0",
        " L 004016e0,02",
        " L 004016e0,10000",
        " L 004016e0,",
        " L 004016e0",
        " L 004016e0,2,",
        " L 004016e0,a",
        " L 004016e0,8a",
        "0x528000 0x4a8000",
    ],
)
def test_lines_that_lackey_does_not_write(line):
    text = "==1== \nI  00000000,1\n" + line + "\n L 00000000,1\n"
    with pytest.raises(FormatError, match="lackey, line 3: expected 'I  address,bytes'") as caught:
        parse(text)
    assert caught.value.line == line


def test_cut_off_and_of_the_wrong_type():
    with pytest.raises(FormatError, match="line 2: expected a line that ends with a newline, found ' L 0000'"):
        parse("I  00000000,1\n L 0000")
    with pytest.raises(TypeError, match="text or bytes, not list"):
        parse([])
    assert len(parse("")) == 0
    assert parse("==1==\n").remarks == ((0, "==1=="),)


@pytest.mark.parametrize("name", address_traces())
def test_the_recorded_trace(name):
    trace = address_trace(name)
    text = format(trace)
    assert parse(text) == trace
    addresses, sizes, letters, remarks = line_by_line(text.decode())
    assert trace.addresses.tolist() == addresses
    assert trace.sizes.tolist() == sizes
    assert bytes(trace.kinds).decode() == letters
    assert list(trace.remarks) == remarks
    # Lackey's own count of instructions.
    counted = next(int(text.split()[-1].replace(",", "")) for _, text in remarks if "guest instrs:" in text)
    assert counted == trace.fetches.sum()


def test_the_parts_of_the_matrix_program():
    rows, columns, table = matrix_walks()
    start = int(rows[0])
    in_rows = start + np.arange(128 * 512, dtype=np.uint64) * np.uint64(8)
    assert rows.tolist() == in_rows.tolist()
    assert columns.tolist() == in_rows.reshape(128, 512).T.reshape(-1).tolist()
    # Each key is looked for in one slot at least, its count read and written.
    assert len(table) >= 3 * 6000
    assert len(np.unique(table >> np.uint64(12))) <= 128
    with pytest.raises(ValueError, match="no address trace 'lackey': choose one of lackey-matrix"):
        address_trace("lackey")


def test_choosing_kinds():
    trace = parse("I  00000010,2\n L 00000020,8\n S 00000030,4\n M 00000040,1\n")
    assert trace.only("LSM").addresses.tolist() == [0x20, 0x30, 0x40]
    assert trace.only("I").kinds.tolist() == [FETCH]
    assert trace.kinds.tolist() == [FETCH, LOAD, STORE, MODIFY]
    assert repr(trace) == "<Lackey: 4 accesses>"
    assert trace != trace.only("ILSM").only("I")
    assert trace == trace.only("ILSM")
    assert Lackey.__eq__(trace, 1) is NotImplemented
