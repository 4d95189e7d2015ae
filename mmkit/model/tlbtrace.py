"""Events of TLBs: what is asked for, found, kept and thrown away.

Models: what a CPU does in silence, so the names are ours; ``tlb_flush`` is a tracepoint of the kernel
(include/trace/events/tlb.h, Linux 6.18), with its reasons in arch/x86/mm/tlb.c. Leaves out: other CPUs' TLBs.
"""

from __future__ import annotations

from typing import ClassVar

from mmkit.model.tlbstate import TlbEntry
from mmkit.model.trace import Event


class TlbHit(Event):
    """A translation was found, in this set and way of the array ``tlb``."""

    name: ClassVar[str] = "tlb_hit"
    tlb: str
    virt_addr: int
    asid: int
    set: int
    way: int


class TlbMiss(Event):
    """A translation was not there; ``set`` is where one of the smallest pages would have been."""

    name: ClassVar[str] = "tlb_miss"
    tlb: str
    virt_addr: int
    asid: int
    set: int


class TlbFill(Event):
    """A translation is kept in this set and way, in place of ``evicted`` (None: the way was empty)."""

    name: ClassVar[str] = "tlb_fill"
    tlb: str
    entry: TlbEntry
    set: int
    way: int
    evicted: TlbEntry | None


class TlbFlush(Event):
    """``pages`` entries are thrown away; ``reason`` says at whose word: "flush", "asid" or "invlpg"."""

    name: ClassVar[str] = "tlb_flush"
    tlb: str
    reason: str
    pages: int


class WalkCacheHit(Event):
    """A walk need not start at the root: the entry of level ``level`` is known, ``skipped`` levels are not read."""

    name: ClassVar[str] = "walk_cache_hit"
    virt_addr: int
    asid: int
    level: str
    skipped: int
