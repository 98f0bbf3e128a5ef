"""Scores of clients against what they gain by width."""

from __future__ import annotations

import collections
import csv
import pathlib
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from experiments.analysis.need import rank_correlation
from experiments.analysis.pictures import style
from experiments.analysis.pictures.picture import Lacking
from experiments.analysis.results import Results
from experiments.analysis.statistics import interval
from hasa_jax.base import UserError
from hasa_jax.simulation.escapes import from_csv_cell, picture

FILE = "need.csv"
"""Name of the table that the picture is drawn from."""

_KEYS = ("seed", "fold", "client", "score")
"""Columns that are no score; the column `score` is the need, as --score_path reads it."""

_COLUMNS = 3

_BARRED = 40
"""Most clients whose intervals can be seen."""


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
    rows = -(-len(measured.scores) // _COLUMNS)
    figure = style.new_figure(style.PAGE, 0.3 + 1.9 * rows)
    panels = figure.subplots(rows, _COLUMNS, squeeze=False, sharey=True).ravel()
    for panel, (name, by_client) in zip(panels, measured.scores.items(), strict=False):
        _draw(panel, by_client, measured.need)
        found = np.array(list(measured.correlations[name].values()))
        panel.set(xlabel=picture(f"{name} (a score)", 34), ylabel="need (points)")
        panel.set_title(_correlation(found), fontsize=7)
    for panel in panels[len(measured.scores) :]:
        panel.remove()
    counts = {len(own) for own in measured.need.values()}
    bars = " Bars: 95 % intervals over seeds." if max(counts) > 1 else ""
    figure.suptitle(
        "A point is a client: what its accuracy gains by width, and its score, means over seeds."
        f"{bars}",
        fontsize=7,
    )
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
    with path.open(encoding="utf-8", newline="") as file:
        records = list(csv.DictReader(file))
    try:
        names = [name for name in records[0] if name not in _KEYS]
        need = _by_client(records, "score", 100.0)
        scores = {name: _by_client(records, name, 1.0) for name in names}
        correlations = {name: _correlations(records, name) for name in names}
    except (IndexError, KeyError, TypeError, ValueError):
        raise UserError(f"{path} is damaged: run need again") from None
    return Measured(need, scores, correlations)


def _by_client(
    records: Sequence[dict[str, str]], column: str, factor: float
) -> dict[str, dict[int, float]]:
    """Returns a column by client and seed, means over folds."""
    found = collections.defaultdict[str, dict[int, list[float]]](dict)
    for record in records:
        own = found[from_csv_cell(record["client"])].setdefault(int(record["seed"]), [])
        own.append(factor * float(record[column]))
    return {name: {s: float(np.mean(own)) for s, own in of.items()} for name, of in found.items()}


def _correlations(records: Sequence[dict[str, str]], column: str) -> dict[int, float]:
    """Returns the rank correlation with the need by seed, means over folds; without those of none.

    A score that is constant has no rank.
    """
    pairs = collections.defaultdict[tuple[int, str], list[tuple[float, float]]](list)
    for record in records:
        both = float(record["score"]), float(record[column])
        pairs[int(record["seed"]), record.get("fold") or "0"].append(both)
    by_seed = collections.defaultdict[int, list[float]](list)
    for (seed, _), own in pairs.items():
        found = rank_correlation(*np.array(own).T)
        by_seed[seed].extend([found] * bool(np.isfinite(found)))
    return {seed: float(np.mean(own)) for seed, own in by_seed.items() if own}


def _draw(
    panel: Any, by_client: dict[str, dict[int, float]], need: dict[str, dict[int, float]]
) -> None:
    """Draws the clients in one panel."""
    panel.axhline(0, color="0.6", linewidth=0.8, zorder=0)
    at = [float(np.mean(list(by_client[name].values()))) for name in need]
    values = [np.array(list(own.values())) for own in need.values()]
    means = [float(own.mean()) for own in values]
    if len(need) <= _BARRED:
        halves = [0.0 if np.isnan(half := interval(own)) else half for own in values]
        panel.errorbar(at, means, yerr=halves, fmt="o", color="#0072B2", elinewidth=0.7, capsize=0)
    else:
        panel.plot(at, means, "o", color="#0072B2", alpha=0.6)
    panel.margins(0.08)


def _correlation(found: np.ndarray) -> str:
    """Writes the mean rank correlation with its interval, which stays within -1 and 1."""
    if not found.size:
        return "no rank correlation, as it is constant"
    half = interval(found)
    spread = "" if np.isnan(half) else f" ± {half:.2f}"
    return f"rank correlation {found.mean():+.2f}{spread}"
