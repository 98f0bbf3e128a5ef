"""The picture of a benchmark suite: accuracy against MACs and bytes, a column for each task.

A line joins what one arm reaches at the budgets of the suite: its accuracy at equal compute.
Colours are those of Okabe and Ito, which colour-blind readers see as different. Markers and lines
differ, too, so that nothing is lost in grey.
"""

from __future__ import annotations

import itertools
import math
import pathlib
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from experiments.analysis import curves, statistics
from experiments.analysis.suite_results import Outcome
from experiments.study.suite import Suite
from hasa_jax.simulation.escapes import picture

_COLOURS = ("#000000", "#E69F00", "#0072B2", "#009E73", "#D55E00", "#56B4E9", "#CC79A7")
_MARKERS = tuple("os^DvPX<>*d1p234|")
_LINES = ("-", "--", "-.", ":")

_MEGABYTE = 1e6


class Look(NamedTuple):
    """How an arm looks, in all panels.

    Attributes:
      colour: of its line and markers.
      marker: which no other of the first arms has.
      line: style of the line.
    """

    colour: str
    marker: str
    line: str


class Axis(NamedTuple):
    """What a row of panels shows accuracy against.

    Attributes:
      label: with its unit.
      of: the cost of an outcome.
      spread: how far arms are drawn apart that cost the same.
    """

    label: str
    of: Callable[[Outcome], float]
    spread: float


def _macs(outcome: Outcome) -> float:
    """Returns the achieved MACs of an outcome."""
    return outcome.costs["budget_macs"]


def _megabytes(outcome: Outcome) -> float:
    """Returns what a client of an outcome receives and sends in a round."""
    return outcome.bytes / _MEGABYTE


AXES = (
    Axis("achieved MACs of a local step (fraction of the supernet's)", _macs, 0.12),
    Axis("MB that a client receives and sends in a round", _megabytes, 0.0),
)
"""One for each row of panels."""


def draw(suite: Suite, outcomes: Sequence[Outcome], target: pathlib.Path) -> None:
    """Draws all tasks.

    Args:
      suite: names the tasks.
      outcomes: of every task, budget and arm.
      target: the picture file.

    Raises:
      UserError: if matplotlib is missing.
    """
    known = {outcome.task for outcome in outcomes if outcome.accuracies}
    tasks = [task for task in suite.tasks if task.name in known]
    figure = curves.new_figure(4.2 * len(tasks), 7.6)
    panels = figure.subplots(len(AXES), len(tasks), squeeze=False)
    look_of = looks([outcome.arm for outcome in outcomes if outcome.accuracies])
    for place, task in enumerate(tasks):
        own = [outcome for outcome in outcomes if outcome.task == task.name and outcome.accuracies]
        for panel, axis in zip(panels[:, place], AXES, strict=True):
            _draw_panel(panel, own, axis, look_of)
        panels[0, place].set_title(picture(task.title), fontsize=9)
    figure.suptitle(
        f"Suite {picture(suite.name)}: a line is one arm at the budgets; bars: 95 % intervals over "
        "seeds, cut at 0 and 100; grey steps: Pareto front of the means. Above, arms of equal MACs "
        "are drawn side by side",
        fontsize=9,
    )
    _add_legend(figure, look_of)
    curves.save(figure, target)


def looks(arms: Sequence[str]) -> dict[str, Look]:
    """Gives every arm a look of its own.

    Args:
      arms: all that are drawn, in their order.

    Returns:
      The look of each; no two arms share colour, marker and line.
    """
    cycles = zip(
        itertools.cycle(_COLOURS), itertools.cycle(_MARKERS), itertools.cycle(_LINES), strict=False
    )
    return {arm: Look(*look) for arm, look in zip(dict.fromkeys(arms), cycles, strict=False)}


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


def _draw_panel(
    panel: Any, outcomes: Sequence[Outcome], axis: Axis, look_of: dict[str, Look]
) -> None:
    """Draws all arms of one task against one cost."""
    known = [outcome for outcome in outcomes if not math.isnan(axis.of(outcome))]
    front = pareto_front([(axis.of(outcome), outcome.mean) for outcome in known])
    if front:
        panel.step(*zip(*front, strict=True), where="post", color="0.8", linewidth=5, zorder=0)
    shifts = np.linspace(-0.5, 0.5, len(look_of)) * axis.spread
    shift_of = dict(zip(look_of, shifts, strict=True))
    for arm in dict.fromkeys(outcome.arm for outcome in known):
        own = sorted((outcome for outcome in known if outcome.arm == arm), key=axis.of)
        means = [outcome.mean for outcome in own]
        halves = [
            statistics.interval(np.array(list(outcome.accuracies.values()))) for outcome in own
        ]
        ends = np.array([statistics.band(*pair) for pair in zip(means, halves, strict=True)])
        look = look_of[arm]
        panel.errorbar(
            [axis.of(outcome) + shift_of[arm] for outcome in own],
            means,
            yerr=np.abs(ends.T - np.array(means)),
            color=look.colour,
            marker=look.marker,
            linestyle=look.line,
            markersize=5,
            linewidth=1.2,
            elinewidth=0.7,
            capsize=2,
        )
    panel.set_xlabel(axis.label, fontsize=8)
    panel.set_ylabel("mean test accuracy of clients (%)", fontsize=8)


def _add_legend(figure: Any, look_of: dict[str, Look]) -> None:
    """Puts one legend of all arms below the panels."""
    from matplotlib.lines import Line2D

    handles = [Line2D([], [], color=look.colour, marker=look.marker) for look in look_of.values()]
    for handle, look in zip(handles, look_of.values(), strict=True):
        handle.set(linestyle=look.line)
    labels = list(map(picture, look_of))
    figure.legend(handles, labels, loc="outside lower center", ncols=5, fontsize=8)
