"""The picture of advice: who gets which width at each budget, and what it costs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from experiments.advice.options import Option
from experiments.analysis.pictures import style
from experiments.analysis.pictures.looks import Look, add_legend, legend_height, looks
from experiments.rooms import number_text

_MOST_POINTS = 200
"""Clients that a line goes through; of more, evenly spread ones."""

_FEW = 20
"""Clients that have a point each."""

_APART = 0.12
"""Budgets that are nearer, as a share of their range, have no label of their own."""

_GAP = 0.06
"""What is left beside the first and the last budget, as a share of their range."""

_COLUMNS = 3
"""Budgets side by side."""

_PANEL, _BELOW, _ABOVE, _LEFT, _RIGHT = 1.75, 0.42, 0.28, 0.5, 0.08
"""Height of a line of panels, and what is left for labels around each panel, in inches."""


def figure_of(
    options: Sequence[Option],
    caps: np.ndarray,
    width: np.ndarray,
    unit: str,
) -> Any:
    """Draws widths by policy at each budget, and bytes, memory and seconds of a round by budget.

    Args:
      options: all of them; those that cannot be had are not drawn.
      caps: the widest subnet of each client that is able `[n]`.
      width: of sizes 0..H.
      unit: of the budget.

    Returns:
      The figure of matplotlib.
    """
    drawn = [option for option in options if option.feasible]
    followed = sorted({option.budget for option in options if option.budget is not None})
    budgets = followed or [1.0]
    look_of = looks(option.policy for option in drawn)
    names = {policy: policy for policy in look_of}
    costs = _costs(drawn)
    lines = -(-len(budgets) // _COLUMNS)
    bottoms = [legend_height(names, style.PAGE) + _PANEL * line for line in range(lines + 1)]
    with style.applied():
        # To search for places would take as long as to draw.
        figure = style.new_figure(style.PAGE, bottoms[-1] + _PANEL, placed=True)
        panels = _line_of_panels(figure, bottoms[0], len(costs))
        for panel, (label, values) in zip(panels, costs.items(), strict=True):
            _by_budget(panel, drawn, values, look_of, budgets)
            panel.set(xlabel=f"budget ({unit})", title=label, ylim=(0, None))
            if not followed:
                panel.set(xlabel="no budget", xticks=())
        columns = min(len(budgets), _COLUMNS)
        for line in range(lines):
            of_line = budgets[line * columns : (line + 1) * columns]
            panels = _line_of_panels(figure, bottoms[lines - line], columns)
            for panel in panels[len(of_line) :]:
                panel.remove()
            for panel, budget in zip(panels, of_line, strict=False):
                own = [option for option in drawn if option.budget in (budget, None)]
                _widths(panel, own, caps, width, look_of)
                met = "" if any(option.budget == budget for option in own) else ": not met"
                title = f"budget {number_text(budget)} ({unit}){met}" if followed else "no budget"
                panel.set(title=title, ylim=(0, 1.05), xlabel="clients, by cap and width")
                panel.xaxis.get_major_locator().set_params(integer=True, nbins=4)
            panels[0].set_ylabel("width (fraction of units)")
        add_legend(figure, names, look_of, note="thick grey: what the device holds")
    return figure


def _line_of_panels(figure: Any, bottom: float, number: int) -> list[Any]:
    """Makes panels side by side, above a height in inches."""
    across, high = figure.get_size_inches()
    each = across / number
    return [
        figure.add_axes(
            (
                (at * each + _LEFT) / across,
                (bottom + _BELOW) / high,
                (each - _LEFT - _RIGHT) / across,
                (_PANEL - _BELOW - _ABOVE) / high,
            )
        )
        for at in range(number)
    ]


def _costs(drawn: Sequence[Option]) -> dict[str, dict[int, float]]:
    """Returns what options cost, by the title of a panel and the identity of the option."""
    moved = {id(option): option.bytes_down + option.bytes_up for option in drawn}
    memory = {id(option): option.memory for option in drawn}
    found = [
        _scaled(moved, 1000, "sent in a round, all clients", ("B", "kB", "MB", "GB", "TB")),
        _scaled(memory, 1024, "memory of a device", ("B", "KiB", "MiB", "GiB")),
    ]
    if any(not np.isnan(option.seconds) for option in drawn):
        seconds = {id(option): option.seconds for option in drawn}
        found.append(("round of the longest client (s)", seconds))
    return dict(found)


def _scaled(
    values: Mapping[int, float], base: int, label: str, units: Sequence[str]
) -> tuple[str, dict[int, float]]:
    """Returns a label with the unit that fits the largest value, and the values in it."""
    most = max(values.values(), default=0.0)
    power = 0
    while power < len(units) - 1 and most >= base ** (power + 1):
        power += 1
    return f"{label} ({units[power]})", {own: v / base**power for own, v in values.items()}


def _widths(
    panel: Any,
    options: Sequence[Option],
    caps: np.ndarray,
    width: np.ndarray,
    look_of: Mapping[str, Look],
) -> None:
    """Draws the widths that each option gives, each above the cap of the same client."""
    places = np.linspace(0, len(caps) - 1, min(len(caps), _MOST_POINTS)).astype(int)
    marker = "." if len(caps) <= _FEW else ""
    panel.plot(places + 1, np.sort(caps)[places], color="0.75", linewidth=3, marker=marker)
    for option in options:
        look = look_of[option.policy]
        values = width[option.sizes]
        values = values[np.lexsort((values, caps))][places]
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
    labels, last, across = [], -math.inf, budgets[-1] - budgets[0]
    for budget in budgets:
        apart = budget - last >= _APART * across
        labels.append(number_text(budget) if apart else "")
        last = budget if apart else last
    panel.set_xticks(budgets, labels)
    gap = _GAP * across or _GAP
    panel.set_xlim(budgets[0] - gap, budgets[-1] + gap)
