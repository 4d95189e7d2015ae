"""The slab lab and the slabinfo lab, operated without a browser."""

from __future__ import annotations

import re
from html import unescape

import pytest

from mmkit.data import recording, recordings
from mmkit.errors import LiveError
from mmkit.lab.slab import ALIGNMENTS, LARGEST, MOST_CPUS, PICTURES, SlabLab, letters_of
from mmkit.lab.slabbench import CRIMES, MOST_OBJECTS, STEPS, Plan, SlabBench
from mmkit.lab.slabinfo import ORDERS, SlabInfoLab
from mmkit.model.memory import PhysicalMemory
from mmkit.model.slab import KmemCache
from mmkit.model.slabstate import ObjectState, SlabFlags, SlabInfo, SlabInfoLine
from mmkit.model.slabtrace import KmemCacheAlloc, KmemCacheFree, SlabMove, SlabNew, SlabReport
from mmkit.model.snapshot import Source
from mmkit.proc import live


@pytest.fixture
def lab() -> SlabLab:
    return SlabLab()


def state(lab):
    return lab.timeline.current.snapshot


def cache_alone(object_size=192, **more) -> KmemCache:
    """The cache of the lab, without a lab."""
    return KmemCache("lab", object_size, memory=PhysicalMemory("X86_64", "256MiB"), **more)


def events(lab):
    return [type(entry.event) for entry in lab.timeline.entries if entry.event]


def report(lab) -> str:
    """What the report box shows."""
    return unescape(re.sub("<[^>]*>", "", lab.report_box.value))


def shown_plan(lab) -> Plan:
    """What the controls say."""
    debug = "".join(letter for letter, toggle in lab.debug_toggles.items() if toggle.value)
    assert lab.size_number.slider.value == lab.size_number.box.value
    return Plan(
        lab.size_number.value, lab.align_menu.value, lab.cpus_box.value, debug, lab.random_toggle.value
    )  # fmt: skip


# -- take and give back -----------------------------------------------------------------------------------------------


def test_it_starts(lab, checks):
    checks.consistent(lab)
    checks.named(lab)
    assert lab.message == (
        "Start: an empty cache, objects of 192 bytes, 1 CPU: 192 bytes from one to the next, 21 in a slab of 1 page."
    )
    assert state(lab).cache == cache_alone().snapshot()
    assert lab.object_menu.options == (("none in use", 0),)
    assert lab.report_box.value == ""


def test_the_first_object_step_by_step(lab, checks):
    lab.alloc_button.click()
    assert events(lab) == [SlabNew, SlabMove, KmemCacheAlloc]
    for index in range(len(lab.timeline)):
        lab.go(index)
        checks.consistent(lab)
    assert len({entry.label for entry in lab.timeline.entries}) == len(lab.timeline)
    twin = cache_alone()
    address = twin.alloc()
    assert state(lab).cache == twin.snapshot()
    assert lab.message.endswith(f"1 object taken, the last one at {address:#x}.")
    lab.free_button.click()
    assert events(lab)[-1] is KmemCacheFree
    assert state(lab).live == ()
    assert state(lab).freed == address
    checks.consistent(lab)


def test_controls_do_what_the_methods_do(lab, checks):
    twin = cache_alone(nr_cpus=2)
    lab.cpus_box.value = 2
    lab.count_box.value, lab.cpu_box.value = 50, 1
    lab.alloc_button.click()
    taken = [twin.alloc(1) for _ in range(50)]
    assert state(lab).cache == twin.snapshot()
    assert state(lab).live == tuple(taken)
    checks.consistent(lab)
    assert lab.object_menu.options == tuple((f"0x{address:x}", address) for address in taken)
    lab.object_menu.value, lab.cpu_box.value = taken[30], 0
    lab.free_button.click()
    twin.free(taken[30], 0)
    assert state(lab).cache == twin.snapshot()
    assert taken[30] not in [address for _, address in lab.object_menu.options]
    checks.consistent(lab)
    lab.shrink_button.click()
    twin.shrink()
    assert state(lab).cache == twin.snapshot()
    assert "0 empty slabs given back" in lab.message
    lab.model.cache.check()


