"""The zone lab: build a machine, ask for memory, and watch which zone serves and when the watermarks bite."""

from __future__ import annotations

from functools import partial
from typing import Any

import ipywidgets as widgets

from mmkit.arch import PRESETS, get_arch
from mmkit.lab.bar import Number, button, row
from mmkit.lab.base import Lab, handler
from mmkit.lab.bench import MOST_BLOCKS, Bench, BenchState, Outcome, Plan, last_try
from mmkit.lab.timeline import Entry
from mmkit.model.gfp import Gfp, gfp_zone
from mmkit.model.snapshot import ZoneWalk
from mmkit.units import format_size, parse_size
from mmkit.view.picture import Picture
from mmkit.view.zone import WatermarksPicture, ZonelistPicture, ZonesPicture

PICTURES = {"the zones": "zones", "their watermarks": "watermarks", "the way of the request": "walk"}
MASKS = (
    "GFP_KERNEL", "GFP_USER", "GFP_HIGHUSER", "GFP_HIGHUSER_MOVABLE", "GFP_ATOMIC", "GFP_NOWAIT", "GFP_NOFS", "GFP_DMA",
    "GFP_DMA32",
)  # fmt: skip
FLAGS = {
    "DMA": "from zone DMA only",
    "DMA32": "from zone DMA32 or below",
    "HIGHMEM": "zone HighMem will do as well",
    "MOVABLE": "the pages can be moved; with HIGHMEM, zone Movable will do as well",
    "RECLAIMABLE": "kernel data that can be thrown away when memory is short",
    "HIGH": "urgent: may go below the min watermark",
    "MEMALLOC": "for the code that frees memory: no watermark at all",
}
SIZES = tuple(format_size(1 << power) for power in range(24, 37))
_STOPPED = (None, MOST_BLOCKS)
_NARROW = {"description_width": "initial"}


