"""The file of recorded page frames."""

import pytest

from mmkit.data import recording
from mmkit.errors import FormatError
from mmkit.proc import structpage

TEXT = recording("host-6.18").text("struct_pages.tsv")
MIDDLE = TEXT.index("\n", len(TEXT) // 2)


def test_writes_what_it_read():
    assert structpage.format(structpage.parse(TEXT)) == TEXT


def test_reads_the_words_in_order():
    frames = structpage.parse("# remark\n1f\t408\t1\t2\t3\t4\t5\t6\t7\tff\n")
    assert frames.remarks == ("# remark",)
    assert (frames.frames[0].pfn, frames.frames[0].kpageflags) == (0x1F, 0x408)
    assert frames.frames[0].words == (1, 2, 3, 4, 5, 6, 7, 255)


@pytest.mark.parametrize(
    ("damage", "line_no"),
    [
        (lambda text: text[:-1], TEXT.count("\n")),
        (lambda text: text[: MIDDLE - 20] + "\n", TEXT[:MIDDLE].count("\n") + 1),
        (lambda text: text.replace("\t", " "), 3),
        (lambda text: text + "# late remark\n", TEXT.count("\n") + 1),
        (lambda text: text + "1\t2\t3\n", TEXT.count("\n") + 1),
        (lambda text: text + "\n", TEXT.count("\n") + 1),
        (lambda text: text.replace("f0000000", "x0000000"), None),
    ],
)
def test_damage_is_named_by_line(damage, line_no):
    with pytest.raises(FormatError) as caught:
        structpage.parse(damage(TEXT))
    assert line_no is None or caught.value.line_no == line_no
    assert caught.value.line not in TEXT.splitlines() or not damage(TEXT).endswith("\n")
