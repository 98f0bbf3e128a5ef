"""When each policy wins: the cells of the testbed as one picture."""

from __future__ import annotations

from typing import Any, NamedTuple

from experiments.analysis.pictures import looks, style
from experiments.analysis.statistics import interval
from experiments.analysis.testbed_table import CORRELATIONS, SCORES, SIZES, Gain, Gains, Place
from hasa_jax.simulation.escapes import picture

NAME = "testbed.png"
"""Name of the picture in the workdir."""


class Mark(NamedTuple):
    """How a verdict looks.

    Attributes:
      colour: of the marker and its interval; each verdict has a lightness of its own.
      marker: each verdict has one of its own.
      filled: whether the marker is.
    """

    colour: str
    marker: str
    filled: bool


MARKS = {
    "better": Mark("#0072B2", "^", filled=True),
    "worse": Mark("#E69F00", "v", filled=True),
    "not told apart": Mark("0.35", "o", filled=False),
}
"""By verdict."""

_METRICS = {"mean": (0.17, 4.5, 1.2), "worst": (-0.21, 2.8, 0.6)}
"""Above or below the line of the policy, size of the marker, width of its interval."""


def figure_of(gains: Gains) -> Any:
    """Makes a panel for each cell, and in it a line for each policy.

    A triangle points up where a policy is better than the reference, down where it is worse; a
    hollow circle is not told apart. Bars are 95 % intervals over seeds.

    Args:
      gains: of all cells that there are.

    Returns:
      The figure of matplotlib.

    Raises:
      UserError: if matplotlib is missing.
    """
    count = len(gains.policies)
    with style.applied():
        figure = style.new_figure(style.PAGE, 1.0 + 3 * (0.45 + 0.17 * max(count, 3)))
        axes = figure.subplots(3, 3, sharex=True, sharey=True)
        for row, score in zip(axes, CORRELATIONS, strict=True):
            for panel, size in zip(row, CORRELATIONS, strict=True):
                panel.axvline(0, color="0.6", linewidth=0.8)
                for line, policy in enumerate(gains.policies):
                    for metric in _METRICS:
                        gain = gains.found.get((metric, Place(score, size), policy))
                        if gain is not None:
                            _point(panel, line, metric, gain)
                panel.set_title(f"{SCORES[score]}\n{SIZES[size]}", fontsize=7)
                panel.grid(axis="x", visible=False)
        axes[0][0].set_yticks(range(count), [picture(own) for own in gains.policies])
        axes[0][0].set_ylim(count - 0.5, -0.5)  # The first policy at the top.
        for row in axes:
            row[0].set_ylabel("policy")
        for panel in axes[-1]:
            panel.set_xlabel(f"accuracy less {picture(gains.reference)}'s (points)", fontsize=7)
        _legend(figure)
    return figure


def _point(panel: Any, line: int, metric: str, gain: Gain) -> None:
    """Draws one gain with its interval."""
    mark = MARKS[gain.verdict]
    above, size, width = _METRICS[metric]
    panel.errorbar(
        gain.differences.mean(),
        line - above,
        xerr=interval(gain.differences) if len(gain.differences) > 1 else None,
        color=mark.colour,
        marker=mark.marker,
        markersize=size,
        markerfacecolor=mark.colour if mark.filled else "white",
        linewidth=width,
    )


def _legend(figure: Any) -> None:
    """Says what the markers mean."""
    from matplotlib.lines import Line2D

    handles = [
        Line2D(
            *([], []),
            color=mark.colour,
            marker=mark.marker,
            markerfacecolor=mark.colour if mark.filled else "white",
        )
        for mark in MARKS.values()
    ]
    note = "large: mean over clients; small: worst client; bars: 95 % intervals over seeds"
    looks.below(figure, handles, list(MARKS), note)
