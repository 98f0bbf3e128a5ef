"""When each policy wins: the cells of the testbed as one picture."""

from __future__ import annotations

import pathlib
from typing import Any

from experiments.analysis import curves
from experiments.analysis.statistics import interval
from experiments.analysis.testbed_table import CORRELATIONS, SCORES, SIZES, Gain, Gains, Place
from hasa_jax.simulation.escapes import picture

NAME = "testbed.png"
"""Name of the picture in the workdir."""

# Okabe and Ito's colours; each verdict has a marker of its own and a lightness of its own, too.
LOOKS = {
    "better": ("#0072B2", "^", True),
    "worse": ("#E69F00", "v", True),
    "not told apart": ("0.35", "o", False),
}
"""Colour, marker and whether it is filled, by verdict."""

_METRICS = {"mean": (0.16, 6.0, 1.6), "worst": (-0.2, 4.0, 0.8)}
"""Above or below the line of the policy, size of the marker, width of its interval."""


def draw(gains: Gains, target: pathlib.Path) -> None:
    """Draws the picture.

    Args:
      gains: of all cells that there are.
      target: the picture file.

    Raises:
      UserError: if matplotlib is missing.
    """
    curves.save(figure_of(gains), target)


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
    figure = curves.new_figure(10.5, 1.6 + 3 * (0.5 + 0.25 * max(count, 2)))
    axes = figure.subplots(3, 3, sharex=True, sharey=True)
    for row, score in zip(axes, CORRELATIONS, strict=True):
        for panel, size in zip(row, CORRELATIONS, strict=True):
            panel.axvline(0, color="0.6", linewidth=0.8)
            for line, policy in enumerate(gains.policies):
                for metric in _METRICS:
                    gain = gains.found.get((metric, Place(score, size), policy))
                    if gain is not None:
                        _point(panel, line, metric, gain)
            panel.set_title(f"{SCORES[score]}\n{SIZES[size]}", fontsize=8)
            panel.grid(axis="y", color="0.92", linewidth=0.6)
            panel.set_axisbelow(True)
    axes[0][0].set_yticks(range(count), [picture(own) for own in gains.policies])
    axes[0][0].set_ylim(count - 0.5, -0.5)  # The first policy at the top.
    for panel in axes.flat:
        panel.tick_params(labelsize=8)
    for panel in axes[-1]:
        panel.set_xlabel(f"accuracy minus that of {gains.reference} (points)", fontsize=8)
    figure.suptitle(
        "Large markers: mean over clients. Small: worst client. Bars: 95 % intervals over seeds.",
        fontsize=9,
    )
    _legend(figure)
    return figure


def _point(panel: Any, line: int, metric: str, gain: Gain) -> None:
    """Draws one gain with its interval."""
    colour, marker, filled = LOOKS[gain.verdict]
    above, size, width = _METRICS[metric]
    panel.errorbar(
        gain.differences.mean(),
        line - above,
        xerr=interval(gain.differences) if len(gain.differences) > 1 else None,
        color=colour,
        marker=marker,
        markersize=size,
        markerfacecolor=colour if filled else "white",
        linewidth=width,
        capsize=2,
    )


def _legend(figure: Any) -> None:
    """Says what the markers mean."""
    from matplotlib.lines import Line2D

    handles = [
        Line2D([], [], color=colour, marker=marker, markerfacecolor=colour if filled else "white")
        for colour, marker, filled in LOOKS.values()
    ]
    figure.legend(handles, list(LOOKS), loc="outside lower center", ncols=3, fontsize=8)
