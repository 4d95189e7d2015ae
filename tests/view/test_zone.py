"""The pictures of zones say what the snapshot says."""

from __future__ import annotations

import pytest
from viewsamples import REFUSED, SERVED, big_machine, look, machine, zone

from mmkit.model.snapshot import MODEL, MemorySnapshot, ZoneWalk
from mmkit.record import replace
from mmkit.view import ink
from mmkit.view.watermark import Scale
from mmkit.view.zone import (
    WatermarksPicture,
    ZonelistPicture,
    ZonesPicture,
    alt_watermarks,
    alt_zonelist,
    alt_zones,
)  # fmt: skip


def test_every_zone_has_a_card_with_its_numbers() -> None:
    snapshot = machine("amd64-4g")
    texts = [text for text, _ in ZonesPicture(snapshot).texts]
    for one in snapshot.zones:
        if one.spanned:
            for pages in (one.spanned, one.present, one.managed, one.free):
                assert f"{pages:,}" in texts
            assert one.name in texts
    assert f"present (holes {1044480 - 782298:,})" in texts
    assert "Empty: Movable and Device." in texts


def test_the_bar_is_to_scale_but_hides_no_zone() -> None:
    picture = ZonesPicture(big_machine())
    dma, dma32 = (next(box for box, one in zip(picture.bar.boxes, picture.bar.inks, strict=True) if one.name == name)
                  for name in ("DMA", "DMA32"))  # fmt: skip
    assert dma.right - dma.left == 2
    assert dma32.right - dma32.left == pytest.approx(876 * ((1 << 20) - 4096) / (16 << 20))
    assert picture.bar.inks[-1].name == "DMA"  # painted last, over its neighbour


def test_nodes_are_named_where_there_are_several() -> None:
    assert "DMA32, node 1" in [text for text, _ in ZonesPicture(machine("amd64-numa2")).texts]
    assert "node" not in alt_zones(machine("amd64-4g"))


def test_a_zone_can_be_outlined() -> None:
    picture = ZonesPicture(machine("amd64-4g"), (0, "Normal"))
    assert max(picture.outline.get_xdata()) == pytest.approx(picture.width - 12)
    picture.update(machine("amd64-4g"))
    assert not len(picture.outline.get_xdata())


def test_alt_of_zones_tells_the_numbers() -> None:
    told = alt_zones(machine("amd64-4g"))
    assert "DMA: pfn 0x1 to 0xfff, 4,095 pages spanned, 3,998 present, 3,840 managed, 3,712 free" in told
    assert told.startswith("3 zones.")


