"""The memory pressure lab, operated in a real page by mouse and keyboard beside the same lab in Python."""

from __future__ import annotations

from mmkit.lab import ReclaimLab
from tests.browser.lab_page import Show, walk_the_timeline


def test_reclaim_lab_from_the_first_page_to_the_killer(show: Show) -> None:
    """Write, step, read the file, use again, lock, set, start, end, run out of memory; bad input; the timeline."""
    page, twin = show("ReclaimLab()"), ReclaimLab()
    page.assert_shows(twin)
    page.type("Pages", "30")
    page.press("Write new pages", "Last")
    twin.write(30)
    twin.last()
    page.assert_shows(twin)
    page.press("Use the file", "Last")
    twin.use_file("read()", 0, 30)
    twin.last()
    page.assert_shows(twin)
    page.choose("Process", "101 hog")
    page.type("Pages", "64")
    for _ in range(2):
        page.press("Write new pages")
        twin.write(64, 101)
        page.assert_shows(twin)
    for _ in range(20):
        page.press("Forward")
        twin.forward()
        page.assert_shows(twin)
    page.choose("Process", "100 editor")
    page.type("Pages", "6")
    page.type("From page", "2")
    for name, do in (
        ("Read again", lambda: twin.read_again(2, 6)), ("Write again", lambda: twin.write_again(2, 6)),
        ("Lock", lambda: twin.lock(2, 6)), ("Start a process", twin.start),
    ):  # fmt: skip
        page.press(name, "Last")
        do()
        twin.last()
        page.assert_shows(twin)
    page.choose("Process", "102 shell")
    page.press("exit")
    twin.exit(102)
    page.assert_shows(twin)
    page.choose("File through", "a mapping, writing")
    page.press("Use the file", "Last")
    twin.use_file("a mapping, writing", 2, 6)
    twin.last()
    page.assert_shows(twin)
    page.type("swappiness", "100")
    page.press("Set swappiness", "Set adj")
    twin.set_swappiness(100)
    twin.set_oom_score_adj(-1000)
    page.assert_shows(twin)
    page.choose("Process", "101 hog")
    page.type("Pages", "64")
    page.press("Write new pages", "Last")
    twin.write(64, 101)
    twin.last()
    page.assert_shows(twin)
    assert "hog was killed" in page.said
    page.type("From page", "two")
    page.press("Read again")
    twin.read_again("two")
    page.assert_shows(twin)
    assert "Nothing has changed" in page.said
    walk_the_timeline(page, twin)
