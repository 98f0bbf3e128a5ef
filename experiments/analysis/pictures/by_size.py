"""Accuracy of every size, and how the accuracies of clients spread."""

from __future__ import annotations

import collections
from collections.abc import Sequence
from typing import Any

import numpy as np

from experiments.analysis import results
from experiments.analysis.client_values import accuracies_of
from experiments.analysis.pictures import lines, progress, style
from experiments.analysis.pictures.looks import Look, add_legend, legend_height, looks
from experiments.analysis.pictures.picture import Lacking
from experiments.analysis.reached import Seeds, Sizes, read
from experiments.analysis.results import Arm, Results
from hasa_jax.simulation.escapes import picture

_PERCENTILES = np.linspace(0, 100, 11)

_GAP = 0.14
"""Least gap of the ticks of two sizes, as a share of the axis."""


def make(groups: Sequence[Results]) -> Any:
    """Draws global accuracy over rounds and over sizes, and local accuracy from worst to best.

    Args:
      groups: results; each is a row of panels.

    Returns:
      The figure of matplotlib.

    Raises:
      Lacking: if there are no records of sizes.
    """
    known = [own for own in groups if set(map(results.arm_of, own.sizes)) == set(own.arms)]
    if not known:
        raise Lacking("it needs sizes.csv with all arms: run compare with `eval_levels`")
    arms = list(dict.fromkeys(arm for own in known for arm in own.arms))
    names = results.labels_of(arms)
    room = legend_height(names, style.PAGE)
    figure = style.new_figure(style.PAGE, room + 2.0 * len(known))
    parts = np.atleast_1d(figure.subfigures(len(known), 1))
    look_of, counts, unseen = looks(arms), set[int](), False
    for part, (title, own) in zip(parts, progress.titled(known), strict=True):
        if len(known) > 1:
            part.suptitle(picture(title))
        rounds, sizes, clients = part.subplots(1, 3)
        reached = read(own)
        _over_rounds(rounds, reached, look_of)
        _over_sizes(sizes, reached, look_of, own.budget_unit)
        _over_clients(clients, own, look_of)
        counts |= {len(one.local) for one in reached}
        unseen |= any(set(one.global_at) - set(one.trained) for one in reached)
    shaded = all(len(own.arms) <= lines.MOST_BANDS for own in known)
    note = lines.seeds_text(counts, "shaded" if shaded else "bars, side by side")
    note += "; open: sizes no client has" if unseen else ""
    add_legend(figure, names, look_of, note=note)
    return figure


def _over_rounds(panel: Any, reached: Sequence[Sizes], look_of: dict[Arm, Look]) -> None:
    """Draws the mean over the sizes that clients have, by round."""
    heights, shaded = [], len(reached) <= lines.MOST_BANDS
    last = max(round for own in reached for round in own.curve)
    for own, shift in zip(reached, last * lines.side_by_side(len(reached)), strict=True):
        curve = {round: _percents(seeds) for round, seeds in own.curve.items() if seeds}
        if curve:
            values = list(curve.values())
            at = [round + float(shift) for round in curve]
            lines.draw_curve(panel, at, values, look_of[own.arm], shaded=shaded)
            heights.extend(lines.ends_of(values))
    panel.set(xlabel="round (mean over sizes)", ylabel="global accuracy (%)")
    panel.xaxis.get_major_locator().set_params(integer=True)
    if heights:
        lines.fit_percents(panel, heights)


def _over_sizes(panel: Any, reached: Sequence[Sizes], look_of: dict[Arm, Look], unit: str) -> None:
    """Draws every size at the last round; markers are open where no client has the size."""
    heights, shaded = [], len(reached) <= lines.MOST_BANDS
    ticks = sorted({float(level) for own in reached for level in own.global_at})
    for own, shift in zip(reached, lines.side_by_side(len(reached)), strict=True):
        look, values = look_of[own.arm], list(map(_percents, own.global_at.values()))
        # The axis is logarithmic, so a shift is a factor.
        levels = [float(level) * (ticks[-1] / ticks[0]) ** float(shift) for level in own.global_at]
        lines.draw_curve(panel, levels, values, look, shaded=shaded)
        unseen = [place for place, level in enumerate(own.global_at) if level not in own.trained]
        for place in unseen:
            mean = values[place].mean()
            panel.plot(levels[place], mean, look.marker, color=look.colour, mfc="white")
        heights.extend(lines.ends_of(values))
    panel.set(xlabel=f"size (fraction of {unit})", ylabel="global accuracy (%)", xscale="log")
    shown = _apart(ticks)
    panel.set_xticks(shown, [f"{tick:.2g}".removeprefix("0") for tick in shown])
    panel.set_xticks([], minor=True)
    lines.fit_percents(panel, heights)


def _apart(ticks: Sequence[float]) -> list[float]:
    """Returns the largest of some rising ticks, and those below it that have room."""
    shown = [ticks[-1]]
    for tick in reversed(ticks):
        if np.log(shown[-1] / tick) > _GAP * np.log(ticks[-1] / ticks[0]):
            shown.append(tick)
    return shown[::-1]


def _over_clients(panel: Any, found: Results, look_of: dict[Arm, Look]) -> None:
    """Draws the local accuracy at each percentile of the clients, at the last round."""
    last = max(int(record["round"]) for record in found.sizes)
    by_arm = collections.defaultdict[Arm, dict[int, list[float]]](dict)
    for (arm, _, _), by_seed in accuracies_of(found.metrics, [last]).items():
        for seed, accuracy in by_seed.items():
            by_arm[arm].setdefault(seed, []).append(100 * accuracy)
    heights, shaded = [], len(by_arm) <= lines.MOST_BANDS
    for arm, by_seed in by_arm.items():
        spread = np.array([np.nanpercentile(own, _PERCENTILES) for own in by_seed.values()]).T
        lines.draw_curve(panel, _PERCENTILES.tolist(), list(spread), look_of[arm], shaded=shaded)
        heights.extend(lines.ends_of(list(spread)))
    panel.set(xlabel="clients, worst to best (%)", ylabel="local accuracy (%)")
    lines.fit_percents(panel, heights)


def _percents(seeds: Seeds) -> np.ndarray:
    """Returns the numbers of all seeds in percent."""
    return 100 * np.array(list(seeds.values()))