def test_the_object_chosen_stays_chosen(lab):
    lab.alloc(5)
    chosen = state(lab).live[3]
    lab.object_menu.value = chosen
    lab.alloc(2)
    lab.free(state(lab).live[0])
    assert lab.object_menu.value == chosen
    lab.free()
    assert lab.object_menu.value == state(lab).live[0]


def test_few_are_told_one_by_one_and_many_at_once(lab, checks):
    lab.alloc(STEPS)
    assert events(lab).count(KmemCacheAlloc) == STEPS
    before = len(lab.timeline)
    lab.alloc(STEPS + 1)
    assert len(lab.timeline) == before + 1
    assert f"{STEPS + 1} objects taken" in lab.message
    checks.consistent(lab)


def test_any_are_given_back(lab, checks):
    lab.alloc(200)
    before = set(state(lab).live)
    lab.count_box.value = 60
    lab.free_random_button.click()
    left = state(lab).live
    assert set(left) < before
    assert len(left) == 140 == state(lab).cache.active_objs
    assert list(left) != sorted(before)[:140], "not simply the first or the last ones"
    assert "60 objects given back, 140 in use" in lab.message
    checks.consistent(lab)
    lab.free_random(140)
    assert state(lab).live == ()
    assert lab.object_menu.options == (("none in use", 0),)
    lab.shrink()
    assert state(lab).cache.slabs == ()
    assert "empty slabs given back" in lab.message
    lab.model.cache.check()


def test_thousands(lab, checks):
    lab.alloc(MOST_OBJECTS)
    assert state(lab).cache.active_objs == MOST_OBJECTS
    assert len(lab.object_menu.options) == 300
    checks.consistent(lab)


# -- what is refused --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [0, -1, MOST_OBJECTS + 1, 2.5, "x", True])
def test_numbers_of_objects_that_cannot_be(lab, checks, count):
    lab.alloc(2)
    checks.refuses(lab, "take 1 to 20,000 objects", repr(count), do=lambda: lab.alloc(count))
    checks.refuses(lab, "2 objects are in use", repr(count), do=lambda: lab.free_random(count))


@pytest.mark.parametrize("cpu", [1, -1, 64, "x"])
def test_cpus_that_there_are_not(lab, checks, cpu):
    lab.alloc(3)
    (address, *_) = state(lab).live
    for do in (lambda: lab.alloc(2, cpu), lambda: lab.free(address, cpu), lambda: lab.free_random(1, cpu)):
        checks.refuses(lab, "CPUs 0 to 0", repr(cpu), do=do)


@pytest.mark.parametrize("address", [0x5, "x", True, None])
def test_what_is_not_in_use_is_not_given_back(lab, checks, address):
    if address is None:
        checks.refuses(lab, "no object is in use", do=lab.free_button.click)
        checks.refuses(lab, "0 objects are in use", do=lab.free_random_button.click)
        return
    lab.alloc()
    checks.refuses(lab, "is not in use", do=lambda: lab.free(address))


def test_memory_that_runs_out_in_the_middle_changes_nothing(checks):
    lab = SlabLab(1 << 20)
    lab.alloc(150)
    checks.refuses(lab, "no block of order 8", do=lambda: lab.alloc(150))
    lab.model.cache.check()
    assert len(lab.model.cache.live) == 150
    lab.free_random(5)
    lab.alloc(5)
    assert state(lab).cache.active_objs == 150
    lab.model.cache.check()


# -- other caches -----------------------------------------------------------------------------------------------------


def test_any_cache(lab, checks):
    lab.size_number.slider.value = 100
    for align in ALIGNMENTS:
        lab.align_menu.label = align
        assert state(lab).cache == cache_alone(100, align=ALIGNMENTS[align]).snapshot()
        checks.consistent(lab)
    lab.align_menu.value, lab.cpus_box.value = 0, 16
    assert state(lab).cache == cache_alone(100, nr_cpus=16).snapshot()
    assert lab.cpu_box.max == 15
    lab.alloc(3, cpu=15)
    assert state(lab).cache.slabs[0].cpu == 15
    lab.size_number.box.value = 4096
    assert state(lab).live == ()
    assert state(lab).plan == shown_plan(lab) == Plan(4096, nr_cpus=16)


