"""What is evaluated along a run, and at which sizes."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import jax
import numpy as np

from hasa_jax.base import ClientData, ClientMetrics, Cohort, ServerState
from hasa_jax.execution import seeds as together
from hasa_jax.execution.round import FederatedAlgorithm
from hasa_jax.execution.seeds import Trial
from hasa_jax.simulation import cohorts, evaluation
from hasa_jax.simulation.feed import Feed


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


SUPERNET = "supernet"
"""The level of the whole supernet, whatever other levels there are."""


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
    found += [View(split, SUPERNET, finest, True) for split in splits]
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
            cohort, calibrators = _placed(algorithm, trials, latest, part.clients, possible)
            sums = _sums(algorithm, states, part.data, part.train, cohort, calibrators, view.whole)
            host = jax.device_get(sums)
            for number, new in enumerate(latest):
                placed = jax.tree.map(lambda x, e=number: x[e], cohort)
                one = jax.tree.map(lambda x, e=number: x[e], host)
                found = evaluation.per_client(one, placed)
                new.loss[part.clients], new.accuracy[part.clients] = found.loss, found.accuracy
                new.targets[part.clients] = found.count
    return scores


def _placed(
    algorithm: FederatedAlgorithm,
    trials: Sequence[Trial],
    scores: Sequence[Score],
    clients: np.ndarray,
    possible: np.ndarray,
) -> tuple[Cohort, Cohort | None]:
    """Lays out the clients to evaluate in each trial, and those whose subnets are calibrated."""
    view = scores[0].view
    kept = [score.units[clients] for score in scores]

    def lay(chosen: Sequence[np.ndarray]) -> Cohort:
        return cohorts.stacked(
            [
                algorithm.evaluation.place(
                    clients[own],
                    units[own],
                    np.ones(len(own)),
                    getattr(trial.dataset, view.split).num_examples,
                    algorithm.batch_size,
                    possible if view.units is None else None,
                    alone=len(trials) > 1,
                )
                for trial, units, own in zip(trials, kept, chosen, strict=True)
            ]
        )

    cohort = lay([np.arange(len(clients)) for _ in trials])
    if not algorithm.model.moments:
        return cohort, None
    by_size = algorithm.extraction.by_size
    # As many in every trial and round, so that nothing is compiled again.
    sizes = possible if view.units is None else [view.units]
    count = min(len(np.unique(sizes)), len(clients)) if by_size else len(clients)
    stand = [evaluation.standing_for(algorithm.extraction, units, count) for units in kept]
    return cohort, lay(stand)


@functools.partial(jax.jit, static_argnames=("algorithm", "whole"))
def _sums(
    algorithm: FederatedAlgorithm,
    states: ServerState,
    data: ClientData,
    train: ClientData,
    cohort: Cohort,
    calibrators: Cohort | None,
    whole: bool,
) -> ClientMetrics:
    """Sums metrics of every trial, `[E, P, V, L]`."""

    def one(state: ServerState, data: ClientData, train: ClientData, cohort: Cohort, calibrators):
        return evaluation.evaluate(
            algorithm, state, data, train, cohort, whole=whole, calibrators=calibrators
        )

    return together.over_seeds(one, algorithm.devices, states, data, train, cohort, calibrators)
