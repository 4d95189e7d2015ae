"""PhysicalMemory against a twin that knows no lists: sets of frames, zones and marks by plain arithmetic."""

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from mmkit.arch import ARM64, TOY, X86_64, X86_PAE
from mmkit.errors import BadFree, OutOfMemory
from mmkit.model.gfp import Gfp, gfp_migratetype
from mmkit.model.memory import PhysicalMemory

MACHINES = {
    "toy": (TOY, {"ram": "90 pages", "min_free_kbytes": 20}),
    "toy of two nodes": (TOY, {"ram": "128 pages", "nodes": 2, "min_free_kbytes": 16, "nr_cpus": 2}),
    "toy with a movable part": (TOY, {"ram": "128 pages", "movable": "40 pages", "min_free_kbytes": 16}),
    "small PC": (X86_64, {"ram": "20MiB", "min_free_kbytes": 900}),
    "small PC with PAE, 6.1": (X86_PAE, {"ram": "24MiB", "kernel": "6.1"}),
    "small Arm, two CPUs": (ARM64, {"ram": "8MiB", "nr_cpus": 2, "min_free_kbytes": 700}),
}
GFPS = [
    Gfp.GFP_KERNEL, Gfp.GFP_ATOMIC, Gfp.GFP_HIGHUSER_MOVABLE, Gfp.GFP_DMA, Gfp.GFP_KERNEL | Gfp.RECLAIMABLE,
    Gfp.GFP_NOWAIT | Gfp.MEMALLOC, Gfp.GFP_KERNEL | Gfp.THISNODE, Gfp.GFP_DMA32,
]  # fmt: skip
# Where a request may go, highest zone first; zones that a machine does not have drop out.
ZONES_FOR = {
    "Movable": ["Movable", "HighMem", "Normal", "DMA32", "DMA"],
    "Normal": ["Normal", "DMA32", "DMA"],
    "DMA32": ["DMA32", "DMA"],
    "DMA": ["DMA"],
}


