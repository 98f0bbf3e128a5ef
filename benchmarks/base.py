"""What a workload is, which clients a round of it has, and how much of their work is useful."""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

import jax
import numpy as np

import hasa_jax as hj
from hasa_jax.simulation import cohorts

KEY = jax.random.key(0)
"""Root key of every workload."""


class Engine(NamedTuple):
    """How the engine runs a workload; as the arguments of `partial_training`.

    Attributes:
      client_block: clients in one `vmap`, or None for the engine's own choice.
      devices: how many share a cohort.
    """

    client_block: int | None = None
    devices: int = 1


class Work(NamedTuple):
    """What one client has to do in a round.

    Attributes:
      kept: its size, as units of the largest group.
      steps: local steps.
      useful: fraction of the targets in its batches, padding included, that have a loss.
    """

    kept: int
    steps: int
    useful: float


@dataclasses.dataclass(frozen=True)
class Workload:
    """What a benchmark runs.

    Attributes:
      name: how it is called.
      algorithm: from `partial_training`.
      train: training examples of all clients.
      allocation: every client's size.
      client_weights: one of `cohorts.CLIENT_WEIGHTS`.
      clients_per_round: as many of each size, drawn anew each round; 0 for all clients.
      optimizer_passes: passes over the parameters in a local optimizer's step.
      rounds: rounds in one scan, unless asked otherwise.
    """

    name: str
    algorithm: hj.FederatedAlgorithm
    train: hj.ClientData
    allocation: hj.Allocation
    client_weights: str
    clients_per_round: int
    optimizer_passes: int
    rounds: int


def clients_of(workload: Workload, round: int) -> np.ndarray:
    """Returns the clients of a round, rising: all, or equally many of each size.

    Args:
      workload: the workload.
      round: communication round.

    Returns:
      Client ids `[C]`.
    """
    sizes = workload.allocation.units
    if not workload.clients_per_round:
        return np.arange(len(sizes))
    generator, distinct = np.random.default_rng(round), np.unique(sizes)
    each = workload.clients_per_round // len(distinct)
    drawn = [
        generator.choice(np.flatnonzero(sizes == size), each, replace=False) for size in distinct
    ]
    return np.sort(np.concatenate(drawn))


def stretch(workload: Workload, num_rounds: int) -> hj.Cohort:
    """Lays out the cohorts of consecutive rounds, for `hj.scan_rounds`.

    Args:
      workload: the workload.
      num_rounds: how many.

    Returns:
      The cohorts, stacked.
    """
    allocation = workload.allocation
    possible = cohorts.possible_units(allocation, num_rounds)

    def cohort(round: int) -> hj.Cohort:
        takes_part = np.isin(np.arange(len(allocation.units)), clients_of(workload, round))
        chosen = dataclasses.replace(allocation, takes_part=takes_part)
        weights = workload.client_weights
        return cohorts.draw(
            workload.algorithm, workload.train, chosen, KEY, 0, weights, possible, round
        )

    return cohorts.stacked([cohort(round) for round in range(num_rounds)])


def work_of(workload: Workload, round: int) -> list[Work]:
    """Counts the useful work of a round: an entry for each of its clients, in their order.

    Args:
      workload: the workload.
      round: communication round.

    Returns:
      The work.
    """
    train, batch_size = workload.train, workload.algorithm.batch_size
    offsets, targets = np.asarray(train.offsets), np.asarray(train.targets)
    listed = []
    for client in clients_of(workload, round).tolist():
        own = targets[offsets[client] : offsets[client + 1]]
        steps = -(-len(own) // batch_size)
        places = steps * batch_size * (own.size // len(own))
        listed.append(
            Work(int(workload.allocation.units[client]), steps, float((own >= 0).sum() / places))
        )
    return listed
