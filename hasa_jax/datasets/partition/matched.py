"""Test examples for clients, in the proportions of the clients' training examples."""

from __future__ import annotations

import numpy as np

from hasa_jax.datasets.partition.labels import Labels
from hasa_jax.datasets.partition.shares import counts_of_shares, with_minimum


def matched(
    train: Labels,
    owners: np.ndarray,
    test: Labels,
    num_clients: int,
    generator: np.random.Generator,
) -> list[np.ndarray]:
    """Divides test examples as the clients' training examples are divided.

    Test examples of one class and group go to clients in proportion to their training examples of
    this class and group. If no client has any, the proportions are those of the group. If no client
    has the group, all clients get equal numbers.

    Args:
      train: labels of the training examples `[m]`.
      owners: client of each training example `[m]`.
      test: labels of the test examples `[n]`, with the same groups.
      num_clients: number of clients `N`.
      generator: consumed.

    Returns:
      Sorted positions in `test` of each client; every client has at least one.
    """
    num_classes = 1 + int(max(train.targets.max(), test.targets.max()))
    cells = test.groups.astype(np.int64) * num_classes + test.targets
    of_cells = _Counts(train.groups.astype(np.int64) * num_classes + train.targets, owners)
    of_groups = _Counts(train.groups, owners)
    order = np.argsort(cells, kind="stable")
    ends = np.flatnonzero(np.diff(cells[order])) + 1
    receivers = np.empty(len(cells), np.int64)
    for positions in np.split(order, ends):
        positions = generator.permutation(positions)
        cell = int(cells[positions[0]])
        clients, counts = of_cells.of(cell)
        if not len(clients):
            clients, counts = of_groups.of(cell // num_classes)
        if not len(clients):
            clients, counts = np.arange(num_clients), np.ones(num_clients)
        receivers[positions] = np.repeat(clients, counts_of_shares(counts, len(positions)))
    parts = np.split(np.argsort(receivers, kind="stable"), np.cumsum(np.bincount(receivers)))
    last = receivers.max()
    parts = [parts[client] if client <= last else order[:0] for client in range(num_clients)]
    return with_minimum(parts, 1, generator)


class _Counts:
    """Numbers of examples of each kind and client, without a table of all kinds and clients."""

    def __init__(self, kinds: np.ndarray, owners: np.ndarray) -> None:
        pairs, self._counts = np.unique(np.stack([kinds, owners]), axis=1, return_counts=True)
        self._kinds, self._owners = pairs

    def of(self, kind: int) -> tuple[np.ndarray, np.ndarray]:
        """Returns the clients that have examples of a kind, and how many each has."""
        found = slice(*np.searchsorted(self._kinds, [kind, kind + 1]))
        return self._owners[found], self._counts[found].astype(np.float64)
