"""What a run must beat, and on how many targets it is measured."""

from __future__ import annotations

import dataclasses

import numpy as np

from hasa_jax.base import FederatedDataset
from hasa_jax.datasets.majority import majority
from hasa_jax.simulation.summary import summarize

FEW = 20
"""A client with fewer test targets has an accuracy in steps of more than five points."""


def baseline(
    dataset: FederatedDataset, tail_fraction: float, clients: np.ndarray
) -> dict[str, float]:
    """Sums up the predictions of the most frequent training target of all clients.

    Args:
      dataset: the data of a run.
      tail_fraction: share of clients that the tail accuracy averages over.
      clients: ids of the clients that are evaluated `[n]`.

    Returns:
      `mean_accuracy`, `weighted_accuracy`, `worst_accuracy`, `tail_accuracy` and `std_accuracy`
      over clients with test targets; `target`, the predicted one; `clients`, those with test
      targets; `fewest_targets` of them; and `clients_of_few`, those with fewer than `FEW`.
    """
    found = majority(dataset)
    examples = dataset.test.num_examples[clients]
    summary = summarize(found.accuracy[clients], examples, tail_fraction)
    known = found.targets[clients]
    known = known[known > 0]
    return {
        "target": found.target,
        **{f"{name}_accuracy": value for name, value in dataclasses.asdict(summary).items()},
        "clients": len(known),
        "fewest_targets": int(known.min()) if len(known) else 0,
        "clients_of_few": int(np.sum(known < FEW)),
    }
