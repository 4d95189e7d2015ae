"""States of fragmentation and compaction to draw, made by the models, and every picture of several of them."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

from mmkit.data import recording
from mmkit.model.buddy import BuddyAllocator
from mmkit.model.compaction import Compaction
from mmkit.model.fragmentation import measure, measure_all
from mmkit.model.fragstate import CompactionSnapshot, Occupancy
from mmkit.model.migratetype import MigrateType
from mmkit.model.snapshot import MODEL
from mmkit.model.trace import Event, Trace
from mmkit.model.workload import Run, Workload, success_rate
from mmkit.view.compaction import CompactionPicture
from mmkit.view.fragmentation import FragmentationPicture
from mmkit.view.history import HistoryPicture
from mmkit.view.occupancy import OccupancyPicture
from mmkit.view.picture import Picture
from mmkit.view.successrate import SuccessRatePicture

SHARES = (0.0, 0.02, 0.05, 0.1, 0.3, 0.5)

WORKLOAD = Workload(seed=3, nr_pages=4096)
CROWDED = Workload(seed=4, nr_pages=4096, unmovable=0.3, occupancy=1, orders=(1, 1, 1, 1, 1, 1))

SMALL = Workload(seed=5, nr_pages=64, max_order=4, pageblock_order=3, long_lived=0.7, orders=(0.8, 0.1, 0.1))


@cache
def run(grouping: bool, moments: int = 20) -> Run:
    """A workload, run to its end."""
    return WORKLOAD.run(grouping, moments)


def packets() -> Occupancy:
    """Blocks of four pages, 9,000 bytes asked for in each, every second one given back."""
    buddy = BuddyAllocator(256)
    blocks = [(buddy.alloc(2), 9000) for _ in range(40)]
    for pfn, _ in blocks[::2]:
        buddy.free(pfn, 2)
    return Occupancy(MODEL, buddy.snapshot(), tuple(blocks[1::2]))


@cache
def steps(nr_pages: int, most: int = 40) -> tuple[tuple[CompactionSnapshot, Event | None], ...]:
    """The first steps of a compaction: every second page in use, one in sixteen of them unmovable."""
    buddy = BuddyAllocator(nr_pages, max_order=4, pageblock_order=3)
    for pfn in [buddy.alloc(0) for _ in range(nr_pages)]:
        if pfn % 2:
            buddy.free(pfn, 0)
        elif pfn % 32 == 6:
            buddy.set_allocated_type(pfn, MigrateType.UNMOVABLE)
    trace = Trace()
    compaction, found = Compaction(buddy, trace=trace), []
    while len(found) < most:
        more = compaction.step()
        found.append((compaction.snapshot(), trace.events[-1] if trace.events else None))
        if not more:
            break
    return tuple(found)


@cache
def rates() -> tuple[SuccessRatePicture, ...]:
    """Both policies, two seeds."""
    policies = [success_rate(9, SHARES, range(2), grouping, nr_pages=4096) for grouping in (True, False)]
    return (SuccessRatePicture(policies), SuccessRatePicture(policies[:1]))


FRAGMENTATION_PICTURES: dict[str, Callable[[], Picture]] = {
    **{f"indices {name}": lambda name=name: FragmentationPicture(measure_all(recording(name).buddyinfo))
       for name in ("amd64-4g", "host-6.18", "i386-pae-6g", "amd64-numa2", "amd64-movablecore")},
    "indices fails": lambda: FragmentationPicture([measure((300, 20, 0, 0)), measure((3, 0, 0)), measure((0, 0, 0))]),
    "indices of workloads": lambda: FragmentationPicture([measure(run(g).buddy.snapshot()) for g in (True, False)]),
    "indices many": lambda: FragmentationPicture([measure((10**k, 5, k), name=f"Zone{k}", node=k) for k in range(14)]),
    "history two": lambda: HistoryPicture([run(True).history, run(False).history]),
    "history begun": lambda: HistoryPicture([Run(WORKLOAD, grouping).history for grouping in (True, False)]),
    "history refused": lambda: HistoryPicture([CROWDED.run(True).history, CROWDED.run(False).history]),
    "history one": lambda: HistoryPicture([run(False).history]),
    "occupancy packets": lambda: OccupancyPicture(packets()),
    "occupancy workload": lambda: OccupancyPicture(run(True).occupancy()),
    "occupancy small": lambda: OccupancyPicture(SMALL.run(True, 0).occupancy()),
    "occupancy empty": lambda: OccupancyPicture(Occupancy(MODEL, BuddyAllocator(1 << 15).snapshot(), ())),
    **{f"compaction {n}": lambda n=n: CompactionPicture(*steps(64)[n]) for n in (0, 2, 5, 9)},
    "compaction end": lambda: CompactionPicture(*steps(64, 200)[-1]),
    "compaction large": lambda: CompactionPicture(*steps(1 << 14, 3)[-1]),
    "rates two": lambda: rates()[0],
    "rates one": lambda: rates()[1],
}  # fmt: skip
