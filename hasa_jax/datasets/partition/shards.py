"""Clients of a few classes each."""

from __future__ import annotations

import numpy as np

from hasa_jax.base import UserError
from hasa_jax.datasets.partition.rows import Labels, check_room, with_minimum


def shards(
    labels: Labels,
    num_clients: int,
    generator: np.random.Generator,
    *,
    min_examples: int = 10,
    classes_per_client: int = 2,
) -> list[np.ndarray]:
    """Cuts every class into shards of one size, and gives each client shards of `k` classes.

    Classes have the same number of shards if `k` times the clients is a multiple of the classes,
    and one more or less if it is not.

    Args:
      labels: of all rows.
      num_clients: number of clients.
      generator: consumed.
      min_examples: fewest rows of a client.
      classes_per_client: `k`.

    Returns:
      Sorted rows of each client.

    Raises:
      UserError: if there are too few rows or classes, or if some class would be nobody's.

    References:
      McMahan et al., arXiv 1602.05629; as HeteroFL (arXiv 2010.01264) uses it.
    """
    check_room(len(labels.targets), num_clients, min_examples)
    classes = np.unique(labels.targets)
    total = num_clients * classes_per_client
    if not 1 <= classes_per_client <= len(classes):
        raise UserError(
            f"classes_per_client is {classes_per_client}: it must be from 1 to the {len(classes)} "
            "classes"
        )
    if total < len(classes):
        raise UserError(
            f"{num_clients} clients of {classes_per_client} classes leave some of {len(classes)} "
            "classes to nobody: take more clients, or a higher --classes_per_client"
        )
    shares = np.full(len(classes), total // len(classes))
    shares[generator.permutation(len(classes))[: total % len(classes)]] += 1
    cut = [
        np.array_split(generator.permutation(np.flatnonzero(labels.targets == label)), share)
        for label, share in zip(classes, shares, strict=True)
    ]
    parts: list[np.ndarray] = [np.zeros(0, np.int64)] * num_clients
    for client in generator.permutation(num_clients):
        # Those with most shards left first, so that the last client finds different classes too.
        left = np.array([len(rows) for rows in cut])
        order = np.lexsort((generator.random(len(classes)), -left))[:classes_per_client]
        parts[client] = np.concatenate([cut[place].pop() for place in order])
    if min(map(len, parts)) < min_examples:
        return with_minimum(parts, min_examples, generator)
    return [np.sort(part) for part in parts]
