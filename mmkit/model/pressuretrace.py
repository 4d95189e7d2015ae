"""Events of a machine under pressure: what its processes do, told in runs, and what comes back too late.

Models: what a program does between two faults, which the kernel does not see; mm/workingset.c (Linux 6.18),
workingset_refault(), which counts in silence. Leaves out: pages that come back through a mapping around another one.
"""

from __future__ import annotations

from typing import ClassVar

from mmkit.model.trace import Event


class PagesUsed(Event):
    """A process has used its pages ``first`` to ``last``, one after the other; ``free`` pages of the zone are left."""

    name: ClassVar[str] = "pages_used"
    pid: int
    comm: str
    does: str
    """"writes new", "writes", "reads", or for a file "reads through a mapping", ..."""
    file: str
    """The name of the file that they are pages of; "" for the process's own."""
    first: int
    last: int
    free: int
    idle: int = 0
    """So often kswapd woke meanwhile, and looked at no page."""


class Refault(Event):
    """A page of a file that was dropped has to be read from the disk once more, ``distance`` evictions later.

    It is active at once if that is no more than ``room``, the pages that it would have had to outlast.
    """

    name: ClassVar[str] = "workingset_refault_file"
    file: str
    index: int
    distance: int
    room: int
    active: bool


class TaskGone(Event):
    """A process has ended, and its memory is given back: ``end`` is "killed" or "exited"."""

    name: ClassVar[str] = "task_gone"
    pid: int
    comm: str
    end: str
