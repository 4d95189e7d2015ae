"""The three text formats and the recordings of each, for the tests beside this file."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from types import ModuleType

from mmkit.proc import buddyinfo, pagetypeinfo, zoneinfo

FORMATS: dict[str, ModuleType] = {"buddyinfo": buddyinfo, "zoneinfo": zoneinfo, "pagetypeinfo": pagetypeinfo}
DATA = Path(str(files("mmkit.data")))


def recorded(kind: str) -> Iterator[Path]:
    """Every recorded file of that kind."""
    return (path for path in sorted(DATA.rglob(f"*{kind}*")) if path.is_file())


def kernel_of(path: Path) -> str:
    """Release of the kernel that wrote ``path``."""
    folder = path.parent.parent if path.parent.name == "zones" else path.parent
    return next(word for word in (folder / "uname").read_text().split() if word[0].isdigit())
