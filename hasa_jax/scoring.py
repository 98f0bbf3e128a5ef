"""What is evaluated along a run, and the rows that come of it."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from hasa_jax import cohorts, evaluation, together
from hasa_jax.algorithm import FederatedAlgorithm
from hasa_jax.base import ClientData, ClientMetrics, Cohort, ServerState
from hasa_jax.together import Trial


class Check(NamedTuple):
    """One split at one choice of widths, laid out for evaluation; leaves have the axis `[E]`."""

    split: str
    data: ClientData
    cohort: Cohort
    num_examples: list[np.ndarray]
    widths: list[np.ndarray]


def lay_out(
    algorithm: FederatedAlgorithm, trials: Sequence[Trial], round: int, possible: np.ndarray
) -> list[Check]:
    """Lays out every split at the clients' own widths and at full width."""
    model, shape = algorithm.model, algorithm.extraction.shape
    finest = max(model.groups.values())
    checks = []
    for prefix in ("", "supernet_"):
        for split in ("validation", "test"):
            parts = [getattr(trial.dataset, split) for trial in trials]
            kept = [
                trial.allocation.units_at(round)
                if not prefix
                else np.full(part.num_clients, finest)
                for trial, part in zip(trials, parts, strict=True)
            ]
            placed = [
                algorithm.evaluation.place(
                    np.arange(len(units)),
                    units,
                    np.ones(len(units)),
                    part.num_examples,
                    algorithm.batch_size,
                    None if prefix else possible,
                    alone=len(trials) > 1,
                )
                for units, part in zip(kept, parts, strict=True)
            ]
            cohort = cohorts.stacked(placed)
            data = together.put(together.stack_data(parts), algorithm.devices, len(trials))
            widths = [np.array([shape(model, int(k)).width for k in units]) for units in kept]
            sizes = [part.num_examples for part in parts]
            checks.append(Check(prefix + split, data, cohort, sizes, widths))
    return checks


def score(
    algorithm: FederatedAlgorithm,
    states: ServerState,
    train: ClientData,
    check: Check,
) -> list[evaluation.ClientScores]:
    """Evaluates one split of every trial.

    Args:
      algorithm: supplies extraction and execution.
      states: the server's state in each trial `[E]`.
      train: training examples of all clients in each trial.
      check: what to evaluate.

    Returns:
      Loss and accuracy of every client, for each trial.
    """
    # A client's own subnet is for its own classes; the supernet is for all.
    whole = check.split.startswith("supernet_")
    sums = _score(algorithm, states, check.data, train, check.cohort, whole)
    host = jax.device_get(sums)
    return [
        evaluation.per_client(*jax.tree.map(lambda x, e=e: x[e], (host, check.cohort)))
        for e in range(len(check.widths))
    ]


@functools.partial(jax.jit, static_argnames=("algorithm", "whole"))
def _score(
    algorithm: FederatedAlgorithm,
    states: ServerState,
    data: ClientData,
    train: ClientData,
    cohort: Cohort,
    whole: bool,
) -> ClientMetrics:
    """Sums metrics of every trial, `[E, P, V, L]`."""

    def one(state: ServerState, data: ClientData, train: ClientData, cohort: Cohort):
        return evaluation.evaluate(algorithm, state, data, train, cohort, whole=whole)

    return together.over_seeds(one, algorithm.devices, states, data, train, cohort)


def client_rows(
    front: Mapping[str, Any],
    check: Check,
    scores: evaluation.ClientScores,
    trial: Trial,
    number: int,
) -> list[dict[str, Any]]:
    """Returns a row for each client of a trial, in client order."""
    return [
        {
            **front,
            "client": name,
            "num_examples": int(check.num_examples[number][client]),
            "width": float(check.widths[number][client]),
            "split": check.split,
            "loss": float(scores.loss[client]),
            "accuracy": float(scores.accuracy[client]),
        }
        for client, name in enumerate(trial.dataset.client_names)
    ]
