"""Clients that see only a few classes."""

from __future__ import annotations

import numpy as np

from hasa_jax.base import UserError
from hasa_jax.datasets.partition.labels import Labels, check_counts
from hasa_jax.datasets.partition.shares import with_minimum


def shards(
    labels: Labels,
    num_clients: int,
    generator: np.random.Generator,
    *,
    min_examples: int = 10,
    classes_per_client: int = 2,
) -> list[np.ndarray]:
    """Cuts every class into shards of equal size; each client gets shards of `k` classes.

    All classes have the same number of shards if `k` times the number of clients is a multiple of
    the number of classes. Otherwise the numbers of shards differ by one.

    Args:
      labels: labels of all examples `[n]`.
      num_clients: number of clients.
      generator: consumed.
      min_examples: fewest examples of a client.
      classes_per_client: classes of each client, `k`.

    Returns:
      Sorted indices of each client.

    Raises:
      UserError: if there are too few examples or classes, or if a class has no client.

    References:
      McMahan et al., arXiv 1602.05629; as HeteroFL (arXiv 2010.01264) uses it.
    """
    check_counts(len(labels.targets), num_clients, min_examples)
    classes = np.unique(labels.targets)
    total = num_clients * classes_per_client
    if not 1 <= classes_per_client <= len(classes):
        raise UserError(
            f"`classes_per_client` is {classes_per_client}: it must be from 1 to the "
            f"{len(classes)} classes"
        )
    if total < len(classes):
        raise UserError(
            f"{num_clients} clients of {classes_per_client} classes leave some of {len(classes)} "
            "classes without a client: raise `num_clients` or `classes_per_client`"
        )
    num_shards = np.full(len(classes), total // len(classes))
    num_shards[generator.permutation(len(classes))[: total % len(classes)]] += 1
    cut = [
        np.array_split(generator.permutation(np.flatnonzero(labels.targets == label)), count)
        for label, count in zip(classes, num_shards, strict=True)
    ]
    parts: list[np.ndarray] = [np.zeros(0, np.int64)] * num_clients
    for client in generator.permutation(num_clients):
        # Classes with the most shards left come first: the last client then finds `k` classes.
        left = np.array([len(indices) for indices in cut])
        order = np.lexsort((generator.random(len(classes)), -left))[:classes_per_client]
        parts[client] = np.concatenate([cut[position].pop() for position in order])
    if min(map(len, parts)) < min_examples:
        return with_minimum(parts, min_examples, generator)
    return [np.sort(part) for part in parts]
