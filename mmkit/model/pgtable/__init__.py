"""Page tables: trees of entries that live in pages of memory, and lead from virtual to physical addresses."""

from mmkit.model.pgtable.table import PageTable

__all__ = ["PageTable"]
