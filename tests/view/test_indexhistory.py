"""The map of indices over time shows the histories it was given."""

from __future__ import annotations

import pytest
from fragsamples import run

from mmkit.model.fragmentation import measure
from mmkit.view.indexhistory import INKS, STEPS, IndexHistory, shades_of, unusable_shares


def both():
    return [run(True).history, run(False).history]


def test_shares_are_the_kernels_index():
    for moment in run(True).history.moments:
        if any(moment.counts):
            expected = measure(moment.counts).unusable  # the kernel cuts off after three digits
            assert unusable_shares(moment) == pytest.approx(expected, abs=0.001)


def test_shades_by_order_and_moment():
    history = run(False).history
    shades = shades_of(history)
    assert shades.shape == (11, len(history.moments))
    for column, moment in enumerate(history.moments):
        for order, share in enumerate(unusable_shares(moment)):
            assert shades[10 - order, column] == sum(share >= step for step in STEPS)
    assert (shades[:, 0] == 0).all(), "at first memory is in one piece"
    assert (shades[-1] == 0).all(), "any free page is of use to a request for one"


def test_nothing_free_is_useless_to_all():
    moment = run(True).history.moments[0].__replace__(counts=(0,) * 11)
    assert unusable_shares(moment) == [1.0] * 11


def test_alt_names_the_order():
    words = IndexHistory(both()).alt
    last = run(True).history.moments[-1]
    order = next(order for order, share in enumerate(unusable_shares(last)) if share >= 0.5)
    assert f"at the end half of the free memory or more is useless from order {order} on" in words


def test_updated_is_as_if_drawn_anew():
    picture = IndexHistory(both())
    picture.update(both()[::-1])
    fresh = IndexHistory(both()[::-1])
    assert (picture.png(), picture.alt) == (fresh.png(), fresh.alt)
    with pytest.raises(ValueError, match="one or two"):
        IndexHistory([])


def test_shades_are_told_apart_without_colour():
    assert len({one.hatch for one in list(INKS.values())[1:]}) == 4
