"""How often a large block can be had, against the share of requests that cannot be moved."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import mean

from mmkit.model.fragstate import SuccessRate
from mmkit.model.snapshot import FrameUse
from mmkit.view import ink
from mmkit.view.chart import Chart
from mmkit.view.parts import listed, pages_size, plural, segments
from mmkit.view.picture import MARGIN, Picture

_LEFT, _RIGHT, _TOP, _BOTTOM = 62, 640, 76, 316
_LOOKS = (
    (ink.USE_INKS[FrameUse.MOVABLE].face, "o", "-"), (ink.USE_INKS[FrameUse.UNMOVABLE].face, "x", "--"),
    (ink.USE_INKS[FrameUse.RECLAIMABLE].face, "s", ":"),
)  # fmt: skip
"""Colour, marker and line of each policy."""
_APART = 7
"""CSS pixels between the marks of two policies."""


def alt_success_rate(rates: Sequence[SuccessRate]) -> str:
    """Say what the mean rate is at each share, policy by policy, and how far the seeds spread."""
    told = []
    for rate in rates:
        means = [f"{mean(seeds):.0%} at {share:.0%}" for share, seeds in zip(rate.shares, rate.rates, strict=True)]
        widest = max(max(seeds) - min(seeds) for seeds in rate.rates)
        told.append(f"{rate.label}: {', '.join(means)} (seeds apart by at most {widest:.0%})")
    first = rates[0]
    return (
        f"Share of the free memory that can be had in blocks of order {first.order}, against the "
        f"share of unmovable requests, means of {plural(len(first.rates[0]), 'seed')}. "
        f"{'; '.join(told)}. ({first.source})"
    )


class SuccessRatePicture(Picture):
    """One line for each policy through the means over all seeds, and a mark for each seed.

    Raises ValueError if there is no policy, more than three, or if they are not of the same order and shares.
    """

    def __init__(self, rates: Sequence[SuccessRate]) -> None:
        if not 1 <= len(rates) <= len(_LOOKS):
            raise ValueError(f"a chart shows 1 to {len(_LOOKS)} policies, not {len(rates)}")
        if len({(rate.order, rate.shares) for rate in rates}) > 1:
            raise ValueError("all policies of a chart are of one order and the same shares")
        super().__init__(height=370)
        self.rates, self.alt = tuple(rates), alt_success_rate(rates)
        order = rates[0].order
        title = f"How much of the free memory can be had in blocks of order {order} ({pages_size(1 << order)})"
        self.text(MARGIN, 24, self.heading_fit(title, rates[0].source), 14, bold=True)
        self.badge(rates[0].source).set(str(rates[0].source))
        self.note(MARGIN, 46, "lines: means; a mark for each seed, with an upright from the least to the most")
        shares = rates[0].shares
        aside = max(shares[-1] - shares[0], 0.01) / 40  # so that marks keep off the texts at the left
        self.chart = Chart(self, (_LEFT, _TOP, _RIGHT, _BOTTOM), (shares[0] - aside, shares[-1] + aside))
        self.chart.y_axis([0, 0.25, 0.5, 0.75, 1], lambda rate: f"{rate:.0%}", "of the free memory, in such blocks")
        named = self._named()
        self.chart.x_axis(shares, lambda share: f"{share:.0%}" if share in named else "", "of the requests unmovable")
        for rate, look in zip(rates, _LOOKS, strict=False):
            self._draw(rate, *look)

    def _named(self) -> list[float]:
        """Return the shares whose ticks have room for a text."""
        shown: list[float] = []
        for share in self.rates[0].shares:
            if not shown or self.chart.x(share) - self.chart.x(shown[-1]) > 34:
                shown.append(share)
        return shown

    def _draw(self, rate: SuccessRate, colour: str, marker: str, style: str) -> None:
        number = self.rates.index(rate)
        aside = _APART * (number - (len(self.rates) - 1) / 2)
        dots = [(share, one) for share, seeds in zip(rate.shares, rate.rates, strict=True) for one in seeds]
        xs, ys = self.chart.places(dots)
        xs = [x + aside for x in xs]
        self.line(xs, ys, colour, 1, linestyle="", marker=marker, markersize=5, markerfacecolor="none", zorder=3)
        uprights = [
            [(share, min(seeds)), (share, max(seeds))] for share, seeds in zip(rate.shares, rate.rates, strict=True)
        ]
        xs, ys = segments([[(self.chart.x(x) + aside, self.chart.y(y)) for x, y in ends] for ends in uprights])
        self.line(xs, ys, colour, 0.8, zorder=3)
        means = [(share, mean(seeds)) for share, seeds in zip(rate.shares, rate.rates, strict=True)]
        self.chart.curve(means, colour, 2.4, live=False, style=style)
        y = _TOP + 20 + 46 * number
        self.line([_RIGHT + 28, _RIGHT + 68], [y, y], colour, 2.4, linestyle=style, marker=marker, markersize=5)
        self.text(_RIGHT + 78, y, rate.label, 12, va="center", bold=True)
        ends = listed([f"{value:.0%} at {share:.0%}" for share, value in (means[0], means[-1])])
        self.note(_RIGHT + 78, y + 16, ends, va="center")
