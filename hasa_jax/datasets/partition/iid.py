"""Clients alike: rows at random, sizes equal."""

from __future__ import annotations

import numpy as np

from hasa_jax.datasets.partition.rows import Labels, check_room


def iid(
    labels: Labels, num_clients: int, generator: np.random.Generator, *, min_examples: int = 10
) -> list[np.ndarray]:
    """Deals rows out at random; sizes differ by one at most.

    Args:
      labels: of all rows.
      num_clients: number of clients.
      generator: consumed.
      min_examples: fewest rows of a client.

    Returns:
      Sorted rows of each client.

    Raises:
      UserError: if there are too few rows.
    """
    num_rows = len(labels.targets)
    check_room(num_rows, num_clients, min_examples)
    return [np.sort(p) for p in np.array_split(generator.permutation(num_rows), num_clients)]
