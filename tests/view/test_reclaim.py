"""The picture of memory pressure: it says and draws what is so at every step, and marks what changed."""

from __future__ import annotations

import inspect

import pytest

from mmkit.model import pressuretrace, reclaimtrace
from mmkit.model.machine.pressure import Pressure
from mmkit.model.reclaimstate import ReclaimState
from mmkit.model.trace import Event
from mmkit.view.artist import Box
from mmkit.view.reclaim import ReclaimPicture, arrow
from mmkit.view.reclaimwords import alt_reclaim, mark_words, page_name
from mmkit.view.svg import svg_of
from mmkit.view.words import in_words

SENTENCES = {
    reclaimtrace.KswapdWake(37, 48): ["kswapd wakes", "37 pages free", "more than 48"],
    reclaimtrace.KswapdSleep(49): ["to sleep", "49 pages free"],
    reclaimtrace.DirectReclaimBegin(32): ["An allocation fails", "32 pages free"],
    reclaimtrace.DirectReclaimEnd(1): ["1 page reclaimed"],
    reclaimtrace.ShrinkActive(6, 1, 5, True): ["active_file, 6 pages", "5 became inactive, 1 stay"],
    reclaimtrace.ShrinkInactive(7, 0, 4, False): ["inactive_anon, 7 pages", "none reclaimed", "priority is 4"],
    reclaimtrace.ShrinkInactive(7, 6, 4, True): ["inactive_file, 7 pages", "6 reclaimed"],
    **{
        reclaimtrace.LruFate(0x1A3, fate, "that is why"): ["Frame 0x1a3", words, "that is why"]
        for fate, words in (
            ("keep", "head again"), ("activate", "becomes active"), ("deactivate", "becomes inactive"),
            ("drop", "is dropped"), ("swap out", "written to swap"), ("write back", "moved to the active list"),
            ("rotate", "goes to the tail"),
        )
    },
    reclaimtrace.SwapIn(0x7000, 5, 0x1A3): ["0x7000", "slot 5", "frame 0x1a3"],
    reclaimtrace.MarkVictim(101, "hog", 178, 152, 23, 3): ["Out of memory", "hog (101)", "178", "152", "23", "3 of"],
    pressuretrace.PagesUsed(101, "hog", "writes new", "", 8, 15, 40): ["hog writes new pages 8 to 15", "40 pages"],
    pressuretrace.PagesUsed(101, "hog", "reads", "", 8, 8, 40, 2): ["reads page 8:", "kswapd woke 2 times"],
    pressuretrace.PagesUsed(100, "A x", "calls read() for", "/data", 0, 1, 1): ["pages 0 to 1 of /data", "1 page free"],
    pressuretrace.Refault("/data", 7, 12, 40, True): ["Page 7 of /data", "refault", "12 evictions", "40", "active at"],
    pressuretrace.Refault("/data", 7, 1, 0, False): ["1 eviction ago", "inactive"],
    reclaimtrace.WorkingsetRefault(0x1A3, 9, 8, False): ["0x1a3", "9 evictions", "8 pages", "inactive"],
    reclaimtrace.WorkingsetRefault(0x1A3, 8, 9, True): ["active at once"],
    pressuretrace.TaskGone(101, "hog", "killed"): ["hog was killed"],
    pressuretrace.TaskGone(101, "hog", "exited"): ["hog has ended"],
}  # fmt: skip


@pytest.mark.parametrize("event", SENTENCES, ids=str)
def test_sentences(event: Event) -> None:
    sentence = in_words(event)
    assert sentence.endswith(".")
    for part in SENTENCES[event]:
        assert part in sentence


def test_every_event_has_a_sentence() -> None:
    defined = {
        kind for module in (reclaimtrace, pressuretrace) for _, kind in inspect.getmembers(module, inspect.isclass)
        if issubclass(kind, Event) and kind.__module__ == module.__name__
    }  # fmt: skip
    assert defined == {type(event) for event in SENTENCES}


