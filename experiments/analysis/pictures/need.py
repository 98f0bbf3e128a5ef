"""Scores of clients against what they gain by width."""

from __future__ import annotations

import collections
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from experiments.analysis.pictures import style
from experiments.analysis.pictures.looks import Look, add_legend, looks
from experiments.analysis.pictures.picture import Lacking
from experiments.analysis.results import Results
from experiments.analysis.statistics import interval
from experiments.analysis.table_need import FILE, rank_correlation, read_lines
from hasa_jax.base import UserError
from hasa_jax.simulation.escapes import picture

_KEYS = ("seed", "fold", "client", "score")
"""Columns that are no score; the column `score` is the need, as --score_path reads it."""

_COLUMNS = 3

_NAMED, _BARRED = 8, 40
"""Most clients that have a mark of their own, and whose intervals can be seen."""


class Measured(NamedTuple):
    """What need.csv holds.

    Attributes:
      need: points by client and seed, means over folds.
      scores: by name, client and seed, means over folds.
      correlations: rank correlation with the need by name and seed, means over folds.
    """

    need: dict[str, dict[int, float]]
    scores: dict[str, dict[str, dict[int, float]]]
    correlations: dict[str, dict[int, float]]


def make(groups: Sequence[Results]) -> Any:
    """Draws a panel for each score of the first need.csv: the need of every client over its score.

    Args:
      groups: results.

    Returns:
      The figure of matplotlib.

    Raises:
      Lacking: if no workdir has such a file.
      UserError: if it is damaged.
    """
    files = [folder / FILE for own in groups for folder in own.folders]
    path = next((path for path in files if path.exists()), None)
    if path is None:
        raise Lacking(f"no workdir has {FILE}: run need with a narrow and a wide workdir")
    measured = read(path)
    count = len(measured.scores)
    columns = 2 if count == 4 else min(_COLUMNS, count)
    down = -(-count // columns)
    figure = style.new_figure(style.PAGE if columns > 1 else style.COLUMN, 0.6 + 1.9 * down)
    panels = figure.subplots(down, columns, squeeze=False, sharey=True).ravel()
    look_of = looks(measured.need)
    for panel, (name, by_client) in zip(panels, measured.scores.items(), strict=False):
        _draw(panel, by_client, measured.need, look_of)
        found = np.array(list(measured.correlations[name].values()))
        panel.set(xlabel=picture(f"score {name}", 34), ylabel="need (points)")
        panel.set_title(_correlation(found), fontsize=7)
    for panel in panels[count:]:
        panel.remove()
    several = max(len(own) for own in measured.need.values()) > 1
    note = "means over seeds, bars: 95 % intervals" if several else "one seed"
    if len(measured.need) <= _NAMED:
        names = {name: name for name in measured.need}
        add_legend(figure, names, look_of, note=f"clients, {note}", joined=False)
    else:
        figure.suptitle(f"A point is a client, {note}", fontsize=7)
    return figure


def read(path: pathlib.Path) -> Measured:
    """Reads need.csv.

    Args:
      path: the file.

    Returns:
      What it holds.

    Raises:
      UserError: if it is damaged.
    """
    try:
        lines = [{k: str(v) for k, v in line.items()} for line in read_lines(path)]
        names = [name for name in lines[0] if name not in _KEYS]
        need = _by_client(lines, "score", 100.0)
        scores = {name: _by_client(lines, name, 1.0) for name in names}
        correlations = {name: _correlations(lines, name) for name in names}
    except (IndexError, KeyError, TypeError, ValueError):
        raise UserError(f"{path} is damaged: run need again") from None
    return Measured(need, scores, correlations)


def _by_client(
    records: Sequence[dict[str, str]], column: str, factor: float
) -> dict[str, dict[int, float]]:
    """Returns a column by client and seed, means over folds."""
    found = collections.defaultdict[str, dict[int, list[float]]](dict)
    for record in records:
        own = found[record["client"]].setdefault(int(record["seed"]), [])
        own.append(factor * float(record[column]))
    return {name: {s: float(np.mean(own)) for s, own in of.items()} for name, of in found.items()}


def _correlations(records: Sequence[dict[str, str]], column: str) -> dict[int, float]:
    """Returns the rank correlation with the need by seed, means over folds; without those of none.

    A score that is constant has no rank.
    """
    pairs = collections.defaultdict[tuple[int, str], list[tuple[float, float]]](list)
    for record in records:
        both = float(record["score"]), float(record[column])
        pairs[int(record["seed"]), record["fold"]].append(both)
    by_seed = collections.defaultdict[int, list[float]](list)
    for (seed, _), own in pairs.items():
        found = rank_correlation(*np.array(own).T)
        by_seed[seed].extend([found] * bool(np.isfinite(found)))
    return {seed: float(np.mean(own)) for seed, own in by_seed.items() if own}


def _draw(
    panel: Any,
    by_client: Mapping[str, Mapping[int, float]],
    need: Mapping[str, Mapping[int, float]],
    look_of: Mapping[str, Look],
) -> None:
    """Draws the clients in one panel."""
    panel.axhline(0, color="0.6", linewidth=0.8, zorder=0)
    for name, own in need.items():
        gains, scores = (np.array(list(of.values())) for of in (own, by_client[name]))
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