def test_each_part_of_debugging_has_a_switch(lab, checks):
    for letters in ("F", "FZ", "FZP", "FZPU"):
        lab.debug_toggles[letters[-1]].value = True
        assert state(lab).plan.debug == letters
        assert f"debugging {letters}:" in lab.message
        assert state(lab).cache == cache_alone(flags=Plan(debug=letters).flags).snapshot()
        checks.consistent(lab)
    flags = SlabFlags.CONSISTENCY_CHECKS | SlabFlags.RED_ZONE | SlabFlags.POISON | SlabFlags.STORE_USER
    assert state(lab).cache.geometry.flags == flags
    lab.debug_toggles["Z"].value = False
    assert state(lab).plan.debug == "FPU" == "".join(
        letter for letter, toggle in lab.debug_toggles.items() if toggle.value
    )  # fmt: skip
    assert SlabLab(debug=True).timeline.current.snapshot.cache.geometry.flags == flags


def test_letters_of_debugging():
    assert [letters_of(one) for one in (True, False, "", "uf", "FZPU")] == ["FZPU", "", "", "FU", "FZPU"]
    for wrong in ("Q", 5):
        with pytest.raises(ValueError, match=f"F, Z, P, U, not {wrong!r}"):
            letters_of(wrong)


def test_random_order_is_another_order(lab, checks):
    lab.alloc(21)
    ascending = state(lab).live
    lab.random_toggle.value = True
    lab.alloc(21)
    assert state(lab).live != ascending
    assert sorted(state(lab).live) == list(ascending)
    assert shown_plan(lab).random_order
    checks.consistent(lab)


def test_caches_tried_in_a_row_are_one_operation(lab):
    for size in (100, 200, 300):
        lab.size_number.slider.value = size
    assert len(lab.timeline) == 2
    assert "replaces" not in lab.message
    lab.undo()
    assert shown_plan(lab) == Plan()
    lab.redo()
    assert shown_plan(lab) == Plan(300)
    lab.alloc()
    lab.size_number.slider.value = 400
    lab.undo()
    assert shown_plan(lab) == Plan(300)
    assert state(lab).cache.active_objs == 1


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("object_size", 0, "is 0, must be 1 to"),
        ("object_size", -5, "-5"),
        ("object_size", 5 << 20, "5242880"),
        ("object_size", "big", "'big'"),
        ("object_size", True, "True"),
        ("align", 3, "is 3, must be a power of two"),
        ("align", -8, "-8"),
        ("align", 1 << 40, "no block of pages is larger"),
        ("nr_cpus", 0, "nr_cpus is 0"),
        ("nr_cpus", 10**9, "8,192 at most"),
        ("nr_cpus", 2.5, "2.5"),
        ("debug", "Q", "not 'Q'"),
        ("debug", 7, "not 7"),
        ("random_order", "yes", "'yes'"),
    ],
)
def test_caches_that_cannot_be(lab, checks, name, value, words):
    lab.alloc(3)
    checks.refuses(lab, words, do=lambda: lab.build(**{name: value}))
    assert shown_plan(lab) == state(lab).plan == Plan()
    with pytest.raises((ValueError, TypeError), match=re.escape(words)):
        SlabLab(**{"object_size": 192} | {name: value})


def test_what_the_controls_cannot_say_makes_them_wider(lab, checks):
    wide = Plan(100_000, 128, 100)
    lab.build(object_size=100_000, align=128, nr_cpus=100)
    assert shown_plan(lab) == state(lab).plan == wide
    assert lab.cpu_box.max == 99
    checks.consistent(lab)
    lab.undo()
    assert shown_plan(lab) == Plan()
    assert (lab.size_number.box.max, lab.size_number.slider.max, lab.cpus_box.max) == (LARGEST, LARGEST, MOST_CPUS)
    lab.redo()
    assert shown_plan(lab) == wide
    assert shown_plan(SlabLab(100_000, align=128, nr_cpus=100)) == wide


# -- timeline ---------------------------------------------------------------------------------------------------------


