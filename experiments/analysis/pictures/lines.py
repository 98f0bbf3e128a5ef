"""Curves and points with their intervals over seeds, and axes of percents."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from experiments.analysis.pictures.looks import Look
from experiments.analysis.statistics import band, interval

MOST_BANDS = 4
"""Curves of a panel that have shaded bands; more have bars, as bands would hide each other."""

_MARGIN = 0.05
"""Share of an axis that is left free at both ends."""

SPREAD = 0.05
"""How far the first and the last arm are drawn apart, as a share of an axis."""

_LEAST = 1.0
"""Percents that an axis of percents shows at least."""


def ends_of(values: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Finds means over seeds and the ends of their 95 % intervals, cut at 0 and 100.

    Args:
      values: percents of all seeds, at each of `P` places.

    Returns:
      Means, lower and upper ends, `[P]` each; the mean is both ends of a single seed.
    """
    means = np.array([float(own.mean()) for own in values])
    ends = [band(mean, interval(own)) for mean, own in zip(means, values, strict=True)]
    low, high = np.array(ends).reshape(-1, 2).T
    return means, low, high


def draw_curve(
    panel: Any, at: Sequence[float], values: Sequence[np.ndarray], look: Look, *, shaded: bool
) -> None:
    """Draws means over seeds with their 95 % intervals, cut at 0 and 100.

    Args:
      panel: axes of matplotlib.
      at: places on the horizontal axis `[P]`.
      values: percents of all seeds, at each place.
      look: of the arm.
      shaded: whether intervals are a band; else they are bars.
    """
    means, low, high = ends_of(values)
    panel.plot(at, means, color=look.colour, linestyle=look.line, marker=look.marker)
    if shaded and len(values) > 1:
        panel.fill_between(at, low, high, color=look.colour, alpha=0.15, linewidth=0)
    else:  # A band of one place has no width.
        panel.vlines(at, low, high, color=look.colour, linewidth=0.7)
    panel.update_datalim([(at[0], low.min()), (at[0], high.max())])


def side_by_side(count: int) -> np.ndarray:
    """Returns how far arms are drawn apart, as shares of an axis: not at all where bands show them.

    Args:
      count: arms of a panel.

    Returns:
      A shift for each `[count]`.
    """
    return np.linspace(-0.5, 0.5, count) * (SPREAD if count > MOST_BANDS else 0.0)


def shifts_of(places: Sequence[float], step: float) -> np.ndarray:
    """Returns how far marks are drawn apart that would cover each other; others stay.

    Args:
      places: where each is on the horizontal axis `[P]`.
      step: marks that are nearer than this are drawn this far apart, in the unit of the axis.

    Returns:
      A shift for each `[P]`. Marks that are near each other are side by side: by their
      places, and in their order where these are equal.
    """
    near: list[list[int]] = []
    for at in sorted(range(len(places)), key=places.__getitem__):
        if near and places[at] - places[near[-1][-1]] <= step:
            near[-1].append(at)
        else:
            near.append([at])
    shifts = np.zeros(len(places))
    for own in near:
        shifts[own] = step * (np.arange(len(own)) - (len(own) - 1) / 2)
    return shifts


def fit_percents(panel: Any, heights: Iterable[np.ndarray]) -> None:
    """Zooms the vertical axis to some percents, within 0 and 100.

    Args:
      panel: axes of matplotlib.
      heights: all that is drawn, ends of intervals too.
    """
    found = np.concatenate([np.ravel(own) for own in heights])
    found = found[np.isfinite(found)]
    if not found.size:  # No client has test examples.
        panel.set_ylim(0, 100)
        return
    low, high = float(found.min()), float(found.max())
    free = max(_MARGIN * (high - low), (_LEAST - (high - low)) / 2)
    panel.set_ylim(max(0.0, low - free), min(100.0, high + free))


def seeds_text(counts: Iterable[int], what: str) -> str:
    """Says what intervals are of.

    Args:
      counts: seeds of each arm.
      what: how intervals are drawn, such as `shaded`.

    Returns:
      A line for the legend.
    """
    least, most = min(own := list(counts)), max(own)
    if most < 2:
        return "one seed, so there are no intervals"
    number = str(most) if least == most else f"{least} to {most}"
    return f"{what}: 95 % intervals over {number} seeds, cut at 0 and 100 %"
