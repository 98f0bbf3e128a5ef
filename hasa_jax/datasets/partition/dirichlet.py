"""Clients that see the classes in unequal proportions."""

from __future__ import annotations

import numpy as np

from hasa_jax.datasets.partition.rows import (
    Labels,
    check_alpha,
    check_room,
    drawn_shares,
    whole_numbers,
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
    """Shares every class out by a draw from a symmetric Dirichlet distribution of its own.

    Args:
      labels: of all rows.
      num_clients: number of clients.
      generator: consumed.
      min_examples: fewest rows of a client; who draws fewer gets some of the largest clients'.
      alpha: concentration; the lower, the more clients differ, in labels and in size.

    Returns:
      Sorted rows of each client.

    Raises:
      UserError: if there are too few rows, or for an alpha that is not positive.

    References:
      Hsu et al., arXiv 1909.06335; by class as in Yurochkin et al., arXiv 1905.12022.
    """
    check_room(len(labels.targets), num_clients, min_examples)
    check_alpha(alpha)
    parts: list[list[np.ndarray]] = [[] for _ in range(num_clients)]
    for label in np.unique(labels.targets):
        rows = generator.permutation(np.flatnonzero(labels.targets == label))
        drawn = drawn_shares(generator, num_clients, alpha)
        ends = np.cumsum(whole_numbers(drawn, len(rows)))[:-1]
        for own, part in zip(parts, np.split(rows, ends), strict=True):
            own.append(part)
    return with_minimum([np.concatenate(own) for own in parts], min_examples, generator)


def balanced_dirichlet(
    labels: Labels,
    num_clients: int,
    generator: np.random.Generator,
    *,
    min_examples: int = 10,
    alpha: float = 0.5,
) -> list[np.ndarray]:
    """Gives all clients the same size, and each a label distribution drawn from a Dirichlet one.

    Clients take a row at a time, in random order, of a class drawn from their own distribution
    among the classes that are left; who prefers none of those takes any.

    Args:
      labels: of all rows.
      num_clients: number of clients.
      generator: consumed.
      min_examples: fewest rows of a client.
      alpha: concentration; the lower, the more clients differ in labels.

    Returns:
      Sorted rows of each client; sizes differ by one at most.

    Raises:
      UserError: if there are too few rows, or for an alpha that is not positive.

    References:
      Acar et al., arXiv 2111.04263, as FIARSE (arXiv 2407.19389) uses it.
    """
    check_room(len(labels.targets), num_clients, min_examples)
    check_alpha(alpha)
    classes, own = np.unique(labels.targets, return_inverse=True)
    left = [list(generator.permutation(np.flatnonzero(own == c))) for c in range(len(classes))]
    prior = np.stack([drawn_shares(generator, len(classes), alpha) for _ in range(num_clients)])
    turns = generator.permutation(np.arange(len(labels.targets)) % num_clients)
    draws = generator.random(len(turns))
    parts: list[list[int]] = [[] for _ in range(num_clients)]
    cumulative = np.cumsum(prior, axis=1)
    for client, draw in zip(turns, draws, strict=True):
        chances = cumulative[client]
        if chances[-1] <= 0:
            chances = np.cumsum([float(len(rows)) for rows in left])
        # Below the end whatever rounding does, so that a class of no chance is never hit.
        at = min(draw * chances[-1], np.nextafter(chances[-1], 0))
        place = int(np.searchsorted(chances, at, side="right"))
        parts[client].append(left[place].pop())
        if not left[place]:
            prior[:, place] = 0
            cumulative = np.cumsum(prior, axis=1)
    return [np.sort(np.array(part)) for part in parts]
