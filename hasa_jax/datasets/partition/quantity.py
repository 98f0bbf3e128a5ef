"""Clients alike in all but their size."""

from __future__ import annotations

import numpy as np

from hasa_jax.datasets.partition.rows import (
    Labels,
    check_alpha,
    check_room,
    drawn_shares,
    whole_numbers,
)


def quantity(
    labels: Labels,
    num_clients: int,
    generator: np.random.Generator,
    *,
    min_examples: int = 10,
    alpha: float = 0.5,
) -> list[np.ndarray]:
    """Deals rows out at random, to sizes drawn from a symmetric Dirichlet distribution.

    Args:
      labels: of all rows.
      num_clients: number of clients.
      generator: consumed.
      min_examples: fewest rows of a client.
      alpha: concentration; the lower, the more sizes differ.

    Returns:
      Sorted rows of each client.

    Raises:
      UserError: if there are too few rows, or for an alpha that is not positive.
    """
    num_rows = len(labels.targets)
    check_room(num_rows, num_clients, min_examples)
    check_alpha(alpha)
    parts = drawn_shares(generator, num_clients, alpha)
    sizes = min_examples + whole_numbers(parts, num_rows - num_clients * min_examples)
    ends = np.cumsum(sizes)[:-1]
    return [np.sort(part) for part in np.split(generator.permutation(num_rows), ends)]