class Twin:
    """Frames and zones of one machine; says which zone has to serve a request, by looking at every frame."""

    def __init__(self, memory, min_free_kbytes, kernel):
        self.managed = {}
        for zone in memory.zones:
            frames = {pfn for start, end in zone.span.ranges for pfn in range(start, end)}
            kept = {pfn for start, end in zone.reserved for pfn in range(start, end)}
            self.managed[zone.node, zone.name] = frames - kept
        self.used = {}
        self.names = memory.arch.zone_names
        self.nodes = memory.nodes
        self.max_order = memory.arch.max_order
        self.kernel = kernel
        lowmem = sum(len(self.managed[key]) for key in self.managed if self.is_lowmem(key[1]))
        self.marks = {key: self.make_marks(key, min_free_kbytes // 4, lowmem) for key in self.managed}

    def is_lowmem(self, name):
        return name != "HighMem" and (self.kernel == "6.1" or name != "Movable")

    def make_marks(self, key, pages_min, lowmem):
        pages = len(self.managed[key])
        share = pages_min * pages // lowmem
        lowest = share if self.is_lowmem(key[1]) else sorted((32, pages // 1024, 128))[1]
        step = max(share // 4, pages * 10 // 10000)
        return lowest, lowest + step

    def protection(self, node, name, top):
        ratio = {"DMA": 256, "DMA32": 256, "Normal": 32}.get(name)
        above = self.names[self.names.index(name) + 1 : self.names.index(top) + 1]
        pages = sum(len(self.managed[node, other]) for other in above)
        return pages // ratio if ratio and self.managed[node, name] else 0

    def top_of(self, gfp):
        if gfp & Gfp.DMA:
            return "DMA"
        if gfp & Gfp.DMA32:
            return "DMA32" if "DMA32" in self.names else "Normal"
        return "Movable" if gfp & Gfp.HIGHMEM and gfp & Gfp.MOVABLE else "Normal"

    def free_frames(self, key, on_lists):
        taken = {pfn for first, order in self.used.items() for pfn in range(first, first + (1 << order))}
        return self.managed[key] - taken - on_lists

    def who_serves(self, gfp, order, node, on_lists, has_listed):
        top = self.top_of(gfp)
        nodes = [node] if gfp & Gfp.THISNODE else [node, *(other for other in self.nodes if other != node)]
        keys = [(n, name) for n in nodes for name in ZONES_FOR[top] if self.managed.get((n, name))]
        for mark in ("low", "min", "none") if gfp & Gfp.MEMALLOC else ("low", "min"):
            for key in keys:
                free = self.free_frames(key, on_lists)
                at_hand = self.has_block(free, order) or has_listed(key)
                if at_hand and self.stays_above(key, free, order, mark, gfp, top):
                    return key
        return None

    def stays_above(self, key, free, order, mark, gfp, top):
        if mark == "none":
            return True
        level = self.marks[key][0] if mark == "min" else self.marks[key][1]
        if mark == "min" and gfp & Gfp.HIGH:
            level = level - level // 2
            level = level if gfp & (Gfp.DIRECT_RECLAIM | Gfp.NOMEMALLOC) else level - level // 4
        return len(free) - ((1 << order) - 1) > level + self.protection(*key, top)

    def has_block(self, free, order):
        size = 1 << order
        return any(pfn % size == 0 and all(pfn + i in free for i in range(size)) for pfn in free)


class MemoryMachine(RuleBasedStateMachine):
    name = "toy"
    pcp = True

    @initialize()
    def start(self):
        arch, arguments = MACHINES[self.name]
        self.memory = PhysicalMemory(arch, pcp=self.pcp, **arguments)
        self.twin = Twin(self.memory, self.memory.settings.min_free_kbytes, self.memory.kernel)
        for zone in self.memory.zones:
            assert zone.managed_pages == len(self.twin.managed[zone.node, zone.name])
            assert tuple(zone.watermarks[:2]) == self.twin.marks[zone.node, zone.name]
        self.use_up_most()

    def use_up_most(self):
        """Leave a few hundred pages at most, so that marks are within reach."""
        for gfp in (Gfp.GFP_HIGHUSER_MOVABLE, Gfp.GFP_DMA):
            for order in (10, 7, 5):
                while order <= self.memory.arch.max_order and self.memory.zonelist(gfp)[0].free_pages > 2 << order:
                    try:
                        self.twin.used[self.memory.alloc_pages(gfp, order).pfn] = order
                    except OutOfMemory:
                        break

    def on_lists(self):
        return {
            pfn + i for zone in self.memory.zones for pfn, order in zone.pcp_blocks() for i in range(1 << order)
        }  # fmt: skip

    @rule(gfp=st.sampled_from(GFPS), order=st.integers(0, 4), cpu=st.integers(0, 1))
    def alloc(self, gfp, order, cpu):
        self.alloc_one(gfp, order, cpu % self.memory.settings.nr_cpus)

    @rule(gfp=st.sampled_from(GFPS))
    def alloc_many(self, gfp):
        """A run of small requests, which reaches the marks."""
        for _ in range(30):
            if not self.alloc_one(gfp, 0, 0):
                return

    def alloc_one(self, gfp, order, cpu):
        def has_listed(key):
            zone = self.memory.zone(key[1], key[0])
            lists = zone.pcp[cpu] if zone.pcp else None
            return lists is not None and lists.covers(order) and lists.has(order, gfp_migratetype(gfp))

        expected = self.twin.who_serves(gfp, order, self.memory.node_of_cpu(cpu), self.on_lists(), has_listed)
        before = self.memory.snapshot()
        try:
            page = self.memory.alloc_pages(gfp, order, cpu)
        except OutOfMemory:
            assert expected is None
            assert self.memory.snapshot() == before
            return False
        assert expected == (page.node, page.zone)
        frames = set(range(page.pfn, page.pfn + (1 << order)))
        assert page.pfn % (1 << order) == 0
        assert frames <= self.twin.free_frames(expected, set())
        assert page.refcount == 1
        self.twin.used[page.pfn] = order
        return True

    @precondition(lambda self: self.twin.used)
    @rule(choice=st.randoms(use_true_random=False), cpu=st.integers(0, 1))
    def free(self, choice, cpu):
        pfn = choice.choice(sorted(self.twin.used))
        page = self.memory.mem_map[pfn]
        self.memory.free_pages(page, self.twin.used.pop(pfn), cpu % self.memory.settings.nr_cpus)
        assert page.refcount == 0

    @rule(pfn=st.integers(0, 8000), order=st.integers(0, 4))
    def bad_free(self, pfn, order):
        pfn += self.memory.zones[0].start_pfn
        if self.twin.used.get(pfn) == order:
            return
        before = self.memory.snapshot()
        with pytest.raises(BadFree):
            self.memory.free_pages(pfn, order)
        assert self.memory.snapshot() == before

    @precondition(lambda self: self.twin.used)
    @rule(choice=st.randoms(use_true_random=False))
    def hold_on(self, choice):
        pfn = choice.choice(sorted(self.twin.used))
        page = self.memory.mem_map[pfn]
        page.get()
        self.memory.free_pages(page, self.twin.used[pfn])  # drops one of two references
        assert page.refcount == 1

    @rule()
    def drain(self):
        self.memory.drain_pages()
        assert not self.on_lists()

    @rule()
    def go_on_from_a_snapshot(self):
        snapshot = self.memory.snapshot()
        self.memory = PhysicalMemory.from_snapshot(snapshot)
        assert self.memory.snapshot() == snapshot

    @invariant()
    def books_balance(self):
        self.memory.check()
        on_lists = self.on_lists()
        for zone in self.memory.zones:
            free = self.twin.free_frames((zone.node, zone.name), on_lists)
            assert zone.free_pages == len(free)
            assert zone.pcp_pages == len(on_lists & self.twin.managed[zone.node, zone.name])


def machine_test(name, pcp):
    machine = type(f"Machine of {name}", (MemoryMachine,), {"name": name, "pcp": pcp})
    case = machine.TestCase
    case.settings = settings(max_examples=6, stateful_step_count=25, deadline=None)
    return case


for number, (kind, lists) in enumerate((kind, lists) for kind in MACHINES for lists in (True, False)):
    globals()[f"TestMachine{number}"] = machine_test(kind, lists)
