"""The page fault lab: touch pages, fork, throw away, protect; see which frames stand behind, and who shares them."""

from __future__ import annotations

from typing import Any

from mmkit.lab.bar import Number, button, menu, row
from mmkit.lab.base import Lab, handler
from mmkit.lab.faultbench import PAGES, FaultBench, FaultBenchState
from mmkit.lab.timeline import Entry
from mmkit.model.machinetrace import FaultDone
from mmkit.model.pgtrace import PageFaultUser
from mmkit.model.trace import Event
from mmkit.view.fault import FaultPicture

_SHOWN = (PageFaultUser, FaultDone)


class FaultLab(Lab):
    """Eight pages: 0 to 3 anonymous, 4 and 5 a file's, private, 6 and 7 the same file's, shared."""

    def __init__(self) -> None:
        self._following = False
        self.process_menu = menu("Process", (("100 parent", 100),), 100, "16em")
        self.page = Number("Page", 0, PAGES - 1, 0)
        self.read_button = button("Read", "Read the first byte of the page", lambda: self.touch(write=False))
        self.write_button = button(
            "Write", "Write a letter to the first byte of the page", lambda: self.touch(write=True), style="primary"
        )
        self.drop_button = button("Throw away", "madvise MADV_DONTNEED for the page", self.drop)
        self.protect_button = button("Protect", "mprotect the page: it may not be written", self.protect)
        self.allow_button = button("Allow", "mprotect the page: it may be written", lambda: self.protect(write=True))
        self.fork_button = button("fork", "A child of the process", self.fork)
        self.exit_button = button("exit", "End the process", self.exit)
        rows = (
            row(self.process_menu, self.fork_button, self.exit_button),
            row(self.page, self.read_button, self.write_button, self.drop_button, self.protect_button,
                self.allow_button),
        )  # fmt: skip
        super().__init__(rows, ())
        bench = FaultBench()
        bench.listen(self.trace)
        self.begin(bench, "one process, eight pages, nothing behind them")
        self.process_menu.observe(self._chosen, "value")

    def _chosen(self, change: Any) -> None:
        if not self._following and change.new is not None:
            self.switch(change.new)

    # -- what is shown ------------------------------------------------------------------------------------------------

    def restore(self, snapshot: FaultBenchState) -> FaultBench:
        """Return a bench in that state: what was done is done again."""
        return FaultBench(snapshot, self.trace)

    def is_step(self, event: Event) -> bool:
        """Of all that a machine tells only the faults are steps."""
        return isinstance(event, _SHOWN)

    def draw(self, entry: Entry[FaultBenchState]) -> None:
        """Update the picture; the controls follow."""
        before = None
        if entry.operation:
            before = self.timeline.entries[self.timeline.ends[entry.operation - 1]].snapshot.faults
        if self.pictures:
            self.pictures[0].update(entry.snapshot.faults, before)  # type: ignore[attr-defined]
        else:
            self.pictures = (FaultPicture(entry.snapshot.faults, before),)
        self._follow(entry.snapshot)

    def _follow(self, state: FaultBenchState) -> None:
        self._following = True
        options = tuple((f"{member.pid} {member.name}", member.pid) for member in state.faults.members)
        if tuple(self.process_menu.options) != options:
            self.process_menu.options = options
        self.process_menu.value = state.pid
        self._following = False

    # -- what can be done ---------------------------------------------------------------------------------------------

    def _page(self, given: int | None) -> int:
        page = self.page.value if given is None else given
        if type(page) is not int or page not in range(PAGES):
            raise ValueError(f"there are pages 0 to {PAGES - 1}, not {page!r}")
        return page

    @handler
    def touch(self, page: int | None = None, write: bool = False) -> None:
        """Read or write the first byte of a page."""
        at = self._page(page)
        self.act(f"{'write' if write else 'read'} page {at}", lambda bench: bench.touch(at, write), told=str)

    @handler
    def drop(self, page: int | None = None) -> None:
        """Throw a page away."""
        at = self._page(page)
        self.act(f"throw page {at} away", lambda bench: bench.drop(at), told=str)

    @handler
    def protect(self, page: int | None = None, write: bool = False) -> None:
        """Take the right to write away, or give it back."""
        at = self._page(page)
        self.act(f"{'allow' if write else 'protect'} page {at}", lambda bench: bench.protect(at, write), told=str)

    @handler
    def fork(self) -> None:
        """Start a child."""
        self.act("fork", lambda bench: bench.fork(), told=str)

    @handler
    def exit(self) -> None:
        """End the process."""
        self.act("exit", lambda bench: bench.exit(), told=str)

    @handler
    def switch(self, pid: int) -> None:
        """Let another process act."""
        self.act(f"switch to process {pid}", lambda bench: bench.switch(pid), told=str)
