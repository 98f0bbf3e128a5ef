"""Arms side by side in one round: a record for each seed, and whether their budgets match."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from experiments.analysis import by_seed
from experiments.analysis.results import Arm, Record, Results, arm_of

MATCHED_WITHIN = 0.01
"""Achieved budgets that differ by more than this are not matched."""

MEASURES = "need"
"""The policy that measures clients while a run trains."""


def at_round(found: Results, round: int) -> dict[Arm, dict[int, Record]]:
    """Gathers the records of one round.

    Args:
      found: the results.
      round: the round.

    Returns:
      By arm and seed: means over the folds of a seed.
    """
    by_arm: dict[Arm, dict[int, list[Record]]] = {arm: {} for arm in found.arms}
    for record in found.summary:
        if int(record["round"]) == round:
            by_arm[arm_of(record)].setdefault(int(record["seed"]), []).append(record)
    return {
        arm: {seed: by_seed.means(records) for seed, records in own.items()}
        for arm, own in by_arm.items()
    }


def achieved(records: Mapping[int, Record], unit: str) -> dict[int, float]:
    """Reads the achieved budgets of an arm.

    Args:
      records: by seed.
      unit: what the budget counts.

    Returns:
      By seed; NaN where a record does not say.
    """
    return {seed: float(own.get(f"budget_{unit}") or "nan") for seed, own in records.items()}


def budgets_match(own: Mapping[int, float], base: Mapping[int, float]) -> bool:
    """Returns whether two arms achieve the same budget on each seed that both have.

    Args:
      own: achieved budgets of one arm, by seed.
      base: those of the other.

    Returns:
      False too if they have no seed in common, or if a budget is not known.
    """
    seeds = own.keys() & base.keys()
    # Rounding must not decide about a gap of exactly .01.
    return bool(seeds) and all(abs(own[s] - base[s]) <= MATCHED_WITHIN + 1e-9 for s in seeds)


def executed(records: Mapping[int, Record]) -> float:
    """Returns the MACs that an arm executes, measuring included.

    Args:
      records: by seed.

    Returns:
      A fraction of the supernet's, mean over seeds; NaN if a record does not say.
    """
    return float(np.mean(list(achieved(records, "executed").values())))


def measuring_remark(policy: str, name: str, own: float, base_name: str, base: float) -> str:
    """Says what measuring adds to an arm, which a match of budgets leaves out.

    Args:
      policy: of the arm.
      name: what the arm is called.
      own: MACs that it executes, a fraction of the supernet's.
      base_name: what the reference is called.
      base: MACs that the reference executes.

    Returns:
      A line; empty for a policy that measures nothing, or if the MACs are not known.
    """
    if policy.partition("@")[0] != MEASURES or math.isnan(own) or math.isnan(base):
        return ""
    return (
        f"{name}: its measurements are in the executed MACs ({own:.3f} of the supernet's, "
        f"{base_name} {base:.3f}) and in the bytes, but budgets match without them."
    )
