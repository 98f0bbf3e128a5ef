"""Which clients take part in a round, at which size, and with which weight."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Sequence

import jax
import numpy as np

from hasa_jax import keys
from hasa_jax.allocation import Allocation
from hasa_jax.base import ClientData, Cohort, UserError
from hasa_jax.execution.round import FederatedAlgorithm
from hasa_jax.server.faults import steps_in_time

_REPEATS = 2000
"""About as many sizes stand for those of all clients in all rounds."""

CLIENT_WEIGHTS = ("examples", "uniform")
"""A client's weight in the server's mean: its number of training examples, or 1."""


def draw(
    algorithm: FederatedAlgorithm,
    train: ClientData,
    allocation: Allocation,
    key: jax.Array,
    clients_per_round: int,
    client_weights: str,
    possible: np.ndarray,
    round: int,
    alone: bool = False,
) -> Cohort:
    """Draws and lays out the cohort of one round.

    Args:
      algorithm: lays it out.
      train: training examples of all clients.
      allocation: every client's size, and who takes part.
      key: root key of the run; it is not consumed.
      clients_per_round: clients drawn without replacement; 0 for all that take part.
      client_weights: one of `CLIENT_WEIGHTS`.
      possible: sizes that clients may have in this run, with repeats.
      round: communication round.
      alone: whether other seeds run on the other devices.

    Returns:
      The cohort.

    Raises:
      UserError: if fewer clients take part than are to be drawn, or for an unknown weighting.
    """
    clients = np.flatnonzero(allocation.takes_part)
    if not 0 <= clients_per_round <= len(clients):
        raise UserError(
            f"clients_per_round is {clients_per_round}: {len(clients)} clients take part, and 0 "
            "means all"
        )
    if client_weights not in CLIENT_WEIGHTS:
        known = ", ".join(CLIENT_WEIGHTS)
        raise UserError(f"unknown client weights {client_weights!r}: use one of {known}")
    if clients_per_round:
        generator = keys.generator(keys.address(key, keys.Stream.COHORT, round))
        clients = np.sort(generator.choice(clients, size=clients_per_round, replace=False))
    num_examples = train.num_examples
    weights = num_examples if client_weights == "examples" else np.ones_like(num_examples)
    units = allocation.units_at(round)
    cohort = algorithm.execution.place(
        clients,
        units[clients],
        weights[clients],
        num_examples,
        algorithm.batch_size,
        possible,
        alone,
    )
    if not algorithm.faults.deadline:
        return cohort
    steps = steps_in_time(algorithm.faults, algorithm.model, algorithm.extraction, units)
    return dataclasses.replace(cohort, steps=steps[cohort.index])


def stacked(cohorts: Sequence[Cohort]) -> Cohort:
    """Stacks cohorts of one layout: leaves `[R, ...]`.

    Raises:
      UserError: if their layouts differ, because they have different numbers of clients.
    """
    if len({cohort.index.shape for cohort in cohorts}) > 1:
        raise UserError(
            "cohorts of different sizes cannot share a program: take the same number of clients "
            "in every round and seed, or run seeds one by one (--seeds_per_program=1)"
        )
    most = max(cohort.num_batches for cohort in cohorts)
    alike = [dataclasses.replace(cohort, num_batches=most) for cohort in cohorts]
    return jax.tree.map(lambda *leaves: np.stack(leaves), *alike)


def possible_units(allocation: Allocation, num_rounds: int) -> np.ndarray:
    """Returns the sizes that clients have in some round, repeated about as they occur."""
    rounds = range(num_rounds) if allocation.redraw else range(1)
    occurs: Counter[int] = Counter()
    for round in rounds:
        occurs.update(allocation.units_at(round).tolist())
    sizes, counts = (np.array(list(part)) for part in (occurs.keys(), occurs.values()))
    # So few that sorting them in every round costs nothing.
    return np.repeat(sizes, np.ceil(counts * min(1.0, _REPEATS / counts.sum())).astype(np.int64))
