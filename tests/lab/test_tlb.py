"""The TLB lab beside the model: Tlb.simulate on the same addresses, and a Tlb that is played access by access."""

from __future__ import annotations

import random
from functools import cache
from itertools import pairwise

import numpy as np
import pytest

from mmkit.lab.tlb import TlbLab
from mmkit.lab.tlbbench import GEOMETRIES, PAGES, PATTERNS, POLICIES, SWITCHES, TOLD, Setting, TlbBench, played
from mmkit.model.tlb import Tlb
from mmkit.model.tlbstate import TlbEntry, TlbGeometry
from mmkit.model.tlbtrace import TlbFill, TlbFlush, TlbHit, TlbMiss
from mmkit.record import replace

UNSEEN = TlbLab

SMALL = [name for name in PATTERNS if not name.startswith("recorded")]
RECORDED = [name for name in PATTERNS if name.startswith("recorded")]
SIZES = [(1, 1), (4, 4), (8, 1), (8, 2), (8, 8), (16, 4), (64, 4), (1536, 12)]
FIRST = Setting("nine pages in turn", 8, 2, "lru", 12, False)
TWO = "two processes in turn"


@cache
def addresses(name):
    return PATTERNS[name].make()


def asids(name):
    """Whose access each is."""
    many, turn = len(addresses(name)), PATTERNS[name].slice
    return np.arange(many) // turn % 2 if turn else np.zeros(many, np.int64)


class Twin:
    """A Tlb of the model that plays a pattern by itself."""

    def __init__(self, setting: Setting) -> None:
        self.setting, self.done, self.outcomes, self.evicted = setting, 0, [], None
        self.tlb = Tlb(setting.entries, setting.ways, shifts=(setting.shift,), policy=setting.policy)
        self.spaces = asids(setting.pattern)

    def play(self, count: int) -> Twin:
        for addr in addresses(self.setting.pattern)[self.done : self.done + count].tolist():
            asid = int(self.spaces[self.done])
            if self.setting.flush and self.done and asid != self.spaces[self.done - 1]:
                self.tlb.flush()
            hit, self.evicted = self.tlb.lookup(addr, asid) is not None, None
            if not hit:
                page = addr >> self.setting.shift << self.setting.shift
                self.evicted = self.tlb.insert(TlbEntry(page, page, self.setting.shift, asid))
            self.outcomes.append((addr, asid, hit))
            self.done += 1
        return self


@cache
def only() -> TlbLab:
    """A lab that most tests use, one after the other: making its pictures takes longer than they do."""
    return TlbLab()


def at(setting: Setting = FIRST) -> TlbLab:
    """The lab, begun anew with a setting."""
    lab, bench = only(), TlbBench(setting)
    bench.trace = lab.trace
    lab.begin(bench, "anew")
    return lab


@pytest.fixture
def lab() -> TlbLab:
    return at()


def state(lab):
    return lab.timeline.current.snapshot


def events(lab):
    return [entry.event for entry in lab.timeline.entries if entry.event]


def same(found, twin: Twin) -> None:
    """A state is the twin's: the TLB way by way, the last accesses, what had to go."""
    run = found.run
    assert found.setting == twin.setting
    assert run.tlb == twin.tlb.snapshot()
    assert (run.done, run.total) == (twin.done, len(addresses(found.setting.pattern)))
    assert list(run.recent) == twin.outcomes[-len(run.recent) :] if run.recent else not twin.outcomes
    assert run.evicted == twin.evicted
    assert run.hits == sum(hit for *_, hit in twin.outcomes)


