"""How many clients have each size."""

from __future__ import annotations

import collections
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from experiments.analysis import results
from experiments.analysis.pictures import style
from experiments.analysis.pictures.looks import add_legend, bar_of, legend_height, looks
from experiments.analysis.pictures.picture import Lacking
from experiments.analysis.pictures.progress import titled
from experiments.analysis.results import Arm, Results
from experiments.analysis.statistics import interval
from experiments.analysis.tenths import TENTHS, tenth_of
from hasa_jax.simulation.escapes import picture

MOST_WIDTHS = 8
"""Widths that have a place each; more are counted by tenths."""

_NARROW = 4
"""Most arms whose bars can be seen in a column of a journal."""


def make(groups: Sequence[Results]) -> Any:
    """Draws the number of clients of each width at the last round, mean over seeds.

    Args:
      groups: results; each is a panel.

    Returns:
      The figure of matplotlib.

    Raises:
      Lacking: if the records of clients have no widths.
    """
    known = [(title, own) for title, own in titled(groups) if widths_of(own)]
    if not known:
        raise Lacking("metrics.csv has no test records with a width at a round of all arms")
    arms = list(dict.fromkeys(arm for _, own in known for arm in own.arms))
    look_of, names = looks(arms), results.labels_of(arms)
    few = len(known) == 1 and len(arms) <= _NARROW
    few &= all(len(places_of(widths_of(own))) <= MOST_WIDTHS for _, own in known)
    width = style.COLUMN if few else style.PAGE
    figure = style.new_figure(width, legend_height(names, width) + 1.9)
    panels, varies = figure.subplots(1, len(known), squeeze=False)[0], False
    seeds = {len(by_seed) for _, own in known for by_seed in widths_of(own).values()}
    for panel, (title, own) in zip(panels, known, strict=True):
        widths = widths_of(own)
        places = places_of(widths)
        room = 0.85 / len(widths)
        for number, (arm, by_seed) in enumerate(widths.items()):
            counts = np.array([_count(one, places) for one in by_seed.values()])
            at = np.arange(counts.shape[1]) + (number - (len(widths) - 1) / 2) * room
            means, halves = counts.mean(0), np.array([interval(own) for own in counts.T])
            panel.bar(at, means, room, **bar_of(look_of[arm]))
            ends = np.stack([np.minimum(halves, means), halves])
            varied = halves > 0
            varies |= bool(varied.any())
            if varied.any():
                panel.errorbar(
                    *(at[varied], means[varied]),
                    yerr=ends[:, varied],
                    fmt="none",
                    ecolor="black",
                    elinewidth=0.7,
                )
        panel.set_xticks(np.arange(len(places)), list(places))
        if len(places) > MOST_WIDTHS and len(known) > 1:
            panel.tick_params(axis="x", labelrotation=90)
        # All bars between two lines are of one place: within it, arms are only side by side.
        panel.vlines(
            *(np.arange(1, len(places)) - 0.5, 0, 1),
            transform=panel.get_xaxis_transform(),
            color="0.85",
            linewidth=0.5,
            zorder=0,
        )
        panel.set(xlabel="width (fraction of units)", ylabel="clients", ylim=(0, None))
        panel.grid(axis="x", visible=False)
        if len(known) > 1:
            panel.set_title(picture(title))
    note = _note(seeds, varies=varies)
    add_legend(figure, names, look_of, note=note, bars=True)
    return figure


def _note(counts: set[int], *, varies: bool) -> str:
    """Says what bars and whiskers are of, by how many seeds arms have."""
    least, most = min(counts), max(counts)
    if most < 2:
        return "one seed, so there are no intervals"
    over = f"{least} to {most} seeds" if least < most else f"{most} seeds"
    if not varies:
        return f"the same in each of {over}"
    return f"means over {over}; whiskers: 95 % intervals, cut at 0"


def widths_of(found: Results) -> dict[Arm, dict[int, list[float]]]:
    """Gathers the widths of all clients at the last round that all arms have.

    Args:
      found: the results.

    Returns:
      The widths, by arm and seed; those of the first fold, where there are folds.
    """
    by_arm = collections.defaultdict[Arm, dict[int, list[float]]](dict)
    last = str(found.rounds[-1]) if found.rounds else ""
    for record in found.metrics:
        first = int(record[results.FOLD]) <= 1
        if first and (record["split"], record["round"]) == ("test", last) and record.get("width"):
            own = by_arm[results.arm_of(record)].setdefault(int(record["seed"]), [])
            own.append(float(record["width"]))
    return dict(by_arm)


def places_of(
    widths: Mapping[Arm, Mapping[int, Sequence[float]]],
) -> Sequence[str]:
    """Decides what has a place on the axis.

    Args:
      widths: by arm and seed.

    Returns:
      Names of the places: each width, or `TENTHS` where there are more than `MOST_WIDTHS`.
    """
    texts = {f"{w:.3g}" for by_seed in widths.values() for own in by_seed.values() for w in own}
    if len(texts) <= MOST_WIDTHS:
        return sorted(texts, key=float)
    return TENTHS


def _count(widths: Sequence[float], places: Sequence[str]) -> list[int]:
    """Counts the clients of each place."""
    tenths = places == TENTHS
    found = collections.Counter(TENTHS[tenth_of(w)] if tenths else f"{w:.3g}" for w in widths)
    return [found[place] for place in places]
