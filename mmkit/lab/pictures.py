"""Pictures of which a lab shows one at a time."""

from __future__ import annotations

from typing import Any

from mmkit.view.picture import Picture


class Pictures:
    """Pictures by name, each made when it is first shown and updated in place from then on."""

    def __init__(self) -> None:
        self._made: dict[str, Any] = {}

    def show(self, name: str, kind: Any, *state: Any) -> Picture:
        """Return the picture of that name, of class ``kind``, showing ``state``."""
        if name in self._made:
            self._made[name].update(*state)
        else:
            self._made[name] = kind(*state)
        picture: Picture = self._made[name]
        return picture