def shows(lab, setting, done) -> None:
    """The lab is so far with that setting, and its controls say so."""
    same(state(lab), Twin(setting).play(done))
    assert (lab.pattern_menu.value, lab.policy_menu.value) == (setting.pattern, setting.policy)
    assert (lab.page_menu.value, lab.switch_menu.value) == (setting.shift, setting.flush)
    assert (lab.entries.value, lab.ways.value) == (setting.entries, setting.ways)
    assert (lab.entries.slider.value, lab.ways.slider.value) == (setting.entries, setting.ways)
    size = setting.entries, setting.ways
    assert lab.geometry_menu.value == (size if size in GEOMETRIES.values() else None)
    if lab.timeline.at_end:
        lab.model.tlb.check()


def simulated(setting):
    tlb = Tlb(setting.entries, setting.ways, shifts=(setting.shift,), policy=setting.policy)
    return tlb.simulate(
        addresses(setting.pattern), asids=asids(setting.pattern), flush_on_switch=setting.flush
    ).hits.tolist()  # fmt: skip


# -- beside the simulation --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize("policy", POLICIES.values())
def test_hits_are_those_of_the_simulation(name, policy):
    """Every pattern in many geometries, both policies, every page size, with and without flushes."""
    for entries, ways in SIZES:
        if policy == "plru" and ways & ways - 1:
            continue
        for shift, flush in ((12, False), (12, True), (16, False), (21, True)):
            setting = Setting(name, entries, ways, policy, shift, flush)
            bench = TlbBench(setting)
            bench.step(len(bench.addresses))
            found, hits = bench.snapshot(), simulated(setting)
            assert found.run.hits == sum(hits) == found.map.hits
            assert found.run.tlb.misses == len(hits) - sum(hits) == sum(map(sum, found.map.misses))
            assert [hit for *_, hit in found.run.recent] == hits[-len(found.run.recent) :]
            bench.tlb.check()


@pytest.mark.parametrize("name", RECORDED)
def test_hits_of_recorded_accesses(name):
    for entries, ways in ((8, 2), (64, 4)):
        setting = Setting(name, entries, ways, "lru", 12, False)
        hits = simulated(setting)
        found = played(name, entries, ways, done=5000)
        assert found.run.hits == sum(hits[:5000])
        assert found.map.hits == sum(hits)
        assert sum(map(sum, found.map.counts)) == found.run.total == len(hits)


@pytest.mark.parametrize("name", SMALL)
def test_the_lab_plays_to_the_end(lab, name):
    lab.choose(pattern=name)
    lab.all_button.click()
    shows(lab, replace(FIRST, pattern=name), len(addresses(name)))
    assert f"{state(lab).run.hits:,} of them hits" in lab.message


def test_a_hit_and_a_miss_are_told_as_they_are(lab):
    for number, hit in enumerate(simulated(FIRST)[:14], 1):
        lab.step_button.click()
        shows(lab, FIRST, number)
        assert lab.message.endswith(": a hit." if hit else ": a miss.")


@pytest.mark.parametrize("setting", [FIRST, Setting("every eighth page", 8, 8, "plru", 12, False)])
def test_events_are_the_models(setting):
    lab, seen = at(setting), []
    twin = Twin(setting)
    twin.tlb.trace = lab.trace.__class__()
    twin.tlb.trace.listen(seen.append)
    for count in (1, 10, TOLD):
        lab.make(count)
        twin.play(count)
    assert events(lab) == seen
    assert {type(event) for event in seen} <= {TlbHit, TlbMiss, TlbFill}
    lab.make(TOLD + 1)
    assert len(events(lab)) == len(seen), "many are not told one by one"


# -- two processes ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("flush", SWITCHES.values())
@pytest.mark.parametrize("size", [(8, 2), (4, 4), (64, 4)])
def test_two_processes(flush, size, checks):
    setting = Setting(TWO, *size, "lru", 12, flush)
    lab = at(replace(setting, flush=not flush))
    lab.switch_menu.value = flush
    for _ in range(6):
        lab.ten_button.click()
    shows(lab, setting, 60)
    told = [event for event in events(lab) if isinstance(event, TlbFlush)]
    switches = sum(a != b for a, b in pairwise(asids(TWO)[:60].tolist()))
    assert len(told) == (switches if flush else 0)
    lab.all_button.click()
    shows(lab, setting, len(addresses(TWO)))
    assert state(lab).run.hits == sum(simulated(setting))
    checks.consistent(lab)


