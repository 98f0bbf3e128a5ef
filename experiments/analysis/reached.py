"""What every method reached at every size: local and global accuracies, from sizes.csv.

Local accuracy is that of clients' own subnets on their own test examples. Global accuracy is that
of a size on the test examples of all clients, on all classes. With `eval_clients` both are over
the clients that were drawn only.
"""

from __future__ import annotations

import collections
import dataclasses
import math
from collections.abc import Mapping, Sequence

import numpy as np

from experiments.analysis.results import Arm, Record, Results, arm_of
from hasa_jax.base import UserError

Seeds = dict[int, float]
"""A number by seed."""


@dataclasses.dataclass(frozen=True)
class Sizes:
    """What one method reached, at the last round unless it says otherwise; shares, not percent.

    Attributes:
      arm: the method and its policy.
      local: mean over clients of their local accuracy.
      local_at: the same over the clients of one size, by level.
      global_at: global accuracy, by level.
      own_classes: accuracy of the largest level on clients' own test examples, mean over clients;
        only on their own classes where the method hides others.
      trained: levels that clients have.
      params: mean share of the supernet's parameters that clients hold, by their examples.
      clients: local accuracies of all clients and seeds.
      curve: global accuracy, mean over the trained levels, by round.
      empty_at: share of the layers without a weight at the first and the last evaluation, mean over
        seeds, by level; empty where sizes.csv does not say.
      severed_at: share of the seeds in which no path led from input to output then, by level.
    """

    arm: Arm
    local: Seeds
    local_at: Mapping[str, Seeds]
    global_at: Mapping[str, Seeds]
    own_classes: Seeds
    trained: tuple[str, ...]
    params: Seeds
    clients: np.ndarray
    curve: Mapping[int, Seeds]
    empty_at: Mapping[str, tuple[float, float]]
    severed_at: Mapping[str, tuple[float, float]]

    @property
    def all_sizes(self) -> Seeds:
        """Global accuracy, mean over the trained levels."""
        return self.curve[max(self.curve)]


def read(found: Results) -> list[Sizes]:
    """Gathers what every method reached.

    Args:
      found: results of runs with `eval_levels`.

    Returns:
      An entry for each arm, in the order of the records.

    Raises:
      UserError: if an arm has no such results.
    """
    by_arm: dict[Arm, list[Record]] = {arm: [] for arm in found.arms}
    for record in found.sizes:
        by_arm[arm_of(record)].append(record)
    for arm, own in by_arm.items():
        if not own:
            raise UserError(f"sizes.csv has nothing of {arm.name!r}: run it with `eval_levels`")
    return [
        _sizes_of(
            arm,
            [r for r in found.metrics if r["split"] == "test" and arm_of(r) == arm],
            own,
            [r for r in found.summary if arm_of(r) == arm],
            found.levels.get(arm),
        )
        for arm, own in by_arm.items()
    ]


def _sizes_of(
    arm: Arm,
    metrics: Sequence[Record],
    sizes: Sequence[Record],
    summary: Sequence[Record],
    given: Sequence[float] | None,
) -> Sizes:
    """Gathers the records of one arm; `given` are the levels of its policy, if it has any."""
    last = str(max(int(r["round"]) for r in sizes))
    clients = [r for r in metrics if r["round"] == last]
    size_of = {r["level"]: r["size"] for r in sizes}
    levels = sorted(size_of, key=float)
    held = {r["size"] for r in clients}
    trained = tuple(level for level in levels if size_of[level] in held)
    if given is not None:
        # Of levels whose subnets are equally large, those that the clients were given.
        trained = tuple(x for x in trained if float(x) in given)
    rounds = sorted({int(r["round"]) for r in sizes})
    at_last = [r for r in sizes if r["round"] == last]
    return Sizes(
        arm=arm,
        local=_means(clients, "accuracy"),
        local_at={
            level: _means([r for r in clients if r["size"] == size_of[level]], "accuracy")
            for level in trained
        },
        global_at={
            level: _means([r for r in at_last if r["level"] == level], "global_accuracy")
            for level in levels
        },
        own_classes=_means([r for r in at_last if r["level"] == levels[-1]], "local_accuracy"),
        trained=trained,
        params=_means([r for r in summary if r.get("budget_params")], "budget_params"),
        clients=np.array([float(r["accuracy"]) for r in clients]),
        curve={
            number: _means(
                [r for r in sizes if r["round"] == str(number) and r["level"] in trained],
                "global_accuracy",
            )
            for number in rounds
        },
        empty_at=_first_and_last(sizes, "empty_layers", rounds),
        severed_at=_first_and_last(sizes, "severed", rounds),
    )


def _first_and_last(
    sizes: Sequence[Record], column: str, rounds: Sequence[int]
) -> dict[str, tuple[float, float]]:
    """Returns the mean of a column at the first and at the last round, by level."""
    known = [record for record in sizes if record.get(column)]
    values: dict[str, dict[int, list[float]]] = {}
    for record in known:
        of_level = values.setdefault(record["level"], {})
        of_level.setdefault(int(record["round"]), []).append(float(record[column]))
    return {
        level: (float(np.mean(own[rounds[0]])), float(np.mean(own[rounds[-1]])))
        for level, own in values.items()
    }


def _means(records: Sequence[Record], column: str) -> Seeds:
    """Returns the mean of a column for each seed, over its folds, too; NaN where all of it is."""
    by_seed = collections.defaultdict(list)
    for record in records:
        by_seed[int(record["seed"])].append(float(record[column]))
    known = {seed: [x for x in own if not math.isnan(x)] for seed, own in sorted(by_seed.items())}
    return {seed: float(np.mean(own)) if own else math.nan for seed, own in known.items()}
