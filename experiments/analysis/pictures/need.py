"""Scores of clients against what they gain by width."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from experiments.analysis.pictures import style
from experiments.analysis.pictures.looks import Look, add_legend, looks
from experiments.analysis.pictures.picture import Lacking, first_file
from experiments.analysis.results import Results
from experiments.analysis.statistics import interval
from experiments.analysis.table_need import (
    FILE,
    by_block,
    by_client,
    by_seed,
    first_seed,
    lines_of_seed,
    names_of,
    read_lines,
)
from hasa_jax.base import UserError
from hasa_jax.simulation.escapes import picture

_COLUMNS = 3

_NAMED, _BARRED = 8, 40
"""Most clients that have a mark of their own, and whose intervals can be seen."""


def make(groups: Sequence[Results]) -> Any:
    """Draws a panel for each score of the first need.csv: the need of every client over its score.

    Args:
      groups: results.

    Returns:
      The figure of matplotlib.

    Raises:
      Lacking: if no workdir has such a file, or it is damaged or has no scores.
    """
    path = first_file(groups, FILE, "need with workdirs of narrow and of wide subnets", merged=True)
    try:
        measured = read_lines(path)
    except UserError as error:
        raise Lacking(str(error)) from None
    names = names_of(measured)
    if not names:
        raise Lacking(f"{path} has no scores beside the need")
    dealt = next((own.dealt for own in groups if path.parent in own.folders), "")
    seed = first_seed(measured, dealt)
    shown = lines_of_seed(measured, seed)
    need = {
        client: {seed: 100 * own for seed, own in of.items()}
        for client, of in by_client(shown, "score").items()
    }
    needs, count = by_block(measured, "score"), len(names)
    columns = 2 if count == 4 else min(_COLUMNS, count)
    down = -(-count // columns)
    figure = style.new_figure(style.PAGE if columns > 1 else style.COLUMN, 0.6 + 1.9 * down)
    panels = figure.subplots(down, columns, squeeze=False, sharey=True).ravel()
    look_of = looks(need)
    for panel, name in zip(panels, names, strict=False):
        _draw(panel, by_client(shown, name), need, look_of)
        found = np.array(list(by_seed(needs, by_block(measured, name)).values()))
        panel.set(xlabel=picture(f"score {name}", 34), ylabel="need (points)")
        panel.set_title(_correlation(found), fontsize=7)
    for panel in panels[count:]:
        panel.remove()
    several = max(len(own) for own in need.values()) > 1
    note = "means over seeds, bars: 95 % intervals" if several else "one seed"
    if seed is not None:
        note = f"only seed {seed}, as {dealt}; correlations: means over all seeds"
    if len(need) <= _NAMED:
        add_legend(
            figure, {name: name for name in need}, look_of, note=f"clients, {note}", joined=False
        )
    else:
        figure.suptitle(f"A point is a client, {note}", fontsize=7)
    return figure


def _draw(
    panel: Any,
    score: Mapping[str, Mapping[int, float]],
    need: Mapping[str, Mapping[int, float]],
    look_of: Mapping[str, Look],
) -> None:
    """Draws the clients in one panel."""
    panel.axhline(0, color="0.6", linewidth=0.8, zorder=0)
    for name, own in need.items():
        gains, scores = (np.array(list(of.values())) for of in (own, score[name]))
        look = look_of[name]
        if len(need) > _NAMED:
            look = next(iter(look_of.values()))
        halves = [np.nan_to_num(interval(one)) for one in (scores, gains)]
        bars = dict(zip(("xerr", "yerr"), halves, strict=True)) if len(need) <= _BARRED else {}
        panel.errorbar(
            *(scores.mean(), gains.mean()),
            **bars,
            color=look.colour,
            marker=look.marker,
            elinewidth=0.7,
            capsize=0,
        )
    panel.margins(0.08)


def _correlation(found: np.ndarray) -> str:
    """Writes the mean rank correlation with its interval, which stays within -1 and 1."""
    if not found.size:
        return "no rank correlation, as it is constant"
    half = interval(found)
    spread = "" if np.isnan(half) else f" ± {half:.2f}"
    return f"rank correlation {found.mean():+.2f}{spread}"