def test_throwing_all_away_costs_hits_where_there_was_room():
    kept, thrown = (played(TWO, 8, 8, flush=flush).run.hits for flush in (False, True))
    pages = len(set(zip(addresses(TWO).tolist(), asids(TWO).tolist(), strict=True)))
    assert kept == len(addresses(TWO)) - pages
    assert thrown == len(addresses(TWO)) - pages // 2 * (1 + int(np.count_nonzero(np.diff(asids(TWO)))))


@pytest.mark.parametrize("name", [name for name in SMALL if name != TWO])
def test_one_process_never_switches(name):
    flushed, kept = (played(name, 8, 2, flush=flush) for flush in (True, False))
    assert flushed.run == kept.run


# -- every control ----------------------------------------------------------------------------------------------------


def test_it_begins_with_an_empty_tlb(checks):
    lab = TlbLab()
    shows(lab, FIRST, 0)
    checks.consistent(lab)
    checks.named(lab)
    assert repr(lab) == repr(TlbLab())
    shows(TlbLab("random pages", 16, 4), Setting("random pages", 16, 4, "lru", 12, False), 0)


@pytest.mark.parametrize(
    ("control", "name", "options"),
    [
        ("pattern_menu", "pattern", list(PATTERNS)),
        ("policy_menu", "policy", POLICIES.values()),
        ("page_menu", "shift", PAGES.values()),
        ("switch_menu", "flush", SWITCHES.values()),
    ],
)  # fmt: skip
def test_menus_begin_anew(lab, checks, control, name, options):
    lab.make(3)
    for option in options:
        if option == getattr(FIRST, name):
            continue
        getattr(lab, control).value = option
        shows(lab, replace(FIRST, **{name: option}), 0)
        checks.consistent(lab)
    assert lab.timeline.titles[1:] == ["3 accesses", "begin anew"], "what was chosen and not used is replaced"
    lab.undo()
    shows(lab, FIRST, 3)


@pytest.mark.parametrize("part", ["box", "slider"])
def test_numbers_begin_anew(lab, checks, part):
    getattr(lab.entries, part).value = 16
    shows(lab, replace(FIRST, entries=16), 0)
    getattr(lab.ways, part).value = 16
    shows(lab, replace(FIRST, entries=16, ways=16), 0)
    lab.entries.box.value = 1 << 20
    shows(lab, replace(FIRST, entries=lab.entries.box.max, ways=16), 0)
    checks.consistent(lab)


@pytest.mark.parametrize("size", GEOMETRIES.values())
def test_known_geometries(lab, size):
    lab.geometry_menu.value = size
    lab.hundred_button.click()
    shows(lab, replace(FIRST, entries=size[0], ways=size[1]), 100)
    assert state(lab).run.tlb.geometry == TlbGeometry(*size)
    lab.choose(entries=2, ways=1)
    shows(lab, replace(FIRST, entries=2, ways=1), 0)


def test_of_your_own_is_no_choice(lab):
    lab.geometry_menu.value = (64, 4)
    lab.geometry_menu.value = None
    assert state(lab).setting == replace(FIRST, entries=64, ways=4)


def test_buttons_make_so_many(lab, checks):
    done = 0
    for press, count in (
        (lab.step_button, 1), (lab.ten_button, 10), (lab.hundred_button, 100), (lab.ten_button, 10),
        (lab.all_button, len(addresses(FIRST.pattern))),
    ):  # fmt: skip
        press.click()
        done = min(done + count, len(addresses(FIRST.pattern)))
        shows(lab, FIRST, done)
        checks.consistent(lab)
    lab.again_button.click()
    shows(lab, FIRST, 0)
    assert len(lab.timeline.ends) == 7


