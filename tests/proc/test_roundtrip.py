"""format(parse(text)) == text, byte for byte, for every recording and for this machine."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from formats import DATA, FORMATS, recorded

from mmkit.model.snapshot import Source


@pytest.mark.parametrize("kind", FORMATS)
def test_every_recording_comes_back_byte_for_byte(kind):
    paths = list(recorded(kind))
    for path in paths:
        text = path.read_text(encoding="ascii")
        assert FORMATS[kind].format(FORMATS[kind].parse(text)) == text, path
    assert len(paths) >= 40


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs Linux's /proc")
@pytest.mark.parametrize("kind", FORMATS)
def test_this_machine_comes_back_byte_for_byte(kind):
    if kind == "pagetypeinfo" and os.geteuid():
        pytest.skip("only root may read /proc/pagetypeinfo")
    text = Path("/proc", kind).read_text(encoding="ascii")
    assert FORMATS[kind].format(FORMATS[kind].parse(text)) == text


@pytest.mark.parametrize("kind", FORMATS)
def test_the_snapshot_says_where_it_comes_from(kind):
    text = (DATA / "host-6.18" / kind).read_text()
    assert FORMATS[kind].parse(text).source.kind == "recording"
    source = Source("recording", "6.18.44", "after days of use")
    assert FORMATS[kind].parse(text, source).source is source


@pytest.mark.parametrize("kind", FORMATS)
def test_bytes_are_refused(kind):
    with pytest.raises(TypeError, match=f"{kind} is text, not bytes"):
        FORMATS[kind].parse((DATA / "host-6.18" / kind).read_bytes())
