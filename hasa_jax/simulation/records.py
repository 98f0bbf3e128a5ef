"""The rows of an evaluation."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from hasa_jax.allocation import Allocation
from hasa_jax.execution.round import FederatedAlgorithm
from hasa_jax.execution.seeds import Trial
from hasa_jax.simulation import evaluation
from hasa_jax.simulation.views import SUPERNET, Score

Rows = dict[str, list[dict[str, Any]]]
"""Rows by table, one of `tracking.TABLES`."""


def rows(
    algorithm: FederatedAlgorithm,
    trial: Trial,
    found: Sequence[Score],
    done: int,
    tail_fraction: float,
    seconds: Mapping[str, float],
) -> Rows:
    """Makes the rows of one evaluation of one trial.

    Args:
      algorithm: supplies the widths.
      trial: what was evaluated.
      found: its scores.
      done: rounds done.
      tail_fraction: share of clients that the tail accuracy averages over.
      seconds: columns of `timings`.

    Returns:
      The rows.
    """
    front = {**trial.labels, "round": done}
    own = next(score for score in found if score.view == ("test", "", None, False))
    sizes = trial.dataset.test.num_examples
    result = evaluation.summarize(own.accuracy, sizes, tail_fraction)
    clients = [score for score in found if score.view.level in ("", SUPERNET)]
    return {
        "metrics": client_rows(front, algorithm, trial, clients),
        "summary": [{**front, **_summary_columns(result, trial.allocation)}],
        "sizes": _size_rows(front, algorithm, [s for s in found if s not in clients]),
        "timings": [{**front, **seconds}],
    }


def client_rows(
    front: Mapping[str, Any], algorithm: FederatedAlgorithm, trial: Trial, scores: Sequence[Score]
) -> list[dict[str, Any]]:
    """Returns a row for each split and client of a trial, in client order."""
    width_of = _widths(algorithm, scores)
    sizes = {split: getattr(trial.dataset, split).num_examples for split in ("validation", "test")}
    return [
        {
            **front,
            "client": name,
            "num_examples": int(sizes[score.view.split][client]),
            "units": int(score.units[client]),
            "width": width_of[int(score.units[client])],
            "split": score.name,
            "loss": float(score.loss[client]),
            "accuracy": float(score.accuracy[client]),
        }
        for score in scores
        for client, name in enumerate(trial.dataset.client_names)
    ]


def _size_rows(
    front: Mapping[str, Any], algorithm: FederatedAlgorithm, scores: Sequence[Score]
) -> list[dict[str, Any]]:
    """Returns a row for each level: its subnet on the test examples of all clients.

    The global accuracy is that over all of them, on all classes. The local one is the mean over
    clients, on their own classes where the objective hides others.
    """
    width_of = _widths(algorithm, scores)
    # Where the objective hides nothing, one score is both.
    whole = {score.view.level: score for score in scores if score.view.whole}
    own = whole | {score.view.level: score for score in scores if not score.view.whole}
    rows = []
    for level, score in whole.items():
        right = np.nansum(score.accuracy * score.targets)
        columns = {
            "units": int(score.units[0]),
            "width": width_of[int(score.units[0])],
            "global_accuracy": float(right / score.targets.sum()),
            "local_accuracy": float(np.nanmean(own[level].accuracy)),
        }
        rows.append({**front, "level": level, **columns})
    return rows


def _widths(algorithm: FederatedAlgorithm, scores: Sequence[Score]) -> dict[int, float]:
    """Returns the width of every size that was scored."""
    kept = {int(units) for score in scores for units in np.unique(score.units)}
    return {
        units: float(algorithm.extraction.shape(algorithm.model, units).width) for units in kept
    }


def _summary_columns(result: evaluation.Summary, allocation: Allocation) -> dict[str, float]:
    """Names the columns of accuracies and budgets."""
    accuracies = {f"{name}_accuracy": v for name, v in dataclasses.asdict(result).items()}
    ledger = allocation.ledger
    return {
        **accuracies,
        "budget_requested": ledger.requested,
        "budget_width": ledger.width,
        "budget_params": ledger.params,
        "budget_macs": ledger.macs,
        "budget_executed": ledger.executed,
    }
