"""The TLB lab: play sequences of accesses through a TLB of any geometry, and watch what hits, misses and has to go."""

from __future__ import annotations

from typing import Any

import ipywidgets as widgets

from mmkit.lab.bar import Number, button, menu, row
from mmkit.lab.base import Lab, handler
from mmkit.lab.pictures import Pictures
from mmkit.lab.timeline import Entry
from mmkit.lab.tlbbench import GEOMETRIES, PAGES, PATTERNS, POLICIES, SWITCHES, Setting, TlbBench, TlbBenchState
from mmkit.lab.vmamenus import choice
from mmkit.record import replace
from mmkit.view.tlb import TlbPicture, is_detailed
from mmkit.view.tracemap import TracePicture

MOST_ENTRIES, MOST_WAYS = 4096, 128
"""The ends of the controls: no processor's TLB comes near."""


class TlbLab(Lab):
    """A TLB and a sequence of accesses (``pattern``); a change of either begins anew."""

    def __init__(self, pattern: str = "nine pages in turn", entries: int = 8, ways: int = 2) -> None:
        setting = Setting(pattern, entries, ways, "lru", 12, False)
        _check(setting)
        bench = TlbBench(setting)
        self._following = False
        self._make_controls(setting)
        super().__init__(self._rows(), ())
        self._pictures = Pictures()
        bench.trace = self.trace
        self.begin(bench, _begin_words(setting))
        self._connect()

    def _make_controls(self, setting: Setting) -> None:
        self.pattern_menu = menu("Accesses", tuple(PATTERNS), setting.pattern, "22em")
        self.geometry_menu = menu("TLB", (("of your own", None), *GEOMETRIES.items()), None, "31em")
        self.entries = Number("Entries", 1, MOST_ENTRIES, setting.entries, linked=False)
        self.ways = Number("Ways", 1, MOST_WAYS, setting.ways, linked=False)
        self.policy_menu = menu("Replace", tuple(POLICIES.items()), setting.policy, "12em")
        self.page_menu = menu("Page of", tuple(PAGES.items()), setting.shift, "11em")
        self.switch_menu = menu("On a switch of processes", tuple(SWITCHES.items()), setting.flush, "27em")
        self.step_button = button("One", "One access", lambda: self.make(1), style="primary")
        self.ten_button = button("Ten", "Ten accesses", lambda: self.make(10))
        self.hundred_button = button("A hundred", "A hundred accesses", lambda: self.make(100))
        self.all_button = button("All", "All accesses that are left", lambda: self.make(None))
        self.again_button = button("Begin anew", "Empty the TLB, begin at the first access", self.again)

    def _rows(self) -> tuple[widgets.Widget, ...]:
        return (
            row(self.pattern_menu, self.switch_menu),
            row(self.geometry_menu, self.policy_menu, self.page_menu),
            row(self.entries, self.ways),
            row(self.step_button, self.ten_button, self.hundred_button, self.all_button, self.again_button),
        )

    def _connect(self) -> None:
        self.pattern_menu.observe(self._chosen("pattern"), "value")
        self.policy_menu.observe(self._chosen("policy"), "value")
        self.page_menu.observe(self._chosen("shift"), "value")
        self.switch_menu.observe(self._chosen("flush"), "value")
        for name, number in (("entries", self.entries), ("ways", self.ways)):
            number.box.observe(self._chosen(name), "value")
            number.slider.observe(self._chosen(name), "value")
        self.geometry_menu.observe(self._preset, "value")

    def _chosen(self, name: str) -> Any:
        return lambda change: None if self._following else self.choose(**{name: change.new})

    def _preset(self, change: Any) -> None:
        if not self._following and change.new is not None:
            entries, ways = change.new
            self.choose(entries=entries, ways=ways)

    # -- what is shown ------------------------------------------------------------------------------------------------

    def restore(self, snapshot: TlbBenchState) -> TlbBench:
        """Return a bench that has come as far."""
        return TlbBench(snapshot.setting, snapshot.run.done, self.trace)

    def draw(self, entry: Entry[TlbBenchState]) -> None:
        """Update both pictures; the controls follow."""
        state = entry.snapshot
        kind = f"tlb {state.run.tlb.geometry} {is_detailed(state.run)}"
        shape = len(state.map.counts), len(state.map.counts[0])
        self.pictures = (
            self._pictures.show(kind, TlbPicture, state.run),
            self._pictures.show(f"trace {shape}", TracePicture, state.map, state.run.done),
        )
        self._follow(state.setting)

    def _follow(self, setting: Setting) -> None:
        self._following = True
        self.pattern_menu.value, self.policy_menu.value = setting.pattern, setting.policy
        self.page_menu.value, self.switch_menu.value = setting.shift, setting.flush
        self.entries.value, self.ways.value = setting.entries, setting.ways
        size = setting.entries, setting.ways
        self.geometry_menu.value = size if size in GEOMETRIES.values() else None
        self._following = False

    # -- what can be done ---------------------------------------------------------------------------------------------

    @handler
    def choose(self, **chosen: Any) -> None:
        """Begin anew with another ``pattern``, ``entries``, ``ways``, ``policy``, page ``shift`` or ``flush``."""
        now = self.timeline.current.snapshot.setting
        try:
            setting = replace(now, **chosen)
            _check(setting)
            self.act("begin anew", lambda bench: bench.set_up(setting), told=str, instead_of="begin anew")
        except (TypeError, ValueError):
            self._follow(now)
            raise

    @handler
    def again(self) -> None:
        """Begin anew."""
        setting = self.timeline.current.snapshot.setting
        self.act("begin anew", lambda bench: bench.set_up(setting), told=str)

    @handler
    def make(self, count: int | None = 1) -> None:
        """Make so many accesses (None: all that are left)."""
        run = self.timeline.settled.snapshot.run
        number = run.total - run.done if count is None else count
        if type(number) is not int or (count is not None and number < 1):
            raise ValueError(f"one access at least is made, not {number!r}")
        self.act("access" if number == 1 else f"{number:,} accesses", lambda bench: bench.step(number or 1), told=str)


def _check(setting: Setting) -> None:
    """Raise ValueError for what the controls do not offer; whether there can be such a TLB the model knows."""
    choice(PATTERNS, setting.pattern, "pattern")
    choice(dict.fromkeys(POLICIES.values()), setting.policy, "policy")
    for what, number, most in (("entries", setting.entries, MOST_ENTRIES), ("ways", setting.ways, MOST_WAYS)):
        if type(number) is int and number > most:
            raise ValueError(f"{what} go from 1 to {most:,} here, not {number!r}")
    if type(setting.shift) is not int or setting.shift not in PAGES.values():
        raise ValueError(f"pages of 2**{setting.shift!r} bytes cannot be chosen here: {', '.join(PAGES)}")
    if type(setting.flush) is not bool:
        raise ValueError(f"flush is True, throw all away, or False, keep them, not {setting.flush!r}")


def _begin_words(setting: Setting) -> str:
    return f"a TLB of {setting.entries} entries, {setting.ways} ways, empty"
