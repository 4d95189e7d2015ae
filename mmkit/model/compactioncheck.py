"""The rules that a run of compaction obeys between any two steps.

Models: the VM_BUG_ON assertions of compact_zone(), mm/compaction.c (Linux 6.18), and what they take for granted.
Leaves out: locks and page counts of the LRU lists.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mmkit.errors import InvariantError
from mmkit.model.migratetype import MigrateType

if TYPE_CHECKING:
    from mmkit.model.compactcontrol import CompactControl


def check_compaction(run: CompactControl) -> None:
    """Raise InvariantError, naming the rule, if one of them is broken."""
    run.buddy.check()
    targets = [(pfn, order) for order, pfns in enumerate(run.targets) for pfn in pfns]
    _check_targets(run, targets)
    wanted = sum(1 << order for _, order in run.isolated)
    if wanted > run.nr_migratepages:
        raise InvariantError(f"nr_migratepages counts the pages in hand: it is {run.nr_migratepages}, not {wanted}")
    seen = {pfn for pfn, _ in targets}
    if len(seen) < len(targets) or seen & {pfn for pfn, _ in run.isolated}:
        raise InvariantError("a block is in hand once, to be moved or as room")
    limit = run.buddy.end_pfn if not run.scanners_met else run.buddy.end_pfn + (1 << run.buddy.max_order)
    if not run.buddy.start_pfn <= run.migrate_pfn <= limit:
        raise InvariantError(f"the migrate scanner is in the zone, not at page {run.migrate_pfn}")


def _check_targets(run: CompactControl, targets: list[tuple[int, int]]) -> None:
    for pfn, order in targets:
        if run.buddy.state[pfn] != 0x80 | MigrateType.MOVABLE << 4 | order:
            raise InvariantError(f"room is off the free lists, in blocks: page {pfn} is no block of order {order}")
        if pfn < run.migrate_pfn:
            raise InvariantError(f"room is above the migrate scanner: page {pfn} is below page {run.migrate_pfn}")
    room = sum(1 << order for _, order in targets)
    if room != run.nr_freepages:
        raise InvariantError(f"nr_freepages counts the pages of room: it is {run.nr_freepages}, not {room}")
