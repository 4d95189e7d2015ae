"""The fragmentation lab: the same requests with pages grouped by mobility and without, and compaction step by step."""

from __future__ import annotations

from functools import partial
from typing import Any

import ipywidgets as widgets

from mmkit.lab.bar import Number, button, row
from mmkit.lab.base import Lab, handler
from mmkit.lab.fragbench import GROUPED, MOMENTS, NOT_GROUPED, FragBench, FragState, Plan
from mmkit.lab.pictures import Pictures
from mmkit.lab.timeline import Entry
from mmkit.model.compaction import Compaction
from mmkit.view.compaction import CompactionPicture
from mmkit.view.fragmentation import FragmentationPicture
from mmkit.view.history import HistoryPicture
from mmkit.view.indexhistory import IndexHistory
from mmkit.view.occupancy import OccupancyPicture
from mmkit.view.picture import Picture

PICTURES = {
    "free memory over time": "history",
    "useless memory, order by order": "indices",
    "how fragmented it is now": "measures",
    "memory, page by page": "memory",
    "compaction": "compaction",
}
MEMORIES = {"grouped by mobility": GROUPED, "not grouped": NOT_GROUPED}


class FragmentationLab(Lab):
    """One workload on two memories of 32 MiB: one groups pages by mobility, one does not; both can be compacted.

    ``seed`` and the shares (percentages of the requests) say what the workload is; ``percent`` how much of it is run
    before the reader takes over.
    """

    def __init__(
        self, seed: int = 1, *, unmovable: int = 10, reclaimable: int = 5, long_lived: int = 10, percent: int = 0
    ) -> None:
        self._make_controls()
        super().__init__(self._rows(), ())
        self._following = False
        self._pictures = Pictures()
        bench = FragBench(Plan(seed, unmovable, reclaimable, long_lived), trace=self.trace)
        bench.advance(MOMENTS * percent // 100)
        self.begin(bench, f"{bench.plan}; {percent} % of it done")
        self._connect()

    def _make_controls(self) -> None:
        self.seed_box = widgets.BoundedIntText(
            1, min=0, max=999, description="Seed", style={"description_width": "initial"},
            layout=widgets.Layout(width="7em"),
        )  # fmt: skip
        self.unmovable_number = Number("Unmovable %", 0, 100, 10, "Share of requests whose pages nobody can move")
        self.reclaimable_number = Number("Reclaimable %", 0, 100, 5, "Share whose pages can be thrown away")
        self.long_lived_number = Number("Long-lived %", 0, 100, 10, "Share that stays when its task has ended")
        self.run_button = button("Run on", "Go on with the workload, on both memories", self.run, style="primary")
        self.count_box = widgets.BoundedIntText(
            6, min=1, max=MOMENTS, description=f"sixtieths of it ({MOMENTS} are all)",
            style={"description_width": "initial"}, layout=widgets.Layout(width="17em"),
        )  # fmt: skip
        self.run_all_button = button("Run to the end", "All that is left of the workload", self.run_all)
        look: dict[str, Any] = {"style": {"description_width": "initial"}}
        self.memory_menu = widgets.Dropdown(
            description="Memory", options=MEMORIES, layout=widgets.Layout(width="16em"), **look
        )
        self.step_button = button("Compaction step", "One step of the two scanners", self.compact_step)
        self.compact_button = button("Compact", "Until the scanners meet", self.compact, style="primary")
        self.picture_menu = widgets.Dropdown(
            description="Picture", options=PICTURES, layout=widgets.Layout(width="19em"), **look
        )

    def _rows(self) -> tuple[widgets.Widget, ...]:
        return (
            row(self.seed_box, self.unmovable_number, self.reclaimable_number, self.long_lived_number),
            row(self.run_button, self.count_box, self.run_all_button, self.picture_menu),
            row(self.memory_menu, self.step_button, self.compact_button),
        )

    def _connect(self) -> None:
        controls = {
            "seed": self.seed_box, "unmovable": self.unmovable_number.box, "reclaimable": self.reclaimable_number.box,
            "long_lived": self.long_lived_number.box,
        }  # fmt: skip
        for name, control in controls.items():
            control.observe(partial(self._changed, name), "value")
        for look in (self.picture_menu, self.memory_menu):
            look.observe(lambda _: self.redraw(), "value")

    def _changed(self, name: str, change: Any) -> None:
        if not self._following:
            self.build(**{name: change.new})

    # -- what is shown ------------------------------------------------------------------------------------------------

    def restore(self, snapshot: FragState) -> FragBench:
        """Return a bench in that state: what was done is done again."""
        return FragBench(state=snapshot, trace=self.trace)

    def draw(self, entry: Entry[FragState]) -> None:
        """Update the picture that is chosen; the controls follow the timeline."""
        self.pictures = (self._drawn(entry),)
        self._follow(entry.snapshot.plan)

    def _drawn(self, entry: Entry[FragState]) -> Picture:
        state, which = entry.snapshot, self.memory_menu.value
        compaction = state.compactions[which]
        kind = self.picture_menu.value
        if kind == "indices":
            return self._pictures.show(kind, IndexHistory, state.histories)
        if kind == "measures":
            return self._pictures.show(kind, FragmentationPicture, state.measures)
        if kind == "compaction" and compaction is not None:
            return self._pictures.show(f"{kind}{which}", CompactionPicture, compaction, entry.event)
        if kind in ("memory", "compaction"):
            return self._pictures.show(f"memory{which}", OccupancyPicture, state.occupancies[which])
        return self._pictures.show(kind, HistoryPicture, state.histories)

    def _follow(self, plan: Plan) -> None:
        self._following = True
        self.seed_box.value = plan.seed
        self.unmovable_number.value, self.reclaimable_number.value = plan.unmovable, plan.reclaimable
        self.long_lived_number.value = plan.long_lived
        self._following = False

    # -- what can be done ---------------------------------------------------------------------------------------------

    def build(
        self,
        seed: int | None = None,
        unmovable: int | None = None,
        reclaimable: int | None = None,
        long_lived: int | None = None,
    ) -> None:
        """Begin anew with another workload, and run it as far as this one was; what is not given stays."""
        self._build(seed, unmovable, reclaimable, long_lived)
        # After a refusal, too, the controls show the workload that is there.
        self._follow(self.timeline.current.snapshot.plan)

    @handler
    def _build(self, seed: int | None, unmovable: int | None, reclaimable: int | None, long_lived: int | None) -> None:
        old: Plan = self.timeline.current.snapshot.plan
        plan = Plan(
            old.seed if seed is None else seed, old.unmovable if unmovable is None else unmovable,
            old.reclaimable if reclaimable is None else reclaimable,
            old.long_lived if long_lived is None else long_lived,
        )  # fmt: skip

        def do(bench: FragBench) -> str:
            bench.build(plan)
            return f"{plan}; {bench.percent} % of it done"

        self.act("begin another workload", do, told=str, instead_of="begin ")

    @handler
    def run(self, moments: int | None = None) -> None:
        """Go on with the workload for so many sixtieths of it, on both memories."""
        count = self.count_box.value if moments is None else moments
        if not 1 <= count <= MOMENTS:
            raise ValueError(f"run 1 to {MOMENTS} sixtieths of the workload, not {count!r}")
        self.act(f"run {count} sixtieths of the workload", partial(_run, count), told=str)

    @handler
    def run_all(self) -> None:
        """Run what is left of the workload."""
        self.act("run the workload to the end", partial(_run, MOMENTS), told=str)

    def _which(self, memory: str | None) -> tuple[int, str]:
        names = {which: name for name, which in MEMORIES.items()}
        if memory is None:
            return self.memory_menu.value, names[self.memory_menu.value]
        if memory not in MEMORIES:
            raise ValueError(f"there is no memory {memory!r}: choose one of {', '.join(map(repr, MEMORIES))}")
        return MEMORIES[memory], memory

    @handler
    def compact_step(self, memory: str | None = None) -> None:
        """Do one step of compaction on the memory chosen, or named as the menu names it."""
        which, name = self._which(memory)
        self._look_at(which)
        self.act(f"a step of compaction, memory {name}", lambda bench: bench.step(which), told=_stepped)

    @handler
    def compact(self, memory: str | None = None) -> None:
        """Compact the memory chosen, or named as the menu names it, to the end."""
        which, name = self._which(memory)
        self._look_at(which)
        self.act(f"compact memory {name}", lambda bench: bench.compact(which), told=_compacted)

    def _look_at(self, which: int) -> None:
        self.memory_menu.value, self.picture_menu.value = which, "compaction"


def _run(moments: int, bench: FragBench) -> str:
    if bench.moment == MOMENTS:
        raise ValueError("the workload is at its end: begin another one, or undo")
    failed = [sum(run.failures) for run in bench.runs]
    bench.advance(moments)
    new = [sum(run.failures) - before for run, before in zip(bench.runs, failed, strict=True)]
    return f"{bench.percent} % of the workload done; refused meanwhile: {new[GROUPED]} grouped, {new[NOT_GROUPED]} not"


def _stepped(compaction: Compaction) -> str:
    if compaction.done:
        return _compacted(compaction)
    scanners = f"scanners at pages {compaction.migrate_pfn:,} and {compaction.free_pfn:,}"
    return f"{compaction.nr_moved:,} pages moved so far, {scanners}"


def _compacted(compaction: Compaction) -> str:
    met = f", the scanners at page {compaction.migrate_pfn:,}" if compaction.status == "complete" else ""
    return f"{compaction.nr_moved:,} pages moved, {len(compaction.failed):,} could not be; {compaction.status}{met}"
