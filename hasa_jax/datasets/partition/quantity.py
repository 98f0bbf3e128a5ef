"""Clients that differ only in their size."""

from __future__ import annotations

import numpy as np

from hasa_jax.datasets.partition.labels import Labels, check_counts
from hasa_jax.datasets.partition.shares import check_alpha, counts_of_shares, draw_shares


def quantity(
    labels: Labels,
    num_clients: int,
    generator: np.random.Generator,
    *,
    min_examples: int = 10,
    alpha: float = 0.5,
) -> list[np.ndarray]:
    """Assigns examples at random; sizes come from a symmetric Dirichlet distribution.

    Args:
      labels: labels of all examples `[n]`.
      num_clients: number of clients.
      generator: consumed.
      min_examples: fewest examples of a client.
      alpha: concentration, above 0; the lower it is, the more the sizes differ.

    Returns:
      Sorted indices of each client.

    Raises:
      UserError: if there are too few examples, or if `alpha` is out of range.
    """
    num_examples = len(labels.targets)
    check_counts(num_examples, num_clients, min_examples)
    check_alpha(alpha)
    shares = draw_shares(generator, num_clients, alpha)
    sizes = min_examples + counts_of_shares(shares, num_examples - num_clients * min_examples)
    ends = np.cumsum(sizes)[:-1]
    return [np.sort(part) for part in np.split(generator.permutation(num_examples), ends)]
