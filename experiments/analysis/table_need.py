"""The tables of what clients gain by width, and of how scores follow it."""

from __future__ import annotations

import csv
import pathlib
from collections.abc import Mapping, Sequence

import numpy as np

from experiments.analysis import statistics
from experiments.analysis.table import Cell, Table
from experiments.study.block import Block
from hasa_jax.simulation.escapes import from_csv_cell

FILE = "need.csv"
"""Name of the file of needs and scores in a workdir."""

_KEYS = ("seed", "fold", "client", "score")
"""Its columns that are no score; its column `score` is the need, for `score_path`."""

Line = Mapping[str, object]
"""A line of the file: texts or numbers."""


def read_lines(path: pathlib.Path) -> list[Line]:
    """Reads a file of needs.

    Args:
      path: the file, as the script `need` writes it.

    Returns:
      Its lines; fold 0 where it has no folds.
    """
    with path.open(encoding="utf-8", newline="") as file:
        return [
            {"fold": 0, **line, "client": from_csv_cell(line["client"])}
            for line in csv.DictReader(file)
        ]


def tables_of(lines: Sequence[Line]) -> tuple[Table, Table]:
    """Makes the tables.

    Args:
      lines: of every client, seed and fold, in one order of clients.

    Returns:
      The rank correlations of scores with the need, that of the need in the other seeds among them
      if there are several; and every client's mean need and scores.
    """
    names = [name for name in lines[0] if name not in _KEYS]
    need = _by_block(lines, "score")
    scores = {name: _by_block(lines, name) for name in names}
    if len({block.seed for block in need}) > 1:
        # No score can follow a need that is noise: the limit is what the other seeds show of it.
        total = np.sum(list(need.values()), axis=0)
        of_seed = {
            block.seed: np.sum([own for b, own in need.items() if b.seed == block.seed], axis=0)
            for block in need
        }
        scores["need in the other seeds"] = {b: total - of_seed[b.seed] for b in need}
    return correlations(need, scores), _by_client(lines, names)


def rank_correlation(one: np.ndarray, other: np.ndarray) -> float:
    """Returns Spearman's rank correlation; NaN if one of them is constant."""
    import scipy.stats  # Takes half a second, which a run need not wait for at its start.

    ranks = [scipy.stats.rankdata(values) for values in (one, other)]
    if min(np.ptp(rank) for rank in ranks) == 0:
        return float("nan")
    return float(np.corrcoef(*ranks)[0, 1])


def correlations(
    need: Mapping[Block, np.ndarray], scores: Mapping[str, Mapping[Block, np.ndarray]]
) -> Table:
    """Makes the table of rank correlations.

    Args:
      need: of all clients `[N]`, by block: a seed, or one of its folds.
      scores: of all clients `[N]`, by name and block.

    Returns:
      Mean over seeds of the correlation with the need, where a seed has the mean over its folds,
      its 95 % interval, and in how many blocks the neediest client has the highest score.
    """
    rows = []
    for name, by_block in scores.items():
        by_seed: dict[int, list[float]] = {}
        for block in need:
            found = rank_correlation(by_block[block], need[block])
            by_seed.setdefault(block.seed, []).extend([found] * bool(np.isfinite(found)))
        known = np.array([np.mean(own) for own in by_seed.values() if own])
        mean = Cell("none")
        if known.size:
            text = statistics.number(known.mean(), statistics.interval(known), signed=True)
            mean = Cell(text, float(known.mean()))
        first = sum(
            int(by_block[own].argmax() == need[own].argmax() and np.ptp(by_block[own]) > 0)
            for own in need
        )
        rows.append((Cell(name), mean, Cell(f"{first} of {len(need)}", float(first))))
    headers = ("score", "rank correlation with the need", "neediest client ranked first")
    note = "The need is what validation accuracy gains by width; mean ± half the 95 % interval."
    return Table("need_scores", "Scores and the need for width", headers, tuple(rows), (note,))


def _by_block(lines: Sequence[Line], column: str) -> dict[Block, np.ndarray]:
    """Returns a column of all clients `[N]` by block."""
    found: dict[Block, list[float]] = {}
    for line in lines:
        block = Block(int(str(line["seed"])), int(str(line["fold"])))
        found.setdefault(block, []).append(float(str(line[column])))
    return {block: np.array(own) for block, own in found.items()}


def _by_client(lines: Sequence[Line], names: Sequence[str]) -> Table:
    """Makes the table of every client's mean need and scores."""
    rows = []
    for client in dict.fromkeys(str(line["client"]) for line in lines):
        own = [line for line in lines if line["client"] == client]
        means = [float(np.mean([float(str(line[name])) for line in own])) for name in names]
        gain = _by_seed(own, "score")
        text = statistics.number(float(gain.mean()), statistics.interval(gain), signed=True)
        scores = [Cell(f"{mean:.4g}", mean) for mean in means]
        rows.append((Cell(client), Cell(text, float(gain.mean())), *scores))
    headers = ("client", "need (points)", *names)
    return Table("need_clients", "Mean need and scores of every client", headers, tuple(rows))


def _by_seed(lines: Sequence[Line], column: str) -> np.ndarray:
    """Returns the mean over the folds of every seed, in points."""
    found: dict[object, list[float]] = {}
    for line in lines:
        found.setdefault(line["seed"], []).append(100 * float(str(line[column])))
    return np.array([np.mean(own) for own in found.values()])
