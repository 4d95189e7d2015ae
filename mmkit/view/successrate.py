"""How often a large block can be had, against the share of requests that cannot be moved."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import mean

from mmkit.model.fragstate import SuccessRate
from mmkit.view.chart import Chart
from mmkit.view.parts import listed, plural
from mmkit.view.picture import MARGIN, Picture

_LEFT, _RIGHT, _TOP, _BOTTOM = 62, 640, 76, 316
_LOOKS = (("#0072b2", "o", "-"), ("#d55e00", "x", "--"), ("#009e73", "s", ":"))
"""Colour, marker and line of each policy."""


def alt_success_rate(rates: Sequence[SuccessRate]) -> str:
    """Say what the mean rate is at each share, policy by policy, and how far the seeds spread."""
    told = []
    for rate in rates:
        means = [f"{mean(seeds):.0%} at {share:.0%}" for share, seeds in zip(rate.shares, rate.rates, strict=True)]
        widest = max(max(seeds) - min(seeds) for seeds in rate.rates)
        told.append(f"{rate.label}: {', '.join(means)} (seeds apart by at most {widest:.0%})")
    first = rates[0]
    return (
        f"Share of the free memory that can be had in blocks of order {first.order} after compaction, against the "
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
        pages = 1 << rates[0].order
        self.text(MARGIN, 24, f"Blocks of {pages} pages, after all that can be moved was moved", 14, bold=True)
        self.badge(rates[0].source).set(str(rates[0].source))
        self.note(MARGIN, 46, f"what compaction can make of the free memory: order {rates[0].order}, each mark a seed")
        shares = rates[0].shares
        self.chart = Chart(self, (_LEFT, _TOP, _RIGHT, _BOTTOM), (shares[0], max(shares[-1], shares[0] + 0.01)))
        self.chart.y_axis([0, 0.25, 0.5, 0.75, 1], lambda rate: f"{rate:.0%}", "of the free memory, in such blocks")
        self.chart.x_axis(self._ticks(), lambda share: f"{share:.0%}", "of the requests unmovable")
        for rate, look in zip(rates, _LOOKS, strict=False):
            self._draw(rate, *look)

    def _ticks(self) -> list[float]:
        shown: list[float] = []
        for share in self.rates[0].shares:
            if not shown or self.chart.x(share) - self.chart.x(shown[-1]) > 34:
                shown.append(share)
        return shown

    def _draw(self, rate: SuccessRate, colour: str, marker: str, style: str) -> None:
        dots = [(share, one) for share, seeds in zip(rate.shares, rate.rates, strict=True) for one in seeds]
        xs, ys = self.chart.places(dots)
        self.line(xs, ys, colour, 1, linestyle="", marker=marker, markersize=5, markerfacecolor="none", zorder=3)
        means = [(share, mean(seeds)) for share, seeds in zip(rate.shares, rate.rates, strict=True)]
        self.chart.curve(means, colour, 2.4, live=False, style=style)
        number = self.rates.index(rate)
        y = _TOP + 20 + 46 * number
        self.line([_RIGHT + 28, _RIGHT + 68], [y, y], colour, 2.4, linestyle=style, marker=marker, markersize=5)
        self.text(_RIGHT + 78, y, rate.label, 12, va="center", bold=True)
        worst = listed([f"{value:.0%} at {share:.0%}" for share, value in (means[0], means[-1])])
        self.note(_RIGHT + 78, y + 16, worst, va="center")