def test_more_than_are_left_is_all(lab):
    lab.make(len(addresses(FIRST.pattern)) - 3)
    lab.make(10)
    shows(lab, FIRST, len(addresses(FIRST.pattern)))
    assert "3 accesses" in lab.message


# -- the timeline -----------------------------------------------------------------------------------------------------


def test_undo_redo_back_and_forward(lab, checks):
    dones = [0]
    for count in (1, 10, 5, 100, 2):
        lab.make(count)
        dones.append(dones[-1] + count)
    for done in dones[-2::-1]:
        lab.bar.undo_button.click()
        shows(lab, FIRST, done)
    lab.undo()
    assert lab.message == "There is nothing to undo."
    for done in dones[1:]:
        lab.bar.redo_button.click()
        shows(lab, FIRST, done)
    lab.last()
    entries = [lab.timeline.current]
    while lab.timeline.index:
        lab.back()
        entries.append(lab.timeline.current)
    assert entries[::-1] == lab.timeline.entries
    checks.consistent(lab)


@pytest.mark.parametrize("setting", [FIRST, Setting(TWO, 8, 2, "plru", 12, True)])
def test_going_on_from_anywhere(setting):
    rng, lab = random.Random(1), at(replace(setting, entries=16))
    lab.choose(entries=setting.entries)
    for _ in range(7):
        lab.make(rng.choice((1, 7, 10, 13, 30)))
        lab.go(rng.randrange(1, len(lab.timeline)))
        before = lab.timeline.settled.snapshot.run.done
        lab.make(5)
        assert state(lab).run.done == min(before + 5, state(lab).run.total)
        shows(lab, setting, state(lab).run.done)


def test_choosing_in_the_middle_drops_the_rest(lab, checks):
    for _ in range(3):
        lab.make(10)
    lab.go(4)
    lab.choose(ways=4)
    assert lab.message.endswith("This replaces 2 undone operations.")
    shows(lab, replace(FIRST, ways=4), 0)
    lab.undo()
    shows(lab, FIRST, 10)
    checks.consistent(lab)


@pytest.mark.parametrize("flush", [False, True])
def test_a_bench_goes_on_from_any_number_of_accesses(flush):
    setting = Setting(TWO, 4, 2, "lru", 12, flush)
    whole = TlbBench(setting)
    for done in range(0, 70, 7):
        part = TlbBench(setting, done)
        assert part.snapshot() == whole.snapshot()
        same(part.snapshot(), Twin(setting).play(done))
        whole.step(7)


# -- what cannot be ---------------------------------------------------------------------------------------------------

BAD = [
    (lambda lab: lab.choose(ways=3), "power of two of sets"),
    (lambda lab: lab.choose(entries=12), "power of two of sets"),
    (lambda lab: lab.choose(entries=12, ways=5), "12 entries of 5 ways"),
    (lambda lab: lab.choose(entries=2, ways=4), "power of two of sets"),
    (lambda lab: lab.choose(ways=16), "power of two of sets"),
    (lambda lab: lab.choose(entries=6, ways=6, policy="plru"), "6"),
    (lambda lab: lab.choose(entries=0), "at least one of entries, not 0"),
    (lambda lab: lab.choose(entries=-8), "at least one of entries, not -8"),
    (lambda lab: lab.choose(ways=0), "at least one of ways, not 0"),
    (lambda lab: lab.choose(entries="many"), "whole number, not 'many'"),
    (lambda lab: lab.choose(ways=2.0), "whole number, not 2.0"),
    (lambda lab: lab.choose(entries=True), "whole number, not True"),
    (lambda lab: lab.choose(pattern="dance"), "no pattern 'dance'"),
    (lambda lab: lab.choose(pattern=None), "no pattern None"),
    (lambda lab: lab.choose(pattern="random pages", policy="fifo"), "no policy 'fifo'"),
    (lambda lab: lab.choose(policy="LRU"), "no policy 'LRU'"),
    (lambda lab: lab.choose(shift=13), "2**13"),
    (lambda lab: lab.choose(shift="4 KiB"), "4 KiB"),
    (lambda lab: lab.choose(colour="red"), "colour"),
    (lambda lab: lab.make(0), "one access at least is made, not 0"),
    (lambda lab: lab.make(-10), "one access at least is made, not -10"),
    (lambda lab: lab.make("all"), "not 'all'"),
    (lambda lab: lab.make(2.5), "not 2.5"),
    (lambda lab: setattr(lab.ways.box, "value", 3), "power of two of sets"),
    (lambda lab: setattr(lab.entries.box, "value", 100), "power of two of sets"),
]


