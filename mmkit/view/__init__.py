"""The pictures: matplotlib without pyplot, drawn from frozen snapshots."""
