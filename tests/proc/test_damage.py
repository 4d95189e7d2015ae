"""Damaged and truncated texts: each one is refused with the line, or holds nothing that gets lost."""

from __future__ import annotations

import random

import pytest
from formats import DATA, FORMATS, recorded

from mmkit.errors import FormatError

SAMPLES = [
    (kind, f"{folder}/{kind}")
    for kind in FORMATS
    for folder in ("amd64-4g", "amd64-numa2", "arm64-4g", "i386-686-2g", "host-6.18", "trace-frag-6.12")
]


def accepts(kind: str, text: str) -> bool:
    """Whether ``text`` parses, after checking that either nothing is lost or the error names kind, line and reason."""
    error = None
    try:
        snapshot = FORMATS[kind].parse(text)
    except FormatError as caught:
        error = caught
    if error is None:
        assert FORMATS[kind].format(snapshot) == text
        return True
    lines = [*text.split("\n"), "(end of text)"]
    assert error.what == kind
    assert error.line in (lines[error.line_no - 1], "(end of text)")
    assert error.expected
    assert error.expected != repr(error.line)
    return False


@pytest.mark.parametrize(("kind", "name"), SAMPLES)
def test_truncated_at_every_line(kind, name):
    rows = (DATA / name).read_text().splitlines(keepends=True)
    good = [number for number in range(len(rows)) if accepts(kind, "".join(rows[:number]))]
    # What is left is whole only where a zone (buddyinfo) or a node (the others) ends.
    assert 0 not in good
    if kind == "buddyinfo":
        assert good == list(range(1, len(rows)))
    else:
        assert [int(rows[number].split()[1].strip(",")) for number in good if rows[number].startswith("Node")] == (
            [1] if name == "amd64-numa2/zoneinfo" else []
        )
        assert len(good) == ("numa2" in name)


@pytest.mark.parametrize("kind", FORMATS)
def test_truncated_anywhere(kind):
    text = (DATA / "host-6.18" / kind).read_text()
    good = [end for end in range(len(text)) if accepts(kind, text[:end])]
    assert all(text[end - 1] == "\n" for end in good)


@pytest.mark.parametrize(("kind", "name"), SAMPLES)
def test_lines_missing_doubled_and_swapped(kind, name):
    rows = (DATA / name).read_text().splitlines(keepends=True)
    for number in range(len(rows)):
        before, row, after = rows[:number], rows[number], rows[number + 1 :]
        accepts(kind, "".join([*before, *after]))
        accepts(kind, "".join([*before, row, row, *after]))
        accepts(kind, "".join([*before, *after[:1], row, *after[1:]]))
        if kind != "buddyinfo" and not row.startswith("      n"):
            assert not accepts(kind, "".join([*before, "\n", row, *after]))


@pytest.mark.parametrize("kind", FORMATS)
def test_mutated_bytes(kind):
    rng = random.Random(kind)
    paths = list(recorded(kind))
    for _ in range(700):
        text = rng.choice(paths).read_text()
        for _ in range(rng.randint(1, 3)):
            spot = rng.randrange(len(text))
            piece = rng.choice([rng.choice("0123456789 \n,:>-(abcN\t\r\x00\x0b\x85\u2028²١é"), text[spot] * 2, ""])
            text = text[:spot] + piece + text[spot + 1 :]
        accepts(kind, text)


@pytest.mark.parametrize("kind", FORMATS)
def test_texts_that_are_something_else(kind):
    others = ["", "\n", "\n\n", "hello\n", "9" * 10_000 + "\n", "Node 0, zone DMA " + "9" * 5000 + " \n"]
    for text in others + [(DATA / "host-6.18" / other).read_text() for other in FORMATS if other != kind]:
        assert not accepts(kind, text)


def damage(kind: str, old: str, new: str) -> FormatError:
    text = (DATA / "host-6.18" / kind).read_text()
    assert old in text
    with pytest.raises(FormatError) as caught:
        FORMATS[kind].parse(text.replace(old, new, 1))
    return caught.value


def test_the_message_names_file_line_and_what_was_expected():
    assert str(damage("buddyinfo", "DMA32 ", "DMA32 x")).startswith(
        "buddyinfo, line 2: expected 'Node N, zone NAME' and 11 counts, found 'Node 0, zone    DMA32 x"
    )
    assert damage("buddyinfo", " 20768 ", " 20768").line_no == 3
    error = damage("zoneinfo", "        min      15\n", "")
    assert (error.what, error.line_no, error.expected) == ("zoneinfo", 56, "'min N'")
    assert error.line == "        low      18"
    error = damage("zoneinfo", "low      18", "low     18")
    assert error.expected == repr("        low      18")
    error = damage("pagetypeinfo", "Isolate      0      0", "Isolate      0")
    assert error.expected == "'Node N, zone NAME, type TYPE' and 11 counts"
    assert error.line_no == 9


def test_the_message_says_when_the_text_ends_too_early():
    text = (DATA / "host-6.18/zoneinfo").read_text()
    cut = text[: text.index("Node 0, zone  Movable")]
    with pytest.raises(FormatError, match=r"expected 'Node 0, zone NAME', found '.end of text.'"):
        FORMATS["zoneinfo"].parse(cut)
    with pytest.raises(FormatError, match="a newline at the end"):
        FORMATS["zoneinfo"].parse(text[:-1])


def test_a_zone_that_says_it_is_empty_must_end_there():
    error = damage("zoneinfo", "present  3998", "present  0")
    assert error.expected == "'Node 0, zone NAME'"
    assert error.line == "      nr_free_pages 3840"
