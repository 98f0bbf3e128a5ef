"""The test accuracy of every client by arm, round and seed, for tables, pictures and reports.

Clients that are dealt again for each seed are others in each, so one seed is shown.
"""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Collection, Mapping, Sequence

from experiments.analysis.by_seed import client_accuracy
from experiments.analysis.results import Arm, Record, Results, arm_of

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


def shown_seed(found: Results) -> int | None:
    """Chooses the seed that is shown for all, where clients are dealt again for each.

    Args:
      found: the results.

    Returns:
      The first seed that every arm has, else the first one of the first arm; None where clients
      are the same in every seed, or there is one seed.
    """
    seeds: dict[Arm, set[int]] = {arm: set() for arm in found.arms}
    for record in found.summary:
        seeds[arm_of(record)].add(int(record["seed"]))
    if not found.dealt or len(set().union(*seeds.values())) < 2:
        return None
    return min(set.intersection(*seeds.values()) or seeds[found.arms[0]])


def of_shown_seed(found: Results) -> Results:
    """Leaves out what is known of clients in other seeds than `shown_seed`.

    Args:
      found: the results.

    Returns:
      The results with the metrics and scores of that seed; as they are where there is none.
    """
    seed = shown_seed(found)
    if seed is None:
        return found
    return dataclasses.replace(
        found,
        metrics=[record for record in found.metrics if int(record["seed"]) == seed],
        scores={
            arm: {block: own for block, own in of_arm.items() if block.seed == seed}
            for arm, of_arm in found.scores.items()
        },
    )


def seed_note(found: Results) -> str:
    """Says why one seed is shown.

    Args:
      found: the results, with all seeds.

    Returns:
      A sentence; empty where `shown_seed` is None.
    """
    seed = shown_seed(found)
    if seed is None:
        return ""
    return (
        f"Only clients of seed {seed} are shown: {found.dealt}, so numbers of a client are not "
        "averaged over seeds."
    )
