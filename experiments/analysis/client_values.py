"""The test accuracy of every client by arm, round and seed, for pictures and reports."""

from __future__ import annotations

import collections
from collections.abc import Collection, Mapping, Sequence

from experiments.analysis.by_seed import client_accuracy
from experiments.analysis.results import Arm, Record, arm_of

Values = Mapping[tuple[Arm, str, int], Mapping[int, float]]
"""Test accuracies by arm, client and round, then by seed: shares of 1, NaN where there is none."""


def accuracies_of(metrics: Sequence[Record], rounds: Collection[int]) -> Values:
    """Gathers test accuracies; of folds, their mean, each weighted by its test examples.

    Args:
      metrics: records of metrics.csv.
      rounds: that are read.

    Returns:
      The accuracies.
    """
    folds: dict[tuple[Arm, str, int, int], list[Record]] = {}
    for record in metrics:
        if record["split"] == "test" and int(record["round"]) in rounds:
            place = (arm_of(record), record["client"], int(record["round"]), int(record["seed"]))
            folds.setdefault(place, []).append(record)
    found: dict[tuple[Arm, str, int], dict[int, float]] = collections.defaultdict(dict)
    for (arm, client, round, seed), own in folds.items():
        found[arm, client, round][seed] = client_accuracy(own)
    return found
