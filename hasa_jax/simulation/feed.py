"""What the programs of a run are fed: all data once, or the part that each round needs."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from hasa_jax.base import ClientData, Cohort
from hasa_jax.execution import seeds as together
from hasa_jax.execution.round import FederatedAlgorithm
from hasa_jax.execution.seeds import Trial
from hasa_jax.simulation import cohorts, streaming


class Plan(NamedTuple):
    """Which clients train.

    Attributes:
      num_rounds: rounds of the run.
      clients_per_round: clients drawn for each round; 0 for all.
      client_weights: one of `cohorts.CLIENT_WEIGHTS`.
      possible: sizes that clients may have, with repeats.
    """

    num_rounds: int
    clients_per_round: int
    client_weights: str
    possible: np.ndarray


class Part(NamedTuple):
    """Some clients to evaluate, in every trial.

    Attributes:
      clients: their ids.
      data: their examples of the split, on the device `[E, ...]`.
      train: their training examples, likewise.
    """

    clients: np.ndarray
    data: ClientData
    train: ClientData


@dataclasses.dataclass(frozen=True)
class Feed:
    """Where a run's data come from.

    Attributes:
      rounds: `(first, last) -> (data, cohorts)` of stretches of those rounds, with leaves
        `[E, ...]` and `[E, R, ...]`.
      parts: `split -> parts` that hold every client of it.
    """

    rounds: Callable[[int, int], Iterator[tuple[ClientData, Cohort]]]
    parts: Callable[[str], Iterator[Part]]


def resident(algorithm: FederatedAlgorithm, trials: Sequence[Trial], plan: Plan) -> Feed:
    """Places all data on the device, once; rounds between evaluations are one stretch."""

    def placed(split: str) -> ClientData:
        parts = [getattr(trial.dataset, split) for trial in trials]
        return together.put(together.stack_data(parts), algorithm.devices, len(trials))

    splits = {split: placed(split) for split in ("train", "validation", "test")}

    def rounds(first: int, last: int) -> Iterator[tuple[ClientData, Cohort]]:
        drawn = [
            cohorts.stacked([_draw(algorithm, trials, trial, plan, r) for r in range(first, last)])
            for trial in trials
        ]
        yield splits["train"], cohorts.stacked(drawn)

    def parts(split: str) -> Iterator[Part]:
        everyone = np.arange(trials[0].dataset.train.num_clients)
        yield Part(everyone, splits[split], splits["train"])

    return Feed(rounds, parts)


def streamed(algorithm: FederatedAlgorithm, trials: Sequence[Trial], plan: Plan) -> Feed:
    """Places the clients of one round at a time, and of as many to evaluate as of a round.

    Raises:
      UserError: if evaluation needs the training data of all clients at once.
    """
    streaming.check(algorithm.model)
    drawn = [
        [_draw(algorithm, trials, trial, plan, round) for round in range(plan.num_rounds)]
        for trial in trials
    ]
    capacity = max(
        streaming.capacity_of(trial.dataset.train.num_examples, map(streaming.clients_of, own))
        for trial, own in zip(trials, drawn, strict=True)
    )

    def placed(split: str, clients: Sequence[np.ndarray], room: int) -> ClientData:
        parts = [
            streaming.subset(getattr(trial.dataset, split), own, room)
            for trial, own in zip(trials, clients, strict=True)
        ]
        return together.put(together.stack_data(parts), algorithm.devices, len(trials))

    def rounds(first: int, last: int) -> Iterator[tuple[ClientData, Cohort]]:
        for round in range(first, last):
            clients = [streaming.clients_of(own[round]) for own in drawn]
            cohort = cohorts.stacked([cohorts.stacked([own[round]]) for own in drawn])
            yield placed("train", clients, capacity), cohort

    def parts(split: str) -> Iterator[Part]:
        sizes = {
            name: [getattr(trial.dataset, name).num_examples for trial in trials]
            for name in (split, "train")
        }
        sets = streaming.chunks([*sizes[split], *sizes["train"]], capacity * len(trials))
        rooms = {
            name: max(streaming.capacity_of(own, sets) for own in sizes[name]) for name in sizes
        }
        for clients in sets:
            same = [clients] * len(trials)
            yield Part(clients, *(placed(name, same, rooms[name]) for name in (split, "train")))

    return Feed(rounds, parts)


def _draw(
    algorithm: FederatedAlgorithm, trials: Sequence[Trial], trial: Trial, plan: Plan, round: int
) -> Cohort:
    """Draws a trial's cohort of a round."""
    return cohorts.draw(
        algorithm,
        trial.dataset.train,
        trial.allocation,
        trial.key,
        plan.clients_per_round,
        plan.client_weights,
        plan.possible,
        round,
        alone=len(trials) > 1,
    )
