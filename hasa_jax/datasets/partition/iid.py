"""Clients of equal size with examples at random."""

from __future__ import annotations

import numpy as np

from hasa_jax.datasets.partition.labels import Labels, check_counts


def iid(
    labels: Labels, num_clients: int, generator: np.random.Generator, *, min_examples: int = 10
) -> list[np.ndarray]:
    """Assigns examples at random; the sizes of clients differ by at most one.

    Args:
      labels: labels of all examples `[n]`.
      num_clients: number of clients.
      generator: consumed.
      min_examples: fewest examples of a client.

    Returns:
      Sorted indices of each client.

    Raises:
      UserError: if there are too few examples.
    """
    num_examples = len(labels.targets)
    check_counts(num_examples, num_clients, min_examples)
    order = generator.permutation(num_examples)
    return [np.sort(part) for part in np.array_split(order, num_clients)]
