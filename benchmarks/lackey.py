"""Reading a trace of valgrind's lackey against splitting its lines in Python.

python benchmarks/lackey.py
"""

from __future__ import annotations

import re

from ratio import compare, report

from mmkit.data import address_trace
from mmkit.proc import lackey

LINE = re.compile(r"(I  | L | S | M )([0-9a-f]+),(\d+)")
ROUNDS = 7


def split(text: str) -> tuple[list[int], list[int], str]:
    """Line by line, as one writes it first."""
    addresses, sizes, kinds = [], [], []
    for line in text.splitlines():
        if line.startswith("=="):
            continue
        address, size = line[3:].split(",")
        addresses.append(int(address, 16))
        sizes.append(int(size))
        kinds.append(line[0] if line[0] == "I" else line[1])
    return addresses, sizes, "".join(kinds)


def match(text: str) -> tuple[list[int], list[int], str]:
    """The same with a regular expression, which notices damage, as mmkit does."""
    found = [each.groups() for each in map(LINE.fullmatch, text.splitlines()) if each]
    return [int(a, 16) for _, a, _ in found], [int(s) for _, _, s in found], "".join(k.strip() for k, _, _ in found)


def main() -> bool:
    """Print the figures; returns whether all goals are met."""
    trace = address_trace()
    raw = lackey.format(trace)
    text = raw.decode("ascii")
    assert lackey.parse(text) == trace
    assert split(text) == match(text) == (trace.addresses.tolist(), trace.sizes.tolist(), bytes(trace.kinds).decode())
    timing = compare(
        {
            "mmkit": lambda: lackey.parse(text),
            "split": lambda: split(text),
            "match": lambda: match(text),
            "format": lambda: lackey.format(trace),
        },
        ROUNDS,
    )
    cost = timing.median("mmkit") / len(trace) * 1e9
    holds = report(f"{cost:.0f} ns a line: splitting lines / parse", timing.ratio("split", "mmkit"), 6, at_most=False)
    holds &= report("a regular expression / parse", timing.ratio("match", "mmkit"), 6, at_most=False)
    print(f"     writing the text again: {timing.ratio('format', 'mmkit'):.1f} times as long as reading it")
    return holds


if __name__ == "__main__":
    raise SystemExit(not main())
