"""Clients of unequal size that see the classes in unequal proportions."""

from __future__ import annotations

import numpy as np

from hasa_jax.base import UserError
from hasa_jax.datasets.arguments import at_least, fraction
from hasa_jax.datasets.memory import check_memory

_LEAST = 10  # Examples of a client: one for validation, one for test, the others for training.


def client_sizes(num_clients: int, **total: int) -> list[int]:
    """Divides examples by Zipf's law.

    Every client gets ten examples. Client i gets a share of the rest in proportion to
    `1 / (i + 1)`.

    Args:
      num_clients: number of clients `N`.
      **total: one argument: the number of all examples, by the name that messages use.

    Returns:
      Examples of each client: at least ten, descending, with the sum `total`.

    Raises:
      UserError: if there are fewer than two clients, or too few examples for them.
    """
    at_least(2, num_clients=num_clients)
    ((name, count),) = total.items()
    spare = count - _LEAST * num_clients
    if spare < 0:
        raise UserError(
            f"`{name}` is {count}: {num_clients} clients need at least {_LEAST * num_clients}; "
            "raise it, or lower `num_clients`"
        )
    shares = 1 / np.arange(1, num_clients + 1)
    sizes = _LEAST + (spare * shares / shares.sum()).astype(int)
    sizes[0] += count - sizes.sum()
    return sizes.tolist()


def label_mixtures(
    num_clients: int, num_classes: int, heterogeneity: float, generator: np.random.Generator
) -> np.ndarray:
    """Draws the label distribution of every client from a symmetric Dirichlet distribution.

    The concentration is `a = (1 / h^2 - 1) / K` per class. Two examples of one client then have
    the same class with probability `1 / K + h^2 (1 - 1 / K)` on average. The mixture
    `(1 - h) / K + h 1[class = i]` has the same probability. With 10 classes, `h = 0.5` means
    `a = 0.3`. The most frequent class of client i is class `i mod K` of a random order, so every
    class has a client if there are at least as many clients as classes.

    Args:
      num_clients: number of clients `N`.
      num_classes: number of classes `K`.
      heterogeneity: `h` in [0, 1]; 0 gives all clients all classes equally often, 1 gives each
        client a single class.
      generator: consumed.

    Returns:
      Probability of each class for each client `[N, K]`.

    Raises:
      UserError: if `heterogeneity` is out of range.

    References:
      T.-M. H. Hsu, H. Qi, M. Brown. Measuring the Effects of Non-Identical Data Distribution for
      Federated Visual Classification. arXiv:1909.06335, 2019.
    """
    fraction(heterogeneity=heterogeneity)
    check_memory(8 * num_clients * num_classes, f"{num_clients} clients of {num_classes} classes")
    if heterogeneity < 1e-6:  # Treated as 0: its concentration is infinite.
        return np.full((num_clients, num_classes), 1 / num_classes)
    # A concentration of 0 is not valid; 1e-12 gives a single class as well.
    concentration = max(1 / heterogeneity**2 - 1, 1e-12) / num_classes
    mixtures = generator.dirichlet(np.full(num_classes, concentration), num_clients)
    clients = np.arange(num_clients)
    home = generator.permutation(num_classes)[clients % num_classes]
    # Exchanging two classes of a symmetric distribution does not change how uneven it is.
    largest = mixtures.argmax(-1)
    mixtures[clients, home], mixtures[clients, largest] = (
        mixtures[clients, largest],
        mixtures[clients, home],
    )
    return mixtures
