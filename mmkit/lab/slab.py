"""The slab lab: take and give back objects of a cache, watch its lists, and commit crimes that debugging finds."""

from __future__ import annotations

import html
from functools import partial
from typing import Any

import ipywidgets as widgets

from mmkit.lab.bar import Number, button, row
from mmkit.lab.base import Lab, handler
from mmkit.lab.pictures import Pictures
from mmkit.lab.slabbench import CRIMES, DEBUG, MOST_OBJECTS, Plan, SlabBench, SlabState, is_whole
from mmkit.lab.timeline import Entry
from mmkit.model.slabstate import CacheSnapshot
from mmkit.view.picture import Picture
from mmkit.view.slab import SlabPicture
from mmkit.view.slabclassic import ClassicSlabs
from mmkit.view.slabfill import SlabFill
from mmkit.view.slabobject import ObjectBytes

PICTURES = {
    "cache, slabs, pages, objects": "slabs",
    "all slabs, an object a cell": "fill",
    "as the textbooks have it": "classic",
    "one object, byte by byte": "object",
}
ALIGNMENTS = {"none": 0, "cache line (64)": 64, "256": 256, "page (4096)": 4096}
DEBUG_NAMES = {"F": "checks", "Z": "red zones", "P": "poison", "U": "last user"}
LARGEST, MOST_CPUS = 8192, 64
"""Ends of the controls; ``build`` takes more."""
_LISTED = 300
_NO_BYTES = (
    "There is no object to look at byte by byte: switch debugging on, then take an object. The slabs are shown instead."
)