@pytest.fixture(scope="module")
def moments() -> list[tuple[ReclaimState, str, Event | None]]:
    """A story with every fate, step by step."""
    pressure = Pressure()
    found: list[tuple[ReclaimState, str, Event | None]] = [(pressure.snapshot(), "", None)]
    pressure.told = lambda event: found.append((pressure.snapshot(), in_words(event), event))
    pressure.write_new(100, 30)
    pressure.use_file(100, 0, 40)
    pressure.write_new(101, 75)
    pressure.use(100, 0, 10)
    pressure.use_file(100, 10, 6, "store")
    pressure.write_new(101, 50)
    pressure.use(100, 20, 10)
    pressure.write_new(101, 20)
    pressure.use(100, 0, 6)
    pressure.use_file(101, 0, 8)
    pressure.lock(100, 0, 4)
    pressure.write_new(101, 70)
    for _ in range(2):
        pressure.start()
    pressure.set_oom_score_adj(100, -1000)
    found.append((pressure.snapshot(), "over", None))
    return found


def of_event(moments, kind, fate=""):
    """Number of the first step that an event of this kind, or such a fate, is."""
    return next(
        number for number, (_, _, event) in enumerate(moments)
        if isinstance(event, kind) and (not fate or event.fate == fate)
    )  # fmt: skip


def test_every_step_is_said_and_written(moments):
    picture = ReclaimPicture(moments[0][0])
    for (state, told, event), (before, _, _) in zip(moments[1:], moments, strict=False):
        picture.update(state, before, told)
        written = {text for text, _ in picture.texts}
        if state.look:
            name = page_name(state, state.look.page)
            assert picture.alt.count(f"{name} (frame 0x{state.look.page.pfn:x})") == 1
            assert state.look.why in picture.alt
        else:
            assert told in picture.alt
        assert len(picture.alt) < 1200
        assert picture.alt.endswith(f"({state.source})")
        cells = {page_name(state, page) for _, pages in state.lists for page in pages if page.owner}
        assert cells <= written, event
        assert {f"{line.points}" for line in state.processes if line.points} <= written
        assert {f"{value}" for _, value in state.counters} <= written
        assert f"{sum(slot.owner > 0 for slot in state.slots)} of 48 slots used" in written