def test_undo_and_redo(lab, checks):
    lab.alloc(30), lab.free_random(10), lab.shrink()
    states = []
    for _ in range(3):
        states.append(state(lab))
        lab.undo()
        checks.consistent(lab)
        assert [address for _, address in lab.object_menu.options] == list(state(lab).live or (0,))
    assert state(lab).cache.slabs == ()
    for wanted in reversed(states):
        lab.redo()
        assert state(lab) == wanted
        checks.consistent(lab)


def do_all(lab):
    """Something of everything."""
    lab.alloc(40), lab.free_random(15, cpu=1), lab.alloc(3, cpu=1), lab.free(state(lab).live[2]), lab.shrink()
    if lab.model.plan.debug:
        for crime in CRIMES:
            lab.commit(crime)
        lab.validate()
    lab.free_random(20), lab.alloc(1)


@pytest.mark.parametrize("plan", [{}, {"debug": True}, {"random_order": True}, {"debug": "Z", "align": 64}])
def test_acting_in_the_past_is_as_if_the_future_had_not_been(checks, plan):
    lab, twin = SlabLab(64, nr_cpus=2, **plan), SlabLab(64, nr_cpus=2, **plan)
    do_all(lab), do_all(twin)
    lab.alloc(9), lab.free_random(11), lab.shrink()
    for _ in range(3):
        lab.undo()
    lab.alloc(7), twin.alloc(7)
    assert state(lab) == state(twin)
    assert "replaces 3 undone operations" in lab.message
    lab.model.cache.check()
    checks.consistent(lab)
    lab.free_random(12), twin.free_random(12)
    assert state(lab) == state(twin)


def test_acting_on_a_step_in_the_middle_goes_on_from_the_end_of_its_operation(lab):
    lab.alloc(3), lab.alloc(5)
    lab.go(2)
    lab.alloc(1)
    twin = cache_alone()
    for _ in range(4):
        twin.alloc()
    assert state(lab).cache == twin.snapshot()


def test_a_bench_goes_on_from_its_state():
    bench = SlabBench(Plan(64, nr_cpus=2, debug="FZPU"))
    bench.alloc(30, 1)
    bench.commit("overrun")
    bench.free_random(12)
    bench.commit("use after free")
    again = SlabBench(state=bench.snapshot())
    assert again.snapshot() == bench.snapshot()
    for one in (bench, again):
        one.validate()
        one.free_random(5)
        one.alloc(9)
    assert again.snapshot() == bench.snapshot()
    assert again.cache.reports == bench.cache.reports


def test_flipbook(lab):
    lab.alloc(3)
    here = lab.picture.alt
    book = lab.flipbook()
    alts = [re.search('alt="([^"]*)"', page.value)[1] for page in book.stack.children]
    assert len(alts) == len(lab.timeline)
    assert lab.picture.alt == here


# -- crimes -----------------------------------------------------------------------------------------------------------

FOUND = {
    "overrun": "Right Redzone overwritten",
    "underrun": "Left Redzone overwritten",
    "use after free": "Poison overwritten",
    "double free": "Object already free",
    "wrong pointer": "Invalid object pointer",
}
NAMED = {
    "overrun": "68 bytes written into the object at {0:#x}, which has 64",
    "underrun": "one byte written before the object at {0:#x}",
    "use after free": "one byte written into the object at {1:#x}, which was given back",
    "double free": "the object at {1:#x} given back a second time",
    "wrong pointer": "{2:#x} given back, which lies inside an object",
}
FREE_ONLY = ("use after free", "double free")
AT_ONCE = ("double free", "wrong pointer")


def debugged(**more) -> SlabLab:
    """A lab with three objects in use, and one given back."""
    lab = SlabLab(64, debug=True, **more)
    lab.alloc(4)
    lab.free()
    return lab


@pytest.mark.parametrize("crime", CRIMES)
def test_each_crime_is_reported(checks, crime):
    lab = debugged()
    last, freed = state(lab).live[-1], state(lab).freed
    lab.crime_menu.value = crime
    lab.commit_button.click()
    assert NAMED[crime].format(last, freed, last + 4) in lab.message
    checks.consistent(lab)
    if crime in AT_ONCE:
        assert events(lab)[-1] is SlabReport
    else:
        assert report(lab) == "", "a byte that was written is found later"
        lab.validate_button.click()
        assert "1 damaged object found" in lab.message
    assert FOUND[crime] in report(lab)
    assert "BUG lab" in report(lab)
    assert report(lab) == state(lab).cache.report
    entry = next(entry for entry in reversed(lab.timeline.entries) if entry.event)
    assert FOUND[crime] in entry.label, "in the words of the step"
    lab.bar.first_button.click()
    assert report(lab) == ""
    lab.last()
    assert FOUND[crime] in report(lab)