def test_refusals_change_nothing(lab, checks):
    lab.make(4)
    for do, words in BAD:
        checks.refuses(lab, words, do=lambda do=do: do(lab))
        assert (lab.entries.value, lab.ways.value) == (8, 2), "the controls show what is"
    shows(lab, FIRST, 4)
    lab.make(10)
    lab.go(6)
    for do, words in BAD[::6]:
        checks.refuses(lab, words, do=lambda do=do: do(lab))
    lab.make(1)
    shows(lab, FIRST, 5)
    checks.consistent(lab)


def test_no_policy_but_lru_for_ways_that_make_no_tree(checks):
    lab = at(replace(FIRST, entries=12, ways=3))
    checks.refuses(lab, "3", do=lambda: setattr(lab.policy_menu, "value", "plru"))
    assert lab.policy_menu.value == "lru"


@pytest.mark.parametrize("press", ["step_button", "ten_button", "hundred_button", "all_button"])
def test_when_all_are_made_there_is_none_to_make(lab, checks, press):
    lab.make(None)
    checks.refuses(lab, f"all {len(addresses(FIRST.pattern))} accesses", do=getattr(lab, press).click)
    lab.again()
    getattr(lab, press).click()
    assert state(lab).run.done


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("dance",), "no pattern 'dance'"),
        (("random pages", 9, 2), "power of two"),
        (("random pages", 8, 3), "power of two"),
        (("random pages", 0, 1), "at least one of entries"),
        (("random pages", 8, 0), "at least one of ways"),
    ],
)  # fmt: skip
def test_it_does_not_begin_with_what_cannot_be(args, words):
    with pytest.raises(ValueError, match=words):
        TlbLab(*args)


# -- known to be wrong: strict, so that whoever mends it takes the mark away ------------------------------------------


@pytest.mark.parametrize("flush", ["maybe", 5])
def test_a_flush_that_is_neither_is_refused(checks, flush):
    lab = TlbLab()
    checks.refuses(lab, "flush", do=lambda: lab.choose(flush=flush))


def test_a_page_shift_that_is_no_whole_number_is_refused(checks):
    lab = TlbLab()
    checks.refuses(lab, "12.0", do=lambda: lab.choose(shift=12.0))


@pytest.mark.parametrize("size", [(8192, 2), (256, 256)])
def test_numbers_beyond_the_controls_are_refused(checks, size):
    lab = TlbLab()
    checks.refuses(lab, "go from 1 to", do=lambda: lab.choose(entries=size[0], ways=size[1]))
    assert (lab.entries.value, lab.ways.value) == (8, 2)
    with pytest.raises(ValueError, match="go from 1 to"):
        TlbLab(entries=size[0], ways=size[1])


def test_all_that_are_left_are_as_many_as_the_title_says(lab):
    lab.make(10)
    lab.go(1)
    lab.make(None)
    assert lab.timeline.title == f"{len(addresses(FIRST.pattern)) - 10} accesses"


def test_a_slider_is_refused_as_its_box_is(checks):
    lab = TlbLab()
    checks.refuses(lab, "power of two of sets", do=lambda: setattr(lab.entries.slider, "value", 100))
