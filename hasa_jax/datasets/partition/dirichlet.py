"""Clients that see the classes in unequal proportions."""

from __future__ import annotations

import numpy as np

from hasa_jax.datasets.partition.labels import Labels, check_counts
from hasa_jax.datasets.partition.shares import (
    check_alpha,
    counts_of_shares,
    draw_shares,
    with_minimum,
)


def dirichlet(
    labels: Labels,
    num_clients: int,
    generator: np.random.Generator,
    *,
    min_examples: int = 10,
    alpha: float = 0.5,
) -> list[np.ndarray]:
    """Divides every class by shares drawn from a symmetric Dirichlet distribution.

    Args:
      labels: labels of all examples `[n]`.
      num_clients: number of clients.
      generator: consumed.
      min_examples: fewest examples of a client; a client that draws fewer gets some of the largest
        clients' examples.
      alpha: concentration, above 0; the lower it is, the more clients differ in labels and size.

    Returns:
      Sorted indices of each client.

    Raises:
      UserError: if there are too few examples, or if `alpha` is out of range.

    References:
      Hsu et al., arXiv 1909.06335; per class as in Yurochkin et al., arXiv 1905.12022.
    """
    check_counts(len(labels.targets), num_clients, min_examples)
    check_alpha(alpha)
    indices, owners = [], []
    for label in np.unique(labels.targets):
        indices.append(generator.permutation(np.flatnonzero(labels.targets == label)))
        shares = draw_shares(generator, num_clients, alpha)
        counts = counts_of_shares(shares, len(indices[-1]))
        owners.append(np.repeat(np.arange(num_clients), counts))
    owner = np.concatenate(owners)
    ends = np.cumsum(np.bincount(owner, minlength=num_clients))
    # The examples of a client are in the order of their classes.
    dealt = np.concatenate(indices)[np.argsort(owner, kind="stable")]
    return with_minimum(np.split(dealt, ends[:-1]), min_examples, generator)


def balanced_dirichlet(
    labels: Labels,
    num_clients: int,
    generator: np.random.Generator,
    *,
    min_examples: int = 10,
    alpha: float = 0.5,
) -> list[np.ndarray]:
    """Gives all clients equal sizes, and each client label probabilities from a Dirichlet draw.

    Clients take one example at a time, in random order. A client draws the class from its own
    probabilities, among the classes that have examples left. If its probabilities of all these
    classes are 0, it draws from what is left.

    Args:
      labels: labels of all examples `[n]`.
      num_clients: number of clients.
      generator: consumed.
      min_examples: fewest examples of a client.
      alpha: concentration, above 0; the lower it is, the more clients differ in labels.

    Returns:
      Sorted indices of each client; sizes differ by at most one.

    Raises:
      UserError: if there are too few examples, or if `alpha` is out of range.

    References:
      Acar et al., arXiv 2111.04263, as FIARSE (arXiv 2407.19389) uses it.
    """
    check_counts(len(labels.targets), num_clients, min_examples)
    check_alpha(alpha)
    classes, own = np.unique(labels.targets, return_inverse=True)
    left = [list(generator.permutation(np.flatnonzero(own == c))) for c in range(len(classes))]
    prior = np.stack([draw_shares(generator, len(classes), alpha) for _ in range(num_clients)])
    turns = generator.permutation(np.arange(len(labels.targets)) % num_clients)
    draws = generator.random(len(turns))
    parts: list[list[int]] = [[] for _ in range(num_clients)]
    cumulative = np.cumsum(prior, axis=1)
    for client, draw in zip(turns, draws, strict=True):
        weights = cumulative[client]
        if weights[-1] <= 0:
            weights = np.cumsum([float(len(indices)) for indices in left])
        # The number is below the last weight despite rounding: a class of weight 0 is never drawn.
        number = min(draw * weights[-1], np.nextafter(weights[-1], 0))
        position = int(np.searchsorted(weights, number, side="right"))
        parts[client].append(left[position].pop())
        if not left[position]:
            prior[:, position] = 0
            cumulative = np.cumsum(prior, axis=1)
    return [np.sort(np.array(part)) for part in parts]