def test_the_words_are_true(moments):
    for state, told, _ in moments[:: len(moments) // 40]:
        alt = alt_reclaim(state, told)
        assert f"Free: {state.free} of {state.managed} pages" in alt
        assert f"min {state.min}, low {state.low}, high {state.high}" in alt
        for name, pages in state.lists:
            if pages:
                young, following = sum(page.young for page in pages), page_name(state, pages[0])
                assert f"{name} {len(pages)} (used: {young}, next: {following})" in alt
            else:
                assert f"{name} empty" in alt
        dirty = sum(not page.owner and page.dirty for _, pages in state.lists for page in pages)
        assert f"{dirty} dirty" in alt
        for line in state.processes:
            assert (f"{line.name} was killed" if line.end else f"{line.name} {line.rss} resident") in alt


def test_words_for_the_marks(moments):
    state = moments[0][0]
    words = []
    for free in (state.high + 1, state.high, state.low + 1, state.low, state.min + 1, state.min):
        words.append(
            mark_words(type(state)(**{name: getattr(state, name) for name in state.record_fields} | {"free": free}))
        )
    assert [text.partition(":")[0] for text in words] == [
        "above high", "between low and high", "between low and high", "not above low", "not above low",
        "not above min",
    ]  # fmt: skip


def test_nothing_runs_over_the_edge_or_into_another(moments):
    picture = ReclaimPicture(moments[0][0])
    for number in range(1, len(moments), 9):
        state, told, _ = moments[number]
        picture.update(state, moments[number - 1][0], told)
        boxes = sorted(picture.texts, key=lambda one: one[1].top)
        for place, (text, one) in enumerate(boxes):
            assert one.left >= 0, text
            assert one.right <= picture.width, text
            assert one.bottom <= picture.height, text
            for other_text, other in boxes[place + 1 :]:
                if other.top > one.bottom:
                    break
                apart = one.right <= other.left or other.right <= one.left or one.bottom <= other.top + 1
                assert apart, (text, other_text)
        for box in picture.boxes.boxes:
            assert box.left >= 0
            assert box.right <= picture.width
            assert box.bottom <= picture.height


@pytest.mark.parametrize("fate", ["keep", "activate", "deactivate", "swap out", "drop", "write back"])
def test_a_page_that_is_looked_at_is_outlined_where_it_is_now(moments, fate):
    number = of_event(moments, reclaimtrace.LruFate, fate)
    state, told, _ = moments[number]
    picture = ReclaimPicture(state, moments[number - 1][0], told)
    goals = picture._new
    cell = next(box for box in goals if box.bottom - box.top == 17)
    name = page_name(state, state.look.page)
    text = next(text for text, box in picture.texts if cell.left <= box.left and box.right <= cell.right
                and cell.top <= box.top and box.bottom <= cell.bottom)  # fmt: skip
    assert text.rstrip("*") == ("x" if fate == "drop" else name)
    assert len(picture.way.get_xdata()), "an arrow leads there"


def test_a_page_that_comes_back_has_an_arrow_from_its_slot(moments):
    number = of_event(moments, reclaimtrace.SwapIn)
    state, told, event = moments[number]
    picture = ReclaimPicture(state, moments[number - 1][0], told)
    slot = picture._slot_places[event.slot]
    x, y = picture.way.get_xdata()[0], picture.way.get_ydata()[0]
    assert slot.left < x < slot.right
    assert slot.top < y < slot.bottom


def test_marks_are_bars(moments):
    """As many bars as pages that are young, and as such that were used before, besides those of the legend."""
    state = moments[of_event(moments, reclaimtrace.LruFate, "swap out")][0]
    picture = ReclaimPicture(state)
    bars = [box for box, one in zip(picture.boxes.boxes, picture.boxes.inks, strict=True) if one.name == "rule"]
    pages = [page for _, pages in state.lists for page in pages]
    assert sum(box.right - box.left == 25 for box in bars) == 1 + sum(page.young for page in pages)
    assert sum(box.right - box.left == 12 for box in bars) == 1 + sum(page.referenced for page in pages)


def test_the_victim_is_outlined_then_crossed_out(moments):
    chosen = of_event(moments, reclaimtrace.MarkVictim)
    picture = ReclaimPicture(moments[chosen][0], moments[chosen - 1][0])
    assert any(box.right - box.left > 500 for box in picture._new)
    gone = of_event(moments, pressuretrace.TaskGone)
    picture.update(moments[gone][0], moments[gone - 1][0])
    assert "killed" in {text for text, _ in picture.texts}
    picture.update(moments[0][0])
    assert "killed" not in {text for text, _ in picture.texts}


def test_only_what_changed_is_outlined(moments):
    state = moments[20][0]
    picture = ReclaimPicture(state, state)
    assert not len(picture.outlines.get_xdata())
    picture.update(state, moments[0][0])
    assert len(picture.outlines.get_xdata())


def test_an_update_leaves_nothing_behind(moments):
    number = of_event(moments, reclaimtrace.MarkVictim)
    last, before, told = moments[number][0], moments[number - 1][0], moments[number][1]
    picture = ReclaimPicture(last, before, told)
    picture.update(moments[0][0])
    picture.update(moments[60][0], moments[59][0], moments[60][1])
    wanted = ReclaimPicture(moments[60][0], moments[59][0], moments[60][1])
    assert (picture.alt, picture.texts, picture.png()) == (wanted.alt, wanted.texts, wanted.png())
    assert svg_of(picture) == svg_of(wanted)


def test_an_arrow_ends_before_its_goal():
    shaft, barbs = arrow(Box(0, 0, 10, 10), Box(100, 0, 110, 10))
    assert shaft == [(5, 5), (94, 5)]
    assert barbs[1] == (94, 5)
    assert {(x, y) for x, y in barbs if x != 94} == {(86, 0), (86, 10)}
