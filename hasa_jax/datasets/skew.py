"""Clients of unequal size that see the classes in unequal proportions."""

from __future__ import annotations

import numpy as np

from hasa_jax.base import UserError
from hasa_jax.datasets.arguments import at_least, fraction

_LEAST = 10  # Examples of a client: one for validation, one for test, the others to train on.


def client_sizes(num_clients: int, **total: int) -> list[int]:
    """Shares examples out by Zipf's law: above the least, client i gets `1 / (i + 1)` parts.

    Args:
      num_clients: number of clients `N`.
      total: one argument, the number of all examples, under the name that messages give it.

    Returns:
      Examples of each client: ten or more, falling, and `total` together.

    Raises:
      UserError: for fewer than two clients, or too few examples for them.
    """
    at_least(2, num_clients=num_clients)
    ((name, count),) = total.items()
    spare = count - _LEAST * num_clients
    if spare < 0:
        raise UserError(
            f"{name} is {count}: {num_clients} clients need at least {_LEAST * num_clients}; "
            "give more, or fewer clients"
        )
    parts = 1 / np.arange(1, num_clients + 1)
    sizes = _LEAST + (spare * parts / parts.sum()).astype(int)
    sizes[0] += count - sizes.sum()
    return sizes.tolist()


def label_mixtures(
    num_clients: int, num_classes: int, heterogeneity: float, generator: np.random.Generator
) -> np.ndarray:
    """Draws the label distribution of every client from a symmetric Dirichlet distribution.

    Its concentration `a = (1 / h^2 - 1) / K` a class is such that two examples of one client
    share their class with probability `1 / K + h^2 (1 - 1 / K)` on average, which is also
    that of the mixture `(1 - h) / K + h 1[class = i]`. With 10 classes, h of 0.5 means
    `a = 0.3`. Clients take turns in which class is their most frequent one, so that every
    class is some client's if there are as many clients as classes.

    Args:
      num_clients: number of clients `N`.
      num_classes: number of classes `K`.
      heterogeneity: `h` in [0, 1]; 0 gives all clients all classes alike, 1 each a single one.
      generator: consumed.

    Returns:
      Probability of each class for each client `[N, K]`.

    Raises:
      UserError: for a heterogeneity out of range.

    References:
      T.-M. H. Hsu, H. Qi, M. Brown. Measuring the Effects of Non-Identical Data Distribution for
      Federated Visual Classification. arXiv:1909.06335, 2019.
    """
    fraction(heterogeneity=heterogeneity)
    if heterogeneity < 1e-6:  # As good as 0, whose concentration is infinite.
        return np.full((num_clients, num_classes), 1 / num_classes)
    # A concentration of exactly 0 is none, but this one gives a single class as well.
    concentration = max(1 / heterogeneity**2 - 1, 1e-12) / num_classes
    mixtures = generator.dirichlet(np.full(num_classes, concentration), num_clients)
    clients = np.arange(num_clients)
    home = generator.permutation(num_classes)[clients % num_classes]
    # Swapping two classes of a symmetric distribution leaves how uneven it is as it was.
    likeliest = mixtures.argmax(-1)
    mixtures[clients, home], mixtures[clients, likeliest] = (
        mixtures[clients, likeliest],
        mixtures[clients, home],
    )
    return mixtures