@pytest.mark.parametrize("crime", ["overrun", "underrun", "use after free"])
def test_damage_is_found_by_the_next_who_takes_or_gives_back(checks, crime):
    lab = debugged()
    lab.commit(crime)
    if crime in FREE_ONLY:
        lab.alloc()
    else:
        before = state(lab).live
        lab.free(before[-1])
        assert "0 objects given back, 3 in use (debugging has found something, and taken 0 of 1)" in lab.message
        assert state(lab).live == before
    assert FOUND[crime] in report(lab)
    checks.consistent(lab)
    lab.model.cache.check()


def test_how_many_were_taken_back_is_told_truly(checks):
    lab = SlabLab(64, debug=True)
    lab.alloc(9)
    lab.commit("overrun")
    lab.free_random(9)
    left = len(state(lab).live)
    assert left >= 1
    assert f"{9 - left} objects given back, {left} in use" in lab.message
    assert f"taken {9 - left} of 9)" in lab.message
    assert state(lab).cache.active_objs == left
    checks.consistent(lab)


@pytest.mark.parametrize("crime", CRIMES)
def test_without_debugging_each_crime_is_refused(lab, checks, crime):
    lab.alloc(4)
    lab.free()
    words = {"double free": "free already", "wrong pointer": "4 bytes inside"}.get(crime, "keeps no bytes")
    checks.refuses(lab, words, do=lambda: lab.commit(crime))
    assert lab.report_box.value == ""
    lab.model.cache.check()
    lab.alloc(1)
    assert state(lab).cache.active_objs == 4


@pytest.mark.parametrize("crime", [*CRIMES, "murder"])
def test_crimes_that_cannot_be_committed(checks, crime):
    lab = SlabLab(64, debug=True)
    words = {"murder": "choose one of overrun"} | dict.fromkeys(FREE_ONLY, "give an object back first")
    checks.refuses(lab, words.get(crime, "take an object first"), do=lambda: lab.commit(crime))
    if crime in FREE_ONLY:
        lab.alloc(), lab.free(), lab.alloc()
        checks.refuses(lab, "take none since", do=lambda: lab.commit(crime))


def test_validation_needs_debugging(lab, checks):
    checks.refuses(lab, "keeps no bytes", do=lab.validate_button.click)


def test_what_is_not_switched_on_is_not_found(checks):
    poison_only = SlabLab(64, debug="P")
    poison_only.alloc(4), poison_only.free()
    poison_only.commit("use after free")
    poison_only.validate()
    assert "Poison overwritten" in report(poison_only)
    red_only = SlabLab(64, debug="Z")
    red_only.alloc(4), red_only.free()
    red_only.commit("use after free")
    red_only.validate()
    assert "0 damaged objects found" in red_only.message
    assert report(red_only) == ""
    checks.refuses(red_only, "free already", do=lambda: red_only.commit("double free"))


def test_a_slab_that_is_gone_cannot_be_written_but_its_objects_freed_again(checks):
    lab = SlabLab(64, debug=True)
    lab.alloc(), lab.free(), lab.shrink()
    assert state(lab).cache.slabs == ()
    checks.refuses(lab, "not in a slab of cache lab", do=lambda: lab.commit("use after free"))
    lab.commit("double free")
    assert "Object is not a Slab page" in report(lab)
    assert state(lab).looked_at is None
    lab.picture_menu.value = "object"
    checks.consistent(lab)


# -- pictures ---------------------------------------------------------------------------------------------------------