@pytest.mark.parametrize(("need", "top"), [(100, 10_000), (100, 120), (5_000, 3_840), (0, 0)])
def test_a_scale_rises_and_keeps_its_ends(need: int, top: int) -> None:
    scale = Scale(need, top, 300, 80)
    heights = [scale(pages) for pages in range(0, max(need, top) + 1, max(1, max(need, top) // 50))]
    assert heights == sorted(heights, reverse=True)
    assert scale(0) == 300
    assert scale(max(need, top, 1)) == 80
    assert scale.folded == (need * 2.5 < top)


@pytest.mark.parametrize(
    ("free", "verdict"), [(1000, "too little free"), (1001, "may take here")], ids=["at the mark", "above it"]
)
def test_a_request_needs_more_than_low_and_what_is_kept_back(free: int, verdict: str) -> None:
    zones = (
        zone("DMA32", 0, 1 << 16, free, min=300, low=400, high=500, protection=(0, 600)),
        zone("Normal", 1 << 16, 1 << 16, 30_000, protection=(0, 0)),
    )
    picture = WatermarksPicture(MemorySnapshot(MODEL, zones), "Normal")
    assert picture.tanks[0].verdict.text.endswith(verdict)
    assert "low + kept 1,000" in [text for text, _ in picture.texts]
    assert picture.tanks[0].verdict.text.startswith("✓" if free > 1000 else "✗")


def test_zones_above_the_request_are_not_for_it() -> None:
    picture = WatermarksPicture(machine("amd64-4g"), "DMA32")
    assert picture.tanks[2].verdict.text == "✗ above what it may use"
    assert "Normal: 234,774 of 242,694 free" in alt_watermarks(machine("amd64-4g"), "DMA32")


def test_an_unknown_zone_is_refused() -> None:
    with pytest.raises(ValueError, match=r"'HighMem'.*DMA, DMA32, Normal"):
        WatermarksPicture(machine("amd64-4g"), "HighMem")


def test_levels_in_a_tank_are_at_their_heights() -> None:
    snapshot = machine("amd64-4g")
    picture = WatermarksPicture(snapshot)
    waters = [box for box, one in zip(picture.boxes.boxes, picture.boxes.inks, strict=True) if one is ink.WATER]
    dma, dma32 = waters[0], waters[1]
    assert dma.bottom == dma32.bottom
    share = 3_712 / 3_840
    folded = Scale(round(96 * 1.25), 3_840, dma.bottom, picture.tanks[0].top)
    assert dma.top == pytest.approx(folded(3_712))
    assert (dma.bottom - dma.top) / 222 == pytest.approx(share, abs=0.05)


def test_the_walk_is_shown_zone_by_zone() -> None:
    texts = [text for text, _ in ZonelistPicture(SERVED).texts]
    assert "GFP_KERNEL, order 3 (8 pages): served by DMA32 at 0x1a00" in texts
    assert texts.count("✗") == texts.count("✓") == 1
    assert alt_zonelist(SERVED).startswith(
        "GFP_KERNEL, order 3 (8 pages): served by DMA32 at 0x1a00. With the low mark: Normal: free 5,000 is not above "
    )


def test_free_pages_pass_the_line_exactly_if_they_suffice() -> None:
    line = ZonelistPicture(SERVED).need.get_xdata()[0]
    for free, passes in ((1_000, False), (1_001, True), (0, False), (900_000, True)):
        walk = ZoneWalk(MODEL, "GFP_KERNEL", 0, (look("Normal", free, 700, 300),))
        picture = ZonelistPicture(walk)
        bars = [box for box, one in zip(picture.bars.boxes, picture.bars.inks, strict=True) if one is ink.WATER]
        assert bool(bars and bars[0].right > line) == passes
        assert walk.tries[0].ok == passes
        assert picture.letters.letters == ([] if free < 900_000 else picture.letters.letters[:1])


def test_pages_that_the_request_takes_do_not_count() -> None:
    refused = replace(look("DMA", 1_792, 190, 843), ok=False, why="free 1,792 less 1,023 is not above 190 + 843")
    picture = ZonelistPicture(ZoneWalk(MODEL, "GFP_KERNEL", 10, (refused,)))
    water = next(box for box, one in zip(picture.bars.boxes, picture.bars.inks, strict=True) if one is ink.WATER)
    line = picture.need.get_xdata()[0]
    assert water.right < line
    assert (water.right - water.left) / (line - water.left) == pytest.approx((1_792 - 1_023) / (190 + 843))


def test_mark_and_reserve_share_what_must_stay_free() -> None:
    picture = ZonelistPicture(ZoneWalk(MODEL, "GFP_KERNEL", 0, (look("DMA", 100, 300, 900),)))
    mark, reserve = (
        next(box for box, one in zip(picture.bars.boxes, picture.bars.inks, strict=True) if one is wanted)
        for wanted in (ink.KEPT, ink.FIELD)
    )
    assert mark.right == reserve.left
    assert reserve.right == picture.need.get_xdata()[0]
    assert (reserve.right - reserve.left) == pytest.approx(3 * (mark.right - mark.left))


def test_a_long_refusal_is_told_in_short() -> None:
    told = alt_zonelist(REFUSED)
    assert "refused by every zone. With the low and min mark no zone served it. With the none mark: " in told
    texts = [text for text, _ in ZonelistPicture(REFUSED).texts]
    assert "8 more looks in between, all refused" in texts
