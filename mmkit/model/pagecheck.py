"""The rules that a page must keep, one by one and for a whole memory map.

Models: mm/page_alloc.c page_expected_state(), bad_page() reasons; the VM_BUG_ON checks of include/linux/mm.h and
mm/rmap.c (Linux 6.18). Leaves out: rules about large folios.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mmkit.arch import Arch
from mmkit.errors import BadFree, InvariantError
from mmkit.model.pageflags import ALL_FLAGS, BAD_AT_FREE, PageFlags, PageType
from mmkit.model.snapshot import PageSnapshot

if TYPE_CHECKING:
    from mmkit.model.pagerow import PageRow

Columns = Mapping[str, NDArray[Any]]


def holders_in_words(page: PageRow) -> str:
    """Who has a claim to references of this page."""
    entries = f"{page.mappings} page table entr{'y' if page.mappings == 1 else 'ies'}"
    cache = "the page cache" if page.holders > page.mappings else ""
    return " and ".join(filter(None, (entries if page.mappings else "", cache))) or "nobody"


def why_not_put(page: PageRow) -> str:
    """Say why no reference can be dropped."""
    if page.refcount == 0:
        return f"put of page {page.pfn}, which has no reference (refcount 0): it is free, or was never counted"
    return (
        f"put of page {page.pfn} with refcount {page.refcount}, all held by {holders_in_words(page)}: "
        "unmap it, or take it out of the page cache, before that reference is put"
    )


def check_free(page: PageRow) -> None:
    """Raise BadFree if the last reference must not go while the page is as it is: the kernel's "Bad page state"."""
    if page.page_type is not None:
        raise BadFree(f"page {page.pfn} is still of type {page.page_type.name}: clear_type() before the last put")
    bad = page.flags & BAD_AT_FREE
    if bad:
        raise BadFree(f"the last put of page {page.pfn} finds flags that must be clear then: {', '.join(bad.names)}")


def check_restorable(snapshot: PageSnapshot, arch: Arch) -> None:
    """Raise ValueError if a page of ``arch`` cannot be put into the state of ``snapshot``."""
    if snapshot.arch != arch.name:
        raise ValueError(f"a snapshot of {snapshot.arch} does not fit a memory map of {arch.name}")
    unknown = [name for name in ("refcount", "type_word", "mapping", "index") if getattr(snapshot, name) is None]
    if unknown:
        raise ValueError(f"the snapshot of page {snapshot.pfn} does not tell its {', '.join(unknown)}")


def check_mem_map(
    columns: Columns, start_pfn: int, nr_zones: int, private: Mapping[int, int], lru: Mapping[int, tuple[int, int]]
) -> None:
    """Raise InvariantError, naming the rule and the first page that breaks it, unless all pages keep all rules."""
    for rule, broken in _RULES.items():
        where = np.flatnonzero(broken(columns))
        if where.size:
            raise InvariantError(f"page {start_pfn + int(where[0])}: {rule}")
    bad_zones = np.flatnonzero((columns["links"] & 7) >= nr_zones)
    if bad_zones.size:
        raise InvariantError(f"page {start_pfn + int(bad_zones[0])}: the zone in its flags is one of {nr_zones}")
    end_pfn = start_pfn + len(columns["flags"])
    _check_sparse(columns, start_pfn, end_pfn, private, lru)


def _check_sparse(
    columns: Columns, start_pfn: int, end_pfn: int, private: Mapping[int, int], lru: Mapping[int, tuple[int, int]]
) -> None:
    for pfn in [*private, *lru]:
        if not start_pfn <= pfn < end_pfn:
            raise InvariantError(f"page {pfn}: private and lru belong to pages of the map")
    for pfn, order in private.items():
        if columns["type_word"][pfn - start_pfn] == PageType.buddy.word + 1 and pfn & (1 << order) - 1:
            raise InvariantError(f"page {pfn}: a free block starts at a multiple of its size, but its order is {order}")
    for pfn, (before_pfn, next_pfn) in lru.items():
        if lru.get(before_pfn, (0, -1))[1] != pfn or lru.get(next_pfn, (-1, 0))[0] != pfn:
            raise InvariantError(f"page {pfn}: its neighbours in lru, {before_pfn} and {next_pfn}, point back to it")
        if not columns["flags"][pfn - start_pfn] & PageFlags.lru:
            raise InvariantError(f"page {pfn}: a page on an LRU list has the lru flag")


def _typed(columns: Columns) -> NDArray[np.bool_]:
    """Pages whose type_word is above every map count: it holds a type."""
    stored: NDArray[np.uint32] = columns["type_word"]
    return np.asarray(stored > 0x8000_0000)


def _unknown_type(columns: Columns) -> NDArray[np.bool_]:
    known = np.array([page_type.word + 1 for page_type in PageType], np.uint32)
    return _typed(columns) & ~np.isin(columns["type_word"], known)


def _held_less_than_claimed(columns: Columns) -> NDArray[np.bool_]:
    in_cache = (columns["mapping"] != 0) & (columns["mapping"] & 1 == 0)
    claims = np.where(_typed(columns), 0, columns["type_word"]).astype(np.int64) + in_cache
    return np.asarray(columns["refcount"] < claims)


def _free(columns: Columns) -> NDArray[np.bool_]:
    return np.asarray((columns["refcount"] == 0) & ~_typed(columns))


_RULES: dict[str, Callable[[Columns], NDArray[np.bool_]]] = {
    "refcount is never below 0": lambda c: c["refcount"] < 0,
    "flags has no bits beyond the known flags": lambda c: c["flags"] & ~np.uint32(ALL_FLAGS) != 0,
    "page_type is one of the known types, or a map count": _unknown_type,
    "every page table entry, and the page cache, holds a reference": _held_less_than_claimed,
    "mapping ends in binary 00, 01 or 11": lambda c: c["mapping"] & 3 == 2,
    "a free page belongs to no mapping": lambda c: _free(c) & (c["mapping"] != 0),
    "a free page has no flags": lambda c: _free(c) & (c["flags"] != 0),
    "a page with a type belongs to no mapping": lambda c: _typed(c) & (c["mapping"] != 0),
    "a page on the buddy lists has no reference": lambda c: (
        (c["type_word"] == PageType.buddy.word + 1) & (c["refcount"] != 0)
    ),
}
