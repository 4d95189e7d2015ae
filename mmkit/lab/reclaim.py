"""The memory pressure lab: processes want more than there is; every page that is looked at, and what becomes of it."""

from __future__ import annotations

from typing import Any

import ipywidgets as widgets

from mmkit.lab.bar import Number, button, menu, row, text
from mmkit.lab.base import Lab, handler
from mmkit.lab.reclaimbench import MOST_PAGES, WAYS, ReclaimBench, ReclaimBenchState
from mmkit.lab.timeline import Entry, Step
from mmkit.lab.words import describe
from mmkit.model.trace import Event
from mmkit.view.reclaim import ReclaimPicture
from mmkit.view.reclaimwords import said_of
from mmkit.view.svg import svg_of


class ReclaimLab(Lab):
    """A machine of 2 MiB with a swap device of 48 slots: each thing done is a timeline, page by page."""

    def __init__(self) -> None:
        self.process_menu = menu("Process", (("100 editor", 100), ("101 hog", 101)), 100, "14em")
        self.start_button = button("Start a process", "Another process, with no page yet", self.start)
        self.exit_button = button("exit", "End the process", self.exit)
        self.adj_box = text("oom_score_adj", "-1000", "13em")
        self.adj_button = button("Set adj", "Write to /proc/PID/oom_score_adj", self.set_oom_score_adj)
        self.swappiness_box = text("swappiness", "60", "10em")
        self.swappiness_button = button("Set swappiness", "Write to /proc/sys/vm/swappiness", self.set_swappiness)
        self.pages = Number("Pages", 1, MOST_PAGES, 16)
        self.write_button = button(
            "Write new pages", "Use pages that it has not had so far", self.write, style="primary"
        )
        self.first_box = text("From page", "0", "9.5em")
        self.read_again_button = button("Read again", "Read pages that it has written before", self.read_again)
        self.write_again_button = button("Write again", "Write pages that it has written before", self.write_again)
        self.lock_button = button("Lock", "mlock pages that it has written before", self.lock)
        self.way_menu = menu("File through", tuple(WAYS), "read()", "17em")
        self.file_button = button("Use the file", "Read or write pages of /data", self.use_file)
        super().__init__(self._rows(), ())
        bench = ReclaimBench()
        bench.listen(self.trace)
        self.begin(bench, "two processes without any page, a file on the disk, and an empty swap device")

    def _rows(self) -> tuple[widgets.Widget, ...]:
        return (
            row(self.process_menu, self.start_button, self.exit_button, self.adj_box, self.adj_button),
            row(self.pages, self.write_button, self.first_box, self.read_again_button, self.write_again_button,
                self.lock_button),
            row(self.way_menu, self.file_button, self.swappiness_box, self.swappiness_button),
        )  # fmt: skip

    # -- what is shown ------------------------------------------------------------------------------------------------

    def restore(self, snapshot: ReclaimBenchState) -> ReclaimBench:
        """Return a bench in that state: what was done is done again."""
        return ReclaimBench(snapshot, self.trace)

    def step(self, event: Event, model: Any) -> Step[ReclaimBenchState]:
        """Return what the timeline keeps of ``event``: a page is called by its owner's letter and its number."""
        snapshot = self.snapshot_of(model)
        return said_of(snapshot.pressure, describe(event)), snapshot, event

    def draw(self, entry: Entry[ReclaimBenchState]) -> None:
        """Update the picture."""
        index = self.timeline.index
        before = self.timeline.entries[index - 1].snapshot.pressure if index else None
        told = entry.label[:1].upper() + entry.label[1:]
        if self.pictures:
            self.pictures[0].update(entry.snapshot.pressure, before, told)  # type: ignore[attr-defined]
        else:
            self.pictures = (ReclaimPicture(entry.snapshot.pressure, before, told),)

    def controls_follow(self, entry: Entry[ReclaimBenchState]) -> None:
        """Let the menu of processes have those that live."""
        lines = [line for line in entry.snapshot.pressure.processes if not line.end]
        options = tuple((f"{line.pid} {line.name}", line.pid) for line in lines) or (("none", 0),)
        if tuple(self.process_menu.options) != options:
            chosen = self.process_menu.value
            self.process_menu.options = options
            pids = [pid for _, pid in options]
            self.process_menu.value = chosen if chosen in pids else pids[0]

    def live_html(self) -> str:
        """Return the picture as SVG: it is text and boxes, and follows the slider."""
        return svg_of(self.pictures[0])

    # -- what can be done ---------------------------------------------------------------------------------------------

    def _pid(self, given: int | None) -> int:
        return int(self.process_menu.value) if given is None else given

    def _who(self, pid: int) -> str:
        lines = self.timeline.settled.snapshot.pressure.processes
        return next((line.name for line in lines if line.pid == pid), f"process {pid}")

    def _stretch(self, first: int | None, pages: int | None) -> tuple[int, int, str]:
        start, count = _number(self.first_box.value if first is None else first, "page"), self._count(pages)
        return start, count, f"pages {start} to {start + count - 1}" if count > 1 else f"page {start}"

    def _count(self, pages: int | None) -> int:
        return self.pages.value if pages is None else pages

    @handler
    def write(self, pages: int | None = None, pid: int | None = None) -> None:
        """Let a process write so many pages that it has not had so far."""
        who, count = self._pid(pid), self._count(pages)
        self.act_step_by_step(f"{self._who(who)} writes {count} new pages", lambda bench: bench.write(who, count))

    @handler
    def read_again(self, first: int | None = None, pages: int | None = None, pid: int | None = None) -> None:
        """Let a process read pages that it has written before."""
        self._again(first, pages, pid, False)

    @handler
    def write_again(self, first: int | None = None, pages: int | None = None, pid: int | None = None) -> None:
        """Let a process write pages that it has written before."""
        self._again(first, pages, pid, True)

    def _again(self, first: int | None, pages: int | None, pid: int | None, write: bool) -> None:
        who, (start, count, words) = self._pid(pid), self._stretch(first, pages)
        does = "writes" if write else "reads"
        self.act_step_by_step(
            f"{self._who(who)} {does} {words} again", lambda bench: bench.use(who, start, count, write)
        )

    @handler
    def use_file(
        self, way: str | None = None, first: int | None = None, pages: int | None = None, pid: int | None = None
    ) -> None:  # fmt: skip
        """Let a process use pages of the file through "read()", "a mapping, reading" or "a mapping, writing"."""
        who, (start, count, words) = self._pid(pid), self._stretch(first, pages)
        how = self.way_menu.value if way is None else way
        title = f"{self._who(who)} uses {words} of the file through {how}"
        self.act_step_by_step(title, lambda bench: bench.use_file(who, start, count, how))

    @handler
    def lock(self, first: int | None = None, pages: int | None = None, pid: int | None = None) -> None:
        """Let a process lock pages that it has written before into memory."""
        who, (start, count, words) = self._pid(pid), self._stretch(first, pages)
        self.act_step_by_step(f"{self._who(who)} locks {words}", lambda bench: bench.lock(who, start, count))

    @handler
    def start(self, name: str | None = None) -> None:
        """Start another process."""
        self.act_step_by_step("start a process", lambda bench: bench.start(name))

    @handler
    def exit(self, pid: int | None = None) -> None:
        """End a process."""
        who = self._pid(pid)
        self.act_step_by_step(f"{self._who(who)} ends", lambda bench: bench.exit(who))

    @handler
    def set_oom_score_adj(self, adj: int | None = None, pid: int | None = None) -> None:
        """Let a process have more points, or fewer; -1000: it is never killed."""
        who, value = self._pid(pid), _number(self.adj_box.value if adj is None else adj, "oom_score_adj")
        self.act_step_by_step(
            f"oom_score_adj of {self._who(who)} := {value}", lambda bench: bench.set_oom_score_adj(who, value)
        )

    @handler
    def set_swappiness(self, value: int | None = None) -> None:
        """Say how much rather anonymous pages go than files', from 0 to 200."""
        number = _number(self.swappiness_box.value if value is None else value, "swappiness")
        self.act_step_by_step(f"swappiness := {number}", lambda bench: bench.set_swappiness(number))


def _number(given: int | str, what: str) -> int:
    """Return a whole number that was typed."""
    try:
        return int(given) if isinstance(given, str) else given
    except ValueError:
        raise ValueError(f"{what} is a whole number, not {given!r}") from None
