"""Budget against accuracy, of workdirs that differ in their budgets."""

from __future__ import annotations

import collections
from collections.abc import Sequence
from typing import Any

import numpy as np

from experiments.analysis import results
from experiments.analysis.pictures import lines, progress, style
from experiments.analysis.pictures.frontier import Point, draw_frontier
from experiments.analysis.pictures.looks import add_legend, legend_height, looks
from experiments.analysis.pictures.macs import measuring_note
from experiments.analysis.pictures.picture import Lacking
from experiments.analysis.results import METRICS, Arm, Results
from experiments.study.manifest import Manifest, read_manifest
from hasa_jax.simulation.escapes import picture

_OF_BUDGETS = ("budget", "levels", "policy", "w_min", "w_max", "widths")
"""Fields that set budgets apart."""

_SAME = 0.02
"""Costs closer than this are of one budget."""

_STEP, _SPREAD = 0.04, 0.16
"""How far neighbours are drawn apart, and all arms at most, as shares of the axis."""


def make(groups: Sequence[Results]) -> Any:
    """Draws mean, worst and tail accuracy at the last round against the achieved MACs.

    Args:
      groups: results; those that differ only in the budget share a row of panels.

    Returns:
      The figure of matplotlib.

    Raises:
      Lacking: if the records have no MACs, or all nearly the same.
    """
    joined = _joined(groups)
    measuring = measuring_note([arm for own in groups for arm in own.arms])
    if not any(_points_of(own, METRICS[0]) for own in joined):
        raise Lacking("summary.csv has no column budget_macs")
    kept = [own for own in joined if _several(_points_of(own, METRICS[0]))]
    if not kept:
        if len(joined) > 1 and _several(_of_all(joined)):
            raise Lacking("workdirs of other budgets differ in more than the budget")
        raise Lacking("all arms have nearly the same MACs: name workdirs with other budgets too")
    arms = list(dict.fromkeys(arm for own in kept for one in own for arm in one.arms))
    names = results.labels_of(arms)
    room = legend_height(names, style.PAGE)
    figure = style.new_figure(style.PAGE, room + 2.0 * len(kept))
    parts = np.atleast_1d(figure.subfigures(len(kept), 1))
    look_of, counts, shifted = looks(arms), set[int](), False
    titles = [title for title, _ in progress.titled([own[0] for own in kept])]
    for part, title, own in zip(parts, titles, kept, strict=True):
        if len(kept) > 1:
            part.suptitle(picture(title))
        for panel, metric in zip(part.subplots(1, len(METRICS)), METRICS, strict=True):
            points = _points_of(own, metric)
            costs = [point.cost for one in points.values() for point in one]
            spread = min(_SPREAD, _STEP * (len(points) - 1)) * (max(costs) - min(costs))
            shifted |= draw_frontier(panel, points, {arm: look_of[arm] for arm in points}, spread)
            panel.set(xlabel="MACs (fraction of the supernet's)", ylabel=progress.LABELS[metric])
            counts |= {len(point.values) for one in points.values() for point in one}
    front = "; grey: Pareto front of the means" if len(arms) > 1 else ""
    bars = f"bars{', side by side where MACs are nearly equal' * shifted}"
    note = [f"{lines.seeds_text(counts, bars)}{front}", *[measuring] * bool(measuring)]
    add_legend(figure, names, look_of, note="\n".join(note))
    return figure


def _joined(groups: Sequence[Results]) -> list[list[Results]]:
    """Joins the groups that differ only in their budget."""
    joined: list[tuple[list[Manifest], list[Results]]] = []
    for own in groups:
        known = [read_manifest(folder) for folder in own.folders]
        same = (at for at in joined if all(_alike(a, b) for a in at[0] for b in known))
        before, found = next(same, ([], []))
        if not found:
            joined.append((before, found))
        before.extend(known)
        found.append(own)
    return [found for _, found in joined]


def _alike(one: Manifest, other: Manifest) -> bool:
    """Returns whether two workdirs differ in nothing but seeds and budgets, as far as is known."""
    hashes = one.data_sha256, other.data_sha256
    return _kind(one) == _kind(other) and all(
        hashes[0][block] == hashes[1][block] for block in set(hashes[0]) & set(hashes[1])
    )


def _kind(known: Manifest) -> tuple[object, ...]:
    """Returns all settings of a workdir but those of its budget."""
    chosen = known.config.get("allocation", {})
    return (
        *(known.config.get(room) for room in ("data", "model", "method", "training")),
        {name: value for name, value in chosen.items() if name not in _OF_BUDGETS},
    )


def _of_all(joined: Sequence[Sequence[Results]]) -> dict[Arm, list[Point]]:
    """Returns the points of all groups as if they were one."""
    every = [_points_of(own, METRICS[0]).values() for own in joined]
    return {Arm("", ""): [point for of in every for points in of for point in points]}


def _points_of(joined: Sequence[Results], metric: str) -> dict[Arm, list[Point]]:
    """Returns what each arm reaches at each budget, at the last round of all arms."""
    points = collections.defaultdict[Arm, list[Point]](list)
    for own in joined:
        last = [r for r in own.summary if int(r["round"]) == own.rounds[-1]] if own.rounds else []
        curves = progress.curves_of(
            last, f"{metric}_accuracy", lambda record: float(record.get("budget_macs") or "nan")
        )
        for arm, curve in curves.items():
            points[arm].append(Point(curve.at[0], curve.values[0]))
    return dict(points)


def _several(points: dict[Arm, list[Point]]) -> bool:
    """Returns whether there are several budgets."""
    costs = [point.cost for own in points.values() for point in own]
    return bool(costs) and max(costs) - min(costs) > _SAME
