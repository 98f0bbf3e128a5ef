"""What is evaluated along a run, and the rows that come of it."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from hasa_jax import cohorts, evaluation, together
from hasa_jax.algorithm import FederatedAlgorithm
from hasa_jax.allocation import Allocation
from hasa_jax.base import ClientData, ClientMetrics, Cohort, ServerState
from hasa_jax.feeding import Feed
from hasa_jax.together import Trial

Rows = dict[str, list[dict[str, Any]]]
"""Rows by table, one of `tracking.TABLES`."""


class Score(NamedTuple):
    """One split at one choice of sizes, in one trial.

    Attributes:
      split: its name, `supernet_...` if every client evaluates the whole supernet.
      units: the size of every client `[N]`.
      loss: as in `evaluation.ClientScores`, and
      accuracy: likewise.
    """

    split: str
    units: np.ndarray
    loss: np.ndarray
    accuracy: np.ndarray


def score(
    algorithm: FederatedAlgorithm,
    states: ServerState,
    feed: Feed,
    trials: Sequence[Trial],
    round: int,
    possible: np.ndarray,
) -> list[list[Score]]:
    """Evaluates validation and test examples at the clients' own sizes, and at full size.

    Args:
      algorithm: supplies extraction and execution.
      states: the server's state in each trial `[E]`.
      feed: supplies the data.
      trials: what is evaluated.
      round: rounds done; own sizes are those that the next round would have.
      possible: sizes that clients may have in this run, with repeats.

    Returns:
      Four scores for each trial.
    """
    finest = max(algorithm.model.groups.values())
    scores: list[list[Score]] = [[] for _ in trials]
    for prefix in ("", "supernet_"):
        for split in ("validation", "test"):
            for own, trial in zip(scores, trials, strict=True):
                units = trial.allocation.units_at(round)
                units = np.full_like(units, finest) if prefix else units
                empty = np.full(len(units), np.nan)
                own.append(Score(prefix + split, units, empty, empty.copy()))
            latest = [own[-1] for own in scores]
            for part in feed.parts(split):
                placed = [
                    algorithm.evaluation.place(
                        part.clients,
                        new.units[part.clients],
                        np.ones(len(part.clients)),
                        getattr(trial.dataset, split).num_examples,
                        algorithm.batch_size,
                        None if prefix else possible,
                        alone=len(trials) > 1,
                    )
                    for new, trial in zip(latest, trials, strict=True)
                ]
                cohort = cohorts.stacked(placed)
                # A client's own subnet is for its own classes; the supernet is for all.
                sums = _sums(algorithm, states, part.data, part.train, cohort, bool(prefix))
                host = jax.device_get(sums)
                for number, new in enumerate(latest):
                    found = evaluation.per_client(
                        jax.tree.map(lambda x, e=number: x[e], host), placed[number]
                    )
                    new.loss[part.clients], new.accuracy[part.clients] = found.loss, found.accuracy
    return scores


@functools.partial(jax.jit, static_argnames=("algorithm", "whole"))
def _sums(
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
    (test,) = (score for score in found if score.split == "test")
    sizes = trial.dataset.test.num_examples
    result = evaluation.summarize(test.accuracy, sizes, tail_fraction)
    return {
        "metrics": client_rows(front, algorithm, trial, found),
        "summary": [{**front, **_summary_columns(result, trial.allocation)}],
        "timings": [{**front, **seconds}],
    }


def client_rows(
    front: Mapping[str, Any], algorithm: FederatedAlgorithm, trial: Trial, scores: Sequence[Score]
) -> list[dict[str, Any]]:
    """Returns a row for each split and client of a trial, in client order."""
    width_of = {
        int(units): algorithm.extraction.shape(algorithm.model, int(units)).width
        for units in np.unique(np.concatenate([score.units for score in scores]))
    }
    sizes = {split: getattr(trial.dataset, split).num_examples for split in ("validation", "test")}
    return [
        {
            **front,
            "client": name,
            "num_examples": int(sizes[score.split.removeprefix("supernet_")][client]),
            "width": float(width_of[int(score.units[client])]),
            "split": score.split,
            "loss": float(score.loss[client]),
            "accuracy": float(score.accuracy[client]),
        }
        for score in scores
        for client, name in enumerate(trial.dataset.client_names)
    ]


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
