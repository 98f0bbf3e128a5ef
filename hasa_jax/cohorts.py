"""Which clients take part in a round, at which size, and with which weight."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import jax
import numpy as np

from hasa_jax import keys
from hasa_jax.algorithm import FederatedAlgorithm
from hasa_jax.allocation import Allocation
from hasa_jax.base import ClientData, Cohort

CLIENT_WEIGHTS = ("examples", "uniform")
"""A client's weight in the server's mean: its number of training examples, or 1."""


def draw(
    algorithm: FederatedAlgorithm,
    train: ClientData,
    allocation: Allocation,
    key: jax.Array,
    clients_per_round: int,
    client_weights: str,
    round: int,
) -> Cohort:
    """Draws and lays out the cohort of one round.

    Args:
      algorithm: lays it out.
      train: training examples of all clients.
      allocation: every client's size, and who takes part.
      key: root key of the run; it is not consumed.
      clients_per_round: clients drawn without replacement; 0 for all that take part.
      client_weights: one of `CLIENT_WEIGHTS`.
      round: communication round.

    Returns:
      The cohort.
    """
    clients = np.flatnonzero(allocation.takes_part)
    if clients_per_round:
        generator = keys.generator(keys.address(key, keys.Stream.COHORT, round))
        clients = np.sort(generator.choice(clients, size=clients_per_round, replace=False))
    num_examples = train.num_examples
    weights = num_examples if client_weights == "examples" else np.ones_like(num_examples)
    return algorithm.execution.place(
        clients,
        allocation.units_at(round)[clients],
        weights[clients],
        num_examples,
        algorithm.batch_size,
    )


def stretches(cohorts: Sequence[Cohort]) -> Iterator[Cohort]:
    """Stacks cohorts of one layout; yields them one by one if their layouts differ.

    One by one, a layout that comes again finds its program compiled; stretches of every length
    would each be a program of their own.

    Args:
      cohorts: those of consecutive rounds.

    Yields:
      Cohorts with leaves `[R, C]`.
    """
    if len({cohort.blocks for cohort in cohorts}) == 1:
        groups = [cohorts]
    else:
        groups = [[cohort] for cohort in cohorts]
    for group in groups:
        yield jax.tree.map(lambda *leaves: np.stack(leaves), *group)
