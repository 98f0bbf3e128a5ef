"""The picture of advice: who gets which width at each budget, and what it costs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from experiments.advice.options import Option
from experiments.analysis.pictures import style
from experiments.analysis.pictures.looks import Look, add_legend, looks
from experiments.rooms import number_text

_MOST_POINTS = 200
"""Clients that a line goes through; of more, evenly spread ones."""

_FEW = 20
"""Clients that have a point each."""


def figure_of(
    options: Sequence[Option],
    caps: np.ndarray,
    width: np.ndarray,
    unit: str,
) -> Any:
    """Draws widths by policy at each budget, and bytes and seconds of a round by budget.

    Args:
      options: all of them; those that cannot be had are not drawn.
      caps: the widest subnet of each client that is able `[n]`.
      width: of sizes 0..H.
      unit: of the budget.

    Returns:
      The figure of matplotlib.
    """
    drawn = [option for option in options if option.feasible]
    budgets = sorted({option.budget for option in options if option.budget is not None})
    timed = any(not np.isnan(option.seconds) for option in drawn)
    look_of = looks(option.policy for option in drawn)
    with style.applied():
        figure = style.new_figure(style.PAGE, 4.4)
        above, below = figure.subfigures(2, 1)
        panels = above.subplots(1, len(budgets), sharey=True, squeeze=False)[0]
        for panel, budget in zip(panels, budgets, strict=True):
            own = [option for option in drawn if option.budget in (budget, None)]
            _widths(panel, own, caps, width, look_of)
            if not any(option.budget == budget for option in own):
                panel.text(
                    0.5, 0.9, "no policy can meet it", ha="center", transform=panel.transAxes
                )
            panel.set(title=f"budget {number_text(budget)} ({unit})", ylim=(0, 1.05))
            panel.set_xlabel("clients, by width")
        panels[0].set_ylabel("width (fraction of units)")
        moved = {id(option): (option.bytes_down + option.bytes_up) / 1e6 for option in drawn}
        costs = [("MB in a round, all clients", moved)]
        memory = {id(option): option.memory / 2**20 for option in drawn}
        costs.append(("memory of a device (MiB)", memory))
        if timed:
            seconds = {id(option): option.seconds for option in drawn}
            costs.append(("s in a round, longest client", seconds))
        for panel, (label, values) in zip(below.subplots(1, len(costs)), costs, strict=True):
            _by_budget(panel, drawn, values, look_of, budgets)
            panel.set(xlabel=f"budget ({unit})", ylabel=label, ylim=(0, None))
        names = {policy: policy for policy in look_of}
        add_legend(figure, names, look_of, note="thick grey: what the device holds")
    return figure


def _widths(
    panel: Any,
    options: Sequence[Option],
    caps: np.ndarray,
    width: np.ndarray,
    look_of: Mapping[str, Look],
) -> None:
    """Draws the widths that each option gives, rising; each has an order of its own."""
    places = np.linspace(0, len(caps) - 1, min(len(caps), _MOST_POINTS)).astype(int)
    marker = "." if len(caps) <= _FEW else ""
    panel.plot(places + 1, np.sort(caps)[places], color="0.75", linewidth=3, marker=marker)
    for option in options:
        look = look_of[option.policy]
        values = np.sort(width[option.sizes])[places]
        panel.plot(places + 1, values, color=look.colour, linestyle=look.line, marker=marker)


def _by_budget(
    panel: Any,
    options: Sequence[Option],
    values: dict[int, float],
    look_of: Mapping[str, Look],
    budgets: Sequence[float],
) -> None:
    """Draws a number over budgets; that of a policy without a budget is a level line."""
    for policy, look in look_of.items():
        own = [option for option in options if option.policy == policy]
        at = [option.budget for option in own if option.budget is not None]
        numbers = [values[id(option)] for option in own]
        if not at:
            at, numbers = list(budgets), numbers * len(budgets)
        panel.plot(at, numbers, color=look.colour, linestyle=look.line, marker=look.marker)
    panel.set_xticks(budgets, [number_text(budget) for budget in budgets])