class ZoneLab(Lab):
    """A machine of any architecture and size; requests with any gfp mask, of any order, one or many.

    ``picture`` is what to look at first: "zones", "watermarks" or "walk".
    """

    def __init__(
        self, arch: str = "X86_64", ram: str = "4GiB", nodes: int = 1, movable: str = "0", *, picture: str = "zones"
    ) -> None:
        plan = Plan(get_arch(arch).name, _tidy(ram), nodes, movable)
        bench = Bench(plan=plan)
        self._make_machine_controls(plan)
        self._make_request_controls(picture)
        state = bench.snapshot()
        self._zones, self._watermarks = ZonesPicture(state.memory), WatermarksPicture(state.memory)
        self._walk: ZonelistPicture | None = None
        super().__init__(self._rows(), (self._zones,))
        self._following = False
        self.begin(bench, bench.words)
        self._connect()

    def _make_machine_controls(self, plan: Plan) -> None:
        self.arch_menu = widgets.Dropdown(
            description="Machine", options=[(each.title, name) for name, each in PRESETS.items()], value=plan.arch,
            style=_NARROW, layout=widgets.Layout(width="20em"),
        )  # fmt: skip
        self.ram_box = widgets.Text(
            plan.ram, description="RAM", continuous_update=False, style=_NARROW, layout=widgets.Layout(width="9em")
        )
        self.ram_slider = widgets.SelectionSlider(
            options=SIZES, value=_nearest(plan.ram), readout=False, layout=widgets.Layout(width="11em", margin="0 8px")
        )
        self.nodes_box = widgets.BoundedIntText(
            plan.nodes, min=1, max=4, description="Nodes", style=_NARROW, layout=widgets.Layout(width="6.5em")
        )
        self.movable_box = widgets.Text(
            plan.movable, description="movablecore=", continuous_update=False, style=_NARROW,
            layout=widgets.Layout(width="12em"),
        )  # fmt: skip

    def _make_request_controls(self, picture: str) -> None:
        self.gfp_menu = widgets.Dropdown(
            description="gfp", options=MASKS, style=_NARROW, layout=widgets.Layout(width="15em")
        )
        self.flag_toggles = {
            name: widgets.ToggleButton(
                value=False,
                description=name,
                tooltip=f"__GFP_{name}: {what}",
                layout=widgets.Layout(width="auto", margin="0", padding="0 5px"),
            )
            for name, what in FLAGS.items()
        }
        self.order_number = Number("Order", 0, 10, 0, "A block is 2 to the order pages")
        self.count_box = widgets.BoundedIntText(
            1, min=1, max=MOST_BLOCKS, description="Blocks", style=_NARROW, layout=widgets.Layout(width="8.5em")
        )
        self.look_button = button("Look", "Which way would the request take? Nothing is taken", self.look)
        self.alloc_button = button("Allocate", "Take so many blocks", self.alloc, style="primary")
        self.until_button = button(
            "Until another zone", "Take blocks until another zone has to serve, or none does", self.alloc_until
        )
        self.free_button = button("Free", "Give back so many blocks, those taken last", self.free)
        self.free_all_button = button("Free all", "Give back everything", self.free_all)
        self.drain_button = button("Drain", "Give what waits on per-CPU lists back to the zones", self.drain)
        self.picture_menu = widgets.Dropdown(
            description="Picture", options=PICTURES, value=picture, style=_NARROW, layout=widgets.Layout(width="17em")
        )

    def _rows(self) -> tuple[widgets.Widget, ...]:
        return (
            row(self.arch_menu, self.ram_box, self.ram_slider, self.nodes_box, self.movable_box),
            row(self.gfp_menu, widgets.Label("plus __GFP_"), *self.flag_toggles.values()),
            row(self.order_number, self.count_box, self.picture_menu),
            row(
                self.look_button,
                self.alloc_button,
                self.until_button,
                self.free_button,
                self.free_all_button,
                self.drain_button,
            ),
        )

    def _connect(self) -> None:
        controls = {
            "arch": self.arch_menu, "ram": self.ram_box, "nodes": self.nodes_box, "movable": self.movable_box,
        }  # fmt: skip
        for name, control in (*controls.items(), ("ram", self.ram_slider)):
            control.observe(partial(self._changed, name), "value")
        self.picture_menu.observe(lambda _: self.redraw(), "value")

    def _changed(self, name: str, change: Any) -> None:
        if not self._following:
            self.build(**{name: change.new})

    # -- what is shown ------------------------------------------------------------------------------------------------

    def restore(self, snapshot: BenchState) -> Bench:
        """Return a bench in that state."""
        return Bench(snapshot)

    def where(self) -> str:
        """Say as well what waits on per-CPU lists, since the zones do not count it as free."""
        waiting = self.timeline.current.snapshot.waiting
        if not waiting:
            return super().where()
        pages, several = sum(waiting.values()), len(waiting) > 1
        zones = ", ".join(f"{count:,} of {zone}" if several else zone for zone, count in waiting.items())
        return f"{super().where()} {pages:,} page{'s wait' if pages > 1 else ' waits'} on per-CPU lists ({zones})."

    def draw(self, entry: Entry[BenchState]) -> None:
        """Update the picture that is chosen; the machine's controls follow the timeline."""
        self.pictures = (self._drawn(entry.snapshot),)
        self._follow(entry.snapshot.plan)

    def _drawn(self, state: BenchState) -> Picture:
        kind, walk = self.picture_menu.value, state.walk
        if kind == "watermarks":
            self._watermarks.update(state.memory, gfp_zone(walk.gfp, get_arch(state.plan.arch)) if walk else None)
            return self._watermarks
        if kind == "walk" and walk:
            self._walk = self._walk or ZonelistPicture(walk)
            self._walk.update(walk)
            return self._walk
        served = last_try(walk) if walk else None
        self._zones.update(state.memory, (served.node, served.zone) if served else None)
        return self._zones

    def _follow(self, plan: Plan) -> None:
        self._following = True
        self.arch_menu.value, self.ram_box.value = plan.arch, plan.ram
        self.nodes_box.value, self.movable_box.value = plan.nodes, plan.movable
        self.ram_slider.value = _nearest(plan.ram)
        top = get_arch(plan.arch).max_order
        self.order_number.box.max = self.order_number.slider.max = top
        self._following = False

    # -- what can be done ---------------------------------------------------------------------------------------------

    def build(
        self, arch: str | None = None, ram: str | None = None, nodes: int | None = None, movable: str | None = None
    ) -> None:
        """Build another machine; what is not given stays. Machines built one after the other are one operation."""
        self._build(arch, ram, nodes, movable)
        # After a refusal, too, the controls show the machine that is there.
        self._follow(self.timeline.current.snapshot.plan)

    @handler
    def _build(self, arch: str | None, ram: str | None, nodes: int | None, movable: str | None) -> None:
        old: Plan = self.timeline.current.snapshot.plan
        plan = Plan(
            get_arch(old.arch if arch is None else arch).name, old.ram if ram is None else _tidy(ram),
            old.nodes if nodes is None else nodes, old.movable if movable is None else movable.strip() or "0",
        )  # fmt: skip

        def do(bench: Bench) -> str:
            bench.build(plan)
            return bench.words

        self.act("build another machine", do, told=str, instead_of="build ")

    @property
    def gfp(self) -> Gfp:
        """The mask that the controls say."""
        mask = Gfp[self.gfp_menu.value]
        for name, toggle in self.flag_toggles.items():
            mask |= Gfp[name] if toggle.value else Gfp(0)
        return mask

    def _asked(self, gfp: int | str | None, order: int | None) -> tuple[Gfp, int]:
        mask = self.gfp if gfp is None else Gfp.parse(gfp) if isinstance(gfp, str) else Gfp(gfp)
        return mask, self.order_number.value if order is None else order

    @handler
    def look(self, gfp: int | str | None = None, order: int | None = None) -> None:
        """Show the way that a request would take; arguments left out are what the controls say."""
        mask, wanted = self._asked(gfp, order)
        self.act(f"look, {mask}, order {wanted}", lambda bench: bench.look(mask, wanted), told=_way)

    @handler
    def alloc(self, gfp: int | str | None = None, order: int | None = None, count: int | None = None) -> None:
        """Take ``count`` blocks, until refused."""
        mask, wanted = self._asked(gfp, order)
        number = self.count_box.value if count is None else count
        title = f"allocate {number:,} x order {wanted}, {mask}" if isinstance(number, int) else "allocate"
        self.act(title, lambda bench: bench.alloc(mask, wanted, number), told=_came_of_it)

    @handler
    def alloc_until(self, gfp: int | str | None = None, order: int | None = None) -> None:
        """Take blocks until another zone than the first serves, or the request is refused."""
        mask, wanted = self._asked(gfp, order)
        title = f"allocate order {wanted}, {mask}, until another zone serves"
        self.act(title, lambda bench: bench.alloc(mask, wanted, None), told=_came_of_it)

    @handler
    def free(self, count: int | None = None) -> None:
        """Give back the ``count`` blocks taken last."""
        number = self.count_box.value if count is None else count
        self.act(f"free {number} blocks", lambda bench: bench.free(number), told=_given_back)

    @handler
    def free_all(self) -> None:
        """Give back everything that was taken."""
        self.act("free all", lambda bench: bench.free(), told=_given_back)

    @handler
    def drain(self) -> None:
        """Give the pages that wait on per-CPU lists back to the zones."""
        self.act("drain the per-CPU lists", lambda bench: bench.drain(), told=_drained)