class SlabLab(Lab):
    """One slab cache, on a machine of 256 MiB.

    ``object_size`` and ``align`` are in bytes; ``debug`` is True for all that slub_debug offers, or some of its
    letters: "FZ"; ``random_order`` hands out the objects of a new slab in an order that looks random, as Linux does.
    """

    def __init__(
        self, object_size: int = 192, *, align: int = 0, nr_cpus: int = 1, debug: bool | str = False,
        random_order: bool = False,
    ) -> None:  # fmt: skip
        plan = Plan(object_size, align, nr_cpus, letters_of(debug), random_order)
        bench = SlabBench(plan)  # A cache that cannot be is refused before there are controls for it.
        self._make_controls(plan)
        super().__init__(self._rows(), ())
        self._following = False
        self._pictures = Pictures()
        bench.trace = bench.cache.trace = self.trace
        self.begin(bench, f"an empty cache, {plan}: {_sizes(bench.cache.snapshot())}")
        self._connect()

    def _make_controls(self, plan: Plan) -> None:
        look: dict[str, Any] = {"style": {"description_width": "initial"}}
        self.size_number = Number("Object size", 1, LARGEST, plan.object_size, "Bytes of an object")
        self.align_menu = widgets.Dropdown(
            description="Align", options=ALIGNMENTS, layout=widgets.Layout(width="13em"), **look
        )
        self.cpus_box = widgets.BoundedIntText(
            plan.nr_cpus, min=1, max=MOST_CPUS, description="CPUs", layout=widgets.Layout(width="7em"), **look
        )
        self.debug_toggles = {
            letter: widgets.Checkbox(
                letter in plan.debug, description=f"{name} ({letter})", indent=False, layout=widgets.Layout(width="9em")
            )
            for letter, name in DEBUG_NAMES.items()
        }
        self.random_toggle = widgets.Checkbox(
            plan.random_order, description="random order", indent=False, layout=widgets.Layout(width="9em")
        )
        self.count_box = widgets.BoundedIntText(
            1, min=1, max=MOST_OBJECTS, description="Objects", layout=widgets.Layout(width="9em"), **look
        )
        self.cpu_box = widgets.BoundedIntText(
            0, min=0, max=63, description="on CPU", layout=widgets.Layout(width="8em"), **look
        )
        self.alloc_button = button("Allocate", "Take so many objects", self.alloc, style="primary")
        self.free_random_button = button("Free at random", "Give back so many objects, any", self.free_random)
        self.object_menu = widgets.Dropdown(description="Object", layout=widgets.Layout(width="19em"), **look)
        self.free_button = button("Free", "Give back the object chosen beside", self.free, style="primary")
        self.shrink_button = button("Shrink", "Give empty slabs back to the buddy system", self.shrink)
        self.crime_menu = widgets.Dropdown(
            description="Crime", options=CRIMES, layout=widgets.Layout(width="14em"), **look
        )
        self.commit_button = button("Commit", "Do what no user of a cache may do", self.commit, style="danger")
        self.validate_button = button("Validate", "Look at every object for damage", self.validate)
        self.picture_menu = widgets.Dropdown(
            description="Picture", options=PICTURES, layout=widgets.Layout(width="19em"), **look
        )
        self.report_box = widgets.HTML()

    def _rows(self) -> tuple[widgets.Widget, ...]:
        return (
            row(self.size_number, self.align_menu, self.cpus_box, self.random_toggle),
            row(widgets.Label("Debugging:"), *self.debug_toggles.values()),
            row(self.count_box, self.cpu_box, self.alloc_button, self.free_random_button, self.shrink_button),
            row(self.object_menu, self.free_button, self.crime_menu, self.commit_button, self.validate_button),
            row(self.picture_menu),
            self.report_box,
        )

    def _connect(self) -> None:
        controls = {
            "object_size": self.size_number.box, "align": self.align_menu, "nr_cpus": self.cpus_box,
            "random_order": self.random_toggle,
        }  # fmt: skip
        for name, control in controls.items():
            control.observe(partial(self._changed, name), "value")
        for toggle in self.debug_toggles.values():
            toggle.observe(self._debug_changed, "value")
        self.picture_menu.observe(lambda _: self._look(), "value")

    def _look(self) -> None:
        self.redraw()
        if self.picture_menu.value == "object" and self.timeline.current.snapshot.looked_at is None:
            self.say(_NO_BYTES)

    def _debug_changed(self, change: Any) -> None:
        if not self._following:
            self.build(debug="".join(letter for letter, toggle in self.debug_toggles.items() if toggle.value))

    def _changed(self, name: str, change: Any) -> None:
        if not self._following:
            self.build(**{name: change.new})

    # -- what is shown ------------------------------------------------------------------------------------------------

    def restore(self, snapshot: SlabState) -> SlabBench:
        """Return a bench in that state: what was done is done again."""
        return SlabBench(state=snapshot, trace=self.trace)

    def draw(self, entry: Entry[SlabState]) -> None:
        """Update the picture that is chosen, the menu of objects, the report; the controls follow the timeline."""
        state = entry.snapshot
        self.pictures = (self._drawn(entry),)
        self._list_objects(state)
        report = html.escape(state.cache.report)
        self.report_box.value = f'<pre style="font-size:11px;line-height:1.2;overflow-x:auto">{report}</pre>' * bool(
            report
        )
        self._follow(state.plan)

    def _drawn(self, entry: Entry[SlabState]) -> Picture:
        state, kind = entry.snapshot, self.picture_menu.value
        if kind == "object" and state.looked_at is not None:
            return self._pictures.show(kind, ObjectBytes, state.looked_at)
        if kind == "fill":
            return self._pictures.show(kind, SlabFill, state.cache)
        if kind == "classic":
            return self._pictures.show(kind, ClassicSlabs, state.cache)
        return self._pictures.show("slabs", SlabPicture, state.cache, entry.event)

    def _list_objects(self, state: SlabState) -> None:
        chosen = self.object_menu.value
        options = {f"0x{address:x}": address for address in state.live[:_LISTED]} or {"none in use": 0}
        if tuple(options.items()) != tuple(self.object_menu.options):
            self.object_menu.options = tuple(options.items())
            self.object_menu.value = chosen if chosen in options.values() else next(iter(options.values()))

    def _follow(self, plan: Plan) -> None:
        self._following = True
        # Both ends first: box and slider are linked, and each cuts what is beyond its own.
        self.size_number.box.max = self.size_number.slider.max = max(LARGEST, plan.object_size)
        self.cpus_box.max = max(MOST_CPUS, plan.nr_cpus)
        self.size_number.value, self.cpus_box.value = plan.object_size, plan.nr_cpus
        if plan.align not in ALIGNMENTS.values():
            self.align_menu.options = {**ALIGNMENTS, str(plan.align): plan.align}
        self.align_menu.value = plan.align
        for letter, toggle in self.debug_toggles.items():
            toggle.value = letter in plan.debug
        self.random_toggle.value = plan.random_order
        self.cpu_box.max = plan.nr_cpus - 1
        self._following = False

    # -- what can be done ---------------------------------------------------------------------------------------------

    def build(
        self,
        object_size: int | None = None,
        align: int | None = None,
        nr_cpus: int | None = None,
        debug: bool | str | None = None,
        random_order: bool | None = None,
    ) -> None:
        """Begin anew with another cache; what is not given stays."""
        given = {
            "object_size": object_size, "align": align, "nr_cpus": nr_cpus, "random_order": random_order,
            "debug": debug,
        }  # fmt: skip
        self._build({name: value for name, value in given.items() if value is not None})
        # After a refusal, too, the controls show the cache that is there.
        self._follow(self.timeline.current.snapshot.plan)

    @handler
    def _build(self, changes: dict[str, Any]) -> None:
        old: Plan = self.timeline.current.snapshot.plan
        if "debug" in changes:
            changes["debug"] = letters_of(changes["debug"])
        plan = Plan(**{name: getattr(old, name) for name in Plan.record_fields} | changes)

        def do(bench: SlabBench) -> str:
            bench.build(plan)
            return f"{plan}: {_sizes(bench.cache.snapshot())}"

        self.act("make another cache", do, told=str, instead_of="make ")

    def _cpu(self, cpu: int | None) -> int:
        return self.cpu_box.value if cpu is None else cpu

    @handler
    def alloc(self, count: int | None = None, cpu: int | None = None) -> None:
        """Take objects: as many, and on the CPU, that the controls say unless told otherwise."""
        number, on = self.count_box.value if count is None else count, self._cpu(cpu)
        self.act(f"allocate {_objects(number)} on CPU {on}", lambda bench: bench.alloc(number, on), told=_taken)

    @handler
    def free(self, address: int | None = None, cpu: int | None = None) -> None:
        """Give back the object at ``address`` or, without one, the one chosen in the menu."""
        if address is None and not self.object_menu.value:
            raise ValueError("no object is in use: allocate one first")
        chosen, on = self.object_menu.value if address is None else address, self._cpu(cpu)
        name = hex(chosen) if is_whole(chosen) else repr(chosen)
        self.act(f"free {name} on CPU {on}", lambda bench: bench.free(chosen, on), told=str)

    @handler
    def free_random(self, count: int | None = None, cpu: int | None = None) -> None:
        """Give back objects, any."""
        number, on = self.count_box.value if count is None else count, self._cpu(cpu)
        title = f"free {_objects(number)} at random, on CPU {on}"
        self.act(title, lambda bench: bench.free_random(number, on), told=str)

    @handler
    def shrink(self) -> None:
        """Take slabs away from the CPUs, and give empty ones back to the buddy system."""
        self.act("shrink", lambda bench: bench.shrink(), told=_shrunk)

    @handler
    def commit(self, crime: str | None = None) -> None:
        """Do what no user of a cache may do: the crime chosen, or the one named."""
        what = self.crime_menu.value if crime is None else crime
        self.act(f"commit: {what}", lambda bench: bench.commit(what), told=str)

    @handler
    def validate(self) -> None:
        """Look at every object for damage."""
        self.act("validate", lambda bench: bench.validate(), told=str)


def letters_of(debug: bool | str) -> str:
    """Return the letters of what is to be switched on, all for True. Raises ValueError for others than those."""
    given = "".join(DEBUG) if debug is True else debug or ""
    if not isinstance(given, str) or set(given.upper()) - set(DEBUG):
        raise ValueError(f"debugging is switched on by the letters {', '.join(DEBUG)}, not {debug!r}")
    return "".join(letter for letter in DEBUG if letter in given.upper())


def _sizes(cache: CacheSnapshot) -> str:
    geometry = cache.geometry
    pages = f"{1 << geometry.order} page{'s' * (geometry.order > 0)}"
    return f"{geometry.size:,} bytes from one to the next, {geometry.objs_per_slab} in a slab of {pages}"


def _objects(count: object) -> str:
    return f"{count:,} object{'s' * (count != 1)}" if is_whole(count) else f"{count!r} objects"


def _taken(addresses: tuple[int, int]) -> str:
    count, last = addresses
    return f"{_objects(count)} taken, the last one at 0x{last:x}"


def _shrunk(count: int) -> str:
    return f"{count:,} empty slab{'s' * (count != 1)} given back"
