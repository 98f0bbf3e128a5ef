"""The picture of a benchmark suite: accuracy against MACs and bytes, a column for each task."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from experiments.analysis.pictures import lines, style
from experiments.analysis.pictures.frontier import Point, draw_frontier
from experiments.analysis.pictures.looks import add_legend, legend_height, looks
from experiments.analysis.suite_results import Outcome
from experiments.study.suite import Suite
from hasa_jax.simulation.escapes import picture

_MEGABYTE = 1e6


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
    Axis("MACs (fraction), side by side", _macs, 0.08),
    Axis("MB of a client in a round", _megabytes, 0.0),
)
"""One for each row of panels. Arms of a task have equal MACs, so they are drawn side by side."""


def figure_of(suite: Suite, outcomes: Sequence[Outcome]) -> Any:
    """Draws all tasks that have results.

    Args:
      suite: names the tasks.
      outcomes: of every task, budget and arm.

    Returns:
      The figure of matplotlib.

    Raises:
      UserError: if matplotlib is missing.
    """
    known = [outcome for outcome in outcomes if outcome.accuracies]
    tasks = [task for task in suite.tasks if any(own.task == task.name for own in known)]
    look_of = looks([outcome.arm for outcome in known])
    with style.applied():
        width = max(style.COLUMN, style.PAGE * len(tasks) / 3)
        names = {arm: arm for arm in look_of}
        figure = style.new_figure(width, legend_height(names, width) + 4.1)
        panels = figure.subplots(len(AXES), len(tasks), squeeze=False)
        for column, task in zip(panels.T, tasks, strict=True):
            for panel, axis in zip(column, AXES, strict=True):
                own = [o for o in known if o.task == task.name and not math.isnan(axis.of(o))]
                panel.set(xlabel=axis.label, ylabel="mean accuracy (%)")
                if own:
                    points = {
                        arm: [Point(axis.of(o), _values(o)) for o in own if o.arm == arm]
                        for arm in look_of
                    }
                    draw_frontier(panel, points, look_of, axis.spread)
            column[0].set_title(picture(task.title))
        counts = {len(outcome.accuracies) for outcome in known}
        note = f"{lines.seeds_text(counts, 'bars')}; grey: Pareto front of the means"
        add_legend(figure, names, look_of, note=note)
    return figure


def _values(outcome: Outcome) -> np.ndarray:
    """Returns the accuracies of all seeds, in percent."""
    return np.array(list(outcome.accuracies.values()))
