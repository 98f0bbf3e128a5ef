"""The tables of what clients gain by width, and of how scores follow it."""

from __future__ import annotations

import csv
import pathlib
from collections.abc import Mapping, Sequence

import numpy as np

from experiments.analysis import statistics
from experiments.analysis.table import Cell, Table
from experiments.study.block import Block
from hasa_jax.base import UserError
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

    Raises:
      UserError: if it is damaged: it has no lines, or a cell without its number.
    """
    try:
        with path.open(encoding="utf-8", newline="") as file:
            lines: list[Line] = [
                {"fold": 0, **line, "client": from_csv_cell(line["client"])}
                for line in csv.DictReader(file)
            ]
        blocks = {_block(line): None for line in lines}
        for line in lines:
            _ = [_number(line, name) for name in ("score", *names_of(lines))]
        if not blocks:
            raise ValueError(path)
    except (KeyError, TypeError, ValueError, AttributeError, csv.Error):
        raise UserError(f"{path} is damaged: run need again") from None
    return lines


def names_of(lines: Sequence[Line]) -> list[str]:
    """Returns the names of the scores; there may be none."""
    return [name for name in lines[0] if name not in _KEYS]


def by_client(lines: Sequence[Line], column: str) -> dict[str, dict[int, float]]:
    """Returns a column by client and seed, means over folds.

    Args:
      lines: from `read_lines`.
      column: `score` for the need, or a score.

    Returns:
      The values.
    """
    found: dict[str, dict[int, list[float]]] = {}
    for line in lines:
        of_client = found.setdefault(str(line["client"]), {})
        of_client.setdefault(_block(line).seed, []).append(_number(line, column))
    return {name: {s: float(np.mean(own)) for s, own in of.items()} for name, of in found.items()}


def by_block(lines: Sequence[Line], column: str) -> dict[Block, np.ndarray]:
    """Returns a column of all clients `[N]`, in the order of the lines, by block.

    Args:
      lines: from `read_lines`.
      column: `score` for the need, or a score.

    Returns:
      The values.
    """
    found: dict[Block, list[float]] = {}
    for line in lines:
        found.setdefault(_block(line), []).append(_number(line, column))
    return {block: np.array(own) for block, own in found.items()}


def first_seed(lines: Sequence[Line], dealt: str) -> int | None:
    """Chooses the seed whose clients are shown where they are dealt again for each.

    Args:
      lines: from `read_lines`.
      dealt: `Results.dealt`.

    Returns:
      The first one; None where clients are the same in every seed, or there is one seed.
    """
    seeds = sorted({_block(line).seed for line in lines})
    return seeds[0] if dealt and len(seeds) > 1 else None


def lines_of_seed(lines: Sequence[Line], seed: int | None) -> list[Line]:
    """Returns the lines of a seed; all of them for None."""
    return [line for line in lines if seed is None or _block(line).seed == seed]


def tables_of(lines: Sequence[Line], dealt: str) -> tuple[Table, Table]:
    """Makes the tables.

    Args:
      lines: of every client, seed and fold, in one order of clients.
      dealt: `Results.dealt`, why a name is another client in every seed; else empty.

    Returns:
      The rank correlations of scores with the need, that of the need in the other seeds among them
      if there are several; and every client's mean need and scores. Where clients are dealt again
      for each seed, there is nothing of other seeds, and clients are those of the first one.
    """
    names = names_of(lines)
    need = by_block(lines, "score")
    scores = {name: by_block(lines, name) for name in names}
    seed = first_seed(lines, dealt)
    if not dealt and len({block.seed for block in need}) > 1:
        # No score can follow a need that is noise: the limit is what the other seeds show of it.
        total = np.sum(list(need.values()), axis=0)
        of_seed = {
            block.seed: np.sum([own for b, own in need.items() if b.seed == block.seed], axis=0)
            for block in need
        }
        scores["need in the other seeds"] = {b: total - of_seed[b.seed] for b in need}
    note = f"Only clients of seed {seed} are shown: {dealt}, so they are not averaged over seeds."
    own = _of_clients(lines_of_seed(lines, seed), names, () if seed is None else (note,))
    return correlations(need, scores), own


def rank_correlation(one: np.ndarray, other: np.ndarray) -> float:
    """Returns Spearman's rank correlation; NaN if one of them is constant."""
    import scipy.stats  # Takes half a second, which a run need not wait for at its start.

    ranks = [scipy.stats.rankdata(values) for values in (one, other)]
    if min(np.ptp(rank) for rank in ranks) == 0:
        return float("nan")
    return float(np.corrcoef(*ranks)[0, 1])


def by_seed(
    need: Mapping[Block, np.ndarray], score: Mapping[Block, np.ndarray]
) -> dict[int, float]:
    """Returns the rank correlation of a score with the need by seed, means over folds.

    Args:
      need: of all clients `[N]`, by block.
      score: of all clients `[N]`, by block.

    Returns:
      The correlations; none of a seed without any, as a constant has no rank.
    """
    found: dict[int, list[float]] = {}
    for block in need:
        own = rank_correlation(score[block], need[block])
        found.setdefault(block.seed, []).extend([own] * bool(np.isfinite(own)))
    return {seed: float(np.mean(own)) for seed, own in found.items() if own}


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
    for name, of_score in scores.items():
        known = np.array(list(by_seed(need, of_score).values()))
        mean = Cell("none")
        if known.size:
            text = statistics.number(known.mean(), statistics.interval(known), signed=True)
            mean = Cell(text, float(known.mean()))
        first = sum(
            int(of_score[own].argmax() == need[own].argmax() and np.ptp(of_score[own]) > 0)
            for own in need
        )
        rows.append((Cell(name), mean, Cell(f"{first} of {len(need)}", float(first))))
    headers = ("score", "rank correlation with the need", "neediest client ranked first")
    note = "The need is what validation accuracy gains by width; mean ± half the 95 % interval."
    return Table("need_scores", "Scores and the need for width", headers, tuple(rows), (note,))


def _of_clients(lines: Sequence[Line], names: Sequence[str], notes: tuple[str, ...]) -> Table:
    """Makes the table of every client's mean need and scores."""
    rows = []
    for client, needs in by_client(lines, "score").items():
        own = [line for line in lines if line["client"] == client]
        means = [float(np.mean([_number(line, name) for line in own])) for name in names]
        gain = 100 * np.array(list(needs.values()))
        text = statistics.number(float(gain.mean()), statistics.interval(gain), signed=True)
        scores = [Cell(f"{mean:.4g}", mean) for mean in means]
        rows.append((Cell(client), Cell(text, float(gain.mean())), *scores))
    headers = ("client", "need (points)", *names)
    title = "Mean need and scores of every client"
    return Table("need_clients", title, headers, tuple(rows), notes)


def _block(line: Line) -> Block:
    """Returns the seed of a line, and its fold."""
    return Block(int(str(line["seed"])), int(str(line["fold"])))


def _number(line: Line, column: str) -> float:
    """Returns a number of a line."""
    return float(str(line[column]))
