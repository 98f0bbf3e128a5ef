"""Accuracy against cost: a line joins what one arm reaches at several budgets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

import numpy as np

from experiments.analysis.pictures import lines
from experiments.analysis.pictures.looks import Look

Name = TypeVar("Name")


class Point(NamedTuple):
    """What an arm reaches at one budget.

    Attributes:
      cost: in the unit of the axis.
      values: percents, one for each seed.
    """

    cost: float
    values: np.ndarray


def draw_frontier(
    panel: Any,
    points: Mapping[Name, Sequence[Point]],
    look_of: Mapping[Name, Look],
    spread: float = 0.0,
) -> bool:
    """Draws all arms in a panel, with bars of 95 % intervals, and the Pareto front of several.

    Args:
      panel: axes of matplotlib.
      points: of each arm.
      look_of: how each arm looks.
      spread: how far all arms are drawn apart if they cost nearly the same, in the unit of the
        axis.

    Returns:
      Whether some arms are drawn apart.
    """
    known = [point for own in points.values() for point in own]
    if sum(map(bool, points.values())) > 1:
        front = pareto_front([(point.cost, float(point.values.mean())) for point in known])
        panel.step(*zip(*front, strict=True), where="post", color="0.8", linewidth=4, zorder=0)
    by_arm = {name: sorted(points.get(name, ()), key=lambda point: point.cost) for name in look_of}
    costs = [point.cost for own in by_arm.values() for point in own]
    shifts = lines.shifts_of(costs, spread / max(1, len(look_of) - 1))
    places = iter((np.array(costs) + shifts).tolist())
    for name, own in by_arm.items():
        if own:
            at = [next(places) for _ in own]
            lines.draw_curve(
                panel, at, [point.values for point in own], look_of[name], shaded=False
            )
    lines.fit_percents(panel, lines.ends_of([point.values for point in known]))
    return bool(shifts.any())


def pareto_front(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Returns the points that no other one beats.

    Args:
      points: cost and accuracy of each.

    Returns:
      Those for which no other point costs at most as much and is at least as accurate, by rising
      cost; of equal ones, one.
    """
    front: list[tuple[float, float]] = []
    for cost, accuracy in sorted(set(points), key=lambda point: (point[0], -point[1])):
        if not front or accuracy > front[-1][1]:
            front.append((cost, accuracy))
    return front
