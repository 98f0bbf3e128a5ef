"""Test examples for clients whose training examples are dealt out already."""

from __future__ import annotations

import numpy as np

from hasa_jax.datasets.partition.rows import Labels, whole_numbers, with_minimum


def matched(
    train: Labels,
    owners: np.ndarray,
    test: Labels,
    num_clients: int,
    generator: np.random.Generator,
) -> list[np.ndarray]:
    """Deals the classes of each group out in the proportions in which clients train on them.

    Args:
      train: labels of the training rows `[m]`.
      owners: client of each training row `[m]`.
      test: labels of the rows to deal out `[n]`, of the same groups.
      num_clients: number of clients `N`.
      generator: consumed.

    Returns:
      Sorted positions in `test` of each client; everyone has at least one. A class that nobody has
      goes to those who have its group, by how much, and a group that nobody has to all alike.
    """
    num_classes = 1 + int(max(train.targets.max(), test.targets.max()))
    cells = test.groups.astype(np.int64) * num_classes + test.targets
    of_cells = _Holders(train.groups.astype(np.int64) * num_classes + train.targets, owners)
    of_groups = _Holders(train.groups, owners)
    order = np.argsort(cells, kind="stable")
    ends = np.flatnonzero(np.diff(cells[order])) + 1
    taker = np.empty(len(cells), np.int64)
    for rows in np.split(order, ends):
        rows = generator.permutation(rows)
        cell = int(cells[rows[0]])
        clients, counts = of_cells.holding(cell)
        if not len(clients):
            clients, counts = of_groups.holding(cell // num_classes)
        if not len(clients):
            clients, counts = np.arange(num_clients), np.ones(num_clients)
        taker[rows] = np.repeat(clients, whole_numbers(counts, len(rows)))
    parts = np.split(np.argsort(taker, kind="stable"), np.cumsum(np.bincount(taker)))
    parts = [parts[client] if client <= taker.max() else order[:0] for client in range(num_clients)]
    return with_minimum(parts, 1, generator)


class _Holders:
    """Who holds how many rows of each kind, without a table of all kinds and clients."""

    def __init__(self, kinds: np.ndarray, owners: np.ndarray) -> None:
        pairs, self._counts = np.unique(np.stack([kinds, owners]), axis=1, return_counts=True)
        self._kinds, self._owners = pairs

    def holding(self, kind: int) -> tuple[np.ndarray, np.ndarray]:
        """Returns the clients that hold rows of a kind, and how many."""
        found = slice(*np.searchsorted(self._kinds, [kind, kind + 1]))
        return self._owners[found], self._counts[found].astype(np.float64)
