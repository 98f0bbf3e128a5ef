"""From records of folds to one value of each seed, in which folds that are missing are found.

Folds of a seed share their data, so they are no independent values. The mean over all folds of a
seed is one value; a seed of an arm without all of its folds has none.
"""

from __future__ import annotations

import collections
import math
from collections.abc import Mapping, Sequence, Set
from typing import NamedTuple

import numpy as np

from hasa_jax.simulation.summary import summarize

_SPLITS = {"": "test", "global_": "supernet_test"}
"""Splits of metrics.csv, by the prefix of their columns in summary.csv."""

_NO_NUMBERS = frozenset(
    {"method", "policy", "extraction", "aggregation", "folder", "seed", "fold", "round"}
)


class Evaluation(NamedTuple):
    """What has one value: an arm on a seed after a round.

    Attributes:
      arm: the method, the policy and the folder.
      seed: the seed.
      round: communication round.
    """

    arm: tuple[str, str, str]
    seed: int
    round: int


def evaluation_of(record: Mapping[str, str]) -> Evaluation:
    """Returns what a record is a part of."""
    arm = (record["method"], record["policy"], record.get("folder", ""))
    return Evaluation(arm, int(record["seed"]), int(record["round"]))


def incomplete(summary: Sequence[Mapping[str, str]], folds: int) -> Set[Evaluation]:
    """Finds the evaluations that lack folds.

    Args:
      summary: records of summary.csv.
      folds: folds of each seed; 0 for none.

    Returns:
      Those whose records are not of the folds 1 to `folds`.
    """
    found: dict[Evaluation, set[int]] = collections.defaultdict(set)
    for record in summary:
        found[evaluation_of(record)].add(int(record["fold"]))
    every = set(range(1, folds + 1)) or {0}
    return {evaluation for evaluation, own in found.items() if own != every}


def remark_of(lacking: Set[Evaluation], summary: Sequence[Mapping[str, str]], folds: int) -> str:
    """Counts what is left out for lack of folds.

    Args:
      lacking: from `incomplete`.
      summary: records of summary.csv.
      folds: folds of each seed.

    Returns:
      A line; empty if nothing lacks any.
    """
    if not lacking:
        return ""
    by_arm: dict[str, set[int]] = collections.defaultdict(set)
    for (method, policy, folder), seed, _ in sorted(lacking):
        by_arm[f"{method}:{policy}{f' ({folder})' if folder else ''}"].add(seed)
    pairs = sum(map(len, by_arm.values()))
    shown = "; ".join(
        f"{arm} of seed{'s' * (len(seeds) > 1)} {', '.join(map(str, sorted(seeds)))}"
        for arm, seeds in by_arm.items()
    )
    every = {(own.arm, own.seed) for own in map(evaluation_of, summary)}
    return (
        f"Left out, as some of their {folds} folds are missing: {shown} ({pairs} of {len(every)} "
        "pairs of arm and seed)."
    )


def pooled(
    summary: Sequence[Mapping[str, str]],
    metrics: Sequence[Mapping[str, str]],
    tail_fraction: float,
) -> list[Mapping[str, str]]:
    """Gives every fold the worst and tail clients of its seed: those over all folds.

    The worst client of a single fold is mostly the one with the fewest test examples. So the
    accuracy of a client is its mean over all folds, weighted by their test examples.

    Args:
      summary: records of summary.csv, of evaluations that lack no fold.
      metrics: records of metrics.csv of the same evaluations.
      tail_fraction: share of the clients in the tail.

    Returns:
      The records of summary.csv, in which all folds of a seed have the same worst and tail
      accuracies and the same deviation over clients.
    """
    clients: dict[tuple[Evaluation, str], dict[str, list[Mapping[str, str]]]] = {}
    for record in metrics:
        if record["split"] in _SPLITS.values() and record["num_examples"] != "0":
            own = clients.setdefault((evaluation_of(record), record["split"]), {})
            if not math.isnan(float(record["accuracy"])):
                own.setdefault(record["client"], []).append(record)
    found = {key: _over_folds(own, tail_fraction) for key, own in clients.items()}
    lines = []
    for record in summary:
        evaluation, changed = evaluation_of(record), dict(record)
        for prefix, split in _SPLITS.items():
            values = found.get((evaluation, split), {})
            # A file may lack some columns, and a cell may be empty.
            changed |= {f"{prefix}{n}": v for n, v in values.items() if record.get(f"{prefix}{n}")}
        lines.append(changed)
    return lines


def client_accuracy(records: Sequence[Mapping[str, str]]) -> float:
    """Returns the accuracy of a client on one seed after one round: its mean over folds.

    The folds are weighted by their test examples: `sum_f n_f a_f / sum_f n_f`.

    Args:
      records: lines of metrics.csv of one arm, client, split, seed and round, one for each fold; a
        single one without folds.

    Returns:
      A share of 1. Folds whose accuracy is NaN or that have no examples do not count; NaN if none
      does.
    """
    if len(records) == 1:  # Populations are large, and few have folds.
        return float(records[0]["accuracy"]) if examples_of(records[0]) else math.nan
    pairs = [(float(record["accuracy"]), examples_of(record)) for record in records]
    known = [(accuracy, count) for accuracy, count in pairs if count and not math.isnan(accuracy)]
    total = sum(count for _, count in known)
    return sum(accuracy * count for accuracy, count in known) / total if known else math.nan


def examples_of(record: Mapping[str, str]) -> float:
    """Returns the examples of a line of metrics.csv; 1 where they are not recorded."""
    return float(record.get("num_examples") or 1)


def _over_folds(
    clients: Mapping[str, Sequence[Mapping[str, str]]], tail_fraction: float
) -> dict[str, str]:
    """Returns cells of the worst and tail accuracies and their deviation."""
    accuracies = np.array([client_accuracy(own) for own in clients.values()])
    examples = np.array([sum(map(examples_of, own)) for own in clients.values()])
    spread = summarize(accuracies, examples, tail_fraction)
    return {f"{name}_accuracy": repr(getattr(spread, name)) for name in ("worst", "tail", "std")}


def means(records: Sequence[Mapping[str, str]]) -> Mapping[str, str]:
    """Returns one record for the folds of a seed.

    Args:
      records: of one evaluation, one for each fold.

    Returns:
      The mean of every column of numbers; empty where a fold has none. A single record stays as it
      is.
    """
    if len(records) == 1:
        return records[0]
    first = records[0]
    return {name: first[name] if name in _NO_NUMBERS else _mean(name, records) for name in first}


def _mean(name: str, records: Sequence[Mapping[str, str]]) -> str:
    """Returns the mean of a column as a cell."""
    cells = [record.get(name, "") for record in records]
    return repr(float(np.mean([float(cell) for cell in cells]))) if all(cells) else ""
