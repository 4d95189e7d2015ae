"""Pictures show themselves, save themselves, and are the same whether made or updated."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from viewsamples import (
    LADDER,
    MERGE,
    NOTES,
    ODD,
    PICTURES,
    REFUSED,
    SERVED,
    TOY,
    big_machine,
    drawn,
    frames,
    machine,
    recorded,
    zone,
)  # fmt: skip

from mmkit.view.buddy import BuddyPicture, FreeLists, FreeStrip, SplitMerge
from mmkit.view.frames import FrameMapPicture
from mmkit.view.picture import Picture
from mmkit.view.zone import WatermarksPicture, ZonelistPicture, ZonesPicture

ZONES = [zone("DMA", 0, 512), zone("Normal", 512, 512)]
Case = tuple[Callable[..., Picture], tuple[Any, ...], list[tuple[Any, ...]]]
UPDATES: dict[str, Case] = {
    "frames": (FrameMapPicture, (frames(1024), ZONES), [(frames(1024, seed=1),), (frames(1024, seed=2), ZONES)]),
    "frames, other size": (FrameMapPicture, (frames(64),), [(frames(5000, 7),)]),
    "lists": (FreeLists, (ODD,), [(recorded(),)]),
    "strip": (FreeStrip, (TOY,), [(MERGE[0][1],)]),
    "buddy": (BuddyPicture, NOTES[0][::-1], [NOTES[1][::-1], NOTES[2][::-1]]),
    "buddy, other zone": (BuddyPicture, (ODD,), [(recorded(),)]),
    "ladder": (SplitMerge, (LADDER, 9), [(LADDER, 4)]),
    "zones": (ZonesPicture, (big_machine(),), [(machine("amd64-4g"), (0, "DMA"))]),
    "zones, more": (ZonesPicture, (machine("arm64-4g"),), [(big_machine(),)]),
    "marks": (WatermarksPicture, (big_machine(),), [(machine("host-6.18"), "Normal")]),
    "walk": (ZonelistPicture, (REFUSED,), [(SERVED,)]),
}


@pytest.mark.parametrize("name", UPDATES)
def test_an_update_leaves_nothing_behind(name: str) -> None:
    make, first, updates = UPDATES[name]
    picture = make(*first)
    before = picture.png()
    for arguments in updates:
        picture.update(*arguments)  # type: ignore[attr-defined]
        picture.png()
    wanted = make(*updates[-1])
    assert picture.alt == wanted.alt
    assert picture.png() == wanted.png()
    assert picture.png() != before


def test_equal_states_make_equal_bytes() -> None:
    assert FreeLists(TOY).png() == FreeLists(TOY).png()


@pytest.mark.parametrize("name", PICTURES)
def test_every_picture_says_in_words_what_it_shows_and_where_from(name: str) -> None:
    picture = drawn(name)
    badge = [text for text, _ in picture.texts if text.startswith(("model", "recording (kernel"))]
    assert len(badge) == 1
    assert picture.alt.endswith(f"({badge[0]})")
    assert repr(picture) == f"{type(picture).__name__}: {picture.alt}"
    assert len(picture.alt) < 1200


def test_it_shows_itself_as_an_image_with_its_alt_text() -> None:
    picture = Picture(40, 100)
    picture.alt = 'pages < 4 & "free"'
    bundle = picture._repr_mimebundle_()
    assert bundle["text/plain"] == 'Picture: pages < 4 & "free"'
    form = r'<img alt="(.*?)" width="100" height="40" .*? src="data:image/png;base64,(.*)">'
    found = re.fullmatch(form, bundle["text/html"])
    assert found
    assert found[1] == "pages &lt; 4 &amp; &quot;free&quot;"
    assert base64.b64decode(found[2]) == picture.png()


def test_it_is_drawn_at_two_device_pixels_for_one() -> None:
    assert Picture(40, 100).pixels().shape == (80, 200, 4)


def test_save_writes_png_files_only(tmp_path: Path) -> None:
    picture = Picture(20, 20)
    assert picture.save(tmp_path / "a.png").read_bytes() == picture.png()
    with pytest.raises(ValueError, match=r"a\.jpg"):
        picture.save(tmp_path / "a.jpg")


def test_png_is_made_again_only_after_a_change() -> None:
    picture = Picture(30, 60)
    label = picture.text(5, 20, "one", live=True)
    first = picture.png()
    label.set("two")
    assert picture.png() is first
    picture.touch()
    assert picture.png() != first


def test_resize_keeps_what_is_drawn_in_its_place() -> None:
    picture = Picture(60, 100)
    picture.text(10, 30, "fixed")
    picture.text(10, 50, "live", live=True)
    tall = picture.pixels().copy()
    picture.resize(90)
    assert picture.pixels().shape == (180, 200, 4)
    assert (picture.pixels()[:120] == tall).all()


@pytest.mark.parametrize(
    "name", ["frames 16 GiB", "buddy recorded", "lists pagetypeinfo", "zones 64 GiB", "walk refused"]
)
def test_files_are_small_enough_to_commit(name: str) -> None:
    assert len(drawn(name).png()) < 64 << 10
