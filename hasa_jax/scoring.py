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


class View(NamedTuple):
    """What is evaluated, and at which size.

    Attributes:
      split: `validation` or `test`.
      level: what the user calls the size; empty for the clients' own sizes.
      units: the size of all clients, or None for their own.
      whole: whether on all classes, whatever the objective hides.
    """

    split: str
    level: str
    units: int | None
    whole: bool


_SUPERNET = "supernet"


class Score(NamedTuple):
    """One view in one trial.

    Attributes:
      view: what was evaluated.
      units: the size of every client `[N]`.
      loss: as in `evaluation.ClientScores`, and
      accuracy: likewise.
      targets: its `count`.
    """

    view: View
    units: np.ndarray
    loss: np.ndarray
    accuracy: np.ndarray
    targets: np.ndarray

    @property
    def name(self) -> str:
        """What was evaluated, in a word."""
        return "_".join(filter(None, [self.view.level, self.view.split]))


def views(algorithm: FederatedAlgorithm, levels: Mapping[str, int]) -> list[View]:
    """Returns what is evaluated each time.

    Args:
      algorithm: supplies the supernet and what the objective hides.
      levels: sizes at which all clients are evaluated, in units, by name.

    Returns:
      The clients' own sizes and the whole supernet, on both splits; the levels on the test split,
      on all classes and, if the objective hides some, on the clients' own.
    """
    finest = max(algorithm.model.groups.values())
    splits = ("validation", "test")
    # A client's own subnet is for its own classes; the supernet is for all.
    found = [View(split, "", None, False) for split in splits]
    found += [View(split, _SUPERNET, finest, True) for split in splits]
    for level, units in levels.items():
        found.append(View("test", level, units, True))
        if algorithm.rule.objective.own_classes:
            found.append(View("test", level, units, False))
    return found


def score(
    algorithm: FederatedAlgorithm,
    states: ServerState,
    feed: Feed,
    trials: Sequence[Trial],
    round: int,
    possible: np.ndarray,
    levels: Mapping[str, int],
) -> list[list[Score]]:
    """Evaluates validation and test examples: see `views`.

    Args:
      algorithm: supplies extraction and execution.
      states: the server's state in each trial `[E]`.
      feed: supplies the data.
      trials: what is evaluated.
      round: rounds done; own sizes are those that the next round would have.
      possible: sizes that clients may have in this run, with repeats.
      levels: sizes at which all clients are evaluated, in units, by name.

    Returns:
      A score of every view, for each trial.
    """
    scores: list[list[Score]] = [[] for _ in trials]
    for view in views(algorithm, levels):
        for own, trial in zip(scores, trials, strict=True):
            units = trial.allocation.units_at(round)
            units = units if view.units is None else np.full_like(units, view.units)
            empty = np.full((3, len(units)), np.nan)
            own.append(Score(view, units, *empty))
        latest = [own[-1] for own in scores]
        for part in feed.parts(view.split):
            placed = [
                algorithm.evaluation.place(
                    part.clients,
                    new.units[part.clients],
                    np.ones(len(part.clients)),
                    getattr(trial.dataset, view.split).num_examples,
                    algorithm.batch_size,
                    possible if view.units is None else None,
                    alone=len(trials) > 1,
                )
                for new, trial in zip(latest, trials, strict=True)
            ]
            cohort = cohorts.stacked(placed)
            sums = _sums(algorithm, states, part.data, part.train, cohort, view.whole)
            host = jax.device_get(sums)
            for number, new in enumerate(latest):
                found = evaluation.per_client(
                    jax.tree.map(lambda x, e=number: x[e], host), placed[number]
                )
                new.loss[part.clients], new.accuracy[part.clients] = found.loss, found.accuracy
                new.targets[part.clients] = found.count
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
    own = next(score for score in found if score.view == ("test", "", None, False))
    sizes = trial.dataset.test.num_examples
    result = evaluation.summarize(own.accuracy, sizes, tail_fraction)
    clients = [score for score in found if score.view.level in ("", _SUPERNET)]
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