def _tidy(ram: int | str) -> str:
    """The size as it is written elsewhere, if it is one: "4GiB" becomes "4 GiB"."""
    size = parse_size(ram)
    return format_size(size) if parse_size(format_size(size)) == size else str(ram)


def _nearest(ram: str) -> str:
    """The largest power of two on the slider that is not above ``ram``."""
    size = parse_size(ram)
    return max((each for each in SIZES if parse_size(each) <= size), key=parse_size, default=SIZES[0])


def _way(walk: ZoneWalk) -> str:
    refused = [f"{one.zone} ({one.mark_name} mark): {one.why}" for one in walk.tries if not one.ok]
    served = last_try(walk)
    end = f"served by {served.zone}" if served else "refused by every zone"
    at = f" at 0x{walk.pfn:x}" if walk.pfn is not None else ""
    return f"{end}{at}{' after ' if refused else ''}{'; '.join(refused[-3:])}"


def _came_of_it(outcome: Outcome) -> str:
    if outcome.wanted == outcome.got == 1:
        return _way(outcome.walk)
    of = f" of {outcome.wanted:,}" if outcome.wanted else ""
    most = ", the most at a time (larger blocks get there sooner)" if (outcome.wanted, outcome.got) == _STOPPED else ""
    return f"{outcome.got:,}{of} blocks taken{most}; the last request was {_way(outcome.walk)}"


def _given_back(count: Any) -> str:
    return f"{count:,} block{'s' if count > 1 else ''} given back"


def _drained(pages: Any) -> str:
    return f"{pages:,} page{'s' if pages > 1 else ''} given back to the zones"