def test_every_picture(checks):
    lab = debugged()
    lab.commit("underrun")
    seen = {}
    for name, kind in PICTURES.items():
        lab.picture_menu.label = name
        checks.consistent(lab)
        seen[kind] = type(lab.picture), lab.alt, lab.image.value
        lab.alloc(3)
        checks.consistent(lab)
        assert lab.alt != seen[kind][1]
        lab.undo()
        checks.consistent(lab)
        assert seen[kind] == (type(lab.picture), lab.alt, lab.image.value)
    assert len({alt for _, alt, _ in seen.values()}) == len({kind for kind, _, _ in seen.values()}) == len(PICTURES)
    assert "3 of 25 objects" in seen["slabs"][1]
    assert "3 of 25 objects" in seen["fill"][1]
    assert f"at {state(lab).live[-1]:#x}" in seen["object"][1]
    assert "1 byte damaged" in seen["object"][1]


def test_one_object_is_followed_byte_by_byte():
    lab = debugged()
    lab.picture_menu.value = "object"
    assert f"at {state(lab).freed:#x}, free" in lab.alt
    lab.alloc()
    assert f"at {state(lab).live[-1]:#x}, in use" in lab.alt
    lab.commit("overrun")
    assert "damaged, in " in lab.alt
    assert state(lab).looked_at.state is ObjectState.DAMAGED
    lab.undo()
    assert "No byte is damaged" in lab.alt


def test_without_an_object_to_look_at_it_is_said_why(lab, checks):
    slabs = lab.image.value
    lab.picture_menu.value = "object"
    assert "switch debugging on" in lab.message
    checks.consistent(lab)
    assert lab.image.value == slabs
    lab.picture_menu.value = "fill"
    assert lab.image.value != slabs


# -- slab caches of machines ------------------------------------------------------------------------------------------


def test_recordings_ranked(checks):
    lab = SlabInfoLab()
    checks.consistent(lab)
    checks.named(lab)
    for name in lab.source_menu.options:
        lab.source_menu.value = name
        checks.consistent(lab)
        assert state(lab) == recording(name).slabinfo
        for order in ORDERS:
            lab.order_menu.label = order
            checks.consistent(lab)
        pages = sum(line.num_slabs * line.pagesperslab for line in state(lab).lines)
        if name != "amd64-4g":  # the first is shown by choosing it, too
            assert f"{len(state(lab).lines)} caches together hold {pages:,} pages" in lab.message
    assert set(lab.source_menu.options) == {name for name in recordings() if "slabinfo" in recording(name).files}


def test_ranking_is_another_way_to_look_and_no_step():
    lab = SlabInfoLab()
    before, steps = lab.alt, len(lab.timeline)
    lab.order_menu.value = "waste"
    assert lab.alt != before
    assert "waste most" in lab.alt
    assert len(lab.timeline) == steps
    lab.source_menu.value = "arm64-4g"
    assert "waste most" in lab.alt
    lab.order_menu.value = "memory"
    lab.undo()
    assert lab.alt == before


def test_the_menu_follows_the_timeline(checks, monkeypatch):
    here = SlabInfo(Source("live", "9.9"), (SlabInfoLine("mine", 5, 21, 192, 21, 1, num_slabs=1),))
    monkeypatch.setattr(live, "slabinfo", lambda: here)
    lab = SlabInfoLab()
    lab.read_button.click()
    assert state(lab) == here
    assert lab.message == "1. Read this machine: live (kernel 9.9); 1 cache together hold 1 page."
    assert "mine" in lab.alt
    assert lab.source_menu.value is None, "so that every recording can be chosen"
    checks.consistent(lab)
    lab.source_menu.value = "host-6.18"
    assert state(lab) == recording("host-6.18").slabinfo
    lab.undo()
    assert (state(lab), lab.source_menu.value) == (here, None)
    lab.choose("arm64-4g")
    assert lab.source_menu.value == "arm64-4g"
    lab.first()
    assert lab.source_menu.value == "host-6.18"
    checks.consistent(lab)


def test_what_cannot_be_read_is_told(checks, monkeypatch):
    def refuse():
        raise LiveError("/proc/slabinfo is shown to root only")

    monkeypatch.setattr(live, "slabinfo", refuse)
    lab = SlabInfoLab()
    checks.refuses(lab, "root only", do=lab.read_button.click)
    checks.refuses(lab, "no recording 'mine'", do=lambda: lab.choose("mine"))
    assert lab.source_menu.value == "host-6.18"
    with pytest.raises(ValueError, match="no recording 'mine'"):
        SlabInfoLab("mine")
